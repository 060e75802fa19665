"""Colors, fonts and empty figures; nothing global is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, INK = "#2f6690", "#d1691e", "#4a8c5c", "#9aa3ab", "#22282e"
COLORS = (BLUE, ORANGE, GREEN, "#8c2d3f", "#7a5ba6", "#b8902a", "#3f9aa3", "#5a5f66")
"""Okabe and Ito's order, softened: distinct for color-blind readers, and in print."""

FEW = 200
"""Up to so many clusters, each has a dot and an error bar of its own."""

STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": "medium",
    "font.size": 9.0,
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
"""Applied with `matplotlib.rc_context`, so that the user's own settings stay as they are."""


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure (inches) that belongs to no graphical backend."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def color_of(index: int) -> str:
    """Color of the index-th quantity in a figure."""
    return COLORS[index % len(COLORS)]


def tidy(ax: Axes) -> None:
    """Make the ticks small, and leave out the frame where there is no scale."""
    ax.tick_params(labelsize=8, colors=INK, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)


def dots(n: int) -> dict[str, Any]:
    """Style of n small dots: the more there are, the more transparent."""
    if n <= FEW:
        return {"marker": "o", "ls": "", "ms": 3, "mew": 0, "alpha": 0.8}
    alpha = float(np.clip(1000 / n, 0.15, 0.8))
    return {"marker": ".", "ls": "", "ms": 3, "mew": 0, "alpha": alpha, "rasterized": True}


def limits(*values: np.ndarray) -> tuple[float, float]:
    """Common limits of finite values, with a margin of 4 %; 0 and 1 where there are none."""
    finite = np.concatenate([np.ravel(v)[np.isfinite(np.ravel(v))] for v in values])
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.04 * max(high - low, 0.1)
    return low - margin, high + margin
