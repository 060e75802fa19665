"""What FITS and VOTable can hold of a table, and what they need said in another way."""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import InputError, PraesepeWarning, listed, unusable
from praesepe.images.catalog.column_names import position_columns, sky_name
from praesepe.images.catalog.fits_cards import MORE, as_cards, restore_meta
from praesepe.images.catalog.width import check_columns, width_of_votable
from praesepe.lazy import extras
from praesepe.links import refuse_links, votable_links
from praesepe.provenance import any_text, ascii_text

if TYPE_CHECKING:
    from astropy.table import Table

_UNIT_IN_TEXT = re.compile(r"(?P<text>.*) \[(?P<unit>[^\[\]]*)\]", re.DOTALL)

OTHER_TYPES = {"i1": "i2", "f2": "f4"}
"""Types that neither format has (int8 is a logical in FITS), and what is written in their place."""

LONGEST_FITS_NAME = 68
"""Characters that the name of a column has in a card of FITS."""

FRAME = "frame"
"""Where the metadata of a column keep the system of coordinates of a VOTable."""


# Reading


def read_fits(path: Path, extension: str | None) -> Table:
    """The one table of a FITS file, or the one that is named."""
    from astropy.io import fits
    from astropy.table import MaskedColumn, Table

    # a file that is opened here is closed whatever astropy makes of it
    with path.open("rb") as file, fits.open(file, memmap=False, character_as_bytes=True) as hdus:
        tables = [
            i
            for i, hdu in enumerate(hdus)
            if isinstance(hdu, (fits.BinTableHDU, fits.TableHDU))
            and not isinstance(hdu, fits.CompImageHDU)
        ]
        names = [
            f"{i} ({hdus[i].name or 'no name'}, {len(hdus[i].columns)} columns)" for i in tables
        ]
        found = _chosen(
            extension,
            {str(i): i for i in tables} | {hdus[i].name.upper(): i for i in reversed(tables)},
            names,
            path,
            [i for i in tables if position_columns(hdus[i].columns.names)],
        )
        nulls = {any_text(name): mask for name, mask in _scaled_nulls(hdus[found]).items()}
        table = Table.read(hdus, hdu=found, format="fits")
        for key in ("EQUINOX", "RADESYS", "RADECSYS"):  # of all extensions
            if key in hdus[0].header:
                table.meta.setdefault(key, hdus[0].header[key])
    restore_meta(table.meta)
    for name in table.colnames:
        if (given := any_text(name)) != name:
            table.rename_column(name, given)
    for name, mask in nulls.items():
        table[name] = MaskedColumn(table[name], mask=mask)
    for i, name in enumerate(table.colnames, 1):
        for keyword, key in (("TUCD", "ucd"), ("TCOMM", "description")):
            told = table.meta.pop(f"{keyword}{i}", None)
            if isinstance(told, str) and told:
                if key == "ucd":
                    table[name].info.meta = {**(table[name].info.meta or {}), "ucd": told}
                else:
                    table[name].info.description = table[name].info.description or told
    return table


def _scaled_nulls(hdu: Any) -> dict[str, np.ndarray]:
    """Masks of scaled integers: TNULL is of the file's numbers, which astropy compares scaled."""
    if hdu.data is None:
        return {}
    raw, masks = hdu.data.view(np.ndarray), {}
    for column in hdu.columns:
        values, scaled = raw[column.name], (column.bscale, column.bzero) != ("", "")
        if scaled and isinstance(column.null, int) and values.dtype.kind in "iu":
            limits = np.iinfo(values.dtype)
            if values.shape == hdu.data[column.name].shape and (
                limits.min <= column.null <= limits.max
            ):
                masks[column.name] = values == column.null
    return masks


def read_votable(path: Path, extension: str | None) -> Table:
    """The one table of a VOTable file, or the one that is named; columns by their names."""
    from astropy.io.votable import parse

    refuse_links(path.name, votable_links(path))
    check_columns(width_of_votable(path), path.name)
    document = parse(path, verify="ignore")
    tables = list(document.iter_tables())
    _check_answer(document, path)
    names = [
        f"{i} ({one.name or one.ID or 'no name'}, {len(one.fields)} columns)"
        for i, one in enumerate(tables, 1)
    ]
    known = {
        str(name).upper(): i
        for i, one in reversed(list(enumerate(tables)))
        for name in (i + 1, one.name, one.ID)
        if name
    }
    results = [
        i
        for i, one in enumerate(tables, 1)
        if one not in [t for r in document.resources if r.type == "meta" for t in r.iter_tables()]
    ]
    if extension is None and len(results) == 1:
        extension = str(results[0])
    ucds = [{str(field.ucd).split(";")[0].lower() for field in one.fields} for one in tables]
    positions = [
        i
        for i, one in enumerate(tables)
        if position_columns([field.name for field in one.fields])
        or ucds[i] >= {"pos.eq.ra", "pos.eq.dec"}
    ]
    element = tables[_chosen(extension, known, names, path, positions)]
    table = element.to_table(use_names_over_ids=True)
    systems = {
        one.ID: f"{one.system} equinox {one.equinox}" if one.equinox else str(one.system)
        for one in document.iter_coosys()
    }
    only = next(iter(systems.values())) if len({*systems.values()}) == 1 else None
    for name, field in zip(table.colnames, element.fields, strict=True):
        _mask_empty(table, name)
        of_sky = sky_name(name) is not None or "pos" in str(field.ucd).lower()
        if system := systems.get(field.ref, only if of_sky else None):
            table[name].meta[FRAME] = system
    return table


def _mask_empty(table: Table, name: str) -> None:
    """Mask empty texts, which are VOTable's nulls; astropy does so for FITS and ECSV itself."""
    from astropy.table import MaskedColumn

    if table[name].dtype.kind in "OU" and table[name].ndim == 1:
        empty = [isinstance(one, str) and not one for one in table[name].tolist()]
        if any(empty):
            table[name] = MaskedColumn(table[name], mask=empty)


def _check_answer(document: Any, path: Path) -> None:
    """Say where a service cut its answer off, or answered with an error."""
    infos = [info for resource in document.resources for info in resource.infos]
    said = {info.value: info.content for info in infos if info.name == "QUERY_STATUS"}
    if "ERROR" in said:
        raise InputError(
            f"{path.name} is a service's error: {str(said['ERROR']).strip()}",
            given=path,
            remedy="ask the service again",
        )
    if "OVERFLOW" in said:
        warn_of_overflow(path.name)


def warn_of_overflow(label: str) -> None:
    """Say that a service gave the first rows only."""
    warnings.warn(
        f"{label}: the service that wrote it cut its answer off; rows are missing. Ask it for more",
        PraesepeWarning,
        stacklevel=5,
    )


def read_parquet(path: Path) -> Table:
    """A Parquet file, of astropy or of others; nulls become masked, whatever their type."""
    from astropy.table import MaskedColumn, Table

    with extras():
        import pyarrow as pa
        import pyarrow.parquet as pq
    schema = pq.read_schema(path)
    check_columns(len(schema), path.name)
    if b"table_meta_yaml" in (schema.metadata or {}):
        return Table.read(path, format="parquet")
    table, data = Table(), pq.read_table(path)
    for name in data.column_names:
        column = data[name]
        if isinstance(column.type, pa.DictionaryType):
            column = column.cast(column.type.value_type)
        nulls = column.is_null().to_numpy()
        if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            values = column.fill_null(pa.scalar(0).cast(column.type)).to_numpy()
        elif pa.types.is_floating(column.type) or pa.types.is_duration(column.type):
            values = column.to_numpy()
        elif pa.types.is_temporal(column.type):  # as text, which every format has
            values = column.to_numpy().astype(str).astype(object)
            values[nulls] = None
        else:
            values = np.empty(len(column), object)
            values[:] = column.to_pylist()
        plain = nulls.any() and values.dtype.kind in "iub"
        table[name] = MaskedColumn(values, mask=nulls) if plain else values
    return table


def _chosen(
    extension: str | None,
    known: dict[str, int],
    names: list[str],
    path: Path,
    positions: list[int],
) -> int:
    """The table that is named, or the only one, or the only one of several with `positions`."""
    if not names:
        raise unusable(path, "holds no table", "give the file of the catalog")
    if extension is None:
        if "LDAC_OBJECTS" in known:  # beside the header of the image that SExtractor saw
            return known["LDAC_OBJECTS"]
        if len(names) > 1 and len(positions) == 1:
            number = next(key for key, value in known.items() if value == positions[0])
            warnings.warn(
                f"{path.name} holds several tables: {listed(names)}; {number} is read, the only "
                "one with positions",
                PraesepeWarning,
                stacklevel=4,
            )
            return positions[0]
        if len(names) > 1:
            raise InputError(
                f"{path.name} holds several tables: {listed(names)}; name one, for instance "
                f"{path.name}[{names[0].split()[0]}]",
                given=path,
                allowed=names,
            )
        return next(iter(known.values()))
    if extension.upper() not in known:
        raise InputError(
            f"{path} has no extension {extension!r} that is a table; "
            f"its tables are {listed(names)}",
            given=extension,
            allowed=names,
        )
    return known[extension.upper()]


def restore_units(table: Table) -> None:
    """Take the units that `suited` put into descriptions back out of them.

    Those are the units that astropy knows and one of the formats does not.
    """
    from astropy.units import Unit, UnrecognizedUnit

    for name in table.colnames:
        info = table[name].info
        match = _UNIT_IN_TEXT.fullmatch(str(info.description or ""))
        if match is not None and getattr(table[name], "unit", "none") is None:
            unit = Unit(match["unit"], parse_strict="silent")
            if isinstance(unit, UnrecognizedUnit) or all(
                _has_unit(unit, format_) for format_ in ("fits", "votable")
            ):
                continue
            table[name].unit = unit
            info.description = match["text"] if match["text"] != name else None


# Writing


def suited(table: Table, format_: str) -> Table:
    """A Table on the same data that FITS or VOTable can hold; see `praesepe.images.write_table`.

    Raises
    ------
    InputError
        Where a column has values that the format has no place for.
    """
    from astropy.table import Table

    table = Table(table, copy=False)
    _suit_times(table)
    for key, value in table.meta.items():
        if not isinstance(value, (str, int, float, bool)) and key != "comments":
            table.meta[key] = json.dumps(value, default=str)
    for name in table.colnames:
        info = table[name].info
        if not _has_unit(info.unit, format_):
            info.description = f"{info.description or name} [{info.unit}]"
            table[name].unit = None
        dtype = getattr(table[name], "dtype", np.dtype(object))
        if other := OTHER_TYPES.get(dtype.str[1:], "U" if dtype.kind == "M" else ""):
            table.replace_column(name, table[name].astype(str if other == "U" else other))
    if format_ == "fits":
        _suit_fits(table)
    else:
        _suit_votable(table)
    return table


def _say(text: str) -> None:
    """Tell whoever asked for the table to be written what becomes of it."""
    warnings.warn(text, PraesepeWarning, stacklevel=5)


def _has_unit(unit: Any, format_: str) -> bool:
    """Whether a format can say a unit: no logarithms, and in FITS no factors but powers of ten."""
    from astropy.units import UnitBase

    if unit is None or isinstance(unit, str):  # a SkyCoord's is text
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old units, which are said all the same
            unit.to_string(format="fits" if format_ == "fits" else "vounit")
    except ValueError:
        return False
    return isinstance(unit, UnitBase)


def _suit_times(table: Table) -> None:
    """Times as text, which loses nothing; the two numbers that they are mean nothing to others."""
    from astropy.table import MaskedColumn
    from astropy.time import Time

    for name in table.colnames:
        time = table[name]
        if isinstance(time, Time):
            _say(f"column {name!r} of times ({time.scale}) is written as text (ISO 8601)")
            time = Time(time, precision=9)
            text = np.ma.MaskedArray(np.ma.filled(time.isot, ""), getattr(time, "mask", False))
            described = time.info.description or f"time ({time.scale})"
            table.replace_column(name, MaskedColumn(text, description=described))


def _suit_fits(table: Table) -> None:
    """Names, texts and masks as FITS has them."""
    if (n := len(table.columns)) > 999:
        fault, remedy = f"FITS has no place for {n} columns", "leave some out, or write .ecsv"
        raise InputError(fault, given=n, allowed="at most 999", remedy=remedy)
    foreign = [name for name in table.colnames if not name.isascii()]
    if foreign:
        _say(f"{_not_ascii(f'the names of the columns {listed(foreign)}')}: escaped there")
        table.rename_columns(foreign, [ascii_text(name) for name in foreign])
    _suit_names(table)
    table.meta, more = as_cards(table.meta)
    if more:
        _say(f"FITS has no cards for the metadata {listed(more)}: JSON in {MORE} has them")
    for name in table.colnames:
        column, info = table[name], table[name].info
        if len(name) > LONGEST_FITS_NAME:
            raise InputError(
                f"the name of column {name[:20]!r}… has {len(name)} characters",
                given=name,
                allowed=LONGEST_FITS_NAME,
                remedy="rename it, or write .ecsv, .vot or .parquet",
            )
        if info.description and info.description != ascii_text(info.description):
            if "\\" not in name:
                _say(f"{_not_ascii(f'the description of column {name!r}')}: escaped there")
            info.description = ascii_text(info.description)
        kind = getattr(getattr(column, "dtype", None), "kind", "")
        if kind == "U":
            texts = np.ma.filled(np.ma.asarray(column), "")
            bad = next((text for text in texts.ravel() if not text.isascii()), None)
            if bad is not None:
                raise InputError(
                    _not_ascii(f"column {name!r}, such as {str(bad)!r}"),
                    given=bad,
                    allowed="ASCII",
                    remedy="write .ecsv, .vot or .parquet, which hold all characters",
                )
        if kind in "biu" and kind and hasattr(column, "mask"):
            if not column.mask.any():  # TNULL could only be taken for a value
                table.replace_column(name, _plain(column))
            elif kind == "i" or column.dtype == np.uint8:
                column.fill_value = _unused(column)
            else:  # no null of their own: a column of the mask beside them, as astropy writes it
                info.serialize_method["fits"] = "data_mask"


def _plain(column: Any) -> Any:
    from astropy.table import Column

    info = column.info
    return Column(
        column.data.data, unit=info.unit, format=info.format, description=info.description
    )


def _unused(column: Any) -> int:
    """A number that says that there is none: not one of the column's."""
    limits = np.iinfo(column.dtype)
    values = set(np.asarray(column.compressed()).ravel().tolist())
    near = (n for k in range(len(values) + 1) for n in (limits.min + k, limits.max - k))
    return next(n for n in near if n not in values)


def _not_ascii(what: str) -> str:
    return f"FITS holds ASCII only, not {what}"


def _suit_votable(table: Table) -> None:
    """Unsigned integers as longer ones, which VOTable has; beyond 2^63 as text."""
    from astropy.coordinates import SkyCoord
    from astropy.time import TimeDelta

    for name in table.colnames:
        column = table[name]
        if isinstance(column, TimeDelta):
            table.replace_column(name, column.to("s"))
        if isinstance(column, SkyCoord):
            _say(f"column {name!r} of sky positions is written as two or more columns {name}.…")
        if getattr(column, "dtype", None) is np.dtype(object) and not all(
            isinstance(value, (np.ndarray, str)) for value in column
        ):
            raise InputError(
                f"VOTable has no place for the objects of column {name!r}",
                given=name,
                remedy="write .ecsv, or leave the column out",
            )
        if getattr(column, "dtype", None) in (np.uint16, np.uint32):
            table.replace_column(name, column.astype(np.int64))
        if getattr(column, "dtype", None) != np.uint64:
            continue
        values = np.ma.asarray(column)
        if values.size == 0 or (np.ma.filled(values, 0) < 2**63).all():
            table.replace_column(name, column.astype(np.int64))
            continue
        _say(f"VOTable has no integers beyond 2^63: column {name!r} is written as text")
        table.replace_column(name, column.astype(str))


def write_fits(table: Table, path: Path) -> None:
    """FITS with the descriptions as TCOMM cards, which TOPCAT and others show."""
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning
    from astropy.units import UnitsWarning
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        # long keywords become HIERARCH cards, units that nobody knows stay as they are
        warnings.simplefilter("ignore", VerifyWarning)
        warnings.simplefilter("ignore", UnitsWarning)
        # keywords of the old file's form, such as NAXIS
        warnings.filterwarnings("ignore", "Meta-data keyword", AstropyUserWarning)
        table.write(path, format="fits")
        with fits.open(path, mode="update") as hdus:
            for i, name in enumerate(hdus[1].columns.names, 1):
                if name not in table.colnames:
                    continue
                info = table[name].info
                for keyword, told in (
                    ("TCOMM", info.description),
                    ("TUCD", (info.meta or {}).get("ucd")),
                ):
                    if told:
                        hdus[1].header[f"{keyword}{i}"] = told


def write_votable(table: Table, path: Path) -> None:
    """VOTable with metadata as INFO elements, and the model in the description that is shown."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info
    from astropy.table.serialize import represent_mixins_as_columns

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as below
        document = from_table(represent_mixins_as_columns(table))  # SkyCoord: its ra and dec
    if "model" in table.meta:
        named = ("model", "model_version", "praesepe_version", "date")
        made_by = (f"{key} {table.meta[key]}" for key in named if key in table.meta)
        document.get_first_table().description = f"measured by {', '.join(made_by)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys and names that are no XML names, and old units
        for key, value in table.meta.items():
            document.resources[0].infos.append(Info(name=str(key), value=str(value)))
        document.to_xml(os.fspath(path))


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
        _say(f"FITS does not tell upper from lower case: column {name!r} is written as {new!r}")
