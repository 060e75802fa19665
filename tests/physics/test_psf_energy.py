"""The optical PSF against published encircled energy, TinyTim, measured STDPSF grids and GalSim."""

from __future__ import annotations

import csv
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from praesepe.sky.instrument.nuisances import draw_nuisances
from praesepe.sky.instrument.psf import band_psf, band_wavelengths, optical_psf
from praesepe.sky.instrument.psf_files import load_psf_file
from praesepe.sky.instrument.psf_shapes import encircled_energy, full_width
from praesepe.sky.instrument.render import Renderer
from praesepe.survey import PSF, load_survey

TOLERANCE = 0.015

LAW_FILTERS = ("F336W", "F390W", "F438W", "F475W", "F555W", "F606W", "F625W", "F775W")
BEFORE = {  # WFC3/UVIS, when only the table was fitted
    "F336W": (0.0447, 0.0846, 0.49),
    "F438W": (0.0424, 0.0513, 0.585),
    "F814W": (0.0346, 0.015, 1.11),
}
FREE = ("diffusion_arcsec", "halo_fraction", "halo_arcsec")
CORE_ARCSEC = 0.198  # 5 pixels: STDPSF is measured inside, where its light is set to 1


def uvis_band(name, **psf):
    psf = PSF(**{"native_pixel_arcsec": 0.0396, **psf})
    return SimpleNamespace(psf=psf, name=name, filter=name, instrument="WFC3/UVIS", curve=None)


def law(name):
    """One law for all filters of WFC3/UVIS, as tools/fit_psf.py finds it."""
    x = band_wavelengths(uvis_band(name)).mean() / 5000
    values = (0.0324 - 0.0148 * (x - 1), 0.0397 / x**2, 0.698 * x)
    return dict(zip(FREE, values, strict=True))


@lru_cache
def fine_psf(psf, name):
    return optical_psf(psf, band_wavelengths(uvis_band(name)), 0.0099, 60)


def energy(band, radii):
    bare = band.psf.model_copy(update={"pixfrac": 0.0})
    return encircled_energy(fine_psf(bare, band.name), 0.0099, radii)


def included_bands(camera):
    """Bands of a camera in the included surveys that have today's point spread functions."""
    return [
        pytest.param(band, id=f"{survey}-{band.name}")
        for survey in ("phat", "phat6", "m83", "legus", "phangs")
        for band in load_survey(survey).bands
        if band.instrument == camera
    ]


@pytest.fixture(scope="module")
def table(shared_data):
    """Radii from 0.2 to 0.5 arcsec, and the encircled energy of every filter there."""
    with (shared_data / "psf" / "wfc3uvis2_encircled_energy.csv").open() as file:
        header, *rows = csv.reader(file)
    radii = np.array([float(column.split("#")[1]) for column in header[2:]])
    use = (radii > 0.195) & (radii < 0.515)
    return radii[use], {row[0]: np.array(row[2:], dtype=float)[use] for row in rows}


@pytest.mark.parametrize("name", LAW_FILTERS)
def test_uvis_agrees_with_the_published_table_outside_the_core(table, name):
    radii, published = table
    difference = energy(uvis_band(name, **law(name)), radii) - published[name]
    assert np.abs(difference).max() < TOLERANCE, np.round(difference, 4)


def test_uvis_disagrees_with_the_table_without_a_halo(table):
    radii, published = table
    difference = energy(uvis_band("F336W", **law("F336W") | {"halo_fraction": 0.0}), radii)
    assert np.abs(difference - published["F336W"]).max() > 1.5 * TOLERANCE


def test_the_table_has_no_measurement_of_f814w(table):
    """From F814W to 11000 Angstrom it repeats one row: our model need not follow that."""
    _, published = table
    np.testing.assert_array_equal(published["F814W"], published["F850LP"])
    np.testing.assert_array_equal(published["F814W"], published["F953N"])


@pytest.mark.parametrize("band", included_bands("WFC3/UVIS"))
def test_the_included_surveys_have_the_core_of_stdpsf(shared_data, table, band):
    """Measured from stars: the mean of 56 positions, relative to the light inside 0.2 arcsec.

    The parameters that followed the table in the core too fail: they are too broad.
    """
    radii, published = table
    file = shared_data / "psf" / f"PSFSTD_WFC3UV_{band.name}.fits"
    if not file.is_file():  # F275W, F555W: by the law
        settings = {key: getattr(band.psf, key) for key in FREE}
        assert settings == pytest.approx(law(band.name), rel=0.02)
        return
    # The table has no F814W: diffraction rings of F775W grow with the wavelength.
    nearest, stretch = ("F775W", 8029 / 7648) if band.name == "F814W" else (band.name, 1.0)
    outside = energy(band, stretch * radii) - published[nearest]
    assert np.abs(outside).max() < TOLERANCE
    star = load_psf_file(PSF(file=str(file), file_scale_arcsec=0.0099))
    image, scale = star.image(None), star.scale_arcsec
    within = [*np.arange(0.02, 0.19, 0.02), CORE_ARCSEC]

    def core(band):
        model, measured = energy(band, within), encircled_energy(image, scale, within)
        return np.abs(model / model[-1] - measured / measured[-1]).max()

    assert core(band) < 0.01
    before = dict(zip(FREE, BEFORE[band.name], strict=True))
    assert core(uvis_band(band.name, **before)) > 0.04
    model = fine_psf(band.psf.model_copy(update={"pixfrac": 0.0}), band.name)
    assert full_width(model, scale) == pytest.approx(full_width(image, scale), rel=0.025)


@pytest.mark.parametrize("band", included_bands("ACS/WFC"))
def test_acs_agrees_with_tinytim(shared_data, band):
    """Both sampled at TinyTim's pixel and normalised to the light in its box of 3.6 arcsec."""
    file = shared_data / "psf" / f"ACS_WFC_{band.name}.fits"
    star = load_psf_file(PSF(file=str(file)))
    image, scale = star.image(None), star.scale_arcsec
    radii = np.array([0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5])
    tinytim = encircled_energy(image, scale, radii)

    def difference(**changes):
        psf = band.psf.model_copy(update={"native_pixel_arcsec": scale, **changes})
        sampled = optical_psf(psf, band_wavelengths(band), scale, image.shape[0] // 2)
        assert 0.97 < sampled.sum() < 0.995  # the light that truly falls into the box
        return np.abs(encircled_energy(sampled, scale, radii) / sampled.sum() - tinytim).max()

    assert difference() < 0.005
    assert difference(diffusion_arcsec=0.0) > 1.5 * TOLERANCE
    if band.name == "F814W":  # what was fitted with a wide halo, without much light
        assert difference(diffusion_arcsec=0.0329, halo_fraction=0.0) > 0.01


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
    star = load_psf_file(settings)
    image, file_scale = star.image(None), star.scale_arcsec
    band = SimpleNamespace(name="x", filter="", instrument="", psf=settings)
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
    band = SimpleNamespace(name="x", filter="", instrument="", psf=psf)
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


def central_light(survey, n, **nuisances):
    """Light of a star in F336W inside 3 pixels, for n draws of the survey's nuisances, or given."""
    renderer = Renderer(survey, size=16, pad=8)
    if not nuisances:
        generator = torch.Generator().manual_seed(5)
        nuisances = draw_nuisances(survey, n, n_psfs=renderer.n_psfs, generator=generator)
        nuisances = {key: nuisances[key] for key in ("blur_px", "psf")}
    grids = renderer.empty(n)
    middle = torch.full((2, n), 8.0)
    renderer.scatter(grids, torch.arange(n), middle, torch.ones(renderer.n_bands, n))
    return renderer.convolve(grids, **nuisances)[:, 0, 7:10, 7:10].sum((-1, -2)).numpy()


def test_the_nuisances_of_phat_hold_measured_psfs(shared_data):
    """All positions of STDPSF, and the broader table, lie among what is drawn; before, none did."""
    survey = load_survey("phat")

    def with_psf(nuisance=None, **psf):
        first = survey.bands[0]
        band = first.model_copy(update={"psf": first.psf.model_copy(update=psf)})
        return survey.with_values(observation={"bands": (band,), "nuisance": nuisance or {}})

    file = str(shared_data / "psf" / "PSFSTD_WFC3UV_F336W.fits")
    star = {"file": file, "file_scale_arcsec": 0.0099, "file_position": "random"}
    positions = torch.arange(56)[:, None]
    measured = central_light(with_psf({"focus_nm": 0.0}, **star), 56, psf=positions)
    before = dict(zip(FREE, BEFORE["F336W"], strict=True))
    table = central_light(with_psf(**before), 1, psf=torch.zeros(1, 1, dtype=torch.int64))
    drawn = central_light(with_psf(), 1000)
    assert np.quantile(drawn, 0.01) < min(measured.min(), table[0])
    assert np.quantile(drawn, 0.99) > measured.max()
    nominal = central_light(with_psf({"focus_nm": 0.0}), 1, blur_px=torch.zeros(1, 1))
    assert np.median(drawn) == pytest.approx(nominal[0], abs=0.015)
    assert 0.02 < drawn.std() < 0.045
    assert 0.3 < (drawn > nominal[0]).mean() < 0.5
    old = central_light(with_psf({"blur_px": (0.0, 0.8)}, **before), 1000)
    assert old.max() < measured.mean()
