"""Sky coordinates of a table's rows, however its columns write them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError, PraesepeWarning, listed
from praesepe.images.catalog.column_names import (
    ANGLE_UNITS,
    MINUS,
    PAIR_NAMES,
    bare_name,
    find_column,
    in_brackets,
    sky_name,
    sky_pairs,
)
from praesepe.images.catalog.systems import check_system

if TYPE_CHECKING:
    from astropy.table import Table

FloatArray = NDArray[np.float64]

_DASHES = str.maketrans(dict.fromkeys(MINUS[1:], "-"))
_SEXAGESIMAL = re.compile(
    r"""\s*([+-]?)\s*(\d+(?:\.\d*)?)\s*(?:([:hʰd°\s])\s*
        (?:(\d+(?:\.\d*)?)\s*(?:[:mᵐ'′\s]\s*(?:(\d+(?:\.\d*)?)\s*(?:s|ˢ|"|″|'')?)?)?)?)?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
PAIR_AGREEMENT_ARCSEC = 0.1
"""How far two pairs of columns may be apart in one row without a warning."""

_PACKED = re.compile(rf"[{MINUS}+]?\d{{6}}(\.\d*)?")
_WHOLE = re.compile(r"((?:ra|dec?)[ _(\[.]*)(h|hh|hrs?|hours?|d|dd|deg|degrees)([)\]]?)")
_BESIDE_UNITS = re.compile(r"(?i)\b(icrs|fk5|j?2000(\.0)?|equinox|decimal|angle)\b|[,.()\[\]]")
_TEXT_UNITS = ("sexagesimal", "dms")
_SEXAGESIMAL_UNITS = (None, "deg", "hourangle", *_TEXT_UNITS)
_EXAMPLE = {True: "00:42:44.3", False: "+41:16:09"}
_NO_VALUE = {"", "nan", "null", "none", "--", "-", "n/a", "na", "masked", "..."}


def sky_positions(
    table: Table, names: tuple[str, str] | None = None, *, label: str = "the catalog"
) -> tuple[FloatArray, FloatArray] | None:
    """Right ascension and declination of a table's rows.

    Numbers are degrees unless the column's unit or its name (``ra_hours``, ``ra [h]``) says
    another. Text is read as sexagesimal (``"00:42:44.3"``, ``"00h42m44.3s"``, ``"+41 16 09"``),
    right ascension in hours unless written with a d or °, or as decimal degrees. Hours or degrees,
    minutes and seconds may stand in columns of their own, as in tables of the CDS, or in one number
    (004244.3, +411609). Without such columns the first that holds SkyCoord objects is taken, or
    both angles in one text.

    Parameters
    ----------
    table : Table
        Any table.
    names : (str, str), optional
        Its columns of right ascension and declination, where they are known.
    label : str
        How messages call it.

    Returns
    -------
    (ra_deg, dec_deg) : tuple of ndarray, each of shape (N,), or None
        NaN where a row has none or an impossible one; None where the table lacks the columns.

    Raises
    ------
    InputError
        Where text is not a coordinate, a unit not that of an angle, or the frame not ICRS or J2000.

    Warns
    -----
    PraesepeWarning
        Where coordinates are impossible, or other columns of the table have other positions.
    """
    if names is not None:
        return _positions(table, names, label)
    pairs, objects = sky_pairs(table, label), _sky_coord_column(table)
    if not pairs:
        pair = _pair_column(table) if objects is None else None
        return objects if pair is None else sky_positions(pair, label=label)
    names, sky = pairs[0], _positions(table, pairs[0], label)
    for other in pairs[1:]:
        if not np.isfinite(sky).all(axis=0).any():
            names, sky = other, _positions(table, other, label)
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PraesepeWarning)
                positions = _positions(table, other, label)
        except InputError:  # columns that are not used need not be good
            continue
        _compare(names, sky, listed(other), positions, label)
    if objects is not None:
        _compare(names, sky, "a column of SkyCoord objects", objects, label)
    return sky


def _compare(
    names: tuple[str, str],
    sky: tuple[FloatArray, FloatArray],
    others: str,
    positions: tuple[FloatArray, FloatArray],
    label: str,
) -> None:
    """Warn where other columns have other positions than those that are used."""
    from astropy.coordinates import angular_separation

    apart = 3600 * np.degrees(angular_separation(*map(np.radians, (*sky, *positions))))
    if np.nanmax(apart, initial=0.0) > PAIR_AGREEMENT_ARCSEC:
        warnings.warn(
            f"{label}: its positions in {others} are up to {np.nanmax(apart):.2g} "
            f"arcsec off those in {names[0]} and {names[1]}, which are used. Rename those that "
            "shall not be",
            PraesepeWarning,
            stacklevel=4,
        )


def _positions(table: Table, names: tuple[str, str], label: str) -> tuple[FloatArray, FloatArray]:
    """Degrees out of the columns of right ascension and declination."""
    ra_name, dec_name = names
    check_system(table, names, label)
    check_precision(table, names, label)
    packed = _packed(table, (ra_name, dec_name), label)
    ra_deg, dec_deg = packed or (
        _degrees(table, ra_name, label, is_ra=True),
        _degrees(table, dec_name, label, is_ra=False),
    )
    bare = bare_name(ra_name) == "coord_ra" and _unit(table, ra_name, label) is None
    if bare and np.nanmax(np.abs(ra_deg), initial=0) <= 2 * np.pi >= 4 * np.nanmax(np.abs(dec_deg)):
        raise InputError(
            f"{label}: {ra_name} and {dec_name} may be radians or degrees",
            given=(ra_name, dec_name),
            remedy="give these columns their units",
        )
    with np.errstate(invalid="ignore"):
        impossible = (np.abs(dec_deg) > 90) | (np.abs(ra_deg) > 360)
    if impossible.any():
        row, count = int(np.argmax(impossible)), int(impossible.sum())
        rows = "1 row has" if count == 1 else f"{count} rows have"
        first = "" if count == 1 else "first "
        told = [part for name in names for part in (_part_names(table, name) or (name,))]
        warnings.warn(
            f"{label}: {rows} impossible coordinates, {first}row {row + 1}: "
            f"{', '.join(f'{name} = {table[name][row]}' for name in told)}; "
            f"{'it counts' if count == 1 else 'they count'} as missing",
            PraesepeWarning,
            stacklevel=4,
        )
        ra_deg[impossible] = dec_deg[impossible] = np.nan
    return ra_deg, dec_deg


def _values(table: Table, name: str, label: str) -> np.ma.MaskedArray:
    """The values of a column that has one for each row."""
    column = table[name]
    if hasattr(column, "unit"):
        values = np.ma.asarray(column)
        if values.size == len(table):  # also one of shape (n, 1)
            return values.reshape(len(table))
    shape = column.shape[1:]
    what = f"arrays of shape {shape}" if shape else f"{type(column).__name__} objects"
    raise InputError(
        f"{label}: column {name} holds {what}", given=what, allowed="one number or text a row"
    )


def check_precision(table: Table, names: Sequence[str], label: str) -> None:
    """Refuse positions of three digits."""
    for name in names:
        if getattr(table[name], "dtype", None) == np.float16:
            raise InputError(
                f"{label}: column {name} is in half precision (float16), which has three digits",
                given="float16",
                allowed="float64",
                remedy="write positions in double precision",
            )


def numbers(table: Table, name: str, label: str) -> FloatArray:
    """A column that must hold numbers, which may be written as text; NaN where there is none.

    Raises
    ------
    InputError
        Naming the first row that holds something else.
    """
    values = _values(table, name, label)
    if values.dtype.kind in "iuf":
        return np.ma.filled(values.astype(np.float64), np.nan)
    result = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        text = "" if value is None else str(value).strip()
        if text.lower() in _NO_VALUE:
            continue
        try:
            result[row] = _number(text)
        except ValueError:
            raise InputError(
                f"{label}, row {row + 1}: {name} = {text!r} is not a number",
                given=text,
                remedy="leave cells without a value empty",
            ) from None
    return result


def _packed(
    table: Table, names: tuple[str, str], label: str
) -> tuple[FloatArray, FloatArray] | None:
    """Angles out of ``004244.3`` and ``+411609``; None where these are degrees.

    Six digits with a zero in front are no degrees, nor are numbers beyond 360 and 90.
    """
    columns, texts, beyond = [], False, []
    for name, most, turn in zip(names, (24, 91), (360, 90), strict=True):
        unit = str(getattr(table[name], "unit", None) or "").lower()
        if ANGLE_UNITS.get(unit, unit) not in ("", *_TEXT_UNITS) or len(table) == 0:
            return None
        values = _values(table, name, label)
        if values.dtype.kind not in "iuf":
            given = [str(value).strip() for value in values.compressed()]
            given = [one for one in given if one.lower() not in _NO_VALUE]
            if not given or not all(map(_PACKED.fullmatch, given)):
                return None
            texts = True
        number = numbers(table, name, label)
        number[np.isinf(number)] = np.nan
        size = np.round(np.abs(number), 6)
        seconds, minutes, whole = size % 100, size // 100 % 100, size // 10000
        good = (seconds < 60) & (minutes < 60) & (whole < most) | np.isnan(number)
        if not good.all():
            return None
        beyond.append(bool((size > turn).any()))
        columns.append(np.copysign(whole + minutes / 60 + seconds / 3600, number))
    if not (texts or all(beyond)):
        return None
    if not texts:
        warnings.warn(
            f"{label}: {names[0]} = {table[names[0]][0]} and {names[1]} = {table[names[1]][0]} are "
            "read as hours, minutes and seconds, and degrees, minutes and seconds",
            PraesepeWarning,
            stacklevel=5,
        )
    return 15 * columns[0], columns[1]


def _pair_column(table: Table) -> Table | None:
    """A table of both angles out of a column that holds both; None where there is none."""
    from astropy.table import Table

    names = [name for name in table.colnames if bare_name(name) in PAIR_NAMES]
    names.sort(key=lambda name: re.search(r"FK4|Gal|Ecl", name) is not None)
    for name in names:
        values = np.ma.asarray(table[name])
        if values.dtype.kind != "U" or values.ndim != 1:
            continue
        pairs = []
        for value in values.filled("").tolist():
            words = re.split(r"[\s,]+", value.strip(" ()[]").lower())
            half = len(words) // 2
            if value.strip().lower() in (*_NO_VALUE, "no coord.", "~"):
                pairs.append(("", ""))
            elif len(words) in (2, 4, 6):
                pairs.append((" ".join(words[:half]), " ".join(words[half:])))
        if len(pairs) == len(values):
            pair = Table(rows=pairs, names=("ra", "dec"), dtype=(str, str))
            pair["ra"].info.meta = {"frame": in_brackets(name)}
            return pair
    return None


def _number(text: str) -> float:
    """A number, also one of Fortran (1.5D+01); Python would read 10_5 as 105."""
    if "_" in text:
        raise ValueError(text)
    return float(re.sub(r"(?i)(?<=[\d.])d(?=[+-]\d)", "e", text.translate(_DASHES)))


def _sky_coord_column(table: Table) -> tuple[FloatArray, FloatArray] | None:
    """ICRS right ascension and declination of the first column of SkyCoord objects."""
    from astropy.coordinates import SkyCoord

    for column in table.itercols():
        if isinstance(column, SkyCoord):
            sky = column.icrs.spherical
            ra, dec = (np.ma.asarray(angle.deg, np.float64) for angle in (sky.lon, sky.lat))
            return ra.filled(np.nan), dec.filled(np.nan)
    return None


def _unit(table: Table, name: str, label: str) -> str | None:
    """Unit of a coordinate column, as astropy knows it; "sexagesimal"; or None."""
    from astropy.units import Unit, rad

    _values(table, name, label)
    given = _BESIDE_UNITS.sub(" ", str(table[name].unit or in_brackets(name))).strip()
    if given.lower() in _NO_VALUE:
        return told.unit if (told := sky_name(name)) is not None else None
    known = ANGLE_UNITS.get(given.lower(), given)
    if known in _TEXT_UNITS:
        return known
    for text in (known, known.lower()):
        unit = Unit(text, parse_strict="silent")
        if unit.is_equivalent(rad):
            return str(unit.to_string())
    raise InputError(
        f"{label}: the unit of column {name} is {given!r}, which is none of an angle",
        given=given,
        allowed="deg, hourangle, rad, arcmin, arcsec, mas",
        remedy="correct the unit, or take it away where the column is in degrees",
    )


def _degrees(table: Table, name: str, label: str, *, is_ra: bool) -> FloatArray:
    """One coordinate column in degrees."""
    from astropy.units import Unit

    unit = _unit(table, name, label)
    if unit == "hourangle" and not is_ra:
        raise InputError(f"{label}: declination {name} is in hours", given=unit, allowed="deg")
    if (parts := _parts(table, name, label)) is not None:
        in_hours = (whole := _WHOLE.fullmatch(name.lower().strip())) and whole[2].startswith("h")
        return parts * (15 if is_ra and in_hours else 1)
    values = _values(table, name, label)
    factor = 1.0 if unit in (None, *_TEXT_UNITS) else float(Unit(unit).to("deg"))
    if values.dtype.kind in "iuf":
        if unit in _TEXT_UNITS:
            raise InputError(
                f"{label}: {name} holds numbers, such as {values.compressed()[:1].tolist()}",
                given=values.compressed()[:1].tolist(),
                allowed=f"text such as {_EXAMPLE[is_ra]}",
                remedy="call decimal degrees ra_deg and dec_deg, and decimal hours ra_hours",
            )
        degrees = np.ma.filled(values.astype(np.float64), np.nan)
        degrees[~np.isfinite(degrees)] = np.nan
        return np.asarray(degrees * factor)
    texts = ["" if item is np.ma.masked or item is None else str(item) for item in values.tolist()]
    result, of_kind = np.full(len(texts), np.nan), dict[str, list[int]]()
    for row, text in enumerate(texts):
        if text.strip().lower() in _NO_VALUE:
            continue
        number, kind = _parse_angle(text)
        if (
            number is None
            or (kind != "decimal" and unit not in _SEXAGESIMAL_UNITS)
            or (kind == "decimal" and unit in _TEXT_UNITS)
            or (kind == "hours" and not is_ra)
        ):
            raise InputError(
                f"{label}, row {row + 1}: {name} = {text!r} is neither degrees nor sexagesimal "
                f"(such as {_EXAMPLE[is_ra]})",
                given=text,
                allowed=f"degrees, or text such as {_EXAMPLE[is_ra]}",
            )
        of_kind.setdefault(kind, []).append(row)
        result[row] = number * (factor if kind == "decimal" else 15 if kind == "hours" else 1)
    if is_ra and (either := of_kind.get("either")):
        marked = [texts[row] for row in of_kind.get("degrees", [])[:1]]
        result[either] *= _degrees_of_one(
            result[either], texts[either[0]], marked, unit, f"{label}: {name}"
        )
    return result


def _degrees_of_one(
    values: FloatArray, text: str, marked: list[str], unit: str | None, label: str
) -> int:
    """Degrees in 1 of right ascensions whose `text` (10:06:00) does not say whether it is hours."""
    if marked and unit in (None, "deg"):
        raise InputError(
            f"{label} has degrees ({marked[0]!r}) and what reads as hours ({text!r})",
            given=(marked[0], text),
            remedy="write all rows alike, with their units (10h06m00s, 151d30m00s)",
        )
    if unit == "dms" or (unit == "deg" and np.abs(values).max() >= 24):
        return 1
    if unit == "deg":
        warnings.warn(
            f"{label} = {text!r} is read as hours, minutes and seconds ({15 * values[0]:.5f} "
            f"degrees), although the column is said to be in degrees; where it is {values[0]:.5f} "
            "degrees, give it the unit d:m:s",
            PraesepeWarning,
            stacklevel=5,
        )
    return 15


def _part_names(table: Table, name: str) -> list[str]:
    """Columns of an angle with one of minutes beside it: sign, whole ones, minutes, seconds.

    Called as those of the CDS (RAh, RAm, RAs), ``ra_hour``, ``ra_min``, ``ra_sec``, ``RA (h)`` …
    """
    lower = {one.lower().strip(): one for one in reversed(table.colnames)}
    whole = _WHOLE.fullmatch(name.lower().strip())
    if whole is None:
        return []
    stem, _, end = whole.groups()
    parts = [
        next((lower[one] for word in words if (one := stem + word + end) in lower), None)
        for words in (("m", "min", "mm", "minutes"), ("s", "sec", "ss", "seconds"))
    ]
    if parts[0] is None or f"{stem}max{end}" in lower:  # ra_min and ra_max are limits
        return []
    sign = find_column(table, ("de-", "dec-", "dec_sign")) if stem.startswith("de") else None
    return [one for one in (sign, name, *parts) if one is not None]


def _parts(table: Table, name: str, label: str) -> FloatArray | None:
    """Hours or degrees from columns of whole ones, minutes and seconds; None without minutes.

    Those with fractions have none. Infinite where minutes or seconds are out of range.
    """
    names = _part_names(table, name)
    if not names:
        return None
    at = names.index(name)
    whole, *parts = (numbers(table, one, label) for one in names[at:])
    if (np.nan_to_num(whole) % 1).any():
        return None
    result = np.abs(whole)
    for part, size, most in zip(parts, (60, 3600), (59, 60), strict=False):
        result += np.where((part < 0) | (part > most), np.inf, part / size)
    negative = np.signbit(whole)
    for sign in names[:at]:
        negative |= [str(value).strip() in MINUS for value in table[sign]]
    return np.where(negative, -result, result)


def _parse_angle(text: str) -> tuple[float | None, str]:
    """One angle from text, None where it is none; and its notation.

    "decimal", "hours" or "degrees" by their marks, or "either" with colons or blanks.
    """
    text = text.translate(_DASHES)
    match = _SEXAGESIMAL.fullmatch(text)
    if match is None:
        try:
            return _number(text), "decimal"
        except ValueError:
            return None, ""
    sign, whole, mark, minutes, seconds = match.groups()
    minute, second = float(minutes or 0), float(seconds or 0)
    if minute >= 60 or second > 60 or (minutes and "." in whole):
        return None, ""
    value = float(whole) + minute / 60 + second / 3600
    kind = {"h": "hours", "ʰ": "hours", "d": "degrees", "°": "degrees"}.get(
        (mark or "").lower(), "either"
    )
    if minutes is None and kind == "either":
        kind = "decimal"
    return (-value if sign == "-" else value), kind
