"""Figures: axes in, axes out."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(
            (
                "figure_calibration",
                "figure_posterior",
                "figure_recovered",
                "figure_residuals",
                "new_figure",
                "plot_calibration",
                "plot_pit",
                "plot_posterior",
                "plot_recovered",
                "plot_residuals",
                "rgb",
            ),
            "praesepe.plots.axes",
        ),
        "figure_gallery": "praesepe.plots.stamps",
        "plot_stamp": "praesepe.plots.stamps",
    },
)
