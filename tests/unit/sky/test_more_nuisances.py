"""Neighbors, gaps, and noise and sky that differ from stamp to stamp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from praesepe.sky.instrument.artefacts import cut_gaps
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.neighbors import with_neighbors
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey

PHAT = load_survey("phat-nodust")


def survey_with(*, drizzled: bool = True, **tables: Any) -> Survey:
    band = load_survey("phat6").bands[1] if drizzled else PHAT.bands[1]
    return PHAT.with_values(
        observation={"bands": (band,), **tables.pop("observation", {})}, **tables
    )


def noise_of(**nuisance: Any) -> torch.Tensor:
    survey = survey_with(observation={"nuisance": nuisance})
    generator = torch.Generator().manual_seed(1)
    images = Detector(survey).expose(torch.zeros(200, 1, 64, 64), generator=generator)
    return images - images.mean((-1, -2), keepdim=True)


def neighbors(noise: torch.Tensor) -> tuple[np.ndarray, float]:
    """Correlation of neighbors in each stamp, and the variance of a pixel."""
    variance = noise.square().mean((-1, -2))
    product = (noise[..., 1:] * noise[..., :-1]).mean((-1, -2))
    return (product / variance).numpy().ravel(), float(variance.mean())


def test_noise_is_less_correlated_and_as_large() -> None:
    usual, variance = neighbors(noise_of())
    mixed, as_large = neighbors(noise_of(noise_correlation=(0.3, 1.0)))
    white, also = neighbors(noise_of(noise_correlation=(0.0, 0.0)))
    assert as_large == pytest.approx(variance, rel=0.02)
    assert also == pytest.approx(variance, rel=0.02)
    assert np.abs(white).max() < 0.1
    assert usual.std() < 0.03
    assert mixed.std() > 2 * usual.std()
    assert white.mean() < mixed.min() < mixed.max() < usual.max() + 0.02


def test_sky_level_and_depth_are_independent() -> None:
    def correlation(apart: bool) -> float:
        survey = survey_with(drizzled=False, observation={"nuisance": {"sky_apart": apart}})
        band = survey.bands[0].model_copy(update={"sky_left": (-1.0, 1.0), "sky_e_s": (0.01, 0.1)})
        detector = Detector(survey.with_values(observation={"bands": (band,)}))
        sky = detector.draw_sky(20_000, generator=torch.Generator().manual_seed(1))
        level = (sky.level * sky.left).abs().flatten()
        assert -0.1 < (sky.level * sky.left).min() < (sky.level * sky.left).max() < 0.1
        noise = detector.noise_in(None, sky.level).flatten()
        return float(np.corrcoef(level, noise)[0, 1])

    assert abs(correlation(True)) < 0.03
    assert correlation(False) > 0.2  # the default, as ever


def test_gaps_are_filled_as_real_ones() -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(400, 2, 64, 64, generator=generator)
    whole = images.clone()
    cut_gaps(images, 0.25, generator=generator)
    changed = (images != whole).flatten(-2)
    some = changed.any(-1)
    assert float(some.float().mean()) == pytest.approx(0.25, abs=0.05)
    share = changed.float().mean(-1)[some]
    assert 0.01 < share.min() < 0.1 < 0.25 < share.max() < 0.5
    assert torch.equal(images[..., 26:38, 26:38], whole[..., 26:38, 26:38])
    one = torch.nonzero(some)[0]
    plane, before = images[tuple(one)], whole[tuple(one)]
    lost = plane != before
    assert plane[lost].unique().numel() == 1
    assert float(plane[lost][0]) == float(before[~lost].median())


def test_a_neighbor_is_another_stamps_cluster() -> None:
    survey = survey_with(drizzled=False, galaxy={"field": {"neighbor_share": 0.5}})
    simulator = Simulator(survey, seed=1, n_fields=0)
    clusters = simulator.sample(64).with_values(log_mass=3.0, log_rh=-0.7)
    population = simulator.populate(clusters)
    more = with_neighbors(population, clusters, survey, generator=simulator.generator)
    assert population.others is None
    assert more.others is not None
    light = more.others.light(64)[:, 0]
    has_one = light > 0
    assert float(has_one.float().mean()) == pytest.approx(0.5, abs=0.2)
    own = population.stars.light[:, 0]
    torch.testing.assert_close(light[has_one], own.roll(-1)[has_one], rtol=1e-4, atol=0)
    center = torch.zeros(2, 64).index_add_(1, more.others.image_index, more.others.offset)
    center /= torch.bincount(more.others.image_index, minlength=64).clamp_min(1)
    away = torch.hypot(*center)[has_one] * 0.05 / 10**-0.7
    assert 1.5 < away.min() < 3 < 4.5 < away.max() < 6.5
    assert torch.equal(more.truth["mag_F475W"], population.truth["mag_F475W"])
    without = survey_with(drizzled=False)
    assert (
        with_neighbors(population, clusters, without, generator=simulator.generator) is population
    )
