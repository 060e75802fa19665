"""From the numbers in an image to electrons per second at a known AB zero point."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from praesepe.errors import InputError
from praesepe.images.units.headers import Headers
from praesepe.images.units.magnitudes import UNIT_TOLERANCE_MAG, Told, magnitude_of_one
from praesepe.images.units.pixel_units import ACCEPTED_UNITS, PixelUnit, parse_unit

_EXPOSURE_KEYS = ("EXPTIME", "TEXPTIME", "XPOSURE", "EFFEXPTM")
_WOULD_DO = "MAGZERO, the AB magnitude of a pixel value of 1, would do"
_GAIN_KEYS = ("CCDGAIN", "ATODGAIN", "ADCGAIN", "GAIN", "EGAIN")

# Electrons per DN of WFPC2's chips at the commanded gains 7 and 15 (WFPC2 Instrument Handbook,
# version 10, Table 4.2); the header gives the commanded value only.
_WFPC2_GAIN = {
    (1, 7): 7.12, (2, 7): 7.12, (3, 7): 6.90, (4, 7): 7.10,
    (1, 15): 13.99, (2, 15): 14.50, (3, 15): 13.95, (4, 15): 13.95,
}  # fmt: skip

AREA_TOLERANCE = 0.01
"""Relative difference between ``PIXAR_SR`` and a pixel's solid angle by the WCS that is told."""

GAIN_LIMIT = 50.0
"""Electrons per count from which it is told."""

PHOTFNU_TOLERANCE_MAG = 0.2
"""Difference between PHOTFLAM and PHOTFNU, which may be of another spectrum."""

# PHOTFLAM refers to one electron per second on these, whatever the unit of the pixels.
_PHOTFLAM_PER_ELECTRON = ("ACS", "WFC3")


@dataclass(frozen=True)
class Calibration:
    """How the values of one image become electrons per second.

    Attributes
    ----------
    unit : str
        Unit of the pixel values as the header writes it.
    to_rate : float
        Pixel value times `to_rate` is the rate in e-/s.
    zero_point_ab : float
        AB magnitude of a source of 1 e-/s in this image.
    exposure_s : float or None
        Exposure time, where known.
    notes : tuple of str
        What a user should know.
    """

    unit: str
    to_rate: float
    zero_point_ab: float
    exposure_s: float | None = None
    notes: tuple[str, ...] = ()

    def factor(self, zero_point_ab: float) -> float:
        """Return what turns pixel values into e-/s at the zero point `zero_point_ab`."""
        return self.to_rate * 10 ** (0.4 * (zero_point_ab - self.zero_point_ab))


def hst_zero_point(photflam: float, photplam: float) -> float:
    """AB magnitude of a source that gives one unit per second.

    −2.5 log10 PHOTFLAM − 21.10 − 5 log10 PHOTPLAM + 18.692 (ACS Data Handbook, section 5.1).

    Parameters
    ----------
    photflam : float
        Inverse sensitivity, erg/s/cm²/Å per unit per second.
    photplam : float
        Pivot wavelength, Å.

    Returns
    -------
    float
        AB magnitude.
    """
    return -2.5 * math.log10(photflam) - 21.10 - 5 * math.log10(photplam) + 18.692


def calibrate(
    headers: Headers,
    *,
    unit: str | None = None,
    zero_point_ab: float | str | None = None,
    instrument: str = "",
    survey_zero_point_ab: float,
    pixel_area_sr: float | None = None,
    vega_ab: Callable[[], float] | None = None,
) -> Calibration:
    """Read from the headers how pixel values become e-/s, and the zero point that goes with it.

    Parameters
    ----------
    headers : Headers
        Science header, then primary header.
    unit : str, optional
        Unit of the pixels; replaces ``BUNIT``.
    zero_point_ab : float or str, optional
        AB magnitude of 1 e-/s, or ``"25.3 Vega"``; replaces what the header has.
    instrument : str
        The survey's instrument, used where the header has no ``INSTRUME``.
    survey_zero_point_ab : float
        AB magnitude of 1 e-/s in the survey: the scale on which flux densities are put.
    pixel_area_sr : float, optional
        Solid angle of a pixel by the WCS; ``PIXAR_SR`` stands in for it.
    vega_ab : callable, optional
        Returns Vega's AB magnitude in the band.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        Naming the keyword that is missing or has no sensible value, or the values that disagree.

    Notes
    -----
    What is read from where is told in ``docs/images.md``. ``PHOTFLAM`` is the flux density of one
    *electron* per second for ACS and WFC3, in calibrated and drizzled files alike. For WFPC2,
    NICMOS and STIS (and instruments unknown to us) it goes with the unit of the pixels: one *count*
    per second in an image in counts. There the gain cancels in the flux and only enters
    `zero_point_ab`.
    """
    if soft := headers.get("BSOFTEN"):
        raise InputError(
            f"{headers.label}: its pixels are on a scale of asinh magnitudes (BSOFTEN = {soft[1]} "
            "in its header, as in stacks of Pan-STARRS)",
            given=soft[1],
            remedy="give BOFFSET + 2 BSOFTEN sinh(value ln(10) / 2.5), without these keywords",
        )
    if zero_point_ab is not None:
        zero_point_ab = given_zero_point(zero_point_ab, headers.label, vega_ab)
    found = headers.get("BUNIT")
    text = (str(found[1]) if found else "") if unit is None else unit
    pixel = parse_unit(text, label=headers.label) if text or unit is not None else None
    flux = pixel is not None and pixel.kind not in ("electron", "count")
    settled = zero_point_ab is not None or (flux and unit is not None)
    told = None if settled else magnitude_of_one(headers, vega_ab)
    if pixel is None:
        return _without_unit(headers, told, survey_zero_point_ab)
    if unit is None:
        _check_drizzled(pixel, text, headers)
    if flux:
        if zero_point_ab is not None:
            raise InputError(
                f"{headers.label}: its pixels are in {text}, which need no zero point; the one "
                f"given, {zero_point_ab:g}, would be ignored",
                given=zero_point_ab,
                remedy="leave it out, or say which unit the pixels have",
                code="units={'BAND': 'electron/s'}",
            )
        flux_jy, notes = _jansky(pixel, headers, pixel_area_sr)
        of_one = jansky_to_ab(flux_jy)
        if unit is None:
            if pixel.kind != "surface brightness":
                _check_flux(headers, text, of_one, told)
            notes += _other_zero_points(headers, text, of_one, told)
        return _of_one(headers, text, of_one, survey_zero_point_ab, notes)
    return _electrons(
        pixel, text, headers, zero_point_ab, told,
        instrument=instrument, survey_zero_point_ab=survey_zero_point_ab, area_sr=pixel_area_sr,
        vega_ab=vega_ab,
    )  # fmt: skip


def _of_one(
    headers: Headers,
    unit: str,
    magnitude: float,
    survey_zero_point_ab: float,
    notes: tuple[str, ...],
) -> Calibration:
    """Calibration of an image whose unit is an AB magnitude, on the survey's scale."""
    factor = 10 ** (0.4 * (survey_zero_point_ab - magnitude))
    exposure_s = headers.optional_positive(*_EXPOSURE_KEYS)
    return Calibration(unit, factor, survey_zero_point_ab, exposure_s, notes)


def _without_unit(headers: Headers, told: Told | None, survey_zero_point_ab: float) -> Calibration:
    """Calibration of an image whose header tells the magnitude of one, and no unit."""
    if told is None:
        raise InputError(
            f"{headers.label}: keyword BUNIT is missing from the header; the unit of the "
            f"pixels is unknown; accepted are {ACCEPTED_UNITS}",
            given=None,
            allowed=ACCEPTED_UNITS,
            remedy="add it to the header, or give the unit",
            code="units={'BAND': 'UNIT'}",
        )
    by = ("PHOTFLAM", "PHOTPLAM") if headers.get("PHOTFLAM") else ("PHOTFNU",)
    if all(map(headers.optional_positive, by)):
        gain = headers.optional_positive(*_GAIN_KEYS) or 1.0
        exposure_s = headers.optional_positive(*_EXPOSURE_KEYS) or 1.0
        rates = (1.0, gain, 1 / exposure_s, gain / exposure_s)
        _check_told(headers, told, _zero_point(headers, None, ""), rates, None)  # taken as it is
    name = f"{told.key} {told.magnitude:g}"
    return _of_one(headers, name, told.magnitude, survey_zero_point_ab, told.notes)


def _check_flux(headers: Headers, text: str, of_one: float, told: Told | None) -> None:
    """Stop where the header tells another magnitude of one than its flux density is."""
    if told and abs(told.magnitude - of_one) > UNIT_TOLERANCE_MAG:
        raise InputError(
            f"{headers.label}: 1 {text} is {of_one:.2f} mag (AB), but {told.key} = "
            f"{told.magnitude:g} in the header; both cannot be right",
            given=(text, told.magnitude),
            remedy="mend the header, or give the unit to go by it",
            code=f"units={{'BAND': {text!r}}}",
        )


def _electrons(
    pixel: PixelUnit,
    text: str,
    headers: Headers,
    zero_point_ab: float | None,
    told: Told | None,
    *,
    instrument: str,
    survey_zero_point_ab: float,
    area_sr: float | None,
    vega_ab: Callable[[], float] | None,
) -> Calibration:
    """Calibration of an image in electrons or counts."""
    flam = zero_point_ab is not None or headers.get("PHOTFLAM", "PHOTFNU") is not None
    exposure_s = headers.optional_positive(*_EXPOSURE_KEYS)
    if not flam:  # flux from the value itself: gain and exposure time are not needed
        photmjsr = headers.optional_positive("PHOTMJSR") if pixel.per_second else None
        if pixel.kind == "count" and photmjsr is not None:
            per_count = PixelUnit("surface brightness", True, 1e6 * photmjsr * pixel.scale)
            flux_jy, notes = _jansky(per_count, headers, area_sr)
            return _of_one(headers, text, jansky_to_ab(flux_jy), survey_zero_point_ab, notes)
        if told is not None:
            gain = headers.optional_positive(*_GAIN_KEYS) if pixel.kind == "count" else 1.0
            if pixel.per_second or (exposure_s and gain):
                to_rate = (gain or 1.0) / (1.0 if pixel.per_second else exposure_s or 1)
                zero_point = told.magnitude + 2.5 * math.log10(to_rate)
                return Calibration(text, to_rate, zero_point, exposure_s, told.notes)
            return _of_one(headers, text, told.magnitude, survey_zero_point_ab, told.notes)
    gain = _gain(headers) if pixel.kind == "count" else None
    to_rate = (gain or 1.0) * pixel.scale
    if not pixel.per_second:
        headers.one_of(*_EXPOSURE_KEYS, within=0.01)
        exposure_s = headers.positive(
            *_EXPOSURE_KEYS, why=f"an image in {text} needs the exposure time"
        )
        to_rate /= exposure_s
    if zero_point_ab is None:
        zero_point_ab = _zero_point(headers, gain, instrument)
        if told is not None:
            _check_told(headers, told, zero_point_ab, (to_rate, gain or 1.0, 1.0), vega_ab)
    notes = ()
    if gain is not None and gain > GAIN_LIMIT:
        notes = (
            f"{headers.label}: {gain:g} electrons per count by its header, more than any detector "
            "has; where that is SWarp's GAIN of the whole exposure, correct it",
        )
    return Calibration(text, to_rate, float(zero_point_ab), exposure_s, notes)


def _check_drizzled(pixel: PixelUnit, text: str, headers: Headers) -> None:
    """Stop where AstroDrizzle says another unit than BUNIT: its cps are a rate, counts are not."""
    wrote = headers.text("D001OUUN")
    if wrote.lower() not in ("cps", "counts") or pixel.kind not in ("electron", "count"):
        return
    if pixel.per_second != (wrote.lower() == "cps"):
        raise InputError(
            f"{headers.label}: BUNIT = {text!r}, but AstroDrizzle wrote D001OUUN = {wrote!r}; both "
            "cannot be right",
            given=(text, wrote),
            remedy="say which unit the pixels have",
            code="units={'BAND': 'electron/s'}",
        )


def _check_told(
    headers: Headers,
    told: Told,
    zero_point_ab: float,
    rates: tuple[float, ...],
    vega_ab: Callable[[], float] | None,
) -> None:
    """Stop where a magnitude in the header is not that of PHOTFLAM, of no unit and no system."""
    vegas = (0.0, vega_ab()) if vega_ab is not None and not told.system else (0.0,)
    fits = [
        zero_point_ab - 2.5 * math.log10(rate) - vega
        for rate in rates
        for vega in vegas  # of no system: it may be of either
    ]
    if min(abs(told.magnitude - one) for one in fits) > UNIT_TOLERANCE_MAG:
        raise InputError(
            f"{headers.label}: 1 e-/s is {zero_point_ab:.2f} mag (AB) by PHOTFLAM, but "
            f"{told.key} = {told.magnitude:g} in the header; both cannot be right",
            given=(zero_point_ab, told.magnitude),
            remedy="mend the header, or give the AB magnitude of 1 e-/s",
            code="zero_points={'BAND': 26.06}",
        )


def _other_zero_points(
    headers: Headers, text: str, of_one: float, told: Told | None
) -> tuple[str, ...]:
    """What to say where a flux density needs no zero point, but the header has another one."""
    photflam, photplam = (headers.optional_positive(key) for key in ("PHOTFLAM", "PHOTPLAM"))
    others = [(told.key, told.magnitude)] if told else []
    if photflam and photplam:
        others.append(("PHOTFLAM", hst_zero_point(photflam, photplam)))
    return tuple(
        f"{headers.label}: 1 {text} is {of_one:.2f} mag (AB), but by {key} 1 unit of the image is "
        f"{magnitude:.2f} mag; the unit is believed"
        for key, magnitude in others
        if abs(magnitude - of_one) > UNIT_TOLERANCE_MAG
    )


def _jansky(
    pixel: PixelUnit, headers: Headers, area_sr: float | None
) -> tuple[float, tuple[str, ...]]:
    """Flux density in Jy of a pixel of value 1, and what to say about it."""
    if pixel.kind == "flux":
        return pixel.scale, ()
    if pixel.kind == "flux per wavelength":
        pivot = headers.positive(
            "PHOTPLAM", why="a flux density per wavelength needs the pivot wavelength"
        )
        return pixel.scale * pivot**2 / 2.99792458e18 * 1e23, ()
    told = headers.optional_positive("PIXAR_SR")
    if told is None and (arcsec2 := headers.optional_positive("PIXAR_A2")):
        told = arcsec2 * math.radians(1 / 3600) ** 2
    if area_sr is None:
        area = told or headers.positive(
            "PIXAR_SR", why="a surface brightness needs the solid angle of a pixel"
        )
        return pixel.scale * area, ()
    notes: tuple[str, ...] = ()
    if told is not None and abs(told / area_sr - 1) > AREA_TOLERANCE:
        notes = (
            f"{headers.label}: PIXAR_SR says {told:.4g} sr a pixel, but by its WCS a pixel has "
            f"{area_sr:.4g} sr; that of the WCS is used",
        )
    return pixel.scale * area_sr, notes


def given_zero_point(
    value: float | str, label: str, vega_ab: Callable[[], float] | None = None
) -> float:
    """AB magnitude from a number, ``"26.06"``, ``"26.06 AB"`` or ``"25.3 Vega"``.

    Parameters
    ----------
    value : float or str
        What the user gives.
    label : str
        How messages call the image.
    vega_ab : callable, optional
        Returns Vega's AB magnitude in the band.

    Returns
    -------
    float

    Raises
    ------
    InputError
        Where it is no magnitude.
    """
    text = re.sub(r"mag\((AB|Vega)\)", r"\1", str(value).strip(), flags=re.IGNORECASE)
    number, _, system = text.partition(" ")
    try:
        magnitude = float(number)
    except ValueError:
        magnitude = math.nan
    system = system.strip().upper()
    if not math.isfinite(magnitude) or system not in ("", "AB", "VEGA"):
        raise InputError(
            f"{label}: the zero point given, {value}, is not a magnitude",
            given=value,
            allowed=("26.06", "26.06 AB", "25.3 Vega"),
            remedy="give the AB magnitude of 1 e-/s, or leave it to the header",
        )
    return magnitude + (vega_ab() if system == "VEGA" and vega_ab is not None else 0.0)


def jansky_to_ab(flux_jy: float) -> float:
    """AB magnitude of a flux density in Jy (zero point 3631 Jy; Oke & Gunn 1983)."""
    return -2.5 * math.log10(flux_jy / 3631)


def _zero_point(headers: Headers, gain: float | None, instrument: str) -> float:
    """AB magnitude of 1 e-/s from PHOTFLAM and PHOTPLAM."""
    fnu = headers.optional_positive("PHOTFNU")
    if fnu is not None and headers.get("PHOTFLAM") is None:
        zero_point_ab = jansky_to_ab(fnu)
    else:
        zero_point_ab = _from_photflam(headers)
        if fnu is not None and abs(jansky_to_ab(fnu) - zero_point_ab) > PHOTFNU_TOLERANCE_MAG:
            raise InputError(
                f"{headers.label}: the zero point is {zero_point_ab:.2f} mag (AB) by PHOTFLAM, but "
                f"{jansky_to_ab(fnu):.2f} mag by PHOTFNU; both cannot be right",
                given=(zero_point_ab, jansky_to_ab(fnu)),
                remedy="mend the header, or give the AB magnitude of 1 e-/s",
                code="zero_points={'BAND': 26.06}",
            )
    name = (headers.text("INSTRUME") or instrument).upper()
    if gain is not None and not name.startswith(_PHOTFLAM_PER_ELECTRON):
        zero_point_ab += 2.5 * math.log10(gain)
    return zero_point_ab


def _from_photflam(headers: Headers) -> float:
    """AB zero point from PHOTFLAM and PHOTPLAM."""
    advice, code = "give the AB magnitude of 1 e-/s", "zero_points={'BAND': 26.06}"
    why = f"the zero point of the image is unknown without it; {_WOULD_DO}"
    headers.one_of("PHOTFLAM", within=0.05)  # the chips of one camera differ by 2 %
    photflam = headers.positive("PHOTFLAM", why=why, otherwise=advice, code=code)
    photplam = headers.positive("PHOTPLAM", why=why, otherwise=advice, code=code)
    return hst_zero_point(photflam, photplam)


def _gain(headers: Headers) -> float:
    """Electrons per count; for WFPC2 the measured value instead of the commanded one."""
    headers.one_of(*_GAIN_KEYS, within=0.2)  # commanded and measured ones differ by less
    gain = headers.positive(
        *_GAIN_KEYS, why=f"an image in counts needs the gain, electrons per count; {_WOULD_DO}"
    )
    if headers.text("INSTRUME").upper() == "WFPC2":
        chip = headers.get("DETECTOR")
        if chip and isinstance(chip[1], (int, float)):
            return _WFPC2_GAIN.get((int(chip[1]), round(gain)), gain)
    return gain
