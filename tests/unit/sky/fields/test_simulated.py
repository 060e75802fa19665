"""Star fields: surface density, dust, clumps, edges, and the pool's history."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.rng import stream
from praesepe.sky.fields import simulated as fields
from praesepe.sky.fields.histories import age_metallicity_fractions
from praesepe.sky.fields.pool import SimulatedFieldPool
from praesepe.sky.fields.simulated import (
    _add_diffuse,
    _spread_periodic,
    draw_field,
    field_extinction,
)
from praesepe.sky.fields.structure import Gradient
from praesepe.sky.instrument.render import OVERSAMPLING
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.sky.simulator import Simulator
from praesepe.stars import build_table, load_passband

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def simulator():
    return Simulator("phat-nodust", n_fields=0)


@pytest.fixture(scope="module")
def survey(simulator):
    return simulator.survey


@pytest.fixture(scope="module")
def sampler(simulator):
    return simulator.field_stars


def with_field(survey, **settings):
    return survey.with_values(galaxy={"field": settings})


def pool_of(survey, sampler, **settings):
    given = {"n_fields": 3, "size_px": 96, "refresh": 2, "seed": (5,)}
    return SimulatedFieldPool(survey, sampler, **{**given, **settings})


def add(pool, seed, n=2, side=64):
    grids = torch.zeros(n, pool.fields.shape[1], side, side)
    pool.seek(pool.step + 1)
    density = pool.add_to(grids, generator=torch.Generator().manual_seed(seed))["field_density"]
    return grids, density


def expected_light(survey, sampler, table, density, pixels, shares):
    """Mean light (e-/s) of a field from the integrated magnitudes of its populations."""
    mass = density * pixels * (survey.pixel_scale_arcsec * survey.pc_per_arcsec) ** 2
    light = np.zeros(len(survey.bands))
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    for (i, j), share in np.ndenumerate(shares):
        if share > 0:
            magnitude = table.integrated_magnitudes(
                float(sampler.log_age[i]), float(sampler.metallicity[j]), mass * share
            )
            light += 10 ** (0.4 * (zero_points - magnitude - survey.distance_modulus))
    return light


def test_surface_density_and_its_light(simulator, survey, sampler):
    """A field of 3 to 12 Gyr old stars: light within 2 per cent and the sampling error."""
    quiet = with_field(survey, burstiness=0.0, log_age=(9.5, 10.1))
    shares = age_metallicity_fractions(quiet, sampler, generator=stream((1,), CPU)).numpy()
    side, density, n = 80, 50.0, 24
    light = torch.stack(
        [
            draw_field(
                quiet, sampler, density, shape_px=(side, side), generator=stream((2, k), CPU)
            )
            .double()
            .sum((1, 2))
            for k in range(n)
        ]
    ).numpy()
    expected = expected_light(quiet, sampler, simulator.tables.field, density, side**2, shares)
    error = light.std(0, ddof=1) / np.sqrt(n)
    off = np.abs(light.mean(0) - expected)
    visible = [1, 2]  # in F336W a single hot star outshines the others
    assert (off < 0.02 * expected + 4 * error)[visible].all()
    # A few bright giants decide how large the error is: one seed in three exceeds 0.08.
    assert (error < 0.12 * expected)[visible].all()


def test_fields_are_even_across_their_area(survey, sampler):
    quiet = with_field(survey, burstiness=0.0, log_age=(9.5, 10.1))
    field = sum(
        draw_field(quiet, sampler, 100.0, shape_px=(96, 96), generator=stream((3, k), CPU))
        for k in range(6)
    )
    faint = field[1].clamp(max=float(field[1].quantile(0.9)))
    tiles = faint.unfold(0, 48, 48).unfold(1, 48, 48).sum((2, 3))
    assert float(tiles.std() / tiles.mean()) < 0.05


def spread(flux, u, shape):
    light = torch.zeros(len(flux), *shape)
    _spread_periodic(light, flux, u)
    return light


def test_light_that_leaves_on_one_side_comes_back_on_the_other():
    flux = torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    shape = (24, 32)
    inside = torch.tensor([[10.3 / 32, 4.9 / 32], [12.6 / 24, 20.2 / 24]])
    image = spread(flux, inside, shape)
    np.testing.assert_allclose(image.sum((1, 2)), flux.sum(1), rtol=1e-5)
    step = torch.tensor([[25 / 32], [9 / 24]])
    moved = spread(flux, (inside + step) % 1, shape)
    np.testing.assert_allclose(moved, image.roll((9, 25), dims=(1, 2)), atol=1e-5)


def test_x_and_y_of_a_field_that_is_not_square():
    u = torch.tensor([[20.0 / 32], [6.0 / 24]])
    image = spread(torch.ones(1, 1), u, (24, 32))[0]
    assert divmod(int(image.argmax()), 32) == (6, 20)


def test_densities_are_spread_over_the_range(survey, sampler):
    """One field in each of n equal parts of the logarithmic range, also after renewal."""
    pool = pool_of(survey, sampler, n_fields=6, size_px=16)
    low, high = survey.galaxy.field.surface_density

    def strata():
        share = torch.log(pool.density / low) / np.log(high / low)
        return sorted((share * 6).long().tolist())

    assert strata() == [0, 1, 2, 3, 4, 5]
    before = pool.density.clone()
    pool.seek(pool.refresh)
    assert strata() == [0, 1, 2, 3, 4, 5]
    assert pool.density[0] != before[0]
    assert torch.equal(pool.density[1:], before[1:])


def test_denser_fields_are_brighter(survey, sampler):
    pool = pool_of(survey, sampler, n_fields=4, size_px=48)
    order = pool.density.argsort()
    light = pool.fields[:, 2].sum((1, 2))[order]
    assert float(light[-1]) > 10 * float(light[0])


def test_the_pool_renews_one_field_after_another(survey, sampler):
    pool = pool_of(survey, sampler)
    before = pool.fields.clone()
    add(pool, 0)
    assert torch.equal(pool.fields, before)
    add(pool, 0)
    assert not torch.equal(pool.fields[0], before[0])
    assert torch.equal(pool.fields[1:], before[1:])
    fixed = pool_of(survey, sampler, refresh=0)
    for _ in range(3):
        add(fixed, 0)
    assert torch.equal(fixed.fields, before)


@pytest.mark.parametrize("step", [0, 1, 2, 5, 9])
def test_seeking_brings_history_back(survey, sampler, step):
    """A pool put back, or forward, to a step adds exactly what an unbroken one adds."""
    straight, jumping = pool_of(survey, sampler), pool_of(survey, sampler)
    for k in range(step):
        add(straight, k)
    for k in range(4):
        add(jumping, 100 + k)
    jumping.seek(step)
    for k in range(step, step + 3):
        expected, density = add(straight, k)
        image, its_density = add(jumping, k)
        assert torch.equal(image, expected)
        assert torch.equal(its_density, density)


def test_crops_are_turned_and_mirrored_copies_of_a_field(survey, sampler):
    """Every crop, turned back, is found in the field that its density names."""
    pool = pool_of(survey, sampler, refresh=0, n_fields=2, size_px=16)
    grids, density = add(pool, 3, n=40, side=30)
    ways = set()
    for grid, value in zip(grids, density, strict=True):
        field = pool.fields[int((pool.density == value).nonzero())]
        room = range(field.shape[-1] - 30 + 1)
        for k in range(8):
            turned = torch.rot90(grid, k % 4, (1, 2))
            turned = turned.flip(2) if k > 3 else turned
            if any(
                torch.equal(turned, field[:, i : i + 30, j : j + 30]) for i in room for j in room
            ):
                ways.add(k)
                break
        else:
            pytest.fail("a crop is not part of its field")
    assert len(ways) == 8


def test_crops_are_added_to_what_is_there(survey, sampler):
    pool = pool_of(survey, sampler, refresh=0)
    alone, _ = add(pool, 1)
    grids = torch.ones(2, 3, 64, 64)
    pool.add_to(grids, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(grids, 1 + alone, rtol=1e-6)


def test_seeds(survey, sampler):
    first, again = pool_of(survey, sampler), pool_of(survey, sampler)
    other = pool_of(survey, sampler, seed=(6,))
    assert torch.equal(first.fields, again.fields)
    assert not torch.equal(first.fields, other.fields)


def test_streams_of_different_numbers_differ():
    states = {int(stream(s, CPU).initial_seed()) for s in ((0,), (1,), (1, 1), (1, 2), (2, 1))}
    assert len(states) == 5
    assert stream((1, 2), CPU).initial_seed() == stream((1, 2), CPU).initial_seed()


ALL_FEATURES = {
    "history": "burst",
    "burst_share": (0.1, 0.3),
    "gradient_dex": 0.3,
    "clump_share": (0.2, 0.8),
    "galaxies_per_arcmin2": 2000.0,
}


def test_a_field_with_everything_depends_on_its_seed_alone(survey, sampler):
    full = with_field(survey, **ALL_FEATURES)
    first, again = pool_of(full, sampler), pool_of(full, sampler)
    for k in range(5):
        add(again, k)
    again.seek(0)
    assert torch.equal(first.fields, again.fields)
    assert first.gradients == again.gradients
    assert not torch.equal(first.fields, pool_of(full, sampler, seed=(6,)).fields)
    straight, jumping = pool_of(full, sampler), pool_of(full, sampler)
    for k in range(5):
        add(straight, k)
    jumping.seek(5)
    for one, other in zip(add(straight, 9), add(jumping, 9), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("feature", [name for name in ALL_FEATURES if name != "burst_share"])
def test_every_feature_changes_the_field(survey, sampler, feature):
    def draw(**settings):
        return draw_field(
            with_field(survey, **settings),
            sampler,
            50.0,
            shape_px=(96, 96),
            generator=stream((8,), CPU),
        )

    settings = {feature: ALL_FEATURES[feature]}
    assert torch.equal(draw(), draw())
    assert not torch.equal(draw(), draw(**settings))


def test_the_density_of_a_crop_is_that_of_its_place(survey, sampler):
    """Counts of light in crops follow the density returned, not the mean of their field."""
    quiet = {"burstiness": 0.0, "log_age": (9.5, 10.1), "surface_density": (100.0, 100.0)}
    steep = with_field(survey, gradient_dex=0.6, **quiet)
    pool = pool_of(steep, sampler, size_px=384, refresh=0, n_fields=2)
    grids, density = add(pool, 4, n=60)
    assert float(density.max() / density.min()) > 1.5
    faint = grids[:, 1].clamp(max=float(grids[:, 1].quantile(0.9))).sum((1, 2))
    assert np.corrcoef(faint.log(), density.log())[0, 1] > 0.9
    even = pool_of(with_field(survey, **quiet), sampler, size_px=384, refresh=0, n_fields=2)
    assert len(set(add(even, 4, n=60)[1].tolist())) == 1


def test_a_gradient_may_be_given(survey, sampler):
    quiet = with_field(survey, burstiness=0.0, log_age=(9.5, 10.1))
    wave = Gradient(0.5, (1, 0), 0.0)
    field = draw_field(
        quiet, sampler, 100.0, shape_px=(96, 96), generator=stream((3,), CPU), gradient=wave
    )
    columns = field[1].clamp(max=float(field[1].quantile(0.9))).sum(0)
    crest, valley = torch.cat((columns[:32], columns[-32:])), columns[64:128]
    assert float(crest.sum() / valley.sum()) > 2


def test_smooth_light_follows_the_gradient():
    """The light without shot noise goes where stars would, in both directions."""
    wave = Gradient(0.4, (1, -1), 0.2)
    light = _add_diffuse(torch.zeros(2, 48, 64), torch.tensor([3.0, 4.0]), wave)
    np.testing.assert_allclose(light.sum((1, 2)), [3.0, 4.0], rtol=1e-4)
    x, y = wave.place(torch.rand((2, 400_000), generator=torch.Generator().manual_seed(1)))
    stars = np.histogram2d(y, x, bins=8, range=((0, 1), (0, 1)))[0]
    cells = torch.nn.functional.avg_pool2d(light[:1], (6, 8))[0]
    relative = (cells / cells.mean()).numpy() / (stars / stars.mean())
    np.testing.assert_allclose(relative, 1, atol=0.12)  # light at the cells' corners, and chance
    assert stars.max() > 3 * stars.min()
    untouched = _add_diffuse(torch.ones(2, 8, 8), torch.zeros(2), wave)
    assert torch.equal(untouched, torch.ones(2, 8, 8))


class Watched:
    """A sampler that keeps what it drew."""

    def __init__(self, sampler):
        self.sampler, self.drawn = sampler, []

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    def draw(self, *groups, **settings):
        self.drawn.append(self.sampler.draw(*groups, **settings))
        return self.drawn[-1]


@pytest.mark.parametrize("at_once", [1e9, 3e3])
def test_no_light_is_lost_where_points_are_few(survey, sampler, monkeypatch, at_once):
    """Nor where the stars are drawn in many parts."""
    monkeypatch.setattr(fields, "MAX_POINTS", 20)
    monkeypatch.setattr(fields, "STARS_AT_ONCE", at_once)
    quiet, watched = with_field(survey, burstiness=0.0, log_age=(9.5, 10.1)), Watched(sampler)
    field = draw_field(quiet, watched, 100.0, shape_px=(96, 96), generator=stream((3,), CPU))
    assert (len(watched.drawn) > 3) == (at_once < 1e9)
    light, diffuse = (sum(getattr(stars, name).sum(0) for stars in watched.drawn) for name in NAMES)
    assert float(diffuse.sum()) > 0.04 * float(light.sum())
    np.testing.assert_allclose(field.sum((1, 2)), light, rtol=1e-4)
    assert float(field.min()) > 0


NAMES = ("light", "diffuse")


@pytest.mark.parametrize("allowed", [True, False])
def test_clumps_keep_their_light(survey, sampler, monkeypatch, allowed):
    """None of it is spread over the field, however few points are allowed elsewhere."""
    monkeypatch.setattr(fields, "MAX_POINTS", 2)
    if not allowed:  # the check must notice clumps whose faint light leaves them
        monkeypatch.setattr(fields._Groups, "most_in_a_clump", lambda _: 0)
    clumps = {"log_age": (7.0, 8.0), "clump_share": (1.0, 1.0), "clump_pc": (2.0, 4.0)}
    watched = Watched(sampler)
    given = with_field(survey, burstiness=0.0, **clumps)
    draw_field(given, watched, 20.0, shape_px=(192, 192), generator=stream((5,), CPU))
    (stars,) = watched.drawn
    spread = float(stars.diffuse.sum() / stars.light.sum())
    assert (spread < 1e-6) == allowed


def clumpiness(survey, sampler, **settings):
    """Variance over mean of the number of lit grid points in cells of 16 image pixels."""
    given = with_field(survey, burstiness=0.0, **settings)
    found = []
    for k in range(4):
        field = draw_field(given, sampler, 10.0, shape_px=(192, 192), generator=stream((k,), CPU))
        lit = (field[0] > field[0].quantile(0.98)).double()
        cells = torch.nn.functional.avg_pool2d(lit[None, None], 16 * OVERSAMPLING)[0, 0]
        found.append(float(cells.var() / cells.mean()))
    return np.mean(found)


def test_young_stars_cluster_and_old_ones_do_not(survey, sampler):
    clumps = {"clump_share": (1.0, 1.0), "clump_pc": (2.0, 4.0)}
    young, old = {"log_age": (7.0, 8.0)}, {"log_age": (9.0, 9.5)}
    even = clumpiness(survey, sampler, **young)
    assert clumpiness(survey, sampler, **young, **clumps) > 3 * even
    even = clumpiness(survey, sampler, **old)
    assert clumpiness(survey, sampler, **old, **clumps) == pytest.approx(even, rel=0.3)


class Reddened:
    """A sampler whose dust attenuates each band by a known factor, and notes what was asked."""

    attenuation = torch.tensor([1.6, 1.2, 0.6])[:, None]  # A_band / A_V

    def __init__(self, sampler):
        self.sampler, self.asked = sampler, []
        self.log_age, self.metallicity = sampler.log_age, sampler.metallicity
        self.mean_mass, self.device = sampler.mean_mass, sampler.device

    def draw(self, isochrone, n_stars, *, a_v, **settings):
        assert a_v.shape == isochrone.shape
        self.asked.append((n_stars, a_v))
        stars = self.sampler.draw(isochrone, n_stars, **settings)
        attenuated = stars.flux * 10 ** (-0.4 * self.attenuation * a_v[stars.population])
        diffuse = stars.diffuse * 10 ** (-0.4 * self.attenuation.T * a_v[:, None])
        return replace(stars, flux=attenuated, diffuse=diffuse)


def test_a_dust_layer_reddens_the_stars_behind_it(survey, sampler):
    """Light and colours of a field of which 40 per cent lies behind one magnitude of dust."""
    quiet = {"burstiness": 0.0, "log_age": (9.5, 10.1)}
    dust = {"dust_share": (0.4, 0.4), "dust_a_v": (1.0, 1.0), "a_v": 0.2}
    dusty, red = with_field(survey, **quiet, **dust), Reddened(sampler)

    def light(given, of):
        return sum(
            draw_field(given, of, 2000.0, shape_px=(96, 96), generator=stream((2, k), CPU))
            .double()
            .sum((1, 2))
            for k in range(6)
        )

    seen = light(dusty, red) / light(with_field(survey, **quiet), sampler)
    per_band = Reddened.attenuation[:, 0].double()
    expected = 10 ** (-0.08 * per_band) * (0.6 + 0.4 * 10 ** (-0.4 * per_band))
    np.testing.assert_allclose(seen[1:], expected[1:], rtol=0.06)
    colour = -2.5 * torch.log10(seen[1] / seen[2])
    assert float(colour) == pytest.approx(-2.5 * math.log10(expected[1] / expected[2]), abs=0.05)
    assert abs(float(colour)) > 0.15  # without dust it would be 0
    stars, a_v = (torch.cat(part) for part in zip(*red.asked, strict=True))
    behind = stars[a_v > 0.7].sum() / stars.sum()
    assert float(behind) == pytest.approx(0.4, abs=0.01)
    assert set(a_v.numpy().round(4)) == {np.float32(0.2), np.float32(1.2)}


def test_layers_differ_from_field_to_field(survey, sampler):
    dusty = with_field(survey, dust_share=(0.1, 0.9), dust_a_v=(0.5, 1.5))
    layers = set()
    for k in range(6):
        red = Reddened(sampler)
        draw_field(dusty, red, 10.0, shape_px=(64, 64), generator=stream((k,), CPU))
        layers.add(round(float(red.asked[0][1].max()), 4))
    assert len(layers) == 6
    assert min(layers) >= 0.5
    assert max(layers) <= 1.5


def test_a_clump_lies_on_one_side_of_the_dust(survey, sampler):
    settings = {"log_age": (7.0, 8.0), "clump_share": (1.0, 1.0)}
    dusty = with_field(survey, dust_share=(0.5, 0.5), dust_a_v=(1.0, 1.0), **settings)
    red = Reddened(sampler)
    draw_field(dusty, red, 100.0, shape_px=(192, 192), generator=stream((4,), CPU))
    n_stars, a_v = red.asked[0]
    clear = with_field(survey, **settings)
    alike = Reddened(sampler)
    draw_field(
        clear.with_values(galaxy={"field": {"a_v": 0.1}}),
        alike,
        100.0,
        shape_px=(192, 192),
        generator=stream((4,), CPU),
    )
    assert len(n_stars) == len(alike.asked[0][0])  # none is split
    assert 0.1 < float((a_v > 0).double().mean()) < 0.9


@pytest.mark.parametrize(
    ("stars_a_v", "field", "expected"),
    [
        (0.0, {}, None),
        (0.3, {}, None),
        (0.3, {"a_v": 0.3}, None),
        (0.3, {"a_v": 0.1}, (0.1, 0.1)),
        ((0.0, 2.0), {}, (0.0, 0.0)),
        ((0.1, 2.0), {"dust_share": (0.0, 0.5)}, (0.1, 1.6)),
        (0.0, {"dust_share": (0.0, 0.5), "dust_a_v": (1.0, 2.0)}, (0.0, 2.0)),
    ],
)
def test_extinctions_that_the_table_must_cover(survey, stars_a_v, field, expected):
    given = with_field(survey.with_values(clusters={"a_v": stars_a_v}), **field)
    found = field_extinction(given)
    assert found == (None if expected is None else pytest.approx(expected))


def test_galaxies_are_added_to_the_stars(survey, sampler):
    """Almost no stars: the light is the galaxies'."""
    given = with_field(survey, galaxies_per_arcmin2=500.0)
    field = draw_field(given, sampler, 1e-6, shape_px=(384, 384), generator=stream((6,), CPU))
    none = draw_field(survey, sampler, 1e-6, shape_px=(384, 384), generator=stream((6,), CPU))
    assert float(none.sum()) == pytest.approx(0, abs=1e-3)
    assert float(field[2].sum()) > 10


def test_a_table_that_does_not_cover_the_dust_is_refused(survey, sampler):
    dusty = with_field(survey, dust_share=(0.5, 0.5), dust_a_v=(1.0, 1.0))
    with pytest.raises(InputError, match="outside the tables of stars"):
        draw_field(dusty, sampler, 5.0, shape_px=(64, 64), generator=stream((1,), CPU))


def test_dust_with_the_stars_own_extinction(survey):
    """A layer in front of all stars dims the field as the integrated magnitudes say."""
    bands = [load_passband(band.filter) for band in survey.bands]
    table = build_table(bands, metallicities=[0.02], a_v=(0.0, 1.0))
    sampler = CrowdedSampler(
        table,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=[0.1] * len(bands),
    )
    quiet = with_field(survey, burstiness=0.0, log_age=(9.9, 10.0), metallicity=(0.02, 0.02))
    dusty = with_field(quiet, dust_share=(1.0, 1.0), dust_a_v=(1.0, 1.0))

    def light(given):
        fields = [
            draw_field(given, sampler, 2000.0, shape_px=(96, 96), generator=stream((k,), CPU))
            for k in range(6)
        ]
        return sum(field.double().sum((1, 2)) for field in fields).numpy()

    attenuation = -2.5 * np.log10(light(dusty) / light(quiet))
    magnitude = [table.integrated_magnitudes(9.95, 0.02, 1.0, a_v=a_v) for a_v in (0.0, 1.0)]
    np.testing.assert_allclose(attenuation, magnitude[1] - magnitude[0], atol=0.06)
    assert attenuation[1] - attenuation[2] > 0.4
