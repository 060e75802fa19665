"""DS9 region files: as catalogs, and of a table's positions."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import InputError, PraesepeWarning, listed, unusable
from praesepe.files import atomic, check_output
from praesepe.images.catalog.column_names import id_column
from praesepe.images.catalog.coordinates import sky_positions
from praesepe.images.catalog.text_layouts import read_text
from praesepe.lazy import extras

if TYPE_CHECKING:
    from astropy.table import Table


def read_regions(path: Path, format_: str = "ds9") -> Table:
    """The centers and names of the shapes in a region file; pixels are as DS9 counts them.

    Parameters
    ----------
    path : Path
        The file.
    format_ : str
        "ds9", or "crtf", that of CASA.

    Returns
    -------
    Table
        Shapes without a center, texts and excluded ones are left out, with a warning.

    Raises
    ------
    InputError
        Where none is left, or some are on the sky and others in pixels.
    """
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    with extras(), warnings.catch_warnings(record=True) as unknown:
        from regions import Regions

        warnings.simplefilter("always")
        shapes = list(enumerate(Regions.parse(read_text(path), format=format_), 1))
    left_out = [one for item in unknown for one in _not_read(str(item.message))]
    good = []
    for number, shape in shapes:
        kind = re.sub("(Sky|Pixel)Region$", "", type(shape).__name__).lower()
        if not shape.meta.get("include", 1):
            left_out.append(f"an excluded {kind}")
        elif kind == "text" or getattr(shape, "center", None) is None:
            left_out.append(f"a {kind}")
        else:
            good.append((number, shape))
    said = "; ".join(f"{n} × {one}" for one, n in Counter(left_out).items())
    kinds = {type(shape.center).__name__ for _, shape in good}
    if len(kinds) != 1:
        fault = "positions on the sky and in pixels" if kinds else f"no centers of shapes ({said})"
        advice = "save circles, ellipses, boxes or points, all in fk5 or all in image coordinates"
        raise unusable(path, f"has {fault}", advice)
    if left_out:
        warnings.warn(
            f"{path.name}: of its shapes {len(good)} are read; left out: {said}",
            PraesepeWarning,
            stacklevel=4,
        )
    table = Table({"id": [str(shape.meta.get("text", number)) for number, shape in good]})
    centers = [shape.center for _, shape in good]
    if "SkyCoord" in kinds:
        icrs = SkyCoord([center.icrs for center in centers])
        table["ra"], table["dec"] = icrs.ra.to("deg"), icrs.dec.to("deg")
    else:
        table["x"], table["y"] = ([getattr(one, axis) + 1.0 for one in centers] for axis in "xy")
    return table


def _not_read(message: str) -> list[str]:
    """What a warning of the library is about, in words of ours; nothing where another says it."""
    if "frame was not found" in message:
        return []
    named = re.match(r'"(.+)" frame or shape is not supported', message)
    return [f"{named[1]}, which is not read" if named else message.removesuffix(", skipping.")]


def write_regions(
    table: Table,
    path: str | os.PathLike[str],
    radius_arcsec: ArrayLike,
    *,
    sky: tuple[ArrayLike, ArrayLike] | None = None,
    pixel: tuple[ArrayLike, ArrayLike] | None = None,
    pixel_scale_arcsec: float | None = None,
    pixels_of: str = "",
    overwrite: bool = False,
) -> Path:
    """Write circles at the positions of a table as a DS9 region file.

    Parameters
    ----------
    table : Table
        With right ascension and declination, unless `sky` or `pixel` is given.
    path : path
        File to write, usually ``.reg``.
    radius_arcsec : float or array_like, shape (N,)
        Radii; a position without one becomes a cross.
    sky : (array_like, array_like), optional
        ICRS right ascension and declination, degrees.
    pixel : (array_like, array_like), optional
        x and y where the first pixel is (1, 1).
    pixel_scale_arcsec : float, optional
        Side of a pixel, for images without a WCS: radii are then written in pixels.
    pixels_of : str
        What the file says of the image that the pixels are of.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file that was written. Rows without a position are left out.

    Raises
    ------
    InputError
        Where the table has no positions or the file exists.
    """
    path = check_output(path, overwrite=overwrite)
    position = pixel or sky or sky_positions(table)
    if position is None:
        raise InputError(
            f"no positions for the regions among the columns {listed(table.colnames)}",
            given=table.colnames,
            allowed=("ra and dec", "x and y"),
        )
    radii = np.broadcast_to(np.asarray(radius_arcsec, float), (len(table),))
    first_line = "# Region file format: DS9 version 4.1"
    if pixel is not None and pixels_of:
        first_line += f"; pixels of {_one_line(pixels_of)}"
    lines = [first_line, "icrs" if pixel is None else "image"]
    unit = '"'
    if pixel is not None and pixel_scale_arcsec is not None:
        radii, unit = radii / pixel_scale_arcsec, ""
    columns = (*map(np.asarray, position), radii)
    for row, (first, second, radius) in enumerate(zip(*columns, strict=True)):
        if not (np.isfinite(first) and np.isfinite(second)):
            continue
        label = _region_label(table, row)
        if np.isfinite(radius) and radius > 0:
            lines.append(f"circle({first:.8f},{second:.8f},{radius:.4f}{unit}) # text={{{label}}}")
        else:
            lines.append(f"point({first:.8f},{second:.8f}) # point=x text={{{label}}}")
    text = "\n".join(lines) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _region_label(table: Table, row: int) -> str:
    """The row's name where the table has one, else its number from 1."""
    name = id_column(table)
    return _one_line(str(row + 1) if name is None else str(table[name][row]))


def _one_line(text: str) -> str:
    """Text that neither ends a line nor a label of the file."""
    return " ".join(text.translate(str.maketrans("{}", "()")).split())
