"""Diffuse light of a few thousand points: as good as the profile itself, in noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from praesepe.sky.clusters.profiles import EFF, KING, PLUMMER, SpatialProfile, even_positions
from praesepe.sky.flux_limits import FAINT_STAR_SNR
from praesepe.sky.massive.annuli import Annuli
from praesepe.sky.massive.diffuse import DiffuseLight
from praesepe.sky.simulator import Simulator

CENTER = torch.tensor([[32.3], [31.8]])


@pytest.fixture(scope="module")
def simulator():
    return Simulator("phat-nodust", n_fields=0)


def profile_of(kind, r_h_px, gamma, concentration=1.0):
    values = (r_h_px, gamma, math.inf, concentration, 0.3, 0.4, 0.0)
    r_h, gamma, tidal, concentration, e, angle, segregation = torch.tensor(values)[:, None]
    return SpatialProfile(
        r_h, torch.tensor([kind]), gamma, tidal, concentration, e, angle, segregation
    )


def images(simulator, profile, points):
    """Light of as many times the flux of the faintest stars that are drawn: as drawn, and smooth.

    In units of the noise.
    """
    renderer, limit = simulator.renderer, simulator.limits.lowest.float()
    light, many = limit * points, 1 << 16
    smooth, drawn = renderer.empty(1), renderer.empty(1)
    each = (light / many)[:, None].expand(-1, many)
    cluster_index = torch.zeros(many, dtype=torch.long)
    renderer.scatter(smooth, cluster_index, even_positions(profile, many) + CENTER, each)
    one, no = torch.ones(1), torch.zeros(1, dtype=torch.bool)
    annuli = Annuli.divide(
        profile, one, no, psf_px=2.0, visible_px=70 * one, generator=torch.Generator()
    )
    DiffuseLight(profile, annuli, light[None], torch.ones(1, 1, 4)).add_to(
        drawn, CENTER, renderer=renderer, limit=limit
    )
    np.testing.assert_allclose(drawn.sum(), smooth.sum(), rtol=0.02)
    noise = limit * torch.from_numpy(renderer.peak).float() / FAINT_STAR_SNR
    return [renderer.convolve(g)[0] / noise[:, None, None] for g in (drawn, smooth)]


PROFILES = [
    (EFF, 1.6, 2.2),  # r_h = 0.08 arcsec, and nearly a point in its middle
    (EFF, 1.6, 4.0),
    (EFF, 5.0, 3.0),
    (EFF, 16.0, 2.5),
    (PLUMMER, 3.0, 3.0),
    (KING, 1.6, 3.0, 2.0),
    (KING, 8.0, 3.0, 0.5),
]


@pytest.mark.parametrize("points", [60, 4000, 30_000])
@pytest.mark.parametrize("profile", PROFILES)
def test_diffuse_light_is_that_of_the_profile(simulator, profile, points):
    """To a seventh of the noise, and where it is far above the noise to 0.3 per cent."""
    drawn, smooth = images(simulator, profile_of(*profile), points)
    error = drawn - smooth
    assert float(error.square().mean().sqrt()) < 0.15
    assert float((error.abs() / torch.hypot(torch.tensor(1.0), 0.003 * smooth)).max()) < 1.2


def test_the_comparison_rejects_points_in_the_wrong_places(simulator, monkeypatch):
    """Negative control: light of the outskirts that is not spread over neighbouring grid points."""
    monkeypatch.setattr(
        simulator.renderer, "add_even", lambda grids, at, light: grids.index_add_(0, at, light)
    )
    drawn, smooth = images(simulator, profile_of(EFF, 1.6, 4.0), 30_000)
    assert (
        float(((drawn - smooth).abs() / torch.hypot(torch.tensor(1.0), 0.003 * smooth)).max()) > 3
    )


def test_the_comparison_rejects_few_points(simulator, monkeypatch):
    monkeypatch.setattr("praesepe.sky.massive.diffuse.POINT_POWERS", (6, 8))
    drawn, smooth = images(simulator, profile_of(EFF, 5.0, 3.0), 30_000)
    assert float((drawn - smooth).square().mean().sqrt()) > 1
