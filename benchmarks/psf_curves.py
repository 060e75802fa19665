"""Encircled energy of the PSF model beside the published curves; writes a figure and a table.

    python benchmarks/psf_curves.py ../shared/data/psf docs/figures/psf_curves.png

The bands of a survey are taken with the parameters in its file, before drizzling:
WFC3/UVIS against the STScI table and the measured STDPSF grid, ACS/WFC against TinyTim.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from praesepe.sky.instrument.psf import band_psf, band_wavelengths, encircled_energy, optical_psf
from praesepe.sky.instrument.psf_files import read_psf_file
from praesepe.survey import PSF, load_survey

FINE_ARCSEC = 0.01
RADII = np.arange(0.02, 1.01, 0.02)


def published_table(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Radii (arcsec) and encircled energy of one filter of the STScI table."""
    with (folder / "wfc3uvis2_encircled_energy.csv").open() as file:
        header, *rows = csv.reader(file)
    radii = np.array([float(column.split("#")[1]) for column in header[2:]])
    energy = next(np.array(row[2:], dtype=float) for row in rows if row[0] == name)
    return radii[radii < 1], energy[radii < 1]


def compare_band(axes, folder: Path, band) -> None:
    """Draw one band and print its largest disagreement from 0.08 to 0.51 arcsec."""
    upper, lower = axes
    wavelengths = band_wavelengths(band)
    start = time.perf_counter()
    native = band.model_copy(update={"psf": band.psf.model_copy(update={"pixfrac": 0.0})})
    fine = band_psf(native, grid_scale_arcsec=FINE_ARCSEC, half_size_px=100)
    seconds = time.perf_counter() - start
    upper.plot(RADII, encircled_energy(fine, FINE_ARCSEC, RADII), label="model")
    if band.instrument.startswith("WFC3"):
        reference = "STScI table"
        radii, published = published_table(folder, band.name)
        model = encircled_energy(fine, FINE_ARCSEC, radii)
        measured, scale = read_psf_file(
            PSF(file=str(folder / f"PSFSTD_WFC3UV_{band.name}.fits"), file_scale_arcsec=0.01)
        )
        near = RADII[RADII <= 0.5]
        share = optical_psf(native.psf, wavelengths, scale, 50).sum()
        energy = share * encircled_energy(measured, scale, near)
        upper.plot(near, energy, ":", color="0.5", label="STDPSF, scaled to the model's box")
    else:
        reference = "TinyTim"
        image, scale = read_psf_file(PSF(file=str(folder / f"ACS_WFC_{band.name}.fits")))
        sampled = optical_psf(native.psf, wavelengths, scale, image.shape[0] // 2)
        radii = np.arange(0.06, 1.0, 0.02)
        published = encircled_energy(image, scale, radii) * sampled.sum()
        model = encircled_energy(sampled, scale, radii)
    upper.plot(radii, published, "o", ms=3, label=reference)
    lower.axhspan(-0.02, 0.02, color="0.9")
    lower.plot(radii, model - published, "o-", ms=3)
    upper.set_title(f"{band.instrument} {band.name}")
    counts = (radii > 0.075) & (radii < 0.515)
    worst = np.abs(model - published)[counts].max()
    print(
        f"{band.name} {band.instrument:9s} against {reference:11s}: worst {worst:.4f} "
        f"from 0.08 to 0.51 arcsec; computed in {seconds:.2f} s"
    )


def main(folder: Path, figure_path: Path, survey_name: str) -> None:
    """Draw all bands of the survey and save the figure."""
    survey = load_survey(survey_name)
    figure = Figure(figsize=(3.6 * len(survey.bands), 5), layout="constrained")
    grid = figure.subplots(
        2, len(survey.bands), sharex=True, sharey="row", height_ratios=[2, 1], squeeze=False
    )
    for column, band in enumerate(survey.bands):
        compare_band(grid[:, column], folder, band)
        grid[0, column].legend(frameon=False, fontsize="small", loc="lower right")
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
