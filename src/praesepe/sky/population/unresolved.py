"""The light of many faint stars, with dust: moments that sums are drawn from, and its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.sky.population.tables import FLUX

DUST_NODES = 16
"""Gauss-Legendre nodes in the extinction of single stars."""

DUST_REACH = 5.0
"""Standard deviations of the extinction that these nodes span."""


@dataclass(frozen=True)
class Dust:
    """Extinction in front of populations, counted from the lowest of the tables.

    Each star has its own, normally distributed about the population's mean; values outside the
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
    def behind(
        cls,
        covered: tuple[float, float],
        row: Tensor,
        a_v: Tensor | None,
        scatter: float,
        *,
        varies: bool,
    ) -> Dust | None:
        """Check what dust is asked for; None where the tables' lowest extinction holds.

        Parameters
        ----------
        covered : tuple of float
            Lowest and highest A_V of the tables.
        row : Tensor, shape (population,)
        a_v : Tensor, shape (population,), or None
            Mean extinctions.
        scatter : float
            From star to star, mag.
        varies : bool
            Whether the tables hold more than one extinction.

        Raises
        ------
        InputError
            For an extinction that the tables do not cover.
        """
        low, high = covered
        if not scatter >= 0:
            raise InputError(f"a scatter of {scatter!r} mag of A_V: give a number from 0 up")
        if a_v is not None and len(a_v):
            least, most = (float(end) for end in torch.aminmax(a_v))
            if not (least >= low - 1e-4 and most <= high + 1e-4):
                raise InputError(
                    f"A_V from {least:g} to {most:g} mag: the tables of stars cover {low:g} to "
                    f"{high:g}; build them with a wider range"
                )
        if not varies:
            if scatter > 0:
                raise InputError(
                    f"a scatter of {scatter:g} mag of A_V needs tables that cover a range of it; "
                    f"these hold A_V = {low:g} alone"
                )
            return None
        if a_v is None:
            if scatter == 0:
                return None
            a_v = torch.full(row.shape, low, device=row.device)
        return cls((a_v.float() - low).clamp(0, high - low), scatter, high - low)

    def of_stars(self, owner: Tensor, generator: torch.Generator) -> Tensor:
        """Extinction of each star; shape of `owner`, its population."""
        mean = self.mean.index_select(0, owner)
        if self.scatter == 0:
            return mean
        normal = torch.randn(owner.shape, generator=generator, device=owner.device)
        return (mean + self.scatter * normal).clamp_(0, self.width)

    def nodes(self) -> tuple[Tensor, Tensor]:
        """Extinctions and weights (population, node) for means over the stars, float64."""
        mean = self.mean.double()[:, None]
        if self.scatter == 0:
            return mean, torch.ones_like(mean)
        at, weight = (
            torch.as_tensor(v, device=mean.device)
            for v in np.polynomial.legendre.leggauss(DUST_NODES)
        )
        reach = DUST_REACH * self.scatter
        low, high = (mean - reach).clamp(0, self.width), (mean + reach).clamp(0, self.width)
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


def dimming(terms: Tensor, x: Tensor) -> Tensor:
    """Factor on a star's light: 2 to the polynomial t1 x + t2 x² + ...

    Parameters
    ----------
    terms : Tensor, shape (term, ...)
    x : Tensor, shape (...)
        Extinction above the lowest one, mag; broadcasts with one term.
    """
    exponent = terms[-1] * x
    for term in terms[:-1].flip(0):
        exponent = (exponent + term) * x
    return torch.exp2(exponent)


def dusty(moment: Tensor, terms: Tensor, dust: Dust) -> Tensor:
    """Moments of the stars behind dust, averaged over their extinctions.

    Parameters
    ----------
    moment : Tensor, shape (population, ...)
        At the lowest extinction.
    terms : Tensor, shape (population, ..., term)
        See `praesepe.sky.population.tables.StarRows.mean_dust`.
    """
    x, weight = dust.nodes()
    inner = (1,) * (moment.dim() - 1)
    x, weight = x.T.reshape(-1, len(moment), *inner), weight.T.reshape(-1, len(moment), *inner)
    factor = dimming(terms.movedim(-1, 0)[:, None], x)  # (node, population, ...)
    return moment * (weight * factor).sum(0)


def root(mean: Tensor, second: Tensor) -> Tensor:
    """Square root of the covariance: times normal deviates, it scatters as one star does."""
    covariance = second - mean[..., :, None] * mean[..., None, :]
    # Light and mass differ by orders of magnitude: only correlations are fit to be decomposed.
    scale = covariance.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    inverse = torch.where(scale > 0, 1 / scale.clamp_min(1e-300), 0)
    value, vector = torch.linalg.eigh(inverse[..., :, None] * covariance * inverse[..., None, :])
    return scale[..., :, None] * vector * value.clamp_min(0).sqrt()[..., None, :]


def effective_number(mean: Tensor, second: Tensor) -> Tensor:
    """<f>² / <f²> in each band, (..., band): equal stars per star with the same shot noise."""
    square = second.diagonal(dim1=-2, dim2=-1)[..., FLUX:]
    return mean[..., FLUX:] ** 2 / square.clamp_min(1e-300)


@dataclass(frozen=True)
class Faint:
    """The stars of populations that are summed.

    Attributes
    ----------
    counts : Tensor of int64, shape (population, group)
        Points of equal light, in as many groups as there are bands.
    flux : Tensor, shape (band, population * group)
        Light of a point.
    total : Tensor, shape (population, 3 + band)
        Of all stars: see `praesepe.sky.population.tables.MASS`.
    """

    counts: Tensor
    flux: Tensor
    total: Tensor


def nested_points(points: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
    """Divide light among points, in each band among as many as it needs.

    The points of a band that needs few are among those of the bands that need more: the brightest
    stars, which rule the shot noise, shine in several bands.

    Parameters
    ----------
    points, light : Tensor, shape (population, band)
        Whole numbers of points; light to divide among them.

    Returns
    -------
    counts : Tensor of int64, shape (population, group)
        Points that carry the same light.
    flux : Tensor, shape (band, population * group)
        Light of each of them.
    """
    last = points.sort(1).values  # of a group: the number of points up to its end
    first = torch.cat((torch.zeros_like(last[:, :1]), last[:, :-1]), dim=1)
    each = (light / points.clamp_min(1)).float().T  # (band, population)
    flux = torch.where(points.T[:, :, None] > first, each[:, :, None], 0.0)
    return (last - first).long(), flux.flatten(1)
