"""From what was measured and what the survey leads to expect to rows with verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from praesepe.inference.check import pixel_rows, star_rows
from praesepe.inference.check.judge import Judge
from praesepe.inference.check.rows import Row

Rows: TypeAlias = Callable[[Judge], Iterator[Row]]

ROWS: tuple[Rows, ...] = (
    star_rows.scales,
    pixel_rows.gaps,
    pixel_rows.sky,
    pixel_rows.background,
    pixel_rows.noise,
    pixel_rows.correlation,
    pixel_rows.exposure,
    pixel_rows.saturation,
    pixel_rows.spikes,
    star_rows.stars,
    star_rows.psf,
    star_rows.energy,
    star_rows.registration,
    star_rows.zero_points,
)
"""What is looked at, in the order of the table."""

_VALUES = {"sky level", "sky gradient", "noise", "cosmic rays", "saturation", "zero point"}
_SHAPES = {"noise", "noise correlation", "cosmic rays", "PSF width", "encircled energy"}
_SHAPES |= {"zero point"}
CONSEQUENCES = {
    "band": _VALUES | _SHAPES | {"unit", "registration", "pixel scale"},
    "pixel scale": _VALUES | _SHAPES | {"unit", "blur"},
    "unit": _VALUES,
    "blur": _SHAPES,
    "PSF width": {"encircled energy"},
    "encircled energy": {"zero point"},
    "zero point": {"noise"},
    "sky gradient": {"sky level"},
}
"""Items that are wrong because another one is, the graver cause first."""

_OF_ALL_BANDS = {"band", "pixel scale"}


def _if_seen(row: Row) -> Row:
    """The row; nothing is wrong with what could not be measured."""
    if row.verdict != "wrong" or row.value is None or not math.isnan(row.value):
        return row
    return replace(row, verdict="unknown", measured="too little is seen", advice="")


def judged(judge: Judge, looked_at: Iterable[Rows] = ROWS) -> list[Row]:
    """All rows, by item and band; what follows from another fault is a note."""
    if judge.measured.area_px == 0:
        advice = "The images are empty, or do not overlap: look at them."
        return [Row("gaps", "", "nothing seen in all bands", "an image", "wrong", advice)]
    rows = [_if_seen(row) for some in looked_at for row in some(judge)]
    for cause, items in CONSEQUENCES.items():
        bands = {row.band for row in rows if row.item == cause and row.verdict == "wrong"}
        if not bands:
            continue
        for k, row in enumerate(rows):
            # Zero points are told against the other bands.
            follows = cause in _OF_ALL_BANDS or row.band in bands or row.item == "zero point"
            if row.item in items and row.verdict == "wrong" and follows:
                rows[k] = replace(
                    row, verdict="note", advice=f"Probably by the {cause} (see there)."
                )
    return rows
