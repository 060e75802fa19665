"""Scatter and bias against scipy's, on values that could fool a standard deviation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from praesepe.statistics import bias, rms, robust_scatter


@pytest.fixture
def residual(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0.3, (0.1, 1.0), (4001, 2))


def test_agrees_with_scipy(residual: np.ndarray) -> None:
    expected = median_abs_deviation(residual, axis=0, scale="normal")
    np.testing.assert_allclose(robust_scatter(residual), expected, rtol=1e-12)
    np.testing.assert_allclose(bias(residual), np.median(residual, axis=0))


def test_is_the_standard_deviation_of_normal_values(residual: np.ndarray) -> None:
    np.testing.assert_allclose(robust_scatter(residual), (0.1, 1.0), rtol=0.06)
    np.testing.assert_allclose(rms(residual), np.hypot(0.3, (0.1, 1.0)), rtol=0.06)


def test_outliers_do_not_rule_it(residual: np.ndarray) -> None:
    clean = robust_scatter(residual)
    residual[:100] = 1e3
    np.testing.assert_allclose(robust_scatter(residual), clean, rtol=0.06)
    assert (rms(residual) > 100).all()  # the control: this one must notice
    assert (residual.std(axis=0) > 100 * clean).all()


def test_what_is_not_known_is_not_known(residual: np.ndarray) -> None:
    residual[5, 0] = np.nan
    for measure in (bias, robust_scatter, rms):
        values = measure(residual)
        assert np.isnan(values[0])
        assert np.isfinite(values[1])
        assert np.isnan(measure(np.zeros(0)))
        assert measure(np.zeros((0, 3))).shape == (3,)
