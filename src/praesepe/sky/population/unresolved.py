"""Unresolved stars: their totals, and points that share their light (docs/theory.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.population.colors import ColorChange
from praesepe.sky.population.extinction import Extinction
from praesepe.sky.population.isochrone import FLUX
from praesepe.sky.population.tables import IsochroneTables


@dataclass(frozen=True)
class Unresolved:
    """The unresolved stars of populations.

    Attributes
    ----------
    n_stars : Tensor, shape (population,)
        Their number.
    counts : Tensor of int64, shape (population, group)
        Points of equal light, in as many groups as there are bands.
    flux : Tensor, shape (band, population * group)
        Light of a point.
    total : Tensor, shape (population, 3 + band)
        Of all unresolved stars: see `praesepe.sky.population.isochrone.MASS` and what follows it.
    """

    n_stars: Tensor
    counts: Tensor
    flux: Tensor
    total: Tensor


class UnresolvedStars:
    """Draws the totals of unresolved stars, and divides their light among points.

    Attributes
    ----------
    mean, second : Tensor, shapes (isochrone level, k), (isochrone level, k, k)
        Mean quantities of an unresolved star and their mean products, without extinction.
    points_per_star : Tensor, shape (isochrone level, band)
        Points of equal light that have the shot noise of one star, without extinction.
    mass_bins : Tensor, shape (isochrone level, bin, 1 + band)
        See `praesepe.sky.population.mass_bins`.
    """

    def __init__(self, tables: IsochroneTables, device: torch.device) -> None:
        def flat(values: np.ndarray) -> Tensor:
            return torch.as_tensor(values, device=device).flatten(0, 1)

        self.mean, self.second = flat(tables.mean), flat(tables.second)
        self._terms: tuple[Tensor, Tensor] | None = None
        if tables.mean_extinction is not None and tables.second_extinction is not None:
            self._terms = flat(tables.mean_extinction), flat(tables.second_extinction)
        self._color_slopes: tuple[Tensor, Tensor] | None = None
        if tables.mean_colors is not None and tables.second_colors is not None:
            self._color_slopes = flat(tables.mean_colors), flat(tables.second_colors)
        self.points_per_star = _effective_points(self.mean, self.second)
        self.mass_bins = flat(tables.mass_bins)

    @cached_property
    def scatter(self) -> Tensor:
        """Square root of the covariance, without extinction."""
        return _covariance_root(self.mean, self.second)

    def draw(
        self,
        isochrone_level: Tensor,
        n_stars: Tensor,
        extinction: Extinction | None,
        colors: ColorChange | None = None,
        *,
        generator: torch.Generator,
    ) -> Unresolved:
        """Draw totals by the central limit theorem; they are never negative.

        Parameters
        ----------
        isochrone_level : Tensor of int64, shape (population,)
            (isochrone, level) of each population.
        n_stars : Tensor, shape (population,)
            Number of its unresolved stars.
        extinction : Extinction or None
        colors : ColorChange, optional
        generator : torch.Generator
        """
        mean = self.mean[isochrone_level]  # (population, 3 + band)
        if extinction is None and colors is None:
            spread, per_star = self.scatter[isochrone_level], self.points_per_star[isochrone_level]
        else:
            second = self.second[isochrone_level]
            if extinction is not None and self._terms is not None:
                mean = extinction.attenuate_moments(mean, self._terms[0][isochrone_level])
                second = extinction.attenuate_moments(second, self._terms[1][isochrone_level])
            if colors is not None and self._color_slopes is not None:
                of_mean, of_second = self._color_slopes
                colors.moments(mean, second, (of_mean[isochrone_level], of_second[isochrone_level]))
            spread, per_star = _covariance_root(mean, second), _effective_points(mean, second)
        normal = torch.randn(mean.shape, generator=generator, device=mean.device).double()
        scatter = torch.einsum("pij,pj->pi", spread, normal)
        total = (n_stars[:, None] * mean + n_stars.sqrt()[:, None] * scatter).clamp_min_(0)
        # The total itself varies as 1 / (n * per_star): one point more makes up for it.
        points = torch.minimum((n_stars[:, None] * per_star + 1).round(), n_stars[:, None])
        counts, flux = _nested_points(points, total[:, FLUX:].float())
        return Unresolved(n_stars, counts, flux, total.float())


def _covariance_root(mean: Tensor, second: Tensor) -> Tensor:
    """Square root (..., k, k) of the covariance: times normal deviates, it scatters as a star."""
    covariance = second - mean[..., :, None] * mean[..., None, :]
    # Light and mass differ by orders of magnitude: only correlations are fit to be decomposed.
    scale = covariance.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    inverse = torch.where(scale > 0, 1 / scale.clamp_min(1e-300), 0)
    value, vector = torch.linalg.eigh(inverse[..., :, None] * covariance * inverse[..., None, :])
    return scale[..., :, None] * vector * value.clamp_min(0).sqrt()[..., None, :]


def _effective_points(mean: Tensor, second: Tensor) -> Tensor:
    """<f>² / <f²> in each band, (..., band): equal points per star with the same shot noise."""
    square = second.diagonal(dim1=-2, dim2=-1)[..., FLUX:]
    return mean[..., FLUX:] ** 2 / square.clamp_min(1e-300)


def _nested_points(points: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
    """Divide light (population, band) among points, in each band among as many as it needs.

    The points of a band that needs few are among those of the bands that need more: the brightest
    stars, which dominate the shot noise, shine in several bands. Returns what `Unresolved` holds.
    """
    last = points.sort(1).values  # of a group: the number of points up to its end
    first = torch.cat((torch.zeros_like(last[:, :1]), last[:, :-1]), dim=1)
    each = (light / points.clamp_min(1)).float().T  # (band, population)
    flux = torch.where(points.T[:, :, None] > first, each[:, :, None], 0.0)
    return (last - first).long(), flux.flatten(1)
