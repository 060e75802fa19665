"""Mosaics in, stamps out; catalogs in, tables out: everything that touches files of images.

The names below are loaded when first used, so that importing this package needs no astropy.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Catalog": "praesepe.images.catalogs",
        "Flag": "praesepe.flags",
        "Mosaic": "praesepe.images.mosaic",
        "Stamps": "praesepe.images.cutouts",
        "extract_stamps": "praesepe.images.cutouts",
        "iter_stamps": "praesepe.images.cutouts",
        "write_regions": "praesepe.images.region_files",
        "write_table": "praesepe.images.tables",
    },
)
