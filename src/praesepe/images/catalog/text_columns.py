"""Columns of text tables: numbers where these stand for their text, else the text."""

from __future__ import annotations

import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from praesepe.errors import PraesepeWarning
from praesepe.images.catalog.column_names import ID_NAMES

HELD = 2**20
"""Values that are held as text at once, where a table has many rows."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d*(,\d+)?(e[+-]?\d+)?|nan", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)


def by_column(
    rows: Sequence[tuple[int, list[str]]], plain: list[str], n: int, separator: str
) -> Iterator[list[str]]:
    """The texts of each column; plain rows are split by so many columns that memory holds them."""
    together = max(1, HELD // max(len(plain), 1))
    for start in range(0, n, together):
        parts = [line.split(separator, together) for line in plain]
        for i in range(min(together, n - start)):
            above = [values[start + i] for _, values in rows]
            yield above + [part[i].strip() for part in parts]
        plain = [part[-1] for part in parts]


def column_of(texts: Sequence[str], *, name: str, commas: bool) -> Any:
    """One column: numbers where they stand for their text, else the text."""
    from astropy.table import Column, MaskedColumn

    given = [text for text in texts if text]
    identifies = name.lower() in ID_NAMES
    with_commas = commas and not identifies and any("," in text for text in given)
    if with_commas and all(map(_DECIMAL_COMMA.fullmatch, given)):
        if all(_THOUSANDS.fullmatch(text) for text in given if "," in text):
            warnings.warn(
                f"column {name!r}: {next(text for text in given if ',' in text)!r} is read with a "
                "decimal comma; where the comma separates thousands, take it out",
                PraesepeWarning,
                stacklevel=4,
            )
        return Column([float(text.replace(",", ".") or "nan") for text in texts])
    values, format_ = _values(given, whole=identifies)
    if values is None:
        return Column(np.array(texts, dtype=str))
    if len(given) == len(texts):
        return Column(values, format=format_)
    mask = np.array([not text for text in texts])
    full = np.zeros(len(texts), values.dtype)
    full[~mask] = values
    return MaskedColumn(full, mask=mask, format=format_)


def _values(texts: list[str], *, whole: bool) -> tuple[np.ndarray | None, str | None]:
    """Logicals or numbers that give these texts when they are written, and in which format."""
    if not texts:
        return None, None
    if {"True", "False"}.issuperset(texts):
        return np.array([text == "True" for text in texts]), None
    integers = _integers(texts)
    if integers is not None:
        for kind in (np.int64, np.uint64):
            if np.iinfo(kind).min <= min(integers) and max(integers) <= np.iinfo(kind).max:
                return np.array(integers, kind), None
    try:
        numbers = list(map(float, texts))
    except ValueError:
        return None, None
    if whole or not any("." in text for text in texts):
        return None, None
    if any(map(math.isnan, numbers)):
        texts = [
            text.lower() if math.isnan(number) else text
            for number, text in zip(numbers, texts, strict=True)
        ]
    for format_ in _formats(texts[0]):
        write: Callable[[float], str] = repr if format_ is None else format_.__mod__
        if all(map(operator.eq, map(write, numbers), texts)):
            return np.array(numbers), format_
    return None, None


def _integers(texts: list[str]) -> list[int] | None:
    """The integers that give these texts, or None."""
    try:
        integers = list(map(int, texts)) if texts[0].lstrip("-").isdecimal() else []
    except ValueError:
        return None
    return integers if list(map(str, integers)) == texts else None


def _formats(text: str) -> Iterator[str | None]:
    """Formats in which a column of numbers may be written, one of which stands here."""
    yield None
    digits = re.search(r"\.(\d*)", text)
    n = len(digits[1]) if digits else 0
    for sign in ("", "+"):
        yield from (f"%{sign}.{n}{kind}" for kind in "feE")
    yield "%.15g"
