"""The light of heavy clusters that no star can be told in, spread by their profiles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.sky.clusters.annuli import Zones
from praesepe.sky.clusters.profiles import Structure, even_positions
from praesepe.sky.instrument.render import Renderer

SMOOTH_POWERS = (6, 15)
"""The smooth light of a cluster, or a ring of it, is spread over 2^6 to 2^15 points."""

EVEN_POINTS_PER_PX = 4
"""Evenly spread points that are closer than any PSF is wide."""

INNER_POINTS = 1 << 10
"""Points in the centre that are enough for any cluster, unless those outside are very many."""


@dataclass(frozen=True)
class SmoothLight:
    """Smooth light of clusters.

    Attributes
    ----------
    structure : Structure
        The clusters.
    zones : Zones
        What they are made of.
    light : Tensor, shape (zone, band)
        e-/s.
    groups : Tensor, shape (zone, group, 1 + band)
        Mass of the stars that give this light over the mean mass of stars, in groups, and the share
        of each band's light that each group gives.
    """

    structure: Structure
    zones: Zones
    light: Tensor
    groups: Tensor

    def points(
        self, rows: Tensor, n_points: int, shares: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points of equal light that stand evenly where the light of some zones is.

        Parameters
        ----------
        rows : Tensor of int64, shape (n,)
            Which zones.
        n_points : int
            Points of each of them; with mass segregation, of each group of its stars.
        shares : tuple of Tensor, shape (n,), optional
            The points hold the light between the radii that have these shares of their cluster's
            light inside; by default all of their zone's.

        Returns
        -------
        owner : Tensor of int64, shape (point,)
            Cluster of each point.
        position : Tensor, shape (2, point)
            x and y about its centre, in the unit of the structure.
        flux : Tensor, shape (band, point)
        """
        cluster, (first, last) = self.zones.cluster[rows], self.zones.shares(rows)
        low, high = shares or (first, last)
        structure = self.structure.part(cluster)
        each = ((high - low) / (last - first) / n_points).float()[:, None] * self.light[rows]
        if not bool((structure.segregation != 0).any()):
            position = even_positions(structure, n_points, shares=(low, high))
            owner = cluster.repeat_interleave(n_points)
            return owner, position, each.T.repeat_interleave(n_points, dim=1)
        # Stars of different mass have different places: as many points for each group of them.
        groups = self.groups[rows]
        position = torch.cat(
            [
                even_positions(structure, n_points, relative_mass=mass, shares=(low, high))
                for mass in groups[..., 0].T
            ],
            dim=1,
        )
        flux = torch.cat(
            [each * share for share in groups[..., 1:].unbind(1)]
        )  # (group zone, band)
        owner = cluster.repeat(groups.shape[1]).repeat_interleave(n_points)
        return owner, position, flux.T.repeat_interleave(n_points, dim=1)

    def add_to(self, grids: Tensor, centre: Tensor, *, renderer: Renderer, limit: Tensor) -> None:
        """Add the light to the renderer's grids.

        It is divided among so many points that none of them could be told apart as a star, or that
        they are closer than the PSF is wide. In the centre that takes few, but each in its place.

        Parameters
        ----------
        grids : Tensor, shape (cluster, band, grid, grid)
            Changed in place.
        centre : Tensor, shape (2, cluster)
            x and y of the clusters, pixels, the unit of the structure.
        renderer : Renderer
        limit : Tensor, shape (band,)
            Flux below which a star cannot be told apart, e-/s.
        """
        zones = self.zones
        wanted = (self.light / limit.to(self.light.dtype)).amax(1)
        lit = torch.nonzero((wanted > 0) & zones.seen).flatten()
        if not len(lit):
            return
        is_whole = torch.isinf(zones.area_px[lit])
        wanted = torch.minimum(wanted[lit], zones.area_px[lit] * EVEN_POINTS_PER_PX)
        power = wanted.log2().ceil().clamp(*SMOOTH_POWERS).long()
        low, high = zones.shares(lit)
        middle = torch.where(low > 0, low, torch.where(is_whole, 0.5, high))
        outskirts = renderer.empty(len(grids))
        for exponent in power.unique().tolist():
            outer = 1 << exponent
            inner = min(outer, max(INNER_POINTS, outer // 16))
            for n_points, start, end, add, to in (
                (inner, low, middle, renderer.scatter, grids),
                (outer, middle, high, renderer.scatter_even, outskirts),
            ):
                chosen = torch.nonzero((power == exponent) & (end > start)).flatten()
                for part in chosen.split(max(1, renderer.stars_per_chunk // n_points)):
                    shares = (start[part], end[part])
                    owner, position, flux = self.points(lit[part], n_points, shares)
                    add(to, owner, position + centre.index_select(1, owner), flux)
        rows = zones.cluster[lit].unique()
        renderer.add_even(grids, rows, outskirts[rows])
