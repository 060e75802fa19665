"""The initial mass function: normalised, invertible, and drawn as it says."""

import numpy as np
import pytest
from scipy import integrate, stats

from praesepe.errors import InputError
from praesepe.stars import KROUPA2001, BrokenPowerLaw


def test_kroupa_mean_mass():
    assert KROUPA2001.mean_mass == pytest.approx(0.58, abs=0.005)
    by_hand = integrate.quad(lambda m: m * KROUPA2001.pdf(m), 0.08, 120.0, points=[0.5])[0]
    assert KROUPA2001.mean_mass == pytest.approx(by_hand, rel=1e-5)


def test_density_is_normalised_and_continuous():
    total = integrate.quad(KROUPA2001.pdf, 0.08, 120.0, points=[0.5], limit=200)[0]
    assert total == pytest.approx(1.0, abs=1e-6)
    assert KROUPA2001.pdf(0.5 - 1e-9) == pytest.approx(KROUPA2001.pdf(0.5 + 1e-9), rel=1e-6)
    np.testing.assert_array_equal(KROUPA2001.pdf([0.05, 130.0]), 0.0)


def test_slopes_on_either_side_of_the_break():
    low = np.log(KROUPA2001.pdf(0.4) / KROUPA2001.pdf(0.1)) / np.log(0.4 / 0.1)
    high = np.log(KROUPA2001.pdf(50.0) / KROUPA2001.pdf(1.0)) / np.log(50.0)
    assert (low, high) == pytest.approx((-1.3, -2.3))


def test_inverse_undoes_the_cumulative_distribution():
    mass = np.geomspace(0.08, 119.0, 500)
    np.testing.assert_allclose(KROUPA2001.ppf(KROUPA2001.cdf(mass)), mass, rtol=1e-9)
    np.testing.assert_allclose(KROUPA2001.ppf([0.0, 1.0]), [0.08, 120.0], rtol=1e-9)
    np.testing.assert_allclose(KROUPA2001.cdf([0.01, 0.08, 120.0, 500.0]), [0, 0, 1, 1], atol=1e-12)


def test_draws_follow_the_distribution_and_not_another(rng):
    masses = KROUPA2001.ppf(rng.random(20_000))
    assert stats.kstest(masses, KROUPA2001.cdf).pvalue > 0.01
    other = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.5))
    assert stats.kstest(masses, other.cdf).pvalue < 1e-4


@pytest.mark.parametrize(
    ("edges", "slopes", "says"),
    [
        ((0.08, 0.5), (1.3, 2.3), "positive edges"),
        ((0.08, 0.5, 0.4), (1.3, 2.3), "ascend"),
        ((0.0, 1.0), (2.3,), "positive edges"),
    ],
)
def test_impossible_functions_are_refused(edges, slopes, says):
    with pytest.raises(InputError, match=says):
        BrokenPowerLaw(edges=edges, slopes=slopes)
