"""A catalog's positions: whether they fall on the image, and how far they are from the light."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.inference.check.rows import Row, Verdict
from praesepe.survey import Survey

Array = NDArray[np.float64]

MOST_POSITIONS, MOST_RESAMPLED = 500, 50
REACH_PX = 8
BLUR_PX = 2.5
"""Sigma of the Gaussian through which light is looked for."""
ELSEWHERE_PX = ((40, 0), (-40, 0), (0, 40), (0, -40))
"""Where the same is done for comparison, from each position."""
SEEN_QUANTILE = 0.95
"""Of the brightest light elsewhere, above which a cluster is seen."""
LEAST_SEEN, LEAST_SURE = 8, 30
"""Clusters whose centers tell something; positions from which it is told that none has light."""
SIDE_PX = 0.4
"""Median distance to one side that is wrong, beside its error."""


def position_rows(mosaic: Mosaic, x: Array, y: Array, survey: Survey) -> list[Row]:
    """How many positions fall on the image, and how far they lie from the light's center."""
    height, width = mosaic.shape
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    share = float(inside.mean())
    verdict: Verdict = "fine"
    advice = ""
    if share < 0.5:
        verdict, advice = "wrong", "Most positions are off the image: is it the right catalog?"
    elif share < 1:
        verdict, advice = "note", "Rows off the image are flagged OFF_IMAGE and not measured."
    text = f"{int(inside.sum())} of {len(x)} positions on the image"
    chosen = np.flatnonzero(inside)
    most = MOST_RESAMPLED if mosaic.reprojected else MOST_POSITIONS
    if len(chosen) > most:
        chosen = chosen[np.linspace(0, len(chosen) - 1, most).astype(int)]
    return [
        Row("catalog", "", text, "all", verdict, advice, share),
        *_center_rows(mosaic, x[chosen], y[chosen], survey),
    ]


def _center_rows(mosaic: Mosaic, x: Array, y: Array, survey: Survey) -> Iterator[Row]:
    """How far the clusters that can be seen lie from their positions."""
    off, elsewhere = seen_centers(mosaic, x, y)
    shift, n = survey.clusters.center_shift_px, len(off)
    item, expected = "catalog centers", f"within {shift:g} px"
    if n < LEAST_SEEN:
        advice = ""
        if len(x) >= LEAST_SURE and n < 2 * (1 - SEEN_QUANTILE) * len(x):
            advice = f"The light within {REACH_PX} px of the positions is no brighter than "
            advice += "elsewhere: are they of this field, and in its coordinates?"
        text = f"{n} of {elsewhere} are brighter than the field: too few"
        yield Row(item, "", text, expected, "unknown", advice)
        return
    median = np.median(off, axis=0)
    scatter = np.maximum(1.4826 * np.median(np.abs(off - median), axis=0), 0.7)
    error = 1.25 * scatter / np.sqrt(n)
    far = float(np.median(np.hypot(*off.T)))
    systematic = bool((np.abs(median) > SIDE_PX + 3.5 * error).any())
    wide = far > 2.5 * max(shift, 1.0) + 3.5 * error.max()
    advice = ""
    if systematic:
        advice = (
            "All positions lie to one side of the light: check the origin of pixel positions (1 or "
            "0), or the astrometry of images and catalog."
        )
    elif wide:
        advice = "The positions are farther from the light than in the training: center them."
    text = f"light at ({median[0]:+.1f}, {median[1]:+.1f}) px, half within {far:.1f} px"
    yield Row(item, "", text, expected, "wrong" if advice else "fine", advice, far)


def seen_centers(mosaic: Mosaic, x: Array, y: Array) -> tuple[Array, int]:
    """Where the light is of clusters that are brighter than what lies elsewhere.

    Returns
    -------
    off : ndarray, shape (seen, 2)
        x and y of the light from the position, pixels.
    n : int
        Positions that were looked at.
    """
    peaks, off = _brightest(mosaic, x, y)
    field = np.concatenate([_brightest(mosaic, x + dx, y + dy)[0] for dx, dy in ELSEWHERE_PX])
    field = field[np.isfinite(field)]
    whole = np.isfinite(peaks)
    if not len(field):
        return np.empty((0, 2)), int(whole.sum())
    return off[whole & (peaks > np.quantile(field, SEEN_QUANTILE))], int(whole.sum())


def _brightest(mosaic: Mosaic, x: Array, y: Array) -> tuple[Array, Array]:
    """Brightest light within `REACH_PX`, over the noise, (n,), and its place, (n, 2); NaN: gaps."""
    from scipy.ndimage import gaussian_filter

    size = 4 * REACH_PX + 1
    stamps = extract_stamps(mosaic, x, y, size)
    gaps = stamps.missing_fraction > 0
    if gaps.all():  # also where there are no positions
        return np.full(len(x), np.nan), np.zeros((len(x), 2))
    images = np.where(gaps[:, None, None, None], np.nan, stamps.images)
    noise = np.nanmedian(np.abs(np.diff(images, axis=-1)), axis=(0, 2, 3))
    total = (images / np.maximum(noise, 1e-30)[:, None, None]).sum(axis=1)
    total -= np.median(total, axis=(1, 2), keepdims=True)
    smooth = gaussian_filter(total, (0, BLUR_PX, BLUR_PX))
    offset = np.arange(size) - size // 2
    near = np.hypot(offset, offset[:, None]) <= REACH_PX
    flat = np.where(near, smooth, -np.inf).reshape(len(x), -1)
    best = flat.argmax(axis=1)
    peaks = np.where(np.isfinite(total).all(axis=(1, 2)), flat[np.arange(len(x)), best], np.nan)
    row, column = np.divmod(best, size)
    places = np.stack([offset[column], offset[row]], axis=1).astype(float)
    return peaks, places + np.floor(np.stack([x, y], axis=1) + 0.5) - np.stack([x, y], axis=1)
