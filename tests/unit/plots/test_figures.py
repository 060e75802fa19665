"""Figures of any list of quantities: axes in, axes out, no global state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from praesepe import plots
from praesepe.quantities import A_V, LOG_AGE, LOG_MASS, LOG_RH, Quantity

KIND = Quantity("kind", "k", "", "what it is", categories=("cluster", "nothing"))
SPIN = Quantity("spin", "s", "km/s", "how fast it turns")
LISTS = [
    (LOG_AGE, LOG_MASS, LOG_RH),
    (LOG_AGE, LOG_MASS, LOG_RH, A_V),
    (SPIN,),
    (LOG_AGE, KIND),
    (KIND,),
]


def made_up(
    rng: np.random.Generator, quantities: tuple[Quantity, ...], n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Truth (n, Q), percentiles (3, n, Q), PIT (n, Q) and probabilities of categories."""
    truth = rng.uniform(0, 2, (n, len(quantities)))
    probabilities = {}
    for i, quantity in enumerate(quantities):
        if quantity.is_categorical:
            truth[:, i] = truth[:, i].astype(int)
            p = rng.uniform(size=n)
            probabilities[quantity.name] = np.stack([p, 1 - p], axis=1)
    middle = truth + rng.normal(0, 0.1, truth.shape)
    percentiles = np.stack([middle - 0.1, middle, middle + 0.1])
    return truth, percentiles, rng.uniform(size=truth.shape), probabilities


@pytest.mark.parametrize("quantities", LISTS, ids=lambda q: "-".join(one.name for one in q))
@pytest.mark.parametrize("n", [3, 300])
def test_any_list_of_quantities(
    rng: np.random.Generator, quantities: tuple[Quantity, ...], n: int
) -> None:
    truth, percentiles, pit, probabilities = made_up(rng, quantities, n)
    draws = rng.normal(size=(1000 if n > 10 else 100, len(quantities)))
    for i, quantity in enumerate(quantities):
        if quantity.is_categorical:
            draws[:, i] = rng.integers(0, 2, len(draws))
    tarp = rng.uniform(size=n) if len(quantities) > 1 else None
    for figure in (
        plots.figure_recovered(truth, percentiles, quantities, probabilities=probabilities),
        plots.figure_residuals(truth, percentiles[1] - truth, quantities),
        plots.figure_calibration(truth, pit, quantities, tarp=tarp, probabilities=probabilities),
        plots.figure_posterior(draws, quantities, truth=list(truth[0])),
    ):
        figure.canvas.draw()


def test_recovered_against_true(rng: np.random.Generator) -> None:
    ax = plots.new_figure(3, 3).subplots()
    truth = rng.uniform(7, 9, 30)
    percentiles = np.stack([truth - 0.1, truth, truth + 0.1])
    assert plots.plot_recovered(ax, truth, percentiles, LOG_AGE) is ax
    assert LOG_AGE.axis_label in ax.get_xlabel()
    assert ax.get_ylabel() == "posterior median"
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_ylim()[0] < (truth - 0.1).min()
    assert ax.get_ylim()[1] > (truth + 0.1).max()


def test_axis_labels_name_the_unit() -> None:
    assert LOG_AGE.axis_label == r"$\log_{10}\,(t\,/\,\mathrm{yr})$"
    for quantity in (LOG_AGE, LOG_MASS, LOG_RH):
        assert "dex" not in quantity.axis_label
        assert quantity.symbol in quantity.label
    ax = plots.new_figure(3, 3).subplots()
    plots.plot_residuals(ax, np.zeros(0), np.zeros(0), A_V)
    assert ax.get_xlabel() == rf"true {A_V.axis_label}"


def test_units_of_residuals_come_from_the_quantity(rng: np.random.Generator) -> None:
    quantities = (LOG_AGE, A_V)
    truth, percentiles, *_ = made_up(rng, quantities, 50)
    figure = plots.figure_residuals(truth, percentiles[1] - truth, quantities)
    assert [ax.get_ylabel().split()[-1] for ax in figure.axes[::2]] == ["[dex]", "[mag]"]


def test_a_bias_is_drawn_where_it_is(rng: np.random.Generator) -> None:
    truth = rng.uniform(7, 9, 3000)
    residual = np.where(truth < 8, 0.5, -0.2) + rng.normal(0, 0.01, len(truth))
    ax = plots.new_figure(3, 3).subplots()
    plots.plot_residuals(ax, truth, residual, LOG_AGE)
    running = ax.lines[-1]
    np.testing.assert_allclose(np.interp((7.5, 8.5), *running.get_data()), (0.5, -0.2), atol=0.02)


def test_coverage_of_calibrated_and_narrow_posteriors(rng: np.random.Generator) -> None:
    pit = np.stack([rng.uniform(size=4000), rng.beta(0.5, 0.5, 4000)], axis=1)
    ax = plots.plot_coverage(plots.new_figure(3, 3).subplots(), pit, (LOG_AGE, LOG_MASS))
    _, good, narrow = ax.lines
    assert np.interp(0.68, *good.get_data()) == pytest.approx(0.68, abs=0.03)
    assert np.interp(0.68, *narrow.get_data()) < 0.5
    assert "credible level" in ax.get_xlabel()


def test_joint_coverage(rng: np.random.Generator) -> None:
    ax = plots.plot_tarp(plots.new_figure(3, 3).subplots(), rng.uniform(size=4000))
    assert np.interp(0.3, *ax.lines[-1].get_data()) == pytest.approx(0.3, abs=0.03)
    assert ax.get_ylabel() == "expected coverage probability"


def test_reliability_of_true_and_of_exaggerated_probabilities(rng: np.random.Generator) -> None:
    probability = rng.uniform(size=8000)
    truth = (rng.uniform(size=len(probability)) < probability).astype(int)
    for claimed, worst in ((probability, 0.06), (np.clip(2 * probability - 0.5, 0, 1), 0.3)):
        ax = plots.new_figure(3, 3).subplots()
        plots.plot_reliability(ax, truth, np.stack([1 - claimed, claimed], axis=1), KIND)
        x, y = ax.lines[-1].get_data()
        far = np.abs(np.asarray(x) - y).max()
        assert far < worst
        assert (far > 0.15) == (worst > 0.1)


def test_categories_are_named(rng: np.random.Generator) -> None:
    truth, _, _, probabilities = made_up(rng, (KIND,), 100)
    ax = plots.plot_categories(
        plots.new_figure(3, 3).subplots(), truth[:, 0], probabilities["kind"], KIND
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cluster", "nothing"]
    columns = np.ma.filled(ax.images[0].get_array(), np.nan).sum(axis=0)
    np.testing.assert_allclose(columns, 1)


def test_a_corner_plot_shows_draws_and_truth(rng: np.random.Generator) -> None:
    quantities = (LOG_AGE, LOG_MASS, KIND)
    samples = np.column_stack([rng.normal((8, 3), 0.1, (2000, 2)), rng.integers(0, 2, 2000)])
    axes = plots.plot_posterior(plots.new_figure(5, 5), samples, quantities, (8.5, 3.0, 1))
    assert axes.shape == (3, 3)
    assert axes[2, 0].get_xlabel() == LOG_AGE.axis_label
    low, high = axes[2, 0].get_xlim()
    assert low < 7.7
    assert high > 8.5  # the truth is on the plot, however far
    assert [label.get_text() for label in axes[2, 2].get_xticklabels()] == ["cluster", "nothing"]
    with pytest.raises(ValueError, match=r"it must be \(n_samples, 2\)"):
        plots.figure_posterior(samples, quantities[:2])


def test_few_clusters_are_enough() -> None:
    ax = plots.new_figure(3, 3).subplots()
    plots.plot_pit(ax, np.array([0.5]), LOG_RH)
    assert ax.get_ylabel() == "number of clusters"


def test_no_global_state_is_touched(run_python: Callable[..., Any]) -> None:
    code = (
        "import sys, matplotlib as mpl, numpy as np\n"
        "before = dict(mpl.rcParams)\n"
        "from praesepe import plots, quantities as q\n"
        "pit = np.random.default_rng(0).uniform(size=(50, 3))\n"
        "plots.figure_calibration(pit, pit, [q.LOG_AGE, q.LOG_MASS, q.LOG_RH])\n"
        "print('matplotlib.pyplot' in sys.modules, before == dict(mpl.rcParams))"
    )
    assert run_python(code).stdout.split() == ["False", "True"]
    assert mpl.rcParams["legend.frameon"]
