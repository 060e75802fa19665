"""Sections of a mosaic: squares spread over it, so that what is measured costs the same on any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe.images.mosaic import grid
from praesepe.images.mosaic.mosaic import ALIGNMENT_TOLERANCE_PX, Mosaic

SIZE_PX = 512
LEAST_SEEN = 0.4
"""Share of a section that must have values in every band; others tell of gaps alone."""


@dataclass(frozen=True, eq=False)
class Section:
    """A square of all bands.

    Attributes
    ----------
    y0, x0 : int
        Its first pixel on the mosaic.
    images : ndarray of float32, shape (band, y, x)
        e-/s; NaN where there is nothing.
    saturated : tuple of int
        Pixels in saturated cores, by band.
    """

    y0: int
    x0: int
    images: NDArray[np.float32]
    saturated: tuple[int, ...]

    @property
    def missing(self) -> NDArray[np.float64]:
        """Share of the pixels without a value, by band."""
        return np.mean(~np.isfinite(self.images), axis=(1, 2))

    @property
    def lacking(self) -> NDArray[np.float64]:
        """The same where another band has one."""
        there = np.isfinite(self.images)
        return np.mean(~there & there.any(axis=0), axis=(1, 2))


def on_own_grid(mosaic: Mosaic) -> Mosaic:
    """Images as they are where all have one grid, of another scale than the survey's.

    So the scale is judged by the stars, before anything is resampled. Others stay as they are.
    """
    raws: dict[str, Any] = {name: band.pixels.raw for name, band in mosaic.bands.items()}
    own = {name: raw for name, raw in raws.items() if isinstance(raw, grid.Resampled)}
    if len(own) < len(raws):
        return mosaic
    first = next(iter(own.values()))
    shape = first.pixels.shape
    for raw in own.values():
        offsets = grid.pixel_offsets(first.wcs, shape, raw.wcs)
        if raw.pixels.shape != shape or not np.abs(offsets).max() <= ALIGNMENT_TOLERANCE_PX:
            return mosaic
    bands = {
        name: replace(band, pixels=own[name].pixels, reprojected=False)
        for name, band in mosaic.bands.items()
    }
    scale = grid.pixel_scale_arcsec(first.wcs, shape)
    return replace(mosaic, bands=bands, wcs=first.wcs, shape=shape, pixel_scale_arcsec=scale)


def corners(
    shape: tuple[int, int], n: int, size: int = SIZE_PX
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """First pixels (y, x) of up to `n` sections, evenly spread from edge to edge, and their shape.

    Sections do not overlap, so that no star counts twice.
    """
    per_side = max(1, int(n**0.5))
    firsts, sides = [], []
    for length in shape:
        count = min(per_side, -(-length // size))
        side = min(size, length // count)
        firsts.append(np.linspace(0, length - side, count).astype(int).tolist())
        sides.append(side)
    return [(y, x) for y in firsts[0] for x in firsts[1]], (sides[0], sides[1])


def read_sections(
    mosaic: Mosaic, places: list[tuple[int, int]], shape: tuple[int, int]
) -> Iterator[Section]:
    """Read sections of a mosaic one by one, so that memory does not grow."""
    for y0, x0 in places:
        images = np.empty((len(mosaic.bands), *shape), np.float32)
        saturated: list[int] = []
        for plane, band in zip(images, mosaic.bands.values(), strict=True):
            band.pixels.read_into(plane, y0, x0)
            gaps = band.pixels.find_gaps(plane[None])
            saturated.append(int(gaps.saturated.sum()))
            plane[gaps.missing[0]] = np.nan
            plane *= band.factor
            band.pixels.release()
        yield Section(y0, x0, images, tuple(saturated))
