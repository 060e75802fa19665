"""Learning curves: a known law is found again, and the schedule's own gain is not taken for it."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from praesepe.plots import new_figure, plot_learning_curve
from praesepe.training.curve import FEWEST, learning_curve

BATCH, STEPS, SECONDS = 128, 5000, 3600.0


def lines(a: float, b: float, d: float, n: int = 20, noise: float = 0.002) -> list[dict[str, Any]]:
    """Metrics of an hour whose loss is -2 + a x^-b + d rate / peak, x the share that is seen."""
    rng, found = np.random.default_rng(1), []
    for step in np.linspace(STEPS / n, STEPS, n):
        x = step / STEPS
        rate = 0.5 * (1 + np.cos(np.pi * x))
        loss = -2 + a * x**-b + d * rate + noise * rng.normal()
        line = {"step": int(step), "valid_loss": loss, "learning_rate": 1e-3 * rate}
        found += [{**line, "seconds": SECONDS * x}] * 2  # a loss stands in several lines
    return found


@pytest.mark.parametrize(("a", "b", "d"), [(0.3, 0.5, 0.1), (0.1, 1.0, 0.2), (0.5, 0.3, 0.0)])
def test_what_another_hour_brings(a: float, b: float, d: float) -> None:
    curve = learning_curve(lines(a, b, d), clusters_a_step=BATCH)
    found = curve.gain()
    assert found is not None
    gain, error = found
    assert abs(gain - a * (1 - 2**-b)) < max(3 * error, 0.01)
    assert 0 < error < 0.05
    assert curve.per_hour == pytest.approx(BATCH * STEPS)
    assert "another hour (640,000 clusters) would lower the validation loss by" in curve.sentence


def test_the_falling_learning_rate_is_not_taken_for_learning() -> None:
    only_schedule = lines(0.0, 1.0, 0.2)
    curve = learning_curve(only_schedule, clusters_a_step=BATCH)
    found = curve.gain()
    assert found is not None
    assert found[0] < 0.01
    # The test can fail: without the learning rates the same losses promise much.
    blind = [{**line, "learning_rate": 1e-3} for line in only_schedule]
    promised = learning_curve(blind, clusters_a_step=BATCH).gain()
    assert promised is not None
    assert promised[0] > 0.04


def test_too_few_validations_say_nothing() -> None:
    few = lines(0.3, 0.5, 0.1, n=FEWEST - 1)
    curve = learning_curve(few, clusters_a_step=BATCH)
    assert curve.gain() is None
    assert "cannot be said" in curve.sentence
    assert learning_curve(few, clusters_a_step=BATCH, warmup_steps=STEPS).gain() is None
    assert learning_curve([], clusters_a_step=BATCH).gain() is None
    untimed = [{**line, "valid_loss": None} for line in few]
    assert learning_curve(untimed, clusters_a_step=BATCH).gain() is None


def test_the_curve_is_drawn() -> None:
    curve = learning_curve(lines(0.3, 0.5, 0.1), clusters_a_step=BATCH, before=10_000)
    ahead = curve.clusters[-1] + np.linspace(0, 2, 9) * curve.per_hour
    expected, error = curve.expected(ahead)
    assert expected[0] == pytest.approx(curve.loss[-1], abs=0.02)
    assert (np.diff(expected) < 0).all()
    with mpl.rc_context():
        ax = new_figure(4, 3).subplots()
        assert plot_learning_curve(ax, curve.clusters, curve.loss) is ax
        plot_learning_curve(ax, curve.clusters, curve.loss, future=(ahead, expected, error))
    assert ax.get_xscale() == "log"
    assert len(ax.lines) == 3
