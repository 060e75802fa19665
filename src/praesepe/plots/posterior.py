"""The joint posterior of one cluster, as a corner plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import must_be
from praesepe.plots.style import BLUE, INK, ORANGE, STYLE, limits, new_figure, tidy
from praesepe.quantities import Quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH_FOR_CONTOURS = 1000
"""Draws from which on contours are smooth; fewer are shown as dots."""


def plot_posterior(
    figure: Figure,
    samples: np.ndarray,
    quantities: Sequence[Quantity],
    truth: Sequence[float] | None = None,
    *,
    weights: np.ndarray | None = None,
    color: str = BLUE,
) -> np.ndarray:
    """Corner plot of one cluster's posterior (Foreman-Mackey 2016, JOSS 1, 24).

    Parameters
    ----------
    figure : Figure
        Without axes, or with Q × Q of them.
    samples : (n_samples, Q) ndarray
        Draws.
    quantities : sequence of Q Quantity
    truth : sequence of Q float, optional
        Marked with lines.
    weights : (n_samples,) ndarray, optional
        Of the draws.
    color : str

    Returns
    -------
    (Q, Q) ndarray of Axes
        Contours hold 39 % and 86 % of the draws: one and two standard deviations of a
        two-dimensional normal distribution.
    """
    import matplotlib as mpl
    from corner import corner

    n = len(quantities)
    if samples.ndim != 2 or samples.shape[1] != n:
        raise must_be("the shape of samples", samples.shape, f"(n_samples, {n})")
    with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # corner places its axes itself
    contours = len(samples) >= ENOUGH_FOR_CONTOURS
    corner(
        samples,
        fig=figure,
        range=[_range(samples[:, i], q, truth, i) for i, q in enumerate(quantities)],
        bins=[len(q.categories) or 30 for q in quantities],
        weights=weights,
        color=color,
        labels=[q.word if q.is_categorical else q.axis_label for q in quantities],
        levels=(1 - np.exp(-0.5), 1 - np.exp(-2)),
        plot_contours=contours,
        plot_density=contours,
        no_fill_contours=False,
        data_kwargs={"alpha": 0.4, "ms": 2},
        hist_kwargs={"lw": 1.2},
        smooth=0.8 if contours else None,
        max_n_ticks=4,
    )
    axes = np.array(figure.axes).reshape(n, n)
    for (row, column), ax in np.ndenumerate(axes):
        if column <= row:
            tidy(ax)
            if truth is not None:  # corner itself fails for one quantity
                ax.axvline(truth[column], color=ORANGE, lw=1)
                if column < row:
                    ax.axhline(truth[row], color=ORANGE, lw=1)
            _name_categories(ax, quantities[column], quantities[row] if column < row else None)
    return axes


def figure_posterior(
    samples: np.ndarray,
    quantities: Sequence[Quantity],
    truth: Sequence[float] | None = None,
    *,
    weights: np.ndarray | None = None,
) -> Figure:
    """Corner plot of one cluster in a figure of its own; see `plot_posterior`."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        side = 1.75 * len(quantities) + 0.6
        figure = new_figure(side, side)
        plot_posterior(figure, samples, quantities, truth, weights=weights)
        return figure


def _range(
    values: np.ndarray, quantity: Quantity, truth: Sequence[float] | None, index: int
) -> tuple[float, float]:
    """What an axis shows: all draws and the truth, or all categories."""
    if quantity.is_categorical:
        return -0.5, len(quantity.categories) - 0.5
    marked = [] if truth is None or truth[index] is None else [float(truth[index])]
    return limits(values, np.array(marked))


def _name_categories(ax: Any, horizontal: Quantity, vertical: Quantity | None) -> None:
    """Names in place of the numbers of categories, where the axis has numbers at all."""
    for axis, quantity in ((ax.xaxis, horizontal), (ax.yaxis, vertical)):
        if quantity is not None and quantity.is_categorical and axis.get_ticklabels():
            shown = any(label.get_text() for label in axis.get_ticklabels())
            names = quantity.categories if shown else [""] * len(quantity.categories)
            axis.set_ticks(range(len(quantity.categories)), names, color=INK)
