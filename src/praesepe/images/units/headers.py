"""Keywords of an image, which may stand in several headers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from praesepe.errors import InputError


class Headers:
    """Keywords of an image: its own header first, then the primary one.

    Parameters
    ----------
    headers : iterable of mapping
        Headers in the order in which they are searched.
    label : str
        How error messages call the image.
    """

    def __init__(self, headers: Iterable[Mapping[str, Any]], label: str) -> None:
        self._headers = tuple(headers)
        self.label = label

    def get(self, *keys: str) -> tuple[str, Any] | None:
        """Return the first of `keys` that has a value, with that value."""
        for key in keys:
            for header in self._headers:
                value = header.get(key)
                if value is not None and isinstance(value, (bool, int, float, str)) and value != "":
                    return key, value
        return None

    def every(self, *keys: str) -> list[tuple[str, float, str]]:
        """Find all positive numbers of `keys` in all headers: key, number, where it stands."""
        return [
            (key, number, f"{key} = {header[key]} in the {place} header")
            for place, header in zip(("first", "second", "third"), self._headers, strict=False)
            for key in keys
            if (number := _positive(header.get(key, math.nan)))
        ]

    def one_of(self, *keys: str, within: float) -> None:
        """Stop where `keys` tell positive numbers that differ by more than the share `within`."""
        told = [(number, said) for _, number, said in self.every(*keys)]
        (low, one), (high, other) = (min(told), max(told)) if told else ((1, ""), (1, ""))
        if high > low * (1 + within):
            raise InputError(
                f"{self.label}: {one}, but {other} of the image; both cannot be right",
                given=(low, high),
                remedy="take the wrong one out of the header",
            )

    def text(self, key: str) -> str:
        """Return a keyword as stripped text, empty where missing or a number."""
        found = self.get(key)
        return found[1].strip() if found and isinstance(found[1], str) else ""

    def positive(self, *keys: str, why: str, otherwise: str = "", code: str = "") -> float:
        """Return a keyword that must be a positive number; the error names what is missing."""
        found = self.get(*keys)
        if found is None:
            names = keys[0] + (f" (or {', '.join(keys[1:])})" if keys[1:] else "")
            raise InputError(
                f"{self.label}: keyword {names} is missing from the header; {why}.",
                given=None,
                remedy=f"Add it to the header{otherwise and ', or ' + otherwise}",
                code=code,
            )
        number = _positive(found[1])
        if number is None:
            raise InputError(
                f"{self.label}: {found[0]} = {found[1]!r} in the header is not a positive number; "
                f"{why}",
                given=found[1],
                allowed="a positive number",
            )
        return number

    def optional_positive(self, *keys: str) -> float | None:
        """Return a keyword that may be missing or meaningless."""
        found = self.get(*keys)
        return None if found is None else _positive(found[1])


def _positive(value: Any) -> float | None:
    """A value as a positive number; None where it is none."""
    try:
        number = float(value)
    except (ValueError, TypeError):
        return None
    return number if math.isfinite(number) and number > 0 else None
