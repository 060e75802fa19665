"""Clusters told from what is none: what is found, and what is mistaken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.plots.style import BLUE, STYLE, color_of, new_figure, tidy
from praesepe.quantities import LOG_VISIBILITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_completeness(ax: Axes, detection: Mapping[str, Any]) -> Axes:
    """Share of the clusters that are found against their visibility, a line a rate of mistakes.

    `detection` is what `praesepe.evaluate` gives under that name.
    """
    tidy(ax)
    for k, at in enumerate(detection["at_rates"]):
        bins = at["by_log_visibility"]
        edges = np.array([[float(edge) for edge in name.split("_")] for name in bins])
        ax.plot(
            edges.reshape(-1, 2).mean(axis=1), list(bins.values()), "o-", ms=3.5, lw=1.4,
            color=color_of(k), label=f"false-positive rate {at['rate']:g}",
        )  # fmt: skip
    ax.set(
        xlabel=f"visibility {LOG_VISIBILITY.label}",
        ylabel="fraction of clusters found",
        ylim=(0, 1.02),
    )
    if detection["at_rates"]:
        ax.legend(loc="lower right")
    return ax


def plot_mistaken(ax: Axes, detection: Mapping[str, Any]) -> Axes:
    """Share of the stamps of each kind without a cluster whose probability of one is above 0.5."""
    tidy(ax)
    mistaken = detection["mistaken"]
    names = [name.replace("_", " ") for name in mistaken]
    bars = ax.barh(names, list(mistaken.values()), color=BLUE, height=0.6)
    ax.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.margins(x=0.2)
    ax.set_xlabel("fraction taken for clusters (probability above 0.5)")
    return ax


def figure_detection(detection: Mapping[str, Any]) -> Figure:
    """Completeness against visibility, and mistakes by the kind of what is no cluster.

    Parameters
    ----------
    detection : mapping
        What `praesepe.evaluate` gives under that name, of a model that infers the class.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = new_figure(8.5, 3.6)
        left, right = figure.subplots(1, 2)
        plot_completeness(left, detection)
        plot_mistaken(right, detection)
        return figure
