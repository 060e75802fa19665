"""Isochrones: the state of stars of one age and metallicity as a function of initial mass."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from praesepe.errors import check_number, outside
from praesepe.stars.embedded import ISOCHRONES, read_embedded

FIRST_WHITE_DWARF, LAST_WHITE_DWARF = 10, 12
LEAST_LOG_L = -1.0
"""White dwarfs fainter than this (log10 of solar luminosities) give no light."""
NARROW = "narrow the prior, or choose another model"
METALLICITY_REACH_DEX = 0.2
"""How far beyond the ends of a grid a metallicity may lie before it is refused."""
STEP_LOG_L = 5e-4
STEP_LOG_TEFF = 1e-4
SOLAR_LOG_TEFF = 3.76132  # IAU 2015 B3: 5772 K
SOLAR_LOG_G = 4.43801
COLUMNS = ("initial_mass", "present_mass", "log_l", "log_teff", "log_g", "kind")
"""Columns of an isochrone that every stellar model has."""


@dataclass(frozen=True, eq=False, repr=False)
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
    eep : ndarray, optional
        Equivalent evolutionary point, where the model counts them; NaN for added points.
    """

    initial_mass: np.ndarray
    present_mass: np.ndarray
    log_l: np.ndarray
    log_teff: np.ndarray
    log_g: np.ndarray
    kind: np.ndarray
    eep: np.ndarray | None = None

    def __repr__(self) -> str:
        low, high = self.initial_mass[[0, -1]]
        return f"<Isochrone: {len(self.kind)} stars of {low:.3g} to {high:.3g} Msun>"

    @classmethod
    def joined(cls, parts: Sequence[Isochrone], *, with_eep: bool) -> Isochrone:
        """The stars of one part after another; NaN is the point of those that have none."""
        columns = {name: np.concatenate([getattr(one, name) for one in parts]) for name in COLUMNS}
        if not with_eep:
            return cls(**columns)
        eep = [np.full(len(one.kind), np.nan) if one.eep is None else one.eep for one in parts]
        return cls(**columns, eep=np.concatenate(eep))

    def take(self, rows: np.ndarray | slice) -> Isochrone:
        """Some of the stars, by their places."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return Isochrone(**columns, eep=None if self.eep is None else self.eep[rows])

    @property
    def living(self) -> np.ndarray:
        """Whether each point is a star that has not ended, bool (n,)."""
        return self.kind < FIRST_WHITE_DWARF

    @property
    def luminous(self) -> np.ndarray:
        """Whether each point gives light, bool (n,): living, or a young white dwarf."""
        young = (self.kind <= LAST_WHITE_DWARF) & (self.log_l > LEAST_LOG_L)
        return self.living | young


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        (young, old), (poor, rich) = self.log_age[[0, -1]], self.metallicity[[0, -1]]
        return (
            f"<IsochroneGrid: {len(self.log_age)} log ages, {young:g} to {old:g}; "
            f"{len(self.metallicity)} metallicities Z, {poor:g} to {rich:g}>"
        )

    @classmethod
    @lru_cache(maxsize=1)
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
        data = read_embedded(ISOCHRONES)
        log_l, log_teff = data["log_l"] * STEP_LOG_L, data["log_teff"] * STEP_LOG_TEFF
        mass = data["present_mass"].astype(float)
        log_g = surface_gravity(mass, log_l, log_teff)
        own = {"present_mass": mass, "log_l": log_l, "log_teff": log_teff, "log_g": log_g}
        return unpack({**data, **own})

    @cached_property
    def key(self) -> str:
        """SHA-256 of all numbers of the grid: equal content, equal key."""
        digest = hashlib.sha256()
        for name, array in sorted(pack(self).items()):
            whole = np.ascontiguousarray(array)
            digest.update(f"{name} {whole.dtype.str} {whole.shape};".encode())
            digest.update(whole.tobytes())
        return digest.hexdigest()

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
        check_number("metallicity", metallicity, 0, whole=False, above=True)
        away = np.abs(np.log10(self.metallicity / metallicity))
        low, high = self.metallicity[0], self.metallicity[-1]
        inside = low <= metallicity <= high
        if not inside and away.min() > METALLICITY_REACH_DEX:
            raise outside("metallicity", metallicity, (low, high), "the stellar model")
        return int(away.argmin())


def check_covers(
    grid: IsochroneGrid,
    log_age_range: tuple[float, float],
    z_range: tuple[float, float],
    *,
    name: str = "stellar model",
) -> None:
    """Refuse a prior on age and metals that reaches beyond a stellar model.

    Half a step of the grid beyond its ends is allowed in age, 0.2 dex in the mass fraction of
    metals. `name` is what the message calls the model.
    """
    half = 0.5 * float(np.diff(grid.log_age).min(initial=0.05)) + 1e-9
    first, last = grid.log_age[0], grid.log_age[-1]
    if not (first - half <= log_age_range[0] and log_age_range[1] <= last + half):
        raise outside("log age", log_age_range, (first, last), f"the {name}", NARROW)
    poor, rich = grid.metallicity[0], grid.metallicity[-1]
    reach = 10.0**METALLICITY_REACH_DEX
    if not (poor / reach <= z_range[0] and z_range[1] <= rich * reach):
        raise outside("metallicity", z_range, (poor, rich), f"the {name}", NARROW)


def pack(grid: IsochroneGrid) -> dict[str, np.ndarray]:
    """All isochrones of a grid end to end, in the layout of the embedded file.

    Returns
    -------
    dict of str to ndarray
        ``log_age`` (A,), ``metallicity`` (Zn,), ``start`` (Zn, A + 1): the first point of each
        isochrone and the end of the last; the columns of `Isochrone`, each (points,).
    """
    every = [one for of_metallicity in grid.isochrones for one in of_metallicity]
    ends = np.concatenate([[0], np.cumsum([len(one.initial_mass) for one in every])])
    ages = len(grid.log_age)
    places = np.arange(len(grid.metallicity))[:, None] * ages + np.arange(ages + 1)
    arrays = {
        name: np.concatenate([getattr(one, name) for one in every]).astype(float)
        for name in (*COLUMNS, *(["eep"] if all(one.eep is not None for one in every) else []))
    }
    return {
        "log_age": np.asarray(grid.log_age, dtype=float),
        "metallicity": np.asarray(grid.metallicity, dtype=float),
        "start": ends[places].astype(np.int64),
        **arrays,
        "kind": arrays["kind"].astype(np.uint8),
    }


def unpack(arrays: dict[str, np.ndarray]) -> IsochroneGrid:
    """The grid that `pack` laid out; its arrays cannot be changed.

    Raises
    ------
    KeyError, ValueError
        Where an array is missing, or the arrays do not fit together.
    """
    log_age, metallicity, start = (arrays[name] for name in ("log_age", "metallicity", "start"))
    columns = [arrays[name] for name in (*COLUMNS, "eep") if name in arrays or name != "eep"]
    if start.shape != (len(metallicity), len(log_age) + 1) or not start.size:
        raise ValueError(f"{start.shape} starts for {len(metallicity)} metallicities")
    if any(column.shape != (start[-1, -1],) for column in columns):
        raise ValueError(f"columns of different lengths, not of {start[-1, -1]}")
    if (np.diff(start, axis=1) < 2).any() or (np.diff(metallicity) <= 0).any():
        raise ValueError("an isochrone without stars, or metallicities out of order")
    if (np.diff(log_age) <= 0).any():
        raise ValueError("ages out of order")
    for column in columns:
        column.flags.writeable = False
    stars = Isochrone(*columns)
    isochrones = tuple(
        tuple(stars.take(slice(a, b)) for a, b in pairwise(of_metallicity))
        for of_metallicity in start
    )
    if any((np.diff(one.initial_mass) <= 0).any() for ages in isochrones for one in ages):
        raise ValueError("initial masses out of order")
    return IsochroneGrid(log_age, metallicity, isochrones)


def surface_gravity(mass: np.ndarray, log_l: np.ndarray, log_teff: np.ndarray) -> np.ndarray:
    """log10 g [cm/s2] of stars from mass [Msun], log10 luminosity [Lsun] and temperature [K].

    From g = G M / R^2 and L = 4 pi R^2 sigma T^4, relative to the Sun (IAU 2015 B3).
    """
    with np.errstate(divide="ignore"):
        return SOLAR_LOG_G + np.log10(mass) + 4 * (log_teff - SOLAR_LOG_TEFF) - log_l
