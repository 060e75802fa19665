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


@every
def test_it_is_normalised_continuous_and_has_its_mean_mass(imf):
    def integral(power):
        parts = zip(imf.edges, imf.edges[1:], strict=False)
        return sum(integrate.quad(lambda m: m**power * imf.pdf(m), *ends)[0] for ends in parts)

    assert integral(0) == pytest.approx(1.0, rel=1e-7)
    assert imf.mean_mass == pytest.approx(integral(1), rel=1e-7)
    for edge in imf.edges[1:-1]:
        assert imf.pdf(edge * (1 - 1e-9)) == pytest.approx(imf.pdf(edge * (1 + 1e-9)), rel=1e-6)
    outside = [imf.edges[0] / 2, imf.edges[-1] * 2]
    np.testing.assert_array_equal(imf.pdf(outside), 0)
    np.testing.assert_allclose(imf.cdf(outside), [0, 1], atol=1e-12)


@every
def test_density_inverse_and_cumulative_distribution_belong_together(imf):
    mass = np.geomspace(imf.edges[0] * 1.0001, imf.edges[-1] * 0.99, 300)
    np.testing.assert_allclose(imf.ppf(imf.cdf(mass)), mass, rtol=1e-8)
    np.testing.assert_allclose(imf.ppf([0.0, 1.0]), [imf.edges[0], imf.edges[-1]], rtol=1e-8)
    away = np.abs(np.log(mass[:, None] / imf.edges)).min(1) > 1e-3
    mass = mass[away]
    slope = (imf.cdf(mass * (1 + 1e-5)) - imf.cdf(mass * (1 - 1e-5))) / (2e-5 * mass)
    np.testing.assert_allclose(imf.pdf(mass), slope, rtol=1e-4)


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
    peak = CHABRIER2003.pdf(0.08) * 0.08
    gauss = np.exp(-0.5 * (np.log10(0.08 / 0.079) / 0.69) ** 2)
    assert CHABRIER2003.pdf(1.0) / (peak / gauss) == pytest.approx(0.0441 / 0.158, rel=2e-3)
    slope = np.log(CHABRIER2003.pdf(40.0) / CHABRIER2003.pdf(4.0)) / np.log(10.0)
    assert slope == pytest.approx(-2.3)


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
    with pytest.raises(InputError, match="positive width"):
        LogNormalPowerLaw(edges=(0.08, 1.0, 5.0), center=0.1, sigma_dex=0.0, slope=2.3)


def test_kroupa_mean_mass():
    assert KROUPA2001.mean_mass == pytest.approx(0.58, abs=0.005)


def test_slopes_on_either_side_of_the_break():
    low = np.log(KROUPA2001.pdf(0.4) / KROUPA2001.pdf(0.1)) / np.log(0.4 / 0.1)
    high = np.log(KROUPA2001.pdf(50.0) / KROUPA2001.pdf(1.0)) / np.log(50.0)
    assert (low, high) == pytest.approx((-1.3, -2.3))


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
