"""Pixels of one band, read window by window from wherever they lie; gaps become NaN."""

from __future__ import annotations

import itertools
import math
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from praesepe.errors import InputError, PraesepeError
from praesepe.files import check_space
from praesepe.images.reading.gaps import (
    LARGE_NUMBERS,
    FloatImage,
    Gaps,
    Grain,
    Mask,
    clipped_share,
    find_gaps,
    measure_grain,
)

_SAMPLED, _BLOCK = 16, 32


@dataclass(frozen=True)
class Region:
    """Where an image lies in a file, so that another process can map it too.

    Attributes
    ----------
    path : str
        Absolute.
    offset : int
        First byte of the image.
    dtype : dtype
        Type of the stored numbers, byte order included.
    shape : tuple of int
        Height and width; before them, planes.
    n_bytes, modified_ns, inode : int
        Size, time and number of the file when it was opened.
    """

    path: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    n_bytes: int
    modified_ns: int
    inode: int

    def check(self) -> None:
        """Raise `InputError` where the file was changed; one that was replaced stays mapped."""
        try:
            now = os.stat(self.path)
        except OSError:  # removed: its pages stay as long as they are mapped
            return
        if now.st_ino == self.inode:
            self._compare(now)

    def _compare(self, now: os.stat_result) -> None:
        if (now.st_size, now.st_mtime_ns) != (self.n_bytes, self.modified_ns):
            raise InputError(
                f"{self.path} has changed since it was opened",
                given=self.path,
                remedy="read the images again",
            )

    def map(self) -> tuple[NDArray[Any], mmap.mmap]:
        """Map the image again; raise `InputError` where the file is gone or another."""
        try:
            with open(self.path, "rb") as file:
                self._compare(os.fstat(file.fileno()))
                return _map(file, self.dtype, self.shape, self.offset)
        except OSError as error:
            raise InputError(
                f"cannot open {self.path} again: {error.strerror or error}",
                given=self.path,
                remedy="put the images where every worker finds them under this name",
            ) from error


@dataclass(frozen=True, eq=False)
class Mark:
    """An extension beside an image that says where nothing was observed.

    Attributes
    ----------
    name : str
        Of the extension.
    pixels : Pixels
        Its stored numbers, (…, y, x), on the grid of the image's.
    rule : str
        Missing is: "bounds", what does not lie between `low` and `high`, in any plane; "context",
        what is zero in all planes; "quality", where one of `bits` is set.
    bits, saturated : int
        Of data quality.
    low, high : float
        Numbers beyond which nothing was measured, themselves included.
    """

    name: str
    pixels: Pixels
    rule: str
    bits: int = 0
    saturated: int = 0
    low: float = 0.0
    high: float = math.inf

    def missing(self, rows: slice, columns: slice) -> Mask:
        """Pixels of a part of the stored image where nothing was observed."""
        stored = self.pixels.raw[..., rows, columns]
        if self.rule == "quality":
            return self._any_bit(self.bits, rows, columns)
        values = stored * self.pixels.scale + self.pixels.zero
        if self.rule == "context":
            return np.asarray((values == 0).reshape(-1, *values.shape[-2:]).all(axis=0))
        good = (values > self.low) & (values < self.high)
        return np.asarray(~good.reshape(-1, *values.shape[-2:]).all(axis=0))

    def full(self, rows: slice, columns: slice) -> Mask:
        """Saturated pixels of a part of the stored image."""
        if self.rule == "quality":
            return self._any_bit(self.saturated, rows, columns)
        return np.zeros(self.pixels.raw[..., rows, columns].shape[-2:], bool)

    def _any_bit(self, bits: int, rows: slice, columns: slice) -> Mask:
        stored = self.pixels.raw[..., rows, columns].astype(np.int64) + int(self.pixels.zero)
        planes = stored.reshape(-1, *stored.shape[-2:])
        return np.asarray(((planes & bits) != 0).any(axis=0))


@dataclass(frozen=True, eq=False, repr=False)
class Pixels:
    """A two-dimensional image that is read in windows, as float32, with NaN where there is nothing.

    The stored numbers stay where they are (mostly a memory-mapped file) in their own byte order
    and type. A window may reach over the edge.

    Attributes
    ----------
    raw : ndarray, shape (H0, W0)
        Stored numbers.
    shape : (int, int)
        Height and width of the grid on which the image is presented.
    scale, zero : float
        FITS ``BSCALE`` and ``BZERO``: value = raw × scale + zero.
    blank : int, optional
        Stored number that means "no value" (FITS ``BLANK``).
    offset : (int, int)
        Pixel (y, x) of the grid is ``raw[y + offset[0], x + offset[1]]``.
    mask : ndarray of bool, shape (H0, W0), optional
        True where the stored number is no value.
    marks : tuple of Mark
        Extensions that say which of the stored pixels are no value.
    mapping : mmap, optional
        The memory map that `raw` looks into.
    region : Region, optional
        The file that is mapped, where it has a name.
    gaps_known : bool
        Whether missing pixels are NaN and saturated ones marked already, as in resampled images:
        there equal neighbours are one pixel of the image that was given.

    Notes
    -----
    Pickled, a mapped file goes by its name and is mapped again; what lies in memory or in a
    temporary file (a compressed or reprojected image) goes with all its numbers.
    """

    raw: NDArray[Any]
    shape: tuple[int, int]
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None
    offset: tuple[int, int] = (0, 0)
    mask: Mask | None = None
    marks: tuple[Mark, ...] = ()
    mapping: mmap.mmap | None = None
    region: Region | None = None
    gaps_known: bool = False

    def __repr__(self) -> str:
        where = "memory" if self.mapping is None else "a temporary file"
        where = where if self.region is None else self.region.path
        return f"<Pixels: {self.shape[1]}×{self.shape[0]}, stored as {self.raw.dtype} in {where}>"

    def __getstate__(self) -> dict[str, Any]:
        here = self.region is None and isinstance(self.raw, np.ndarray)
        raw = np.array(self.raw) if here else None if self.region is not None else self.raw
        kept = {key: value for key, value in self.__dict__.items() if key != "sample"}
        return {**kept, "raw": raw, "mapping": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.region is not None:
            self.__dict__["raw"], self.__dict__["mapping"] = self.region.map()
            self.read_ahead(False)

    def read(self, y0: int, x0: int, height: int, width: int) -> FloatImage:
        """Return the window whose first pixel is (y0, x0).

        Parameters
        ----------
        y0, x0 : int
            First row and column, zero-based; may be negative.
        height, width : int
            Size of the window in pixels.

        Returns
        -------
        ndarray of float32, shape (height, width)
            NaN off the image, and where the image has no value.
        """
        out = np.empty((height, width), np.float32)
        self.read_into(out, y0, x0)
        return out

    @LARGE_NUMBERS
    def read_into(self, out: FloatImage, y0: int, x0: int) -> None:
        """Fill `out`, shape (height, width), with the window that begins at (y0, x0)."""
        with self._unchanged():
            self._fill(out, y0, x0)

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Stop where a file is another after the reading than when it was opened, or before it.

        Pages of a file that was cut off since cannot be read at all: the system ends the process.
        """
        regions = [of.region for of in (self, *(mark.pixels for mark in self.marks)) if of.region]
        for region in regions:
            region.check()
        yield
        for region in regions:
            region.check()

    def _fill(self, out: FloatImage, y0: int, x0: int) -> None:
        rows, columns = self._stored(y0, x0, *out.shape)
        y0, x0 = y0 + self.offset[0], x0 + self.offset[1]
        inside = out
        if (rows.stop - rows.start, columns.stop - columns.start) != out.shape:
            out[...] = np.nan
            if rows.stop <= rows.start or columns.stop <= columns.start:
                return
            inside = out[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        inside[...] = self._values(self.raw[rows, columns])
        if self.mask is not None:
            inside[self.mask[rows, columns]] = np.nan
        for mark in self.marks:
            inside[mark.missing(rows, columns)] = np.nan

    @LARGE_NUMBERS
    def read_windows(self, out: FloatImage, corners: NDArray[np.int_]) -> None:
        """Fill `out`, shape (n, height, width), with windows that begin at `corners` (n, 2)."""
        first, size = corners + self.offset, np.array(out.shape[1:])
        plain = isinstance(self.raw, np.ndarray) and self.mask is None and not self.marks
        inside = plain & ((first >= 0) & (first + size <= self.raw.shape)).all(axis=1)
        if inside.any():  # all at once takes half the time
            with self._unchanged():
                stored = sliding_window_view(self.raw, out.shape[1:])[tuple(first[inside].T)]
                out[slice(None) if inside.all() else inside] = self._values(stored)
        for i in np.flatnonzero(~inside).tolist():
            self.read_into(out[i], *corners[i].tolist())

    def _values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The numbers that stored ones stand for."""
        if self.scale == 1 and self.zero == 0 and self.blank is None:
            return stored
        values = (stored.astype(np.float64) * self.scale + self.zero).astype(np.float32)
        if self.blank is not None:
            values[stored == self.blank] = np.nan
        return values

    def _stored(self, y0: int, x0: int, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the stored image that a window shows."""
        corners = zip((y0, x0), self.offset, (height, width), self.raw.shape, strict=True)
        rows, columns = (
            slice(min(max(first + off, 0), side), max(min(first + off + length, side), 0))
            for first, off, length, side in corners
        )
        return rows, columns

    def marked_saturated(self, y0: int, x0: int, height: int, width: int) -> Mask:
        """Pixels of a window that an extension marks as saturated."""
        found = np.zeros((height, width), bool)
        rows, columns = self._stored(y0, x0, height, width)
        y0, x0 = y0 + self.offset[0], x0 + self.offset[1]
        inside = found[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        for mark in self.marks:
            if mark.saturated and inside.size:
                inside |= mark.full(rows, columns)
        return found

    def find_gaps(self, windows: FloatImage) -> Gaps:
        """Find missing pixels and saturated cores in windows (…, height, width) of the image."""
        if self.gaps_known:
            return Gaps(~np.isfinite(windows), np.zeros(windows.shape, bool))
        return find_gaps(windows, lambda: self.grain)

    @cached_property
    def grain(self) -> Grain:
        """How often values repeat, by a few blocks spread over the image."""
        return measure_grain(self.sample)

    @property
    def clipped(self) -> float:
        """Share of pixels that hold the lowest value because noise below it was cut off."""
        return clipped_share(self.sample, lambda: self.grain)

    @cached_property
    def sample(self) -> FloatImage:
        """16 blocks (block, y, x) spread over the image."""
        return np.stack([block for _, _, block in self.sampled()])

    def sampled(self) -> Iterator[tuple[int, int, FloatImage]]:
        """Give first row, first column and values of 16 blocks spread over the image."""
        side = round(math.sqrt(_SAMPLED))
        corners = [
            np.linspace(0, max(length - _BLOCK, 0), side).astype(int).tolist()
            for length in self.shape
        ]
        for y0, x0 in itertools.product(*corners):
            yield y0, x0, self.read(y0, x0, _BLOCK, _BLOCK)

    def read_ahead(self, wanted: bool) -> None:
        """Tell the system whether the file is about to be read in order, or here and there.

        Without this, every row of every stamp makes it read 128 kB around it.
        """
        _advise(self.mapping, "MADV_SEQUENTIAL" if wanted else "MADV_RANDOM")

    def release(self) -> None:
        """Let go of the file's pages that have been read; they stay in the system's cache."""
        _advise(self.mapping, "MADV_DONTNEED")
        for mark in self.marks:
            mark.pixels.release()

    def __getitem__(self, key: tuple[slice, slice]) -> FloatImage:
        """Return ``pixels[y0:y1, x0:x1]``; steps other than one are not for windows."""
        rows, columns = (k.indices(n) for k, n in zip(key, self.shape, strict=True))
        if rows[2] != 1 or columns[2] != 1:
            raise IndexError("a mosaic is read in windows [y0:y1, x0:x1] without steps")
        return self.read(
            rows[0], columns[0], max(rows[1] - rows[0], 0), max(columns[1] - columns[0], 0)
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole image: as much memory as it has pixels times four bytes."""
        return self.read(0, 0, *self.shape).astype(dtype or np.float32, copy=False)


def map_pixels(
    file: BinaryIO,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    *,
    offset: int = 0,
    path: str | None = None,
    **options: Any,
) -> Pixels:
    """Map an image in an open file, for reading here and there.

    It begins at byte `offset`. The file may be closed afterwards; where `path` is given, it can be
    opened again under that name. `options` are further attributes of `Pixels`.
    """
    raw, mapping = _map(file, dtype, shape, offset)
    region = None
    if path is not None:
        now, where = os.fstat(file.fileno()), os.path.realpath(path)
        state = now.st_size, now.st_mtime_ns, now.st_ino
        region = Region(where, offset, dtype, shape, *state)
    pixels = Pixels(raw, (shape[-2], shape[-1]), mapping=mapping, region=region, **options)
    pixels.read_ahead(False)
    return pixels


def _map(
    file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int
) -> tuple[NDArray[Any], mmap.mmap]:
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    raw = np.frombuffer(mapping, dtype, count=math.prod(shape), offset=offset).reshape(shape)
    return raw, mapping


def _advise(mapping: mmap.mmap | None, advice: str) -> None:
    if mapping is not None and hasattr(mmap, advice):  # not on every system
        mapping.madvise(getattr(mmap, advice))


def scratch_image(shape: tuple[int, int], strips: Iterable[FloatImage], **options: Any) -> Pixels:
    """Write strips of an image to an unnamed temporary file and map it.

    The file lies in the folder for temporary files (``TMPDIR``) and vanishes with the array. The
    strips are (rows, width), from the first row of the image to its last; `options` are further
    attributes of `Pixels`.

    Raises
    ------
    InputError
        Where the folder for temporary files has less space than the image takes.
    PraesepeError
        Where the temporary file cannot be written, for instance because the disk is full.
    """
    what = f"a scratch image of {shape[1]:,} × {shape[0]:,} pixels"
    check_space(Path(tempfile.gettempdir()), 4 * math.prod(shape), what)
    with tempfile.TemporaryFile(prefix="praesepe-") as file:
        try:
            for strip in strips:
                file.write(np.ascontiguousarray(strip, np.float32).data)
            file.flush()
        except OSError as error:
            raise scratch_error(error) from error
        return map_pixels(file, np.dtype(np.float32), shape, **options)


def scratch_error(error: OSError) -> PraesepeError:
    """Say that a temporary file could not be written, and what helps."""
    return PraesepeError(
        f"could not write a temporary file in {tempfile.gettempdir()}: {error.strerror or error}; "
        "set TMPDIR to a folder with enough space (the size of the uncompressed image)"
    )
