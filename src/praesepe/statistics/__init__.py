"""Statistics of estimates and of posteriors: scatter, coverage, ranks, TARP.

Arrays in, numbers out. Nothing here knows of clusters, models or files.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "calibration": "CENTRAL_68 CENTRAL_95 coverage ks_bound ks_distance "
        "probability_integral_transform tarp_levels",
        "categories": "accuracy brier_score category_probabilities log_score",
        "residuals": "bias rms robust_scatter",
    },
)
