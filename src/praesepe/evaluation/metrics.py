"""The metrics of a set of recovered clusters, as they stand in ``metrics.json``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from praesepe import statistics
from praesepe.evaluation.bins import Bin
from praesepe.evaluation.recovery import Recovery
from praesepe.quantities import Quantity

CONTINUOUS = ("median", "mad_sigma", "rms", "coverage68", "coverage95")
CATEGORICAL = ("accuracy", "brier", "log_score")
"""Metrics of a quantity; docs/evaluation.md says what each is."""


def metrics_of(recovery: Recovery, bins: Iterable[Bin]) -> dict[str, Any]:
    """Bias, scatter and coverage in every bin, and the calibration of all clusters.

    Parameters
    ----------
    recovery : Recovery
    bins : iterable of Bin

    Returns
    -------
    dict
        Valid JSON; docs/evaluation.md describes it. None where a bin is empty.
    """
    metrics: dict[str, Any] = {"calibration": _calibration(recovery)}
    for one in bins:
        metrics[one.name] = {"label": one.label, "n": int(one.selected.sum())}
        for i, quantity in enumerate(recovery.quantities):
            metrics[one.name][quantity.name] = _of_quantity(recovery, one.selected, i, quantity)
    return metrics


def _of_quantity(
    recovery: Recovery, selected: np.ndarray, i: int, quantity: Quantity
) -> dict[str, float | None]:
    """The metrics of one quantity in one bin."""
    if quantity.is_categorical:
        chosen = recovery.probabilities[quantity.name][selected], recovery.truth[selected, i]
        scores = (statistics.accuracy, statistics.brier_score, statistics.log_score)
        values = [score(*chosen) for score in scores]
        return dict(zip(CATEGORICAL, map(_number, values), strict=True))
    residual, pit = recovery.residual[selected, i], recovery.pit[selected, i]
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
        quantity.name: _number(statistics.ks_distance(recovery.pit[:, i]))
        for i, quantity in enumerate(recovery.quantities)
        if not quantity.is_categorical
    }
    return {
        "ks_bound": statistics.ks_bound(len(recovery)),
        "ks_distance": distances,
        "tarp_ks_distance": _number(statistics.ks_distance(recovery.tarp)),
        "log_score": _number(np.mean(recovery.log_prob)),
    }


def _number(value: Any) -> float | None:
    """A number that JSON has; None where there is none."""
    return float(value) if np.isfinite(value) else None
