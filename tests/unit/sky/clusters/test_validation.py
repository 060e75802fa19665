"""Clusters that a user describes: what is given is what is simulated, or it is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.quantities import Quantity
from praesepe.sky.clusters.parameters import draw_clusters
from praesepe.sky.clusters.profiles import PROFILES
from praesepe.sky.clusters.validation import (
    METALLICITY_TOLERANCE_DEX,
    names_to_indices,
    validate_clusters,
)
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import METALLICITY_STEP_DEX, SurveyTables
from praesepe.stars import IsochroneGrid
from praesepe.stars.store import write_grid
from praesepe.survey import load_survey
from praesepe.survey.clusters import ProfileName

GIVEN = {"log_age": 8.0, "log_mass": 3.0, "log_rh": -0.5}


def survey_with(**tables):
    phat = load_survey("phat-nodust")
    return phat.with_values(observation={"bands": phat.bands[1:2]}, **tables)


@pytest.fixture(scope="module")
def simulator():
    return Simulator(survey_with(), seed=1, n_fields=0)


@pytest.fixture(scope="module")
def varied():
    """A survey that draws metallicity and extinction."""
    return Simulator(
        survey_with(clusters={"metallicity": (0.008, 0.02), "a_v": (0.2, 1.0)}), seed=1, n_fields=0
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"log_age": 11.5}, "cluster 1: log_age = 11.5; allowed are 6.6 to 10.1.*'sse'"),
        ({"log_age": 6.57}, "allowed are 6.6 to 10.1"),
        ({"log_age": [8.0, 10.13]}, "cluster 2: log_age = 10.13"),
        ({"log_z": math.log10(0.0002)}, r"Z = 0\.0002.*Z = 0\.02 only; put a range into metall"),
        ({"log_z": math.log10(0.02) + 0.03}, "put a range into metallicity"),
        ({"a_v": 1.0}, "a_v = 1; the survey has 0 only mag; put a wider range into a_v"),
        ({"model": 7}, r"model = 7; allowed are 0 \(sse\); name others in isochrones"),
        ({"model": "parsec"}, "unknown model 'parsec'.*name others in isochrones"),
        ({"model": 0.5}, "model = 0.5: it must be a whole number"),
        ({"profile": 9}, r"allowed are 0 \(eff\), 1 \(king\), 2 \(plummer\)"),
        ({"profile": -1}, "profile = -1"),
        ({"profile": "kong"}, "unknown profile 'kong'. Did you mean 'king'"),
        ({"profile": ["eff", "sersic"]}, "unknown profile 'sersic'"),
        ({"tidal_radius": -3.0}, "tidal_scale = -0.*allowed are positive"),
        ({"gamma": 1.5}, "gamma = 1.5; allowed are values above 2"),
        ({"gamma": 2.0}, "allowed are values above 2"),
        ({"concentration": 4.0}, "allowed are 0.1 to 3.5"),
        ({"ellipticity": 1.5}, "allowed are 0 to 0.9"),
        ({"segregation": -3.0}, "allowed are 0 to 1"),
        ({"log_mass": 12.0}, "log_mass = 12; allowed are 0 to 8"),
        ({"log_rh": 5.0}, r"rh_arcsec = 1e\+05\); allowed is half a stamp at most, 1\.6 arcsec"),
        ({"log_age": "old"}, "log_age = 'old': it must be a number"),
        ({"log_age": None}, "finite"),
        ({"log_age": MaskedColumn([8.0, 9.0], mask=[False, True])}, "finite"),
        ({"model": float("nan")}, "finite"),
        ({"log_age": []}, "clusters = 0"),
    ],
)
def test_what_is_not_simulated_is_refused(simulator, given, said):
    with pytest.raises(InputError, match=said):
        simulator.observe(GIVEN | given)


@pytest.mark.parametrize("n", [0, -1])
def test_no_clusters(simulator, n):
    with pytest.raises(InputError, match="at least 1"):
        simulator.observe(GIVEN, n)
    with pytest.raises(InputError, match="at least 1"):
        simulator.observe(simulator.sample(2).part(slice(0)))


@pytest.mark.parametrize(
    "given",
    [
        {"log_age": 6.576},
        {"log_age": 10.124},
        {"log_z": math.log10(0.02) - 0.02},
        {"log_rh": math.log10(1.6)},
        {"ellipticity": 0.9, "segregation": 1.0, "concentration": 0.1, "gamma": 2.01},
        {"profile": "king", "model": "sse"},
        {"profile": np.array(["king", "plummer"]), "model": [0, 0]},
        {"log_age": torch.tensor([7.0, 8.0])},
        {"log_age": np.array([7.0, 8.0], dtype=">f4")},
    ],
)
def test_what_is_simulated_passes(simulator, given):
    n = max(np.asarray(value).size for value in given.values())
    mocks = simulator.observe(GIVEN | given)
    assert len(mocks) == n
    assert torch.isfinite(mocks.images).all()
    if "log_age" in given:
        assert mocks.labels[:, 0].tolist() == pytest.approx(np.ravel(given["log_age"]).tolist())


def test_names_are_their_numbers(simulator):
    names = names_to_indices(
        {"profile": ["plummer", "eff"], "model": "sse", "gamma": 3.0}, simulator.survey
    )
    assert names["profile"].tolist() == [2, 0]
    assert int(names["model"]) == 0
    assert names["gamma"] == 3.0
    settings = {"seed": 4, "n_fields": 0, "tables": simulator.tables}
    by_name, by_number = (
        Simulator(simulator.survey, **settings).observe(GIVEN | {"profile": profile}).images
        for profile in ("king", PROFILES.index("king"))
    )
    assert torch.equal(by_name, by_number)


def test_the_truth_holds_what_was_given(simulator):
    truth = simulator.observe(GIVEN | {"profile": "king", "concentration": [1.0, 2.0]}).truth
    assert truth["profile"].tolist() == [1, 1]
    assert truth["concentration"].tolist() == [1.0, 2.0]
    assert "profile" not in simulator.observe(GIVEN).truth


def test_a_given_metallicity_is_that_of_the_stars(varied):
    """Red giants are redder, thus an old cluster fainter in blue light, where Z is higher."""
    given = {"log_age": 9.8, "log_mass": 5.0, "log_rh": 0.0, "a_v": 0.2}
    band = varied.survey.bands[0].name
    poor, rich = (
        varied.observe(given | {"log_z": math.log10(z)}, 8).truth[f"mag_{band}"].median()
        for z in (0.008, 0.02)
    )
    assert rich > poor + 0.1
    for beyond in (0.0076, 0.0211):  # half a step of 0.05 dex
        varied.observe(given | {"log_z": math.log10(beyond)})
    for beyond in (0.0075, 0.03):
        with pytest.raises(InputError, match=r"Z = 0\.008 to 0\.02; put a wider range"):
            varied.observe(given | {"log_z": math.log10(beyond)})
    with pytest.raises(InputError, match=r"0\.2 to 1 mag"):
        varied.observe(given | {"a_v": 1.1})


def test_the_tolerance_is_half_a_step():
    assert METALLICITY_TOLERANCE_DEX == METALLICITY_STEP_DEX / 2


def test_each_model_has_its_own_ages(tmp_path):
    grid = IsochroneGrid.embedded()
    young = IsochroneGrid(
        grid.log_age[:20], grid.metallicity, tuple(row[:20] for row in grid.isochrones)
    )
    path = tmp_path / "young.npz"
    write_grid(path, young)
    survey = survey_with(
        clusters={"log_age": (6.6, 7.5), "stars": {"isochrones": ("sse", str(path))}}
    )
    simulator = Simulator(survey, seed=1, n_fields=0)
    simulator.observe(GIVEN | {"log_age": 9.0, "model": "sse"})
    with pytest.raises(InputError, match=r"log_age = 9; allowed are 6\.6 to 7\.55.*young"):
        simulator.observe(GIVEN | {"log_age": 9.0, "model": 1})


@pytest.mark.parametrize(
    "survey",
    [
        load_survey("phat-nodust"),
        survey_with(
            clusters={
                "metallicity": (0.03, 0.045),
                "a_v": (0.3, 2.0),
                "a_v_scatter": 0.2,
                "log_age": (6.575, 10.125),
                "log_mass": (0.0, 8.0),
                "rh_arcsec": (0.01, 1.6),
                "gamma": (2.01, 9.0),
                "king_concentration": (0.1, 3.5),
                "ellipticity": (0.0, 0.9),
                "segregation": (0.0, 1.0),
                "profile": ("eff", "king", "plummer"),
            },
        ),
    ],
)
def test_all_that_a_prior_draws_is_allowed(survey):
    tables = SurveyTables.build(survey).cluster
    clusters = draw_clusters(survey, 3000, generator=torch.Generator().manual_seed(1))
    validate_clusters(clusters, survey, tables)
    wrong = clusters.part(slice(2)).with_values(gamma=[3.0, 2.0])
    with pytest.raises(InputError, match="row 7: gamma = 2; allowed"):
        validate_clusters(wrong, survey, tables, names=["row 4", "row 7"])


def test_limits_are_those_of_the_registry(simulator, monkeypatch):
    """A quantity is limited by its entry alone: another limit needs no other module."""
    narrow = replace(quantities.get("log_age"), limits=(7.0, 7.5))
    monkeypatch.setitem(quantities._REGISTRY, "log_age", narrow)
    with pytest.raises(InputError, match=r"log_age = 8; allowed are 7 to 7\.5"):
        simulator.observe(GIVEN)
    simulator.observe(GIVEN | {"log_age": 7.2})


def test_profiles_are_the_categories_of_the_registry():
    assert quantities.get("profile").categories == PROFILES == get_args(ProfileName)


def test_quantities_of_ones_own_have_limits_and_numbers(simulator):
    """Limits may be open to one side; a logarithm may be given by its number."""
    spin = Quantity("log_spin", "s", "dex", "", linear="spin", limits=(-1.0, np.inf), prior="spin")
    quantities.register(spin)
    try:
        survey = simulator.survey.with_values(clusters={"spin": (1.0, 2.0)})
        clusters = draw_clusters(survey, 1, generator=torch.Generator()).with_values(spin=100.0)
        assert clusters.more["log_spin"].tolist() == [2.0]
        validate_clusters(clusters, survey, simulator.tables.cluster)
        wrong = clusters.with_values(spin=0.01)
        with pytest.raises(InputError, match="log_spin = -2; allowed are -1 to inf"):
            validate_clusters(wrong, survey, simulator.tables.cluster)
    finally:
        quantities.unregister("log_spin")
