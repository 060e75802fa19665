"""Gaps with little noise or none: zeros that fpack dithered, skies that were subtracted later.

So are columns and rows that were interpolated from their sides.

No light makes the noise of a place several times less than that of the faintest sky beside it.
Noise is told by second differences: of neighbors, where a gap has none; else over three pixels,
beyond which drizzled noise is independent. Each kind of gap is looked for in some of the pixels
first, as one flat array of all windows: what goes over the end of a row is looked at in vain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMOOTH = 3e-3
"""Second differences that are smaller in a box of 5 × 5 pixels, in units of what is usual in the
image, are no measurements: a sky that varies was subtracted from a gap."""

_ROUND = np.array([(0, y - 2, x - 2) for y, x in np.ndindex(5, 5) if (y % 4, x % 4) != (0, 0)])
_ROUND = _ROUND.T[:, None]
"""The pixels (window, y, x) of a box, seen from its center; its corners are none."""

_BREAK, _NOISE, _LEAST_ROUGH, _PRECISION = 1000, 0.3, 1 / 8, 1e-5
_SMALL_TILE = 8

_WIDE, _LONG, _LEAST_STRAIGHT, _MOST_STRAIGHT = 3, 9, 25, 0.5
"""So many pixels, in so many rows, were interpolated from their sides where at least 25 of them
have small second differences, and not half of the window is like this: an image on finer pixels
is."""

_STRAIGHT, _FINER = 0.3, 0.25
"""Small is what is below this share of what is usual: of quantised pixels, or those divided by a
flat. What is usual has to be this share of second differences over three pixels; on finer pixels
it is less."""

_IN_CACHE = 16
"""Windows that are looked at together."""

_LAG = 3
_TILE = 16

_VOID, _BETWEEN, _LEAST_ABOVE = 4.0, 0.25, 1 / 8
"""Tiles of a gap vary so many times less than any other; so few of them, as a share, are in between
(those on its edge); at least this share of all are the image's."""

_USUAL_SKEW = 1.6
"""Light of stars stands out upwards; the noise of the sky does not."""

_LIMIT = 0.4
"""Second differences below this share of what is usual are quiet: one of five in the image."""

_MOST_QUIET, _MOST_STILL = 0.35, 0.1
"""In noise fewer are; and fewer are below a tenth of the limit, as many are in an image that was
interpolated."""

_BOX, _REACH, _SHARE, _ONE_WAY = 9, 7, 0.7, 0.9
"""Where this share of a box is quiet, in both directions or in one, its inner pixels are a gap."""

_STRIP, _ALONG, _TOGETHER = 25, 0.85, 10_000
"""Length of a strip, this share of which is quiet; and how many are looked at together."""


def measure_smooth(blocks: FloatImage) -> tuple[float, Mask]:
    """Below which second differences a pixel is in a gap, and the tiles of the blocks that are.

    In tiles of 8 × 8 pixels they are either those of the noise, or smaller by orders of magnitude.
    In noise fourth differences are as large as second ones; a smooth image has no threshold.
    """
    empty = np.zeros(blocks.shape, bool)
    if min(blocks.shape[1:]) < _SMALL_TILE:
        return 0.0, empty
    tiles = _tiles(blocks, _SMALL_TILE)
    along = _curvature(tiles, -1, 1)[..., 1:-1, :], _curvature(tiles, -2, 1)[..., 1:-1]
    rough = np.median(along, axis=(-1, -2)).min(axis=0)  # gaps filled row by row
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
    if last:
        _tiles(empty, _SMALL_TILE)[rough < above[0]] = True
    return SMOOTH * usual, empty


def measure_quiet(blocks: FloatImage) -> tuple[float, Mask]:
    """Below which second differences are quiet, and the tiles of the blocks (n, y, x) that are.

    The limit is 0 where those of the image itself often are, or nothing is known.
    """
    empty = np.zeros(blocks.shape, bool)
    if min(blocks.shape[1:]) < _TILE:
        return 0.0, empty
    tiled = _tiles(blocks, _TILE)
    tiles = tiled.reshape(-1, _TILE, _TILE)
    curvature = _curvatures(tiles, _LAG)
    rough = np.median(curvature, axis=-1).min(axis=0)  # a row may go on in a gap
    whole = np.isfinite(curvature).all(axis=(0, 2)) & (rough > 0)
    known = np.sort(rough[whole])
    if not known.size:
        return 0.0, empty
    floor = known[_void_below(known)]
    near = whole & (rough >= floor) & (rough <= 2 * floor)
    if floor > known[0] and not (_limit(floor, curvature[:, near]) and _is_noise(tiles[near])):
        floor = known[0]
    if floor > known[0]:
        low = whole & (rough < floor)
        _tiles(empty, _TILE)[low.reshape(tiled.shape[:3])] = True
    usual = float(np.percentile(known[known >= floor], 5))
    return _limit(usual, curvature[:, whole & (rough >= floor)]), empty


def measure_straight(blocks: FloatImage) -> float:
    """Below which second differences of neighbors are those of straight lines, quantised or not.

    0 where the noise of neighbors is hardly independent.
    """
    if min(blocks.shape[1:]) < _TILE:
        return 0.0
    tiles = _tiles(blocks, _TILE).reshape(-1, _TILE, _TILE)
    usual = []
    for lag in (1, _LAG):
        rough = np.median(_curvatures(tiles, lag), axis=-1).min(axis=0)
        rough = rough[np.isfinite(rough) & (rough > 0)]
        usual.append(float(np.percentile(rough, 5)) if rough.size else 0.0)
    return _STRAIGHT * usual[0] if usual[0] >= _FINER * usual[1] else 0.0


def _tiles(blocks: NDArray[Any], side: int) -> NDArray[Any]:
    """A view of blocks (n, y, x) as tiles (n, tile row, tile column, y, x)."""
    every = (slice(None), slice(None, None, side), slice(None, None, side))
    return sliding_window_view(blocks, (side, side), (1, 2), writeable=True)[every]


def _curvature(values: FloatImage, axis: int, lag: int) -> FloatImage:
    """Second differences along an axis."""
    values = np.moveaxis(values, axis, 0)
    second = values[2 * lag :] + values[: -2 * lag] - 2 * values[lag:-lag]
    return np.moveaxis(np.abs(second), 0, axis)


def _curvatures(tiles: FloatImage, lag: int) -> FloatImage:
    """Second differences of tiles (n, y, x) along both axes: (axis, n, value)."""
    along = (_curvature(tiles, axis, lag).reshape(len(tiles), -1) for axis in (1, 2))
    return np.stack(list(along))


def _void_below(rough: NDArray[np.float32]) -> int:
    """Number of tiles that belong to quiet gaps, by the sorted roughness of all."""
    at = np.arange(rough.size)
    last = np.searchsorted(rough, rough / _VOID)
    fits = (last > 0) & (at - last <= _BETWEEN * last)
    fits &= rough.size - at >= _LEAST_ABOVE * rough.size
    return int(np.argmax(fits)) if fits.any() else 0


def _is_noise(tiles: FloatImage) -> bool:
    """Whether the values of most tiles (n, y, x) scatter as far up as down."""
    low, middle, high = np.percentile(tiles.reshape(len(tiles), -1), (10, 50, 90), axis=1)
    return bool(np.median(high - middle) <= _USUAL_SKEW * np.median(middle - low))


def _limit(usual: float, curvature: FloatImage) -> float:
    """The limit by what is usual; 0 where too many second differences of the image are below."""
    limit = _LIMIT * float(usual)
    share, still = (np.mean(curvature <= below, axis=(1, 2)) for below in (limit, limit / 10))
    return limit if share.max() <= _MOST_QUIET and still.max() <= _MOST_STILL else 0.0


def add_with_little_noise(
    missing: Mask,
    saturated: Mask,
    windows: FloatImage,
    *,
    smooth: float,
    straight: float,
    quiet: float,
) -> None:
    """Mark what is missing in windows (n, y, x) for its little noise; saturated cores aside.

    The limits are those of `measure_smooth`, `measure_straight` and `measure_quiet`.
    """
    side = min(windows.shape[1:])
    if smooth and side >= 5:
        _add_smooth(missing, saturated, windows, smooth)
    lines = missing.copy()  # none of the two searches leaves out what the other has found
    if max(smooth, straight) and side > _LONG:
        for axis in (1, 2):
            _add_straight(lines, saturated, windows, max(smooth, straight), axis)
    if quiet and side > 2 * _LAG:
        _add_boxes(missing, saturated, windows, quiet)
        for at in ((0, 1, 2), (0, 2, 1)):
            turned = missing.transpose(at), saturated.transpose(at), windows.transpose(at)
            _add_strips(*turned, quiet)
    missing |= lines


def _small(values: FloatImage, limit: float, step: int) -> Mask:
    """Pixels whose second differences in the flat array, over `step` pixels, are small."""
    small, flat = np.zeros(values.shape, bool), values.reshape(-1)
    second = flat[2 * step :] + flat[: -2 * step]
    second -= 2 * flat[step:-step]
    np.less_equal(np.abs(second, out=second), limit, out=small.reshape(-1)[step:-step])
    return small


def _every_third(rows: FloatImage, limit: float) -> Mask:
    """Whether second differences are small, of the second pixel of rows and every third from it."""
    left, center, right = (rows[..., at : rows.shape[-1] - 2 + at : 3] for at in range(3))
    second = left + right
    second -= 2 * center
    return np.asarray(np.abs(second, out=second) <= limit)


def _add_smooth(missing: Mask, saturated: Mask, windows: FloatImage, limit: float) -> None:
    """Mark boxes of 5 × 5 pixels, corners aside, that vary without noise; cores aside.

    Every third pixel of every third row is looked at first: each box has one among its inner ones.
    Around those that vary little the box is sought in 7 × 7 pixels.
    """
    few = _every_third(windows[:, 1:-1:3], limit)
    holes = np.flatnonzero(few.any(axis=(1, 2)) & missing.any(axis=(1, 2)))
    if holes.size:
        around = _all_around(missing[holes])[:, ::3, ::3]
        around = np.pad(around, ((0, 0), (1, 1), (1, 1)), constant_values=True)
        few[holes] &= ~_all_around(around)
    i, y, x = np.unravel_index(np.flatnonzero(few), few.shape)  # faster than nonzero
    y, x = 3 * y + 1, 3 * x + 1
    second = windows[i, y - 1, x] + windows[i, y + 1, x] - 2 * windows[i, y, x]
    kept = np.abs(second) <= limit
    found = np.stack([i, y, x])[:, kept]
    for start in range(0, found.shape[1], _TOGETHER):
        _mark_smooth(missing, saturated, windows, limit, found[:, start : start + _TOGETHER])


def _mark_smooth(
    missing: Mask, saturated: Mask, windows: FloatImage, limit: float, found: NDArray[np.intp]
) -> None:
    """Mark the boxes around some pixels (window, y, x) that have these among their inner ones."""
    height, width = windows.shape[1:]
    i, y, x = (at[:, None, None] for at in found)
    y, x = y + np.arange(-3, 4)[:, None], x + np.arange(-3, 4)  # (n, 7, 7)
    inner = (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
    around = windows[i, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    inside = _curvature(around, 1, 1)[..., 1:-1] <= limit  # (n, 5, 5)
    inside &= _curvature(around, 2, 1)[:, 1:-1] <= limit
    n, dy, dx = np.nonzero(_all_around(inside & inner[:, 1:-1, 1:-1]))
    centers = found[:, n] + (0 * dy, dy - 1, dx - 1)
    boxes = tuple(centers[..., None] + _ROUND)
    missing[boxes] |= ~saturated[boxes]


def _add_straight(
    missing: Mask, saturated: Mask, windows: FloatImage, limit: float, axis: int
) -> None:
    """Mark strips of 9 × 3 pixels that are straight lines along an axis; cores aside."""
    steps = windows.shape[2], 1
    along, across = steps[axis - 1], steps[2 - axis]
    for start in range(0, len(windows), _IN_CACHE):
        some = slice(start, start + _IN_CACHE)
        small = _small(windows[some], limit, along) & ~saturated[some]
        in_row = _sums(small.view(np.uint8).reshape(-1), _WIDE, along)
        strips = np.flatnonzero(_sums(in_row, _LONG, across) >= _LEAST_STRAIGHT)
        if strips.size:
            known, last = missing[some].reshape(-1), (_WIDE - 1) * along + (_LONG - 1) * across
            strips = strips[~(known[strips] | known[strips + last])]
        for at in np.unique(strips // small[0].size).tolist():
            if small[at].mean() <= _MOST_STRAIGHT:
                turned = small[at] if axis == 2 else small[at].T
                straight = _pixels_of_strips(turned)
                straight = straight if axis == 2 else straight.T
                missing[start + at] |= straight & ~saturated[start + at]


def _sums(values: NDArray[np.uint8], n: int, step: int) -> NDArray[np.uint8]:
    """Sums of n values of a flat array that are `step` apart."""
    size = len(values) - (n - 1) * step
    total = values[:size] + values[step : step + size]
    for k in range(2, n):
        total += values[k * step : k * step + size]
    return total


def _pixels_of_strips(small: Mask) -> Mask:
    """Pixels of a window (y, x) that lie in strips of straight rows.

    An end of a strip may be a row of the image that is straight by chance: it has to be so whole.
    """
    rows = sliding_window_view(small[:, 1:-1], _WIDE, 1).sum(axis=-1)
    strips = sliding_window_view(rows, _LONG, 0).sum(axis=-1) >= _LEAST_STRAIGHT
    straight, last = np.zeros(small.shape, bool), _LONG - 1
    for row in range(_LONG):
        part = slice(row, row + len(strips))
        of_row = strips & (rows[part] == _WIDE) if row in (0, last) else strips
        for column in range(1, 1 + _WIDE):
            straight[part, column : column + strips.shape[1]] |= of_row
    return straight


def _all_around(masks: Mask) -> Mask:
    """Of the inner pixels of masks (n, y, x), those that are set with all their neighbors."""
    rows = masks[:, :-2] & masks[:, 1:-1] & masks[:, 2:]
    return np.asarray(rows[..., :-2] & rows[..., 1:-1] & rows[..., 2:])


def _add_boxes(missing: Mask, saturated: Mask, windows: FloatImage, limit: float) -> None:
    """Mark boxes whose second differences, in x or in y, are mostly quiet; cores aside.

    A window is looked at where 3 × 3 of every third pixel of every third row are quiet.
    """
    thirds = windows[:, 1:-1:_LAG, 1:-1:_LAG].copy()
    width, found = thirds.shape[2], []
    known = missing.all(axis=(1, 2))
    for step in (1, width):
        small = _small(thirds, limit, step)
        small[known] = False
        box = _in_a_row(small.reshape(-1), 1, 1, width, width)
        found.append(np.flatnonzero(box) + 1 + width)
    i, y, x = np.unravel_index(np.concatenate(found), thirds.shape)
    unknown = ~missing[i, _LAG * y + 1, _LAG * x + 1]
    for window in np.unique(i[unknown]).tolist():
        gap = _quiet_boxes(windows[window], saturated[window], limit)
        missing[window] |= gap & ~saturated[window]


def _in_a_row(flat: Mask, *shifts: int) -> Mask:
    """By the first, where one is set, and so are those of the result that are so far behind it."""
    for shift in shifts:
        flat = flat[:-shift] & flat[shift:]
    return flat


def _add_strips(missing: Mask, saturated: Mask, windows: FloatImage, limit: float) -> None:
    """Mark strips of two columns and 25 pixels in length that are mostly quiet along it.

    They are looked at where seven of every third pixel are quiet, in every second column.
    """
    some = (slice(None), slice(None, None, _LAG), slice(None, None, 2))
    width = windows[some].shape[2]
    small = _small(windows[some].copy(), limit, width)
    holes = np.flatnonzero(missing.any(axis=(1, 2)))
    small[holes] &= ~missing[some][holes]
    seven = np.flatnonzero(_in_a_row(small.reshape(-1), width, 2 * width, 3 * width))
    i, row, column = np.unravel_index(seven, small.shape)
    kept = (row > 0) & (row + 7 < small.shape[1])
    corners = np.stack([i, _LAG * (row - 1), 2 * column])[:, kept]
    for start in range(0, corners.shape[1], _TOGETHER):
        _mark_strips(missing, saturated, windows, limit, corners[:, start : start + _TOGETHER])


def _mark_strips(
    missing: Mask, saturated: Mask, windows: FloatImage, limit: float, corners: NDArray[np.intp]
) -> None:
    """Mark those of some strips, beside a column (window, first y, x), that are mostly quiet."""

    def share(*at: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.mean(_curvature(windows[at], 1, _LAG) <= limit, axis=1)

    i, y, x = (at[:, None] for at in corners)
    y = y + np.arange(_STRIP)
    own = share(i, y, x)
    able = own > 2 * _ALONG - 1
    for side in (-1, 1) if able.any() else ():
        kept = able & (x[:, 0] + side >= 0) & (x[:, 0] + side < windows.shape[2])
        kept[kept] = share(i[kept], y[kept], x[kept] + side) + own[kept] > 2 * _ALONG
        for other in (0, side):
            strip = i[kept], y[kept], x[kept] + other
            missing[strip] |= ~saturated[strip]


def _quiet_boxes(values: FloatImage, saturated: Mask, limit: float) -> Mask:
    """Pixels in boxes that are mostly quiet; saturated ones are not."""
    from scipy import ndimage

    shares = []
    for axis in (0, 1):
        around = [(_LAG, _LAG) if axis == other else (0, 0) for other in (0, 1)]
        quiet = _curvature(values, axis, _LAG) <= limit
        quiet = np.pad(quiet, around, mode="edge") & ~saturated
        shares.append(ndimage.uniform_filter(quiet.astype(np.float32), _BOX))
    inner = (np.add(*shares) > 2 * _SHARE) | (np.maximum(*shares) > _ONE_WAY)
    return np.asarray(ndimage.maximum_filter(inner, _REACH))
