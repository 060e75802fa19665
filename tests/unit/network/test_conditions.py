"""Conditions: told exactly, standardised, and an absent band is not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from praesepe.errors import InputError, PraesepeWarning
from praesepe.network.conditions import KINDS, ConditionEmbedding
from praesepe.network.estimator import Estimator
from praesepe.survey import Survey

N = 6
TOLD: dict[str, Any] = {
    "present": [1, 1],
    "depth": np.full((N, 2), 29.5),
    "psf_fwhm_px": [1.8, 2.0],
    "foreground_a_v": 0.2,
    "log_distance": 5.9,
}


@pytest.fixture(scope="module", params=["band", "noise"])
def estimator(survey: Survey, request: pytest.FixtureRequest) -> Estimator:
    told = {"conditions": ["depth"], "scaling": request.param}
    scaled = survey.with_values(network=told)
    made = Estimator.untrained(scaled, encoder="tiny", conditions=list(KINDS))
    with torch.no_grad():  # at first conditions do not modulate the encoder
        for modulation in made.net.encoder.modulations:
            modulation.linear.weight.normal_(0, 0.3)
    return made


@pytest.fixture(scope="module")
def stamps() -> np.ndarray:
    return np.random.default_rng(1).normal(0.1, 0.05, (N, 2, 16, 16)).astype(np.float32)


def answer(estimator: Estimator, stamps: np.ndarray, **changes: Any) -> np.ndarray:
    told = {**TOLD, **changes}
    return estimator.predict(stamps, conditions=told, n_samples=8).samples


def test_every_condition_has_a_say(estimator: Estimator, stamps: np.ndarray) -> None:
    usual = answer(estimator, stamps)
    assert usual.shape == (N, 8, 3)
    others = {
        "present": [1, 0],
        "depth": [29.5, 27.0],
        "psf_fwhm_px": np.nan,
        "foreground_a_v": 0.0,
        "log_distance": 7.0,
    }
    for name, value in others.items():
        assert np.abs(answer(estimator, stamps, **{name: value}) - usual).max() > 1e-4, name


def test_values_are_one_or_one_a_band_or_one_a_stamp(
    estimator: Estimator, stamps: np.ndarray
) -> None:
    usual = answer(estimator, stamps)
    for same in ({"depth": 29.5}, {"log_distance": np.full(N, 5.9)}, {"present": np.ones((N, 2))}):
        np.testing.assert_array_equal(answer(estimator, stamps, **same), usual)


def test_an_absent_band_is_not_looked_at(estimator: Estimator, stamps: np.ndarray) -> None:
    changed = stamps.copy()
    changed[:, 1] += 7.0
    ones, absent = np.ones((N, 2)), np.tile([1, 0], (N, 1))
    np.testing.assert_array_equal(
        answer(estimator, changed, present=absent), answer(estimator, stamps, present=absent)
    )
    assert (answer(estimator, changed, present=ones) != answer(estimator, stamps)).any()


def test_what_is_not_told_is_unknown(estimator: Estimator, stamps: np.ndarray) -> None:
    little = {"foreground_a_v": 0.2, "log_distance": 5.9}
    unknown = dict.fromkeys(("depth", "psf_fwhm_px"), np.nan)
    answered = estimator.predict(stamps, conditions=little, n_samples=8).samples
    assert np.isfinite(answered).all()
    np.testing.assert_array_equal(answered, answer(estimator, stamps, **unknown))
    # Unknown is not the middle of the range, to which it is set inside.
    assert (answered != answer(estimator, stamps, **unknown | {"psf_fwhm_px": 3.0})).any()


def test_absent_is_not_empty(estimator: Estimator, stamps: np.ndarray) -> None:
    empty = stamps.copy()
    empty[:, 1] = 0.0
    assert (answer(estimator, empty) != answer(estimator, empty, present=[1, 0])).any()
    for present, odd in (([1, 1], True), ([1, 0], False)):
        told = {**TOLD, "present": present}
        found = estimator.predict(empty, conditions=told, n_samples=8)
        assert ("noise" in found.doubts) == odd  # a dead band is one that is said to be there


def test_rows_are_the_same_in_any_company(estimator: Estimator, stamps: np.ndarray) -> None:
    told = {**TOLD, "log_distance": np.linspace(5.8, 7, N)}
    whole = estimator.predict(stamps, conditions=told, n_samples=8).samples
    part = estimator.predict(
        stamps[4:5],
        conditions={**TOLD, "depth": 29.5, "log_distance": told["log_distance"][4:5]},
        n_samples=8,
        rows=[4],
    ).samples
    np.testing.assert_array_equal(part, whole[4:5])


def test_they_are_saved(estimator: Estimator, stamps: np.ndarray, tmp_path: Path) -> None:
    loaded = Estimator.load(estimator.save(tmp_path / "model"))
    assert [entry.name for entry in loaded.card.conditions] == list(KINDS)
    np.testing.assert_array_equal(answer(loaded, stamps), answer(estimator, stamps))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeing": 0.8}, "is told present, depth, .*log_distance; given were .*seeing"),
        ({"depth": [1.0, 2.0, 3.0]}, r"'depth' has shape \(3,\); \(6, 2\) is needed"),
        ({"depth": np.inf}, "'depth' has values that are not finite"),
        ({"log_distance": np.nan}, "'log_distance' has values that are not finite"),
    ],
)
def test_what_is_refused(
    estimator: Estimator, stamps: np.ndarray, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        answer(estimator, stamps, **change)


def test_a_value_that_was_not_trained_for_is_told(estimator: Estimator, stamps: np.ndarray) -> None:
    message = "6 of 6 values of condition 'log_distance' are outside 5.8 to"
    with pytest.warns(PraesepeWarning, match=message):
        answer(estimator, stamps, log_distance=600.0)


def test_the_noise_that_scales_stamps_is_told(estimator: Estimator, stamps: np.ndarray) -> None:
    """A stamp ten times as bright, noise and all, is another, also where the noise scales it."""
    assert np.abs(answer(estimator, 10 * stamps) - answer(estimator, stamps)).max() > 1e-3
    assert estimator.card.scaling == estimator.survey.network.scaling
    with pytest.raises(InputError, match=r'scaling = "noise" and no conditions.*add "depth"'):
        estimator.survey.with_values(network={"scaling": "noise", "conditions": []})


def test_none_where_none_are_expected(survey: Survey, stamps: np.ndarray) -> None:
    plain = Estimator.untrained(survey, encoder="tiny")
    with pytest.raises(InputError, match="is told no conditions; given were depth"):
        plain.predict(stamps, conditions={"depth": 26.0})
    with pytest.raises(InputError, match=r"unknown condition 'dept'.*'depth'"):
        Estimator.untrained(survey, encoder="tiny", conditions=["dept"])


def test_they_are_standardised_by_their_range() -> None:
    embedding = ConditionEmbedding({"depth": (24.0, 28.0), "log_distance": (6.0, 6.0)}, 2)
    assert embedding.center.tolist() == [26.0, 26.0, 6.0]
    assert embedding.sizes == {"depth": 2, "log_distance": 1}
    values = torch.tensor([[26.0, 28.0, 6.0]])
    assert ((values - embedding.center) / embedding.width).tolist() == [[0.0, 1.0, 0.0]]
    assert embedding.present(values) is None
    known, unknown = embedding(values), embedding(torch.tensor([[26.0, torch.nan, 6.0]]))
    assert (known != unknown).any()
