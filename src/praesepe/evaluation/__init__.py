"""How good a model is on artificial clusters: bias, scatter, calibration.

`evaluate` simulates and measures them; `recovery` holds truth and posteriors, `bins` says which
clusters are judged together, `metrics` how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names

if TYPE_CHECKING:
    from praesepe.evaluation.assessment import PRODUCTS, Evaluation, evaluate
    from praesepe.evaluation.bins import Bin, bins_of
    from praesepe.evaluation.metrics import metrics_of
    from praesepe.evaluation.recovery import Recovery, recover

__all__ = [
    "PRODUCTS",
    "Bin",
    "Evaluation",
    "Recovery",
    "bins_of",
    "evaluate",
    "metrics_of",
    "recover",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("PRODUCTS", "Evaluation", "evaluate"), f"{__name__}.assessment"),
        **dict.fromkeys(("Bin", "bins_of"), f"{__name__}.bins"),
        "metrics_of": f"{__name__}.metrics",
        **dict.fromkeys(("Recovery", "recover"), f"{__name__}.recovery"),
    },
)
