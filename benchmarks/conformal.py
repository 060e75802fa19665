"""What conformal calibration does to the error bars on stars and optics that were not seen.

    python benchmarks/conformal.py ../shared/data [--model phat] [--n 1500] [--seed 601]
        [--calibrate sse parsec] [--judge geneva] [--dust]

Split conformal calibration by region: in cells of the posterior's medians (log age below and above
8, log mass below and above 3), the factor by which both sides of the 68 % interval must be
stretched so that it holds 68 % of the clusters that it is calibrated on (the stars `--calibrate`,
through the model's PSFs). It is judged on stars and PSF files that neither the training nor the
calibration has seen. Each line: coverage of age, mass and size before, after, and the mean factor,
for ages up to 3 Gyr and 250 to 4000 Msun.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from other_simulators import ISOCHRONES, asked, changed

from praesepe import Estimator, Evaluation, evaluate, load_survey
from praesepe.quantities import DEFAULT_INFERRED
from praesepe.stars.store import import_isochrones

EDGES = {"log_age": 8.0, "log_mass": 3.0}
"""Between the cells of the posterior's medians."""

FEWEST = 50
"""Clusters of a cell; with fewer its intervals stay as they are."""

LEVEL = 0.68268949
"""What one standard deviation to both sides holds of a normal distribution."""


def main() -> None:
    """Print coverages before and after."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="phat")
    parser.add_argument("--survey", default="phat-nodust", help="what is changed")
    parser.add_argument("--calibrate", nargs="+", default=["sse", "parsec"])
    parser.add_argument("--judge", nargs="+", default=["geneva"])
    parser.add_argument("--dust", action="store_true", help="A_V of 0 to 2 mag")
    parser.add_argument("--n", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=601)
    options = parser.parse_args()
    model, survey = Estimator.load(options.model), load_survey(options.survey)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRAESEPE_DATA"] = folder  # not into the user's own models

        def measured(stars: str, optics: str, seed: int) -> Evaluation:
            file, ages = ISOCHRONES.get(stars, (None, (6.6, 10.1)))
            if file is not None:
                path = options.data / "isochrones" / file
                import_isochrones([path], name=stars, overwrite=True)
            other = changed(survey, options.data, stars, optics, ages, dusty=options.dust)
            told = asked(model, dusty=options.dust)
            return evaluate(model, survey=other, n=options.n, seed=seed, **told)

        known = [measured(stars, "model", options.seed) for stars in options.calibrate]
        factors = stretches(known)
        print("factors:", *(f"{key} {np.round(f, 2)}" for key, f in factors.items()), sep="\n")
        for stars in (*options.calibrate, *options.judge):
            for optics in ("model", "files"):
                print(
                    f"{stars}, {optics} PSFs".ljust(24),
                    line(measured(stars, optics, options.seed + 1), factors),
                )


Factors = dict[tuple[bool, ...], np.ndarray]


def scores(found: Evaluation) -> tuple[np.ndarray, np.ndarray, list[tuple[bool, ...]]]:
    """Distances from the median over the half-width, those that count, and cells, per cluster."""
    recovery = found.recovery
    which = [recovery.names.index(name) for name in DEFAULT_INFERRED]
    low, middle, high = recovery.percentiles[:, :, which]
    off = recovery.truth[:, which] - middle
    score = np.abs(off) / np.where(off > 0, high - middle, middle - low)
    age, mass = recovery.truth[:, which[0]], recovery.truth[:, which[1]]
    counts = (age < np.log10(3e9)) & (mass > np.log10(250)) & (mass < np.log10(4000))
    sides = [middle[:, DEFAULT_INFERRED.index(name)] > edge for name, edge in EDGES.items()]
    return score, counts, [tuple(map(bool, cell)) for cell in np.transpose(sides)]


def stretches(known: list[Evaluation]) -> Factors:
    """Factor for each quantity in each cell."""
    parts = [scores(found) for found in known]
    score = np.concatenate([part[0][part[1]] for part in parts])
    cells = [c for part in parts for c, counts in zip(part[2], part[1], strict=True) if counts]
    factors: Factors = {}
    for cell in sorted(set(cells)):
        mine = score[[c == cell for c in cells]]
        level = min(1.0, LEVEL * (1 + 1 / len(mine)))  # of split conformal prediction
        enough = len(mine) >= FEWEST
        factors[cell] = np.quantile(mine, level, axis=0) if enough else np.ones(mine.shape[1])
    return factors


def line(found: Evaluation, factors: Factors) -> str:
    """Coverage before and after, and the mean factor."""
    score, counts, cells = scores(found)
    factor = np.array([factors.get(cell, np.ones(score.shape[1])) for cell in cells])
    before, after = (score[counts] < 1).mean(0), (score < factor)[counts].mean(0)
    mean = factor[counts].mean(0)
    return " | ".join(
        f"{b:.2f} {a:.2f} x{m:.2f}" for b, a, m in zip(before, after, mean, strict=True)
    )


if __name__ == "__main__":
    main()
