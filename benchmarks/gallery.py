"""Draw the gallery of simulated clusters: age, mass and size.

python benchmarks/gallery.py docs/figures/gallery.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from praesepe import Simulator, load_survey
from praesepe.plots.stamps import figure_gallery


def main() -> None:
    """Read the options, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--survey", default="phat")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--density", type=float, default=20.0, help="of the field, Msun/pc2")
    options = parser.parse_args()
    survey = load_survey(options.survey)
    density = (options.density, options.density)
    field = survey.field.model_copy(update={"surface_density": density})
    simulator = Simulator(survey.model_copy(update={"field": field}), seed=options.seed, n_fields=2)
    figure_gallery(simulator).savefig(options.out, dpi=150)


if __name__ == "__main__":
    main()
