"""Heads: from features to a posterior.

`base` says what a head is; `flow` and `grid` are the two that there are; `registry` names them.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "base": "Axis Head",
        "flow": "FlowHead",
        "grid": "GridHead",
        "registry": "HEADS head_settings make_head",
    },
)
