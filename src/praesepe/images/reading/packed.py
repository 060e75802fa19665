"""Packed files: what opens them, by their first bytes, and plain copies of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from praesepe.bounded import unpacked
from praesepe.errors import InputError, listed
from praesepe.images.reading.damage import packed_fault
from praesepe.images.reading.pixels import scratch_error
from praesepe.temporary import scratch_file


def damaged(given: str, fault: str) -> InputError:
    """The error for a file that cannot be read to its end."""
    return InputError(f"{given}: {fault}", given=given, remedy="fetch it again")


def _open_zip(path: Any, mode: str) -> Any:
    """Open the only file of an archive, or its only FITS file."""
    try:
        archive = zipfile.ZipFile(path)
        names = [one.filename for one in archive.infolist() if not one.is_dir()]
        names = [name for name in names if not name.startswith("__MACOSX/")]
        fits_names = [name for name in names if ".fit" in name.lower()]
        choice = names if len(names) == 1 else fits_names
        if len(choice) != 1:
            raise InputError(
                f"{path}: the archive holds {listed(names[:10])}",
                given=names,
                remedy="unpack it, and give the file of the image",
            )
        return archive.open(choice[0])
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{path}: the archive is damaged, encrypted, or packed in a way that is not read",
            given=path,
            remedy="unpack it",
        ) from error


def _refuse_packed(path: Any, mode: str) -> Any:
    raise InputError(
        f"{path} is compressed in a way that is not read (.Z, .zst or .7z)",
        given=os.fspath(path),
        allowed=".gz, .bz2, .xz, .zip, .fz",
        remedy="unpack it",
    )


DECOMPRESS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"PK\x03\x04": _open_zip,
    **dict.fromkeys((b"\x1f\x9d", b"\x1f\xa0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"), _refuse_packed),
}


def starts_with(path: str, magic: bytes) -> bool:
    """Whether these are the first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def check_fits(path: str | Path, label: str) -> None:
    """Refuse a file that is no FITS; astropy would answer with advice about its own options."""
    try:
        with (_decompressor(Path(path)) or open)(path, "rb") as file:
            start = file.read(512)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise damaged(label, f"cannot read {path}: {packed_fault(error)}") from error
    if start[257:262] == b"ustar":
        raise InputError(
            f"{label} is a tar archive", given=os.fspath(path), remedy="unpack it, and give a file"
        )
    if not start.startswith(b"SIMPLE  ="):
        raise InputError(
            f"{label} is {'not a FITS file' if start else 'empty'}",
            given=os.fspath(path),
            allowed="FITS, also compressed as .gz, .bz2, .xz, .zip or .fz",
            remedy="give a FITS file (it may be compressed as .gz, .bz2, .xz, .zip or .fz), or "
            "fetch it again where it should be one",
        )


def _decompressor(path: Path) -> Any:
    """What opens a file that is compressed, by its first bytes; None for a plain one."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((open_ for magic, open_ in DECOMPRESS.items() if start.startswith(magic)), None)


@contextmanager
def uncompressed(path: Path, label: str) -> Iterator[str]:
    """Yield a path to the plain file: itself, or a temporary copy of what was packed."""
    try:
        opener = _decompressor(path)
    except OSError as error:
        raise InputError(
            f"{label}: cannot read {path}: {error.strerror}", given=path, remedy="correct its path"
        ) from error
    if opener is None:
        yield str(path)
        return
    with scratch_file(".fits") as plain:
        with opener(path, "rb") as packed:
            unpack(packed, plain, label, path)
        with uncompressed(Path(plain.name), label) as inner:  # a .fits.gz in a .zip
            yield inner


def unpack(packed: Any, plain: Any, label: str, path: Path) -> None:
    """Copy a compressed stream of a file; tell a damaged source from a full disk."""
    parts = unpacked(packed, path, "image")
    while True:
        try:
            chunk = next(parts, b"")
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            fault = f"the compressed file is truncated or damaged: {packed_fault(error)}"
            raise damaged(label, fault) from error
        if not chunk:
            break
        try:
            plain.write(chunk)
        except OSError as error:
            raise scratch_error(error) from error
    plain.flush()
