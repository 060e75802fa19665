"""From what was measured and what the survey leads to expect to rows with verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from praesepe.inference.check import pixel_rows, star_rows
from praesepe.inference.check.judge import Judge, expected_noise
from praesepe.inference.check.rows import Row

Rows: TypeAlias = Callable[[Judge], Iterator[Row]]

ROWS: tuple[Rows, ...] = (
    star_rows.scales,
    pixel_rows.gaps,
    pixel_rows.sky,
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


def judged(judge: Judge, looked_at: Iterable[Rows] = ROWS) -> list[Row]:
    """All rows, by item and band; what follows from another fault is a note."""
    if judge.measured.area_px == 0:
        advice = "The images are empty, or do not overlap: look at them."
        return [Row("gaps", "", "nothing seen in all bands", "an image", "wrong", advice)]
    rows = _with_noise([row for some in looked_at for row in some(judge)], judge)
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


LEAST_OFFSET_MAG, SLACK_MAG = 0.07, 0.05
"""Offset of the stars that the noise may confirm, and how well the two must agree."""


def _with_noise(rows: list[Row], judge: Judge) -> list[Row]:
    """Zero points that few stars leave open, where the noise of the band is off by as much.

    A zero point that is off scales stars and noise alike; another exposure changes noise alone.
    """
    doubted = {
        row.band: row.value for row in rows if row.item == "noise" and row.verdict == "wrong"
    }
    for k, row in enumerate(rows):
        noise = doubted.get(row.band)
        if row.item != "zero point" or row.verdict != "unknown" or not noise or not row.value:
            continue
        limits = expected_noise(judge, judge.mosaic.survey.band(row.band))
        least, most = sorted(-2.5 * math.log10(noise / limit) for limit in limits)
        if abs(row.value) > LEAST_OFFSET_MAG and least - SLACK_MAG < row.value < most + SLACK_MAG:
            advice = (
                f"Too {'faint' if row.value > 0 else 'bright'} by about {abs(row.value):.2f} mag, "
                "by few stars and by the noise: check PHOTFLAM and PHOTPLAM, or the zero point."
            )
            rows[k] = replace(row, verdict="wrong", advice=advice)
    return rows
