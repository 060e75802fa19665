"""Stars of every source of a PSF against GalSim: flux 0.1 %, centroid 0.01 px, pixels 0.5 %.

GalSim starts from the file's own pixels (or computes the optics itself), and convolves with the
squares of pixel and drizzle analytically.
"""

from __future__ import annotations

from typing import NamedTuple

import galsim
import numpy as np
import pytest
import torch
from astropy.io import fits
from scipy.interpolate import RectBivariateSpline

from praesepe.sky.instrument.psf import band_psf
from praesepe.sky.instrument.render import Renderer
from praesepe.survey import PSF, load_survey

FLUX, CENTROID_PX, PIXEL = 1e-3, 0.01, 5e-3
PIXEL_ARCSEC, SIZE = 0.05, 48
FINER = 8  # points per pixel at which a PSF is computed, so that eighths of a pixel are exact
OFFSETS = [(0.375, -0.125), (-0.5, 0.25)]
BIG = galsim.GSParams(maximum_fft_size=16384)


class Source(NamedTuple):
    """A band's PSF, what else `band_psf` needs, and GalSim's profile of the same star."""

    psf: PSF
    options: dict
    profile: galsim.GSObject


def from_pixels(image, scale, center=None, *, finer=1, squares=()):
    """GalSim's star from an image; `finer`: interpolated by scipy's spline beforehand.

    Images sampled too coarsely for their detail are not unique between the samples; there GalSim
    gets the same kind of interpolant, from another implementation.
    """
    image = np.asarray(image, dtype=float) / np.sum(image)
    y, x = center or (image.shape[0] // 2, image.shape[1] // 2)
    if finer > 1:
        rows, columns = (np.arange(n) for n in image.shape)
        half = finer * (min(image.shape) // 2 - 1)
        steps = np.arange(-half, half + 1) / finer
        image = RectBivariateSpline(rows, columns, image)(y + steps, x + steps) / finer**2
        scale, y, x = scale / finer, half, half
    offset = (x - (image.shape[1] - 1) / 2, y - (image.shape[0] - 1) / 2)
    star = galsim.InterpolatedImage(
        galsim.ImageD(image), scale=scale, x_interpolant="lanczos15", normalization="flux",
        offset=offset, flux=float(image.sum()),
    )  # fmt: skip
    return galsim.Convolve(star, *[galsim.Pixel(side) for side in squares], gsparams=BIG)


def optical(defocus_nm):
    psf = PSF(wavelength_angstrom=6000, struts=0, diffusion_arcsec=0, halo_fraction=0, pixfrac=1.0)
    optics = galsim.OpticalPSF(
        lam=600, diam=psf.diameter_m, obscuration=psf.obscuration, annular_zernike=True,
        aberrations=[0, 0, 0, 0, defocus_nm / 600], pad_factor=4, oversampling=1.5, gsparams=BIG,
    )  # fmt: skip
    squares = [galsim.Pixel(0.05)] * 3  # detector's pixel, drop, and mosaic's pixel
    jitter = galsim.Gaussian(sigma=psf.jitter_arcsec)
    return Source(
        psf, {"defocus_nm": defocus_nm}, galsim.Convolve(optics, jitter, *squares, gsparams=BIG)
    )


def of_file(profile, file, *, options=None, **settings):
    psf = PSF(
        file=str(file), file_energy_fraction=1.0, pixfrac=1.0, wavelength_angstrom=6000, **settings
    )
    return Source(psf, options or {}, profile)


def tinytim(path):
    with fits.open(path) as hdus:
        profile = from_pixels(hdus[0].data, 0.0495, finer=8, squares=(0.05, PIXEL_ARCSEC))
    return of_file(profile, path)


def stdpsf(path, position, **settings):
    planes = np.frombuffer(path.read_bytes(), ">f4", 56 * 101 * 101, 2880).reshape(56, 101, 101)
    profile = from_pixels(planes[position], 0.01, squares=(0.04, PIXEL_ARCSEC))
    more = {"file_scale_arcsec": 0.01, "native_pixel_arcsec": 0.04}
    return of_file(profile, path, **more, **settings)


def stpsf(folder, *, extension):
    """A file as STPSF writes it: four times oversampled, even sides, the star between elements."""
    side, finer, scale = 41, 4, 0.0308
    index = (np.arange(side * finer) - (side * finer - 1) / 2) * scale / finer
    x, y = np.meshgrid(index, index)

    def star(sigma):
        core = np.exp(-0.5 * (x**2 + (1.2 * y) ** 2) / sigma**2)
        ghost = 0.05 * np.exp(-0.5 * ((x - 0.09) ** 2 + (y + 0.05) ** 2) / sigma**2)
        return (core + ghost) / (core + ghost).sum()

    hdus = fits.HDUList()
    for name, image in (("OVERSAMP", star(0.025)), ("OVERDIST", star(0.03))):
        native = image.reshape(side, finer, side, finer).sum(axis=(1, 3))
        for data, label, pixel in (
            (image, name, scale / finer),
            (native, name.replace("OVER", "DET_"), scale),
        ):
            kind = fits.ImageHDU if hdus else fits.PrimaryHDU
            hdu = kind(data.astype(np.float32))
            hdu.header["EXTNAME"] = label
            hdu.header["PIXELSCL"] = pixel
            hdus.append(hdu)
    path = folder / f"stpsf_{extension}.fits"
    hdus.writeto(path)
    middle = (side * finer - 1) / 2
    profile = from_pixels(
        star({"OVERDIST": 0.03, "OVERSAMP": 0.025}[extension]), scale / finer, (middle, middle),
        squares=(scale, scale, PIXEL_ARCSEC),
    )  # fmt: skip
    chosen = {} if extension == "OVERDIST" else {"file_extension": extension}
    return of_file(profile, path, native_pixel_arcsec=scale, **chosen)


SOURCES = ("optical", "defocused", "tinytim", "tinytim_even", "stdpsf", "stpsf", "stpsf_oversamp")


@pytest.fixture(scope="module")
def sources(request, tmp_path_factory):
    known = {}

    def source(name):
        if name not in known:
            folder = tmp_path_factory.mktemp("psf")
            if name.startswith(("tinytim", "stdpsf")):
                shared = request.getfixturevalue("shared_data") / "psf"
            known[name] = {
                "optical": lambda: optical(0.0),
                "defocused": lambda: optical(50.0),
                "tinytim": lambda: tinytim(shared / "ACS_WFC_F475W.fits"),
                "tinytim_even": lambda: tinytim(shared / "ACS_WFC_F814W.fits"),
                "stdpsf": lambda: stdpsf(shared / "PSFSTD_WFC3UV_F336W.fits", 17, file_position=17),
                "stpsf": lambda: stpsf(folder, extension="OVERDIST"),
                "stpsf_oversamp": lambda: stpsf(folder, extension="OVERSAMP"),
            }[name]()
        return known[name]

    return source


def band_of(psf):
    band = load_survey("phat-nodust").bands[1]
    return band.model_copy(update={"psf": psf})


def stars(psf, **options):
    """Pixels of a star at each of the offsets, read off the PSF's grid."""
    image = FINER**2 * band_psf(
        band_of(psf),
        grid_scale_arcsec=PIXEL_ARCSEC / FINER,
        half_size_px=FINER * SIZE,
        pixel_scale_arcsec=PIXEL_ARCSEC,
        **options,
    )
    index = FINER * (np.arange(SIZE) - SIZE // 2 + SIZE)
    return [image[np.ix_(index - round(FINER * y), index - round(FINER * x))] for x, y in OFFSETS]


def rendered(profile, x, y):
    image = galsim.ImageD(SIZE, SIZE, scale=PIXEL_ARCSEC)
    center = galsim.PositionD(SIZE // 2 + 1 + x, SIZE // 2 + 1 + y)
    return profile.drawImage(image, method="no_pixel", center=center).array


def disagreements(image, reference):
    index = np.arange(SIZE)

    def centroid(a):
        return np.array([a.sum(0) @ index, a.sum(1) @ index]) / a.sum()

    return (
        abs(image.sum() / reference.sum() - 1) / FLUX,
        float(np.hypot(*(centroid(image) - centroid(reference)))) / CENTROID_PX,
        float(np.abs(image - reference).max() / reference.max()) / PIXEL,
    )


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.filterwarnings("ignore:.*by its header")
def test_every_source_agrees_with_galsim(sources, name):
    source = sources(name)
    for image, offset in zip(stars(source.psf, **source.options), OFFSETS, strict=True):
        assert max(disagreements(image, rendered(source.profile, *offset))) < 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("defocused", {"options": {"defocus_nm": 0.0}}),
        ("defocused", {"options": {"defocus_nm": 42.0}}),
        ("tinytim_even", {"shift_px": 0.5 * 0.0495 / PIXEL_ARCSEC}),
        ("stdpsf", {"file_position": "mean"}),
        ("stpsf", {"file_has_pixel": True}),
        ("stpsf", {"file_extension": "OVERSAMP"}),
        ("stpsf_oversamp", {"file_extension": None}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*by its header")
def test_the_comparison_notices(sources, name, wrong):
    """No or another defocus, a shift by half an element, other positions, pixel, extension."""
    source = sources(name)
    options = wrong.get("options", source.options)
    settings = {key: value for key, value in wrong.items() if key.startswith("file")}
    psf = source.psf.model_copy(update=settings)
    image = stars(psf, **options)[0]
    reference = rendered(source.profile, *(at + wrong.get("shift_px", 0.0) for at in OFFSETS[0]))
    assert max(disagreements(image, reference)) > 1.5


@pytest.mark.filterwarnings("ignore:.*Hubble's")
@pytest.mark.parametrize("name", ["tinytim", "stdpsf", "stpsf"])
def test_the_renderer_draws_stars_of_files(sources, name):
    """The whole way of a simulated star: file, grid, spline, Fourier transform, pixels."""
    source = sources(name)
    survey = load_survey("phat-nodust").with_values(observation={"bands": (band_of(source.psf),)})
    renderer = Renderer(survey, size=SIZE, pad=SIZE // 2)
    for x, y in [(0.31, -0.17), (-0.44, 0.23)]:
        grids = renderer.empty(1)
        position = torch.tensor([[SIZE // 2 + x], [SIZE // 2 + y]])
        renderer.scatter(grids, torch.zeros(1, dtype=torch.int64), position, torch.ones(1, 1))
        image = renderer.convolve(grids)[0, 0].double().numpy()
        assert max(disagreements(image, rendered(source.profile, x, y))) < 1
