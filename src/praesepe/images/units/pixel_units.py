"""Units of pixels as headers write them, understood by `astropy.units`."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Literal

from astropy import units as u

from praesepe.errors import InputError

ACCEPTED_UNITS = (
    "ELECTRONS/S, ELECTRONS, COUNTS/S, COUNTS (or DN, ADU), Jy (nJy, uJy, 10 nJy, nanomaggy …), "
    "erg/s/cm2/Hz, erg/s/cm2/Angstrom, MJy/sr (Jy/arcsec2 …)"
)

_MORE = [
    u.def_unit("nanomaggyAB", 3.631e-6 * u.Jy),  # of magnitude 22.5
    u.def_unit("maggyAB", 3631 * u.Jy),
    u.def_unit("flam", u.erg / u.s / u.cm**2 / u.AA),
    u.def_unit("fnu", u.erg / u.s / u.cm**2 / u.Hz),
]
_PREFIXES = {
    "": "", "nano": "n", "n": "n", "micro": "u", "mu": "u", "u": "u", "µ": "u", "μ": "u",
    "milli": "m", "mega": "M", "kilo": "k", "k": "k",
}  # fmt: skip
_SPELLINGS = {
    "electron": "e el elec electron electrons photoelectron photoelectrons",
    "ct": "c count counts ct cts cnts dn dns adu adus",
    "ct/s": "cps",
    "s": "s sec secs second seconds",
    "pix": "pix pixel pixels px",
    "nanomaggyAB": "nanomaggy nanomaggies nanomaggys nmgy nmgys",
    "maggyAB": "maggy maggies mgy",
    "flam": "flam",
    "fnu": "fnu",
    "Angstrom": "a å ang angstrom angstroms",
    "erg": "erg ergs",
    "Hz": "hz",
    "sr": "sr steradian",
    "arcsec": "arcsec",
    "cm": "cm",
    "m": "m",
    "W": "w",
}
_WORDS = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()} | {
    prefix + jansky: f"{short}Jy"
    for prefix, short in _PREFIXES.items()
    for jansky in ("jy", "jansky", "janskys", "janskies")
}

Kind = Literal["electron", "count", "flux", "flux per wavelength", "surface brightness"]

# What a unit may be, the unit that its values are brought to, and whether that is a rate.
_KINDS: tuple[tuple[Kind, u.UnitBase, bool], ...] = (
    ("electron", u.electron, False),
    ("electron", u.electron / u.s, True),
    ("count", u.ct, False),
    ("count", u.ct / u.s, True),
    ("flux", u.Jy, True),
    ("flux per wavelength", u.erg / u.s / u.cm**2 / u.AA, True),
    ("surface brightness", u.Jy / u.sr, True),
)


@dataclass(frozen=True)
class PixelUnit:
    """A unit: 1 of it is `scale` electrons, counts, Jy, erg/s/cm²/Å or Jy/sr (`kind`)."""

    kind: Kind
    per_second: bool
    scale: float = 1.0


def parse_unit(text: str, *, label: str = "image") -> PixelUnit:
    """Understand a ``BUNIT``: "e-/s", "DN / s", "10.0*nanoJansky", "MJy/sr".

    Parameters
    ----------
    text : str
        Upper and lower case count only where they must (mJy and MJy); "per pixel" says nothing.
    label : str
        How messages call the image.

    Returns
    -------
    PixelUnit

    Raises
    ------
    InputError
        Where it is no unit, or none of pixels.
    """
    spelled = re.sub(r"\be-(?!\d)", "electron", text.strip(), flags=re.IGNORECASE)
    spelled = re.sub(r"\s+per\s+", "/", spelled, flags=re.IGNORECASE)
    spelled = re.sub(r"(?<![\d.])[A-Za-zµμÅå]+", lambda match: _word(match[0], text), spelled)
    with warnings.catch_warnings(), u.add_enabled_units(_MORE):
        warnings.simplefilter("ignore")
        try:
            unit = u.Unit(spelled)
            for per_pixel in (unit, unit * u.pix):
                for kind, target, per_second in _KINDS:
                    if per_pixel.is_equivalent(target) and _is_of(unit, kind):
                        return PixelUnit(kind, per_second, float(per_pixel.to(target)))
        except (ValueError, TypeError, u.UnitsError):  # no unit at all
            pass
    raise InputError(
        f"{label}: the unit BUNIT = {text!r} is not one of {ACCEPTED_UNITS}",
        given=text,
        allowed=ACCEPTED_UNITS,
        remedy="give the unit",
        code="units={'BAND': 'UNIT'}",
    )


def _is_of(unit: u.UnitBase, kind: Kind) -> bool:
    """Whether a unit is written as its kind is; "N/A" and "erg/cm2" have the dimension of Jy."""
    names = {base.name for base in unit.bases}
    if kind in ("flux", "surface brightness"):
        per_hertz = any(base.is_equivalent(u.Hz) for base in unit.bases)
        return per_hertz or any(re.search("Jy$|maggyAB|fnu", name) for name in names)
    return "ST" not in names


def _word(word: str, text: str) -> str:
    """One word of a unit as astropy has it; what is not known stays."""
    if word.lower() != "mjy":
        return _WORDS.get(word.lower(), word)
    of_area = re.search(r"sr|arcsec", text, re.IGNORECASE)
    if word == "MJY" and of_area:
        return "MJy"
    if word == "mjy" and not of_area:
        return "mJy"
    return word  # milli or mega: only the case tells
