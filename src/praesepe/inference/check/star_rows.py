"""Rows about stars: pixel scale, numbers, PSF, registration and zero points."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from praesepe.inference.check.colors import LEAST_STARS
from praesepe.inference.check.judge import Judge, noise_offset
from praesepe.inference.check.measured import middle_of
from praesepe.inference.check.profiles import INNER_PX, OUTER_PX
from praesepe.inference.check.registration import Registration, shareable
from praesepe.inference.check.rows import Row, Verdict

Array = NDArray[np.float64]

SHIFT_PX = 0.15
"""Distance between two bands' stars that is wrong, beside its error."""

MANY_STARS = 100
"""Bright isolated stars of two bands from which some are shared, if both show the same sky."""

OFFSET_MAG, SPARSE_MAG = 0.08, 0.12
"""The same of a zero point, at least, and how much more in fields of few stars."""

OTHER_DEPTH = 0.5
"""Offset that stars of images of another depth seem to have, over the difference in depth."""

DOUBTED_MAG = 0.07
"""Offset that may be none, or one of 0.15 mag: unknown, if the noise does not confirm it."""

OFF_MAG, AGREE_MAG = 0.04, 0.05
"""Offset by the noise that confirms one of the stars, and how well the two must agree."""

TOLD_MAG = 0.15
"""Offset that must be told from none, or the zero point is unknown."""

SIGMAS = 3.0
"""The same in standard deviations between star fields of the survey."""

ERRORS = 1.5
"""The same in standard errors."""

ENERGY_SLACK = 0.05
"""The same of the encircled energy."""

SCALE_TOLERANCE = 0.02

SHARPER = 0.93
"""Width over the least that is expected, from which it matters: `phat` answers as well on images
of today's survey, whose PSFs are up to 5 % sharper (benchmarks/present_survey.py)."""


def scales(judge: Judge) -> Iterator[Row]:
    """Pixel scales by the headers, and by the widths of the stars."""
    survey = judge.mosaic.survey
    wanted, ratio = survey.pixel_scale_arcsec, judge.width_ratio
    for band in survey.bands:
        scale = judge.mosaic.bands[band.name].own_scale_arcsec
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
        yield Row(
            "pixel scale",
            band.name,
            text,
            f"{wanted:g}″ ± 2 %",
            "wrong",
            _which_scale(judge, scale),
            scale,
        )
    if ratio is not None and all(
        abs((image.own_scale_arcsec or wanted) / wanted - 1) <= SCALE_TOLERANCE
        for image in judge.mosaic.bands.values()
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


def _which_scale(judge: Judge, scale: float) -> str:
    """What to do about a scale of a header that is not the survey's, by the widths of the stars."""
    wanted = judge.mosaic.survey.pixel_scale_arcsec
    if not judge.mosaic.reprojected:  # looked at on their own pixels
        if judge.as_wide(1.0) and not judge.as_wide(wanted / scale):
            return (
                f"The stars are as wide as on pixels of {wanted:g}″: the WCS of the header is "
                "wrong; correct it."
            )
        if judge.as_wide(wanted / scale) and not judge.as_wide(1.0):
            return (
                "So are the stars: the header is right. Drizzle to the survey's scale; resampling, "
                "which predict does, smooths the image and correlates its noise."
            )
    return (
        "Drizzle to the survey's scale, or correct the WCS. Resampling, which predict does, "
        "smooths the image and correlates its noise."
    )


def stars(judge: Judge) -> Iterator[Row]:
    """Bright stars per area."""
    if judge.reference is None or judge.density is None:
        return
    area = (judge.mosaic.pixel_scale_arcsec / 60) ** 2 * judge.measured.area_px
    for band, seen in judge.each():
        count = np.sum(seen.stars.peak > judge.reference.bright[band.name]) / area
        per_px = judge.reference.counts[band.name] / (judge.mosaic.pixel_scale_arcsec / 60) ** 2
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


def psf(judge: Judge) -> Iterator[Row]:
    """Widths of the stars."""
    high = judge.mosaic.survey.observation.nuisance.blur_px[1]
    for band, seen in judge.each():
        widths, (sharpest, widest) = judge.widths[band.name], judge.blurs(band.name)
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
        sharp = seen.blur_square < sharpest - slack and fwhm < SHARPER * least
        advice = ""
        if judge.width_ratio is not None and (wide or sharp):
            advice = "Probably the pixel scale (see there)."
        elif wide:
            sigma = math.sqrt(max(seen.blur_square, 0))
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


def energy(judge: Judge) -> Iterator[Row]:
    """Encircled energy of the stars, beside that of the model's PSF as wide as they are."""
    if judge.reference is None:
        return
    scale = judge.mosaic.survey.pixel_scale_arcsec
    radii = f"of {OUTER_PX * scale:.2g}″ within {INNER_PX * scale:.2g}″"
    for band, seen in judge.each():
        own, slack = judge.energy(band.name), ENERGY_SLACK + 3 * seen.energy_error
        if not np.isfinite(own) or not np.isfinite(slack):
            text, advice = "too few stars", "Too few isolated stars to stack."
            yield Row("encircled energy", band.name, text, radii, "unknown", advice)
            continue
        off = seen.energy - own
        advice = ""
        if abs(off) > slack:
            advice = "Less" if off < 0 else "More"
            advice += " light is at the stars' centers than in the model's PSF of their width: "
            advice += "it is scattered or resampled otherwise, or from another camera. Masses are "
            advice += "off by what is in the wings; train a model with this PSF."
        yield Row(
            "encircled energy",
            band.name,
            f"{100 * seen.energy:.0f} % {radii}",
            f"{100 * own:.0f} ± {100 * slack:.0f} %",
            "wrong" if advice else "fine",
            advice,
            seen.energy,
        )


def registration(judge: Judge) -> Iterator[Row]:
    """Shift, turn and stretch of each band against the others."""
    measured = judge.measured
    known = {measured.reference: Registration.none(judge.mosaic.shape)}
    known |= {name: one for name, one in measured.registration.items() if one is not None}
    said = {
        name: np.array([judge.declared(name, "XSHIFT"), judge.declared(name, "YSHIFT")])
        for name in judge.mosaic.band_names
    }
    rest = {name: one.displacements() - said[name] for name, one in known.items()}
    middle = middle_of(rest, first=measured.reference)
    for name in judge.mosaic.band_names:
        if name == middle:
            continue
        expected = f"0 ± {SHIFT_PX:g} px from {middle}"
        dx, dy = said[name] - said[middle]
        if dx or dy:
            expected = f"({dx:+.2f}, {dy:+.2f}) px from {middle}, by its header"
        if name not in known:
            lists = (
                [p.stars for p in measured.bands[n].planes] for n in (measured.reference, name)
            )
            many = shareable(*lists) >= MANY_STARS
            advice = "They" if many else "If both bands have stars, they"
            advice += " lie apart by more than 10 px, are turned or mirrored: check the WCS."
            shared = f"too few stars are shared with {measured.reference}"
            yield Row(
                "registration", name, shared, expected, "wrong" if many else "unknown", advice
            )
            continue
        found = known[name].against(known[middle])
        off = math.hypot(found.x_px - dx, found.y_px - dy)
        bent = found.farthest_px - math.hypot(found.x_px, found.y_px)
        far = off + bent
        text = f"({found.x_px:+.2f}, {found.y_px:+.2f}) px"
        if bent > 0.03:
            text += f", turned by {math.degrees(found.angle):+.4f}°, stretched by "
            text += f"{100 * found.scale:+.3f} %, up to {found.farthest_px:.2f} px"
        wrong = far > SHIFT_PX + 3 * found.error_px
        advice = "Shifted against the other bands: align them, or let predict do so (align)."
        verdict: Verdict = "wrong" if wrong else "fine"
        yield Row("registration", name, text, expected, verdict, advice if wrong else "", far)


def zero_points(judge: Judge) -> Iterator[Row]:
    """Colors of the stars against the survey's; exchanged bands."""
    if judge.reference is None or len(judge.measured.bands) < 2:
        return
    if judge.swapped is not None:
        one, two = judge.swapped
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
    found = judge.offsets
    names = judge.mosaic.band_names
    if found is None:
        n = 0 if judge.mags is None else len(judge.mags)
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
    said = np.array([judge.declared(name, "ZPOFFSET") for name in names])
    by_noise = [noise_offset(judge, band) for band in judge.mosaic.survey.bands]
    slack = _slack(judge, found.error_mag)
    off = left_over(found.mag - said, slack)
    # Images of another depth show other stars, whose colors are others.
    depth = [
        min(max(least - one, one - most, 0.0) for one in (value, 0.0))
        for value, (least, most) in zip(off, by_noise, strict=True)
    ]
    slack = slack + OTHER_DEPTH * np.array(depth)
    for name, value, own, most, noise in zip(names, off, said, slack, by_noise, strict=True):
        verdict, advice = _of_offset(float(value), float(most), noise)
        yield Row(
            "zero point",
            name,
            f"{value + own:+.2f} mag",
            f"{own:+.2f} ± {most:.2f} mag, by its header" if own else f"0 ± {most:.2f} mag",
            verdict,
            advice,
            float(value),
        )


def _slack(judge: Judge, error_mag: float) -> Array:
    """Offsets of bands that may be chance, mag, shape (band,)."""
    assert judge.reference is not None
    scatter = judge.reference.scatter_mag
    slack = np.maximum(OFFSET_MAG, SIGMAS * scatter) + ERRORS * error_mag
    sparse = SPARSE_MAG * scatter / max(float(scatter.max()), 1e-9)
    return np.asarray(slack + sparse * judge.is_sparse)


def _of_offset(value: float, most: float, by_noise: tuple[float, float]) -> tuple[Verdict, str]:
    """Verdict on an offset of the stars, mag, and advice; the noise may confirm it."""
    fainter = "faint" if value > 0 else "bright"
    check = "check PHOTFLAM and PHOTPLAM, the zero point, or expect that much reddening."
    if abs(value) > most:
        return "wrong", f"Too {fainter} by {abs(value):.2f} mag against the other bands: {check}"
    least, largest = by_noise
    doubted, off = abs(value) > DOUBTED_MAG, least > OFF_MAG or largest < -OFF_MAG
    if doubted and off and least - AGREE_MAG < value < largest + AGREE_MAG:
        return "wrong", f"Too {fainter} by {abs(value):.2f} mag by stars and noise: {check}"
    if doubted or most > TOLD_MAG:
        return "unknown", f"Offsets below {most:.2f} mag cannot be told by these stars."
    return "fine", ""


def left_over(offsets: Array, slack: Array) -> Array:
    """Offsets of bands against the mean of those that agree, shape (band,).

    The band that is farthest from the mean of the others, beside its slack, is taken out, as long
    as one is too far.
    """
    inside = list(range(len(offsets)))

    def against(k: int) -> float:
        return float(offsets[k] - np.mean([offsets[i] for i in inside if i != k]))

    while len(inside) > 2:
        worst = max(inside, key=lambda k: abs(against(k)) / slack[k])
        if abs(against(worst)) <= slack[worst]:
            break
        inside.remove(worst)
    return np.array([against(k) for k in range(len(offsets))])
