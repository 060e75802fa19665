"""The Milky Way's dust in front of the galaxy, and what E(B-V) is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.sky.fields.galaxies import transmitted
from praesepe.sky.fields.pool import SimulatedFieldPool
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey

ONE = {"log_age": 8.0, "log_mass": 4.0, "log_rh": -0.5}


def survey_with(foreground: Any, **clusters: Any) -> Survey:
    phat = load_survey("phat-nodust")
    return phat.with_values(
        observation={"bands": phat.bands[:2]},
        galaxy={"foreground_a_v": foreground},
        clusters={"a_v": (0.0, 1.0), **clusters},
    )


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(survey_with((0.0, 1.0)), seed=1, n_fields=1)


def magnitudes(simulator: Simulator, **given: Any) -> np.ndarray:
    simulator.seed(1)
    truth = simulator.observe(ONE | given, n=4).truth
    return np.array([truth[f"mag_{name}"].numpy() for name in simulator.survey.band_names])


def test_two_screens_are_one_of_their_sum(simulator: Simulator) -> None:
    none = magnitudes(simulator, a_v=0.0, foreground_a_v=0.0)
    inside = magnitudes(simulator, a_v=0.7, foreground_a_v=0.3)
    in_front = magnitudes(simulator, a_v=0.3, foreground_a_v=0.7)
    np.testing.assert_allclose(inside, in_front, atol=1e-4)
    expected = -2.5 * np.log10(transmitted(simulator.survey, 1.0, r_v=3.1))
    np.testing.assert_allclose((inside - none).mean(1), expected, atol=0.05)
    only = magnitudes(simulator, a_v=0.7, foreground_a_v=0.0)  # the foreground does count
    assert ((inside - only) > 0.3).all()


def test_the_field_lies_behind_it_too(simulator: Simulator) -> None:
    pool, grid = simulator.field_pool, simulator.renderer.grid
    assert isinstance(pool, SimulatedFieldPool)

    def light(foreground: float) -> torch.Tensor:
        grids = torch.zeros(3, 2, grid, grid)
        generator = torch.Generator().manual_seed(4)
        pool.add_to(grids, generator=generator, foreground_a_v=torch.full((3,), foreground))
        return grids

    through = torch.as_tensor(transmitted(simulator.survey, 1.0, r_v=3.1)).float()
    expected = light(0.0) * through[:, None, None]
    torch.testing.assert_close(light(1.0), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(light(0.5), light(0.0) * through[:, None, None] ** 0.5)
    near = Simulator(survey_with(0.5), seed=1, n_fields=1).field_pool
    assert isinstance(near, SimulatedFieldPool)  # one value: the stars themselves lie behind it
    torch.testing.assert_close(near.fields, pool.fields)


def test_it_stands_in_the_truth_and_e_bv_derives(simulator: Simulator) -> None:
    mocks = simulator.draw(64)
    foreground = mocks.truth["foreground_a_v"]
    assert 0 <= foreground.min() < 0.2 < 0.8 < foreground.max() <= 1
    assert abs(np.corrcoef(foreground, mocks.truth["a_v"])[0, 1]) < 0.4
    torch.testing.assert_close(mocks.values(["e_bv"])[:, 0], mocks.truth["a_v"] / 3.1)
    assert "e_bv" in {quantity.name for quantity in quantities.reported(["log_age", "a_v"])}
    assert "e_bv" not in {quantity.name for quantity in quantities.reported(["log_age"])}
    fixed = simulator.survey.fixed()
    assert fixed.galaxy.foreground_a_v == 0.5
    told = Simulator(fixed, seed=1, n_fields=0).draw(2).truth["foreground_a_v"]
    assert told.tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match="foreground_a_v = 2; the survey has 0 to 1"):
        simulator.observe({"foreground_a_v": 2.0})


def test_without_it_nothing_changes() -> None:
    usual = Simulator(survey_with(0.0), seed=1, n_fields=0).draw(2)
    assert "foreground_a_v" not in usual.truth
