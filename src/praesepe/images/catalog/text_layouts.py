"""Text as programs lay it out for people: titles, rules, frames, several tables in one file."""

from __future__ import annotations

import gzip
import itertools
import re
import warnings
import zlib
from pathlib import Path

from praesepe.bounded import unpacked
from praesepe.errors import InputError, PraesepeWarning, listed, unusable
from praesepe.images.catalog.column_names import ANGLE_UNITS, MINUS, axis_of, position_columns
from praesepe.images.reading.damage import packed_fault

TITLE_LINES = 8
"""Lines among which the names of the columns are sought below a title."""

NUMBER = re.compile(
    rf"[{MINUS}+]?(\d[\d\s:hdms°'\"′″.,]*([ed][+-]?\d+)?|\.\d+|nan|inf)", re.IGNORECASE
)
NO_ROW = re.compile(
    r"\s*(sep=.|\(\d+ rows?\)|\[EOD\]|=[= ]{3,}|[-+=|]*[-=]\+[-=][-+=|]*|\+[-=][-+=|]*\+)\s*"
)
"""Lines that spreadsheets, data bases and others put between: ``sep=;``, rules, ``(3 rows)``."""

_RULE = re.compile(r"\s*-+([\t;|, ]\s*-+)+\s*")


def read_text(path: Path) -> str:
    """The text of a file, whatever its encoding."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as packed:
                content = b"".join(unpacked(packed, path))
        except (OSError, EOFError, zlib.error) as error:
            raise unusable(
                path, f"is damaged or cut off: {packed_fault(error)}", "fetch it again"
            ) from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\x00" in content:
        raise unusable(path, "is not a text file", "give the catalog in one of the known formats")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.warn(
            f"{path.name} is not in UTF-8; it is read as Windows-1252: look at its accents",
            PraesepeWarning,
            stacklevel=4,
        )
        return content.decode("cp1252", errors="replace")


def simple_layout(lines: list[str], label: str) -> list[str]:
    """As many lines, of which those that are no rows are comments or empty.

    Parameters
    ----------
    lines : list of str
        Of a text file.
    label : str
        How messages call it.

    Returns
    -------
    list of str
        Columns are separated by one character, or by blanks where these stand nowhere else.

    Raises
    ------
    InputError
        Where there are several tables, and not just one has positions.
    """
    if lines and re.match(r"\s*NL\s+NX\s+NY\b", lines[0]):  # DAOPHOT's: of the image
        lines = ["\n", "\n", *lines[2:]]
    lines = _without_frame(_named_by_simbad(lines))
    rules = [
        i for i, line in enumerate(lines) if i and not line[:1].isalnum() and _RULE.fullmatch(line)
    ]
    if len(rules) > 1:
        lines = _one_of_several(lines, rules, label)
    elif rules and not re.search(r"[\t;|,]", lines[rules[0]]):
        lines = _cut_by_rule(lines, rules[0])
    return _title_as_comment(lines)


def _named_by_simbad(lines: list[str]) -> list[str]:
    """Names in a comment above a rule, ``# |identifier|…``: a header, what is above it a title."""
    for i, (line, below) in enumerate(itertools.pairwise(lines)):
        if "|" in below and re.match(r"\s*#[^|]*\|", line) and _RULE.fullmatch(below):
            header = re.sub(r"^\s*#\s*", '"#"', line)
            return [*map(_comment, lines[:i]), header, *lines[i + 1 :]]
    return lines


def _without_frame(lines: list[str]) -> list[str]:
    """Rows without the bars at their two ends."""
    rows = (
        one
        for one in map(str.strip, lines)
        if one and not one.startswith("#") and not NO_ROW.fullmatch(one)
    )
    framed = (len(one) > 1 and one[0] == one[-1] == "|" for one in rows)
    if next(framed, False) and all(framed):  # the first row tells mostly
        return [re.sub(r"^\s*\||\|\s*$", "", line) for line in lines]
    return lines


def _one_of_several(lines: list[str], rules: list[int], label: str) -> list[str]:
    """The table that has positions, as the VizieR service writes several: names, units, rule."""

    def is_row(line: str) -> bool:
        return bool(line.strip()) and not line.startswith("#")

    starts = []
    for i in rules:
        start = i - 1
        while start > 0 and is_row(lines[start - 1]):
            start -= 1
        starts.append(max(start, i - 2))  # names and units
    names = [re.split(r"[\t;|,]", lines[start].strip("\n")) for start in starts]
    good = [i for i, one in enumerate(names) if position_columns(one)]
    if len(good) != 1:
        raise InputError(
            f"{label} holds {len(starts)} tables, {len(good)} of them with positions",
            given=len(starts),
            allowed=1,
            remedy="keep the one that is wanted",
        )
    number = good[0]
    said = listed(
        f"{len(one)} columns in line {at + 1}" for one, at in zip(names, starts, strict=True)
    )
    warnings.warn(
        f"{label} holds several tables ({said}); number {number + 1} is read, the only one with "
        "positions",
        PraesepeWarning,
        stacklevel=5,
    )
    last = [*starts, len(lines)][number + 1]
    chosen = range(starts[number], last)
    return [line if i in chosen or not is_row(line) else "\n" for i, line in enumerate(lines)]


def _cut_by_rule(lines: list[str], rule: int) -> list[str]:
    """Columns as wide as the dashes below their names, separated by tabs; values may have blanks.

    Only where that cuts through no value.
    """
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    gaps = [(end, start) for (_, end), (start, _) in itertools.pairwise(spans)]
    ends = [*(start for start, _ in spans[1:]), None]
    cut = list(lines)
    for i, line in enumerate(lines):
        if not line.strip() or line.startswith("#"):
            continue
        if any(line[end:start].strip() for end, start in gaps):
            return lines
        parts = (line[start:end].strip() for (start, _), end in zip(spans, ends, strict=True))
        cut[i] = "\t".join(parts) + "\n"
    return cut


def _title_as_comment(lines: list[str]) -> list[str]:
    """Lines above the one that names positions are a title, unless one looks like a row."""
    for i, line in enumerate(lines[:TITLE_LINES]):
        words, *above = (re.split(r"[\s,;|\"]+", one.strip()) for one in (line, *lines[:i]))
        axes = {*map(axis_of, words)}
        if axes & {"ra", "x"} and axes & {"dec", "y"}:
            rows = (len(one) == len(words) and any(map(NUMBER.fullmatch, one)) for one in above)
            if line.lstrip().startswith("#") or any(rows):
                break
            return [*map(_comment, lines[:i]), *lines[i:]]
    return lines


def _comment(line: str) -> str:
    return line if not line.strip() or line.startswith("#") else f"# {line}"


def units_of(row: list[str]) -> list[str] | None:
    """The units that a row holds, of an angle or of pixels among others; a dash is none."""
    from astropy.units import Unit, UnrecognizedUnit, pix, rad

    values = ["" if re.fullmatch("[-–—]+", value) else value for value in row]
    if any(map(NUMBER.fullmatch, values)):
        return None
    texts = [value.strip('"[]() ') for value in values]
    units = [ANGLE_UNITS.get(text.lower(), text).replace("sexagesimal", "deg") for text in texts]
    known = [Unit(unit, parse_strict="silent") for unit in units if unit]
    good = not any(isinstance(unit, UnrecognizedUnit) for unit in known) and any(
        unit.is_equivalent(rad) or unit == pix for unit in known
    )
    return values if good else None
