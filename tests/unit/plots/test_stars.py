"""Figures of stellar models: what is drawn, and what is compared."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from praesepe.errors import InputError
from praesepe.plots import (
    figure_stellar_model,
    plot_color_magnitude,
    plot_hr_diagram,
    plot_integrated,
)
from praesepe.stars import IsochroneGrid, build_table, load_passband


@pytest.fixture(scope="module")
def grid():
    return IsochroneGrid.embedded()


@pytest.fixture(scope="module")
def curves():
    return [load_passband(name) for name in ("acs_wfc_f475w", "acs_wfc_f814w")]


@pytest.fixture(scope="module")
def table(curves):
    return build_table(curves, metallicities=[0.02])


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_hr_diagram(ax, grid):
    assert plot_hr_diagram(ax, grid, metallicity=0.02) is ax
    young, *_, old = (line.get_ydata() for line in ax.lines)
    assert np.nanmax(young) > np.nanmax(old) + 1
    assert np.isnan(old).any()  # dark remnants, and the leap to the white dwarfs
    low, high = ax.get_xlim()
    assert low > high  # hot stars on the left


def test_ages_that_a_model_lacks_are_left_out(ax, grid):
    young = IsochroneGrid(grid.log_age[:29], grid.metallicity, grid.isochrones)
    plot_hr_diagram(ax, young, metallicity=0.02, compare=grid)
    assert len(ax.lines) == 2 * 2  # 6.8 and 7.5, of either


def test_color_magnitude(ax, table):
    plot_color_magnitude(ax, table, metallicity=0.02, compare=table)
    half = len(ax.lines) // 2
    for grey, own in zip(ax.lines[:half], ax.lines[half:], strict=True):
        np.testing.assert_array_equal(grey.get_ydata(), own.get_ydata())
    assert ax.get_xlabel().startswith("F475W − F814W")
    faint, bright = ax.get_ylim()
    assert faint > bright


def test_integrated_light(ax, table):
    plot_integrated(ax, table, metallicity=0.02, name="mine", compare=table)
    line = ax.lines[0]
    expected = table.integrated_magnitudes(8.0, 0.02, 1e6)[0]
    assert np.interp(8.0, line.get_xdata(), line.get_ydata()) == pytest.approx(expected)
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["F475W", "F814W", "mine", "sse"]
    assert ax.yaxis.get_inverted()


def test_panels(grid, curves):
    assert len(figure_stellar_model(grid, curves, name="sse").axes) == 3
    assert (
        len(figure_stellar_model(grid, curves[:1], name="sse", metallicity=0.03, compare=grid).axes)
        == 2
    )
    with pytest.raises(InputError, match="at least one filter"):
        figure_stellar_model(grid, [], name="sse")
    with pytest.raises(InputError, match="outside the stellar model"):
        figure_stellar_model(grid, curves, name="sse", metallicity=0.2)
