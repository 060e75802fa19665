"""Filter curves by the names that people write, or from the user's file.

Most come from `astro-sedpy`; those that it lacks lie in `praesepe/data/filters`, each with its
origin in its header (`tools/build_filters.py` rebuilds them). All of HST are total throughputs.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import warnings
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from praesepe.errors import (
    InputError,
    MissingDependencyError,
    PraesepeWarning,
    check_type,
    is_number,
    listed,
    reason,
    unknown,
    unusable,
)
from praesepe.stars.curve_tables import TABLES, table_lines
from praesepe.stars.passbands import Passband, sedpy_data
from praesepe.survey import Band, Survey
from praesepe.survey.bands import FilterCurve
from praesepe.survey.contents import checksum, is_path

NEGLIGIBLE = 1e-5  # of the curve's peak: where a curve is cut off
PIVOTS_ANGSTROM = (900.0, 3e5)  # what curves in the right unit have
PIVOT_TOLERANCE = 0.05  # two cameras' filters of one name differ by up to 4 %
NUMBER_TOLERANCE = 0.15  # of what the number in a filter's name says
LETTER_TOLERANCE = 0.5
LETTERS = {
    "U": 3600.0, "B": 4400.0, "V": 5500.0, "R": 6500.0, "I": 8000.0, "u": 3600.0, "g": 4800.0,
    "r": 6200.0, "i": 7600.0, "z": 9000.0, "y": 9800.0, "Y": 10300.0, "J": 12500.0, "H": 16400.0,
    "K": 21900.0, "Ks": 21500.0,
}  # fmt: skip
"""Wavelengths, in Angstrom, of bands that are called by a letter; roughly."""

CUT_OFF = 0.1  # of the peak: a curve that ends higher may not be whole
ANGSTROM = re.compile(r"(?i:angstr)|[\u212b\xc5]|[\[(]AA?[\])]")
OTHER_UNIT = re.compile(
    r"(?i)(?<![a-z])(nm|nano-?met\w+|micro(n|met)\w*|[u\xb5\u03bc]m|hz|hertz|cm\^?-1|1/cm|"
    r"wave-?numbers?)(?![a-z])"
)
ENERGY = re.compile(r"(?i)\benergy\b(?! distribution)|\bper erg\b")
FILTER = re.compile(r"(?<![A-Z0-9])(F\d{3,4}(?:W2?|[MNX]|LP))(?![A-Z0-9])")
_IN_SPACE = {
    "hst", "acs", "wfc", "hrc", "sbc", "wfc3", "uvis", "ir", "wfpc2", "pc", "wf", "nic", "nic1",
    "nic2", "nic3", "nirspec", "nircam", "niriss", "miri", "jwst", "euclid", "nisp", "roman",
}  # fmt: skip
"""Words of space telescopes and their cameras."""

MODULES = {"moda", "modb"}  # of NIRCam; its curves proper are their mean
DOUBTFUL_ANGSTROM = (900.0, 3500.0)  # pivots that may be nm of the near infrared
SAME_PIVOT = 0.003  # of a camera's filter, by its own curve and the one that is known
ZERO_POINT_MAG = 0.5  # by which a zero point may differ from its curve's
MOST_STEPS = 4  # wavelengths of a curve that may have two throughputs
LOWEST = 0.002  # throughput at the peak; that of WFPC2 F218W is 0.003
HIGHEST = 1.05  # throughput; normalised curves may be a little above one
UNITS = {"nm": 10.0, "micron": 1e4, "m": 1e10}  # in Angstrom


def passband_names() -> tuple[str, ...]:
    """Names of the filter curves that can be used without a file."""
    return tuple(sorted(_curve_files()))


def load_passband(spec: str | Path, instrument: str = "") -> Passband:
    """A filter curve by name, or from the user's file.

    Parameters
    ----------
    spec : str or Path
        A camera and a filter (``"WFC3/UVIS F438W"``, ``"acs_wfc_f814w"``, ``"NIRCam F150W"``), a
        filter alone where only one camera has it, or the path of a text file (also CSV) with two
        columns, wavelength (Angstrom) and throughput; ``#`` starts a comment. Also a block of
        EAZY's list of filters, and tables (FITS as synphot has them, ECSV, VOTable) with a column
        of wavelengths, in the unit that it names, and one of throughputs.
    instrument : str, optional
        The camera, where `spec` does not name it.

    Returns
    -------
    Passband

    Raises
    ------
    InputError
        For an unknown name (with the nearest ones), one that several cameras have (with all of
        them) or that is not on the instrument, and for a file that is not a filter curve, has
        more columns than two, or whose wavelengths are in another unit.
    MissingDependencyError
        Where a curve of `astro-sedpy` is named and that is not installed.

    Warns
    -----
    PraesepeWarning
        Where a file ends before its curve does.
    """
    text = str(check_type("filter", spec, (str, os.PathLike), ("a name", "the path of a curve")))
    if Path(spec).is_file() and is_path(text):
        return _read_own(Path(spec))
    name = _find(text, instrument)
    if name is None and is_path(text):
        raise InputError(
            f"there is no filter file {text}", given=text, remedy="correct its path in the survey"
        )
    if name is None:
        raise _unknown(text)
    return _read_curve(_curve_files()[name], name)


def band_curve(band: Band) -> Passband:
    """The filter curve of a survey's band, held against the filter that the band is named after.

    Raises
    ------
    InputError
        As `load_passband`; and where the curve's pivot wavelength is far from that of the filter
        in the band's or the file's name, or may be in nm where neither names a filter.

    Warns
    -----
    PraesepeWarning
        Where a curve of one's own is not that of the camera and filter that the band names.
    """
    if band.curve is None:
        curve = load_passband(band.filter, band.instrument)
    else:
        columns = np.array([band.curve.wavelength_angstrom, band.curve.throughput])
        curve = Passband(Path(band.filter).stem, *columns)
    pivot = curve.pivot_angstrom
    named = [FILTER.search(text.upper().replace("_", " ")) for text in (band.name, curve.name)]
    if band.curve is None and Path(band.filter).is_file() and not any(named):
        _check_unit(Path(band.filter), pivot)
    expectations = [(found[1], *_pivots(found[1])) for found in named if found]
    if band.name in LETTERS:
        expectations.append((band.name, (LETTERS[band.name],), LETTER_TOLERANCE))
    for filter_, expected, tolerance in expectations:
        if all(abs(np.log(pivot / one)) > np.log1p(tolerance) for one in expected):
            nearest = min(expected, key=lambda one: abs(np.log(pivot / one)))
            raise InputError(
                f"the pivot wavelength of the curve {curve.name!r} is {pivot:.0f} Angstrom, that "
                f"of {filter_} is {nearest:.0f} Angstrom",
                given=pivot,
                allowed=expected,
                remedy=_unit_remedy(pivot, expected) or "give the band the curve of its filter",
            )
    if is_path(band.filter):
        _check_own(band, curve)
    return curve


def check_zero_points(survey: Survey) -> None:
    """Warn of zero points of Hubble's bands that are not those of their camera and filter.

    Of Hubble alone all curves are known to be total throughputs, and the mirror's area.
    """
    for band in survey.bands:
        known = _known(band)
        if known is None or "hst" not in _tags(known.name):
            continue
        zero_point = known.zero_point_ab()
        if abs(band.zero_point_ab - zero_point) > ZERO_POINT_MAG:
            warnings.warn(
                f"band {band.name!r}: its zero point is {band.zero_point_ab:g}, that of "
                f"{known.name} is {zero_point:.2f} (AB magnitude of 1 e-/s)",
                PraesepeWarning,
                stacklevel=3,
            )


def _known(band: Band) -> Passband | None:
    """The curve of a band's camera and filter that can be used without a file, if there is one."""
    if not is_path(band.filter):
        return load_passband(band.filter, band.instrument)
    filter_ = FILTER.search(f"{band.name} {Path(band.filter).stem}".upper().replace("_", " "))
    if filter_ and _words(band.instrument) & _camera_words():
        with contextlib.suppress(InputError):  # of a filter that is not on it, or on several
            name = _find(filter_[1], band.instrument)
            return _read_curve(_curve_files()[name], name) if name else None
    return None


def _check_own(band: Band, curve: Passband) -> None:
    """Warn of an own curve of another pivot wavelength than the known one, or of no throughput."""
    said, known, pivot = [], _known(band), curve.pivot_angstrom
    if known is not None and abs(pivot / known.pivot_angstrom - 1) > SAME_PIVOT:
        said.append(
            f"the pivot wavelength of its curve {curve.name!r} is {pivot:.0f} Angstrom, that of "
            f"{known.name} {known.pivot_angstrom:.0f}; is it the filter alone, without telescope "
            "and detector, or that of another camera?"
        )
    if curve.throughput.max() < LOWEST:
        said.append(
            f"the throughput of its curve {curve.name!r} is {curve.throughput.max():.2g} at most; "
            "is it that of telescope, filter and detector, per photon?"
        )
    for one in said:
        warnings.warn(f"band {band.name!r}: {one}", PraesepeWarning, stacklevel=3)


def with_curves(survey: Survey) -> Survey:
    """The survey with the curves of filters that are the user's files, which it then needs no more.

    Raises
    ------
    InputError
        As `band_curve`.
    """
    return survey.with_values(observation={"bands": [_with_curve(band) for band in survey.bands]})


def _with_curve(band: Band) -> Band:
    if band.curve is not None or not is_path(band.filter):
        return band
    curve = band_curve(band)
    kept = FilterCurve(
        file=checksum(band.filter),
        wavelength_angstrom=tuple(curve.wavelength_angstrom.tolist()),
        throughput=tuple(curve.throughput.tolist()),
    )
    return band.model_copy(update={"curve": kept})


def _find(text: str, instrument: str) -> str | None:
    """Name of the curve that is meant; None where there is none."""
    known = _curve_files()
    words = _words(text)
    named = [name for name in known if name.lower() == text.lower()]
    found = named or [
        name for name in known if words and words <= _tags(name) and not MODULES & _tags(name)
    ]
    camera = _words(instrument) & _camera_words()
    fitting = [name for name in found if camera <= _tags(name)]
    if found and not fitting:
        raise InputError(
            f"filter {text!r} ({listed(sorted(found), 'or')}) is not on the instrument "
            f"{instrument!r}",
            given=(text, instrument),
            allowed=tuple(sorted(found)),
            remedy="give a filter and an instrument that belong together",
        )
    if len(fitting) > 1:
        raise InputError(
            f"filter {text!r} may be {listed(sorted(fitting), 'or')}",
            given=text,
            allowed=tuple(sorted(fitting)),
            remedy="name the camera too, as in 'ACS/WFC F814W'",
        )
    return fitting[0] if fitting else None


def _unknown(text: str) -> Exception:
    try:
        sedpy_data()
    except MissingDependencyError as error:
        return error
    words = _words(text)
    near = sorted(
        passband_names(),
        key=lambda name: (
            len(words & _tags(name)),
            difflib.SequenceMatcher(None, text.lower(), name).ratio(),
        ),
        reverse=True,
    )
    advice = "Or give a file with two columns, wavelength [Angstrom] and throughput."
    return unknown("filter", text, near[:8], advice)


@lru_cache(maxsize=1)
def _curve_files() -> dict[str, Path]:
    own = Path(str(resources.files("praesepe") / "data" / "filters"))
    files = {path.stem: path for path in own.glob("*.txt")}
    try:
        sedpy = sedpy_data() / "filters"
    except MissingDependencyError:
        return files
    return files | {path.stem: path for path in sedpy.glob("*.par")}


def _words(text: str) -> set[str]:
    """Words of a name; chips of one camera share its curves, and NICMOS2 is NIC2."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {re.sub(r"^(uvis|wfc)[12]$", r"\1", word.replace("nicmos", "nic")) for word in words}


@lru_cache(maxsize=4096)
def _tags(name: str) -> frozenset[str]:
    """Words that a curve may be called by."""
    words = _words(name)
    if words & {"acs", "wfc3", "wfpc2", "nic1", "nic2", "nic3"}:
        words |= {"hst"}
    if words & {"nic1", "nic2", "nic3"}:
        words |= {"nic"}
    if "wfpc2" in words:
        words |= {"pc", "wf"}
    if "jwst" in words and "niriss" not in words:
        number = re.search(r"_f(\d+)", name)
        words |= {"nircam" if int(number[1]) < 500 else "miri"} if number else set()
    return frozenset(words)


def other_camera(band: Band, said: str) -> tuple[str, str] | None:
    """What a text says of space telescope and camera and what a band does, where they differ.

    None where one of them tells no more than the other.
    """
    words = _words(band.instrument)
    if not is_path(band.filter):
        with contextlib.suppress(InputError):
            words |= _tags(_find(band.filter, band.instrument) or "")
    told, own = (_tags(" ".join(one & _IN_SPACE)) & _IN_SPACE for one in (_words(said), words))
    if not told or not own or told <= own or own <= told:
        return None
    return listed(sorted(told)), listed(sorted(own))


@lru_cache(maxsize=1)
def _camera_words() -> frozenset[str]:
    return frozenset(
        word
        for name in passband_names()
        for word in _tags(name) - {name.lower().split("_")[-1]}
        if not word.isdigit()
    )


@lru_cache(maxsize=256)
def _pivots(band: str) -> tuple[tuple[float, ...], float]:
    """Pivot wavelengths of the curves of one filter; else what the number in its name says.

    And how far another curve of that filter may be off them.
    """
    names = [n for n in passband_names() if n.lower().split("_")[-1] == band.lower()]
    found = {round(load_passband(name).pivot_angstrom) for name in names}
    if found:
        return tuple(sorted(found)), PIVOT_TOLERANCE
    number = int(re.sub(r"\D.*", "", band[1:]))
    return (10.0 * number, 100.0 * number), NUMBER_TOLERANCE


def _check_unit(path: Path, pivot: float) -> None:
    """Refuse a curve that could be in nm, unless a comment in the file says Angstrom."""
    low, high = DOUBTFUL_ANGSTROM
    if low <= pivot <= high and not ANGSTROM.search(_comments(path)):
        raise InputError(
            f"filter file {path.name}: its pivot wavelength is {pivot:.0f}, in the ultraviolet if "
            "that is Angstrom, in the infrared if it is nm",
            given=pivot,
            remedy="give the wavelengths in Angstrom, and say so in a comment: # Angstrom",
        )


def _lines(path: Path) -> list[str]:
    """Lines of a curve, its separators as blanks and what stands above its numbers as a comment.

    That is a line without numbers, or, in a block of EAZY's list, one that begins with the number
    of those that follow.
    """
    if path.suffix.lower() in TABLES:
        return table_lines(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    if path.suffix == ".par":
        return lines
    lines = [re.sub("[,;]", " ", line) for line in lines]
    first = next((i for i, one in enumerate(lines) if one.strip() and one.strip()[0] != "#"), 0)
    words = lines[first].split() if len(lines) > first + 1 else []
    following = len([one for one in lines[first + 1 :] if one.strip()])
    if words and (words[0] == str(following) or not any(map(is_number, words))):
        lines[first] = "#" + lines[first]
    return lines


def _comments(path: Path) -> str:
    return " ".join(re.findall("#(.*)", "\n".join(_lines(path))))


def _unit_remedy(pivot: float, expected: tuple[float, ...]) -> str:
    """Advice where another unit of wavelength explains a curve's pivot."""
    for unit, factor in UNITS.items():
        if any(abs(factor * pivot / one - 1) < NUMBER_TOLERANCE for one in expected):
            return f"the file's wavelengths seem to be in {unit}: give them in Angstrom"
    return ""


def _read_own(path: Path) -> Passband:
    """The curve of a user's file, which may be anything."""
    curve = _read_curve(path, path.stem, columns=None)
    comments = _comments(path)
    if (other := OTHER_UNIT.search(comments)) and not ANGSTROM.search(comments):
        raise InputError(
            f"filter file {path.name} is in {other[0]} by its comment",
            given=other[0],
            allowed="Angstrom",
            remedy="give the wavelengths in Angstrom, and say so in a comment: # Angstrom",
        )
    if ENERGY.search(comments):
        warnings.warn(
            f"filter file {path.name} is of energy by what it says; Praesepe takes throughputs per "
            "photon: divide it by the wavelength, unless its throughputs are shares of photons",
            PraesepeWarning,
            stacklevel=3,
        )
    wave, through = curve.wavelength_angstrom, curve.throughput / curve.throughput.max()
    ends = min(through[0], through[-1])
    if ends > 0.9 > through.min() / ends:
        raise unusable(
            path,
            "has more throughput at both ends than between them: it is 1 - T, or a loss",
            "give the throughput, from 0 to 1",
        )
    for end in (0, -1):
        if through[end] > CUT_OFF:
            warnings.warn(
                f"filter file {path.name} ends at {wave[end]:.0f} Angstrom, where its throughput "
                f"is {through[end]:.0%} of its highest; is it whole?",
                PraesepeWarning,
                stacklevel=3,
            )
    return curve


def _check_one_curve(path: Path, table: np.ndarray) -> None:
    """Refuse two curves in one file; a step may have two throughputs at its wavelength."""
    rows = table[np.argsort(table[:, 0], kind="stable")]
    twice = (np.diff(rows[:, 0]) == 0) & (np.diff(rows[:, 1]) != 0)
    if twice.sum() > MOST_STEPS:
        at = rows[1:][twice][0, 0]
        fault = f"has two throughputs at {twice.sum()} wavelengths, the first {at:g}"
        raise unusable(path, fault, "give one curve in a file")


def _read_curve(path: Path, name: str, *, columns: tuple[int, int] | None = (0, 1)) -> Passband:
    remedy = "give a text file with two columns, wavelength [Angstrom] and throughput"
    try:
        table = np.loadtxt(_lines(path), usecols=columns, ndmin=2)
    except InputError:
        raise
    except OSError as error:
        raise unusable(path, f"is not a filter curve ({reason(error)})", remedy) from error
    except (ValueError, IndexError) as error:  # UnicodeDecodeError among them
        raise unusable(path, "is not a filter curve: not two columns of numbers", remedy) from error
    if columns is None and table.shape[1] == 3:
        numbered = np.array_equal(table[:, 0], np.arange(1, len(table) + 1))  # by EAZY
        table = table[:, 1:] if numbered else table
    if len(table) and table.shape[1] != 2:
        raise unusable(path, f"is not a filter curve: its columns are {table.shape[1]}", remedy)
    if not np.isfinite(table).all():
        row = int(np.isfinite(table).all(axis=1).argmin()) + 1
        raise unusable(path, f"has no number in row {row} of its curve", "leave that row out")
    if path.suffix != ".par":
        _check_one_curve(path, table)
    table = table[np.unique(table[:, 0], return_index=True)[1]] if len(table) else table
    if len(table) < 3 or table[:, 1].max() <= 0:
        raise unusable(
            path, "is no filter curve", "give at least three points and a positive throughput"
        )
    seen = np.flatnonzero(table[:, 1] > NEGLIGIBLE * table[:, 1].max())
    table = table[max(seen[0] - 1, 0) : seen[-1] + 2]
    if path.suffix != ".par" and table[:, 1].max() > HIGHEST:
        raise InputError(
            f"filter {name!r}: its throughput is up to {table[:, 1].max():.4g}",
            given=float(table[:, 1].max()),
            allowed="0 to 1",
            remedy="divide a throughput in percent by 100, and an effective area by that of the "
            "mirror",
        )
    curve = Passband(name, table[:, 0], table[:, 1])
    (low, high), pivot = PIVOTS_ANGSTROM, curve.pivot_angstrom
    if path.suffix != ".par" and not low <= pivot <= high:  # astro-sedpy has far-infrared ones
        raise InputError(
            f"filter {name!r}: its pivot wavelength is {pivot:.4g} Angstrom; allowed are "
            f"{low:.0f} to {high:.0f}",
            given=pivot,
            allowed=PIVOTS_ANGSTROM,
            remedy="give the file's wavelengths in Angstrom, not in nm, micron or m",
        )
    return curve
