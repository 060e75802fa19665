"""Gaps of tile-compressed images, which subtractive dithering turned into small random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe.images.reading.gaps import FloatImage, Mask

LEAST_SQUARES = 11
"""Squares of 2 × 2 pixels, as many as in 2 × 12 pixels, that make a gap where they overlap."""

MARGIN_ROWS = 12
"""Rows that are looked at around those that are asked for: a gap shows by its surroundings."""

_NOISY_STEPS, _SLACK = 4, 1.001
_NEAR, _SHARE = 0.6, 0.85
_ROWS, _SAMPLED, _TOGETHER = 16, 48, 20_000


def mark_dithered(
    strip: FloatImage, steps: FloatImage, tile: tuple[int, ...], first: int = 0
) -> FloatImage:
    """Rows of a dithered image, from row `first` on, with NaN in their gaps, in place."""
    gaps = dithered_gaps(strip, steps_of_pixels(strip, steps, tile, first))
    np.copyto(strip, np.nan, where=gaps)
    return strip


def steps_of_pixels(
    strip: FloatImage, steps: FloatImage, tile: tuple[int, ...], first: int
) -> FloatImage:
    """Step of quantisation of each pixel of rows from `first` on; of a row, if it is one tile."""
    tile_rows = (first + np.arange(len(strip))) // tile[-2]
    columns = strip.shape[1] if steps.shape[1] > 1 else 1
    return steps[tile_rows[:, None], np.arange(columns) // tile[-1]]


def dither_steps(hdu: Any) -> FloatImage | None:
    """Step of quantisation of each tile (tile row, tile column); None where nothing is dithered."""
    table = getattr(hdu, "_bintable", None)  # astropy shows the image or its table, not both
    if table is None or "SUBTRACTIVE" not in str(table.header.get("ZQUANTIZ", "")):
        return None
    height, width = hdu.shape[-2:]
    tiles = -(-height // hdu.tile_shape[-2]), -(-width // hdu.tile_shape[-1])
    if "ZSCALE" in table.columns.names:
        steps = np.asarray(table.data["ZSCALE"], np.float32)
    else:
        steps = np.full(tiles, table.header.get("ZSCALE", 0), np.float32)
    return np.nan_to_num(np.abs(steps.reshape(tiles)))


def dithered_gaps(values: FloatImage, step: FloatImage) -> Mask:
    """Pixels of a constant that was rounded with subtractive dithering.

    The dithering of a tile-compressed image (cfitsio's SUBTRACTIVE_DITHER_1) turns equal numbers
    into random ones within one step of quantisation. A gap are boxes of 5 × 5 pixels within one
    step; where the noise is of some steps, also squares of 2 × 2 within one step, if at least
    `LEAST_SQUARES` overlap: these find thin gaps in any direction. Beyond the border the image is
    taken to go on as it is there.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        Image.
    step : ndarray, shape (H, W) or (H, 1)
        Step of each pixel; no step is zero.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    found = np.zeros(values.shape, bool)
    if min(values.shape) < 2 or not step.any():
        return found
    flat = _flat_squares(values, step)
    if _is_noisy(values, step):
        _add_connected(found, flat, values, step)
    _add_boxes(found, flat, values, step)
    return found


def _flat_squares(values: FloatImage, step: FloatImage) -> Mask:
    """Squares of 2 × 2 pixels within one step, by their first pixel: (H + 4, W + 4).

    Two more on each side are as those at the border; the last row and column are not set.
    """
    height, width = values.shape
    flat = np.zeros((height + 4, width + 4), bool)
    limit = np.maximum(step[1:], step[:-1])
    if limit.shape[1] > 1:
        limit = np.maximum(limit[:, 1:], limit[:, :-1])
    limit = np.where(limit > 0, _SLACK * limit, np.float32(-1))
    with np.errstate(invalid="ignore"):
        for y in range(0, height - 1, _ROWS):  # few enough for the processor's cache
            part = values[y : min(y + _ROWS + 1, height)]
            low, high = np.minimum(part[1:], part[:-1]), np.maximum(part[1:], part[:-1])
            spread = np.maximum(high[:, 1:], high[:, :-1])
            spread -= np.minimum(low[:, 1:], low[:, :-1])
            rows = slice(y + 2, y + 2 + len(spread))
            np.less_equal(spread, limit[y : y + len(spread)], out=flat[rows, 2 : width + 1])
    flat[:2], flat[height + 1 : height + 3] = flat[2], flat[height]
    flat[:, :2] = flat[:, 2:3]
    flat[:, width + 1 : width + 3] = flat[:, width : width + 1]
    return flat


def _is_noisy(values: FloatImage, step: FloatImage) -> bool:
    """Whether the noise is of some steps, by samples of 2 × 12 pixels."""
    n = values.shape[1] // 12
    first, second = slice(0, len(values) - 1, _SAMPLED), slice(1, None, _SAMPLED)
    pairs = values[first, : 12 * n], values[second, : 12 * n]
    shape = len(pairs[1]), n, 12
    of_sample = np.maximum(step[first, : 12 * n : 12], step[second, : 12 * n : 12])
    with np.errstate(invalid="ignore", divide="ignore"):
        high = np.maximum(*pairs).reshape(shape).max(axis=2)
        low = np.minimum(*pairs).reshape(shape).min(axis=2)
        spread = (high - low) / of_sample
    spread = spread[np.isfinite(spread)]
    return bool(spread.size and np.percentile(spread, 90) >= _NOISY_STEPS)


def _add_connected(found: Mask, flat: Mask, values: FloatImage, step: FloatImage) -> None:
    """Mark squares that overlap, where nearly all their pixels are within half a step."""
    first, last, member = _connected_runs(flat)
    size = np.bincount(member, last - first + 1)
    big = size[member] >= LEAST_SQUARES if size.size else np.zeros(0, bool)
    if not big.any():
        return
    length = (last - first + 2)[big]
    pixel = np.repeat(first[big] - np.cumsum(length) + length, length) + np.arange(length.sum())
    pixel = np.concatenate((pixel, pixel + flat.shape[1]))
    member = np.tile(np.repeat(member[big], length), 2)
    y, x = (
        np.clip(at - 2, 0, side - 1)
        for at, side in zip(np.divmod(pixel, flat.shape[1]), values.shape, strict=True)
    )
    n, value = np.bincount(member), values[y, x]
    level = np.bincount(member, value) / np.maximum(n, 1)
    step = np.maximum(step, np.maximum(np.roll(step, 1, 0), np.roll(step, -1, 0)))  # of neighbors
    near = np.abs(value - level[member]) <= _NEAR * step[y, x % step.shape[1]]
    near &= (np.bincount(member, near) >= _SHARE * n)[member]
    found[y[near], x[near]] = True


def _connected_runs(flat: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Runs of set pixels in rows: first and last pixel, and which of them touch, also diagonally.

    The last column is not set.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pixel, width = np.flatnonzero(flat), flat.shape[1]
    apart = np.flatnonzero(np.diff(pixel) > 1)
    first = pixel[np.concatenate(([0], apart + 1))] if pixel.size else pixel
    last = pixel[np.concatenate((apart, [-1]))] if pixel.size else pixel
    low = np.searchsorted(last, first + width - 1)
    n = np.maximum(np.searchsorted(first, last + width + 1, "right") - low, 0)
    above = np.repeat(np.arange(len(first)), n)
    below = np.repeat(low - np.cumsum(n) + n, n) + np.arange(n.sum())
    edges = coo_array((np.ones(len(above), bool), (above, below)), (len(first),) * 2)
    return first, last, connected_components(edges, directed=False)[1]


def _add_boxes(found: Mask, flat: Mask, values: FloatImage, step: FloatImage) -> None:
    """Mark boxes of 5 × 5 pixels within one step, where they are not marked yet."""
    rows = flat[:-3] & flat[1:-2]
    rows &= flat[2:-1]
    rows &= flat[3:]
    inside = rows[:, :-3] & rows[:, 1:-2]
    inside &= rows[:, 2:-1]
    inside &= rows[:, 3:]
    if not inside.any():
        return
    height, width = values.shape
    corners = np.argwhere(inside) - 2
    known = [
        found[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        for y, x in ((corners + at).T for at in ((0, 0), (0, 4), (2, 2), (4, 0), (4, 4)))
    ]
    corners = corners[~np.all(known, axis=0)]
    for start in range(0, len(corners), _TOGETHER):
        y, x = (at[:, None, None] for at in corners[start : start + _TOGETHER].T)
        y = np.clip(y + np.arange(5)[:, None], 0, height - 1)
        x = np.clip(x + np.arange(5), 0, width - 1)
        box, limit = values[y, x], step[y, x % step.shape[1]].max(axis=(1, 2))
        with np.errstate(invalid="ignore"):
            constant = box.max(axis=(1, 2)) - box.min(axis=(1, 2)) <= _SLACK * limit
        found[y[constant], x[constant]] = True
