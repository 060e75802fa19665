"""A catalog's positions: whether they fall on the image, and how far they are from the light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.inference.check.rows import Row, Verdict
from praesepe.survey import Survey

MOST_POSITIONS = 500
REACH_PX = 8
_ROUNDS = 6


def light_centers(
    mosaic: Mosaic, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the light is around positions: (n, 2), x and y from the position, pixels."""
    size = 4 * REACH_PX + 1
    stamps = extract_stamps(mosaic, x, y, size)
    offset = np.arange(size) - size // 2
    noise = np.nanmedian(np.abs(np.diff(stamps.images, axis=-1)), axis=(0, 2, 3))
    total = (stamps.images / np.maximum(noise, 1e-30)[:, None, None]).sum(axis=1)
    centers = np.full((len(x), 2), np.nan)
    for k, image in enumerate(total):
        if not np.isfinite(image).all():
            continue
        light = np.clip(image - np.median(image), 0, None)
        here = np.zeros(2)
        for _ in range(_ROUNDS):
            dx, dy = offset - here[0], offset - here[1]
            window = np.exp(-0.5 * (dx**2 + dy[:, None] ** 2) / (REACH_PX / 2) ** 2) * light
            weight = window.sum()
            if not weight > 0:
                break
            step = np.array([(window.sum(axis=0) * dx).sum(), (window.sum(axis=1) * dy).sum()])
            here = np.clip(here + 1.5 * step / weight, -REACH_PX, REACH_PX)
        centers[k] = here + np.floor((x[k] + 0.5, y[k] + 0.5)) - (x[k], y[k])
    return centers


def position_rows(
    mosaic: Mosaic, x: NDArray[np.float64], y: NDArray[np.float64], survey: Survey
) -> list[Row]:
    """How many positions fall on the image, and how far they lie from the light's center."""
    n = len(x)
    chosen = np.arange(n)
    if n > MOST_POSITIONS:
        chosen = np.linspace(0, n - 1, MOST_POSITIONS).astype(int)
    height, width = mosaic.shape
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    share = float(inside.mean())
    verdict: Verdict = "fine"
    advice = ""
    if share < 0.5:
        verdict, advice = "wrong", "Most positions are off the image: is it the right catalog?"
    elif share < 1:
        verdict, advice = "note", "Rows off the image are flagged OFF_IMAGE and not measured."
    rows = [
        Row(
            "catalog",
            "",
            f"{int(inside.sum())} of {n} positions on the image",
            "all",
            verdict,
            advice,
            share,
        )
    ]
    chosen = chosen[inside[chosen]]
    if len(chosen) < 5:
        return [*rows, Row("catalog centers", "", "too few positions", "", "unknown")]
    off = light_centers(mosaic, x[chosen], y[chosen])
    off = off[np.isfinite(off).all(axis=1)]
    if len(off) < 5:
        return [*rows, Row("catalog centers", "", "too few positions", "", "unknown")]
    median = np.median(off, axis=0)
    scatter = 1.4826 * np.median(np.abs(off - median), axis=0)
    error = 1.25 * scatter / np.sqrt(len(off))
    shift = survey.clusters.center_shift_px
    far = float(np.median(np.hypot(*off.T)))
    systematic = bool((np.abs(median) > 0.4 + 3 * error).any())
    wide = far > 2.5 * max(shift, 1.0)
    advice = ""
    if systematic:
        advice = (
            "All positions lie to one side of the light: check the origin of pixel positions (1 or "
            "0), or the astrometry of images and catalog."
        )
    elif wide:
        advice = "The positions are farther from the light than in the training: centre them."
    rows.append(
        Row(
            "catalog centers",
            "",
            f"light at ({median[0]:+.1f}, {median[1]:+.1f}) px, half within {far:.1f} px",
            f"within {shift:g} px",
            "wrong" if systematic or wide else "fine",
            advice,
            far,
        )
    )
    return rows
