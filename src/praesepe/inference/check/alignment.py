"""Before clusters are measured: a short check, and bands laid on each other where that is asked."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import PraesepeWarning, listed
from praesepe.images.mosaic.grid import mark_saturated
from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.images.reading.pixels import Pixels, scratch_image
from praesepe.inference.check import pixel_rows, star_rows
from praesepe.inference.check.judge import Judge
from praesepe.inference.check.measured import Measured, measure_mosaic, psf_widths
from praesepe.inference.check.registration import Registration
from praesepe.inference.check.verdicts import judged

log = logging.getLogger(__name__)

SECTIONS, SECTIONS_TO_ALIGN = 4, 25
SAID = (pixel_rows.noise, pixel_rows.correlation, star_rows.psf, star_rows.registration)
NOTHING_PX = 0.03
"""Displacements that are not worth a resampling."""

_ROWS, _MARGIN = 512, 8


def prepared(mosaic: Mosaic, *, align: bool = False) -> tuple[Mosaic, Measured]:
    """Check a mosaic shortly, and lay its bands on each other.

    Parameters
    ----------
    mosaic : Mosaic
    align : bool
        Resample bands that are shifted, turned or stretched against the band with most stars.

    Returns
    -------
    Mosaic
        The same, or one with resampled bands and what was done in its notes.
    Measured
        What it showed before that.

    Warns
    -----
    PraesepeWarning
        Of bands that were aligned; of noise, widths and registration of stars that are unlike the
        training's, where there are enough stars to tell.
    """
    widths = psf_widths(mosaic.survey)
    measured = measure_mosaic(mosaic, widths, SECTIONS_TO_ALIGN if align else SECTIONS)
    known = [name for name, band in measured.bands.items() if np.isfinite(band.blur_square)]
    if len(known) < min(2, len(mosaic.bands)):
        if align:
            warnings.warn(
                "too few stars in the images to align the bands; they stay as they are",
                PraesepeWarning,
                stacklevel=3,
            )
        return mosaic, measured
    judge = Judge(mosaic, measured, widths)
    notes = []
    for row in judged(judge, SAID[:-1] if align else SAID):
        resampled = row.band in mosaic.reprojected  # which was told
        if row.verdict == "wrong" and not (resampled and row.item == "noise"):
            notes.append(
                f"{row.band}: {row.item} {row.measured}, expected {row.expected}; {row.advice}"
            )
    if align:
        mosaic = aligned(mosaic, measured.registration, measured.reference)
        notes += mosaic.notes
    for note in notes:
        warnings.warn(note, PraesepeWarning, stacklevel=3)
    return mosaic, measured


def aligned(mosaic: Mosaic, registration: dict[str, Registration | None], reference: str) -> Mosaic:
    """Resample bands by their measured registration; notes say which, by how much.

    Cubic splines keep stars sharper, and noise less correlated, than the overlap of pixels. A pixel
    that touches a missing one is missing.
    """
    bands, notes = dict(mosaic.bands), []
    unknown = [name for name, found in registration.items() if found is None]
    for name, found in registration.items():
        if found is None or found.farthest_px < max(NOTHING_PX, 3 * found.error_px):
            continue
        band = bands[name]
        log.info("aligning %s with %s", name, reference)
        full: list[NDArray[np.intp]] = []
        strips = _strips(band.pixels, mosaic.shape, found, full)
        pixels = scratch_image(mosaic.shape, strips, gaps_known=True)
        bands[name] = replace(band, pixels=mark_saturated(pixels, full), reprojected=True)
        notes.append(
            f"{name} lay ({found.x_px:+.2f}, {found.y_px:+.2f}) px, at most "
            f"{found.farthest_px:.2f} px, from {reference} by {found.n_stars} stars; it was "
            "resampled onto it"
        )
    if unknown:
        notes.append(f"{listed(unknown)}: too few stars to align with {reference}")
    return replace(mosaic, bands=bands, notes=tuple(notes))


def _strips(
    pixels: Pixels, shape: tuple[int, int], found: Registration, full: list[NDArray[np.intp]]
) -> Iterator[NDArray[np.float32]]:
    """The band on the reference's pixels, row by row; `full` takes the saturated ones (y, x)."""
    from scipy.ndimage import affine_transform, maximum_filter

    height, width = shape
    matrix = np.array([[1 + found.scale, found.angle], [-found.angle, 1 + found.scale]])
    for y0 in range(0, height, _ROWS):
        rows = min(_ROWS, height - y0)
        corner_x, corner_y = np.meshgrid([0.0, width - 1.0], [float(y0), y0 + rows - 1.0])
        _, there = found(corner_x, corner_y)
        top = int(np.floor(there.min())) - _MARGIN
        read = pixels.read(top, 0, int(np.ceil(there.max())) + _MARGIN + 1 - top, width)
        missing, saturated = pixels.find_gaps(read)
        saturated |= pixels.marked_saturated(top, 0, *read.shape)
        filled = np.where(missing, np.median(read[~missing]) if (~missing).any() else 0.0, read)
        first_x, first_y = found(np.zeros(1), np.full(1, float(y0)))
        offset = (float(first_y[0]) - top, float(first_x[0]))
        strip = affine_transform(
            filled.astype(np.float64), matrix, offset, (rows, width), order=3, mode="nearest"
        )
        gaps = maximum_filter(missing.astype(np.float32), 3)
        holes = affine_transform(
            gaps, matrix, offset, (rows, width), order=0, mode="constant", cval=1.0
        )
        strip[holes > 0.5] = np.nan
        if saturated.any():
            laid = affine_transform(
                saturated.astype(np.uint8), matrix, offset, (rows, width), order=0, mode="constant"
            )
            y, x = laid.nonzero()
            full.append(np.array([y + y0, x]))
        pixels.release()
        yield (strip * (1 + found.scale) ** 2).astype(np.float32)
