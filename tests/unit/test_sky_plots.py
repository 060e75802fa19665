"""Pictures of simulated clusters."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.sky.simulator import Simulator
from praesepe.sky_plots import figure_gallery, natural_rgb
from praesepe.stars.passbands import load_passband


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator("phat", seed=1, n_fields=0)


def star(survey, vega_colour):
    """A stamp with one star, whose colours are those of Vega plus something per band."""
    rate = [
        10 ** (0.4 * (b.zero_point_ab + load_passband(b.filter).vega_minus_ab - 24.5 - extra))
        for b, extra in zip(survey.bands, vega_colour, strict=True)
    ]
    stamp = np.zeros((3, 9, 9))
    stamp[:, 4, 4] = rate
    return natural_rgb(stamp, survey)[4, 4].astype(int)


def test_an_a0_star_is_white_a_hot_one_blue_a_cool_one_red(simulator: Simulator) -> None:
    red, green, blue = star(simulator.survey, (0, 0, 0))
    assert max(red, green, blue) - min(red, green, blue) <= 6
    red, _, blue = star(simulator.survey, (-1.5, -0.5, 0))
    assert blue > red + 30
    red, _, blue = star(simulator.survey, (3, 1.5, 0))
    assert red > blue + 30


def test_the_gallery_has_a_stamp_for_each_combination(simulator: Simulator) -> None:
    figure = figure_gallery(simulator, log_age=(7.0, 9.0), log_mass=(3.0,), rh_arcsec=(0.2, 0.5))
    assert len(figure.axes) == 4
    assert [ax.get_title() for ax in figure.axes[:2]] == ["10 Myr", "1.0 Gyr"]
    assert "0.5" in figure.axes[2].get_ylabel()
