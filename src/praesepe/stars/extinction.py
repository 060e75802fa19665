"""Interstellar extinction as a function of wavelength."""

from __future__ import annotations

from typing import Any

import numpy as np

from praesepe.errors import check_number, outside, unknown
from praesepe.lazy import extras

FOREGROUND_R_V = 3.1
"""A_V / E(B-V) of the Milky Way's dust in front of other galaxies."""


def transmission(
    wavelength_angstrom: np.ndarray, *, a_v: float, r_v: float = 3.1, law: str = "F99"
) -> np.ndarray:
    """Fraction of the light that dust lets through.

    Parameters
    ----------
    wavelength_angstrom : ndarray, shape (w,)
        Wavelengths, Angstrom.
    a_v : float
        Extinction in V, mag; zero needs no library.
    r_v : float
        A_V / E(B-V).
    law : str
        Class of ``dust_extinction.parameter_averages``: F99 (Fitzpatrick 1999), CCM89, O94, F04,
        F19, G23 (which alone reaches beyond 3.3 micron), ...

    Returns
    -------
    ndarray, shape (w,)
        0 to 1. Outside the law's range, the value at its end.

    Raises
    ------
    InputError
        For a negative extinction, an unknown law or an R_V that the law does not cover.
    MissingDependencyError
        Where `dust_extinction` is not installed.
    """
    check_number("A_V", a_v, 0, whole=False)
    if a_v == 0:
        return np.ones(len(wavelength_angstrom))
    model = _model(law, r_v)
    wavenumber = np.clip(1e4 / wavelength_angstrom, *_range(model))
    import astropy.units as u

    return 10.0 ** (-0.4 * a_v * np.asarray(model(wavenumber / u.micron)))


def covered_angstrom(law: str, r_v: float = 3.1) -> tuple[float, float]:
    """Shortest and longest wavelength (Angstrom) for which a law is defined."""
    low, high = _range(_model(law, r_v))
    return 1e4 / high, 1e4 / low


def _range(model: Any) -> tuple[float, float]:
    """Ends of a law's range in 1/micron, drawn in by a hair so that rounding stays inside."""
    low, high = model.x_range
    return low * (1 + 1e-9), high * (1 - 1e-9)


def _model(law: str, r_v: float) -> Any:
    """A law of `dust_extinction` with its R_V."""
    with extras():
        from dust_extinction import parameter_averages
    laws = {name: getattr(parameter_averages, name) for name in parameter_averages.__all__}
    laws = {name: made for name, made in laws.items() if hasattr(made, "Rv_range")}
    if law not in laws:
        raise unknown("extinction law", law, laws)
    low, high = laws[law].Rv_range
    if not low <= r_v <= high:
        raise outside("R_V", r_v, (low, high), f"the law {law}")
    return laws[law](Rv=r_v)
