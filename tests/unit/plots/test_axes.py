"""Figures: axes in, axes out, no global state; colours follow the bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from praesepe.plots import axes as plots
from praesepe.quantities import LOG_AGE, LOG_RH, PARAMETERS
from praesepe.stars.passbands import load_passband
from praesepe.survey import load_survey

PHAT = load_survey("phat")


@pytest.fixture
def stamps(rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0.05, 0.01, (20, 3, 64, 64)).astype(np.float32)
    noise[:, :, 30:34, 30:34] += 0.5
    return noise


def star_colour(*beyond_vega: float) -> list[int]:
    """Red, green and blue of a star whose magnitudes are those of Vega plus something per band."""
    rate = [
        10 ** (0.4 * (band.zero_point_ab + load_passband(band.filter).vega_minus_ab - 24.5 - extra))
        for band, extra in zip(PHAT.bands, beyond_vega, strict=True)
    ]
    stamp = np.zeros((3, 9, 9))
    stamp[:, 4, 4] = rate
    picture = plots.rgb(stamp, PHAT)
    assert picture.shape == (9, 9, 3)
    assert picture.dtype == np.uint8
    return picture[4, 4].astype(int).tolist()


def test_an_a0_star_is_white_a_hot_one_blue_a_cool_one_red() -> None:
    red, green, blue = star_colour(0, 0, 0)
    assert max(red, green, blue) - min(red, green, blue) <= 6
    red, _, blue = star_colour(-1.5, -0.5, 0)
    assert blue > red + 30
    red, _, blue = star_colour(3, 1.5, 0)
    assert red > blue + 30


def test_missing_pixels_are_dark(stamps: np.ndarray) -> None:
    stamps[0, :, :5] = np.nan
    assert plots.rgb(stamps[0], PHAT)[:5].max() == 0
    stamps[0, 1, -3:] = np.nan  # one band is enough
    assert plots.rgb(stamps[0], PHAT)[-3:].max() == 0
    assert plots.rgb(np.full((3, 8, 8), np.nan), PHAT).max() == 0


def test_a_higher_stretch_is_darker(stamps: np.ndarray) -> None:
    assert plots.rgb(stamps[0], PHAT, stretch=10.0).sum() < plots.rgb(stamps[0], PHAT).sum()


@pytest.mark.parametrize("n_bands", [1, 2, 3])
def test_fewer_bands(stamps: np.ndarray, n_bands: int) -> None:
    survey = PHAT.model_copy(update={"bands": PHAT.bands[:n_bands]})
    picture = plots.rgb(stamps[0, :n_bands], survey)
    assert picture.shape == (64, 64, 3)
    if n_bands == 1:
        assert (picture[..., 0] == picture[..., 2]).all()


def test_wrong_shape(stamps: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        plots.rgb(stamps[0, :2], PHAT)


def test_recovered_against_true(rng: np.random.Generator) -> None:
    ax = plots.new_figure(3, 3).subplots()
    truth = rng.uniform(7, 9, 30)
    given = plots.plot_recovered(ax, truth, truth - 0.1, truth, truth + 0.1, LOG_AGE)
    assert given is ax
    assert LOG_AGE.axis_label in ax.get_xlabel()
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_ylim()[0] < (truth - 0.1).min()
    assert ax.get_ylim()[1] > (truth + 0.1).max()


def test_axis_labels_name_the_unit() -> None:
    assert LOG_AGE.axis_label == r"$\log_{10}\,(t\,/\,\mathrm{yr})$"
    for parameter in PARAMETERS:
        assert "dex" not in parameter.axis_label
        assert parameter.symbol in parameter.label


def test_all_figures_draw(rng: np.random.Generator, stamps: np.ndarray) -> None:
    truth = rng.uniform((6.6, 2, -1), (10, 4, 0), (300, 3))
    middle = truth + rng.normal(0, 0.1, truth.shape)
    percentiles = np.stack([middle - 0.1, middle, middle + 0.1])
    pit = rng.uniform(size=truth.shape)
    shown = {p: percentiles[i, :20] for i, p in enumerate((16, 50, 84))}
    for figure in (
        plots.figure_recovered(truth, percentiles),
        plots.figure_residuals(truth, middle - truth),
        plots.figure_calibration(pit),
        plots.figure_posterior(rng.normal(size=(200, 3)), truth=[0, 0, 0]),
        plots.plot_demo(stamps, PHAT, truth[:20], shown),
    ):
        figure.canvas.draw()


def test_clusters_without_a_measurement_are_left_out(
    rng: np.random.Generator, stamps: np.ndarray
) -> None:
    truth = rng.uniform(7, 9, (20, 3))
    nothing = dict.fromkeys((16, 50, 84), np.full((20, 3), np.nan))
    plots.plot_demo(stamps, PHAT, truth, nothing).canvas.draw()
    some = {p: truth.copy() for p in nothing}
    some[50][3] = np.nan
    plots.plot_demo(stamps, PHAT, truth, some).canvas.draw()


def test_few_clusters_are_enough(rng: np.random.Generator) -> None:
    truth = rng.uniform(7, 9, (3, 3))
    plots.figure_residuals(truth, truth * 0).canvas.draw()
    ax = plots.new_figure(3, 3).subplots()
    plots.plot_pit(ax, np.array([0.5]), LOG_RH)


def test_no_global_state_is_touched(run_python: Callable[..., Any]) -> None:
    code = (
        "import sys, matplotlib as mpl, numpy as np\n"
        "before = dict(mpl.rcParams)\n"
        "from praesepe.plots import axes as plots\n"
        "plots.figure_calibration(np.random.default_rng(0).uniform(size=(50, 3)))\n"
        "print('matplotlib.pyplot' in sys.modules, before == dict(mpl.rcParams))"
    )
    assert run_python(code).stdout.split() == ["False", "True"]
    assert mpl.rcParams["legend.frameon"]
