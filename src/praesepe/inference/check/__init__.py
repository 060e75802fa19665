"""Whether images are like those that a model was trained on, measured before anything else."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "checking": "Check check_images",
        "measured": "measure_mosaic psf_widths",
        "registration": "Registration register",
        "rows": "Row",
    },
)
