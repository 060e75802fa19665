"""Reading the isochrones that users download: PARSEC, MIST and FSPS, told apart by content."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TypeAlias

import numpy as np

from praesepe.errors import InputError, PraesepeWarning
from praesepe.stars.isochrones import Isochrone, surface_gravity

ALLOWED = (
    "give the output of the PARSEC CMD web form, a MIST .iso or .iso.cmd file, or an isoc_z….dat "
    "file or folder of FSPS"
)
PARSEC_SOLAR_Z = 0.0152
"""Present solar metallicity of PARSEC (Bressan et al. 2012), for files with [M/H] alone."""
LOWEST_MASS_OF_KIND_1 = 0.7
"""Msun; Hurley, Pols & Tout (2000) count main-sequence stars below it as kind 0."""

# Stellar types of Hurley, Pols & Tout (2000) for the phases of each format. Stars after the
# giant branches count as carbon-oxygen white dwarfs: they shine while they are bright.
PARSEC_KINDS = {0: 1, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 4, 7: 5, 8: 6, 9: 11}
MIST_KINDS = {-1: 1, 0: 1, 2: 3, 3: 4, 4: 5, 5: 6, 6: 11, 9: 7}
FSPS_KINDS = {-1: 1, 0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 11, 7: 1, 8: 4, 9: 7}

ALIASES = {
    "log_age": ("logAge", "log(age/yr)", "log(age)", "log10_isochrone_age_yr"),
    "age": ("Age", "isochrone_age_yr"),
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
"""Names that the formats give to the same column; the first that a file has counts."""


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
    magnitudes : dict of str to ndarray
        The file's own absolute magnitudes, in the system its header names; may be empty.
    """

    path: Path
    format: str
    sha256: str
    metallicity: np.ndarray
    log_age: np.ndarray
    magnitudes: dict[str, np.ndarray]


@dataclass(frozen=True)
class _Text:
    """A file's text, its lines of comment, and its table by column."""

    path: Path
    comments: tuple[str, ...]
    names: tuple[str, ...]
    table: np.ndarray  # (n, columns)

    def find(self, meaning: str) -> np.ndarray | None:
        """Column of a meaning (a key of `ALIASES`), or None."""
        for alias in ALIASES[meaning]:
            if alias in self.names:
                return self.table[:, self.names.index(alias)]
        return None

    def need(self, meaning: str) -> np.ndarray:
        """Column of a meaning that every file must have."""
        column = self.find(meaning)
        if column is None:
            raise InputError(
                f"{self.path.name} has no column {' or '.join(map(repr, ALIASES[meaning]))}; "
                f"its columns are {', '.join(self.names)}"
            )
        return column

    def after(self, name: str) -> dict[str, np.ndarray]:
        """The columns that follow the one of this name."""
        start = self.names.index(name) + 1
        return dict(zip(self.names[start:], self.table.T[start:], strict=True))

    def ages(self) -> np.ndarray:
        """log10 of the age in years."""
        linear = self.find("age")
        if self.find("log_age") is None and linear is not None:
            with np.errstate(divide="ignore"):
                return np.log10(linear)
        return self.need("log_age")


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
        For a file that is missing, empty, binary, truncated, or of another format.

    Warns
    -----
    PraesepeWarning
        Where a PARSEC file lacks its last line.
    """
    every = [paths] if isinstance(paths, str | Path) else list(paths)
    if not every:
        raise InputError(f"no isochrone file is given; {ALLOWED}")
    return tuple(_read(path) for one in every for path in _expand(Path(one)))


def _expand(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.iterdir() if one.name.endswith((".dat", ".iso", ".iso.cmd")))
    if not found:
        raise InputError(f"the folder {path} holds no isochrones; {ALLOWED}")
    return found


def _read(path: Path) -> IsochroneFile:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    text, reader = _parse(path, content)
    return reader(text, hashlib.sha256(content).hexdigest())


def _parse(path: Path, content: bytes) -> tuple[_Text, _Reader]:
    """Split a text into comments and numbers, find the names of the columns and who reads them."""
    if not content.strip():
        raise InputError(f"{path.name} is empty; download it again")
    if content.startswith(b"\x1f\x8b"):
        raise InputError(f"{path.name} is compressed; unpack it first (gunzip)")
    if b"\x00" in content:
        raise InputError(f"{path.name} is not a text file; {ALLOWED}")
    lines = content.decode("utf-8", errors="replace").splitlines()
    comments = tuple(line for line in lines if line.lstrip().startswith("#"))
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    first = next((i for i, line in enumerate(lines) if rows and line is rows[0]), len(lines))
    head = [line for line in lines[:first] if line.lstrip().startswith("#")]
    names = tuple(head[-1].lstrip("# \t").split()) if head else ()
    reader = _reader_of(names)
    if reader is None:
        shown = ", ".join(names[:12]) or "none"
        raise InputError(f"{path.name} is not an isochrone file (columns: {shown}); {ALLOWED}")
    if not rows:
        raise InputError(f"{path.name} is truncated: it has no rows; download it again")
    try:
        table = np.loadtxt(rows, ndmin=2)
    except ValueError as error:
        raise InputError(
            f"{path.name} is truncated or damaged: {str(error).split(';')[0]}; download it again"
        ) from error
    if table.shape[1] != len(names):
        raise InputError(
            f"{path.name} is truncated or damaged: it names {len(names)} columns and has "
            f"{table.shape[1]}; download it again"
        )
    return _Text(path, comments, names, table), reader


def _reader_of(names: Iterable[str]) -> _Reader | None:
    """The reader of the format that has these columns."""
    known = set(names)
    if {"EEP", "initial_mass"} <= known:
        return _read_mist
    if known & {"Mini", "M_ini"} and "logTe" in known:
        return _read_parsec
    if {"Mini", "logt", "logl"} <= known:
        return _read_fsps
    return None


def _read_parsec(text: _Text, checksum: str) -> IsochroneFile:
    """PARSEC, as the CMD web form writes it: versions 2.7 to 3.x of the form."""
    if "Zini" in text.names and "terminated" not in text.comments[-1]:
        warnings.warn(
            f"{text.path.name} lacks the last line of the CMD form, '#isochrone terminated'; "
            "it may be cut off",
            PraesepeWarning,
            stacklevel=4,
        )
    m_h = text.find("m_h") if text.find("z") is None else None
    metallicity = text.need("z") if m_h is None else PARSEC_SOLAR_Z * 10.0**m_h
    return _stars(text, "PARSEC", checksum, metallicity, PARSEC_KINDS, _parsec_magnitudes(text))


def _parsec_magnitudes(text: _Text) -> dict[str, np.ndarray]:
    """Columns after the bolometric magnitude, up to what is no magnitude (version 2)."""
    after = next((text.after(name) for name in ("mbolmag", "mbol") if name in text.names), {})
    bands = takewhile(lambda band: band[0] not in ("int_IMF", "stage", "label"), after.items())
    return {name.removesuffix("mag"): column for name, column in bands}


def _read_mist(text: _Text, checksum: str) -> IsochroneFile:
    """MIST .iso and .iso.cmd: one metallicity, block by block in age."""
    _check_mist_is_whole(text)
    below = (after for line, after in pairwise(text.comments) if "Zinit" in line.split())
    try:
        metallicity = float(next(below, "").lstrip("# ").split()[1])
    except (IndexError, ValueError):
        metallicity = 0.0
    if not metallicity > 0:
        raise InputError(f"{text.path.name} does not say its Zinit; download it again")
    magnitudes = {}
    if "[Fe/H]" in text.names and any("photometric system" in line for line in text.comments):
        magnitudes = text.after("[Fe/H]")
        magnitudes.pop("phase", None)
    column = np.full(len(text.table), metallicity)
    return _stars(text, "MIST", checksum, column, MIST_KINDS, magnitudes)


def _check_mist_is_whole(text: _Text) -> None:
    """Compare the rows and isochrones with the numbers that the file itself states."""
    joined = "\n".join(text.comments)
    rows = [int(n) for n in re.findall(r"number of EEPs, cols\s*=\s*(\d+)", joined)]
    blocks = re.search(r"number of isochrones\s*=\s*(\d+)", joined)
    if rows and sum(rows) != len(text.table):
        raise InputError(
            f"{text.path.name} is truncated: it should have {sum(rows)} rows and has "
            f"{len(text.table)}; download it again"
        )
    if blocks and rows and int(blocks[1]) != len(rows):
        raise InputError(
            f"{text.path.name} is truncated: it should have {blocks[1]} isochrones and has "
            f"{len(rows)}; download it again"
        )


def _read_fsps(text: _Text, checksum: str) -> IsochroneFile:
    """FSPS: the metallicity is in the file's name only."""
    stated = re.search(r"z(\d*\.\d+)", text.path.stem)
    metallicity = float(stated[1]) if stated else 0.0
    if not 0 < metallicity < 1:
        raise InputError(
            f"the name {text.path.name!r} does not say the metallicity; FSPS names its files like "
            "isoc_z0.0200.dat: rename it so"
        )
    column = np.full(len(text.table), metallicity)
    return _stars(text, "FSPS", checksum, column, FSPS_KINDS, {})


def _stars(
    text: _Text,
    format_: str,
    checksum: str,
    metallicity: np.ndarray,
    kinds: Mapping[int, int],
    magnitudes: dict[str, np.ndarray],
) -> IsochroneFile:
    """Gather the columns that the formats share."""
    log_age, initial = text.ages(), text.need("initial_mass")
    log_l, log_teff, log_g = text.need("log_l"), text.need("log_teff"), text.find("log_g")
    present, phase = text.find("present_mass"), text.find("phase")
    present = initial if present is None else present
    if log_g is None:
        log_g = surface_gravity(present, log_l, log_teff)
    codes = np.zeros(len(initial)) if phase is None else phase
    kind = np.array([kinds.get(int(code), 1) for code in np.rint(codes)], dtype=np.uint8)
    kind[(kind == 1) & (initial < LOWEST_MASS_OF_KIND_1)] = 0
    return IsochroneFile(
        initial, present, log_l, log_teff, log_g, kind, text.find("eep"), path=text.path,
        format=format_, sha256=checksum, metallicity=metallicity, log_age=log_age,
        magnitudes=magnitudes,
    )  # fmt: skip
