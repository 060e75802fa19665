"""Rings about the centres of heavy clusters, whose stars are drawn apart from each other.

The stars of a heavy cluster are thinned (`praesepe.sky.population.tables`): they blend, and only
their common shot noise can be seen. That holds in the crowded centre; in the outskirts of the same
cluster single stars stand out. Each ring is therefore a population of its own, and thinned as far
as the points of light within a PSF allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.sky.clusters.profiles import Structure, light_inside
from praesepe.sky.population.points import Stars
from praesepe.sky.population.sampler import MAX_POINTS

FIRST_EDGE = 1.5
"""Radius of the innermost ring in units of the PSF's width; each further one is twice as large."""

N_EDGES = 7
"""Rings with an outer edge; one more has none."""

POINTS_PER_PSF = 32
"""Points of light enough, in any place, for their sum to be normally distributed as the stars'."""

FEWEST_POINTS = 512
"""`max_points` of small rings, and of those that lie outside the image."""


@dataclass(frozen=True)
class Zones:
    """Populations that clusters are made of: rings of heavy ones, light clusters as a whole.

    Attributes
    ----------
    cluster : Tensor of int64, shape (zone,)
        To which each belongs; in order.
    low, high : Tensor, shape (zone,)
        Shares of the cluster's light inside the inner and the outer edge, circles of the same area
        as the flattened cluster's ellipses.
    n_stars : Tensor, shape (zone,)
        Number of stars.
    max_points : Tensor, shape (zone,)
        Points of light, for `StarSampler.draw`.
    area_px : Tensor, shape (zone,)
        Area in pixels; infinite for what has no outer edge.
    seen : Tensor of bool, shape (zone,)
        False for rings that lie outside the image.
    """

    cluster: Tensor
    low: Tensor
    high: Tensor
    n_stars: Tensor
    max_points: Tensor
    area_px: Tensor
    seen: Tensor

    @classmethod
    def of(
        cls,
        structure: Structure,
        n_stars: Tensor,
        heavy: Tensor,
        psf_px: float,
        reach_px: Tensor,
        generator: torch.Generator,
    ) -> Zones:
        """Divide the stars of heavy clusters among rings.

        Parameters
        ----------
        structure : Structure
            The clusters; radii in pixels.
        n_stars : Tensor, shape (cluster,)
        heavy : Tensor of bool, shape (cluster,)
            Those to divide.
        psf_px : float
            Width of the PSF, pixels: the root of its effective area.
        reach_px : Tensor, shape (cluster,)
            Distance from the cluster's centre beyond which nothing is seen, pixels.
        generator : torch.Generator
            Source of randomness; not used where no cluster is heavy.
        """
        n, device = len(n_stars), n_stars.device
        whole = cls(
            cluster=torch.arange(n, device=device),
            low=torch.zeros(n, device=device, dtype=torch.float64),
            high=torch.ones(n, device=device, dtype=torch.float64),
            n_stars=n_stars,
            max_points=torch.full((n,), MAX_POINTS, device=device),
            area_px=torch.full((n,), math.inf, device=device),
            seen=torch.ones(n, device=device, dtype=torch.bool),
        )
        chosen = torch.nonzero(heavy).flatten()
        if not len(chosen):
            return whole
        edge_px = psf_px * FIRST_EDGE * 2.0 ** torch.arange(N_EDGES, device=device)
        inside = light_inside(structure.part(chosen), edge_px)  # (heavy, edge)
        low = torch.cat((torch.zeros_like(inside[:, :1]), inside), 1)
        high = torch.cat((inside, torch.ones_like(inside[:, :1])), 1)
        left, parts = n_stars[chosen], []
        for k in range(N_EDGES + 1):
            share = ((high[:, k] - low[:, k]) / (1 - low[:, k]).clamp_min(1e-30)).clamp(0, 1)
            share = share if k < N_EDGES else torch.ones_like(left)
            parts.append(torch.binomial(left, share, generator=generator))
            left = left - parts[-1]
        area = math.pi * edge_px**2
        area = torch.cat((area[:1], area.diff(), area.new_full((1,), math.inf)))
        enough = (POINTS_PER_PSF / 2 / psf_px**2 * area).clamp(FEWEST_POINTS, MAX_POINTS)
        # An ellipse comes nearest on its short axis.
        nearest = torch.cat((torch.zeros_like(edge_px[:1]), edge_px))
        nearest = nearest * torch.sqrt(1 - structure.ellipticity[chosen])[:, None]
        seen = nearest < reach_px[chosen][:, None]  # (heavy, ring)
        seen |= (structure.segregation[chosen] != 0)[:, None]  # which moves stars across the edges
        enough = torch.where(seen, enough, FEWEST_POINTS)
        ring = cls(
            cluster=chosen.repeat_interleave(N_EDGES + 1),
            low=low.flatten(),
            high=high.flatten(),
            n_stars=torch.stack(parts, 1).flatten(),
            max_points=enough.long().flatten(),
            area_px=area.repeat(len(chosen)),
            seen=seen.flatten(),
        )
        return ring._beside(whole, ~heavy)

    def shares(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of the light inside both edges of some zones, by their numbers."""
        return self.low[rows], self.high[rows]

    def _beside(self, whole: Zones, kept: Tensor) -> Zones:
        """These rings with those of the whole clusters that are kept, in order of the clusters."""
        order = torch.argsort(torch.cat((self.cluster, whole.cluster[kept])), stable=True)
        both = {
            name: torch.cat((values, getattr(whole, name)[kept]))[order]
            for name, values in vars(self).items()
        }
        return Zones(**both)

    def total(self, values: Tensor, n: int) -> Tensor:
        """Sums over the zones of each of `n` clusters, given one line for each zone."""
        out = torch.zeros((n, *values.shape[1:]), dtype=values.dtype, device=values.device)
        return out.index_add_(0, self.cluster, values)

    def joined(self, stars: Stars, n: int) -> Stars:
        """Stars of `n` clusters, given those of their zones."""
        if len(self.cluster) == n:
            return stars
        truth = {"present_mass": stars.present_mass, "n_living": stars.n_living}
        more = {name: self.total(v, n) for name, v in truth.items() if v is not None}
        if stars.brightest is not None:
            where = self.cluster[:, None].expand_as(stars.brightest)
            none = torch.zeros_like(stars.brightest[:n])
            more["brightest"] = none.scatter_reduce(0, where, stars.brightest, "amax")
        weight = stars.smooth.sum(1)[:, None, None].clamp_min(1e-30)
        return Stars(
            owner=self.cluster[stars.owner],
            flux=stars.flux,
            star_mass=stars.star_mass,
            mass=self.total(stars.mass, n),
            light=self.total(stars.light, n),
            smooth=self.total(stars.smooth, n),
            smooth_groups=self.total(stars.smooth_groups * weight, n) / self.total(weight, n),
            **more,
        )
