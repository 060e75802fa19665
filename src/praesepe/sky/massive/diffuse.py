"""Diffuse light of crowded clusters, spread by their profiles (docs/theory.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.sky.clusters.profiles import SpatialProfile, even_positions
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.massive.annuli import Annuli

POINT_POWERS = (6, 15)
"""The diffuse light of a cluster, or an annulus of it, is spread over 2^6 to 2^15 points."""

EVEN_POINTS_PER_PX = 4
"""Evenly spread points that are closer than any PSF is wide."""

INNER_POINTS = 1 << 10
"""Points in the center that are enough for any cluster, unless those outside are very many."""


@dataclass(frozen=True)
class DiffuseLight:
    """Diffuse light of clusters.

    Attributes
    ----------
    profile : SpatialProfile
        The clusters.
    annuli : Annuli
        What they consist of.
    light : Tensor, shape (annulus, band)
        e-/s.
    mass_bins : Tensor, shape (annulus, bin, 1 + band)
        Mass of the stars that give this light over the mean mass of stars, and the fraction of the
        light of each band that each bin gives.
    """

    profile: SpatialProfile
    annuli: Annuli
    light: Tensor
    mass_bins: Tensor

    def points(
        self, index: Tensor, n_points: int, fractions: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points of equal light that stand evenly where the light of some annuli is.

        Parameters
        ----------
        index : Tensor of int64, shape (n,)
            Which annuli.
        n_points : int
            Points of each of them.
        fractions : tuple of Tensor, shape (n,), optional
            The points hold the light between the radii that have these fractions of their
            cluster's light inside; by default all of their annulus's.

        Returns
        -------
        cluster_index : Tensor of int64, shape (point,)
            Cluster of each point.
        position : Tensor, shape (2, point)
            x and y about its center, in the unit of the profile.
        flux : Tensor, shape (band, point)
        """
        cluster, (inner, outer) = self.annuli.cluster_index[index], self.annuli.fractions(index)
        low, high = fractions or (inner, outer)
        profile = self.profile.part(cluster)
        part = ((high - low) / (outer - inner) / n_points).float()
        each = part[:, None] * self.light[index]
        if not bool((profile.segregation != 0).any()):
            position = even_positions(profile, n_points, fractions=(low, high))
            cluster_index = cluster.repeat_interleave(n_points)
            return cluster_index, position, each.T.repeat_interleave(n_points, dim=1)
        # Stars of different mass have different places: the points take turns among the bins.
        bins = self.mass_bins[index]
        turn = torch.arange(n_points, device=index.device) % bins.shape[1]
        fraction = bins[..., 1:] / torch.bincount(turn, minlength=bins.shape[1])[:, None]
        mass = bins[..., 0].index_select(1, turn)  # (annulus, point)
        position = even_positions(profile, n_points, relative_mass=mass, fractions=(low, high))
        flux = (n_points * each)[:, None] * fraction.index_select(1, turn)
        return cluster.repeat_interleave(n_points), position, flux.flatten(0, 1).T

    def add_to(self, grids: Tensor, center: Tensor, *, renderer: Renderer, limit: Tensor) -> None:
        """Add the light to the renderer's grids.

        It is divided among so many points that none of them could be told apart as a star, or that
        they are closer than the PSF is wide. In the center that takes few, but each in its place.

        Parameters
        ----------
        grids : Tensor, shape (cluster, band, grid, grid)
            Changed in place.
        center : Tensor, shape (2, cluster)
            x and y of the clusters, pixels, the unit of the profile.
        renderer : Renderer
        limit : Tensor, shape (band,)
            Flux below which a star cannot be told apart, e-/s.
        """
        annuli = self.annuli
        wanted = (self.light / limit.to(self.light.dtype)).amax(1)
        bright = torch.nonzero((wanted > 0) & annuli.visible).flatten()
        if not len(bright):
            return
        is_whole = torch.isinf(annuli.area_px[bright])
        wanted = torch.minimum(wanted[bright], annuli.area_px[bright] * EVEN_POINTS_PER_PX)
        power = wanted.log2().ceil().clamp(*POINT_POWERS).long()
        low, high = annuli.fractions(bright)
        middle = torch.where(low > 0, low, torch.where(is_whole, 0.5, high))
        outskirts = renderer.empty(len(grids))
        for exponent in power.unique().tolist():
            many = 1 << exponent
            few = min(many, max(INNER_POINTS, many // 16))
            for n_points, start, end, add, to in (
                (few, low, middle, renderer.scatter, grids),
                (many, middle, high, renderer.scatter_even, outskirts),
            ):
                chosen = torch.nonzero((power == exponent) & (end > start)).flatten()
                for part in chosen.split(max(1, renderer.stars_per_chunk // n_points)):
                    fractions = (start[part], end[part])
                    cluster_index, position, flux = self.points(bright[part], n_points, fractions)
                    add(to, cluster_index, position + center.index_select(1, cluster_index), flux)
        clusters = annuli.cluster_index[bright].unique()
        renderer.add_even(grids, clusters, outskirts[clusters])
