"""How good a model is on artificial clusters: bias, scatter, calibration.

`evaluate` simulates and measures them; `recovery` holds truth and posteriors, `bins` says which
clusters are judged together, `metrics` how.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("PRODUCTS", "Evaluation", "evaluate"), f"{__name__}.assessment"),
        **dict.fromkeys(("Bin", "bins_of"), f"{__name__}.bins"),
        "metrics_of": f"{__name__}.metrics",
        **dict.fromkeys(("Recovery", "recover"), f"{__name__}.recovery"),
    },
)
