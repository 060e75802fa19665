"""From a file, an array or an address to pixels: which image it is, its WCS, its gaps."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "gaps": "Gaps find_gaps",
        "pixels": "Pixels",
        "remote": "RemoteArray",
        "source": "Source open_image",
    },
)
