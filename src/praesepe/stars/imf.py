"""Initial mass functions: cumulative distribution and its inverse, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import must_be, unknown

if TYPE_CHECKING:
    from praesepe.survey import MassFunction


class InitialMassFunction(Protocol):
    """What every initial mass function offers; masses in Msun, numbers normalised to one star."""

    @property
    def edges(self) -> tuple[float, ...]:
        """Masses where the function bends or ends, ascending; solar masses."""

    @property
    def mean_mass(self) -> float:
        """Mean mass of a star, solar masses."""

    def cdf(self, mass: ArrayLike) -> np.ndarray:
        """Fraction of all stars below `mass` (solar masses); same shape as `mass`."""

    def ppf(self, fraction: ArrayLike) -> np.ndarray:
        """Mass (solar) below which lies `fraction` of all stars; same shape as `fraction`."""


def _check_edges(edges: tuple[float, ...]) -> None:
    if any(low >= high for low, high in pairwise(edges)):
        raise must_be("the edges of a mass function", edges, "ascending")


def _power_integral(low: ArrayLike, high: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    """Integral of m^(exponent - 1) from `low` to `high`, also where the exponent is zero."""
    low, high, exponent = np.broadcast_arrays(low, high, exponent)
    log_ratio = np.log(high / low)
    safe = np.where(exponent == 0, 1.0, exponent)
    return np.where(exponent == 0, log_ratio, low**exponent * np.expm1(safe * log_ratio) / safe)


def _power_inverse(low: ArrayLike, integral: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    """Upper end at which `_power_integral` from `low` reaches `integral`."""
    low, integral, exponent = np.broadcast_arrays(low, integral, exponent)
    safe = np.where(exponent == 0, 1.0, exponent)
    inside = np.log1p(np.where(exponent == 0, 0.0, safe * integral / low**safe)) / safe
    return low * np.exp(np.where(exponent == 0, integral, inside))


@dataclass(frozen=True)
class BrokenPowerLaw:
    """Number of stars per unit of mass, dN/dm proportional to m^-slope between the edges.

    Parameters
    ----------
    edges : tuple of float
        Masses where the slope changes, ascending, with both ends; solar masses.
    slopes : tuple of float
        One slope per interval (positive where numbers fall with mass).

    Raises
    ------
    InputError
        Where edges do not ascend, or slopes and edges do not match.
    """

    edges: tuple[float, ...]
    slopes: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.slopes) + 1 or self.edges[0] <= 0:
            allowed = f"{len(self.slopes) + 1} positive numbers for {len(self.slopes)} slopes"
            raise must_be("edges", self.edges, allowed)
        _check_edges(self.edges)

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
        return _power_integral(self.edges[:-1], self.edges[1:], power + 1.0 - np.array(self.slopes))

    @cached_property
    def _cumulative(self) -> np.ndarray:
        """Cumulative number at every edge, 0 to 1."""
        return np.concatenate([[0.0], np.cumsum(self._coefficients * self._moments(0))])

    def cdf(self, mass: ArrayLike) -> np.ndarray:
        """Fraction of all stars below `mass` (solar masses); same shape as `mass`."""
        inside = np.clip(np.asarray(mass, dtype=float), self.edges[0], self.edges[-1])
        part = np.searchsorted(self.edges[1:-1], inside, side="right")
        exponent = 1.0 - np.array(self.slopes)[part]
        above = _power_integral(np.array(self.edges)[part], inside, exponent)
        return self._cumulative[part] + self._coefficients[part] * above

    def ppf(self, fraction: ArrayLike) -> np.ndarray:
        """Mass (solar) below which lies `fraction` of all stars; same shape as `fraction`."""
        below = np.asarray(fraction, dtype=float)
        part = np.searchsorted(self._cumulative[1:-1], below, side="right")
        exponent = 1.0 - np.array(self.slopes)[part]
        above = (below - self._cumulative[part]) / self._coefficients[part]
        return _power_inverse(np.array(self.edges)[part], above, exponent)

    @property
    def mean_mass(self) -> float:
        """Mean mass of a star, solar masses."""
        return float((self._coefficients * self._moments(1)).sum())


@dataclass(frozen=True)
class LogNormalPowerLaw:
    """A Gaussian in log10 m up to a break, a power law above it, continuous at the break.

    Parameters
    ----------
    edges : tuple of three floats
        Lowest mass, break, highest mass; solar masses.
    center : float
        Mass at the Gaussian's center, solar masses.
    sigma_dex : float
        Standard deviation of log10 m.
    slope : float
        dN/dm ~ m^-slope above the break.

    Raises
    ------
    InputError
        Where edges do not ascend, or a mass or the width is not positive.
    """

    edges: tuple[float, float, float]
    center: float
    sigma_dex: float
    slope: float

    def __post_init__(self) -> None:
        _check_edges(self.edges)
        if not (self.edges[0] > 0 and self.center > 0 and self.sigma_dex > 0):
            given = (self.edges, self.center, self.sigma_dex)
            raise must_be("edges, center, width of a log-normal", given, "positive")

    @property
    def _sigma(self) -> float:
        return self.sigma_dex * math.log(10)

    def _z(self, mass: ArrayLike) -> np.ndarray:
        """Standard deviations from the Gaussian's center."""
        return np.log(np.asarray(mass, dtype=float) / self.center) / self._sigma

    def _normal(self, mass: ArrayLike, shift: float = 0.0) -> np.ndarray:
        """Integral of the Gaussian up to `mass`, its center shifted by standard deviations."""
        from scipy.special import ndtr

        return np.asarray(ndtr(self._z(mass) - shift))

    @cached_property
    def _parts(self) -> tuple[float, float]:
        """Coefficients: stars per unit of the normal integral, and of m^-slope; one in all."""
        low, middle, high = self.edges
        density = math.exp(-0.5 * self._z(middle) ** 2) / (
            math.sqrt(2 * math.pi) * self._sigma * middle
        )
        power = density * middle**self.slope
        total = self._normal(middle) - self._normal(low)
        total += power * _power_integral(middle, high, 1.0 - self.slope)
        return float(1.0 / total), float(power / total)

    def cdf(self, mass: ArrayLike) -> np.ndarray:
        """Fraction of all stars below `mass` (solar masses); same shape as `mass`."""
        low, middle, high = self.edges
        at = np.clip(np.asarray(mass, dtype=float), low, high)
        normal, power = self._parts
        below = normal * (self._normal(np.minimum(at, middle)) - self._normal(low))
        return below + power * _power_integral(middle, np.maximum(at, middle), 1.0 - self.slope)

    def ppf(self, fraction: ArrayLike) -> np.ndarray:
        """Mass (solar) below which lies `fraction` of all stars; same shape as `fraction`."""
        from scipy.special import ndtri

        low, middle, _ = self.edges
        wanted = np.asarray(fraction, dtype=float)
        normal, power = self._parts
        at_break = float(self.cdf(middle))
        below = np.minimum(wanted, at_break) / normal + self._normal(low)
        in_bell = self.center * np.exp(self._sigma * ndtri(below))
        above = np.maximum(wanted - at_break, 0.0) / power
        return np.where(wanted < at_break, in_bell, _power_inverse(middle, above, 1.0 - self.slope))

    @property
    def mean_mass(self) -> float:
        """Mean mass of a star, solar masses."""
        low, middle, high = self.edges
        normal, power = self._parts
        # m times a log-normal is a log-normal again, shifted by sigma squared.
        shifted = np.diff(self._normal([low, middle], self._sigma))[0]
        bell = normal * self.center * math.exp(0.5 * self._sigma**2) * shifted
        return float(bell + power * _power_integral(middle, high, 2.0 - self.slope))


KROUPA2001 = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.3))
"""Kroupa (2001, MNRAS 322, 231), equation 2, without brown dwarfs; 0.08 to 120 solar masses."""

SALPETER1955 = BrokenPowerLaw(edges=(0.1, 120.0), slopes=(2.35,))
"""Salpeter (1955, ApJ 121, 161), equation 5, slope 2.35; 0.1 to 120 solar masses.

The lower end is a convention: Salpeter measured stars of 0.4 to 10 solar masses, and masses of
clusters "for a Salpeter function" are quoted for 0.1 solar masses throughout the literature.
Carried on to 0.08 solar masses, the same light would weigh 9 per cent more.
"""

CHABRIER2003 = LogNormalPowerLaw(edges=(0.08, 1.0, 120.0), center=0.079, sigma_dex=0.69, slope=2.3)
"""Chabrier (2003, PASP 115, 763), equation 17 and table 1; 0.08 to 120 solar masses.

The function of single stars of the disc, not that of unresolved systems (equation 18), because
stars are sampled individually here, and companions are added where the survey asks for binaries.
"""

_KNOWN: dict[str, InitialMassFunction] = {
    "kroupa2001": KROUPA2001,
    "chabrier2003": CHABRIER2003,
    "salpeter1955": SALPETER1955,
}


def imf_from(settings: str | MassFunction) -> InitialMassFunction:
    """The initial mass function that a survey asks for in `stars.imf`.

    Parameters
    ----------
    settings : str or MassFunction
        ``"kroupa2001"``, ``"chabrier2003"``, ``"salpeter1955"``, or edges and slopes.

    Returns
    -------
    InitialMassFunction

    Raises
    ------
    InputError
        For an unknown name.
    """
    if not isinstance(settings, str):
        return BrokenPowerLaw(edges=settings.edges, slopes=settings.slopes)
    if settings not in _KNOWN:
        raise unknown("initial mass function", settings, tuple(_KNOWN))
    return _KNOWN[settings]
