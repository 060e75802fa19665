"""Pixels where nothing was observed, and saturated cores: found by the pixels' values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from praesepe.images.reading.quiet import add_quiet, add_strips, measure_quiet

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

SMOOTH = 3e-3
"""Second differences that are smaller in a box of 5 × 5 pixels, in units of what is usual in the
image, are no measurements: a sky that varies was subtracted from a gap."""

_FILL_SHARE, _FILL_RATIO = 0.003, 5

_CLIPPED_SHARE, _CLIPPED_MIXED, _CLIPPED_NEAR = 0.05, 0.15, 0.15
"""Where noise was clipped, so many pixels of a block hold its lowest value; they change to others
between neighbours in this share of the changes that chance would make; and the lowest fiftieth of
the others is as near to it, in units of their median. Gaps, counts and fill values are none."""

_BREAK, _NOISE, _LEAST_ROUGH, _PRECISION = 1000, 0.3, 1 / 8, 1e-5
_TILE = 8
_AT_ONCE = 64
_TOGETHER = 20_000
_CHANCE = 1e-8
_LARGEST_REACH = 15


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
    fills : tuple of float
        A number that single pixels hold too often.
    clipped : float
        Share of pixels that hold the lowest value because noise below it was cut off.
    """

    repeats: float = 0.0
    common: float = 0.0
    smooth: float = 0.0
    quiet: float = 0.0
    fills: tuple[float, ...] = ()
    clipped: float = 0.0

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


def measure_grain(blocks: FloatImage) -> Grain:
    """How values repeat and vary, from blocks (n, y, x) of an image; NaN is no value."""
    clipped = _clipped_share(blocks)
    smooth, empty = _measure_smooth(blocks)
    blocks = np.where(empty, np.float32(np.nan), blocks)
    quiet, empty = measure_quiet(blocks) if smooth else (0.0, empty)
    blocks = np.where(empty, np.float32(np.nan), blocks)
    found = []
    for block in blocks:
        values = block[np.isfinite(block)]
        counts = np.sort(np.unique(values, return_counts=True)[1])[::-1]
        if len(counts) > 1 and values.size - counts[0] >= 16:
            found.append((counts[1] / (values.size - counts[0]), counts[0] / values.size))
    if not found:
        return Grain()
    repeats, common = np.array(found).T
    often = float(np.percentile(repeats, 75))
    if often < REAL:
        return Grain(often, 0.0, smooth, quiet, _single_fills(blocks), clipped)
    if often > COARSE:
        return Grain(often, float(np.median(common[repeats > COARSE])))
    return Grain(often, clipped=clipped)


def _clipped_share(blocks: FloatImage) -> float:
    """Median share of the lowest value in the blocks that were clipped at it; 0 where few were."""
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
    return float(np.median(shares)) if 4 * len(shares) >= len(blocks) else 0.0


def _curvature(values: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Second differences of all inner pixels, along x and along y."""
    inner = 2 * values[..., 1:-1, 1:-1]
    along_x = np.abs(values[..., 1:-1, 2:] + values[..., 1:-1, :-2] - inner)
    return along_x, np.abs(values[..., 2:, 1:-1] + values[..., :-2, 1:-1] - inner)


def _measure_smooth(blocks: FloatImage) -> tuple[float, Mask]:
    """Below which second differences a pixel is in a gap, and the tiles of the blocks that are.

    In tiles of 8 × 8 pixels they are either those of the noise, or smaller by orders of magnitude.
    In noise fourth differences are as large as second ones; a smooth image has no threshold.
    """
    empty = np.zeros(blocks.shape, bool)
    n, height, width = blocks.shape
    ny, nx = height // _TILE, width // _TILE
    if not n * ny * nx:
        return 0.0, empty
    tiles = blocks[:, : ny * _TILE, : nx * _TILE].reshape(n, ny, _TILE, nx, _TILE).swapaxes(2, 3)
    with np.errstate(invalid="ignore", over="ignore"):
        rough = np.median(_curvature(tiles), axis=(-1, -2)).min(axis=0)  # gaps filled row by row
        fourth = np.median(np.abs(np.diff(tiles, 4)), axis=(-1, -2))
        level = np.median(np.abs(tiles), axis=(-1, -2))
        known = np.sort(rough[np.isfinite(rough) & (rough > 0)])
    if not known.size:
        return 0.0, empty
    ratio = known[1:] / known[:-1]
    last = int(np.argmax(ratio)) + 1 if ratio.size and ratio.max() > _BREAK else 0
    above = known[last:]
    usual = float(np.percentile(above, 5))
    at = rough >= above[0]
    noisy = np.median(fourth[at] / rough[at]) > _NOISE and usual > _PRECISION * np.nanmedian(level)
    if above.size < _LEAST_ROUGH * np.isfinite(rough).sum() or not noisy:
        return 0.0, empty
    low = np.kron((rough < above[0]) & (last > 0), np.ones((1, _TILE, _TILE), bool))
    empty[:, : ny * _TILE, : nx * _TILE] = low
    return SMOOTH * usual, empty


def _single_fills(blocks: FloatImage) -> tuple[float, ...]:
    """The commonest number, where single pixels of real numbers hold it too often for chance."""
    values, counts = np.unique(blocks[np.isfinite(blocks)], return_counts=True)
    order = np.argsort(counts)
    if len(order) < 2 or counts[order[-1]] < max(
        _FILL_SHARE * counts.sum(), _FILL_RATIO * counts[order[-2]]
    ):
        return ()
    same = blocks == values[order[-1]]
    joined = np.zeros_like(same)
    for axis in (1, 2):
        joined |= same & (np.roll(same, 1, axis) | np.roll(same, -1, axis))
    return (float(values[order[-1]]),) if joined.sum() < 0.5 * same.sum() else ()


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
    windows = values.reshape(-1, *values.shape[-2:])
    ask = grain or cache(lambda: measure_grain(windows))
    missing, saturated = _without_value(windows), np.zeros(windows.shape, bool)
    repeats, most = _repeats(windows)
    flat = repeats == most
    if flat.any() and not ask().coarse:
        missing[flat], repeats[flat] = True, 0
    suspects = np.flatnonzero(repeats >= CORE_PX - 1)
    for start in range(0, len(suspects), _AT_ONCE):
        part = suspects[start : start + _AT_ONCE]
        missing[part], saturated[part] = _in_plateaus(windows[part], missing[part], ask())
    for value in ask().fills:
        missing |= windows == np.float32(value)
    if ask().smooth and min(windows.shape[1:]) >= 5:
        thirds = windows[:, 1:-1:3, 1:-1:3].copy()
        _add_smooth(missing, saturated, windows, thirds, ask().smooth)
        if ask().quiet:
            add_quiet(missing, saturated, windows, thirds, ask().quiet)
            add_strips(missing, saturated, windows, ask().quiet)
    holes = missing.any(axis=(-1, -2)) & ~missing.all(axis=(-1, -2))
    for i in np.flatnonzero(holes):
        saturated[i] |= _dark_cores(windows[i], missing[i])
    return Gaps(missing.reshape(values.shape), saturated.reshape(values.shape))


def _without_value(windows: FloatImage) -> Mask:
    """Pixels that are not finite, or hold a fill value."""
    unusual, limit = np.zeros(windows.shape, bool), min(map(abs, FILL_VALUES))
    with np.errstate(invalid="ignore"):  # also of isin, which casts to the type of the pixels
        low, high = windows.min(axis=(-1, -2)), windows.max(axis=(-1, -2))
        for i in np.flatnonzero(~((low > -limit) & (high < limit))):
            sizes = np.abs(windows[i])
            large = ~(sizes < limit)
            large[large] = ~(sizes[large] < FILL_LARGE) | np.isin(windows[i][large], FILL_VALUES)
            unusual[i] = large
    return unusual


def _repeats(windows: FloatImage) -> tuple[NDArray[np.int64], int]:
    """Number of equal neighbours in each window (n,), and the most that is possible."""
    right = windows[..., 1:] == windows[..., :-1]
    down = windows[..., 1:, :] == windows[..., :-1, :]
    counts = [  # few are equal: a sum over all would take longer
        np.bincount(np.flatnonzero(pairs) // max(pairs[0].size, 1), minlength=len(windows))
        for pairs in (right, down)
    ]
    return np.asarray(counts[0] + counts[1]), right[0].size + down[0].size


def _in_plateaus(windows: FloatImage, missing: Mask, grain: Grain) -> tuple[Mask, Mask]:
    """Missing pixels and saturated cores of windows that have equal neighbours."""
    cores = np.zeros(windows.shape, bool)
    label, size, level, window = _plateaus(np.where(missing, np.float32(np.nan), windows))
    gap = (size >= PLATEAU_PX) & (not grain.coarse)
    if grain.real:
        gap |= (size >= ZEROS_PX) & (level == 0)
        gap[_at_border(label)] |= True
        gap &= size >= BORDER_PX
    gap[0] = False
    small = (size >= (CORE_PX if grain.real else ZEROS_PX)) & (size <= CORE_LARGEST_PX)
    plain = (label == 0) & ~missing
    for i in np.unique(window[small]).tolist():
        dark, bright = _brightness(windows[i][plain[i]])
        chosen = np.flatnonzero(small & (window == i) & (level > bright))
        for number, part, ring in _with_ring(label[i], chosen, windows[i], plain[i]):
            edge = dark + CORE_EDGE * (level[number] - dark)
            if ring.max() < level[number] and np.percentile(ring, 75) > edge:
                gap[number] = False
                cores[i] |= part
    missing = missing | gap[label]
    if grain.coarse:
        missing |= _equal_squares(windows, grain.common) & ~cores
    return missing, cores


def _add_smooth(
    missing: Mask, saturated: Mask, windows: FloatImage, thirds: FloatImage, limit: float
) -> None:
    """Mark boxes of 5 × 5 pixels, corners aside, that vary without noise; cores aside.

    Every third pixel (`thirds`) is looked at first: each box has one among its inner ones. Around
    those that vary little the box is sought in 7 × 7 pixels.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        centers = 2 * thirds
        few = np.abs(windows[:, 1:-1:3, :-2:3] + windows[:, 1:-1:3, 2::3] - centers) <= limit
        few &= np.abs(windows[:, :-2:3, 1:-1:3] + windows[:, 2::3, 1:-1:3] - centers) <= limit
    for i in np.flatnonzero(few.any(axis=(-1, -2)) & missing.any(axis=(-1, -2))):
        within = np.pad(_all_around(missing[i])[::3, ::3], 1, constant_values=True)
        few[i] &= ~_all_around(within)
    found = np.argwhere(few)
    for start in range(0, len(found), _TOGETHER):
        i, row, column = (at[:, None, None] for at in found[start : start + _TOGETHER].T)
        y = 3 * row + 1 + np.arange(-3, 4)[:, None]  # (n, 7, 1)
        x = 3 * column + 1 + np.arange(-3, 4)
        height, width = windows.shape[1:]
        inner = (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
        at = i, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
        with np.errstate(invalid="ignore", over="ignore"):
            along_x, along_y = _curvature(windows[at])  # (n, 5, 5)
            inside = (along_x <= limit) & (along_y <= limit) & inner[:, 1:-1, 1:-1]
        boxes = np.ones_like(inside[:, 1:-1, 1:-1])  # (n, 3, 3), by their centers
        for dy, dx in np.ndindex(3, 3):
            boxes &= inside[:, dy : dy + 3, dx : dx + 3]
        part = np.zeros(inner.shape, bool)
        for dy, dx in np.ndindex(5, 5):
            if (dy, dx) not in ((0, 0), (0, 4), (4, 0), (4, 4)):
                part[:, dy : dy + 3, dx : dx + 3] |= boxes
        hit = tuple(np.broadcast_to(index, part.shape)[part] for index in at)
        missing[hit] |= ~saturated[hit]


def _all_around(mask: Mask) -> Mask:
    """Of the inner pixels, those that are set with all their neighbors."""
    rows = mask[:-2] & mask[1:-1] & mask[2:]
    return np.asarray(rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:])


def _plateaus(
    windows: FloatImage,
) -> tuple[Labels, NDArray[np.int64], FloatImage, NDArray[np.int64]]:
    """Connected pixels of one value: labels of the pixels; by label size, value and window.

    Label 0 are all pixels that have fewer than `CORE_PX` in connection.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start = np.ones(windows.shape, bool)  # of a run of equal pixels in a row
    np.not_equal(windows[..., 1:], windows[..., :-1], out=start[..., 1:])
    run = np.cumsum(start.ravel(), dtype=np.int32).reshape(windows.shape) - 1
    joined = windows[..., 1:, :] == windows[..., :-1, :]
    joined &= start[..., 1:, :] | start[..., :-1, :]  # two runs are joined once
    above, below = run[..., :-1, :][joined], run[..., 1:, :][joined]
    first = np.flatnonzero(start)
    length = np.diff(first, append=windows.size)
    involved = length >= CORE_PX
    involved[above] = involved[below] = True
    nodes, node = np.flatnonzero(involved), np.cumsum(involved, dtype=np.int32) - 1
    edges = coo_array((np.ones(len(above), bool), (node[above], node[below])), (len(nodes),) * 2)
    n, member = connected_components(edges, directed=False)
    size = np.bincount(member, length[nodes], n).astype(np.int64)
    kept = size >= CORE_PX
    number = np.where(kept, np.cumsum(kept), 0)[member]
    label = np.zeros(len(first), np.int32)
    label[nodes] = number
    pixel = np.zeros(int(kept.sum()) + 1, np.int64)  # one of each plateau
    pixel[number] = first[nodes]
    level = windows.ravel()[pixel]
    return (
        label[run],
        np.concatenate(([0], size[kept])),
        level,
        pixel // math.prod(windows.shape[1:]),
    )


def _at_border(label: Labels) -> Labels:
    """Labels that touch the border of their window."""
    sides = (label[..., [0, -1], :], label[..., [0, -1]])
    return np.unique(np.concatenate([side.ravel() for side in sides]))


def _brightness(values: FloatImage) -> tuple[float, float]:
    """Median of the plain pixels of a window, and from where on others are bright."""
    if not values.size:
        return math.nan, math.nan
    low = np.median(values)
    return float(low), float(low + CORE_SIGMA * 1.4826 * np.median(np.abs(values - low)))


def _with_ring(
    label: Labels, numbers: NDArray[np.int64], values: FloatImage, plain: Mask
) -> Iterator[tuple[int, Mask, FloatImage]]:
    """Number and pixels of some labels, and the values of the plain pixels that touch them."""
    from scipy import ndimage

    for number in numbers.tolist():
        part = label == number
        ring = values[ndimage.binary_dilation(part, np.ones((3, 3), bool)) & plain]
        if ring.size:
            yield number, part, ring


def _dark_cores(values: FloatImage, missing: Mask) -> Mask:
    """Holes of missing pixels in the light of a bright star, in one window."""
    from scipy import ndimage

    core = np.zeros(values.shape, bool)
    label, n = ndimage.label(missing)
    size = np.bincount(label.ravel(), minlength=n + 1)
    fits = (size >= CORE_PX) & (size <= CORE_LARGEST_PX)
    fits[_at_border(label)] = False
    fits[0] = False
    if fits.any():
        plain = ~missing
        bright = _brightness(values[plain])[1]
        for _, part, ring in _with_ring(label, np.flatnonzero(fits), values, plain):
            if np.median(ring) > bright:
                core |= part
    return core


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
