"""Pages and figures made of plots and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names

if TYPE_CHECKING:
    from praesepe.report.demo import Demonstration, figure_demo, run_demo

__all__ = ["Demonstration", "figure_demo", "run_demo"]

__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, f"{__name__}.demo"))
