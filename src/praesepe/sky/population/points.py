"""What a sampler of stars returns: points of light, and totals of their populations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Stars:
    """A set of points of light and the totals of the populations that they belong to.

    A binary is one point. Masses are in Msun. Light is behind the dust, in the sampler's unit (e-/s
    for the sampler of a survey) times the populations' `light_scale`.

    Attributes
    ----------
    population : Tensor of int64, shape (point,)
        Index of each point's population.
    flux : Tensor, shape (band, point)
        Light of each point. In a crowded population a star carries the light of all stars that it
        stands for. Points that share unresolved light may have none in some bands, where fewer of
        them have the right shot noise.
    star_mass : Tensor, shape (point,)
        Initial mass of the star or binary. Of a point that shares unresolved light, the mean mass
        of the unresolved stars, weighted by their light and averaged over the bands: it decides
        where mass segregation puts that light.
    mass : Tensor, shape (population,)
        Initial mass of all stars, companions included, living or dead.
    light : Tensor, shape (population, band)
        Light of all stars.
    diffuse : Tensor, shape (population, band)
        The part of `light` that is not in the points: it has no shot noise and follows the profile
        itself. Zero except in crowded populations.
    mass_bins : Tensor, shape (population, bin, 1 + band)
        Where the diffuse light comes from, in bins from low mass to high: mean initial mass of the
        stars, and the fraction of the diffuse light of each band.
    n_living : Tensor, shape (population,), or None
        Stars that have not ended their lives, companions included, brown dwarfs not.
    brightest : Tensor, shape (population, band), or None
        Light of the brightest individually sampled star; without any, of the most massive living
        unresolved one.
    present_mass : Tensor, shape (population,), or None
        Present-day mass of all stars: living stars and remnants.
    """

    population: Tensor
    flux: Tensor
    star_mass: Tensor
    mass: Tensor
    light: Tensor
    diffuse: Tensor
    mass_bins: Tensor
    n_living: Tensor | None = None
    brightest: Tensor | None = None
    present_mass: Tensor | None = None

    def scaled(self, light_scale: Tensor) -> Stars:
        """The same stars with all light multiplied by a factor (population, band)."""
        scale = light_scale.to(self.flux.dtype)
        return replace(
            self,
            flux=self.flux * scale.T.index_select(1, self.population),
            light=self.light * scale,
            diffuse=self.diffuse * scale,
            brightest=None if self.brightest is None else self.brightest * scale,
        )
