"""Massive clusters: what cannot be told from the profile is diffuse; pixels stay the same.

Pixels are stood for by cells into which every star falls with a given probability, as it falls into
the pixels of a smooth profile: no image is needed to see whether their distribution is the same.
The truth is a Poissonian number of stars of each kind in each cell: it costs the same at any mass.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.errors import InputError
from praesepe.sky.clusters.profiles import PLUMMER
from praesepe.sky.flux_limits import FAINT_STAR_SNR
from praesepe.sky.instrument.render import OVERSAMPLING
from praesepe.sky.massive.sampler import MAX_POINTS, CrowdedSampler
from praesepe.sky.population.isochrone import FLUX
from praesepe.sky.simulator import Simulator
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import KROUPA2001
from praesepe.survey import load_survey

ACSVCS = Path(__file__).parents[2] / "examples" / "real_images" / "acsvcs.toml"

CELLS = np.arange(1.0, 241.0)
PROBABILITY = CELLS**-0.8 / (CELLS**-0.8).sum()
"""Chances of 240 cells: as wide a range as between the centre of a cluster and its outskirts."""

LOG_AGE, MASS = 8.0, 1e6

CASES = [
    *(("phat", log_mass, log_age) for log_mass in (5.0, 6.0, 6.5) for log_age in (7.0, 8.0, 9.5)),
    ("acsvcs", 5.5, 9.05),
    ("acsvcs", 5.5, 10.0),
    ("acsvcs", 6.5, 9.05),
]


@pytest.fixture(scope="module")
def simulators():
    """Of star clusters near by, and of some so far away that few of their stars are bright."""
    distant = load_survey(str(ACSVCS)).with_values(
        galaxy={"distance_pc": 2e7}, clusters={"metallicity": 0.004}
    )
    return {
        "phat": Simulator("phat-nodust", n_fields=0),
        "acsvcs": Simulator(distant, n_fields=0),
    }


@pytest.fixture(scope="module")
def simulator(simulators):
    return simulators["phat"]


def kinds(simulator, log_age):
    """Flux of each kind of star, (band, kind), their share of all stars, and their mass, Msun."""
    survey, table = simulator.survey, simulator.tables.cluster[0]
    age = int(np.abs(table.log_age - log_age).argmin())
    mass, magnitude = table.initial_mass[age, 0], table.mag_ab[age, 0]
    luminous = np.isfinite(magnitude).all(1)
    pieces = np.flatnonzero(luminous[1:] & luminous[:-1])
    fine = 4
    step = (np.arange(fine) + 0.5) / fine
    zero = np.array([band.zero_point_ab for band in survey.bands]) - survey.distance_modulus
    between = magnitude[pieces, :, None] * (1 - step) + magnitude[pieces + 1, :, None] * step
    flux = 10 ** (0.4 * (zero[:, None, None] - between.transpose(1, 0, 2)))
    ends = np.arange(fine + 1) / fine
    edges = mass[pieces, None] * (1 - ends) + mass[pieces + 1, None] * ends
    share = np.diff(KROUPA2001.cdf(edges), axis=1)
    return flux.reshape(len(zero), -1), share.ravel(), edges[:, :-1].ravel()


def true_cells(simulator, log_mass, log_age, n=14, seed=1):
    """Light in the cells of `n` clusters, (n, band, cell), relative to what is expected there."""
    flux, share, _ = kinds(simulator, log_age)
    expected = 10**log_mass / KROUPA2001.mean_mass * share[:, None] * PROBABILITY
    generator = np.random.default_rng(seed)
    return np.array([flux @ generator.poisson(expected) / PROBABILITY for _ in range(n)])


def cells(sampler, log_mass, log_age, *, n=24, seed=2, **how):
    """The same of the sampler's points, and its diffuse light."""
    isochrone = int(np.abs(sampler.log_age - log_age).argmin())
    generator = torch.Generator().manual_seed(seed)
    expected = torch.tensor([10**log_mass / sampler.mean_mass], dtype=torch.float64)
    edges = torch.cumsum(torch.as_tensor(PROBABILITY), 0).float()
    out = []
    for _ in range(n):
        stars = torch.poisson(expected, generator=generator)
        drawn = sampler.draw(
            torch.tensor([isochrone]), stars, generator=generator, compute_truth=False, **how
        )
        place = torch.bucketize(torch.rand(len(drawn.population), generator=generator), edges)
        place.clamp_(max=len(CELLS) - 1)
        light = torch.zeros(drawn.flux.shape[0], len(CELLS))
        light.index_add_(1, place, drawn.flux)
        out.append(light.double().numpy() / PROBABILITY + drawn.diffuse.double().T.numpy())
    return np.array(out)


def seen(simulator, light, seed):
    """Cells with the noise against which the simulator's flux limit holds."""
    sigma = simulator.limits.lowest[:, None].numpy() / FAINT_STAR_SNR / PROBABILITY
    return light + sigma * np.random.default_rng(seed).standard_normal(light.shape)


def with_pairs(light, reference):
    """Light of the bands in units of its scatter, and sums and differences of any two of them.

    Where one band varies with another, the sums scatter more and the differences less: these
    colours of the cells say whether the light of each comes from the right kinds of stars.
    """
    mean, scatter = reference.mean((0, 2)), reference.std((0, 2))
    bands = ((light - mean[:, None]) / scatter[:, None]).swapaxes(0, 1)
    pairs = list(itertools.combinations(bands, 2))
    return np.stack([*bands, *(b + c for b, c in pairs), *(b - c for b, c in pairs)], axis=1)


def differences(a, b):
    """Largest difference of mean (in sigma), of variance (in sigma), and least p of a KS test.

    Over the bands and all pairs of them, and over cells of similar probability taken together.
    """
    a, b = with_pairs(a, b), with_pairs(b, b)
    mean, variance, p_value = 0.0, 0.0, 1.0
    for view in range(a.shape[1]):
        for part in np.split(np.arange(a.shape[2]), 4):
            x, y = a[:, view, part].ravel(), b[:, view, part].ravel()
            p_value = min(p_value, stats.ks_2samp(x, y).pvalue)
            error = (x.var() / len(x) + y.var() / len(y)) ** 0.5
            mean = max(mean, abs(x.mean() - y.mean()) / error)
            spread = [((z - z.mean()) ** 2) for z in (x, y)]
            error = sum(s.var() / len(s) for s in spread) ** 0.5
            variance = max(variance, abs(spread[0].mean() - spread[1].mean()) / error)
    return mean, variance, p_value


@pytest.fixture(scope="module")
def reference(simulator):
    return seen(simulator, true_cells(simulator, np.log10(MASS), LOG_AGE), 4)


@pytest.mark.parametrize(("name", "log_mass", "log_age"), CASES)
def test_unresolved_light_leaves_the_pixels_of_a_massive_cluster_as_they_are(
    simulators, name, log_mass, log_age
):
    simulator = simulators[name]
    drawn = seen(simulator, cells(simulator.stars, log_mass, log_age), 3)
    truth = seen(simulator, true_cells(simulator, log_mass, log_age), 4)
    mean, variance, p_value = differences(drawn, truth)
    assert mean < 4.5
    assert variance < 4.5
    assert p_value > 3e-4


def test_the_comparison_rejects_too_few_points(simulator, reference):
    """Negative control: forty stars at most, which stand for all of them."""
    drawn = cells(simulator.stars, np.log10(MASS), LOG_AGE, max_points=20)
    _, _, p_value = differences(seen(simulator, drawn, 3), reference)
    assert p_value < 1e-6


def test_the_comparison_rejects_a_smooth_profile_alone(simulator, reference):
    """Negative control: the light of all stars as smooth as the profile."""
    smooth = np.broadcast_to(reference.mean((0, 2), keepdims=True), reference.shape)
    _, _, p_value = differences(smooth + np.zeros_like(reference), reference)
    assert p_value < 1e-6


def test_the_comparison_rejects_a_limit_that_is_too_high(simulators):
    """Negative control: distant clusters of which no star at all is individually sampled."""
    simulator = simulators["acsvcs"]
    drawn = seen(simulator, cells(simulator.stars, 5.5, 9.05, n=80, max_points=0), 3)
    truth = seen(simulator, true_cells(simulator, 5.5, 9.05, n=80), 4)
    _, _, p_value = differences(drawn, truth)
    assert p_value < 1e-6


def all_unresolved(simulator):
    """A sampler to which all stars are too faint to be told apart."""
    survey = simulator.survey
    return CrowdedSampler(
        simulator.tables.cluster,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=[1e9] * 3,
    )


MANY = 1 << 24
"""So many points are allowed that no population is crowded."""


def test_the_comparison_rejects_points_of_a_few_colours(simulator):
    """Negative control: each band has the right shot noise, but shares its points with others."""
    drawn = cells(all_unresolved(simulator), 6.0, LOG_AGE, n=60, max_points=MANY)
    truth = true_cells(simulator, 6.0, LOG_AGE, n=60)
    drawn, truth = seen(simulator, drawn, 3), seen(simulator, truth, 4)
    np.testing.assert_allclose(drawn.var((0, 2)), truth.var((0, 2)), rtol=0.4)
    _, variance, p_value = differences(drawn, truth)
    assert variance > 6
    assert p_value < 1e-6


# ---- shot noise


def products(drawn):
    """Sum of the products of the points' light in any two bands: their shot noise."""
    flux = drawn.flux.double().numpy()
    return flux @ flux.T


@pytest.mark.parametrize("log_mass", [5.5, 6.5, 7.5])
@pytest.mark.parametrize("log_age", [6.8, 8.0, 9.0, 10.0])
def test_sampled_stars_have_the_shot_noise_of_all_between_all_bands(simulator, log_mass, log_age):
    """N <f_b f_c>, within the sampling error of rare stars."""
    sampler, n = simulator.stars, 150
    flux, share, _ = kinds(simulator, log_age)
    stars = 10**log_mass / sampler.mean_mass
    expected = stars * (flux * share) @ flux.T
    isochrone = torch.full((n,), int(np.abs(sampler.log_age - log_age).argmin()))
    counts = torch.full((n,), stars, dtype=torch.float64)
    generator = torch.Generator().manual_seed(8)
    drawn = sampler.draw(isochrone, counts, generator=generator, compute_truth=False)
    assert float(drawn.diffuse.sum()) > 0  # crowded
    realised = products(drawn) / n
    error = np.sqrt(stars * (flux**2 * share) @ (flux**2).T / n)
    seen = drawn.flux.double().numpy() ** 2
    error = np.maximum(error, np.sqrt(seen @ seen.T) / n)
    assert (np.abs(realised - expected) < 4 * error + 0.01 * expected).all()
    assert (error < 0.14 * expected).any()  # sharp enough to tell


BINARIES = Binaries(0.5, mass_ratio=(0.1, 1.0))


def sampler_with(simulator, binaries, *, every=False):
    """The simulator's sampler with unresolved companions, or one that draws every star."""
    survey = simulator.survey
    limit = [0.0] * 3 if every else simulator.limits.lowest.tolist()
    return CrowdedSampler(
        simulator.tables.cluster,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=limit,
        binaries=binaries,
    )


def drawn_from(sampler, log_age, log_mass, n, seed):
    isochrone = torch.full((n,), int(np.abs(sampler.log_age - log_age).argmin()))
    counts = torch.full((n,), 10**log_mass / sampler.mean_mass, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return sampler.draw(isochrone, torch.poisson(counts, generator=generator), generator=generator)


@pytest.mark.parametrize("log_age", [7.0, 8.0, 9.5])
def test_binaries_have_the_shot_noise_of_both_stars(simulator, log_age):
    """Also where the companion of a dead star gives the light; against sums over all stars."""
    sampler = sampler_with(simulator, BINARIES)
    log_mass, n = 6.3, 60
    drawn = drawn_from(sampler, log_age, log_mass, n, seed=5)
    assert float(drawn.diffuse.sum()) > 0  # crowded
    last = (int(np.abs(sampler.log_age - log_age).argmin()) + 1) * sampler.levels.n - 1
    second = sampler.unresolved.second[last].numpy()[FLUX:, FLUX:]
    expected = 10**log_mass / sampler.mean_mass * second
    squares = drawn.flux.double().numpy() ** 2
    error = np.sqrt(squares @ squares.T) / n
    realised = products(drawn) / n
    assert (np.abs(realised - expected) < 4 * error + 0.01 * expected).all()
    # The test can fail: companions of dead stars have a tenth of the noise and more.
    single = sampler_with(simulator, None).unresolved.second[last].numpy()[FLUX:, FLUX:]
    assert (realised - 10**log_mass / sampler.mean_mass * single > 4 * error).any()


@pytest.mark.parametrize("binaries", [None, BINARIES])
@pytest.mark.parametrize("log_age", [7.5, 9.5])
def test_truth_about_importance_sampled_stars_is_that_of_every_star(simulator, log_age, binaries):
    """Masses, number of the living, light and the brightest star, in mean and distribution."""
    log_mass = 5.5
    crowded = drawn_from(sampler_with(simulator, binaries), log_age, log_mass, 200, seed=6)
    assert float(crowded.diffuse.sum()) > 0
    every = sampler_with(simulator, binaries, every=True)
    parts = [drawn_from(every, log_age, log_mass, 4, seed=7 + k) for k in range(8)]
    for name in ("mass", "present_mass", "n_living"):
        a = getattr(crowded, name).double().numpy()
        b = torch.cat([getattr(part, name) for part in parts]).double().numpy()
        error = (a.var() / len(a) + b.var() / len(b)) ** 0.5
        assert abs(a.mean() - b.mean()) < 4 * error
        assert error < 0.005 * b.mean()  # sharp enough to tell
        assert 0.6 < a.std() / b.std() < 1.6
    for name in ("light", "brightest"):
        a, b = getattr(crowded, name), torch.cat([getattr(part, name) for part in parts])
        for band in range(3):
            assert stats.ks_2samp(a[:, band], b[:, band]).pvalue > 1e-3


@pytest.mark.parametrize("log_mass", [3.0, 4.0, 5.0])
@pytest.mark.parametrize("log_age", [7.0, 8.0, 9.5])
def test_unresolved_light_has_the_shot_noise_of_its_stars_in_every_band(
    simulator, log_mass, log_age
):
    """No star can be told apart: N <f²> in each band, to five per cent."""
    unresolved = all_unresolved(simulator)
    isochrone = int(np.abs(unresolved.log_age - log_age).argmin())
    stars = 10**log_mass / unresolved.mean_mass
    flux, share, _ = kinds(simulator, log_age)
    mean, second = share @ flux.T, share @ (flux**2).T
    generator = torch.Generator().manual_seed(3)
    each = torch.tensor([stars], dtype=torch.float64)
    light, noise = [], []
    for _ in range(100):
        drawn = unresolved.draw(
            torch.tensor([isochrone]),
            each,
            generator=generator,
            compute_truth=False,
            max_points=MANY,
        )
        light.append(drawn.light[0].double().numpy())
        noise.append(products(drawn).diagonal())
    equal = stars * mean**2 / second
    many = equal > 10  # fewer are no normal deviate
    assert many.sum() >= 1 or log_mass < 5
    # What the points are to have, given the light that the population has.
    wanted = np.square(light).mean(0) / (equal + 1)
    np.testing.assert_allclose(np.mean(noise, 0)[many], wanted[many], rtol=0.05)
    np.testing.assert_allclose(wanted[many], stars * second[many], rtol=0.25)
    # The test can fail: with the points of the band that needs most, others have too little.
    assert (np.square(light).mean(0) / (equal.max() + 1) < 0.6 * wanted).any()


def test_the_work_is_bounded(simulator):
    """256 clusters of a million suns: no more points than the two limits allow."""
    sampler = simulator.stars
    isochrone = int(np.abs(sampler.log_age - LOG_AGE).argmin())
    stars = torch.full((256,), MASS / sampler.mean_mass)
    generator = torch.Generator().manual_seed(5)
    drawn = sampler.draw(torch.full((256,), isochrone), stars, generator=generator)
    assert drawn.population.numel() < 256 * (2 * MAX_POINTS)
    light = torch.zeros(256, 3, dtype=torch.float64)
    light.index_add_(0, drawn.population, drawn.flux.double().T)
    np.testing.assert_allclose(light + drawn.diffuse, drawn.light, rtol=3e-4)


def without_noise(survey):
    bands = [
        band.model_copy(update={"read_noise_e": 0.0, "dark_e_s": 0.0, "sky_e_s": (0.0, 0.0)})
        for band in survey.bands
    ]
    return survey.with_values(observation={"bands": tuple(bands)})


def test_a_survey_without_noise_still_sums_the_faint(simulator):
    """Clusters of 10^7.5 Msun: light of less than an electron is not told apart."""
    clear = Simulator(without_noise(simulator.survey), tables=simulator.tables, n_fields=0)
    assert (clear.limits.lowest > 0).all()
    assert (clear.limits.lowest < simulator.limits.lowest).all()
    clusters = clear.sample(2).with_values(log_mass=7.5)
    stars = clear.populate(clusters, compute_truth=False).stars
    assert stars.population.numel() < 2 * (5 * MAX_POINTS)  # in eight annuli each


def test_more_stars_than_there_is_memory_for_are_refused(simulator):
    survey = simulator.survey
    every = CrowdedSampler(
        simulator.tables.cluster,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=[0.0] * 3,
    )
    generator = torch.Generator().manual_seed(1)
    with pytest.raises(InputError, match=r"1e\+12 stars.*GB of memory.*flux limit above zero"):
        every.draw(torch.tensor([0]), torch.tensor([1e12]), generator=generator)


# ---- mass segregation

RADIUS_ARCSEC, SLOPE = 0.5, 0.5


def expected_radius(simulator, log_age, segregation):
    """Radius with half of the light of Plummer spheres scaled by (m / m_light)^-s, arcsec."""
    flux, share, mass = kinds(simulator, log_age)
    light = flux[1] * share / (flux[1] @ share)
    every = (flux * share / (flux @ share)[:, None]).mean(0)
    scale = RADIUS_ARCSEC * (mass / np.exp(every @ np.log(mass))) ** -segregation
    radius = np.geomspace(0.01, 3, 2000)
    inside = [light @ (r**2 / (r**2 + scale**2)) for r in radius]
    return float(np.interp(0.5, inside, radius))


def realised_radius(simulator, log_mass, log_age, segregation):
    """Mean of the realised half-light radii of six clusters, arcsec."""
    simulator.seed(4)
    clusters = simulator.sample(6).with_values(
        log_age=log_age,
        log_mass=log_mass,
        log_rh=np.log10(RADIUS_ARCSEC),
        profile=PLUMMER,
        segregation=segregation,
        ellipticity=0.0,
    )
    return float(simulator.populate(clusters).truth["rh_realised_arcsec"].mean())


@pytest.mark.parametrize("log_mass", [5.0, 6.0, 7.0])
@pytest.mark.parametrize("log_age", [8.0, 9.5])
@pytest.mark.parametrize("segregation", [0.0, SLOPE])
def test_light_is_as_segregated_as_its_stars(simulator, log_mass, log_age, segregation):
    """Single stars, points of many and diffuse light, all of which the realised radius contains."""
    expected = expected_radius(simulator, log_age, segregation)
    realised = realised_radius(simulator, log_mass, log_age, segregation)
    assert realised == pytest.approx(expected, rel=0.06)


def test_the_image_is_as_segregated_as_the_stars(simulator):
    """The grid itself, in which nearly all the light of so massive a cluster is smooth."""
    expected = expected_radius(simulator, 8.0, SLOPE)
    simulator.seed(4)
    clusters = simulator.sample(2).with_values(
        log_age=8.0,
        log_mass=7.0,
        log_rh=np.log10(RADIUS_ARCSEC),
        profile=PLUMMER,
        segregation=SLOPE,
        ellipticity=0.0,
        x_offset=0.0,
        y_offset=0.0,
    )
    population = simulator.populate(clusters)
    magnitude = population.truth["mag_F475W"] - simulator.survey.bands[1].zero_point_ab
    listed = 10 ** (-0.4 * magnitude)
    light = simulator.spread(population)[:, 1].double()
    index = torch.arange(light.shape[-1], dtype=torch.float64)
    x, y = (float((light.sum((0, axis)) @ index) / light.sum()) for axis in (1, 2))
    step_arcsec = simulator.survey.pixel_scale_arcsec / OVERSAMPLING
    inside = torch.hypot(index[:, None] - y, index - x) * step_arcsec < expected
    share = light[:, inside].sum(1) / listed
    np.testing.assert_allclose(share, 0.5, atol=0.03)


def test_half_of_the_light_stays_in_the_half_light_radius(simulator, monkeypatch):
    expected = expected_radius(simulator, 8.0, SLOPE)
    assert expected == pytest.approx(RADIUS_ARCSEC, rel=0.05)
    # Negative control: radii of stars of the mean mass are kept instead.
    stars = simulator.cluster_stars.stars
    mean = torch.full_like(stars.light_mass, stars.mean_mass)
    monkeypatch.setattr(stars, "light_mass", mean)
    assert realised_radius(simulator, 7.0, 8.0, SLOPE) < 0.6 * expected
