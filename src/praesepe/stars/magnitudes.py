"""The light of stellar populations: initial mass, age and metallicity to magnitudes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from praesepe.errors import check_number, listed, must_be, outside
from praesepe.stars.atmospheres import MagnitudeTable, SpectralLibrary, metals_dex
from praesepe.stars.binaries import Binaries
from praesepe.stars.colors import N_TERMS, color_terms
from praesepe.stars.imf import KROUPA2001, InitialMassFunction
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.nebula import OLDEST_LOG_AGE, ionising_photons
from praesepe.stars.passbands import Passband

DUST_TERMS = 4
"""Powers of A_V by which a range of extinctions acts on a star's magnitude; see `build_table`."""

SCATTER_REACH = 4.0
"""Standard deviations of differential extinction that a table's range must cover."""

IONISING = "ionising photons"
"""Name of the band of ionising photons, which dust does not dim."""

LEAST_PHOTONS = 1e-8
"""Stars with fewer ionising photons, beside an O star, have none."""

MASS_RATIOS = 32
"""Mass ratios, of equal parts of the binaries, at which companions are looked up."""


class MeanLight(NamedTuple):
    """Light of a solar mass of stars, and how many stars make it.

    Attributes
    ----------
    magnitude : ndarray, shape (A, V, B)
        Absolute AB magnitudes by age and extinction.
    number : ndarray, shape (A, group)
        How many equal stars would scatter as those of each group do.
    share : ndarray, shape (A, group, B)
        Of each group, of the light of each band.
    """

    magnitude: np.ndarray
    number: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class StellarTable:
    """What a star of given age, metallicity and initial mass weighs and shines.

    Attributes
    ----------
    log_age : ndarray, shape (A,)
        log10(age/yr), ascending.
    metallicity : ndarray, shape (Zn,)
        Mass fraction of metals of each isochrone.
    initial_mass, present_mass : ndarray, shape (A, Zn, N)
        Solar masses. The initial mass ascends strictly; isochrones shorter than N end in
        non-luminous points beyond the last mass, which no star of the mass function reaches.
    mag_ab : ndarray, shape (A, Zn, N, B)
        Absolute AB magnitudes at the lowest extinction; infinity where a star is non-luminous.
    band_names : tuple of str
        Names of the B filters.
    max_living_mass : ndarray, shape (A, Zn)
        Stars of a higher initial mass (solar) have ended their lives.
    a_v : tuple of float
        Lowest and highest extinction A_V that the table covers, mag.
    dust : ndarray, shape (A, Zn, N, B, K), optional
        Magnitude at another extinction of this range, minus `mag_ab`: the coefficients of x to
        x^K, where x is A_V minus the lowest one. None: there is one extinction only.
    color_terms : ndarray, shape (A, Zn, N, J), optional
        Functions by which colors may differ: see `praesepe.stars.colors`. None: they never do.
    """

    log_age: np.ndarray
    metallicity: np.ndarray
    initial_mass: np.ndarray
    present_mass: np.ndarray
    mag_ab: np.ndarray
    band_names: tuple[str, ...]
    max_living_mass: np.ndarray
    a_v: tuple[float, float] = (0.0, 0.0)
    dust: np.ndarray | None = None
    color_terms: np.ndarray | None = None

    def __repr__(self) -> str:
        n_ages, n_z = self.mag_ab.shape[:2]
        return f"<StellarTable: {n_ages} ages × {n_z} metallicities in {listed(self.band_names)}>"

    def magnitudes(self, a_v: float) -> np.ndarray:
        """Absolute AB magnitudes (A, Zn, N, B) of all stars behind dust of A_V = `a_v` mag.

        Raises
        ------
        InputError
            For an extinction outside the table's range.
        """
        low, high = self.a_v
        if not low - 1e-6 <= a_v <= high + 1e-6:
            raise outside("A_V", a_v, self.a_v, "the table of stars", "build a wider one")
        if self.dust is None:
            return self.mag_ab
        powers = (a_v - low) ** np.arange(1, self.dust.shape[-1] + 1)
        return self.mag_ab + self.dust @ powers

    def integrated_magnitudes(
        self,
        log_age: float,
        metallicity: float,
        mass: float,
        *,
        imf: InitialMassFunction = KROUPA2001,
        a_v: float | None = None,
    ) -> np.ndarray:
        """Absolute AB magnitudes of a well populated cluster of single stars.

        Parameters
        ----------
        log_age : float
            log10(age/yr); the nearest age of the table is used.
        metallicity : float
            Mass fraction of metals; the nearest isochrone in log Z is used.
        mass : float
            Total initial mass, solar masses.
        imf : InitialMassFunction
            Initial mass function.
        a_v : float, optional
            Extinction of all stars, mag; by default the lowest of the table.

        Returns
        -------
        ndarray, shape (B,)

        Raises
        ------
        InputError
            For an age more than half a step outside the table, an extinction outside it, or a
            mass that is not positive.
        """
        check_number("mass", mass, 0, whole=False, above=True)
        age, metals = self._nearest(log_age, metallicity)
        magnitude = self.magnitudes(self.a_v[0] if a_v is None else a_v)
        flux = 10.0 ** (-0.4 * magnitude[age, metals])  # (N, B)
        per_star = imf_weights(self.initial_mass[age, metals], imf) @ flux
        return -2.5 * np.log10(per_star * mass / imf.mean_mass)

    def mean_light(
        self,
        a_v: np.ndarray,
        *,
        imf: InitialMassFunction = KROUPA2001,
        binaries: Binaries,
        groups: int = 16,
        metallicity_index: int = 0,
    ) -> MeanLight:
        """Light of a solar mass of stars, as they were born.

        Parameters
        ----------
        a_v : ndarray, shape (V,)
            Extinctions of all stars, mag.
        imf : InitialMassFunction
            Of the primaries.
        binaries : Binaries
            Companions, which shine and weigh besides.
        groups : int
            Into how many groups of equal light, by their mass, the stars are divided.
        metallicity_index : int
            Of the table's metallicities.
        """
        z = metallicity_index
        weights = np.stack([light_weights(mass, imf, binaries) for mass in self.initial_mass[:, z]])
        weights /= imf.mean_mass * (1 + binaries.fraction * binaries.mean_ratio)
        light = [
            np.einsum("an,anb->ab", weights, 10.0 ** (-0.4 * self.magnitudes(one)[:, z]))
            for one in a_v
        ]
        each = 10.0 ** (-0.4 * self.mag_ab[:, z])
        share = weights[..., None] * each
        share /= share.sum(1, keepdims=True)  # of the light of each band, (A, N, B)
        mean = share.mean(2)
        group = ((np.cumsum(mean, 1) - mean / 2) * groups).astype(int).clip(0, groups - 1)
        member = group[:, None, :] == np.arange(groups)[:, None]  # (A, group, N)
        square = np.divide(mean**2, weights, out=np.zeros_like(mean), where=weights > 0)
        number = (member @ mean[..., None]) ** 2 / np.maximum(member @ square[..., None], 1e-300)
        return MeanLight(-2.5 * np.log10(np.stack(light, 1)), number[..., 0], member @ share)

    def _nearest(self, log_age: float, metallicity: float) -> tuple[int, int]:
        low, high = self.log_age[0], self.log_age[-1]
        half = 0.5 * float(np.diff(self.log_age).max(initial=0.1)) + 1e-9
        if not low - half <= log_age <= high + half:
            raise outside("log_age", log_age, (low, high), "the table of stars")
        age = int(np.abs(self.log_age - log_age).argmin())
        return age, int(np.abs(np.log10(self.metallicity / metallicity)).argmin())


def imf_weights(initial_mass: np.ndarray, imf: InitialMassFunction) -> np.ndarray:
    """Stars per star of the population that each point of an isochrone stands for.

    Each interval between neighbouring masses gives half of its stars to either end.

    Parameters
    ----------
    initial_mass : ndarray, shape (n,)
        Solar masses, ascending.
    imf : InitialMassFunction

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


def light_weights(
    initial_mass: np.ndarray, imf: InitialMassFunction, binaries: Binaries
) -> np.ndarray:
    """Stars, companions among them, per primary that each point of an isochrone stands for, (n,).

    A companion between two points counts for both, by where it lies; brown dwarfs do not.
    """
    weights = imf_weights(initial_mass, imf)
    if binaries.fraction == 0:
        return weights
    ratios = binaries.ppf((np.arange(MASS_RATIOS) + 0.5) / MASS_RATIOS)
    place = np.interp(
        initial_mass[:, None] * ratios, initial_mass, np.arange(len(initial_mass)), left=np.nan
    )
    shining = np.isfinite(place)
    below = place[shining].astype(int).clip(max=len(initial_mass) - 2)
    share = place[shining] - below
    each = np.broadcast_to(weights[:, None] * binaries.fraction / MASS_RATIOS, place.shape)[shining]
    return (
        weights
        + np.bincount(below, each * (1 - share), len(weights))
        + np.bincount(below + 1, each * share, len(weights))
    )


def present_mass_fraction(
    initial_mass: np.ndarray,
    present_mass: np.ndarray,
    imf: InitialMassFunction,
    binaries: Binaries | None = None,
) -> float:
    """Present-day mass per unit of initial mass of one isochrone's stars.

    Parameters
    ----------
    initial_mass, present_mass : ndarray, shape (n,)
        Of the isochrone's stars, Msun, by ascending initial mass.
    imf : InitialMassFunction
        Of the primaries.
    binaries : Binaries, optional
        Companions, which evolve as single stars; default: none.

    Returns
    -------
    float
    """
    weights = imf_weights(initial_mass, imf)
    born, left = float(imf.mean_mass), float(weights @ present_mass)
    if binaries is not None and binaries.fraction > 0:
        ratios = binaries.ppf((np.arange(MASS_RATIOS) + 0.5) / MASS_RATIOS)
        companions = initial_mass[:, None] * ratios
        inside = companions >= initial_mass[0]  # below, brown dwarfs keep their mass
        evolved = np.interp(companions, initial_mass, present_mass)
        remaining = np.where(inside, evolved, companions).mean(axis=1)
        born *= 1 + binaries.fraction * binaries.mean_ratio
        left += binaries.fraction * float(weights @ remaining)
    return left / born


def a_v_range(a_v: float | tuple[float, float], scatter: float = 0.0) -> tuple[float, float]:
    """Range of A_V, mag, that a table must cover: means with a scatter from star to star."""
    low, high = a_v if isinstance(a_v, tuple) else (a_v, a_v)
    return max(0.0, low - SCATTER_REACH * scatter), high + SCATTER_REACH * scatter


def build_table(
    passbands: Sequence[Passband],
    *,
    metallicities: Sequence[float] | None = None,
    a_v: float | tuple[float, float] = 0.0,
    r_v: float = 3.1,
    law: str = "F99",
    grid: IsochroneGrid | None = None,
    with_color_terms: bool = False,
    with_ionising: bool = False,
) -> StellarTable:
    """Masses and magnitudes of stars of every age in the given filters.

    Dust acts on the spectrum, so that its effect on a magnitude depends on the star's color and
    is not proportional to A_V. Over a range of A_V, a polynomial runs through the magnitudes at
    its ends and at Chebyshev's points between them (`DUST_TERMS` powers: within 0.002 mag for
    0 to 3 mag in filters from F275W to F160W).

    Parameters
    ----------
    passbands : sequence of Passband, length B
        Filter curves.
    metallicities : sequence of float, optional
        Mass fractions of metals; each takes the isochrones of the nearest grid point in log Z
        and its spectra at [Fe/H] = log10(Z / 0.0169). Two values that share a grid point
        count once. Default: the whole grid.
    a_v, r_v, law
        Extinction applied to every spectrum: mag, or a range of it; A_V / E(B-V); a class of
        `dust_extinction`.
    grid : IsochroneGrid, optional
        Other isochrones than the embedded ones.
    with_color_terms : bool
        Whether colors may differ from population to population.
    with_ionising : bool
        Whether a last band `IONISING` holds the ionising photons of stars of clusters that may
        have gas, as magnitudes of `praesepe.stars.nebula.UNIT_PER_S`.

    Raises
    ------
    InputError
        For no filter, a metallicity outside the grid, a filter outside the spectra, a range of
        extinctions that descends.
    """
    if not passbands:
        raise must_be("passbands", passbands, "at least one filter")
    low, high = a_v if isinstance(a_v, tuple) else (a_v, a_v)
    if low > high:
        raise must_be("a_v", a_v, "a range whose first value does not exceed the second")
    grid = grid or IsochroneGrid.embedded()
    corrections = partial(
        SpectralLibrary.embedded().bolometric_corrections, passbands, r_v=r_v, law=law
    )
    at_low = corrections(a_v=low)
    dust_table = None if low == high else _dust_table(at_low, corrections, low, high)
    wanted = grid.metallicity if metallicities is None else metallicities
    columns = sorted({grid.nearest_metallicity(z) for z in wanted})
    longest = max(len(one.kind) for z in columns for one in grid.isochrones[z])
    shape = (len(grid.log_age), len(columns), longest)
    initial, present, living = np.empty(shape), np.empty(shape), np.empty(shape[:2])
    names = tuple(passband.name for passband in passbands)
    names += (IONISING,) if with_ionising else ()
    n_bands = len(passbands)
    magnitude = np.full((*shape, len(names)), np.inf)
    dust = None if dust_table is None else np.zeros((*magnitude.shape, DUST_TERMS), np.float32)
    terms = np.zeros((*shape, N_TERMS), np.float32) if with_color_terms else None
    for a, c in np.ndindex(shape[:2]):
        isochrone, metals = grid.isochrone(a, columns[c]), grid.metallicity[columns[c]]
        n = len(isochrone.initial_mass)
        beyond = isochrone.initial_mass[-1] * (1.0 + 1e-6 * np.arange(1, longest - n + 1))
        initial[a, c] = np.append(isochrone.initial_mass, beyond)
        present[a, c] = np.pad(isochrone.present_mass, (0, longest - n), mode="edge")
        magnitude[a, c, :n, :n_bands] = star_magnitudes(isochrone, metals, at_low)
        if with_ionising and grid.log_age[a] <= OLDEST_LOG_AGE:
            photons = ionising_photons(isochrone.log_l, isochrone.log_teff)
            shining = isochrone.luminous & (photons > LEAST_PHOTONS)
            magnitude[a, c, :n, -1] = np.where(
                shining, -2.5 * np.log10(np.maximum(photons, LEAST_PHOTONS)), np.inf
            )
        living[a, c] = _max_living_mass(isochrone)
        if dust is not None and dust_table is not None:
            dust[a, c, :n, :n_bands] = _star_dust(isochrone, metals, dust_table)
        if terms is not None:
            terms[a, c, :n] = color_terms(isochrone.log_teff, isochrone.log_g)
    metallicity = grid.metallicity[columns]
    dusty = ((low, high), dust, terms)
    return StellarTable(
        grid.log_age, metallicity, initial, present, magnitude, names, living, *dusty
    )


def star_magnitudes(
    isochrone: Isochrone, metallicity: float, corrections: MagnitudeTable
) -> np.ndarray:
    """Absolute AB magnitudes of every point of an isochrone, (n, B); inf where non-luminous."""
    magnitude = corrections(
        isochrone.log_l, isochrone.log_teff, isochrone.log_g, metals_dex(metallicity)
    )
    return np.where(isochrone.luminous[:, None], magnitude, np.inf)


def _dust_table(
    at_low: MagnitudeTable, corrections: Callable[..., MagnitudeTable], low: float, high: float
) -> MagnitudeTable:
    """Coefficients of the attenuation, mag, on the grid of the spectra, (..., B K) for (..., B)."""
    k = np.arange(1, DUST_TERMS + 1)
    x = 0.5 * (high - low) * (1 - np.cos(np.pi * k / DUST_TERMS))  # Chebyshev-Lobatto, without 0
    rise = np.stack([corrections(a_v=low + at).magnitude - at_low.magnitude for at in x], axis=-1)
    coefficients = rise @ np.linalg.inv(x[:, None] ** k).T  # (t, g, z, B, K)
    flat = coefficients.reshape(*rise.shape[:3], -1)
    return MagnitudeTable(at_low.log_teff, at_low.log_g, at_low.metals, flat)


def _star_dust(isochrone: Isochrone, metallicity: float, table: MagnitudeTable) -> np.ndarray:
    """Coefficients of the attenuation, mag, (n, B, K); zero where a point is non-luminous."""
    luminous = isochrone.luminous
    # Hotter stars than the hottest spectrum keep its shape, and so its attenuation.
    log_teff = np.minimum(isochrone.log_teff[luminous], table.log_teff[-1])
    dust = np.zeros((len(luminous), table.magnitude.shape[-1]))
    dust[luminous] = table(0.0, log_teff, isochrone.log_g[luminous], metals_dex(metallicity))
    return dust.reshape(len(luminous), -1, DUST_TERMS)


def _max_living_mass(isochrone: Isochrone) -> float:
    """Initial mass above which stars have ended: that of the first remnant beyond the living."""
    last = int(np.flatnonzero(isochrone.living).max(initial=-1))
    return float(isochrone.initial_mass[min(last + 1, len(isochrone.living) - 1)])
