"""Files of others are read within limits: of what kind, how large, how deep."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import stat
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from praesepe.errors import InputError, unusable

LARGEST_TEXT = 64 * 2**20
"""Bytes of a description (JSON, TOML): a thousand times those that Praesepe writes."""

DEEPEST = 64
"""Lists and tables within each other; Praesepe's own descriptions have about ten."""

LARGEST_RATIO = 50
"""How many times its size a packed file may unpack to: tables take 3 to 20, images 1 to 5."""

FITS_BLOCK = 2880

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}

ALWAYS_ALLOWED = {"text": 2**26, "image": 2**30}
"""Bytes that any packed file may unpack to: an empty image packs to a thousandth of its size."""


def check_regular(path: str | os.PathLike[str]) -> None:
    """Stop at a pipe, a device or a socket, which may have no end; what is missing passes."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise unusable(os.fspath(path), "is a pipe or a device, not a file", "copy it to a file")


def read_text(path: Path, most: int = LARGEST_TEXT) -> str:
    """Text of a file in UTF-8, of at most so many bytes.

    Raises
    ------
    OSError, ValueError
        Where it cannot be read, is too large, or is no UTF-8; for the caller to say what it is.
    """
    check_regular(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most // 2**20} MB")
    return content.decode("utf-8")


def parse_json(text: str) -> Any:
    """What a JSON text says; `ValueError` for what is none, not finite, or nested too deep."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    return check_depth(found)


def read_json(path: Path) -> Any:
    """What a JSON file says; see `read_text` and `parse_json`."""
    return parse_json(read_text(path))


def check_depth(content: Any) -> Any:
    """Return nested lists and dictionaries; `ValueError` where they are too deep."""
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return content
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it has more than {DEEPEST} lists and tables within each other")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number")


def unpacked(packed: Any, path: Path, kind: str = "text") -> Iterator[bytes]:
    """Parts of what a packed file holds; `InputError` where it is a bomb, before it has gone off.

    `packed` is the open stream, `kind` a key of `ALWAYS_ALLOWED`.
    """
    most = left = max(ALWAYS_ALLOWED[kind], LARGEST_RATIO * path.stat().st_size)
    while chunk := packed.read(1 << 22):
        left -= len(chunk)
        if left < 0:
            fault = f"unpacks to more than {most // 2**20} MB, {LARGEST_RATIO} times its size"
            raise unusable(path, fault, "unpack it, and give what is in it")
        yield chunk


def check_packed(path: Path) -> None:
    """Stop at a bomb, where a library unpacks by itself; what is not packed, or damaged, passes."""
    with suppress(OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile):
        with path.open("rb") as file:
            start = file.read(6)
        if start.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    with archive.open(name) as packed:
                        deque(unpacked(packed, path), maxlen=0)
        for magic, opener in _OPENERS.items():
            if start.startswith(magic):
                with opener(path) as packed:
                    deque(unpacked(packed, path), maxlen=0)


def lost_bytes(path: str | os.PathLike[str]) -> str:
    """What is to be said of a plain FITS file not made of whole blocks; of others nothing."""
    with open(path, "rb") as file:
        is_plain = file.read(9) == b"SIMPLE  ="
    if not is_plain or os.path.getsize(path) % FITS_BLOCK == 0:
        return ""
    return (
        f"its size is no multiple of {FITS_BLOCK} bytes, as that of whole FITS files; where some "
        "were lost or added, what is behind them is shifted. Fetch it again, or save it again "
        "where its writer was careless"
    )


def reserve(handle: int, n_bytes: int) -> None:
    """Let an open file have its space on the disk; `OSError` where that is full.

    A write into a mapped page that the disk cannot hold would end the process without a word.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, n_bytes)
    else:
        os.truncate(handle, n_bytes)


def check_memory(n_bytes: float, what: str, remedy: str = "ask for less") -> None:
    """Stop before anything is allocated where the machine's memory cannot hold it."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return
    if n_bytes > total:
        raise InputError(
            f"{what} takes {n_bytes / 1e9:,.1f} GB of memory, but the machine has "
            f"{total / 1e9:,.1f} GB",
            given=n_bytes,
            allowed=f"at most {total} bytes",
            remedy=remedy,
        )
