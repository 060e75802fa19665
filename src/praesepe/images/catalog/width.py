"""How many columns a catalog has, before its values are read."""

from __future__ import annotations

import gzip
from pathlib import Path

from praesepe.errors import InputError

MOST_COLUMNS = 4000
"""Several times those of the widest catalogs that are published."""


def check_columns(n: int, label: str) -> None:
    """Stop at a catalog of more columns than any real one has."""
    if n > MOST_COLUMNS:
        raise InputError(
            f"{label} has {n} columns, more than the {MOST_COLUMNS} that are read",
            given=n,
            allowed=f"at most {MOST_COLUMNS}",
            remedy="keep those of positions and ids, and the others that the result shall have",
        )


def width_of_text(path: Path) -> int:
    """Columns in the first line of a text that is no comment: the names, where they have a line."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        first = next((line for line in file if line.strip() and line[:1] not in (b"#", b"\\")), b"")
    return max(len(first.split()), first.count(b"|") - 1, first.count(b",") + 1)


def width_of_votable(path: Path) -> int:
    """Columns of a VOTable above its first data."""
    from astropy.utils.xml.iterparser import get_xml_iterator

    n = 0
    with get_xml_iterator(path) as elements:
        for begins, tag, _, _ in elements:
            if begins and tag == "DATA":
                break
            n += begins and tag == "FIELD"
    return n
