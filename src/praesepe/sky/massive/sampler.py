"""Crowded populations: importance sampling of their stars (docs/theory.md, section 6).

Where so many stars lie above the flux limit that their own shot noise hides each of them, few stand
for many, and the rest of the light is diffuse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.massive.importance import ImportanceLevels
from praesepe.sky.population.alias import AliasSampler
from praesepe.sky.population.individual import Populations
from praesepe.sky.population.levels import EXACT
from praesepe.sky.population.points import Points, Stars
from praesepe.sky.population.sampler import StarSampler
from praesepe.sky.population.tables import IsochroneTables
from praesepe.stars.imf import InitialMassFunction

MAX_POINTS = 1 << 13
"""Most individually sampled stars of one population, unless the flux limit is zero, a mean number;
and most points that share its unresolved light. A crowded population has no more than both
together."""


@dataclass(frozen=True, kw_only=True)
class CrowdedStars(Stars):
    """`Stars` of which a sampled one carries, in crowded populations, the light of several.

    Attributes
    ----------
    diffuse : Tensor, shape (population, band)
        The part of `light` that is not in the points: it has no shot noise and follows the profile
        itself. Zero except in crowded populations.
    mass_bins : Tensor, shape (population, bin, 1 + band)
        Where the diffuse light comes from, in bins from low mass to high: mean initial mass of the
        stars, and the fraction of the diffuse light of each band.
    """

    diffuse: Tensor
    mass_bins: Tensor

    def scaled(self, light_scale: Tensor) -> Self:
        """The same stars with all light multiplied by a factor (population, band)."""
        diffuse = self.diffuse * light_scale.to(self.diffuse.dtype)
        return replace(super().scaled(light_scale), diffuse=diffuse)


class CrowdedSampler(StarSampler):
    """A `StarSampler` for populations of any number of stars."""

    def _further_levels(self, limit: np.ndarray) -> ImportanceLevels:
        return ImportanceLevels(limit, self.binaries)

    def _put_on_device(self, tabulated: IsochroneTables, imf: InitialMassFunction) -> None:
        super()._put_on_device(tabulated, imf)
        self._companions = None
        self._points_per_star = self.individual.fraction
        assert isinstance(tabulated.further, ImportanceLevels)
        companions = tabulated.further.companions
        if companions is not None:
            self._companions = AliasSampler(companions, self.device)
            self._points_per_star = self.individual.fraction + self._companions.fraction

    def draw(
        self,
        isochrone: Tensor,
        n_stars: Tensor,
        *,
        generator: torch.Generator,
        max_points: int | Tensor = MAX_POINTS,
        light_scale: Tensor | None = None,
        compute_truth: bool = True,
        **settings: Any,
    ) -> CrowdedStars:
        """Draw populations of given numbers of stars.

        Parameters
        ----------
        isochrone, n_stars, generator, light_scale, compute_truth, **settings
            As for `StarSampler.draw`.
        max_points : int or Tensor of int64, shape (population,)
            Most individually sampled stars of one population, and most points that share its
            unresolved light. A population that needs more of either is crowded: it gets twice as
            many points at most, and the rest of its light is diffuse.

        Returns
        -------
        CrowdedStars
        """
        populations = self.populations(isochrone, n_stars, light_scale=light_scale, **settings)
        level = self._limited(populations, max_points)
        populations = replace(populations, isochrone_level=level)
        crowded = (level % self.levels.n >= self.levels.further)[:, None]

        n_individual, unresolved = self.divide(populations, generator)
        unresolved = replace(unresolved, counts=unresolved.counts * ~crowded)
        counts = [n_individual]
        if self._companions is not None and bool(crowded.any()):
            expected = self._companions.fraction[level] * populations.n_stars
            if populations.binarity is not None:
                expected = expected * populations.binarity
            counts.append(torch.poisson(expected, generator=generator))
        points = self.points(counts, unresolved, populations, compute_truth)
        n_living, weight = self._draw_weighted(points, populations, compute_truth, generator)
        stars = self.add_up(points, n_living, unresolved, populations, generator)

        diffuse = torch.zeros_like(stars.light)
        if bool(crowded.any()):
            points.flux_of_stars.mul_(weight)
            in_points = points.light()[:, : self.n_bands]
            diffuse = (stars.light - in_points).clamp_min_(0) * crowded
        mass_bins = self.unresolved.mass_bins[level][..., : 1 + self.n_bands]
        out = CrowdedStars(**vars(stars), diffuse=diffuse, mass_bins=mass_bins)
        return out if light_scale is None else out.scaled(light_scale)

    def _draw_weighted(
        self,
        points: Points,
        populations: Populations,
        compute_truth: bool,
        generator: torch.Generator,
    ) -> tuple[Tensor | None, Tensor]:
        """Draw stars, then companions of negligible primaries as stars of their own.

        Returns the living at each point, and the number of stars whose light each star carries.
        """
        n_living, weights = [], []
        for run, alias in zip(points.runs, (None, self._companions), strict=False):
            population = points.population_of_stars[run]
            slots = torch.empty_like(population)
            living = self.individual.draw(
                points.stars[:, run],
                population,
                populations,
                generator=generator,
                compute_truth=compute_truth,
                alias=alias,
                slots=slots,
            )
            n_living.append(living)
            weights.append((alias or self.individual.alias).flux_weights[slots])
        told = [living for living in n_living if living is not None]
        return torch.cat(told) if told else None, torch.cat(weights)

    def _limited(self, populations: Populations, max_points: int | Tensor) -> Tensor:
        """(isochrone, level) of each population: the first level that leaves few enough points."""
        n, first_further = self.levels.n, self.levels.further
        n_stars, own = populations.n_stars, populations.isochrone_level
        if not self.levels.limit.any():
            return own
        most = torch.as_tensor(max_points, device=self.device).expand(len(own))
        individual = n_stars * self._points_per_star[own]
        needed = (n_stars - individual)[:, None] * self.unresolved.points_per_star[own]
        fits = (own % n == EXACT) | ((individual <= most) & (needed.amax(1) <= most))
        level = torch.arange(first_further, n, device=self.device)
        further = (populations.isochrone * n)[:, None] + level  # (population, level)
        few = n_stars[:, None] * self._points_per_star[further] <= 2 * most[:, None]
        first = few.int().argmax(1, keepdim=True)
        return torch.where(fits, own, further.gather(1, first)[:, 0])

    def is_crowded(
        self,
        isochrone: Tensor,
        n_stars: Tensor,
        *,
        light_scale: Tensor | None = None,
        flux_limit: Tensor | None = None,
    ) -> Tensor:
        """Whether so many stars lie above the flux limit that their own noise has to join it.

        Parameters
        ----------
        isochrone, n_stars, light_scale, flux_limit
            As for `draw`.

        Returns
        -------
        Tensor of bool, shape (population,)
        """
        populations = self.populations(
            isochrone, n_stars, light_scale=light_scale, flux_limit=flux_limit
        )
        return self._limited(populations, MAX_POINTS) % self.levels.n > self.levels.further
