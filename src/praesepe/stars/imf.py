"""The initial mass function: a broken power law drawn by its inverse cumulative distribution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BrokenPowerLaw:
    """Number of stars per unit of mass, dN/dm proportional to m^-slope between the edges.

    Parameters
    ----------
    edges : tuple of float
        Masses where the slope changes, ascending, with both ends; solar masses.
    slopes : tuple of float
        One slope per interval (positive where numbers fall with mass); none may be exactly 1 or 2.

    Raises
    ------
    InputError
        Where edges do not ascend, or slopes and edges do not match.
    """

    edges: tuple[float, ...]
    slopes: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.slopes) + 1 or self.edges[0] <= 0:
            raise InputError(
                f"{len(self.slopes)} slopes need {len(self.slopes) + 1} positive edges; "
                f"given: {self.edges}"
            )
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise InputError(f"the edges of a mass function must ascend; given: {self.edges}")
        if any(slope in (1.0, 2.0) for slope in self.slopes):
            raise InputError("slopes of exactly 1 or 2 are not supported; use 1.0001 or 2.0001")

    @cached_property
    def _coefficients(self) -> np.ndarray:
        """Factor of m^-slope in each interval, continuous, number normalised to one."""
        factors = np.ones(len(self.slopes))
        for i in range(1, len(factors)):
            change = self.slopes[i] - self.slopes[i - 1]
            factors[i] = factors[i - 1] * self.edges[i] ** change
        return factors / (factors * self._moments(0)).sum()

    def _moments(self, power: int) -> np.ndarray:
        """Integral of m^(power - slope) over each interval, without the coefficient."""
        exponent = power + 1.0 - np.array(self.slopes)
        edges = np.array(self.edges)
        return (edges[1:] ** exponent - edges[:-1] ** exponent) / exponent

    @cached_property
    def _cumulative(self) -> np.ndarray:
        """Cumulative number at every edge, 0 to 1."""
        return np.concatenate([[0.0], np.cumsum(self._coefficients * self._moments(0))])

    def pdf(self, mass: ArrayLike) -> np.ndarray:
        """Probability per solar mass, zero outside the edges; same shape as `mass`."""
        at = np.asarray(mass, dtype=float)
        part = self._interval(at)
        value = self._coefficients[part] * at ** -np.array(self.slopes)[part]
        return np.where((at >= self.edges[0]) & (at <= self.edges[-1]), value, 0.0)

    def cdf(self, mass: ArrayLike) -> np.ndarray:
        """Fraction of all stars below `mass` (solar masses); same shape as `mass`."""
        inside = np.clip(np.asarray(mass, dtype=float), self.edges[0], self.edges[-1])
        part = self._interval(inside)
        exponent = 1.0 - np.array(self.slopes)[part]
        edge = np.array(self.edges)[part]
        above = self._coefficients[part] * (inside**exponent - edge**exponent) / exponent
        return self._cumulative[part] + above

    def ppf(self, fraction: ArrayLike) -> np.ndarray:
        """Mass (solar) below which lies `fraction` of all stars; same shape as `fraction`."""
        below = np.asarray(fraction, dtype=float)
        part = np.searchsorted(self._cumulative, below, side="right") - 1
        part = np.clip(part, 0, len(self.slopes) - 1)
        exponent = 1.0 - np.array(self.slopes)[part]
        edge = np.array(self.edges)[part]
        above = (below - self._cumulative[part]) * exponent / self._coefficients[part]
        return (edge**exponent + above) ** (1.0 / exponent)

    def ppf_torch(self, fraction: Tensor) -> Tensor:
        """`ppf` for a torch tensor: any shape and device, result of the same type."""
        import torch

        def constant(values: ArrayLike) -> Tensor:
            return torch.as_tensor(values, dtype=fraction.dtype, device=fraction.device)

        cumulative = constant(self._cumulative)
        part = torch.searchsorted(cumulative, fraction.contiguous(), right=True) - 1
        part = part.clamp(0, len(self.slopes) - 1)
        exponent = 1.0 - constant(self.slopes)[part]
        edge = constant(self.edges)[part]
        above = (fraction - cumulative[part]) * exponent / constant(self._coefficients)[part]
        return (edge**exponent + above) ** (1.0 / exponent)

    @property
    def mean_mass(self) -> float:
        """Mean mass of a star, solar masses."""
        return float((self._coefficients * self._moments(1)).sum())

    def _interval(self, mass: np.ndarray) -> np.ndarray:
        part = np.searchsorted(self.edges, mass, side="right") - 1
        return np.clip(part, 0, len(self.slopes) - 1)


KROUPA2001 = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.3))
"""Kroupa (2001, MNRAS 322, 231), equation 2, without brown dwarfs; 0.08 to 120 solar masses."""
