"""Estimates against the truth: recovered values, residuals, categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from praesepe.plots.style import (
    BLUE,
    FEW,
    GREY,
    INK,
    ORANGE,
    STYLE,
    dots,
    limits,
    new_figure,
    tidy,
)
from praesepe.quantities import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_BINS = 14
IN_ROW = 4
"""Panels beside each other."""

LEAST_IN_BIN = 5
"""Clusters that a bin must hold for its percentiles to be drawn."""


def plot_recovered(
    ax: Axes,
    truth: np.ndarray,
    percentiles: np.ndarray,
    quantity: Quantity,
    *,
    color: str = BLUE,
) -> Axes:
    """Posterior median against truth; 68 % intervals where there are few enough to see them.

    Parameters
    ----------
    ax : Axes
    truth : (N,) ndarray
    percentiles : (3, N) ndarray
        Posterior percentiles 16, 50 and 84.
    quantity : Quantity
        Says how the axes are labelled.
    color : str
    """
    p16, p50, p84 = percentiles
    few = len(truth) <= FEW
    low, high = limits(truth, p16, p84) if few else limits(truth, p50)
    tidy(ax)
    ax.plot([low, high], [low, high], color=INK, lw=0.8, zorder=1)
    if few:
        errors = np.clip([p50 - p16, p84 - p50], 0, None)
        ax.errorbar(
            truth, p50, yerr=errors, fmt="o", ms=3.6, mew=0.4, mec="white", mfc=color,
            ecolor=color, elinewidth=0.7, alpha=0.9, zorder=2,
        )  # fmt: skip
    else:
        ax.plot(truth, p50, color=color, zorder=2, **dots(len(truth)))
    ax.set(
        xlim=(low, high),
        ylim=(low, high),
        xlabel=f"true {quantity.axis_label}",
        ylabel="posterior median",
    )
    ax.set_aspect("equal", adjustable="box")
    return ax


def plot_categories(
    ax: Axes, truth: np.ndarray, probabilities: np.ndarray, quantity: Quantity
) -> Axes:
    """Mean posterior probability of every category, for clusters of each true one.

    Each column of cells adds up to one; a category without clusters is empty. The arguments are
    those of `praesepe.plots.plot_reliability`.
    """
    n = len(quantity.categories)
    mean = np.full((n, n), np.nan)  # (inferred, true)
    for k in range(n):
        if np.any(truth == k):
            mean[:, k] = probabilities[truth == k].mean(axis=0)
    ax.imshow(mean, cmap="Blues", vmin=0, vmax=1, origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(mean):
        if np.isfinite(value):
            shade = "white" if value > 0.6 else INK
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=shade, fontsize=8)
    ax.set_xticks(range(n), quantity.categories)
    ax.set_yticks(range(n), quantity.categories)
    ax.tick_params(labelsize=8, colors=INK, labelcolor=INK, length=0)
    ax.set(xlabel=f"true {quantity.word}", ylabel="posterior probability")
    return ax


def plot_residuals(ax: Axes, truth: np.ndarray, residual: np.ndarray, quantity: Quantity) -> Axes:
    """Residuals against a true quantity, with the running median and the 16 to 84 % band.

    Parameters
    ----------
    ax : Axes
    truth : (N,) ndarray
        Of the quantity against which the residuals are drawn.
    residual : (N,) ndarray
        Posterior median minus truth, of any quantity.
    quantity : Quantity
        That of `truth`.

    Returns
    -------
    Axes
        The label of its y axis is the caller's.
    """
    tidy(ax)
    ax.axhline(0, color=INK, lw=0.8)
    ax.set_xlabel(f"true {quantity.axis_label}")
    if len(truth) == 0:
        return ax
    ax.plot(truth, residual, color=GREY, **dots(len(truth)))
    edges = np.linspace(truth.min(), truth.max() + 1e-9, N_BINS + 1)
    member = np.digitize(truth, edges) - 1
    full = [k for k in range(N_BINS) if (member == k).sum() >= LEAST_IN_BIN]
    if full:
        centers = (edges[:-1] + edges[1:])[full] / 2
        low, middle, high = np.array(
            [np.percentile(residual[member == k], (16, 50, 84)) for k in full]
        ).T
        ax.fill_between(centers, low, high, color=ORANGE, alpha=0.25, lw=0)
        ax.plot(centers, middle, color=ORANGE, lw=1.6)
    reach = max(0.1, float(np.percentile(np.abs(residual), 99)))
    ax.set_ylim(-reach, reach)
    return ax


def figure_recovered(
    truth: np.ndarray,
    percentiles: np.ndarray,
    quantities: Sequence[Quantity],
    *,
    probabilities: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Recovered against true values of all quantities, with the residuals below.

    Parameters
    ----------
    truth : (N, Q) ndarray
    percentiles : (3, N, Q) ndarray
        Posterior percentiles 16, 50 and 84.
    quantities : sequence of Q Quantity
    probabilities : mapping of str to (N, n_categories) ndarray, optional
        Of the categorical quantities, by name.
    """
    import matplotlib as mpl

    rows = max(1, -(-len(quantities) // IN_ROW))
    columns = max(1, -(-len(quantities) // rows))
    with mpl.rc_context(STYLE):
        figure = new_figure(max(3.4 * columns, 4), 4.9 * rows)
        grid = figure.subplots(2 * rows, columns, height_ratios=(3, 1) * rows, squeeze=False)
        top, bottom = grid[::2].ravel(), grid[1::2].ravel()
        for i, quantity in enumerate(quantities):
            if quantity.is_categorical:
                bottom[i].set_axis_off()
                plot_categories(top[i], truth[:, i], (probabilities or {})[quantity.name], quantity)
                continue
            plot_recovered(top[i], truth[:, i], percentiles[..., i], quantity)
            top[i].set_aspect("auto")
            top[i].set(xlabel="", ylabel="" if i % columns else "posterior median")
            top[i].tick_params(labelbottom=False)
            plot_residuals(bottom[i], truth[:, i], percentiles[1, :, i] - truth[:, i], quantity)
            bottom[i].set_xlim(top[i].get_xlim())
            bottom[i].set_ylabel(f"residual [{quantity.residual_unit}]")
        for ax in (*top[len(quantities) :], *bottom[len(quantities) :]):
            ax.set_axis_off()
        return figure


def figure_residuals(
    truth: np.ndarray, residual: np.ndarray, quantities: Sequence[Quantity]
) -> Figure:
    """Bias and scatter of every continuous quantity against the true value of every other.

    Parameters
    ----------
    truth, residual : (N, Q) ndarray
        True values, and posterior median minus truth.
    quantities : sequence of Q Quantity
        Categorical ones are left out.
    """
    import matplotlib as mpl

    shown = [(i, q) for i, q in enumerate(quantities) if not q.is_categorical]
    n = max(len(shown), 1)
    with mpl.rc_context(STYLE):
        figure = new_figure(3 * n + 1, 2.1 * n + 0.4)
        grid = figure.subplots(n, n, sharex="col", sharey="row", squeeze=False)
        for row, (i, quantity) in zip(grid, shown, strict=False):
            reach = 0.1
            for ax, (k, against) in zip(row, shown, strict=True):
                plot_residuals(ax, truth[:, k], residual[:, i], against)
                reach = max(reach, ax.get_ylim()[1])
            row[0].set_ylim(-reach, reach)
            unit = f" [{quantity.residual_unit}]" if quantity.residual_unit else ""
            row[0].set_ylabel(rf"$\Delta$ {quantity.label}{unit}")
        for ax in grid[:-1].flat:
            ax.set_xlabel("")
        return figure
