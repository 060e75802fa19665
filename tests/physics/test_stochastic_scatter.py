"""Scatter of integrated light against mass: that of a Poissonian number of stars of each kind.

Cerviño & Luridiana 2006, A&A 451, 475: the light of a population adds up Poissonian numbers of
stars of every mass, so that its variance is N <f²>, and relative to the square of its mean
1 / (N <f>² / <f²>): one over the effective number of stars. N, the mean number of stars, is the
mass over the mean mass of a star; <f> and <f²> are integrals over the initial mass function.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.sky.simulator import Simulator
from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
from praesepe.stars.magnitudes import imf_weights

MASSES = {1e3: 3000, 1e4: 1500, 1e5: 500}
"""Masses of the clusters, Msun, and the number of them."""


@pytest.fixture(scope="module")
def simulator():
    return Simulator("phat-nodust", n_fields=0)


def moments(simulator, log_age, imf=KROUPA2001):
    """<f>, <f²>, <f⁴> of the stars of an initial mass function, (3, band), and their mean mass."""
    survey, table = simulator.survey, simulator.tables.cluster[0]
    age = int(np.abs(table.log_age - log_age).argmin())
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    apparent = table.mag_ab[age, 0] + survey.distance_modulus
    flux = 10 ** (0.4 * (zero_points - apparent))
    weight = imf_weights(table.initial_mass[age, 0], imf)
    return np.array([weight @ flux**power for power in (1, 2, 4)]), imf.mean_mass


def excess(simulator, log_age, mass, seed, expected):
    """Measured over expected relative variance, minus one, in standard errors; (band,).

    The error of a variance of n clusters follows from the expected fourth moment.
    """
    sampler, n = simulator.stars, MASSES[mass]
    generator = torch.Generator().manual_seed(seed)
    mean_number = mass / sampler.mean_mass
    counts = torch.poisson(torch.full((n,), mean_number, dtype=torch.float64), generator=generator)
    isochrone = int(np.abs(sampler.log_age - log_age).argmin())
    drawn = sampler.draw(
        torch.full((n,), isochrone), counts, generator=generator, compute_truth=False
    )
    light = drawn.light.double().numpy()
    (first, second, fourth), mean_mass = expected
    stars = mass / mean_mass
    effective = stars * first**2 / second
    ratio = light.var(0) / (stars * first) ** 2 * effective
    kurtosis = fourth / second**2 / stars
    return (ratio - 1) / np.sqrt((2 + kurtosis) / n)


@pytest.mark.parametrize("log_age", [7.0, 8.0, 9.5])
@pytest.mark.parametrize("mass", MASSES)
def test_scatter_of_the_light_is_that_of_the_effective_number_of_stars(simulator, log_age, mass):
    off = excess(simulator, log_age, mass, 1, moments(simulator, log_age))
    assert (np.abs(off) < 4).all()


@pytest.mark.parametrize("log_age", [7.0, 8.0, 9.5])
def test_the_comparison_rejects_another_number_of_stars(simulator, log_age):
    """Negative control: clusters of twice the mass scatter by half the variance."""
    (first, second, fourth), mean_mass = moments(simulator, log_age)
    off = excess(simulator, log_age, 1e5, 1, ((first, second, fourth), mean_mass / 2))
    assert np.abs(off).max() > 6


@pytest.mark.parametrize(("log_age", "highest"), [(7.0, 10.0), (8.0, 5.0), (9.5, 1.45)])
def test_the_comparison_rejects_a_cut_mass_function(simulator, log_age, highest):
    """Negative control: without the few most massive stars nearly all of the scatter is gone."""
    cut = BrokenPowerLaw(edges=(0.08, 0.5, highest), slopes=(1.3, 2.3))
    off = excess(simulator, log_age, 1e4, 1, moments(simulator, log_age, cut))
    assert off.max() > 20


def test_clusters_of_equal_stars_would_scatter_by_far_less(simulator):
    """The effective number is below two per cent of all stars, at all ages and in all bands."""
    for log_age in (7.0, 8.0, 9.5):
        (first, second, _), _ = moments(simulator, log_age)
        assert (first**2 / second < 0.02).all()
