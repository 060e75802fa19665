"""From what was measured and what the survey leads to expect to rows with verdicts."""

from __future__ import annotations

from praesepe.inference.check import pixel_rows, star_rows
from praesepe.inference.check.judge import Judge
from praesepe.inference.check.rows import Row

ROWS = (
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
    star_rows.registration,
    star_rows.zero_points,
)
"""What is looked at, in the order of the table."""


def judged(judge: Judge) -> list[Row]:
    """All rows, by item and band."""
    if judge.measured.area_px == 0:
        advice = "The images are empty, or do not overlap: look at them."
        return [Row("gaps", "", "nothing seen in all bands", "an image", "wrong", advice)]
    return [row for rows in ROWS for row in rows(judge)]
