"""From light to a mosaic: point spread function, rendering, detector, noise, artefacts."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "detector": "Detector Sky",
        "nuisances": "draw_nuisances",
        "optics": "describe_optics",
        "psf": "band_psf",
        "psf_files": "PSFFile load_psf_file",
        "render": "Renderer",
    },
)
