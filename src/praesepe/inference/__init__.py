"""From mosaics and a catalog to measured clusters.

`predict` measures, `Result` is what it returns; draws in files and photometry of stamps lie beside.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Result": "praesepe.inference.result",
        "aperture_flux": "praesepe.inference.photometry",
        "predict": "praesepe.inference.prediction",
        "read_samples": "praesepe.inference.draws",
    },
)
