"""Tabulated isochrones: alias tables are exact, moments are those of the stars themselves."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.sky.massive.importance import (
    N_IMPORTANCE,
    ImportanceLevels,
    ImportanceSampling,
)
from praesepe.sky.population.alias import alias_tables
from praesepe.sky.population.isochrone import FLUX, LIVING, MASS, PRESENT
from praesepe.sky.population.levels import COMPLETE, EXACT, Levels
from praesepe.sky.population.tables import tabulate
from praesepe.sky.tables import SurveyTables
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
from praesepe.stars.magnitudes import StellarTable
from praesepe.survey import load_survey


def probabilities(other, probability):
    """What an alias table gives each index."""
    drawn = probability.copy()
    np.add.at(drawn, other, 1 - probability)
    return drawn / len(probability)


WEIGHTS = {
    "even": np.full(7, 0.1),
    "one": np.array([1.0]),
    "none": np.empty(0),
    "single": np.array([0.0, 0.0, 5.0, 0.0]),
    "few": np.array([3.0, 1e-9, 1e-9, 2.0, 0.0]),
    "rising": np.geomspace(1e-12, 1, 300),
    "falling": np.geomspace(1, 1e-12, 300),
    "random": np.random.default_rng(5).lognormal(0, 3, 1000),
    "two": np.array([1.0, 1.0]),
}


def check(weight, other, probability):
    assert ((probability >= 0) & (probability <= 1)).all()
    share = weight / weight.sum()
    given = probabilities(other, probability)
    np.testing.assert_allclose(given, share, atol=1e-12)
    light = share * len(share) < 1 - 1e-9  # of these not even the rounding may show
    few = probability[light] / len(share)
    assert (given[light] == few).all()
    np.testing.assert_allclose(few, share[light], rtol=1e-9)


@pytest.mark.parametrize("weight", [w for w in WEIGHTS.values() if len(w)], ids=lambda w: len(w))
def test_alias_tables_give_each_weight_its_share(weight):
    check(weight, *alias_tables(weight, np.array([len(weight)])))


def test_many_alias_tables_do_not_mix():
    parts = [WEIGHTS[name] for name in sorted(WEIGHTS)] * 20
    count = np.array([len(part) for part in parts])
    other, probability = alias_tables(np.concatenate(parts), count)
    for part, end in zip(parts, np.cumsum(count), strict=True):
        own = slice(end - len(part), end)
        if len(part):
            check(part, other[own] - own.start, probability[own])


def test_alias_tables_without_any_weight_are_even():
    other, probability = alias_tables(np.zeros(3), np.array([3]))
    np.testing.assert_allclose(probabilities(other, probability), 1 / 3)
    other, probability = alias_tables(np.empty(0), np.array([0, 0]))
    assert len(other) == len(probability) == 0


IMPORTANCE = Levels(np.ones(2)).further
N = 400
TURN_OFF = 4.0


@pytest.fixture(scope="module")
def table():
    """Stars with L ~ m^3 in one band and m^2 in the other that die at 4 Msun, under some dust."""
    mass = np.geomspace(0.08, 120, N)
    alive = mass <= TURN_OFF
    magnitude = np.stack([-7.5 * np.log10(mass), -5 * np.log10(mass)], axis=1)
    magnitude[~alive] = np.inf
    present = np.where(alive, mass, 0.6)
    dust = np.zeros((1, 1, N, 2, 2), np.float32)
    dust[..., 0, 0], dust[..., 1, 0], dust[..., 0, 1] = 1.2, 0.6, -0.02
    return StellarTable(
        np.array([8.0]),
        np.array([0.02]),
        mass[None, None],
        present[None, None],
        magnitude[None, None],
        ("a", "b"),
        max_living_mass=np.array([[mass[alive].max()]]),
        a_v=(0.0, 2.0),
        dust=dust,
    )


class Recorded(ImportanceLevels):
    """Levels that keep the numbers of stars whose shot noise joins the detector's."""

    def add(self, nodes, first_node, first_level):
        numbers = ImportanceSampling(nodes, self.limit, self.binaries).numbers
        self.numbers = np.vstack((getattr(self, "numbers", numbers[:0].reshape(0, 15)), numbers))
        return super().add(nodes, first_node, first_level)


def tables_of(table, binaries=None, limit=1.0, unit=(0.0, 0.0), imf=KROUPA2001):
    limits = np.full(len(unit), limit)
    return tabulate(
        [table],
        unit_magnitude=np.asarray(unit),
        levels=Levels(limits, n_further=N_IMPORTANCE),
        imf=imf,
        binaries=binaries,
        further=Recorded(limits, binaries),
    )


def star(mass, last):
    """Initial and present mass, life, and light of the table's stars."""
    alive = mass <= last
    light = [np.where(alive, mass**power, 0.0) for power in (3, 2)]
    return np.stack([mass, np.where(alive, mass, 0.6), alive, *light], axis=-1)


def by_quadrature(table, low, high, binaries=None):
    """Mean and mean products of the stars between two masses, by sums over a fine mesh."""
    last = table.max_living_mass.item()
    share = (np.arange(40_000) + 0.5) / 40_000
    below, above = KROUPA2001.cdf([low, high])
    mass = KROUPA2001.ppf(below + share * (above - below))
    one = star(mass, last)
    mean, second = one.mean(0), one.T @ one / len(one)
    if binaries is not None:
        u = np.random.default_rng(1).permutation(len(share))
        q = binaries.ppf((u + 0.5) / len(share))
        other = star(q * mass, last)
        other[q * mass < 0.08, LIVING:] = 0
        both = one + other
        mean = (1 - binaries.fraction) * mean + binaries.fraction * both.mean(0)
        pair = both.T @ both / len(both)
        second = (1 - binaries.fraction) * second + binaries.fraction * pair
    return mean, second


@pytest.mark.parametrize("binaries", [None, Binaries(0.6, mass_ratio=(0.2, 1.0))])
def test_moments_below_the_limit_are_those_of_the_stars(table, binaries):
    """The first real level: everything fainter than 1 e-/s, that is, lighter than 1 Msun."""
    tables = tables_of(table, binaries)
    level = COMPLETE
    below = KROUPA2001.ppf(tables.below[0, level])
    assert below == pytest.approx(1.0, rel=0.03)
    mean, second = by_quadrature(table, 0.08, below, binaries)
    # A random pairing of masses and ratios: its error is below one per cent.
    tolerance = 0.004 if binaries is None else 0.015
    np.testing.assert_allclose(tables.moments.mean[0, level], mean, rtol=tolerance)
    np.testing.assert_allclose(tables.moments.second[0, level], second, rtol=tolerance)
    if binaries is not None:
        single = by_quadrature(table, 0.08, below)[0]
        assert (mean[[MASS, FLUX]] > 1.1 * single[[MASS, FLUX]]).all()  # the test can fail


def importance_sampled(tables, k):
    """Share drawn of the table's stars in the k-th level of importance sampling, and the stars."""
    mass = KROUPA2001.ppf((np.arange(400_000) + 0.5) / 400_000)
    every = star(mass, TURN_OFF)
    square = np.square(every[:, FLUX:]).mean(0)
    noise = np.sqrt(
        1.0 + tables.further.numbers[0, k] * square
    )  # the limit is 1 e-/s in both bands
    return np.minimum((every[:, FLUX:] / noise).max(1), 1) ** 2, every


def test_each_level_of_importance_sampling_leaves_a_third_of_the_points(table, phat):
    for tables in (tables_of(table), real_tables(phat), real_tables(phat, limit=1e-7)):
        assert (tables.further.numbers[:, 0] == 0).all()
        share = tables.individual.fraction[:, IMPORTANCE:-1]
        assert (share[:, -1] < 2e-6 * share[:, 0]).all()
        fall = share[:, 1:] / share[:, :-1]
        assert np.median(fall) == pytest.approx(1 / 3, abs=0.05)
        assert fall.max() < 0.9


@pytest.mark.parametrize("k", [0, 1, 3])
def test_stars_below_the_noise_are_importance_sampled_and_the_rest_is_unresolved(table, k):
    """Of the stars below the noise a share (f / s)²; the dead join the faint."""
    tables = tables_of(table)
    level = IMPORTANCE + k
    share, every = importance_sampled(tables, k)
    assert tables.individual.fraction[0, level] == pytest.approx(share.mean(), rel=0.05)
    rest = (1 - share[:, None]) * every
    total = (1 - tables.individual.fraction[0, level]) * tables.moments.mean[0, level]
    np.testing.assert_allclose(total, rest.mean(0), rtol=0.02)
    total = (1 - tables.individual.fraction[0, level]) * tables.moments.second[0, level]
    np.testing.assert_allclose(total, rest.T @ every / len(every), rtol=0.04)  # steep: f² (1 - f²)
    assert tables.moments.mean[0, level, PRESENT] < tables.moments.mean[0, level, MASS]  # remnants
    # The test can fail: with the noise of the next level.
    assert tables.individual.fraction[0, level] > 1.5 * importance_sampled(tables, k + 1)[0].mean()


@pytest.mark.parametrize("k", [0, 1, 3])
@pytest.mark.parametrize("binaries", [None, Binaries(0.6, mass_ratio=(0.2, 1.0))])
def test_sampled_stars_stand_for_all(table, k, binaries):
    """Inclusion probability times weight² is one: sampled stars have the shot noise of all."""
    tables, level = tables_of(table, binaries), IMPORTANCE + k
    alias = tables.individual
    own = slice(alias.start[0, level], alias.start[0, level] + alias.count[0, level])
    (other, node), second = alias.nodes[own].T, alias.threshold[own]
    probability = np.bincount(node, second) + np.bincount(
        other, 1 - second, minlength=node.max() + 1
    )
    share, weight = np.diff(tables.cdf[0])[node], alias.flux_weights[own, 1]
    drawn = tables.individual.fraction[0, level] * probability[node] / alias.count[0, level] / share
    np.testing.assert_allclose(drawn * weight**2, 1, rtol=1e-4)  # of each star of the interval
    assert weight.min() == 1
    assert weight.max() > 5
    assert (alias.flux_weights[own, 0] == weight[other - node[0]]).all()


def test_companions_of_the_dead_are_sampled_like_other_stars(table):
    """Their share among the stars is that of a fine sum over primaries and mass ratios."""
    binaries = Binaries(0.6, mass_ratio=(0.2, 1.0))
    tables = tables_of(table, binaries)
    assert tables_of(table).further.companions is None
    primary = KROUPA2001.ppf((np.arange(200_000) + 0.5) / 200_000)
    u = np.random.default_rng(2).permutation(len(primary))
    companion = primary * binaries.ppf((u + 0.5) / len(primary))
    companion = companion[(primary > TURN_OFF) & (companion <= TURN_OFF)]
    for k in (0, 3):
        share, every = importance_sampled(tables, k)
        probability = np.interp(companion, every[:, MASS], share, right=0)
        expected = 0.6 * probability.sum() / len(primary)
        assert tables.further.companions.fraction[0, IMPORTANCE + k] == pytest.approx(
            expected, rel=0.05
        )
    assert (tables.further.companions.fraction[0, :IMPORTANCE] == 0).all()


@pytest.mark.parametrize("k", [1, 3])
def test_unresolved_light_knows_whose_it_is(table, k):
    """Of groups of equal light, mass weighted by the light that no drawn star stands for."""
    tables, level = tables_of(table), IMPORTANCE + k
    share, every = importance_sampled(tables, k)
    light = (1 - np.sqrt(share[:, None])) * every[:, FLUX:]
    mass, given = tables.mass_bins[0, level, :, 0], tables.mass_bins[0, level, :, 1:]
    np.testing.assert_allclose(given.sum(0), 1, rtol=1e-9)
    assert (np.diff(mass) > 0).all()
    expected = every[:, MASS] @ light / light.sum(0)
    np.testing.assert_allclose(mass @ given, expected, rtol=0.05)
    edge = np.sqrt(mass[1:] * mass[:-1])  # about where one group ends
    below = np.array([light[every[:, MASS] < m].sum(0) for m in edge]) / light.sum(0)
    np.testing.assert_allclose(np.cumsum(given, axis=0)[:-1], below, atol=0.08)


def test_the_first_level_samples_all_and_the_last_none(table):
    tables = tables_of(table)
    assert tables.individual.fraction[0, EXACT] == 1
    assert tables.individual.fraction[0, -1] == 0
    total, _ = by_quadrature(table, 0.08, 120.0)
    np.testing.assert_allclose(tables.moments.mean[0, -1], total, rtol=0.01)
    assert (np.diff(tables.individual.fraction[0, IMPORTANCE:]) <= 0).all()


def test_dust_enters_the_moments(table):
    """All stars of this table alike: by 2 (1.2) - 0.02 (4) and 1.2 mag behind A_V = 2."""
    tables = tables_of(table)
    powers = 2.0 ** np.arange(1, 3)
    attenuation = np.array([2 * 1.2 - 4 * 0.02, 1.2])
    level = COMPLETE
    factor = np.exp2(tables.moments.mean_extinction[0, level] @ powers)
    np.testing.assert_allclose(factor[:FLUX], 1, rtol=1e-6)
    np.testing.assert_allclose(factor[FLUX:], 10 ** (-0.4 * attenuation), rtol=1e-5)
    squares = np.exp2(tables.moments.second_extinction[0, level] @ powers)
    np.testing.assert_allclose(squares[FLUX, FLUX + 1], 10 ** (-0.4 * attenuation.sum()), rtol=1e-5)


# ---- real isochrones


@pytest.fixture(scope="module")
def phat():
    """Stars of the survey `phat`, and the magnitude of 1 e-/s in its bands."""
    survey = load_survey("phat-nodust")
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    return SurveyTables.build(survey).cluster[0], zero_points - survey.distance_modulus


def real_tables(phat, binaries=None, imf=KROUPA2001, limit=0.02):
    table, unit = phat
    return tables_of(table, binaries, limit, unit, imf)


def test_each_level_samples_a_part_of_the_stars_of_the_level_before(phat):
    """At every age; stars that are always drawn are those of the highest masses that shine."""
    tables = real_tables(phat)
    assert (tables.individual.fraction[:, COMPLETE] < 1).all()
    assert (np.diff(tables.individual.fraction[:, IMPORTANCE:], axis=1) <= 0).all()
    assert (np.diff(tables.below, axis=1) >= 0).all()
    np.testing.assert_array_equal(tables.below[:, COMPLETE], tables.below[:, IMPORTANCE])
    assert tables.individual.count.sum() == len(tables.individual.threshold)
    assert tables.individual.fraction.shape[1] == IMPORTANCE + N_IMPORTANCE


def test_without_further_levels_the_others_are_the_same(table):
    """To the last bits, for products of matrices of other sizes round otherwise."""
    limits = np.ones(2)
    plain = tabulate(
        [table], unit_magnitude=np.zeros(2), levels=Levels(limits), imf=KROUPA2001, binaries=None
    )
    full = tables_of(table)
    assert plain.individual.fraction.shape[1] == IMPORTANCE
    pairs = [(vars(plain.moments), vars(full.moments), ("mean", "second"))]
    pairs.append((vars(plain), vars(full), ("mass_bins", "below")))
    for found, expected, names in pairs:
        for name in names:
            np.testing.assert_allclose(
                found[name], expected[name][:, :IMPORTANCE], rtol=1e-12, atol=1e-300
            )


def by_matrix(tables, isochrone, binaries, fine=4):
    """Mean light and mean squares: every primary with every companion, times their probability."""
    own = slice(isochrone * tables.mass.shape[1], (isochrone + 1) * tables.mass.shape[1])
    start, rise = tables.start[:, own].T, tables.rise[:, own].T
    used = rise[:, 0] > 0
    start, rise, weight = start[used], rise[used], np.diff(tables.cdf[isochrone])[used[:-1]]
    at = (np.arange(fine) + 0.5) / fine
    star = (start[:, None] + at[:, None] * rise[:, None]).reshape(-1, start.shape[1])
    ends = start[:, 0, None] + np.arange(fine) / fine * rise[:, 0, None]
    ends = np.append(ends.ravel(), start[-1, 0] + rise[-1, 0])
    probability = np.diff(binaries.cdf(ends / star[:, :1]), axis=1)  # (primary, companion)
    flux, fraction = star[:, 1:4], binaries.fraction
    other, squares = probability @ flux, probability @ flux**2
    share = np.repeat(weight / fine, fine)
    mean = share @ (flux + fraction * other)
    return mean, share @ (flux**2 + fraction * (2 * flux * other + squares))


@pytest.mark.parametrize(
    ("log_age", "binaries"),
    [
        (10.1, Binaries(0.5)),
        (9.4, Binaries(1.0, mass_ratio=(0.3, 0.8), slope=-0.5)),
        (9.7, Binaries(0.7, mass_ratio=(0.2, 1.0), slope=1.5)),
    ],
)
def test_companions_of_old_stars_are_summed_exactly(phat, log_age, binaries):
    """Giants lie in a narrow range of masses, in which few of a coarse set of ratios would fall."""
    tables = real_tables(phat, binaries)
    isochrone = int(np.abs(phat[0].log_age - log_age).argmin())
    mean, square = by_matrix(tables, isochrone, binaries)
    np.testing.assert_allclose(tables.moments.mean[isochrone, -1, FLUX:], mean, rtol=1e-3)
    np.testing.assert_allclose(
        tables.moments.second[isochrone, -1].diagonal()[FLUX:], square, rtol=5e-3
    )
    single = real_tables(phat).moments.mean[isochrone, -1, FLUX:]
    assert (mean > 1.1 * single).all()  # companions matter


def test_companions_of_one_mass_ratio(phat):
    """A single ratio, and a range so narrow that it is the same."""
    one, other = (
        real_tables(phat, Binaries(0.5, mass_ratio=ratio)) for ratio in ((0.6, 0.6), (0.599, 0.601))
    )
    np.testing.assert_allclose(one.moments.mean[:, -1], other.moments.mean[:, -1], rtol=0.01)
    assert (
        one.moments.mean[:, -1, FLUX:] > 1.01 * real_tables(phat).moments.mean[:, -1, FLUX:]
    ).all()


def test_brown_dwarfs_are_not_luminous_or_alive(phat):
    """A mass function from 0.02 Msun on: only what lies above 0.08 Msun counts as a star."""
    wide = BrokenPowerLaw(edges=(0.02, 0.08, 0.5, 120.0), slopes=(0.3, 1.3, 2.3))
    tables, stars = real_tables(phat, imf=wide), real_tables(phat)
    share = 1 - wide.cdf(0.08)
    assert share < 0.8
    every = tables.moments.mean[:, -1]
    np.testing.assert_allclose(every[:, FLUX:], share * stars.moments.mean[:, -1, FLUX:], rtol=0.01)
    np.testing.assert_allclose(
        every[:, LIVING], share * stars.moments.mean[:, -1, LIVING], rtol=1e-3
    )
    np.testing.assert_allclose(every[:, MASS], wide.mean_mass, rtol=1e-3)
    lighter = (1 - share) * 0.05
    np.testing.assert_allclose(
        every[:, PRESENT], share * stars.moments.mean[:, -1, PRESENT] + lighter, rtol=0.02
    )
