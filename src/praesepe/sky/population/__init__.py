"""Stars of clusters and fields: tables, sampling, and the light that is not resolved.

What one star does stands in `praesepe.stars`; `binaries` and `extinction` here are what it makes of
the sums over a population.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "binaries": "Companions",
        "isochrone": "IsochroneNodes",
        "points": "Points Stars",
        "sampler": "StarSampler",
        "tables": "IsochroneTables",
    },
)
