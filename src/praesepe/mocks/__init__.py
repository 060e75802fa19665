"""Artificial clusters in files: stamps, sets, whole mosaics, injection, star fields."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "build_fields": f"{__name__}.fields",
        "inject": f"{__name__}.injection",
        "simulate": f"{__name__}.sets",
        "simulate_mosaic": f"{__name__}.mosaic_files",
    },
)
