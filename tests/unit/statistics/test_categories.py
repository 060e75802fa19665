"""Scores of categorical quantities: the true probabilities have the best."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.statistics import accuracy, brier_score, category_probabilities, log_score


def test_probabilities_of_draws() -> None:
    probabilities = category_probabilities([[0, 0, 1, 0], [2, 2, 2, 2]], 3)
    np.testing.assert_allclose(probabilities, [[3.5, 1.5, 0.5], [0.5, 0.5, 4.5]] / np.float64(5.5))


def test_scores_by_hand() -> None:
    probabilities = [[0.8, 0.2], [0.6, 0.4], [1.0, 0.0]]
    assert accuracy(probabilities, [0, 1, 0]) == pytest.approx(2 / 3)
    assert brier_score(probabilities, [0, 1, 0]) == pytest.approx((0.08 + 0.72 + 0) / 3)
    assert log_score(probabilities, [0, 1, 0]) == pytest.approx(np.log([0.8, 0.4, 1]).mean())
    assert log_score(probabilities, [0, 1, 1]) == -np.inf
    for score in (accuracy, brier_score, log_score):
        assert np.isnan(score(np.zeros((0, 2)), np.zeros(0)))


def test_the_true_probabilities_score_best(rng: np.random.Generator) -> None:
    """Both scores are proper: those who hedge or exaggerate do worse."""
    probability = rng.uniform(0.05, 0.95, 20_000)
    truth = (rng.uniform(size=len(probability)) < probability).astype(int)

    def scores(claimed: np.ndarray) -> tuple[float, float]:
        probabilities = np.stack([1 - claimed, claimed], axis=1)
        return -brier_score(probabilities, truth), log_score(probabilities, truth)

    right = scores(probability)
    for wrong in (0.5 + 0.5 * (probability - 0.5), np.clip(2 * probability - 0.5, 0.01, 0.99)):
        assert all(w < r - 0.005 for w, r in zip(scores(wrong), right, strict=True))


def test_other_values_are_refused() -> None:
    with pytest.raises(InputError, match="0 to 1"):
        category_probabilities([[0, 2]], 2)
    with pytest.raises(InputError, match="0 to 1"):
        category_probabilities([[0.5, 1]], 2)
    with pytest.raises(InputError, match=r"\(1, 2\).*\(2,\)"):
        brier_score([[0.5, 0.5]], [0, 1])
