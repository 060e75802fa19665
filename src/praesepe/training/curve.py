"""The learning curve: how the validation loss fell with the clusters seen, and what more brings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from praesepe.training.metrics import Line

FEWEST = 8
"""Validations that a curve is fitted to, at least."""

BEGINNING = 0.08
"""Share of a run, and twice its warm-up, that the fit leaves out: no power law holds there."""

EXPONENTS = np.linspace(0.1, 1.5, 29)

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Validation losses of a training, and a law fitted to them.

    The law is a constant, a power of the number of clusters seen, and a part that is proportional
    to the learning rate: loss = c + a N^-b + d rate / peak, with a, d ≥ 0. The last part is what
    the falling learning rate brings at the end of every training, which more clusters do not.

    Attributes
    ----------
    clusters, loss, rate : ndarray, shape (n,)
        Clusters seen, by all runs, at each validation; validation loss, learning rate.
    exponents, terms, weights : ndarray, shapes (k,), (k, 3), (k,)
        Values of b, the (c, a, d) that fit best with each, and how probable each is. Empty where
        there were too few validations.
    per_hour : float
        Clusters that an hour makes.
    quantities : int
        Continuous quantities that the loss is of.
    """

    clusters: Values
    loss: Values
    rate: Values
    exponents: Values
    terms: Values
    weights: Values
    per_hour: float
    quantities: int

    def _laws(self, clusters: Values) -> Values:
        """Loss (k, m) at the ends of trainings of so many clusters (m,), by each law."""
        share = np.asarray(clusters, float) / self.clusters[-1]
        return self.terms[:, :1] + self.terms[:, 1:2] * share ** -self.exponents[:, None]

    def expected(self, clusters: Values) -> tuple[Values, Values]:
        """Loss at the ends of trainings of so many clusters (m,), and its standard error."""
        laws = self._laws(clusters)
        mean = self.weights @ laws
        return mean, np.sqrt(self.weights @ (laws - mean) ** 2)

    def gain(self, hours: float = 1.0) -> tuple[float, float] | None:
        """By how much the loss would fall in so many hours more, and its standard error.

        None where there were too few validations. The error is that of the fit alone.
        """
        if not len(self.weights):
            return None
        now = self.clusters[-1]
        before, after = self._laws(np.array([now, now + hours * self.per_hour])).T
        mean = float(np.sum(self.weights * (before - after)))
        return mean, float(np.sum(self.weights * (before - after - mean) ** 2) ** 0.5)

    @property
    def sentence(self) -> str:
        """What another hour would bring, for a user."""
        found = self.gain()
        if found is None:
            return (
                f"what another hour would bring cannot be said: {len(self.loss)} validations that "
                f"count, {FEWEST} are needed"
            )
        gain, error = found
        narrower = 100 * (1 - np.exp(-np.array([gain, error]) / self.quantities))
        return (
            f"another hour ({self.per_hour:,.0f} clusters) would lower the validation loss by "
            f"{gain:.3f} ± {error:.3f}: error bars {narrower[0]:.1f} ± {narrower[1]:.1f} % "
            "narrower, if the learning curve goes on as it did"
        )


def learning_curve(
    lines: Iterable[Line],
    *,
    clusters_a_step: float,
    before: int = 0,
    warmup_steps: int = 0,
    quantities: int = 3,
) -> LearningCurve:
    """Fit a learning curve to the metrics of a training.

    Parameters
    ----------
    lines : iterable of dict
        Of ``metrics.jsonl``; see `praesepe.training.read_metrics`.
    clusters_a_step : float
        New clusters in a step: the batch's size over the views of a stamp.
    before : int
        Clusters that earlier runs have seen, where the training started from a model.
    warmup_steps : int
        Steps over which the learning rate rose.
    quantities : int
        Continuous quantities that the loss is of.

    Returns
    -------
    LearningCurve
    """
    lines = list(lines)
    found = np.array(_validations(lines), float).reshape(-1, 3)
    last = found[-1, 0] if len(found) else 0.0
    found = found[found[:, 0] > max(2 * warmup_steps, BEGINNING * last)]
    clusters, loss, rate = before + clusters_a_step * found[:, 0], found[:, 1], found[:, 2]
    seconds = lines[-1]["seconds"] if lines else 0.0
    per_hour = 3600 * clusters_a_step * last / seconds if seconds > 0 else 0.0
    empty = np.zeros(0), np.zeros((0, 3)), np.zeros(0)
    fitted = _fit(clusters, loss, rate) if len(loss) >= FEWEST and rate.max() > 0 else empty
    return LearningCurve(clusters, loss, rate, *fitted, per_hour, max(quantities, 1))


def _validations(lines: list[Line]) -> list[tuple[float, float, float]]:
    """Step, loss and learning rate of the first line after each validation."""
    found: list[tuple[float, float, float]] = []
    for line in lines:
        loss = line.get("valid_loss")
        if loss is not None and (not found or found[-1][1] != loss):
            found.append((line["step"], loss, line.get("learning_rate") or 0.0))
    return found


def _fit(clusters: Values, loss: Values, rate: Values) -> tuple[Values, Values, Values]:
    """Exponents, the terms that fit best with each, and how probable each is.

    Residuals that go on with one sign for long count as fewer.
    """
    from scipy.optimize import nnls

    lowest = loss.min() - 10 * np.ptp(loss) - 1  # so that the constant is positive
    terms, squares = [], []
    for b in EXPONENTS:
        parts = (np.ones_like(loss), (clusters / clusters[-1]) ** -b, rate / rate.max())
        solution, norm = nnls(np.stack(parts, 1), loss - lowest)
        terms.append(solution + np.array([lowest, 0, 0]))
        squares.append(norm**2)
    square = np.array(squares)
    best = int(square.argmin())
    c, a, d = terms[best]
    residual = loss - c - a * (clusters / clusters[-1]) ** -EXPONENTS[best] - d * rate / rate.max()
    runs = float(np.sum(residual[1:] * residual[:-1]) / max(np.sum(residual**2), 1e-300))
    runs = min(max(runs, 0.0), 0.95)
    free = max(len(loss) - 4, 1) * (1 - runs) / (1 + runs)
    excess = (square - square.min()) / max(float(square.min()), 1e-300)
    weights = np.exp(-0.5 * free * excess)
    return EXPONENTS, np.array(terms), weights / weights.sum()
