"""Whether posteriors' probabilities are true: coverage, PIT, TARP, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.plots.style import BLUE, GREY, INK, STYLE, color_of, new_figure, tidy
from praesepe.quantities import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_BINS_PIT, N_BINS = 20, 10
"""Of the PIT, and of the probability of a category."""


def plot_coverage(ax: Axes, pit: np.ndarray, quantities: Sequence[Quantity]) -> Axes:
    """Share of truths inside central credible intervals, against the intervals' level.

    Below the diagonal, posteriors are too narrow. Grey: two standard deviations.

    Parameters
    ----------
    ax : Axes
    pit : (N, Q) ndarray
        Probability integral transform of each quantity.
    quantities : sequence of Q Quantity
    """
    level = _diagonal(ax, len(pit))
    smallest = np.abs(pit - 0.5) * 2  # (N, Q): level of the interval that just holds the truth
    for i, quantity in enumerate(quantities):
        if not quantity.is_categorical:
            held = (smallest[:, i, None] <= level).mean(axis=0)
            ax.plot(level, held, color=color_of(i), lw=1.6, label=quantity.label)
    ax.set(xlabel="credible level", ylabel="coverage (fraction of truths inside)")
    ax.legend(loc="upper left")
    return ax


def plot_pit(ax: Axes, pit: np.ndarray, quantity: Quantity, *, color: str = BLUE) -> Axes:
    """Histogram of the probability integral transform (N,) of one quantity; flat if calibrated.

    A hump: posteriors are too wide; a bowl: too narrow; a slope: shifted. Grey: two standard
    deviations.
    """
    tidy(ax)
    expected = len(pit) / N_BINS_PIT
    low, high = expected - 2 * expected**0.5, expected + 2 * expected**0.5
    ax.axhspan(low, high, color=GREY, alpha=0.3, lw=0)
    ax.axhline(expected, color=INK, lw=0.8)
    counts, edges = np.histogram(pit, N_BINS_PIT, range=(0, 1))
    ax.stairs(counts, edges, baseline=None, color=color, lw=1.6)
    ax.set(xlim=(0, 1), ylim=(0, None))
    ax.set(xlabel=f"PIT of {quantity.label}", ylabel="number of clusters")
    return ax


def plot_tarp(ax: Axes, levels: np.ndarray) -> Axes:
    """Expected coverage of the joint posterior; `levels` (N,) are `statistics.tarp_levels`."""
    grid = _diagonal(ax, len(levels))
    ax.plot(grid, (levels[:, None] <= grid).mean(axis=0), color=BLUE, lw=1.6)
    ax.set(xlabel="credible level", ylabel="expected coverage probability")
    ax.legend(loc="upper left")
    return ax


def plot_reliability(
    ax: Axes, truth: np.ndarray, probabilities: np.ndarray, quantity: Quantity
) -> Axes:
    """How often a category is true, against the probability that it was given.

    Parameters
    ----------
    ax : Axes
    truth : (N,) ndarray
        True categories: 0, 1, …
    probabilities : (N, n_categories) ndarray
    quantity : Quantity
        A categorical one.
    """
    tidy(ax)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8)
    member = np.minimum((probabilities * N_BINS).astype(int), N_BINS - 1)
    for k, name in enumerate(quantity.categories):
        points = [
            (probabilities[here, k].mean(), share, np.sqrt(share * (1 - share) / here.sum()))
            for here in (member[:, k] == b for b in range(N_BINS))
            if here.any()
            for share in [np.mean(truth[here] == k)]
        ]
        x, y, error = np.array(points).T if points else np.zeros((3, 0))
        ax.errorbar(x, y, error, fmt="o-", ms=3.5, lw=1.2, color=color_of(k), label=name)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="posterior probability", ylabel="fraction of clusters")
    ax.set_aspect("equal", adjustable="box")
    ax.legend(loc="upper left")
    return ax


def figure_calibration(
    truth: np.ndarray,
    pit: np.ndarray,
    quantities: Sequence[Quantity],
    *,
    tarp: np.ndarray | None = None,
    probabilities: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Coverage of credible intervals, TARP, histograms of the PIT, and reliability.

    Parameters
    ----------
    truth : (N, Q) ndarray
    pit : (N, Q) ndarray
        Probability integral transform of each quantity.
    quantities : sequence of Q Quantity
    tarp : (N,) ndarray, optional
        Levels from `praesepe.statistics.tarp_levels`.
    probabilities : mapping of str to (N, n_categories) ndarray, optional
        Of the categorical quantities, by name.
    """
    import matplotlib as mpl

    continuous = [i for i, q in enumerate(quantities) if not q.is_categorical]
    categorical = [i for i, q in enumerate(quantities) if q.is_categorical]
    n_squares = bool(continuous) + (tarp is not None) + len(categorical)
    with mpl.rc_context(STYLE):
        figure = new_figure(3.7 * n_squares + 3.6 * bool(continuous), 4.0)
        widths = [3.7 * n_squares, 3.6] if continuous else [1]
        parts: Any = figure.subfigures(1, len(widths), width_ratios=widths, squeeze=False)
        squares = iter(parts[0, 0].subplots(1, n_squares, squeeze=False).flat)
        if continuous:
            ax = plot_coverage(next(squares), pit, quantities)
            ax.set_title("each quantity", fontsize=9)
            axes = parts[0, 1].subplots(len(continuous), 1, sharex=True, squeeze=False)
            for ax, i in zip(axes.flat, continuous, strict=True):
                plot_pit(ax, pit[:, i], quantities[i], color=color_of(i))
                ax.set_title(quantities[i].label, loc="left", fontsize=9)
                ax.set(xlabel="", ylabel="")
            parts[0, 1].supylabel("number of clusters", fontsize=9, color=INK)
            axes[-1, 0].set_xlabel("probability integral transform (PIT; grey: 2σ)")
        if tarp is not None:
            plot_tarp(next(squares), tarp).set_title("joint posterior (TARP)", fontsize=9)
        for i in categorical:
            claimed = (probabilities or {})[quantities[i].name]
            ax = plot_reliability(next(squares), truth[:, i], claimed, quantities[i])
            ax.set_title(quantities[i].word, fontsize=9)
        return figure


def _diagonal(ax: Axes, n: int) -> np.ndarray:
    """Diagonal of a square of probabilities, with the sampling error of n clusters."""
    tidy(ax)
    level = np.linspace(0, 1, 101)
    error = np.sqrt(level * (1 - level) / max(n, 1))
    ax.fill_between(
        level, level - 2 * error, level + 2 * error, color=GREY, alpha=0.3, lw=0,
        label=f"2σ of {n} clusters",
    )  # fmt: skip
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal", adjustable="box")
    return level
