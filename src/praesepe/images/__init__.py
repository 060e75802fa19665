"""Mosaics in, stamps out; catalogs in, tables out: everything that touches files of images.

The names below are loaded when first used, so that importing this package needs no astropy.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "catalog.catalogs": "Catalog",
        "catalog.region_files": "write_regions",
        "catalog.tables": "write_table",
        "inputs": "Reading",
        "mosaic.cutouts": "Stamps extract_stamps iter_stamps",
        "mosaic.mosaic": "Mosaic",
        "praesepe.flags": "Flag",
    },
)
