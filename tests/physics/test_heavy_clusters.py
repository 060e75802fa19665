"""Heavy clusters: light that cannot be told from a smooth profile is summed; pixels stay the same.

Pixels are stood for by cells into which every star falls with a given chance, as it falls into the
pixels of a smooth profile: no image is needed to see whether their distribution is the same.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.sky.sampler import MAX_BRIGHT, MAX_POINTS, StarSampler
from praesepe.sky.simulator import Simulator

CELLS = torch.arange(1, 241, dtype=torch.float64)
CHANCE = CELLS**-0.8 / (CELLS**-0.8).sum()
"""Chances of 240 cells: as wide a range as between the centre of a cluster and its outskirts."""

LOG_AGE, MASS = 8.0, 1e6


@pytest.fixture(scope="module")
def simulator():
    return Simulator("phat", n_fields=0)


@pytest.fixture(scope="module")
def every(simulator):
    """Draws every star, however heavy the cluster."""
    survey = simulator.survey
    return StarSampler(
        simulator.tables.cluster,
        zero_points=[band.zero_point_ab for band in survey.bands],
        distance_modulus=survey.distance_modulus,
        flux_limit=[0.0] * len(survey.bands),
    )


def cells(sampler, n, seed, mass=MASS, **how):
    """Light in the cells of `n` clusters, (n, band, cell), relative to what is expected there."""
    row = int(np.abs(sampler.log_age - LOG_AGE).argmin())
    generator = torch.Generator().manual_seed(seed)
    stars = torch.full((1,), mass / sampler.mean_mass)
    edges = torch.cumsum(CHANCE, 0).float()
    out = []
    for _ in range(n):
        drawn = sampler.draw(torch.tensor([row]), stars, generator=generator, detail=False, **how)
        place = torch.bucketize(torch.rand(len(drawn.owner), generator=generator), edges)
        place.clamp_(max=len(CELLS) - 1)
        light = torch.zeros(drawn.flux.shape[0], len(CELLS))
        light.index_add_(1, place, drawn.flux)
        out.append((light + drawn.smooth.T * CHANCE) / CHANCE)
    return torch.stack(out).double().numpy()


@pytest.fixture(scope="module")
def reference(every):
    return cells(every, 14, seed=1)


def differences(a, b):
    """Largest difference of mean (in sigma), of variance (in sigma), and least p of a KS test.

    Over the bands, and over cells of similar chance taken together.
    """
    mean, variance, p_value = 0.0, 0.0, 1.0
    for band in range(a.shape[1]):
        for part in np.split(np.arange(a.shape[2]), 4):
            x, y = a[:, band, part].ravel(), b[:, band, part].ravel()
            p_value = min(p_value, stats.ks_2samp(x, y).pvalue)
            error = (x.var() / len(x) + y.var() / len(y)) ** 0.5
            mean = max(mean, abs(x.mean() - y.mean()) / error)
            spread = [((z - z.mean()) ** 2) for z in (x, y)]
            error = sum(s.var() / len(s) for s in spread) ** 0.5
            variance = max(variance, abs(spread[0].mean() - spread[1].mean()) / error)
    return mean, variance, p_value


def test_summed_light_leaves_the_pixels_of_a_heavy_cluster_as_they_are(simulator, reference):
    mean, variance, p_value = differences(cells(simulator.stars, 24, 2, smooth=True), reference)
    assert mean < 4
    assert variance < 4
    assert p_value > 1e-3


def test_the_comparison_rejects_too_few_points(simulator, reference):
    """Negative control: all the faint light in 500 points."""
    _, variance, p_value = differences(cells(simulator.stars, 24, 2, max_points=500), reference)
    assert variance > 6
    assert p_value < 1e-6


def test_the_comparison_rejects_a_smooth_profile_alone(simulator, reference):
    """Negative control: the light of all stars as smooth as the profile."""
    smooth = np.broadcast_to(reference.mean((0, 2), keepdims=True), reference.shape)
    _, _, p_value = differences(smooth + np.zeros_like(reference), reference)
    assert p_value < 1e-6


def test_the_work_is_bounded(simulator, reference):
    """256 clusters of a million suns: no more points than the two limits allow."""
    sampler = simulator.stars
    row = int(np.abs(sampler.log_age - LOG_AGE).argmin())
    stars = torch.full((256,), MASS / sampler.mean_mass)
    generator = torch.Generator().manual_seed(5)
    drawn = sampler.draw(torch.full((256,), row), stars, generator=generator, smooth=True)
    assert drawn.owner.numel() < 256 * (MAX_BRIGHT + MAX_POINTS)
    light = torch.zeros(256, 3, dtype=torch.float64)
    light.index_add_(0, drawn.owner, drawn.flux.double().T)
    np.testing.assert_allclose(light + drawn.smooth, drawn.light, rtol=3e-4)
