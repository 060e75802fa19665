"""The metrics of a set of recovered clusters, as they stand in ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from praesepe import statistics
from praesepe.evaluation.bins import Bin, Ranges, bins_of
from praesepe.evaluation.recovery import Recovery
from praesepe.quantities import Quantity

CONTINUOUS = ("median", "mad_sigma", "rms", "coverage68", "coverage95")
CATEGORICAL = ("accuracy", "brier", "log_score")
"""Metrics of a quantity; docs/evaluation.md says what each is."""


def metrics_of(
    recovery: Recovery, priors: Ranges, named: Mapping[str, Ranges] | None = None
) -> dict[str, Any]:
    """Bias, scatter and coverage in every bin, and the calibration of all clusters.

    Parameters
    ----------
    recovery : Recovery
    priors : mapping
        Range of each quantity in the prior.
    named : mapping, optional
        The survey's own bins; see `praesepe.evaluation.bins_of`.

    Returns
    -------
    dict
        Valid JSON; docs/evaluation.md describes it. None where a bin is empty.
    """

    def in_bins_of(values: np.ndarray) -> dict[str, Any]:
        bins = bins_of(values, recovery.quantities, priors, named)
        return {one.name: _in_bin(recovery, one) for one in bins}

    return {
        "calibration": _calibration(recovery),
        **in_bins_of(recovery.truth),
        "by_median": in_bins_of(recovery.estimate),
    }


def _in_bin(recovery: Recovery, one: Bin) -> dict[str, Any]:
    """The metrics of every quantity in one bin."""
    metrics = {
        quantity.name: _of_quantity(recovery, one.selected, i, quantity)
        for i, quantity in enumerate(recovery.quantities)
    }
    return {"label": one.label, "n": int(one.selected.sum()), **metrics}


def _of_quantity(
    recovery: Recovery, selected: np.ndarray, i: int, quantity: Quantity
) -> dict[str, float | None]:
    """The metrics of one quantity in one bin."""
    if quantity.is_categorical:
        chosen = recovery.probabilities[quantity.name][selected], recovery.truth[selected, i]
        scores = (statistics.accuracy, statistics.brier_score, statistics.log_score)
        values = [score(*chosen) for score in scores]
        return dict(zip(CATEGORICAL, map(_number, values), strict=True))
    residual, pit = recovery.residual[selected, i], _known(recovery.pit[selected, i])
    values = [
        statistics.bias(residual),
        statistics.robust_scatter(residual),
        statistics.rms(residual),
        statistics.coverage(pit, statistics.CENTRAL_68),
        statistics.coverage(pit, statistics.CENTRAL_95),
    ]
    return dict(zip(CONTINUOUS, map(_number, values), strict=True))


def _calibration(recovery: Recovery) -> dict[str, Any]:
    """Distances of PIT and TARP levels from a uniform distribution, for all clusters."""
    distances = {
        quantity.name: _number(statistics.ks_distance(_known(recovery.pit[:, i])))
        for i, quantity in enumerate(recovery.quantities)
        if not quantity.is_categorical
    }
    log_prob = recovery.log_prob
    possible = ~np.isneginf(log_prob)  # a head may give no density to what is outside its prior
    return {
        "ks_bound": statistics.ks_bound(len(recovery)),
        "ks_distance": distances,
        "tarp_ks_distance": _number(statistics.ks_distance(recovery.tarp)),
        "log_score": _number(np.mean(log_prob[possible])) if possible.any() else None,
        "n_zero_density": int(np.sum(~possible)),
    }


def _known(levels: np.ndarray) -> np.ndarray:
    """Of posteriors that are none, of what is certain, there is no level."""
    return levels[np.isfinite(levels)]


def _number(value: Any) -> float | None:
    """A number that JSON has; None where there is none."""
    return float(value) if np.isfinite(value) else None
