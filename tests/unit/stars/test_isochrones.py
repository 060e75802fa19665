"""The embedded isochrones: coverage, refinement, and sane stars."""

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.stars import IsochroneGrid
from praesepe.stars.isochrones import LEAST_LOG_L

MAX_LOG_L, MAX_LOG_TEFF, JUMP = 0.15, 0.03, 1e-8
ROUNDING_L, ROUNDING_TEFF = 6e-4, 2e-4  # of the stored values


@pytest.fixture(scope="module")
def grid():
    return IsochroneGrid.embedded()


def coarse_steps(isochrone, thinning=1):
    """Neighbouring luminous points that are further apart than the grid promises."""
    mass = isochrone.initial_mass[::thinning]
    log_l, log_teff = isochrone.log_l[::thinning], isochrone.log_teff[::thinning]
    luminous = isochrone.luminous[::thinning]
    far = (np.abs(np.diff(log_l)) > MAX_LOG_L + ROUNDING_L) | (
        np.abs(np.diff(log_teff)) > MAX_LOG_TEFF + ROUNDING_TEFF
    )
    resolvable = np.diff(mass) / mass[1:] > JUMP
    return int((far & resolvable & luminous[1:] & luminous[:-1]).sum())


def all_isochrones(grid):
    return [one for row in grid.isochrones for one in row]


def test_coverage(grid):
    np.testing.assert_allclose(grid.log_age, np.arange(6.6, 10.11, 0.05), atol=1e-9)
    assert len(grid.metallicity) >= 5
    assert grid.metallicity.min() <= 0.002
    assert grid.metallicity.max() == pytest.approx(0.03)
    for isochrone in all_isochrones(grid):
        assert isochrone.initial_mass[[0, -1]] == pytest.approx([0.08, 120.0])
        assert (np.diff(isochrone.initial_mass) > 0).all()


def test_neighbouring_points_are_close(grid):
    assert sum(coarse_steps(isochrone) for isochrone in all_isochrones(grid)) == 0


def test_closeness_is_lost_when_every_second_point_goes(grid):
    """Negative control: the criterion sees a grid of half the density."""
    assert sum(coarse_steps(isochrone, 2) for isochrone in all_isochrones(grid)) > 1000


def test_jumps_of_the_tracks_hold_no_stars(grid):
    """What bisection cannot resolve (flash, end of the AGB) spans a millionth of the mass."""
    for isochrone in all_isochrones(grid):
        width = np.diff(isochrone.initial_mass) / isochrone.initial_mass[1:]
        assert width[width <= JUMP].sum() < 1e-6


def test_evolved_phases_hold_many_points(grid):
    for log_age in (8.0, 9.0, 10.0):
        isochrone = grid.isochrone(int(np.abs(grid.log_age - log_age).argmin()), 6)
        evolved = (isochrone.kind >= 2) & isochrone.living
        assert evolved.sum() > 40


def test_remnants_are_dark_except_young_white_dwarfs(grid):
    isochrone = grid.isochrone(len(grid.log_age) - 1, 6)
    dark = ~isochrone.luminous
    assert set(np.unique(isochrone.kind[dark])) >= {10, 11, 13, 14} - {10}
    dwarfs = (isochrone.kind >= 10) & (isochrone.kind <= 12)
    assert (isochrone.luminous & dwarfs).any()
    assert (isochrone.log_l[isochrone.luminous & dwarfs] > LEAST_LOG_L).all()
    assert not (isochrone.luminous & (isochrone.kind >= 13)).any()


def test_the_sun(grid):
    """1 solar mass, 4.57 Gyr, Z = 0.02 (SSE's solar metallicity): 1 L_sun, 5772 K."""
    isochrone = grid.isochrone(int(np.abs(grid.log_age - 9.65).argmin()), 6)
    log_l = np.interp(1.0, isochrone.initial_mass, isochrone.log_l)
    log_teff = np.interp(1.0, isochrone.initial_mass, isochrone.log_teff)
    assert log_l == pytest.approx(0.0, abs=0.1)
    assert log_teff == pytest.approx(np.log10(5772.0), abs=0.015)


def test_turn_off_falls_with_age(grid):
    masses = [
        grid.isochrone(i, 6).initial_mass[grid.isochrone(i, 6).living].max() for i in range(71)
    ]
    assert (np.diff(masses) < 0).sum() >= 68
    assert masses[-1] == pytest.approx(0.95, abs=0.15)


def test_metal_poor_stars_are_hotter(grid):
    poor, rich = grid.isochrone(40, 0), grid.isochrone(40, 7)
    at = [np.interp(0.9, one.initial_mass, one.log_teff) for one in (poor, rich)]
    assert at[0] > at[1] + 0.05


def test_red_supergiants_are_no_cooler_than_observed(grid):
    for isochrone in all_isochrones(grid):
        giants = np.isin(isochrone.kind, (2, 3, 4, 5))
        massive = giants & (isochrone.initial_mass > 10)
        assert (isochrone.log_teff[massive] > np.log10(3590.0)).all()
        luminous = massive & (isochrone.log_l > 5.56)
        assert (isochrone.log_teff[luminous] > np.log10(14900.0)).all()


@pytest.mark.parametrize(("asked", "found"), [(0.019, 0.02), (0.0142, 0.014), (0.035, 0.03)])
def test_nearest_metallicity(grid, asked, found):
    assert grid.metallicity[grid.nearest_metallicity(asked)] == pytest.approx(found)


@pytest.mark.parametrize("asked", [0.1, 1e-5, 0.0, -0.02, float("nan")])
def test_metallicity_outside_the_grid(grid, asked):
    with pytest.raises(InputError, match=r"outside the stellar model|greater than 0"):
        grid.nearest_metallicity(asked)


def test_arrays_cannot_be_changed(grid):
    with pytest.raises(ValueError, match="read-only"):
        grid.isochrone(0, 0).log_l[0] = 1.0
