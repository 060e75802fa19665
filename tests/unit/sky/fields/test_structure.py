"""Gradients and clumps: slopes, areas, pairs of stars, and their negative controls."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from praesepe.sky.fields.structure import CLUMP_MSUN, Clumps, Gradient
from praesepe.survey import load_survey

CPU = torch.device("cpu")
SHAPE = (384, 384)


class Stars:
    mean_mass = 0.6
    device = CPU


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


def with_field(survey, **settings):
    return survey.with_values(galaxy={"field": settings})


def gradients(survey, generator, n=60, shape=SHAPE, dex=0.4):
    steep = with_field(survey, gradient_dex=dex)
    return [Gradient.draw(steep, shape_px=shape, generator=generator) for _ in range(n)]


def log_density(gradient, x_px, y_px, shape=SHAPE):
    height, width = shape
    x, y = torch.as_tensor(x_px / width), torch.as_tensor(y_px / height)
    return torch.log10(gradient.factor(x, y)).numpy()


def steepest_change(gradient, shape, length_px):
    """Largest change of log density between two points of the field `length_px` apart."""
    height, width = shape
    y, x = np.mgrid[0:height:4, 0:width:4].astype(float)
    angle = np.arctan2(gradient.waves[1] / height, gradient.waves[0] / width)
    step = length_px * np.cos(angle), length_px * np.sin(angle)
    there = log_density(gradient, x + step[0], y + step[1], shape)
    return np.abs(there - log_density(gradient, x, y, shape)).max()


@pytest.mark.parametrize("shape", [(384, 384), (400, 800), (64, 64)])
def test_the_change_across_a_stamp_stays_below_the_limit(survey, generator, shape):
    """The steepest slope is uniform up to the limit; over a stamp the wave bends a little."""
    drawn = gradients(survey, generator, n=100, shape=shape)
    slopes = [64 * steepest_change(g, shape, 1.0) for g in drawn]
    assert max(slopes) <= 0.4 * 1.001
    assert kstest(slopes, "uniform", (0, 0.4)).pvalue > 0.01
    assert kstest(slopes, "uniform", (0, 0.3)).pvalue < 1e-3
    across = [steepest_change(g, shape, 64.0) for g in drawn]
    assert max(across) <= 0.4 * 1.001
    if shape == (384, 384):
        np.testing.assert_allclose(across, slopes, rtol=0.12)


def test_gradients_point_everywhere(survey, generator):
    waves = {g.waves for g in gradients(survey, generator)}
    assert waves == {(1, 0), (1, 1), (1, -1), (0, 1), (-1, 1)}


def test_a_wide_field_has_more_waves(survey, generator):
    g = gradients(survey, generator, n=1, shape=(1536, 1536))[0]
    assert max(map(abs, g.waves)) == 4


def test_the_density_is_periodic_and_keeps_its_mean(survey, generator):
    y, x = np.mgrid[0:384:3, 0:384:3].astype(float)
    for g in gradients(survey, generator, n=6):
        there = log_density(g, x, y)
        np.testing.assert_allclose(log_density(g, x + 384, y - 384), there, atol=1e-5)
        assert np.mean(10**there) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("waves", [(1, 0), (0, 1), (1, 1), (2, -2), (-1, 1)])
def test_stars_follow_the_density(waves, generator):
    """Counts in cells against the density: chi² as expected, and not for an even field."""
    g = Gradient(0.3, waves, 0.37)
    place = g.place(torch.rand((2, 200_000), generator=generator))
    assert place.min() >= 0
    assert place.max() <= 1
    counts, _, _ = np.histogram2d(*place.numpy(), bins=24, range=[[0, 1], [0, 1]])
    middle = torch.linspace(0, 1, 24 * 8 + 1)[:-1] + 1 / (2 * 24 * 8)
    x, y = torch.meshgrid(middle, middle, indexing="ij")
    share = g.factor(x, y).reshape(24, 8, 24, 8).mean((1, 3)).numpy() / 24**2
    expected = 200_000 * share
    chi2 = ((counts - expected) ** 2 / expected).sum() / 24**2
    assert chi2 == pytest.approx(1, abs=0.25)
    even = 200_000 / 24**2
    assert ((counts - even) ** 2 / even).sum() / 24**2 > 5


def test_no_gradient_moves_nothing_and_draws_nothing(survey):
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    g = Gradient.draw(survey, shape_px=SHAPE, generator=generator)
    assert torch.equal(generator.get_state(), before)
    u = torch.rand((2, 9))
    assert g.place(u) is u
    np.testing.assert_allclose(g.factor(u[0], u[1]), 1, rtol=1e-6)


def clumps_of(survey, generator, mass, pc=(5.0, 50.0), gradient=None):
    expected = torch.tensor([0.0, mass / 4, 3 * mass / 4]) / Stars.mean_mass
    given = with_field(survey, clump_pc=pc)
    gradient = gradient or Gradient()
    return Clumps.draw(given, Stars, expected, gradient=gradient, generator=generator)


def test_clumps_hold_the_mass_that_was_asked_for(survey, generator):
    mass = [
        float(clumps_of(survey, generator, 3000.0).expected.sum() * Stars.mean_mass)
        for _ in range(400)
    ]
    # A compound Poisson sum: variance n <m²>, with <m²> = low high for dN/dM ~ M^-2.
    low, high = CLUMP_MSUN
    mean = math.log(high / low) / (1 / low - 1 / high)
    error = math.sqrt(3000 / mean * low * high / len(mass))
    assert np.mean(mass) == pytest.approx(3000, abs=3.5 * error)
    assert np.std(mass) == pytest.approx(math.sqrt(3000 / mean * low * high), rel=0.15)


def test_masses_radii_and_ages_of_clumps(survey, generator):
    clumps = clumps_of(survey, generator, 3e5)
    assert len(clumps.isochrone) > 400
    pixel_pc = survey.pixel_scale_arcsec * survey.pc_per_arcsec
    log_pc = np.log(clumps.radius_px.numpy() * pixel_pc)
    span = math.log(10)
    assert kstest(log_pc, "uniform", (math.log(5), span)).pvalue > 0.01
    assert kstest(np.exp(log_pc), "uniform", (5, 45)).pvalue < 1e-6
    low, high = CLUMP_MSUN
    mass = clumps.expected.numpy() * Stars.mean_mass

    def share_below(m):
        return (1 / low - 1 / m) / (1 / low - 1 / high)

    assert kstest(mass, share_below).pvalue > 0.01
    shares = torch.bincount(clumps.isochrone, minlength=3) / len(clumps.isochrone)
    assert shares[0] == 0
    assert float(shares[2]) == pytest.approx(0.75, abs=0.08)


def test_half_of_a_clumps_stars_lie_inside_its_radius(generator):
    clumps = Clumps(
        isochrone=torch.tensor([0]),
        expected=torch.tensor([1.0]),
        center=torch.tensor([[0.99], [0.02]]),
        radius_px=torch.tensor([20.0]),
    )
    place = clumps.place(
        torch.zeros(20_000, dtype=torch.long), shape_px=(300, 600), generator=generator
    )
    assert place.min() >= 0
    assert place.max() <= 1
    apart = (place - clumps.center + 0.5) % 1 - 0.5
    radius = torch.hypot(apart[0] * 600, apart[1] * 300)
    assert float((radius < 20).double().mean()) == pytest.approx(0.5, abs=0.012)


def pair_excess(place, scale=0.03):
    """Pairs closer than `scale` of a periodic field over those of an even one."""
    apart = (place[:, :, None] - place[:, None] + 0.5) % 1 - 0.5
    close = (torch.hypot(apart[0], apart[1]) < scale).sum() - place.shape[1]
    n = place.shape[1]
    return float(close) / (n * (n - 1) * math.pi * scale**2)


def test_clumps_have_an_excess_of_close_pairs(survey, generator):
    clumps = clumps_of(survey, generator, 2e4, pc=(2.0, 8.0))
    which = torch.multinomial(clumps.expected, 1500, replacement=True, generator=generator)
    clumped = clumps.place(which, shape_px=SHAPE, generator=generator)
    even = torch.rand((2, 1500), generator=generator)
    assert pair_excess(clumped) > 2
    assert pair_excess(even) == pytest.approx(1, abs=0.1)


def test_clumps_follow_the_gradient(survey, generator):
    steep = Gradient(1.0, (1, 0), 0.0)
    clumps = clumps_of(survey, generator, 3e5, gradient=steep)
    crest = torch.cos(2 * math.pi * clumps.center[0]) > 0
    assert float(crest.double().mean()) > 0.8


def test_no_mass_no_clumps(survey, generator):
    clumps = clumps_of(survey, generator, 1e-9)
    assert len(clumps.isochrone) == 0
    assert clumps.center.shape == (2, 0)
