"""Read tables of all formats, and write them: all of a file or nothing of it."""

from __future__ import annotations

import gzip
import os
import re
import sys
import tempfile
import warnings
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.bounded import lost_bytes, unpacked
from praesepe.errors import InputError, PraesepeWarning, bad_suffix, check_type, reason, unusable
from praesepe.files import atomic, check_output
from praesepe.images.catalog.csv_files import check_csv, write_csv
from praesepe.images.catalog.region_files import read_regions
from praesepe.images.catalog.table_forms import (
    read_fits,
    read_parquet,
    read_votable,
    restore_units,
    suited,
    write_fits,
    write_votable,
)
from praesepe.images.catalog.text_tables import read_text_table
from praesepe.images.catalog.width import check_columns, width_of_text
from praesepe.lazy import extras

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
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
TEXT_SUFFIXES = (
    ".csv", ".tsv", ".tab", ".txt", ".dat", ".cat", ".tbl", ".mrt", ".asc",
    ".coo", ".mag", ".als",
)  # fmt: skip
"""File name endings of tables in plain text."""

TABLE_SUFFIXES = tuple(TABLE_FORMATS)
"""File name endings of the tables that can be written."""

_REGIONS = {".reg": "ds9", ".crtf": "crtf"}
READ_SUFFIXES = (*TABLE_FORMATS, *TEXT_SUFFIXES[1:], *_REGIONS)
"""File name endings of the tables that can be read."""

_START = 1 << 16
_IPAC = re.compile(rb"(?m)^\|.*\|\s*\n\|\s*(int|integer|long|double|float|real|char|date)\s*\|")

ROWS_FOR_TRIAL = 50
"""How many rows are written for trial, where every row is like the others."""


def read_table(
    source: Table | SkyCoord | str | os.PathLike[str], *, columns: Sequence[str] | str | None = None
) -> tuple[Table, str]:
    """Read a table in the format that the ending of the file name tells.

    Parameters
    ----------
    source : Table, SkyCoord, pandas.DataFrame, dict of columns, array or path
        A plain array (N, column) needs the names of its columns.
        ``"a.fits[NAME]"`` and ``"a.vot[NAME]"`` name one of several tables. Quantity columns of a
        QTable become plain ones.
    columns : sequence of str, or str with commas, optional
        Names of the columns, in order, of a text file without a header, or of an array.

    Returns
    -------
    table : Table
        A copy where a table was given.
    label : str
        How messages call it.

    Raises
    ------
    InputError
        Where the file is not there, cannot be read, or holds several tables.
    """
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from praesepe.images.reading.source import split_extension

    if isinstance(columns, str):
        columns = [name.strip() for name in columns.split(",")]
    source, columns = _table_in_memory(source, columns)
    if isinstance(source, SkyCoord):
        icrs = source.icrs.reshape(-1)
        source = Table({"ra": icrs.ra.to("deg"), "dec": icrs.dec.to("deg")})
    if isinstance(source, Table):
        _refuse_columns(columns, "the catalog")
        return _plain_types(Table(source), "the catalog"), "the catalog"
    check_type("catalog", source, (str, os.PathLike), ("a Table", "the path of one"))
    path, extension = split_extension(os.fspath(source))
    format_ = _format_of(path, source)
    if format_ != "ascii.csv":
        _refuse_columns(columns, path.name)
    if extension and format_ not in ("fits", "votable"):
        raise InputError(
            f"{path.name} holds one table", given=extension, remedy=f"leave [{extension}] out"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = _parsed(path, format_, extension, columns)
    check_columns(len(table.columns), path.name)  # where its reader did not ask before
    for item in caught:
        if issubclass(item.category, PraesepeWarning):
            warnings.warn(item.message, PraesepeWarning, stacklevel=2)
    restore_units(_plain_types(table, path.name))
    return table, path.name


def _table_in_memory(source: Any, columns: Sequence[str] | None) -> tuple[Any, Any]:
    """A table of a data frame, a dict of columns or an array; all else as it is.

    And the names of columns that are not used up.
    """
    from astropy.table import Table

    pandas = sys.modules.get("pandas")
    try:
        if pandas is not None and isinstance(source, pandas.DataFrame):
            named = not isinstance(source.index, pandas.RangeIndex)
            return Table.from_pandas(source, index=named), columns
        if isinstance(source, Mapping) or getattr(source, "dtype", np.dtype(int)).names:
            return Table(source), columns
    except (KeyError, TypeError, ValueError) as error:
        kind = type(source).__name__
        raise InputError(
            f"the catalog of type {kind} is no table",
            given=kind,
            remedy="give columns of equal lengths, whose names are texts",
        ) from error
    if isinstance(source, np.ndarray) and source.ndim == 2:
        if len(columns or ()) != source.shape[1]:
            raise InputError(
                f"the catalog is an array of {source.shape[1]} columns, of which "
                f"{len(columns or ())} are named",
                given=source.shape,
                remedy="name its columns in their order",
                code="columns=('ra', 'dec')",
            )
        return Table(source, names=list(columns or ())), None
    return source, columns


def _format_of(path: Path, source: str | os.PathLike[str]) -> str:
    """Format of a file by astropy's name, as its ending and its first lines tell."""
    if not path.is_file():
        raise InputError(
            f"{path} is a folder, not a catalog" if path.is_dir() else f"no catalog at {path}",
            given=os.fspath(source),
            allowed=READ_SUFFIXES,
        )
    unpacked = Path(re.sub(r"\.(gz|\d+)$", "", path.name))  # image.mag.1, as IRAF counts
    ending = unpacked.suffix.lower()
    if ending not in READ_SUFFIXES:
        raise bad_suffix(unpacked, READ_SUFFIXES)
    format_ = {**TABLE_FORMATS, **_REGIONS}.get(ending, "ascii.csv")
    return (_declared(path) or format_) if format_ == "ascii.csv" else format_


def _parsed(
    path: Path, format_: str, extension: str | None, columns: Sequence[str] | None
) -> Table:
    """The table of a file, read by its format."""
    from astropy.table import Table

    from praesepe.images.reading.damage import fits_fault
    from praesepe.images.reading.packed import check_fits, uncompressed

    try:
        if path.suffix == ".gz" and format_ != "ascii.csv":
            with gzip.open(path) as packed:
                deque(unpacked(packed, path), maxlen=0)
        if format_ == "ascii.csv":
            return read_text_table(path, columns)
        if format_ == "votable":
            return read_votable(path, extension)
        if format_ == "fits":
            check_fits(path, path.name)
            table = read_fits(path, extension)
            if lost := lost_bytes(path):
                warnings.warn(f"{path.name}: {lost}", PraesepeWarning, stacklevel=2)
            return table
        if format_ == "parquet":
            return read_parquet(path)
        if format_ in _REGIONS.values():
            return read_regions(path, format_)
        check_columns(width_of_text(path), path.name)
        if format_ == "ascii.cds":
            return Table.read(path, format=format_, readme=_described(path))
        return Table.read(path, format=format_)
    except InputError:
        raise
    except Exception as error:  # astropy's readers raise many kinds
        fault = reason(error)
        if format_ == "fits":
            with uncompressed(path, path.name) as plain:
                fault = fits_fault(plain)
        raise InputError(
            f"{path} cannot be read as {format_.removeprefix('ascii.').upper()}: {fault}",
            given=path,
            allowed=READ_SUFFIXES,
            remedy="mend the file, or save it in another format",
        ) from error


def _plain_types(table: Table, label: str) -> Table:
    """Make text of bytes, seconds of durations, and of objects what they are; None is masked."""
    from astropy.table import Column, MaskedColumn

    for name in table.colnames:
        column = table[name]
        if not isinstance(column, Column) or column.dtype.kind not in "SOm":
            continue
        given = np.ma.asarray(column)
        mask = np.ma.getmaskarray(given)
        values: np.ndarray | None
        if column.dtype.kind == "S":
            values = _decoded(given.filled(b""), name, label)
        elif column.dtype.kind == "m":
            values, mask = given.data / np.timedelta64(1, "s"), mask | np.isnat(given.data)
            column.unit = "s"
        else:
            mask = mask | np.array([value is None for value in given.filled(None).tolist()])
            values = _of_one_type(given.filled(None), mask)
        if values is not None:
            info = {"unit": column.unit, "description": column.description, "meta": column.meta}
            new = MaskedColumn(values, mask=mask, **info) if mask.any() else Column(values, **info)
            table.replace_column(name, new)
    return table


def _decoded(raw: np.ndarray, name: str, label: str) -> np.ndarray:
    try:
        return np.char.decode(raw, "utf-8")
    except UnicodeDecodeError:
        warnings.warn(
            f"{label}: column {name!r} is not in UTF-8; it is read as Windows-1252: look at its "
            "accents",
            PraesepeWarning,
            stacklevel=4,
        )
        return np.char.decode(raw, "cp1252", "replace")


def _of_one_type(values: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Objects as an array of text, logicals or numbers; None where they are none of these."""
    given = values[~mask].tolist()
    for kind, nothing in ((str, ""), (bool, False), (int, 0), (int | float, np.nan), (Decimal, "")):
        if all(isinstance(value, kind) for value in given):
            full = [nothing if no else value for value, no in zip(values, mask, strict=True)]
            array = np.array(full)
            return array if array.dtype.kind in "Ubiuf" else array.astype(str)
    return None


def _declared(path: Path) -> str | None:
    """Format of a text file that says itself what it is."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        try:
            start = file.read(_START)
        except (OSError, EOFError, zlib.error):
            return None  # whoever reads it says so
    if start.startswith(b"SIMPLE  ="):
        return "fits"  # LDAC of SExtractor
    if b"<VOTABLE" in start:
        return "votable"
    if start.lstrip().lower().startswith((b"<html", b"<!doctype html")):
        raise unusable(path, "is a web page, not a catalog", "fetch the file itself")
    if _IPAC.search(start) or (path.suffix == ".tbl" and start.startswith((b"\\", b"|"))):
        return "ascii.ipac"
    if start.lstrip(b"# ").startswith(b"%ECSV"):
        return "ascii.ecsv"
    if start.startswith(b"#K IRAF"):
        return "ascii.daophot"
    if b"Byte-by-byte Description" in start:
        return "ascii.mrt"
    return "ascii.cds" if _described(path) else None


def _described(path: Path) -> str | None:
    """The ReadMe beside a file that describes its columns byte by byte, as those of the CDS."""
    name = path.name.removesuffix(".gz")
    for readme in map(path.with_name, ("ReadMe", "readme", "README", "ReadMe.txt")):
        if readme.is_file():
            text = readme.read_text(encoding="utf-8", errors="replace")
            told = " ".join(re.findall(r"Byte-by-byte Description of file\(?s?\)?:(.*)", text))
            if any(fnmatch(name, pattern) for pattern in told.split()):
                return str(readme)
    return None


def _refuse_columns(columns: Sequence[str] | None, label: str) -> None:
    if columns:
        raise InputError(
            f"{label} names its columns itself",
            given=columns,
            remedy="leave the names of the columns out; they are for text files without a header",
        )


def write_table(
    table: Table,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    escape_formulas: bool = False,
) -> Path:
    """Write a table in the format that the ending of the file name tells.

    Units, descriptions and metadata are kept in ECSV, FITS, VOTable and Parquet; CSV has no place
    for them. Masks and logicals survive everywhere, but that masked texts come back empty from CSV,
    and empty ones masked from the others but Parquet; what a format has no place for is refused, or
    said. In FITS and VOTable, units
    that these do not know ("dex(yr)", "electron / s") move into the description, from where
    `read_table` restores them, times become text (ISO 8601), and nested metadata become JSON text.

    Parameters
    ----------
    table : Table
        Rows to write; it is not changed.
    path : path
        ``.ecsv``, ``.fits``, ``.vot``, ``.xml``, ``.csv`` or ``.parquet``.
    overwrite : bool
        Whether an existing file may be replaced.
    escape_formulas : bool
        Of CSV, for spreadsheets: whether names and texts that begin with ``=``, ``+``, ``-`` or
        ``@``, and are no numbers, get an apostrophe before them.

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
    format_ = TABLE_FORMATS[path.suffix.lower()]
    if escape_formulas and format_ != "ascii.csv":
        fault, remedy = f"formulas are escaped in CSV, not in {path.suffix}", "leave that out"
        raise InputError(fault, given=path.suffix, allowed=".csv", remedy=remedy)
    if format_ == "ascii.csv":
        check_csv(table)
    elif format_ in ("fits", "votable"):
        table = suited(table, format_)
    if format_ != "parquet":
        _warn_of_blanks(table, path.suffix)
    try:
        with atomic(path, overwrite=overwrite) as part:
            if format_ == "votable":
                write_votable(table, part)
            elif format_ == "fits":
                write_fits(table, part)
            elif format_ == "parquet":
                with extras():
                    import pyarrow  # noqa: F401  # which astropy needs
                table.write(part, format=format_)
            elif format_ == "ascii.csv":
                write_csv(table, part, escape_formulas=escape_formulas)
            else:
                with part.open("w", encoding="utf-8") as file:
                    table.write(file, format=format_)
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        fault = f"cannot hold the table: {reason(error)}"
        raise unusable(path, fault, "try .ecsv") from error
    return path


def _warn_of_blanks(table: Table, suffix: str) -> None:
    """Say of which texts a format loses the blanks at their ends."""
    for name in table.colnames:
        column = table[name]
        if getattr(getattr(column, "dtype", None), "kind", "") != "U":
            continue
        texts = np.ma.asarray(column).filled("")
        fits = TABLE_FORMATS[suffix.lower()] == "fits"  # which keeps them at the beginning
        if ((np.char.rstrip if fits else np.char.strip)(texts) != texts).any():
            warnings.warn(
                f"column {name!r} loses blanks at the {'' if fits else 'beginning or '}end of its "
                f"texts in {suffix} files; .parquet keeps them",
                PraesepeWarning,
                stacklevel=3,
            )


def check_fit(table: Table, path: str | os.PathLike[str], *, escape_formulas: bool = False) -> None:
    """Write a table for trial, and throw it away: what the format cannot hold is said now.

    Parameters
    ----------
    table : Table
        As it will be written, whatever its values.
    path : path
        Its ending tells the format.
    escape_formulas : bool
        As it will be written.

    Raises
    ------
    InputError
        As `write_table` would.
    """
    format_ = TABLE_FORMATS[Path(path).suffix.lower()]
    if format_ in ("fits", "votable"):
        table = suited(table, format_)
    some = table if any(map(_rows_differ, table.itercols())) else table[:ROWS_FOR_TRIAL]
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, Path(path).name)
        try:
            write_table(some, trial, escape_formulas=escape_formulas)
        except InputError as error:
            for name in some.colnames if error.__cause__ else ():
                try:
                    write_table(some[[name]], trial, overwrite=True)
                except InputError:
                    raise InputError(
                        f"column {name!r} ({some[name].info.dtype}) has no place in "
                        f"{trial.suffix} files",
                        given=name,
                        remedy="write .ecsv, or leave the column out",
                    ) from error
            raise


def _rows_differ(column: Any) -> bool:
    """Whether a format may have a place for some values of a column, and none for others."""
    mask = np.asarray(getattr(column, "mask", False))
    return getattr(column, "dtype", np.dtype(int)).kind == "O" or bool(mask.any() > mask.all())
