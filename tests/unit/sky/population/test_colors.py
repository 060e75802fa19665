"""Colors that differ from those of the isochrones: another R_V, and errors of stellar models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.sky.simulator import Simulator
from praesepe.stars.colors import N_TERMS, color_terms, uncertainty
from praesepe.stars.imf import KROUPA2001
from praesepe.survey import Survey, load_survey

BINARIES = {"binary_fraction": 0.4}


def survey_with(stars: dict[str, Any], **clusters: Any) -> Survey:
    phat = load_survey("phat-nodust")
    return phat.with_values(clusters={"stars": stars, **clusters})


def magnitudes(simulator: Simulator, n: int = 8, **given: Any) -> np.ndarray:
    """Of the same stars whatever is given, (band, n)."""
    clusters = simulator.sample(n).with_values(**{"log_mass": 4.0, "log_rh": -0.5} | given)
    simulator.seed(1)
    population = simulator.populate(clusters, compute_truth=False)
    return np.array([population.truth[f"mag_{b}"] for b in simulator.survey.band_names])


def test_the_terms_are_independent_and_of_unit_variance() -> None:
    log_teff, log_g = np.meshgrid(np.linspace(3.5, 4.7, 401), np.linspace(0, 5, 401))
    terms = color_terms(log_teff, log_g).reshape(-1, N_TERMS)
    np.testing.assert_allclose(terms.T @ terms / len(terms), np.eye(N_TERMS), atol=0.02)


def test_another_r_v_is_that_of_its_own_tables() -> None:
    ranged = Simulator(survey_with({"r_v": (2.6, 4.0)}, a_v=(0.0, 2.0)), n_fields=0)
    one = Simulator(survey_with({"r_v": 2.6}, a_v=(0.0, 2.0)), n_fields=0)
    for log_age in (7.0, 8.5, 10.0):
        given = {"log_age": log_age, "a_v": 2.0}
        expected, found = magnitudes(one, **given), magnitudes(ranged, **given, r_v=2.6)
        np.testing.assert_allclose(found, expected, atol=0.02)
        usual = magnitudes(ranged, **given, r_v=3.1)
        assert np.abs(usual - expected).max() > 0.1
    assert not one.draw(1).truth.keys() & {"r_v"}
    truth = ranged.draw(64).truth
    assert 2.6 <= truth["r_v"].min() < 2.9 < 3.7 < truth["r_v"].max() <= 4
    mocks = ranged.draw(8)
    torch.testing.assert_close(
        mocks.values(["e_bv"])[:, 0], mocks.truth["a_v"] / mocks.truth["r_v"]
    )


@pytest.mark.parametrize("stars", [{}, BINARIES])
def test_unresolved_stars_change_as_resolved_ones_do(stars: dict[str, Any]) -> None:
    """Mean and variance of many populations, drawn star by star and by the central limit."""
    simulator = Simulator(survey_with({"color_error_mag": 0.1, **stars}), n_fields=0)
    sampler, n = simulator.stars, 3000
    isochrone = torch.full((n,), int(np.abs(sampler.log_age - 9.0).argmin()))
    colors = torch.zeros(n, 3, N_TERMS)
    colors[:] = torch.tensor([[0.1, 0.2, -0.1, 0.15], [0.0, -0.1, 0.1, 0.1], [0.1, 0.0, 0.1, -0.1]])

    def light(n_stars: int, parts: int, colors: torch.Tensor | None) -> np.ndarray:
        generator = torch.Generator().manual_seed(n_stars)
        drawn = [
            sampler.draw(
                isochrone,
                torch.full((n,), float(n_stars)),
                generator=generator,
                colors=colors,
                compute_truth=False,
            ).light.double()
            for _ in range(parts)
        ]
        return sum(drawn).numpy()

    resolved, usual = light(60, 10, colors), light(60, 10, None)  # all of few stars
    together = light(600, 1, colors)
    error = resolved.std(0) / n**0.5
    assert (np.abs(together.mean(0) - resolved.mean(0)) < 5 * error).all()
    assert (np.abs(usual.mean(0) - resolved.mean(0)) > 5 * error).any()
    spread = np.percentile(resolved, [16, 84], axis=0), np.percentile(together, [16, 84], axis=0)
    np.testing.assert_allclose(np.diff(spread[1], axis=0), np.diff(spread[0], axis=0), rtol=0.1)


def test_moments_follow_exactly_where_all_stars_are_summed() -> None:
    """The mean and the mean squares of unresolved stars, against sums over the isochrone."""
    simulator = Simulator(survey_with({"color_error_mag": 0.1}), n_fields=0)
    sampler = simulator.stars
    i = int(np.abs(sampler.log_age - 8.5).argmin())
    individual, unresolved = sampler.individual, sampler.unresolved
    colors = 0.05 * torch.randn(1, 3, N_TERMS, generator=torch.Generator().manual_seed(3))
    populations = sampler.populations(torch.tensor([i]), torch.tensor([1e4]), colors=colors)
    level = sampler.levels.n * (i + 1) - 1  # no star is sampled
    mean, second = unresolved.mean[[level]].clone(), unresolved.second[[level]].clone()
    before = mean.clone()
    assert populations.colors is not None
    slopes = unresolved.moments.mean_colors, unresolved.moments.second_colors
    assert slopes[0] is not None
    assert slopes[1] is not None
    populations.colors.moments(mean, second, (slopes[0][[level]], slopes[1][[level]]))
    nodes = torch.arange(individual._n_nodes) + i * individual._n_nodes
    flux = [individual.light(nodes, torch.full((len(nodes),), t)).double() for t in (0.25, 0.75)]
    factor = populations.colors.of_stars(torch.zeros_like(nodes), nodes).double()
    mass = individual._start[0].view(-1, individual._n_nodes)[i].double().numpy()
    weight = torch.as_tensor(np.diff(KROUPA2001.cdf(mass), append=1.0))
    light = sum((f * factor * weight).sum(1) for f in flux) / 2
    square = sum(((f * factor) ** 2 * weight).sum(1) for f in flux) / 2
    torch.testing.assert_close(mean[0, 3:], light, rtol=0.003, atol=0)
    torch.testing.assert_close(second[0].diagonal()[3:], square, rtol=0.01, atol=0)
    assert (before[0, 3:] / light - 1).abs().max() > 0.02


def test_errors_are_larger_in_the_ultraviolet_and_of_young_stars() -> None:
    simulator = Simulator(survey_with({"color_error_mag": 0.08}), n_fields=0)
    perfect = Simulator(survey_with({"color_error_mag": 0.08}), n_fields=0, nuisances=False)
    scatter = {}
    for log_age in (6.8, 9.5):
        magnitude, true = (magnitudes(s, 60, log_age=log_age, log_mass=6.0) for s in
                           (simulator, perfect))  # fmt: skip
        scatter[log_age] = (magnitude.std(1), true.std(1))
        assert (scatter[log_age][0] > 1.5 * scatter[log_age][1]).all()
    excess = {age: np.sqrt(a**2 - b**2) for age, (a, b) in scatter.items()}
    assert (excess[9.5] > 0.02).all()
    assert (excess[9.5] < 0.2).all()
    assert excess[9.5][0] > 1.2 * excess[9.5][2]
    assert uncertainty([2700.0, 5500.0], [6.6, 9.0]).tolist() == [[3.0, 1.5], [2.0, 1.0]]


def test_tables_without_the_terms_refuse_colors() -> None:
    sampler = Simulator(survey_with({}), n_fields=0).stars
    with pytest.raises(InputError, match="need tables of stars with color terms"):
        sampler.draw(
            torch.tensor([0]),
            torch.tensor([10.0]),
            generator=torch.Generator(),
            colors=torch.zeros(1, 3, N_TERMS),
        )
