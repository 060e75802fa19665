"""Which system of coordinates a table says its positions are in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from praesepe.errors import InputError
from praesepe.images.catalog.column_names import bare_name, in_brackets

if TYPE_CHECKING:
    from astropy.table import Table

_FRAME_KEYS = (
    "EQUINOX", "EPOCH", "RADESYS", "RADECSYS", "FRAME", "REFFRAME", "COOSYS", "COORDSYS",
)  # fmt: skip
_OTHER_SYSTEM = re.compile(
    r".*(1950|(?<![a-z])(fk4|gal(actic)?|ecl(iptic)?)(?![a-z]))|_?([ges]l(on|at)|[lb](ii)?)(?![a-z])"
).match
"""What begins names of columns of other systems."""

_FRAME = re.compile(
    r"(?<![a-z])(fk4|(super)?gal(actic)?|ecl(iptic)?)(?![a-z])"
    r"|(equinox |(?<![a-z\d])[bj])(?P<year>(18|19|20)\d\d(\.\d+)?)",
)
_FRAME_IN_WORDS = re.compile(r"\b(B1950|FK4|galactic|ecliptic)( coord| pos|\b(?! [a-z]))", re.I)


def check_system(table: Table, names: tuple[str, str], label: str) -> None:
    """Refuse positions that the table says are not of ICRS or FK5 (J2000).

    It may say so of the columns, in their descriptions, in its metadata, in a comment, or in a
    column.
    """
    told_by_name = all(re.search("2000|icrs", name.lower()) for name in names)
    keys = [key for key in _FRAME_KEYS if key != "COOSYS" or not told_by_name]  # VizieR lists all
    filler = r"(?:\s+(?:of|the|date|coordinates|positions|is))*\s*[:=]?\s*"
    pattern = rf"\b({'|'.join(keys)})\b{filler}['\"]?([\w.]+)"
    told = [("FRAME", (table[name].info.meta or {}).get("frame", "")) for name in names]
    told += [("FRAME", in_brackets(name)) for name in names]
    if all(_OTHER_SYSTEM(bare_name(name)) for name in names):
        raise InputError(
            f"{label}: columns {names[0]} and {names[1]} are of another system",
            given=names,
            allowed="ICRS, FK5 (J2000)",
            remedy="convert their positions to ICRS first",
        )
    for name in () if told_by_name else names:
        words = str(table[name].info.description or "")
        if re.search(r"\b(B?1950(\.0)?|FK4)\b", words) and not re.search("2000|ICRS", words):
            told.append(("FRAME", "b1950"))
    told += [(key, value) for key, value in table.meta.items() if str(key).upper() in _FRAME_KEYS]
    for comment in table.meta.get("comments") or ():
        told += re.findall(pattern, str(comment), re.IGNORECASE)
        if not told_by_name and (found := _FRAME_IN_WORDS.search(str(comment))):
            told.append(("FRAME", found[1]))
    for name in table.colnames:
        if name.upper() in _FRAME_KEYS and name not in names:
            told += [(name, value) for value in {*map(str, table[name])}]
    text = " ".join(_of_frame(str(key).lower(), str(value).lower()) for key, value in told)
    for match in _FRAME.finditer(text):
        if match["year"] is None or (float(match["year"]) != 2000 and "icrs" not in text):
            raise InputError(
                f"{label}: its positions are in the system {match[0].strip()}",
                given=text,
                allowed="ICRS, FK5 (J2000)",
                remedy="convert them to ICRS first",
            )


def _of_frame(key: str, value: str) -> str:
    """What is told, in the words of `_FRAME`; an epoch is that of the motions, but for 1950."""
    if key == "epoch":
        return "equinox 1950" if re.fullmatch(r"\s*b?1950(\.0*)?\s*", value) else ""
    return f"{key} {value}"
