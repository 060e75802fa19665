"""Filter curves in tables that name the unit of their wavelengths: FITS, ECSV, VOTable."""

from __future__ import annotations

import re
import warnings
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

COLUMNS = (r"(?i)wave|lambda|wl\b", r"(?i)through|transm|response|t$")
ADVICE = "give a table with a column WAVELENGTH, with its unit, and a column THROUGHPUT"


def table_lines(path: Path) -> list[str]:
    """The curve of a table as lines of text; its comment says Angstrom if the table has a unit."""
    from astropy.table import Table

    check_regular(path)
    format_ = TABLES[path.suffix.lower()]
    try:
        if format_ == "votable":
            refuse_links(path.name, votable_links(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units as synphot writes them
            table = Table.read(path, format=format_)
        names = [next((n for n in table.colnames if re.search(one, n)), None) for one in COLUMNS]
        if None in names:
            fault = f"is not a filter curve: its columns are {listed(table.colnames)}"
            raise unusable(path, fault, ADVICE)
        wave, through = (np.ravel(np.ma.filled(table[n].astype(float), np.nan)) for n in names)
        factor = _in_angstrom(table[names[0]].unit)
    except InputError:
        raise
    except Exception as error:  # whatever the readers of three formats raise
        fault = f"is not a filter curve ({reason(error)})"
        raise unusable(path, fault, ADVICE) from error
    rows = [f"{w:.17g} {t:.17g}" for w, t in zip(wave * (factor or 1.0), through, strict=True)]
    return ["# Angstrom" if factor else "#", *rows]


def _in_angstrom(unit: Any) -> float | None:
    """Factor to Angstrom of a column's unit; None where it has none."""
    from astropy import units

    text = str(unit or "").strip()
    if text.lower().rstrip("s") in {"angstrom", "a", "aa"}:
        return 1.0
    return float(units.Unit(text).to(units.Angstrom)) if text else None
