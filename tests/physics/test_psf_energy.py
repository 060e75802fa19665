"""The optical PSF against published encircled energy, TinyTim, measured STDPSF grids and GalSim."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from praesepe.sky.instrument.psf import band_psf, encircled_energy, optical_psf
from praesepe.sky.instrument.psf_files import read_psf_file
from praesepe.survey import PSF

TOLERANCE = 0.02

# Pivot wavelength and width of WFC3/UVIS filters, Angstrom (WFC3 Instrument Handbook).
UVIS = {
    "F336W": (3355, 511), "F390W": (3921, 896), "F438W": (4325, 618), "F475W": (4772, 1344),
    "F555W": (5308, 1562), "F606W": (5888, 2182), "F625W": (6242, 1463), "F775W": (7648, 1171),
    "F814W": (8029, 1536),
}  # fmt: skip

# What tools/fit_psf.py finds for ACS/WFC.
ACS = {
    "F475W": (4747, 1400, (0.0418, 0.0343, 0.475)),
    "F814W": (8045, 1700, (0.0329, 0.0, 0.80)),
}
FREE = ("diffusion_arcsec", "halo_fraction", "halo_arcsec")


def uvis_settings(name):
    """One law for all filters, as tools/fit_psf.py finds it."""
    x = UVIS[name][0] / 5000
    return {
        "native_pixel_arcsec": 0.04,
        "diffusion_arcsec": 0.0414 - 0.0114 * (x - 1),
        "halo_fraction": 0.0387 / x**2,
        "halo_arcsec": 0.693 * x,
    }


def over(pivot, width, n=5):
    return pivot + width * ((np.arange(n) + 0.5) / n - 0.5)


def uvis_energy(name, radii, **changes):
    psf = PSF(**{**uvis_settings(name), **changes})
    return encircled_energy(optical_psf(psf, over(*UVIS[name]), 0.01, 60), 0.01, radii)


@pytest.fixture(scope="module")
def table(shared_data):
    """Radii from 0.08 to 0.5 arcsec, and the encircled energy of every filter there."""
    with (shared_data / "psf" / "wfc3uvis2_encircled_energy.csv").open() as file:
        header, *rows = csv.reader(file)
    radii = np.array([float(column.split("#")[1]) for column in header[2:]])
    use = (radii > 0.075) & (radii < 0.515)
    return radii[use], {row[0]: np.array(row[2:], dtype=float)[use] for row in rows}


@pytest.mark.parametrize("name", [name for name in UVIS if name != "F814W"])
def test_uvis_agrees_with_the_published_table(table, name):
    radii, published = table
    difference = uvis_energy(name, radii) - published[name]
    assert np.abs(difference).max() < TOLERANCE, np.round(difference, 4)


@pytest.mark.parametrize("missing", [{"diffusion_arcsec": 0.0}, {"halo_fraction": 0.0}])
def test_uvis_disagrees_where_a_part_is_missing(table, missing):
    radii, published = table
    difference = uvis_energy("F336W", radii, **missing) - published["F336W"]
    assert np.abs(difference).max() > 1.5 * TOLERANCE


def test_the_table_has_no_measurement_of_f814w(table):
    """From F814W to 11000 Angstrom it repeats one row: our model need not follow that."""
    _, published = table
    np.testing.assert_array_equal(published["F814W"], published["F850LP"])
    np.testing.assert_array_equal(published["F814W"], published["F953N"])


def test_uvis_can_be_made_to_follow_the_printed_f814w(table):
    radii, published = table
    settings = {**dict(zip(FREE, (0.0, 0.0186, 1.5), strict=True)), "jitter_arcsec": 0.0535}
    difference = uvis_energy("F814W", radii, **settings) - published["F814W"]
    assert np.abs(difference).max() < TOLERANCE


@pytest.mark.parametrize("name", ["F336W", "F438W", "F814W"])
def test_uvis_resembles_measured_psfs(shared_data, name):
    """STDPSF: measured from stars, mean of 56 positions. They are sharper than the published table.

    The table, which the model follows, has 0.02 to 0.05 less light inside 0.12 to 0.2 arcsec; a
    shift of a whole element, or the PSF of another filter, would differ by more.
    """
    file = shared_data / "psf" / f"PSFSTD_WFC3UV_{name}.fits"
    image, scale = read_psf_file(PSF(file=str(file), file_scale_arcsec=0.01))
    assert image.shape == (101, 101)
    radii = np.array([0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5])
    model = optical_psf(PSF(**uvis_settings(name)), over(*UVIS[name]), scale, 50)
    difference = encircled_energy(model, scale, radii) / model.sum()
    difference -= encircled_energy(image, scale, radii)
    assert np.abs(difference).max() < 0.055, np.round(difference, 4)


@pytest.mark.parametrize("name", ["F475W", "F814W"])
def test_acs_agrees_with_tinytim(shared_data, name):
    """Both sampled at TinyTim's pixel and normalised to the light in its box of 3.6 arcsec."""
    pivot, width, values = ACS[name]
    settings = dict(zip(FREE, values, strict=True))
    image, scale = read_psf_file(PSF(file=str(shared_data / "psf" / f"ACS_WFC_{name}.fits")))
    radii = np.array([0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5])
    tinytim = encircled_energy(image, scale, radii)

    def difference(**changes):
        model = PSF(**{"native_pixel_arcsec": scale, **settings, **changes})
        sampled = optical_psf(model, over(pivot, width), scale, image.shape[0] // 2)
        assert 0.97 < sampled.sum() < 0.995  # the light that truly falls into the box
        energy = encircled_energy(sampled, scale, radii)
        assert np.abs(energy - tinytim).max() < TOLERANCE or changes  # TinyTim's sum taken as all
        return np.abs(energy / sampled.sum() - tinytim).max()

    assert difference() < TOLERANCE / 2
    assert difference(diffusion_arcsec=0.0) > 1.5 * TOLERANCE


@pytest.mark.parametrize(
    ("file", "scale"),
    [
        ("ACS_WFC_F475W.fits", None),
        ("ACS_WFC_F814W.fits", None),
        ("PSFSTD_WFC3UV_F336W.fits", 0.01),
        ("PSFSTD_WFC3UV_F438W.fits", 0.01),
        ("PSFSTD_WFC3UV_F814W.fits", 0.01),
    ],
)
def test_reference_files_as_psf(shared_data, file, scale):
    """Flux to 0.1 % (0.2 % where the box cuts off light), centroid to 0.01 px of the file."""
    path = shared_data / "psf" / file
    settings = PSF(
        file=str(path), file_scale_arcsec=scale, file_energy_fraction=1, wavelength_angstrom=5000.0
    )
    image, file_scale = read_psf_file(settings)
    band = SimpleNamespace(name="x", filter="", psf=settings)
    half = int(np.ceil(image.shape[0] * file_scale / 2 / 0.025))
    psf = band_psf(band, grid_scale_arcsec=0.025, half_size_px=half)
    assert psf.sum() == pytest.approx(1, abs=1e-3 if scale is None else 2e-3)

    def centroid(array, step):
        offset = (np.arange(array.shape[0]) - array.shape[0] // 2) * step / file_scale
        return np.array([array.sum(0) @ offset, array.sum(1) @ offset]) / array.sum()

    np.testing.assert_allclose(centroid(psf, 0.025), centroid(image, file_scale), atol=0.01)
    assert psf.min() > -0.01 * psf.max()


def galsim_psf(psf, wavelength, grid, size, squares):
    galsim = pytest.importorskip("galsim")
    optics = galsim.OpticalPSF(
        lam=wavelength / 10, diam=psf.diameter_m, obscuration=psf.obscuration, nstruts=psf.struts,
        strut_thick=psf.strut_width, strut_angle=psf.strut_angle_deg * galsim.degrees,
        pad_factor=4, oversampling=2,
    )  # fmt: skip
    parts = [optics, galsim.Pixel(psf.native_pixel_arcsec), *map(galsim.Pixel, squares)]
    parts.append(galsim.Spergel(0.0, scale_radius=psf.diffusion_arcsec / np.sqrt(2)))
    parts.append(galsim.Gaussian(sigma=psf.jitter_arcsec))
    core = galsim.Convolve(parts, gsparams=galsim.GSParams(maximum_fft_size=20000))
    halo = galsim.Convolve([core, galsim.Exponential(scale_radius=psf.halo_arcsec)])
    total = (1 - psf.halo_fraction) * core + psf.halo_fraction * halo
    return total.drawImage(nx=size, ny=size, scale=grid, method="no_pixel").array


@pytest.mark.parametrize("pixfrac", [0.0, 1.0])
def test_agrees_with_galsim(pixfrac):
    """The same telescope in GalSim: each element within 0.5 % of the peak, the sum within 0.2 %."""
    psf = PSF(
        wavelength_angstrom=4750.0, native_pixel_arcsec=0.05, diffusion_arcsec=0.03,
        jitter_arcsec=0.02, halo_fraction=0.1, halo_arcsec=0.3, pixfrac=pixfrac,
    )  # fmt: skip
    band = SimpleNamespace(name="x", filter="", psf=psf)
    ours = band_psf(band, grid_scale_arcsec=0.025, half_size_px=48, pixel_scale_arcsec=0.05)
    squares = (0.05, 0.05) if pixfrac else ()
    theirs = galsim_psf(psf, 4750.0, 0.025, 97, squares)
    assert np.abs(ours - theirs).max() < 5e-3 * theirs.max()
    assert ours.sum() == pytest.approx(theirs.sum(), rel=2e-3)
    radii = np.array([0.08, 0.2, 0.5, 1.0])
    np.testing.assert_allclose(
        encircled_energy(ours, 0.025, radii), encircled_energy(theirs, 0.025, radii), atol=2e-3
    )
    unlike = galsim_psf(psf.model_copy(update={"struts": 0}), 4750.0, 0.025, 97, squares)
    assert np.abs(ours - unlike).max() > 5e-3 * theirs.max()
