"""A model on clusters of the survey as it is described today, beside those of its training.

    python benchmarks/present_survey.py [--model phat] [--survey phat] [--n 1500]

A survey may be described better after a model was trained (its point spread functions were
measured, for instance); the model keeps the survey of its training. How much that matters is
bias, scatter and coverage on artificial clusters of either.
"""

from __future__ import annotations

import argparse

import numpy as np

from praesepe.network.estimator import Estimator
from praesepe.sky.simulator import Simulator
from praesepe.survey import load_survey


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="phat")
    parser.add_argument("--survey", default="phat")
    parser.add_argument("--n", type=int, default=1500)
    options = parser.parse_args()
    estimator = Estimator.load(options.model)
    surveys = {"of its training": estimator.survey, "of today": load_survey(options.survey)}
    for label, survey in surveys.items():
        mocks = Simulator(survey, seed=9).draw(options.n, batch_size=64)
        posterior = estimator.predict(np.asarray(mocks.images), seed=1)
        truth = np.asarray(mocks.labels)
        low, middle, high = (np.asarray(posterior.percentile(q)) for q in (16, 50, 84))
        error = middle - truth
        bias = np.median(error, axis=0)
        print(f"clusters of the survey {label}: {', '.join(estimator.card.infers)}")
        print("  bias    ", np.round(bias, 3))
        print("  scatter ", np.round(1.4826 * np.median(np.abs(error - bias), axis=0), 3))
        print("  coverage", np.round(((low <= truth) & (truth <= high)).mean(axis=0), 2))


if __name__ == "__main__":
    main()
