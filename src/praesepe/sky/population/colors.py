"""Changes of populations' colors, of each star and on average (docs/theory.md, section 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.sky.population.isochrone import FLUX

_EXPONENT_PER_MAG = -0.4 * math.log2(10)


@dataclass(frozen=True)
class ColorChange:
    """What each population's light differs by from that of its isochrone.

    Attributes
    ----------
    magnitude : Tensor, shape (population, band, term)
        Factors of `praesepe.stars.colors.color_terms`, mag.
    factor : Tensor, shape (band, population * node)
        On the light of stars above each node of the population's isochrone.
    first : Tensor of int64, shape (population,)
        A star's place in `factor` is its node's among those of all isochrones, plus this.
    """

    magnitude: Tensor
    factor: Tensor
    first: Tensor

    @classmethod
    def of_populations(cls, magnitude: Tensor, isochrone: Tensor, terms: Tensor) -> ColorChange:
        """Tabulate the factors.

        Parameters
        ----------
        magnitude : Tensor, shape (population, band, term)
        isochrone : Tensor of int64, shape (population,)
        terms : Tensor, shape (term, isochrone, node)
        """
        n_nodes = terms.shape[-1]
        own = terms[:, isochrone].transpose(0, 1)  # (population, term, node)
        exponent = torch.bmm(_EXPONENT_PER_MAG * magnitude, own).transpose(0, 1)
        first = n_nodes * (torch.arange(len(isochrone), device=isochrone.device) - isochrone)
        return cls(magnitude, exponent.exp2_().flatten(1), first)

    def of_stars(self, population: Tensor, node: Tensor) -> Tensor:
        """Factor on the light of stars of these populations above these nodes, (band, star)."""
        return self.factor.index_select(1, node + self.first.index_select(0, population))

    def moments(self, mean: Tensor, second: Tensor, slopes: tuple[Tensor, Tensor]) -> None:
        """Change moments of unresolved stars, in place.

        Parameters
        ----------
        mean, second : Tensor, shapes (population, k), (population, k, k)
        slopes : tuple of Tensor, shapes of both with (..., term)
            See `praesepe.sky.population.tables.IsochroneTables.mean_colors`.
        """
        size = mean.shape[1]
        each = torch.zeros(len(mean), size, self.magnitude.shape[-1], device=mean.device)
        each[:, FLUX:] = _EXPONENT_PER_MAG * self.magnitude
        mean *= torch.exp2((each * slopes[0]).sum(-1))
        # The slopes are those of a change in all bands: of two bands, each has half of it.
        is_light = (torch.arange(size, device=mean.device) >= FLUX).float()
        bands = (is_light[:, None] + is_light).clamp_min(1)[..., None]
        pair = (each[:, :, None] + each[:, None]) / bands
        second *= torch.exp2((pair * slopes[1]).sum(-1))
