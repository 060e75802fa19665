"""Pictures of simulated clusters."""

from __future__ import annotations

import pytest

from praesepe.plots.stamps import figure_gallery
from praesepe.sky.simulator import Simulator


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator("phat", seed=1, n_fields=0)


def test_the_gallery_has_a_stamp_for_each_combination(simulator: Simulator) -> None:
    figure = figure_gallery(simulator, log_age=(7.0, 9.0), log_mass=(3.0,), rh_arcsec=(0.2, 0.5))
    assert len(figure.axes) == 4
    assert [ax.get_title() for ax in figure.axes[:2]] == ["10 Myr", "1.0 Gyr"]
    assert "0.5" in figure.axes[2].get_ylabel()
