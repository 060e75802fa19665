"""How a training's validation loss fell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from praesepe.plots.style import BLUE, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_learning_curve(
    ax: Axes,
    clusters: np.ndarray,
    loss: np.ndarray,
    *,
    future: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Axes:
    """Validation loss against the clusters seen.

    Parameters
    ----------
    ax : Axes
    clusters, loss : ndarray, shape (n,)
    future : tuple of ndarray, each of shape (k,), optional
        Clusters, loss after a training of so many, and its standard error.

    Returns
    -------
    Axes
        The same.
    """
    ax.plot(clusters, loss, ".-", color=BLUE, label="validation")
    if future is not None:
        more, expected, error = future
        ax.fill_between(more, expected - error, expected + error, color=BLUE, alpha=0.2, lw=0)
        ax.plot(more, expected, "--", color=BLUE, label="trained longer")
        ax.legend(frameon=False)
    ax.set(xlabel="clusters seen", ylabel="validation loss", xscale="log")
    tidy(ax)
    return ax
