"""What a check says: rows of measured and expected values, with a verdict and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
