"""Clusters: their parameters and profiles."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "colors": "ClusterColors",
        "parameters": "Clusters draw_clusters",
        "profiles": "PROFILES SpatialProfile",
        "validation": "validate_clusters",
    },
)
