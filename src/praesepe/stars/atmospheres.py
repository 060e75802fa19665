"""Spectra of stars, and the magnitudes they give in any filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from praesepe.errors import InputError
from praesepe.stars import extinction
from praesepe.stars.embedded import embedded_key, read_embedded
from praesepe.stars.passbands import Passband

QUANTUM_DEX = 0.001
SOLAR_Z = 0.0169
"""Metal mass fraction of the Sun in the abundances of the ATLAS9 grid (Grevesse & Sauval 1998)."""
SOLAR_LUMINOSITY = 3.828e33  # erg/s, IAU 2015 B3
TEN_PARSEC_CM = 3.0856775814914e19
OUTSIDE_ALLOWED = 0.01  # fraction of a curve that may lie outside the spectra or the extinction law


def metals_dex(metallicity: ArrayLike) -> np.ndarray:
    """[Fe/H] of the metal mass fraction Z, for solar abundance ratios: log10(Z / 0.0169)."""
    return np.log10(np.asarray(metallicity, dtype=float) / SOLAR_Z)


@dataclass(frozen=True, eq=False)
class MagnitudeTable:
    """Absolute AB magnitudes of a star of one solar luminosity, on the grid of the spectra.

    Attributes
    ----------
    log_teff, log_g, metals : ndarray, shapes (t,), (g,), (z,)
        The axes: log10 K, log10 cm/s2, [Fe/H].
    magnitude : ndarray, shape (t, g, z, B)
        AB mag at 10 pc, dust included.
    """

    log_teff: np.ndarray
    log_g: np.ndarray
    metals: np.ndarray
    magnitude: np.ndarray

    def __call__(
        self, log_l: ArrayLike, log_teff: ArrayLike, log_g: ArrayLike, metals: ArrayLike
    ) -> np.ndarray:
        """Absolute AB magnitudes of stars.

        Parameters
        ----------
        log_l, log_teff, log_g, metals : array_like, shape (...)
            log10 of luminosity (solar), temperature (K), gravity (cm/s2), and [Fe/H]; they
            broadcast. Gravity and [Fe/H] are clamped into the grid, and so are temperatures
            below it. Above the hottest spectrum, its shape is kept and its brightness grows
            with T (the Rayleigh-Jeans tail), that is, falls with T^-3 at a given luminosity.

        Returns
        -------
        ndarray, shape (..., B)
        """
        log_l, log_teff, log_g, metals = np.broadcast_arrays(log_l, log_teff, log_g, metals)
        shape = log_teff.shape
        value = np.zeros((*shape, self.magnitude.shape[-1]))
        i, u = _bracket(self.log_teff, log_teff)
        j, v = _bracket(self.log_g, log_g)
        k, w = _bracket(self.metals, metals)
        for di, dj, dk in np.ndindex(2, 2, 2):
            weight = (u if di else 1 - u) * (v if dj else 1 - v) * (w if dk else 1 - w)
            value += weight[..., None] * self.magnitude[i + di, j + dj, k + dk]
        beyond = 7.5 * np.maximum(log_teff - self.log_teff[-1], 0.0)
        return value + (beyond - 2.5 * log_l)[..., None]


@dataclass(frozen=True, eq=False)
class SpectralLibrary:
    """Stellar spectra on a grid of temperature, gravity and metallicity.

    Attributes
    ----------
    wavelength_angstrom : ndarray, shape (w,)
    teff, log_g, metals : ndarray, shapes (t,), (g,), (z,)
        K, log10 cm/s2, [Fe/H].
    index : ndarray of int, shape (t, g, z)
        Place in `spectra` of each grid point; where the library lacks a model, that of the nearest
        gravity.
    spectra : ndarray, shape (n, w)
        lambda F_lambda at the surface over sigma T_eff^4.
    """

    wavelength_angstrom: np.ndarray
    teff: np.ndarray
    log_g: np.ndarray
    metals: np.ndarray
    index: np.ndarray
    spectra: np.ndarray

    @classmethod
    @lru_cache(maxsize=1)
    def embedded(cls) -> SpectralLibrary:
        """The spectra that come with Praesepe: Kurucz, and BT-Settl below 3500 K.

        From 4000 to 6250 K Kurucz's have PARSEC's colors in the blue. Dwarfs are then 0.08 mag too
        red in B-V beside real ones (docs/stars.md).

        Raises
        ------
        PraesepeError
            Where the file is missing or damaged.

        References
        ----------
        Castelli & Kurucz 2003, IAU Symp. 210, A20; Allard et al. 2012, RSPTA 370, 2765; both as
        distributed in the package SEDFit.
        """
        data = read_embedded("spectra.npz")
        spectra = np.power(np.float32(10), data["spectra"] * np.float32(QUANTUM_DEX))
        spectra.flags.writeable = False
        axes = data["wavelength"], data["teff"], data["logg"], data["feh"]
        return cls(*axes, data["index"], spectra)

    @staticmethod
    def embedded_key() -> str:
        """What tells these spectra from those of another version."""
        return embedded_key("spectra.npz")

    def bolometric_corrections(
        self,
        passbands: Sequence[Passband],
        *,
        a_v: float = 0.0,
        r_v: float = 3.1,
        law: str = "F99",
    ) -> MagnitudeTable:
        """Magnitudes of a star of one solar luminosity, from spectra, dust and filters.

        Parameters
        ----------
        passbands : sequence of Passband, length B
            Filter curves.
        a_v, r_v, law
            Extinction: see `praesepe.stars.extinction.transmission`.

        Raises
        ------
        InputError
            Where more than 1 % of a curve lies outside the spectra or the extinction law.
        """
        weights = np.column_stack([self._weights(p, a_v, r_v, law) for p in passbands])
        # Not a matrix product: its last bits depend on the number of threads, and with them every
        # simulated star would.
        in_band = np.einsum("nw,wb->nb", self.spectra, weights)  # integral of T lambda F dl
        ab_signal = np.array([passband.ab_signal for passband in passbands])
        flux = SOLAR_LUMINOSITY / (4 * np.pi * TEN_PARSEC_CM**2) * in_band / ab_signal
        magnitude = -2.5 * np.log10(flux)
        return MagnitudeTable(np.log10(self.teff), self.log_g, self.metals, magnitude[self.index])

    def _weights(self, passband: Passband, a_v: float, r_v: float, law: str) -> np.ndarray:
        """Weights (w,) whose dot product with a spectrum is its signal in the filter.

        The spectrum is linear between its points, the curve between its own.
        """
        wave, own = passband.wavelength_angstrom, self.wavelength_angstrom
        _refuse_outside(passband, own[0], own[-1], "the stellar spectra")
        if a_v > 0:
            _refuse_outside(passband, *extinction.covered_angstrom(law, r_v), f"the law {law}")
        fine = np.union1d(wave, own[(own > wave[0]) & (own < wave[-1])])
        fine = fine[(fine >= own[0]) & (fine <= own[-1])]
        through = np.interp(fine, wave, passband.throughput)
        through *= extinction.transmission(fine, a_v=a_v, r_v=r_v, law=law)
        width = np.zeros(len(fine))
        width[1:] += 0.5 * np.diff(fine)
        width[:-1] += 0.5 * np.diff(fine)
        i, u = _bracket(own, fine)
        weights = np.zeros(len(own))
        np.add.at(weights, i, (1 - u) * through * width)
        np.add.at(weights, i + 1, u * through * width)
        return weights


def _bracket(grid: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower neighbour in an ascending grid, and the clamped fraction of the way to the next."""
    lower = np.clip(np.searchsorted(grid, values) - 1, 0, len(grid) - 2)
    step = grid[lower + 1] - grid[lower]
    return lower, np.clip((values - grid[lower]) / step, 0.0, 1.0)


def _refuse_outside(passband: Passband, low: float, high: float, what: str) -> None:
    wave, through = passband.wavelength_angstrom, passband.throughput
    outside = np.trapezoid(np.where((wave < low) | (wave > high), through, 0.0), wave)
    fraction = outside / np.trapezoid(through, wave)
    if fraction > OUTSIDE_ALLOWED:
        raise InputError(
            f"{fraction:.0%} of the filter {passband.name!r} lies outside {what} "
            f"({low:.0f} to {high:.0f} Angstrom)",
            given=passband.name,
            allowed=(low, high),
            remedy="choose another filter or extinction law",
        )
