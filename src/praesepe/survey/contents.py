"""What the files that a survey names hold: checksums, whatever the files are called.

A survey is the same survey on another machine, or after a folder has moved; it is another one as
soon as a PSF or a filter curve is replaced. So fingerprints are of contents, never of paths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from praesepe.survey.schema import Survey


def file_hashes(survey: Survey) -> dict[str, str]:
    """Checksums of the files and folders that a survey names.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    dict of str to str
        By the place in the survey, such as ``"bands.F814W.psf.file"``. A file that is not there is
        told by its name without its folder. Isochrones have keys of their own (`praesepe.stars`).
    """
    return {place: _checksum(Path(name)) for place, name in _named_files(survey)}


def _named_files(survey: Survey) -> Iterator[tuple[str, str]]:
    """Places in a survey that name a file or a folder, and the names."""
    for band in survey.bands:
        if is_path(band.filter):
            yield f"bands.{band.name}.filter", band.filter
        if band.psf.file is not None:
            yield f"bands.{band.name}.psf.file", band.psf.file
    field = survey.galaxy.field
    if field.files is not None:
        yield "field.files", field.files
    if is_path(field.history):
        yield "field.history", field.history


def is_path(name: str) -> bool:
    """Whether a name means a file: it has an ending, or a folder."""
    return bool(Path(name).suffix) or len(Path(name).parts) > 1


def _checksum(path: Path) -> str:
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()} {_of_file(file)}\n".encode())
        return total.hexdigest()
    return _of_file(path) if path.is_file() else f"not found: {path.name}"


def _of_file(path: Path) -> str:
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _read(path: Path, modified_ns: int, size: int) -> str:
    """SHA-256 of a file; read again only where it has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
