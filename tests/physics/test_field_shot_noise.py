"""Star fields of distant galaxies: their pixels scatter as much as the stars' own light does.

The truth needs no star drawn: Poisson-distributed stars of mean number n per pixel and flux f give
a variance of n <f²> times the sum of the squares of what the pixels see of a star.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from praesepe.rng import stream
from praesepe.sky.fields.histories import age_metallicity_fractions
from praesepe.sky.fields.simulated import draw_field
from praesepe.sky.instrument.render import OVERSAMPLING
from praesepe.sky.simulator import Simulator
from praesepe.stars.imf import KROUPA2001
from praesepe.stars.magnitudes import imf_weights
from praesepe.survey import load_survey

CPU = torch.device("cpu")
SIDE = 384
DENSITY = 100.0  # initial Msun/pc2, the example's largest
SIGMA = 2.0  # of the blur, grid points
N_FIELDS = 4
TOLERANCE = 0.1  # rare bright stars make the variance of one field uncertain by 6 per cent


@pytest.fixture(scope="module")
def simulator(repository):
    """Galaxies at 20 Mpc: 4000 stars in a pixel, none of which could be seen alone."""
    survey = load_survey(repository / "examples" / "real_images" / "acsvcs.toml")
    fixed = {"distance_pc": 2e7, "field": {"galaxies_per_arcmin2": 0.0}}
    return Simulator(survey.with_values(galaxy=fixed), n_fields=0)


@pytest.fixture(scope="module")
def survey(simulator):
    survey = simulator.survey
    return survey.with_values(galaxy={"field": {"burstiness": 0.0}})


@pytest.fixture(scope="module")
def sampler(simulator):
    return simulator.field_stars


@pytest.fixture(scope="module")
def moments(simulator, survey, sampler):
    """Mean and variance of a blurred grid point in each band, from the isochrones alone."""
    table = simulator.tables.field
    shares = age_metallicity_fractions(survey, sampler, generator=stream((0,), CPU)).numpy()
    zero_point = np.array([band.zero_point_ab for band in survey.bands])
    first, second = np.zeros((2, len(zero_point)))
    for (age, z), share in np.ndenumerate(shares):
        if share > 0:
            magnitude = table.mag_ab[age, z] + survey.distance_modulus
            flux = 10 ** (0.4 * (zero_point - magnitude))
            weight = share * imf_weights(table.initial_mass[age, z], KROUPA2001)
            first += weight @ flux
            second += weight @ flux**2
    grid_point_pc = survey.pixel_scale_arcsec * survey.pc_per_arcsec / OVERSAMPLING
    n_stars = DENSITY * grid_point_pc**2 / sampler.mean_mass
    return n_stars * first, n_stars * second * float(_blur()[1].square().mean())


def _blur():
    """Transfer functions of a Gaussian, on the grid's light and on that of point sources."""
    frequency = torch.fft.fftfreq(OVERSAMPLING * SIDE, dtype=torch.float64)
    gauss = torch.exp(-0.5 * (2 * math.pi * SIGMA * frequency) ** 2)
    on_grid = gauss / torch.sinc(frequency) ** 4  # the spline that spreads stars is divided out
    return on_grid[:, None] * on_grid, gauss[:, None] * gauss


def blurred(survey, sampler):
    """Mean and variance of fields in each band."""
    blur, values = _blur()[0], []
    for k in range(N_FIELDS):
        field = draw_field(
            survey, sampler, DENSITY, shape_px=(SIDE, SIDE), generator=stream((k,), CPU)
        )
        seen = torch.fft.ifft2(torch.fft.fft2(field.double()) * blur).real
        values.append((seen.mean((1, 2)).numpy(), seen.var((1, 2)).numpy()))
    return np.mean(values, axis=0)


def test_pixels_scatter_as_the_stars_do(survey, sampler, moments):
    mean, variance = blurred(survey, sampler)
    np.testing.assert_allclose(mean, moments[0], rtol=0.01)
    np.testing.assert_allclose(variance, moments[1], rtol=TOLERANCE)


class AllInPoints:
    """The sampler, with all light in points, however few they are."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    def draw(self, *groups, **settings):
        stars = self.sampler.draw(*groups, **settings)
        more = stars.light / (stars.light - stars.diffuse).clamp_min(1e-30)
        flux = stars.flux * more.T.index_select(1, stars.population)
        return replace(stars, flux=flux, diffuse=torch.zeros_like(stars.diffuse))


def test_the_comparison_rejects_all_light_in_points(survey, sampler, moments):
    mean, variance = blurred(survey, AllInPoints(sampler))
    np.testing.assert_allclose(mean, moments[0], rtol=0.01)
    assert variance[0] > (1 + 2 * TOLERANCE) * moments[1][0]
