"""Color pictures of stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from praesepe.errors import must_be

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from praesepe.survey import Band

ULTRAVIOLET = 4000.0
"""Pivot wavelength (Angstrom) below which an eye would hardly see a band."""

SHOWN = (3000.0, 10_000.0)
"""Pivot wavelengths (Angstrom) of the bands that a picture is made of, where two or more are."""


@dataclass(frozen=True)
class ColorScale:
    """What turns the counts of several bands into a picture.

    Attributes
    ----------
    weights : (shown,) ndarray
        Factors that make an A0 star equally bright in all bands shown, 1 for the last.
    stretch : float
        Brightness up to which the scale is linear: e-/s of an A0 star in the last band shown.
    ultraviolet : bool
        Whether the first band shown is so blue that an eye would hardly see it.
    bands : (band,) ndarray of bool
        Which of the stamp's bands are shown.
    """

    weights: np.ndarray
    stretch: float
    ultraviolet: bool
    bands: np.ndarray


def color_scale(bands: Sequence[Band], *, stretch: float | None = None) -> ColorScale:
    """Return the scale on which an A0 star (Vega magnitudes) is white.

    Where two bands or more lie between 3000 Angstrom and 1 micron, the others are not shown.

    Parameters
    ----------
    bands : sequence of Band
        A survey's, from blue to red: their zero points, filters and `asinh_scale`.
    stretch : float, optional
        Brightness up to which the scale is linear: e-/s of an A0 star in the reddest band
        shown. By default five times that band's `asinh_scale`.

    Raises
    ------
    InputError
        For bands whose filters cannot be read.
    """
    from praesepe.stars.curves import band_curve

    curves = [band_curve(band) for band in bands]
    seen = np.array([SHOWN[0] < curve.pivot_angstrom < SHOWN[1] for curve in curves])
    if seen.sum() < 2:
        seen[:] = True
    bands = [band for band, is_seen in zip(bands, seen, strict=True) if is_seen]
    curves = [curve for curve, is_seen in zip(curves, seen, strict=True) if is_seen]
    vega = np.array([b.zero_point_ab + c.vega_minus_ab for b, c in zip(bands, curves, strict=True)])
    return ColorScale(
        weights=10 ** (0.4 * (vega[-1] - vega)),
        stretch=5 * bands[-1].asinh_scale if stretch is None else stretch,
        ultraviolet=curves[0].pivot_angstrom < ULTRAVIOLET,
        bands=seen,
    )


def rgb(stamp: np.ndarray, scale: ColorScale) -> np.ndarray:
    """Color picture close to what an eye would see, after Lupton et al. (2004, PASP 116, 133).

    The sky (the 5th percentile of each band) is subtracted. Red is the reddest band. Of two and
    three bands, green is a mean of the neighbours, since the filters of such surveys leave wide
    gaps; an ultraviolet band enters the blue by less than a third.

    Parameters
    ----------
    stamp : ndarray, shape (band, y, x)
        e-/s, bands from blue to red. Pixels missing in a band (NaN) are dark.
    scale : ColorScale
        See `color_scale`.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        A single band is grey.

    Raises
    ------
    InputError
        For a stamp of another shape.
    """
    from astropy.visualization import make_lupton_rgb

    stamp = np.asarray(stamp, dtype=np.float64)
    if stamp.ndim != 3 or len(stamp) != len(scale.bands):
        raise must_be("the shape of a stamp", stamp.shape, f"({len(scale.bands)}, height, width)")
    stamp, n = stamp[scale.bands], len(scale.weights)
    black = -0.1 * scale.stretch
    planes = [w * _sky_subtracted(plane) for w, plane in zip(scale.weights, stamp, strict=True)]
    red, middle, blue = planes[-1], planes[n // 2], planes[0]
    green = middle if n > 3 else (middle + red) / 2
    if n < 3:
        green = (blue + red) / 2
    elif scale.ultraviolet:
        blue = 0.3 * blue + 0.7 * middle
    missing = ~np.isfinite(stamp).all(0)
    red, green, blue = (np.where(missing, black, plane) for plane in (red, green, blue))
    with np.errstate(divide="ignore", invalid="ignore"):  # astropy divides 0 by 0 where it is dark
        picture = make_lupton_rgb(red, green, blue, minimum=black, stretch=scale.stretch, Q=16)
    return np.asarray(picture)


def _sky_subtracted(plane: np.ndarray) -> np.ndarray:
    good = np.isfinite(plane)
    return np.asarray(plane - (np.percentile(plane[good], 5) if good.any() else 0.0))


def plot_stamp(ax: Axes, stamp: np.ndarray, scale: ColorScale, *, label: str = "") -> Axes:
    """Show one stamp in color.

    Parameters
    ----------
    ax : Axes
    stamp : ndarray, shape (band, y, x)
        e-/s.
    scale : ColorScale
        See `color_scale`.
    label : str
        Written into the upper left corner.
    """
    ax.imshow(rgb(stamp, scale), origin="lower", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if label:
        ax.text(
            0.05, 0.95, label, transform=ax.transAxes, color="white", fontsize=7.5, va="top",
            linespacing=1.15,
        )  # fmt: skip
    return ax


def plot_scale_bar(ax: Axes, length_px: float, label: str, *, side_px: int) -> Axes:
    """Draw a bar of a given length into the lower left corner of a stamp.

    Parameters
    ----------
    ax : Axes
        With a stamp.
    length_px : float
    label : str
        Written above the bar: ``"1″"``.
    side_px : int
        Side of the stamp.
    """
    left, foot = 0.06 * side_px, 0.07 * side_px
    ax.plot([left, left + length_px], [foot, foot], color="white", lw=1.6)
    ax.text(
        left + length_px / 2, 0.1 * side_px, label, color="white", fontsize=7.5, ha="center"
    )  # fmt: skip
    return ax
