"""Sky, noise, and what does not belong on an image, from a section of one band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from praesepe.inference.check.profiles import EDGES_PX, star_profiles
from praesepe.inference.check.stars import StarList, block_background, block_levels, find_stars

Array = NDArray[np.float64]
Image = NDArray[np.float32]

DARK_SHARE = 0.25
"""Share of the pixels, the faintest of the smoothed image, that tell sky and noise."""

LEAST_PIXELS = 2000

LEAST_BLOCKS, _COARSE = 64, 3
"""Blocks of 32 px that tell of the background's structure, and how many make one of the larger."""

ALONE_PX = 11
"""Side of a box in which a cosmic ray is the brightest pixel."""

_SHARP = (1.0, -2.0, 1.0)
"""Along both axes: smooth light does not pass, white noise does six-fold (Immerkaer 1996)."""


def sharp_response(
    kernels: Sequence[Any], shares: tuple[float, float] = (1.0, 1.0), correlation: float = np.nan
) -> float:
    """Noise between neighbours over that of a pixel, where convolutions made the noise.

    Parameters
    ----------
    kernels : sequence of Tensor, each of shape (1, 1, y, x)
        One after the other; none: 1.
    shares : (float, float)
        Between which the share of the noise lies that went through them; the rest is white.
    correlation : float
        As `Plane` measures it, which tells the share; NaN: the middle one.
    """
    from scipy.signal import convolve2d

    whole = np.ones((1, 1))
    for kernel in kernels:
        whole = convolve2d(whole, np.asarray(kernel)[0, 0])
    white = np.zeros_like(whole)
    white[whole.shape[0] // 2, whole.shape[1] // 2] = 1
    responses, seen = [], []
    for share in np.linspace(*shares, 21):
        noise = share * whole + (1 - share) * white
        between = convolve2d(noise, np.outer(_SHARP, _SHARP)) / 6
        square = (between**2).sum()
        beside = (between[1:] * between[:-1]).sum() + (between[:, 1:] * between[:, :-1]).sum()
        responses.append(np.sqrt(square / (noise**2).sum()))
        seen.append(np.interp(beside / square / 2, _FILTERED, _PLAIN))
    if shares[0] == shares[1] or len(whole) == 1 or np.isnan(correlation):
        return float(responses[len(responses) // 2])
    return float(np.exp(np.interp(correlation, seen, np.log(responses))))


@dataclass(frozen=True, eq=False)
class Plane:
    """What one section of one band shows.

    Attributes
    ----------
    missing : float
        Share of pixels without a value.
    level : float
        Of the faintest pixels, e-/s; NaN, as the next ones, where too little was seen.
    levels : ndarray, shape (k,)
        The same of the quarters of the section.
    structure : float
        See `block_structure`.
    noise : float
        Standard deviation of a pixel, by what changes from one to the next, e-/s.
    correlation : float
        Of the noise of neighbouring pixels.
    full : int
        Pixels that share the largest value, `top` [e-/s]; 0 where one alone has it.
    spikes : int
        Peaks sharper than any star.
    n_pixels : int
        With values.
    stars : StarList
        Places on the mosaic.
    profiles : ndarray, shape (star, ring)
        Of isolated bright stars; see `star_profiles`.
    """

    missing: float
    level: float = np.nan
    levels: Array = field(default_factory=lambda: np.empty(0))
    structure: float = np.nan
    noise: float = np.nan
    correlation: float = np.nan
    full: int = 0
    top: float = 0.0
    spikes: int = 0
    n_pixels: int = 0
    stars: StarList = field(default_factory=StarList)
    profiles: Array = field(default_factory=lambda: np.empty((0, len(EDGES_PX) - 1)))


def measure_plane(image: Image, y0: int = 0, x0: int = 0, *, sharpest: float) -> Plane:
    """Measure one section of one band.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        e-/s; NaN where there is nothing.
    y0, x0 : int
        Its first pixel on the mosaic.
    sharpest : float
        Light of a pixel beside the star's own over that of its own, for the sharpest PSF.
    """
    from scipy.ndimage import gaussian_filter

    good = np.isfinite(image)
    n_good = int(good.sum())
    missing = 1 - n_good / image.size
    if n_good < LEAST_PIXELS:
        return Plane(missing)
    levels, medians = block_levels(image, good)
    ground = block_background(image, good, levels)
    filled = np.where(good, image, ground)
    residual = filled - ground
    smooth = gaussian_filter(filled, 3.0, mode="nearest")
    dark = _darkest(smooth, good)
    noise, correlation = _noise(filled, dark)
    stars = find_stars(residual, good)
    top, full = _full(image[good], noise)
    return Plane(
        missing,
        level=float(np.median(image[dark])),
        levels=_quarters(image, smooth, good),
        structure=block_structure(medians),
        noise=noise,
        correlation=correlation,
        full=full,
        top=top,
        spikes=_spikes(residual, good, noise, sharpest),
        n_pixels=n_good,
        stars=replace(stars, x=stars.x + x0, y=stars.y + y0),
        profiles=star_profiles(residual, good, stars),
    )


def _darkest(smooth: Image, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(good & (smooth <= np.quantile(smooth[good], DARK_SHARE)))


def _quarters(image: Image, smooth: Image, good: NDArray[np.bool_]) -> Array:
    """Levels of the faintest pixels of each quarter."""
    levels = []
    for rows in np.array_split(np.arange(image.shape[0]), 2):
        for columns in np.array_split(np.arange(image.shape[1]), 2):
            part = np.ix_(rows, columns)
            if good[part].sum() > LEAST_PIXELS:
                dark = _darkest(smooth[part], good[part])
                levels.append(float(np.median(image[part][dark])))
    return np.array(levels)


def block_structure(levels: Array) -> float:
    """Differences of the background over 100 px, in units of those that white noise would have.

    Squares of the differences between neighbours of 3 × 3 blocks each, over those of blocks: 1
    where blocks vary at random, 1.5 under stars of one density, since these have wings, more where
    their density varies. A background of small meshes takes what is larger than these away. NaN
    where too few blocks have a level.
    """
    if np.isfinite(levels).sum() < LEAST_BLOCKS:
        return np.nan
    middle = np.nanmedian(levels)
    reach = 3 * 1.4826 * np.nanmedian(np.abs(levels - middle))
    levels = np.clip(levels, middle - reach, middle + reach)
    coarse = sliding_window_view(levels, (_COARSE, _COARSE)).mean(axis=(-1, -2))
    squares = []
    for values, lag in ((levels, 1), (coarse, _COARSE)):
        down, right = values[lag:] - values[:-lag], values[:, lag:] - values[:, :-lag]
        squares.append(np.nanmean(np.append(down, right) ** 2))
    return float(_COARSE**2 * squares[1] / squares[0]) if squares[0] > 0 else np.nan


def _noise(image: Image, dark: NDArray[np.bool_]) -> tuple[float, float]:
    """Scatter of a pixel, and the correlation of neighbours, by what changes from one to the next.

    Light that a telescope shows hardly passes the filter. White noise does, with a correlation of
    -2/3 between neighbours; noise that was smoothed has less, by which it is recognised.
    """
    from scipy.ndimage import convolve1d

    sharp = convolve1d(convolve1d(image, _SHARP, axis=0), _SHARP, axis=1)
    scatter = 1.4826 * float(np.median(np.abs(sharp[dark])))
    inside = dark & (np.abs(sharp) < 4 * scatter)
    products = variances = 0.0
    for turned, seen in ((sharp, inside), (sharp.T, inside.T)):
        both = seen[1:] & seen[:-1]
        one, other = turned[1:][both], turned[:-1][both]
        products += float(np.sum(one * other, dtype=float))
        variances += float(np.sum(one**2 + other**2, dtype=float)) / 2
    if not variances > 0:
        return 0.0, np.nan
    return scatter / 6, float(np.interp(products / variances, _FILTERED, _PLAIN))


def _smoothed_noise() -> tuple[Array, Array, Array]:
    """White noise after Gaussians: neighbours' correlation behind the filter, and without it.

    Then the share of its scatter that passes, along both axes.
    """
    frequency, index = np.fft.fftfreq(64), np.arange(64)
    response, lag = (2 - 2 * np.cos(2 * np.pi * frequency)) ** 2, np.cos(2 * np.pi * frequency)
    offset = np.minimum(index, 64 - index)
    filtered, plain, left = [], [], []
    for width in (1e-3, *np.linspace(0.2, 1.5, 40)):
        power = np.abs(np.fft.fft(np.exp(-0.5 * (offset / width) ** 2))) ** 2
        filtered.append(np.sum(power * response * lag) / np.sum(power * response))
        plain.append(np.sum(power * lag) / np.sum(power))
        left.append(np.mean(power * response) / np.mean(response))
    return np.array(filtered), np.array(plain), np.array(left)


_FILTERED, _PLAIN, _LEFT = _smoothed_noise()


def smoothed_share(correlation: float) -> float:
    """What smoothing leaves of white noise, as `Plane` measures it, by the correlation it makes."""
    return float(np.exp(np.interp(correlation, _PLAIN, np.log(_LEFT))))


def _full(values: Image, noise: float) -> tuple[float, int]:
    """The largest value, and how many share it where it is far above the noise."""
    top = float(values.max())
    count = int(np.count_nonzero(values == values.max())) if top > 20 * noise else 0
    return top, count if count > 1 else 0


def _spikes(residual: Image, good: NDArray[np.bool_], noise: float, sharpest: float) -> int:
    """Peaks whose four neighbours are too faint for a star.

    Beside brighter light nothing is counted: rings around stars after a shift have peaks as sharp.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    peak = (residual == maximum_filter(residual, ALONE_PX)) & (residual > 12 * noise)
    peak &= minimum_filter(good, 3)
    peak[0], peak[-1], peak[:, 0], peak[:, -1] = False, False, False, False
    y, x = np.nonzero(peak)
    around = sum(residual[y + dy, x + dx] for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))) / 4
    return int(np.count_nonzero(around < 0.5 * sharpest * residual[y, x] - 2 * noise))
