"""Dust, binaries, several stellar models, and what is listed of each population."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.errors import InputError
from praesepe.sky.massive.sampler import MAX_POINTS, CrowdedSampler
from praesepe.stars import KROUPA2001, BrokenPowerLaw, IsochroneGrid, build_table, load_passband
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import CHABRIER2003, SALPETER1955
from praesepe.stars.magnitudes import StellarTable, present_mass_fraction
from praesepe.survey import load_survey

AGES = (7.0, 8.0, 9.5)


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def grid():
    """Three ages at one metallicity of the embedded isochrones."""
    whole = IsochroneGrid.embedded()
    column = whole.nearest_metallicity(0.02)
    index = [int(np.abs(whole.log_age - age).argmin()) for age in AGES]
    isochrones = tuple(whole.isochrone(i, column) for i in index)
    return IsochroneGrid(whole.log_age[index], whole.metallicity[[column]], (isochrones,))


@pytest.fixture(scope="module")
def build(survey, grid):
    curves = [load_passband(band.filter) for band in survey.bands]

    def table(a_v=0.0):
        return build_table(curves, grid=grid, a_v=a_v)

    return table


@pytest.fixture(scope="module")
def clear(build):
    return build()


@pytest.fixture(scope="module")
def dusty(build):
    return build((0.0, 2.5))


def sampler_of(survey, tables, flux_limit=0.0, **settings):
    bands = survey.bands
    limit = np.broadcast_to(flux_limit, len(bands)).tolist()
    return CrowdedSampler(
        tables,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in bands],
        flux_limit=limit,
        **settings,
    )


def draw(sampler, isochrone, n_stars, seed=1, **settings):
    counts = torch.as_tensor(n_stars, dtype=torch.float64)
    isochrones = torch.full((len(counts),), isochrone)
    generator = torch.Generator().manual_seed(seed)
    return sampler.draw(isochrones, counts, generator=generator, **settings)


def toy(light=lambda mass: mass, dust=None, name="a", n=2000, low=0.08):
    """One isochrone in one band whose stars shine as a function of their mass."""
    mass = np.geomspace(low, 130, n)
    magnitude = -2.5 * np.log10(light(mass))[None, None, :, None]
    terms = None if dust is None else np.tile(np.float32(dust), (1, 1, n, 1, 1))
    return StellarTable(
        np.array([8.0]),
        np.array([0.02]),
        mass[None, None],
        mass[None, None],
        magnitude,
        (name,),
        np.array([[mass[np.isfinite(magnitude[0, 0, :, 0])].max()]]),
        a_v=(0.0, 0.0) if dust is None else (0.0, 4.0),
        dust=terms,
    )


def toy_sampler(tables, **settings):
    return CrowdedSampler(tables, unit_magnitude=[0.0], **{"flux_limit": [0.0], **settings})


# ---- masses


@pytest.mark.parametrize("imf", [KROUPA2001, SALPETER1955, CHABRIER2003])
def test_primaries_above_the_cut_follow_the_mass_function(survey, clear, imf):
    """Individual stars: from the cut on, the truncated mass function, and not a steeper one."""
    sampler = sampler_of(survey, clear, 0.1, imf=imf)
    drawn = draw(sampler, 1, [2000.0] * 40)
    bright = drawn.flux.amax(0) > 0.2
    dead = drawn.flux.amax(0) == 0
    mass = drawn.star_mass[bright | dead].double().numpy()
    mass = mass[mass > 1.05 * np.quantile(mass, 0.1)]
    low = mass.min()
    assert len(mass) > 1000
    share = (imf.cdf(mass) - imf.cdf(low)) / (1 - imf.cdf(low))
    assert stats.kstest(share, "uniform").pvalue > 0.005
    steeper = share**0.85
    assert stats.kstest(steeper, "uniform").pvalue < 1e-3


# ---- binaries


@pytest.mark.parametrize("binaries", [Binaries(0.4), Binaries(0.4, (0.2, 0.9), slope=1.0)])
def test_companions_have_the_fraction_and_the_mass_ratios_asked_for(binaries):
    narrow = BrokenPowerLaw(edges=(1.0, 1.00001), slopes=(2.0,))
    n = 30_000
    drawn = draw(toy_sampler(toy(), imf=narrow, binaries=binaries), 0, [float(n)])
    ratio = drawn.star_mass.double().numpy() - 1
    ratio = ratio[ratio > 0.01]
    assert stats.binomtest(len(ratio), n, binaries.fraction).pvalue > 0.01
    assert stats.kstest(ratio, binaries.cdf).pvalue > 0.001
    assert stats.kstest(ratio, Binaries(1.0, (0.1, 1.0), slope=0.4).cdf).pvalue < 1e-4
    # The light of these stars equals their mass, and that of a binary is the sum.
    np.testing.assert_allclose(drawn.flux[0], drawn.star_mass, rtol=1e-3)


def test_brown_dwarfs_weigh_but_are_dark():
    narrow = BrokenPowerLaw(edges=(0.5, 0.50001), slopes=(2.0,))
    small = Binaries(1.0, mass_ratio=(0.05, 0.1))
    drawn = draw(toy_sampler(toy(), imf=narrow, binaries=small), 0, [1000.0])
    np.testing.assert_allclose(drawn.flux, 0.5, rtol=1e-4)
    assert drawn.star_mass.min() > 0.52
    assert float(drawn.n_living) == 1000


def test_companions_of_dead_stars_shine(survey, clear):
    massive = BrokenPowerLaw(edges=(20.0, 60.0), slopes=(2.3,))
    binaries = Binaries(1.0, mass_ratio=(0.01, 0.02))
    drawn = draw(sampler_of(survey, clear, imf=massive, binaries=binaries), 2, [500.0])
    shining = (drawn.flux > 0).all(0)
    assert 0.99 < float(shining.float().mean()) <= 1
    assert float(drawn.n_living) == int(shining.sum())


def mean_light(survey, table, age, binaries=None, cells=4000):
    """Light of a star of the mass function with its companion, by quadrature; (B,) in e-/s.

    Beside it, the root of the mean square of the light of single stars.
    """
    zero = np.array([band.zero_point_ab for band in survey.bands]) - survey.distance_modulus
    flux = 10 ** (-0.4 * (table.mag_ab[age, 0] - zero))
    known = table.initial_mass[age, 0]

    def light(mass):
        return np.stack([np.interp(mass, known, line, right=0.0) for line in flux.T], axis=-1)

    # Even steps in log mass, so that the few bright stars are sampled well.
    edges = np.geomspace(0.08, 120, cells + 1)
    edges = np.union1d(edges, known[(known > 0.08) & (known < 120)])
    share, mass = np.diff(KROUPA2001.cdf(edges)), 0.5 * (edges[1:] + edges[:-1])
    total, square = share @ light(mass), share @ light(mass) ** 2
    if binaries is not None:
        u = (np.arange(100) + 0.5) / 100
        second = np.mean([share @ light(q * mass) for q in binaries.ppf(u)], axis=0)
        total = total + binaries.fraction * second
    return total, square**0.5


@pytest.mark.parametrize("age", range(3))
@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_binaries_make_populations_brighter_by_what_the_integral_says(survey, clear, age, limit):
    binaries = Binaries(0.6, mass_ratio=(0.3, 1.0))
    n = 500_000.0
    drawn = draw(sampler_of(survey, clear, limit, binaries=binaries), age, [n] * 4)
    light = drawn.light.double().mean(0).numpy() / n
    expected, _ = mean_light(survey, clear, age, binaries)
    single, scatter = mean_light(survey, clear, age)
    error = 0.003 * expected + 4 * (1 + binaries.fraction) ** 0.5 * scatter / (4 * n) ** 0.5
    assert (np.abs(light - expected) < error).all()
    assert (expected - single > 2 * error)[:2].all()  # the test can fail


def test_mean_mass_counts_companions(survey, clear):
    binaries = Binaries(0.5, mass_ratio=(0.2, 1.0))
    sampler = sampler_of(survey, clear, 0.1, binaries=binaries)
    assert sampler.mean_mass == pytest.approx(KROUPA2001.mean_mass * 1.3)
    drawn = draw(sampler, 0, [1e5] * 20)
    assert float(drawn.mass.mean()) == pytest.approx(1e5 * sampler.mean_mass, rel=0.01)
    assert sampler_of(survey, clear, binaries=Binaries(0.0)).binaries is None


# ---- dust


def test_dust_dims_each_star_as_its_spectrum_demands(survey, build, dusty):
    """The same stars behind 1.3 mag, by the polynomial and by a table made for it."""
    behind = draw(sampler_of(survey, dusty), 0, [30_000.0], a_v=torch.tensor([1.3]))
    direct = draw(sampler_of(survey, build(1.3)), 0, [30_000.0])
    np.testing.assert_allclose(behind.star_mass, direct.star_mass)
    luminous = (direct.flux > 0).all(0)
    off = 2.5 * torch.log10(behind.flux[:, luminous] / direct.flux[:, luminous])
    # Between the points of an isochrone, the light is interpolated, and so is its attenuation.
    assert float(off.abs().quantile(0.98)) < 0.01
    assert float(off.abs().max()) < 0.03
    np.testing.assert_allclose(behind.light, direct.light, rtol=0.003)
    free = draw(sampler_of(survey, dusty), 0, [30_000.0])
    attenuation = 2.5 * torch.log10(free.light / behind.light)[0]
    assert attenuation[0] > 2.0 > attenuation[1] > 1.3 > attenuation[2] > 0.6


def test_no_extinction_is_the_lowest(survey, dusty):
    sampler = sampler_of(survey, dusty, 0.1)
    zero = draw(sampler, 1, [3000.0], a_v=torch.zeros(1))
    none = draw(sampler, 1, [3000.0])
    np.testing.assert_allclose(zero.light, none.light, rtol=1e-5)


@pytest.mark.parametrize("mean", [1.0, 0.15])
def test_extinction_scatters_from_star_to_star_as_asked(mean):
    """Grey dust in front of equal stars: the light is the extinction."""
    sampler = toy_sampler(toy(np.ones_like, dust=[[[1.0, 0.0]]]))
    drawn = draw(sampler, 0, [20_000.0], a_v=torch.tensor([mean]), a_v_scatter=0.2)
    a_v = -2.5 * drawn.flux[0].double().log10().numpy()
    at_zero = np.abs(a_v) < 1e-6
    assert stats.binomtest(int(at_zero.sum()), len(a_v), stats.norm.cdf(-mean / 0.2)).pvalue > 0.01
    rest = stats.truncnorm(-mean / 0.2, np.inf, mean, 0.2)
    assert stats.kstest(a_v[~at_zero], rest.cdf).pvalue > 0.01
    other = stats.truncnorm(-mean / 0.22, np.inf, mean, 0.22)
    assert stats.kstest(a_v[~at_zero], other.cdf).pvalue < 1e-4


@pytest.mark.parametrize("age", [1, 2])
@pytest.mark.parametrize("kind", ["dust", "scatter", "binaries", "all", "steep scatter"])
def test_sums_have_the_mean_and_covariance_of_single_stars(survey, clear, dusty, age, kind):
    """Mass, present mass, living stars and light of dwarfs, unresolved and drawn one by one."""
    n, stars = 1200, 1000.0
    dwarfs = BrokenPowerLaw(edges=(0.08, 0.5, 0.7), slopes=(1.3, 2.3))
    binaries = Binaries(0.5, (0.2, 1.0)) if kind in ("binaries", "all") else None
    dust = {}
    if kind != "binaries":
        dust["a_v"] = torch.full((n,), 0.3 if kind == "steep scatter" else 1.0)
        dust["a_v_scatter"] = {"dust": 0.0, "steep scatter": 0.6}.get(kind, 0.25)
    table = clear if kind == "binaries" else dusty

    def totals(limit, seed):
        sampler = sampler_of(survey, table, limit, imf=dwarfs, binaries=binaries)
        drawn = draw(sampler, age, [stars] * n, seed, **dust)
        return torch.column_stack((drawn.mass, drawn.present_mass, drawn.light)).double().numpy()

    a, b = totals(1e9, 1), totals(0.0, 2)
    error = np.sqrt((a.var(0) + b.var(0)) / n)
    assert (np.abs(a.mean(0) - b.mean(0)) < 4 * error).all()
    assert (error < 0.01 * b.mean(0)).all()
    np.testing.assert_allclose(a.std(0) / b.std(0), 1, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(np.corrcoef(a.T), np.corrcoef(b.T), atol=0.08)


def test_the_comparison_of_sums_rejects_a_missing_scatter(survey, dusty):
    """Negative control: differential extinction lets more light through than its mean."""
    n = 1200
    dwarfs = BrokenPowerLaw(edges=(0.08, 0.5, 0.7), slopes=(1.3, 2.3))
    sampler = sampler_of(survey, dusty, 1e9, imf=dwarfs)
    a_v = torch.full((n,), 1.0)
    with_scatter = draw(sampler, 1, [1000.0] * n, a_v=a_v, a_v_scatter=0.5).light.double()
    without = draw(sampler, 1, [1000.0] * n, seed=2, a_v=a_v).light.double()
    error = ((with_scatter.var(0) + without.var(0)) / n).sqrt()
    assert ((with_scatter - without).mean(0) > 6 * error).all()


def test_extinctions_that_cannot_be(survey, clear, dusty):
    sampler = sampler_of(survey, dusty)
    with pytest.raises(InputError, match="outside the tables of stars"):
        draw(sampler, 0, [10.0], a_v=torch.tensor([3.0]))
    with pytest.raises(InputError, match="cover a range"):
        draw(sampler_of(survey, clear), 0, [10.0], a_v_scatter=0.1)
    with pytest.raises(InputError, match="outside the tables of stars"):
        draw(sampler_of(survey, clear), 0, [10.0], a_v=torch.tensor([0.5]))


# ---- several models


def table_of(log_ages, metallicity, light):
    mass = np.geomspace(0.08, 130, 60)
    shape = (len(log_ages), len(metallicity), len(mass))
    magnitude = np.full((*shape, 1), -2.5 * np.log10(light))
    # Each isochrone one per cent brighter than the one before it.
    order = np.arange(shape[0] * shape[1]).reshape(shape[:2])
    magnitude -= 2.5 * np.log10(1.01) * order[..., None, None]
    every = np.broadcast_to(mass, shape)
    ages, highest = np.array(log_ages), every[..., -1]
    return StellarTable(ages, np.array(metallicity), every, every, magnitude, ("a",), highest)


def test_each_population_follows_its_own_model_age_and_metallicity():
    first = table_of([7.0, 8.0, 9.0], [0.004, 0.02], 1.0)
    second = table_of([6.5, 8.4], [0.001, 0.01, 0.03], 100.0)
    sampler = toy_sampler([first, second])
    model = torch.tensor([0, 1, 1, 0, 1, 0])
    log_age = torch.tensor([8.6, 7.4, 7.5, 5.0, 99.0, 7.4])
    log_z = torch.log10(torch.tensor([0.02, 0.01, 0.0005, 0.006, 0.9, 0.011]))
    isochrones = sampler.nearest_isochrone(model, log_age, log_z)
    assert isochrones.tolist() == [5, 6 + 1, 6 + 3, 0, 6 + 5, 1]
    counts = torch.full((6,), 100.0)
    drawn = sampler.draw(isochrones, counts, generator=torch.Generator().manual_seed(1))
    expected = [1.01**5, 100 * 1.01, 100 * 1.01**3, 1.0, 100 * 1.01**5, 1.01]
    np.testing.assert_allclose(drawn.light[:, 0] / 100, expected, rtol=1e-4)
    np.testing.assert_array_equal(sampler.log_age, first.log_age)


def test_isochrones_of_one_model_are_those_of_its_grid(survey, clear):
    sampler = sampler_of(survey, clear)
    age = torch.tensor([0, 2, 1])
    log_age = torch.as_tensor(clear.log_age)[age] + 0.01
    isochrones = sampler.nearest_isochrone(
        torch.zeros(3, dtype=torch.long), log_age, torch.full((3,), -1.7)
    )
    assert isochrones.tolist() == age.tolist()


def test_tables_that_do_not_belong_together(survey, clear, dusty):
    with pytest.raises(InputError, match="same filters and dust"):
        sampler_of(survey, [clear, dusty])
    with pytest.raises(InputError, match="same filters and dust"):
        toy_sampler([toy(), toy(name="b")])


# ---- what is listed


@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_living_stars_are_counted(survey, clear, limit):
    n, stars = 200, 5000.0
    sampler = sampler_of(survey, clear, limit)
    for age in range(3):
        drawn = draw(sampler, age, [stars] * n)
        alive = KROUPA2001.cdf(clear.max_living_mass[age, 0])
        dead = stars - drawn.n_living.double()
        error = np.sqrt(stars * alive * (1 - alive) / n)
        assert float(dead.mean()) == pytest.approx(stars * (1 - alive), abs=4 * error)
        assert float(dead.var()) == pytest.approx(stars * alive * (1 - alive), rel=0.45)
        assert 4 * error < 0.5 * stars * (1 - alive)  # the test can fail


@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_present_mass_is_what_is_left_of_the_stars_drawn(survey, clear, limit):
    sampler = sampler_of(survey, clear, limit)
    for age in range(3):
        drawn = draw(sampler, age, [30_000.0] * 40)
        left = float(drawn.present_mass.double().mean() / drawn.mass.double().mean())
        fraction = present_mass_fraction(
            clear.initial_mass[age, 0], clear.present_mass[age, 0], KROUPA2001
        )
        assert left == pytest.approx(fraction, abs=0.006)
        # Of these very stars: a cluster with more dead stars than usual has less left.
        assert (drawn.present_mass / drawn.mass).std() > 1e-4


def test_the_brightest_star_is_the_brightest_point(survey, clear):
    drawn = draw(sampler_of(survey, clear, 0.05), 0, [3000.0] * 20)
    for i in range(20):
        most = drawn.flux[:, drawn.population == i].amax(1)
        np.testing.assert_allclose(drawn.brightest[i], most, rtol=1e-5)


def test_the_brightest_unresolved_star_is_like_that_of_individually_sampled_ones(survey, clear):
    dwarfs = BrokenPowerLaw(edges=(0.08, 0.5, 0.7), slopes=(1.3, 2.3))
    unresolved = draw(sampler_of(survey, clear, 1e9, imf=dwarfs), 1, [150.0] * 3000).brightest
    single = draw(sampler_of(survey, clear, imf=dwarfs), 1, [150.0] * 3000, seed=2).brightest
    for band in range(3):
        assert stats.ks_2samp(unresolved[:, band], single[:, band]).pvalue > 0.01
    few = draw(sampler_of(survey, clear, imf=dwarfs), 1, [75.0] * 3000, seed=3).brightest
    assert stats.ks_2samp(unresolved[:, 2], few[:, 2]).pvalue < 1e-4


def test_without_truth_the_rest_is_the_same(survey, clear):
    sampler = sampler_of(survey, clear, 0.05)
    plain = draw(sampler, 1, [3000.0] * 3, compute_truth=False)
    assert plain.n_living is plain.brightest is plain.present_mass is None
    detailed = draw(sampler, 1, [3000.0] * 3)
    assert torch.equal(plain.flux, detailed.flux)
    assert torch.equal(plain.mass, detailed.mass)


def test_points_of_many_stars_have_the_mass_that_their_light_comes_from(survey, clear):
    """Between the mean mass of the faint stars and that of the brightest of them."""
    drawn = draw(sampler_of(survey, clear, 0.05), 1, [5000.0])
    mass = float(drawn.star_mass[-1])
    faint = drawn.star_mass == mass
    assert faint.sum() > 50
    for flux in drawn.flux[:, faint]:  # in each band some of the points share the light evenly
        assert len(flux[flux > 0].unique()) == 1
    assert 0.5 < mass < float(drawn.star_mass[~faint].min())


# ---- few and very many stars


def test_few_stars_are_drawn_star_by_star(survey, clear):
    """A sum of 30 stars is no normal deviate: its mean would suffer from the cut at zero."""
    drawn = draw(sampler_of(survey, clear, 1e9), 1, [30.0] * 2000)
    assert drawn.population.numel() == 60_000
    expected = 30 * mean_light(survey, clear, 1)[0]
    error = drawn.light.double().std(0).numpy() / 2000**0.5
    assert (np.abs(drawn.light.double().mean(0).numpy() - expected) < 4 * error).all()


@pytest.mark.parametrize("age", range(3))
def test_light_of_a_heavy_population_is_its_integrated_magnitude(survey, clear, age):
    sampler = sampler_of(survey, clear, 0.02)
    n = 3e6
    drawn = draw(sampler, age, [n] * 40)
    expected = clear.integrated_magnitudes(clear.log_age[age], 0.02, n * sampler.mean_mass)
    zero = np.array([band.zero_point_ab for band in survey.bands]) - survey.distance_modulus
    magnitude = zero - 2.5 * np.log10(drawn.light.double().mean(0).numpy())
    np.testing.assert_allclose(magnitude, expected, atol=0.02)
    assert float(drawn.mass.mean()) == pytest.approx(n * sampler.mean_mass, rel=0.005)


@pytest.mark.parametrize("binaries", [None, Binaries(0.5)])
@pytest.mark.parametrize("log_mass", [5.0, 6.0, 7.0])
def test_points_stay_bounded_however_heavy_a_population(survey, clear, binaries, log_mass):
    sampler = sampler_of(survey, clear, 0.02, binaries=binaries)
    stars = 10**log_mass / sampler.mean_mass
    for age in range(3):
        drawn = draw(sampler, age, [stars] * 3)
        assert drawn.population.numel() <= 3 * (2.1 * MAX_POINTS)
        assert torch.isfinite(drawn.light).all()


def test_old_unresolved_binaries_shine_like_individually_sampled_ones(survey, clear):
    """10^9.5 yr: giants that are companions of dead stars give a part of the light."""
    binaries = Binaries(1.0)
    unresolved = sampler_of(survey, clear, 1e9, binaries=binaries)
    single = sampler_of(survey, clear, binaries=binaries)
    one = draw(unresolved, 2, [2e5] * 1000, compute_truth=False).light.double()
    many = draw(single, 2, [2e5] * 20, compute_truth=False).light.double()
    error = (one.var(0) / len(one) + many.var(0) / len(many)).sqrt()
    assert ((one.mean(0) - many.mean(0)).abs() < 4 * error)[1:].all()
    assert (error < 0.012 * many.mean(0))[1:].all()  # F336W is ruled by few white dwarfs
    ratio = one.std(0) / many.std(0)
    assert (ratio[1:] - 1).abs().max() < 4 / 40**0.5
