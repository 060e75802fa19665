"""How images and a catalog are read: the options that every verb takes that reads both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from praesepe.errors import refuse_unused, unknown


class CatalogReading(TypedDict, total=False):
    """Options of `Catalog.read`, where they are described."""

    x: str | None
    y: str | None
    origin: int | None
    columns: Sequence[str] | str | None
    pixels_of: str | None
    ra: str | None
    dec: str | None


class ImageReading(TypedDict, total=False):
    """Options of `Mosaic.read`, where they are described."""

    units: Mapping[str, Any] | None
    zero_points: Mapping[str, Any] | None
    hdu: Mapping[str, str | int] | str | int | None
    allow_no_wcs: bool
    reproject: Literal["auto", "never"]


class Reading(CatalogReading, ImageReading, total=False):
    """Options of a verb that reads images and a catalog: those of the two."""


def input_files(model: Any, images: Any, catalog: Any = None) -> list[Path]:
    """Files that model, images and catalog are read from, as far as they have names.

    Those of weights beside the images count too. In place of a model, None may be given.
    """
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.images.reading.beside import files_beside
    from praesepe.images.reading.source import split_extension

    found = []
    if isinstance(images, Mosaic):
        read = [band.pixels for band in images.bands.values()]
        read += [mark.pixels for pixels in read for mark in pixels.marks]
        found = [Path(pixels.region.path) for pixels in read if pixels.region is not None]
    for one in (*(images.values() if isinstance(images, Mapping) else ()), catalog):
        if isinstance(one, str | os.PathLike):
            path, _ = split_extension(os.fspath(one))
            found += [path, *(other for other, *_ in files_beside(path))]
    if isinstance(model, str | os.PathLike):
        found += [Path(model) / name for name in ("model.json", "weights.safetensors")]
    return found


def split_reading(
    verb: Callable[..., Any], reading: Reading, catalog: Any
) -> tuple[ImageReading, CatalogReading]:
    """Options for `Mosaic.read` and for `Catalog.read`.

    Parameters
    ----------
    verb : callable
        The function that was given them: a name that is none may be meant for it.
    reading : Reading
        What it was given.
    catalog : object
        None, where there is no catalog whose options could be of use.

    Raises
    ------
    InputError
        For a name that is no option, and for options that would be ignored.
    """
    for name in reading:
        if name not in Reading.__annotations__:
            known = {*signature(verb).parameters, *Reading.__annotations__} - {"reading"}
            raise unknown(f"argument of {verb.__name__}:", name, sorted(known))
    of_catalog = {k: v for k, v in reading.items() if k in CatalogReading.__annotations__}
    of_images = {k: v for k, v in reading.items() if k in ImageReading.__annotations__}
    if catalog is None:
        refuse_unused("no catalog is given", **of_catalog)
    return cast(ImageReading, of_images), cast(CatalogReading, of_catalog)
