"""PSF files: positions, extensions, conventions of center, pixel and normalisation, bad ones."""

from __future__ import annotations

import contextlib
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from praesepe.errors import InputError, PraesepeWarning
from praesepe.sky.instrument.psf import band_psf, psf_variants
from praesepe.sky.instrument.psf_files import load_psf_file
from praesepe.sky.instrument.psf_shapes import check_star, chosen_position, full_width
from praesepe.survey import PSF, load_survey

pytestmark = pytest.mark.filterwarnings(r"ignore:.*\(Hubble's")  # most stars here are Gaussian


def gaussian(size, sigma, x=0.0, y=0.0, middle=None):
    """Gaussian of unit sum at an offset from element n // 2, or from `middle`."""
    index = np.arange(size) - (size // 2 if middle is None else middle)
    image = np.exp(-0.5 * ((index[:, None] - y) ** 2 + (index[None, :] - x) ** 2) / sigma**2)
    return image / image.sum()


def write(path, *images, names=(), **header):
    """A file of one HDU per image, the first the primary one."""
    hdus = fits.HDUList()
    for number, image in enumerate(images):
        kind = fits.ImageHDU if number else fits.PrimaryHDU
        hdu = kind(None if image is None else np.asarray(image, dtype=np.float32))
        if image is not None:
            hdu.header.update({"PIXELSCL": 0.02, **header})
        if number < len(names):
            hdu.header["EXTNAME"] = names[number]
        hdus.append(hdu)
    hdus.writeto(path)
    return str(path)


def band(file, *, instrument="", **settings):
    settings = {"wavelength_angstrom": 5000.0, "file_energy_fraction": 1.0, **settings}
    psf = PSF(file=file, **settings)
    return SimpleNamespace(name="F475W", filter="x", instrument=instrument, psf=psf)


def width(image):
    """Standard deviation along x, in elements."""
    index = np.arange(image.shape[1]) - image.shape[1] // 2
    line = image.sum(0) / image.sum()
    return float((line @ index**2 - (line @ index) ** 2) ** 0.5)


def read(psf, *, position=None):
    """The image of a file, and its sampling."""
    file = load_psf_file(psf)
    return file.image(chosen_position(psf, len(file.planes), position)), file.scale_arcsec


def psf_of(band, **options):
    return band_psf(band, grid_scale_arcsec=0.02, half_size_px=25, **options)


# ---- positions


@pytest.fixture
def cube(tmp_path):
    planes = np.stack([gaussian(41, sigma) for sigma in (2.0, 3.0, 4.0)])
    planes[1, :3] = -0.1  # fill values of one plane
    return write(tmp_path / "cube.fits", planes)


def test_a_number_picks_a_plane(cube):
    for position, sigma in enumerate((2.0, 3.0, 4.0)):
        chosen = band(cube, file_position=position)
        assert psf_variants(chosen) == 1
        assert width(psf_of(chosen)) == pytest.approx(sigma, rel=0.01)
        np.testing.assert_array_equal(psf_of(chosen, position=0), psf_of(chosen))


def test_random_offers_all_planes_and_their_mean(cube):
    random = band(cube, file_position="random")
    assert psf_variants(random) == 3
    for position, sigma in enumerate((2.0, 3.0, 4.0)):
        assert width(psf_of(random, position=position)) == pytest.approx(sigma, rel=0.01)
    mean = psf_of(band(cube, file_position="mean"))
    np.testing.assert_array_equal(psf_of(random), mean)
    assert 2.5 < width(mean) < 3.5


def test_fill_values_belong_to_one_plane(cube):
    file = load_psf_file(PSF(file=cube))
    assert np.isnan(file.planes[1, :3]).all()
    assert np.isfinite(file.planes[[0, 2]]).all()
    assert (file.image(1)[:3] == 0).all()
    assert (file.image(None)[:3] > 0).all()
    assert (file.planes[:, 10:] > -1e-3).all()


@pytest.mark.parametrize("position", [3, 56])
def test_a_position_out_of_range(cube, position):
    with pytest.raises(InputError, match=r"file_position = .*: it must be 0 to 2"):
        psf_of(band(cube, file_position=position))


@pytest.mark.parametrize(("setting", "position"), [("random", 3), ("random", -1), ("mean", 1)])
def test_a_variant_that_there_is_not(cube, setting, position):
    with pytest.raises(InputError, match="it must be 0 to"):
        psf_of(band(cube, file_position=setting), position=position)


def test_planes_whose_stars_stand_apart_are_told(tmp_path):
    """Silent before, but for the middle of all: a random position shifted its band."""
    planes = np.stack([gaussian(41, 2.0), gaussian(41, 2.0), gaussian(41, 2.0, x=1.0)])
    path = write(tmp_path / "cube.fits", planes, PIXELSCL=0.01)
    with pytest.warns(
        PraesepeWarning, match=r"position 2 stands 0\.1. pixels of 0\.05 arcsec from"
    ):
        load_psf_file(PSF(file=path))


def test_a_row_of_zeros_in_the_core_is_a_hole(tmp_path):
    """Silent before: 3 % of the light within 0.1 arcsec."""
    star = gaussian(61, 4.0)
    star[35] = 0
    path = write(tmp_path / "psf.fits", star, PIXELSCL=0.01)
    with pytest.raises(InputError, match="has NaN or fill values or zeros in the core"):
        load_psf_file(PSF(file=path))


def test_a_star_that_is_drizzled_twice_is_told(tmp_path, hubble):
    """As wide as of a drizzled mosaic, which the survey drizzles once more."""
    drizzled = band_psf(
        band(None, pixfrac=1.0), grid_scale_arcsec=0.02, half_size_px=50, pixel_scale_arcsec=0.05
    )
    path = write(tmp_path / "psf.fits", drizzled / drizzled.sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        psf_of(band(path, file_energy_fraction=None))
    with pytest.warns(PraesepeWarning, match=r"drizzled already set psf\.pixfrac = 0"):
        psf_of(band(path, file_energy_fraction=None, pixfrac=1.0), pixel_scale_arcsec=0.05)


def test_the_optical_model_has_one_position():
    model = band(None)
    assert psf_variants(model) == 1
    with pytest.raises(InputError, match="position = 1"):
        psf_of(model, position=1)


def test_positions_of_malformed_stdpsf_files(shared_data):
    """Headers that astropy refuses; the position is taken from the bytes of the file."""
    path = shared_data / "psf" / "PSFSTD_WFC3UV_F814W.fits"
    settings = {"file_scale_arcsec": 0.01, "native_pixel_arcsec": 0.04}
    random = band(str(path), file_position="random", **settings)
    assert psf_variants(random) == 56
    planes = np.frombuffer(path.read_bytes(), ">f4", 56 * 101 * 101, 2880).reshape(56, 101, 101)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, _ = read(random.psf, position=41)
    good = np.where(planes[41] < -1e-3, 0, planes[41])
    np.testing.assert_allclose(image, good / good.sum(), atol=1e-6)
    with pytest.raises(InputError, match="leave the key out"):
        read(random.psf.model_copy(update={"file_extension": "SCI"}))


# ---- extensions, and what STPSF's mean

NAMES = ("OVERSAMP", "DET_SAMP", "OVERDIST", "DET_DIST")


@pytest.fixture
def stpsf(tmp_path):
    images = [gaussian(44, s, middle=21.5) for s in (2.0, 3.0, 4.0, 5.0)]
    return write(tmp_path / "stpsf.fits", *images, names=NAMES)


def test_stpsf_with_distortion_is_preferred(stpsf, tmp_path):
    assert width(read(PSF(file=stpsf))[0]) == pytest.approx(4, rel=0.01)
    images = [gaussian(44, s, middle=21.5) for s in (2.0, 3.0)]
    without = write(tmp_path / "without.fits", *images[::-1], names=NAMES[1::-1])
    assert width(read(PSF(file=without))[0]) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(("extension", "sigma"), [("DET_SAMP", 3), ("det_dist", 5), (0, 2), (1, 3)])
def test_an_extension_by_name_or_number(stpsf, extension, sigma):
    image, _ = read(PSF(file=stpsf, file_extension=extension))
    assert width(image) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize(
    ("extension", "has_pixel"), list(zip(NAMES, (False, True) * 2, strict=True))
)
def test_the_header_says_whether_the_pixel_is_in(stpsf, extension, has_pixel):
    assert load_psf_file(PSF(file=stpsf, file_extension=extension)).has_pixel is has_pixel
    explicit = PSF(file=stpsf, file_extension=extension, file_has_pixel=not has_pixel)
    assert load_psf_file(explicit).has_pixel is not has_pixel


def test_other_files_have_the_pixel(tmp_path, cube):
    assert load_psf_file(PSF(file=cube)).has_pixel
    assert load_psf_file(PSF(file=write(tmp_path / "a.fits", gaussian(31, 2.0)))).has_pixel


def test_an_unknown_extension(stpsf):
    with pytest.raises(InputError, match="Did you mean 'OVERDIST'") as raised:
        read(PSF(file=stpsf, file_extension="OVERDISTORTED"))
    assert all(name in str(raised.value) for name in NAMES)
    with pytest.raises(InputError, match=r"images in 0 \('OVERSAMP'\), 1 \('DET_SAMP'\)"):
        read(PSF(file=stpsf, file_extension=7))


def test_an_extension_without_an_image(tmp_path):
    file = write(tmp_path / "psf.fits", None, gaussian(31, 2.0))
    with pytest.raises(InputError, match="file_extension = 0"):
        read(PSF(file=file, file_extension=0))
    assert width(read(PSF(file=file, file_extension=1))[0]) == pytest.approx(2, rel=0.01)


# ---- even sides


@pytest.mark.parametrize("sigma", [1.5, 3.0])
@pytest.mark.parametrize("middle", [19.5, 20.0])
def test_even_sides_are_centred_where_the_star_is(tmp_path, middle, sigma):
    """Between two elements (STPSF) or on element n / 2 (TinyTim), found by symmetry."""
    file = write(tmp_path / "even.fits", gaussian(40, sigma, middle=middle))
    loaded = load_psf_file(PSF(file=file))
    assert loaded.center == (middle, middle)
    psf = psf_of(band(file))
    index = np.arange(51) - 25
    assert abs(psf.sum(0) @ index) + abs(psf.sum(1) @ index) < 1e-3
    shifted = gaussian(51, sigma, x=20 - middle - 0.5 * (middle == 20), y=0)
    assert np.abs(psf - shifted).max() > 0.05 * psf.max()


def test_stpsf_stands_between_elements_whatever_its_shape(tmp_path):
    """A lop-sided star, less than a tenth of a pixel off, is not mistaken for one on an element."""
    lopsided = gaussian(40, 2.0, middle=19.5) + 0.6 * gaussian(40, 2.0, x=1, y=1, middle=19.5)
    lopsided /= lopsided.sum()
    unknown = write(tmp_path / "unknown.fits", lopsided, PIXELSCL=0.01)
    assert load_psf_file(PSF(file=unknown)).center == (20, 20)
    file = write(tmp_path / "stpsf.fits", lopsided, names=["OVERSAMP"], PIXELSCL=0.01)
    assert load_psf_file(PSF(file=file)).center == (19.5, 19.5)


def test_the_light_outside_an_even_box_follows_the_model(tmp_path):
    """No empty row between box and wings on the side where the box is one element shorter."""
    model = band_psf(band(None), grid_scale_arcsec=0.02, half_size_px=30)
    inside = model[:-1, :-1].sum()
    file = write(tmp_path / "even.fits", model[:-1, :-1] / inside, PIXELSCL=0.02)
    psf = band_psf(band(file, file_energy_fraction=inside), grid_scale_arcsec=0.02, half_size_px=40)
    whole = band_psf(band(None), grid_scale_arcsec=0.02, half_size_px=40)
    np.testing.assert_allclose(psf[70], whole[70], rtol=0.35)  # a row of zeros would not be
    np.testing.assert_allclose(psf, whole, atol=1e-3 * whole.max())


# ---- normalisation and holes


@pytest.mark.parametrize("total", [1.0, 0.93, 1.08])
def test_usual_sums_pass_in_silence(tmp_path, total):
    image, _ = read(PSF(file=write(tmp_path / "a.fits", total * gaussian(31, 2.0))))
    assert image.sum() == pytest.approx(1)


@pytest.mark.parametrize("total", [0.5, 7.0, 1e4])
def test_a_strange_sum_is_warned_of_and_scaled(tmp_path, total):
    file = write(tmp_path / "a.fits", total * gaussian(31, 2.0))
    with pytest.warns(PraesepeWarning, match="add up to"):
        image, _ = read(PSF(file=file))
    np.testing.assert_allclose(image, gaussian(31, 2.0), atol=1e-6)


def test_light_per_native_pixel_is_a_known_convention(tmp_path):
    """Oversampled files hold in every element what a whole pixel there would collect."""
    file = write(tmp_path / "a.fits", 16 * gaussian(41, 4.0), PIXELSCL=0.01)
    read(PSF(file=file, native_pixel_arcsec=0.04))
    with pytest.warns(PraesepeWarning, match="add up to 16"):
        read(PSF(file=file, native_pixel_arcsec=0.08))
    standard = write(tmp_path / "b.fits", 16 * gaussian(41, 4.0), PIXELSCL=0.01, NXPSFs=7)
    read(PSF(file=standard, native_pixel_arcsec=0.08))


def test_stpsf_holds_the_fraction_of_the_light_in_its_image(tmp_path):
    file = write(tmp_path / "a.fits", 0.8 * gaussian(40, 2.0, middle=19.5), names=["OVERDIST"])
    assert read(PSF(file=file))[0].sum() == pytest.approx(1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_holes_count_as_zero_outside_the_core_only(tmp_path, value):
    outside, inside = gaussian(31, 2.0), gaussian(31, 2.0)
    outside[3, 4] = value
    inside[16, 15] = value
    image, _ = read(PSF(file=write(tmp_path / "outside.fits", outside)))
    np.testing.assert_allclose(image, gaussian(31, 2.0), atol=1e-6)
    with pytest.raises(InputError, match="core"):
        read(PSF(file=write(tmp_path / "inside.fits", inside)))


def test_no_pixel_scale(tmp_path):
    path = tmp_path / "psf.fits"
    fits.PrimaryHDU(gaussian(31, 2.0)).writeto(path)
    with pytest.raises(InputError, match="file_scale_arcsec"):
        read(PSF(file=str(path)))


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"PIXSCALE": 0.05, "PIXELSCL": 0.0125, "OVERSAMP": 4}, r"0\.05 .*0\.0125 \(PIXELSCL\)"),
        ({"PIXELSCL": 0.04, "OVERSAMP": 4}, r"0\.04 \(PIXELSCL\).*0\.01 .*OVERSAMP"),
        ({"PIXELSCL": 0.02, "CDELT1": -0.05 / 3600}, r"0\.02 .*0\.05 \(CDELT1\)"),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path, cards, said):
    path = write(tmp_path / "psf.fits", gaussian(41, 3), **cards)
    psf = PSF(file=path, native_pixel_arcsec=0.04)
    with pytest.raises(InputError, match=f"several samplings.*{said}"):
        load_psf_file(psf)
    told = cards["PIXELSCL"]
    psf = psf.model_copy(update={"file_scale_arcsec": told})
    assert load_psf_file(psf).scale_arcsec == told
    with pytest.warns(PraesepeWarning, match=f"every 0.03 arcsec by .*and every .*{said}.*header"):
        load_psf_file(psf.model_copy(update={"file_scale_arcsec": 0.03}))


def test_planes_of_wavelengths_are_no_positions(tmp_path):
    path = write(tmp_path / "psf.fits", np.stack([gaussian(41, 3)] * 2), CTYPE3="WAVE")
    with pytest.raises(InputError, match="planes are wavelengths"):
        load_psf_file(PSF(file=path))
    assert len(load_psf_file(PSF(file=path, file_position=1)).planes) == 2


@pytest.mark.parametrize("named", ["F475W", "CLEAR1L; f475w", "none", "F814W"])
def test_the_filter_that_the_header_names(tmp_path, named):
    path = write(tmp_path / "psf.fits", gaussian(41, 2), FILTER=named)
    with (
        contextlib.nullcontext()
        if named != "F814W"
        else pytest.warns(PraesepeWarning, match="PSF of F814W by its header.*F475W")
    ):
        psf_of(band(path))


def test_a_star_too_wide_for_hubble_is_told(tmp_path):
    path = write(tmp_path / "psf.fits", gaussian(81, 8))
    with pytest.warns(PraesepeWarning, match=r"every 0.02 arcsec.*FWHM 0.37. \(Hubble's 0.07"):
        psf_of(band(path))
    psf_of(band(path, file_energy_fraction=0.99), telescope="")


@pytest.mark.parametrize(("share", "told"), [(0.1, "14%"), (1.0, "53%"), (0.0, None)])
def test_a_sky_that_was_left_is_told(tmp_path, share, told):
    index = np.arange(101) - 50
    image = (1 + (index[:, None] ** 2 + index**2) / 3.0**2) ** -1.5  # wings of r^-3
    image = image / image.sum() + share / image.size
    path = write(tmp_path / "psf.fits", image / image.sum())
    with (
        pytest.warns(PraesepeWarning, match=f"makes ({told}) of the sum; has its sky been")
        if told
        else contextlib.nullcontext()
    ):
        read(PSF(file=path))


def test_what_never_falls_to_half_of_its_peak_is_no_star():
    star = gaussian(41, 2)
    assert full_width(star, 0.02) == pytest.approx(2.355 * 2 * 0.02, rel=0.02)
    with pytest.raises(InputError, match=r"half of its peak within 0\.42 arcsec.*logarithm"):
        full_width(9 + np.log10(np.maximum(star, 1e-4)), 0.02)


@pytest.mark.parametrize("value", [np.nan, -0.5])
def test_a_rim_that_is_missing_is_warned_of(tmp_path, value):
    image = gaussian(31, 2.0)
    image[:3] = value
    file = write(tmp_path / "a.fits", image)
    with pytest.warns(PraesepeWarning, match=r"93 of 961 values \(9\.7%\) are NaN.*count as zero"):
        read(PSF(file=file))


def test_fill_values_of_a_cube_are_known_and_its_nan_are_not(tmp_path):
    planes = np.stack([gaussian(31, 2.0)] * 2)
    planes[:, :3] = -0.1
    read(PSF(file=write(tmp_path / "a.fits", planes)))
    planes[:, :3] = np.nan
    with pytest.warns(PraesepeWarning, match=r"186 of 1922 values \(9\.7%\)"):
        read(PSF(file=write(tmp_path / "b.fits", planes)))


# ---- sampling


def test_an_absurd_sampling_is_refused_at_once(tmp_path):
    """Before anything is resampled: the last ones would need more memory than there is."""
    file = write(tmp_path / "a.fits", gaussian(41, 2.0), PIXELSCL="unknown")
    pixel = {"pixel_scale_arcsec": 0.05}
    psf_of(band(file, file_scale_arcsec=0.1), **pixel)
    for scale in (0.11, 0.5, 5.0):
        with pytest.raises(InputError, match=f"every {scale:g} arcsec .*pixel is 0.05 arcsec"):
            psf_of(band(file, file_scale_arcsec=scale), **pixel)
    for scale in (2e-3, 1e-5):
        with pytest.raises(InputError, match=f"every {scale:g} arcsec .*all of it spans"):
            psf_of(band(file, file_scale_arcsec=scale), **pixel)
    for scale in (1e-6, 1e4):
        with pytest.raises(InputError, match=f"file_scale_arcsec = {scale:g}: allowed are"):
            psf_of(band(file, file_scale_arcsec=scale), **pixel)


def test_the_pixel_that_the_sampling_is_compared_with(tmp_path):
    """That of the mosaic, or, where it is not known, that of the detector."""
    file = write(tmp_path / "a.fits", gaussian(41, 2.0), PIXELSCL=0.2)
    with pytest.raises(InputError, match=r"\(its header\), the detector's pixel .* 0\.05 arcsec"):
        psf_of(band(file))
    psf_of(band(file, native_pixel_arcsec=0.2))
    psf_of(band(file), pixel_scale_arcsec=0.2)
    with pytest.raises(InputError, match=r"the mosaic's pixel is 0\.05"):
        psf_of(band(file, native_pixel_arcsec=0.2), pixel_scale_arcsec=0.05)


def test_a_plane_without_light(tmp_path):
    planes = np.stack([gaussian(31, 2.0), np.zeros((31, 31))])
    with pytest.raises(InputError, match="no light"):
        read(PSF(file=write(tmp_path / "cube.fits", planes)))


# ---- defocus


def test_defocus_spreads_the_core_and_keeps_the_light():
    model = band(None)
    sharp, near, far = (psf_of(model, defocus_nm=nm) for nm in (0.0, 20.0, 60.0))
    assert sharp.max() > near.max() > far.max()
    # Maréchal: the peak of the bare optics falls as exp(-(2 pi rms / wavelength)^2).
    bare = band(
        None, native_pixel_arcsec=1e-3, diffusion_arcsec=0, jitter_arcsec=0, halo_fraction=0,
        struts=0,
    )  # fmt: skip
    peaks = [psf_of(bare, defocus_nm=nm).max() for nm in (0.0, 20.0)]
    assert peaks[1] / peaks[0] == pytest.approx(np.exp(-((2 * np.pi * 20 / 500) ** 2)), rel=2e-3)
    assert far.sum() == pytest.approx(sharp.sum(), abs=5e-3)
    np.testing.assert_allclose(near, psf_of(model, defocus_nm=-20.0), atol=1e-12)
    np.testing.assert_allclose(near, near[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("struts", [3, 4])
def test_defocus_against_the_transform_of_the_complex_pupil(struts):
    """The image itself is the squared Fourier transform of the pupil: no transfer function."""
    settings = {"native_pixel_arcsec": 1e-4, "diffusion_arcsec": 0, "jitter_arcsec": 0}
    telescope = band(None, halo_fraction=0, struts=struts, strut_width=0.05, **settings)
    ours = band_psf(telescope, grid_scale_arcsec=0.01, half_size_px=20, defocus_nm=70.0)
    n, step = 2048, 2.4 / 400
    x = (np.arange(-n // 2, n // 2)) * step
    radius = np.hypot(x[:, None], x[None, :]) / 1.2
    inside = ((radius < 1) & (radius > 0.33)).astype(float)
    for strut in range(struts):
        angle = np.radians(45 + 360 * strut / struts)
        along = x[None, :] * np.cos(angle) + x[:, None] * np.sin(angle)
        across = x[:, None] * np.cos(angle) - x[None, :] * np.sin(angle)
        inside *= 1 - ((along > 0) & (np.abs(across) < 0.06))
    rms = (radius**2)[(radius < 1) & (radius > 0.33)]
    wavefront = 70e-9 * (radius**2 - rms.mean()) / rms.std()
    field = inside * np.exp(2j * np.pi * wavefront / 500e-9)
    # At the angles of our grid, by an explicit transform along each axis.
    angles = np.arange(-20, 21) * np.radians(0.01 / 3600)
    phases = np.exp(-2j * np.pi * np.outer(angles, x) / 500e-9)
    image = np.abs(phases @ field @ phases.T) ** 2
    image *= ours.max() / image.max()
    mirrored = image[::-1, ::-1]
    difference = min(np.abs(ours - i).max() for i in (image, mirrored))
    assert difference < 5e-3 * ours.max()
    focused = band_psf(telescope, grid_scale_arcsec=0.01, half_size_px=20)
    assert np.abs(focused / focused.max() - image / image.max()).max() > 0.02


def test_several_defocus_samples_at_once_are_the_same():
    values = [0.0, 20.0, 60.0]
    together = psf_of(band(None, struts=3), defocus_nm=values)
    for nm, image in zip(values, together, strict=True):
        np.testing.assert_array_equal(image, psf_of(band(None, struts=3), defocus_nm=nm))


@pytest.mark.parametrize("value", [np.nan, np.inf, [0.0, np.nan]])
def test_an_impossible_defocus(value):
    with pytest.raises(InputError, match="defocus_nm"):
        psf_of(band(None), defocus_nm=value)


@pytest.mark.parametrize("value", [20.0, [0.0]])
def test_a_file_cannot_be_defocused(cube, value):
    with pytest.raises(InputError, match="focus cannot be changed"):
        psf_of(band(cube), defocus_nm=value)


# ---- is it a star of that telescope


@pytest.fixture(scope="module")
def hubble():
    """A star of Hubble every 0.02 arcsec, to 1 arcsec."""
    return band_psf(band(None), grid_scale_arcsec=0.02, half_size_px=50)


def beside(star, share, *, x=20, width=None):
    """The star, and another one, or a hot pixel, to its right."""
    other = np.roll(star, x, axis=1) if width is None else gaussian(len(star), width, x=x)
    return star + share * (other if width is None else other * star.max() / other.max())


SHARP = "sampled every .*: no mirror is as sharp; set psf.file_scale_arcsec"
DARK = "of the light of its box, so that what is beyond is negative"


@pytest.mark.parametrize(
    ("change", "settings", "refused", "said"),
    [
        (None, {}, False, None),
        (lambda s: s / s.sum(), {"file_energy_fraction": None}, False, None),
        (None, {"file_scale_arcsec": 0.01}, True, rf"{SHARP}.*, or psf.file_has_pixel = false"),
        (None, {"file_scale_arcsec": 0.005, "file_has_pixel": True}, True, f"{SHARP} to the sampl"),
        (None, {"file_scale_arcsec": 0.04}, False, r"FWHM 0\.15. \(Hubble's 0\.07"),
        (np.square, {}, False, r"light within 0\.1 arcsec 0\.9.. \(Hubble's 0\.7"),
        (np.sqrt, {}, False, r"light within 0\.2 arcsec 0\.... \(Hubble's 0\.8"),
        (
            lambda s: sum(np.roll(s, i, 1) for i in range(-3, 4)),
            {},
            False,
            r"0\.8. times as long",
        ),
        (lambda s: beside(s, 0.1), {}, False, r"\+0\.40, \+0\.00 arcsec .* 0\.10 of .* 0\.00 opp"),
        (lambda s: beside(s, 0.03), {}, False, r"\+0\.40, \+0\.00 arcsec .*stand 0\.03 of"),
        (lambda s: beside(s, 0.1, x=10, width=0.3), {}, False, "another star, or a hot pixel"),
        (lambda s: s - 2e-5, {}, True, rf"within 0\... arcsec .*lie 1\.... {DARK}"),
        (None, {"file_energy_fraction": 0.5}, False, r"fraction 0\.5 \(Hubble's 0\.9"),
    ],
)
def test_a_star_that_hubble_does_not_make(tmp_path, hubble, change, settings, refused, said):
    """Silent before, but for those more than twice too wide."""
    star = hubble if change is None else change(hubble)
    path = write(tmp_path / "psf.fits", star / star.sum(), PIXELSCL="unknown")
    settings = {"file_scale_arcsec": 0.02, "file_energy_fraction": 0.97, **settings}
    told = pytest.raises(InputError, match=said) if refused else pytest.warns(match=said)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*light does not fall towards the border")
        with told if said else contextlib.nullcontext():
            psf_of(band(path, **settings))


def test_a_brighter_star_beside_that_in_the_middle(hubble):
    with pytest.raises(InputError, match=r"from its star stand 1\.5 of the star's peak"):
        check_star(PSF(file="a.fits"), beside(hubble, 1.5) / 2.5, 0.02)


@pytest.mark.parametrize(
    ("telescope", "sigma", "told"),
    [
        ("JWST", 0.6, r"FWHM 0\.01. arcsec, where JWST's diffraction has 0\.0159: no mirror"),
        ("Euclid", 2.0, r"FWHM 0\.0... arcsec, where Euclid's diffraction has 0\.0859: no mirror"),
        ("Roman", 30.0, r"FWHM 0\.70. arcsec, where Roman's diffraction has 0\.0437 and the pixel"),
        ("JWST", 1.5, None),
        ("", 30.0, None),
    ],
)
def test_a_star_that_another_mirror_does_not_make(tmp_path, telescope, sigma, told):
    size = 2 * int(5 * sigma) + 9
    path = write(
        tmp_path / "psf.fits", gaussian(size, sigma), PIXELSCL=0.008 if sigma < 1 else 0.01
    )
    refused = bool(told) and "no mirror" in told
    caught = pytest.raises(InputError, match=told) if refused else pytest.warns(match=told)
    with caught if told else contextlib.nullcontext():
        psf_of(band(path, file_energy_fraction=0.99), telescope=telescope)


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ({"INSTRUME": "ACS_WFC1"}, None),
        ({"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC"}, None),
        (
            {"INSTRUME": "WFC3_UVIS"},
            r"PSF of hst, uvis and wfc3 by its header.* acs, hst",
        ),
        ({"TELESCOP": "JWST", "INSTRUME": "NIRCAM"}, "PSF of jwst and nircam by its header"),
        ({"INSTRUME": "my camera"}, None),
    ],
)
def test_the_camera_that_the_header_names(tmp_path, hubble, cards, told):
    path = write(tmp_path / "psf.fits", hubble / hubble.sum(), **cards)
    with pytest.warns(PraesepeWarning, match=told) if told else contextlib.nullcontext():
        psf_of(band(path, instrument="ACS/WFC"))


def test_energies_above_one_are_refused(tmp_path):
    """Silent before: the sum of STPSF's shares was taken for one."""
    path = write(tmp_path / "psf.fits", 1.1 * gaussian(40, 2.0, middle=19.5), names=["OVERSAMP"])
    with pytest.raises(InputError, match=r"add up to 1\.1, and they are shares"):
        load_psf_file(PSF(file=path))


def test_a_warning_of_a_file_is_said_once(tmp_path):
    path = write(tmp_path / "psf.fits", 7 * gaussian(41, 2.0))
    with pytest.warns(PraesepeWarning, match="add up to"):
        load_psf_file(PSF(file=path))
    load_psf_file(PSF(file=path))


def test_measured_and_computed_stars_of_hubble_pass(shared_data):
    folder = shared_data / "psf"
    files = [(f"ACS_WFC_{name}.fits", name, "ACS/WFC", {}) for name in ("F475W", "F814W")]
    files += [
        (f"PSFSTD_WFC3UV_{name}.fits", name, "WFC3/UVIS", {"file_scale_arcsec": 0.0099})
        for name in ("F336W", "F438W", "F814W")
    ]
    bands = {one.name: one for one in load_survey("phat6").bands}
    for file, name, camera, settings in files:
        own = (bands.get(name) or bands["F336W"]).psf
        known = {"native_pixel_arcsec": 0.0396 if "UVIS" in camera else 0.05, "pixfrac": 0.0}
        psf = own.model_copy(update={"file": str(folder / file), **known, **settings})
        seen = SimpleNamespace(
            name=name, filter=f"{camera} {name}", instrument="", psf=psf, curve=None
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            psf_of(seen)
