"""Annuli of crowded clusters, whose stars are drawn apart from each other.

In the center of a crowded cluster only the common shot noise of the stars can be seen; in its
outskirts single stars stand out. Each annulus is therefore a population of its own, which is
importance-sampled as far as the points of light within a PSF allow (docs/theory.md, section 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from praesepe.sky.clusters.profiles import SpatialProfile, light_inside
from praesepe.sky.massive.sampler import MAX_POINTS, CrowdedStars

FIRST_EDGE = 1.5
"""Radius of the innermost annulus in PSF widths; each further one is twice as large."""

N_EDGES = 7
"""Annuli with an outer edge; one more has none."""

POINTS_PER_PSF = 32
"""Points of light enough, in any place, for their sum to be normally distributed as the stars'."""

FEWEST_POINTS = 512
"""`max_points` of small annuli, and of those that lie outside the image."""


MOST_MASSIVE = 1000.0
"""Over the mean mass: no star is more massive."""


@dataclass(frozen=True)
class Annuli:
    """Populations that clusters consist of: annuli of crowded ones, all others as a whole.

    Attributes
    ----------
    cluster_index : Tensor of int64, shape (annulus,)
        To which each belongs; in order.
    inner_fraction, outer_fraction : Tensor, shape (annulus,)
        Fractions of the cluster's light inside the inner and the outer edge, circles of the same
        area as the flattened cluster's ellipses.
    n_stars : Tensor, shape (annulus,)
        Number of stars.
    max_points : Tensor, shape (annulus,)
        Points of light, for `CrowdedSampler.draw`.
    area_px : Tensor, shape (annulus,)
        Area in pixels; infinite for what has no outer edge.
    visible : Tensor of bool, shape (annulus,)
        False for annuli that lie outside the image.
    """

    cluster_index: Tensor
    inner_fraction: Tensor
    outer_fraction: Tensor
    n_stars: Tensor
    max_points: Tensor
    area_px: Tensor
    visible: Tensor

    @classmethod
    def divide(
        cls,
        profile: SpatialProfile,
        n_stars: Tensor,
        crowded: Tensor,
        *,
        psf_px: float,
        visible_px: Tensor,
        generator: torch.Generator,
    ) -> Annuli:
        """Divide the stars of crowded clusters among annuli.

        Parameters
        ----------
        profile : SpatialProfile
            The clusters; radii in pixels.
        n_stars : Tensor, shape (cluster,)
        crowded : Tensor of bool, shape (cluster,)
            Those to divide.
        psf_px : float
            Width of the PSF, pixels: the root of its effective area.
        visible_px : Tensor, shape (cluster,)
            Distance from the cluster's center beyond which nothing is seen, pixels.
        generator : torch.Generator
            Source of randomness; not used where no cluster is crowded.
        """
        whole = cls._undivided(n_stars)
        chosen = torch.nonzero(crowded).flatten()
        if not len(chosen):
            return whole
        edge_px = psf_px * FIRST_EDGE * 2.0 ** torch.arange(N_EDGES, device=n_stars.device)
        inside = light_inside(profile.part(chosen), edge_px)  # (crowded, edge)
        inner = torch.cat((torch.zeros_like(inside[:, :1]), inside), 1)
        outer = torch.cat((inside, torch.ones_like(inside[:, :1])), 1)
        area_px = math.pi * edge_px**2
        area_px = torch.cat((area_px[:1], area_px.diff(), area_px.new_full((1,), math.inf)))
        enough = (POINTS_PER_PSF / 2 / psf_px**2 * area_px).clamp(FEWEST_POINTS, MAX_POINTS)
        visible = _visible(profile.part(chosen), edge_px, visible_px[chosen])  # (crowded, annulus)
        annuli = cls(
            cluster_index=chosen.repeat_interleave(N_EDGES + 1),
            inner_fraction=inner.flatten(),
            outer_fraction=outer.flatten(),
            n_stars=_multinomial(n_stars[chosen], inner, outer, generator).flatten(),
            max_points=torch.where(visible, enough, FEWEST_POINTS).long().flatten(),
            area_px=area_px.repeat(len(chosen)),
            visible=visible.flatten(),
        )
        return annuli._beside(whole, ~crowded)

    @classmethod
    def _undivided(cls, n_stars: Tensor) -> Annuli:
        n, device = len(n_stars), n_stars.device
        return cls(
            cluster_index=torch.arange(n, device=device),
            inner_fraction=torch.zeros(n, device=device, dtype=torch.float64),
            outer_fraction=torch.ones(n, device=device, dtype=torch.float64),
            n_stars=n_stars,
            max_points=torch.full((n,), MAX_POINTS, device=device),
            area_px=torch.full((n,), math.inf, device=device),
            visible=torch.ones(n, device=device, dtype=torch.bool),
        )

    def _beside(self, whole: Annuli, kept: Tensor) -> Annuli:
        """These annuli with the undivided clusters that are kept, in order of the clusters."""
        order = torch.argsort(
            torch.cat((self.cluster_index, whole.cluster_index[kept])), stable=True
        )
        both = {
            name: torch.cat((values, getattr(whole, name)[kept]))[order]
            for name, values in vars(self).items()
        }
        return Annuli(**both)

    def fractions(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Fractions of the light inside both edges of some annuli, by their indices."""
        return self.inner_fraction[index], self.outer_fraction[index]

    def sum_by_cluster(self, values: Tensor, n: int) -> Tensor:
        """Sums over the annuli of each of `n` clusters, given one line for each annulus."""
        out = torch.zeros((n, *values.shape[1:]), dtype=values.dtype, device=values.device)
        return out.index_add_(0, self.cluster_index, values)

    def merge(self, stars: CrowdedStars, n: int) -> CrowdedStars:
        """Stars of `n` clusters, given those of their annuli."""
        if len(self.cluster_index) == n:
            return stars
        sums = {
            name: self.sum_by_cluster(getattr(stars, name), n)
            for name in ("mass", "light", "diffuse", "present_mass", "n_living", "ionising")
            if getattr(stars, name) is not None
        }
        weight = stars.diffuse.sum(1)[:, None, None].clamp_min(1e-30)
        bins = self.sum_by_cluster(stars.mass_bins * weight, n) / self.sum_by_cluster(weight, n)
        brightest = stars.brightest
        if brightest is not None:
            where = self.cluster_index[:, None].expand_as(brightest)
            none = torch.zeros_like(brightest[:n])
            brightest = none.scatter_reduce(0, where, brightest, "amax")
        population = self.cluster_index[stars.population]
        return replace(stars, population=population, mass_bins=bins, brightest=brightest, **sums)


def _visible(profile: SpatialProfile, edge_px: Tensor, visible_px: Tensor) -> Tensor:
    """Whether any of an annulus may lie in the image, (cluster, annulus)."""
    # An ellipse comes nearest on its short axis.
    nearest = torch.cat((torch.zeros_like(edge_px[:1]), edge_px))
    nearest = nearest * torch.sqrt(1 - profile.ellipticity)[:, None]
    # Segregation moves stars across the edges, massive ones inwards.
    nearest = nearest * MOST_MASSIVE ** -profile.segregation[:, None]
    return nearest < visible_px[:, None]


def _multinomial(
    n_stars: Tensor, inner: Tensor, outer: Tensor, generator: torch.Generator
) -> Tensor:
    """Numbers of stars between the fractions `inner` and `outer` of the light; all (cluster, .)."""
    left, parts = n_stars, []
    fractions = ((outer - inner) / (1 - inner).clamp_min(1e-30)).clamp(0, 1)
    fractions[:, -1] = 1
    for fraction in fractions.unbind(1):
        parts.append(torch.binomial(left, fraction, generator=generator))
        left = left - parts[-1]
    return torch.stack(parts, 1)
