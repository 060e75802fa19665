"""Images of massive clusters against those in which every star is drawn, from centre to outskirts.

Importance sampling is right on average anywhere. What can go wrong is the look of the outskirts,
where single stars stand out of a light that is smooth farther in.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from praesepe.sky.cluster_stars import ClusterSampler
from praesepe.sky.clusters.profiles import PLUMMER
from praesepe.sky.massive.diffuse import DiffuseLight
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.sky.population.sampler import StarSampler
from praesepe.sky.simulator import Simulator
from praesepe.survey import load_survey

SIZE, N = 128, 5
ANNULI = ((4, 12), (12, 24), (24, 40), (40, 60))
CASES = [(5.5, 7.0, 0.0), (6.3, 8.0, 0.0), (6.3, 9.5, 0.0), (6.3, 8.0, 0.5), (6.3, 9.5, 0.3)]


@pytest.fixture(scope="module")
def simulator():
    survey = load_survey("phat-nodust").with_values(network={"stamp_size": SIZE})
    return Simulator(survey, n_fields=0, nuisances=False)


@pytest.fixture(scope="module")
def every(simulator):
    """Draws every star."""
    survey = simulator.survey
    return StarSampler(
        simulator.tables.cluster,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=[0.0] * 3,
    )


def images(simulator, log_mass, log_age, segregation, seed):
    """In units of the noise, with noise, of clusters of r_h = 0.5 arcsec, one at a time."""
    simulator.seed(seed)
    out = []
    for _ in range(N):
        cluster = simulator.sample(1).with_values(
            log_age=log_age,
            log_mass=log_mass,
            log_rh=np.log10(0.5),
            profile=PLUMMER,
            ellipticity=0.0,
            segregation=segregation,
            x_offset=0.0,
            y_offset=0.0,
        )
        population = simulator.populate(cluster, compute_truth=False)
        out.append(simulator.render(population)[0])
    noise = simulator.detector.noise.reshape(-1, 1, 1)
    light = (torch.stack(out) / noise).numpy()
    return light + np.random.default_rng(seed).standard_normal(light.shape)


def details(image):
    """What is left of each band without its local mean; the centre is where the profile bends."""
    return image - np.stack(
        [[ndimage.uniform_filter(band, 9) for band in bands] for bands in image]
    )


def compare(a, b):
    """Least p of a KS test of the details in four annuli, of bands and their differences.

    Pixels are those farther apart than the PSF is wide. Also the number of peaks in the last one.
    """
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    radius, sparse = np.hypot(x, y), (x % 4 == 0) & (y % 4 == 0)
    p_value, (a, b) = 1.0, (details(a), details(b))
    for low, high in ANNULI:
        here = (radius >= low) & (radius < high)
        values = [image[:, :, here & sparse] for image in (a, b)]
        scale = np.diff(np.percentile(values[1], (16, 84), axis=(0, 2)), axis=0)[0] / 2
        u, v = (value / scale[:, None] for value in values)
        for one, other in ((0, None), (1, None), (2, None), (0, 1), (1, 2)):
            pair = [z[:, one] - (0 if other is None else z[:, other]) for z in (u, v)]
            p_value = min(p_value, stats.ks_2samp(*(z.ravel() for z in pair)).pvalue)
    peaks = []
    for image in (a, b):
        of_band = image[:, 1]
        highest = ndimage.maximum_filter(of_band, (1, 5, 5)) == of_band
        peaks.append(int((highest & (of_band > 5))[:, here].sum()))
    return p_value, peaks


@pytest.mark.parametrize("case", CASES)
def test_massive_clusters_look_as_if_every_star_were_drawn(simulator, every, case):
    drawn = images(simulator, *case, 1)
    with patch.object(simulator, "cluster_stars", ClusterSampler(every)):
        truth = images(simulator, *case, 2)
    p_value, (peaks, expected) = compare(drawn, truth)
    assert p_value > 1e-4
    assert expected > 100
    assert abs(peaks - expected) < 2 * (2 * expected) ** 0.5


def test_clusters_sampled_as_a_whole_have_wrong_outskirts(simulator, every):
    """Negative control: the same without annuli."""
    with patch.object(
        CrowdedSampler,
        "is_crowded",
        lambda self, isochrone, n, **_: torch.zeros(len(isochrone)) > 0,
    ):
        drawn = images(simulator, *CASES[1], 1)
    with patch.object(simulator, "cluster_stars", ClusterSampler(every)):
        truth = images(simulator, *CASES[1], 2)
    p_value, (peaks, expected) = compare(drawn, truth)
    assert p_value < 1e-6
    assert abs(peaks - expected) > 2 * (2 * expected) ** 0.5


@pytest.mark.parametrize(("log_mass", "log_age", "segregation"), [(6.2, 7.0, 0.5), (6.2, 8.5, 1.0)])
def test_segregated_clusters_have_the_profile_of_their_stars(
    simulator, every, monkeypatch, log_mass, log_age, segregation
):
    """Mean light in annuli, whose stars segregation carries away, within four per cent.

    In the middle, where few stars give it, it scatters by 5.
    """
    case = (log_mass, log_age, segregation)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    radius = np.hypot(x, y)

    def profile(seeds):
        light = np.mean([images(simulator, *case, seed).mean(0)[1] for seed in seeds], axis=0)
        edges = (0, 2, 4, 6, 8, 10, 13, 16, 19, 22, 26, 31)
        return np.array([light[(radius >= a) & (radius < b)].mean() for a, b in pairwise(edges)])

    drawn = profile((1, 4, 5, 6))
    with patch.object(simulator, "cluster_stars", ClusterSampler(every)):
        truth = profile((2, 3))
    np.testing.assert_allclose(drawn[2:], truth[2:], rtol=0.04)
    np.testing.assert_allclose(drawn[:2], truth[:2], rtol=0.15)
    # The test can fail: all diffuse light where stars of one mass are.
    points = DiffuseLight.points

    def of_one_mass(self, *about):
        bins = self.mass_bins.clone()
        bins[..., 0] = bins[..., 0].mean(1, keepdim=True)
        return points(replace(self, mass_bins=bins), *about)

    monkeypatch.setattr(DiffuseLight, "points", of_one_mass)
    assert np.abs(profile((1, 4, 5, 6)) / truth - 1).max() > 0.05
