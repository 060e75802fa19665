"""Draw the gallery of simulated clusters: age, mass and size.

python benchmarks/gallery.py docs/figures/gallery.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from praesepe import Simulator, load_survey
from praesepe.plots import color_scale, new_figure, plot_stamp
from praesepe.plots.style import STYLE
from praesepe.quantities import LOG_AGE, LOG_MASS, LOG_RH, RH_PC

LOG_AGES = (6.8, 7.4, 8.0, 8.6, 9.2, 9.8)
LOG_MASSES = (2.5, 3.25, 4.0)
RH_ARCSEC = (0.15, 0.5)


def main() -> None:
    """Read the options, simulate, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--survey", default="phat")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--density", type=float, default=20.0, help="of the field, Msun/pc2")
    options = parser.parse_args()
    survey = load_survey(options.survey)
    density = (options.density, options.density)
    survey = survey.with_values(galaxy={"field": {"surface_density": density}})
    simulator = Simulator(survey, seed=options.seed, n_fields=2)
    grid = np.meshgrid(np.log10(RH_ARCSEC), LOG_MASSES, LOG_AGES, indexing="ij")
    log_rh, log_mass, log_age = (values.ravel() for values in grid)
    mocks = simulator.observe({"log_age": log_age, "log_mass": log_mass, "log_rh": log_rh})
    stamps = mocks.images.cpu().numpy()
    rows = []
    for radius in RH_ARCSEC:
        size = LOG_RH.value_text(np.log10(radius))
        parsec = RH_PC.value_text(radius * survey.pc_per_arcsec, digits=2)
        rows += [
            f"{LOG_MASS.value_text(m, digits=2)}\n$r_h$ = {size} ({parsec})" for m in LOG_MASSES
        ]
    side_pc = survey.stamp_size * survey.pixel_scale_arcsec * survey.pc_per_arcsec
    bands = ", ".join(survey.band_names)
    with mpl.rc_context(STYLE):
        figure = new_figure(1.35 * len(LOG_AGES) + 0.9, 1.35 * len(rows) + 0.5)
        axes = figure.subplots(len(rows), len(LOG_AGES), squeeze=False)
        scale = color_scale(survey.bands)
        for ax, stamp in zip(axes.flat, stamps, strict=True):
            plot_stamp(ax, stamp, scale)
        for ax, age in zip(axes[0], LOG_AGES, strict=True):
            ax.set_title(LOG_AGE.value_text(age, digits=2), fontsize=9)
        for ax, row in zip(axes[:, 0], rows, strict=True):
            ax.set_ylabel(row, fontsize=8)
        caption = f"{survey.name}: {bands}; each stamp {side_pc:.0f} pc wide"
        figure.supxlabel(caption, fontsize=8)
        figure.savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
