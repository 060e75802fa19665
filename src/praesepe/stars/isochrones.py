"""Isochrones: the state of stars of one age and metallicity as a function of initial mass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from praesepe.errors import InputError
from praesepe.stars._files import read_embedded

FIRST_WHITE_DWARF, LAST_WHITE_DWARF = 10, 12
DARK_LOG_L = -1.0
"""White dwarfs fainter than this (log10 of solar luminosities) give no light."""
METALLICITY_REACH_DEX = 0.2
"""How far beyond the ends of a grid a metallicity may lie before it is refused."""
STEP_LOG_L = 5e-4
STEP_LOG_TEFF = 1e-4
SOLAR_LOG_TEFF = 3.76132  # IAU 2015 B3: 5772 K
SOLAR_LOG_G = 4.43801


@dataclass(frozen=True, eq=False)
class Isochrone:
    """Stars of one age and metallicity, by ascending initial mass; all arrays are (n,).

    Attributes
    ----------
    initial_mass, present_mass : ndarray
        Solar masses; the present mass of a dead star is its remnant's.
    log_l, log_teff, log_g : ndarray
        log10 of luminosity (solar), effective temperature (K), gravity (cm/s2).
    kind : ndarray of int
        Stellar type of Hurley, Pols & Tout (2000): 0-1 main sequence, 2 Hertzsprung gap, 3 first
        giant branch, 4 core helium burning, 5-6 asymptotic giant branch, 7-9 naked helium star,
        10-12 white dwarf, 13 neutron star, 14 black hole, 15 nothing left.
    """

    initial_mass: np.ndarray
    present_mass: np.ndarray
    log_l: np.ndarray
    log_teff: np.ndarray
    log_g: np.ndarray
    kind: np.ndarray

    @property
    def living(self) -> np.ndarray:
        """Whether each point is a star that has not ended, bool (n,)."""
        return self.kind < FIRST_WHITE_DWARF

    @property
    def lit(self) -> np.ndarray:
        """Whether each point gives light, bool (n,): living, or a young white dwarf."""
        young = (self.kind <= LAST_WHITE_DWARF) & (self.log_l > DARK_LOG_L)
        return self.living | young


@dataclass(frozen=True, eq=False)
class IsochroneGrid:
    """Isochrones on a grid of ages and metallicities.

    Attributes
    ----------
    log_age : ndarray, shape (A,)
        log10(age/yr), ascending.
    metallicity : ndarray, shape (Zn,)
        Mass fraction of metals, ascending.
    isochrones : tuple
        ``isochrones[i_z][i_age]``.
    """

    log_age: np.ndarray
    metallicity: np.ndarray
    isochrones: tuple[tuple[Isochrone, ...], ...]

    @classmethod
    def embedded(cls) -> IsochroneGrid:
        """The isochrones that come with Praesepe: SSE tracks, log age 6.6 to 10.1.

        Raises
        ------
        PraesepeError
            Where the file is missing or damaged.

        References
        ----------
        Hurley, Pols & Tout 2000, MNRAS 315, 543, as implemented in COSMIC (Breivik et al. 2020).
        """
        return _embedded()

    def isochrone(self, i_age: int, i_z: int) -> Isochrone:
        """Isochrone of one age and metallicity, by position in the grid."""
        return self.isochrones[i_z][i_age]

    def nearest_metallicity(self, metallicity: float) -> int:
        """Position of the metallicity nearest in log Z.

        Raises
        ------
        InputError
            Where `metallicity` is not positive, or more than 0.2 dex beyond the grid.
        """
        known = ", ".join(f"{z:g}" for z in self.metallicity)
        if not metallicity > 0:
            raise InputError(f"metallicity {metallicity!r} is not a mass fraction; known: {known}")
        away = np.abs(np.log10(self.metallicity / metallicity))
        low, high = self.metallicity[0], self.metallicity[-1]
        inside = low <= metallicity <= high
        if not inside and away.min() > METALLICITY_REACH_DEX:
            raise InputError(
                f"metallicity Z = {metallicity:g} is outside the stellar model "
                f"({low:g} to {high:g}); its values are {known}"
            )
        return int(away.argmin())


@lru_cache(maxsize=1)
def _embedded() -> IsochroneGrid:
    data = read_embedded("isochrones.npz")
    log_l = data["log_l"] * STEP_LOG_L
    log_teff = data["log_teff"] * STEP_LOG_TEFF
    present_mass = data["present_mass"].astype(float)
    with np.errstate(divide="ignore"):
        log_g = SOLAR_LOG_G + np.log10(present_mass) + 4 * (log_teff - SOLAR_LOG_TEFF) - log_l
    columns = (data["initial_mass"], present_mass, log_l, log_teff, log_g, data["kind"])
    for column in columns:
        column.flags.writeable = False
    isochrones = tuple(
        tuple(
            Isochrone(*(column[first:last] for column in columns))
            for first, last in pairwise(start)
        )
        for start in data["start"]
    )
    return IsochroneGrid(data["log_age"], data["metallicity"], isochrones)
