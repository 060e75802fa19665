"""What the files that a survey names hold: checksums, whatever the files are called.

A survey is the same survey on another machine, or after a folder has moved; it is another one as
soon as a PSF or a filter curve is replaced. So fingerprints are of contents, never of paths.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

FILES = (("observation", "bands", "psf", "file"), ("galaxy", "field", "files"))
"""Keys of a survey that name a file or a folder."""

WORDS_OR_FILES = (("observation", "bands", "filter"), ("galaxy", "field", "history"))
"""Keys that name a file, or something known by a word: the filter ``acs_wfc_f814w``."""

_CAMERA_AND_FILTER = re.compile(
    r"(?:HST[ /])?[A-Z0-9]+/[A-Z0-9]+ [A-Z]+[0-9]*[A-Z0-9]*", re.IGNORECASE
)


def with_files(
    content: Any, change: Callable[[str, bool], str], place: tuple[str, ...] = ()
) -> Any:
    """Change the names of files in a survey's nested dictionaries, which may be faulty.

    `change` makes a new name of a name, and of whether it may be a word of `WORDS_OR_FILES`;
    `place` are the keys that lead to `content`.
    """
    if isinstance(content, dict):
        return {key: with_files(value, change, (*place, key)) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [with_files(value, change, place) for value in content]
    may_be_word = place in WORDS_OR_FILES
    if isinstance(content, str) and (may_be_word or place in FILES):
        return change(content, may_be_word)
    return content


def is_path(name: str) -> bool:
    """Whether a name means a file: it has an ending, or a folder; not so ``"ACS/WFC F814W"``."""
    if _CAMERA_AND_FILTER.fullmatch(name):
        return False
    return bool(Path(name).suffix) or len(Path(name).parts) > 1


def checksum(name: str, may_be_word: bool = False) -> str:
    """SHA-256 of a file, or of a folder with its files' names.

    A word stands for itself, a file that is not there for its name without its folder.
    """
    path = Path(name)
    if may_be_word and not is_path(name):
        return name
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
