"""Tables as CSV, which has one text in each cell."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from praesepe.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table

_FORMULA = re.compile(r"[=+\-@\t\r]")
"""How texts begin that a spreadsheet computes."""


def write_csv(table: Table, path: Path, *, escape_formulas: bool) -> None:
    """CSV; a first value that begins with # in quotation marks, or the row would be a comment."""
    text = io.StringIO(newline="")
    table.write(text, format="ascii.csv")
    rows = csv.reader(io.StringIO(text.getvalue(), newline=""))
    with path.open("w", encoding="utf-8", newline="") as file:
        plain, quoted = (
            csv.writer(file, lineterminator="\n", quoting=how)
            for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        for row in rows:
            if escape_formulas:
                row = ["'" * _is_formula(cell) + cell for cell in row]
            (quoted if row and row[0].startswith("#") else plain).writerow(row)


def _is_formula(cell: str) -> bool:
    """Whether a spreadsheet computes a cell that is no number."""
    if not _FORMULA.match(cell):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def check_csv(table: Table) -> None:
    """Refuse columns of arrays."""
    wide = [
        name
        for name in table.colnames
        if len(getattr(table[name], "shape", (0,))) > 1
        or (
            getattr(table[name], "dtype", None) is np.dtype(object)
            and any(map(np.ndim, table[name]))
        )
    ]
    if wide:
        raise InputError(
            f"columns {', '.join(wide)} hold arrays, which CSV cannot",
            given=wide,
            remedy="write .ecsv or .fits",
        )
