"""Photon and read noise against their exact distributions, and what must be found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.sky.instrument.noise import (
    MIN_NORMAL,
    MIN_READ_NOISE,
    photons_and_read_noise,
    photons_on_noise,
    poisson,
)

N = 250_000


def chi_square_p(observed, expected):
    """p-value of a histogram, classes of fewer than 10 expected ones put together."""
    few = expected < 10
    observed = np.append(observed[~few], observed[few].sum())
    expected = np.append(expected[~few], expected[few].sum())
    if expected[-1] < 1:
        observed, expected = observed[:-1], expected[:-1]
    return stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)


def counts_p(counts, mean):
    """p-value of whole numbers being Poisson deviates."""
    counts = np.asarray(counts).astype(int)
    top = int(max(counts.max(), mean + 10 * mean**0.5)) + 10
    expected = len(counts) * stats.poisson.pmf(np.arange(top), mean)
    return chi_square_p(np.bincount(counts, minlength=top), expected)


def moments(sample):
    return np.array([sample.mean(), sample.var(), stats.skew(sample), stats.kurtosis(sample)])


def check_moments(sample, cumulants, sigmas=4.5):
    """Mean, variance, skewness and excess kurtosis from the first four cumulants."""
    k1, k2, k3, k4 = cumulants
    expected = np.array([k1, k2, k3 / k2**1.5, k4 / k2**2])
    n = len(sample)
    error = np.array([(k2 / n) ** 0.5, (k4 + 2 * k2**2) ** 0.5 / n**0.5, 0, 0])
    halves = np.array([moments(part) for part in np.split(sample, 10)])
    error[2:] = halves[:, 2:].std(axis=0) / 10**0.5 + 0.002
    return bool((np.abs(moments(sample) - expected) < sigmas * error).all())


@pytest.mark.parametrize(
    "mean", [0.02, 0.7, 1.0, 1.5, 5.0, MIN_NORMAL - 0.01, MIN_NORMAL, 14.0, 50.0, 3000.0]
)
def test_poisson(mean, generator):
    counts = poisson(torch.full((N,), mean), generator=generator).double().numpy()
    assert (counts == np.floor(counts)).all()
    assert counts.min() >= 0
    assert counts_p(counts, mean) > 1e-3
    assert check_moments(counts, [mean] * 4)


@pytest.mark.parametrize("mean", [5.0, 14.0, 50.0])
def test_a_rounded_normal_deviate_would_be_noticed(mean, rng):
    normal = np.clip(np.round(rng.normal(mean, mean**0.5, N)), 0, None)
    assert counts_p(normal, mean) < 1e-6
    assert not check_moments(normal, [mean] * 4)


def test_poisson_of_many_means_at_once(generator):
    mean = torch.tensor([0.0, 0.3, 4.0, 30.0, 1e6]).repeat(60_000)
    counts = poisson(mean.view(2, -1, 5), generator=generator)
    assert counts.shape == (2, 30_000, 5)
    counts = counts.view(-1, 5).double().numpy()
    assert (counts[:, 0] == 0).all()
    for column, value in enumerate((0.3, 4.0, 30.0), start=1):
        assert counts_p(counts[:, column], value) > 1e-3
    assert counts[:, 4].std() == pytest.approx(1000, rel=0.02)
    correlation = np.corrcoef(counts[:, 1:].T)
    assert np.abs(correlation - np.eye(4)).max() < 0.02


def with_read_noise(mean, read_noise, generator):
    images = torch.full((N // 2500, 1, 50, 50), mean)
    noise = torch.tensor([[[read_noise]]])
    return photons_and_read_noise(images, noise, generator=generator).double().numpy().ravel()


def both_p(sample, mean, read_noise):
    """p-value of the histogram of the sum of Poisson and normal deviates."""
    spread = (mean + read_noise**2) ** 0.5
    edges = mean + spread * np.linspace(-4, 5, 46)
    counts = np.arange(int(mean + 12 * mean**0.5) + 30)
    weight = stats.poisson.pmf(counts, mean)
    below = stats.norm.cdf((edges[:, None] - counts) / read_noise) @ weight
    expected = len(sample) * np.diff(np.concatenate([[0], below, [1]]))
    edges = np.concatenate([[-np.inf], edges, [np.inf]])
    return chi_square_p(np.histogram(sample, edges)[0], expected)


@pytest.mark.parametrize("read_noise", [MIN_READ_NOISE, 5.5])
@pytest.mark.parametrize("mean", [0.0, 0.2, 2.0, 8.0, 12.0, 60.0, 2000.0])
def test_photons_and_read_noise(mean, read_noise, generator):
    sample = with_read_noise(mean, read_noise, generator)
    assert both_p(sample, mean, read_noise) > 1e-3
    assert check_moments(sample, [mean, mean + read_noise**2, mean, mean])


@pytest.mark.parametrize(("mean", "read_noise"), [(8.0, 2.0), (5.0, 2.0), (60.0, 5.5)])
def test_a_plain_normal_deviate_would_be_noticed(mean, read_noise, rng):
    normal = rng.normal(mean, (mean + read_noise**2) ** 0.5, N)
    assert both_p(normal, mean, read_noise) < 1e-6
    assert not check_moments(normal, [mean, mean + read_noise**2, mean, mean])


@pytest.mark.parametrize("mean", [0.0, 0.02, 0.125, 0.5, 2.0, 8.0, 60.0, 2000.0])
def test_photons_on_noise_that_is_there_already(mean, generator, rng):
    """Alone they have the moments, with the least read noise also the distribution."""
    photons = photons_on_noise(torch.full((N,), mean), generator=generator).double().numpy()
    for read_noise in (MIN_READ_NOISE, 5.5):
        sample = photons + read_noise * rng.standard_normal(N)
        assert both_p(sample, mean, read_noise) > 1e-3
        assert check_moments(sample, [mean, mean + read_noise**2, mean, mean])
    assert photons.mean() == pytest.approx(mean, abs=4.5 * (mean / N) ** 0.5)
    assert photons.var() == pytest.approx(mean, rel=0.05)
    if mean >= 0.5:
        assert stats.skew(photons) == pytest.approx(mean**-0.5, rel=0.05, abs=0.03)


def test_a_read_noise_wrong_by_five_per_cent_would_be_noticed(generator):
    assert both_p(with_read_noise(10.0, 1.05 * 5.5, generator), 10.0, 5.5) < 1e-6
