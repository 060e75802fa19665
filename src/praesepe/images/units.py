"""From the numbers in an image to electrons per second at a known AB zero point."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from praesepe.errors import InputError

ACCEPTED_UNITS = "ELECTRONS/S, ELECTRONS, COUNTS/S, COUNTS (or DN, ADU), MJy/sr"

_ELECTRON = {"e", "e-", "el", "elec", "electron", "electrons", "photoelectron", "photoelectrons"}
_COUNT = {"c", "count", "counts", "ct", "cts", "dn", "dns", "adu", "adus", "cnts"}
_PER_SECOND = re.compile(r"(/s|/sec|/second|/seconds|[.*]?s-1|[.*]?sec-1)$")

_EXPOSURE_KEYS = ("EXPTIME", "TEXPTIME", "XPOSURE", "EFFEXPTM")
_GAIN_KEYS = ("CCDGAIN", "ATODGAIN", "ADCGAIN", "GAIN", "EGAIN")

# Electrons per DN of WFPC2's chips at the commanded gains 7 and 15 (WFPC2 Instrument Handbook,
# version 10, Table 4.2); the header gives the commanded value only.
_WFPC2_GAIN = {
    (1, 7): 7.12, (2, 7): 7.12, (3, 7): 6.90, (4, 7): 7.10,
    (1, 15): 13.99, (2, 15): 14.50, (3, 15): 13.95, (4, 15): 13.95,
}  # fmt: skip

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
    """

    unit: str
    to_rate: float
    zero_point_ab: float
    exposure_s: float | None = None

    def factor(self, zero_point_ab: float) -> float:
        """Return what turns pixel values into e-/s at the zero point `zero_point_ab`."""
        return self.to_rate * 10 ** (0.4 * (zero_point_ab - self.zero_point_ab))


class Headers:
    """Keywords of an image: its own header first, then the primary one.

    Parameters
    ----------
    headers : iterable of mapping
        Headers in the order in which they are searched.
    label : str
        How error messages call the image.
    """

    def __init__(self, headers: Iterable[Mapping[str, Any]], label: str) -> None:
        self._headers = tuple(headers)
        self.label = label

    def get(self, *keys: str) -> tuple[str, Any] | None:
        """Return the first of `keys` that has a value, with that value."""
        for key in keys:
            for header in self._headers:
                value = header.get(key)
                if value is not None and isinstance(value, (bool, int, float, str)) and value != "":
                    return key, value
        return None

    def text(self, key: str) -> str:
        """Return a keyword as stripped text, empty where missing or a number."""
        found = self.get(key)
        return found[1].strip() if found and isinstance(found[1], str) else ""

    def positive(self, *keys: str, why: str, otherwise: str = "", code: str = "") -> float:
        """Return a keyword that must be a positive number; the error names what is missing."""
        found = self.get(*keys)
        if found is None:
            names = keys[0] + (f" (or {', '.join(keys[1:])})" if keys[1:] else "")
            raise InputError(
                f"{self.label}: keyword {names} is missing from the header; {why}.",
                remedy=f"Add it to the header{otherwise and ', or ' + otherwise}",
                code=code,
            )
        number = _positive(found[1])
        if number is None:
            raise InputError(
                f"{self.label}: {found[0]} = {found[1]!r} in the header is not a positive number; "
                f"{why}"
            )
        return number

    def optional_positive(self, *keys: str) -> float | None:
        """Return a keyword that may be missing or meaningless."""
        found = self.get(*keys)
        return None if found is None else _positive(found[1])


def _positive(value: Any) -> float | None:
    """A value as a positive number; None where it is none."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def parse_unit(
    text: str, *, label: str = "image"
) -> tuple[Literal["electron", "count", "MJy/sr"], bool]:
    """Understand a FITS ``BUNIT`` ("e-/s", "DN / s", "MJy/sr"): the unit, and if per second."""
    compact = text.strip().lower().replace("**", "").replace("^", "")
    compact = re.sub(r"[()\s]", "", re.sub(r"\s+per\s+", "/", re.sub(r"\s+s-1$", "*s-1", compact)))
    surface_brightness = compact in ("mjy/sr", "mjysr-1", "mjy*sr-1", "mjy.sr-1")
    if surface_brightness and not text.strip().startswith("m"):  # millijansky
        return "MJy/sr", True
    if compact == "cps":
        return "count", True
    per_second = bool(_PER_SECOND.search(compact))
    name = _PER_SECOND.sub("", compact)
    if name in _ELECTRON:
        return "electron", per_second
    if name in _COUNT:
        return "count", per_second
    raise InputError(f"{label}: the unit BUNIT = {text!r} is not one of {ACCEPTED_UNITS}")


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
    zero_point_ab: float | None = None,
    instrument: str = "",
    survey_zero_point_ab: float,
    pixel_area_sr: float | None = None,
) -> Calibration:
    """Read from the headers how pixel values become e-/s, and the zero point that goes with it.

    Parameters
    ----------
    headers : Headers
        Science header, then primary header.
    unit : str, optional
        Unit of the pixels; replaces ``BUNIT``.
    zero_point_ab : float, optional
        AB magnitude of 1 e-/s; replaces ``PHOTFLAM`` and ``PHOTPLAM``.
    instrument : str
        The survey's instrument, used where the header has no ``INSTRUME``.
    survey_zero_point_ab : float
        AB magnitude of 1 e-/s in the survey: the scale on which MJy/sr are put.
    pixel_area_sr : float, optional
        Solid angle of a pixel by the WCS, used where the header has no ``PIXAR_SR``.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        Naming the keyword that is missing or has no sensible value.

    Notes
    -----
    ``PHOTFLAM`` is the flux density of one *electron* per second for ACS and WFC3, in calibrated
    and drizzled files alike. For WFPC2, NICMOS and STIS (and instruments unknown to us) it goes
    with the unit of the pixels: one *count* per second in an image in counts. There the gain
    cancels in the flux and only enters `zero_point_ab`.
    """
    if zero_point_ab is not None and not math.isfinite(zero_point_ab):
        raise InputError(
            f"{headers.label}: the zero point given, {zero_point_ab}, is not a magnitude",
            given=zero_point_ab,
            remedy="give the AB magnitude of 1 e-/s, or leave it to the header",
        )
    found = headers.get("BUNIT")
    text = unit or (str(found[1]) if found else "")
    if not text:
        raise InputError(
            f"{headers.label}: keyword BUNIT is missing from the header; the unit of the pixels is "
            f"unknown; accepted are {ACCEPTED_UNITS}",
            allowed=ACCEPTED_UNITS,
            remedy="add it to the header, or give the unit",
            code="units={'BAND': 'UNIT'}",
        )
    quantity, per_second = parse_unit(text, label=headers.label)
    exposure_s = headers.optional_positive(*_EXPOSURE_KEYS)
    if quantity == "MJy/sr":
        if zero_point_ab is not None:
            raise InputError(
                f"{headers.label}: its pixels are in MJy/sr, which need no zero point; the one "
                f"given, {zero_point_ab:g}, would be ignored",
                given=zero_point_ab,
                remedy="leave it out, or say which unit the pixels have",
                code="units={'BAND': 'electron/s'}",
            )
        area = headers.optional_positive("PIXAR_SR") or pixel_area_sr
        if area is None:
            area = headers.positive("PIXAR_SR", why="MJy/sr needs the solid angle of a pixel")
        per_pixel = 10 ** (0.4 * (survey_zero_point_ab - jansky_to_ab(1e6 * area)))
        return Calibration(text, per_pixel, survey_zero_point_ab, exposure_s)

    gain = _gain(headers) if quantity == "count" else None
    to_rate = gain or 1.0
    if not per_second:
        exposure_s = headers.positive(
            *_EXPOSURE_KEYS, why=f"an image in {text} needs the exposure time"
        )
        to_rate /= exposure_s
    if zero_point_ab is None:
        zero_point_ab = _zero_point(headers, gain, instrument)
    return Calibration(text, to_rate, float(zero_point_ab), exposure_s)


def jansky_to_ab(flux_jy: float) -> float:
    """AB magnitude of a flux density in Jy (zero point 3631 Jy; Oke & Gunn 1983)."""
    return -2.5 * math.log10(flux_jy / 3631)


def _zero_point(headers: Headers, gain: float | None, instrument: str) -> float:
    """AB magnitude of 1 e-/s from PHOTFLAM and PHOTPLAM."""
    advice, code = "give the AB magnitude of 1 e-/s", "zero_points={'BAND': 26.06}"
    why = "the zero point of the image is unknown without it"
    photflam = headers.positive("PHOTFLAM", why=why, otherwise=advice, code=code)
    photplam = headers.positive("PHOTPLAM", why=why, otherwise=advice, code=code)
    zero_point_ab = hst_zero_point(photflam, photplam)
    name = (headers.text("INSTRUME") or instrument).upper()
    if gain is not None and not name.startswith(_PHOTFLAM_PER_ELECTRON):
        zero_point_ab += 2.5 * math.log10(gain)
    return zero_point_ab


def _gain(headers: Headers) -> float:
    """Electrons per count; for WFPC2 the measured value instead of the commanded one."""
    gain = headers.positive(
        *_GAIN_KEYS, why="an image in counts needs the gain, electrons per count"
    )
    if headers.text("INSTRUME").upper() == "WFPC2":
        chip = headers.get("DETECTOR")
        if chip and isinstance(chip[1], (int, float)):
            return _WFPC2_GAIN.get((int(chip[1]), round(gain)), gain)
    return gain
