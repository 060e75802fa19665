"""Parameters of clusters: each prior against its analytic form, and clusters that are given."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe.errors import InputError
from praesepe.sky.clusters.parameters import GRAVITY, draw_clusters, tidal_scale_pc
from praesepe.sky.clusters.profiles import PROFILES
from praesepe.survey import load_survey

N = 4000


def survey_with(**tables):
    """The phat survey with some keys of its tables changed."""
    return load_survey("phat-nodust").with_values(**tables)


VARIED = survey_with(
    clusters={
        "profile": ["eff", "king", "plummer"],
        "king_concentration": [0.7, 1.5],
        "ellipticity": [0.0, 0.5],
        "segregation": [0.1, 0.4],
        "log_rh_normal": [-0.6, 0.3],
        "metallicity": [0.004, 0.02],
        "a_v": [0.2, 3],
        "stars": {"isochrones": ["sse", "other", "third"]},
    },
)


def drawn(survey=VARIED, n=N, seed=1):
    return draw_clusters(survey, n, generator=torch.Generator().manual_seed(seed))


def uniform(low, high):
    return stats.uniform(low, high - low)


def truncated(mean, sigma, low, high):
    return stats.truncnorm((low - mean) / sigma, (high - mean) / sigma, mean, sigma)


LOW, HIGH = math.log10(0.08), math.log10(0.8)
DISTRIBUTIONS = {
    "log_age": uniform(6.6, 10.1),
    "log_mass": uniform(2.0, 4.5),
    "log_rh": truncated(-0.6, 0.3, LOW, HIGH),
    "log_z": uniform(math.log10(0.004), math.log10(0.02)),
    "a_v": uniform(0.2, 3.0),
    "gamma": uniform(2.2, 4.0),
    "concentration": uniform(0.7, 1.5),
    "ellipticity": uniform(0.0, 0.5),
    "angle": uniform(0.0, math.pi),
    "segregation": uniform(0.1, 0.4),
    "x_offset": uniform(-1.0, 1.0),
    "y_offset": uniform(-1.0, 1.0),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_each_prior_has_its_distribution(name):
    values = getattr(drawn(), name).double().numpy()
    assert stats.kstest(values, DISTRIBUTIONS[name].cdf).pvalue > 0.003
    # Negative control: the same values, moved by a fifth of their scatter.
    assert stats.kstest(values + 0.2 * values.std(), DISTRIBUTIONS[name].cdf).pvalue < 0.003


def test_sizes_are_uniform_in_the_logarithm_by_default():
    values = drawn(load_survey("phat-nodust")).log_rh.double().numpy()
    assert stats.kstest(values, uniform(LOW, HIGH).cdf).pvalue > 0.003
    assert stats.kstest(values, truncated(-0.6, 0.3, LOW, HIGH).cdf).pvalue < 1e-6


@pytest.mark.parametrize("name", ["model", "profile"])
def test_choices_are_even(name):
    counts = np.bincount(getattr(drawn(), name).numpy(), minlength=3)
    assert stats.chisquare(counts).pvalue > 0.003
    assert stats.chisquare(counts + np.array([N // 10, 0, -N // 10])).pvalue < 1e-6


def test_only_the_surveys_profiles_occur():
    survey = survey_with(clusters={"profile": ["plummer", "eff"]})
    assert {PROFILES[k] for k in drawn(survey).profile.tolist()} == {"plummer", "eff"}


def test_parameters_are_independent():
    clusters = drawn()
    table = np.array([getattr(clusters, name).numpy() for name in DISTRIBUTIONS])
    off_diagonal = np.corrcoef(table) - np.eye(len(table))
    assert np.abs(off_diagonal).max() < 5 / N**0.5


def test_tidal_radii_are_those_of_orbits_in_the_galaxy():
    clusters = drawn(load_survey("phat-nodust"))
    scale_pc = clusters.tidal_scale.double().numpy() * load_survey("phat-nodust").pc_per_arcsec
    angular = 250.0 / (scale_pc**3 * 2 * 250.0**2 / GRAVITY) ** 0.5  # km/s/pc: V / R
    distance = stats.kstest(250.0 / angular / 1e3, uniform(4.0, 18.0).cdf)
    assert distance.pvalue > 0.003
    assert stats.kstest(250.0 / angular / 1e3, uniform(5.0, 18.0).cdf).pvalue < 1e-6
    # 1000 Msun at 10 kpc: r_t^3 = G M R^2 / (2 V^2), 15.1 pc.
    scale = tidal_scale_pc(250.0, torch.tensor([1e4]))
    assert float(scale) * 10 == pytest.approx(15.1, abs=0.05)


def test_the_tidal_radius_grows_with_mass_and_holds_the_cluster():
    given = {"tidal_scale": 0.4, "log_mass": [3.0, 4.5, 2.0], "log_rh": [-1.0, -1.0, 0.0]}
    clusters = drawn(load_survey("phat-nodust"), n=3).with_values(**given)
    torch.testing.assert_close(clusters.tidal_radius, torch.tensor([4.0, 0.4 * 10**1.5, 2.0]))
    torch.testing.assert_close(
        clusters.spatial_profile(0.05).tidal_radius, clusters.tidal_radius / 0.05
    )


def test_a_tidal_radius_can_be_given():
    clusters = drawn(load_survey("phat-nodust"), n=2)
    changed = clusters.with_values(log_mass=[2.5, 4.0], log_rh=-1.0, tidal_radius=[3.0, math.inf])
    torch.testing.assert_close(changed.tidal_radius, torch.tensor([3.0, math.inf]))
    assert torch.isinf(changed.with_values(profile=1).tidal_radius).all()  # King: its own end


def test_radii_and_metals_can_be_given_as_catalogs_have_them():
    clusters = drawn(load_survey("phat-nodust"), n=2)
    changed = clusters.with_values(rh_arcsec=[0.1, 1.0], metallicity=0.01)
    torch.testing.assert_close(changed.log_rh, torch.tensor([-1.0, 0.0]))
    torch.testing.assert_close(changed.log_z, torch.tensor([-2.0, -2.0]))
    pc = 1e6 * math.radians(0.5 / 3600)
    far = clusters.with_values(rh_pc=pc, distance_pc=1e6)
    torch.testing.assert_close(far.log_rh, torch.full((2,), math.log10(0.5)))


def test_a_share_has_no_end():
    tides = {"circular_speed_km_s": 250.0, "galactocentric_kpc": (4.0, 18.0)}
    some = drawn(VARIED.with_values(galaxy={"tides": {**tides, "endless_share": 0.2}}), n=4000)
    endless = torch.isinf(some.tidal_scale).double().mean()
    assert float(endless) == pytest.approx(0.2, abs=0.02)
    every = drawn(VARIED.with_values(galaxy={"tides": tides}), n=4000)
    assert torch.isfinite(every.tidal_scale).all()
    assert torch.equal(every.log_age, some.log_age)  # the seed gives the same clusters


def test_without_tides_nothing_ends():
    clusters = drawn(VARIED.with_values(galaxy={"tides": None}), n=4)
    assert torch.isinf(clusters.tidal_radius).all()
    assert torch.isinf(clusters.with_values(tidal_scale=math.inf).tidal_scale).all()
    with pytest.raises(InputError, match="finite"):
        clusters.with_values(tidal_scale=-math.inf)


def test_the_same_seed_gives_the_same_clusters():
    first, again, other = drawn(n=5), drawn(n=5), drawn(n=5, seed=2)
    for name, values in first.parameters().items():
        assert torch.equal(values, again.parameters()[name])
    assert not torch.equal(first.log_age, other.log_age)


def test_given_values_replace_those_drawn():
    clusters = drawn(n=3)
    changed = clusters.with_values(log_age=8.0, gamma=[2.5, 3.0, 3.5], profile=1)
    assert changed.log_age.tolist() == [8.0] * 3
    assert changed.gamma.tolist() == [2.5, 3.0, 3.5]
    assert changed.profile.tolist() == [1] * 3
    assert changed.profile.dtype == torch.int64
    assert torch.equal(changed.log_mass, clusters.log_mass)
    assert len(changed.part(slice(1, 3))) == 2
    assert changed.part(slice(1, 3)).gamma.tolist() == [3.0, 3.5]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"log_agee": 8.0}, "log_age"),
        ({"log_age": [8.0, 9.0]}, "one for each"),
        ({"log_age": [[8.0]]}, "one for each"),
        ({"a_v": float("nan")}, "finite"),
        ({"tidal_radius": 3.0, "tidal_scale": 0.3}, "give one of them"),
        ({"rh_arcsec": 0.3, "log_rh": 0.3}, "rh_arcsec.*log_rh.*give one of them"),
        ({"rh_arcsec": [0.1, 0.0, 0.2]}, "rh_arcsec = 0.0: it must be a positive"),
    ],
)
def test_what_cannot_be_given(given, said):
    with pytest.raises(InputError, match=said):
        drawn(n=3).with_values(**given)
