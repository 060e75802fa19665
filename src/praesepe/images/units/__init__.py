"""From the numbers in an image to electrons per second: units, zero points, filters."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {"zero_points": "hst_zero_point"})
