"""Draw stamps of each kind of contaminant.

python benchmarks/contaminants.py contaminants.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

from praesepe import Simulator
from praesepe.plots import color_scale, new_figure, plot_stamp
from praesepe.plots.style import STYLE
from praesepe.quantities import CONTAMINANT


def main() -> None:
    """Read the options, simulate, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--survey", default="phat")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--n", type=int, default=12, help="stamps of each kind")
    parser.add_argument("--kind", choices=CONTAMINANT.categories, help="a square of one kind alone")
    options = parser.parse_args()
    simulator = Simulator(options.survey, seed=options.seed, n_fields=8)
    kinds = [options.kind] * options.n if options.kind else CONTAMINANT.categories
    with mpl.rc_context(STYLE):
        figure = new_figure(0.9 * options.n + 0.4, 0.9 * len(kinds))
        scale = color_scale(simulator.survey.bands)
        for axes, kind in zip(figure.subplots(len(kinds), options.n), kinds, strict=True):
            mocks = simulator.observe({"contaminant": kind}, n=options.n)
            for ax, stamp in zip(axes, mocks.images.numpy(), strict=True):
                plot_stamp(ax, stamp, scale)
            axes[0].set_ylabel(kind, fontsize=8)
        figure.savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
