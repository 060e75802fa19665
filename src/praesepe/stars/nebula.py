"""Light of the gas around hot stars: ionising photons, and what becomes of them.

See docs/theory.md, section 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from praesepe.stars.atmospheres import SOLAR_LUMINOSITY, TEN_PARSEC_CM
from praesepe.stars.extinction import transmission
from praesepe.stars.passbands import PLANCK_ERG_S, SPEED_OF_LIGHT_ANGSTROM_S, Passband

OLDEST_LOG_AGE = 7.3
"""Older clusters have no gas left; their white dwarfs would ionise some."""

UNIT_PER_S = 1e49
"""Photons in which ionising light is counted: those of one O5 star, about."""

_BOLTZMANN = 1.380649e-16
_RYDBERG_K = 157_888.0
_GAS_K = 1e4
_CASE_B = 2.59e-13  # cm3/s, recombinations to all levels but the first
_H_BETA = 4.78e-13  # erg per ionising photon
_TWO_PHOTON = 0.838e-13  # cm3/s, recombinations that end in the metastable level
_HELIUM = 1.1  # ions per proton

_CORRECTION = np.array(
    [[4.10, -4.0], [4.20, -2.7], [4.30, -1.9], [4.36, -1.6], [4.42, -1.05], [4.48, -0.28],
     [4.50, -0.12], [4.54, -0.02], [4.56, 0.0]]
)  # fmt: skip
"""log10 of temperature [K], and of the ionising photons over those of a black body."""

LINES = np.array(
    [  # Angstrom, and energy over that of H beta
        [3727, 2.0], [3869, 0.2], [3889, 0.18], [3970, 0.22], [4102, 0.26], [4340, 0.47],
        [4471, 0.04], [4861, 1.0], [4959, 0.7], [5007, 2.1], [5876, 0.13], [6548, 0.3],
        [6563, 2.87], [6584, 0.9], [6725, 0.5], [7135, 0.12], [9069, 0.35], [9531, 0.87],
        [10049, 0.056], [10830, 0.3], [10938, 0.090], [12818, 0.163], [16407, 0.009],
        [16806, 0.0116], [17362, 0.0147], [18751, 0.339], [21655, 0.0277],
    ]
)  # fmt: skip
"""Hydrogen's are those of case B at 10^4 K (Osterbrock & Ferland 2006, table 4.4). The others
differ from nebula to nebula; these are usual ones of metal-rich H II regions."""


def ionising_photons(log_l: ArrayLike, log_teff: ArrayLike) -> np.ndarray:
    """Photons beyond the Lyman limit that stars emit, in `UNIT_PER_S`.

    A black body's, less in cooler stars, whose atmospheres absorb them: within 0.05 dex of the O
    stars of Martins, Schaerer & Hillier (2005, A&A 436, 1049, table 2), and falling to B stars.

    Parameters
    ----------
    log_l, log_teff : array_like, shape (...)
        log10 of luminosity [solar] and temperature [K].
    """
    log_teff = np.asarray(log_teff, dtype=float)
    kelvin = 10**log_teff
    x = _RYDBERG_K / kelvin
    # Integral of x² / (e^x - 1) from x on, over that of x³ / (e^x - 1) over all x.
    k = np.arange(1, 6).reshape(-1, *(1,) * x.ndim)
    photons = (np.exp(-np.minimum(k * x, 500)) * (x**2 / k + 2 * x / k**2 + 2 / k**3)).sum(0)
    per_erg = photons / (np.pi**4 / 15) / (_BOLTZMANN * kelvin)
    log_rate = np.asarray(log_l) + np.log10(per_erg * SOLAR_LUMINOSITY / UNIT_PER_S)
    return np.asarray(10 ** (log_rate + np.interp(log_teff, *_CORRECTION.T)))


def continuum(wavelength_angstrom: ArrayLike) -> np.ndarray:
    """Luminosity of the gas's continuum by `UNIT_PER_S` ionising photons, erg/s/Hz.

    Free-free and free-bound radiation of hydrogen and helium (Gaunt factors 1.1 and 1) and the two
    photons of hydrogen's metastable level (Nussbaumer & Schmutz 1984, A&A 138, 495), at 10^4 K.
    """
    wavelength = np.asarray(wavelength_angstrom, dtype=float)
    frequency = SPEED_OF_LIGHT_ANGSTROM_S / wavelength
    energy_k = PLANCK_ERG_S * frequency / _BOLTZMANN
    level = np.arange(1, 60)[:, None]
    binding = _RYDBERG_K / level**2 / _GAS_K
    reached = energy_k >= _RYDBERG_K / level**2
    bound = 2 * _RYDBERG_K / _GAS_K * np.where(reached & (level > 1), np.exp(binding) / level**3, 0)
    hydrogen = 6.84e-38 * _GAS_K**-0.5 * np.exp(-energy_k / _GAS_K) * (1.1 + bound.sum(0))
    y = np.clip(frequency / (0.75 * _RYDBERG_K * _BOLTZMANN / PLANCK_ERG_S), 0, 1)
    w = y * (1 - y)
    rate = 202.0 * (w * (1 - (4 * w) ** 0.8) + 0.88 * w**1.53 * (4 * w) ** 0.8)
    two_photon = _TWO_PHOTON * PLANCK_ERG_S * y * rate / 8.2249
    return np.asarray((_HELIUM * hydrogen + two_photon) / _CASE_B * UNIT_PER_S)


def nebular_magnitudes(
    passbands: Sequence[Passband], *, a_v: float = 0.0, r_v: float = 3.1, law: str = "F99"
) -> np.ndarray:
    """Absolute AB magnitudes of the gas that `UNIT_PER_S` ionising photons light up, (B,).

    Parameters
    ----------
    passbands : sequence of Passband, length B
    a_v, r_v, law
        Extinction: see `praesepe.stars.extinction.transmission`.
    """
    line_angstrom, relative = LINES.T
    to_flux = 1 / (4 * np.pi * TEN_PARSEC_CM**2)
    of_lines = relative * _H_BETA * UNIT_PER_S * to_flux
    of_lines *= transmission(line_angstrom, a_v=a_v, r_v=r_v, law=law)
    magnitudes = []
    for passband in passbands:
        wave, through = passband.wavelength_angstrom, passband.throughput
        per_angstrom = continuum(wave) * SPEED_OF_LIGHT_ANGSTROM_S / wave**2 * to_flux
        per_angstrom *= transmission(wave, a_v=a_v, r_v=r_v, law=law)
        signal = np.trapezoid(per_angstrom * wave * through, wave)
        signal += of_lines @ (np.interp(line_angstrom, wave, through, 0, 0) * line_angstrom)
        magnitudes.append(-2.5 * np.log10(signal / passband.ab_signal))
    return np.array(magnitudes)
