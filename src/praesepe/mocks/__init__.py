"""Artificial clusters in files: stamps, sets, whole mosaics, injection, star fields."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "fields": "build_fields",
        "injection": "inject",
        "mosaic_files": "simulate_mosaic",
        "sets": "simulate",
    },
)
