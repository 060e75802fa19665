"""Encircled energy of the PSF model beside the published curves; writes a figure and a table.

    python benchmarks/psf_curves.py ../shared/data/psf docs/figures/psf_curves.png

The bands of a survey are taken with the parameters in its file, before drizzling:
WFC3/UVIS against measured STDPSF grids and, outside their core, the STScI table, ACS/WFC against
TinyTim. Before the core followed STDPSF: `--survey phat-nodust`.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from praesepe.sky.instrument.psf import band_psf, band_wavelengths, optical_psf
from praesepe.sky.instrument.psf_files import load_psf_file
from praesepe.sky.instrument.psf_shapes import encircled_energy, full_width
from praesepe.survey import PSF, load_survey

FINE_ARCSEC = 0.01
RADII = np.arange(0.01, 1.005, 0.01)
SHOWN_ARCSEC = (0.05, 0.1, 0.15, 0.2, 0.5, 1.0)
STDPSF_ARCSEC = 0.0099  # a quarter of a pixel
CORE_ARCSEC = 0.198  # 5 pixels: STDPSF is measured inside, and its light there is set to 1
UNMEASURED = {"F814W": "F775W"}  # as in tools/fit_psf.py


def uvis_reference(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Radii, encircled energy and width of WFC3/UVIS: STDPSF in the core, the table outside."""
    file = folder / f"PSFSTD_WFC3UV_{name}.fits"
    if not file.is_file():
        return None
    with (folder / "wfc3uvis2_encircled_energy.csv").open() as opened:
        header, *rows = csv.reader(opened)
    curves = {row[0]: np.array([float(value) for value in row[1:]]) for row in rows}
    stretch = curves[name][0] / curves[UNMEASURED.get(name, name)][0]
    radii = stretch * np.array([float(column.split("#")[1]) for column in header[2:]])
    energy = curves[UNMEASURED.get(name, name)][1:]
    star = load_psf_file(PSF(file=str(file), file_scale_arcsec=STDPSF_ARCSEC))
    image, scale = star.image(None), star.scale_arcsec
    near = RADII < CORE_ARCSEC
    core = encircled_energy(image, scale, [*RADII[near], CORE_ARCSEC])
    core *= np.interp(CORE_ARCSEC, radii, energy) / core[-1]
    outer = np.interp(RADII[~near], radii, energy)
    return RADII, np.array([*core[:-1], *outer]), full_width(image, scale)


def compare_band(axes, folder: Path, band) -> None:
    """Draw one band, and print its widths and encircled energy beside those of its reference."""
    upper, lower = axes
    native = band.model_copy(update={"psf": band.psf.model_copy(update={"pixfrac": 0.0})})
    start = time.perf_counter()
    model = band_psf(native, grid_scale_arcsec=FINE_ARCSEC, half_size_px=110)
    seconds = time.perf_counter() - start
    scale, name, reference = FINE_ARCSEC, "STDPSF, outside 0.2 arcsec the STScI table", None
    if band.instrument == "WFC3/UVIS":
        reference = uvis_reference(folder, band.name)
    elif (file := folder / f"ACS_WFC_{band.name}.fits").is_file():
        star = load_psf_file(PSF(file=str(file)))
        image, scale = star.image(None), star.scale_arcsec
        model = optical_psf(native.psf, band_wavelengths(band), scale, image.shape[0] // 2)
        energy = encircled_energy(image, scale, RADII) * model.sum()
        name, reference = "TinyTim, at its sampling", (RADII, energy, full_width(image, scale))
    print(f"{band.name} {band.instrument} (computed in {seconds:.2f} s)")
    energy = encircled_energy(model, scale, RADII)
    upper.plot(RADII, energy, label="model")
    row("model", full_width(model, scale), energy)
    upper.set_title(f"{band.instrument} {band.name}")
    if reference is None:
        return
    radii, published, width = reference
    row(name, width, published)
    upper.plot(radii, published, "o", ms=3, label=name)
    lower.axhspan(-0.02, 0.02, color="0.9")
    lower.plot(radii, energy - published, "o-", ms=3)
    counts = (radii > 0.045) & (radii < 1.005)
    print(f"  worst {np.abs(energy - published)[counts].max():.4f} from 0.05 to 1 arcsec")


def row(name: str, width: float, energy: np.ndarray) -> None:
    """One line: full width at half maximum, and encircled energy at `SHOWN_ARCSEC`."""
    values = "  ".join(
        f"{r:g}: {e:.3f}"
        for r, e in zip(SHOWN_ARCSEC, np.interp(SHOWN_ARCSEC, RADII, energy), strict=True)
    )
    print(f"  {name:43s} FWHM {width:.4f}   {values}")


def main(folder: Path, figure_path: Path, survey_name: str) -> None:
    """Draw all bands of the survey and save the figure."""
    survey = load_survey(survey_name)
    figure = Figure(figsize=(4 * len(survey.bands), 5), layout="constrained")
    grid = figure.subplots(
        2, len(survey.bands), sharex=True, sharey="row", height_ratios=[2, 1], squeeze=False
    )
    for column, band in enumerate(survey.bands):
        compare_band(grid[:, column], folder, band)
        grid[0, column].legend(frameon=False, fontsize="x-small", loc="lower right")
        grid[1, column].set_xlabel("radius [arcsec]")
    grid[0, 0].set_ylabel("encircled energy")
    grid[1, 0].set_ylabel("model − reference")
    grid[1, 0].set_ylim(-0.045, 0.045)
    figure.savefig(figure_path, dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the reference PSF data")
    parser.add_argument("figure", type=Path, help="figure to write (PNG)")
    parser.add_argument("--survey", default="phat", help="HST survey: name or TOML file")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.figure, arguments.survey)
