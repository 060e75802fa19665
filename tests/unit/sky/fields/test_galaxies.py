"""Background galaxies: counts, magnitudes, sizes, profiles, colours and dust."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import gammainc, gammaincinv
from scipy.stats import kstest

from praesepe.sky.fields.galaxies import (
    COUNT_LOG,
    COUNT_MAG,
    POINTS,
    _spiral,
    draw_galaxies,
    half_light_radius_arcsec,
    magnitudes,
)
from praesepe.survey import load_survey


@pytest.fixture(scope="module")
def survey():
    phat = load_survey("phat-nodust")
    return phat.with_values(galaxy={"field": {"galaxies_per_arcmin2": 90.0}})


def draw(survey, generator, side=1200, a_v=0.0):
    return draw_galaxies(survey, shape_px=(side, side), a_v=a_v, generator=generator)


def test_the_counts_add_up_to_what_other_surveys_see():
    """LSST Science Book (2009), section 3.7: 46 x 10^(0.31 (i - 25)) galaxies per arcmin²."""
    total = (10**COUNT_LOG * 0.5).sum() / 3600
    assert total == pytest.approx(46 * 10**0.31, rel=0.15)


def test_magnitudes_follow_the_counts():
    drawn = magnitudes((np.arange(200_000) + 0.5) / 200_000)
    assert drawn.min() > 19
    assert drawn.max() < 26
    found = np.histogram(drawn, np.append(COUNT_MAG - 0.25, 26.0))[0] / len(drawn)
    expected = 10**COUNT_LOG / (10**COUNT_LOG).sum()
    np.testing.assert_allclose(found, expected, rtol=0.05)
    flat = np.full(len(expected), 1 / len(expected))
    assert np.abs(found / flat - 1).max() > 1


def test_the_number_of_galaxies_is_poissonian(survey, generator):
    """Counted by their light: each galaxy's points share its flux equally."""
    numbers = []
    for _ in range(240):
        _, flux = draw(survey, generator, side=400)
        numbers.append(len(np.unique(flux[2].numpy())))
    expected = 90 * (400 * 0.05 / 60) ** 2
    assert np.mean(numbers) == pytest.approx(expected, abs=3.5 * np.sqrt(expected / 240))
    assert np.var(numbers, ddof=1) == pytest.approx(expected, rel=0.35)


def test_places(survey, generator):
    place, flux = draw(survey, generator)
    assert place.shape == (2, flux.shape[1])
    assert flux.shape[0] == 3
    assert place.min() >= 0
    assert place.max() <= 1
    assert (flux > 0).all()


def test_light_of_all_galaxies(survey, generator):
    """Mean light in F814W from the counts."""
    light = [float(draw(survey, generator)[1][2].sum()) for _ in range(30)]
    sky = np.array([10 ** (-0.4 * (m - 25.94)) for m in magnitudes((np.arange(9999) + 0.5) / 9999)])
    expected = 90 * (1200 * 0.05 / 60) ** 2 * sky.mean()
    error = np.std(light, ddof=1) / np.sqrt(len(light))
    assert np.mean(light) == pytest.approx(expected, abs=3.5 * error)
    assert error < 0.2 * expected


def test_dust_dims_and_reddens(survey):
    clear = draw(survey, torch.Generator().manual_seed(3))[1]
    dusty = draw(survey, torch.Generator().manual_seed(3), a_v=1.0)[1]
    attenuation = -2.5 * torch.log10(dusty / clear)
    assert float(attenuation.std(1).max()) < 1e-3  # alike for all galaxies
    ultraviolet, blue, red = attenuation.mean(1).tolist()
    assert ultraviolet > blue > 1 > red > 0.4  # about 1.6, 1.2 and 0.6


def test_colours_are_those_of_galaxies(survey, generator):
    """Between a star-forming galaxy with a flat spectrum and an old one; faint ones are bluer."""
    points = torch.cat([draw(survey, generator)[1] for _ in range(8)], dim=1).double()
    magnitude = torch.tensor([24.67, 26.06, 25.94])[:, None] - 2.5 * torch.log10(points)
    colour = np.unique((magnitude[1] - magnitude[2]).numpy().round(6))
    assert 0.6 < np.median(colour) < 1.2
    assert np.quantile(colour, 0.01) > -0.5
    assert np.quantile(colour, 0.99) < 2.3


def test_sizes_shrink_with_the_magnitude():
    radius = half_light_radius_arcsec(np.array([21.0, 23.0, 25.2]))
    assert (np.diff(radius) < 0).all()
    assert radius[1] == pytest.approx(0.53, abs=0.01)


@pytest.mark.parametrize("sersic", [1, 4])
def test_points_follow_the_profile(sersic):
    radius = np.hypot(*_spiral(4000, sersic))
    b = gammaincinv(2 * sersic, 0.5)

    def inside(r):
        return gammainc(2 * sersic, b * r ** (1 / sersic))

    assert kstest(radius, inside).statistic < 1e-3
    assert kstest(radius, lambda r: inside(1.1 * r)).statistic > 0.01


def test_points_are_spread_evenly_in_angle():
    x, y = _spiral(POINTS[0], 1)
    assert abs(np.mean(x)) < 0.02
    assert abs(np.mean(y)) < 0.02
    turns = np.arctan2(y, x) / (2 * np.pi) % 1
    assert kstest(turns, "uniform").statistic < 0.02


def test_a_spiral_is_smoother_than_random_points():
    """Light in cells of half the radius, against the integral of the exponential profile."""
    x, y = _spiral(1024, 1)
    random = np.random.default_rng(1)
    angle = random.uniform(0, 2 * np.pi, 1024)
    radius = np.hypot(x, y)
    edges = np.linspace(-1, 1, 5)

    def cells(x, y):
        return np.histogram2d(x, y, bins=[edges, edges])[0]

    b = gammaincinv(2, 0.5)
    center = (edges[1:] + edges[:-1]) / 2

    def light(i, j):
        def row(y):
            return quad(lambda x: np.exp(-b * np.hypot(x, y)), center[i] - 0.25, center[i] + 0.25)[
                0
            ]

        return quad(row, center[j] - 0.25, center[j] + 0.25)[0]

    expected = np.array([[light(i, j) for j in range(4)] for i in range(4)])
    expected *= 1024 * b**2 / (2 * np.pi)
    scrambled = cells(radius * np.cos(angle), radius * np.sin(angle))

    def chi2(counts):
        return ((counts - expected) ** 2 / expected).mean()

    assert chi2(cells(x, y)) < 0.15
    assert chi2(scrambled) > 0.3


def test_no_galaxies(generator):
    phat = load_survey("phat-nodust")
    place, flux = draw(phat, generator)
    assert place.shape == (2, 0)
    assert flux.shape == (3, 0)
