"""The mass that is left: one function, for tables, for samplers and for models."""

import numpy as np
import pytest

from praesepe.sky.simulator import Simulator
from praesepe.stars import IsochroneGrid
from praesepe.stars.present_mass import present_mass_curve
from praesepe.stars.store import write_grid
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")
DOUBLE = {"binary_fraction": 0.6, "binary_mass_ratio": (0.3, 1.0)}


def of(**clusters):
    return PHAT.with_values(observation={"bands": PHAT.bands[1:2]}, clusters=clusters)


@pytest.mark.parametrize("stars", [{}, DOUBLE, {"imf": "salpeter1955"}])
def test_the_curve_is_what_the_simulator_draws(stars):
    survey = of(stars=stars)
    clusters = {"log_age": 9.0, "log_mass": 5.0, "log_rh": -0.5}
    mocks = Simulator(survey, n_fields=0, seed=1).observe(clusters, n=12)
    left = 10 ** (mocks.truth["log_present_mass"] - mocks.labels[:, 1]).numpy()
    assert np.interp(9.0, *present_mass_curve(survey)) == pytest.approx(left.mean(), abs=3e-3)


def test_the_mass_function_matters():
    """A steeper function has fewer stars that die."""
    steep = {"edges": [0.08, 120.0], "slopes": [2.7]}
    assert present_mass_curve(of(stars={"imf": steep}))[1][-1] > 0.75
    assert present_mass_curve(of())[1][-1] == pytest.approx(0.565, abs=0.01)


def test_the_survey_says_which_isochrones(tmp_path):
    grid = IsochroneGrid.embedded()
    young = tuple(row[:20] for row in grid.isochrones)
    write_grid(tmp_path / "young.npz", IsochroneGrid(grid.log_age[:20], grid.metallicity, young))
    survey = of(log_age=(6.6, 7.5), stars={"isochrones": str(tmp_path / "young.npz")})
    assert len(present_mass_curve(survey)[0]) == 20
