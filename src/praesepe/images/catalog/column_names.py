"""Which columns of a table are positions and names, by what people call them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from praesepe.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table

RA_NAMES = (
    "ra", "ra_deg", "radeg", "raj2000", "_raj2000", "ra_icrs", "ra_j2000", "ra2000", "_ra",
    "_ra_icrs", "s_ra", "alpha_j2000", "alphawin_j2000", "alphapeak_j2000", "alpha",
    "right_ascension", "phangs_ra", "coord_ra", "ra_hours", "rah", "ra_hms", "r.a.", "ra_d",
    "raj2000_deg", "ra_j2000_deg", "ra_deg_j2000", "_ra.icrs",
    "ra_hour", "ra_1", "raj2000_1", "ra_icrs_1",
)  # fmt: skip
DEC_NAMES = (
    "dec", "dec_deg", "decdeg", "dej2000", "decj2000", "_dej2000", "de_icrs", "dec_icrs",
    "dec_j2000", "dec2000", "_dec", "_de", "_de_icrs", "s_dec", "delta_j2000", "delta",
    "deltawin_j2000", "deltapeak_j2000", "declination", "decl", "dedeg", "de", "phangs_dec",
    "coord_dec", "ded", "dec_dms", "decl.", "dec.", "dec_d", "de2000", "dej2000_deg",
    "decj2000_deg", "dec_j2000_deg", "dec_deg_j2000", "_de.icrs",
    "dec_1", "dej2000_1", "de_icrs_1",
)  # fmt: skip
X_NAMES = (
    "x", "x_image", "xwin_image", "xcentroid", "xcenter", "x_center", "xcentre", "x_pix", "xpix",
)  # fmt: skip
Y_NAMES = (
    "y", "y_image", "ywin_image", "ycentroid", "ycenter", "y_center", "ycentre", "y_pix", "ypix",
)  # fmt: skip
PAIR_NAMES = (
    "coord1", "coord2", "coord3", "coord4", "coord", "coords", "coordinates", "skycoord", "radec",
    "ra_dec", "ra dec", "ra/dec",
)  # fmt: skip
"""Columns of both angles in one text, as SIMBAD and others write them."""

ID_NAMES = ("name", "id", "source_id", "apid")
"""Column names that are recognised, whatever their case, with or without a unit in brackets."""

SPLIT = {"rah": ("ram", "ras"), "ded": ("dem", "des")}
"""Columns of minutes and seconds beside those of hours and degrees in tables of the CDS."""

ANGLE_UNITS = {
    **dict.fromkeys(("hour", "hours", "h", "hr"), "hourangle"),
    **dict.fromkeys(("h:m:s", '"h:m:s"', "hms", "hh:mm:ss", "h m s", "hh mm ss"), "sexagesimal"),
    **dict.fromkeys(("degrees", "degs", "°"), "deg"),
    **dict.fromkeys(("d:m:s", '"d:m:s"', "dms", "dd:mm:ss", "d m s", "dd mm ss"), "deg"),
    "radians": "rad",
}
"""What people write as units of coordinates beside the names that astropy knows."""

UNITS_OF_NAMES = {
    **dict.fromkeys(("ra_hours", "ra_hour", "rah"), "hourangle"),
    **dict.fromkeys(("ra_deg", "radeg", "dec_deg", "decdeg", "dedeg", "ded"), "deg"),
    **dict.fromkeys(("ra_d", "dec_d", "ra_j2000_deg", "dec_j2000_deg"), "deg"),
    **dict.fromkeys(("ra_hms", "dec_dms"), "sexagesimal"),
}
"""Units of columns without one whose names tell."""

_AXES = (RA_NAMES, DEC_NAMES)
_OTHER_UCD = r"(stat\.)?(error|stdev|variance)|arith|pos\.(?!eq(;|$)|{axis}(\.main)?(;|$))"
_MOMENT = re.compile(r"(?i)(alpha|delta)(win|peak)").match
"""Positions of SExtractor that differ from its others by their definition."""


def find_column(table: Table, names: tuple[str, ...]) -> str | None:
    """Name of the first column that is called like one of `names`, whatever the case."""
    lower = {bare_name(name): name for name in reversed(table.colnames)}
    lower |= {name.lower().strip(): name for name in reversed(table.colnames)}
    return next((lower[name] for name in names if name in lower), None)


def position_columns(names: Sequence[str]) -> tuple[int, int] | None:
    """Numbers of the first columns that are called like right ascension and declination."""
    bare = [bare_name(name) for name in names]
    found = (next((i for i, one in enumerate(bare) if one in of), None) for of in _AXES)
    ra, dec = found
    return None if ra is None or dec is None else (ra, dec)


def sky_pairs(table: Table, label: str) -> list[tuple[str, str]]:
    """Names of the columns of right ascension and declination; first those that are to be used.

    Those that the table calls the main ones by their UCD, else those of usual names whose UCD says
    nothing else, else the only ones whose UCD says so.

    Raises
    ------
    InputError
        Where the only columns of usual names have the UCD of something else.
    """
    ucds = {
        name: str((table[name].info.meta or {}).get("ucd", "")).lower().replace("_", ".")
        for name in table.colnames
    }
    axes = ("pos.eq.ra", "pos.eq.dec")
    # "pos.eq.ra;meta.main", and POS_EQ_RA_MAIN as it was before 2005
    main = [
        [n for n, ucd in ucds.items() if re.fullmatch(rf"{axis}(;.*meta\.main.*|\.main)", ucd)]
        for axis in axes
    ]
    if all(len(names) == 1 for names in main):
        return [(main[0][0], main[1][0])]
    named = [[name for name in ucds if bare_name(name) in names] for names in _AXES]
    good = [
        [name for name in names if not re.match(_OTHER_UCD.format(axis=axis), ucds[name])]
        for names, axis in zip(named, axes, strict=True)
    ]
    told = [[n for n, ucd in ucds.items() if ucd.split(";")[0] == axis] for axis in axes]
    if all(good):
        # "ra" before "ra [deg]"
        ra, dec = (
            min(
                names, key=lambda name: (of.index(bare_name(name)), bare_name(name) != name.lower())
            )
            for names, of in zip(good, _AXES, strict=True)
        )
        rest = [[n for n in names if n not in (ra, dec) and not _MOMENT(n)] for names in good]
        same = len(rest[0]) == len(rest[1])
        return [(ra, dec), *(zip(*rest, strict=True) if same else ())]
    if all(len(names) == 1 for names in told):
        return [(told[0][0], told[1][0])]
    wrong = [n for names, left in zip(named, good, strict=True) if not left for n in names]
    if wrong and all(named):
        raise InputError(
            f"{label}: column {wrong[0]} is no sky position: its UCD is {ucds[wrong[0]]}",
            given=ucds[wrong[0]],
            allowed=axes,
            remedy="rename it, or correct its UCD",
        )
    return []


def bare_name(name: str) -> str:
    """The name of a column in lower case without a unit in brackets behind it."""
    return re.sub(r"\s*(\[[^\[\]]*\]|\([^()]*\))$", "", name.lower().strip())


def in_brackets(name: str) -> str:
    """What stands in brackets behind the name of a column, in lower case: a unit, or a frame."""
    return name.lower().strip()[len(bare_name(name)) :].strip(" ()[]")


def id_column(table: Table) -> str | None:
    """Name of the first column that says which row is which; None where there is none."""
    return next((name for name in table.colnames if name.lower().strip() in ID_NAMES), None)
