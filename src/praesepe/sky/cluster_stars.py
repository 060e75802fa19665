"""The stars of clusters and their places: clusters become points of light.

A cluster is one population, but for the most massive: their annuli are (`praesepe.sky.massive`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.clusters.profiles import (
    SpatialProfile,
    realized_half_light_radius,
    sample_positions,
)
from praesepe.sky.massive.annuli import Annuli
from praesepe.sky.massive.diffuse import DiffuseLight
from praesepe.sky.population.points import Stars
from praesepe.sky.population.sampler import StarSampler

RADIUS_POINTS = 1 << 10
"""Points of the diffuse light of a cluster, or an annulus of it, for its realized radius."""


@dataclass(frozen=True)
class ClusterStars:
    """The stars of clusters.

    Attributes
    ----------
    stars : Stars
        Populations are clusters.
    offset : Tensor, shape (2, point)
        x and y of each point of light from the center of its cluster, pixels.
    n_stars : Tensor, shape (cluster,)
        Number of stars drawn, companions not counted.
    diffuse : DiffuseLight
        What is not in the points; only clusters so massive that their stars blend have any.
    """

    stars: Stars
    offset: Tensor
    n_stars: Tensor
    diffuse: DiffuseLight

    def half_light_radius(self, band: int) -> Tensor:
        """Radius about the true center that holds half of a band's light, pixels, (cluster,)."""
        cluster_index, offset = self.stars.population, self.offset
        light = self.stars.flux[band]
        index = torch.nonzero(self.diffuse.light[:, band] > 0).flatten()
        if len(index):
            more, places, flux = self.diffuse.points(index, RADIUS_POINTS)
            cluster_index = torch.cat((cluster_index, more))
            offset = torch.cat((offset, places), 1)
            light = torch.cat((light, flux[band]))
        return realized_half_light_radius(cluster_index, offset, light, len(self.n_stars))


def draw_cluster_stars(
    sampler: StarSampler,
    clusters: Clusters,
    profile: SpatialProfile,
    *,
    generator: torch.Generator,
    psf_px: float,
    visible_px: Tensor,
    a_v_scatter: float = 0.0,
    light_scale: Tensor | None = None,
    flux_limit: Tensor | None = None,
    compute_truth: bool = True,
) -> ClusterStars:
    """Draw the stars of clusters and put them in their places.

    Parameters
    ----------
    sampler : StarSampler
        Its tables are those of the clusters' stellar models, in their order.
    clusters : Clusters
        Their parameters.
    profile : SpatialProfile
        Of the clusters; radii in pixels.
    generator : torch.Generator
        Source of randomness.
    psf_px : float
        Width of the PSF, pixels: the root of its effective area.
    visible_px : Tensor, shape (cluster,)
        Distance from the cluster's center beyond which nothing is seen, pixels.
    a_v_scatter, light_scale, flux_limit, compute_truth
        See `StarSampler.draw`; populations are clusters.

    Returns
    -------
    ClusterStars
    """
    n = len(clusters)
    expected = 10**clusters.log_mass / sampler.mean_mass
    n_stars = torch.poisson(expected, generator=generator).clamp_(min=1).double()
    isochrone = sampler.nearest_isochrone(clusters.model, clusters.log_age, clusters.log_z)
    crowded = sampler.is_crowded(isochrone, n_stars, light_scale=light_scale, flux_limit=flux_limit)
    annuli = Annuli.divide(
        profile, n_stars, crowded, psf_px=psf_px, visible_px=visible_px, generator=generator
    )
    of = annuli.cluster_index
    stars = sampler.draw(
        isochrone[of],
        annuli.n_stars,
        generator=generator,
        max_points=annuli.max_points,
        a_v=clusters.a_v[of],
        a_v_scatter=a_v_scatter,
        light_scale=None if light_scale is None else light_scale[of],
        flux_limit=None if flux_limit is None else flux_limit[of],
        compute_truth=compute_truth,
    )
    cluster_index, fractions = stars.population, None
    if len(of) > n:
        cluster_index = of[stars.population]
        inner, outer = annuli.inner_fraction.float(), annuli.outer_fraction.float()
        fractions = (inner[stars.population], outer[stars.population])
    offset = sample_positions(
        profile,
        cluster_index,
        generator=generator,
        relative_mass=stars.star_mass / sampler.mean_mass,
        fractions=fractions,
    )
    mass_bins = stars.mass_bins.clone()
    mass_bins[..., 0] /= sampler.mean_mass
    return ClusterStars(
        stars=annuli.merge(stars, n),
        offset=offset,
        n_stars=annuli.sum_by_cluster(annuli.n_stars, n),
        diffuse=DiffuseLight(profile, annuli, stars.diffuse, mass_bins),
    )
