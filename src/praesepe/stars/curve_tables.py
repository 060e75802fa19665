"""Filter curves in tables that name the unit of their wavelengths: FITS, ECSV, VOTable."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from praesepe.bounded import check_regular
from praesepe.errors import InputError, listed, reason, unusable
from praesepe.links import refuse_links, votable_links

TABLES = {
    ".fits": "fits", ".fit": "fits", ".ecsv": "ascii.ecsv", ".vot": "votable", ".xml": "votable",
    ".votable": "votable",
}  # fmt: skip
"""Formats, as astropy calls them, by the ending of a file."""

COLUMNS = ((r"wave|lambda|wl\b",), (r"through|transm|response", r"t$"))
"""Parts of the names of wavelengths and throughputs, the surest first."""

ERRORS = r"(?i)err|unc|sigma|std"
ENERGY = re.compile(r"<PARAM\b[^>]*\bDetectorType\b[^>]*>", re.IGNORECASE)
ADVICE = "give a table with a column WAVELENGTH, with its unit, and a column THROUGHPUT"


def table_lines(path: Path) -> list[str]:
    """The curve of a table as lines of text.

    Its comment says Angstrom where the table has a unit, and energy where it says so of the
    detector, as the SVO's do.
    """
    from astropy.table import Table

    check_regular(path)
    format_ = TABLES[path.suffix.lower()]
    try:
        if format_ == "votable":
            refuse_links(path.name, votable_links(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units as synphot writes them
            table = Table.read(path, format=format_)
        names = [_column(path, table.colnames, parts) for parts in COLUMNS]
        wave, through = (np.ravel(np.ma.filled(table[n].astype(float), np.nan)) for n in names)
        factor = _in_angstrom(path, table[names[0]].unit)
        text = path.read_text(errors="replace") if format_ == "votable" else ""
    except InputError:
        raise
    except Exception as error:  # whatever the readers of three formats raise
        fault = f"is not a filter curve ({reason(error)})"
        raise unusable(path, fault, ADVICE) from error
    rows = [f"{w:.17g} {t:.17g}" for w, t in zip(wave * (factor or 1.0), through, strict=True)]
    energy = any(re.search(r"value\s*=\s*.0", param) for param in ENERGY.findall(text))
    return [f"# {'Angstrom' if factor else ''} {'energy' if energy else ''}", *rows]


def _column(path: Path, names: Sequence[str], parts: Sequence[str]) -> str:
    """The only column whose name has one of the parts, errors aside."""
    names = [name for name in names if not re.search(ERRORS, name)]
    for part in parts:
        found = [name for name in names if re.search(f"(?i){part}", name)]
        if len(found) > 1:
            fault = f"holds several curves: its columns {listed(found)} may be meant"
            raise unusable(path, fault, "give a table of one curve")
        if found:
            return found[0]
    fault = f"is not a filter curve: its columns are {listed(names)}"
    raise unusable(path, fault, ADVICE)


def _in_angstrom(path: Path, unit: Any) -> float | None:
    """Factor to Angstrom of a column's unit; None where it has none."""
    from astropy import units

    text = str(unit or "").strip()
    if not text:
        return None
    word = re.sub("(?<=[a-z])s$", "", text.lower())
    for one in ("Angstrom" if word in {"angstrom", "a", "aa"} else text, word):
        with contextlib.suppress(ValueError, TypeError):
            return float(units.Unit(one).to(units.Angstrom))
    fault = f"is not a filter curve: its wavelengths are in {text!r}, which is no length"
    raise unusable(path, fault, ADVICE)
