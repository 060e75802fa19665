"""Mosaics in, stamps out; catalogues in, tables out: everything that touches files of images.

The names below are loaded when first used, so that importing this package needs no astropy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from praesepe.images.catalogs import read_catalog
    from praesepe.images.cutouts import Flag, Stamps, describe_flags, extract_stamps, iter_stamps
    from praesepe.images.mosaic import Mosaic, read_mosaic

_HOME = {
    "Flag": "cutouts",
    "Mosaic": "mosaic",
    "Stamps": "cutouts",
    "check_output": "tables",
    "describe_flags": "cutouts",
    "extract_stamps": "cutouts",
    "iter_stamps": "cutouts",
    "read_catalog": "catalogs",
    "read_mosaic": "mosaic",
    "write_regions": "tables",
    "write_table": "tables",
}

__all__ = [
    "Flag",
    "Mosaic",
    "Stamps",
    "check_output",
    "describe_flags",
    "extract_stamps",
    "iter_stamps",
    "read_catalog",
    "read_mosaic",
    "write_regions",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
