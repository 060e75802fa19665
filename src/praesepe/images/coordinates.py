"""Sky and pixel coordinates of a table's rows, however its columns write them."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError, PraesepeWarning

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

FloatArray = NDArray[np.float64]

RA_NAMES = (
    "ra", "ra_deg", "radeg", "raj2000", "_raj2000", "ra_icrs", "ra_j2000", "ra2000", "_ra",
    "_ra_icrs", "s_ra", "alpha_j2000", "alpha", "right_ascension", "ra_hours", "rah", "ra_hms",
)  # fmt: skip
DEC_NAMES = (
    "dec", "dec_deg", "decdeg", "dej2000", "decj2000", "_dej2000", "de_icrs", "dec_icrs",
    "dec_j2000", "dec2000", "_dec", "_de", "_de_icrs", "s_dec", "delta_j2000", "delta",
    "declination", "dedeg", "de", "dec_dms",
)  # fmt: skip
X_NAMES = ("x", "x_image", "xcentroid", "xcenter", "x_center", "xcentre", "x_pix", "xpix")
Y_NAMES = ("y", "y_image", "ycentroid", "ycenter", "y_center", "ycentre", "y_pix", "ypix")
ID_NAMES = ("name", "id", "source_id", "apid")
"""Column names that are recognised, whatever their case."""

_HOUR_UNITS = ("hourangle", "hour", "hours", "h", "hr", "h:m:s", '"h:m:s"')
_SEXAGESIMAL = re.compile(
    r"""\s*([+\-−]?)\s*(\d+(?:\.\d*)?)\s*(?:([:hd°\s])\s*
        (?:(\d+(?:\.\d*)?)\s*(?:[:m'′\s]\s*(?:(\d+(?:\.\d*)?)\s*(?:s|"|″|'')?)?)?)?)?\s*""",
    re.VERBOSE,
)
_NO_VALUE = {"", "nan", "null", "none", "--", "-", "n/a", "na", "masked", "..."}


def find_column(table: Table, names: tuple[str, ...]) -> str | None:
    """Name of the first column that is called like one of `names`, whatever the case."""
    lower = {name.lower().strip(): name for name in reversed(table.colnames)}
    return next((lower[name] for name in names if name in lower), None)


def id_column(table: Table) -> str | None:
    """Name of the first column that says which row is which; None where there is none."""
    return next((name for name in table.colnames if name.lower().strip() in ID_NAMES), None)


def sky_positions(
    table: Table, *, label: str = "the catalog"
) -> tuple[FloatArray, FloatArray] | None:
    """Right ascension and declination of a table's rows.

    Numbers are degrees unless the column's unit, or the name ``ra_hours``, says hours. Text is
    read as sexagesimal (``"00:42:44.3"``, ``"00h42m44.3s"``, ``"+41 16 09"``), right ascension in
    hours unless written with a d or °, or as decimal degrees. Without such columns the first that
    holds SkyCoord objects is taken.

    Parameters
    ----------
    table : Table
        Any table.
    label : str
        How messages call it.

    Returns
    -------
    (ra_deg, dec_deg) : tuple of ndarray, each of shape (N,), or None
        NaN where a row has none or an impossible one; None where the table lacks the columns.

    Raises
    ------
    InputError
        Where text is not a coordinate.
    """
    ra_name, dec_name = _sky_columns(table)
    if ra_name is None or dec_name is None:
        return _sky_coord_column(table)
    _check_frame(table, ra_name, label)
    ra_deg = _degrees(table, ra_name, label, is_ra=True)
    dec_deg = _degrees(table, dec_name, label, is_ra=False)
    with np.errstate(invalid="ignore"):
        impossible = (np.abs(dec_deg) > 90) | (ra_deg < -180) | (ra_deg > 360)
    if impossible.any():
        row, count = int(np.argmax(impossible)), int(impossible.sum())
        rows = "1 row has" if count == 1 else f"{count} rows have"
        first = "" if count == 1 else "first "
        warnings.warn(
            f"{label}: {rows} impossible coordinates, {first}row {row + 1}: "
            f"{ra_name} = {ra_deg[row]:g}, {dec_name} = {dec_deg[row]:g} degrees; "
            f"{'it counts' if count == 1 else 'they count'} as missing",
            PraesepeWarning,
            stacklevel=3,
        )
        ra_deg[impossible] = dec_deg[impossible] = np.nan
    return ra_deg, dec_deg


def _sky_columns(table: Table) -> tuple[str | None, str | None]:
    """Names of the columns of right ascension and declination.

    Those that the table calls the main ones by their UCD, else those of usual names, else the only
    ones whose UCD says so.
    """
    ucds = {
        name: str((table[name].info.meta or {}).get("ucd", "")).lower().replace("_", ".")
        for name in table.colnames
    }
    axes = ("pos.eq.ra", "pos.eq.dec")
    # "pos.eq.ra;meta.main", and POS_EQ_RA_MAIN as it was before 2005
    main = [
        [n for n, ucd in ucds.items() if re.fullmatch(rf"{axis}(;.*meta\.main.*|\.main)", ucd)]
        for axis in axes
    ]
    named = [find_column(table, names) for names in (RA_NAMES, DEC_NAMES)]
    told = [[n for n, ucd in ucds.items() if ucd.split(";")[0] == axis] for axis in axes]
    if all(len(names) == 1 for names in main):
        return main[0][0], main[1][0]
    if all(name is not None for name in named) or any(len(names) != 1 for names in told):
        return named[0], named[1]
    return told[0][0], told[1][0]


def _check_frame(table: Table, name: str, label: str) -> None:
    """Refuse positions that the table says are not of ICRS or FK5 (J2000)."""
    frame = str((table[name].info.meta or {}).get("frame", "")).lower()
    header = {str(key).upper(): value for key, value in table.meta.items()}
    frame = frame or str(header.get("RADESYS", header.get("RADECSYS", ""))).lower()
    if "fk4" in frame or "gal" in frame or "ecl" in frame or header.get("EQUINOX") == 1950:
        raise InputError(
            f"{label}: its positions are in the system {frame or 'of 1950'}",
            given=frame,
            allowed="ICRS, FK5 (J2000)",
            remedy="convert them to ICRS first",
        )


def numbers(table: Table, name: str, label: str) -> FloatArray:
    """A column that must hold numbers, which may be written as text; NaN where there is none.

    Raises
    ------
    InputError
        Naming the first row that holds something else.
    """
    values = np.ma.asarray(table[name])
    if values.dtype.kind in "iuf":
        return np.ma.filled(values.astype(np.float64), np.nan)
    result = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        text = "" if value is None else str(value).strip()
        if text.lower() in _NO_VALUE:
            continue
        try:
            result[row] = float(text)
        except ValueError:
            raise InputError(
                f"{label}, row {row + 1}: {name} = {text!r} is not a number",
                given=text,
                remedy="leave cells without a value empty",
            ) from None
    return result


def _sky_coord_column(table: Table) -> tuple[FloatArray, FloatArray] | None:
    """ICRS right ascension and declination of the first column of SkyCoord objects."""
    from astropy.coordinates import SkyCoord

    for column in table.itercols():
        if isinstance(column, SkyCoord):
            sky = column.icrs.spherical
            ra, dec = (np.ma.asarray(angle.deg, np.float64) for angle in (sky.lon, sky.lat))
            return ra.filled(np.nan), dec.filled(np.nan)
    return None


def _degrees(table: Table, name: str, label: str, *, is_ra: bool) -> FloatArray:
    """One coordinate column in degrees."""
    column = table[name]
    unit = str(column.unit or "").lower()
    values = np.ma.asarray(column)
    if values.dtype.kind in "iuf":
        degrees = np.ma.filled(values.astype(np.float64), np.nan)
        degrees[~np.isfinite(degrees)] = np.nan
        if unit in ("rad", "radian"):
            return np.asarray(np.degrees(degrees))
        hours = is_ra and (unit in _HOUR_UNITS or name.lower() in ("ra_hours", "rah", "ra_hms"))
        return degrees * 15 if hours else degrees
    texts = ["" if item is np.ma.masked or item is None else str(item) for item in values.tolist()]
    hour_unit = unit in _HOUR_UNITS or name.lower() in ("ra_hours", "rah")
    result = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if text.strip().lower() in _NO_VALUE:
            continue
        degrees_or_none = _parse_angle(text, is_ra=is_ra, decimal_hours=hour_unit, unit=unit)
        if degrees_or_none is None:
            raise InputError(
                f"{label}, row {row + 1}: {name} = {text!r} is neither degrees nor sexagesimal "
                f"(such as {'00:42:44.3' if is_ra else '+41:16:09'})"
            )
        result[row] = degrees_or_none
    return result


def _parse_angle(text: str, *, is_ra: bool, decimal_hours: bool, unit: str) -> float | None:
    """One angle in degrees from text; None where it is not one."""
    match = _SEXAGESIMAL.fullmatch(text)
    if match is None:
        try:
            return float(text) * (15 if is_ra and decimal_hours else 1)
        except ValueError:
            return None
    sign, whole, mark, minutes, seconds = match.groups()
    minute, second = float(minutes or 0), float(seconds or 0)
    if minute >= 60 or second > 60 or (minutes and "." in whole):
        return None
    value = float(whole) + minute / 60 + second / 3600
    in_hours = (
        decimal_hours
        if minutes is None and mark != "h"
        else mark not in ("d", "°") and not unit.startswith("deg")
    )
    return (-value if sign in ("-", "−") else value) * (15 if is_ra and in_hours else 1)


def pixel_positions(
    wcs: WCS, ra_deg: FloatArray, dec_deg: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Zero-based pixel positions of ICRS coordinates, distortions (SIP) included.

    Parameters
    ----------
    wcs : WCS
        Celestial; positions are transformed to its frame.
    ra_deg, dec_deg : ndarray, shape (N,)
        Degrees; NaN is allowed.

    Returns
    -------
    x, y : ndarray, each of shape (N,)
        NaN for NaN; infinite for the half of the sky that the projection does not show. Far off
        the image, where the distortion polynomials mean nothing, they are left out.
    """
    from astropy.coordinates import SkyCoord, angular_separation
    from astropy.wcs.utils import wcs_to_celestial_frame

    x, y = np.full(len(ra_deg), np.nan), np.full(len(ra_deg), np.nan)
    good = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    if not good.size:
        return x, y
    x[good] = y[good] = np.inf
    sky = SkyCoord(ra_deg[good], dec_deg[good], unit="deg", frame="icrs")
    sky = sky.transform_to(wcs_to_celestial_frame(wcs)).spherical
    world = np.empty((good.size, 2))
    world[:, wcs.wcs.lng], world[:, wcs.wcs.lat] = sky.lon.deg, sky.lat.deg
    lon0, lat0 = np.radians(wcs.wcs.crval[[wcs.wcs.lng, wcs.wcs.lat]])
    visible = angular_separation(sky.lon.rad, sky.lat.rad, lon0, lat0) < np.pi / 2
    good, world = good[visible], world[visible]
    if not good.size:
        return x, y
    pixel = wcs.wcs_world2pix(world, 0)
    near = on_image(wcs, *pixel.T, margin=0.2)
    if wcs.has_distortion and near.any():
        pixel[near] = wcs.all_world2pix(world[near], 0, quiet=True)
    x[good], y[good] = pixel.T
    return x, y


def on_image(wcs: WCS, x: FloatArray, y: FloatArray, *, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which positions are on an image or within `margin` of its size around it.

    All that are finite where its size is not known.
    """
    inside = np.isfinite(x) & np.isfinite(y)
    for at, size in zip((y, x), wcs.array_shape or (), strict=False):
        inside &= np.abs(at - (size - 1) / 2) < (0.5 + margin) * size  # False for NaN
    return inside
