"""Checksums of files of mocks: what was damaged or changed since it was written is not used."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from praesepe.files import parts_of_zarr

ZARR_SUFFIX = ".zarr"
KEYWORD = "CHECKSUM"
"""FITS keyword of each extension, and attribute of a Zarr group."""


def add_checksum(path: Path) -> None:
    """Write the checksum of a complete file into it.

    In FITS that is CHECKSUM and DATASUM of each extension, as the standard has them; room for them
    in the header spares a second writing of the data. In Zarr it is a SHA-256 of all names,
    chunks and attributes, so that a missing chunk, which Zarr reads as zeros, is found too.
    """
    if path.suffix.lower() == ZARR_SUFFIX:
        import zarr

        root: Any = zarr.open_group(path, mode="r+", zarr_format=3)
        root.attrs[KEYWORD] = _of_zarr(path, dict(root.attrs))
        return
    from astropy.io import fits

    with fits.open(path, mode="update") as file:
        for extension in file:
            extension.add_checksum()


def is_intact(path: Path) -> bool:
    """Whether a file can be read and fits its checksum; those of earlier versions have none."""
    try:
        if path.suffix.lower() == ZARR_SUFFIX:
            import zarr

            told = dict(zarr.open_group(path, mode="r", zarr_format=3).attrs)
            return KEYWORD not in told or told[KEYWORD] == _of_zarr(path, told)
        from astropy.io import fits

        with warnings.catch_warnings(action="ignore"), fits.open(path) as file:
            verified = {extension.verify_checksum() for extension in file}
            return len(file) > 1 and verified in ({1}, {2})  # 1: it fits, 2: there is none
    except Exception:  # whatever a library makes of damage
        return False


def _of_zarr(group: Path, attributes: dict[str, Any]) -> str:
    """SHA-256 of a group's attributes and of all other files that belong to it."""
    told = {key: value for key, value in attributes.items() if key != KEYWORD}
    total = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name in parts_of_zarr(group):
        if name != "zarr.json":
            with (group / name).open("rb") as file:
                total.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
