"""Profiles of isolated stars, and the share of their light within a radius."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe.inference.check.stars import StarList

Array = NDArray[np.float64]
Image = NDArray[np.floating[Any]]

EDGES_PX = np.array([0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10])
"""Radii between which light is averaged; the last ring is the background."""
INNER_PX, OUTER_PX = 2.0, 6.0
"""Between the two radii lies the first bright ring; farther out other stars' light tells more."""
LEAST_SIGNAL, MOST_STARS = 30.0, 60
"""Of the stars that are stacked, and their number in a section."""

LEAST_STACKED = 30

_AREA = np.pi * np.diff(EDGES_PX**2)
_BOX = math.ceil(EDGES_PX[-1])


def star_profiles(image: Image, good: NDArray[np.bool_], stars: StarList) -> Array:
    """Mean light in rings around isolated bright stars, over their peaks.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        0 where there is no value.
    good : ndarray of bool, shape (y, x)
    stars : StarList
        Places within the image.

    Returns
    -------
    ndarray, shape (star, ring)
        NaN where no pixel's center lies in a ring.
    """
    chosen = np.flatnonzero(stars.alone & (stars.signal > LEAST_SIGNAL))
    height, width = image.shape
    row, column = np.rint(stars.y[chosen]).astype(int), np.rint(stars.x[chosen]).astype(int)
    inside = (row >= _BOX) & (row < height - _BOX) & (column >= _BOX) & (column < width - _BOX)
    chosen, row, column = chosen[inside], row[inside], column[inside]
    order = np.argsort(-stars.signal[chosen])[:MOST_STARS]
    chosen, row, column = chosen[order], row[order], column[order]
    step = np.arange(-_BOX, _BOX + 1)
    rows, columns = np.broadcast_arrays(
        row[:, None, None] + step[:, None], column[:, None, None] + step
    )
    values, there = image[rows, columns], good[rows, columns]
    away = np.hypot(rows - stars.y[chosen, None, None], columns - stars.x[chosen, None, None])
    ring = np.digitize(away, EDGES_PX) - 1
    n, n_rings = len(chosen), len(_AREA)
    kept = there & (ring < n_rings)
    where = (np.arange(n)[:, None, None] * n_rings + ring)[kept]
    total = np.bincount(where, values[kept], n * n_rings)
    with np.errstate(invalid="ignore"):
        mean = total / np.bincount(where, minlength=n * n_rings)
    return np.asarray(mean.reshape(n, n_rings) / stars.peak[chosen, None])


def stacked_energy(sections: list[Array]) -> tuple[float, float]:
    """Encircled energy of the stars of some sections, and its error; NaN for too few stars.

    That is the light within `INNER_PX` over that within `OUTER_PX`, of the median of all profiles.
    """
    profiles = np.concatenate(sections) if sections else np.empty((0, 1))
    if len(profiles) < LEAST_STACKED:
        return np.nan, np.nan
    parts = [_share(np.nanmedian(profiles[k::4], axis=0)) for k in range(4)]
    return _share(np.nanmedian(profiles, axis=0)), float(np.std(parts, ddof=1)) / 2


def encircled_of(psf: Image, finer: int) -> float:
    """The same of a PSF, whose pixels are `finer` times as fine, star in the middle."""
    from scipy.ndimage import map_coordinates

    inner, outer = EDGES_PX[:-1, None, None], EDGES_PX[1:, None, None]
    part = (np.arange(8)[:, None] + 0.5) / 8
    radius = np.sqrt(inner**2 + part * (outer**2 - inner**2))  # of equal areas
    angle = 2 * np.pi * np.arange(32) / 32
    middle = psf.shape[0] // 2
    places = middle + finer * np.stack([radius * np.sin(angle), radius * np.cos(angle)])
    return _share(map_coordinates(psf, places, order=3).mean(axis=(-2, -1)))


def _share(profile: Array) -> float:
    light = np.cumsum((profile[:-1] - profile[-1]) * _AREA[:-1])
    inner, outer = (float(light[np.searchsorted(EDGES_PX, r) - 1]) for r in (INNER_PX, OUTER_PX))
    return inner / outer if outer > 0 else math.nan
