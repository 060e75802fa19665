"""The image of one band with its calibration, and what is unusual about it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from praesepe.errors import InputError
from praesepe.images.mosaic import grid
from praesepe.images.reading.frames import frame_notes
from praesepe.images.reading.pixels import Pixels
from praesepe.images.reading.sip import sip_notes
from praesepe.images.reading.source import Source
from praesepe.images.units.headers import Headers
from praesepe.images.units.pixel_units import parse_unit
from praesepe.images.units.zero_points import Calibration, calibrate
from praesepe.stars.curves import band_curve
from praesepe.survey import Band

EXPOSURE_TOLERANCE = 0.3
"""Relative difference in exposure time beyond which a warning is given."""

ZERO_POINT_NOTE_MAG, ZERO_POINT_LIMIT_MAG = 0.1, 2.0
"""Distances between the zero points of image and survey that give a warning, and an error."""

LEAST_VALUES = 500
"""Different values from which two bands do not have the same pixels by chance."""

_CALIBRATION = re.compile(
    r"((DOME|SKY|TWILIGHT|LAMP|MASTER|SUPER)[ _-]?)?(FLAT([ _-]?FIELD)?|BIAS|DARK|ZERO|ARC)"
)
"""What IMAGETYP and its like say of frames that are no images of the sky."""

_DETECTORS = {"WFC", "HRC", "SBC", "UVIS", "IR"}  # of ACS and WFC3
_TELESCOPES = ("HST|HUBBLE", "JWST|WEBB", "ROMAN|WFIRST|^RST")


@dataclass(frozen=True, repr=False)
class BandImage:
    """One band of a mosaic.

    Attributes
    ----------
    label : str
        How messages call the image.
    pixels : Pixels
        Values in the image's own unit, per pixel of the mosaic.
    calibration : Calibration
        How they become e-/s.
    factor : float
        Pixel value times `factor` is e-/s on the survey's photometric scale.
    reprojected : bool
        Whether the pixels were resampled.
    taken : str
        File and extension it was read from; empty for an array.
    wcs : WCS or None
        Of the image as it was given.
    own_scale_arcsec : float or None
        Side of the file's own pixels by its WCS.
    headers : Headers or None
        Keywords of the file.
    """

    label: str
    pixels: Pixels
    calibration: Calibration
    factor: float
    reprojected: bool = False
    taken: str = ""
    wcs: WCS | None = None
    own_scale_arcsec: float | None = None
    headers: Headers | None = None

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        resampled = ", reprojected" if self.reprojected else ""
        return f"<BandImage {self.label}: {width}×{height} px, {self.calibration.unit}{resampled}>"


def calibrated(
    band: Band,
    source: Source,
    headers: Headers,
    *,
    unit: str | None = None,
    zero_point_ab: float | str | None = None,
    telescope: str = "",
) -> tuple[BandImage, list[str]]:
    """Bring an opened image to the photometric scale of a survey's band.

    Parameters
    ----------
    band : Band
    source : Source
        The opened image; a bare array is in e-/s already.
    headers : Headers
        Its keywords.
    unit, zero_point_ab : str, float or str, optional
        Replace ``BUNIT``, and ``PHOTFLAM`` with ``PHOTPLAM``.
    telescope : str
        The survey's.

    Returns
    -------
    image : BandImage
    remarks : list of str
        What a user should know.

    Raises
    ------
    InputError
        Where a keyword is missing, or the zero point makes no sense.
    """
    _refuse_calibrations(headers)
    frame = [] if source.unit is None or unit is not None else _unit_notes(source.unit, headers)
    unit = source.unit if unit is None else str(unit)
    if not source.headers:
        unit = "ELECTRONS/S" if unit is None else unit
        kind = parse_unit(unit, label=source.label).kind
        if zero_point_ab is None and kind in ("electron", "count"):
            zero_point_ab = band.zero_point_ab
    area_sr = scale_arcsec = None
    if source.wcs is not None:
        scale_arcsec = grid.pixel_scale_arcsec(source.wcs, source.pixels.shape)
        area_sr = math.radians(scale_arcsec / 3600) ** 2
    scaling = calibrate(
        headers,
        unit=unit,
        zero_point_ab=zero_point_ab,
        instrument=band.instrument,
        survey_zero_point_ab=band.zero_point_ab,
        pixel_area_sr=area_sr,
        vega_ab=lambda: -band_curve(band).vega_minus_ab,
    )
    factor = scaling.factor(band.zero_point_ab)
    image = BandImage(
        source.label,
        source.pixels,
        scaling,
        factor,
        wcs=source.wcs,
        taken=source.taken,
        own_scale_arcsec=scale_arcsec,
        headers=headers,
    )
    if source.headers and source.wcs is not None:
        header, label = source.headers[0], source.label
        frame += sip_notes(header, source.wcs, label=label, shape=source.pixels.shape)
        frame += frame_notes(header, source.wcs, label)
    return image, [*frame, *scaling.notes, *_remarks(band, headers, scaling, telescope)]


def _refuse_calibrations(headers: Headers) -> None:
    """Stop where pixels are no light of the sky by their header, as in flat fields."""
    for key in ("IMAGETYP", "OBSTYPE", "FRAMETYP"):
        if _CALIBRATION.fullmatch(headers.text(key).upper()):
            raise InputError(
                f"{headers.label}: {key} = {headers.text(key)!r} in its header: no image of the "
                "sky",
                given=headers.text(key),
                remedy=f"give the science image; if this is it, correct {key}",
            )


def _unit_notes(unit: str, headers: Headers) -> list[str]:
    """What to say where the header of a `Quantity` or an `NDData` has another unit than these."""
    of_header = headers.text("BUNIT")
    with suppress(InputError):  # what is no unit is another one
        label = headers.label
        if parse_unit(unit, label=label) == parse_unit(of_header or unit, label=label):
            return []
    return [
        f"{headers.label}: its pixels are in {unit}, but BUNIT = {of_header!r} in its header; "
        f"{unit} is believed"
    ]


def refuse_mixed(headers: Mapping[str, Headers]) -> None:
    """Stop where simulated images are of different runs, as one that was killed leaves them.

    Parameters
    ----------
    headers : mapping
        Keywords of each band's image.

    Raises
    ------
    InputError
    """
    ours = [one for one in headers.values() if one.get("PRAESEPE")]
    for key in ("SEED", "SURVHASH", "SETID"):  # the last tells all; the first, what differs
        told = [(one.label, found[1]) for one in ours if (found := one.get(key))]
        for label, value in told:
            if value != told[0][1]:
                raise InputError(
                    f"{told[0][0]} and {label} are of different simulations ({key} {told[0][1]!r} "
                    f"and {value!r})",
                    given=(told[0][1], value),
                    remedy="simulate the mosaic again: perhaps a run that replaced it was killed",
                )


def refuse_clipped(bands: Mapping[str, BandImage]) -> None:
    """Stop where the noise of an image was cut off at its lowest value.

    Parameters
    ----------
    bands : mapping
        Images, as they were given.

    Raises
    ------
    InputError
    """
    for band in bands.values():
        if share := band.pixels.clipped:
            raise InputError(
                f"{band.label} was clipped: {100 * share:.0f} % of its pixels hold its lowest "
                "value, scattered among others. What was below is lost: the level of the sky, its "
                "noise and faint light come out wrong",
                given=share,
                remedy="give the image as it was before, with its negative values",
            )


def refuse_copies(bands: Mapping[str, BandImage]) -> None:
    """Stop where two bands have the same pixels, in blocks spread over them: noise differs.

    Parameters
    ----------
    bands : mapping
        Images on one grid.

    Raises
    ------
    InputError
    """
    band_of: dict[bytes, str] = {}
    for name, band in bands.items():
        blocks = band.pixels.sample
        other = band_of.setdefault(blocks.tobytes(), name)
        if other != name and len(np.unique(blocks)) > LEAST_VALUES:
            raise InputError(
                f"bands {other!r} and {name!r} have the same pixels "
                f"({bands[other].label} and {band.label})",
                given=(other, name),
                allowed="another image for every band",
                remedy="give each band its own",
            )


def _remarks(band: Band, headers: Headers, calibration: Calibration, telescope: str) -> list[str]:
    """What is unusual about an image; stop where its zero point makes no sense."""
    remarks = []
    zero_point_ab = calibration.zero_point_ab
    points = (
        f"{headers.label}: 1 e-/s is {zero_point_ab:.2f} mag (AB), "
        f"but {band.zero_point_ab:.2f} mag in the survey"
    )
    off_mag = abs(zero_point_ab - band.zero_point_ab)
    if not off_mag <= ZERO_POINT_LIMIT_MAG:
        raise InputError(
            f"{points}; more than {ZERO_POINT_LIMIT_MAG:g} mag apart they cannot both be right.",
            given=zero_point_ab,
            allowed=f"{band.zero_point_ab:g} ± {ZERO_POINT_LIMIT_MAG:g} mag (AB)",
            remedy=f"Check the unit ({calibration.unit}), PHOTFLAM and PHOTPLAM of the image, or "
            "the zero point given for it, and zero_point_ab of the survey's band.",
        )
    if off_mag > ZERO_POINT_NOTE_MAG:
        remarks.append(
            f"{points}; values are scaled, but noise and throughput are not those of the training"
        )
    exposure_s = calibration.exposure_s
    low, high = band.exposure_range_s
    off = 0.0 if exposure_s is None else abs(exposure_s / min(max(exposure_s, low), high) - 1)
    if off > EXPOSURE_TOLERANCE:
        trained = f"{low:g} s" if low == high else f"{low:g} to {high:g} s"
        remarks.append(
            f"{headers.label}: exposure {exposure_s:g} s, but the model was trained for {trained}; "
            "with another noise its posteriors may be too narrow or too wide"
        )
    taken, wanted = other_camera(band, headers, telescope)
    if taken:
        remarks.append(
            f"{headers.label}: taken with {taken}, but the model was trained for {wanted}; filter "
            "curve and PSF differ"
        )
    return remarks


def other_camera(band: Band, headers: Headers, telescope: str) -> tuple[str, str]:
    """Telescope, camera or detector that took an image, and the band's; empty where they agree."""
    mode = [*re.findall(r"[A-Z0-9]+", headers.text("PHOTMODE").upper()), "", ""]
    instrument = headers.text("INSTRUME").upper() or mode[0]
    detector = headers.text("DETECTOR").upper() or mode[1].rstrip("0123456789")
    wanted = band.instrument.upper()
    own_telescope, taken = headers.text("TELESCOP"), ""
    if own_telescope and telescope and not _same_telescope(own_telescope, telescope):
        taken, wanted = own_telescope, telescope
    elif instrument and wanted and instrument not in wanted:
        taken = instrument
    elif detector in _DETECTORS - {wanted.partition("/")[2]} and "/" in wanted:
        taken = f"{instrument}/{detector}".lstrip("/")
    return (taken, wanted) if taken else ("", "")


def _same_telescope(one: str, other: str) -> bool:
    """Whether two names are of one telescope."""
    one, other = one.upper(), other.upper()
    known = any(re.search(name, one) and re.search(name, other) for name in _TELESCOPES)
    return known or one in other or other in one
