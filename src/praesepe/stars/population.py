"""The light of stellar populations: initial mass, age and metallicity to magnitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import InputError
from praesepe.stars.atmospheres import MagnitudeTable, SpectralLibrary, metals_dex
from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.passbands import Passband


@dataclass(frozen=True, eq=False)
class StellarTable:
    """What a star of given age, metallicity and initial mass weighs and shines.

    Attributes
    ----------
    log_age : ndarray, shape (A,)
        log10(age/yr), ascending.
    metallicity : ndarray, shape (Zn,)
        Mass fraction of metals of each isochrone.
    initial_mass, present_mass : ndarray, shape (A, Zn, N)
        Solar masses. The initial mass ascends strictly; rows shorter than N end in dark points
        beyond the last mass, which no star of the initial mass function reaches.
    mag_ab : ndarray, shape (A, Zn, N, B)
        Absolute AB magnitudes; infinity where a star is dark.
    band_names : tuple of str
        Names of the B filters.
    """

    log_age: np.ndarray
    metallicity: np.ndarray
    initial_mass: np.ndarray
    present_mass: np.ndarray
    mag_ab: np.ndarray
    band_names: tuple[str, ...]

    def save(self, path: str | Path) -> None:
        """Write the table to a compressed npz file."""
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                log_age=self.log_age,
                metallicity=self.metallicity,
                initial_mass=self.initial_mass,
                present_mass=self.present_mass,
                mag_ab=self.mag_ab,
                band_names=np.array(self.band_names),
            )

    @classmethod
    def load(cls, path: str | Path) -> StellarTable:
        """Read a table that `save` wrote.

        Raises
        ------
        InputError
            Where the file is missing or not such a table.
        """
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            names = tuple(str(name) for name in arrays.pop("band_names"))
            return cls(**arrays, band_names=names)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            BadZipFile,
            AttributeError,
        ) as error:
            raise InputError(f"{path!s} is not a table of stars: {error}") from error

    def integrated_magnitudes(
        self,
        log_age: float,
        metallicity: float,
        mass: float,
        *,
        imf: BrokenPowerLaw = KROUPA2001,
    ) -> np.ndarray:
        """Absolute AB magnitudes of a well populated cluster.

        Parameters
        ----------
        log_age : float
            log10(age/yr); the nearest age of the table is used.
        metallicity : float
            Mass fraction of metals; the nearest isochrone in log Z is used.
        mass : float
            Total initial mass, solar masses.
        imf : BrokenPowerLaw
            Initial mass function.

        Returns
        -------
        ndarray, shape (B,)

        Raises
        ------
        InputError
            For an age more than half a step outside the table, or a mass that is not positive.
        """
        if not mass > 0:
            raise InputError(f"a cluster's mass must be positive; given: {mass!r}")
        age, metals = self._nearest(log_age, metallicity)
        flux = 10.0 ** (-0.4 * self.mag_ab[age, metals])  # (N, B)
        per_star = imf_weights(self.initial_mass[age, metals], imf) @ flux
        return -2.5 * np.log10(per_star * mass / imf.mean_mass)

    def present_mass_fraction(
        self,
        log_age: ArrayLike,
        metallicity: float | None = None,
        *,
        imf: BrokenPowerLaw = KROUPA2001,
    ) -> np.ndarray:
        """Mass that is left, living stars and remnants, per unit of initial mass.

        Parameters
        ----------
        log_age : array_like, shape (...)
            log10(age/yr); linear between the table's ages, constant beyond them.
        metallicity : float, optional
            Nearest isochrone in log Z; by default the middle one of the table.
        imf : BrokenPowerLaw
            Initial mass function.

        Returns
        -------
        ndarray, shape (...)
        """
        if metallicity is None:
            metallicity = float(self.metallicity[len(self.metallicity) // 2])
        column = _nearest_metallicity(self.metallicity, metallicity)
        fractions = [
            imf_weights(self.initial_mass[i, column], imf) @ self.present_mass[i, column]
            for i in range(len(self.log_age))
        ]
        return np.interp(
            np.asarray(log_age, dtype=float), self.log_age, np.array(fractions) / imf.mean_mass
        )

    def _nearest(self, log_age: float, metallicity: float) -> tuple[int, int]:
        low, high = self.log_age[0], self.log_age[-1]
        half = 0.5 * float(np.diff(self.log_age).max(initial=0.1)) + 1e-9
        if not low - half <= log_age <= high + half:
            raise InputError(f"log age {log_age!r} is outside the table ({low:g} to {high:g})")
        age = int(np.abs(self.log_age - log_age).argmin())
        return age, _nearest_metallicity(self.metallicity, metallicity)


def imf_weights(initial_mass: np.ndarray, imf: BrokenPowerLaw) -> np.ndarray:
    """Stars per star of the population that each point of an isochrone stands for.

    Each interval between neighbouring masses gives half of its stars to either end.

    Parameters
    ----------
    initial_mass : ndarray, shape (n,)
        Solar masses, ascending.
    imf : BrokenPowerLaw

    Returns
    -------
    ndarray, shape (n,)
        Sums to the fraction of the stars inside the masses' range.
    """
    half = 0.5 * np.diff(imf.cdf(initial_mass))
    weights = np.zeros(len(initial_mass))
    weights[1:] += half
    weights[:-1] += half
    return weights


def build_table(
    passbands: Sequence[Passband],
    *,
    metallicities: Sequence[float] | None = None,
    a_v: float = 0.0,
    r_v: float = 3.1,
    law: str = "F99",
    grid: IsochroneGrid | None = None,
    library: SpectralLibrary | None = None,
) -> StellarTable:
    """Masses and magnitudes of stars of every age in the given filters.

    Parameters
    ----------
    passbands : sequence of Passband, length B
        Filter curves.
    metallicities : sequence of float, optional
        Mass fractions of metals; each takes the isochrones of the nearest grid point in log Z
        and its spectra at [Fe/H] = log10(Z / 0.0169). Two values that share a grid point
        count once. Default: the whole grid.
    a_v, r_v, law
        Extinction applied to every spectrum: mag, A_V / E(B-V), a class of `dust_extinction`.
    grid, library : optional
        Other isochrones or spectra than the embedded ones.

    Raises
    ------
    InputError
        For no filter, a metallicity outside the grid, a filter outside the spectra.
    """
    if not passbands:
        raise InputError("a table of stars needs at least one filter")
    grid = grid or IsochroneGrid.embedded()
    library = library or SpectralLibrary.embedded()
    corrections = library.bolometric_corrections(passbands, a_v=a_v, r_v=r_v, law=law)
    wanted = grid.metallicity if metallicities is None else metallicities
    columns = sorted({grid.nearest_metallicity(z) for z in wanted})
    ages = range(len(grid.log_age))
    rows = [[grid.isochrone(a, z) for z in columns] for a in ages]
    longest = max(len(isochrone.initial_mass) for row in rows for isochrone in row)
    shape = (len(grid.log_age), len(columns), longest)
    initial, present = np.empty(shape), np.empty(shape)
    magnitude = np.full((*shape, len(passbands)), np.inf)
    for a, row in enumerate(rows):
        for c, (column, isochrone) in enumerate(zip(columns, row, strict=True)):
            n = len(isochrone.initial_mass)
            beyond = 1.0 + 1e-6 * np.arange(1, longest - n + 1)
            initial[a, c] = np.append(isochrone.initial_mass, isochrone.initial_mass[-1] * beyond)
            present[a, c] = np.append(
                isochrone.present_mass, np.full(longest - n, isochrone.present_mass[-1])
            )
            magnitude[a, c, :n] = star_magnitudes(isochrone, grid.metallicity[column], corrections)
    names = tuple(passband.name for passband in passbands)
    return StellarTable(grid.log_age, grid.metallicity[columns], initial, present, magnitude, names)


def star_magnitudes(
    isochrone: Isochrone, metallicity: float, corrections: MagnitudeTable
) -> np.ndarray:
    """Absolute AB magnitudes of every point of an isochrone, (n, B); infinity where dark."""
    magnitude = corrections(
        isochrone.log_l, isochrone.log_teff, isochrone.log_g, metals_dex(metallicity)
    )
    return np.where(isochrone.lit[:, None], magnitude, np.inf)


def _nearest_metallicity(known: np.ndarray, metallicity: float) -> int:
    return int(np.abs(np.log10(known / metallicity)).argmin())
