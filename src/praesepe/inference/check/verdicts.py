"""From what was measured and what the survey leads to expect to rows with verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from praesepe.errors import listed
from praesepe.images.mosaic import Mosaic
from praesepe.inference.check.colors import (
    LEAST_STARS,
    Offsets,
    color_offsets,
    shared_magnitudes,
    swapped_pair,
)
from praesepe.inference.check.measured import BandMeasured, Measured
from praesepe.inference.check.psf_widths import PSFWidths
from praesepe.inference.check.reference import Reference
from praesepe.inference.check.rows import Row, Verdict
from praesepe.survey import Band

SHIFT_PX = 0.15
"""Distance between two bands' stars that is wrong, beside its error."""
OFFSET_MAG = 0.1
"""The same of a zero point."""
CROWDING_SQUARE = 0.12
"""Square of the blur, px², that crowding looks like."""
SCALE_TOLERANCE = 0.02
CORRELATION_SLACK = 0.12
UNITS_FACTOR = 2.5
"""Of the noise, from which the unit is doubted rather than the depth."""


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

    def rows(self) -> list[Row]:
        """All rows, by item and band."""
        if self.measured.area_px == 0:
            return [
                Row(
                    "gaps",
                    "",
                    "no section with values in all bands",
                    "an image",
                    "wrong",
                    "The images are empty, or do not overlap: look at them.",
                )
            ]
        found = [
            *self._scales(),
            *self._gaps(),
            *self._sky(),
            *self._noise(),
            *self._correlation(),
            *self._exposure(),
            *self._saturation(),
            *self._spikes(),
            *self._stars(),
            *self._psf(),
            *self._registration(),
            *self._zero_points(),
        ]
        return found

    def _each(self) -> Iterator[tuple[Band, BandMeasured]]:
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
        """By what all stars are wider than the model's, if by one factor in all bands."""
        ratios = []
        for band, seen in self._each():
            if not np.isfinite(seen.blur_square):
                return None
            widths = self.widths[band.name]
            own = [widths.fwhm_at(square) for square in self._blurs(band.name)]
            now = widths.fwhm_at(seen.blur_square)
            ratios.append((now / own[1], now / own[0]))
        smallest, largest = max(r[0] for r in ratios), min(r[1] for r in ratios)
        if smallest > largest or (smallest < 1.05 < 1 / 0.95 and largest > 0.95):
            return None
        return 0.5 * (smallest + largest)

    def _blurs(self, name: str) -> tuple[float, float]:
        """Squares of the least and the largest blur that the model was trained with, px²."""
        low, high = self.mosaic.survey.observation.nuisance.blur_px
        focus = self.widths[name].focus_square
        return low**2 - CROWDING_SQUARE, 1.05 * (high**2 + focus) + CROWDING_SQUARE

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
        pair = swapped_pair(self.mags, self.reference.mags)
        names = self.mosaic.band_names
        return None if pair is None else (names[pair[0]], names[pair[1]])

    @cached_property
    def offsets(self) -> Offsets | None:
        """Zero points against the survey's stars, less what an artificial mosaic declares."""
        if self.reference is None or self.mags is None or len(self.mags) < LEAST_STARS:
            return None
        return color_offsets(self.mags, self.reference.mags)

    # Rows

    def _scales(self) -> Iterator[Row]:
        survey = self.mosaic.survey
        wanted, ratio = survey.pixel_scale_arcsec, self.width_ratio
        for band in survey.bands:
            scale = self.mosaic.bands[band.name].own_scale_arcsec
            if scale is None:
                yield Row(
                    "pixel scale",
                    band.name,
                    "no WCS",
                    f"{wanted:g}″",
                    "unknown",
                    "Without a WCS the pixel scale is not known.",
                )
                continue
            off = scale / wanted - 1
            text = f"{scale:.4g}″"
            if abs(off) <= SCALE_TOLERANCE:
                yield Row("pixel scale", band.name, text, f"{wanted:g}″ ± 2 %", value=scale)
                continue
            seen = "" if ratio is None else f" The stars are {ratio:.2f} times as wide as they "
            seen += "" if ratio is None else "should be: the WCS of the header is wrong."
            yield Row(
                "pixel scale",
                band.name,
                text,
                f"{wanted:g}″ ± 2 %",
                "wrong",
                "The image is resampled, which smooths it and correlates its noise; drizzle "
                f"to the survey's scale, or correct the WCS.{seen}",
                scale,
            )
        if ratio is not None and all(
            abs((image.own_scale_arcsec or wanted) / wanted - 1) <= SCALE_TOLERANCE
            for image in self.mosaic.bands.values()
        ):
            yield Row(
                "pixel scale",
                "",
                f"stars {ratio:.2f} times as wide as the model's in all bands",
                "1.0",
                "wrong",
                f"Pixels seem to be {wanted / ratio:.3g}″ wide, not {wanted:g}″: correct the WCS, "
                "or drizzle to the survey's scale. If the scale is right, all images are out of "
                "focus.",
                ratio,
            )

    def _gaps(self) -> Iterator[Row]:
        for band, seen in self._each():
            share = seen.missing
            advice = "" if share < 0.005 else "Stamps with gaps are flagged and filled."
            yield Row(
                "gaps",
                band.name,
                f"{100 * share:.1f} % missing",
                "few",
                "note" if advice else "fine",
                advice,
                share,
            )

    def _sky(self) -> Iterator[Row]:
        for band, seen in self._each():
            (sky_low, sky_high), (left_low, left_high) = band.sky_e_s, band.sky_left
            low = min(left_low * sky_low, left_low * sky_high)
            high = max(left_high * sky_low, left_high * sky_high)
            slack = 0.2 * (high - low) + 0.3 * seen.noise
            stars = 0.0
            if self.reference is not None and self.density is not None:
                stars = max(self.reference.at(self.reference.level[band.name], self.density), 0.0)
            else:
                slack += 20 * high
            expected = f"{low:.2g} to {high + stars:.2g} e-/s"
            wrong = not low - slack <= seen.level <= high + slack + 2.5 * stars
            advice = (
                ""
                if not wrong
                else (
                    "Sky that the model was not trained with, or an extended source: subtract it. "
                    "It biases models that see a constant."
                )
            )
            yield Row(
                "sky level",
                band.name,
                f"{seen.level:.3g} e-/s",
                expected,
                "wrong" if wrong else "fine",
                advice,
                seen.level,
            )
            most = (high - low) + 2.0 * max(stars, 0.0) + 1.5 * seen.noise
            wrong = seen.gradient > most
            yield Row(
                "sky gradient",
                band.name,
                f"{seen.gradient:.2g} e-/s over the image",
                f"up to {most:.2g} e-/s",
                "wrong" if wrong else "fine",
                "The sky changes over the image more than between the model's stamps: flatten it."
                if wrong
                else "",
                seen.gradient,
            )

    def _expected_noise(self, band: Band) -> tuple[float, float]:
        """Smallest and largest noise of a pixel, e-/s, with the light of unresolved stars.

        That light is known to a factor of a few by the number of bright stars, and is no more than
        the image's level allows.
        """
        read = band.read_noise_e**2 * band.n_exposures
        short, long = band.exposure_range_s
        sky_low, sky_high = band.sky_e_s

        def noise(rate: float, seconds: float) -> float:
            return math.sqrt((rate + band.dark_e_s) * seconds + read) / seconds

        level = self.measured.bands[band.name].level
        most = max(level + max(-band.sky_left[0], 0.0) * sky_high, 0.0)
        if self.reference is None or self.density is None:
            return noise(sky_low, long), 1.1 * noise(sky_high + most, short)
        name = band.name
        stars = max(self.reference.at(self.reference.level[name], self.density), 0.0)
        filtered = self.reference.noise[name].min() / noise(sky_low, band.typical_exposure_s)
        stars_high = min(4 * stars, most + 0.2 * sky_high)
        low = noise(sky_low + min(0.25 * stars, stars_high), long)
        return filtered * low, filtered * noise(sky_high + stars_high, short)

    def _noise(self) -> Iterator[Row]:
        for band, seen in self._each():
            low, high = self._expected_noise(band)
            measured = f"{seen.noise:.3g} e-/s ({_magnitude(band.zero_point_ab, seen.noise)})"
            expected = f"{low:.3g} to {high:.3g} e-/s"
            ratio = seen.noise / math.sqrt(low * high)
            item, advice = "noise", ""
            if not 1 / UNITS_FACTOR < ratio < UNITS_FACTOR:
                item = "unit"
                advice = (
                    f"Values are {ratio:.2g} times what they should be: check BUNIT. Electrons, "
                    "counts and rates differ by the exposure time "
                    f"({band.typical_exposure_s:g} s) or the gain."
                )
            elif seen.noise > 1.06 * high:
                seconds = band.typical_exposure_s / ratio**2
                advice = (
                    f"{ratio:.2g} times the usual noise, as of an exposure of about {seconds:.0f} s"
                    f", not {band.typical_exposure_s:g} s. Train a model for this depth, or one "
                    "with a range of exposure_s."
                )
            elif seen.noise < 0.92 * low:
                advice = (
                    f"{ratio:.2g} times the usual noise: a deeper image, or one that was smoothed "
                    "or resampled. Train a model for this depth."
                )
            verdict: Verdict = "wrong" if advice else "fine"
            yield Row(item, band.name, measured, expected, verdict, advice, seen.noise)

    def _correlation(self) -> Iterator[Row]:
        for band, seen in self._each():
            low, high = 0.0, 0.0
            if self.reference is not None and self.density is not None:
                known = self.reference.correlation[band.name]
                low, high = float(known.min()), self.reference.at(known, self.density)
            elif band.noise_kernel is not None:
                high = 0.8
            low, high = low - CORRELATION_SLACK, high + CORRELATION_SLACK
            advice = ""
            if seen.correlation > high:
                advice = "Neighbouring pixels share their noise: the image was smoothed, resampled "
                advice += "or drizzled in another way than the model's."
            elif seen.correlation < low:
                advice = "Neighbouring pixels share less noise than in the model's images."
            yield Row(
                "noise correlation",
                band.name,
                f"{seen.correlation:.2f} at 1 px",
                f"{max(low, 0):.2f} to {high:.2f}",
                "wrong" if advice else "fine",
                advice and f"{advice} Use the original mosaic, or train a model with this noise.",
                seen.correlation,
            )

    def _exposure(self) -> Iterator[Row]:
        for band in self.mosaic.survey.bands:
            seconds = self.mosaic.bands[band.name].calibration.exposure_s
            low, high = band.exposure_range_s
            expected = f"{low:g} s" if low == high else f"{low:g} to {high:g} s"
            if seconds is None:
                yield Row("exposure time", band.name, "not in the header", expected, "unknown")
                continue
            off = seconds / min(max(seconds, low), high)
            wrong = abs(math.log(off)) > math.log(1.3)
            yield Row(
                "exposure time",
                band.name,
                f"{seconds:g} s",
                expected,
                "wrong" if wrong else "fine",
                "Depth differs from the training's: posteriors are too narrow or too wide. "
                "Train a model for this depth."
                if wrong
                else "",
                seconds,
            )

    def _saturation(self) -> Iterator[Row]:
        for band, seen in self._each():
            n = seen.saturated
            full = band.saturation_e is not None
            yield Row(
                "saturation",
                band.name,
                f"{n} pixels",
                "none",
                "fine" if n == 0 else "note" if full else "wrong",
                "" if n == 0 else "Bright cores are cut off: clusters near them are too faint.",
                n,
            )

    def _spikes(self) -> Iterator[Row]:
        for band, seen in self._each():
            most = 1.5 * self.mosaic.survey.observation.detector.cosmic_rays + 0.3
            wrong = seen.spikes > most
            yield Row(
                "cosmic rays",
                band.name,
                f"{seen.spikes:.2g} per 10⁴ px",
                f"up to {most:.2g}",
                "wrong" if wrong else "fine",
                "Peaks sharper than stars: cosmic rays or hot pixels. Combine exposures with their "
                "rejection."
                if wrong
                else "",
                seen.spikes,
            )

    def _stars(self) -> Iterator[Row]:
        if self.reference is None or self.density is None:
            return
        area = (self.mosaic.pixel_scale_arcsec / 60) ** 2 * self.measured.area_px
        for band, seen in self._each():
            count = np.sum(seen.stars.peak > self.reference.bright[band.name]) / area
            per_px = self.reference.counts[band.name] / (self.mosaic.pixel_scale_arcsec / 60) ** 2
            least, most = per_px.min() / 3, 2 * per_px.max()
            verdict: Verdict = "fine" if least <= count <= most else "note"
            yield Row(
                "stars",
                band.name,
                f"{count:.0f} per arcmin²",
                f"{least:.0f} to {most:.0f}",
                verdict,
                ""
                if verdict == "fine"
                else "A field unlike the survey's, or another depth or zero point.",
                float(count),
            )

    def _psf(self) -> Iterator[Row]:
        low, high = self.mosaic.survey.observation.nuisance.blur_px
        for band, seen in self._each():
            widths, (sharpest, widest) = self.widths[band.name], self._blurs(band.name)
            least, most = widths.fwhm_at(sharpest), widths.fwhm_at(widest)
            expected = f"{least:.2f} to {most:.2f} px"
            if not np.isfinite(seen.blur_square):
                yield Row(
                    "PSF width",
                    band.name,
                    "too few stars",
                    expected,
                    "unknown",
                    "The width cannot be measured.",
                )
                continue
            slack = 3 * seen.blur_error
            fwhm = widths.fwhm_at(seen.blur_square)
            wide = seen.blur_square > widest + slack
            sharp = seen.blur_square < sharpest - slack
            advice = ""
            if self.width_ratio is not None and (wide or sharp):
                advice = "Probably the pixel scale (see there)."
            elif wide:
                sigma = math.sqrt(max(seen.blur_square - low**2, 0))
                advice = (
                    f"Blurred: as if by a Gaussian of {sigma:.2f} px more than the model's PSF, "
                    "which was trained "
                    f"up to {high:g} px. Clusters look larger; train a model with this PSF."
                )
            elif sharp:
                advice = "Sharper than the model's PSF: another camera, or a wrong pixel scale."
            yield Row(
                "PSF width",
                band.name,
                f"{fwhm:.2f} px FWHM",
                expected,
                "wrong" if wide or sharp else "fine",
                advice,
                fwhm,
            )

    def _registration(self) -> Iterator[Row]:
        reference = self.measured.reference
        known = {
            name: (self.declared(name, "XSHIFT"), self.declared(name, "YSHIFT"))
            for name in self.mosaic.band_names
        }
        for name, found in self.measured.registration.items():
            dx, dy = (a - b for a, b in zip(known[name], known[reference], strict=True))
            said = math.hypot(dx, dy)
            expected = f"0 ± {SHIFT_PX:g} px from {reference}"
            if said:
                expected = f"({dx:+.2f}, {dy:+.2f}) px from {reference}, by its header"
            if found is None:
                yield Row(
                    "registration",
                    name,
                    "too few stars are shared",
                    expected,
                    "unknown",
                    "If both bands have stars, they lie apart by more than 10 px, are turned "
                    "or mirrored: check the WCS.",
                )
                continue
            off = math.hypot(found.x_px - dx, found.y_px - dy)
            turned = abs(found.angle) + abs(found.scale) > 0
            far = max(off, found.farthest_px - said if turned else 0.0)
            wrong = far > SHIFT_PX + 3 * found.error_px
            text = f"({found.x_px:+.2f}, {found.y_px:+.2f}) px"
            if turned and found.farthest_px - math.hypot(found.x_px, found.y_px) > 0.03:
                text += f", turned by {math.degrees(found.angle):+.4f}°, stretched by "
                text += f"{100 * found.scale:+.3f} %, up to {found.farthest_px:.2f} px"
            yield Row(
                "registration",
                name,
                text,
                expected,
                "wrong" if wrong else "fine",
                "Shifted against the other bands: align them, or use predict --align."
                if wrong
                else "",
                far,
            )

    def _zero_points(self) -> Iterator[Row]:
        if self.reference is None or len(self.measured.bands) < 2:
            return
        if self.swapped is not None:
            one, two = self.swapped
            for name, other in ((one, two), (two, one)):
                yield Row(
                    "band",
                    name,
                    f"stars have the colors of {other}",
                    name,
                    "wrong",
                    f"The images of {one} and {two} are swapped: exchange them.",
                )
            return
        found = self.offsets
        names = self.mosaic.band_names
        if found is None:
            n = 0 if self.mags is None else len(self.mags)
            for name in names:
                yield Row(
                    "zero point",
                    name,
                    f"{n} stars in all bands",
                    f"at least {LEAST_STARS}",
                    "unknown",
                    "Too few stars to compare their colors.",
                )
            return
        n = len(names)
        said = np.array([self.declared(name, "ZPOFFSET") for name in names])
        said = (said - said.mean()) * n / (n - 1)
        for name, mag, known in zip(names, found.mag, said, strict=True):
            off = float(mag - known)
            slack = OFFSET_MAG + 2 * found.error_mag
            expected = f"0 ± {slack:.2f} mag" if not known else f"{known:+.2f} ± {slack:.2f} mag"
            wrong = abs(off) > slack
            advice = ""
            if wrong:
                fainter = "faint" if off > 0 else "bright"
                advice = (
                    f"Too {fainter} by {abs(off):.2f} mag against the other bands: check PHOTFLAM "
                    "and PHOTPLAM, the zero point, or expect that much reddening."
                )
            yield Row(
                "zero point",
                name,
                f"{mag:+.2f} mag",
                expected,
                "wrong" if wrong else "fine",
                advice,
                off,
            )


def _magnitude(zero_point: float, rate: float) -> str:
    return f"{zero_point - 2.5 * math.log10(rate):.2f} mag" if rate > 0 else "no noise"


def faults(rows: list[Row]) -> tuple[str, ...]:
    """What is wrong, in a few words each."""
    by_item: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == "wrong":
            by_item.setdefault(row.item, []).append(row.band)
    return tuple(
        f"{item} ({listed(bands)})" if any(bands) else item for item, bands in by_item.items()
    )
