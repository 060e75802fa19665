"""How good the probabilities of a categorical quantity are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import must_be

Values = NDArray[np.float64]


def category_probabilities(samples: ArrayLike, n_categories: int) -> Values:
    """Posterior probability of every category, from draws.

    Half a draw is added to each category (Jeffreys), so that none has probability zero.

    Parameters
    ----------
    samples : array_like, shape (N, n_samples)
        Draws of a categorical quantity: 0, 1, …, n_categories - 1.
    n_categories : int

    Returns
    -------
    ndarray, shape (N, n_categories)
        Adds up to one.
    """
    drawn = _numbers(samples, n_categories)
    counts = np.stack([(drawn == k).sum(axis=1) for k in range(n_categories)], axis=1)
    return (counts + 0.5) / (drawn.shape[1] + 0.5 * n_categories)


def accuracy(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Share of truths that are the most probable category; NaN for none."""
    probabilities, truth = _checked(probabilities, truth)
    return float(np.mean(probabilities.argmax(axis=1) == truth)) if len(truth) else np.nan


def brier_score(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared error of the probabilities, summed over categories (Brier 1950).

    Parameters
    ----------
    probabilities : array_like, shape (N, n_categories)
    truth : array_like of int, shape (N,)

    Returns
    -------
    float
        0 at best, 2 at worst; NaN for no truths.
    """
    probabilities, truth = _checked(probabilities, truth)
    if not len(truth):
        return np.nan
    happened = truth[:, None] == np.arange(probabilities.shape[1])
    return float(np.mean(np.sum((probabilities - happened) ** 2, axis=1)))


def log_score(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean logarithm of the probability of what is true; 0 at best, NaN for no truths."""
    probabilities, truth = _checked(probabilities, truth)
    if not len(truth):
        return np.nan
    with np.errstate(divide="ignore"):
        return float(np.mean(np.log(probabilities[np.arange(len(truth)), truth])))


def _numbers(values: ArrayLike, n_categories: int) -> NDArray[np.int64]:
    """Categories as integers that exist."""
    values = np.asarray(values)
    rounded = np.asarray(np.nan_to_num(values, nan=-1.0)).astype(int)
    wrong = values[(rounded != values) | (rounded < 0) | (rounded >= n_categories)]
    if wrong.size:
        allowed = f"one of the {n_categories} categories, 0 to {n_categories - 1}"
        raise must_be("a categorical value", wrong.flat[0].item(), allowed)
    return rounded


def _checked(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Values, NDArray[np.int64]]:
    probabilities, truth = np.asarray(probabilities, dtype=float), np.asarray(truth)
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1]:
        given = (probabilities.shape, truth.shape)
        raise must_be("shapes of probabilities, truth", given, "(N, n_categories) and (N,)")
    return probabilities, _numbers(truth, probabilities.shape[1])
