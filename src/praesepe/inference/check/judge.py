"""What was measured beside what the survey leads to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from praesepe.images.mosaic import Mosaic
from praesepe.inference.check.colors import (
    LEAST_STARS,
    Offsets,
    color_offsets,
    shared_magnitudes,
    swapped_pair,
)
from praesepe.inference.check.measured import BandMeasured, Measured
from praesepe.inference.check.reference import Reference
from praesepe.inference.check.widths import PSFWidths
from praesepe.survey import Band

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
        """What an artificial mosaic says of itself in its header; 0 where nothing is said."""
        headers = self.mosaic.bands[band].headers
        found = None if headers is None else headers.get(keyword)
        is_number = found is not None and isinstance(found[1], (int, float))
        return float(found[1]) if found is not None and is_number else 0.0

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

        None also where images are smoothed, which makes stars wider, too.
        """
        ratios = []
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

    def correlations(self, band: Band) -> tuple[float, float]:
        """Least and largest correlation of the noise of neighbouring pixels."""
        low, high = 0.0, 0.0
        if self.reference is not None and self.density is not None:
            known = self.reference.correlation[band.name]
            low, high = float(known.min()), self.reference.at(known, self.density)
        elif band.noise_kernel is not None:
            high = 0.8
        return low - CORRELATION_SLACK, high + CORRELATION_SLACK

    def is_smoothed(self, band: Band) -> bool:
        """Whether neighbouring pixels share more noise than the survey's."""
        return self.measured.bands[band.name].correlation > self.correlations(band)[1]

    def blurs(self, name: str) -> tuple[float, float]:
        """Squares of the least and the largest blur that the model was trained with, px²."""
        low, high = (b * abs(b) for b in self.mosaic.survey.observation.nuisance.blur_px)
        focus = self.widths[name].focus_square
        return low - CROWDING_SQUARE, 1.05 * (high + focus) + CROWDING_SQUARE

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
        if self.reference is None or self.mags is None or len(self.mags) < LEAST_STARS:
            return None
        zero_points = np.array([band.zero_point_ab for band in self.mosaic.survey.bands])
        pair = swapped_pair(self.mags, self.reference.mags, zero_points)
        names = self.mosaic.band_names
        return None if pair is None else (names[pair[0]], names[pair[1]])

    @cached_property
    def offsets(self) -> Offsets | None:
        """Zero points against the survey's stars, less what an artificial mosaic declares."""
        if self.reference is None or self.mags is None or len(self.mags) < LEAST_STARS:
            return None
        return color_offsets(self.mags, self.reference.mags)
