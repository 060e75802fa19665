"""The stars of clusters and their places: clusters become points of light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.clusters.profiles import (
    SpatialProfile,
    realized_half_light_radius,
    sample_positions,
)
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.population.points import Stars
from praesepe.sky.population.sampler import StarSampler


@dataclass(frozen=True)
class Sight:
    """How well clusters will be seen: what cannot be seen need not be drawn star by star.

    Attributes
    ----------
    psf_px : float
        Width of the PSF, pixels: the root of its effective area.
    visible_px : Tensor, shape (cluster,)
        Distance from the cluster's center beyond which nothing is seen, pixels.
    flux_limit : Tensor, shape (band,)
        Light below which a star cannot be told apart in the deepest stamp, e-/s.
    """

    psf_px: float
    visible_px: Tensor
    flux_limit: Tensor


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
    """

    stars: Stars
    offset: Tensor
    n_stars: Tensor

    def half_light_radius(self, band: int) -> Tensor:
        """Radius about the true center that holds half of a band's light, pixels, (cluster,)."""
        light = self.stars.flux[band]
        return realized_half_light_radius(
            self.stars.population, self.offset, light, len(self.n_stars)
        )

    def add_to(self, grids: Tensor, center: Tensor, *, renderer: Renderer) -> None:
        """Add the light to a grid of each cluster, (cluster, band, grid, grid), in place.

        `center`, (2, cluster), is x and y of the clusters, pixels.
        """
        place = self.offset + center.index_select(1, self.stars.population)
        renderer.scatter(grids, self.stars.population, place, self.stars.flux)


class ClusterSampler:
    """Draws the stars of clusters and puts them in their places.

    Parameters
    ----------
    stars : StarSampler
        Its tables are those of the clusters' stellar models, in their order.
    """

    def __init__(self, stars: StarSampler) -> None:
        self.stars = stars

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {self.stars}>"

    def draw(
        self,
        clusters: Clusters,
        profile: SpatialProfile,
        *,
        generator: torch.Generator,
        sight: Sight,
        has_stars: Tensor | None = None,
        colors: Tensor | None = None,
        light_scale: Tensor | None = None,
        flux_limit: Tensor | None = None,
        **settings: Any,
    ) -> ClusterStars:
        """Draw the stars of clusters and put them in their places.

        Parameters
        ----------
        clusters : Clusters
            Their parameters.
        profile : SpatialProfile
            Of the clusters; radii in pixels.
        generator : torch.Generator
            Source of randomness.
        sight : Sight
        has_stars : Tensor of bool, shape (cluster,), optional
            Clusters of which this is false get no stars at all.
        colors, light_scale, flux_limit, **settings
            See `StarSampler.draw`; populations are clusters.

        Returns
        -------
        ClusterStars
        """
        # One value for all is that of the sampler.
        fraction = clusters.binary_fraction if self.stars.unresolved.singles is not None else None
        mean_mass = self.stars.mean_mass
        expected = 10**clusters.log_mass / (
            mean_mass if fraction is None else self.stars.mean_mass_with(fraction)
        )
        n_stars = torch.poisson(expected, generator=generator).clamp_(min=1).double()
        if has_stars is not None:
            n_stars *= has_stars
        isochrone = self.stars.nearest_isochrone(clusters.model, clusters.log_age, clusters.log_z)
        a_v = clusters.a_v + clusters.foreground_a_v  # both screens follow one law
        light = {
            "a_v": a_v,
            "a_v_scatter": clusters.a_v_scatter,
            "binary_fraction": fraction,
            "colors": colors,
            "light_scale": light_scale,
            "flux_limit": flux_limit,
        }
        return self.place(
            profile, isochrone, n_stars, generator=generator, sight=sight, light=light, **settings
        )

    def place(
        self,
        profile: SpatialProfile,
        isochrone: Tensor,
        n_stars: Tensor,
        *,
        generator: torch.Generator,
        sight: Sight,
        light: Mapping[str, Any],
        **settings: Any,
    ) -> ClusterStars:
        """Draw stars in these numbers and put them in their places; the last step of `draw`.

        `light` holds what `StarSampler.draw` is told of each cluster.
        """
        stars = self.stars.draw(isochrone, n_stars, generator=generator, **light, **settings)
        relative_mass = stars.star_mass / self.stars.light_mass[isochrone][stars.population]
        offset = sample_positions(
            profile, stars.population, generator=generator, relative_mass=relative_mass
        )
        return ClusterStars(stars, offset, n_stars)
