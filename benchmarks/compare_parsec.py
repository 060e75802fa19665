"""Integrated magnitudes of the embedded stellar model beside PARSEC's.

    python benchmarks/compare_parsec.py PARSEC_FILE [--out FIGURE.png]

PARSEC_FILE is an isochrone table as the CMD web form writes it, with Vega magnitudes of the
WFC3/UVIS wide filters. Two comparisons, age by age, for the light of a well populated
cluster of 10^6 solar masses: the whole embedded model against PARSEC, and only the embedded
spectra, on PARSEC's own stars, against PARSEC's magnitudes. Star by star, the cool spectra are
judged on the isochrones that they were not fitted to (`tools/cool_stars.py`), and without the fit.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from praesepe.stars import KROUPA2001, BrokenPowerLaw, build_table, load_passband
from praesepe.stars.atmospheres import SpectralLibrary, metals_dex
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.magnitudes import imf_weights
from praesepe.stars.readers import IsochroneFile, read_isochrones

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from cool_stars import Correction, fitted_half, own_magnitudes

BANDS = ("F336W", "F475W", "F814W")
INFRARED = ("F105W", "F110W", "F125W", "F140W", "F160W")
STAR_BY_STAR = ("F336W", "F390W", "F475W", "F555W", "F606W", "F814W", *INFRARED)
"""Every wide WFC3 filter from F336W that astro-sedpy has a curve of."""
MASS = 1e6  # solar masses
TEFF_BINS = (2500, 3500, 4000, 5000, 6000, 8000, 10000, 15000, 25000, 35000, 50000)


def passbands(bands: tuple[str, ...] = BANDS) -> list:
    """The WFC3 curves of the bands (also F475W and F814W, as in the PARSEC file)."""
    return [
        load_passband(f"wfc3_{'ir' if band in INFRARED else 'uvis'}_{band.lower()}")
        for band in bands
    ]


def magnitudes(parsec: IsochroneFile, bands: tuple[str, ...] = BANDS) -> np.ndarray:
    """PARSEC's own Vega magnitudes, (n, B)."""
    return own_magnitudes(parsec, bands)


def integrate(mass: np.ndarray, magnitude: np.ndarray, imf: BrokenPowerLaw) -> np.ndarray:
    """Magnitudes (B,) of `MASS` of stars, of an isochrone (n,), (n, B).

    PARSEC starts at 0.09 solar masses: the stars down to the mass function's edge take the
    magnitudes of its first point.
    """
    mass = np.concatenate([[min(mass[0], imf.edges[0])], mass[1:]])
    flux = imf_weights(mass, imf) @ 10.0 ** (-0.4 * magnitude)
    return -2.5 * np.log10(flux * MASS / imf.mean_mass)


def parsec_integrated(
    parsec: IsochroneFile, magnitude: np.ndarray, imf: BrokenPowerLaw = KROUPA2001
) -> tuple[np.ndarray, np.ndarray]:
    """Ages (A,) and integrated magnitudes (A, B) of PARSEC's stars with given magnitudes."""
    ages = np.unique(parsec.log_age)
    rows = []
    for age in ages:
        stars = np.flatnonzero(parsec.log_age == age)
        stars = stars[np.argsort(parsec.initial_mass[stars], kind="stable")]
        rows.append(integrate(parsec.initial_mass[stars], magnitude[stars], imf))
    return ages, np.array(rows)


def embedded_integrated(
    log_ages: np.ndarray,
    metallicity: float,
    *,
    grid: IsochroneGrid | None = None,
    imf: BrokenPowerLaw = KROUPA2001,
) -> np.ndarray:
    """Vega magnitudes (A, B) of the embedded model, linear in log Z between its isochrones."""
    curves = passbands()
    vega = np.array([curve.vega_minus_ab for curve in curves])
    table = build_table(curves, grid=grid)
    log_z = np.log10(table.metallicity)
    upper = int(np.clip(np.searchsorted(log_z, np.log10(metallicity)), 1, len(log_z) - 1))
    share = (np.log10(metallicity) - log_z[upper - 1]) / (log_z[upper] - log_z[upper - 1])
    low, high = table.metallicity[upper - 1], table.metallicity[upper]
    rows = [
        (1 - share) * table.integrated_magnitudes(age, low, MASS, imf=imf)
        + share * table.integrated_magnitudes(age, high, MASS, imf=imf)
        for age in log_ages
    ]
    return np.array(rows) + vega


def kurucz_on_parsec(
    parsec: IsochroneFile,
    metals: float | None = None,
    bands: tuple[str, ...] = BANDS,
    *,
    library: SpectralLibrary | None = None,
) -> np.ndarray:
    """Vega magnitudes (n, B) that the embedded (or other) spectra give to PARSEC's own stars."""
    library = library or SpectralLibrary.embedded()
    curves = passbands(bands)
    vega = np.array([curve.vega_minus_ab for curve in curves])
    corrections = library.bolometric_corrections(curves)
    dex = metals_dex(parsec.metallicity) if metals is None else metals
    return corrections(parsec.log_l, parsec.log_teff, parsec.log_g, dex) + vega


def without_tp_agb(grid: IsochroneGrid) -> IsochroneGrid:
    """The grid without thermally pulsing giants (SSE type 6), which PARSEC's file lacks."""

    def darken(isochrone: Isochrone) -> Isochrone:
        return replace(isochrone, kind=np.where(isochrone.kind == 6, 13, isochrone.kind))

    rows = tuple(tuple(darken(one) for one in row) for row in grid.isochrones)
    return replace(grid, isochrones=rows)


def report(parsec: IsochroneFile) -> dict[str, np.ndarray]:
    """Differences age by age: `log_age` (A,), `model`, `no_tp_agb`, `spectra`, each (A, B)."""
    ages, theirs = parsec_integrated(parsec, magnitudes(parsec))
    _, kurucz = parsec_integrated(parsec, kurucz_on_parsec(parsec))
    bare = without_tp_agb(IsochroneGrid.embedded())
    metallicity = float(parsec.metallicity[0])
    return {
        "log_age": ages,
        "model": embedded_integrated(ages, metallicity) - theirs,
        "no_tp_agb": embedded_integrated(ages, metallicity, grid=bare) - theirs,
        "spectra": kurucz - theirs,
    }


def print_stars(parsec: IsochroneFile) -> None:
    """Print how the embedded spectra differ from PARSEC's magnitudes, star by star."""
    residual = kurucz_on_parsec(parsec) - magnitudes(parsec)
    teff = 10.0**parsec.log_teff
    print("\nstar by star, spectra on PARSEC's stars: median (largest) difference")
    for low, high in pairwise(TEFF_BINS):
        part = residual[(teff >= low) & (teff < high)]
        cells = zip(np.median(part, axis=0), np.abs(part).max(axis=0), strict=True)
        print(f"{low:6}-{high:5} K  " + "  ".join(f"{m:6.3f} ({x:.2f})" for m, x in cells))
    held_out = ~fitted_half(parsec.log_age)
    for what, low, high, library, chosen in (
        (", isochrones not fitted", 4000, 6000, None, held_out),
        (", the same, uncorrected", 4000, 6000, uncorrected(), held_out),
        ("", 6000, 35000, None, np.full(len(teff), True)),
    ):
        residual = kurucz_on_parsec(parsec, bands=STAR_BY_STAR, library=library)
        residual -= magnitudes(parsec, STAR_BY_STAR)
        part = residual[chosen & (teff > low) & (teff < high)]
        print(
            f"\n{low} to {high} K{what}, {len(part)} stars; within 0.1 mag in every band: ", end=""
        )
        print(f"{(np.abs(part) < 0.1).all(axis=1).mean():.2%}")
        print("        5 %    50 %    95 %  largest  within 0.1 mag")
        for band, values in zip(STAR_BY_STAR, part.T, strict=True):
            cells = "".join(f"{x:8.3f}" for x in np.percentile(values, [5, 50, 95]))
            inside = (np.abs(values) < 0.1).mean()
            print(f"{band}{cells}  {np.abs(values).max():7.3f}  {inside:.2%}")


def uncorrected() -> SpectralLibrary:
    """The embedded spectra before cool stars got PARSEC's colours."""
    return Correction.read().removed(SpectralLibrary.embedded())


def figure(differences: dict[str, np.ndarray], path: Path) -> None:
    """Draw the differences against age."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8, 6), layout="constrained")
    top, bottom = drawing.subplots(2, 1, sharex=True)
    for ax, key, limit in ((top, "model", 0.4), (bottom, "spectra", 0.1)):
        for band, values in zip(BANDS, differences[key].T, strict=True):
            ax.plot(differences["log_age"], values, label=band)
        ax.axhspan(-limit, limit, color="0.92", zorder=0)
        ax.axhline(0.0, color="0.6", lw=0.8)
    top.set_ylabel("embedded model − PARSEC [mag]")
    bottom.set_ylabel("Kurucz on PARSEC's stars − PARSEC [mag]")
    bottom.set_xlabel(r"$\log_{10}(t/\mathrm{yr})$")
    top.legend(ncols=3)
    drawing.savefig(path, dpi=150)


def main() -> None:
    """Print the differences, and draw them where `--out` says so."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parsec", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    (parsec,) = read_isochrones(options.parsec)
    differences = report(parsec)
    print(f"{'':9}{'model - PARSEC':^24}{'without TP-AGB':^24}{'spectra only':^24}")
    print("log age  " + "".join(f"{band:>8}" for band in BANDS) * 3)
    for i, age in enumerate(differences["log_age"]):
        values = [x for key in ("model", "no_tp_agb", "spectra") for x in differences[key][i]]
        print(f"{age:7.2f}  " + "".join(f"{value:8.3f}" for value in values))
    worst = [
        x for key in ("model", "no_tp_agb", "spectra") for x in np.abs(differences[key]).max(0)
    ]
    print("largest  " + "".join(f"{value:8.3f}" for value in worst))
    print_stars(parsec)
    if options.out:
        figure(differences, options.out)


if __name__ == "__main__":
    main()
