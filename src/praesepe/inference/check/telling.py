"""Depth and width of a mosaic's bands, as a network is told them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.inference.check.background import sharp_response
from praesepe.inference.check.measured import Measured, psf_widths
from praesepe.sky.instrument.detector import Detector
from praesepe.survey import Survey

DEPTH_SLACK_MAG = 0.5
"""A crowded field's light makes the noise that is measured so much larger, or its error smaller."""

WIDTH_SLACK = 0.15
"""Three standard deviations of a measured width."""


def measured_by_band(name: str, mosaic: Mosaic, measured: Measured) -> dict[str, float]:
    """``depth`` or ``psf_fwhm_px`` of the bands in which it can be measured.

    The depth is the noise of an empty pixel; that between neighbours, which is measured, is less
    where noise is correlated. How much of it is, where surveys differ, its measured correlation
    says. Of a band that was resampled here nothing tells it.
    """
    found = {}
    if name == "psf_fwhm_px":
        widths = psf_widths(mosaic.survey)
        for band, seen in measured.bands.items():
            if np.isfinite(seen.blur_square):
                found[band] = widths[band].fwhm_at(seen.blur_square)
        return found
    detector = Detector(mosaic.survey)
    for entry, kernels in zip(mosaic.survey.bands, detector.kernels, strict=True):
        seen = measured.bands[entry.name]
        noise = seen.noise / sharp_response(kernels, detector.correlation, seen.correlation)
        if noise > 0 and entry.name not in mosaic.reprojected:
            found[entry.name] = entry.zero_point_ab - 2.5 * math.log10(noise)
    return found


def header_by_band(name: str, mosaic: Mosaic) -> dict[str, float]:
    """The depth of the bands whose headers tell an exposure, under the middle of the sky's levels.

    No header tells the width of the stars.
    """
    told = {band: one.calibration.exposure_s for band, one in mosaic.bands.items()}
    told = {band: exposure_s for band, exposure_s in told.items() if exposure_s}
    if name != "depth" or not told:
        return {}
    exposures_s = [told.get(band.name) or band.typical_exposure_s for band in mosaic.survey.bands]
    by_band = _depth_by_band(mosaic.survey, exposures_s)
    return {band: depth for band, depth in by_band.items() if band in told}


def survey_by_band(name: str, mosaic: Mosaic) -> dict[str, float]:
    """The same as the survey describes them: the middle of the sky's levels, the usual PSF."""
    if name == "psf_fwhm_px":
        return {band: widths.fwhm_at(0.0) for band, widths in psf_widths(mosaic.survey).items()}
    return _depth_by_band(mosaic.survey)


def _depth_by_band(survey: Survey, exposures_s: Sequence[float] | None = None) -> dict[str, float]:
    """Depth after some exposures, by default the survey's."""
    detector = Detector(survey)
    middle = (detector.sky[0] + detector.sky[1]).flatten() / 2
    exposures = None if exposures_s is None else torch.as_tensor(exposures_s).to(middle)
    noise = detector.noise_in(exposures, middle).tolist()
    return {
        band.name: band.zero_point_ab - 2.5 * math.log10(rate)
        for band, rate in zip(survey.bands, noise, strict=True)
    }


def trained_by_band(name: str, survey: Survey) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of the same in a survey, a little widened by what measuring adds."""
    if name == "psf_fwhm_px":
        low, high = (blur * abs(blur) for blur in survey.observation.nuisance.blur_px)
        return {
            band: (
                one.fwhm_at(low) / (1 + WIDTH_SLACK),
                one.fwhm_at(high + one.focus_square) * (1 + WIDTH_SLACK),
            )
            for band, one in psf_widths(survey).items()
        }
    detector = Detector(survey)
    ends = detector.exposures or [detector.exposure] * 2
    deepest = detector.noise_in(ends[1].flatten(), detector.sky[0].flatten()).tolist()
    flattest = detector.noise_in(ends[0].flatten(), detector.sky[1].flatten()).tolist()
    return {
        band.name: (
            band.zero_point_ab - 2.5 * math.log10(most) - DEPTH_SLACK_MAG,
            band.zero_point_ab - 2.5 * math.log10(least) + DEPTH_SLACK_MAG,
        )
        for band, most, least in zip(survey.bands, flattest, deepest, strict=True)
    }
