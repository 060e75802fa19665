"""Zero point, distance and flux limit of each population, on tables of one unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.errors import InputError
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.sky.population.levels import LIMIT_STEP, Levels
from praesepe.sky.tables import SurveyTables
from praesepe.survey import load_survey

LIMIT = 0.02
RANGE = 30.0


@pytest.fixture(scope="module")
def tables():
    return SurveyTables.build(load_survey("phat-nodust")).cluster


@pytest.fixture(scope="module")
def unit():
    survey = load_survey("phat-nodust")
    return np.array([band.zero_point_ab - survey.distance_modulus for band in survey.bands])


def sampler_of(tables, unit, limit=LIMIT, **settings):
    return CrowdedSampler(tables, unit_magnitude=unit.tolist(), flux_limit=[limit] * 3, **settings)


@pytest.fixture(scope="module")
def wide(tables, unit):
    """Takes limits up to thirty times the lowest."""
    return sampler_of(tables, unit, flux_limit_range=RANGE)


def draw(sampler, n_stars, *, n=40, age=8.0, seed=1, **settings):
    isochrone = torch.full((n,), int(np.abs(sampler.log_age - age).argmin()))
    generator = torch.Generator().manual_seed(seed)
    counts = torch.full((n,), float(n_stars), dtype=torch.float64)
    return sampler.draw(isochrone, counts, generator=generator, **settings)


def test_levels_span_the_range():
    levels = Levels(np.ones(3), RANGE)
    assert levels.factors[0] == 1
    assert levels.factors[-2] < RANGE <= levels.factors[-1]
    assert len(Levels(np.ones(3)).factors) == 1


@pytest.mark.parametrize("n_stars", [40, 3000, 3e6])
def test_a_scale_is_the_unit_of_other_tables(tables, unit, n_stars):
    """Three times the distance: the same stars as by tables made for it, in every value."""
    magnitudes = 5 * np.log10(3.0)
    there = sampler_of(tables, unit - magnitudes, LIMIT)
    here = sampler_of(tables, unit, LIMIT * 9)
    one = draw(there, n_stars, n=3)
    scale = torch.full((3, 3), 1 / 9)
    other = draw(here, n_stars, n=3, light_scale=scale)
    for name in ("flux", "light", "brightest", "mass", "population"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=2e-4)
    np.testing.assert_allclose(one.diffuse, other.diffuse, rtol=1e-3, atol=1e-3 * one.light.max())
    assert (other.diffuse.sum() > 0) == (n_stars > 1e6)


def test_each_population_has_its_own_scale_and_limit(wide):
    n = 3
    scale = torch.tensor([1.0, 0.25, 4.0])[:, None].expand(n, 3)
    plain = draw(wide, 3000, n=n)
    drawn = draw(wide, 3000, n=n, light_scale=scale, flux_limit=LIMIT * scale)
    np.testing.assert_allclose(drawn.light, plain.light * scale, rtol=1e-5)
    higher = LIMIT * torch.tensor([1.0, 5.0, 20.0])[:, None].expand(n, 3)
    drawn = draw(wide, 3000, n=n, flux_limit=higher)
    assert (torch.bincount(drawn.population).diff() < 0).all()  # fewer stars to sample
    light = torch.zeros(n, 3).index_add_(0, drawn.population, drawn.flux.T)
    np.testing.assert_allclose(light, drawn.light, rtol=1e-3)


@pytest.mark.parametrize("factor", [1.0, LIMIT_STEP**3, RANGE])
def test_a_limit_of_a_level_is_that_of_a_sampler_made_for_it(tables, unit, wide, factor):
    """Number of points, and the distribution of light, brightest star and shot noise."""
    limit = torch.full((300, 3), LIMIT * factor)
    one = draw(wide, 2000, n=300, flux_limit=limit)
    level = wide.levels.factors[wide.levels.factors <= factor * (1 + 1e-6)].max()
    other = draw(sampler_of(tables, unit, LIMIT * level), 2000, n=300, seed=2)
    counts = [len(stars.population) for stars in (one, other)]
    assert counts[0] == pytest.approx(counts[1], rel=0.03)
    for name in ("light", "brightest"):
        a, b = (getattr(stars, name).numpy() for stars in (one, other))
        assert all(stats.ks_2samp(a[:, k], b[:, k]).pvalue > 1e-3 for k in range(3))


def test_the_level_is_never_above_the_limit_of_any_band(wide):
    """The fainter limit of one band decides."""
    mixed = torch.tensor([[LIMIT, LIMIT * 20, LIMIT * 20]])
    low, high = (
        draw(wide, 3000, n=1, flux_limit=limit) for limit in (mixed, 20 * mixed[:, :1].expand(1, 3))
    )
    lowest = draw(wide, 3000, n=1)
    assert torch.equal(low.flux, lowest.flux)
    assert len(high.population) < len(low.population)


def test_a_limit_below_the_tables_is_refused(wide):
    limit = torch.full((2, 3), LIMIT / 2)
    with pytest.raises(InputError, match="lower flux_limit"):
        draw(wide, 100, n=2, flux_limit=limit)


@pytest.mark.parametrize("factor", [1.0, 20.0])
@pytest.mark.parametrize("n_stars", [3e6, 1e7])
def test_crowded_populations_keep_their_shot_noise_at_any_limit(wide, n_stars, factor):
    """N <f_b f_c>, of all stars: the last level samples none."""
    n, limit = 60, torch.full((60, 3), LIMIT * factor)
    drawn = draw(wide, n_stars, n=n, age=9.0, flux_limit=limit)
    assert len(drawn.population) <= n * 2.1 * 8192
    flux = drawn.flux.double().numpy()
    last = (int(np.abs(wide.log_age - 9.0).argmin()) + 1) * wide.levels.n - 1
    expected = n_stars * wide.unresolved.second[last, 3:, 3:].numpy()
    error = np.sqrt((flux**2) @ (flux**2).T) / n
    assert (np.abs(flux @ flux.T / n - expected) < 4 * error + 0.01 * expected).all()
    assert (error < 0.1 * expected).any()  # sharp enough to tell
