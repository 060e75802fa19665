"""Whether an image was taken through the filter of the band that it is given for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from praesepe.errors import InputError
from praesepe.images.units import Headers
from praesepe.survey import Band, Survey

_FILTER_KEYS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2", "PUPIL")
_SPACE_FILTER = re.compile(r"F\d{3,4}[A-Z]{1,2}\d?")
_NUMBERED = re.compile(r"(?<![A-Z0-9])F(\d{3,4})[WMN](?![A-Z0-9])")

# The pivots of the filters W, M and N of HST and JWST lie within 5.3 % of the numbers in their
# names (those of long passes, LP, do not). Exchanging two of them fits worse than the truth, or
# better by less than 0.6 % (F160W and F158M); all by the curves of astro-sedpy.
_PIVOT_TOLERANCE = 0.08
_SWAP_MARGIN = 0.02


def check_filters(survey: Survey, headers: Mapping[str, Headers]) -> None:
    """Stop where a header tells of another filter than the band the image is given for.

    Two things are looked at: names of filters, in ``FILTER`` and its like and in ``PHOTMODE``;
    and the pivot wavelength ``PHOTPLAM``, which must fit the number in the names of HST's and
    JWST's filters (F475W: 475 nm; F160W: 1600 nm). Other bands are only held against the names
    of the survey's other bands, since observatories write filters in many ways. An image without
    headers passes; the error names the keyword and the band that the image fits, if any.
    """
    for band in survey.bands:
        _check_name(band, headers[band.name], survey)
    _check_pivots(survey, headers)


def _check_name(band: Band, headers: Headers, survey: Survey) -> None:
    """Compare the names of filters in the header with the band's."""
    words = {
        word: key
        for key in _FILTER_KEYS
        for word in re.split(r"[\s;,+/]+", headers.text(key).upper())
        if word
    }
    for word in _SPACE_FILTER.findall(headers.text("PHOTMODE").upper()):
        words.setdefault(word, "PHOTMODE")  # names instrument and detector too
    own = {band.name.upper(), *re.split(r"[^A-Z0-9]+", f"{band.name} {band.filter}".upper())}
    if not words or own & words.keys():
        return
    others = {other.name.upper(): other.name for other in survey.bands}
    swapped = [word for word in words if word in others]
    strange = swapped or [word for word in words if _SPACE_FILTER.fullmatch(word)]
    if strange:
        raise _other_filter(
            headers, band, f"{words[strange[0]]} = {strange[0]!r}", others.get(strange[0])
        )


def _check_pivots(survey: Survey, headers: Mapping[str, Headers]) -> None:
    """Compare ``PHOTPLAM`` with the numbers in the bands' names, and with those of two swapped."""
    numbers = {band.name: number for band in survey.bands if (number := _number(band))}
    found = {name: headers[name].optional_positive("PHOTPLAM") for name in numbers}
    pivots = {name: pivot for name, pivot in found.items() if pivot}
    misfit = {
        (image, name): _misfit(pivot, number)
        for image, pivot in pivots.items()
        for name, number in numbers.items()
    }
    for name, pivot in pivots.items():
        said = f"PHOTPLAM = {pivot:.0f} Å"
        if misfit[name, name] > _PIVOT_TOLERANCE:
            distance, best = min((misfit[name, band], band) for band in numbers)
            fits = best if distance <= _PIVOT_TOLERANCE else None
            raise _other_filter(headers[name], survey.band(name), said, fits)
        for other in pivots:
            gain = misfit[name, name] + misfit[other, other]
            if gain - misfit[name, other] - misfit[other, name] > _SWAP_MARGIN:
                raise _other_filter(headers[name], survey.band(name), said, other)


def _number(band: Band) -> int | None:
    """Number in the name of a space telescope's filter: F475W, acs_wfc_f475w; None without one."""
    text = f"{band.name} {Path(band.filter).name}".upper().replace("_", " ")
    match = _NUMBERED.search(text)
    return int(match[1]) if match else None


def _misfit(pivot_angstrom: float, number: int) -> float:
    """Relative distance of a wavelength from a filter's number of nm or of 10 nm."""
    return min(abs(math.log(pivot_angstrom / (number * unit))) for unit in (10, 100))


def _other_filter(headers: Headers, band: Band, said: str, fits: str | None) -> InputError:
    advice = f"is it the image for band {fits!r}?" if fits else "give the image of this filter."
    return InputError(
        f"{headers.label}: given for band {band.name!r}, but its header says {said}; {advice}"
    )
