"""Stars of a section, quickly: peaks of the image seen through two Gaussians."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NARROW_PX, WIDE_PX = 1.0, 2.0
"""Sigmas of the two Gaussians; the ratio of a star's peaks in them tells its width."""
THRESHOLD = 4.5
ISOLATED_PX = 7
BLOCK_PX, LEAST_IN_BLOCK = 32, 50


def _nothing() -> Array:
    return np.empty(0)


def _nobody() -> NDArray[np.bool_]:
    return np.empty(0, bool)


@dataclass(frozen=True, eq=False)
class StarList:
    """Stars of one band.

    Attributes
    ----------
    x, y : ndarray, shape (n,)
        Places on the mosaic, pixels.
    peak, wide : ndarray, shape (n,)
        Light under the narrow and the wide Gaussian (of unit sum) at the star, e-/s.
    signal : ndarray, shape (n,)
        Peak over the scatter of the smoothed image.
    alone : ndarray of bool, shape (n,)
        Whether no star that is a tenth as bright or more lies within `ISOLATED_PX`.
    """

    x: Array = field(default_factory=_nothing)
    y: Array = field(default_factory=_nothing)
    peak: Array = field(default_factory=_nothing)
    wide: Array = field(default_factory=_nothing)
    signal: Array = field(default_factory=_nothing)
    alone: NDArray[np.bool_] = field(default_factory=_nobody)

    def __len__(self) -> int:
        return len(self.x)

    def where(self, which: Any) -> StarList:
        """Some of the stars."""
        return StarList(*(getattr(self, one.name)[which] for one in fields(self)))

    @classmethod
    def joined(cls, parts: list[StarList]) -> StarList:
        """Stars of several sections."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def block_levels(image: NDArray[np.float32], good: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Level without the bright half's tail, and median, of blocks of 32 px; NaN: little seen."""
    (_, rows), (_, columns) = (_blocks(side) for side in image.shape)
    parts = np.where(good, image, np.inf)[rows[:, None, :, None], columns[None, :, None, :]]
    parts = parts.reshape(len(rows), len(columns), -1)
    parts.sort(axis=-1)
    count = np.isfinite(parts).sum(axis=-1)
    level, middle = (
        np.take_along_axis(parts, (share * np.maximum(count - 1, 0)).astype(int)[..., None], -1)
        for share in (0.4, 0.5)
    )
    known = count > LEAST_IN_BLOCK
    return np.where(known, level[..., 0], np.nan), np.where(known, middle[..., 0], np.nan)


def block_background(
    image: NDArray[np.float32], good: NDArray[np.bool_], level: Array
) -> NDArray[np.float32]:
    """The levels of blocks, smooth in between, and over those that have none."""
    from scipy.ndimage import map_coordinates

    whole = float(np.median(image[good])) if good.any() else 0.0
    level = np.where(np.isfinite(level), level, whole)
    for axis, places in enumerate(_blocks(side)[0] for side in image.shape):
        where: list[NDArray[Any]] = [np.arange(n) for n in level.shape]
        where[axis] = places
        level = map_coordinates(level, np.meshgrid(*where, indexing="ij"), order=1, mode="nearest")
    return np.asarray(level, np.float32)


def _blocks(side: int) -> tuple[Array, NDArray[np.int64]]:
    """Places of pixels among the blocks along an axis, and the pixels of each block."""
    n = max(1, side // BLOCK_PX)
    width = -(-side // n)
    first = np.linspace(0, side - width, n).astype(int)
    return (np.arange(side) + 0.5) * n / side - 0.5, first[:, None] + np.arange(width)


def find_stars(residual: NDArray[np.float32], good: NDArray[np.bool_]) -> StarList:
    """Find stars on an image without its background.

    Parameters
    ----------
    residual : ndarray, shape (y, x)
        0 where there is no value.
    good : ndarray of bool, shape (y, x)

    Returns
    -------
    StarList
        Places within the image; stars near its edges and near gaps are left out.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter
    from scipy.spatial import cKDTree

    smooth = gaussian_filter(residual, NARROW_PX, mode="nearest", truncate=4)
    noise = 1.4826 * float(np.median(np.abs(smooth[good] - np.median(smooth[good]))))
    peaks = (smooth == maximum_filter(smooth, 5)) & (smooth > THRESHOLD * noise)
    peaks &= minimum_filter(good, 9)
    peaks[:6], peaks[-6:], peaks[:, :6], peaks[:, -6:] = False, False, False, False
    row, column = np.nonzero(peaks)
    if not len(row) or noise <= 0:
        return StarList()
    near = np.log(
        np.maximum(
            np.stack([smooth[row + dy, column + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]),
            1e-3 * smooth[row, column],
        )
    ).reshape(3, 3, -1)
    dx = _vertex(*near.mean(axis=0))
    dy = _vertex(*near.mean(axis=1))
    wide = gaussian_filter(residual, WIDE_PX, mode="nearest", truncate=3)
    around = np.log(
        np.maximum(
            np.stack([wide[row + b, column + a] for b in (-1, 0, 1) for a in (-1, 0, 1)]),
            1e-3 * smooth[row, column],
        )
    ).reshape(3, 3, -1)
    peak = smooth[row, column] * np.exp(_rise(near, dx, dy))
    broad = wide[row, column] * np.exp(_rise(around, dx, dy))
    x, y = column + dx, row + dy
    tree = cKDTree(np.stack([x, y], axis=1))
    alone = np.ones(len(x), bool)
    for i, j in tree.query_pairs(ISOLATED_PX):
        if peak[j] > 0.1 * peak[i]:
            alone[i] = False
        if peak[i] > 0.1 * peak[j]:
            alone[j] = False
    return StarList(
        x, y, peak.astype(float), broad.astype(float), (peak / noise).astype(float), alone
    )


def _vertex(before: Array, here: Array, after: Array) -> Array:
    """Place of a parabola's vertex from its middle point."""
    curvature = np.minimum(before + after - 2 * here, -1e-6)
    return np.clip(-0.5 * (after - before) / curvature, -1, 1)


def _rise(near: Array, dx: Array, dy: Array) -> Array:
    """Value of the parabolas through 3 × 3 logarithms at an offset, over the middle one."""
    middle = near[1, 1]
    slope_x, slope_y = 0.5 * (near[1, 2] - near[1, 0]), 0.5 * (near[2, 1] - near[0, 1])
    curve_x = near[1, 2] + near[1, 0] - 2 * middle
    curve_y = near[2, 1] + near[0, 1] - 2 * middle
    return slope_x * dx + slope_y * dy + 0.5 * (curve_x * dx**2 + curve_y * dy**2)
