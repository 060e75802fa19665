"""Binaries and differential extinction whose amount differs from stamp to stamp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey

RATIOS = {"binary_mass_ratio": (0.4, 1.0)}


def survey_with(**clusters: Any) -> Survey:
    phat = load_survey("phat-nodust")
    bands = phat.bands[:2]
    return phat.with_values(observation={"bands": bands}, clusters=clusters)


def with_binaries(fraction: Any) -> Simulator:
    stars = {"binary_fraction": fraction, **RATIOS}
    return Simulator(survey_with(stars=stars, a_v=(0.0, 1.0)), n_fields=0)


@pytest.fixture(scope="module")
def ranged() -> Simulator:
    return with_binaries((0.0, 0.8))


def light(simulator: Simulator, log_age: float, n_stars: float, n: int, **given: Any) -> Any:
    """Light of populations, (n, band), and their mass over that of single stars."""
    sampler = simulator.stars
    isochrone = torch.full((n,), int(np.abs(sampler.log_age - log_age).argmin()))
    given = {name: torch.full((n,), value) for name, value in given.items()}
    numbers, generator = torch.full((n,), n_stars), torch.Generator().manual_seed(1)
    drawn = sampler.draw(isochrone, numbers, generator=generator, compute_truth=False, **given)
    return drawn.light.double().numpy(), float(drawn.mass.double().mean()) / n_stars


@pytest.mark.parametrize(("log_age", "n_stars", "n"), [(8.0, 500.0, 2000), (9.0, 3e5, 60)])
def test_a_fraction_of_binaries_is_that_of_its_own_tables(
    ranged: Simulator, log_age: float, n_stars: float, n: int
) -> None:
    one = with_binaries(0.3)
    (found, mass), (expected, own_mass) = (
        light(ranged, log_age, n_stars, n, a_v=0.7, binary_fraction=0.3),
        light(one, log_age, n_stars, n, a_v=0.7),
    )
    error = (found.var(0) / n + expected.var(0) / n) ** 0.5
    assert (np.abs(found.mean(0) - expected.mean(0)) < 4 * error + 2e-3 * expected.mean(0)).all()
    np.testing.assert_allclose(found.std(0), expected.std(0), rtol=5 / n**0.5)
    assert mass == pytest.approx(own_mass, rel=0.01)
    most, most_mass = light(ranged, log_age, n_stars, n, a_v=0.7)
    assert (most.mean(0) > 1.05 * expected.mean(0)).all()  # the highest fraction by default
    assert most_mass > 1.2 * mass


def test_no_star_may_have_a_companion(ranged: Simulator) -> None:
    found, _ = light(ranged, 8.0, 500.0, 3, a_v=0.7, binary_fraction=0.0)
    assert (found > 0).all()


def test_a_cluster_of_few_binaries_has_more_stars(ranged: Simulator) -> None:
    truth = ranged.observe({"log_mass": 4.0, "binary_fraction": [0.0] * 8 + [0.8] * 8}).truth
    stars = truth["n_stars"].double()
    ratio = float(stars[:8].mean() / stars[8:].mean())
    assert ratio == pytest.approx(1 + 0.8 * 0.7, rel=0.03)
    mass = 10 ** truth["log_mass"].double()
    np.testing.assert_allclose(mass.numpy(), 1e4, rtol=0.1)
    shares = ranged.draw(64).truth["binary_fraction"]
    assert 0 <= shares.min() < 0.15 < 0.65 < shares.max() <= 0.8


def test_differential_extinction_is_that_of_each_stamp() -> None:
    given = {"a_v": (0.0, 2.0)}
    ranged = Simulator(survey_with(a_v_scatter=(0.0, 0.5), **given), n_fields=0)
    one = Simulator(survey_with(a_v_scatter=0.5, **given), n_fields=0)
    settings = {"a_v": 1.0, "a_v_scatter": 0.5}
    for n_stars, n in ((50.0, 3000), (1e4, 200)):
        found, expected = (light(s, 8.0, n_stars, n, **settings)[0] for s in (ranged, one))
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-3 * expected.mean())
        without = light(ranged, 8.0, n_stars, n, a_v=1.0, a_v_scatter=0.0)[0]
        assert (expected.mean(0) > 1.02 * without.mean(0)).all()  # dust is not linear in the light
    both = light(ranged, 8.0, 1e4, 2, a_v=1.0, a_v_scatter=0.0)[0]
    clear = light(ranged, 8.0, 1e4, 2, a_v=1.0)[0]
    np.testing.assert_allclose(both, clear, rtol=1e-4)
    truth = ranged.draw(64).truth["a_v_scatter"]
    assert 0 <= truth.min() < 0.1 < 0.4 < truth.max() <= 0.5
