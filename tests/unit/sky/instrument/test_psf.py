"""The point spread function: shape, flux, center, sampling, drizzle, files and bad input."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from praesepe.errors import InputError, PraesepeWarning
from praesepe.sky.instrument.psf import band_psf, band_wavelengths, optical_psf, pupil
from praesepe.sky.instrument.psf_files import load_psf_file, resample
from praesepe.sky.instrument.psf_shapes import encircled_energy
from praesepe.survey import PSF, load_survey

pytestmark = pytest.mark.filterwarnings(r"ignore:.*\(Hubble's")  # most stars here are Gaussian

OPTICS = {
    "wavelength_angstrom": 4750.0,
    "native_pixel_arcsec": 0.05,
    "diffusion_arcsec": 0.042,
    "halo_fraction": 0.03,
    "halo_arcsec": 0.5,
}


def make_band(**settings):
    return SimpleNamespace(
        name="F475W", filter="acs_wfc_f475w", instrument="", psf=PSF(**{**OPTICS, **settings})
    )


def centroid(image):
    index = np.arange(image.shape[0]) - image.shape[0] // 2
    return (image.sum(0) @ index / image.sum(), image.sum(1) @ index / image.sum())


def gaussian(size, sigma, x=0.0, y=0.0, middle=None):
    """Gaussian of unit sum at an offset from element n // 2, in samples."""
    index = np.arange(size) - (size // 2 if middle is None else middle)
    image = np.exp(-0.5 * ((index[:, None] - y) ** 2 + (index[None, :] - x) ** 2) / sigma**2)
    return image / (2 * np.pi * sigma**2)


def write(path: Path, image, **header) -> str:
    hdu = fits.PrimaryHDU(np.asarray(image, dtype=np.float32))
    hdu.header.update(header)
    hdu.writeto(path)
    return str(path)


# ---- the optical model


def test_shape_centre_and_symmetry():
    psf = band_psf(make_band(), grid_scale_arcsec=0.025, half_size_px=40)
    assert psf.shape == (81, 81)
    assert psf.dtype == np.float64
    assert np.unravel_index(psf.argmax(), psf.shape) == (40, 40)
    assert np.abs(centroid(psf)).max() < 1e-9
    for same in (psf[::-1], psf[:, ::-1], psf.T):
        np.testing.assert_allclose(psf, same, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"pixfrac": 1.0}])
def test_same_values_on_a_finer_grid(settings):
    band = make_band(**settings)
    coarse, fine = (
        band_psf(band, grid_scale_arcsec=g, half_size_px=h, pixel_scale_arcsec=0.05)
        for g, h in ((0.025, 40), (0.0125, 80))
    )
    np.testing.assert_allclose(coarse, 4 * fine[::2, ::2], atol=1e-4 * coarse.max())


def test_grid_may_be_coarser_than_the_optics():
    """Sampling at the pixel scale, far below Nyquist, gives the same points: no aliasing."""
    fine = band_psf(make_band(), grid_scale_arcsec=0.01, half_size_px=100)
    coarse = band_psf(make_band(), grid_scale_arcsec=0.05, half_size_px=20)
    np.testing.assert_allclose(coarse, 25 * fine[::5, ::5], atol=2e-5 * coarse.max())


def test_sum_is_the_light_inside_the_stamp():
    sums = {
        half: band_psf(make_band(), grid_scale_arcsec=0.05, half_size_px=half).sum()
        for half in (10, 32, 128)
    }
    assert 0.90 < sums[10] < 0.97  # 0.5 arcsec
    assert sums[10] < sums[32] < 0.995  # 1.6 arcsec
    assert sums[32] < sums[128] <= 1 + 1e-9
    assert sums[128] > 0.996  # 6.4 arcsec


def test_stamp_sum_does_not_depend_on_the_size_computed():
    small = band_psf(make_band(), grid_scale_arcsec=0.05, half_size_px=20)
    large = band_psf(make_band(), grid_scale_arcsec=0.05, half_size_px=200)
    np.testing.assert_allclose(small, large[180:221, 180:221], atol=1e-3 * small.max())


def test_wavelength_scales_the_core():
    pure = {"diffusion_arcsec": 0.0, "jitter_arcsec": 0.0, "halo_fraction": 0.0}
    peaks = [
        band_psf(
            make_band(wavelength_angstrom=w, native_pixel_arcsec=1e-3, **pure),
            grid_scale_arcsec=0.01,
            half_size_px=30,
        ).max()
        for w in (4000.0, 8000.0)
    ]
    assert peaks[0] / peaks[1] == pytest.approx(4, rel=0.01)  # peak ~ (diameter / wavelength)**2


def test_airy_peak():
    """Unobstructed pupil: the peak is pi D^2 / (4 lambda^2) per steradian."""
    psf = PSF(
        obscuration=0, struts=0, native_pixel_arcsec=1e-3, diffusion_arcsec=0, jitter_arcsec=0,
        halo_fraction=0, diameter_m=6.5,
    )  # fmt: skip
    peak = optical_psf(psf, np.array([20000.0]), 0.01, 10).max()
    expected = np.pi / 4 * (6.5 / 2e-6) ** 2 * np.radians(0.01 / 3600) ** 2
    assert peak == pytest.approx(expected, rel=2e-3)


def test_pupil_area():
    aperture = pupil(PSF(struts=0), 0.01)
    assert aperture.sum() * 0.01**2 == pytest.approx(np.pi / 4 * 2.4**2 * (1 - 0.33**2), rel=1e-4)
    with_struts = pupil(PSF(), 0.01)
    length = 2.4 / 2 * (1 - 0.33)
    blocked = (aperture - with_struts).sum() * 0.01**2
    assert blocked == pytest.approx(4 * length * 0.022 * 2.4, rel=0.03)


def test_drizzle_is_a_square_drop_and_a_square_pixel():
    """The drizzled image equals the native one averaged by hand over both squares."""
    fine = 0.005
    native = band_psf(make_band(), grid_scale_arcsec=fine, half_size_px=100)
    drizzled = band_psf(
        make_band(pixfrac=0.8), grid_scale_arcsec=fine, half_size_px=60, pixel_scale_arcsec=0.05
    )
    byhand = native
    for cells in (8, 10):  # drop of 0.8 * 0.05 arcsec, pixel of 0.05 arcsec
        kernel = np.r_[1, np.tile([4, 2], cells // 2)[:-1], 1] / (3 * cells)  # Simpson's rule
        byhand = np.apply_along_axis(np.convolve, 0, byhand, kernel, mode="same")
        byhand = np.apply_along_axis(np.convolve, 1, byhand, kernel, mode="same")
    byhand = byhand[40:161, 40:161]
    np.testing.assert_allclose(drizzled, byhand, atol=2e-3 * byhand.max())
    assert drizzled.max() < 0.85 * native.max()


def test_wavelengths_are_equal_parts_of_the_filter():
    pytest.importorskip("sedpy")
    band = load_survey("phat").band("F814W")
    wavelengths = band_wavelengths(band)
    assert wavelengths.shape == (5,)
    assert np.all(np.diff(wavelengths) > 100)
    assert abs(wavelengths.mean() - 8050) < 100
    fixed = SimpleNamespace(name="x", filter="x", psf=PSF(wavelength_angstrom=5000.0))
    assert band_wavelengths(fixed) == pytest.approx([5000.0])


# ---- encircled energy


def test_encircled_energy_of_a_gaussian():
    sigma, scale = 0.1, 0.005
    image = gaussian(301, sigma / scale)
    radii = np.array([0.05, 0.1, 0.2, 0.4])
    expected = 1 - np.exp(-0.5 * (radii / sigma) ** 2)
    np.testing.assert_allclose(encircled_energy(image, scale, radii), expected, atol=2e-4)


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.77, 3.0, 4.49, 9.0])
def test_encircled_energy_of_a_uniform_image_is_the_area(radius):
    """The overlap of circle and cell is exact, also for circles inside one cell or beyond all."""
    area = encircled_energy(np.ones((9, 9)), 1.0, [radius])[0]
    assert area == pytest.approx(min(np.pi * radius**2, 81), rel=1e-12)


# ---- PSF files


@pytest.mark.parametrize("size", [61, 60])
@pytest.mark.parametrize("scale", [0.02, 0.0495])
def test_file_is_resampled_with_flux_and_centroid(tmp_path, size, scale):
    x, y = 0.09, -0.05  # samples
    sigma = 2.0
    file = write(tmp_path / "psf.fits", gaussian(size, sigma, x, y), PIXSCALE=scale)
    band = make_band(file=file, file_energy_fraction=1.0)
    half = int(size * scale / 2 / 0.025)
    psf = band_psf(band, grid_scale_arcsec=0.025, half_size_px=half)
    assert psf.sum() == pytest.approx(1, abs=1e-3)
    offset = np.array(centroid(psf)) * 0.025 / scale
    np.testing.assert_allclose(offset, [x, y], atol=0.01)
    ratio = 0.025 / scale
    expected = gaussian(2 * half + 1, sigma / ratio, x / ratio, y / ratio)
    np.testing.assert_allclose(psf, expected, atol=3e-3 * expected.max())


@pytest.mark.parametrize(("scale", "off"), [(0.0125, 2.0), (0.0125, 7.0), (0.05, 0.4)])
@pytest.mark.parametrize("size", [121, 120])
def test_a_star_off_the_middle_is_moved_there(tmp_path, size, scale, off):
    """Silent before: the band was off the others by as much."""
    sigma = 0.06 / scale
    file = write(tmp_path / "psf.fits", gaussian(size, sigma, off, -off / 2), PIXSCALE=scale)
    band = make_band(file=file, file_energy_fraction=1.0)
    with pytest.warns(PraesepeWarning, match=rf"\+{off * scale / 0.05:.2f}\) pixels of"):
        psf = band_psf(band, grid_scale_arcsec=0.025, half_size_px=25)
    np.testing.assert_allclose(centroid(psf), 0, atol=0.01)


def test_samples_of_a_file_are_reproduced_exactly(rng):
    image = np.pad(rng.random((7, 7)), 4)
    np.testing.assert_allclose(resample(image, 0.05, 0.05, 7), image, atol=1e-12)
    halved = resample(image, 0.05, 0.025, 20)
    np.testing.assert_allclose(halved[20 % 2 + 6 : 36 : 2, 6:36:2] * 4, image, atol=1e-12)
    assert halved.sum() == pytest.approx(image.sum(), rel=1e-3)


def test_file_without_pixel_gets_the_native_pixel(tmp_path):
    file = write(tmp_path / "psf.fits", gaussian(101, 5.0), PIXSCALE=0.01)
    with_pixel, without = (
        band_psf(
            make_band(file=file, file_has_pixel=has, file_energy_fraction=1.0),
            grid_scale_arcsec=0.01,
            half_size_px=50,
        )
        for has in (True, False)
    )
    index = np.arange(-50, 51) * 0.01

    def variance(image):
        return image.sum(0) @ index**2 / image.sum()

    assert variance(without) - variance(with_pixel) == pytest.approx(0.05**2 / 12, rel=0.02)
    assert without.sum() == pytest.approx(with_pixel.sum(), abs=1e-3)


def test_file_is_drizzled_like_the_model(tmp_path):
    file = write(tmp_path / "psf.fits", gaussian(81, 4.0), PIXSCALE=0.02)
    band = make_band(file=file, pixfrac=1.0, file_energy_fraction=1.0)
    psf = band_psf(band, grid_scale_arcsec=0.025, half_size_px=40, pixel_scale_arcsec=0.04)
    index = np.arange(-40, 41) * 0.025
    variance = psf.sum(0) @ index**2 / psf.sum()
    assert variance == pytest.approx(0.08**2 + (0.05**2 + 0.04**2) / 12, rel=0.01)
    assert psf.sum() == pytest.approx(1, abs=1e-3)


def test_light_outside_the_box_of_a_file_follows_the_model(tmp_path):
    model = band_psf(make_band(), grid_scale_arcsec=0.01, half_size_px=25)
    file = write(tmp_path / "psf.fits", model / model.sum(), PIXSCALE=0.01)
    psf = band_psf(make_band(file=file), grid_scale_arcsec=0.05, half_size_px=30)
    expected = band_psf(make_band(), grid_scale_arcsec=0.05, half_size_px=30)
    assert abs(psf.sum() - expected.sum()) < 2e-3
    np.testing.assert_allclose(psf, expected, atol=4e-3 * expected.max())
    scaled = band_psf(
        make_band(file=file, file_energy_fraction=0.8), grid_scale_arcsec=0.05, half_size_px=30
    )
    inside = model.sum()
    assert scaled[30, 30] / psf[30, 30] == pytest.approx(0.8 / inside, rel=2e-3)
    assert scaled[0, 30] / psf[0, 30] == pytest.approx(0.2 / (1 - inside), rel=0.02)


def test_cube_is_averaged_and_fill_values_count_as_zero(tmp_path):
    cube = np.stack([gaussian(41, 3.0), gaussian(41, 3.0)])
    cube[1, :10] = -0.1
    cube[0, 3, 3] = np.nan
    file = load_psf_file(PSF(file=write(tmp_path / "cube.fits", cube), file_scale_arcsec=0.01))
    image = file.image(None)
    assert file.scale_arcsec == 0.01
    assert image.sum() == pytest.approx(1)
    np.testing.assert_allclose(image, gaussian(41, 3.0), atol=1e-4)


def test_image_in_an_extension(tmp_path):
    path = tmp_path / "psf.fits"
    extension = fits.ImageHDU(gaussian(31, 2.0))
    extension.header["PIXELSCL"] = 0.03
    fits.HDUList([fits.PrimaryHDU(), extension]).writeto(path)
    file = load_psf_file(PSF(file=str(path)))
    assert (file.planes.shape, file.scale_arcsec) == ((1, 31, 31), 0.03)


# ---- bad input


@pytest.mark.parametrize(
    ("image", "header", "message"),
    [
        (np.zeros((21, 21)), {"PIXSCALE": 0.05}, "no light"),
        (np.full((21, 21), np.nan), {"PIXSCALE": 0.05}, "no light"),
        (gaussian(21, 2.0), {}, "file_scale_arcsec"),
        (gaussian(21, 2.0), {"PIXSCALE": "none"}, "file_scale_arcsec"),
        (np.ones(21), {"PIXSCALE": 0.05}, "shape"),
        (gaussian(41, 2.0, middle=10), {"PIXSCALE": 0.05}, "brightest element"),
    ],
)
def test_unusable_files(tmp_path, image, header, message):
    file = write(tmp_path / "psf.fits", image, **header)
    with pytest.raises(InputError, match=message):
        band_psf(make_band(file=file), grid_scale_arcsec=0.025, half_size_px=20)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="no PSF file"):
        band_psf(
            make_band(file=str(tmp_path / "absent.fits")), grid_scale_arcsec=0.025, half_size_px=9
        )


def test_not_a_fits_file(tmp_path):
    path = tmp_path / "psf.fits"
    path.write_text("not a FITS file\n" * 300)
    with pytest.raises(InputError, match="FITS"):
        load_psf_file(PSF(file=str(path), file_scale_arcsec=0.05))


def test_truncated_file(tmp_path):
    path = Path(write(tmp_path / "psf.fits", gaussian(101, 3.0), PIXSCALE=0.05))
    path.write_bytes(path.read_bytes()[:10000])
    with pytest.raises(InputError):
        load_psf_file(PSF(file=str(path)))


def test_table_only(tmp_path):
    path = tmp_path / "psf.fits"
    fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    with pytest.raises(InputError, match="no image"):
        load_psf_file(PSF(file=str(path), file_scale_arcsec=0.05))


def test_drizzled_needs_the_pixel_scale():
    with pytest.raises(InputError, match="pixel_scale_arcsec"):
        band_psf(make_band(pixfrac=1.0), grid_scale_arcsec=0.025, half_size_px=20)
