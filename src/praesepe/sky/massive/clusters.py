"""Clusters of any mass: massive ones are drawn in annuli, and have diffuse light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from praesepe.sky.cluster_stars import ClusterSampler, ClusterStars, Sight
from praesepe.sky.clusters.profiles import (
    SpatialProfile,
    realized_half_light_radius,
    sample_positions,
)
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.massive.annuli import Annuli
from praesepe.sky.massive.diffuse import DiffuseLight
from praesepe.sky.massive.sampler import CrowdedSampler

RADIUS_POINTS = 1 << 10
"""Points of the diffuse light of a cluster, or an annulus of it, for its realized radius."""


@dataclass(frozen=True)
class MassiveClusterStars(ClusterStars):
    """`ClusterStars` with diffuse light.

    Attributes
    ----------
    diffuse : DiffuseLight
        What is not in the points; only clusters so massive that their stars blend have any.
    flux_limit : Tensor, shape (band,)
        Light below which a star cannot be told apart, e-/s.
    """

    diffuse: DiffuseLight
    flux_limit: Tensor

    def half_light_radius(self, band: int) -> Tensor:
        """Radius about the true center that holds half of a band's light, pixels, (cluster,)."""
        index = torch.nonzero(self.diffuse.light[:, band] > 0).flatten()
        if not len(index):
            return super().half_light_radius(band)
        more, places, flux = self.diffuse.points(index, RADIUS_POINTS)
        return realized_half_light_radius(
            torch.cat((self.stars.population, more)),
            torch.cat((self.offset, places), 1),
            torch.cat((self.stars.flux[band], flux[band])),
            len(self.n_stars),
        )

    def add_to(self, grids: Tensor, center: Tensor, *, renderer: Renderer) -> None:
        """Add the light, also the diffuse, to a grid of each cluster."""
        super().add_to(grids, center, renderer=renderer)
        self.diffuse.add_to(grids, center, renderer=renderer, limit=self.flux_limit)


class MassiveClusterSampler(ClusterSampler):
    """A `ClusterSampler` for clusters of any mass."""

    stars: CrowdedSampler

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
    ) -> MassiveClusterStars:
        """Draw stars and put them in their places; massive clusters annulus by annulus."""
        n = len(n_stars)
        told = {name: light.get(name) for name in ("light_scale", "flux_limit")}
        annuli = Annuli.divide(
            profile,
            n_stars,
            self.stars.is_crowded(isochrone, n_stars, **told),
            psf_px=sight.psf_px,
            visible_px=sight.visible_px,
            generator=generator,
        )
        of = annuli.cluster_index
        of_annuli: dict[str, Any] = {
            name: None if values is None else values[of] for name, values in light.items()
        }
        stars = self.stars.draw(
            isochrone[of],
            annuli.n_stars,
            generator=generator,
            max_points=annuli.max_points,
            **of_annuli,
            **settings,
        )
        light_mass = self.stars.light_mass[isochrone[of]]
        fractions = None
        if len(of) > n:
            inner, outer = annuli.inner_fraction.float(), annuli.outer_fraction.float()
            fractions = (inner[stars.population], outer[stars.population])
        offset = sample_positions(
            profile,
            of[stars.population],
            generator=generator,
            relative_mass=stars.star_mass / light_mass[stars.population],
            fractions=fractions,
        )
        mass_bins = stars.mass_bins.clone()
        mass_bins[..., 0] /= light_mass[:, None]
        return MassiveClusterStars(
            stars=annuli.merge(stars, n),
            offset=offset,
            n_stars=n_stars,
            diffuse=DiffuseLight(profile, annuli, stars.diffuse, mass_bins),
            flux_limit=sight.flux_limit,
        )
