"""What simulated pixels must hold: the clusters' light, and the scatter of faint stars."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.sky.cluster_stars import ClusterSampler
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.massive.diffuse import DiffuseLight
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.sky.population.sampler import StarSampler
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import load_survey


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def tables(survey):
    return SurveyTables.build(survey)


def with_prior(survey, **settings):
    return survey.with_values(clusters=settings)


def without_sky_left(survey):
    bands = tuple(band.model_copy(update={"sky_left": (0.0, 0.0)}) for band in survey.bands)
    return survey.with_values(observation={"bands": bands})


@pytest.fixture(scope="module")
def compact(survey, tables):
    """Massive clusters of r_h = 0.1 arcsec, all but complete inside a stamp."""
    narrow = with_prior(
        without_sky_left(survey), rh_arcsec=(0.1, 0.1), gamma=(4.0, 4.0), log_mass=(4.2, 4.5)
    )
    simulator = Simulator(narrow, tables=tables, seed=3, n_fields=0, nuisances=False)
    return simulator.draw(150)


@pytest.mark.parametrize("band", range(3))
def test_a_stamp_holds_the_light_that_the_truth_lists(survey, compact, band):
    """All but what lies outside: some 4 per cent of the profile and of the PSF."""
    settings = survey.bands[band]
    listed = 10 ** (-0.4 * (compact.truth[f"mag_{settings.name}"] - settings.zero_point_ab))
    share = compact.images[:, band].sum((1, 2)) / listed
    noise = 64 * ((settings.sky_e_s[1] + 0.01) / settings.exposure_s) ** 0.5 / listed
    good = noise < 0.02
    assert good.sum() > 60
    assert 0.90 < float(share[good].median()) < 0.99


def test_clusters_are_where_the_truth_says(compact):
    """The centroids of the light scatter about the true places, not about the pixel's."""
    image = compact.images[:, 1, 17:48, 17:48].double()
    index = torch.arange(17, 48, dtype=torch.float64)
    light = image.sum((1, 2))
    x, y = (image.sum(1) @ index) / light, (image.sum(2) @ index) / light
    for value, axis, other in ((x, "x", "y"), (y, "y", "x")):
        off = (value - compact.truth[axis]).numpy()
        assert np.abs(np.median(off)) < 4 * 1.25 * off.std() / len(off) ** 0.5
        assert 1.4826 * np.median(np.abs(off)) < 0.25
        # Negative control: the other axis, and the middle of the stamp.
        assert np.corrcoef(value, compact.truth[axis])[0, 1] > 0.8
        assert np.abs(np.corrcoef(value, compact.truth[other])[0, 1]) < 0.5


def test_half_the_light_lies_inside_the_half_light_radius(survey, tables):
    """Measured on the mean of many clusters, the PSF taken out by a second, point-like set."""
    radius_px = 8.0
    wide = with_prior(
        survey,
        rh_arcsec=(radius_px * survey.pixel_scale_arcsec,) * 2,
        gamma=(4.0, 4.0),
        center_shift_px=0.0,
        log_mass=(4.0, 4.0),
    )
    simulator = Simulator(wide, tables=tables, seed=5, n_fields=0, nuisances=False)
    simulator.renderer = Renderer(wide, pad=32)
    population = simulator.populate(simulator.sample(200))
    image = simulator.render(population)[:, 1]
    listed = 10 ** (-0.4 * (population.truth["mag_F475W"] - survey.bands[1].zero_point_ab))
    mean = (image / listed[:, None, None]).mean(0)
    index = torch.arange(64.0) - 32
    inside = torch.hypot(index[:, None], index) < radius_px
    # The PSF takes 5 per cent of the light out of this circle and brings less back.
    assert 0.42 < float(mean[inside].sum()) < 0.5


AGE, MASS, RADIUS_ARCSEC = 9.9, 3.3, 0.3
"""An old cluster, where the faint stars give a tenth of the light."""


@pytest.fixture(scope="module")
def old_clusters(survey, tables):
    narrow = with_prior(
        survey,
        log_age=(AGE, AGE),
        log_mass=(MASS, MASS),
        rh_arcsec=(RADIUS_ARCSEC, RADIUS_ARCSEC),
        gamma=(3.0, 3.0),
    )
    return Simulator(narrow, tables=tables, n_fields=0, nuisances=False)


@pytest.fixture(scope="module")
def all_individual(survey, tables):
    """Draws every star, however faint."""
    return StarSampler(
        tables.cluster,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=[0.0] * len(survey.bands),
    )


def pixels(simulator, seed, n=250):
    """Noiseless pixels 4 px apart as the network sees them, (n, band, 7, 7)."""
    simulator.seed(seed)
    population = simulator.populate(simulator.sample(n))
    sparse = simulator.render(population)[:, :, 20:45:4, 20:45:4]
    scale = torch.tensor([band.asinh_scale for band in simulator.survey.bands])
    return torch.asinh(sparse / scale[:, None, None]).double()


def least_p_value(a, b):
    """Kolmogorov-Smirnov test of the pixel values in F475W and F814W."""
    return min(stats.ks_2samp(a[:, band].flatten(), b[:, band].flatten()).pvalue for band in (1, 2))


@pytest.fixture(scope="module")
def reference(old_clusters, all_individual):
    with patch.object(old_clusters, "cluster_stars", ClusterSampler(all_individual)):
        return pixels(old_clusters, 3)  # no rare young white dwarf, which rules the F336W variance


def test_unresolved_stars_together_leaves_the_pixels_as_they_are(old_clusters, reference):
    """Distribution, mean and variance of the pixels, before any noise."""
    values = pixels(old_clusters, 2)
    assert least_p_value(values, reference) > 0.01
    for band in range(3):
        a, b = values[:, band].mean((1, 2)), reference[:, band].mean((1, 2))
        error = ((a.var() + b.var()) / len(a)) ** 0.5
        assert float((a.mean() - b.mean()).abs()) < 4 * float(error)
        ratio = values[:, band].var(0).mean() / reference[:, band].var(0).mean()
        assert float(ratio) == pytest.approx(1, abs=0.15)


def test_the_comparison_rejects_faint_light_in_too_few_points(old_clusters, reference, monkeypatch):
    unresolved = old_clusters.stars.unresolved
    monkeypatch.setattr(unresolved, "points_per_star", unresolved.points_per_star / 30)
    assert least_p_value(pixels(old_clusters, 2), reference) < 1e-4


def test_the_comparison_rejects_missing_faint_light(old_clusters, reference, monkeypatch):
    unresolved = old_clusters.stars.unresolved
    for name in ("mean", "scatter"):
        monkeypatch.setattr(unresolved, name, torch.zeros_like(getattr(unresolved, name)))
    assert least_p_value(pixels(old_clusters, 2), reference) < 1e-4


def test_unresolved_stars_save_most_of_the_work(old_clusters, all_individual):
    counts = torch.full((20,), 3500.0)
    isochrones = torch.full((20,), int(np.abs(all_individual.log_age - AGE).argmin()))
    generator = torch.Generator().manual_seed(1)
    every = all_individual.draw(isochrones, counts, generator=generator).population.numel()
    points = old_clusters.stars.draw(isochrones, counts, generator=generator).population.numel()
    assert points < every / 2


# ---- clusters so massive that a part of their light is diffuse

MASSIVE_MASS, MASSIVE_AGE, N_MASSIVE = 4.7, 8.0, 40
FEWER = 800
"""Points at most: lighter clusters, but as much of their light diffuse."""


@pytest.fixture(scope="module")
def massive(survey, tables):
    narrow = with_prior(
        survey,
        log_age=(MASSIVE_AGE, MASSIVE_AGE),
        log_mass=(MASSIVE_MASS, MASSIVE_MASS),
        rh_arcsec=(RADIUS_ARCSEC, RADIUS_ARCSEC),
        gamma=(3.0, 3.0),
        center_shift_px=0.0,
    )
    return Simulator(narrow, tables=tables, n_fields=0, nuisances=False)


@pytest.fixture
def few_points(monkeypatch):
    """Limits that these clusters reach as those of 10^6 Msun reach the usual ones."""
    limit_points(monkeypatch, FEWER)


def limit_points(monkeypatch, points):
    usual = CrowdedSampler.draw

    def draw(self, *given, **settings):
        return usual(self, *given, **{**settings, "max_points": points})

    monkeypatch.setattr(CrowdedSampler, "draw", draw)


@pytest.fixture(scope="module")
def massive_reference(massive, all_individual):
    """The same clusters with each of their 90 000 stars drawn."""
    with patch.object(massive, "cluster_stars", ClusterSampler(all_individual)):
        return torch.cat([pixels(massive, seed, n=8) for seed in range(20, 25)])


def deviations(values, reference):
    """Of the mean of each pixel (in its error) and of the scatter from cluster to cluster."""
    error = ((values.var(0) + reference.var(0)) / len(values)).sqrt()
    mean = (values.mean(0) - reference.mean(0)) / error
    return float(mean.square().mean()), float((values.var(0) / reference.var(0)).log().mean())


@pytest.mark.usefixtures("few_points")
def test_diffuse_light_leaves_the_pixels_of_massive_clusters_as_they_are(
    massive, massive_reference
):
    values = pixels(massive, 30, n=N_MASSIVE)
    mean, scatter = deviations(values, massive_reference)
    assert mean < 1.6  # pixels of a cluster are correlated through its total light
    assert abs(scatter) < 0.12
    assert least_p_value(values, massive_reference) > 0.01


@pytest.mark.usefixtures("few_points")
def test_the_comparison_rejects_massive_clusters_without_their_diffuse_light(
    massive, massive_reference, monkeypatch
):
    monkeypatch.setattr(DiffuseLight, "add_to", lambda *_, **__: None)
    mean, _ = deviations(pixels(massive, 30, n=N_MASSIVE), massive_reference)
    assert mean > 3


def test_the_comparison_rejects_massive_clusters_of_too_few_points(
    massive, massive_reference, monkeypatch
):
    limit_points(monkeypatch, 10)
    _, scatter = deviations(pixels(massive, 30, n=N_MASSIVE), massive_reference)
    assert abs(scatter) > 0.5
