"""The table of stars: shapes, padding, files, and sums over a population."""

import time

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.stars import KROUPA2001, BrokenPowerLaw, StellarTable, build_table, load_passband
from praesepe.stars.population import imf_weights

NAMES = ("wfc3_uvis_f336w", "acs_wfc_f475w", "acs_wfc_f814w")


@pytest.fixture(scope="module")
def curves():
    return [load_passband(name) for name in NAMES]


@pytest.fixture(scope="module")
def table(curves):
    return build_table(curves)


def test_shapes_and_order(table):
    a, z, n, b = table.mag_ab.shape
    assert (a, b) == (71, 3)
    assert z == len(table.metallicity) >= 5
    assert table.initial_mass.shape == table.present_mass.shape == (a, z, n)
    assert (np.diff(table.initial_mass, axis=-1) > 0).all()
    assert not np.isnan(table.mag_ab).any()
    assert table.band_names == NAMES


def test_padding_is_dark_and_out_of_reach(table):
    beyond = table.initial_mass > 120.0 * (1 + 1e-9)
    assert beyond.any()
    assert np.isinf(table.mag_ab[beyond]).all()
    weights = imf_weights(table.initial_mass[0, 0], KROUPA2001)
    assert weights[table.initial_mass[0, 0] > 120.001].sum() < 1e-12


def test_it_is_fast(curves):
    build_table(curves)
    start = time.perf_counter()
    build_table(curves)
    assert time.perf_counter() - start < 2.0


def test_chosen_metallicities(curves, table):
    few = build_table(curves, metallicities=[0.019, 0.0201, 0.004])
    np.testing.assert_allclose(few.metallicity, [0.004, 0.02])
    column = int(np.flatnonzero(table.metallicity == 0.02)[0])
    n = few.mag_ab.shape[2]
    np.testing.assert_array_equal(few.mag_ab[:, 1], table.mag_ab[:, column, :n])


def test_refusals(curves, table):
    with pytest.raises(InputError, match="at least one filter"):
        build_table([])
    with pytest.raises(InputError, match="outside the stellar model"):
        build_table(curves, metallicities=[0.2])
    with pytest.raises(InputError, match="outside the table"):
        table.integrated_magnitudes(5.0, 0.02, 1e4)
    with pytest.raises(InputError, match="positive"):
        table.integrated_magnitudes(8.0, 0.02, 0.0)


def test_saved_and_loaded(table, tmp_path):
    path = tmp_path / "table.npz"
    table.save(path)
    again = StellarTable.load(path)
    assert again.band_names == table.band_names
    np.testing.assert_array_equal(again.mag_ab, table.mag_ab)
    np.testing.assert_array_equal(again.initial_mass, table.initial_mass)


@pytest.mark.parametrize("content", [b"", b"not a table", b"PK\x03\x04broken"])
def test_files_that_are_no_table(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a table of stars"):
        StellarTable.load(path)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="absent"):
        StellarTable.load(tmp_path / "absent.npz")


def test_weights_are_the_mass_function():
    mass = np.geomspace(0.08, 120.0, 3000)
    weights = imf_weights(mass, KROUPA2001)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ mass == pytest.approx(KROUPA2001.mean_mass, rel=1e-4)


def test_mass_only_shifts(table):
    small, large = (table.integrated_magnitudes(8.0, 0.02, mass) for mass in (1e3, 1e5))
    np.testing.assert_allclose(small - large, 5.0)


def test_present_mass_fraction(table):
    ages = np.array([6.6, 7.5, 9.0, 10.1])
    fraction = table.present_mass_fraction(ages, 0.02)
    assert (np.diff(fraction) < 0).all()
    assert fraction[0] == pytest.approx(0.95, abs=0.04)
    assert fraction[-1] == pytest.approx(0.56, abs=0.05)
    assert table.present_mass_fraction(8.0).shape == ()


def test_present_mass_never_exceeds_initial(table):
    assert (table.present_mass <= table.initial_mass * (1 + 1e-6)).all()


def test_a_steeper_mass_function_is_fainter(table):
    steep = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.7))
    kroupa = table.integrated_magnitudes(7.0, 0.02, 1e6)
    assert (table.integrated_magnitudes(7.0, 0.02, 1e6, imf=steep) - kroupa > 0.5).all()


def test_dust_enters_the_table(curves, table):
    dusty = build_table(curves, metallicities=[0.02], a_v=1.0, r_v=3.1)
    dimming = dusty.integrated_magnitudes(8, 0.02, 1) - table.integrated_magnitudes(8, 0.02, 1)
    assert dimming[0] > dimming[1] > dimming[2] > 0.5
