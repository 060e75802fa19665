"""Calibration: uniform for posteriors that are right, and not for those that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from praesepe.errors import InputError
from praesepe.statistics import (
    coverage,
    ks_bound,
    ks_distance,
    probability_integral_transform,
    tarp_levels,
)

N, N_SAMPLES = 2000, 99
CORRELATION = 0.8


def posterior(
    rng: np.random.Generator, *, claimed: float = 1.0, offset: float = 0.0, correlation: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """Draws and truths of a two-dimensional normal problem whose posterior is known.

    Truth and draws come from the same normal distribution around a common centre, unless an
    argument makes the claimed posterior wider, shifted, or otherwise correlated.
    """

    def around(center: np.ndarray, rho: float, shape: tuple[int, ...]) -> np.ndarray:
        root = np.linalg.cholesky(np.array([[1.0, rho], [rho, 1.0]]))
        return center + rng.normal(size=(*shape, 2)) @ root.T

    center = rng.normal(0, 3, (N, 2))
    truth = around(center, CORRELATION, (N,))
    spread = around(np.zeros(2), correlation, (N, N_SAMPLES))
    return center[:, None] + claimed * spread + offset, truth


def tarp(rng: np.random.Generator, samples: np.ndarray, truth: np.ndarray) -> float:
    """Kolmogorov–Smirnov distance of the TARP levels."""
    return float(ks_distance(tarp_levels(samples, truth, rng.uniform(-6, 6, (N, 2)))))


def test_a_true_posterior_is_calibrated(rng: np.random.Generator) -> None:
    samples, truth = posterior(rng)
    pit = probability_integral_transform(samples, truth)
    assert (ks_distance(pit) < ks_bound(N)).all()
    np.testing.assert_allclose(coverage(pit, 0.6827), 0.6827, atol=0.04)
    np.testing.assert_allclose(coverage(pit, 0.9545), 0.9545, atol=0.02)
    assert tarp(rng, samples, truth) < ks_bound(N)


@pytest.mark.parametrize("wrong", [{"claimed": 0.5}, {"claimed": 2.0}, {"offset": 0.3}])
def test_a_wrong_posterior_is_found(rng: np.random.Generator, wrong: dict[str, float]) -> None:
    samples, truth = posterior(rng, **wrong)
    pit = probability_integral_transform(samples, truth)
    assert (ks_distance(pit) > ks_bound(N)).all()
    # A common shift averages out among references on all sides: TARP need not see it.
    assert tarp(rng, samples, truth) > ks_bound(N) or "offset" in wrong


def test_only_tarp_sees_a_wrong_correlation(rng: np.random.Generator) -> None:
    samples, truth = posterior(rng, correlation=-CORRELATION)
    pit = probability_integral_transform(samples, truth)
    assert (ks_distance(pit) < ks_bound(N)).all()
    assert tarp(rng, samples, truth) > 1.5 * ks_bound(N)


def test_an_overconfident_posterior_covers_what_it_must(rng: np.random.Generator) -> None:
    samples, truth = posterior(rng, claimed=0.5)
    pit = probability_integral_transform(samples, truth)
    np.testing.assert_allclose(coverage(pit, 0.6827), 0.383, atol=0.04)  # erf(0.5 / sqrt 2)


def test_probability_integral_transform() -> None:
    draws = np.arange(9, dtype=float)[None, :, None] * np.ones(3)
    truth = np.array([[-1.0, 4.5, 99.0]])
    np.testing.assert_allclose(probability_integral_transform(draws, truth), [[0.05, 0.55, 0.95]])
    uniform = (np.arange(10_000) + 0.5) / 10_000
    assert coverage(uniform, 0.6827) == pytest.approx(0.6827, abs=1e-3)


def test_ranks_are_uniform(rng: np.random.Generator) -> None:
    samples, truth = posterior(rng)
    counts = np.histogram(probability_integral_transform(samples, truth)[:, 0], 10, (0, 1))[0]
    chi_squared = np.sum((counts - N / 10) ** 2 / (N / 10))
    assert chi_squared < 27.9  # 0.1 % for nine degrees of freedom
    samples, truth = posterior(rng, offset=0.3)
    counts = np.histogram(probability_integral_transform(samples, truth)[:, 0], 10, (0, 1))[0]
    assert np.sum((counts - N / 10) ** 2 / (N / 10)) > 100


def test_ks_distance_agrees_with_scipy(rng: np.random.Generator) -> None:
    for values in (rng.uniform(size=300), rng.beta(2, 1, 300), np.full(3, 0.5)):
        expected = kstest(values, "uniform").statistic
        assert ks_distance(values) == pytest.approx(expected, abs=1e-12)
    both = rng.uniform(size=(50, 2))
    np.testing.assert_allclose(
        ks_distance(both), [kstest(column, "uniform").statistic for column in both.T]
    )


def test_the_bound_is_seldom_exceeded(rng: np.random.Generator) -> None:
    distances = ks_distance(rng.uniform(size=(200, 2000)))
    assert np.mean(distances > ks_bound(200, 0.05)) == pytest.approx(0.04, abs=0.02)


def test_what_is_not_known_is_not_known() -> None:
    assert np.isnan(coverage([0.5, np.nan], 0.68))
    assert np.isnan(ks_distance([0.5, np.nan]))
    assert np.isnan(coverage([], 0.68))
    assert np.isnan(ks_distance([]))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(4, 5, 3\).*\(4, 2\)"):
        probability_integral_transform(np.zeros((4, 5, 3)), np.zeros((4, 2)))
    with pytest.raises(InputError, match="at least one draw"):
        probability_integral_transform(np.zeros((4, 0, 3)), np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"must be both \(N, D\)"):
        tarp_levels(np.zeros((4, 5, 3)), np.zeros((4, 3)), np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"level = 68"):
        coverage([0.5], 68)
    with pytest.raises(InputError, match="n = 0"):
        ks_bound(0)
