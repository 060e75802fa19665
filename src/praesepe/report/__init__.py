"""Pages and figures made of plots and tables."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {"checks": "check", "demo": "Demonstration figure_demo run_demo", "page": "Page"},
)
