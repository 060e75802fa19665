"""Gaps with a little noise: zeros that fpack dithered, or that were filled in from around.

No light makes the noise of a place several times less than that of the faintest sky beside it.
Noise is told by second differences over three pixels, beyond which drizzled noise is independent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]

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


_STRIP, _ALONG, _TOGETHER = 25, 0.85, 20_000
"""Length of a strip, this share of which is quiet; and how many are looked at together."""


def measure_quiet(blocks: FloatImage) -> tuple[float, Mask]:
    """Below which second differences are quiet, and the tiles of the blocks (n, y, x) that are.

    The limit is 0 where those of the image itself often are, or nothing is known.
    """
    empty = np.zeros(blocks.shape, bool)
    n, height, width = blocks.shape
    ny, nx = height // _TILE, width // _TILE
    tiles = blocks[:, : ny * _TILE, : nx * _TILE].reshape(n, ny, _TILE, nx, _TILE).swapaxes(2, 3)
    tiles = tiles.reshape(-1, _TILE, _TILE)
    with np.errstate(invalid="ignore", over="ignore"):
        curvature = np.stack([_curvature(tiles, axis).reshape(len(tiles), -1) for axis in (1, 2)])
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
        low = (whole & (rough < floor)).reshape(n, ny, nx)
        empty[:, : ny * _TILE, : nx * _TILE] = np.kron(low, np.ones((1, _TILE, _TILE), bool))
    usual = float(np.percentile(known[known >= floor], 5))
    return _limit(usual, curvature[:, whole & (rough >= floor)]), empty


def _curvature(values: FloatImage, axis: int) -> FloatImage:
    """Second differences along an axis."""
    values = np.moveaxis(values, axis, 0)
    second = values[2 * _LAG :] + values[: -2 * _LAG] - 2 * values[_LAG:-_LAG]
    return np.moveaxis(np.abs(second), 0, axis)


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


def add_quiet(
    missing: Mask, saturated: Mask, windows: FloatImage, thirds: FloatImage, limit: float
) -> None:
    """Mark boxes whose second differences, in x or in y, are mostly quiet; cores aside.

    Where 3 × 3 of every third pixel (`thirds`, from the second on) are quiet, all are looked at.
    Neighbours are taken in the flat array: what wraps around is looked at in vain.
    """
    width, flat = thirds.shape[2], thirds.ravel()
    if flat.size <= 4 * width:
        return
    found = []
    for step in (1, width):
        with np.errstate(invalid="ignore", over="ignore"):
            second = flat[2 * step :] + flat[: -2 * step]
            second -= 2 * flat[step:-step]
            quiet = np.abs(second, out=second) <= limit
        row = quiet[:-2] & quiet[1:-1]
        row &= quiet[2:]
        box = row[: max(len(row) - 2 * width, 0)] & row[width : max(len(row) - width, width)]
        box &= row[2 * width :]
        found.append(np.flatnonzero(box) + step + 1 + width)
    i, y, x = np.unravel_index(np.concatenate(found), thirds.shape)
    unknown = ~missing[i, 3 * y + 1, 3 * x + 1]
    for window in np.unique(i[unknown]).tolist():
        gap = _quiet_boxes(windows[window], saturated[window], limit)
        missing[window] |= gap & ~saturated[window]


def add_strips(missing: Mask, saturated: Mask, windows: FloatImage, limit: float) -> None:
    """Mark strips of two rows or columns and 25 pixels in length that are mostly quiet along it.

    Every second one is looked at first, at every third pixel.
    """
    for axis in (1, 2):
        values = np.moveaxis(windows, axis, 1)
        gap, core = np.moveaxis(missing, axis, 1), np.moveaxis(saturated, axis, 1)
        if values.shape[1] < _STRIP or values.shape[2] < 2:
            continue
        some = values[:, ::_LAG, ::2].copy()
        with np.errstate(invalid="ignore", over="ignore"):
            second = some[:, 2:] + some[:, :-2]
            second -= 2 * some[:, 1:-1]
            quiet = np.abs(second, out=second) <= limit
        quiet &= ~gap[:, _LAG:-_LAG:_LAG, ::2][:, : quiet.shape[1]]
        for shift in (1, 2, 3):  # of seven neighbors all
            quiet = quiet[:, :-shift] & quiet[:, shift:]
        found = np.flatnonzero(quiet)
        for start in range(0, len(found), _TOGETHER):
            corners = np.unravel_index(found[start : start + _TOGETHER], quiet.shape)
            _mark_strips(values, gap, core, corners, limit)


def _mark_strips(
    values: FloatImage, gap: Mask, core: Mask, corners: tuple[NDArray[np.intp], ...], limit: float
) -> None:
    """Mark those of some strips that are quiet at most of their pixels."""
    i, row, column = (at[:, None, None] for at in corners)
    y, x = _LAG * row + np.arange(_STRIP)[:, None], 2 * column + np.arange(-1, 2)
    at = i, y, np.clip(x, 0, values.shape[2] - 1)
    with np.errstate(invalid="ignore", over="ignore"):
        share = (_curvature(values[at], 1) <= limit).mean(axis=1)  # (n, 3)
    share[x[:, 0] != at[2][:, 0]] = 0  # off the window
    pairs = share[:, 1:] + share[:, :-1] > 2 * _ALONG
    for left in np.flatnonzero(pairs.any(axis=0)).tolist():
        kept = pairs[:, left]
        strip = i[kept], y[kept], at[2][kept, :, left : left + 2]
        gap[strip] |= ~core[strip]


def _quiet_boxes(values: FloatImage, saturated: Mask, limit: float) -> Mask:
    """Pixels in boxes that are mostly quiet; saturated ones are not."""
    from scipy import ndimage

    shares = []
    with np.errstate(invalid="ignore", over="ignore"):
        for axis in (0, 1):
            around = [(_LAG, _LAG) if axis == other else (0, 0) for other in (0, 1)]
            quiet = np.pad(_curvature(values, axis) <= limit, around, mode="edge") & ~saturated
            shares.append(ndimage.uniform_filter(quiet.astype(np.float32), _BOX))
    inner = (np.add(*shares) > 2 * _SHARE) | (np.maximum(*shares) > _ONE_WAY)
    return np.asarray(ndimage.maximum_filter(inner, _REACH))
