"""The celestial WCS of an image, from a header or as it was given."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import numpy as np
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales, wcs_to_celestial_frame

from praesepe.errors import InputError, listed
from praesepe.images.reading.sip import without_leftover_sip, without_sip

MATRIX_TOLERANCE = 1e-5
"""Relative difference between CD and PC with CDELT: 0.05 pixels, 5000 from the center."""

SCALE_TOLERANCE = 1e-2
"""Relative difference between the pixels of CD and CDELT, of which the standard ignores one."""

OF_FK5 = 1984.0
"""From this equinox on positions are of FK5, before of FK4, as the FITS standard has it."""

ANGLE_TOLERANCE_DEG = 0.1
"""Difference between CROTA2 and the matrix: 0.9 pixels, 500 from the center."""

_NUMBERS = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC)\d_\d|LONPOLE|LATPOLE")
_DISTORTIONS = re.compile(r"PV\d_\d|DP\d|CPDIS|D2IM|[AB]P?_\d_\d")
_AXES = ({"RA", "DEC"}, {"GLON", "GLAT"})
_CTYPE = re.compile(r"(ra|dec|[ghse]l(on|at))-+[a-z]{3}(-sip)?", re.IGNORECASE)
_YEAR = re.compile(r"\s*[BJ]?(\d{4}(?:\.\d*)?)\s*", re.IGNORECASE)


def read_wcs(header: Any, label: str, hdus: Any = None) -> WCS | None:
    """Understand the WCS of a header; None where it has no celestial one."""
    header = _tidy(header, label)
    _check_matrices(header, label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            wcs = WCS(without_leftover_sip(header), fobj=hdus)
        except Exception as error:  # wcslib and astropy raise many kinds
            raise InputError(
                f"{label}: the WCS in its header cannot be understood: {_said(header)}",
                given=label,
                remedy="mend the WCS keywords of the header",
            ) from error
        return _celestial(wcs, label)


def given_wcs(
    wcs: WCS | None, label: str, shape: tuple[int, int]
) -> tuple[WCS | None, tuple[str, ...]]:
    """A WCS that was given as such, without leftover SIP coefficients, and what to say of them."""
    celestial = _celestial(wcs, label)
    check_shape(None if celestial is None else celestial.array_shape, label, shape)
    return (None, ()) if celestial is None else without_sip(celestial, label, shape)


def check_shape(told: tuple[Any, ...] | None, label: str, shape: tuple[int, int]) -> None:
    """Refuse an array that was cut out of its image, with the WCS of the whole."""
    if told and None not in told and tuple(told[-2:]) != shape:
        raise InputError(
            f"{label}: the array has {shape[1]} × {shape[0]} pixels, but its WCS or header is of "
            f"an image of {told[-1]} × {told[-2]}",
            given=shape,
            allowed=tuple(told[-2:]),
            remedy="cut the WCS with the array (astropy.nddata.Cutout2D does), or correct NAXIS1 "
            "and NAXIS2 (array_shape of a WCS)",
        )


def _tidy(header: Any, label: str) -> Any:
    """Numbers and years that are text become numbers, names upper case; or it is refused."""
    mended: dict[str, Any] = {}
    beside = "RADESYS" in header and "RADECSYS" in header  # of which wcslib takes the old one
    for key in list(header):
        value = header[key]
        if key.startswith("CTYPE") and not isinstance(value, str):
            raise InputError(
                f"{label}: the WCS in its header cannot be understood: {key} = {value!r} is not a "
                "text",
                given=value,
                remedy="mend it, as in 'RA---TAN'",
            )
        if not isinstance(value, str):
            continue
        of_names = key in ("RADESYS", "RADECSYS") or _CTYPE.fullmatch(value.strip())
        if of_names and value != value.strip().upper():
            mended[key] = value.strip().upper()
        elif key in ("EQUINOX", "EPOCH") and (year := _YEAR.fullmatch(value)):
            mended[key] = float(year[1])  # a text would be passed over
        elif _NUMBERS.fullmatch(key):  # wcslib would take its default
            try:
                mended[key] = float(value)
                if not math.isfinite(mended[key]):
                    raise ValueError(value)
            except ValueError:
                raise InputError(
                    f"{label}: {key} = {value!r} in its header is not a number",
                    given=value,
                    remedy="mend it",
                ) from None
    if mended or beside:
        header = header.copy()
        header.update(mended)
    if beside:
        del header["RADECSYS"]
    return header


def _check_matrices(header: Any, label: str) -> None:
    """Refuse a CD matrix beside PC and CDELT that say otherwise: wcslib would take one of them."""
    keys = [(f"{i}_{j}", i, j) for i in (1, 2) for j in (1, 2)]
    if not all(any(name + key in header for key, *_ in keys) for name in ("PC", "CD")):
        return
    told = {}
    for key, i, j in keys:
        try:
            by_pc = float(header.get(f"CDELT{i}", 1)) * float(header.get(f"PC{key}", i == j))
            told[key] = (float(header.get(f"CD{key}", 0)), by_pc)
        except (TypeError, ValueError):  # wcslib says what is wrong
            return
    key, (cd, pc) = max(told.items(), key=lambda one: abs(one[1][0] - one[1][1]))
    if abs(cd - pc) > MATRIX_TOLERANCE * max(abs(cd) for cd, _ in told.values()):
        raise InputError(
            f"{label}: CD{key} = {cd:g} in its header, but by PC and CDELT it is {pc:g}; both "
            "cannot be right",
            given=(cd, pc),
            remedy="take CD, or PC and CDELT, out of the header",
        )


def frame_notes(header: Any, wcs: WCS, label: str) -> list[str]:
    """What to say of keywords that are ignored and say otherwise than those that are taken."""
    notes = _cdelt_notes(header, wcs, label)
    missing = [key for key in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2") if key not in header]
    if missing and "CTYPE1" in header:
        notes.append(f"{label}: its header lacks {listed(missing)}, taken as 0")
    if wcs.wcs.radesys.startswith("FK") and wcs.wcs.equinox not in (1950, 2000):
        notes.append(
            f"{label}: the equinox of its WCS is {wcs.wcs.equinox:g} by its header; where that is "
            "when it was observed, set EQUINOX to 2000"
        )
    turned, matrix = header.get("CROTA2"), wcs.pixel_scale_matrix
    if (wcs.wcs.has_cd() or wcs.wcs.has_pc()) and isinstance(turned, int | float) and turned:
        angle = float(np.degrees(np.arctan2(-matrix[0, 1], matrix[1, 1])))
        if abs((turned - angle + 90) % 180 - 90) > ANGLE_TOLERANCE_DEG:
            notes.append(
                f"{label}: CROTA2 = {turned:g} in its header, but by its matrix CD or PC, which is "
                f"taken, it is turned by {round(angle, 2) + 0:g} degrees"
            )
    for key in ("RADESYS", "RADECSYS"):
        told, taken = str(header.get(key, "")).strip().upper(), wcs.wcs.radesys
        if told in ("", taken) or not taken:
            continue
        said = f"{label}: the frame of its WCS is {taken}, but {key} = {told!r} in its header"
        if told.startswith("FK4") != taken.startswith("FK4"):  # arcminutes apart
            raise InputError(
                f"{said}; both cannot be right",
                given=(taken, told),
                remedy="take the wrong one out",
            )
        notes.append(f"{said}; {taken} is taken")
    equinox = header.get("EQUINOX", 2000)
    if wcs.wcs.radesys == "ICRS" and isinstance(equinox, int | float) and equinox < OF_FK5:
        notes.append(
            f"{label}: RADESYS = 'ICRS', which is taken, but EQUINOX = {equinox:g} in its header; "
            "where that is right, set RADESYS to FK4"
        )
    return notes


def _cdelt_notes(header: Any, wcs: WCS, label: str) -> list[str]:
    """What to say where CDELT stands beside a CD matrix of other pixels."""
    told = [header.get(f"CDELT{axis}", 1.0) for axis in (1, 2)]  # 1, where nobody has set it
    if not wcs.wcs.has_cd() or not all(isinstance(one, int | float) for one in told):
        return []
    scales = proj_plane_pixel_scales(wcs)
    if all(
        abs(side) == 1 or abs(abs(side) / scale - 1) < SCALE_TOLERANCE
        for side, scale in zip(told, scales, strict=True)
    ):
        return []
    by_cd, by_cdelt = (
        " × ".join(f"{3600 * abs(side):.4g}" for side in sides) for sides in (scales, told)
    )
    return [
        f"{label}: pixels are {by_cd} arcsec by the CD matrix of its header, which is taken, and "
        f"{by_cdelt} by CDELT; where CDELT is right, take CD out"
    ]


def _said(header: Any) -> str:
    """What is odd about a header that the library of WCS cannot read, in one line."""
    axes = listed(repr(header.get(f"CTYPE{axis}", "")) for axis in (1, 2))
    if re.search("TNX|ZPX", axes):
        return f"the projection of CTYPE ({axes}) is not of the FITS standard, it is IRAF's"
    odd = [key for key in header if _DISTORTIONS.match(key)]
    if odd:
        return f"{odd[0]} and its like announce distortions that cannot be read with CTYPE ({axes})"
    keys = r"(CD|PC)\d_\d|(CDELT|CRVAL|CRPIX|CUNIT)\d|[AB]_ORDER"
    numbers = ", ".join(f"{key} = {header[key]}" for key in header if re.fullmatch(keys, key))
    return f"CTYPE ({axes}), {numbers or 'no CD, no CRVAL'} make none"


def _celestial(wcs: WCS | None, label: str) -> WCS | None:
    """The celestial part of a WCS, in a frame that astropy knows; None where it has none."""
    if wcs is None or not wcs.has_celestial:
        return None
    celestial = wcs.celestial
    axes = tuple(celestial.wcs.ctype)
    if {axis.split("-")[0] for axis in axes} not in _AXES:
        raise InputError(
            f"{label}: the axes of its WCS are {listed(map(repr, axes))}",
            given=axes,
            allowed=("RA, DEC", "GLON, GLAT"),
            remedy="reproject the image to right ascension and declination",
        )
    if not all("-" in axis for axis in axes):
        raise InputError(
            f"{label}: CTYPE ({listed(map(repr, axes))}) has no projection",
            given=axes,
            allowed=("RA---TAN", "DEC--TAN"),
            remedy="write it, as in 'RA---TAN'",
        )
    try:
        wcs_to_celestial_frame(celestial)
    except ValueError as error:
        raise InputError(
            f"{label}: the frame of its WCS is not known: RADESYS = {celestial.wcs.radesys!r}, "
            f"axes {listed(celestial.wcs.ctype)}",
            given=celestial.wcs.radesys,
            allowed=("ICRS", "FK5", "FK4", "FK4-NO-E"),
            remedy="set RADESYS in the header to ICRS, FK5 or FK4, whichever is right",
        ) from error
    if celestial.wcs.ctype[0].endswith("TAN") and any(axis == 2 for axis, *_ in wcs.wcs.get_pv()):
        raise InputError(
            f"{label}: PV2_1 and its like in its header mean nothing beside {wcs.wcs.ctype[0]!r}",
            given=wcs.wcs.ctype[0],
            allowed="RA---TPV, DEC--TPV",
            remedy="set CTYPE to TPV where they are SCAMP's, or take them out",
        )
    radesys, equinox = celestial.wcs.radesys, celestial.wcs.equinox
    if radesys.startswith("FK") and radesys.startswith("FK4") != (equinox < OF_FK5):
        raise InputError(
            f"{label}: RADESYS = {radesys!r}, but EQUINOX = {equinox:g} in its header; both cannot "
            "be right: FK4 goes with 1950, FK5 with 2000",
            given=(radesys, equinox),
            remedy="mend the one that is wrong",
        )
    scales = proj_plane_pixel_scales(celestial)
    if not (np.all(scales > 0) and np.all(np.isfinite(scales))):
        raise InputError(
            f"{label}: by its WCS a pixel is {listed(f'{side:g}' for side in scales)} degrees wide",
            given=tuple(map(float, scales)),
            remedy="mend CD, or PC and CDELT, in its header",
        )
    if not np.all(np.abs(celestial.wcs.crval) <= 720):
        raise InputError(
            f"{label}: CRVAL = {listed(f'{value:g}' for value in celestial.wcs.crval)} is no "
            "position on the sky",
            given=tuple(map(float, celestial.wcs.crval)),
            allowed="degrees",
            remedy="mend CRVAL in its header",
        )
    return celestial
