"""Surveys: what is included is sound, and what a user gets wrong is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from praesepe.errors import InputError
from praesepe.survey import Survey, load_survey, parse_survey, survey_names, survey_text


def content() -> dict:
    """A small valid survey."""
    band = {
        "name": "F814W",
        "filter": "acs_wfc_f814w",
        "zero_point_ab": 25.9,
        "exposure_s": 1000.0,
        "sky_e_s": [0.04, 0.1],
    }
    return {"name": "mine", "distance_pc": 1e6, "pixel_scale_arcsec": 0.05, "bands": [band]}


def test_phat_is_what_the_survey_is() -> None:
    phat = load_survey("phat")
    assert phat.band_names == ("F336W", "F475W", "F814W")
    assert phat.pixel_scale_arcsec == 0.05
    assert phat.stamp_size == 64
    assert phat.prior.log_mass == (2.0, 4.5)
    assert phat.prior.log_age == (6.6, 10.1)
    assert phat.prior.rh_arcsec == (0.08, 0.8)
    assert phat.prior.gamma == (2.2, 4.0)
    assert phat.nuisance.zero_point_mag == 0.03
    assert phat.nuisance.registration_px == 0.15
    # 1 arcsec at 785 kpc
    assert phat.pc_per_arcsec == pytest.approx(785e3 * math.pi / 180 / 3600)
    assert phat.distance_modulus == pytest.approx(24.474, abs=1e-3)


@pytest.mark.parametrize("name", survey_names())
def test_every_included_survey_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    survey = load_survey(name)
    file = tmp_path / "copy.toml"
    file.write_text(survey.to_toml())
    assert load_survey(file) == survey
    assert load_survey(file).fingerprint() == survey.fingerprint()
    assert f'name = "{name}"' in survey_text(name)


def test_another_survey_has_another_fingerprint() -> None:
    one, other = content(), content()
    other["bands"][0]["zero_point_ab"] += 0.01
    assert parse_survey(one).fingerprint() == parse_survey(content()).fingerprint()
    assert parse_survey(one).fingerprint() != parse_survey(other).fingerprint()


def test_settings_are_immutable() -> None:
    survey = parse_survey(content())
    with pytest.raises(ValidationError, match="frozen"):
        survey.distance_pc = 3.0  # type: ignore[misc]


def test_survey_itself_is_accepted() -> None:
    survey = parse_survey(content())
    assert load_survey(survey) is survey


@pytest.mark.parametrize(
    ("where", "key", "hint"),
    [
        ((), "distance_pcs", "distance_pc"),
        (("bands", 0), "exposure", "exposure_s"),
        (("bands", 0, "psf"), "pixfraction", "pixfrac"),
        (("prior",), "log_ages", "log_age"),
        (("nuisance",), "blur", "blur_px"),
        (("stars",), "metalicity", "metallicity"),
        (("field",), "density", "surface_density"),
    ],
)
def test_unknown_key_names_the_nearest(where: tuple, key: str, hint: str) -> None:
    given = content()
    table = given
    for step in where:
        table = table[step] if isinstance(step, int) else table.setdefault(step, {})
    table[key] = 1.0
    with pytest.raises(InputError) as caught:
        parse_survey(given)
    assert key in str(caught.value)
    assert f"Did you mean {hint!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        ((), "distance_pc", -1.0, "greater than 0"),
        ((), "distance_pc", math.inf, "finite"),
        ((), "stamp_size", 51, "multiple of"),
        ((), "name", "../mine", "pattern"),
        ((), "bands", [], "at least 1"),
        (("prior",), "log_age", [5.0, 9.0], "6.6 to 10.1"),
        (("prior",), "log_mass", [4.5, 2.0], "must not exceed"),
        (("prior",), "gamma", [1.5, 4.0], "gamma > 2"),
        (("prior",), "rh_arcsec", [0.0, 1.0], "positive"),
        (("stars",), "isochrones", "parsec99", "sse"),
        (("stars",), "a_v", -0.1, "greater than or equal to 0"),
        (("bands", 0), "sky_e_s", [-0.1, 0.1], "sky cannot be negative"),
        (("bands", 0), "n_exposures", 0, "greater than or equal to 1"),
    ],
)
def test_impossible_value_names_what_is_allowed(
    where: tuple, key: str, value: object, said: str
) -> None:
    given = content()
    table = given
    for step in where:
        table = table[step] if isinstance(step, int) else table.setdefault(step, {})
    table[key] = value
    with pytest.raises(InputError, match="does not describe a survey") as caught:
        parse_survey(given)
    assert key in str(caught.value)
    assert said in str(caught.value)


def test_missing_key_is_named() -> None:
    given = content()
    del given["bands"][0]["exposure_s"]
    with pytest.raises(InputError, match=r"missing key 'bands\.0\.exposure_s'"):
        parse_survey(given)


def test_bands_have_different_names() -> None:
    given = content()
    given["bands"] *= 2
    with pytest.raises(InputError, match="each name may occur once"):
        parse_survey(given)


def test_unknown_survey_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Did you mean 'phat'\?"):
        load_survey("phatt")
    with pytest.raises(InputError, match="praesepe survey init"):
        load_survey(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(InputError, match="not valid TOML"):
        load_survey(broken)


def test_file_names_are_relative_to_the_survey_file(tmp_path: Path) -> None:
    given = content()
    given["bands"][0]["filter"] = "curves/my.txt"
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "my.txt").write_text("4000 0\n5000 1\n6000 0\n")
    survey = parse_survey(given, folder=tmp_path)
    assert survey.bands[0].filter == str((tmp_path / "curves" / "my.txt").resolve())


def test_band_by_name() -> None:
    phat = load_survey("phat")
    assert phat.band("F475W").instrument == "ACS/WFC"
    with pytest.raises(InputError, match=r"Did you mean 'F475W'\?"):
        phat.band("F475")


def test_survey_is_a_survey() -> None:
    assert isinstance(load_survey("phat"), Survey)
