"""Between two metallicities: what must hold for any pair of isochrones."""

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.stars import Isochrone, IsochroneGrid
from praesepe.stars.interpolation import JoinedIsochrones, refine_metallicity


def isochrone(turn_off, tip, *, red=3.6, giants=True, eep=False, log_l=0.0):
    """Main sequence to `turn_off`, giants to `tip`, remnants to 120 Msun."""
    main = np.linspace(0.7, turn_off, 6)
    giant = turn_off + (tip - turn_off) * np.array([0.01, 0.1, 0.6, 1.0]) if giants else []
    dead = np.array([tip * 1.001, 120.0])
    mass = np.concatenate([main, giant, dead])
    kind = np.repeat([1, 3, 11], [6, len(giant), 2])
    left = np.where(kind == 11, 0.6, mass)
    log_teff = np.where(kind == 3, red, 3.8)
    counts = np.arange(len(mass), dtype=float) if eep else None
    return Isochrone(mass, left, 3 * np.log10(mass) + log_l, log_teff, 0 * mass + 4, kind, counts)


def ends(one, kind):
    return one.initial_mass[one.kind == kind][[0, -1]]


@pytest.mark.parametrize("eep", [False, True])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_phases_move_steadily(fraction, eep):
    first, second = isochrone(2.0, 2.2, eep=eep), isochrone(3.0, 3.1, red=3.7, eep=eep)
    joined = JoinedIsochrones.of(first, second).at(fraction)
    for kind in (1, 3, 11):
        expected = (1 - fraction) * ends(first, kind) + fraction * ends(second, kind)
        np.testing.assert_allclose(ends(joined, kind), expected, rtol=1e-8)
    assert (np.diff(joined.initial_mass) > 0).all()
    giants = joined.kind == 3
    np.testing.assert_allclose(joined.log_teff[giants], 3.6 + 0.1 * fraction)
    assert joined.kind.tolist() == first.kind.tolist()
    assert (joined.eep is not None) == eep


def test_equal_progress_not_equal_mass():
    """Negative control: at equal mass the giants of one would meet the dead of the other."""
    first, second = isochrone(2.0, 2.2), isochrone(3.0, 3.1)
    joined = JoinedIsochrones.of(first, second).at(0.5)
    at_tip = joined.initial_mass[joined.living].max()
    assert at_tip == pytest.approx(2.65)
    assert not first.living[first.initial_mass > 2.3].any()
    assert joined.living[joined.initial_mass <= at_tip].all()


def test_a_phase_of_one_alone_shrinks():
    first, second = isochrone(2.0, 2.2), isochrone(3.0, 3.1, giants=False)
    for fraction in (0.25, 0.5, 0.9):
        joined = JoinedIsochrones.of(first, second).at(fraction)
        low, high = ends(joined, 3)
        assert high - low == pytest.approx((1 - fraction) * 0.198)
        assert (joined.log_teff[joined.kind == 3] == 3.6).all()
        assert (np.diff(joined.initial_mass) > 0).all()


def test_blue_and_red_giants_are_not_averaged():
    joined = JoinedIsochrones.of(isochrone(2.0, 2.2, red=3.6), isochrone(2.1, 2.3, red=4.2)).at(0.5)
    giants = joined.log_teff[joined.kind == 3]
    assert set(np.round(giants, 6)) == {3.6, 4.2}
    assert (np.diff(joined.initial_mass) > 0).all()


def test_dead_stars_keep_their_remnants():
    joined = JoinedIsochrones.of(isochrone(2.0, 2.2), isochrone(3.0, 3.1)).at(0.5)
    dead = joined.kind == 11
    assert (joined.present_mass[dead] == 0.6).all()
    assert joined.initial_mass[-1] == pytest.approx(120.0)


@pytest.fixture
def grid():
    rows = tuple((isochrone(turn, turn + 0.2),) for turn in (2.0, 2.4, 3.0))
    return IsochroneGrid(np.array([8.8]), np.array([0.002, 0.008, 0.02]), rows)


def test_refined_metallicities(grid):
    fine = refine_metallicity(grid, 0.05)
    steps = np.diff(np.log10(fine.metallicity))
    assert len(fine.metallicity) == 21
    np.testing.assert_allclose(steps, 0.05, atol=1e-9)
    turn_off = [row[0].initial_mass[row[0].kind == 1].max() for row in fine.isochrones]
    assert (np.diff(turn_off) > 0).all()
    assert fine.isochrones[0] is grid.isochrones[0]
    assert fine.isochrones[-1] is grid.isochrones[-1]


def test_one_metallicity_and_a_little_beyond(grid):
    one = refine_metallicity(grid, low=0.004, high=0.004)
    assert one.metallicity.tolist() == [0.004]
    turn_off = one.isochrone(0, 0).initial_mass[one.isochrone(0, 0).kind == 1].max()
    assert turn_off == pytest.approx(2.2)  # half way in log Z
    assert refine_metallicity(grid, low=0.025, high=0.025).metallicity.tolist() == [0.02]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_dex": 0.0}, "greater than 0"),
        ({"low": 0.01, "high": 0.004}, "is outside"),
        ({"low": 0.0001}, "0.0001 to 0.02 is outside the stellar model"),
        ({"high": float("nan")}, "is outside"),
    ],
)
def test_impossible_ranges(grid, options, message):
    with pytest.raises(InputError, match=message):
        refine_metallicity(grid, **options)
