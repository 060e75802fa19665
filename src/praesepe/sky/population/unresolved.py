"""Unresolved stars: their totals, and points that share their light (docs/theory.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.population.colors import ColorChange
from praesepe.sky.population.extinction import Extinction
from praesepe.sky.population.isochrone import FLUX
from praesepe.sky.population.tables import IsochroneTables, Moments


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


class _Moments(NamedTuple):
    """`praesepe.sky.population.tables.Moments` on a device, (isochrone level, ...)."""

    mean: Tensor
    second: Tensor
    mean_extinction: Tensor | None
    second_extinction: Tensor | None
    mean_colors: Tensor | None
    second_colors: Tensor | None

    def seen(
        self, isochrone_level: Tensor, extinction: Extinction | None, colors: ColorChange | None
    ) -> tuple[Tensor, Tensor]:
        """Mean and mean products of the stars of populations, with their dust and colors."""
        mean, second = self.mean[isochrone_level], self.second[isochrone_level]
        of_mean, of_second, slope_of_mean, slope_of_second = (
            None if values is None else values[isochrone_level] for values in self[2:]
        )
        if extinction is not None and of_mean is not None and of_second is not None:
            mean = extinction.attenuate_moments(mean, of_mean)
            second = extinction.attenuate_moments(second, of_second)
        if colors is not None and slope_of_mean is not None and slope_of_second is not None:
            colors.moments(mean, second, (slope_of_mean, slope_of_second))
        return mean, second


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

        def on_device(moments: Moments) -> _Moments:
            more = (
                moments.mean_extinction,
                moments.second_extinction,
                moments.mean_colors,
                moments.second_colors,
            )
            also = (None if values is None else flat(values) for values in more)
            return _Moments(flat(moments.mean), flat(moments.second), *also)

        self.moments = on_device(tables.moments)
        self.singles = None if tables.singles is None else on_device(tables.singles)
        self.mean, self.second = self.moments.mean, self.moments.second
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
        binarity: Tensor | None = None,
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
        binarity : Tensor, shape (population,), optional
            Fraction of the binaries that the tables are for.
        generator : torch.Generator
        """
        mean = self.mean[isochrone_level]  # (population, 3 + band)
        if extinction is None and colors is None and binarity is None:
            spread, per_star = self.scatter[isochrone_level], self.points_per_star[isochrone_level]
        else:
            mean, second = self.moments.seen(isochrone_level, extinction, colors)
            if binarity is not None and self.singles is not None:
                alone, product = self.singles.seen(isochrone_level, extinction, colors)
                mean = torch.lerp(alone, mean, binarity.double()[:, None])
                second = torch.lerp(product, second, binarity.double()[:, None, None])
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
