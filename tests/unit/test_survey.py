"""Surveys: what is included is sound, and what a user gets wrong is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from praesepe.errors import InputError
from praesepe.sky.check import check_survey
from praesepe.stars.isochrones import IsochroneGrid
from praesepe.survey import (
    LOG_AGES,
    METALLICITIES,
    Survey,
    load_survey,
    parse_survey,
    survey_names,
    survey_text,
)


def content() -> dict:
    """A small valid survey."""
    band = {
        "name": "F814W",
        "filter": "acs_wfc_f814w",
        "instrument": "ACS/WFC",
        "zero_point_ab": 25.9,
        "exposure_s": 1000.0,
        "sky_e_s": [0.04, 0.1],
    }
    return {
        "name": "mine",
        "observation": {"pixel_scale_arcsec": 0.05, "bands": [band]},
        "galaxy": {"distance_pc": 1e6},
    }


def changed(where: tuple, key: str, value: object) -> dict:
    """That survey with another value in one place."""
    given = content()
    table = given
    for step in where:
        table = table[step] if isinstance(step, int) else table.setdefault(step, {})
    table[key] = value
    return given


def test_phat_is_what_the_survey_is() -> None:
    phat = load_survey("phat-nodust")
    assert phat.band_names == ("F336W", "F475W", "F814W")
    assert phat.pixel_scale_arcsec == 0.05
    assert phat.stamp_size == 64
    assert phat.clusters.log_mass == (2.0, 4.5)
    assert phat.clusters.log_age == (6.6, 10.1)
    assert phat.clusters.rh_arcsec == (0.08, 0.8)
    assert phat.clusters.gamma == (2.2, 4.0)
    assert phat.observation.nuisance.zero_point_mag == 0.03
    assert phat.observation.nuisance.registration_px == 0.15
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
    other["observation"]["bands"][0]["zero_point_ab"] += 0.01
    assert parse_survey(one).fingerprint() == parse_survey(content()).fingerprint()
    assert parse_survey(one).fingerprint() != parse_survey(other).fingerprint()


def test_only_what_makes_the_stamps_is_in_the_fingerprint() -> None:
    survey = parse_survey(content())
    words = {"name": "x", "description": "y", "evaluation": {"bins": {"a": {"log_age": (8, 9)}}}}
    judged = survey.with_values(**words, network={"infers": ("log_age",)})
    assert judged.fingerprint() == survey.fingerprint()
    assert survey.with_values(network={"stamp_size": 128}).fingerprint() != survey.fingerprint()

    assert "detector" not in survey.identity()["observation"]  # so may be keys that come later


def test_settings_are_immutable() -> None:
    survey = parse_survey(content())
    with pytest.raises(InputError, match=r"distance_pc of a Survey cannot be changed.*with_values"):
        survey.distance_pc = 3.0  # type: ignore[misc]


def test_survey_itself_is_accepted() -> None:
    survey = parse_survey(content())
    assert load_survey(survey) is survey


@pytest.mark.parametrize(
    ("where", "key", "hint"),
    [
        (("galaxy",), "distance_pcs", "distance_pc"),
        (("observation", "bands", 0), "exposure", "exposure_s"),
        (("observation", "bands", 0, "psf"), "pixfraction", "pixfrac"),
        (("clusters",), "log_ages", "log_age"),
        (("observation", "nuisance"), "blur", "blur_px"),
        (("clusters",), "metalicity", "metallicity"),
        (("galaxy", "field"), "density", "surface_density"),
    ],
)
def test_unknown_key_names_the_nearest(where: tuple, key: str, hint: str) -> None:
    given = changed(where, key, 1.0)
    with pytest.raises(InputError) as caught:
        parse_survey(given)
    assert key in str(caught.value)
    assert f"Did you mean {hint!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        (("galaxy",), "distance_pc", -1.0, "greater than 0"),
        (("galaxy",), "distance_pc", math.inf, "finite"),
        (("network",), "stamp_size", 51, "multiple of"),
        ((), "name", "../mine", "pattern"),
        (("observation",), "bands", [], "at least 1"),
        (("clusters",), "log_age", [5.0, 9.0], "6.6 to 10.1"),
        (("clusters",), "log_mass", [4.5, 2.0], "must not exceed"),
        (("clusters",), "gamma", [1.5, 4.0], "gamma > 2"),
        (("clusters",), "rh_arcsec", [0.0, 1.0], "greater than 0"),
        (
            ("clusters",),
            "rh_arcsec",
            [0.1, 1.61],
            "half a stamp, 1.6 arcsec (64 px of 0.05 arcsec)",
        ),
        (("clusters",), "center_shift_px", 16.1, "0 to 16 px"),
        (("galaxy", "field"), "log_age", [3.0, 4.0], "6.6 to 10.1"),
        (("galaxy", "field"), "surface_density", [0.0, 200.0], "such as 1e-3"),
        (("galaxy", "field"), "metallicity", [0.5, 0.9], "0.0002 to 0.03"),
        (("galaxy", "field"), "metallicity", [0.0, 0.01], "0.0002 to 0.03"),
        (("clusters",), "metallicity", 0.09, "0.0002 to 0.03"),
        (("clusters",), "metallicity", -1.0, "0.0002 to 0.03"),
        (("clusters", "stars"), "isochrones", [], "at least 1 item"),
        (("clusters", "stars"), "isochrones", ["sse", "sse"], "each model may occur once"),
        (("clusters", "stars"), "imf", "krupa", "kroupa2001"),
        (
            ("clusters", "stars"),
            "imf",
            {"edges": [0.1, 1.0], "slopes": [1.3, 2.3]},
            "2 slopes need 3 edges",
        ),
        (("clusters", "stars"), "binary_mass_ratio", [0.0, 1.0], "greater than 0"),
        (("clusters",), "log_rh_normal", [-0.5, 0.0], "must be positive"),
        (("clusters",), "profile", "sersic", "profile: Input should be 'eff', 'king' or 'plummer'"),
        (
            ("clusters", "stars"),
            "imf",
            "kroupa",
            "imf: Input should be 'kroupa2001', 'chabrier2003' or",
        ),
        (
            ("clusters", "stars"),
            "imf",
            {"edge": [0.1, 1], "slopes": [2.3]},
            "Did you mean 'edges'?",
        ),
        (("clusters",), "ellipticity", [0.0, 1.0], "0 to 0.9"),
        (("galaxy", "field"), "dust_share", [0.5, 1.5], "less than or equal to 1"),
        (("observation", "detector"), "cosmic_ray_e", [0.0, 10.0], "greater than 0"),
        (("observation", "bands", 0), "noise_kernel", [[1.0, 0.5]], "odd side"),
        (("observation", "bands", 0), "noise_kernel", "drizle", "a square of numbers"),
        (("observation", "bands", 0), "noise_kernel", 3, "a square of numbers"),
        (("clusters",), "a_v", -0.1, "0 to 20 mag"),
        (("observation", "bands", 0), "sky_e_s", [-0.1, 0.1], "greater than or equal to 0"),
        (("observation", "bands", 0), "n_exposures", 0, "greater than or equal to 1"),
    ],
)
def test_impossible_value_names_what_is_allowed(
    where: tuple, key: str, value: object, said: str
) -> None:
    given = changed(where, key, value)
    with pytest.raises(InputError, match="does not describe a survey") as caught:
        parse_survey(given)
    assert key in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("second", "conditions", "said"),
    [
        ({"instrument": "ACS/WFC"}, ["present"], "give each another instrument"),
        ({}, ["depth"], 'add "present" to network.conditions'),
        ({"channel": "F814W"}, ["present"], "channel = 'F814W' of second: a band is called so"),
    ],
)
def test_bands_of_one_channel_are_of_two_cameras(
    second: dict, conditions: list[str], said: str
) -> None:
    given = changed(("network",), "conditions", conditions)
    bands = given["observation"]["bands"]
    bands[0]["channel"] = "I"
    uvis = {"name": "second", "filter": "F814W", "instrument": "WFC3/UVIS", "channel": "I"}
    bands.append(bands[0] | uvis | second)
    with pytest.raises(InputError, match="does not describe a survey") as caught:
        parse_survey(given)
    assert said in str(caught.value)


def test_the_largest_values_that_fit_are_allowed() -> None:
    clusters = {"rh_arcsec": [0.1, 1.6], "center_shift_px": 16.0, "metallicity": 0.04}
    field = {"log_age": [6.6, 6.6], "surface_density": [1e-3, 1e-3], "metallicity": [2e-4, 0.03]}
    galaxy = {"distance_pc": 1e6, "field": field}
    survey = parse_survey({**content(), "clusters": clusters, "galaxy": galaxy})
    assert survey.galaxy.field.metallicity == (2e-4, 0.03)


def test_the_limits_are_those_of_the_isochrones() -> None:
    grid = IsochroneGrid.embedded()
    assert (grid.metallicity[0], grid.metallicity[-1]) == pytest.approx(METALLICITIES)
    assert (grid.log_age[0], grid.log_age[-1]) == pytest.approx(LOG_AGES)
    for beyond in (METALLICITIES[0] / 1.49, METALLICITIES[1] * 1.49):
        given = {**content(), "clusters": {"metallicity": beyond}}
        grid.nearest_metallicity(parse_survey(given).clusters.metallicity)


def test_one_mistake_is_one_line() -> None:
    given = content()
    given["observation"]["bands"][0]["psf"] = {"pixfraction": 1.0}
    with pytest.raises(InputError) as caught:
        parse_survey(given)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "pixfraction" in lines[1]


@pytest.mark.parametrize("bands", [[], {"name": "F814W"}])
def test_lists_and_tables_are_not_printed(bands: object) -> None:
    with pytest.raises(InputError, match="bands") as caught:
        parse_survey(changed(("observation",), "bands", bands))
    assert "given" not in str(caught.value)


def test_missing_key_is_named() -> None:
    given = content()
    del given["observation"]["bands"][0]["exposure_s"]
    with pytest.raises(InputError, match=r"missing key 'observation\.bands\.0\.exposure_s'"):
        parse_survey(given)


def test_bands_have_different_names() -> None:
    given = content()
    given["observation"]["bands"] *= 2
    with pytest.raises(InputError, match="each name may occur once"):
        parse_survey(given)


def test_unknown_survey_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Did you mean 'phat'\?"):
        load_survey("phatt")
    with pytest.raises(InputError, match=r"praesepe\.init_survey"):
        load_survey(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(InputError, match="not valid TOML"):
        load_survey(broken)
    broken.write_bytes('name = "Côté"\n'.encode("latin-1"))
    with pytest.raises(InputError, match="is not valid TOML in UTF-8"):
        load_survey(broken)


# What the file alone cannot tell


def test_a_sound_survey_passes_the_check() -> None:
    check_survey(load_survey("phat-nodust"))
    check_survey(parse_survey(content()))


@pytest.mark.parametrize(
    ("where", "key", "value", "said"),
    [
        (
            ("observation", "bands", 0),
            "filter",
            "acs_wfc_f841w",
            r"band 'F814W': .*Did you mean 'acs_wfc_f814w'",
        ),
        (
            ("observation", "bands", 0),
            "filter",
            "curves/none.dat",
            r"band 'F814W': there is no filter file",
        ),
        (
            ("observation", "bands", 0, "psf"),
            "file",
            "none.fits",
            r"band 'F814W': no PSF file at none.fits",
        ),
        (
            ("clusters", "stars"),
            "extinction_law",
            "F98",
            r"stars\.extinction_law: .*Did you mean 'F99'",
        ),
    ],
)
def test_what_does_not_exist_is_named(where: tuple, key: str, value: str, said: str) -> None:
    survey = parse_survey(changed(where, key, value))
    with pytest.raises(InputError, match=said):
        check_survey(survey)


def test_a_filter_beyond_the_extinction_law_is_named(tmp_path: Path) -> None:
    curve = tmp_path / "far.txt"
    curve.write_text("40000 0\n45000 1\n50000 0\n")
    given = content()
    given["observation"]["bands"][0] |= {"name": "far", "filter": str(curve)}
    for a_v, law in ((0.0, "F99"), (0.5, "G23")):
        clusters = {"a_v": a_v, "stars": {"extinction_law": law}}
        check_survey(parse_survey({**given, "clusters": clusters}))
    with pytest.raises(InputError, match=r"band 'far': .*outside the law F99"):
        check_survey(parse_survey({**given, "clusters": {"a_v": 0.5}}))


def test_file_names_are_relative_to_the_survey_file(tmp_path: Path) -> None:
    given = content()
    given["observation"]["bands"][0]["filter"] = "curves/my.txt"
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "my.txt").write_text("4000 0\n5000 1\n6000 0\n")
    survey = parse_survey(given, folder=tmp_path)
    assert survey.bands[0].filter == str((tmp_path / "curves" / "my.txt").resolve())


def test_band_by_name() -> None:
    phat = load_survey("phat-nodust")
    assert phat.band("F475W").instrument == "ACS/WFC"
    with pytest.raises(InputError, match=r"Did you mean 'F475W'\?"):
        phat.band("F475")
    nearby = load_survey("nearby")
    assert [len(bands) for bands in nearby.channels.values()] == [1, 1, 2, 2, 2, 2]
    assert nearby.band("F435W").channel == nearby.band("F438W").channel
    with pytest.raises(InputError, match="'F814W' may be F814W_UVIS and F814W_ACS"):
        nearby.band("F814W")


def test_survey_is_a_survey() -> None:
    assert isinstance(load_survey("phat-nodust"), Survey)
