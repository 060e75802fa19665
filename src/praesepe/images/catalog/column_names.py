"""Which columns of a table are positions and names, by what people call them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from praesepe.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table

_AXES = {
    "ra": r"ra|r\.a|right[ _]?ascension|alpha|x(?:win|peak)?_world",
    "dec": r"dec|decl|de|declination|delta|y(?:win|peak)?_world",
}
"""What the axes of the sky are called; by SExtractor X_WORLD, where an image has these axes."""

_FRAMES = r"j?2000(?:\.0)?|icrs|fk5"
_UNITS = {
    "sexagesimal": "hms",
    "dms": "dms",
    "deg": "deg(?:rees)?|(?<=[_ ])d",
    "hourangle": "h(?:ou)?rs?|(?<=[_ ])h",
}
_OTHERS = (
    "win|peak|coord|mean|median|stack|match|targ(?:et)?|obj(?:ect)?|src|source|"
    "cen(?:ter|tre|troid)?|phangs|gaia|cluster|plug|s(?=_)|(?<=_)[0-9](?![0-9])"
)
"""What may stand beside that in a name: frames, units, others. No errors, offsets or motions."""

_BESIDE = rf"((?:[_. ]*(?:{'|'.join((_FRAMES, *_UNITS.values(), _OTHERS))}))*[_. ]*)"
_SHORT = {"rah": "ra_h", "ded": "de_d", "decd": "dec_d"}
"""Columns of hours and degrees beside those of minutes in tables of the CDS."""

MINUS = "-−–"
"""What people write before a negative number: hyphen, minus, en dash; in this order for `re`."""

X_NAMES = (
    "x", "x_image", "xwin_image", "xcentroid", "x_centroid", "xcenter", "x_center", "xcentre",
    "x_pix", "xpix", "x_fit",
)  # fmt: skip
Y_NAMES = tuple(name.replace("x", "y", 1) for name in X_NAMES)
ORIGINS = {
    **dict.fromkeys(("x_image", "xwin_image"), (1, "SExtractor")),
    **dict.fromkeys(("xcentroid", "x_centroid", "x_fit"), (0, "photutils")),
}
"""Columns of pixels whose names tell who wrote them, and where these count from."""

PAIR_NAMES = (
    "coord1", "coord2", "coord3", "coord4", "coord", "coords", "coordinates", "skycoord", "radec",
    "ra_dec", "ra dec", "ra/dec",
)  # fmt: skip
"""Columns of both angles in one text, as SIMBAD and others write them."""

ID_NAMES = ("name", "id", "source_id", "apid")
"""Column names that are recognised, whatever their case, with or without a unit in brackets."""

ANGLE_UNITS = {
    **dict.fromkeys(("hour", "hours", "h", "hr", "hrs"), "hourangle"),
    **dict.fromkeys(("h:m:s", '"h:m:s"', "hms", "hh:mm:ss", "h m s", "hh mm ss"), "sexagesimal"),
    **dict.fromkeys(("degrees", "degs", "°", "d"), "deg"),
    **dict.fromkeys(("d:m:s", '"d:m:s"', "dms", "dd:mm:ss", "d m s", "dd mm ss"), "dms"),
    "radians": "rad",
}
"""What people write as units of coordinates beside the names that astropy knows."""

_OTHER_UCD = r"(stat\.)?(error|stdev|variance)|arith|pos\.(?!eq(;|$)|{axis}(\.main)?(;|$))"
_MOMENTS = {"win", "peak"}
"""Positions of SExtractor that differ from its others by their definition; that of the brightest
pixel is the last to take."""


class SkyName(NamedTuple):
    """What the name of a column of sky positions says."""

    axis: str
    frames: frozenset[str]
    others: frozenset[str]
    unit: str | None
    rank: tuple[bool | int, ...]

    def same(self, other: SkyName) -> bool:
        """Whether two names differ by their axes and units only."""
        return self.similar(other) and self.frames == other.frames

    def similar(self, other: SkyName) -> bool:
        """Whether two names differ by their axes, units and frames only."""
        return self.others == other.others


@cache
def sky_name(name: str) -> SkyName | None:
    """What a column's name says of the sky; None where it is no right ascension or declination."""
    bare = re.sub(r"[][()]", " ", bare_name(name)).strip()  # ra (J2000) [deg]
    bare = _SHORT.get(bare, bare)
    for axis, called in _AXES.items():
        match = re.fullmatch(rf"{_BESIDE}(?P<axis>{called}){_BESIDE}", bare)
        if match is None:
            continue
        beside = match[1] + match[3]
        unit = next((unit for unit, word in _UNITS.items() if re.search(word, beside)), None)
        frames, others = (frozenset(re.findall(words, beside)) for words in (_FRAMES, _OTHERS))
        greek, bracket = match["axis"] in ("alpha", "delta"), bare_name(name) != name.lower()
        rank = (
            match["axis"].endswith("world"),
            len(others),
            "peak" in others,
            greek,
            len(frames),
            unit is not None,
            bare.startswith("_"),
            bracket,
        )
        return SkyName(axis, frames, others, unit, rank)
    return None


def axis_of(name: str) -> str | None:
    """Axis of positions that a column of this name is (ra, dec, x, y); None for all others."""
    if (sky := sky_name(name)) is not None:
        return sky.axis
    pixels = {"x": X_NAMES, "y": Y_NAMES}
    return next((axis for axis, names in pixels.items() if bare_name(name) in names), None)


def find_column(table: Table, names: tuple[str, ...]) -> str | None:
    """Name of the first column that is called like one of `names`, whatever the case."""
    lower = {bare_name(name): name for name in reversed(table.colnames)}
    lower |= {name.lower().strip(): name for name in reversed(table.colnames)}
    return next((lower[name] for name in names if name in lower), None)


def position_columns(names: Sequence[str]) -> tuple[int, int] | None:
    """Numbers of the first columns that are called like right ascension and declination."""
    axes = [axis_of(name) for name in names]
    return (axes.index("ra"), axes.index("dec")) if {"ra", "dec"} <= {*axes} else None


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
    named = [[name for name in ucds if axis_of(name) == axis] for axis in _AXES]
    good = [
        [name for name in names if not re.match(_OTHER_UCD.format(axis=axis), ucds[name])]
        for names, axis in zip(named, axes, strict=True)
    ]
    told = [[n for n, ucd in ucds.items() if ucd.split(";")[0] == axis] for axis in axes]
    if all(good):
        return _paired(*good)
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


def _paired(ras: list[str], decs: list[str]) -> list[tuple[str, str]]:
    """Names of right ascension with those of declination that say the same, the plainest first."""
    told = {name: one for name in (*ras, *decs) if (one := sky_name(name)) is not None}
    ras, decs = (sorted(names, key=lambda name: told[name].rank) for names in (ras, decs))
    pairs: list[tuple[str, str]] = []
    for alike in (SkyName.same, SkyName.similar):
        for ra in ras:
            left = [dec for dec in decs if not any({ra, dec} & {*pair} for pair in pairs)]
            pairs += [(ra, dec) for dec in left if alike(told[ra], told[dec])][:1]
    pairs = pairs or [(ras[0], decs[0])]
    first, *rest = sorted(pairs, key=lambda pair: (told[pair[0]].rank, told[pair[1]].rank))
    return [first, *(pair for pair in rest if not told[pair[0]].others & _MOMENTS)]


def bare_name(name: str) -> str:
    """The name of a column in lower case without a unit in brackets behind it."""
    return re.sub(r"\s*(\[[^\[\]]*\]|\([^()]*\))$", "", name.lower().strip())


def in_brackets(name: str) -> str:
    """What stands in brackets behind the name of a column, in lower case: a unit, or a frame."""
    return name.lower().strip()[len(bare_name(name)) :].strip(" ()[]")


def id_column(table: Table) -> str | None:
    """Name of the first column that says which row is which; None where there is none."""
    return next((name for name in table.colnames if name.lower().strip() in ID_NAMES), None)
