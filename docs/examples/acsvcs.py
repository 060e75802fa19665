"""Ages, masses and sizes of globular-cluster candidates in the ACS Virgo and Fornax surveys.

    praesepe train docs/examples/acsvcs.toml --out runs/acsvcs --steps 1200 --seed 5
    python docs/examples/acsvcs.py runs/acsvcs FCC106_images.fits --out fcc106.png
    python docs/examples/acsvcs.py runs/acsvcs VCC1993_images.fits --distance-mpc 16.5

The files hold stamps, not mosaics: extension 1, (N, 2, 20, 20), e-/s in F475W and F850LP.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits
from matplotlib.figure import Figure

from praesepe import Estimator, Posterior

BRIGHT_E_S = 0.3


def read_stamps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Stamps without missing pixels, and which rows of the file they are."""
    stamps = fits.getdata(path, 1).astype(np.float32)
    whole = np.isfinite(stamps).all((1, 2, 3))
    return stamps[whole], np.flatnonzero(whole)


def describe(name: str, values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, (16, 50, 84))
    return f"  {name:28s} median {middle:6.2f}   16-84 %: {low:6.2f} to {high:6.2f}"


def summary(posterior: Posterior, bright: np.ndarray, log_mass_shift: float) -> str:
    """What comes out, for the bright candidates and for all, where the network trusts itself."""
    age, mass, size = posterior.percentile(50).T
    known = posterior.surprise <= 1
    lines = [f"{len(age)} stamps, {int((~known).sum())} unlike the training's"]
    for label, use in ((f"peak above {BRIGHT_E_S} e-/s in F475W", bright & known), ("all", known)):
        old = (posterior.samples[use, :, 0] > 9.5).mean()
        lines += [
            f"{label}: {int(use.sum())}",
            describe("log age [yr]", age[use]),
            describe("log mass [Msun]", mass[use] + log_mass_shift),
            describe("log r_h [arcsec]", size[use]),
            f"  posterior probability of log age > 9.5, mean: {old:.2f}",
        ]
    return "\n".join(lines)


def figure(posterior: Posterior, bright: np.ndarray, log_mass_shift: float, title: str) -> Figure:
    """Histograms of the medians."""
    fig = Figure(figsize=(9, 3), layout="constrained")
    medians = posterior.percentile(50)
    for i, ax in enumerate(fig.subplots(1, 3)):
        shift = log_mass_shift if i == 1 else 0.0
        bins = np.linspace(medians[:, i].min() + shift, medians[:, i].max() + shift, 31)
        ax.hist(medians[:, i] + shift, bins, color="0.8", label="all")
        ax.hist(medians[bright, i] + shift, bins, color="#0072b2", label="bright")
        ax.set_xlabel(posterior.parameters[i].axis_label)
    ax.legend(frameon=False)
    fig.suptitle(title)
    return fig


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("stamps", type=Path)
    parser.add_argument("--distance-mpc", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    estimator = Estimator.load(options.model)
    stamps, _ = read_stamps(options.stamps)
    posterior = estimator.predict(stamps)
    # At these distances a cluster is its integrated light: its mass goes with the distance squared.
    shift = 2 * np.log10(options.distance_mpc * 1e6 / estimator.survey.distance_pc)
    bright = stamps[:, 0].max((-2, -1)) > BRIGHT_E_S
    print(summary(posterior, bright, shift))
    if options.out:
        figure(posterior, bright, shift, options.stamps.stem).savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
