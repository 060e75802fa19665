"""Ages, masses and sizes of globular-cluster candidates in the ACS Virgo and Fornax surveys.

    praesepe train examples/real_images/acsvcs.toml --out runs/acsvcs --minutes 30 --views 4
    python examples/real_images/acsvcs.py runs/acsvcs FCC106_images.fits --out fcc106.png
    python examples/real_images/acsvcs.py runs/acsvcs VCC1993_images.fits --distance-mpc 16.5
    python examples/real_images/acsvcs.py runs/acsvcs --control

The files hold stamps, not mosaics: extension 1, (N, 2, 20, 20), e-/s in F475W and F850LP. With
--control, mock clusters of 10 to 12.6 Gyr and several metallicities are measured instead.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from astropy.io import fits
from matplotlib.figure import Figure

from praesepe import Estimator, Simulator
from praesepe.survey import Survey

APERTURE_PX, SKY_PX = 5.0, 8.0
COLOURS = (0.3, 0.7, 0.9, 1.1, 1.3, 1.6)
"""Edges of the bins of F475W - F850LP; globular clusters have 0.7 to 1.6 (Peng et al. 2006)."""

FAINTEST = 25.0
METALLICITIES = (0.0006, 0.002, 0.004, 0.014)


def read_stamps(path: Path) -> np.ndarray:
    """All stamps, shape (n, 2, 20, 20); missing pixels get the median of their stamp and band."""
    stamps = fits.getdata(path, 1).astype(np.float32)
    typical = np.nanmedian(stamps, axis=(-2, -1), keepdims=True)
    return np.where(np.isfinite(stamps), stamps, typical)


def magnitudes(stamps: np.ndarray, survey: Survey) -> np.ndarray:
    """AB magnitudes within 0.25 arcsec above the sky of the stamp, shape (n, 2)."""
    y, x = np.indices(stamps.shape[-2:]) - stamps.shape[-1] // 2
    radius = np.hypot(x, y)
    inside = radius < APERTURE_PX
    sky = np.median(stamps[..., radius > SKY_PX], axis=-1)
    light = stamps[..., inside].sum(-1) - sky * inside.sum()
    zero_points = [band.zero_point_ab for band in survey.bands]
    return zero_points - 2.5 * np.log10(np.maximum(light, 1e-6))


def quartet(values: np.ndarray) -> str:
    """Median, and percentiles 16 and 84."""
    low, middle, high = np.percentile(values, (16, 50, 84))
    return f"{middle:6.2f} ({low:5.2f} to {high:5.2f})"


def by_colour(estimator: Estimator, stamps: np.ndarray, distance_mpc: float) -> np.ndarray:
    """Print medians in bins of colour; return colour, log age and log mass, shape (3, n)."""
    told = {"log_distance": np.log10(distance_mpc * 1e6)}
    posterior = estimator.predict(stamps, conditions=told)
    g, z = magnitudes(stamps, estimator.survey).T
    colour = g - z
    age, mass = posterior.percentile(50).T[:2]
    flagged = posterior.out_of_domain > 1
    none = ~flagged & (posterior.shares("object_class")[:, 1] < 0.5)
    believed = ~flagged & ~none
    globular = (colour >= COLOURS[1]) & (colour < COLOURS[-1])
    print("                      n  flagged  no cluster  believed")
    for name, these in (
        ("all", g < np.inf),
        (f"brighter than {FAINTEST:g}", g < FAINTEST),
        ("  colour of globulars", (g < FAINTEST) & globular),
        ("  other colours", (g < FAINTEST) & ~globular),
    ):
        counts = [(these & kind).sum() for kind in (flagged, none, believed)]
        print(f"{name:22}{these.sum():3d}  {counts[0]:7d}  {counts[1]:10d}  {counts[2]:8d}")
    use = believed & (g < FAINTEST)
    print("F475W-F850LP    n   log age                    log mass")
    for low, high in itertools.pairwise(COLOURS):
        these = use & (colour >= low) & (colour < high)
        if these.any():
            row = f"{quartet(age[these])}   {quartet(mass[these])}"
            print(f"{low:4.1f} to {high:3.1f} {these.sum():6d}   {row}")
    clusters = use & globular
    if clusters.any():
        print(f"colours of globular clusters: {quartet(age[clusters])}   {quartet(mass[clusters])}")
    return np.array([colour, age, mass])[:, use]


def figure(values: np.ndarray, title: str) -> Figure:
    """Age and mass against colour."""
    fig = Figure(figsize=(8, 3.2), layout="constrained")
    for ax, row, label in zip(
        fig.subplots(1, 2), values[1:], (r"log age [yr]", r"log mass [M$_\odot$]"), strict=True
    ):
        ax.axvspan(COLOURS[1], COLOURS[-1], color="0.93")
        ax.plot(values[0], row, "o", ms=4, color="#0072b2", alpha=0.7)
        ax.set(xlabel="F475W - F850LP [mag]", ylabel=label, xlim=(-0.2, 2.2))
    fig.suptitle(title)
    return fig


def control(estimator: Estimator) -> None:
    """Print what the model says of old clusters of known metallicity."""
    print("log age 10.0 to 10.1: Z, log age found, log mass found - true")
    for metallicity in METALLICITIES:
        old = {"log_age": [10.0, 10.1], "log_mass": [5.0, 6.0], "metallicity": metallicity}
        survey = estimator.survey.with_values(clusters=old)
        mocks = Simulator(survey, seed=3, n_fields=3, contaminants=False).draw(300)
        told = {"log_distance": np.log10(mocks.truth["distance_pc"].numpy())}
        found = estimator.predict(mocks.images, conditions=told).percentile(50)
        off = found[:, 1] - mocks.labels[:, 1].numpy()
        print(f"{metallicity:6.4f}   {quartet(found[:, 0])}   {quartet(off)}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("stamps", type=Path, nargs="?")
    parser.add_argument("--distance-mpc", type=float, default=20.0)
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    estimator = Estimator.load(options.model)
    if options.control:
        control(estimator)
    if options.stamps:
        values = by_colour(estimator, read_stamps(options.stamps), options.distance_mpc)
        if options.out:
            figure(values, options.stamps.stem).savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
