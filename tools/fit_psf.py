"""Fit the free parameters of the optical PSF model to measured point spread functions.

    python tools/fit_psf.py ../shared/data/psf

For WFC3/UVIS the core follows measured STDPSF grids, the light outside of it the published table of
encircled energy, filter by filter and together, with one smooth dependence on the wavelength; for
ACS/WFC the TinyTim images, for WFC3/IR the encircled energy of its handbook. The output is what
goes into the `psf` of a survey file.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.optimize import least_squares
from scipy.special import j1

from praesepe.sky.instrument.psf import (
    band_wavelengths,
    optical_psf,
    optical_transfer,
    radial_transfer,
)
from praesepe.sky.instrument.psf_files import load_psf_file
from praesepe.sky.instrument.psf_shapes import encircled_energy
from praesepe.survey import PSF

UVIS_FILTERS = ("F336W", "F390W", "F438W", "F475W", "F555W", "F606W", "F625W", "F775W", "F814W")
STDPSF_FILTERS = ("F336W", "F438W", "F814W")
UVIS_PIXEL = 0.0396
STDPSF_SCALE = UVIS_PIXEL / 4
CORE_ARCSEC = 5 * UVIS_PIXEL
"""STDPSF is measured inside 5 pixels, where its light is set to 1; beyond it is one common halo."""

CORE_RADII = np.arange(1, 10) * 0.02
TABLE_ARCSEC = (0.195, 2.0)  # where the table is fitted, and how it is thinned: beyond 0.6
UNMEASURED = {"F814W": "F775W"}
"""The table repeats one row from F814W to 11000 Angstrom. Its light follows that of the nearest
filter, at radii that grow with the wavelength as those of diffraction do."""

PARAMETERS = ("diffusion_arcsec", "halo_fraction", "halo_arcsec")
ACS_FILTERS = ("F475W", "F814W")
IR_PIXEL = 0.128
IR_RADII = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0])  # arcsec
IR_ENERGY = (  # wavelength, Angstrom, and encircled energy: WFC3 Instrument Handbook, section 7.6
    (9000, 0.524, 0.685, 0.780, 0.821, 0.838, 0.869, 0.889, 0.904, 0.929, 0.946, 0.967, 0.976),
    (10000, 0.502, 0.653, 0.762, 0.813, 0.833, 0.859, 0.884, 0.897, 0.924, 0.941, 0.965, 0.975),
    (11000, 0.484, 0.623, 0.739, 0.804, 0.828, 0.850, 0.878, 0.893, 0.918, 0.935, 0.963, 0.973),
    (12000, 0.468, 0.596, 0.712, 0.792, 0.822, 0.845, 0.868, 0.889, 0.909, 0.930, 0.959, 0.972),
    (13000, 0.453, 0.575, 0.683, 0.776, 0.816, 0.841, 0.858, 0.883, 0.903, 0.925, 0.954, 0.969),
    (14000, 0.438, 0.558, 0.653, 0.756, 0.808, 0.838, 0.852, 0.875, 0.900, 0.920, 0.951, 0.967),
    (15000, 0.426, 0.550, 0.631, 0.735, 0.803, 0.840, 0.852, 0.870, 0.903, 0.917, 0.952, 0.970),
    (16000, 0.410, 0.539, 0.608, 0.708, 0.789, 0.836, 0.850, 0.863, 0.900, 0.912, 0.948, 0.967),
    (17000, 0.394, 0.531, 0.590, 0.679, 0.770, 0.832, 0.848, 0.859, 0.895, 0.909, 0.943, 0.963),
)
BOX_ARCSEC = 12.8


@dataclass(frozen=True)
class Curve:
    """What is known of one filter, and its optics reduced to rings of spatial frequency."""

    name: str
    pivot: float  # Angstrom
    core: np.ndarray | None  # encircled energy at CORE_RADII over that at CORE_ARCSEC
    radii: np.ndarray  # (R,) arcsec, of the table
    energy: np.ndarray  # (R,)
    frequency: np.ndarray  # (K,) cycles/arcsec
    discs: np.ndarray  # (core radii, CORE_ARCSEC, R; K): energy = discs @ radial_transfer

    def differences(self, psf: PSF) -> tuple[np.ndarray, np.ndarray]:
        """Model minus STDPSF in the core (empty without one), and minus the table outside."""
        energy = self.discs @ radial_transfer(psf, self.frequency**2)
        n = len(CORE_RADII)
        core = np.empty(0) if self.core is None else energy[:n] / energy[n] - self.core
        return core, energy[n + 1 :] - self.energy


def read_table(path: Path) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Wavelength, radii and encircled energy of every filter of the STScI table."""
    with path.open() as file:
        header, *rows = csv.reader(file)
    radii = np.array([float(column.split("#")[1]) for column in header[2:]])
    return {row[0]: (float(row[1]), radii, np.array(row[2:], dtype=float)) for row in rows}


def stdpsf_core(folder: Path, name: str) -> np.ndarray | None:
    """Shape of the core of a measured grid: the mean of its positions."""
    if name not in STDPSF_FILTERS:
        return None
    file = str(folder / f"PSFSTD_WFC3UV_{name}.fits")
    star = load_psf_file(PSF(file=file, file_scale_arcsec=STDPSF_SCALE))
    image, scale = star.image(None), star.scale_arcsec
    *energy, total = encircled_energy(image, scale, [*CORE_RADII, CORE_ARCSEC])
    return np.array(energy) / total


def uvis_curve(name: str, table: dict, folder: Path) -> Curve:
    """Read one filter; its optics and the pixel are summed over rings of frequency."""
    pivot = table[name][0]
    nearest, radii, energy = table[UNMEASURED.get(name, name)]
    radii = radii * pivot / nearest
    use = (radii > TABLE_ARCSEC[0]) & (radii < TABLE_ARCSEC[1])
    use &= (radii < 0.6) | (np.arange(len(radii)) % 4 == 0)
    radii, energy = radii[use], energy[use]
    band = SimpleNamespace(psf=PSF(), name=name, filter=name, instrument="WFC3/UVIS", curve=None)
    transfer = optical_transfer(PSF(), band_wavelengths(band), BOX_ARCSEC).real
    n = len(transfer)
    along_y, along_x = np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)
    for index in (along_y, along_x):
        transfer = transfer * np.sinc(index / BOX_ARCSEC * UVIS_PIXEL)
    transfer[:, 1:] *= 2  # the other half of the plane, which is the same turned by 180 degrees
    rings = np.bincount(np.rint(along_y**2 + along_x**2).astype(int).ravel(), transfer.ravel())
    occupied = np.flatnonzero(rings)
    frequency = np.maximum(np.sqrt(occupied) / BOX_ARCSEC, 1e-9)
    every = [*CORE_RADII, CORE_ARCSEC, *radii]
    discs = np.array([r * j1(2 * np.pi * frequency * r) / frequency for r in every])
    discs *= rings[occupied] / BOX_ARCSEC**2
    return Curve(name, pivot, stdpsf_core(folder, name), radii, energy, frequency, discs)


def law(coefficients: np.ndarray, wavelength: float) -> PSF:
    """Parameters at a wavelength: scattering as from a rough mirror, diffusion falling linearly."""
    ratio = wavelength / 5000
    diffusion, slope, fraction, radius = coefficients
    return PSF(
        native_pixel_arcsec=UVIS_PIXEL,
        diffusion_arcsec=max(diffusion + slope * (ratio - 1), 0.0),
        halo_fraction=min(max(fraction / ratio**2, 0.0), 1.0),
        halo_arcsec=max(radius * ratio, 0.01),
    )


def single(values: np.ndarray, pixel: float = UVIS_PIXEL) -> PSF:
    """Model with the three free parameters."""
    diffusion, fraction, radius = np.abs(values)
    return PSF(
        native_pixel_arcsec=pixel,
        diffusion_arcsec=diffusion,
        halo_fraction=min(fraction, 1.0),
        halo_arcsec=max(radius, 0.01),
    )


def fit_uvis(folder: Path) -> None:
    """Fit WFC3/UVIS filter by filter, then all together."""
    table = read_table(folder / "wfc3uvis2_encircled_energy.csv")
    curves = [uvis_curve(name, table, folder) for name in UVIS_FILTERS]
    print("WFC3/UVIS, filter by filter")
    start = np.array([0.035, 0.05, 0.6])
    for curve in curves:
        if curve.core is None:
            continue

        def alone(values: np.ndarray, curve: Curve = curve) -> np.ndarray:
            return np.concatenate(curve.differences(single(values)))

        uvis_report(curve, single(least_squares(alone, start, x_scale=start).x))

    def joint(coefficients: np.ndarray) -> np.ndarray:
        parts = [curve.differences(law(coefficients, curve.pivot)) for curve in curves]
        return np.concatenate([part for pair in parts for part in pair])

    start = np.array([0.035, -0.01, 0.04, 0.75])
    best = least_squares(joint, start, x_scale=np.abs(start)).x
    print("\nWFC3/UVIS, one law: with x = wavelength / 5000 Angstrom,")
    print("  diffusion_arcsec = {:.4f} {:+.4f} (x - 1)".format(*best[:2]))
    print("  halo_fraction = {:.4f} / x**2, halo_arcsec = {:.3f} x".format(*best[2:]))
    for curve in [*curves, uvis_curve("F275W", table, folder)]:
        uvis_report(curve, law(best, curve.pivot))


def fit_acs(folder: Path) -> None:
    """Fit ACS/WFC to the TinyTim images, sampled at the same pixels."""
    print("\nACS/WFC against TinyTim (both sampled at its pixel; share of 1 inside its box)")
    near = np.array([0.05, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16])
    radii = np.array([*near, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.75, 1.0, 1.25])
    for name in ACS_FILTERS:
        star = load_psf_file(PSF(file=str(folder / f"ACS_WFC_{name}.fits")))
        image, scale = star.image(None), star.scale_arcsec
        energy = encircled_energy(image, scale, radii)
        band = SimpleNamespace(psf=PSF(), name=name, filter=name, instrument="ACS/WFC", curve=None)
        reference = (band_wavelengths(band), image.shape[0] // 2, scale, energy)

        def difference(values, reference=reference):
            wavelengths, half, scale, energy = reference
            model = optical_psf(single(values, scale), wavelengths, scale, half)
            return encircled_energy(model, scale, radii) - energy * model.sum()

        start = np.array([0.035, 0.05, 0.3])
        bounds = ([0, 0, 0.02], [0.1, 1, 3])
        best = least_squares(difference, start, x_scale=start, bounds=bounds).x
        core, outer = np.split(np.abs(difference(best)), [len(near)])
        worst = f"TinyTim {core.max():.4f} inside 0.16 arcsec, {outer.max():.4f} outside"
        report(name, single(best, scale), worst)
        bare = np.abs(difference([0.0, *best[1:]])).max()
        print(f"          without charge diffusion the worst would be {bare:.3f}")


def ir_settings(values: np.ndarray) -> PSF:
    """Model of WFC3/IR, whose cold stop hides more of the pupil, with the free parameters."""
    pupil = {"native_pixel_arcsec": IR_PIXEL, "obscuration": 0.354, "strut_width": 0.035}
    return PSF(**pupil, **dict(zip(PARAMETERS, map(float, values), strict=True)))


def ir_energy(name: str, psf: PSF) -> tuple[np.ndarray, np.ndarray]:
    """Encircled energy at IR_RADII of the model and of the handbook, averaged over a filter."""
    band = SimpleNamespace(psf=psf, name=name, filter=name, instrument="WFC3/IR", curve=None)
    wavelengths = band_wavelengths(band)
    model = encircled_energy(optical_psf(psf, wavelengths, 0.02, 101), 0.02, IR_RADII)
    rows = np.array(IR_ENERGY)
    return model, np.array([np.interp(wavelengths, rows[:, 0], e).mean() for e in rows.T[1:]])


def fit_ir() -> None:
    """Fit WFC3/IR to the table of its handbook. Other pupils fit as well."""
    print("\nWFC3/IR against the handbook's encircled energy")
    for name in ("F110W", "F160W"):

        def difference(values, name=name):
            model, published = ir_energy(name, ir_settings(values))
            return np.where(IR_RADII <= 0.6, 1.0, 0.5) * (model - published)

        start = np.array([0.01, 0.08, 0.15])
        bounds = ([0, 0, 0.02], [0.1, 1, 3])
        best = least_squares(difference, start, x_scale=start, bounds=bounds, diff_step=0.01).x
        report(name, ir_settings(best), f"the table {np.abs(difference(best)).max():.4f}")


def uvis_report(curve: Curve, psf: PSF) -> None:
    """Report a fit of WFC3/UVIS with what remains in the core and outside of it."""
    names = ("STDPSF", "table")
    parts = zip(names, curve.differences(psf), strict=True)
    worst = (f"{name} {np.abs(part).max():.4f}" for name, part in parts if part.size)
    report(curve.name, psf, ", ".join(worst))


def report(name: str, psf: PSF, worst: str) -> None:
    """One line: the parameters as a survey file has them, and the largest differences."""
    values = ", ".join(f"{key} = {getattr(psf, key):.4f}" for key in PARAMETERS)
    print(f"  {name:6s} {values}   worst against {worst}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the reference PSF data")
    arguments = parser.parse_args()
    fit_uvis(arguments.folder)
    fit_acs(arguments.folder)
    fit_ir()
