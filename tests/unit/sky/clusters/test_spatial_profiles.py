"""Star clusters of every profile: radii, projection, flattening, segregation, realized sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from praesepe.sky.clusters.king import king_half_light_radius, king_light_inside
from praesepe.sky.clusters.profiles import (
    PROFILES,
    SpatialProfile,
    eff_scale_radius,
    even_positions,
    realized_half_light_radius,
    sample_plummer,
    sample_positions,
)

N = 40_000


def profile_of(*names, r_h=1.0, gamma=3.0, concentration=1.0, tidal_radius=np.inf, **settings):
    """Clusters of the given profiles, round, endless and without segregation unless told."""
    n = len(names)
    values = {"ellipticity": 0.0, "angle_rad": 0.0, "segregation": 0.0, **settings}
    return SpatialProfile(
        half_light_radius=torch.full((n,), float(r_h)),
        kind=torch.tensor([PROFILES.index(name) for name in names]),
        gamma=torch.full((n,), float(gamma)),
        tidal_radius=torch.full((n,), float(tidal_radius)),
        concentration=torch.full((n,), float(concentration)),
        **{key: torch.full((n,), float(value)) for key, value in values.items()},
    )


def radii(clusters, generator, *, cluster=0, n=N, **settings):
    cluster_index = torch.full((n,), cluster, dtype=torch.int64)
    return (
        sample_positions(clusters, cluster_index, generator=generator, **settings)
        .double()
        .norm(dim=0)
        .numpy()
    )


def eff_inside(radius, gamma):
    a = 1 / np.sqrt(2 ** (2 / (gamma - 2)) - 1)
    return 1 - (1 + (radius / a) ** 2) ** (1 - gamma / 2)


def plummer_inside(radius):
    """Plummer (1911): the projected light inside r is r² / (r² + a²), so that a = r_h."""
    return radius**2 / (radius**2 + 1)


def king_inside(radius, concentration):
    """King (1962) integrated numerically from the surface density, in units of r_h."""
    x = np.linspace(0, 10.0**concentration, 400_001)
    edge = (1 + x[-1] ** 2) ** -0.5
    density = ((1 + x**2) ** -0.5 - edge) ** 2 * x
    light = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))])
    light /= light[-1]
    return np.interp(radius * np.interp(0.5, light, x), x, light)


def p_value(radius, inside, *arguments):
    return stats.kstest(radius, lambda r: inside(r, *arguments)).pvalue


@pytest.mark.parametrize("gamma", [2.2, 3.0, 4.0])
def test_eff(gamma, generator):
    radius = radii(profile_of("eff", gamma=gamma), generator)
    assert np.isfinite(radius).all()
    assert p_value(radius, eff_inside, gamma) > 1e-3
    assert p_value(radius, eff_inside, gamma + 0.5) < 1e-4
    assert p_value(1.05 * radius, eff_inside, gamma) < 1e-4


def ended_eff_inside(radius, gamma, end):
    """An EFF profile cut at `end`, both in half-light radii of what is left: a by integration."""

    def share(log_a):
        r = np.linspace(0, end, 20_001)
        density = (1 + (r / np.exp(log_a)) ** 2) ** (-gamma / 2) * r
        light = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(r))])
        return np.interp(radius, r, light / light[-1]), np.interp(1.0, r, light / light[-1])

    log_a = optimize.brentq(lambda x: share(x)[1] - 0.5, -4, 4)
    return share(log_a)[0]


@pytest.mark.parametrize(("gamma", "end"), [(2.2, 2.0), (2.2, 10.0), (3.0, 4.0), (4.0, 2.0)])
def test_eff_with_an_end(gamma, end, generator):
    clusters = profile_of("eff", gamma=gamma, tidal_radius=end)
    radius = radii(clusters, generator)
    assert radius.max() <= end * 1.0001
    assert p_value(radius, ended_eff_inside, gamma, end) > 1e-3
    other = 4.0 if gamma < 3 else 2.2
    assert p_value(radius, ended_eff_inside, other, end) < 1e-3
    assert p_value(1.05 * radius, ended_eff_inside, gamma, end) < 1e-4
    endless = radii(profile_of("eff", gamma=gamma), generator)
    assert p_value(endless, ended_eff_inside, gamma, end) < 1e-4


@pytest.mark.parametrize("end", [1.5, 3.0, 1e3, np.inf])
def test_points_of_diffuse_light_end_too(end):
    points = even_positions(profile_of("eff", gamma=2.2, tidal_radius=end), 2000)
    radius = points.double().norm(dim=0).numpy()
    assert (radius < 1).mean() == pytest.approx(0.5, abs=1e-3)
    assert radius.max() <= end * 1.0001
    if end < 100:
        assert p_value(radius, ended_eff_inside, 2.2, end) > 0.99


def test_a_far_end_changes_nothing():
    r_h, gamma = torch.tensor([2.0]), torch.tensor([3.0])
    endless = eff_scale_radius(r_h, gamma)
    assert torch.equal(eff_scale_radius(r_h, gamma, torch.tensor([torch.inf])), endless)
    far = eff_scale_radius(r_h, gamma, torch.tensor([1e7]))
    torch.testing.assert_close(far, endless, rtol=1e-5, atol=0)
    near = eff_scale_radius(r_h, gamma, torch.tensor([6.0]))
    assert near > 1.1 * endless  # the light that is cut off has to be made up for outside


def test_plummer(generator):
    clusters = profile_of("plummer", gamma=2.5, tidal_radius=3.0)  # neither slope nor end count
    radius = radii(clusters, generator)
    assert p_value(radius, plummer_inside) > 1e-3
    assert p_value(radius, eff_inside, 3.5) < 1e-4
    assert p_value(1.05 * radius, plummer_inside) < 1e-4


@pytest.mark.parametrize("concentration", [0.1, 0.77, 1.5, 2.4, 3.5])
def test_king(concentration, generator):
    clusters = profile_of("king", concentration=concentration)
    radius = radii(clusters, generator)
    edge = 10**concentration / king_half_light_radius(concentration)
    assert radius.max() <= edge * 1.0001
    assert p_value(radius, king_inside, concentration) > 1e-3
    assert p_value(radius, plummer_inside) < 1e-4
    assert p_value(1.05 * radius, king_inside, concentration) < 1e-4


@pytest.mark.parametrize("concentration", [0.1, 1.0, 3.5])
def test_light_of_a_king_profile(concentration):
    radius = np.geomspace(1e-2, 10**concentration, 50)
    half = king_half_light_radius(concentration)
    assert king_light_inside(np.array(half), concentration) == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(
        king_light_inside(radius, concentration),
        king_inside(radius / half, concentration),
        atol=1e-5,
    )


def test_each_star_follows_its_own_cluster(generator):
    """All profiles and sizes in one call, the stars in any order."""
    clusters = replace(
        profile_of("eff", "king", "plummer", "eff", gamma=2.6, concentration=1.3),
        half_light_radius=torch.tensor([1.0, 5.0, 25.0, 25.0]),
        tidal_radius=torch.tensor([torch.inf, 5.0, 25.0, 100.0]),
    )
    cluster_index = torch.randint(4, (4 * N,), generator=generator)
    radius = sample_positions(clusters, cluster_index, generator=generator).double().norm(dim=0)
    scaled = (radius / clusters.half_light_radius[cluster_index]).numpy()
    of = cluster_index.numpy()
    assert p_value(scaled[of == 0], eff_inside, 2.6) > 1e-3
    assert p_value(scaled[of == 1], king_inside, 1.3) > 1e-3
    assert p_value(scaled[of == 2], plummer_inside) > 1e-3
    assert p_value(scaled[of == 3], ended_eff_inside, 2.6, 4.0) > 1e-3
    assert p_value(scaled[of == 1], eff_inside, 2.6) < 1e-4


def test_plummer_spheres_are_plummer_clusters():
    clusters = profile_of("plummer", r_h=2.0)
    cluster_index = torch.zeros(200, dtype=torch.int64)
    ours = sample_positions(clusters, cluster_index, generator=torch.Generator().manual_seed(3))
    same = sample_plummer(torch.full((200,), 2.0), generator=torch.Generator().manual_seed(3))
    assert torch.equal(ours, same)


@pytest.mark.parametrize("name", PROFILES)
def test_a_flattened_cluster_keeps_its_size_and_has_its_axes(name, generator):
    ellipticity, angle = 0.4, 0.7
    clusters = profile_of(name, concentration=0.8, ellipticity=ellipticity, angle_rad=angle)
    cluster_index = torch.zeros(N, dtype=torch.int64)
    x, y = sample_positions(clusters, cluster_index, generator=generator).double().numpy()
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    median = [np.median(np.abs(v)) for v in (along, across)]
    assert median[1] / median[0] == pytest.approx(1 - ellipticity, rel=0.03)
    circular = np.hypot(along * np.sqrt(1 - ellipticity), across / np.sqrt(1 - ellipticity))
    assert (circular < 1).mean() == pytest.approx(0.5, abs=0.01)
    turned = x * np.cos(angle) - y * np.sin(angle)  # the wrong way round
    assert np.median(np.abs(turned)) < 0.95 * median[0]


def test_segregation_scales_the_radii_by_mass(generator):
    clusters = profile_of("plummer", segregation=0.5)
    mass = torch.tensor([0.25, 4.0]).repeat(N // 2)
    radius = radii(clusters, generator, relative_mass=mass)
    assert p_value(radius[::2] / 2, plummer_inside) > 1e-3
    assert p_value(radius[1::2] * 2, plummer_inside) > 1e-3
    assert p_value(radius[1::2], plummer_inside) < 1e-4
    without = radii(profile_of("plummer"), generator, relative_mass=mass)
    assert p_value(without, plummer_inside) > 1e-3


def weighted_median(radius, light):
    order = np.argsort(radius)
    inside = np.cumsum(light[order])
    return radius[order][np.searchsorted(inside, 0.5 * inside[-1])]


@pytest.mark.parametrize("size", [0.1, 1.0, 300.0])
def test_realized_half_light_radius_is_the_weighted_median(size, generator):
    n, stars = 20, 2500
    clusters = profile_of(*["eff"] * n, r_h=size)
    cluster_index = torch.randint(n, (n * stars,), generator=generator)
    offset = sample_positions(clusters, cluster_index, generator=generator)
    light = torch.exp(
        2 * torch.randn(cluster_index.shape, generator=generator)
    )  # a few stars dominate
    ours = realized_half_light_radius(cluster_index, offset, light, n).numpy()
    radius = offset.norm(dim=0).numpy()
    of, weight = cluster_index.numpy(), light.double().numpy()
    exact = np.array([weighted_median(radius[of == i], weight[of == i]) for i in range(n)])
    np.testing.assert_allclose(ours, exact, rtol=0.01)
    assert np.std(exact / size) > 0.02  # they do differ from the profile's


def test_realized_half_light_radius_of_one_star_and_of_none():
    cluster_index = torch.tensor([0, 2])
    offset = torch.tensor([[3.0, 0.0], [4.0, 0.0]])
    radius = realized_half_light_radius(cluster_index, offset, torch.ones(2), 3)
    assert float(radius[0]) == pytest.approx(5, rel=0.01)
    assert torch.isnan(radius[1])
    assert float(radius[2]) < 1e-3


def test_profiles_are_reproducible():
    clusters = profile_of("eff", "king", "plummer", ellipticity=0.3, segregation=0.2)
    cluster_index = torch.arange(3).repeat(20)
    mass = torch.linspace(0.1, 3, 60)

    def positions(seed):
        return sample_positions(
            clusters,
            cluster_index,
            generator=torch.Generator().manual_seed(seed),
            relative_mass=mass,
        )

    assert torch.equal(positions(1), positions(1))
    assert not torch.equal(positions(1), positions(2))
