"""Whether a posterior's probabilities are true: coverage, PIT, ranks, TARP.

If posteriors are calibrated, the probability integral transform (PIT) of the truths is uniform
between 0 and 1, and a central interval of probability p holds a share p of the truths. Both see
one quantity at a time. TARP judges the joint posterior, so that it also finds wrong correlations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import check_number, must_be
from praesepe.statistics.residuals import at_least_one

Values = NDArray[np.float64]

CENTRAL_68, CENTRAL_95 = 0.6827, 0.9545
"""Probabilities within one and two standard deviations of a normal distribution."""


def probability_integral_transform(samples: ArrayLike, truth: ArrayLike) -> Values:
    """Share of the posterior below the truth: (rank + 1/2) / (n_samples + 1).

    The rank of a truth among independent draws of a calibrated posterior is uniform on
    0 … n_samples (simulation-based calibration; Talts et al. 2018, arXiv:1804.06788).

    Parameters
    ----------
    samples : array_like, shape (N, n_samples, …)
        Posterior draws.
    truth : array_like, shape (N, …)

    Returns
    -------
    ndarray, shape (N, …)
        Between 0 and 1, both excluded; uniform for a calibrated posterior.

    Raises
    ------
    InputError
        Where the shapes do not belong together, or there are no draws.
    """
    samples, truth = _paired(samples, truth)
    return ((samples < truth[:, None]).sum(axis=1) + 0.5) / (samples.shape[1] + 1)


def coverage(pit: ArrayLike, level: float) -> Any:
    """Share of truths inside the central credible interval of a given level.

    Parameters
    ----------
    pit : array_like, shape (N, …)
        Probability integral transform of the truths.
    level : float
        Probability of the interval, 0 to 1.

    Returns
    -------
    ndarray or float
        `level`, for a calibrated posterior; NaN for no truths, or where one is NaN.
    """
    check_number("level", level, 0, 1, whole=False)
    pit = at_least_one(pit)
    return np.mean(np.where(np.isnan(pit), np.nan, np.abs(pit - 0.5) <= level / 2), axis=0)


def ks_distance(pit: ArrayLike) -> Any:
    """Kolmogorov–Smirnov distance between the PIT and the uniform distribution.

    Parameters
    ----------
    pit : array_like, shape (N, …)
        Values between 0 and 1: a PIT, or the levels that `tarp_levels` returns.

    Returns
    -------
    ndarray or float
        Largest distance of the cumulative distributions; compare it with `ks_bound`. NaN for no
        values, or where one is NaN.
    """
    pit = np.sort(at_least_one(pit), axis=0)  # NaN last
    n = len(pit)
    above = np.arange(1, n + 1).reshape(-1, *[1] * (pit.ndim - 1)) / n
    distance = np.maximum(above - pit, pit - (above - 1 / n))
    return np.max(distance, axis=0)


def ks_bound(n: int, probability: float = 0.01) -> float:
    """Distance that uniform values exceed with less than the given probability.

    The inequality of Dvoretzky, Kiefer & Wolfowitz with Massart's (1990) constant.

    Parameters
    ----------
    n : int
        Number of values, at least 1.
    probability : float
        Of a false alarm.
    """
    check_number("n", n, 1)
    check_number("probability", probability, 0, 1, whole=False, above=True)
    return float(np.sqrt(np.log(2 / probability) / (2 * n)))


def tarp_levels(samples: ArrayLike, truth: ArrayLike, reference: ArrayLike) -> Values:
    """Credible level of each truth by distance from a reference point (TARP).

    Lemos et al. (2023, ICML; arXiv:2302.03026): the share of a posterior that lies nearer to a
    random point than the truth does is uniform for a calibrated posterior. The share of levels
    below p is the "expected coverage probability" at p; `ks_distance` measures how far it is from
    p. A shift that all posteriors share averages out among reference points on all sides of them;
    the probability integral transform finds it.

    Parameters
    ----------
    samples : array_like, shape (N, n_samples, D)
        Joint posterior draws.
    truth : array_like, shape (N, D)
    reference : array_like, shape (N, D)
        A point for every truth, drawn without knowledge of that truth, e.g. evenly over the prior.
        Distances are Euclidean: bring the D quantities to one scale before.

    Returns
    -------
    ndarray, shape (N,)
        Between 0 and 1, both excluded.

    Raises
    ------
    InputError
        Where the shapes do not belong together, or there are no draws.
    """
    samples, truth = _paired(samples, truth)
    reference = np.asarray(reference, dtype=float)
    if truth.ndim != 2 or reference.shape != truth.shape:
        raise must_be("shapes of truth, reference", (truth.shape, reference.shape), "both (N, D)")
    drawn = np.square(samples - reference[:, None]).sum(axis=-1)  # (N, n_samples)
    true = np.square(truth - reference).sum(axis=-1)
    return ((drawn < true[:, None]).sum(axis=1) + 0.5) / (samples.shape[1] + 1)


def _paired(samples: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.floating], Values]:
    """Draws and truths as arrays whose shapes fit."""
    samples, truth = np.asarray(samples), np.asarray(truth, dtype=float)
    fits = samples.ndim >= 2 and (len(samples), *samples.shape[2:]) == truth.shape
    if not fits or samples.shape[1] == 0:
        allowed = "(N, n_samples, …) and (N, …), with at least one draw"
        raise must_be("shapes of samples, truth", (samples.shape, truth.shape), allowed)
    return samples, truth
