"""Reading the isochrones that users download: PARSEC, MIST and FSPS, told apart by content."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from praesepe.bounded import check_regular, unpacked
from praesepe.errors import InputError, PraesepeWarning, is_number, unusable
from praesepe.stars.isochrones import Isochrone, surface_gravity

ALLOWED = (
    "give the output of the PARSEC CMD web form, a MIST .iso or .iso.cmd file, or an isoc_z….dat "
    "file or folder of FSPS"
)
AGAIN = "download it again"
PARSEC_SOLAR_Z = 0.0152
"""Present solar metallicity of PARSEC (Bressan et al. 2012), for files with [M/H] alone."""
LOWEST_MASS_OF_KIND_1 = 0.7
"""Msun; Hurley, Pols & Tout (2000) count main-sequence stars below it as kind 0."""

FALLING_MASS = 0.01
"""By which share an initial mass may be below that of the row above: rounding of late phases."""

HIGHEST_LOG_AGE = 20.0
"""Ages above are years, below their logarithms."""
LOG_AGES = (4.9, 10.4)
"""Logarithms of ages in years that isochrones have; others are of Myr or Gyr."""

NO_GRAVITY = 20.0
"""Logarithm that no gravity reaches: FSPS's BaSTI files write -99 for all stars."""

GRAVITY_DEX = 0.3
"""How far gravities may be from those of mass, luminosity and temperature: another unit is more."""

LIMITS = (
    ("a metallicity Z", 0.0, 0.1),
    ("an initial mass", 0.0, 1000.0),
    ("a typical log L", -6.0, 7.0),
    ("a typical log Teff", 3.0, 5.5),
)
"""What the columns of isochrones lie between."""

# Stellar types of Hurley, Pols & Tout (2000) for the phases of each format. Stars after the
# giant branches count as carbon-oxygen white dwarfs: they shine while they are bright.
PARSEC_KINDS = {0: 1, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 4, 7: 5, 8: 6, 9: 11}
MIST_KINDS = {-1: 1, 0: 1, 2: 3, 3: 4, 4: 5, 5: 6, 6: 11, 9: 7}
FSPS_KINDS = {-1: 1, 0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 11, 7: 1, 8: 4, 9: 7}

ALIASES = {
    "log_age": ("logAge", "log(age/yr)", "log(age)", "log10_isochrone_age_yr"),
    "age": ("Age", "Age(yr)", "isochrone_age_yr"),
    "initial_mass": ("Mini", "M_ini", "initial_mass"),
    "present_mass": ("Mass", "M_act", "Mact", "star_mass"),
    "log_l": ("logL", "logL/Lo", "logl", "log_L"),
    "log_teff": ("logTe", "logt", "log_Teff"),
    "log_g": ("logg", "logG", "log_g"),
    "phase": ("label", "stage", "Phase", "phase"),
    "z": ("Zini", "Z"),
    "m_h": ("MH", "[M/H]"),
    "eep": ("EEP",),
}
"""Names that the formats give to the same column, whatever the case; the first found counts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class IsochroneFile(Isochrone):
    """The stars of one file as they stand in it: of several isochrones, in no certain order.

    Attributes
    ----------
    path : Path
    format : str
        ``"PARSEC"``, ``"MIST"`` or ``"FSPS"``.
    sha256 : str
        Checksum of the file.
    metallicity, log_age : ndarray, shape (n,)
        Mass fraction of metals and log10(age/yr) of each star.
    system : str
        The photometric system of the file's own magnitudes, as it names it.
    """

    path: Path
    format: str
    sha256: str
    metallicity: np.ndarray
    log_age: np.ndarray
    system: str = ""


@dataclass(frozen=True)
class _Text:
    """A file's text, its lines of comment, and its table by column."""

    path: Path
    comments: tuple[str, ...]
    names: tuple[str, ...]
    table: np.ndarray  # (n, columns)
    stated: np.ndarray  # (n,) Z by the comment above each row, NaN where none says it
    block: np.ndarray  # (n,) how many lines of names stand above each row

    def find(self, meaning: str) -> np.ndarray | None:
        """Column of a meaning (a key of `ALIASES`), or None."""
        names = [name.lower() for name in self.names]
        for alias in map(str.lower, ALIASES[meaning]):
            if alias in names:
                return self.table[:, names.index(alias)]
        return None

    def need(self, meaning: str) -> np.ndarray:
        """Column of a meaning that every file must have."""
        column, named = self.find(meaning), " or ".join(map(repr, ALIASES[meaning]))
        if column is not None and np.isnan(column).any():
            raise unusable(
                self.path,
                f"has no number in row {np.argmax(np.isnan(column)) + 1} of its column {named}",
                "leave that row out",
            )
        if column is None:
            raise InputError(
                f"{self.path.name} has no column {named}; its columns are {', '.join(self.names)}",
                given=self.names,
                allowed=ALIASES[meaning],
            )
        return column

    def ages(self) -> np.ndarray:
        """log10 of the age in years; the numbers tell whether they are logarithms."""
        ages = self.find("age") if self.find("log_age") is None else None
        ages = self.need("log_age") if ages is None else ages
        if ages.max(initial=0.0) > HIGHEST_LOG_AGE:
            with np.errstate(divide="ignore", invalid="ignore"):
                ages = np.log10(ages)
        wrong = ages[(ages < LOG_AGES[0]) | (ages > LOG_AGES[1])]
        if wrong.size:
            raise InputError(
                f"{self.path.name}: a log age of {wrong[0]:g} is none of a star",
                given=float(wrong[0]),
                allowed=LOG_AGES,
                remedy="give ages in years or their logarithms, not in Myr or Gyr",
            )
        return ages

    def system(self) -> str:
        """The photometric systems that the comments name."""
        found = (re.search(r"photometric system\s*[:=]\s*(.+)", one, re.I) for one in self.comments)
        return "; ".join(dict.fromkeys(match[1].strip() for match in found if match))


_Reader: TypeAlias = Callable[[_Text, str], IsochroneFile]


def read_isochrones(paths: Sequence[str | Path] | str | Path) -> tuple[IsochroneFile, ...]:
    """Read isochrone files; the format is recognised by the content.

    Parameters
    ----------
    paths : str, Path or sequence of them
        Files, or folders whose files (``*.dat``, ``*.iso``, ``*.iso.cmd``) are all read.

    Returns
    -------
    tuple of IsochroneFile

    Raises
    ------
    InputError
        For a file that is missing, empty, binary, truncated, of another format, or of a population.

    Warns
    -----
    PraesepeWarning
        Where a PARSEC file lacks its last line.
    """
    every = [paths] if isinstance(paths, str | Path) else list(paths)
    if not every:
        raise InputError("no isochrone file is given", given=paths, remedy=ALLOWED)
    return tuple(_read(path) for one in every for path in _expand(Path(one)))


def _expand(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    names = {one: one.name.removesuffix(".gz") for one in sorted(path.iterdir())}
    found = [one for one, name in names.items() if name.endswith((".dat", ".iso", ".iso.cmd"))]
    # FSPS keeps lists of metallicities and others beside its isochrones
    found = [one for one in found if re.fullmatch(r"isoc_z.*\.dat", names[one])] or found
    if not found:
        raise InputError(f"the folder {path} holds no isochrones", given=path, remedy=ALLOWED)
    return found


def _read(path: Path) -> IsochroneFile:
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", given=path, remedy=ALLOWED
        ) from error
    text, reader = _parse(path, _plain(path, content))
    return reader(text, hashlib.sha256(content).hexdigest())


def _plain(path: Path, content: bytes) -> bytes:
    """Unpacked, in UTF-8."""
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as packed:
                content = b"".join(unpacked(packed, path))
        except (OSError, EOFError, zlib.error) as error:
            raise unusable(path, f"is damaged or cut off: {error}", AGAIN) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "replace").encode()
    return content


def _parse(path: Path, content: bytes) -> tuple[_Text, _Reader]:
    """Split a text into comments and numbers, find the names of the columns and who reads them."""
    if not content.strip():
        raise unusable(path, "is empty", AGAIN)
    if b"<html" in content[:2000].lower():
        raise unusable(
            path, "is a web page, not the table", "save the file to which the page links"
        )
    if b"\x00" in content:
        raise unusable(path, "is not a text file", ALLOWED)
    comments: list[str] = []
    rows: list[str] = []
    headers: dict[tuple[str, ...], _Reader] = {}
    stated: list[tuple[float, int]] = []
    metallicity, block = np.nan, 0
    shown: tuple[str, ...] = ("none",)
    for line in filter(None, map(str.strip, content.decode("utf-8-sig", "replace").splitlines())):
        names = tuple(line.lstrip("# \t").split())
        if not line.startswith("#") and (rows or not (reader := _reader_of(names))):
            rows.append(line)
            stated.append((metallicity, block))
            continue
        comments.append(line)
        if reader := _reader_of(names):
            headers[names] = reader
            block += 1
        told = _stated_metallicity(comments[-2:])
        metallicity = metallicity if told is None else told
        shown = shown if rows else names
    if not headers:
        columns = ", ".join(shown[:12])
        raise unusable(path, f"is not an isochrone file (columns: {columns})", ALLOWED)
    if not rows:
        raise unusable(path, "is truncated: it has no rows", AGAIN)
    if len(headers) > 1:
        one, other = (" ".join(names) for names in list(headers)[:2])
        raise unusable(
            path,
            f"has isochrones of different columns ({one}; {other})",
            "split it into files that have the same",
        )
    ((names, reader),) = headers.items()
    ended = content.rstrip(b" \t").endswith(b"\n") or not line.endswith(rows[-1])
    table = _table(rows, names, path, ended=ended)
    return _Text(path, tuple(comments), names, table, *np.transpose(stated)), reader


def _table(rows: list[str], names: Sequence[str], path: Path, *, ended: bool) -> np.ndarray:
    """The numbers (row, column); at the end of a row a label may stand, or be missing.

    Asterisks, which Fortran writes for numbers too long, are NaN. `ended` tells whether the last
    row ends with its line.
    """
    try:
        table = np.loadtxt(rows, ndmin=2)
        if table.shape[1] == len(names):
            return table
    except ValueError:
        pass
    labelled = names[-1].lower() in map(str.lower, ALIASES["phase"])
    n = len(names) - labelled
    table = np.full((len(rows), len(names)), np.nan)
    bare = []
    for i, row in enumerate(rows):
        numbers, label = row.split()[:n], row.split(maxsplit=n)[n:]
        numbers = [number if number.strip("*") else "nan" for number in numbers]
        try:
            if len(numbers) < n:
                raise ValueError(f"row {i + 1} has {len(numbers)} columns of {len(names)}")
            table[i, :n] = numbers
        except ValueError as error:
            raise unusable(path, f"is truncated or damaged: {error}", AGAIN) from error
        if not label:
            bare.append(i)
        elif is_number((words := label[0].split())[0]):
            if not labelled or len(words) > 1:
                fault = (
                    f"is truncated or damaged: row {i + 1} has more than its {len(names)} columns"
                )
                raise unusable(path, fault, AGAIN)
            table[i, n] = float(label[0])
    if labelled and not ended and bare == [len(rows) - 1] and len(rows) > 1:
        fault = f"is truncated: its last row has {n} columns of {len(names)}"
        raise unusable(path, fault, AGAIN)
    return table


def _stated_metallicity(comments: Sequence[str]) -> float | None:
    """Z of what follows, by the last line of comment, below names or not; NaN for nonsense."""
    if found := re.search(r"Isochrone\s+Z\s*=\s*(\S+)", comments[-1]):
        return float(found[1]) if is_number(found[1]) else np.nan
    names, values = (line.lstrip("# \t").split() for line in (comments[0], comments[-1]))
    if "Zinit" in names and len(values) == len(names) and is_number(values[names.index("Zinit")]):
        return float(values[names.index("Zinit")])
    return None


def _reader_of(names: Iterable[str]) -> _Reader | None:
    """The reader of the format that has these columns."""
    known = set(map(str.lower, names))
    if {"eep", "initial_mass"} <= known:
        return _read_mist
    if known & {"mini", "m_ini"} and "logte" in known:
        return _read_parsec
    if {"mini", "logt", "logl"} <= known:
        return _read_fsps
    return None


def _read_parsec(text: _Text, checksum: str) -> IsochroneFile:
    """PARSEC and Padova, as the CMD web form writes them: versions 2.3 to 3.x of the form."""
    if "Zini" in text.names and not any("terminated" in line for line in text.comments[-3:]):
        warnings.warn(
            f"{text.path.name} lacks the last line of the CMD form, '#isochrone terminated'; "
            "it may be cut off",
            PraesepeWarning,
            stacklevel=4,
        )
    metallicity, m_h = text.find("z"), text.find("m_h")
    if metallicity is None and (text.stated > 0).all():
        metallicity = text.stated
    if metallicity is None:
        metallicity = text.need("z") if m_h is None else PARSEC_SOLAR_Z * 10.0**m_h
    return _stars(text, "PARSEC", checksum, metallicity, PARSEC_KINDS)


def _read_mist(text: _Text, checksum: str) -> IsochroneFile:
    """MIST .iso and .iso.cmd: block by block in age, one metallicity or, joined, several."""
    _check_mist_is_whole(text)
    if not (text.stated > 0).all():
        raise unusable(text.path, "does not say its Zinit", AGAIN)
    return _stars(text, "MIST", checksum, text.stated, MIST_KINDS)


def _check_mist_is_whole(text: _Text) -> None:
    """Compare the rows and isochrones with the numbers that the file itself states."""
    joined = "\n".join(text.comments)
    rows = [int(n) for n in re.findall(r"number of EEPs, cols\s*=\s*(\d+)", joined)]
    blocks = sum(int(n) for n in re.findall(r"number of isochrones\s*=\s*(\d+)", joined))
    for what, stated, found in (
        ("rows", sum(rows), len(text.table)),
        ("isochrones", blocks, len(rows)),
    ):
        if rows and stated and stated != found:
            fault = f"is truncated: it should have {stated} {what} and has {found}"
            raise unusable(text.path, fault, AGAIN)


def _read_fsps(text: _Text, checksum: str) -> IsochroneFile:
    """FSPS: the metallicity is in the file's name only."""
    stated = re.search(r"z(\d*\.\d+)", text.path.stem)
    metallicity = float(stated[1]) if stated else 0.0
    if not 0 < metallicity < 1:
        raise InputError(
            f"the name {text.path.name!r} does not say the metallicity",
            given=text.path,
            remedy="FSPS names its files like isoc_z0.0200.dat: rename it so",
        )
    column = np.full(len(text.table), metallicity)
    return _stars(text, "FSPS", checksum, column, FSPS_KINDS)


def _stars(
    text: _Text, format_: str, checksum: str, metallicity: np.ndarray, kinds: Mapping[int, int]
) -> IsochroneFile:
    """Gather the columns that the formats share."""
    log_age, initial = text.ages(), text.need("initial_mass")
    _refuse_twice(text.path, metallicity, log_age, text.block, initial)
    log_l, log_teff, log_g = text.need("log_l"), text.need("log_teff"), text.find("log_g")
    _check_units(text.path, metallicity, initial, log_l, log_teff)
    present, phase = text.find("present_mass"), text.find("phase")
    present = initial if present is None else present
    own = surface_gravity(present, log_l, log_teff)
    log_g = own if log_g is None else np.where(np.abs(log_g) < NO_GRAVITY, log_g, own)
    if abs(off := float(np.median(log_g - own))) > GRAVITY_DEX:
        raise InputError(
            f"{text.path.name}: its log g is {off:+.2g} dex (median) off those of its masses, "
            "luminosities and temperatures",
            given=off,
            allowed=(-GRAVITY_DEX, GRAVITY_DEX),
            remedy="give log10 of g in cm/s2, of L in that of the Sun, and of T_eff in K",
        )
    # labels that only some rows have mark points, not phases
    codes = np.zeros(len(initial)) if phase is None or not np.isfinite(phase).all() else phase
    kind = np.array([kinds.get(int(code), 1) for code in np.rint(codes)], dtype=np.uint8)
    kind[(kind == 1) & (initial < LOWEST_MASS_OF_KIND_1)] = 0
    return IsochroneFile(
        initial, present, log_l, log_teff, log_g, kind, text.find("eep"), path=text.path,
        format=format_, sha256=checksum, metallicity=metallicity, log_age=log_age,
        system=text.system(),
    )  # fmt: skip


def _check_units(
    path: Path, metallicity: np.ndarray, initial: np.ndarray, log_l: np.ndarray, log_te: np.ndarray
) -> None:
    """Refuse numbers that are in other units: percent, grams, or no logarithms."""
    found = (
        (metallicity.min(), metallicity.max()),
        (initial.min(), initial.max()),
        (np.median(log_l),),  # the last points of some isochrones are no stars
        (np.median(log_te),),
    )
    for (what, low, high), values in zip(LIMITS, found, strict=True):
        wrong = [float(value) for value in values if not low < value < high]
        if wrong:
            raise InputError(
                f"{path.name}: {what} of {wrong[0]:g} is none of a star",
                given=wrong[0],
                allowed=(low, high),
                remedy="give Z as a fraction, masses in solar ones, and log10 of L and Teff",
            )


def _refuse_twice(
    path: Path, metallicity: np.ndarray, log_age: np.ndarray, block: np.ndarray, initial: np.ndarray
) -> None:
    """Refuse joined files that have one age twice, of two rotations for instance.

    And a population, whose stars come in no order of mass.
    """
    of = np.column_stack([metallicity, np.round(log_age, 4), block])
    changes = (of[1:] != of[:-1]).any(axis=1)
    falls = (initial[1:] < (1 - FALLING_MASS) * initial[:-1]) & ~changes
    if falls.any():
        z, age, _ = of[np.argmax(falls)]
        fault = f"has stars of Z = {z:g} and log age {age:g} whose initial masses do not rise"
        remedy = "give one isochrone of an age, not a simulated population or two isochrones"
        raise unusable(path, fault, remedy)
    begins = of[np.r_[True, changes]]
    found, times = np.unique(begins[:, :2], axis=0, return_counts=True)
    if (times > 1).any():
        z, age = found[times > 1][0]
        fault = f"has two isochrones of Z = {z:g} and log age {age:g}"
        raise unusable(path, fault, "split it, and give one of them")


def summary(files: Sequence[IsochroneFile]) -> str:
    """What isochrone files hold, in one line.

    Parameters
    ----------
    files : sequence of IsochroneFile

    Returns
    -------
    str
        Format, number of files, ages, metallicities, masses, and photometric systems.
    """
    formats = " and ".join(sorted({one.format for one in files}))
    ages, metals, masses = (
        np.unique(np.concatenate([getattr(one, name) for one in files]).round(6))
        for name in ("log_age", "metallicity", "initial_mass")
    )
    ages = np.unique(ages[np.isfinite(ages)].round(4))
    systems = dict.fromkeys(one.system for one in files if one.system)
    return (
        f"{formats}, {len(files)} file{'s' * (len(files) > 1)}: {len(ages)} log ages, {ages[0]:g} "
        f"to {ages[-1]:g}; Z = {', '.join(f'{z:g}' for z in metals)}; initial masses "
        f"{masses[0]:g} to {masses[-1]:g} Msun; {'; '.join(systems) or 'no photometric system'}"
    )
