"""What a sampler of stars hands to the renderer: light points, and totals of their populations."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Stars:
    """A set of light points and the totals of the populations that they belong to.

    A binary counts as one point. Masses are in Msun, light in e-/s behind the dust.

    Attributes
    ----------
    owner : Tensor of int64, shape (point,)
        Population of each point.
    flux : Tensor, shape (band, point)
        Light of each point. A star of a thinned population has the light of all those that it
        stands for. Of the points that share the light of faint stars, some are dark in some bands,
        where fewer of them have the right shot noise.
    star_mass : Tensor, shape (point,)
        Initial mass of the star or binary; of a point that stands for many faint stars, their mean
        mass weighted by light (and averaged over the bands), since it is their light that the
        point puts somewhere.
    mass : Tensor, shape (population,)
        Initial mass of all stars drawn, companions included, living or dead.
    light : Tensor, shape (population, band)
        Light of all stars drawn.
    smooth : Tensor, shape (population, band)
        The part of `light` that is not in the points: it has no shot noise and follows the profile
        itself. Zero but for thinned populations.
    smooth_groups : Tensor, shape (population, group, 1 + band)
        Initial mass of the stars of the smooth part, in groups from low mass to high, and the share
        of the smooth light of each band that each group gives.
    n_living : Tensor, shape (population,), or None
        Stars that have not ended their lives, companions included, brown dwarfs not.
    brightest : Tensor, shape (population, band), or None
        Light of the brightest star that is drawn, by itself; where none is drawn singly, of the
        most massive faint one.
    present_mass : Tensor, shape (population,), or None
        Mass left of the stars drawn: living stars and remnants.
    """

    owner: Tensor
    flux: Tensor
    star_mass: Tensor
    mass: Tensor
    light: Tensor
    smooth: Tensor
    smooth_groups: Tensor
    n_living: Tensor | None = None
    brightest: Tensor | None = None
    present_mass: Tensor | None = None
