"""Interpolation in metallicity against the isochrones that were left out."""

import numpy as np
import pytest

from praesepe.stars import IsochroneGrid, build_table, load_passband
from praesepe.stars.interpolation import refine_metallicity

NAMES = ("wfc3_uvis_f336w", "acs_wfc_f475w", "acs_wfc_f814w")
LEFT_OUT = 0.014


@pytest.fixture(scope="module")
def grid():
    return IsochroneGrid.embedded()


@pytest.fixture(scope="module")
def rows(grid):
    """Ages of 6.8 to 10."""
    return np.flatnonzero((grid.log_age > 6.79) & (grid.log_age < 10.01))


@pytest.fixture(scope="module")
def gap(grid):
    """The embedded grid without Z = 0.014: 0.008 and 0.02 are its neighbours."""
    kept = np.flatnonzero(np.abs(grid.metallicity - LEFT_OUT) > 1e-6)
    return IsochroneGrid(
        grid.log_age, grid.metallicity[kept], tuple(grid.isochrones[i] for i in kept)
    )


@pytest.fixture(scope="module")
def light(rows):
    """Magnitudes (A, 3) of 10^6 Msun for one metallicity of a grid."""
    curves = [load_passband(name) for name in NAMES]

    def of(grid, metallicity):
        table = build_table(curves, metallicities=[metallicity], grid=grid)
        return np.array(
            [table.integrated_magnitudes(grid.log_age[i], metallicity, 1e6) for i in rows]
        )

    return of


def turn_off(grid, metallicity, rows):
    column = grid.nearest_metallicity(metallicity)
    ones = [grid.isochrone(i, column) for i in rows]
    return np.array([one.initial_mass[one.kind <= 1].max() for one in ones])


def rms(difference):
    return np.sqrt((difference**2).mean(axis=0))


def test_the_turn_off_is_that_of_the_isochrone_left_out(grid, gap, rows):
    truth = turn_off(grid, LEFT_OUT, rows)
    refined = turn_off(refine_metallicity(gap, low=LEFT_OUT, high=LEFT_OUT), LEFT_OUT, rows)
    nearest = turn_off(gap, LEFT_OUT, rows)
    error, control = np.abs(refined / truth - 1), np.abs(nearest / truth - 1)
    assert np.median(error) < 0.003
    assert error.max() < 0.04
    assert np.median(control) > 8 * np.median(error)


def test_the_light_is_that_of_the_isochrones_left_out(grid, gap, light):
    truth = light(grid, LEFT_OUT)
    refined = light(refine_metallicity(gap, low=LEFT_OUT, high=LEFT_OUT), LEFT_OUT)
    nearest = light(gap, LEFT_OUT)
    assert (rms(refined - truth) < (0.045, 0.10, 0.085)).all()
    assert (np.median(np.abs(refined - truth), axis=0) < 0.04).all()
    # Negative control: the nearest neighbour misses by several times as much.
    ratio = np.median(np.abs(nearest - truth), axis=0) / np.median(np.abs(refined - truth), axis=0)
    assert (ratio > 3).all()
    assert rms(nearest - truth)[0] > 4 * rms(refined - truth)[0]


def test_as_good_as_the_grid_allows(grid, gap, light):
    """What is left is not smooth in Z in the tracks: magnitudes interpolated miss it as well."""
    truth = light(grid, LEFT_OUT)
    refined = light(refine_metallicity(gap, low=LEFT_OUT, high=LEFT_OUT), LEFT_OUT)
    fraction = np.log10(LEFT_OUT / 0.008) / np.log10(0.02 / 0.008)
    direct = (1 - fraction) * light(gap, 0.008) + fraction * light(gap, 0.02)
    assert (rms(refined - truth) < 1.1 * rms(direct - truth)).all()
