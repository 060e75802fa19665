"""Interpolation in metallicity against the isochrones left out, one metallicity at a time.

    python benchmarks/metallicity.py

For every metallicity inside the embedded grid: take it out, interpolate it from its neighbours,
and compare the light of 10^6 solar masses and the turn-off mass with the real ones, at log ages
6.8 to 10. Beside it: the nearest neighbour in its place, and the neighbours' magnitudes
interpolated linearly in log Z, which shows how smooth the tracks themselves are.
"""

from __future__ import annotations

import numpy as np

from praesepe.stars import IsochroneGrid, build_table, load_passband
from praesepe.stars.interpolation import refine_metallicity

BANDS = ("wfc3_uvis_f336w", "acs_wfc_f475w", "acs_wfc_f814w")
LOG_AGES = (6.8, 10.0)
YOUNG = 7.4
"""Below this age red supergiants dominate."""


def light(grid: IsochroneGrid, rows: np.ndarray) -> dict[float, np.ndarray]:
    """Magnitudes (A, B) of 10^6 solar masses for every metallicity of a grid."""
    table = build_table([load_passband(band) for band in BANDS], grid=grid)
    return {
        float(z): np.array([table.integrated_magnitudes(grid.log_age[i], z, 1e6) for i in rows])
        for z in grid.metallicity
    }


def turn_off(grid: IsochroneGrid, column: int, rows: np.ndarray) -> np.ndarray:
    """Largest main-sequence mass (A,)."""
    ones = [grid.isochrone(i, column) for i in rows]
    return np.array([one.initial_mass[one.kind <= 1].max() for one in ones])


def rms(values: np.ndarray) -> str:
    """Root mean square per band, in words."""
    return " ".join(f"{x:.3f}" for x in np.sqrt((values**2).mean(axis=0)))


def main() -> None:
    """Print one block per metallicity."""
    grid = IsochroneGrid.embedded()
    low, high = LOG_AGES
    rows = np.flatnonzero((grid.log_age > low - 0.01) & (grid.log_age < high + 0.01))
    age = grid.log_age[rows]
    real = light(grid, rows)
    print("r.m.s. difference in F336W F475W F814W, mag; median difference of the turn-off mass")
    for out in range(1, len(grid.metallicity) - 1):
        z = float(grid.metallicity[out])
        kept = [i for i in range(len(grid.metallicity)) if i != out]
        rest = IsochroneGrid(
            grid.log_age, grid.metallicity[kept], tuple(grid.isochrones[i] for i in kept)
        )
        made = refine_metallicity(rest, low=z, high=z)
        poor, rich = (float(grid.metallicity[i]) for i in (out - 1, out + 1))
        share = np.log10(z / poor) / np.log10(rich / poor)
        nearest = rest.nearest_metallicity(z)
        ways = {
            "interpolated": light(made, rows)[z],
            "nearest": real[float(rest.metallicity[nearest])],
            "magnitudes": (1 - share) * real[poor] + share * real[rich],
        }
        truth = turn_off(grid, out, rows)
        masses = {
            "interpolated": turn_off(made, 0, rows),
            "nearest": turn_off(rest, nearest, rows),
        }
        print(f"\nZ = {z:g} from {poor:g} and {rich:g}")
        for name, values in ways.items():
            error = values - real[z]
            old, young = rms(error[age > YOUNG]), rms(error[age <= YOUNG])
            line = f"  {name:13} younger than 10^{YOUNG}: {young}   older: {old}"
            if name in masses:
                line += f"   turn-off {np.median(np.abs(masses[name] / truth - 1)):.2%}"
            print(line)


if __name__ == "__main__":
    main()
