"""How good a model is on artificial clusters: bias, scatter, calibration.

`evaluate` simulates and measures them; `recovery` holds truth and posteriors, `bins` says which
clusters are judged together, `metrics` how.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "assessment": "Evaluation PRODUCTS evaluate",
        "bins": "Bin bins_of",
        "metrics": "metrics_of",
        "recovery": "Recovery recover",
    },
)
