"""What a survey names must exist: the PSF's file, extension and position, the focus's model."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from praesepe.errors import InputError, PraesepeWarning
from praesepe.sky.check import check_survey
from praesepe.survey import load_survey


@pytest.fixture
def cube(tmp_path):
    index = np.arange(41) - 20
    star = np.exp(-0.5 * (index[:, None] ** 2 + index[None, :] ** 2) / 3)
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.stack([star, star]) / star.sum())])
    hdus[1].header.update({"EXTNAME": "PSF", "PIXSCALE": 0.02})
    hdus.writeto(tmp_path / "cube.fits")
    return str(tmp_path / "cube.fits")


def survey_with(psf, **nuisance):
    survey = load_survey("phat-nodust")
    first = survey.bands[0]
    band = first.model_copy(update={"psf": first.psf.model_copy(update=psf)})
    return survey.with_values(
        observation={"bands": (band, *survey.bands[1:]), "nuisance": nuisance}
    )


@pytest.mark.parametrize(
    "psf", [{}, {"file_extension": "psf"}, {"file_position": 1}, {"file_position": "random"}]
)
def test_what_exists_passes(cube, psf):
    check_survey(survey_with({"file": cube, **psf}))


@pytest.mark.filterwarnings("ignore:.*by its header")
@pytest.mark.parametrize(
    ("psf", "message"),
    [
        ({"file_extension": "PFS"}, "Did you mean 'PSF'"),
        ({"file_extension": 0}, "file_extension = 0"),
        ({"file_position": 2}, r"file_position = 2: it must be 0 to 1 in .*cube\.fits"),
        ({"file": "absent.fits"}, "no PSF file"),
        ({"file_scale_arcsec": 0.5}, r"every 0\.5 arcsec .*the mosaic's pixel is 0\.05 arcsec"),
    ],
)
def test_what_does_not_exist_is_told_with_the_band(cube, psf, message):
    with pytest.raises(InputError, match=f"band 'F336W'.*{message}"):
        check_survey(survey_with({"file": cube, **psf}))


def test_the_focus_of_a_file_cannot_vary(cube):
    check_survey(survey_with({}, focus_nm=20.0))
    with pytest.warns(PraesepeWarning, match="files of F336W keep their focus"):
        check_survey(survey_with({"file": cube}, focus_nm=20.0))


def test_extinction_may_be_a_range():
    survey = survey_with({})
    check_survey(survey.with_values(clusters={"a_v": (0.0, 2.0), "a_v_scatter": 0.1}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("files", "nowhere", r"field\.files: there is no folder nowhere"),
        ("history", "constnat", "Did you mean 'constant'"),
    ],
)
def test_what_the_star_field_needs_must_exist(key, value, message, tmp_path):
    survey = survey_with({})
    with pytest.raises(InputError, match=message):
        check_survey(survey.with_values(galaxy={"field": {key: value}}))
    (tmp_path / "history.txt").write_text("7 1\n8 1\n")
    there = {"files": str(tmp_path), "history": str(tmp_path / "history.txt")}[key]
    check_survey(survey.with_values(galaxy={"field": {key: there}}))
