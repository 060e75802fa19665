"""Filter curves: their magnitudes, and arrays that are none."""

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.stars import Passband, load_passband
from praesepe.stars.passbands import AB_FLUX, SPEED_OF_LIGHT_ANGSTROM_S


def box(low=5000.0, high=6000.0, height=0.4):
    wave = np.linspace(low, high, 200)
    return Passband("box", wave, np.full(200, height))


def test_flat_spectrum_in_frequency_has_its_ab_magnitude():
    wave = np.linspace(3000.0, 9000.0, 4000)
    flux = 10 ** (-0.4 * 17.0) * AB_FLUX * SPEED_OF_LIGHT_ANGSTROM_S / wave**2
    assert box().ab_magnitude(wave, flux) == pytest.approx(17.0, abs=1e-3)
    assert load_passband("acs_wfc_f814w").ab_magnitude(wave, flux) == pytest.approx(17.0, abs=0.05)


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
