"""Survey files of earlier versions are upgraded, or refused with that advice."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from praesepe.errors import InputError
from praesepe.survey import load_survey, parse_survey, upgrade_survey
from praesepe.survey.old_form import upgraded

OLD = """\
# A galaxy of one's own.
name = "mine"
distance_pc = 1e6             # by the tip of the red giant branch
pixel_scale_arcsec = 0.05
stamp_size = 32

[stars]
metallicity = [0.01, 0.02]    # two H II regions
isochrones = "sse"
[stars.imf]
edges = [0.1, 1.0,
         100.0]
slopes = [1.3, 2.3]

[prior]                       # what to expect
centre_shift_px = 2.0
tides = { circular_speed_km_s = 100.0, galactocentric_kpc = [1.0, 2.0] }

# Real images wobble.
[nuisance]
registration_px = 0.2
[field]
[[bands]]
name = "F814W"                # the reddest
filter = "acs_wfc_f814w"
zero_point_ab = 25.9
exposure_s = 1000.0
sky_e_s = [0.04, 0.1]
[bands.psf]
pixfrac = 1.0
# The end.
"""


def test_an_old_file_becomes_todays(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OLD)
    assert upgrade_survey(file) == file
    assert (tmp_path / "mine.toml.old").read_text() == OLD
    text = file.read_text()
    assert upgrade_survey(file) is None
    assert file.read_text() == text
    survey = parse_survey(tomllib.loads(text))
    assert survey == parse_survey(tomllib.loads(OLD))
    assert (survey.name, survey.distance_pc, survey.stamp_size) == ("mine", 1e6, 32)
    assert survey.clusters.metallicity == (0.01, 0.02)
    assert survey.clusters.stars.imf.edges == (0.1, 1.0, 100.0)
    assert survey.clusters.center_shift_px == 2
    assert survey.galaxy.tides.circular_speed_km_s == 100
    assert survey.observation.nuisance.registration_px == 0.2
    assert survey.bands[0].psf.pixfrac == 1
    assert "[[observation.bands]]" in text


def test_inline_tables_and_dotted_keys_are_understood() -> None:
    old = tomllib.loads("stars = { a_v = 0.3, r_v = 3.0 }\nprior.log_mass = [3.0, 4.0]\n")
    new = {"clusters": {"a_v": 0.3, "log_mass": [3.0, 4.0], "stars": {"r_v": 3.0}}}
    assert upgraded(old) == new


def test_a_users_old_file_is_refused_with_advice(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OLD)
    with pytest.raises(InputError, match=r"praesepe.upgrade_survey.*mine\.toml"):
        load_survey(file)
    upgrade_survey(file)
    assert load_survey(file).name == "mine"
