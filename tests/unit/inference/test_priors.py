"""Priors that are changed after the training, and what is known of quantities, by weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from praesepe.cli.common import as_options, priors
from praesepe.errors import InputError
from praesepe.flags import Flag
from praesepe.inference.draws import read_samples
from praesepe.inference.prediction import predict
from praesepe.inference.priors import (
    counting,
    log_mean,
    make_density,
    make_reweighting,
    normalised,
    trained_density,
)
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior
from praesepe.survey import Survey, load_survey

INFERS = ("log_age", "log_mass", "log_rh", "a_v")
SURVEY = load_survey("phat")
GRID = {"log_age": (6.6, 10.1), "log_mass": (2.0, 4.5), "a_v": (0.0, 2.5)}


def untrained(survey: Survey = SURVEY, **settings: Any) -> Estimator:
    return Estimator.untrained(survey, encoder="tiny", infers=INFERS, seed=3, **settings)


@pytest.fixture(scope="module")
def model() -> Estimator:
    return untrained()


@pytest.fixture(scope="module")
def inputs(wcs: WCS) -> tuple[dict[str, Any], Table]:
    planes = np.random.default_rng(1).normal(0.01, 0.01, (3, 200, 200)).astype(np.float32)
    images = {name: (plane, wcs) for name, plane in zip(SURVEY.band_names, planes, strict=True)}
    x = np.array([60.0, 90.0, 120.0, -500.0])
    ra, dec = wcs.pixel_to_world_values(x, x)
    return images, Table({"ra": ra, "dec": dec, "AGE": [7.0, 8.0, np.nan, 9.0]})


PRIORS = [
    ("a_v", "exponential:0.7", lambda x: np.exp(-x / 0.7)),
    ("a_v", ("uniform", 0.0, 2.0), lambda x: 1.0 * (x <= 2)),
    ("log_mass", "power:-2", lambda x: 10**-x),  # dN/dM ~ M^-2: per dex M^-1
    ("log_mass", "power:-1", lambda x: 1 + 0 * x),
    ("log_mass", "exponential:1e4", lambda x: 10**x * np.exp(-(10**x) / 1e4)),
    ("log_age", "normal:8.2:0.3", lambda x: np.exp(-0.5 * ((x - 8.2) / 0.3) ** 2)),
]


@pytest.mark.parametrize(("name", "given", "density"), PRIORS)
def test_a_density_is_what_it_says(model: Estimator, name: str, given: Any, density: Any) -> None:
    low, high = GRID[name]
    x = np.linspace(low, high, 20_001)
    found = np.exp(make_density(model, name, given).log(x))
    assert np.trapezoid(found, x) == pytest.approx(1, abs=2e-4)
    np.testing.assert_allclose(found / found[0], density(x) / density(x[0]), rtol=1e-6)


@pytest.mark.parametrize(("name", "given", "density"), PRIORS)
def test_weighted_draws_are_those_of_the_posterior_with_the_new_prior(
    model: Estimator, name: str, given: Any, density: Any
) -> None:
    """A normal likelihood, whose posterior with the training's prior is drawn exactly."""
    low, high = GRID[name]
    x = np.linspace(low, high, 20_001)
    likelihood = np.exp(-0.5 * ((x - (0.4 * low + 0.6 * high)) / (0.2 * (high - low))) ** 2)
    wanted = np.interp([0.16, 0.5, 0.84], share(likelihood * density(x)), x)
    rng = np.random.default_rng(5)
    draws = np.zeros((4, 40_000, 4), np.float32)
    draws[..., INFERS.index(name)] = np.interp(rng.random((4, 40_000)), share(likelihood), x)
    posterior = Posterior(draws, np.zeros(4), lambda _: _, INFERS)
    weighting = make_reweighting(model, {name: given})
    log_weights = weighting.log_weights(draws, np.arange(4))
    weighted = posterior.weighted(normalised(log_weights))
    axis, error = INFERS.index(name), 0.012 * (high - low)
    of_weights = weighted.percentile([16, 50, 84])[..., axis]
    of_draws = np.percentile(weighted.unweighted(4000).samples[..., axis], [16, 50, 84], axis=1)
    np.testing.assert_allclose(of_weights, wanted[:, None] * np.ones(4), atol=error)
    np.testing.assert_allclose(of_draws, wanted[:, None] * np.ones(4), atol=2 * error)
    assert 3000 < counting(log_weights)[0] < 40_001
    # the mean weight is the ratio of the evidences
    ratio = np.trapezoid(likelihood * density(x), x) / np.trapezoid(likelihood, x)
    ratio *= (high - low) / np.trapezoid(density(x), x)
    np.testing.assert_allclose(np.exp(log_mean(log_weights)), ratio, rtol=0.1)
    unweighted = posterior.percentile([16, 50, 84])[:, 0, axis]  # negative control
    assert (np.abs(unweighted - wanted).max() > 2 * error) == (given != "power:-1")


def share(density: np.ndarray) -> np.ndarray:
    sums = np.cumsum(density)
    return sums / sums[-1]


@pytest.mark.parametrize("given", ["exponential:0.7", "normal:0.1:0.4", "uniform"])
def test_no_prior_has_negative_extinctions(model: Estimator, given: str) -> None:
    """Draws that leak a little count as none; of those further below none does."""
    draws = np.zeros((2, 6, 4), np.float32)
    draws[..., INFERS.index("a_v")] = [-1.0, -0.05, -0.01, 0.0, 0.01, 1.0], [-1.0] * 6
    log_weights = make_reweighting(model, {"a_v": given}).log_weights(draws, np.arange(2))
    assert np.isneginf(log_weights[0]).tolist() == [True] * 2 + [False] * 4
    assert log_weights[0, 2] == pytest.approx(log_weights[0, 3], abs=0.02)
    assert counting(log_weights)[1] == 0  # a row of nothing else has no values


def test_what_was_trained_is_divided_out(inputs: Any) -> None:
    """Sizes that were drawn from a normal density: the same prior again changes nothing."""
    in_pc = {"rh_arcsec": None, "rh_pc": (0.3, 3.0), "log_rh_normal": (0.1, 0.2)}
    model = untrained(SURVEY.with_values(clusters=in_pc))
    trained = trained_density(model, "log_rh")
    assert trained is not None
    shift = math.log10(SURVEY.pc_per_arcsec)
    assert trained.numbers == pytest.approx((0.1 - shift, 0.2))
    draws = np.random.default_rng(2).normal(-0.4, 0.1, (1, 50, 4))
    same = make_reweighting(model, {"log_rh": ("normal", *trained.numbers)})
    np.testing.assert_allclose(same.log_weights(draws, np.zeros(1, int)), 0, atol=1e-9)
    flat = make_reweighting(model, {"log_rh": ("uniform", *trained.ends)})
    assert np.ptp(flat.log_weights(draws, np.zeros(1, int))) > 0.1
    galaxies = {"distance_pc": (5e6, 9e6)}
    far = untrained(SURVEY.with_values(clusters=in_pc, galaxy=galaxies))
    with pytest.raises(InputError, match="no simple one of 'log_rh'") as raised:
        make_density(far, "log_rh", "power:-2")
    assert raised.value.allowed == ("log_age", "log_mass", "a_v")


def test_predict_honours_a_prior(model: Estimator, inputs: Any, tmp_path: Path) -> None:
    settings: Any = {"keep": "draws", "n_samples": 300, "check": False}
    usual = predict(model, *inputs, **settings)
    assert usual.meta["prior"]["a_v"] == "uniform:0:2.5"
    file = tmp_path / "draws.parquet"
    prior = {"a_v": "exponential:0.3", "log_mass": "power:-2"}
    low = predict(model, *inputs, **settings, prior=prior, samples=file)
    assert low.meta["prior"] == usual.meta["prior"] | prior
    assert (low["a_v_p50"] < usual["a_v_p50"] - 0.3)[:3].all()
    assert low["a_v_p50"].mask[3]
    assert (low["a_v_mode"] < usual["a_v_p50"])[:3].all()
    assert (low["n_modes"] > 0).tolist() == [True] * 3 + [False]
    np.testing.assert_allclose(np.median(low.samples[:3, :, 3], 1), low["a_v_p50"][:3], atol=0.03)
    np.testing.assert_allclose(low.std[:3], low.samples[:3].std(1), rtol=0.15)
    np.testing.assert_allclose(low.weights.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(low.draws(1), low.samples[1])
    np.testing.assert_allclose(read_samples(file).values, low.samples, atol=1e-6)
    # The density differs by what the priors do, and by one factor for all points.
    points = usual.samples[1, :40]
    assert np.isneginf(low.log_prob(1, points[points[:, 3] < -0.03])).all()
    points = points[points[:, 3] > -0.02]
    shift = low.log_prob(1, points) - usual.log_prob(1, points)
    expected = -points[:, 3].clip(0) / 0.3 - math.log(10) * points[:, 1]
    np.testing.assert_allclose(np.ptp(shift - expected), 0, atol=1e-3)


def test_what_the_posterior_hardly_reaches_is_flagged(model: Estimator, inputs: Any) -> None:
    settings: Any = {"check": False, "n_samples": 100, "keep": "draws"}
    few = predict(model, *inputs, **settings, prior={"log_age": "normal:8:0.0005"})
    assert (few["flags"][:3] & Flag.FEW_DRAWS).all()
    np.testing.assert_allclose(few["log_age_p50"][:3], 8, atol=0.002)
    narrow = predict(model, *inputs, **settings, prior={"log_age": "normal:8:0.02"})
    assert not (narrow["flags"] & Flag.FEW_DRAWS).any()  # 2000 draws would not be enough
    # None at all: no values, rather than wrong ones.
    never = {"log_age": ("uniform", 8.0, 8.0 + 1e-6)}
    nothing = predict(model, *inputs, **settings, prior=never)
    assert (nothing["flags"][:3] & Flag.FEW_DRAWS).all()
    assert nothing["a_v_p50"].mask.all()
    assert nothing["a_v_mode"].mask.all()
    assert (nothing["n_modes"] == 0).all()
    assert np.isnan(nothing.samples).all()
    assert np.isnan(nothing.log_prob(0, [8.0, 3.0, -0.5, 1.0]))


def test_what_is_known_of_any_quantity(model: Estimator, inputs: Any) -> None:
    settings: Any = {"check": False, "n_samples": 300}
    free = predict(model, *inputs, **settings)
    told = predict(model, *inputs, **settings, known={"log_age": ("AGE", 0.1), "a_v": (0.3, 0.2)})
    np.testing.assert_allclose(told["log_age_p50"][:2], [7, 8], atol=0.03)
    np.testing.assert_allclose(told["log_age_p84"][:2] - told["log_age_p50"][:2], 0.1, rtol=0.2)
    assert told["log_age_p84"][2] - told["log_age_p50"][2] > 0.5  # of this row it is not known
    assert (np.abs(told["a_v_p50"] - 0.35) < 0.15)[:3].all()
    assert (free["a_v_p84"] > 1.2)[:3].all()
    assert told.meta["told"]["a_v"] == {"value": [0.3], "error": [0.2], "from": "given"}
    assert "told" not in free.meta


@pytest.mark.parametrize(
    ("settings", "said", "options"),
    [
        ({"prior": {"AV": "power:1"}}, "unknown inferred quantity 'AV'. Did you mean 'a_v'", ""),
        ({"prior": {"a_v": "exp:1"}}, "unknown form of prior 'exp'. Allowed: 'uniform'", ""),
        ({"prior": {"a_v": "uniform:1"}}, "'uniform:1': it must be uniform:LOW:HIGH", ""),
        ({"prior": {"a_v": "uniform:0:3"}}, r"prior of a_v = 3 is outside .*\(0 to 2.5\)", ""),
        ({"prior": {"a_v": "uniform:2:1"}}, "must be ascending", ""),
        ({"prior": {"a_v": "exponential:0"}}, "prior of a_v: scale = 0.0", ""),
        ({"prior": {"a_v": "exponential:x"}}, "prior of a_v: scale = 'x'", ""),
        ({"prior": {"a_v": "power:-1"}}, "must be uniform, normal or exponential", ""),
        ({"prior": {"log_age": "normal:12:1"}}, "prior of log_age = 12 is outside", ""),
        ({"prior": {"log_age": "exponential:100"}}, "more than nothing", ""),
        ({"known": {"log_age": 8.0}}, "'log_age' is given without", "--known log_age=8.0:0.1"),
        ({"known": {"log_age": ("AGE", 0)}}, "without an error", "--known log_age=AGE:0.1"),
        ({"known": {"log_age": (5.0, 0.1)}}, "known log_age = 5 is outside the range", ""),
        ({"known": {"log_mass": ("AGE", 0.1)}}, "known log_mass = 7 is outside the range", ""),
        ({"known": {"log_age": (8.0, -1)}}, "error of log_age = -1", ""),
        ({"known": {"foreground_a_v": 0.1}}, "is not told 'foreground_a_v'", ""),
    ],
)  # fmt: skip
def test_what_is_refused(
    model: Estimator, inputs: Any, settings: Any, said: str, options: str
) -> None:
    with pytest.raises(InputError, match=said) as raised:
        predict(model, *inputs, check=False, **settings)
    assert as_options(raised.value.code) == options


def test_options() -> None:
    given = priors(["a_v=exponential:0.7", "log_age=uniform:6.6:9.5"])
    assert given == {"a_v": "exponential:0.7", "log_age": "uniform:6.6:9.5"}
    for wrong in (["a_v"], ["a_v="], ["a_v=power:1", "a_v=power:2"]):
        with pytest.raises(InputError, match="--prior a_v"):
            priors(wrong)
