"""Filter curves: their magnitudes, and what happens to bad ones."""

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.stars import Passband, load_passband
from praesepe.stars.passbands import AB_FLUX, SPEED_OF_LIGHT_ANGSTROM_S, passband_names

PHAT = ("wfc3_uvis_f336w", "acs_wfc_f475w", "acs_wfc_f814w")


def box(low=5000.0, high=6000.0, height=0.4):
    wave = np.linspace(low, high, 200)
    return Passband("box", wave, np.full(200, height))


def test_flat_spectrum_in_frequency_has_its_ab_magnitude():
    wave = np.linspace(3000.0, 9000.0, 4000)
    flux = 10 ** (-0.4 * 17.0) * AB_FLUX * SPEED_OF_LIGHT_ANGSTROM_S / wave**2
    assert box().ab_magnitude(wave, flux) == pytest.approx(17.0, abs=1e-3)
    assert load_passband(PHAT[2]).ab_magnitude(wave, flux) == pytest.approx(17.0, abs=0.05)


def test_photons_are_counted_not_energy():
    """A spectrum that rises steeply tells the two conventions apart."""
    curve = box()
    wave = np.linspace(4500.0, 6500.0, 4000)
    flux = (wave / 5500.0) ** 8
    fine = np.linspace(5000.0, 6000.0, 20001)
    rising = (fine / 5500.0) ** 8
    flat = AB_FLUX * SPEED_OF_LIGHT_ANGSTROM_S / fine**2
    photons = np.trapezoid(rising * fine, fine) / np.trapezoid(flat * fine, fine)
    energy = np.trapezoid(rising, fine) / np.trapezoid(flat, fine)
    found = curve.ab_magnitude(wave, flux)
    assert found == pytest.approx(-2.5 * np.log10(photons), abs=1e-4)
    assert abs(found + 2.5 * np.log10(energy)) > 0.005


def test_scale_of_the_curve_moves_the_zero_point_only():
    double = box(height=0.8)
    assert double.vega_minus_ab == pytest.approx(box().vega_minus_ab)
    shift = double.zero_point_ab() - box().zero_point_ab()
    assert shift == pytest.approx(2.5 * np.log10(2.0))


@pytest.mark.parametrize(
    ("name", "zero_point", "vega_minus_ab", "pivot"),
    [
        (PHAT[0], 24.67, -1.18, 3355.0),
        (PHAT[1], 26.06, 0.10, 4747.0),
        (PHAT[2], 25.94, -0.42, 8048.0),
    ],
)
def test_hst_numbers_are_those_of_stsci(name, zero_point, vega_minus_ab, pivot):
    """STScI's instrument pages, to the precision with which calibrations have moved since."""
    curve = load_passband(name)
    assert curve.zero_point_ab() == pytest.approx(zero_point, abs=0.03)
    assert curve.vega_minus_ab == pytest.approx(vega_minus_ab, abs=0.03)
    assert curve.pivot_angstrom == pytest.approx(pivot, abs=15.0)


def test_same_filter_on_two_instruments_differs():
    acs, uvis = load_passband("acs_wfc_f814w"), load_passband("wfc3_uvis_f814w")
    assert abs(acs.pivot_angstrom - uvis.pivot_angstrom) > 10.0


@pytest.mark.parametrize("name", ["jwst_f200w", "wfc3_ir_f160w", "jwst_f770w"])
def test_other_telescopes(name):
    assert name in passband_names()
    assert load_passband(name).pivot_angstrom > 1e4


def test_unknown_name_shows_the_nearest():
    with pytest.raises(InputError, match="acs_wfc_f475w"):
        load_passband("acs_wfc_f475")


def test_own_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# wavelength throughput\n5000 0.0\n5500 0.4\n5600 0.4\n6000 0.0\n")
    curve = load_passband(str(path))
    assert curve.name == "mine"
    assert curve.pivot_angstrom == pytest.approx(5527.0, abs=20.0)


def test_own_file_may_descend(tmp_path):
    up, down = tmp_path / "up.txt", tmp_path / "down.txt"
    rows = ["5000 0.0", "5500 0.4", "5600 0.4", "6000 0.0"]
    up.write_text("\n".join(rows))
    down.write_text("\n".join(reversed(rows)))
    assert load_passband(down).pivot_angstrom == load_passband(up).pivot_angstrom


@pytest.mark.parametrize(
    "content", ["hello world\n", "1 2\n", "5000 0\n5500 0\n6000 0\n", "5000\n6000\n7000\n"]
)
def test_files_that_are_no_curve(tmp_path, content):
    path = tmp_path / "bad.txt"
    path.write_text(content)
    with pytest.raises(InputError, match="filter"):
        load_passband(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no filter file"):
        load_passband(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("wave", "through", "says"),
    [
        ([1.0, 2.0], [1.0, 1.0], "three"),
        ([1.0, 3.0, 2.0], [1.0, 1.0, 1.0], "ascend"),
        ([1.0, 2.0, np.nan], [1.0, 1.0, 1.0], "finite"),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], "no light"),
    ],
)
def test_arrays_that_are_no_curve(wave, through, says):
    with pytest.raises(InputError, match=says):
        Passband("bad", np.array(wave), np.array(through))
