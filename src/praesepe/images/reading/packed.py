"""What opens a packed file, by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zipfile
from typing import Any

from praesepe.errors import InputError, listed, reason


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
            f"{path}: the archive cannot be read: {reason(error)}", remedy="unpack it"
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
