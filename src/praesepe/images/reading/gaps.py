"""Pixels where nothing was observed, and saturated cores: found by the pixels' values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from praesepe.images.reading.quiet import (
    add_with_little_noise,
    measure_quiet,
    measure_smooth,
    measure_straight,
)

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]

PLATEAU_PX = 25
"""Connected pixels of one value that count as a gap."""

ZEROS_PX = 9
"""The same for zeros, in images of real numbers."""

BORDER_PX = 5
"""The same where the pixels touch the border of the window, beyond which they may go on."""

CORE_PX = 4
"""Connected pixels of one value that count as a saturated core, where they are bright."""

CORE_LARGEST_PX = 2500
CORE_SIGMA = 20.0
CORE_EDGE = 0.1
"""A core is no larger; its level is so far above the median of its surroundings, in units of
their scatter; and the pixels around it reach this share of the difference. A gap that was
filled with a large number is bright too, but has a sharp edge."""

FILL_VALUES = (-999.0, -9999.0, -99999.0, -999999.0, -32768.0, 999999.0)
"""Numbers that stand for "no value" wherever they are met, to the last digit."""

FILL_LARGE = 1e15
"""From here on no number is a measurement: 1e20 (`numpy.ma`), 1e30, 9.97e36 (netCDF)."""

REAL, COARSE = 0.02, 0.18
"""Values that repeat less are real numbers; those that repeat more are coarse integers, whose
noise is at most 2.5 steps."""

_FILL_SHARE, _FILL_RATIO = 0.003, 5

_CLIPPED_SHARE, _CLIPPED_MIXED, _CLIPPED_NEAR = 0.05, 0.15, 0.15
"""Where noise was clipped, so many pixels of a block hold its lowest value; they change to others
between neighbours in this share of the changes that chance would make; and the lowest fiftieth of
the others is as near to it, in units of their median. Gaps, counts and fill values are none."""

_LEAST_FILL = min(map(abs, FILL_VALUES))
_IN_A_WINDOW = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])
_AT_ONCE = 64
_CHANCE = 1e-8
_LARGEST_REACH = 15
LARGE_NUMBERS = np.errstate(invalid="ignore", over="ignore")
"""Near the largest number there is, scales and differences give none, without a word."""


class Grain(NamedTuple):
    """How often values repeat in an image, gaps aside.

    Attributes
    ----------
    repeats : float
        Share of the most common value, after the commonest of all (a gap's, perhaps) is taken
        out.
    common : float
        Share of the commonest value, where values are coarse integers.
    smooth : float
        Second differences up to here are those of a gap; 0 where that cannot be told.
    quiet : float
        So are, mostly, those over three pixels up to here; 0 where that cannot be told.
    straight : float
        Those of neighbors up to here are of straight lines, quantised perhaps; 0 as above.
    fills : tuple of float
        A number that single pixels hold too often.
    """

    repeats: float = 0.0
    common: float = 0.0
    smooth: float = 0.0
    quiet: float = 0.0
    fills: tuple[float, ...] = ()
    straight: float = 0.0

    @property
    def real(self) -> bool:
        """Whether equal values are no chance."""
        return self.repeats < REAL

    @property
    def coarse(self) -> bool:
        """Whether equal neighbours are measurements: counts of a few, a noise of few steps."""
        return self.repeats > COARSE


class Gaps(NamedTuple):
    """What is not a measurement; two masks of the shape of the values.

    Attributes
    ----------
    missing : ndarray of bool
        Nothing was observed here.
    saturated : ndarray of bool
        Core of a saturated star. Its pixels are missing, too, where they have no value.
    """

    missing: Mask
    saturated: Mask


@LARGE_NUMBERS
def measure_grain(blocks: FloatImage) -> Grain:
    """How values repeat and vary, from blocks (n, y, x) of an image; NaN is no value."""
    smooth, empty = measure_smooth(blocks)
    blocks = np.where(empty, np.float32(np.nan), blocks)
    quiet, empty = measure_quiet(blocks) if smooth else (0.0, empty)
    blocks = np.where(empty, np.float32(np.nan), blocks)
    found = []
    for block in blocks:
        _, first, second, n = _commonest(block)
        if second and n - first >= 16:
            found.append((second / (n - first), first / n))
    if not found:
        return Grain()
    repeats, common = np.array(found).T
    often = float(np.percentile(repeats, 75))
    if often > COARSE:
        return Grain(often, float(np.median(common[repeats > COARSE])))
    straight = measure_straight(blocks) if smooth or often >= REAL else 0.0
    if often < REAL:
        return Grain(often, 0.0, smooth, quiet, _single_fills(blocks), straight)
    return Grain(often, straight=straight)


@LARGE_NUMBERS
def clipped_share(blocks: FloatImage, grain: Callable[[], Grain]) -> float:
    """Share of the lowest value, because noise below it was cut off, from blocks (n, y, x).

    The median of the blocks that were clipped; 0 where few were, or where values are integers of
    few steps.
    """
    shares = []
    for block in blocks:
        good = np.isfinite(block)
        floor = np.min(block, where=good, initial=np.inf)
        at, above = block == floor, block[good & (block > floor)]
        share = at.sum() / max(good.sum(), 1)
        changes = np.mean([(at[1:] != at[:-1]).mean(), (at[:, 1:] != at[:, :-1]).mean()])
        mixed = above.size and changes > _CLIPPED_MIXED * 2 * share * (1 - share)
        if share > _CLIPPED_SHARE and mixed:
            near, middle = np.percentile(above, (2, 50)) - floor
            if near < _CLIPPED_NEAR * middle:
                shares.append(share)
    if 4 * len(shares) < len(blocks) or not 0 < grain().repeats <= COARSE:
        return 0.0
    return float(np.median(shares))


def _single_fills(blocks: FloatImage) -> tuple[float, ...]:
    """The commonest number, where single pixels of real numbers hold it too often for chance."""
    value, first, second, n = _commonest(blocks)
    if not second or first < max(_FILL_SHARE * n, _FILL_RATIO * second):
        return ()
    same = blocks == np.float32(value)
    joined = np.zeros_like(same)
    for axis in (1, 2):
        joined |= same & (np.roll(same, 1, axis) | np.roll(same, -1, axis))
    return (value,) if joined.sum() < 0.5 * same.sum() else ()


def _commonest(blocks: FloatImage) -> tuple[float, int, int, int]:
    """The commonest value, how often it and the second are met, and the number of all values."""
    values, counts = np.unique(blocks[np.isfinite(blocks)], return_counts=True)
    if not counts.size:
        return math.nan, 0, 0, 0
    n, most = int(counts.sum()), int(np.argmax(counts))
    first, counts[most] = int(counts[most]), 0
    return float(values[most]), first, int(counts.max()), n


@LARGE_NUMBERS
def find_gaps(values: FloatImage, grain: Callable[[], Grain] | None = None) -> Gaps:
    """Find the pixels where nothing was observed, and the saturated cores.

    Missing are pixels that are not finite or hold a fill value, and connected plateaus of
    `PLATEAU_PX` or more equal pixels: drizzled mosaics fill gaps with zeros, and a sky that was
    subtracted later makes another constant of them. In images of coarse integers equal neighbours
    are common; there a square counts that is too large for a chance. A bright plateau with a soft
    edge is a saturated core.

    Parameters
    ----------
    values : ndarray, shape (..., H, W)
        Images.
    grain : callable, optional
        Gives the `Grain` of the image that the values are from; asked only where it matters. By
        default the values tell themselves.

    Returns
    -------
    Gaps
    """
    windows = np.ascontiguousarray(values).reshape(-1, *values.shape[-2:])
    ask = grain or cache(lambda: measure_grain(windows))
    low, high = windows.min(axis=(1, 2)), windows.max(axis=(1, 2))
    missing, saturated = np.zeros((2, *windows.shape), bool)
    unusual = ~((low > -_LEAST_FILL) & (high < _LEAST_FILL))
    if unusual.any():
        missing[unusual] = _without_value(windows[unusual])
    repeats = _repeats(windows)
    flat = low == high
    if flat.any() and not ask().coarse:
        missing[flat], repeats[flat] = True, 0
    suspects = np.flatnonzero(repeats >= CORE_PX // 2)
    for start in range(0, len(suspects), _AT_ONCE):
        part = suspects[start : start + _AT_ONCE]
        missing[part], saturated[part] = _in_plateaus(windows[part], missing[part], ask())
    for value in ask().fills:
        missing |= windows == np.float32(value)
    limits = {name: getattr(ask(), name) for name in ("smooth", "straight", "quiet")}
    add_with_little_noise(missing, saturated, windows, **limits)
    holes = np.flatnonzero(missing.any(axis=(1, 2)) & ~missing.all(axis=(1, 2)))
    if holes.size:
        saturated[holes] |= _dark_cores(windows[holes], missing[holes])
    return Gaps(missing.reshape(values.shape), saturated.reshape(values.shape))


def _without_value(windows: FloatImage) -> Mask:
    """Pixels that are not finite, or hold a fill value."""
    large = ~(np.abs(windows) < _LEAST_FILL)
    values = windows[large]
    large[large] = ~(np.abs(values) < FILL_LARGE) | np.isin(values, FILL_VALUES)
    return large


def _repeats(windows: FloatImage) -> NDArray[np.int64]:
    """Number of pixels in each window (n,) that the next one equals, to the right or below.

    Next is meant in memory: at the border that is one of another row, or window. Of connected
    pixels at least every second counts.
    """
    flat, width = windows.reshape(-1), windows.shape[2]
    equal = np.zeros(windows.shape, bool)
    pairs = equal.reshape(-1)
    np.equal(flat[1:], flat[:-1], out=pairs[:-1])
    pairs[:-width] |= flat[width:] == flat[:-width]
    repeats = np.zeros(len(windows), np.int64)
    some = equal.any(axis=(1, 2))  # in few: a sum over all would take longer
    repeats[some] = equal[some].sum(axis=(1, 2))
    return repeats


def _in_plateaus(windows: FloatImage, missing: Mask, grain: Grain) -> tuple[Mask, Mask]:
    """Missing pixels and saturated cores of windows that have equal neighbours."""
    label, size, level, window = _plateaus(np.where(missing, np.float32(np.nan), windows))
    gap = (size >= PLATEAU_PX) & (not grain.coarse)
    if grain.real:
        gap |= (size >= ZEROS_PX) & (level == 0)
        gap[_at_border(label)] = True
        gap &= size >= BORDER_PX
    gap[0] = False
    core = np.zeros_like(gap)
    small = (size >= (CORE_PX if grain.real else ZEROS_PX)) & (size <= CORE_LARGEST_PX)
    plain = (label == 0) & ~missing
    for i in np.unique(window[small]).tolist():
        chosen = small & (window == i)
        dark, bright = _brightness(windows[i][plain[i]], level[chosen].max())
        chosen = np.flatnonzero(chosen & (level > bright))
        for number, ring in _rings(label[i], chosen, windows[i], plain[i]):
            edge = dark + CORE_EDGE * (level[number] - dark)
            core[number] = ring.max() < level[number] and np.percentile(ring, 75) > edge
    cores = core.take(label) if core.any() else np.zeros_like(missing)
    missing = missing | (gap & ~core).take(label)
    if grain.coarse:
        missing |= _equal_squares(windows, grain.common) & ~cores
    return missing, cores


def _plateaus(
    windows: FloatImage,
) -> tuple[Labels, NDArray[np.int64], FloatImage, NDArray[np.int64]]:
    """Connected pixels of one value: labels of the pixels; by label size, value and window.

    Label 0 are all pixels that have fewer than `CORE_PX` in connection.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    right, left, joined = np.zeros((3, *windows.shape), bool)  # whether it equals this neighbor
    np.equal(windows[..., 1:], windows[..., :-1], out=right[..., :-1])
    np.equal(windows[..., 1:], windows[..., :-1], out=left[..., 1:])
    np.equal(windows[..., 1:, :], windows[..., :-1, :], out=joined[..., :-1, :])
    joined[..., :-1, :] &= ~(left[..., :-1, :] & left[..., 1:, :])  # two runs are joined once
    above = np.flatnonzero(joined)
    below = above + windows.shape[2]
    runs, long = right & ~left, np.flatnonzero(left & ~right)  # first and last pixels of rows
    for ends in (above, below):
        runs.reshape(-1)[ends] |= ~left.reshape(-1)[ends]
    first = np.flatnonzero(runs)
    length = np.ones(len(first), np.int64)
    more = right.reshape(-1)[first]
    length[more] = long - first[more] + 1
    above, below = (np.searchsorted(first, ends, "right") - 1 for ends in (above, below))
    starts = np.searchsorted(above, np.arange(len(first) + 1))
    edges = csr_array((np.ones(len(above)), below, starts), (len(first),) * 2)
    n, member = connected_components(edges, directed=False)
    size = np.bincount(member, length, n).astype(np.int64)
    kept = size >= CORE_PX
    number = np.where(kept, np.cumsum(kept), 0)[member]
    first, length, number = (values[number > 0] for values in (first, length, number))
    ends = np.column_stack([first, first + length]).ravel()
    values = np.append(np.column_stack([0 * number, number]).astype(np.int32), np.int32(0))
    label = np.repeat(values, np.diff(ends, prepend=0, append=windows.size))
    place = np.zeros(int(kept.sum()) + 1, np.int64)  # one pixel of each plateau
    place[number] = first
    return (
        label.reshape(windows.shape),
        np.concatenate(([0], size[kept])),
        windows.ravel()[place],
        place // math.prod(windows.shape[1:]),
    )


def _at_border(label: Labels) -> Labels:
    """Labels of the pixels on the borders of their windows."""
    return np.concatenate([label[..., [0, -1], :].ravel(), label[..., [0, -1]].ravel()])


def _brightness(values: FloatImage, most: float = math.inf) -> tuple[float, float]:
    """Median of the plain pixels of a window, and from where on others are bright.

    Where that is more than `most` it does not matter how much.
    """
    if not values.size:
        return math.nan, math.nan
    low = np.median(values)
    if most <= low:
        return float(low), math.inf
    return float(low), float(low + CORE_SIGMA * 1.4826 * np.median(np.abs(values - low)))


def _rings(
    label: Labels, numbers: NDArray[np.int64], values: FloatImage, plain: Mask
) -> Iterator[tuple[int, FloatImage]]:
    """Some labels, each with the values of the plain pixels that touch its pixels."""
    from scipy import ndimage

    places = ndimage.find_objects(label) if numbers.size else []
    for number in numbers.tolist():
        near = tuple(slice(max(at.start - 1, 0), at.stop + 1) for at in places[number - 1])
        touched = ndimage.binary_dilation(label[near] == number, np.ones((3, 3), bool))
        ring = values[near][touched & plain[near]]
        if ring.size:
            yield number, ring


def _dark_cores(windows: FloatImage, missing: Mask) -> Mask:
    """Holes of missing pixels in the light of a bright star."""
    from scipy import ndimage

    spans = (np.flatnonzero(missing.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    near = (slice(None), *(slice(max(at[0] - 1, 0), at[-1] + 2) for at in spans))
    label, n = ndimage.label(missing[near], _IN_A_WINDOW)
    size = np.bincount(label.ravel(), minlength=n + 1)
    fits = (size >= CORE_PX) & (size <= CORE_LARGEST_PX)
    fits[_at_border(label)] = False
    fits[0] = False
    core = np.zeros(n + 1, bool)
    for i in np.flatnonzero(fits[label].any(axis=(1, 2))) if fits.any() else ():
        plain, holes = ~missing[i], np.unique(label[i][fits[label[i]]])
        rings = _rings(label[i], holes, windows[near][i], plain[near[1:]])
        light = {number: float(np.median(ring)) for number, ring in rings}
        if light:
            bright = _brightness(windows[i][plain], max(light.values()))[1]
            core[[number for number, level in light.items() if level > bright]] = True
    cores = np.zeros(windows.shape, bool)
    if core.any():
        cores[near] = core.take(label)
    return cores


def _equal_squares(windows: FloatImage, common: float) -> Mask:
    """Pixels in squares of one value that are too large for a chance."""
    least = math.log(_CHANCE) / math.log(common) if 0 < common < 1 else math.inf
    reach = max(3, math.ceil((math.sqrt(least) - 1) / 2)) if least < 1e6 else _LARGEST_REACH + 1
    side = 2 * reach + 1
    if reach > _LARGEST_REACH or min(windows.shape[1:]) < side:
        return np.zeros(windows.shape, bool)
    from scipy import ndimage

    hole, size = np.isnan(windows), (1, side, side)
    low = np.where(hole, -np.inf, windows)
    high = np.where(hole, np.inf, windows)
    low = ndimage.minimum_filter(low, size, mode="constant", cval=-np.inf)
    high = ndimage.maximum_filter(high, size, mode="constant", cval=np.inf)
    return np.asarray(ndimage.maximum_filter(low == high, size, mode="constant"))
