"""Statistics of estimates and of posteriors: scatter, coverage, ranks, TARP.

Arrays in, numbers out. Nothing here knows of clusters, models or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names

if TYPE_CHECKING:
    from praesepe.statistics.calibration import (
        CENTRAL_68,
        CENTRAL_95,
        coverage,
        ks_bound,
        ks_distance,
        probability_integral_transform,
        ranks,
        tarp_levels,
    )
    from praesepe.statistics.categories import (
        accuracy,
        brier_score,
        category_probabilities,
        log_score,
    )
    from praesepe.statistics.residuals import bias, rms, robust_scatter

_CATEGORIES = ("accuracy", "brier_score", "category_probabilities", "log_score")
_RESIDUALS = ("bias", "rms", "robust_scatter")

__all__ = [
    "CENTRAL_68",
    "CENTRAL_95",
    "accuracy",
    "bias",
    "brier_score",
    "category_probabilities",
    "coverage",
    "ks_bound",
    "ks_distance",
    "log_score",
    "probability_integral_transform",
    "ranks",
    "rms",
    "robust_scatter",
    "tarp_levels",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(__all__, f"{__name__}.calibration"),
        **dict.fromkeys(_CATEGORIES, f"{__name__}.categories"),
        **dict.fromkeys(_RESIDUALS, f"{__name__}.residuals"),
    },
)
