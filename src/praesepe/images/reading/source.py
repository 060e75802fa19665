"""Find the science image in whatever was given: a file, an HDU, an array with a WCS, an NDData."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from astropy.io import fits
from astropy.nddata import Cutout2D, NDDataBase
from astropy.wcs import WCS
from numpy.typing import NDArray

from praesepe.arrays import plain
from praesepe.bounded import lost_bytes
from praesepe.errors import InputError, check_type, must_be
from praesepe.images.reading.beside import marks_beside
from praesepe.images.reading.compressed import MARGIN_ROWS, dither_steps, mark_dithered
from praesepe.images.reading.damage import fits_fault
from praesepe.images.reading.extensions import (
    check_name,
    choose_hdu,
    doubts_of_name,
    headers_of,
    marks_of,
    title,
)
from praesepe.images.reading.frames import check_shape, given_wcs, read_wcs
from praesepe.images.reading.packed import check_fits, damaged, starts_with, uncompressed
from praesepe.images.reading.pixels import (
    FloatImage,
    Pixels,
    map_pixels,
    scratch_image,
)
from praesepe.images.reading.remote import (
    RemoteArray,
    fetch,
    is_url,
    open_url,
    remote_size,
    sends_parts,
)
from praesepe.images.reading.roman import ASDF_START, read_asdf
from praesepe.temporary import scratch_file

log = logging.getLogger(__name__)

# A path, an HDU or HDUList, (array, WCS), (array, Header), a bare array, or an NDData.
ImageLike: TypeAlias = Any

_HDUS = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
_DTYPE = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_UNSIGNED = {"i1": -128, "u2": 2**15, "u4": 2**31, "u8": 2**63}
"""BZERO of integers that FITS stores with the other sign."""

_DAMAGED = "a damaged or truncated FITS file"
_STRIP_ROWS = 512


@dataclass(frozen=True)
class Source:
    """One band's image as it was given, before any check against the others.

    Attributes
    ----------
    label : str
        How messages call it.
    pixels : Pixels
        The image.
    headers : tuple of Header
        Science header, then primary header; empty for a bare array, which is taken to be in e-/s.
    wcs : WCS or None
        Celestial WCS.
    path : str or None
        File it came from, with the extension that was taken.
    unit : str or None
        Unit that comes with the data (NDData).
    taken : str
        File and extension, for the metadata of results; empty for an array.
    remarks : tuple of str
        What a user should know.
    """

    label: str
    pixels: Pixels
    headers: tuple[Any, ...] = ()
    wcs: WCS | None = None
    path: str | None = None
    unit: str | None = None
    taken: str = ""
    remarks: tuple[str, ...] = ()


def open_image(image: ImageLike, name: str, hdu: str | int | None = None) -> Source:
    """Read what is needed of an image; its pixels stay on disk where they can.

    Parameters
    ----------
    image : path, HDU, HDUList, (array, WCS), (array, Header), ndarray, Cutout2D or NDData
        A path may name the extension: ``"a.fits[SCI,2]"`` or ``"a.fits[1]"``.
    name : str
        Name of the band, for messages.
    hdu : str or int, optional
        Extension of a file or HDUList: ``"SCI"``, ``"SCI,2"`` or its number.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        Where the file is missing, truncated or not FITS, or holds no (or no unique) image.
    """
    extension = None if hdu is None else str(hdu)
    if isinstance(image, (str, os.PathLike)):
        text = os.fspath(image)
        return (_from_url if is_url(text) else _from_file)(text, name, extension)
    label = f"image of band {name!r}"
    if isinstance(image, (fits.HDUList, *_HDUS)):
        _check_open(image, label)
    if isinstance(image, fits.HDUList):
        chosen = choose_hdu(image, label, name, extension)
        taken = title(chosen, image)
        source = _in_memory(
            _data(chosen), *headers_of(chosen, image), label=f"{label} (extension {taken})"
        )
        pixels, remarks = marks_of(chosen, image, source.pixels, _mark_pixels, label)
        log.info("%s: extension %s", label, taken)
        remarks = [*source.remarks, *remarks, *doubts_of_name(chosen, name, label)]
        return replace(source, pixels=pixels, taken=f"[{taken}]", remarks=tuple(remarks))
    if hdu is not None:
        raise InputError(
            f"{label}: an extension, {hdu!r}, can be chosen in a file or HDUList, not in an "
            f"object of type {type(image).__name__}",
            given=hdu,
            remedy="leave it out",
        )
    if isinstance(image, _HDUS):
        if image.data is None:
            raise InputError(
                f"{label}: the HDU {title(image)} holds no image",
                given=title(image),
                remedy="give the HDU of the image",
            )
        source = _in_memory(_data(image), image.header, label=label)
        return replace(source, remarks=(*source.remarks, *doubts_of_name(image, name, label)))
    if isinstance(image, Cutout2D):
        image = (image.data, image.wcs)
    if isinstance(image, NDDataBase):
        return _from_nddata(image, label)
    if isinstance(image, np.ndarray):
        image = (image, None)
    if isinstance(image, tuple) and len(image) == 2 and isinstance(image[0], np.ndarray):
        array, frame = image
        if isinstance(frame, fits.Header):
            return _in_memory(array, frame, label=label)
        if frame is None or isinstance(frame, WCS):
            pixels, unit = _as_pixels(array, label)
            wcs, said = given_wcs(frame, label, pixels.shape)
            return Source(label, pixels, wcs=wcs, unit=unit, remarks=said)
    raise InputError(
        f"{label}: an object of type {type(image).__name__} is not an image",
        given=type(image).__name__,
        remedy="give a path, an HDU or HDUList, (array, WCS), (array, Header) or an NDData",
    )


def _check_open(image: Any, label: str) -> None:
    """Stop where the file of HDUs was closed before their numbers were read."""
    hdus = list(image) if isinstance(image, fits.HDUList) else [image]
    files = [(hdu.fileinfo() or {}).get("file") for hdu in hdus]
    closed = next((file for file in files if file is not None and file.closed), None)
    if closed is None:
        return
    try:
        if any(hdu.data is not None for hdu in hdus if hdu.is_image):
            return
    except (OSError, ValueError):
        pass
    raise InputError(
        f"{label}: {closed.name} is closed, and the pixels of its HDU are not read yet",
        given=closed.name,
        remedy="give the path of the file, or keep it open until the images are read",
    )


def _data(hdu: Any) -> Any:
    """The numbers of an HDU in memory, dithered gaps of a compressed one as NaN."""
    steps = dither_steps(hdu) if isinstance(hdu, fits.CompImageHDU) else None
    data = hdu.data
    if steps is None or data.ndim != 2:
        return data
    return mark_dithered(np.array(data, np.float32), steps, hdu.tile_shape)


def _mark_pixels(hdu: Any, strips: Iterator[FloatImage] | None) -> Pixels:
    """The numbers of an HDU in memory."""
    if strips is not None:
        data = np.concatenate(list(strips))
        return Pixels(data, data.shape[-2:])
    data = np.asarray(hdu.data)
    return Pixels(data, data.shape[-2:], **_scaling(hdu.header, data.dtype, in_memory=True))


def _in_memory(array: NDArray[Any], *headers: Any, label: str) -> Source:
    pixels, unit = _as_pixels(array, label)
    scaling = _scaling(headers[0], pixels.raw.dtype, in_memory=True)
    pixels, remarks = replace(pixels, **scaling), []
    if (pixels.scale, pixels.zero) != (1, 0):
        remarks.append(
            f"{label}: its integers are scaled by BSCALE = {pixels.scale:g} and BZERO = "
            f"{pixels.zero:g} of its header"
        )
    wcs = read_wcs(headers[0], label)
    if wcs is not None:
        told = headers[0].get("NAXIS2"), headers[0].get("NAXIS1")
        check_shape(told, label, pixels.shape)
    return Source(label, pixels, headers, wcs, unit=unit, remarks=tuple(remarks))


def _scaling(header: Any, dtype: np.dtype[Any], *, in_memory: bool = False) -> dict[str, Any]:
    """What BSCALE, BZERO and BLANK say of stored numbers.

    In memory, real numbers are scaled already, and unsigned integers that have the BZERO of such.
    """
    scale, zero, blank = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0)), None
    if dtype.kind in "iu" and header.get("BLANK") is not None:
        blank = int(header["BLANK"])
    if in_memory and dtype.kind == "f":
        scale, zero = 1.0, 0.0
    elif in_memory and scale == 1 and zero == _UNSIGNED.get(dtype.str[1:]):
        blank, zero = None if blank is None else blank + int(zero), 0.0
    return {"scale": scale, "zero": zero, "blank": blank}


def _from_nddata(image: Any, label: str) -> Source:
    wcs = getattr(image.wcs, "low_level_wcs", image.wcs)
    check_type(f"{label}: the WCS", wcs, (WCS, type(None)), "an astropy.wcs.WCS of FITS")
    pixels, unit = _as_pixels(image, label)
    flags = getattr(image, "flags", None)
    if flags is not None:
        flags = np.asarray(flags)
        if flags.shape != pixels.shape or flags.dtype.kind not in "biu":
            given = (str(flags.dtype), flags.shape)
            raise must_be("flags", given, "integers of the image's shape, 0 for good").at(label)
        missing = flags != 0
        pixels = replace(pixels, mask=missing if pixels.mask is None else pixels.mask | missing)
    headers = (image.meta,) if image.meta else ()
    wcs, remarks = given_wcs(wcs, label, pixels.shape)
    if not headers:
        said = "an NDData without a unit; its pixels are taken to be in e-/s"
        if unit is not None:
            said = "an NDData without a header; in electrons or counts, the survey's zero point"
        remarks += (f"{label}: {said}",)
    return Source(label, pixels, headers, wcs, unit=unit, remarks=remarks)


def _as_pixels(array: Any, label: str) -> tuple[Pixels, str | None]:
    """The pixels of an array, and its unit where it has one."""
    values, mask, unit = plain(array)
    plane = _plane(values, label)
    mask = None if mask is None else mask.reshape(plane.shape)
    return Pixels(plane, plane.shape, mask=mask), None if unit is None else str(unit)


def _plane(array: NDArray[Any], label: str) -> NDArray[Any]:
    """Drop axes of length one; a plain view, because slicing a subclass is slow."""
    shape = tuple(array.shape)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 or 0 in shape or array.dtype.kind not in "iuf":
        given = (str(array.dtype), array.shape)
        raise must_be("the array", given, "a two-dimensional image of numbers").at(label)
    return np.asarray(array).reshape(shape)


def _from_file(text: str, name: str, hdu: str | None, *, lasts: bool = True) -> Source:
    """Open a FITS file, choose its science HDU, and map the pixels.

    A file that does not last is mapped all the same, but not by its name.
    """
    path, extension = split_extension(text)
    label = f"{path.name} (band {name!r})"
    if extension is not None and hdu not in (None, extension):
        raise InputError(
            f"{label}: extension {extension!r} in the name of the file, but {hdu!r} beside it",
            given=(extension, hdu),
            remedy="give one of them",
        )
    extension = extension or hdu
    if not path.is_file():
        what = "a folder, not a FITS file" if path.is_dir() else "not there"
        raise InputError(
            f"image of band {name!r}: {path} is {what}", given=path, remedy="correct its path"
        )
    with uncompressed(path, label) as plain, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if starts_with(plain, ASDF_START):
            if extension not in (None, "roman.data"):
                raise InputError(
                    f"{label}: extension {extension!r}, but an ASDF file has none",
                    given=extension,
                    allowed=("roman.data",),
                    remedy="leave it out: roman.data is read",
                )
            pixels, header = read_asdf(plain, label)
            return Source(
                label, pixels, (header,), read_wcs(header, label), f"{path.resolve()}[]",
                taken=f"{path.name}[roman.data]",
            )  # fmt: skip
        check_fits(plain, label)
        try:
            # a file of our own: astropy leaves its own open where a header cannot be read
            with Path(plain).open("rb") as file, fits.open(file) as hdus:
                source = _read(
                    hdus,
                    plain,
                    label,
                    name,
                    extension,
                    named=lasts and plain == str(path),
                    file=path.name,
                )
        except InputError as error:
            told = any("truncated" in str(w.message) or "corrupt" in str(w.message) for w in caught)
            if not told or "truncated" in str(error):
                raise
            raise damaged(label, f"{_DAMAGED}: {fits_fault(plain)}") from error
        except Exception as error:  # astropy raises many kinds for broken files
            raise damaged(label, f"{_DAMAGED}: {fits_fault(plain)}") from error
        if not source.pixels.marks and lasts:
            pixels, said = marks_beside(
                source.pixels, path, source.headers, source.wcs, label, _marking_pixels
            )
            source = replace(source, pixels=pixels, remarks=(*source.remarks, *said))
    if lost := lost_bytes(path):
        source = replace(source, remarks=(*source.remarks, f"{label}: {lost}"))
    where = f"{path.resolve()}[{source.taken}]"
    beside = "".join(f" with {one.name}" for one in source.pixels.marks if "." in one.name)
    return replace(source, path=where, taken=f"{path.name}[{source.taken}]{beside}")


def _marking_pixels(hdu: Any, strips: Any, path: str, label: str, *, named: bool) -> Pixels:
    """The numbers of an HDU that marks pixels, or what was found in the strips of a packed one."""
    if strips is not None:
        return scratch_image(hdu.shape[-2:], strips)
    return _map_pixels(hdu, path, label, named=named)


def _read(
    hdus: Any, path: str, label: str, name: str, extension: str | None, *, named: bool, file: str
) -> Source:
    """The science image of open HDUs of a file or URL, whose name is `file`."""
    chosen = choose_hdu(hdus, label, name, extension)
    taken = title(chosen, hdus)
    if extension is None:
        check_name(file, chosen, f"{label}: by its name it", taken)
    log.info("%s: extension %s", label, taken)
    pixels = _map_pixels(chosen, path, label, named=named)
    wcs = read_wcs(chosen.header, label, hdus)

    mapped = partial(_marking_pixels, path=path, label=label, named=named)
    pixels, remarks = marks_of(chosen, hdus, pixels, mapped, label)
    remarks += doubts_of_name(chosen, name, label)
    headers = headers_of(chosen, hdus)
    return Source(label, pixels, headers, wcs, taken=taken, remarks=tuple(remarks))


def _from_url(text: str, name: str, hdu: str | None) -> Source:
    """Read a FITS file behind a URL by section; what is packed, or ASDF, is fetched whole.

    So is one whose server does not send parts of files.
    """
    match = re.fullmatch(r"(.+)\[([^\[\]]+)\]", text)
    url, extension = (match[1], match[2]) if match else (text, hdu)
    shown = url.rsplit("/", 1)[-1]
    label = f"{shown} (band {name!r})"
    with open_url(url, label) as file:
        if not (file.read(9).startswith(b"SIMPLE  =") and sends_parts(url)):
            log.info("%s: it is fetched whole", label)
            with scratch_file() as copy:
                fetch(url, copy.name)
                source = _from_file(copy.name, name, extension, lasts=False)
        else:
            file.seek(0)
            try:
                with fits.open(file) as hdus:
                    source = _read(hdus, url, label, name, extension, named=True, file=shown)
            except InputError:
                raise
            except Exception as error:  # astropy raises many kinds for broken files
                raise damaged(label, f"{_DAMAGED}, or not sent as it is") from error
    taken = f"{shown}[{(source.taken or '').rpartition('[')[2].rstrip(']')}]"
    return replace(source, label=label, path=f"{url}[{taken.partition('[')[2]}", taken=taken)


def split_extension(text: str) -> tuple[Path, str | None]:
    """Split ``"a.fits[SCI,2]"`` into the path and the extension, None where none is given."""
    match = re.fullmatch(r"(.+)\[([^\[\]]+)\]", text)
    path = Path(text).expanduser()
    if match and not path.exists():
        if ":" in match[2]:
            raise InputError(
                f"{text}: [{match[2]}] is a section of an image",
                given=text,
                remedy="give the whole image, or cut the section out with its WCS",
            )
        return Path(match[1]).expanduser(), match[2]
    return path, None


def _map_pixels(hdu: Any, path: str, label: str, *, named: bool) -> Pixels:
    """Map the data of an HDU; tile-compressed data are unpacked in strips to a scratch file."""
    header = hdu.header
    *_, height, width = shape = hdu.shape
    where = hdu.fileinfo()
    if isinstance(hdu, fits.CompImageHDU):
        strips = _unpacked_strips(hdu, height, shape, label)
        return scratch_image((height, width), strips)
    dtype = np.dtype(_DTYPE[int(header["BITPIX"])])
    needed = where["datLoc"] + int(np.prod(shape)) * dtype.itemsize
    size = remote_size(where["file"]) if is_url(path) else os.path.getsize(path)
    if size < needed:
        fault = f"extension {title(hdu)} ends at byte {needed}, the file at byte {size}"
        raise damaged(label, f"the file is truncated: {fault}")
    scaling = _scaling(header, dtype)
    offset, planes = where["datLoc"], shape if len(shape) > 2 and shape[0] > 1 else (height, width)
    if is_url(path):
        raw: Any = RemoteArray(path, offset, dtype, (height, width))
        return Pixels(raw, (height, width), **scaling)
    with open(path, "rb") as file:
        return map_pixels(
            file, dtype, planes, offset=offset, path=path if named else None, **scaling
        )


def _unpacked_strips(
    hdu: Any, height: int, shape: tuple[int, ...], label: str
) -> Iterator[FloatImage]:
    """Rows of a compressed image, gaps that were dithered as NaN."""
    lead = (0,) * (len(shape) - 2)
    steps = dither_steps(hdu)
    for y0 in range(0, height, _STRIP_ROWS):
        y1, margin = min(y0 + _STRIP_ROWS, height), 0 if steps is None else MARGIN_ROWS
        first, last = max(y0 - margin, 0), min(y1 + margin, height)
        try:
            strip = np.asarray(hdu.section[(*lead, slice(first, last))], np.float32)
        except Exception as error:  # the decompressor raises what it likes
            rows = f"its rows {first + 1} to {last} cannot be unpacked"
            fault = f"the compressed image is truncated or damaged: {rows}"
            raise damaged(label, fault) from error
        if steps is not None:
            strip = mark_dithered(strip, steps, hdu.tile_shape, first)
        yield strip[y0 - first : y1 - first]
