"""Extinction of populations, star by star and on average (docs/theory.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import must_be, outside

EXTINCTION_NODES = 16
"""Gauss-Legendre nodes in the extinction of single stars."""

EXTINCTION_REACH = 5.0
"""Standard deviations of the extinction that these nodes span."""


LEAST_SCATTER = 1e-4
"""A smaller standard deviation of the extinction, mag, is taken as this one."""


@dataclass(frozen=True)
class Extinction:
    """Extinction in front of populations, counted from the lowest of the tables.

    Each star has its own, normally distributed about the population's mean. Values outside the
    tables' range take its end, so that a table that starts at zero sets negative values to zero.
    (A log-normal law, which describes the dust of a whole disc (Dalcanton et al. 2015, ApJ 814, 3),
    has no upper end that a table could cover.)

    Attributes
    ----------
    mean : Tensor, shape (population,)
        mag.
    scatter : Tensor, shape (population,), or None
        Standard deviation from star to star, mag; None: there is none.
    width : float
        Highest extinction of the tables, mag.
    """

    mean: Tensor
    scatter: Tensor | None
    width: float

    @classmethod
    def of_populations(
        cls,
        covered: tuple[float, float],
        a_v: Tensor | None,
        scatter: float | Tensor,
        *,
        like: Tensor,
    ) -> Extinction | None:
        """Check what extinction is asked for; None where the tables' lowest holds.

        Parameters
        ----------
        covered : tuple of float
            Lowest and highest A_V of the tables.
        a_v : Tensor, shape (population,), or None
            Mean extinctions.
        scatter : float or Tensor, shape (population,)
            From star to star, mag.
        like : Tensor, shape (population,)
            On the device of the extinctions.

        Raises
        ------
        InputError
            For an extinction that the tables do not cover.
        """
        low, high = covered
        most_scatter = float(torch.as_tensor(scatter).max()) if len(like) else 0.0
        if a_v is not None and len(a_v):
            least, most = (float(end) for end in torch.aminmax(a_v))
            if not (least >= low - 1e-4 and most <= high + 1e-4):
                given = (least, most)
                raise outside("A_V", given, covered, "the tables of stars", "build wider ones")
        if low == high:
            if most_scatter > 0:
                allowed = f"0, as the tables hold A_V = {low:g} alone"
                remedy = "build tables that cover a range of it"
                raise must_be("a_v_scatter", most_scatter, allowed, remedy)
            return None
        if a_v is None:
            if most_scatter == 0:
                return None
            a_v = torch.full_like(like, low)
        of_each: Tensor | None = None
        if most_scatter > 0:
            of_each = torch.as_tensor(scatter, device=a_v.device).float().expand(len(a_v))
        return cls((a_v.float() - low).clamp(0, high - low), of_each, high - low)

    def of_stars(self, population: Tensor, generator: torch.Generator) -> Tensor:
        """Extinction of each star of the populations with these indices."""
        mean = self.mean.index_select(0, population)
        if self.scatter is None:
            return mean
        normal = torch.randn(population.shape, generator=generator, device=population.device)
        scatter = self.scatter.index_select(0, population)
        return (mean + scatter * normal).clamp_(0, self.width)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Extinctions and weights (population, node) for means over the stars, float64."""
        mean = self.mean.double()[:, None]
        if self.scatter is None:
            return mean, torch.ones_like(mean)
        at, weight = (
            torch.as_tensor(v, device=mean.device)
            for v in np.polynomial.legendre.leggauss(EXTINCTION_NODES)
        )
        scatter = self.scatter.double().clamp_min(LEAST_SCATTER)[:, None]
        reach = EXTINCTION_REACH * scatter
        low, high = ((mean + side * reach).clamp(0, self.width) for side in (-1, 1))
        x = 0.5 * (low + high) + 0.5 * (high - low) * at
        density = weight * torch.exp(-0.5 * ((x - mean) / scatter) ** 2)
        below = torch.special.ndtr(-mean / scatter)
        above = torch.special.ndtr((mean - self.width) / scatter)
        total = density.sum(1, keepdim=True).clamp_min(1e-300)
        ends = torch.tensor([0.0, self.width], device=mean.device).expand(len(mean), 2)
        return (
            torch.cat((x, ends), dim=1),
            torch.cat((density / total * (1 - below - above), below, above), dim=1),
        )

    def attenuate_moments(self, moment: Tensor, terms: Tensor) -> Tensor:
        """Moments of stars behind dust, averaged over their extinctions.

        Parameters
        ----------
        moment : Tensor, shape (population, ...)
            At the lowest extinction.
        terms : Tensor, shape (population, ..., term)
            See `praesepe.sky.population.tables.IsochroneTables.mean_extinction`.
        """
        x, weight = self.quadrature()
        inner = (1,) * (moment.dim() - 1)
        x, weight = x.T.reshape(-1, len(moment), *inner), weight.T.reshape(-1, len(moment), *inner)
        factor = attenuation(terms.movedim(-1, 0)[:, None], x)  # (node, population, ...)
        return moment * (weight * factor).sum(0)


def attenuation(terms: Tensor, a_v: Tensor) -> Tensor:
    """Factor of the dust on light: 2 to the polynomial t1 A_V + t2 A_V² + ...

    Parameters
    ----------
    terms : Tensor, shape (term, ...)
    a_v : Tensor, shape (...)
        Extinction above the lowest one, mag; broadcasts with one term.
    """
    exponent = terms[-1] * a_v
    for term in terms[:-1].flip(0):
        exponent = (exponent + term) * a_v
    return torch.exp2(exponent)
