"""The table of stars: shapes, padding, files, and sums over a population."""

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.stars import KROUPA2001, BrokenPowerLaw, build_table, load_passband
from praesepe.stars.isochrones import IsochroneGrid
from praesepe.stars.magnitudes import a_v_range, imf_weights, present_mass_fraction

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
    with pytest.raises(InputError, match="greater than 0"):
        table.integrated_magnitudes(8.0, 0.02, 0.0)


def test_weights_are_the_mass_function():
    mass = np.geomspace(0.08, 120.0, 3000)
    weights = imf_weights(mass, KROUPA2001)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ mass == pytest.approx(KROUPA2001.mean_mass, rel=1e-4)


def test_mass_only_shifts(table):
    small, large = (table.integrated_magnitudes(8.0, 0.02, mass) for mass in (1e3, 1e5))
    np.testing.assert_allclose(small - large, 5.0)


def test_present_mass_fraction(table):
    z = np.abs(np.log10(table.metallicity / 0.02)).argmin()
    fraction = [
        present_mass_fraction(table.initial_mass[i, z], table.present_mass[i, z], KROUPA2001)
        for i in np.searchsorted(table.log_age, np.array([6.6, 7.5, 9.0, 10.1]) - 1e-6)
    ]
    assert (np.diff(fraction) < 0).all()
    assert fraction[0] == pytest.approx(0.95, abs=0.04)
    assert fraction[-1] == pytest.approx(0.56, abs=0.05)


def test_present_mass_never_exceeds_initial(table):
    assert (table.present_mass <= table.initial_mass * (1 + 1e-6)).all()


def test_a_steeper_mass_function_is_fainter(table):
    steep = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.7))
    kroupa = table.integrated_magnitudes(7.0, 0.02, 1e6)
    assert (table.integrated_magnitudes(7.0, 0.02, 1e6, imf=steep) - kroupa > 0.5).all()


def test_dust_enters_the_table(curves, table):
    dusty = build_table(curves, metallicities=[0.02], a_v=1.0, r_v=3.1)
    attenuation = dusty.integrated_magnitudes(8, 0.02, 1) - table.integrated_magnitudes(8, 0.02, 1)
    assert attenuation[0] > attenuation[1] > attenuation[2] > 0.5


@pytest.fixture(scope="module")
def behind_dust(curves):
    """A table for A_V from 0.2 to 3, with a near-ultraviolet and an infrared filter."""
    wide = [*curves, load_passband("wfc3_uvis_f275w"), load_passband("wfc3_ir_f160w")]
    return wide, build_table(wide, metallicities=[0.02], a_v=(0.2, 3.0))


@pytest.mark.parametrize("a_v", [0.2, 0.75, 1.6, 2.3, 3.0])
def test_magnitudes_at_any_extinction_are_those_of_the_dimmed_spectrum(behind_dust, a_v):
    wide, table = behind_dust
    direct = build_table(wide, metallicities=[0.02], a_v=a_v).mag_ab
    luminous = np.isfinite(direct)
    np.testing.assert_array_equal(np.isfinite(table.magnitudes(a_v)), luminous)
    np.testing.assert_allclose(table.magnitudes(a_v)[luminous], direct[luminous], atol=0.01)


def test_one_coefficient_per_band_would_not_do(behind_dust):
    """Negative control: attenuation by the same magnitude for all stars, in proportion to A_V."""
    wide, table = behind_dust
    direct = build_table(wide, metallicities=[0.02], a_v=2.3).mag_ab
    brightest = int(np.argmin(table.mag_ab[0, 0, :, 3]))
    per_mag = table.dust[0, 0, brightest].sum(-1)  # (B,) for one more magnitude of A_V
    luminous = np.isfinite(direct).all(-1)
    off = table.mag_ab[luminous] + per_mag * 2.1 - direct[luminous]
    assert (np.abs(off).max(0) > [0.2, 0.2, 0.1, 2.0, 0.015]).all()


def test_integrated_light_behind_dust(behind_dust):
    wide, table = behind_dust
    direct = build_table(wide, metallicities=[0.02], a_v=1.6)
    expected = direct.integrated_magnitudes(8.0, 0.02, 1e5)
    np.testing.assert_allclose(
        table.integrated_magnitudes(8.0, 0.02, 1e5, a_v=1.6), expected, atol=0.005
    )
    assert (table.integrated_magnitudes(8.0, 0.02, 1e5) < expected).all()


def test_extinctions_that_the_table_does_not_cover(behind_dust, table, curves):
    with pytest.raises(InputError, match="outside the table"):
        behind_dust[1].magnitudes(0.1)
    with pytest.raises(InputError, match="build a wider one"):
        table.integrated_magnitudes(8.0, 0.02, 1e5, a_v=0.3)
    with pytest.raises(InputError, match="does not exceed"):
        build_table(curves, a_v=(1.0, 0.5))


def test_range_of_extinction_for_a_scatter():
    assert a_v_range(0.5) == (0.5, 0.5)
    assert a_v_range((0.2, 1.0), 0.1) == pytest.approx((0.0, 1.4))
    assert a_v_range(0.5, 0.1) == pytest.approx((0.1, 0.9))


def test_maximum_living_mass_parts_the_living_from_the_dead(table):
    """All stars live at 4 Myr up to 40 Msun; at 12 Gyr those above 1.1 Msun are dead."""
    grid = IsochroneGrid.embedded()
    for i in (0, 30, 70):
        isochrone = grid.isochrone(i, 3)
        above = isochrone.initial_mass > table.max_living_mass[i, 3]
        assert not isochrone.living[above].any()
        assert (~isochrone.living[~above]).sum() <= 1
    assert (table.max_living_mass[0] > 40).all()
    assert ((table.max_living_mass[-1] > 0.75) & (table.max_living_mass[-1] < 1.1)).all()
