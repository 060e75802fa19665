"""What was measured beside what the survey leads to expect."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.inference.check.background import smoothed_share
from praesepe.inference.check.colors import (
    LEAST_STARS,
    Offsets,
    color_offsets,
    shared_magnitudes,
    swapped_pair,
)
from praesepe.inference.check.measured import BandMeasured, Measured
from praesepe.inference.check.reference import Reference, likeness
from praesepe.inference.check.widths import PSFWidths
from praesepe.provenance import KEYWORDS
from praesepe.survey import Band

OWN_CARDS = tuple(KEYWORDS[name][0] for name in ("survey_fingerprint", "stream"))
"""In the headers of artificial mosaics alone."""

DENSER = 2.5
"""By what fields may be denser than they seem by their bright stars, which hide each other."""

SPARSE = 4.0
"""Times the survey's least density, below which colors of stars tell less."""

MOST_SIGMAS = 4.0
"""Largest offset of an artificial mosaic, in standard deviations of the survey's."""

FINE_NOISE = 0.92
"""Of the least noise, under which the image is deeper, or smoothed."""

AS_SMALL = 1.7
"""Noise that is as small as its correlation tells is so by this factor."""

CORRELATION_SLACK = 0.12

WIDER = 1.05
"""Widths beyond the model's, in all bands, that tell a wrong pixel scale."""

CROWDING_SQUARE = 0.12
"""Square of the blur, px², that crowding looks like."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Holds measurements against a survey.

    Attributes
    ----------
    mosaic : Mosaic
    measured : Measured
    widths : dict of str to PSFWidths
    reference : Reference or None
        None: a short check, which says nothing of star colors and numbers.
    """

    mosaic: Mosaic
    measured: Measured
    widths: Mapping[str, PSFWidths]
    reference: Reference | None = None

    def each(self) -> Iterator[tuple[Band, BandMeasured]]:
        """The bands, each with what was measured."""
        for band in self.mosaic.survey.bands:
            yield band, self.measured.bands[band.name]

    def declared(self, band: str, keyword: str) -> float:
        """What an artificial mosaic of ours says of itself in its header; 0 where nothing is said.

        Cards of other files, and offsets beyond those of the training, say nothing.
        """
        headers = self.mosaic.bands[band].headers
        if headers is None or any(headers.get(card) is None for card in OWN_CARDS):
            return 0.0
        found = headers.get(keyword)
        if found is None or not isinstance(found[1], (int, float)):
            return 0.0
        nuisance = self.mosaic.survey.observation.nuisance
        sigma = nuisance.zero_point_mag if keyword == "ZPOFFSET" else nuisance.registration_px
        return float(found[1]) if abs(found[1]) <= MOST_SIGMAS * sigma else 0.0

    # What the stars tell first, because other rows depend on it

    @cached_property
    def density(self) -> float | None:
        """Density of the survey's fields that have as many bright stars; None: not known."""
        if self.reference is None:
            return None
        counts = {
            name: float(np.sum(band.stars.peak > self.reference.bright[name]))
            / self.measured.area_px
            for name, band in self.measured.bands.items()
        }
        return self.reference.density_of(counts)

    @cached_property
    def width_ratio(self) -> float | None:
        """By what all stars are wider than the model's, if by one factor in all bands.

        None also where images are smoothed, which makes stars wider, too, or exchanged.
        """
        ratios = []
        if self.swapped is not None:
            return None
        for band, seen in self.each():
            if not np.isfinite(seen.blur_square) or self.is_smoothed(band):
                return None
            widths = self.widths[band.name]
            own = [widths.fwhm_at(square) for square in self.blurs(band.name)]
            now = widths.fwhm_at(seen.blur_square)
            ratios.append((now / own[1], now / own[0]))
        smallest, largest = max(r[0] for r in ratios), min(r[1] for r in ratios)
        wide = all(over > WIDER for over, _ in ratios)
        sharp = all(under < 1 / WIDER for _, under in ratios)
        return 0.5 * (smallest + largest) if (wide or sharp) and smallest <= largest else None

    def as_wide(self, ratio: float) -> bool:
        """Whether the stars of all bands are so many times as wide as the model's."""
        for band, seen in self.each():
            if not np.isfinite(seen.blur_square):
                return False
            widths = self.widths[band.name]
            low, high = (widths.fwhm_at(square) for square in self.blurs(band.name))
            if not ratio * low / WIDER < widths.fwhm_at(seen.blur_square) < ratio * high * WIDER:
                return False
        return True

    def correlations(self, band: Band) -> tuple[float, float]:
        """Least and largest correlation of the noise of neighbouring pixels."""
        low, high = 0.0, 0.0
        if self.reference is not None and self.density is not None:
            known = self.reference.correlation[band.name]
            low = float(known.min())
            high = max(self.reference.at(known, by * self.density) for by in (1, DENSER))
        elif band.noise_kernel is not None:
            high = 0.8
        return low - CORRELATION_SLACK, high + CORRELATION_SLACK

    def is_smoothed(self, band: Band) -> bool:
        """Whether neighbouring pixels share more noise than the survey's.

        In crowded fields they seem to, by the light of faint stars. That makes no noise smaller:
        where it is as small as its correlation tells, the image was smoothed all the same.
        """
        seen, (low, high) = self.measured.bands[band.name], self.correlations(band)
        if seen.correlation > high or seen.correlation < low + 2 * CORRELATION_SLACK:
            return seen.correlation > high
        least = expected_noise(self, band)[0]
        own = 1.0 if band.noise_kernel is None else smoothed_share(low + CORRELATION_SLACK)
        share = seen.noise / least * own
        known = smoothed_share(seen.correlation)
        return seen.noise < FINE_NOISE * least and abs(math.log(share / known)) < math.log(AS_SMALL)

    def is_blurred(self, band: Band) -> bool:
        """Whether an image was smoothed, and not by Praesepe's own resampling."""
        seen, least = self.measured.bands[band.name], expected_noise(self, band)[0]
        if band.name in self.mosaic.reprojected or (
            self.reference is None and band.noise_kernel is not None
        ):
            return False
        return seen.noise < FINE_NOISE * least and self.is_smoothed(band)

    def blurs(self, name: str) -> tuple[float, float]:
        """Squares of the least and the largest blur that the model was trained with, px²."""
        low, high = (b * abs(b) for b in self.mosaic.survey.observation.nuisance.blur_px)
        focus = self.widths[name].focus_square
        return low - CROWDING_SQUARE, 1.05 * (high + focus) + CROWDING_SQUARE

    def energy(self, name: str) -> float:
        """Encircled energy of a PSF as wide as the stars; NaN: not known.

        What stars nearby and their background change is that of the survey's fields.
        """
        if self.reference is None or self.density is None:
            return np.nan
        square = self.measured.bands[name].blur_square
        field = self.reference.at(self.reference.energy[name], self.density)
        return self.widths[name].energy_at(square) + field

    @cached_property
    def mags(self) -> np.ndarray | None:
        """Magnitudes of the stars that all bands share; None where the bands cannot be laid on."""
        if len(self.measured.bands) < 2:
            return None
        shifts = {self.measured.reference: (0.0, 0.0)}
        for name, found in self.measured.registration.items():
            if found is None:
                return None
            shifts[name] = (found.x_px, found.y_px)
        bands = self.mosaic.survey.bands
        return shared_magnitudes(
            {name: seen.stars for name, seen in self.measured.bands.items()},
            {band.name: band.zero_point_ab for band in bands},
            {b.name: self._share(b.name) for b in bands},
            shifts,
        )

    def _share(self, name: str) -> float:
        square = self.measured.bands[name].blur_square
        return self.widths[name].share_at(square if np.isfinite(square) else 0.2)

    @cached_property
    def swapped(self) -> tuple[str, str] | None:
        """Two bands whose images seem to be exchanged."""
        if self.reference is None or self.mags is None or self.offsets is None:
            return None
        zero_points = np.array([band.zero_point_ab for band in self.mosaic.survey.bands])
        pair = swapped_pair(
            self.offsets, self.mags, self.reference.mags, zero_points, self.likeness
        )
        names = self.mosaic.band_names
        return None if pair is None else (names[pair[0]], names[pair[1]])

    @property
    def is_sparse(self) -> bool:
        """Whether the field has few stars."""
        low = self.mosaic.survey.galaxy.field.surface_density[0]
        return self.density is not None and self.density < SPARSE * low

    @property
    def likeness(self) -> np.ndarray | None:
        """Weights of the survey's stars; of those in fields of this one's density most."""
        if self.reference is None or self.density is None:
            return None
        return likeness(self.reference.star_density, self.density)

    @cached_property
    def offsets(self) -> Offsets | None:
        """Zero points against the survey's stars, less what an artificial mosaic declares."""
        if self.reference is None or self.mags is None or len(self.mags) < LEAST_STARS:
            return None
        return color_offsets(self.mags, self.reference.mags, self.likeness)


def expected_noise(judge: Judge, band: Band) -> tuple[float, float]:
    """Smallest and largest noise of a pixel, e-/s, with the light of unresolved stars.

    That light is known to a factor of a few by the number of bright stars, and is no more than
    the image's level allows.
    """
    read = band.read_noise_e**2 * band.n_exposures
    short, long = band.exposure_range_s
    sky_low, sky_high = band.sky_e_s

    def noise(rate: float, seconds: float) -> float:
        """Noise of a pixel under a light, e-/s."""
        return math.sqrt((rate + band.dark_e_s) * seconds + read) / seconds

    level = judge.measured.bands[band.name].level
    most = max(level + max(-band.sky_left[0], 0.0) * sky_high, 0.0)
    if judge.reference is None or judge.density is None:
        return noise(sky_low, long), 1.1 * noise(sky_high + most, short)
    name = band.name
    stars = max(judge.reference.at(judge.reference.level[name], judge.density), 0.0)
    filtered = judge.reference.noise[name].min() / noise(sky_low, band.typical_exposure_s)
    stars_high = min(4 * stars, most + 0.2 * sky_high)
    low = noise(sky_low + min(0.25 * stars, stars_high), long)
    return filtered * low, filtered * noise(sky_high + stars_high, short)


def noise_offset(judge: Judge, band: Band) -> tuple[float, float]:
    """By how much a band seems too faint by its noise, mag: least and most; 0 where it is not told.

    A zero point that is off scales stars and noise alike; another exposure changes noise alone.
    """
    noise = judge.measured.bands[band.name].noise
    if band.name in judge.mosaic.reprojected or judge.is_smoothed(band) or not noise > 0:
        return 0.0, 0.0
    low, high = expected_noise(judge, band)
    return -2.5 * math.log10(noise / low), -2.5 * math.log10(noise / high)
