"""From rows to a grid: sorted, completed, on common ages."""

from pathlib import Path

import numpy as np
import pytest

from praesepe.errors import InputError, PraesepeWarning
from praesepe.stars import IsochroneGrid
from praesepe.stars.assembly import assemble
from praesepe.stars.isochrones import check_covers, surface_gravity
from praesepe.stars.readers import IsochroneFile


def isochrones(cells, masses=(0.09, 0.5, 1.0, 2.0, 3.0), name="a.dat", eep=False):
    """A file with the same stars for each (Z, log age)."""
    n = len(masses)
    mass = np.tile(np.array(masses, dtype=float), len(cells))
    log_l, log_teff = 3.5 * np.log10(mass), 3.76 + 0.5 * np.log10(mass)
    return IsochroneFile(
        mass,
        mass,
        log_l,
        log_teff,
        surface_gravity(mass, log_l, log_teff),
        np.where(mass < 0.7, 0, np.where(mass > 2.5, 3, 1)).astype(np.uint8),
        np.tile(np.arange(200.0, 200.0 + n), len(cells)) if eep else None,
        path=Path(name),
        format="PARSEC",
        sha256="0" * 64,
        metallicity=np.repeat([z for z, _ in cells], n),
        log_age=np.repeat([age for _, age in cells], n),
    )


def test_ages_are_thinned_and_cut():
    ages = [6.0, 6.55, 6.6, 6.61, 6.65, 7.02, 7.04, 10.1, 10.2]
    grid = assemble([isochrones([(0.02, age) for age in ages])])
    assert grid.log_age.tolist() == [6.6, 6.65, 7.02, 7.04, 10.1]


def test_only_ages_of_all_metallicities_remain():
    cells = [(0.02, 7.0), (0.02, 8.0), (0.004, 7.0), (0.004, 9.0)]
    with pytest.warns(PraesepeWarning, match=r"left out: 8\.00, 9\.00"):
        grid = assemble([isochrones(cells)])
    assert grid.log_age.tolist() == [7.0]
    assert grid.metallicity.tolist() == [0.004, 0.02]


def test_no_common_age():
    with pytest.raises(InputError, match=r"no age in common \(Z = 0.004: 8.00 to 8.00; Z = 0.02"):
        assemble([isochrones([(0.02, 7.0), (0.004, 8.0)])])


def test_ages_beyond_the_prior():
    with pytest.raises(InputError, match=r"6\.6 to 10\.1 \(found: 5 to 6\)"):
        assemble([isochrones([(0.02, 5.0), (0.02, 6.0)])])


def test_two_files_of_one_metallicity():
    files = [isochrones([(0.02, 7.0)]), isochrones([(0.02, 7.0)], name="b.dat")]
    with pytest.raises(InputError, match=r"a\.dat and b\.dat both have Z = 0\.02"):
        assemble(files)


def test_two_files_that_share_a_metallicity_but_no_age():
    files = [isochrones([(0.02, 7.0)]), isochrones([(0.02, 8.0)], name="b.dat")]
    assert assemble(files).log_age.tolist() == [7.0, 8.0]


def test_unsorted_and_equal_masses():
    masses = (2.0, 0.09, 1.0, 1.0, 1.0, 3.0)
    one = assemble([isochrones([(0.02, 7.0)], masses)]).isochrone(0, 0)
    assert (np.diff(one.initial_mass) > 0).all()
    own = one.living & (one.initial_mass > 0.085)
    np.testing.assert_allclose(one.initial_mass[own], sorted(masses), rtol=1e-8)
    np.testing.assert_allclose(one.log_l[own], 3.5 * np.log10(sorted(masses)), atol=1e-9)


def test_impossible_rows_are_left_out():
    file = isochrones([(0.02, 7.0)])
    file.log_l[2] = -9.999
    file.log_teff[3] = np.nan
    with pytest.warns(PraesepeWarning, match=r"a.dat: 40% of the rows are left out"):
        one = assemble([file]).isochrone(0, 0)
    assert one.initial_mass[one.living] == pytest.approx([0.08, 0.09, 0.5, 3.0])


def test_the_dead_are_dark_and_leave_remnants():
    one = assemble([isochrones([(0.02, 9.0)])]).isochrone(0, 0)
    assert one.initial_mass[[0, -1]] == pytest.approx([0.08, 120.0])
    dead = one.initial_mass > 3.0 * (1 + 1e-8)
    assert not one.luminous[dead].any()
    assert one.luminous[~dead].all()
    assert (one.kind[dead] >= 10).all()
    remnants = one.present_mass[dead]
    assert remnants[0] == pytest.approx(0.75, abs=0.15)  # white dwarf of a star of 3 Msun
    assert (remnants < one.initial_mass[dead]).all()
    assert remnants[-1] > 3.0


def test_a_small_gap_below_takes_the_first_star():
    one = assemble([isochrones([(0.02, 9.0)])]).isochrone(0, 0)
    assert one.log_l[0] == one.log_l[1]


def test_a_large_gap_below_takes_the_embedded_stars():
    with pytest.warns(PraesepeWarning, match=r"begins at 1 Msun"):
        grid = assemble([isochrones([(0.02, 9.0)], (1.0, 2.0, 3.0))])
    one, base = grid.isochrone(0, 0), IsochroneGrid.embedded().isochrone(48, 6)
    below = one.initial_mass < 0.999
    assert below.sum() > 10
    known = np.interp(one.initial_mass[below], base.initial_mass, base.log_l)
    np.testing.assert_allclose(one.log_l[below], known)


def test_eeps_are_kept():
    one = assemble([isochrones([(0.02, 9.0)], eep=True)]).isochrone(0, 0)
    assert one.eep[:3].tolist() == [199.0, 200.0, 201.0]
    assert np.isnan(one.eep[-1])


def test_check_covers():
    grid = assemble([isochrones([(0.004, 7.0), (0.02, 7.0), (0.004, 7.05), (0.02, 7.05)])])
    check_covers(grid, (6.98, 7.07), (0.003, 0.03))
    with pytest.raises(InputError, match=r"6\.6 to 7 is outside the parsec \(7 to 7\.05\)"):
        check_covers(grid, (6.6, 7.0), (0.01, 0.01), name="parsec")
    with pytest.raises(InputError, match=r"0\.0002 to 0\.01 is outside .*\(0\.004 to 0\.02\)"):
        check_covers(grid, (7.0, 7.0), (0.0002, 0.01))
    with pytest.raises(InputError):
        check_covers(grid, (float("nan"), 7.0), (0.01, 0.01))


def test_the_shared_files_become_grids(shared_data):
    from praesepe.stars.readers import read_isochrones

    folder = shared_data / "isochrones"
    grid = assemble(read_isochrones(sorted(folder.glob("fsps_parsec*"))))
    assert grid.metallicity.tolist() == [0.008, 0.014, 0.02]
    np.testing.assert_allclose(grid.log_age, np.arange(6.6, 10.11, 0.05), atol=1e-9)
    with pytest.warns(PraesepeWarning, match="begins at 1 Msun"):
        geneva = assemble(read_isochrones(folder / "fsps_geneva_isoc_z0.0200.dat"))
    assert geneva.log_age[[0, -1]].tolist() == [6.6, 8.0]
