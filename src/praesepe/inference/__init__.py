"""From mosaics and a catalog to measured clusters.

`predict` measures, `Result` is what it returns; draws in files, twins of the
clusters and photometry of stamps lie beside.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "draws": "read_samples",
        "photometry": "aperture_flux",
        "prediction": "predict",
        "result": "Result",
        "twins": "Twins",
    },
)
