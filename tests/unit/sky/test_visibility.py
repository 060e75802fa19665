"""Visibility: what a cluster has in its aperture, and how such apertures scatter without it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from praesepe.quantities import LOG_VISIBILITY
from praesepe.sky.simulator import Simulator
from praesepe.sky.visibility import annulus_px, net_weights
from praesepe.survey import load_survey

RADII_PX = (1.7, 3.5, 8.0)


def survey_with(**tables):
    phat = load_survey("phat-nodust")
    return phat.with_values(
        observation={"bands": phat.bands[1:], "nuisance": {"focus_nm": 0.0}},
        galaxy={"field": {"metallicity": (0.02, 0.02), "surface_density": (10.0, 10.0)}},
    ).with_values(**tables)


@pytest.fixture(scope="module")
def simulator():
    return Simulator(survey_with(), seed=1, n_fields=1, nuisances=False)


def net_flux(images, radius_px, x=32.0, y=32.0):
    """Sum in a circle minus the mean of an annulus under it, (n, band), without the code's own."""
    steps = np.arange(images.shape[-1])
    distance = np.hypot(steps - x, (steps - y)[:, None])
    inner, outer = annulus_px(radius_px)
    circle, hole, disc = (np.clip(r + 0.5 - distance, 0, 1) for r in (radius_px, inner, outer))
    ring = disc - hole
    pixels = images.numpy()
    background = (pixels * ring).sum((-1, -2)) / ring.sum()
    return (pixels * circle).sum((-1, -2)) - background * circle.sum()


def half_width(values):
    low, high = np.percentile(values, [15.87, 84.13], axis=0)
    return (high - low) / 2


def visible(simulator, radius_px, n=1, **given):
    """Parameters and truth of equal clusters on the pool's field."""
    log_rh = math.log10(radius_px * simulator.survey.pixel_scale_arcsec)
    values = {"log_rh": log_rh, "log_mass": 3.5, "log_age": 8.5, "gamma": 3.0, **given}
    return simulator.observe({**values, "x_offset": 0.0, "y_offset": 0.0}, n=n)


def place_of(simulator, clusters):
    return simulator.visibility.place_of(clusters.log_rh)


def light(mocks, survey):
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    mags = np.stack([mocks.truth[f"mag_{name}"].numpy() for name in survey.band_names], 1)
    return 10 ** (0.4 * (zero_points - mags))


@pytest.mark.parametrize("radius_px", [0.6, 3.3, 16.0])
def test_weights_of_an_aperture_are_those_of_a_circle_over_its_annulus(radius_px):
    weights = net_weights(radius_px).numpy()
    half = len(weights) // 2
    assert weights.sum() == pytest.approx(0, abs=1e-9)
    assert weights[half, half] == pytest.approx(1)
    assert weights[weights > 0].sum() == pytest.approx(math.pi * radius_px**2, rel=0.25)
    image = torch.randn(1, 1, 2 * half + 1, 2 * half + 1)
    by_hand = net_flux(image, radius_px, half, half)
    assert float((image * torch.from_numpy(weights)).sum()) == pytest.approx(
        float(by_hand[0, 0]), rel=1e-4
    )


@pytest.mark.parametrize("density", [10.0, 100.0])
def test_the_scatter_is_that_of_stamps_without_clusters(simulator, density):
    """Photons matter in the first field, stars alone in the second."""
    pool = {"surface_density": (density, density), "metallicity": (0.02, 0.02)}
    survey = survey_with(galaxy={"field": pool})
    bare = Simulator(survey, seed=1, tables=simulator.tables, n_fields=0, nuisances=False)
    ratios = []
    for seed in range(5):
        here = bare.another(seed, n_fields=1)
        stamps = here.observe({"contaminant": "empty"}, n=120).images
        for radius_px in RADII_PX:
            middles = [32.0] if radius_px > 4 else [16.0, 32.0, 48.0]
            nets = [net_flux(stamps, radius_px, x, y) for x in middles for y in middles]
            scatter = half_width(np.concatenate(nets))
            mocks = visible(here, radius_px, tidal_radius=np.inf)
            clusters = here.sample(1).with_values(
                log_rh=mocks.truth["log_rh"], gamma=3.0, tidal_radius=np.inf
            )
            share = here.visibility.shares_inside(clusters, *place_of(here, clusters)).numpy()
            told = 10 ** float(mocks.truth["log_visibility"])
            ratios.append(told / (light(mocks, survey) * share / scatter).max())
    ratios = np.log(np.array(ratios).reshape(5, -1))
    assert np.abs(np.exp(ratios.mean(0)) - 1).max() < 0.1
    assert np.exp(ratios.mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("radius_px", RADII_PX)
def test_the_flux_is_what_the_cluster_has_in_its_aperture(simulator, radius_px):
    clusters = simulator.sample(24).with_values(
        log_mass=4.4,
        log_age=9.0,
        log_rh=math.log10(radius_px * 0.05),
        x_offset=0.0,
        y_offset=0.0,
    )
    population = simulator.populate(clusters)
    images = simulator.render(population)
    share = net_flux(images, radius_px) / population.stars.light.numpy()
    told = simulator.visibility.shares_inside(clusters, *place_of(simulator, clusters)).numpy()
    assert told.mean(0) == pytest.approx(share.mean(0), rel=0.06)
    assert 0.2 < told.mean() < 0.5


def test_without_stars_around_it_goes_with_the_depth(simulator):
    (band,) = simulator.survey.bands[-1:]
    bands = (band.model_copy(update={"exposure_s": (100.0, 10_000.0), "n_exposures": 1}),)
    ranged = Simulator(survey_with(observation={"bands": bands}), seed=1, n_fields=0)
    truth = visible(ranged, 3.0, n=40).truth
    expected = 0.4 * (truth["depth_F814W"] - truth["mag_F814W"])
    assert float(expected.std()) > 0.3
    assert float((truth["log_visibility"] - expected).std()) < 0.02


def test_it_is_told_where_it_is_asked_for_and_of_clusters_alone(simulator):
    assert "log_visibility" not in simulator.draw(2, compute_truth=False).truth
    inferred = survey_with(network={"infers": ("log_age", "log_visibility")})
    asked = Simulator(inferred, seed=1, tables=simulator.tables, n_fields=1)
    mocks = asked.draw(40, compute_truth=False)
    seen = mocks.values(["log_visibility", "visibility"])
    low, high = LOG_VISIBILITY.limits
    assert ((seen[:, 0] >= low) & (seen[:, 0] <= high)).all()
    torch.testing.assert_close(seen[:, 1], 10 ** seen[:, 0])
    assert "field" not in mocks.truth
    assert torch.corrcoef(torch.stack((seen[:, 0], mocks.truth["log_mass"])))[0, 1] > 0.3
    truth = asked.observe({"contaminant": ["none", "off_center", "star"]}, n=3).truth
    assert torch.isfinite(truth["log_visibility"]).tolist() == [True, False, False]


def test_a_field_that_is_renewed_is_measured_again(simulator):
    survey = survey_with(galaxy={"field": {"surface_density": (5.0, 200.0)}})
    pool_of = Simulator(survey, seed=2, tables=simulator.tables, n_fields=2)
    before = pool_of.draw_block(0, 16).truth["log_visibility"]
    pool_of.draw_block(40, 16)
    again = pool_of.draw_block(0, 16).truth["log_visibility"]
    assert torch.equal(before, again)
    fresh = Simulator(survey, seed=2, tables=simulator.tables, n_fields=2).draw_block(40, 16)
    assert torch.equal(
        pool_of.draw_block(40, 16).truth["log_visibility"], fresh.truth["log_visibility"]
    )
