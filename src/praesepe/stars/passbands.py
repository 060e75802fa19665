"""Filter curves, and the AB and Vega magnitudes they define."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from praesepe.errors import InputError, MissingDependencyError

SPEED_OF_LIGHT_ANGSTROM_S = 2.99792458e18
PLANCK_ERG_S = 6.62607015e-27
AB_FLUX = 10.0 ** (-0.4 * 48.6)  # erg/s/cm2/Hz
HST_AREA_CM2 = 45238.93416  # STScI's collecting area of the 2.4 m primary


@dataclass(frozen=True, eq=False, repr=False)
class Passband:
    """A filter curve, in the convention that detectors count photons.

    Parameters
    ----------
    name : str
        Name of the curve.
    wavelength_angstrom : ndarray, shape (w,)
        Ascending, Angstrom.
    throughput : ndarray, shape (w,)
        Electrons per photon. Magnitudes do not depend on its scale; electron rates do, and need
        the total throughput of telescope, filter and detector, as the HST curves give it.

    Raises
    ------
    InputError
        Where the arrays do not form a curve.
    """

    name: str
    wavelength_angstrom: np.ndarray
    throughput: np.ndarray

    def __post_init__(self) -> None:
        wavelength = np.asarray(self.wavelength_angstrom, dtype=float)
        throughput = np.asarray(self.throughput, dtype=float)
        fault = ""
        if wavelength.ndim != 1 or wavelength.shape != throughput.shape or len(wavelength) < 3:
            fault = "needs two columns of at least three values"
        elif not (np.isfinite(wavelength).all() and np.isfinite(throughput).all()):
            fault = "holds values that are not finite"
        elif wavelength[0] <= 0 or (np.diff(wavelength) <= 0).any():
            fault = "wavelengths must be positive and ascend"
        elif throughput.max() <= 0:
            fault = "lets no light through"
        if fault:
            raise InputError(
                f"filter {self.name!r}: {fault}", given=self.name, remedy="correct its curve"
            )
        object.__setattr__(self, "wavelength_angstrom", wavelength)
        object.__setattr__(self, "throughput", np.maximum(throughput, 0.0))

    def __repr__(self) -> str:
        blue, red = self.wavelength_angstrom[[0, -1]]
        return f"<Passband {self.name!r}: {blue:.0f} to {red:.0f} Angstrom>"

    @cached_property
    def key(self) -> str:
        """SHA-256 of the curve's numbers: equal curves, equal keys, whatever they are called."""
        digest = hashlib.sha256()
        for column in (self.wavelength_angstrom, self.throughput):
            digest.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
        return digest.hexdigest()

    @cached_property
    def pivot_angstrom(self) -> float:
        """Pivot wavelength, Angstrom: links F_lambda and F_nu of the band exactly."""
        wave, through = self.wavelength_angstrom, self.throughput
        energy, per_wave = np.trapezoid(wave * through, wave), np.trapezoid(through / wave, wave)
        return float(np.sqrt(energy / per_wave))

    @cached_property
    def ab_signal(self) -> float:
        """Integral of F_lambda lambda T d lambda for a source of AB magnitude zero, erg/s/cm2 A."""
        wave = self.wavelength_angstrom
        return float(
            AB_FLUX * SPEED_OF_LIGHT_ANGSTROM_S * np.trapezoid(self.throughput / wave, wave)
        )

    def ab_magnitude(self, wavelength_angstrom: np.ndarray, flux: np.ndarray) -> float:
        """AB magnitude of one spectrum.

        Parameters
        ----------
        wavelength_angstrom, flux : ndarray, shape (n,)
            Angstrom (ascending), erg/s/cm2/Angstrom.
        """
        inside = (wavelength_angstrom > self.wavelength_angstrom[0]) & (
            wavelength_angstrom < self.wavelength_angstrom[-1]
        )
        wave = np.union1d(self.wavelength_angstrom, wavelength_angstrom[inside])
        through = np.interp(wave, self.wavelength_angstrom, self.throughput)
        signal = np.interp(wave, wavelength_angstrom, flux) * wave * through
        return float(-2.5 * np.log10(np.trapezoid(signal, wave) / self.ab_signal))

    @cached_property
    def vega_minus_ab(self) -> float:
        """Vega magnitude minus AB magnitude of any source, from the curve and Vega's spectrum.

        The spectrum is CALSPEC's alpha_lyr_stis_011, whose magnitude is zero by definition.
        """
        return -self.ab_magnitude(*_vega())

    def zero_point_ab(self, area_cm2: float = HST_AREA_CM2) -> float:
        """AB magnitude that gives one electron per second.

        Parameters
        ----------
        area_cm2 : float
            Collecting area of the telescope, as the throughput curve counts it (for HST the
            unobstructed 45238.93 cm2, since its curves include the obscuration).
        """
        wave = self.wavelength_angstrom
        photons = AB_FLUX / PLANCK_ERG_S * np.trapezoid(self.throughput / wave, wave)
        return float(2.5 * np.log10(area_cm2 * photons))


def sedpy_data() -> Path:
    """Folder of the filter curves and of Vega's spectrum; `MissingDependencyError` without."""
    from importlib.util import find_spec

    found = find_spec("sedpy")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "filter curves by name need astro-sedpy: pip install astro-sedpy; or give a file"
        )
    return Path(found.origin).parent / "data"


@lru_cache(maxsize=1)
def _vega() -> tuple[np.ndarray, np.ndarray]:
    from astropy.io import fits

    with fits.open(sedpy_data() / "alpha_lyr_stis_011.fits") as hdus:
        table = hdus[1].data
        return table["WAVELENGTH"].astype(float), table["FLUX"].astype(float)
