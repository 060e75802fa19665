"""Fit the free parameters of the optical PSF model to published curves of encircled energy.

    python tools/fit_psf.py ../shared/data/psf

For WFC3/UVIS the wide filters of the encircled-energy table are fitted one by one and together,
with one smooth dependence on the wavelength; for ACS/WFC the TinyTim images are fitted. The output
is what goes into the `psf` of a survey file.
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
    encircled_energy,
    optical_psf,
    optical_transfer,
    radial_transfer,
)
from praesepe.sky.instrument.psf_files import read_psf_file
from praesepe.survey import PSF

UVIS_FILTERS = ("F336W", "F390W", "F438W", "F475W", "F555W", "F606W", "F625W", "F775W")
UVIS_PIXEL = 0.04
PARAMETERS = ("diffusion_arcsec", "halo_fraction", "halo_arcsec")
FIT_RADII = (0.08, 0.51)  # arcsec, where the agreement counts in full
ACS_FILTERS = {"F475W": 4747.0, "F814W": 8045.0}  # pivot wavelengths, Angstrom
ACS_HALO_ARCSEC = 0.5
"""At 5000 Angstrom. TinyTim's box of 3.6 arcsec does not constrain it: a larger halo only moves
light out of the box. This is about what WFC3/UVIS has."""

BOX_ARCSEC = 12.8


@dataclass(frozen=True)
class Curve:
    """Encircled energy of one filter, and its optics reduced to rings of spatial frequency."""

    name: str
    pivot: float  # Angstrom
    radii: np.ndarray  # (R,) arcsec
    energy: np.ndarray  # (R,)
    frequency: np.ndarray  # (K,) cycles/arcsec
    discs: np.ndarray  # (R, K): energy = discs @ radial_transfer(frequency**2)

    @property
    def counts(self) -> np.ndarray:
        """Where the agreement counts in full."""
        return (self.radii > FIT_RADII[0] - 0.005) & (self.radii < FIT_RADII[1] + 0.005)

    def model(self, psf: PSF) -> np.ndarray:
        """Encircled energy of the model, (R,)."""
        return self.discs @ radial_transfer(psf, self.frequency**2)

    def worst(self, psf: PSF) -> float:
        """Largest disagreement where it counts."""
        return float(np.abs(self.model(psf) - self.energy)[self.counts].max())


def read_table(path: Path) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Wavelength, radii and encircled energy of every filter of the STScI table."""
    with path.open() as file:
        header, *rows = csv.reader(file)
    radii = np.array([float(column.split("#")[1]) for column in header[2:]])
    return {row[0]: (float(row[1]), radii, np.array(row[2:], dtype=float)) for row in rows}


def uvis_curve(name: str, table: dict) -> Curve:
    """Reduce one filter of the table: the optics and the pixel, summed over rings of frequency."""
    pivot, radii, energy = table[name]
    use = (radii < 0.6) | ((radii < 2) & (np.arange(len(radii)) % 4 == 0))
    band = SimpleNamespace(psf=PSF(), name=name, filter=name, instrument="WFC3/UVIS", curve=None)
    wavelengths = band_wavelengths(band)
    transfer = optical_transfer(PSF(), wavelengths, BOX_ARCSEC).real
    n = len(transfer)
    along_y, along_x = np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)
    for index in (along_y, along_x):
        transfer = transfer * np.sinc(index / BOX_ARCSEC * UVIS_PIXEL)
    transfer[:, 1:] *= 2  # the other half of the plane, which is the same turned by 180 degrees
    rings = np.bincount(np.rint(along_y**2 + along_x**2).astype(int).ravel(), transfer.ravel())
    occupied = np.flatnonzero(rings)
    frequency = np.maximum(np.sqrt(occupied) / BOX_ARCSEC, 1e-9)
    radii, energy = radii[use], energy[use]
    discs = np.array([r * j1(2 * np.pi * frequency * r) / frequency for r in radii])
    discs *= rings[occupied] / BOX_ARCSEC**2
    return Curve(name, pivot, radii, energy, frequency, discs)


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


def residual(curve: Curve, psf: PSF) -> np.ndarray:
    """Weighted disagreement, (R,)."""
    return np.where(curve.counts, 1.0, 0.5) * (curve.model(psf) - curve.energy)


def fit_uvis(folder: Path) -> None:
    """Fit WFC3/UVIS filter by filter, then all together."""
    table = read_table(folder / "wfc3uvis2_encircled_energy.csv")
    curves = [uvis_curve(name, table) for name in UVIS_FILTERS]
    print("WFC3/UVIS, filter by filter (worst: largest disagreement from 0.08 to 0.51 arcsec)")
    start = np.array([0.04, 0.05, 0.6])
    for curve in curves:
        best = least_squares(lambda v, c=curve: residual(c, single(v)), start, x_scale=start).x
        report(curve.name, single(best), curve.worst(single(best)))

    def joint(coefficients: np.ndarray) -> np.ndarray:
        return np.concatenate([residual(c, law(coefficients, c.pivot)) for c in curves])

    start = np.array([0.042, -0.01, 0.04, 0.75])
    best = least_squares(joint, start, x_scale=np.abs(start)).x
    print("\nWFC3/UVIS, one law: with x = wavelength / 5000 Angstrom,")
    print("  diffusion_arcsec = {:.4f} {:+.4f} (x - 1)".format(*best[:2]))
    print("  halo_fraction = {:.4f} / x**2, halo_arcsec = {:.3f} x".format(*best[2:]))
    for curve in curves:
        report(curve.name, law(best, curve.pivot), curve.worst(law(best, curve.pivot)))
    f814w = uvis_curve("F814W", table)
    report("F814W*", law(best, f814w.pivot), f814w.worst(law(best, f814w.pivot)))
    print("  *the table repeats one row from F814W to 11000 Angstrom; fitted as printed:")
    start = np.array([0.05, 0.03, 1.0])

    def printed(values: np.ndarray) -> PSF:
        psf = single(np.array([0.0, values[1], values[2]]))
        return psf.model_copy(update={"jitter_arcsec": float(abs(values[0]))})

    best = least_squares(lambda v: residual(f814w, printed(v)), start, x_scale=start).x
    report("F814W*", printed(best), f814w.worst(printed(best)))


def fit_acs(folder: Path) -> None:
    """Fit ACS/WFC to the TinyTim images, sampled at the same pixels; the halo's scale is given."""
    print("\nACS/WFC against TinyTim (both sampled at its pixel; share of 1 inside its box)")
    radii = np.array([0.08, 0.1, 0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.75, 1, 1.25])
    near = radii < 0.55
    for name, pivot in ACS_FILTERS.items():
        image, scale = read_psf_file(PSF(file=str(folder / f"ACS_WFC_{name}.fits")))
        energy = encircled_energy(image, scale, radii)
        band = SimpleNamespace(psf=PSF(), name=name, filter=name, instrument="ACS/WFC", curve=None)
        halo = ACS_HALO_ARCSEC * pivot / 5000
        reference = (band_wavelengths(band), image.shape[0] // 2, scale, energy, radii)

        def difference(values, reference=reference, halo=halo):
            wavelengths, half, scale, energy, radii = reference
            psf = single(np.array([*values, halo]), scale)
            model = optical_psf(psf, wavelengths, scale, half)
            return encircled_energy(model, scale, radii) - energy * model.sum()

        start = np.array([0.04, 0.02])
        best = least_squares(difference, start, x_scale=start, bounds=(0, 1)).x
        report(name, single(np.array([*best, halo])), np.abs(difference(best))[near].max())
        bare = np.abs(difference([0.0, best[1]]))[near].max()
        print(f"          without charge diffusion the worst would be {bare:.3f}")


def report(name: str, psf: PSF, worst: float) -> None:
    """One line: the parameters as a survey file has them, and the quality of the fit."""
    keys = [*PARAMETERS, "jitter_arcsec"]
    values = ", ".join(f"{key} = {getattr(psf, key):.4f}" for key in keys)
    print(f"  {name:7s} {values}   worst {worst:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the reference PSF data")
    arguments = parser.parse_args()
    fit_uvis(arguments.folder)
    fit_acs(arguments.folder)
