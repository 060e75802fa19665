"""Images of several bands on one pixel grid, and the stamps that are cut from them."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "band_images": "BandImage",
        "cutouts": "Stamps extract_stamps iter_stamps",
        "grid": "reproject survey_grid",
        "mosaic": "Mosaic",
    },
)
