"""Figures: axes in, axes out, and whole figures made of them; nothing global is touched.

`recovery`, `calibration` and `posterior` draw arrays of any list of quantities, `stamps` pictures
of stamps, `stars` isochrones; `style` has the colors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names

if TYPE_CHECKING:
    from praesepe.plots.calibration import (
        figure_calibration,
        plot_coverage,
        plot_pit,
        plot_reliability,
        plot_tarp,
    )
    from praesepe.plots.posterior import figure_posterior, plot_posterior
    from praesepe.plots.recovery import (
        figure_recovered,
        figure_residuals,
        plot_categories,
        plot_recovered,
        plot_residuals,
    )
    from praesepe.plots.stamps import (
        ColorScale,
        color_scale,
        figure_gallery,
        plot_scale_bar,
        plot_stamp,
        rgb,
    )
    from praesepe.plots.stars import (
        figure_stellar_model,
        plot_color_magnitude,
        plot_hr_diagram,
        plot_integrated,
    )
    from praesepe.plots.style import new_figure

__all__ = [
    "ColorScale",
    "color_scale",
    "figure_calibration",
    "figure_gallery",
    "figure_posterior",
    "figure_recovered",
    "figure_residuals",
    "figure_stellar_model",
    "new_figure",
    "plot_categories",
    "plot_color_magnitude",
    "plot_coverage",
    "plot_hr_diagram",
    "plot_integrated",
    "plot_pit",
    "plot_posterior",
    "plot_recovered",
    "plot_reliability",
    "plot_residuals",
    "plot_scale_bar",
    "plot_stamp",
    "plot_tarp",
    "rgb",
]

_HOMES = {
    "calibration": "figure_calibration plot_coverage plot_pit plot_reliability plot_tarp",
    "posterior": "figure_posterior plot_posterior",
    "recovery": "figure_recovered figure_residuals plot_categories plot_recovered plot_residuals",
    "stamps": "ColorScale color_scale figure_gallery plot_scale_bar plot_stamp rgb",
    "stars": "figure_stellar_model plot_color_magnitude plot_hr_diagram plot_integrated",
    "style": "new_figure",
}
__getattr__, __dir__ = lazy_names(
    __name__,
    {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names.split()},
)
