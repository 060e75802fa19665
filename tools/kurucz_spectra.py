"""A compact grid of stellar spectra: Kurucz (ATLAS9) with the cool end from BT-Settl.

Both come from the source distribution of the package `SEDFit`. The spectra are stored as
log10(lambda F_lambda / (sigma T_eff^4)) in steps of 0.001 dex (the resolution of the source).
"""

from __future__ import annotations

import bz2
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

STEFAN_BOLTZMANN = 5.670374419e-5  # erg / (s cm2 K4)
METALS = np.array([-2.0, -1.5, -1.0, -0.5, 0.0, 0.2, 0.5])
LOG_G = np.arange(0.0, 5.01, 0.5)
COOL_TEFF = np.array([2000.0, 2200, 2400, 2600, 2800, 2900, 3000, 3100, 3200, 3300, 3400, 3500])
KURUCZ_FROM = 3750.0  # K: Kurucz's models at 3500 K are up to 0.25 mag too faint in F814W
WAVELENGTH_RANGE = (955.0, 300000.0)
NATIVE_TO = 55000.0  # Angstrom: beyond, the Rayleigh-Jeans tail is thinned
QUANTUM_DEX = 0.001
FLOOR_DEX = -12.0
Correction = Callable[[float, float, np.ndarray], np.ndarray]
SUSPECT = 0.1  # a model cooler than 9000 K whose flux is off sigma T^4 by more is left out


class _OnlyArrays(pickle.Unpickler):
    """Admits arrays, tables and quantities; any other class stops the reading."""

    def find_class(self, module: str, name: str) -> object:
        package = module.split(".")[0]
        if package in ("numpy", "astropy") or (module, name) == ("collections", "OrderedDict"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"the spectra file asks for {module}.{name}")


def read_member(source: Path, name: str) -> bytes:
    """Bytes of one data file of SEDFit, from its `.tar.gz` or from the unpacked folder."""
    if source.is_dir():
        found = sorted(source.rglob(name))
        if not found:
            raise FileNotFoundError(f"no {name} below {source}")
        return found[0].read_bytes()
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and Path(member.name).name == name:
                stream = archive.extractfile(member)
                assert stream is not None
                return stream.read()
    raise FileNotFoundError(f"no {name} in {source}")


def read_library(content: bytes) -> dict[str, np.ndarray]:
    """Spectra of one library: `flux` log10(lambda F_lambda) (n, w), `teff`, `logg`, `feh`, (n,)."""
    flux, table, wavelength = _OnlyArrays(io.BytesIO(bz2.decompress(content))).load()
    library = {name: np.array(table[name], dtype=float) for name in ("teff", "logg", "feh")}
    library["wavelength"] = np.array(wavelength.to_value("Angstrom"))
    library["flux"] = np.array(flux)
    return library


def bolometric(library: dict[str, np.ndarray]) -> np.ndarray:
    """Integral of each spectrum over sigma T_eff^4, shape (n,)."""
    wavelength = library["wavelength"]
    total = np.trapezoid(10.0 ** library["flux"] / wavelength, wavelength, axis=1)
    return total / (STEFAN_BOLTZMANN * library["teff"] ** 4)


def thinned_wavelengths(native: np.ndarray) -> np.ndarray:
    """Kurucz's own points up to `NATIVE_TO`, 30 per dex and more in the tail, Angstrom."""
    low, high = WAVELENGTH_RANGE
    inside = native[(native >= low) & (native <= NATIVE_TO)]
    tail = np.geomspace(inside[-1], high, 40)[1:]
    return np.concatenate([inside, tail])


def spectral_grid(
    kurucz: dict, settl: dict, correction: Correction | None = None
) -> dict[str, np.ndarray]:
    """The grid of the package.

    Missing models (low gravity at high temperature, and suspect ones) point to the nearest
    gravity that exists, and where a metallicity lacks a temperature, to the nearest metallicity.
    BT-Settl serves every metallicity with its solar models, normalised to sigma T_eff^4: the
    other metallicities of that file are mislabelled (their bolometric corrections jump by up to
    1.5 mag from one gravity to the next).

    Parameters
    ----------
    kurucz, settl : dict
        See `read_library`.
    correction : callable, optional
        Gives log10 of the factor, shape (w,), that a Kurucz spectrum of a given temperature and
        gravity is multiplied with on wavelengths (w,) (see `cool_stars`); the bolometric flux
        is kept.

    Returns
    -------
    dict
        `wavelength` (w,), `teff` (t,), `logg` (g,), `feh` (z,), `index` (t, g, z) into
        `spectra` (n, w), int16, in steps of `QUANTUM_DEX`.
    """
    wavelength = thinned_wavelengths(kurucz["wavelength"])
    ratio = bolometric(kurucz)
    sane = (np.abs(ratio - 1.0) < SUSPECT) | (kurucz["teff"] > 9000.0)
    hot_teff = np.unique(kurucz["teff"])
    teff = np.concatenate([COOL_TEFF, hot_teff[hot_teff >= KURUCZ_FROM]])
    index = np.zeros((len(teff), len(LOG_G), len(METALS)), dtype=np.uint16)
    spectra: list[np.ndarray] = []
    settl_scale, kurucz_scale = bolometric(settl), np.ones(len(kurucz["teff"]))
    for i, temperature in enumerate(teff):
        cool = i < len(COOL_TEFF)
        library, scale = (settl, settl_scale) if cool else (kurucz, kurucz_scale)
        of_teff = library["teff"] == temperature
        of_teff &= np.isclose(library["feh"], 0.0) if cool else sane
        for k, metal in enumerate(METALS):
            if cool and k:
                index[i, :, k] = index[i, :, 0]
                continue
            away = np.where(of_teff, np.abs(library["feh"] - (0.0 if cool else metal)), np.inf)
            rows = np.flatnonzero(away == away.min())
            nearest = np.abs(library["logg"][rows][None, :] - LOG_G[:, None]).argmin(axis=1)
            for row in np.unique(nearest):
                index[i, nearest == row, k] = len(spectra)
                shape = _shape(library, rows[row], scale[rows[row]], wavelength)
                if correction is not None and not cool:
                    gravity = library["logg"][rows[row]]
                    shape = _recoloured(
                        shape, correction(temperature, gravity, wavelength), wavelength
                    )
                spectra.append(_quantised(shape))
    return {
        "wavelength": wavelength,
        "teff": teff,
        "logg": LOG_G,
        "feh": METALS,
        "index": index,
        "spectra": np.array(spectra),
    }


def _shape(library: dict, row: int, scale: float, wavelength: np.ndarray) -> np.ndarray:
    """One spectrum on the grid's wavelengths, log10(lambda F_lambda / sigma T^4)."""
    surface = STEFAN_BOLTZMANN * library["teff"][row] ** 4
    shape = library["flux"][row] - np.log10(surface * scale)
    return np.interp(np.log(wavelength), np.log(library["wavelength"]), shape)


def _recoloured(shape: np.ndarray, factor_dex: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """The spectrum times the factor, with the bolometric flux that it had."""
    if not factor_dex.any():
        return shape
    before, after = (
        np.trapezoid(10.0**values / wavelength, wavelength)
        for values in (shape, shape + factor_dex)
    )
    return shape + factor_dex - np.log10(after / before)


def _quantised(shape: np.ndarray) -> np.ndarray:
    return np.round(np.maximum(shape, FLOOR_DEX) / QUANTUM_DEX).astype(np.int16)
