"""Figures: axes in, axes out, and whole figures made of them; nothing global is touched.

`recovery`, `calibration` and `posterior` draw arrays of any list of quantities, `stamps` pictures
of stamps, `detection` what is found, `stars` isochrones, `learning` how a training went; `style`
has the colors.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "calibration": "figure_calibration plot_coverage plot_pit plot_reliability plot_tarp",
        "checks": "plot_colors plot_displacements plot_section plot_widths",
        "detection": "figure_detection plot_completeness plot_mistaken",
        "learning": "plot_learning_curve",
        "posterior": "figure_posterior plot_posterior",
        "recovery": "figure_recovered figure_residuals plot_categories "
        "plot_recovered plot_residuals",
        "stamps": "ColorScale color_scale plot_scale_bar plot_stamp rgb",
        "stars": "figure_stellar_model plot_color_magnitude plot_hr_diagram plot_integrated",
        "style": "new_figure",
        "twins": "figure_twins plot_twin_light plot_twins",
    },
)
