"""How wide the model's stars are: the same two Gaussians on the model's PSF."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe.inference.check.profiles import encircled_of
from praesepe.inference.check.stars import NARROW_PX, WIDE_PX
from praesepe.sky.instrument.psf import band_psf
from praesepe.survey import Survey

Array = NDArray[np.float64]
Image = NDArray[np.floating[Any]]

FOCUS_SIGMAS = 1.9
"""Defocus, in standard deviations of the survey, that the widest stars have."""

FINER = 2
HALF_PX = 24
SQUARES = np.linspace(-0.4, 6.0, 33).round(3)
"""Squares of blurs, px²; a negative one is a PSF sharper than the model's."""


@dataclass(frozen=True, eq=False)
class PSFWidths:
    """What a band's PSF looks like when it is blurred further.

    Attributes
    ----------
    ratio, narrow, fwhm, energy : ndarray, shape (blur,)
        Narrow over wide peak, share of the light under the narrow one, full width at half maximum
        in pixels, and encircled energy, for the blurs of `SQUARES`.
    sharpest : float
        Light of the pixel beside the star's over that of the star's, not blurred.
    focus_square : float
        Square of the blur, px², that the focus makes in the survey, of `FOCUS_SIGMAS`.
    psf : ndarray
        The model's PSF on pixels a fourth as wide.
    """

    ratio: Array
    narrow: Array
    fwhm: Array
    energy: Array
    sharpest: float
    focus_square: float
    psf: Image

    @classmethod
    def of(cls, survey: Survey, name: str) -> PSFWidths:
        """Those of a band of a survey."""
        band, defocus_nm = survey.band(name), survey.observation.nuisance.focus_nm
        psf = _psf(survey, name, 0.0)
        peaks = {sigma: _peaks(psf, sigma) for sigma in (NARROW_PX, WIDE_PX)}
        found = cls(
            peaks[NARROW_PX] / peaks[WIDE_PX],
            peaks[NARROW_PX],
            *_shapes(psf),
            float(psf[_MIDDLE, _MIDDLE + FINER] / psf[_MIDDLE, _MIDDLE]),
            0.0,
            psf,
        )
        if not defocus_nm or band.psf.file is not None:
            return found
        blurred = _psf(survey, name, FOCUS_SIGMAS * defocus_nm)
        zero = SQUARES == 0
        ratio = _peaks(blurred, NARROW_PX)[zero] / _peaks(blurred, WIDE_PX)[zero]
        return replace(found, focus_square=max(found.blur_square(float(ratio[0])), 0.0))

    def blur_square(self, ratio: float) -> float:
        """Square of the further blur, px², of stars with a ratio of peaks."""
        return float(np.interp(-ratio, -self.ratio, SQUARES))

    def fwhm_at(self, square: float) -> float:
        """Full width at half maximum, px, at the square of a blur."""
        if square < 0:
            first = float(np.interp(0.0, SQUARES, self.fwhm))
            return math.sqrt(max(first**2 + 8 * math.log(2) * square, 0.25))
        return float(np.interp(square, SQUARES, self.fwhm))

    def energy_at(self, square: float) -> float:
        """Encircled energy at the square of a blur; of sharper PSFs that of the model's."""
        return float(np.interp(square, SQUARES, self.energy))

    def share_at(self, square: float) -> float:
        """Share of a star's light under the narrow Gaussian's peak."""
        return float(np.interp(square, SQUARES, self.narrow))


_MIDDLE = HALF_PX * FINER


def _psf(survey: Survey, name: str, defocus_nm: float) -> Image:
    scale = survey.pixel_scale_arcsec
    return band_psf(
        survey.band(name),
        grid_scale_arcsec=scale / FINER,
        half_size_px=HALF_PX * FINER,
        pixel_scale_arcsec=scale,
        defocus_nm=defocus_nm,
        telescope=survey.observation.telescope_of(survey.band(name)),
    )


def _peaks(psf: Image, sigma_px: float) -> Array:
    """Share of a star's light under the peak of a Gaussian, for all blurs."""
    from scipy.ndimage import gaussian_filter1d

    # A Gaussian's peak needs the middle of the image alone: weights along y, then along x.
    unit = np.zeros(len(psf))
    unit[_MIDDLE] = 1.0
    lines = [gaussian_filter1d(unit, FINER * math.sqrt(sigma_px**2 + square)) for square in SQUARES]
    return np.array([line @ psf @ line for line in lines]) * FINER**2


def _shapes(psf: Image) -> tuple[Array, Array]:
    """Full widths at half maximum, px, and encircled energies for all blurs that are some."""
    from scipy.ndimage import gaussian_filter

    widths, energies = [], []
    for square in SQUARES:
        blurred = gaussian_filter(psf, FINER * math.sqrt(max(square, 0)))
        line = blurred[_MIDDLE, _MIDDLE:]
        widths.append(2 * np.interp(-0.5 * line[0], -line, np.arange(len(line))) / FINER)
        energies.append(encircled_of(blurred, FINER))
    return np.array(widths), np.array(energies)
