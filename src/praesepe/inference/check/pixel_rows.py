"""Rows about pixels: gaps, sky, noise, exposure, saturation and cosmic rays."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from praesepe.inference.check.judge import FINE_NOISE, Judge, expected_noise
from praesepe.inference.check.measured import BandMeasured
from praesepe.inference.check.rows import Row, Verdict
from praesepe.survey import Band

MOST_LACKING = 0.1
"""Share of pixels without a value where another band has one, that is a fault."""

EVEN, EVEN_SCATTER, DOUBT = 0.9, 0.3, 0.15
"""See `block_structure`: white noise has 1, with a scatter of 0.3 in a section; clean mosaics of
`phat` 1.6 to 6, and 0.3 to 0.5 without their medians of meshes of 25 px, 0.7 to 2 without
SExtractor's modes of these."""

UNITS_FACTOR = 2.5
"""Of the noise, from which the unit is doubted rather than the depth."""

UNEVEN = 1.4
"""Times the noise of one section that another has, from which it is told."""


def gaps(judge: Judge) -> Iterator[Row]:
    """Share of pixels without a value."""
    for band, seen in judge.each():
        share = seen.missing
        advice = "" if share < 0.005 else "Stamps with gaps are flagged and filled."
        verdict: Verdict = "note" if advice else "fine"
        if seen.lacking > MOST_LACKING:
            verdict = "wrong"
            advice = f"{100 * seen.lacking:.0f} % have values in other bands: look at the image, "
            advice += "and at what marks its missing pixels."
        yield Row(
            "gaps",
            band.name,
            f"{100 * share:.1f} % missing",
            "few",
            verdict,
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


def background(judge: Judge) -> Iterator[Row]:
    """Whether a background of small meshes was subtracted, which takes light of clusters."""
    for band, seen in judge.each():
        n = sum(np.isfinite(plane.structure) for plane in seen.planes)
        if not n:
            continue
        scatter = EVEN_SCATTER / math.sqrt(n)
        least = EVEN - scatter
        even = seen.structure < least + DOUBT
        verdict: Verdict = "wrong" if seen.structure < least else "note" if even else "fine"
        if verdict == "fine" and seen.structure < EVEN + 2 * scatter:
            verdict = "unknown"
        yield Row(
            "background",
            band.name,
            f"varies over 100 px {seen.structure:.2f} times as noise would",
            f"{least:.2f} times or more",
            verdict,
            "More even than noise: one of small meshes was probably subtracted, which takes the "
            "outskirts of clusters away (of meshes of 25 px, a third of their size and half of "
            "their light). Give the image without that subtraction, or with meshes ten times as "
            "large as clusters are."
            if even
            else "The image is too small to tell a background of small meshes from none."
            if verdict == "unknown"
            else "",
            seen.structure,
        )


def noise(judge: Judge) -> Iterator[Row]:
    """Noise of a pixel; far off, the unit."""
    for band, seen in judge.each():
        if judge.reference is None and band.noise_kernel is not None:
            continue  # what drizzling leaves of it is not known
        low, high = expected_noise(judge, band)
        measured = f"{seen.noise:.3g} e-/s ({_magnitude(band.zero_point_ab, seen.noise)})"
        expected = f"{low:.3g} to {high:.3g} e-/s"
        ratio = seen.noise / math.sqrt(low * high)
        item, advice = "noise", ""
        verdict: Verdict = "wrong"
        if seen.noise < FINE_NOISE * low and judge.is_smoothed(band):
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
                f", not {band.typical_exposure_s:g} s, or of a zero point off by "
                f"{2.5 * math.log10(ratio):.2f} mag. Train a model for this depth, or one with a "
                "range of exposure_s."
            )
        elif seen.noise < FINE_NOISE * low:
            advice = (
                f"{ratio:.2g} times the usual noise: a deeper image. Train a model for this depth."
            )
        elif (apart := noise_apart(band, seen)) > UNEVEN:
            verdict = "note"
            advice = (
                f"Parts of the image have {apart:.2g} times the noise of others, by their exposure "
                "times perhaps: posteriors are too narrow or too wide there."
            )
        else:
            verdict = "fine"
        yield Row(item, band.name, measured, expected, verdict, advice, seen.noise)


def noise_apart(band: Band, seen: BandMeasured) -> float:
    """How much the noise differs between sections, beyond what their light makes of it; 1: none."""
    planes = [plane for plane in seen.planes if np.isfinite(plane.noise) and plane.noise > 0]
    if not planes:
        return 1.0
    level, measured = np.array([(plane.level, plane.noise) for plane in planes]).T
    rate = band.sky_e_s[0] + band.dark_e_s + level - level.min()
    read = band.read_noise_e**2 * band.n_exposures / band.typical_exposure_s
    low, high = np.quantile(measured / np.sqrt(rate + read), (0.05, 0.95))
    return float(high / low)


CROWDED = 0.04
"""By how much faint stars may seem to correlate the noise, beyond those of the survey's fields."""


def correlation(judge: Judge) -> Iterator[Row]:
    """Correlation of the noise of neighbouring pixels."""
    for band, seen in judge.each():
        low, high = judge.correlations(band)
        high += CROWDED  # a blur is told by the noise as well
        advice = ""
        resampled, blurred = band.name in judge.mosaic.reprojected, judge.is_blurred(band)
        if judge.reference is None and not blurred:
            continue  # what faint stars seem to add is not known
        if blurred:
            sigma = math.sqrt(max(seen.blur_square, 0.0)) if seen.blur_square > 0 else 0.0
            advice = "Neighbouring pixels share their noise, which is smaller than can be: the "
            advice += "image was blurred (convolved, resampled or binned by interpolation)"
            advice += (
                f", and its stars are {sigma:.2f} px wider than the model's PSF." if sigma else "."
            )
        elif seen.correlation > high:
            advice = "Neighbouring pixels share their noise: the image was smoothed, resampled "
            advice += "or drizzled in another way than the model's."
        elif seen.correlation < low:
            advice = "Neighbouring pixels share less noise than in the model's images."
        yield Row(
            "blur" if blurred else "noise correlation",
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
