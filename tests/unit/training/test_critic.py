"""When not to believe it: faults are what they say, are told from good stamps, and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from praesepe.network.critic import KINDS
from praesepe.network.estimator import Estimator
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey
from praesepe.training.critic import learn_critic
from praesepe.training.faults import FAULTS, Stamps, imperfect


@pytest.fixture(scope="module")
def survey() -> Survey:
    phat = load_survey("phat")
    bands = [band.model_dump() for band in phat.bands if band.name != "F336W"]
    return phat.with_values(observation={"bands": bands}, network={"stamp_size": 32}).with_values(
        galaxy={"field": {"surface_density": (20.0, 60.0)}}
    )


@pytest.fixture(scope="module")
def simulator(survey: Survey) -> Simulator:
    return Simulator(survey, seed=4, n_fields=2)


@pytest.fixture(scope="module")
def model(survey: Survey, simulator: Simulator) -> Estimator:
    return learn_critic(Estimator.untrained(survey, encoder="tiny"), simulator, n=256)


def spoil(name: str, images: torch.Tensor) -> torch.Tensor:
    """A fault in stamps of two bands, of which the last two have one only."""
    there = torch.ones(images.shape[:2], dtype=torch.bool)
    generator = torch.Generator().manual_seed(2)
    shape = images.shape[:2]
    stamps = Stamps(images, there, torch.full(shape, 0.01), torch.full(shape, 2.0), generator)
    return FAULTS[name][1](stamps)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_every_stamp_and_not_what_it_is_made_of(
    name: str, simulator: Simulator
) -> None:
    images = simulator.draw(6).images
    before = images.clone()
    spoilt = spoil(name, images)
    torch.testing.assert_close(images, before, rtol=0, atol=0)
    assert spoilt.isfinite().all()
    assert (spoilt != images).flatten(1).any(1).all()
    torch.testing.assert_close(spoil(name, images), spoilt, rtol=0, atol=0)


def test_what_is_nearly_right_stays_like_itself(simulator: Simulator) -> None:
    images = simulator.draw(6).images
    shape = images.shape[:2]
    there, noise = torch.ones(shape, dtype=torch.bool), torch.full(shape, 0.01)
    generator = torch.Generator().manual_seed(2)
    near = imperfect(Stamps(images, there, noise, torch.full(shape, 2.0), generator))
    light = images.sum((2, 3))
    assert ((near.sum((2, 3)) / light).log().abs() < 0.4).all()


def test_faults_are_told_and_good_stamps_are_not(model: Estimator, simulator: Simulator) -> None:
    images = simulator.draw(200).images
    good = model.predict(images, n_samples=2)
    assert tuple(good.doubts) == KINDS
    assert (good.out_of_domain > 1).mean() < 0.06
    empty = images.clone()
    empty[:, 1] = 0
    doubted = model.predict(empty, n_samples=2)
    assert (doubted.doubts["noise"] > 1).mean() > 0.9
    assert (doubted.out_of_domain > 1).mean() > 0.9


def test_a_critic_is_kept_with_its_model_and_judges_each_row_alone(
    model: Estimator, simulator: Simulator, tmp_path: Path
) -> None:
    images = simulator.draw(70).images
    version = Estimator.untrained(model.survey, encoder="tiny").save(tmp_path / "without")
    loaded = Estimator.load(model.save(tmp_path / "with"))
    assert loaded.version == Estimator.load(version).version  # of what answers
    ours, theirs = (one.predict(images, n_samples=2).doubts for one in (model, loaded))
    alone = loaded.predict(images[66:], n_samples=2, rows=np.arange(66, 70)).doubts
    for kind in KINDS:
        np.testing.assert_array_equal(ours[kind], theirs[kind])
        np.testing.assert_array_equal(alone[kind], theirs[kind][66:])
    assert loaded.predict(images[:0]).doubts[KINDS[0]].shape == (0,)
