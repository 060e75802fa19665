"""Unresolved binary stars: how many stars have a companion, and how massive it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import check_number, must_be

if TYPE_CHECKING:
    from torch import Tensor

LOWEST_STAR = 0.08
"""Companions of lower mass (solar) are brown dwarfs, unless the mass function counts them as stars:
they weigh, but give no light."""

Values = TypeVar("Values", np.ndarray, "Tensor")


@dataclass(frozen=True)
class Binaries:
    """Companions of mass q m1 on the isochrone of their primary, dN/dq proportional to q^slope.

    Both stars evolve as single ones; nothing is exchanged between them. Primaries follow the
    initial mass function, companions the mass ratio.

    Parameters
    ----------
    fraction : float
        Fraction of the stars that have a companion, 0 to 1.
    mass_ratio : tuple of float
        Lowest and highest q, above 0 and up to 1.
    slope : float
        Above -1; 0: uniform.

    Raises
    ------
    InputError
        For numbers outside these limits.
    """

    fraction: float
    mass_ratio: tuple[float, float] = (0.1, 1.0)
    slope: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.mass_ratio
        check_number("the fraction of binaries", self.fraction, 0, 1, whole=False)
        if not 0 < low <= high <= 1:
            raise must_be("mass_ratio", self.mass_ratio, "a range above 0 and up to 1")
        check_number("the slope of the mass ratios", self.slope, -1, whole=False, above=True)

    @property
    def mean_ratio(self) -> float:
        """Mean mass ratio of the binaries."""
        low, high = self.mass_ratio
        if low == high:
            return low
        power = self.slope + 1.0
        ends = (high ** (power + 1) - low ** (power + 1)) / (high**power - low**power)
        return ends * power / (power + 1)

    def ppf(self, fraction: Values) -> Values:
        """Mass ratio below which lies `fraction` of the binaries; array or tensor, any shape."""
        low, high = self.mass_ratio
        if self.slope == 0:
            return low + (high - low) * fraction
        power = self.slope + 1.0
        return (low**power + (high**power - low**power) * fraction) ** (1.0 / power)

    def cdf(self, ratio: ArrayLike) -> np.ndarray:
        """Fraction of the binaries with a mass ratio up to `ratio`; same shape."""
        low, high = self.mass_ratio
        ratio = np.asarray(ratio, dtype=float)
        if low == high:
            return np.where(ratio >= low, 1.0, 0.0)
        power = self.slope + 1.0
        inside = np.clip(ratio, low, high)
        return (inside**power - low**power) / (high**power - low**power)
