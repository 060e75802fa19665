"""Binaries: mass ratios follow the settings, from arrays and tensors alike."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from praesepe.errors import InputError
from praesepe.stars.binaries import Binaries

KINDS = [
    Binaries(0.5),
    Binaries(1.0, mass_ratio=(0.3, 0.9), slope=1.5),
    Binaries(0.2, mass_ratio=(0.01, 1.0), slope=-0.8),
]


@pytest.mark.parametrize("binaries", KINDS)
def test_mass_ratios_follow_their_distribution_and_not_another(binaries, rng):
    ratio = binaries.ppf(rng.random(20_000))
    assert stats.kstest(ratio, binaries.cdf).pvalue > 0.01
    other = Binaries(0.5, mass_ratio=binaries.mass_ratio, slope=binaries.slope + 0.3)
    assert stats.kstest(ratio, other.cdf).pvalue < 1e-4


@pytest.mark.parametrize("binaries", KINDS)
def test_density_is_a_power_law_and_gives_the_mean(binaries):
    low, high = binaries.mass_ratio
    q = np.linspace(low, high, 9)[1:-1]
    density = (binaries.cdf(q + 1e-6) - binaries.cdf(q - 1e-6)) / 2e-6
    np.testing.assert_allclose(density / density[0], (q / q[0]) ** binaries.slope, rtol=1e-5)
    mean = high - integrate.quad(binaries.cdf, low, high)[0]  # by parts
    assert binaries.mean_ratio == pytest.approx(mean, rel=1e-6)
    np.testing.assert_array_equal(binaries.cdf([low / 2, high * 1.1]), [0, 1])


@pytest.mark.parametrize("binaries", KINDS)
def test_tensors_and_arrays_agree(binaries, rng):
    u = rng.random((3, 50))
    ratio = binaries.ppf(torch.as_tensor(u))
    np.testing.assert_allclose(ratio.numpy(), binaries.ppf(u), rtol=1e-12)


def test_a_single_mass_ratio():
    twins = Binaries(0.3, mass_ratio=(1.0, 1.0), slope=2.0)
    np.testing.assert_allclose(twins.ppf(np.array([0.1, 0.9])), 1.0)
    assert twins.mean_ratio == 1.0
    np.testing.assert_array_equal(twins.cdf([0.9, 1.0]), [0.0, 1.0])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fraction": 1.2}, "at most 1"),
        ({"fraction": 0.5, "mass_ratio": (0.0, 1.0)}, "above 0 and up to 1"),
        ({"fraction": 0.5, "mass_ratio": (0.8, 0.2)}, "above 0 and up to 1"),
        ({"fraction": 0.5, "slope": -1.0}, "greater than -1"),
    ],
)
def test_impossible_binaries_are_refused(settings, says):
    with pytest.raises(InputError, match=says):
        Binaries(**settings)
