"""Whether an image was taken through the filter of the band that it is given for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from praesepe.errors import InputError, listed
from praesepe.images.units.headers import Headers
from praesepe.stars.curves import band_curve
from praesepe.survey import Band, Survey

_FILTER_KEYS = (
    "FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2", "PUPIL", "FILTNAME", "FILTERS", "FILT",
    "BAND", "INSFILTE", "ESO INS FILT1 NAME",
)  # fmt: skip
_TOLD_BY = (_FILTER_KEYS, ("PHOTMODE",), ("EXTNAME",))
"""Keywords of one beam each, which should tell the same filter."""
_SPACE_FILTER = re.compile(r"F[QR]?(\d{3,4})([WMNX]2?|LP)?")  # Roman's have no letter
_WIDTHS = {"N": 0, "M": 1}  # the narrowest of filters in one beam is the one that counts
_EUCLID = {"VIS", "Y", "J", "H"}
_SUM = "DETECTION"  # the Hubble Legacy Archive's sum of all filters

# The curves' pivots lie within 0.3 % of the published PHOTPLAM (tests/unit/stars/test_curves.py).
# One filter on two cameras of HST is up to 1 % apart (UVIS and ACS), or 4 % (UVIS and WFPC2, IR
# and NICMOS); neighbouring wide filters are 2.4 % (F336W and F343N) and more.
_PIVOT_DOUBT = 0.003
_PIVOT_TOLERANCE = 0.02
_SWAP_MARGIN = 0.01


def check_filters(survey: Survey, headers: Mapping[str, Headers]) -> list[str]:
    """Stop where a header tells of another filter than the band the image is given for.

    Two things are looked at: names of filters, in ``FILTER`` and its like, in ``PHOTMODE`` and as
    the extension's name, of each of which the narrowest counts; and the pivot wavelength
    ``PHOTPLAM``, which must be within 2 % of that of the band's filter curve, and must not fit
    another band better. Filters that have not the names of HST, JWST, Roman or Euclid are only held
    against the names of the survey's other bands, since observatories write filters in many ways.
    An image without headers passes; the error names the keyword and the band that the image fits,
    if any.

    Returns
    -------
    list of str
        Doubts: bands whose curve is that of another camera, by 0.3 to 2 % of the wavelength, and
        headers that name several filters.
    """
    doubts = [doubt for b in survey.bands for doubt in _check_name(b, headers[b.name], survey)]
    return [*doubts, *_check_pivots(survey, headers)]


def _check_name(band: Band, headers: Headers, survey: Survey) -> list[str]:
    """Compare the names of filters in the header with the band's."""
    names = {other.name.upper(): other.name for other in survey.bands}
    own = _words(f"{band.name} {band.filter}") | {band.name.upper()}
    found: dict[str, str] = {}
    for keys in _TOLD_BY:
        told: dict[str, str] = {}
        for key in keys:
            text = headers.text(key).upper()
            for word in _words(text) | ({text} & names.keys()):
                # a mode and the name of an extension have other words, too
                whole = key in _FILTER_KEYS or (key == "EXTNAME" and word == text)
                euclid = word in _EUCLID and own & _EUCLID
                known = whole and (word in names or euclid or word == _SUM)
                if known or _SPACE_FILTER.fullmatch(word):
                    told.setdefault(word, key)
        narrowest = min(map(_width, told), default=0)
        found = {w: key for w, key in told.items() if _width(w) == narrowest} | found
    strange = [word for word in found if not any(_same(word, one) for one in own)]
    if not strange:
        return []
    if len(strange) < len(found):
        return [
            f"{headers.label}: given for band {band.name!r}, but its header names the filters "
            f"{listed(sorted(found))}; is it of this one alone?"
        ]
    word = next((word for word in strange if word in names), strange[0])
    fits = [name for upper, name in names.items() if _same(word, upper)]
    raise _other_filter(headers, band, f"{found[word]} = {word!r}", fits[0] if fits else None)


def _words(text: str) -> set[str]:
    return set(re.split(r"[^A-Z0-9]+", text.upper())) - {""}


def _width(word: str) -> int:
    """Rank by width: narrow, medium, wide or without a letter, very wide."""
    match = _SPACE_FILTER.fullmatch(word)
    letters = (match[2] if match else None) or "W"
    return _WIDTHS.get(letters, 2 if letters == "W" else 3)


def _same(one: str, other: str) -> bool:
    """Whether two names are of one filter; F814 may be F814W."""
    a, b = _SPACE_FILTER.fullmatch(one), _SPACE_FILTER.fullmatch(other)
    if one == other or a is None or b is None:
        return one == other
    return a[1] == b[1] and not (a[2] and b[2])


def _check_pivots(survey: Survey, headers: Mapping[str, Headers]) -> list[str]:
    """Compare ``PHOTPLAM`` with the pivots of the bands' curves, and with those of two swapped."""
    found = {name: headers[name].optional_positive("PHOTPLAM") for name in survey.band_names}
    pivots = {name: pivot for name, pivot in found.items() if pivot}
    curves = {name: band_curve(survey.band(name)).pivot_angstrom for name in pivots}
    misfit = {
        (image, name): abs(math.log(pivot / curve))
        for image, pivot in pivots.items()
        for name, curve in curves.items()
    }
    doubts = []
    for name, pivot in pivots.items():
        said = f"PHOTPLAM = {pivot:.0f} Å, and the band's filter curve has {curves[name]:.0f} Å"
        if misfit[name, name] > _PIVOT_TOLERANCE:
            distance, best = min((misfit[name, band], band) for band in curves)
            fits = best if distance <= _PIVOT_TOLERANCE else None
            raise _other_filter(headers[name], survey.band(name), said, fits)
        for other in pivots:
            gain = misfit[name, name] + misfit[other, other]
            if gain - misfit[name, other] - misfit[other, name] > _SWAP_MARGIN:
                raise _other_filter(headers[name], survey.band(name), said, other)
        if misfit[name, name] > _PIVOT_DOUBT:
            doubts.append(
                f"{headers[name].label}: band {name!r}: its header says {said}; is the image of "
                f"another camera than {survey.band(name).filter!r}? Colours differ between them."
            )
    return doubts


def _other_filter(headers: Headers, band: Band, said: str, fits: str | None) -> InputError:
    advice = f"is it the image for band {fits!r}?" if fits else "give the image of this filter."
    message = f"{headers.label}: given for band {band.name!r}, but its header says {said}"
    return InputError(message, given=said, allowed=band.name, remedy=advice)
