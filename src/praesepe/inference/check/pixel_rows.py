"""Rows about pixels: gaps, sky, noise, exposure, saturation and cosmic rays."""

from __future__ import annotations

import math
from collections.abc import Iterator

from praesepe.inference.check.judge import Judge
from praesepe.inference.check.rows import Row, Verdict
from praesepe.survey import Band

UNITS_FACTOR = 2.5
"""Of the noise, from which the unit is doubted rather than the depth."""


def gaps(judge: Judge) -> Iterator[Row]:
    """Share of pixels without a value."""
    for band, seen in judge.each():
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


def sky(judge: Judge) -> Iterator[Row]:
    """Level of the faintest pixels, and how much it changes over the image."""
    for band, seen in judge.each():
        (sky_low, sky_high), (left_low, left_high) = band.sky_e_s, band.sky_left
        low = min(left_low * sky_low, left_low * sky_high)
        high = max(left_high * sky_low, left_high * sky_high)
        slack = 0.2 * (high - low) + 0.3 * seen.noise
        stars = 0.0
        if judge.reference is not None and judge.density is not None:
            stars = max(judge.reference.at(judge.reference.level[band.name], judge.density), 0.0)
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


def expected_noise(judge: Judge, band: Band) -> tuple[float, float]:
    """Smallest and largest noise of a pixel, e-/s, with the light of unresolved stars.

    That light is known to a factor of a few by the number of bright stars, and is no more than
    the image's level allows.
    """
    read = band.read_noise_e**2 * band.n_exposures
    short, long = band.exposure_range_s
    sky_low, sky_high = band.sky_e_s

    def noise(rate: float, seconds: float) -> float:
        """Noise of a pixel; far off, the unit."""
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


def noise(judge: Judge) -> Iterator[Row]:
    """Noise of a pixel; far off, the unit."""
    for band, seen in judge.each():
        low, high = expected_noise(judge, band)
        measured = f"{seen.noise:.3g} e-/s ({_magnitude(band.zero_point_ab, seen.noise)})"
        expected = f"{low:.3g} to {high:.3g} e-/s"
        ratio = seen.noise / math.sqrt(low * high)
        item, advice = "noise", ""
        verdict: Verdict = "wrong"
        if seen.noise < 0.92 * low and judge.is_smoothed(band):
            verdict = "note"
            advice = f"{ratio:.2g} times the usual noise, because the image was smoothed."
        elif not 1 / UNITS_FACTOR < ratio < UNITS_FACTOR:
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
                f"{ratio:.2g} times the usual noise: a deeper image. Train a model for this depth."
            )
        else:
            verdict = "fine"
        yield Row(item, band.name, measured, expected, verdict, advice, seen.noise)


def correlation(judge: Judge) -> Iterator[Row]:
    """Correlation of the noise of neighbouring pixels."""
    for band, seen in judge.each():
        low, high = judge.correlations(band)
        advice = ""
        resampled = band.name in judge.mosaic.reprojected
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
            "fine" if not advice else "note" if resampled else "wrong",
            advice and f"{advice} Use the original mosaic, or train a model with this noise.",
            seen.correlation,
        )


def exposure(judge: Judge) -> Iterator[Row]:
    """Exposure times by the headers."""
    for band in judge.mosaic.survey.bands:
        seconds = judge.mosaic.bands[band.name].calibration.exposure_s
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


def saturation(judge: Judge) -> Iterator[Row]:
    """Cores that are cut off."""
    for band, seen in judge.each():
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


def spikes(judge: Judge) -> Iterator[Row]:
    """Peaks that are no stars."""
    for band, seen in judge.each():
        most = 1.5 * judge.mosaic.survey.observation.detector.cosmic_rays + 0.3
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


def _magnitude(zero_point: float, rate: float) -> str:
    return f"{zero_point - 2.5 * math.log10(rate):.2f} mag" if rate > 0 else "no noise"
