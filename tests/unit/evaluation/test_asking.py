"""A model is asked about clusters of another survey, in some of its bands, and told something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.evaluation import evaluate
from praesepe.evaluation.asking import Asking, make_asking
from praesepe.evaluation.recovery import recover
from praesepe.network.estimator import Estimator
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey

PHAT = load_survey("phat-nodust")
INFERS = (
    *("log_age", "log_mass", "log_rh", "a_v", "object_class", "log_visibility", "contaminant"),
    *("offset_x_px", "offset_y_px"),
)


def small(**changes: Any) -> Survey:
    """A survey of few stars on small stamps, without dust."""
    return PHAT.with_values(
        galaxy={"field": {"surface_density": (0.02, 0.1), "metallicity": (0.02, 0.02)}},
        network={"stamp_size": 16},
        clusters={"log_mass": (2.0, 2.5), "rh_arcsec": (0.1, 0.3)},
    ).with_values(**changes)


@pytest.fixture(scope="module")
def dusty() -> Estimator:
    """A model with random weights that infers, and is told, more than a plain survey simulates."""
    survey = small(
        clusters={"a_v": (0.0, 2.0)},
        contaminants={"fraction": 0.5, "off_center_px": (3.0, 6.0)},
        network={
            "infers": INFERS,
            "conditions": ("present", "depth", "foreground_a_v"),
        },
    )
    return Estimator.untrained(survey, encoder="tiny")


@pytest.fixture(scope="module")
def plain() -> Survey:
    """Two of the three bands, one with another zero point; no dust, no contaminants."""
    first, second, _ = PHAT.bands
    second = second.model_copy(update={"zero_point_ab": second.zero_point_ab + 0.4})
    return small(name="plain", observation={"bands": (first, second)})


def asking(dusty: Estimator, plain: Survey, **given: Any) -> Asking:
    settings: dict[str, Any] = {"bands": None, "told": {}, "prior": {}, "n_samples": 10}
    return make_asking(dusty, survey=plain, **(settings | given))


def test_clusters_of_another_survey(dusty: Estimator, plain: Survey) -> None:
    asked = asking(dusty, plain, told={"a_v": 0.1})
    mocks = Simulator(plain, seed=3).draw_block(0, 8)
    images = asked.images(mocks)
    torch.testing.assert_close(images[:, 0], mocks.images[:, 0])
    torch.testing.assert_close(
        images[:, 1], mocks.images[:, 1] * 10**-0.16
    )  # of a lower zero point
    assert (images[:, 2] == 0).all()
    told = asked.conditions(mocks, (1, 2))
    assert told is not None
    present, depth, foreground = told.split((3, 3, 1), dim=1)
    assert (present == torch.tensor([1.0, 1.0, 0.0])).all()
    assert depth[:, :2].isfinite().all()
    assert depth[:, 2].isnan().all()
    assert (foreground == 0).all()
    known = asked.known(mocks, (1, 2))
    assert known is not None
    assert 0 < known[0].abs().max() < 0.5
    assert known[1] == 0.1
    recovery = recover(asked, mocks)
    truth = dict(zip(recovery.names, recovery.truth.T, strict=True))
    assert (truth["a_v"] == 0).all()
    assert (truth["object_class"] == 1).all()
    assert (truth["contaminant"] == 0).all()
    np.testing.assert_allclose(truth["offset_x_px"], mocks.truth["x"] - 8, atol=1e-5)
    np.testing.assert_allclose(truth["log_age"], mocks.truth["log_age"], rtol=1e-6)


def test_a_prior_moves_the_answer_and_its_density(dusty: Estimator, plain: Survey) -> None:
    survey = plain.with_values(clusters={"a_v": (0.0, 2.0)})
    settings: dict[str, Any] = {"n": 16, "seed": 4, "n_samples": 200, "survey": survey}
    free = evaluate(dusty, **settings)
    low = evaluate(dusty, **settings, prior={"a_v": "uniform:0:0.5"})
    axis = low.recovery.names.index("a_v")
    assert low.recovery.percentiles[2, :, axis].max() <= 0.5 < free.recovery.percentiles[1].max()
    inside = low.recovery.truth[:, axis] <= 0.5
    gain = (low.recovery.log_prob - free.recovery.log_prob)[inside]
    assert gain.min() > 0  # the same density on a part of the range
    assert np.isneginf(low.recovery.log_prob[~inside]).all()
    assert low["provenance"]["prior"]["a_v"] == "uniform:0:0.5"


def test_the_survey_of_the_clusters_is_recorded(dusty: Estimator, plain: Survey) -> None:
    evaluation = evaluate(dusty, n=4, seed=4, n_samples=10, survey=plain, told={"a_v": 0.0})
    record = evaluation["provenance"]
    assert record["clusters_of"] == "plain"
    assert record["clusters_fingerprint"] == plain.fingerprint()
    assert record["told"] == {"a_v": 0.0}
    assert "detection" not in evaluation.metrics  # it has no contaminants


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"survey": PHAT}, "stamps of 64 px of 0.05 arcsec.* cannot measure"),
        ({"bands": ("F814W", "F475W")}, "survey has no F814W"),
        ({"bands": ("F336W",)}, "F336W alone: one color at least"),
        ({"told": {"log_age": 0.1}}, "not told 'log_age'"),
        ({"told": {"a_v": -0.5}}, "error of a_v"),
        ({"prior": {"a_v": "uniform:1:3"}}, "prior of a_v"),
    ],
)
def test_what_the_model_cannot_be_asked(
    dusty: Estimator, plain: Survey, given: dict[str, Any], words: str
) -> None:
    settings: dict[str, Any] = {"n": 4, "survey": plain} | given
    with pytest.raises(InputError, match=words):
        evaluate(dusty, **settings)
