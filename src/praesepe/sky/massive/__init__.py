"""Massive clusters, whose stars blend: the annuli they are divided into, and diffuse light.

Nothing here concerns other clusters; docs/theory.md, section 6, explains it.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "annuli": "Annuli",
        "clusters": "MassiveClusterSampler MassiveClusterStars",
        "diffuse": "DiffuseLight",
        "importance": "ImportanceSampling",
        "sampler": "CrowdedSampler CrowdedStars",
    },
)
