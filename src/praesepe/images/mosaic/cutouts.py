"""Square stamps around positions, in e-/s on the survey's photometric scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import check_number, must_be
from praesepe.flags import NO_VALUE, Flag
from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.images.reading.gaps import LARGE_NUMBERS, FloatImage, Mask

_CHUNK = 256
_LARGE_BYTES = 1 << 30
_STAMPS_HELD = 512


MOST_MISSING = 0.5
"""Share of a stamp's pixels that may lack a value in a band that counts."""


@dataclass(frozen=True, repr=False)
class Stamps:
    """Stamps cut from a mosaic.

    Attributes
    ----------
    images : ndarray of float32, shape (N, B, size, size)
        e-/s at the survey's zero points; the band axis in the survey's order. The pixel with
        index ``size // 2`` in x and y is the one nearest to the position. Missing pixels hold the
        median of the good ones of the same stamp and band; stamps without a value are NaN.
    missing : ndarray of float64, shape (N, band)
        Share of missing pixels; 1 off the image, NaN without a position.
    holes : ndarray of bool, shape (N, B, size, size)
        Which pixels are missing.
    flags : ndarray of uint16, shape (N,)
        Sums of `praesepe.flags.Flag`.
    """

    images: FloatImage
    missing: NDArray[np.float64]
    holes: Mask
    flags: NDArray[np.uint16]

    def __repr__(self) -> str:
        _, bands, size, _ = self.images.shape
        flagged = int((self.flags != 0).sum())
        return f"<Stamps: {len(self)} of {size}×{size} px in {bands} bands; {flagged} flagged>"

    def __len__(self) -> int:
        return len(self.flags)

    @property
    def missing_fraction(self) -> NDArray[np.float64]:
        """Share of missing pixels in the worst band, shape (N,)."""
        return np.asarray(self.missing.max(axis=1))

    @property
    def has_band(self) -> Mask:
        """Which bands have a value in at least half of the pixels, shape (N, band)."""
        return np.asarray(self.missing <= MOST_MISSING)

    @property
    def usable(self) -> Mask:
        """Which stamps can be measured: ndarray of bool, shape (N,)."""
        return np.asarray((self.flags & int(NO_VALUE)) == 0)


def extract_stamps(
    mosaic: Mosaic, x: ArrayLike, y: ArrayLike, size: int, *, fewest_bands: int | None = None
) -> Stamps:
    """Cut stamps, fill their missing pixels and say what was missing.

    A pixel is missing when it is beyond the edge, when the file says so (BLANK, a mask, an
    extension of weights, context or data quality), when its value shows it
    (`praesepe.images.reading.gaps.find_gaps`: NaN, fill values, plateaus of equal pixels), or when
    it is exactly zero in all of at least two bands of real numbers. Nothing is resampled: stamps
    begin at whole pixels.

    Parameters
    ----------
    mosaic : Mosaic
        Images.
    x, y : array_like, shape (N,)
        Positions in pixels; the center of the first pixel is (0, 0). NaN is no position, what is
        infinite lies off the image.
    size : int
        Side of a stamp in pixels.
    fewest_bands : int, optional
        Bands that a stamp must have, for half of its pixels or more, to be of use; others are 0.
        By default all.

    Returns
    -------
    Stamps

    Raises
    ------
    InputError
        Where x and y differ in length or `size` is not a positive integer.
    """
    x, y, size = _checked(x, y, size)
    n = len(x)
    stamps = Stamps(
        np.empty((n, len(mosaic.bands), size, size), np.float32),
        np.full((n, len(mosaic.bands)), np.nan),
        np.zeros((n, len(mosaic.bands), size, size), bool),
        np.zeros(n, np.uint16),
    )
    height, width = mosaic.shape
    known = ~(np.isnan(x) | np.isnan(y))
    column = np.floor(np.where(known, x, -1) + 0.5)
    row = np.floor(np.where(known, y, -1) + 0.5)
    on_image = known & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    stamps.flags[~known] = Flag.BAD_COORDINATE
    stamps.flags[known & ~on_image] = Flag.OFF_IMAGE
    stamps.missing[known & ~on_image] = 1.0
    stamps.images[~on_image], stamps.holes[~on_image] = np.nan, True
    first_column, first_row = column - size // 2, row - size // 2
    within = (first_column >= 0) & (first_column + size <= width)
    within &= (first_row >= 0) & (first_row + size <= height)
    stamps.flags[on_image & ~within] |= np.uint16(Flag.EDGE)
    stamps.missing[on_image] = 0
    rows = np.flatnonzero(on_image)
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        corners = np.column_stack([first_row[chosen], first_column[chosen]]).astype(int)
        _cut(mosaic, corners, stamps, chosen)
        if (start + _CHUNK) % _STAMPS_HELD == 0 or start + _CHUNK >= len(rows):
            for band in mosaic.bands.values():  # else large files fill the memory page by page
                if band.pixels.raw.nbytes > _LARGE_BYTES:
                    band.pixels.release()
    _fill(stamps, rows, fewest_bands or len(mosaic.bands))
    return stamps


def iter_stamps(
    mosaic: Mosaic,
    x: ArrayLike,
    y: ArrayLike,
    size: int,
    batch_size: int = 256,
    *,
    fewest_bands: int | None = None,
) -> Iterator[Stamps]:
    """Cut stamps batch by batch, in order; see `extract_stamps`.

    Parameters
    ----------
    mosaic, x, y, size, fewest_bands
        As for `extract_stamps`.
    batch_size : int
        Stamps in a batch: what is in memory at once.

    Yields
    ------
    Stamps
        Of `batch_size` positions, fewer in the last batch.
    """
    x, y, size = _checked(x, y, size)
    check_number("batch_size", batch_size, 1)
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        yield extract_stamps(mosaic, x[part], y[part], size, fewest_bands=fewest_bands)


def _checked(
    x: ArrayLike, y: ArrayLike, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    x, y = np.atleast_1d(np.asarray(x, np.float64)), np.atleast_1d(np.asarray(y, np.float64))
    if x.ndim != 1 or x.shape != y.shape:
        raise must_be("shapes of x and y", (x.shape, y.shape), "lists of equal length")
    check_number("size", size, 1)
    return x, y, int(size)


@LARGE_NUMBERS
def _cut(mosaic: Mosaic, corners: NDArray[np.int_], stamps: Stamps, rows: NDArray[np.intp]) -> None:
    """Read some rows of the stamps at their first pixels (y, x), and mark what is missing.

    Band by band, so that what is looked at stays in the processor's cache.
    """
    size = stamps.images.shape[-1]
    windows = np.empty((len(rows), size, size), np.float32)
    zero = np.ones(windows.shape, bool)  # in all bands so far, of the stamps that have such pixels
    dark = np.arange(len(rows))
    saturated = np.zeros(len(rows), bool)
    for i_band, band in enumerate(mosaic.bands.values()):
        pixels = band.pixels
        pixels.read_windows(windows, corners)
        gaps = pixels.find_gaps(windows)
        saturated |= gaps.saturated.any(axis=(1, 2))
        if any(mark.saturated for mark in pixels.marks):
            marked = (pixels.marked_saturated(y, x, size, size) for y, x in corners.tolist())
            saturated |= [mask.any() for mask in marked]
        some = gaps.missing.any(axis=(1, 2))
        stamps.holes[rows[some], i_band] = gaps.missing[some]
        stamps.missing[rows[some], i_band] = gaps.missing[some].mean(axis=(1, 2))
        zero &= (windows if len(dark) == len(rows) else windows[dark]) == 0
        still = zero.any(axis=(1, 2))
        dark, zero = dark[still], zero[still]
        windows *= np.float32(band.factor)  # some missing pixels are NaN that signal
        stamps.images[rows, i_band] = windows
    stamps.flags[rows[saturated]] |= np.uint16(Flag.SATURATED)
    if dark.size and mosaic.zero_everywhere_is_missing:
        new = (zero & ~stamps.holes[rows[dark]].all(axis=1)).any(axis=(1, 2))
        dark = rows[dark[new]]
        stamps.holes[dark] |= zero[new, None]
        stamps.missing[dark] = stamps.holes[dark].mean(axis=(-1, -2))


def _fill(stamps: Stamps, rows: NDArray[np.intp], fewest_bands: int) -> None:
    """Fill what is missing of some rows, and set their flags."""
    share = stamps.missing[rows]  # (n, B)
    there = share <= MOST_MISSING
    enough = there.sum(axis=1) >= fewest_bands
    some = np.where(share.any(axis=1), Flag.PARTLY_MISSING, 0)
    stamps.flags[rows] |= np.where(enough, some, Flag.MISSING).astype(np.uint16)
    stamps.images[rows[~enough]] = np.nan
    for i, i_band in np.argwhere((share > 0) & enough[:, None]):
        stamp, holes = stamps.images[rows[i], i_band], stamps.holes[rows[i], i_band]
        if there[i, i_band]:
            stamp[holes] = np.median(stamp[~holes])
        else:
            stamp[:] = 0
