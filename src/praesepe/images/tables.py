"""Write tables and region files: all of a file or nothing of it."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import InputError, MissingDependencyError, PraesepeWarning
from praesepe.files import atomic, check_output

if TYPE_CHECKING:
    from astropy.table import Table

TABLE_FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
}
TABLE_SUFFIXES = tuple(TABLE_FORMATS)
"""File name endings of the tables that can be read and written."""


def write_table(table: Table, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a table in the format that the ending of the file name tells.

    Units, descriptions and metadata are kept in ECSV, FITS, VOTable and Parquet; CSV has no place
    for them. In FITS and VOTable, whose standards know no logarithmic units, "dex(yr)" moves into
    the description, and nested metadata become JSON text.

    Parameters
    ----------
    table : Table
        Rows to write; it is not changed.
    path : path
        ``.ecsv``, ``.fits``, ``.vot``, ``.xml``, ``.csv`` or ``.parquet``.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InputError
        Where the ending is unknown, the file exists, or a column does not fit the format.
    PraesepeError
        Where the disk is full or another error of the file system occurs.
    """
    path = check_output(path, TABLE_SUFFIXES, overwrite=overwrite)
    form = table_format(path)
    if form == "ascii.csv":
        _check_csv(table)
    elif form in ("fits", "votable"):
        table = fits_safe(table)
    if form == "fits":
        _suit_names(table)
    try:
        with atomic(path, overwrite=overwrite) as part:
            _write(table, part, form)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"the table does not fit the format of {path.name}: {error}; try .ecsv"
        ) from error
    return path


def table_format(path: Path) -> str:
    """Name of astropy's reader and writer for a file name; `InputError` for an unknown ending."""
    form = TABLE_FORMATS.get(path.suffix.lower())
    if form is None:
        raise InputError(
            f"{path.name}: the format {path.suffix!r} is not one of {', '.join(TABLE_SUFFIXES)}"
        )
    return form


def _write(table: Table, path: Path, form: str) -> None:
    if form == "votable":
        _write_votable(table, path)
    elif form == "fits":
        _write_fits(table, path)
    elif form == "parquet":
        try:
            table.write(path, format=form)
        except ImportError as error:
            raise MissingDependencyError(
                f"Parquet files need pyarrow: pip install pyarrow ({error})"
            ) from error
    else:
        with path.open("w", encoding="utf-8") as file:
            table.write(file, format=form)


def _write_fits(table: Table, path: Path) -> None:
    """FITS with the descriptions as TCOMM cards, which TOPCAT and others show."""
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)  # long keywords become HIERARCH cards
        table.write(path, format="fits")
        with fits.open(path, mode="update") as hdus:
            for i, name in enumerate(hdus[1].columns.names, 1):
                if name in table.colnames and table[name].info.description:
                    hdus[1].header[f"TCOMM{i}"] = table[name].info.description


def _write_votable(table: Table, path: Path) -> None:
    """VOTable with the metadata as INFO elements."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info
    from astropy.table.serialize import represent_mixins_as_columns

    document = from_table(represent_mixins_as_columns(table))  # SkyCoord: its ra and dec
    for key, value in table.meta.items():
        document.resources[0].infos.append(Info(name=str(key), value=str(value)))
    document.to_xml(os.fspath(path))


def _check_csv(table: Table) -> None:
    wide = [name for name in table.colnames if len(getattr(table[name], "shape", (0,))) > 1]
    if wide:
        raise InputError(
            f"columns {', '.join(wide)} hold arrays, which CSV cannot; write .ecsv or .fits"
        )


def fits_safe(table: Table) -> Table:
    """Copy a table without what FITS and VOTable cannot say.

    Their standards know no logarithmic units: "dex(yr)" moves into the description of its column.
    Metadata that are neither text nor a number become JSON text.

    Parameters
    ----------
    table : Table
        It is not changed.

    Returns
    -------
    Table
        A plain Table on the same data; only units, descriptions and metadata are copied.
    """
    from astropy.table import Table

    table = Table(table, copy=False)
    for key, value in table.meta.items():
        if not isinstance(value, (str, int, float, bool)):
            table.meta[key] = json.dumps(value, default=str)
    for name in table.colnames:
        info = table[name].info
        if "(" in str(info.unit or ""):
            info.description = f"{info.description or name} [{info.unit}]"
            table[name].unit = None
    return table


def _suit_names(table: Table) -> None:
    """FITS does not tell upper from lower case: rename the earlier of two alike columns."""
    names = [name.lower() for name in table.colnames]
    for name in table.colnames[:-1]:
        low = name.lower()
        if names.count(low) < 2:
            continue
        names.remove(low)
        new = f"{name}_in"
        while new.lower() in names:
            new += "_in"
        names.append(new.lower())
        table.rename_column(name, new)
        warnings.warn(
            f"FITS does not tell upper from lower case: column {name!r} is written as {new!r}",
            PraesepeWarning,
            stacklevel=3,
        )


def write_regions(
    table: Table, path: str | os.PathLike[str], radius_arcsec: ArrayLike, *, overwrite: bool = False
) -> Path:
    """Write circles at the positions of a table as a DS9 region file.

    Parameters
    ----------
    table : Table
        With right ascension and declination; otherwise with pixel columns ``x_image`` and
        ``y_image``, or ``x`` and ``y``, in which the first pixel is (1, 1).
    path : path
        File to write, usually ``.reg``.
    radius_arcsec : float or array_like, shape (N,)
        Radii; a position without one becomes a cross.
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
    from praesepe.images.catalogs import sky_positions

    path = check_output(path, overwrite=overwrite)
    position = sky_positions(table)
    system = "icrs"
    if position is None:
        system = "image"
        pair = next(
            (p for p in (("x_image", "y_image"), ("x", "y")) if set(p) <= set(table.colnames)), None
        )
        if pair is None:
            raise InputError(
                f"no positions for the regions among the columns {', '.join(table.colnames)}"
            )
        x, y = (np.ma.asarray(table[name], dtype=np.float64).filled(np.nan) for name in pair)
        position = (x, y)
    radii = np.broadcast_to(np.asarray(radius_arcsec, float), (len(table),))
    lines = ["# Region file format: DS9 version 4.1", system]
    for row, (first, second, radius) in enumerate(zip(*position, radii, strict=True)):
        if not (np.isfinite(first) and np.isfinite(second)):
            continue
        label = _region_label(table, row)
        if np.isfinite(radius) and radius > 0:
            lines.append(f'circle({first:.8f},{second:.8f},{radius:.4f}") # text={{{label}}}')
        else:
            lines.append(f"point({first:.8f},{second:.8f}) # point=x text={{{label}}}")
    with atomic(path, overwrite=overwrite) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _region_label(table: Any, row: int) -> str:
    """The row's name where the table has one, else its number from 1; without braces."""
    for name in table.colnames:
        if name.lower() in ("name", "id", "source_id", "apid"):
            return str(table[name][row]).translate(str.maketrans("{}", "()"))
    return str(row + 1)
