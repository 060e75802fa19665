"""Other telescopes do not get Hubble's optics; what is assumed is said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from astropy.io import fits

from praesepe.errors import InputError, PraesepeWarning
from praesepe.sky.instrument.optics import describe_optics
from praesepe.sky.instrument.render import Renderer
from praesepe.survey import load_survey, parse_survey

pytestmark = pytest.mark.filterwarnings(r"ignore:.*\(Hubble's")  # the star is a Gaussian

SIDE = 51  # of 0.02 arcsec: the box ends 0.51 arcsec from the star

OTHER_CAMERAS = [
    "sdss_g0", "cfht_megacam_gs_9401", "decam_g", "hsc_g", "lsst_baseline_g", "bessell_V",
    "gaia_g", "spitzer_irac_ch1", "galex_NUV", "uvot_w1", "vista_vircam_H_FILTER",
    "mpgeso_wfi_V_eso843", "euclid_vis", "F444W", "F129",
]  # fmt: skip


def star(path, *, side=SIDE, name=None, total=1.0):
    index = np.arange(side) - (side - 1) / 2
    image = np.exp(-0.5 * (index[:, None] ** 2 + index**2) / 2.0**2)
    hdu = fits.ImageHDU(total * image / image.sum(), name=name)
    hdu.header["PIXELSCL"] = 0.02
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return str(path)


def survey_of(telescope, file=None, *, instrument="", **psf):
    survey = load_survey("phat-nodust")
    first = survey.bands[2]
    changed = first.psf.model_copy(update={"file": file, "pixfrac": 0.0, **psf})
    update = {"psf": changed, "filter": "wfc3_uvis_f814w", "instrument": instrument}
    update["zero_point_ab"] = 25.1
    return survey.with_values(
        observation={"telescope": telescope, "bands": (first.model_copy(update=update),)}
    )


@pytest.mark.parametrize("telescope", ["JWST", "Roman", "Euclid", "VLT", "hstx"])
def test_another_telescope_without_a_file_is_refused(telescope):
    with pytest.raises(InputError, match=f"{telescope}.*need a PSF file, and F814W have none.*psf"):
        survey_of(telescope)


@pytest.mark.parametrize("camera", ["NIRCam", "Euclid/VIS", "Roman WFI", "MIRI"])
def test_nor_do_other_cameras_get_hubbles_optics(camera):
    with pytest.raises(InputError, match="need a PSF file"):
        survey_of("HST", instrument=camera)


def one_band(telescope, filter_, instrument="", name="band", psf=None):
    band = {
        "name": name, "filter": filter_, "instrument": instrument, "zero_point_ab": 25.0,
        "exposure_s": 1000.0, "sky_e_s": [0.04, 0.1], "psf": psf or {},
    }  # fmt: skip
    observation = {"telescope": telescope, "pixel_scale_arcsec": 0.05, "bands": [band]}
    return parse_survey({"name": "x", "observation": observation, "galaxy": {"distance_pc": 1e6}})


@pytest.mark.parametrize("telescope", ["", "HST"])
@pytest.mark.parametrize(
    "filter_",
    OTHER_CAMERAS,
)
def test_nor_do_filters_of_other_cameras(telescope, filter_):
    with pytest.raises(InputError, match="need a PSF file"):
        one_band(telescope, filter_)
    one_band(telescope, filter_, psf={"file": "psf.fits"})


@pytest.mark.parametrize(
    ("telescope", "instrument", "name", "good"),
    [
        ("", "", "F475W", False),
        ("HST", "ACS", "F475W", True),
        ("", "ACS/WFC", "F475W", True),
        ("HST", "MegaCam", "g", False),
        ("HST", "WFC3/IR", "F098M", True),
        ("HST", "", "F444W", False),
    ],
)
def test_a_curve_of_ones_own_says_who_took_the_image(telescope, instrument, name, good):
    if good:
        assert one_band(telescope, "own.txt", instrument, name)
        return
    with pytest.raises(InputError, match=f"need a PSF file, and {name} have none"):
        one_band(telescope, "own.txt", instrument, name, {"native_pixel_arcsec": 0.05})


@pytest.mark.parametrize(
    ("filter_", "instrument", "pixel"),
    [
        ("wfc3_ir_f160w", "WFC3/IR", 0.128),
        ("F336W", "WFC3/UVIS2", 0.0396),
        ("HST ACS/WFC F814W", "", 0.05),
        ("own.txt", "NICMOS3", 0.2),
        ("F555W", "WFPC2", 0.0996),
        ("F555W", "WFPC2/PC", 0.0455),
    ],
)
def test_the_detectors_pixel_is_that_of_the_camera(filter_, instrument, pixel):
    assert one_band("HST", filter_, instrument).bands[0].psf.native_pixel_arcsec == pixel
    told = one_band("HST", filter_, instrument, psf={"native_pixel_arcsec": 0.06})
    assert told.bands[0].psf.native_pixel_arcsec == 0.06
    with pytest.raises(InputError, match="pixel of band is not known; name the camera"):
        one_band("HST", "F160W")


@pytest.mark.parametrize("telescope", ["", "HST", "hst", "Hubble", "Hubble Space Telescope"])
def test_hubble_by_any_of_its_names(telescope):
    survey = survey_of(telescope)
    assert survey.observation.telescope_of(survey.bands[0]) == "HST"


def light(survey):
    """Light of a star in a stamp of 4.8 arcsec, and that beyond 0.8 arcsec."""
    renderer = Renderer(survey)
    grids = renderer.empty(1)
    middle = torch.full((2, 1), 32.0)
    renderer.scatter(grids, torch.zeros(1, dtype=torch.int64), middle, torch.ones(1, 1))
    image = renderer.convolve(grids)[0, 0].numpy()
    y, x = np.indices(image.shape) - 32
    return image.sum(), image[np.hypot(x, y) * survey.pixel_scale_arcsec > 0.8].sum()


def test_outside_the_box_hubble_follows_its_model_and_others_have_nothing(tmp_path):
    file = star(tmp_path / "star.fits")
    total, far = light(survey_of("HST", file))
    assert far > 0.02
    assert total > 0.95
    with pytest.warns(PraesepeWarning, match=r"no light is assumed beyond its box, 0\.51 arcsec"):
        total, far = light(survey_of("JWST", file))
    assert far == pytest.approx(0, abs=1e-4)
    assert total == pytest.approx(1, abs=1e-3)


def test_the_share_in_the_box_is_what_the_survey_or_stpsf_tells(tmp_path):
    file = star(tmp_path / "star.fits")
    stpsf = star(tmp_path / "stpsf.fits", name="OVERSAMP", total=0.9)
    large = star(tmp_path / "large.fits", side=251)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told, said = survey_of("JWST", file, file_energy_fraction=0.8), survey_of("JWST", stpsf)
        assert light(told)[0] == pytest.approx(0.8, abs=1e-3)
        assert light(said)[0] == pytest.approx(0.9, abs=1e-3)
        assert light(survey_of("JWST", large))[0] == pytest.approx(1, abs=1e-3)


def test_what_is_assumed_is_said(tmp_path):
    file = star(tmp_path / "star.fits")
    other = "\n".join(describe_optics(survey_of("JWST", file, file_energy_fraction=0.8)))
    assert f"PSF file {file}" in other
    assert "beyond 0.51 arcsec of the star nothing, 0.800 of its light inside (as told)" in other
    assert "0.800 in 0.5, 0.800 in 1 arcsec" in other
    assert "FWHM 0.09" in other  # 2.355 sigma
    hubble = "\n".join(describe_optics(survey_of("HST", file)))
    assert "beyond 0.51 arcsec of the star the optical model of Hubble" in hubble
    model = "\n".join(describe_optics(survey_of("HST")))
    assert "optical model of Hubble, mirror 2.4 m" in model
