"""Write tables and region files: all of a file or nothing of it."""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from praesepe.errors import InputError, PraesepeWarning
from praesepe.files import atomic, check_output
from praesepe.lazy import extras

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
_UNIT_IN_TEXT = re.compile(r"(?P<text>.*) \[(?P<unit>(dex|mag|dB)\([^\[\]]*\))\]", re.DOTALL)

TABLE_SUFFIXES = tuple(TABLE_FORMATS)
"""File name endings of the tables that can be read and written."""


def read_table(source: Table | str | os.PathLike[str]) -> tuple[Table, str]:
    """Read a table in the format that the ending of the file name tells.

    Parameters
    ----------
    source : Table or path
        ``"a.fits[NAME]"`` names an extension. Quantity columns of a QTable become plain ones.

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
    from astropy.table import Column, Table

    from praesepe.images.source import check_fits, split_extension

    if isinstance(source, Table):
        return Table(source), "the catalog"
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(f"a catalog is a Table or the path of one, not a {type(source).__name__}")
    path, extension = split_extension(os.fspath(source))
    if not path.is_file():
        raise InputError(
            f"{path} is a folder, not a catalog" if path.is_dir() else f"no catalog at {path}",
            given=os.fspath(source),
            allowed=TABLE_SUFFIXES,
        )
    ending = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if ending not in TABLE_FORMATS:
        raise InputError(
            f"{path.name}: the format {ending!r} is not one of {', '.join(TABLE_SUFFIXES)}"
        )
    format_ = TABLE_FORMATS[ending]
    options: dict[str, Any] = {}
    if extension:
        options["hdu"] = int(extension) if extension.isdigit() else extension
    if format_ == "ascii.csv":
        options = {"encoding": "utf-8-sig", "comment": "#"}
    if format_ == "fits":
        check_fits(path, path.name)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            table = Table.read(path, format=format_, **options)
    except Exception as error:  # astropy's readers raise many kinds
        raise InputError(
            f"{path} cannot be read as {format_.removeprefix('ascii.').upper()}: {error} "
            f"(readable formats: {', '.join(TABLE_FORMATS)})",
            given=path,
            allowed=TABLE_SUFFIXES,
        ) from error
    said = [str(item.message) for item in caught]
    if any("multiple tables" in text for text in said):
        raise InputError(f"{path} holds several tables; name one, for instance {path.name}[1]")
    if any("reading in first available" in text for text in said):
        raise InputError(f"{path} has no extension {extension!r} that is a table", given=extension)
    for name in table.colnames:  # the table's own method stumbles over SkyCoord
        if isinstance(table[name], Column):
            text = Table([table[name]])
            text.convert_bytestring_to_unicode()
            table.replace_column(name, text[name])
    _restore_units(table)
    return table, path.name


def _restore_units(table: Table) -> None:
    """Take the logarithmic units that `_fits_safe` put into descriptions back out of them."""
    from astropy.units import Unit

    for name in table.colnames:
        info = table[name].info
        match = _UNIT_IN_TEXT.fullmatch(str(info.description or ""))
        if match is not None and getattr(table[name], "unit", "none") is None:
            unit = Unit(match["unit"], parse_strict="silent")
            table[name].unit = unit
            info.description = match["text"] if match["text"] != name else None


def write_table(table: Table, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a table in the format that the ending of the file name tells.

    Units, descriptions and metadata are kept in ECSV, FITS, VOTable and Parquet; CSV has no place
    for them. In FITS and VOTable, where astropy knows no logarithmic units, "dex(yr)" moves into
    the description, from where `read_table` restores it; nested metadata become JSON text.

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
    format_ = TABLE_FORMATS[path.suffix.lower()]
    if format_ == "ascii.csv":
        _check_csv(table)
    elif format_ in ("fits", "votable"):
        table = _fits_safe(table)
    if format_ == "fits":
        _suit_names(table)
    try:
        with atomic(path, overwrite=overwrite) as part:
            if format_ == "votable":
                _write_votable(table, part)
            elif format_ == "fits":
                _write_fits(table, part)
            elif format_ == "parquet":
                with extras():
                    import pyarrow  # noqa: F401  # which astropy needs
                table.write(part, format=format_)
            else:
                with part.open("w", encoding="utf-8") as file:
                    table.write(file, format=format_)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"the table does not fit the format of {path.name}: {error}; try .ecsv"
        ) from error
    return path


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
    """VOTable with metadata as INFO elements, and the model in the description that is shown."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info
    from astropy.table.serialize import represent_mixins_as_columns

    document = from_table(represent_mixins_as_columns(table))  # SkyCoord: its ra and dec
    if "model" in table.meta:
        named = ("model", "model_version", "praesepe_version", "date")
        made_by = (f"{key} {table.meta[key]}" for key in named if key in table.meta)
        document.get_first_table().description = f"measured by {', '.join(made_by)}"
    for key, value in table.meta.items():
        document.resources[0].infos.append(Info(name=str(key), value=str(value)))
    document.to_xml(os.fspath(path))


def _check_csv(table: Table) -> None:
    wide = [name for name in table.colnames if len(getattr(table[name], "shape", (0,))) > 1]
    if wide:
        raise InputError(
            f"columns {', '.join(wide)} hold arrays, which CSV cannot; write .ecsv or .fits"
        )


def _fits_safe(table: Table) -> Table:
    """A Table on the same data without what FITS and VOTable cannot say; see `write_table`."""
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
