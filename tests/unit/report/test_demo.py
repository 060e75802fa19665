"""The demonstration's figure."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.report.demo import figure_demo
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")


@pytest.fixture
def stamps(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0.05, 0.01, (20, 3, 64, 64)).astype(np.float32)


def test_clusters_without_a_measurement_are_left_out(
    rng: np.random.Generator, stamps: np.ndarray
) -> None:
    truth = rng.uniform(7, 9, (20, 3))
    nothing = dict.fromkeys((16, 50, 84), np.full((20, 3), np.nan))
    figure_demo(stamps, PHAT, truth, nothing).canvas.draw()
    some = {p: truth.copy() for p in nothing}
    some[50][3] = np.nan
    figure = figure_demo(stamps, PHAT, truth, some)
    figure.canvas.draw()
    words = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert any("scatter 0.00 dex" in word for word in words)
