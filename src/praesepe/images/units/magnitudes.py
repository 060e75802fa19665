"""The magnitude of one unit of an image, as keywords of surveys and pipelines tell it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from praesepe.errors import InputError, listed
from praesepe.images.units.headers import Headers

UNIT_TOLERANCE_MAG = 0.05
"""Difference between unit and zero points of a header beyond which one must be wrong."""

# Magnitude of one unit of the image, whatever the unit: SExtractor's convention, which Euclid
# (MAGZERO), surveys and pipelines follow. Names without a system are of that of _SYSTEM_KEYS.
_SYSTEM_OF = {
    **dict.fromkeys(("ZP_AB", "ABZP", "ABMAGZP", "ZPAB", "FLUXMAG0"), "AB"),
    **dict.fromkeys(("ZP_VEGA", "ZPVEGA", "VEGAZP", "VEGAMAGZ", "VEGAMAG"), "VEGA"),
    **dict.fromkeys((
        "MAGZERO", "ZP", "ZEROPNT", "ZEROPOINT", "MAGZPT", "MAGZP", "PHOTZP", "PHOT_ZP",
        "MAG_ZERO", "ZP_STACK",
    ), ""),
}  # fmt: skip
_SYSTEM_KEYS = ("MAGSYS", "PHOTSYS", "ZPSYS", "ZPTYPE", "MAGTYPE", "ZP_TYPE")
_SYSTEM = re.compile(r"(?<![A-Z])(AB|VEGA|ST)(?=MAG|[^A-Z]|$)")


class Told(NamedTuple):
    """AB magnitude of one unit of the image, by which keyword, and what to say about it."""

    key: str
    magnitude: float
    system: str
    """Of the keyword: AB, VEGA, ST, or empty where nothing says."""
    notes: tuple[str, ...]


def magnitude_of_one(headers: Headers, vega_ab: Callable[[], float] | None) -> Told | None:
    """Read the magnitude of one unit; all keywords that tell one must agree.

    Parameters
    ----------
    headers : Headers
        Of the image.
    vega_ab : callable, optional
        Returns Vega's AB magnitude in the band.

    Returns
    -------
    Told or None
        One whose system is known, if any; None where no keyword tells a magnitude.

    Raises
    ------
    InputError
        Where two keywords disagree.
    """
    vega = vega_ab or (lambda: 0.0)
    told: list[tuple[Told, str]] = []
    for key, number, said in headers.every(*_SYSTEM_OF):
        magnitude = 2.5 * math.log10(number) if key == "FLUXMAG0" else number
        if 5 < magnitude < 50:
            told.append((_told(headers, key, magnitude, vega), said))
    if not told:
        return None
    best, said = next((one for one in told if one[0].system), told[0])
    for other, also in told:
        off = other.magnitude - best.magnitude
        fits = (off, off + vega()) if best.system and not other.system else (off,)
        if min(map(abs, fits)) > UNIT_TOLERANCE_MAG:
            raise InputError(
                f"{headers.label}: {said}, but {also}: 1 unit is {best.magnitude:.2f} or "
                f"{other.magnitude:.2f} mag (AB); both cannot be right",
                given=(best.magnitude, other.magnitude),
                remedy="mend the header, or give the AB magnitude of 1 e-/s",
                code="zero_points={'BAND': 26.06}",
            )
    return best


def _told(headers: Headers, key: str, magnitude: float, vega_ab: Callable[[], float]) -> Told:
    """One keyword's magnitude in AB, by its name's system, else by that which the header tells."""
    system, notes = _SYSTEM_OF[key], tuple[str, ...]()
    said = {name: headers.text(name) for name in _SYSTEM_KEYS if headers.text(name)}
    systems = {found[1]: name for name in said if (found := _SYSTEM.search(said[name].upper()))}
    if len(systems) > 1 and not system:
        pairs = [f"{name} = {said[name]!r}" for name in systems.values()]
        raise InputError(
            f"{headers.label}: the system of {key} = {magnitude:g} is not clear: {listed(pairs)}",
            given=tuple(said.values()),
            allowed=("AB", "Vega", "ST"),
            remedy="mend the header, or give the AB magnitude of 1 e-/s",
            code="zero_points={'BAND': 26.06}",
        )
    if system and systems.keys() - {system}:
        name = next(name for other, name in systems.items() if other != system)
        notes = (
            f"{headers.label}: {key} = {magnitude:g} is taken as {system} by its name, though "
            f"{name} = {said[name]!r}",
        )
    system = system or next(iter(systems), "")
    if not system:
        notes = (
            f"{headers.label}: {key} = {magnitude:g} is taken as the AB magnitude of 1 unit of the "
            "image; give another zero point where it is Vega's",
        )
    if system == "VEGA":
        magnitude += vega_ab()
    if system == "ST":
        why = "a magnitude of the ST system needs the pivot wavelength"
        magnitude += 18.692 - 5 * math.log10(headers.positive("PHOTPLAM", why=why))
    return Told(key, magnitude, system, notes)
