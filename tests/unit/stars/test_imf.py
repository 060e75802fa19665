"""The initial mass function: normalised, invertible, and sampled as it says."""

import numpy as np
import pytest
from scipy import integrate, stats

from praesepe.errors import InputError
from praesepe.stars import KROUPA2001, BrokenPowerLaw
from praesepe.stars.imf import CHABRIER2003, SALPETER1955, LogNormalPowerLaw, imf_from
from praesepe.survey import MassFunction

ONE_AND_TWO = BrokenPowerLaw(edges=(0.1, 1.0, 50.0), slopes=(1.0, 2.0))
EVERY = {
    "kroupa": KROUPA2001,
    "salpeter": SALPETER1955,
    "chabrier": CHABRIER2003,
    "slopes of 1 and 2": ONE_AND_TWO,
    "flat": BrokenPowerLaw(edges=(0.5, 2.0, 20.0), slopes=(0.0, 3.5)),
}
every = pytest.mark.parametrize("imf", EVERY.values(), ids=EVERY)


def density(imf, mass, step=1e-4):
    """Stars per solar mass, as the cumulative distribution rises."""
    return (imf.cdf(mass * (1 + step)) - imf.cdf(mass * (1 - step))) / (2 * step * mass)


@every
def test_it_is_normalised_continuous_and_has_its_mean_mass(imf):
    parts = zip(imf.edges, imf.edges[1:], strict=False)
    lighter = sum(integrate.quad(imf.cdf, *ends, epsabs=1e-11)[0] for ends in parts)
    assert imf.mean_mass == pytest.approx(imf.edges[-1] - lighter, rel=1e-7)  # by parts
    for edge in imf.edges[1:-1]:
        below, above = density(imf, edge * 0.9998), density(imf, edge * 1.0002)
        assert below == pytest.approx(above, rel=5e-3)
    outside = [imf.edges[0] / 2, imf.edges[-1] * 2]
    np.testing.assert_allclose(imf.cdf(outside), [0, 1], atol=1e-12)


@every
def test_inverse_and_cumulative_distribution_belong_together(imf):
    mass = np.geomspace(imf.edges[0] * 1.0001, imf.edges[-1] * 0.99, 300)
    np.testing.assert_allclose(imf.ppf(imf.cdf(mass)), mass, rtol=1e-8)
    np.testing.assert_allclose(imf.ppf([0.0, 1.0]), [imf.edges[0], imf.edges[-1]], rtol=1e-8)


@every
def test_each_is_sampled_as_it_says_and_not_as_a_slightly_steeper_one(imf, rng):
    masses = imf.ppf(rng.random(30_000))
    assert stats.kstest(masses, imf.cdf).pvalue > 0.01
    assert stats.kstest(masses**0.97, imf.cdf).pvalue < 1e-4


def test_slopes_near_one_and_two_agree_with_the_exact_ones():
    near = BrokenPowerLaw(edges=ONE_AND_TWO.edges, slopes=(1 + 1e-7, 2 - 1e-7))
    mass = np.geomspace(0.1, 50, 40)
    np.testing.assert_allclose(near.cdf(mass), ONE_AND_TWO.cdf(mass), atol=1e-6)
    assert near.mean_mass == pytest.approx(ONE_AND_TWO.mean_mass, rel=1e-6)


def test_chabrier_has_the_published_form():
    """Equation 17: at 1 solar mass, 0.0441 per dex where the Gaussian peaks at 0.158."""
    peak = density(CHABRIER2003, 0.081) * 0.081
    gauss = np.exp(-0.5 * (np.log10(0.081 / 0.079) / 0.69) ** 2)
    at_break = density(CHABRIER2003, 1.0)
    assert at_break / (peak / gauss) == pytest.approx(0.0441 / 0.158, rel=2e-3)
    slope = np.log10(density(CHABRIER2003, 40.0) / density(CHABRIER2003, 4.0))
    assert slope == pytest.approx(-2.3, rel=1e-5)


def test_a_function_is_found_by_its_name_or_made_of_edges_and_slopes():
    assert imf_from("kroupa2001") is KROUPA2001
    assert imf_from("chabrier2003") is CHABRIER2003
    assert imf_from("salpeter1955") is SALPETER1955
    own = imf_from(MassFunction(edges=(0.1, 1.0, 50.0), slopes=(1.0, 2.0)))
    assert own == ONE_AND_TWO
    with pytest.raises(InputError, match="kroupa2001"):
        imf_from("kroupa2002")


def test_impossible_log_normals_are_refused():
    with pytest.raises(InputError, match="ascend"):
        LogNormalPowerLaw(edges=(0.08, 1.0, 0.5), center=0.1, sigma_dex=0.5, slope=2.3)
    with pytest.raises(InputError, match="must be positive"):
        LogNormalPowerLaw(edges=(0.08, 1.0, 5.0), center=0.1, sigma_dex=0.0, slope=2.3)


def test_kroupa_mean_mass():
    assert KROUPA2001.mean_mass == pytest.approx(0.58, abs=0.005)


def test_slopes_on_either_side_of_the_break():
    low = np.log(density(KROUPA2001, 0.4) / density(KROUPA2001, 0.1)) / np.log(0.4 / 0.1)
    high = np.log(density(KROUPA2001, 50.0) / density(KROUPA2001, 1.0)) / np.log(50.0)
    assert (low, high) == pytest.approx((-1.3, -2.3), rel=1e-5)


@pytest.mark.parametrize(
    ("edges", "slopes", "says"),
    [
        ((0.08, 0.5), (1.3, 2.3), "positive numbers for"),
        ((0.08, 0.5, 0.4), (1.3, 2.3), "ascend"),
        ((0.0, 1.0), (2.3,), "positive numbers for"),
    ],
)
def test_impossible_functions_are_refused(edges, slopes, says):
    with pytest.raises(InputError, match=says):
        BrokenPowerLaw(edges=edges, slopes=slopes)
