"""EFF profiles: radii follow the analytic cumulative light, directions are even."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.sky.clusters.profiles import SpatialProfile, eff_scale_radius, sample_positions

N = 40_000


def eff(half_light_radius, gamma):
    """Clusters of endless round EFF profiles."""
    radius, none = torch.as_tensor(half_light_radius), torch.zeros(len(gamma))
    kind, endless = torch.zeros(len(gamma), dtype=torch.int64), torch.full_like(none, torch.inf)
    return SpatialProfile(radius, kind, torch.as_tensor(gamma), endless, none, none, none, none)


def sample(half_light_radius, gamma, generator, n=N):
    cluster_index = torch.zeros(n, dtype=torch.int64)
    clusters = eff([half_light_radius], [gamma])
    return sample_positions(clusters, cluster_index, generator=generator).double().numpy()


def light_inside(radius, half_light_radius, gamma):
    """Cumulative light of an EFF profile, written down from Elson, Fall & Freeman (1987)."""
    a = half_light_radius / np.sqrt(2 ** (2 / (gamma - 2)) - 1)
    return 1 - (1 + (radius / a) ** 2) ** (1 - gamma / 2)


def p_value(radius, half_light_radius, gamma):
    return stats.kstest(radius, lambda r: light_inside(r, half_light_radius, gamma)).pvalue


@pytest.mark.parametrize("gamma", [2.2, 2.6, 3.0, 4.0])
@pytest.mark.parametrize("half_light_radius", [0.08, 12.0])
def test_radii_follow_the_profile(half_light_radius, gamma, generator):
    radius = np.hypot(*sample(half_light_radius, gamma, generator))
    assert p_value(radius, half_light_radius, gamma) > 0.01


@pytest.mark.parametrize("gamma", [2.4, 3.0])
def test_the_comparison_rejects_other_profiles(gamma, generator):
    """A slope wrong by 0.5, a Plummer sphere of the same r_h, a radius wrong by 10 per cent."""
    radius = np.hypot(*sample(1.0, gamma, generator))
    assert p_value(radius, 1.0, gamma + 0.5) < 1e-4
    assert p_value(radius, 1.0, 4.0) < 1e-4  # Plummer: an EFF profile with gamma = 4
    assert p_value(radius, 1.1, gamma) < 1e-4


@pytest.mark.parametrize("gamma", [2.2, 3.0, 4.0])
def test_the_half_light_radius_is_the_median(gamma, generator):
    radius = np.hypot(*sample(5.0, gamma, generator))
    assert (radius < 5.0).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(N))


def test_plummer_scale_radius_is_the_half_light_radius():
    scale = eff_scale_radius(torch.tensor([3.0]), torch.tensor([4.0]))
    assert float(scale) == pytest.approx(3.0)


def test_directions_are_even(generator):
    x, y = sample(2.0, 3.0, generator)
    turn = (np.arctan2(y, x) / (2 * np.pi)) % 1
    assert stats.kstest(turn, "uniform").pvalue > 0.01
    radius = np.hypot(x, y)
    near = stats.ks_2samp(turn[radius < 2], turn[radius >= 2]).pvalue
    assert near > 0.01


def test_the_direction_test_rejects_a_flattened_cluster(generator):
    x, y = sample(2.0, 3.0, generator)
    turn = (np.arctan2(0.9 * y, x) / (2 * np.pi)) % 1
    assert stats.kstest(turn, "uniform").pvalue < 1e-4


def test_every_star_has_the_profile_of_its_own_cluster(generator):
    clusters, cluster_index = eff([1.0, 100.0], [2.2, 4.0]), torch.arange(2).repeat(N // 2)
    position = sample_positions(clusters, cluster_index, generator=generator)
    distance = position.double().norm(dim=0).numpy()
    assert p_value(distance[::2], 1.0, 2.2) > 0.01
    assert p_value(distance[1::2], 100.0, 4.0) > 0.01


def test_the_same_seed_gives_the_same_stars():
    first = sample(1.0, 3.0, torch.Generator().manual_seed(1), n=10)
    again = sample(1.0, 3.0, torch.Generator().manual_seed(1), n=10)
    other = sample(1.0, 3.0, torch.Generator().manual_seed(2), n=10)
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()
