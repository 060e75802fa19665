"""Colours of the embedded spectra beside real stars: `python benchmarks/real_star_colours.py`.

U-B and B-V of dwarfs (Pecaut & Mamajek 2013, ApJS 208, 9, table of 2024-05-15) and of giants
(Alonso, Arribas & Martinez-Roger 1999, A&AS 140, 261, table 5, [Fe/H] = +0.2), for the embedded
spectra and for Kurucz's without the correction of `tools/cool_stars.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from praesepe.stars import load_passband
from praesepe.stars.atmospheres import SpectralLibrary

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from cool_stars import Correction

# Columns: T_eff [K], log g (assumed), B-V, U-B.
DWARFS = np.array(
    [
        (6050, 4.40, 0.560, 0.014),
        (5930, 4.42, 0.595, 0.057),
        (5770, 4.44, 0.650, 0.133),
        (5660, 4.46, 0.680, 0.185),
        (5550, 4.47, 0.710, 0.243),
        (5480, 4.48, 0.730, 0.284),
        (5380, 4.50, 0.775, 0.358),
        (5290, 4.51, 0.816, 0.436),
        (5170, 4.53, 0.857, 0.491),
        (5100, 4.54, 0.884, 0.581),
        (4870, 4.57, 0.990, 0.801),
        (4600, 4.61, 1.090, 0.986),
        (4440, 4.63, 1.150, 1.081),
        (4300, 4.65, 1.240, 1.184),
    ]
)
GIANTS = np.array(
    [
        (5250, 3.1, 0.825, 1.320 - 0.825),
        (5000, 2.9, 0.935, 1.720 - 0.935),
        (4750, 2.7, 1.055, 2.090 - 1.055),
        (4500, 2.4, 1.190, 2.475 - 1.190),
        (4250, 2.0, 1.345, 2.885 - 1.345),
        (4000, 1.5, 1.515, 3.315 - 1.515),
    ]
)
METALS = {"dwarfs": 0.0, "giants": 0.2}


def colours(library: SpectralLibrary, stars: np.ndarray, metals: float) -> np.ndarray:
    """B-V and U-B of the spectra, (n, 2); Vega has 0 in both."""
    curves = [load_passband(f"bessell_{band}") for band in "UBV"]
    table = library.bolometric_corrections(curves)
    magnitude = table(0.0, np.log10(stars[:, 0]), stars[:, 1], metals)
    u, b, v = (magnitude + [curve.vega_minus_ab for curve in curves]).T
    return np.column_stack([b - v, u - b])


def main() -> None:
    """Print computed minus observed colours."""
    corrected = SpectralLibrary.embedded()
    plain = Correction.read().removed(corrected)
    print("computed minus observed, mag      uncorrected        corrected")
    print("           T_eff  log g           B-V     U-B       B-V     U-B")
    for kind, stars in (("dwarfs", DWARFS), ("giants", GIANTS)):
        both = np.hstack(
            [colours(library, stars, METALS[kind]) - stars[:, 2:] for library in (plain, corrected)]
        )
        for star, row in zip(stars, both, strict=True):
            cells = "  ".join(f"{x:8.3f}{y:8.3f}" for x, y in row.reshape(2, 2))
            print(f"{kind:10}{star[0]:6.0f}{star[1]:7.2f}      {cells}")
        for what, values in (("r.m.s.", both), ("less mean", both - both.mean(axis=0))):
            root = np.sqrt((values**2).mean(axis=0)).reshape(2, 2)
            print(f"{kind:10}{what:<19}" + "  ".join(f"{x:8.3f}{y:8.3f}" for x, y in root))


if __name__ == "__main__":
    main()
