"""What a check says: rows of measured and expected values, with a verdict and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from praesepe.errors import listed

Verdict: TypeAlias = Literal["fine", "note", "wrong", "unknown"]


@dataclass(frozen=True)
class Row:
    """One thing that was looked at.

    Attributes
    ----------
    item : str
        What: "noise", "registration", "zero point" …
    band : str
        Of which band; empty: of all.
    measured, expected : str
        With units.
    verdict : str
        "fine"; "note": worth knowing, harmless; "wrong"; "unknown": it could not be measured.
    advice : str
        What it means, and what to do.
    value : float or None
        What was measured, as a number.
    """

    item: str
    band: str
    measured: str
    expected: str
    verdict: Verdict = "fine"
    advice: str = ""
    value: float | None = None


def faults(rows: list[Row]) -> tuple[str, ...]:
    """What is wrong, in a few words each."""
    by_item: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == "wrong":
            by_item.setdefault(row.item, []).append(row.band)
    return tuple(
        f"{item} ({listed(bands)})" if any(bands) else item for item, bands in by_item.items()
    )
