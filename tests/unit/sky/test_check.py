"""What a survey names must exist: the PSF's file, extension and position, the focus's model."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
from astropy.io import fits
from pydantic import BaseModel

from praesepe.errors import InputError, PraesepeWarning
from praesepe.mocks import simulate
from praesepe.sky.check import check_survey
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey, load_survey
from praesepe.survey.limits import LIMITS


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


def test_what_the_star_field_needs_must_exist(tmp_path):
    survey = survey_with({})
    wrong = {
        "files": ("nowhere", "nowhere holds no star fields"),
        "history": ("constnat", "Did you"),
    }
    for key, (value, message) in wrong.items():
        with pytest.raises(InputError, match=message):
            check_survey(survey.with_values(galaxy={"field": {key: value}}))
    (tmp_path / "history.txt").write_text("7 1\n8 1\n")
    check_survey(survey.with_values(galaxy={"field": {"history": str(tmp_path / "history.txt")}}))


# ---- every number, at its limits and beyond


def numbers_of(settings, place=()):
    """Places and values of all settings of a survey that have limits."""
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        if key in LIMITS.get(type(settings).__name__, {}):
            yield (*place, key), value, LIMITS[type(settings).__name__][key]
        for i, one in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(one, BaseModel):
                yield from numbers_of(
                    one, (*place, key, i) if isinstance(value, tuple) else (*place, key)
                )


def changed(survey, place, value, old):
    """A survey of which one number, or both ends of a range, is another."""
    content = survey.model_dump(mode="json")
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = [value] * len(old) if isinstance(old, tuple) else value
    return Survey.checked(content, "not a survey")


_THREE = load_survey("phat-nodust")
SURVEY = _THREE.with_values(observation={"bands": _THREE.bands[:1]})
NUMBERS = [
    pytest.param(place, old, value, inside, id=f"{'.'.join(map(str, place))}-{value:g}")
    for place, old, limit in numbers_of(SURVEY)
    for value, inside in (
        (limit.low, True), (limit.high, True), (float("nan"), False),
        (limit.low - max(abs(limit.low), 1), False), (limit.high * 2 + 1, False),
    )
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::praesepe.errors.PraesepeWarning")
@pytest.mark.parametrize(("place", "old", "value", "inside"), NUMBERS)
def test_a_number_at_its_limit_passes_or_is_refused_and_beyond_it_is_refused(
    place, old, value, inside
):
    whole = isinstance(old, int) and not isinstance(old, bool) and np.isfinite(value)
    try:
        survey = changed(SURVEY, place, int(value) if whole else value, old)
        check_survey(survey)
    except InputError:
        return
    assert inside
    if os.environ.get("PRAESEPE_FAULTS"):  # what `survey show` accepts can be simulated
        simulate(survey, n=1)


@pytest.mark.parametrize("run", [check_survey, SurveyTables.build, partial(simulate, n=1)])
def test_show_and_simulate_ask_the_same(run, monkeypatch):
    """Before anything is drawn: what one of them refuses, the other does."""

    def refuse(survey):
        raise InputError("no such survey")

    monkeypatch.setattr("praesepe.sky.check.refuse_impossible", refuse)
    monkeypatch.setattr("praesepe.sky.tables.refuse_impossible", refuse)
    with pytest.raises(InputError, match="no such survey"):
        run(load_survey("phat-nodust").with_values(galaxy={"distance_pc": 123456.0}))
