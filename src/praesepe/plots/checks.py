"""Figures of a check of images: the stars of the bands, where they lie, how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.plots.style import BLUE, GREY, INK, ORANGE, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_colors(
    ax: Axes, mags: NDArray[np.float64], reference: NDArray[np.float64], names: tuple[str, ...]
) -> Axes:
    """Stars of an image on those of the survey: two colors, or one and a magnitude.

    Parameters
    ----------
    ax : Axes
    mags, reference : ndarray, shapes (n, band) and (m, band)
        AB magnitudes.
    names : tuple of str
        Of the bands.
    """
    for some, color, label in ((reference, GREY, "survey"), (mags, BLUE, "image")):
        x = some[:, 0] - some[:, 1]
        y = some[:, 1] - some[:, 2] if len(names) > 2 else some[:, 1]
        ax.plot(x, y, ".", ms=2, color=color, label=label, rasterized=True)
    ax.set_xlabel(f"{names[0]} − {names[1]}  [AB mag]")
    ax.set_ylabel(
        f"{names[1]} − {names[2]}  [AB mag]" if len(names) > 2 else f"{names[1]}  [AB mag]"
    )
    if len(names) == 2:
        ax.yaxis.set_inverted(True)
    ax.legend(markerscale=4, fontsize=8)
    tidy(ax)
    return ax


def plot_displacements(
    ax: Axes,
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    *,
    title: str,
    expected: tuple[float, float] = (0.0, 0.0),
    allowed_px: float | None = None,
) -> Axes:
    """Where the stars of a band lie against those of the reference band, pixels.

    Parameters
    ----------
    ax : Axes
    dx, dy : ndarray, shape (star,)
    title : str
    expected : (float, float)
        Where they should lie: a circle of radius `allowed_px`.
    """
    from matplotlib.patches import Circle

    ax.plot(dx, dy, ".", ms=2, color=BLUE, rasterized=True)
    ax.axhline(0, color=GREY, lw=0.8)
    ax.axvline(0, color=GREY, lw=0.8)
    if allowed_px is not None:
        ax.add_patch(Circle(expected, allowed_px, ec=INK, fc="none", lw=1.2, zorder=3))
    ax.plot(np.median(dx), np.median(dy), "+", ms=14, mew=2, color=ORANGE, zorder=4)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="x  [px]", ylabel="y  [px]", title=title)
    ax.set_aspect("equal")
    tidy(ax)
    return ax


def plot_widths(
    ax: Axes, signal: ArrayLike, fwhm: ArrayLike, allowed: tuple[float, float], *, title: str
) -> Axes:
    """Widths of stars against their signal-to-noise ratio, and what the model was trained with."""
    ax.axhspan(*allowed, color=GREY, alpha=0.35, lw=0)
    ax.semilogx(signal, fwhm, ".", ms=2, color=BLUE, rasterized=True)
    ax.set(xlabel="signal-to-noise ratio", ylabel="FWHM  [px]", title=title)
    ax.set_ylim(0.5 * allowed[0], 2 * allowed[1])
    tidy(ax)
    return ax


def plot_section(ax: Axes, image: NDArray[np.float32], noise: float, *, title: str) -> Axes:
    """A section of an image, grey; what is missing is orange."""
    from matplotlib import colormaps

    middle = np.nanmedian(image)
    # Smoothed images have less noise than anybody can see.
    spread = 0.5 * float(np.nanmedian(np.abs(image - middle)))
    shown = np.arcsinh((image - middle) / (3 * max(noise, spread, 1e-30)))
    colors = colormaps["gray"].with_extremes(bad=ORANGE)
    ax.imshow(shown, origin="lower", cmap=colors, vmin=-1, vmax=4, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, color=INK)
    return ax
