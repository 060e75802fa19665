"""How well a model tells clusters from what is none: completeness at a rate of false positives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe.evaluation.recovery import Recovery
from praesepe.quantities import CONTAMINANT, LOG_VISIBILITY, OBJECT_CLASS

RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Shares of the stamps without a cluster that are taken for one."""

FEWEST = 3
"""Stamps that a rate must let through, so that a threshold can be told from them."""

VISIBLE = 5.0
"""Clusters of a visibility above it can be seen."""

BIN_DEX = 0.5

Array = NDArray[np.float64]


def detection_metrics(clusters: Recovery, background: Recovery) -> dict[str, Any]:
    """Completeness at rates of false positives, and these by the kind of contaminant.

    Parameters
    ----------
    clusters, background : Recovery
        Of stamps with a cluster in the middle and without, by a model that infers the class.

    Returns
    -------
    dict
        Valid JSON; docs/evaluation.md describes it.
    """
    found, mistaken = (one.probabilities[OBJECT_CLASS.name][:, 1] for one in (clusters, background))
    log_visibility = np.asarray(clusters.extra[LOG_VISIBILITY.name], dtype=float)
    kind = np.asarray(background.extra[CONTAMINANT.name])
    return {
        "n_background": len(mistaken),
        "mistaken": {
            name: _share(mistaken[kind == k] > 0.5)
            for k, name in enumerate(CONTAMINANT.categories)
            if (kind == k).any()
        },
        "at_rates": [
            _at_rate(rate, found, mistaken, log_visibility)
            for rate in RATES
            if rate * len(mistaken) >= FEWEST
        ],
    }


def _at_rate(rate: float, found: Array, mistaken: Array, log_visibility: Array) -> dict[str, Any]:
    """Completeness where a share of the background, `rate`, has a probability above a threshold."""
    threshold = float(np.quantile(mistaken, 1 - rate, method="higher"))
    passed = found > threshold
    first = np.floor(log_visibility / BIN_DEX).astype(int)
    return {
        "rate": rate,
        "threshold": threshold,
        "completeness": _share(passed),
        "completeness_visible": _share(passed[log_visibility > np.log10(VISIBLE)]),
        "by_log_visibility": {
            f"{k * BIN_DEX:.1f}_{(k + 1) * BIN_DEX:.1f}": _share(passed[first == k])
            for k in np.unique(first).tolist()
        },
    }


def _share(chosen: NDArray[np.bool_]) -> float | None:
    return float(chosen.mean()) if len(chosen) else None
