"""Reading the embedded stellar data, with their checksums checked."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from praesepe.errors import PraesepeError

ISOCHRONES = "isochrones.npz"

DATA = Path(__file__).parents[1] / "data" / "stellar"

ADVICE = "Install the package again, or rebuild it with tools/build_stellar_grid.py."


def embedded_key(name: str) -> str:
    """First digits of the SHA-256 of an embedded file, as recorded when it was made."""
    return _recorded(name)[:12]


def read_embedded(name: str) -> dict[str, np.ndarray]:
    """Arrays of one file of the embedded stellar model.

    Parameters
    ----------
    name : str
        ``"isochrones.npz"`` or ``"spectra.npz"``.

    Raises
    ------
    PraesepeError
        Where a file is missing, or is not the one that `provenance.json` describes.
    """
    expected = _recorded(name)
    content = (DATA / name).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise PraesepeError(
            f"{name} is damaged: its SHA-256 is {found[:12]}…, its record says "
            f"{expected[:12]}…. {ADVICE}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _recorded(name: str) -> str:
    """SHA-256 that an embedded file was recorded with."""
    try:
        if not (DATA / name).is_file():
            raise FileNotFoundError(f"no file {name}")
        record = json.loads((DATA / "provenance.json").read_text())
        return str(record["files_sha256"][name])
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise PraesepeError(
            f"the embedded stellar model is incomplete: {error}. {ADVICE}"
        ) from error
