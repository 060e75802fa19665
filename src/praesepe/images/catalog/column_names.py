"""Which columns of a table are positions and names, by what people call them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import Table

RA_NAMES = (
    "ra", "ra_deg", "radeg", "raj2000", "_raj2000", "ra_icrs", "ra_j2000", "ra2000", "_ra",
    "_ra_icrs", "s_ra", "alpha_j2000", "alphawin_j2000", "alphapeak_j2000", "alpha",
    "right_ascension", "phangs_ra", "coord_ra", "ra_hours", "rah", "ra_hms", "r.a.", "ra_d",
    "raj2000_deg", "ra_j2000_deg", "ra_deg_j2000", "_ra.icrs",
)  # fmt: skip
DEC_NAMES = (
    "dec", "dec_deg", "decdeg", "dej2000", "decj2000", "_dej2000", "de_icrs", "dec_icrs",
    "dec_j2000", "dec2000", "_dec", "_de", "_de_icrs", "s_dec", "delta_j2000", "delta",
    "deltawin_j2000", "deltapeak_j2000", "declination", "decl", "dedeg", "de", "phangs_dec",
    "coord_dec", "ded", "dec_dms", "decl.", "dec.", "dec_d", "de2000", "dej2000_deg",
    "decj2000_deg", "dec_j2000_deg", "dec_deg_j2000", "_de.icrs",
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
    **dict.fromkeys(("ra_hours", "rah"), "hourangle"),
    **dict.fromkeys(("ra_deg", "radeg", "dec_deg", "decdeg", "dedeg", "ded"), "deg"),
    **dict.fromkeys(("ra_d", "dec_d", "ra_j2000_deg", "dec_j2000_deg"), "deg"),
    **dict.fromkeys(("ra_hms", "dec_dms"), "sexagesimal"),
}
"""Units of columns without one whose names tell."""

_AXES = (RA_NAMES, DEC_NAMES)


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


def bare_name(name: str) -> str:
    """The name of a column in lower case without a unit in brackets behind it."""
    return re.sub(r"\s*(\[[^\[\]]*\]|\([^()]*\))$", "", name.lower().strip())


def in_brackets(name: str) -> str:
    """What stands in brackets behind the name of a column, in lower case: a unit, or a frame."""
    return name.lower().strip()[len(bare_name(name)) :].strip(" ()[]")


def id_column(table: Table) -> str | None:
    """Name of the first column that says which row is which; None where there is none."""
    return next((name for name in table.colnames if name.lower().strip() in ID_NAMES), None)
