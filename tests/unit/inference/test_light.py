"""Magnitudes of the posterior: those of simulated clusters of the same age, mass and dust."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.inference.light import ClusterLight, make_light
from praesepe.inference.prediction import predict
from praesepe.network.estimator import Estimator
from praesepe.sky.simulator import Simulator
from praesepe.stars.curves import band_curve
from praesepe.survey import Survey, load_survey

INFERS = ("log_age", "log_mass", "log_rh", "a_v")


@pytest.fixture(scope="module")
def survey() -> Survey:
    """Half of the stars have companions; dust of the galaxy, and in front of it."""
    phat = load_survey("phat-nodust")
    return phat.with_values(
        clusters={"a_v": (0.0, 1.0), "stars": {"binary_fraction": 0.5}},
        galaxy={"foreground_a_v": (0.0, 0.3), "distance_pc": (7e5, 9e5)},
    )


@pytest.fixture(scope="module")
def light(survey: Survey) -> ClusterLight:
    return ClusterLight.of(survey)


@pytest.fixture(scope="module")
def simulator(survey: Survey) -> Simulator:
    return Simulator(survey, seed=1, n_fields=0)


def test_magnitudes_are_those_of_simulated_clusters(
    survey: Survey, light: ClusterLight, simulator: Simulator
) -> None:
    """Of a million solar masses, which scatter by 0.01 mag where massive stars shine."""
    place = {"foreground_a_v": 0.2, "distance_pc": 8e5, "log_rh": -0.5, "log_mass": 6.0}
    for log_age, a_v in ((7.0, 0.0), (8.0, 0.85), (9.5, 0.4)):
        given = place | {"log_age": log_age, "a_v": a_v}
        truth = simulator.observe(given, n=4).truth
        seen = np.array([truth[f"mag_{name}"].numpy().mean() for name in survey.band_names])
        mass = float(truth["log_mass"].mean())
        np.testing.assert_allclose(light(log_age, mass, a_v + 0.2, 8e5), seen, atol=0.03)
        assert abs(light(log_age, mass, a_v + 0.2, 8.5e5)[1] - seen[1]) > 0.1
    between = light([7.95, 8.0, 8.02], 4, 0.3, 8e5)[:, 1]
    assert (np.diff(between) > 0).all()  # fading, between the ages of the table too


def test_magnitudes_follow_an_inferred_metallicity(survey: Survey) -> None:
    """Red light of old clusters by their metals, as simulated; without them, the middle's."""
    metals = (0.008, 0.03)
    varied = survey.with_values(clusters={"metallicity": metals})
    light = ClusterLight.of(varied, metallicity_varies=True)
    place = {"foreground_a_v": 0.2, "distance_pc": 8e5, "log_rh": -0.5, "log_mass": 6.0}
    given = place | {"log_age": 9.5, "a_v": 0.0, "log_z": np.log10(metals)}
    simulator = Simulator(varied, seed=1, n_fields=0)
    truth = simulator.observe(given).truth
    seen = np.stack([truth[f"mag_{name}"].numpy() for name in varied.band_names], 1)
    mass = truth["log_mass"].numpy()
    expected = light(9.5, mass, 0.2, 8e5, np.log10(metals))
    np.testing.assert_allclose(expected, seen, atol=0.05)
    assert np.abs(light(9.5, mass, 0.2, 8e5) - seen).max() > 0.1


@pytest.mark.parametrize("log_mass", [2.5, 3.5])
def test_clusters_of_few_stars_scatter(
    survey: Survey, light: ClusterLight, simulator: Simulator, log_mass: float
) -> None:
    """As simulated ones do: most are fainter than the mean, above all in the red."""
    place = {"foreground_a_v": 0.2, "distance_pc": 8e5, "log_rh": -0.5, "a_v": 0.0}
    given = place | {"log_age": 8.5, "log_mass": log_mass}
    truth = simulator.observe(given, n=400).truth
    mean = light(8.5, truth["log_mass"].numpy(), 0.2, 8e5)
    seen = np.stack([truth[f"mag_{name}"].numpy() for name in survey.band_names], 1) - mean
    drawn = light.scatter(np.full(4000, 8.5), np.full(4000, log_mass), np.random.default_rng(1))
    for q in (16, 50, 84):
        found, expected = (np.percentile(one, q, axis=0) for one in (drawn, seen))
        np.testing.assert_allclose(found, expected, atol=0.12 if log_mass == 3.5 else 0.25)
    assert (np.percentile(seen, 84, axis=0) - np.percentile(seen, 16, axis=0) > 0.15).all()


def test_a_catalog_has_them(survey: Survey, light: ClusterLight, noise: Any) -> None:
    model = Estimator.untrained(
        survey, encoder="tiny", infers=INFERS, conditions=["foreground_a_v", "log_distance"]
    )
    settings: Any = {
        "check": False, "n_samples": 100, "keep": "draws",
        "known": {"foreground_a_v": 0.1, "distance_pc": 7.5e5},
    }  # fmt: skip
    result = predict(model, *noise, **settings, magnitudes="AB")
    age, mass, _, a_v = np.moveaxis(result.samples[1], 1, 0)
    drawn = light(age, mass, a_v + 0.1, 7.5e5)
    drawn += light.scatter(age, mass, np.random.default_rng((0, 1)))
    expected = np.percentile(drawn, [16, 50, 84], axis=0)
    for band, three in zip(survey.band_names, expected.T, strict=True):
        found = [result[f"mag_{band}_p{p}"][1] for p in (16, 50, 84)]
        np.testing.assert_allclose(found, three, atol=6e-4)
    assert result["mag_F475W_p50"].mask.tolist() == [False] * 3 + [True]
    assert result["mag_F475W_p50"].unit == "mag"
    assert result["mag_F475W_p50"].description.startswith("AB magnitude of the whole cluster")
    vega = predict(model, *noise, **settings, magnitudes="Vega")
    shift = vega["mag_F336W_p50"][0] - result["mag_F336W_p50"][0]
    assert shift == pytest.approx(band_curve(survey.bands[0]).vega_minus_ab, abs=2e-3)
    assert (result.meta["magnitudes"], vega.meta["magnitudes"]) == ("AB", "Vega")


def test_what_is_refused(survey: Survey) -> None:
    with pytest.raises(InputError, match="unknown system of magnitudes 'ST'"):
        ClusterLight.of(survey, "ST")
    model = Estimator.untrained(survey, encoder="tiny")
    with pytest.raises(InputError, match="tells no magnitudes: a_v, foreground_a_v, log_distance"):
        make_light(model, "AB")
    assert make_light(model, None) is None
