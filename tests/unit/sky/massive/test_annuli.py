"""Annuli of crowded clusters: their fractions, what is visible, and the clusters they make up."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from praesepe.sky.clusters.profiles import EFF, KING, PLUMMER, SpatialProfile, light_inside
from praesepe.sky.massive.annuli import FEWEST_POINTS, N_EDGES, Annuli
from praesepe.sky.massive.sampler import MAX_POINTS
from praesepe.sky.simulator import Simulator
from praesepe.survey import load_survey

N_ANNULI = N_EDGES + 1


def profile_of(n=3, **given):
    values = {
        "half_light_radius": 8.0,
        "gamma": 3.0,
        "tidal_radius": math.inf,
        "concentration": 1.0,
        "ellipticity": 0.0,
        "angle_rad": 0.0,
        "segregation": 0.0,
        **given,
    }
    kind = torch.as_tensor(values.pop("kind", PLUMMER)).expand(n)
    return SpatialProfile(kind=kind, **{k: torch.as_tensor(v).expand(n) for k, v in values.items()})


def annuli_of(profile, crowded, *, stars=1e6, reach=70.0, psf=2.6):
    n = len(crowded)
    return Annuli.divide(
        profile,
        torch.full((n,), stars, dtype=torch.float64),
        torch.tensor(crowded),
        psf_px=psf,
        visible_px=torch.full((n,), reach),
        generator=torch.Generator().manual_seed(1),
    )


def test_crowded_clusters_become_annuli_and_others_stay_whole():
    annuli = annuli_of(profile_of(), [False, True, False])
    assert annuli.cluster_index.tolist() == [0, *[1] * N_ANNULI, 2]
    np.testing.assert_array_equal(annuli.inner_fraction[1:-1][1:], annuli.outer_fraction[1:-1][:-1])
    assert annuli.inner_fraction.min() == 0
    assert annuli.outer_fraction.max() == 1
    for k in range(3):
        assert float(annuli.n_stars[annuli.cluster_index == k].sum()) == 1e6
    share = annuli.outer_fraction - annuli.inner_fraction
    error = (1e6 * share * (1 - share)).sqrt()
    assert ((annuli.n_stars - 1e6 * share).abs() <= 4 * error + 1e-9).all()
    assert annuli.max_points[0] == MAX_POINTS


def test_edges_hold_the_light_of_the_profile():
    """A Plummer sphere has x² / (1 + x²) of its light inside x half-light radii."""
    annuli = annuli_of(profile_of(n=1), [True])
    edge = 2.6 * 1.5 * 2.0 ** np.arange(N_EDGES) / 8
    np.testing.assert_allclose(annuli.outer_fraction[:-1], edge**2 / (1 + edge**2), atol=2e-3)


@pytest.mark.parametrize(("kind", "given"), [(EFF, {"gamma": 2.2}), (KING, {}), (PLUMMER, {})])
def test_light_inside_rises_from_nothing_to_all(kind, given):
    inside = light_inside(profile_of(n=1, kind=kind, **given), torch.tensor([0.01, 8.0, 1e6]))[0]
    assert float(inside[0]) < 0.07
    assert float(inside[1]) == pytest.approx(0.5, abs=2e-3)
    assert float(inside[2]) > (0.7 if kind == EFF else 0.99)


def test_annuli_outside_the_image_have_few_points():
    annuli = annuli_of(profile_of(n=1), [True], reach=20.0)
    assert annuli.visible.tolist() == [True] * 4 + [False] * (N_ANNULI - 4)
    assert (annuli.max_points[~annuli.visible] == FEWEST_POINTS).all()
    assert annuli_of(profile_of(n=1), [True], reach=40.0).visible.sum() == 5
    flat = annuli_of(profile_of(n=1, ellipticity=0.9), [True], reach=20.0)
    assert flat.visible.sum() > annuli.visible.sum()  # on its short axis an annulus comes nearer


def test_all_annuli_of_segregated_clusters_are_visible():
    """Segregation carries stars across the edges."""
    annuli = annuli_of(profile_of(segregation=0.5), [True] * 3, reach=20.0)
    assert annuli.visible.all()


def of_survey(**stars):
    survey = load_survey("phat-nodust").with_values(clusters={"stars": stars})
    return Simulator(survey, n_fields=0)


@pytest.mark.parametrize("binaries", [0.0, 0.5])
def test_the_image_holds_the_light_of_the_truth(binaries):
    """Clusters that lie wholly on the grid, low-mass and massive ones side by side."""
    simulator = of_survey(binary_fraction=binaries)
    for log_age in (6.8, 8.0, 10.0):
        simulator.seed(3)
        clusters = simulator.sample(12).with_values(
            log_age=log_age,
            log_mass=np.linspace(3, 7, 12),
            log_rh=-1.0,
            profile=KING,
            concentration=0.7,
        )
        population = simulator.populate(clusters)
        truth, grids = population.truth, simulator.spread(population)
        for i, band in enumerate(simulator.survey.bands):
            listed = 10 ** (-0.4 * (truth[f"mag_{band.name}"].double() - band.zero_point_ab))
            np.testing.assert_allclose(grids[:, i].double().sum((1, 2)), listed, rtol=0.01)
        assert (truth["n_stars"].diff() > 0).all()
        assert (truth["log_present_mass"].diff() > 0).all()


def test_companions_shine_as_their_mass_says():
    """Masses are looked up among those of all isochrones, which single precision cannot tell."""
    sampler = of_survey(binary_fraction=1.0, binary_mass_ratio=(0.3, 1.0)).stars
    isochrone = int(np.abs(sampler.log_age - 8.5).argmin())
    value = torch.zeros(5, 200_000)
    value[0] = primary = 8.0  # dead for long
    isochrones = torch.full((value.shape[1],), isochrone)
    sampler.individual.add_companions(
        value, None, isochrones, None, torch.Generator().manual_seed(2)
    )
    mass = value[0].double().numpy() - primary
    table = of_survey().tables.cluster[0]
    own = table.initial_mass[isochrone, 0]
    luminous = np.isfinite(table.mag_ab[isochrone, 0]).all(1)
    shining = table.mag_ab[isochrone, 0, luminous]
    survey = load_survey("phat-nodust")
    for i, band in enumerate(survey.bands):
        magnitude = np.interp(mass, own[luminous], shining[:, i], right=np.inf)
        magnitude[mass > own[luminous].max()] = np.inf
        flux = 10 ** (0.4 * (band.zero_point_ab - survey.distance_modulus - magnitude))
        drawn = value[1 + i].double().numpy()
        np.testing.assert_allclose(drawn.mean(), flux.mean(), rtol=0.02)
        np.testing.assert_allclose((drawn**2).mean(), (flux**2).mean(), rtol=0.1)
