"""The demonstration's figure, of whatever a model infers."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.evaluation import Recovery
from praesepe.quantities import get
from praesepe.report.demo import figure_demo
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")


@pytest.mark.parametrize("n", [0, 1, 20])
@pytest.mark.parametrize("names", [("log_age", "log_mass", "log_rh"), ("a_v", "profile")])
def test_any_number_of_clusters_and_any_quantities(
    rng: np.random.Generator, names: tuple[str, ...], n: int
) -> None:
    truth = rng.uniform(0, 2, (n, len(names)))
    if "profile" in names:
        truth[:, 1] = truth[:, 1].astype(int)
    recovery = Recovery(
        names=names,
        truth=truth,
        percentiles=np.stack([truth, truth, truth]),
        pit=truth,
        log_prob=np.zeros(n),
        tarp=np.zeros(n),
        probabilities={"profile": np.full((n, 3), 1 / 3)},
    )
    stamps = rng.normal(0.05, 0.01, (n, 3, 64, 64)).astype(np.float32)
    figure = figure_demo(stamps, PHAT, recovery)
    figure.canvas.draw()
    words = [text.get_text() for ax in figure.axes for text in ax.texts]
    unit = get(names[0]).residual_unit
    assert any(f"scatter 0.00 {unit}" in word for word in words) == (n > 0)
