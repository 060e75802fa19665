"""Tables in plain text: separators, header and comments are found, columns stay as written."""

from __future__ import annotations

import csv
import io
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from praesepe.errors import InputError, PraesepeWarning, unusable
from praesepe.images.catalog.column_names import MINUS, axis_of, position_columns
from praesepe.images.catalog.table_forms import warn_of_overflow
from praesepe.images.catalog.text_columns import DECIMAL_POINT, by_column, column_of
from praesepe.images.catalog.text_layouts import (
    NO_ROW,
    NUMBER,
    read_text,
    simple_layout,
    units_of,
)
from praesepe.images.catalog.width import check_columns

if TYPE_CHECKING:
    from astropy.table import Table

Row: TypeAlias = tuple[int, list[str]]
"""Number of the line, from 1, and its values."""

Comment: TypeAlias = tuple[int, str]
"""Number of the line, from 1, and what stands behind the #."""

SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "blanks"}
"""What may stand between columns; of two that fit equally well the first is taken."""

SAMPLE = 200
"""Rows from which the separator is found."""

SAMPLED_VALUES = 100_000
"""Values of these that are looked at."""

LEGUS = ("id", "x", "y", "ra", "dec")
"""The first columns of the cluster catalogues of LEGUS, which have no header."""

LEGUS_ROWS = 8
LEGUS_TOLERANCE = 0.01
"""How many rows it takes to recognise them, and how far sky and pixels may differ (relative)."""

_TWO_ANGLES = re.compile(
    rf"\d\d \d\d \d\d(\.\d*)? [{MINUS}+]?\d\d \d\d \d\d(\.\d*)?"
    rf"|\d\d? \d\d? \d\d?(\.\d*)? [{MINUS}+]\d\d? \d\d? \d\d?(\.\d*)?"
)
_NO_ROW_STARTS = "s([=-+|"
"""How lines begin that `NO_ROW` may fit."""

_APOSTROPHES = re.compile(r"(?<!\S)'((?:[^'\\]|\\.)*)'(?!\S)")
"""A value between single quotation marks, in which a backslash stands before another, as STILTS
writes texts with blanks."""

_SEXTRACTOR = re.compile(r"\s*(\d+)\s+(\S+)")


def read_text_table(path: Path, columns: Sequence[str] | None = None) -> Table:
    """Read a table from a text file: CSV and its relatives.

    Columns are separated by commas, semicolons, tabs, bars or blanks. Their names stand in the
    first row, or in a comment above it (``# ra dec``, as `numpy.savetxt` and SExtractor write).
    Numbers may have decimal commas where the file has no decimal points. A column becomes numbers
    or logicals only where these, written again, give the same text; every other stays text.

    Parameters
    ----------
    path : Path
        Text in UTF-8 or UTF-16, or gzipped; anything else is read as Windows-1252, with a warning.
    columns : sequence of str, optional
        Names of the first columns, where the file has no header.

    Returns
    -------
    Table
        Comment lines stand in ``meta["comments"]``.

    Raises
    ------
    InputError
        Where the file is no text, has no header, or has rows of different lengths.
    """
    from astropy.table import Table
    from astropy.units import Unit

    content = read_text(path)
    text = io.TextIOWrapper(io.BytesIO(content.encode()), "utf-8")
    lines = simple_layout(list(text), path.name)
    last = 0 if content.endswith(("\n", "\r")) else len(lines)
    separator = _separator(lines, path.name)
    plain = _plain_rows(lines, separator, path.name)
    rows, comments = _split(lines[:SAMPLE] if plain else lines, separator, path.name)
    first = rows[0][0]
    header = rows.pop(0)[1] if _is_header(rows[0][1]) else None
    units = _units_below(rows) if header else _commented_units(rows, comments, separator)
    if (
        header
        and rows
        and all(
            len(values) == len(header) + 1 and lines[number - 1].startswith('"')
            for number, values in rows
        )
    ):
        header = ["row_names", *header]  # as R writes
    if separator == " ":
        _join_angles(rows, header or columns, comments)
    names = _names(header, rows, comments, columns, separator, path.name)
    _check_lengths(rows, len(names), separator, path.name, unended=last)
    below = [comment for comment in comments if comment[0] > first]
    _warn_of_rows_in_comments(below, len(names), separator, path.name)
    del content, text, lines

    texts = partial(by_column, rows, plain, len(names), separator)
    commas = separator != "," and not any(
        DECIMAL_POINT.fullmatch(text) for column in texts() for text in column
    )
    made = {
        name: column_of(column, name=name, commas=commas)
        for name, column in zip(names, texts(), strict=True)
    }
    table = Table(made, copy=False)
    for name, unit in zip(names, units or (), strict=False):
        table[name].unit = Unit(unit.strip('"'), parse_strict="silent") if unit else None
    if any(re.search(r"\btruncated\b|\boverflow\b", text, re.I) for _, text in comments):
        warn_of_overflow(path.name)
    if comments:
        table.meta["comments"] = [text.strip() for _, text in comments]
    return table


# Rows and their values


def _split(lines: Iterable[str], separator: str, label: str) -> tuple[list[Row], list[Comment]]:
    """All rows, and the comment lines that stand between them."""
    comments: list[Comment] = []
    number, begins = 0, True

    def records() -> Iterator[str]:
        nonlocal number, begins
        for line in lines:
            number += 1
            start = line.lstrip()[:1]
            if begins and start in _NO_ROW_STARTS and NO_ROW.fullmatch(line):
                continue
            if begins and start == "#":  # not inside of quotation marks
                comments.append((number, line.strip()[1:]))
            elif start or not begins:
                begins = False
                yield _apart(line) if separator == " " else line

    rows: list[Row] = []
    reader = csv.reader(records(), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for values in reader:
            rows.append((number, list(map(str.strip, values))))
            begins = True
    except csv.Error as error:
        raise InputError(
            f"{label}, line {number}: a quotation mark is not closed, or the text is damaged "
            f"({error})",
            given=label,
            remedy="mend that line",
        ) from error
    return rows, comments


def _plain_rows(lines: list[str], separator: str, label: str) -> list[str]:
    """All lines from `SAMPLE` on, where these are rows that can be split as they are; else none.

    A list for every row, as `_split` makes them, takes several times as long and as much memory.
    """
    rest = lines[SAMPLE:]
    if len(rest) < SAMPLE or separator == " ":
        return []
    try:
        rows = _split(lines[:SAMPLE], separator, label)[0]
    except InputError:  # cut within quotation marks
        return []
    names = rows[0][1] if rows else [""]
    plain = (
        _is_header(names)
        and names[-1]
        and {line.count(separator) for line in rest} == {len(names) - 1}
        and not any('"' in line or "#" in line for line in rest)
        and not any(not line[0].isdigit() and NO_ROW.fullmatch(line) for line in rest)
    )
    return rest if plain else []


def _apart(line: str) -> str:
    """A line of values between blanks: no tabs, and double quotation marks."""
    line = line.replace("\t", " ").strip(" \n") + "\n"
    return _APOSTROPHES.sub(_quoted, line) if "'" in line else line


def _quoted(match: re.Match[str]) -> str:
    text = re.sub(r"\\(.)", r"\1", match[1]).replace('"', '""')
    return f'"{text}"'


def _separator(lines: list[str], label: str) -> str:
    """What separates the columns: rows of equal lengths, and values that are numbers."""
    best, fit, n = "", (-1.0, -1.0), 0
    for separator in SEPARATORS:
        try:
            rows = [row for _, row in _split(lines[: 2 * SAMPLE], separator, label)[0][:SAMPLE]]
        except InputError:
            continue  # cut within quotation marks, or these mean nothing here
        if not rows or len(rows[0]) < 2:
            continue
        alike = float(np.mean([_fits(row, len(rows[0]), separator) for row in rows]))
        given = (value for row in rows[1:] or rows for value in row if value)
        values = list(itertools.islice(given, SAMPLED_VALUES))
        numbers = sum(map(bool, map(NUMBER.fullmatch, values))) / max(len(values), 1)
        if (alike, numbers) > fit:
            best, fit, n = separator, (alike, numbers), len(rows[0])
    if not best:
        if not _split(lines, ",", label)[0]:  # whose error says more, where there is one
            raise unusable(label, "is empty: it has no rows", "give at least one")
        raise InputError(
            f"{label} has one column only",
            given=label,
            allowed=tuple(SEPARATORS),
            remedy=f"separate its columns by {', '.join(SEPARATORS.values())}",
        )
    check_columns(n, label)
    return best


def _fits(row: list[str], n: int, separator: str) -> bool:
    """Whether a row is as long as the first; spreadsheets leave out empty cells at the end."""
    return len(row) == n or (separator != " " and (len(row) < n or not any(row[n:])))


def _check_lengths(rows: list[Row], n: int, separator: str, label: str, *, unended: int) -> None:
    """Bring all rows to the same length; refuse what would shift columns, and a cut-off row.

    `unended` is the number of a last line that does not end with its line, or 0.
    """
    alone = n > 1 and all(len(row) == 1 for _, row in rows)  # another separator than the header's
    for number, row in rows:
        if len(row) == n:
            continue
        if number == unended and len(row) < n:
            fault = f"is cut off: its last line has {len(row)} values of {n} and does not end"
            remedy = "fetch it again, or end that line where it is whole"
            raise unusable(f"{label}, line {number},", fault, remedy)
        if alone or not _fits(row, n, separator):
            raise InputError(
                f"{label}, line {number}: {len(row)} values where the table has {n} columns "
                f"(separated by {SEPARATORS[separator]})",
                given=len(row),
                allowed=n,
                remedy="put text with blanks or separators in quotation marks",
            )
        row[n:] = []
        row += [""] * (n - len(row))


def _warn_of_rows_in_comments(comments: list[Comment], n: int, separator: str, label: str) -> None:
    """Say where a comment may be a row: a name may begin with #, a row may be commented out."""
    alike = [
        number
        for number, text in comments
        for values in [_split([text], separator, label)[0] if '"' not in text else []]
        if values and len(values[0][1]) == n and any(map(NUMBER.fullmatch, values[0][1]))
    ]
    if alike:
        warnings.warn(
            f"{label}: lines that look like rows begin with # and count as comments ({len(alike)}, "
            f"first line {alike[0]}); where # belongs to a name, put the name in quotation marks",
            PraesepeWarning,
            stacklevel=4,
        )


def _join_angles(rows: list[Row], names: Sequence[str] | None, comments: list[Comment]) -> None:
    """Make two values of ``00 42 44.3 +41 16 09`` where the names have one for each."""
    above = (re.split(r"[\s,;|]+", text.strip()) for _, text in reversed(comments))
    for told in [names] if names else above:
        where = position_columns(told)
        if where is None or where[1] != where[0] + 1:
            continue
        six = slice(where[0], where[0] + 6)
        if all(
            len(values) > len(told) and _TWO_ANGLES.fullmatch(" ".join(values[six]))
            for _, values in rows
        ):
            for _, values in rows:
                values[six] = [" ".join(values[six][:3]), " ".join(values[six][3:])]
            return


# Names


def _is_header(values: list[str]) -> bool:
    """Whether a row holds names: of positions, or nothing that is a number."""
    return any(axis_of(value) for value in values) or not any(map(NUMBER.fullmatch, values))


def _names(
    header: list[str] | None,
    rows: list[Row],
    comments: list[Comment],
    columns: Sequence[str] | None,
    separator: str,
    label: str,
) -> list[str]:
    """Names of the columns: of the header, as told, or out of a comment above the first row."""
    if header is not None:
        if columns:
            raise InputError(
                f"{label} names its columns itself: {', '.join(header[:12])}",
                given=columns,
                remedy="leave the names of the columns out",
            )
        names = header
        while (
            len(names) > 1 and not names[-1] and not any(any(r[len(names) - 1 :]) for _, r in rows)
        ):
            names = names[:-1]  # every line ends in a separator
    else:
        n = len(rows[0][1])
        names = list(columns or _commented_header(rows, comments, n, separator) or [])
        if not names and _has_columns_of_legus([row for _, row in rows]):
            names = list(LEGUS)
            warnings.warn(
                f"{label} has no header; its first columns are taken for {', '.join(names)}, as "
                "in the tables of LEGUS: its sky positions follow from its pixels",
                PraesepeWarning,
                stacklevel=5,
            )
        if not names:
            shown = (one if NUMBER.fullmatch(one) else "a text" for one in rows[0][1][:6])
            raise InputError(
                f"{label} has no header: its first row is {', '.join(shown)} …",
                given=rows[0][1],
                remedy="name its columns in their order",
                code="columns='id,x,y,ra,dec'",
            )
        if len(names) > n:
            raise InputError(
                f"{label} has {n} columns, but {len(names)} are named",
                given=names,
                allowed=f"{n} names at most",
            )
        names += [""] * (n - len(names))
    names = [name.strip().lstrip("#").strip() or f"col{i}" for i, name in enumerate(names, 1)]
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise unusable(label, f"has two columns called {', '.join(twice)}", "rename one")
    return names


def _commented_header(
    rows: list[Row], comments: list[Comment], n: int, separator: str
) -> list[str] | None:
    """Names out of the last comment above the first row that has one for each column."""
    above = [text for number, text in comments if number < rows[0][0]]
    numbered = [match.groups() for match in map(_SEXTRACTOR.match, above) if match]
    starts = [int(number) for number, _ in numbered]
    if starts[:1] == [1] and starts == sorted({*starts}) and starts[-1] <= n:
        vectors = zip((name for _, name in numbered), starts, [*starts[1:], n + 1], strict=True)
        return [  # a vector has a number for its first column only
            name if i == 0 else f"{name}_{i}" for name, at, end in vectors for i in range(end - at)
        ]
    for text in reversed(above):
        for names in (text.split(separator), re.split(r"[\s,;|]+", text.strip())):
            bare = [name.strip() for name in names]
            if len(names) == n and _is_header(bare) and not units_of(bare):
                return names
    return None


def _commented_units(rows: list[Row], comments: list[Comment], separator: str) -> list[str] | None:
    """Units out of the last comment above the first row that has one for each column."""
    for number, text in reversed(comments):
        for units in (text.split(separator), re.split(r"[\s,;|]+", text.strip())):
            found = units_of([unit.strip() for unit in units])
            if number < rows[0][0] and found and len(found) == len(rows[0][1]):
                return found
    return None


def _has_columns_of_legus(rows: list[list[str]]) -> bool:
    """Whether columns 2 to 5 are pixels and degrees of the same places: an affine map tells."""
    try:
        x, y, ra, dec = np.array([row[1:5] for row in rows], float).T
    except ValueError:  # too few columns, or no numbers
        return False
    if len(x) < LEGUS_ROWS or not (np.abs(dec) < 90).all() or not ((ra >= 0) & (ra < 360)).all():
        return False
    sky = np.column_stack([(ra - np.median(ra)) * np.cos(np.radians(dec)), dec - np.median(dec)])
    pixels = np.column_stack([x, y, np.ones(len(x))])
    fitted = pixels @ np.linalg.lstsq(pixels, sky, rcond=None)[0]
    return bool(
        (sky.std(0) > 0).all() and ((sky - fitted).std(0) < LEGUS_TOLERANCE * sky.std(0)).all()
    )


def _units_below(rows: list[Row]) -> list[str] | None:
    """Take the lines of units and dashes away that VizieR and others put below the names."""
    for units in (1, 0):
        if len(rows) > units and all(re.fullmatch("-+", value) for value in rows[units][1]):
            found = rows[0][1] if units else None
            del rows[: units + 1]
            return found
    if len(rows) > 1 and (found := units_of(rows[0][1])):
        rows.pop(0)
        return found
    return None
