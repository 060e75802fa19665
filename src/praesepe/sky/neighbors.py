"""Second clusters beside those in the middle of stamps."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.contaminants import PointSources
from praesepe.sky.massive.clusters import MassiveClusterStars
from praesepe.sky.stamps import Population
from praesepe.survey import Survey

NEAREST_PX = 4.0
"""A neighbor that is nearer is part of the cluster for any catalog."""


def with_neighbors(
    population: Population, clusters: Clusters, survey: Survey, *, generator: torch.Generator
) -> Population:
    """Lay the next cluster of the batch beside some clusters, at a few of their half-light radii.

    Its stars are those that stand in its own stamp, and cost nothing more. The truth does not know
    of it. A cluster so massive that it has diffuse light is nobody's neighbor.

    Parameters
    ----------
    population : Population
        Of n clusters.
    clusters : Clusters
        Their parameters.
    survey : Survey
        Its field says how many have a neighbor, and where.
    generator : torch.Generator
        Not used where none has any.
    """
    settings, n = survey.galaxy.field, len(clusters)
    if settings.neighbor_share == 0 or n < 2:
        return population
    u = torch.rand((3, n), generator=generator, device=generator.device)
    has_one = (u[0] < settings.neighbor_share) & _is_light(population, n).roll(-1)
    has_one &= population.drawn.n_stars > 0  # where there is no cluster, nothing stands beside it
    low, high = settings.neighbor_rh
    away = 10**clusters.log_rh / survey.pixel_scale_arcsec * low * (high / low) ** u[1]
    away = away.clamp_min(NEAREST_PX)
    angle = 2 * math.pi * u[2]
    place = torch.stack((away * torch.cos(angle), away * torch.sin(angle)))
    # Cluster j stands beside cluster j - 1.
    owner = (torch.arange(n, device=away.device) - 1) % n
    stars = population.stars
    points = torch.nonzero(has_one[owner[stars.population]]).flatten()
    cluster = stars.population[points]
    beside = owner[cluster]
    flux = stars.flux[:, points]
    if survey.varies_in_distance:
        flux = flux * ((clusters.distance_pc[cluster] / clusters.distance_pc[beside]) ** 2)
    offset = population.offset[:, points] + place[:, beside]
    others = PointSources.together(population.others, PointSources(beside, offset, flux))
    return replace(population, others=others)


def _is_light(population: Population, n: int) -> Tensor:
    """Whether all light of a cluster is in points, (n,)."""
    drawn = population.drawn
    if not isinstance(drawn, MassiveClusterStars):
        return torch.ones(n, dtype=torch.bool, device=population.center.device)
    diffuse = drawn.diffuse
    return diffuse.annuli.sum_by_cluster(diffuse.light, n).sum(1) == 0
