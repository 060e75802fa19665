"""Where a mosaic is clean: away from known clusters, gaps, saturated stars and its edge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from praesepe.progress import Counter, Progress
from praesepe.sky.instrument.detector import FULL_WELL_E
from praesepe.survey import Survey

if TYPE_CHECKING:
    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.mosaic import Mosaic

CELL_PX = 8
"""Clean places are looked for on a grid of this step; no more than that is kept in memory."""

SATURATION_SHARE = 0.9
"""Share of that level from which on a pixel counts: drizzling averages a peak with its sides."""

SATURATED_MARGIN_ARCSEC = 1.0
"""Distance that fields keep from a saturated pixel: its star's core and bleeding lie around it."""

MISSING_ALLOWED = 0.001
"""Largest share of missing pixels in a band of a field; they are filled with its median."""

_TILE_PX = 256, 1024
_MARGIN_PX = 8

Cells = NDArray[np.bool_]


@dataclass(frozen=True)
class Removed:
    """How many places each rule left out; a place may break several rules.

    Attributes
    ----------
    places : int
        Places on the mosaic whose field does not reach over its edge.
    clusters, gaps, saturated : int
        Those with a known cluster, missing pixels, or a saturated star in the field.
    clean : int
        Those that break no rule.
    """

    places: int
    clusters: int
    gaps: int
    saturated: int
    clean: int

    def sentences(self) -> list[str]:
        """One line for each rule."""
        of = max(self.places, 1)
        return [
            f"{self.places:,} places, {CELL_PX} px apart, keep off the mosaic's edge",
            f"{self.clusters / of:.1%} have a known cluster in the field",
            f"{self.gaps / of:.1%} have missing pixels",
            f"{self.saturated / of:.1%} have a saturated star",
            f"{self.clean / of:.1%} are clean",
        ]


def saturation_e_s(survey: Survey) -> dict[str, float]:
    """Rate above which a pixel counts as saturated, e-/s by band.

    By the survey's ``saturation_e``, or else by `FULL_WELL_E`, of one exposure.
    """
    return {
        band.name: SATURATION_SHARE
        * (FULL_WELL_E if band.saturation_e is None else band.saturation_e)
        * band.n_exposures
        / band.typical_exposure_s
        for band in survey.bands
    }


def _cell_shape(mosaic: Mosaic) -> tuple[int, int]:
    """Number of whole cells along y and x."""
    return mosaic.shape[0] // CELL_PX, mosaic.shape[1] // CELL_PX


def scan(mosaic: Mosaic, progress: Progress | None) -> tuple[NDArray[np.int32], Cells]:
    """Look through a mosaic once, in strips; `progress` counts its rows.

    Returns
    -------
    missing : ndarray of int32, shape (cell row, cell column)
        Missing pixels of the band that has most.
    saturated : ndarray of bool, shape (cell row, cell column)
        Whether a pixel is saturated in it or within `SATURATED_MARGIN_ARCSEC`.
    """
    from scipy import ndimage

    rows, columns = _cell_shape(mosaic)
    missing = np.zeros((rows, columns), np.int32)
    saturated = np.zeros((rows, columns), bool)
    height = rows * CELL_PX
    count = Counter(height, progress)
    for y0 in range(0, height, _TILE_PX[0]):
        n = min(_TILE_PX[0], height - y0)
        part = slice(y0 // CELL_PX, (y0 + n) // CELL_PX)
        missing[part], saturated[part] = _scan_rows(mosaic, y0, n)
        count.add(n)
    grow = round(SATURATED_MARGIN_ARCSEC / mosaic.pixel_scale_arcsec / CELL_PX)
    near = ndimage.maximum_filter(saturated, 2 * grow + 1, mode="constant", cval=False)
    return missing, np.asarray(near)


def _scan_rows(mosaic: Mosaic, y0: int, n: int) -> tuple[NDArray[np.int32], Cells]:
    """The same for `n` rows, tile by tile: little is in memory, and most of it in the cache."""
    rows = n // CELL_PX
    missing = np.zeros((rows, mosaic.shape[1] // CELL_PX), np.int32)
    saturated = np.zeros(missing.shape, bool)
    for x0 in range(0, missing.shape[1] * CELL_PX, _TILE_PX[1]):
        width = min(_TILE_PX[1], missing.shape[1] * CELL_PX - x0)
        part = slice(x0 // CELL_PX, (x0 + width) // CELL_PX)
        missing[:, part], saturated[:, part] = _scan_tile(mosaic, y0, x0, n, width)
    for band in mosaic.bands.values():
        band.pixels.release()
    return missing, saturated


def _scan_tile(
    mosaic: Mosaic, y0: int, x0: int, n: int, width: int
) -> tuple[NDArray[np.int32], Cells]:
    """The same for a tile, which is read with a margin: gaps show by their surroundings."""
    limits = saturation_e_s(mosaic.survey)
    shape = (n + 2 * _MARGIN_PX, width + 2 * _MARGIN_PX)
    inner = (slice(_MARGIN_PX, -_MARGIN_PX),) * 2
    zero_everywhere = np.ones((n, width), bool)
    gaps, bright = [], np.zeros((n, width), bool)
    for name, band in mosaic.bands.items():
        window = band.pixels.read(y0 - _MARGIN_PX, x0 - _MARGIN_PX, *shape)
        gaps.append(band.pixels.find_gaps(window).missing[inner])
        values, least = window[inner], np.float32(limits[name] / band.factor)
        if zero_everywhere.any():
            zero_everywhere &= values == 0
        if np.fmax.reduce(window, axis=None) >= least:
            bright |= values >= least
    if zero_everywhere.any() and mosaic.zero_everywhere_is_missing:
        gaps = [gap | zero_everywhere for gap in gaps]
    counts = [_count(gap) for gap in gaps]
    return np.max(counts, axis=0), np.asarray(_in_cells(bright).any(axis=(1, 3)))


def _count(mask: Cells) -> NDArray[np.int32]:
    """Number of set pixels in each cell."""
    if not mask.any():
        return np.zeros((mask.shape[0] // CELL_PX, mask.shape[1] // CELL_PX), np.int32)
    return np.asarray(_in_cells(mask).sum(axis=(1, 3), dtype=np.int32))


def _in_cells(mask: Cells) -> Cells:
    """View rows of pixels as (cell row, y, cell column, x)."""
    height, width = mask.shape[0] // CELL_PX, mask.shape[1] // CELL_PX
    cut = mask[: height * CELL_PX, : width * CELL_PX]
    return cut.reshape(height, CELL_PX, width, CELL_PX)


def cluster_cells(
    mosaic: Mosaic,
    catalog: Catalog | None,
    radius_arcsec: float,
) -> Cells:
    """Cells (cell row, cell column) that reach to within the radius of a known cluster."""
    cells = np.zeros(_cell_shape(mosaic), bool)
    if catalog is None:
        return cells
    x_px, y_px = catalog.on(mosaic)
    radius = radius_arcsec / mosaic.pixel_scale_arcsec
    reach = math.ceil(radius / CELL_PX) + 1
    good = np.isfinite(x_px) & np.isfinite(y_px)
    for cx, cy in zip(x_px[good], y_px[good], strict=True):
        row, column = math.floor((cy + 0.5) / CELL_PX), math.floor((cx + 0.5) / CELL_PX)
        rows = np.arange(max(row - reach, 0), min(row + reach + 1, cells.shape[0]))
        columns = np.arange(max(column - reach, 0), min(column + reach + 1, cells.shape[1]))
        dy, dx = (
            np.clip(np.abs(at - (index * CELL_PX + CELL_PX / 2 - 0.5)) - CELL_PX / 2, 0, None)
            for at, index in ((cy, rows), (cx, columns))
        )
        near = np.hypot(dy[:, None], dx[None]) <= radius
        cells[np.ix_(rows, columns)] |= near
    return cells


# Places of fields


def _summed(values: NDArray[Any], side: int) -> NDArray[np.int64]:
    """Sum over squares of `side` cells, by the cell in their corner."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(values, axis=0, dtype=np.int64), axis=1, out=total[1:, 1:])
    result = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
    return np.asarray(result + total[:-side, :-side])


def clean_places(
    clusters: Cells, missing: NDArray[np.int32], saturated: Cells, size: int, *, edge_px: int = 0
) -> tuple[Cells, Removed]:
    """Corners of clean fields of `size` pixels, by their first cell; and what each rule left out.

    The three maps are those of `cluster_cells` and `scan`.
    """
    side = math.ceil(size / CELL_PX)
    if min(clusters.shape) < side:  # a few pixels short of whole cells
        return np.zeros((0, 0), bool), Removed(0, 0, 0, 0, 0)
    with_cluster = _summed(clusters, side) > 0
    with_gap = _summed(missing, side) > MISSING_ALLOWED * size**2
    with_star = _summed(saturated, side) > 0
    inside = np.zeros_like(with_star)
    edge = math.ceil(edge_px / CELL_PX)
    inside[edge : len(inside) - edge, edge : inside.shape[1] - edge] = True
    clean = inside & ~(with_cluster | with_gap | with_star)
    rules = (inside & rule for rule in (with_cluster, with_gap, with_star, clean))
    return clean, Removed(int(inside.sum()), *(int(rule.sum()) for rule in rules))


def choose(clean: Cells, n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """First pixels (field, y and x) of up to n random clean places that overlap by half at most."""
    free = clean.copy()
    apart = math.ceil(size / 2 / CELL_PX)
    rows, columns = np.nonzero(free)
    chosen = []
    for i in rng.permutation(len(rows)):
        row, column = int(rows[i]), int(columns[i])
        if not free[row, column]:
            continue
        chosen.append((row * CELL_PX, column * CELL_PX))
        if len(chosen) == n:
            break
        free[max(row - apart + 1, 0) : row + apart, max(column - apart + 1, 0) : column + apart] = (
            False
        )
    return np.array(chosen, np.int64)
