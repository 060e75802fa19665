"""What a sampler of stars returns: points of light, and totals of their populations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Self

import torch
from torch import Tensor

from praesepe.sky.population.memory import check_fits
from praesepe.sky.population.unresolved import Unresolved


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
        Light of each point. Points that share unresolved light may have none in some bands, where
        fewer of them have the right shot noise.
    star_mass : Tensor, shape (point,)
        Initial mass of the star or binary. Of a point that shares unresolved light, the mean mass
        of the unresolved stars, weighted by their light and averaged over the bands: it decides
        where mass segregation puts that light.
    mass : Tensor, shape (population,)
        Initial mass of all stars, companions included, living or dead.
    light : Tensor, shape (population, band)
        Light of all stars.
    n_living : Tensor, shape (population,), or None
        Stars that have not ended their lives, companions included, brown dwarfs not.
    brightest : Tensor, shape (population, band), or None
        Light of the brightest individually sampled star; without any, of the most massive living
        unresolved one.
    present_mass : Tensor, shape (population,), or None
        Present-day mass of all stars: living stars and remnants.
    ionising : Tensor, shape (population,), or None
        Ionising photons of all stars, `praesepe.stars.nebula.UNIT_PER_S`, where the tables tell
        them.
    """

    population: Tensor
    flux: Tensor
    star_mass: Tensor
    mass: Tensor
    light: Tensor
    n_living: Tensor | None = None
    brightest: Tensor | None = None
    present_mass: Tensor | None = None
    ionising: Tensor | None = None

    def scaled(self, light_scale: Tensor) -> Self:
        """The same stars with all light multiplied by a factor (population, band)."""
        scale = light_scale.to(self.flux.dtype)
        return replace(
            self,
            flux=self.flux * scale.T.index_select(1, self.population),
            light=self.light * scale,
            brightest=None if self.brightest is None else self.brightest * scale,
        )


class Points:
    """Points of light of a draw, (value, point): stars first, then points of unresolved light.

    The stars lie in runs, each in order of the populations; `counts` holds the numbers
    (population,) of each run. The values are mass, light by band, and present mass if it is asked
    for. `mass` (population,) is that from which the unresolved light comes.
    """

    def __init__(
        self, counts: Sequence[Tensor], unresolved: Unresolved, mass: Tensor, *, n_values: int
    ) -> None:
        self._runs = [count.long() for count in counts]
        self._numbers = [int(count.sum()) for count in self._runs]
        n, n_bands = sum(self._numbers), len(unresolved.flux)
        check_fits(n, n_values, mass.device)
        runs = [*self._runs, unresolved.counts.sum(1)]
        self.population = torch.cat([torch.repeat_interleave(count) for count in runs])
        self.value = torch.empty((n_values, len(self.population)), device=mass.device)
        self.flux = self.value[1 : 1 + n_bands]
        self.stars, self.population_of_stars = self.value[:, :n], self.population[:n]
        group = torch.repeat_interleave(unresolved.counts.flatten())
        self.value[0, n:] = mass.index_select(0, self.population[n:])
        self.flux[:, n:] = unresolved.flux.index_select(1, group)

    @property
    def runs(self) -> list[slice]:
        """Where each run lies among the stars."""
        ends = [0, *accumulate(self._numbers)]
        return [slice(*pair) for pair in pairwise(ends)]

    @property
    def flux_of_stars(self) -> Tensor:
        """Light of each star, (band, star)."""
        return self.flux[:, : self.stars.shape[1]]

    def brightest(self, least: Tensor) -> Tensor:
        """Highest of the stars' light and of `least`, (band, population)."""
        for of_band, flux_of_band in zip(least, self.flux_of_stars, strict=True):
            of_band.scatter_reduce_(0, self.population_of_stars, flux_of_band, "amax")
        return least

    def total(self, values: Tensor) -> Tensor:
        """Sum over the stars of each population, (population,), of values (star,)."""
        parts = zip(values.split(self._numbers), self._runs, strict=True)
        sums = [
            torch.segment_reduce(part, "sum", lengths=count, unsafe=True, initial=0)
            for part, count in parts
            if len(part)
        ]
        return sum(sums, torch.zeros(len(self._runs[0]), device=values.device))

    def light(self) -> Tensor:
        """Light of the stars of each population, (population, band)."""
        return torch.stack([self.total(of_band) for of_band in self.flux_of_stars], 1)
