"""Crowded populations: importance sampling of their stars (docs/theory.md, section 6).

`praesepe.sky.population.sampler` hands crowded populations over to this module: where so many stars
lie above the flux limit that their own shot noise hides each of them, few stand for many.
"""

from __future__ import annotations

import torch
from torch import Tensor

from praesepe.sky.population.alias import AliasSampler
from praesepe.sky.population.individual import IndividualStars, Populations, Sampled
from praesepe.sky.population.tables import IsochroneTables


class CrowdedPopulations:
    """What crowded populations have beside others: flux weights, and more stars."""

    def __init__(
        self, tables: IsochroneTables, individual: IndividualStars, device: torch.device
    ) -> None:
        self._individual = individual
        self._companions = None
        self.points_per_star = individual.fraction
        if tables.companions is not None:
            self._companions = AliasSampler(tables.companions, device)
            self.points_per_star = individual.fraction + self._companions.fraction

    def n_companions(
        self, isochrone_level: Tensor, n_stars: Tensor, generator: torch.Generator
    ) -> Tensor | None:
        """Numbers of companions of negligible primaries to sample as stars of their own."""
        if self._companions is None:
            return None
        return torch.poisson(
            self._companions.fraction[isochrone_level] * n_stars, generator=generator
        )

    def draw(
        self,
        value: Tensor,
        population: Tensor,
        populations: Populations,
        *,
        n_single: int,
        generator: torch.Generator,
        compute_truth: bool,
    ) -> Sampled:
        """Draw stars as `IndividualStars.draw` does, after `n_single` of them companions."""
        parts = (slice(n_single), None), (slice(n_single, None), self._companions)
        sampled = [
            self._individual.draw(
                value[:, part],
                population[part],
                populations,
                generator=generator,
                compute_truth=compute_truth,
                weighted=True,
                alias=alias,
            )
            for part, alias in parts
        ]
        return Sampled(
            torch.cat([each.n_living for each in sampled]),
            torch.cat([each.flux_weight for each in sampled]),
        )
