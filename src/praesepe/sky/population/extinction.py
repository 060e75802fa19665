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
    scatter : float
        Standard deviation from star to star, mag.
    width : float
        Highest extinction of the tables, mag.
    """

    mean: Tensor
    scatter: float
    width: float

    @classmethod
    def of_populations(
        cls,
        covered: tuple[float, float],
        a_v: Tensor | None,
        scatter: float,
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
        scatter : float
            From star to star, mag.
        like : Tensor, shape (population,)
            On the device of the extinctions.

        Raises
        ------
        InputError
            For an extinction that the tables do not cover.
        """
        low, high = covered
        if a_v is not None and len(a_v):
            least, most = (float(end) for end in torch.aminmax(a_v))
            if not (least >= low - 1e-4 and most <= high + 1e-4):
                given = (least, most)
                raise outside("A_V", given, covered, "the tables of stars", "build wider ones")
        if low == high:
            if scatter > 0:
                allowed = f"0, as the tables hold A_V = {low:g} alone"
                remedy = "build tables that cover a range of it"
                raise must_be("a_v_scatter", scatter, allowed, remedy)
            return None
        if a_v is None:
            if scatter == 0:
                return None
            a_v = torch.full_like(like, low)
        return cls((a_v.float() - low).clamp(0, high - low), scatter, high - low)

    def of_stars(self, population: Tensor, generator: torch.Generator) -> Tensor:
        """Extinction of each star of the populations with these indices."""
        mean = self.mean.index_select(0, population)
        if self.scatter == 0:
            return mean
        normal = torch.randn(population.shape, generator=generator, device=population.device)
        return (mean + self.scatter * normal).clamp_(0, self.width)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Extinctions and weights (population, node) for means over the stars, float64."""
        mean = self.mean.double()[:, None]
        if self.scatter == 0:
            return mean, torch.ones_like(mean)
        at, weight = (
            torch.as_tensor(v, device=mean.device)
            for v in np.polynomial.legendre.leggauss(EXTINCTION_NODES)
        )
        reach = EXTINCTION_REACH * self.scatter
        low, high = ((mean + side * reach).clamp(0, self.width) for side in (-1, 1))
        x = 0.5 * (low + high) + 0.5 * (high - low) * at
        density = weight * torch.exp(-0.5 * ((x - mean) / self.scatter) ** 2)
        below = torch.special.ndtr(-mean / self.scatter)
        above = torch.special.ndtr((mean - self.width) / self.scatter)
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
