"""Smooth changes of stars' colors with temperature and gravity (docs/theory.md, section 12).

What stellar models do not know, and what another R_V does to the light, are magnitudes in each band
that change slowly over the plane of temperature and gravity: a few coefficients for each band.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.extinction import FOREGROUND_R_V
from praesepe.stars.passbands import Passband

N_TERMS = 4
"""A constant, and functions of temperature and gravity: Legendre polynomials of unit variance."""

COOLEST_FIT_K = 4500.0
"""Cooler stars than this do not shine where R_V matters most, and are left out of its fit."""

ULTRAVIOLET_ANGSTROM = (4000.0, 1300.0)
"""Below the first, colors are less certain; by the second below it, twice as uncertain."""

YOUNG_LOG_AGE = (7.25, 0.5)
"""Below the first, colors are less certain; by the second below it, half as much again."""


def color_terms(log_teff: ArrayLike, log_g: ArrayLike) -> np.ndarray:
    """Functions of temperature and gravity, (..., term).

    Parameters
    ----------
    log_teff, log_g : array_like, shape (...)
        log10 of temperature [K] and gravity [cm/s2]; the ends of 3.5 to 4.7 and of 0 to 5 stand
        for what lies beyond.
    """
    u = np.clip((np.asarray(log_teff) - 4.1) / 0.6, -1, 1)
    v = np.clip((np.asarray(log_g) - 2.5) / 2.5, -1, 1)
    terms = (np.ones_like(u), 3**0.5 * u, 5**0.5 * (3 * u**2 - 1) / 2, 3**0.5 * v)
    return np.stack(np.broadcast_arrays(*terms), axis=-1)


def uncertainty(pivot_angstrom: ArrayLike, log_age: ArrayLike) -> np.ndarray:
    """How uncertain colors are beside those of old stars in the visible, (age, band): 1 to 3."""
    (red, width), (old, step) = ULTRAVIOLET_ANGSTROM, YOUNG_LOG_AGE
    bluer = np.clip((red - np.asarray(pivot_angstrom)) / width, 0, 1)
    younger = np.clip((old - np.asarray(log_age)) / step, 0, 1)
    return (1 + bluer) * (1 + 0.5 * younger[:, None])


def r_v_powers(a_v: ArrayLike, r_v: ArrayLike) -> np.ndarray:
    """What the change of the light with R_V is linear in, (..., power)."""
    a_v, inverse = np.asarray(a_v), 1 / np.asarray(r_v) - 1 / FOREGROUND_R_V
    return np.stack([a_v**i * inverse**k for k in (1, 2) for i in (1, 2)], axis=-1)


def r_v_terms(
    passbands: Sequence[Passband], *, a_v: float, r_v: tuple[float, float], law: str
) -> np.ndarray:
    """Magnitudes that another R_V than the Milky Way's adds to the light of stars.

    Parameters
    ----------
    passbands : sequence of Passband
    a_v : float
        Largest extinction, mag.
    r_v : tuple of float
        Lowest and highest R_V.
    law : str
        Class of `dust_extinction`.

    Returns
    -------
    ndarray, shape (power, band, term)
        Factors of the products of `r_v_powers` and `color_terms`.
    """
    library = SpectralLibrary.embedded()
    hot = library.teff >= COOLEST_FIT_K
    metals = int(np.abs(library.metals).argmin())
    terms = color_terms(np.log10(library.teff[hot, None]), library.log_g).reshape(-1, N_TERMS)

    def magnitudes(a_v: float, r_v: float) -> np.ndarray:
        table = library.bolometric_corrections(passbands, a_v=a_v, r_v=r_v, law=law)
        return table.magnitude[hot, :, metals].reshape(len(terms), -1)

    factors, changes = [], []
    for part in (0.5, 1.0):
        usual = magnitudes(part * a_v, FOREGROUND_R_V)
        for other in np.unique((*r_v, sum(r_v) / 2)):
            powers = r_v_powers(part * a_v, other)
            factors.append((powers[:, None] * terms[:, None, :]).reshape(len(terms), -1))
            changes.append(magnitudes(part * a_v, other) - usual)
    fit = np.linalg.lstsq(np.concatenate(factors), np.concatenate(changes), rcond=None)[0]
    return fit.reshape(-1, N_TERMS, len(passbands)).swapaxes(1, 2)
