"""The star sampler: masses, light and its scatter, non-luminous and unresolved stars."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.errors import InputError
from praesepe.sky.population.sampler import StarSampler
from praesepe.sky.simulator import Simulator
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
from praesepe.stars.magnitudes import StellarTable, imf_weights

ABOVE_THE_LIMIT = 0.1
"""e-/s; well above the simulator's flux limits, so that no fractiond point counts."""


@pytest.fixture(scope="module")
def simulator():
    return Simulator("phat-nodust", n_fields=0)


@pytest.fixture(scope="module")
def table(simulator):
    return simulator.tables.cluster[0]


def sampler_of(simulator, **settings):
    survey = simulator.survey
    given = {
        "unit_magnitude": [b.zero_point_ab - survey.distance_modulus for b in survey.bands],
        "flux_limit": [0.0] * len(survey.bands),
    }
    return StarSampler(simulator.tables.cluster, **{**given, **settings})


@pytest.fixture(scope="module")
def single(simulator):
    """A sampler that draws every star individually."""
    return sampler_of(simulator)


@pytest.fixture(scope="module")
def usual(simulator):
    """The simulator's own, which sums stars too faint to be told apart."""
    return simulator.stars


def age(table, log_age):
    return int(np.abs(table.log_age - log_age).argmin())


def draw(sampler, isochrone, counts, generator):
    counts = torch.as_tensor(counts, dtype=torch.float64)
    return sampler.draw(torch.full((len(counts),), isochrone), counts, generator=generator)


def flux_of(simulator, isochrone):
    """Flux (e-/s) of each point of an isochrone from its magnitudes, and the IMF's weight."""
    survey, table = simulator.survey, simulator.tables.cluster[0]
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    apparent = table.mag_ab[isochrone, 0] + survey.distance_modulus
    weight = imf_weights(table.initial_mass[isochrone, 0], KROUPA2001)
    return 10 ** (0.4 * (zero_points - apparent)), weight


def test_masses_follow_the_initial_mass_function(single, generator):
    """Populations of one star each: the mass of a population is that of the star."""
    mass = draw(single, 0, np.ones(40_000), generator).mass.double().numpy()
    assert stats.kstest(mass, KROUPA2001.cdf).pvalue > 0.01
    steeper = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.5))
    assert stats.kstest(mass, steeper.cdf).pvalue < 1e-4


def test_massive_stars_follow_the_initial_mass_function(single, generator):
    mass = draw(single, 0, np.ones(400_000), generator).mass.double().numpy()
    massive = mass[mass > 8]
    fraction = (KROUPA2001.cdf(massive) - KROUPA2001.cdf(8.0)) / (1 - KROUPA2001.cdf(8.0))
    assert len(massive) > 1000
    assert stats.kstest(fraction, "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", ["single", "usual"])
@pytest.mark.parametrize("log_age", [7.0, 8.5, 10.0])
def test_mean_light_is_the_integral_over_the_mass_function(
    request, simulator, table, generator, kind, log_age
):
    """Within 1 per cent and four times the sampling error, which the same integral predicts."""
    sampler, isochrone = request.getfixturevalue(kind), age(table, log_age)
    n, stars = 300, 2000
    light = draw(sampler, isochrone, [stars] * n, generator).light.double().mean(0).numpy()
    mass = stars * KROUPA2001.mean_mass
    magnitude = table.integrated_magnitudes(log_age, float(table.metallicity[0]), mass)
    zero_points = np.array([band.zero_point_ab for band in simulator.survey.bands])
    expected = 10 ** (0.4 * (zero_points - magnitude - simulator.survey.distance_modulus))
    flux, weight = flux_of(simulator, isochrone)
    error = np.sqrt(stars * (weight @ flux**2) / n)
    assert (np.abs(light - expected) < 0.01 * expected + 4 * error).all()
    assert (error < 0.13 * expected).all()  # the test can fail


def moments(simulator, isochrone, up_to):
    flux, weight = flux_of(simulator, isochrone)
    return [weight @ flux**power for power in range(1, up_to + 1)]


@pytest.mark.parametrize("kind", ["single", "usual"])
@pytest.mark.parametrize("log_age", [6.85, 7.35, 7.85])
def test_scatter_of_the_light_is_poissonian(request, simulator, table, generator, kind, log_age):
    """For a Poissonian number of stars the variance is N <f^2>, its error from N <f^4>."""
    sampler, isochrone = request.getfixturevalue(kind), age(table, log_age)
    n, stars = 1000, 1000.0
    counts = torch.poisson(torch.full((n,), stars), generator=generator)
    light = draw(sampler, isochrone, counts, generator).light.double()
    _, second, _, fourth = moments(simulator, isochrone, 4)
    expected = stars * second
    error = np.sqrt(stars * fourth / n + 2 * expected**2 / n)
    variance = light.var(0).numpy()
    assert (np.abs(variance - expected) < 0.03 * expected + 4 * error).all()
    assert (error[[0, 2]] < 0.2 * expected[[0, 2]]).all()


def test_the_scatter_test_rejects_clusters_of_average_stars(simulator, table):
    """Stars of equal light scatter by far less."""
    first, second = moments(simulator, age(table, 7.35), 2)
    assert (first**2 < 0.02 * second).all()


def test_totals_are_those_of_the_points(usual, table, generator):
    counts = torch.tensor([300.0, 4000.0, 1.0, 20_000.0])
    isochrones = torch.tensor([age(table, a) for a in (6.6, 8.0, 9.0, 10.1)])
    drawn = usual.draw(isochrones, counts, generator=generator)
    light = torch.zeros(4, 3, dtype=torch.float64)
    light.index_add_(0, drawn.population, drawn.flux.double().T)
    np.testing.assert_allclose(light, drawn.light, rtol=2e-4)
    assert drawn.population.min() >= 0
    assert drawn.population.max() <= 3
    assert (drawn.flux >= 0).all()


def test_mass_is_the_sum_of_the_initial_masses_living_or_dead(single, table, generator):
    """At 12 Gyr every star above 0.9 Msun is dead, and counts with what it was born with."""
    old = draw(single, age(table, 10.1), [1e5], generator)
    assert float(old.mass) == pytest.approx(1e5 * KROUPA2001.mean_mass, rel=0.02)


def test_dead_stars_are_dark(simulator, table, generator):
    dead = BrokenPowerLaw(edges=(20.0, 60.0), slopes=(2.3,))
    sampler = sampler_of(simulator, imf=dead)
    old = draw(sampler, age(table, 9.5), [500], generator)
    assert float(old.light.abs().max()) == 0.0
    assert float(old.mass) == pytest.approx(500 * dead.mean_mass, rel=0.1)
    young = draw(sampler, 0, [500], generator)
    assert float(young.light.min()) > 0


def test_no_star_is_brighter_than_its_isochrone(single, simulator, table, generator):
    for log_age in (6.6, 8.0, 10.1):
        isochrone = age(table, log_age)
        flux, _ = flux_of(simulator, isochrone)
        drawn = draw(single, isochrone, [50_000], generator).flux.double().numpy()
        assert (drawn.max(1) <= flux.max(0) * (1 + 1e-5)).all()


def test_the_number_of_individually_sampled_stars_is_binomial(usual, table, generator):
    """Points brighter than the limit: their number scatters as the fraction predicts."""
    n, stars, isochrone = 2000, 400, age(table, 7.5)
    drawn = draw(usual, isochrone, [stars] * n, generator)
    bright = (drawn.flux > ABOVE_THE_LIMIT).any(0)
    number = torch.bincount(drawn.population[bright], minlength=n).double()
    fraction = number.mean() / stars
    assert 0.02 < fraction < 0.5
    expected = stars * fraction * (1 - fraction)
    assert float(number.var()) == pytest.approx(float(expected), rel=4 * (2 / n) ** 0.5)


@pytest.mark.parametrize("log_age", [8.0, 10.1])
def test_unresolved_stars_have_the_mean_and_scatter_of_individually_sampled_ones(
    simulator, table, generator, log_age
):
    """With a limit that leaves only the faint: totals agree in mean, scatter and correlation."""
    isochrone, n, stars = age(table, log_age), 1500, 2000
    dwarfs = BrokenPowerLaw(edges=(0.08, 0.5, 0.7), slopes=(1.3, 2.3))
    unresolved = sampler_of(simulator, imf=dwarfs, flux_limit=[1e9] * 3)
    single = sampler_of(simulator, imf=dwarfs)
    one = draw(unresolved, isochrone, [stars] * n, generator)
    many = draw(single, isochrone, [stars] * n, generator)
    assert one.population.numel() < many.population.numel() / 2
    a = torch.cat((one.mass[:, None], one.light), 1).double().numpy()
    b = torch.cat((many.mass[:, None], many.light), 1).double().numpy()
    error = np.sqrt((a.var(0) + b.var(0)) / n)
    assert (np.abs(a.mean(0) - b.mean(0)) < 4 * error).all()
    np.testing.assert_allclose(a.std(0) / b.std(0), 1, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(np.corrcoef(a.T), np.corrcoef(b.T), atol=0.06)
    for column in range(4):
        assert stats.ks_2samp(a[:, column], b[:, column]).pvalue > 0.005


def test_owners_and_rows(usual, table, generator):
    """Each population has the light of its own age, also when some have no stars."""
    isochrones = torch.tensor([age(table, 6.8), age(table, 10.1), age(table, 8.0)])
    drawn = usual.draw(isochrones, torch.tensor([5000.0, 5000.0, 0.0]), generator=generator)
    assert drawn.light[0, 0] > 100 * drawn.light[1, 0]
    assert float(drawn.mass[2]) == 0.0
    assert float(drawn.light[2].abs().max()) == 0.0
    assert not (drawn.population == 2).any()


def test_the_same_seed_gives_the_same_stars(usual):
    def stars(seed):
        return draw(usual, 30, [500.0], torch.Generator().manual_seed(seed))

    assert torch.equal(stars(1).flux, stars(1).flux)
    assert not torch.equal(stars(1).mass, stars(2).mass)


def test_stars_below_the_first_isochrone_mass_shine_like_it(simulator, generator):
    """A table that starts at 0.5 Msun: lighter stars are as bright as its first star."""
    mass = np.linspace(0.5, 130, 50)
    magnitude = np.zeros((1, 1, 50, 3))
    shape = mass[None, None]
    age, metals = np.array([8.0]), np.array([0.02])
    bands, living = ("a", "b", "c"), np.array([[130.0]])
    table = StellarTable(age, metals, shape, shape, magnitude, bands, living)
    sampler = StarSampler(table, unit_magnitude=[0.0] * 3, flux_limit=[0.0] * 3)
    drawn = draw(sampler, 0, [1000], generator)
    np.testing.assert_allclose(drawn.flux, 1.0, rtol=1e-5)


@pytest.mark.parametrize("binaries", [None, Binaries(1.0)])
def test_individually_sampled_brown_dwarfs_are_non_luminous(simulator, table, generator, binaries):
    """Masses from 0.02 to 0.078 Msun, below all isochrones and what burns hydrogen."""
    dwarfs = BrokenPowerLaw(edges=(0.02, 0.078), slopes=(0.3,))
    sampler = sampler_of(simulator, imf=dwarfs, binaries=binaries)
    drawn = draw(sampler, age(table, 9.0), [1000], generator)
    assert float(drawn.light.abs().max()) == 0
    assert float(drawn.n_living) == 0
    np.testing.assert_allclose(drawn.present_mass, drawn.mass, rtol=1e-4)
    stars = draw(sampler_of(simulator), age(table, 9.0), [1000], generator)
    assert float(stars.n_living) > 900


def test_every_band_needs_a_unit_magnitude(simulator):
    with pytest.raises(InputError, match="one for each band"):
        sampler_of(simulator, unit_magnitude=[24.0, 25.0])
