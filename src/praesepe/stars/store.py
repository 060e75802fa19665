"""Stellar models by name: the embedded one, and those that the user imported."""

from __future__ import annotations

import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from praesepe.bounded import check_regular, parse_json
from praesepe.errors import (
    InputError,
    already_exists,
    check_type,
    must_be,
    reason,
    unknown,
    unusable,
)
from praesepe.files import atomic, make_folder, refuse_inputs
from praesepe.locks import working_folder
from praesepe.provenance import now
from praesepe.stars.assembly import are_stars, assemble
from praesepe.stars.embedded import ISOCHRONES, embedded_key
from praesepe.stars.ends import check_ends, check_steps
from praesepe.stars.isochrones import IsochroneGrid, pack, unpack
from praesepe.stars.readers import read_isochrones, summary
from praesepe.version import __version__

EMBEDDED = "sse"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RECORD = "provenance"
DAMAGED_ARCHIVE = (BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""What `zipfile` raises besides: for flipped bits also that a method or a password is unknown."""


def folder() -> Path:
    """Where imported models are.

    ``$PRAESEPE_DATA/stars``, else ``$XDG_DATA_HOME/praesepe/stars``, which is
    ``~/.local/share/praesepe/stars`` by default. It need not exist.
    """
    own = os.environ.get("PRAESEPE_DATA")
    if own:
        return Path(own).expanduser() / "stars"
    shared = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(shared).expanduser() / "praesepe" / "stars"


def isochrone_names() -> tuple[str, ...]:
    """Names of all stellar models: the embedded one first, then the imported ones.

    Returns
    -------
    tuple of str
    """
    return (EMBEDDED, *sorted(path.stem for path in folder().glob("*.npz")))


def load_isochrones(name: str | Path = EMBEDDED) -> IsochroneGrid:
    """Load a stellar model by its name, or from its file.

    Parameters
    ----------
    name : str or Path
        ``"sse"`` (embedded), a name given to ``praesepe stars import``, or the path of an npz file
        that `write_grid` wrote.

    Returns
    -------
    IsochroneGrid

    Raises
    ------
    InputError
        For an unknown name (with the nearest), or a file that is not such a grid.
    """
    if name == EMBEDDED:
        return IsochroneGrid.embedded()
    return read_grid(path_of(name))[0]


def key_of(name: str | Path) -> str:
    """Checksum of what a stellar model holds: equal content, equal key, whatever its name."""
    return embedded_key(ISOCHRONES) if name == EMBEDDED else load_isochrones(name).key


def path_of(name: str | Path) -> Path:
    """File of an imported model.

    Parameters
    ----------
    name : str or Path
        A name, or the path of an npz file (told from a name by its ending or a separator).

    Raises
    ------
    InputError
        Where no model has that name.
    """
    check_type("stellar model", name, (str, Path), ("a name", "the path of an npz file"))
    if isinstance(name, Path) or name.endswith(".npz") or len(Path(name).parts) > 1:
        return Path(name)
    path = folder() / f"{name}.npz"
    if not NAME.fullmatch(name) or not path.is_file():
        code = "praesepe.import_isochrones(files, name=…)"
        raise unknown("stellar model", name, isochrone_names(), "Import it", code=code)
    return path


def is_there(name: str | Path) -> bool:
    """Whether a stellar model can be loaded: the embedded one, an imported one, or a file."""
    if name == EMBEDDED:
        return True
    try:
        return path_of(name).is_file()
    except InputError:
        return False


class ImportedIsochrones(NamedTuple):
    """A stellar model that surveys can name.

    Attributes
    ----------
    path : Path
        The file that was written.
    grid : IsochroneGrid
        Its isochrones.
    """

    path: Path
    grid: IsochroneGrid


def import_isochrones(
    files: Sequence[str | Path], *, name: str, overwrite: bool = False
) -> ImportedIsochrones:
    """Turn downloaded isochrones into a model that surveys can name.

    Parameters
    ----------
    files : sequence of str or Path
        PARSEC, MIST or FSPS files, or folders of them: see `praesepe.stars.readers`.
    name : str
        Letters, digits, dots, dashes and underscores; ``"sse"`` is taken.
    overwrite : bool
        Whether a model of that name may be replaced.

    Returns
    -------
    ImportedIsochrones

    Raises
    ------
    InputError
        For a name that cannot be used, files that are no isochrones, or isochrones that lack stars
        of their age.

    Warns
    -----
    PraesepeWarning
        Where isochrones end before those of other ages or of SSE do, unevolved stars are off those
        of SSE, or ages are far apart.
    """
    check_type("the name of a stellar model", name, str, "a text")
    if name == EMBEDDED:
        raise unusable(name, "is the name of the embedded model", "choose another")
    if not NAME.fullmatch(name) or name.endswith(".npz"):
        allowed = "letters, digits, dots, dashes and underscores"
        raise must_be("the name of a stellar model", name, allowed)
    path = folder() / f"{name}.npz"
    refuse_inputs([path], files)
    if path.exists() and not overwrite:
        raise already_exists(path)
    with working_folder(path.parent):
        read = read_isochrones(files)
        grid = assemble(read)
        check_steps(grid.log_age)
        for one in read:
            check_ends(one, are_stars(one))
        record = {
            "sources": [{"file": one.path.name, "sha256": one.sha256} for one in read],
            "read": summary(read),
            "format": ", ".join(sorted({one.format for one in read})),
        }
        write_grid(path, grid, record=record, overwrite=overwrite)
        return ImportedIsochrones(path, grid)


def write_grid(
    path: str | Path,
    grid: IsochroneGrid,
    *,
    record: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a grid and where it comes from; a kill at any moment leaves no half file.

    Parameters
    ----------
    path : str or Path
        An npz file; its folder is made where it is missing.
    grid : IsochroneGrid
    record : dict, optional
        What is known about the origin; date, version and key are added.
    overwrite : bool

    Raises
    ------
    InputError
        Where the file exists and `overwrite` is False.
    """
    path = Path(path)
    record = {**(record or {}), "date": now(), "version": __version__, "key": grid.key}
    make_folder(path.parent)
    with atomic(path, overwrite=overwrite) as part, part.open("wb") as file:
        np.savez_compressed(
            file, allow_pickle=False, **{RECORD: np.array(json.dumps(record))}, **pack(grid)
        )


def read_grid(path: str | Path) -> tuple[IsochroneGrid, dict[str, Any]]:
    """A grid and the record of its origin.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or not a grid of isochrones.
    """
    check_regular(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise unusable(path, f"cannot be read: {error.strerror}", "import it again") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        record = parse_json(str(arrays.pop(RECORD)))
        grid = unpack(arrays)
        if record["key"] != grid.key:
            raise ValueError("its content is not the one that was written")
    except (LookupError, TypeError, ValueError, EOFError, OSError, *DAMAGED_ARCHIVE) as error:
        fault = f"is not a grid of isochrones, or is damaged ({reason(error)})"
        raise unusable(path, fault, "import it again") from error
    return grid, record


def sources(record: dict[str, Any]) -> str:
    """The names of the files a model was made of, in one line."""
    files: Iterable[dict[str, str]] = record.get("sources", ())
    return ", ".join(one["file"] for one in files) or "unknown"
