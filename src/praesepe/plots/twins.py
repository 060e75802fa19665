"""Real stamps beside their twins: clusters drawn from the posterior, seen as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.plots.stamps import color_scale, plot_scale_bar, plot_stamp
from praesepe.plots.style import BLUE, INK, ORANGE, STYLE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from praesepe.survey import Band

SIDE, LIGHT = 1.25, 1.45
"""Side of a stamp, inches, and width of the panel of its light in sides."""

MOST_BESIDE = 4
"""Names of bands that find room beside each other."""

FAINTEST = 0.02
"""Least light that is shown, as a share of the median of all bands."""


def plot_twins(
    axes: Sequence[Axes],
    real: np.ndarray,
    twins: np.ndarray,
    bands: Sequence[Band],
    *,
    label: str = "",
    labels: Sequence[str] = (),
) -> Sequence[Axes]:
    """Show a real stamp, and then its twins, in one stretch.

    Parameters
    ----------
    axes : sequence of Axes
        One for the real stamp, and one for each twin.
    real : ndarray, shape (band, y, x)
        e-/s; bands that are missing (NaN) are left out of all.
    twins : ndarray, shape (k, band, y, x)
    bands : sequence of Band
        From blue to red.
    label : str
        Written into the real stamp.
    labels : sequence of str
        Written into the twins.
    """
    there = np.isfinite(real).any(axis=(-2, -1))
    shown = [band for band, is_there in zip(bands, there, strict=True) if is_there]
    scale = color_scale(shown)
    texts = [label, *labels, *[""] * len(axes)]
    for ax, stamp, text in zip(axes, [real, *twins], texts, strict=False):
        plot_stamp(ax, stamp[there], scale, label=text)
    axes[0].spines[:].set(visible=True, color=ORANGE, linewidth=2)
    return axes


def plot_twin_light(
    ax: Axes, flux: np.ndarray, twin_flux: np.ndarray, bands: Sequence[Band]
) -> Axes:
    """Show the light of a real stamp in each band among that of its twins.

    Parameters
    ----------
    ax : Axes
    flux : ndarray, shape (band,)
        e-/s; NaN where a band is missing.
    twin_flux : ndarray, shape (k, band)
    bands : sequence of Band
    """
    zero_points = np.array([band.zero_point_ab for band in bands])
    least = FAINTEST * np.nanmedian(np.abs(twin_flux)) if twin_flux.size else 0.0
    magnitudes = [
        zero_points - 2.5 * np.log10(np.maximum(values, least)) for values in (flux, twin_flux)
    ]
    places = np.arange(len(bands))
    for values in magnitudes[1]:
        ax.plot(places, values, color=BLUE, alpha=0.35, lw=0.8, marker="o", ms=2.5, mew=0)
    ax.plot(places, magnitudes[0], color=ORANGE, ls="", marker="_", ms=11, mew=2.2)
    turned: Any = {"rotation": 45, "ha": "right"} if len(bands) > MOST_BESIDE else {}
    ax.set_xticks(places, [band.name for band in bands], rotation_mode="anchor", **turned)
    ax.set_xlim(-0.5, len(bands) - 0.5)
    ax.invert_yaxis()
    ax.yaxis.tick_right()
    tidy(ax)
    ax.spines[["left", "right"]].set(visible=False)
    ax.spines["right"].set_visible(True)
    ax.tick_params(labelsize=6.5)
    return ax


def figure_twins(
    real: np.ndarray,
    twins: np.ndarray,
    bands: Sequence[Band],
    *,
    names: Sequence[str],
    labels: Sequence[Sequence[str]],
    flux: np.ndarray,
    twin_flux: np.ndarray,
    p_twins: np.ndarray,
    arcsec_per_px: float,
) -> Figure:
    """A line for each cluster: the real stamp, its twins, and the light of both.

    Parameters
    ----------
    real : ndarray, shape (n, band, y, x)
        e-/s.
    twins : ndarray, shape (n, k, band, y, x)
    bands : sequence of Band
        From blue to red.
    names : sequence of str
        Of the clusters.
    labels : sequence of sequence of str
        What each twin is.
    flux : ndarray, shape (n, band)
    twin_flux : ndarray, shape (n, all twins, band)
        Also of twins that are not shown.
    p_twins : ndarray, shape (n,)
        Share of twins that differ from the others at least as much.
    arcsec_per_px : float
    """
    import matplotlib as mpl

    n, k = twins.shape[:2]
    with mpl.rc_context(STYLE):
        figure = new_figure(SIDE * (k + 1 + LIGHT), SIDE * n + 0.4)
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)
        grid = figure.subplots(n, k + 2, squeeze=False, width_ratios=[*[1] * (k + 1), LIGHT])
        for i, line in enumerate(grid):
            plot_twins(line[:-1], real[i], twins[i], bands, label=names[i], labels=labels[i])
            ax = plot_twin_light(line[-1], flux[i], twin_flux[i], bands)
            if i < n - 1:
                ax.set_xticklabels([])
            if np.isfinite(p_twins[i]):
                place: Any = {"transform": ax.transAxes, "ha": "left", "va": "top"}
                ax.text(0.04, 0.97, f"p = {p_twins[i]:.2g}", fontsize=7.5, color=INK, **place)
        plot_scale_bar(grid[0, 0], 1 / arcsec_per_px, "1″", side_px=real.shape[-1])
        titles = {
            0: ("real", ORANGE),
            1: ("twins, drawn from its posterior", BLUE),
            k + 1: ("AB mag inside 2 $r_h$", INK),
        }
        for column, (text, color) in titles.items():
            grid[0, column].set_title(text, color=color, fontsize=9, loc="left", pad=4)
        return figure
