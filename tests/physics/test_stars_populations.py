"""The light of populations: what must hold without any reference data."""

import numpy as np
import pytest

from praesepe.stars import KROUPA2001, SpectralLibrary, build_table, load_passband
from praesepe.stars.magnitudes import present_mass_fraction

NAMES = ("wfc3_uvis_f336w", "acs_wfc_f475w", "acs_wfc_f814w")


@pytest.fixture(scope="module")
def table():
    return build_table([load_passband(name) for name in NAMES])


def magnitudes(table, metallicity=0.02, mass=1e6):
    return np.array([table.integrated_magnitudes(a, metallicity, mass) for a in table.log_age])


def test_clusters_fade_with_age(table):
    """From 10 Myr to 12 Gyr by 9 mag in F336W and 6 mag in F814W, without a step upwards > 0.3."""
    light = magnitudes(table)
    since_10myr = light[table.log_age >= 7.0]
    assert (np.diff(since_10myr, axis=0) > -0.3).all()
    fading = since_10myr[-1] - since_10myr[0]
    assert fading[0] == pytest.approx(9.0, abs=0.7)
    assert fading[2] == pytest.approx(6.1, abs=0.7)


def test_clusters_redden_with_age(table):
    light = magnitudes(table)
    color = light[:, 0] - light[:, 2]
    assert color[-1] - color[table.log_age == 7.0][0] > 2.5
    assert np.corrcoef(table.log_age, color)[0, 1] > 0.9


def test_old_metal_rich_clusters_are_redder(table):
    poor, rich = magnitudes(table, 0.0006)[-5:], magnitudes(table, 0.03)[-5:]
    assert ((rich - poor)[:, 0] - (rich - poor)[:, 2] > 0.8).all()


def test_mass_to_light_ratio_of_an_old_population(table):
    """12 Gyr, solar metallicity, remnants included: 4 to 9 in a blue filter, in solar units."""
    sun = SpectralLibrary.embedded().bolometric_corrections([load_passband(NAMES[1])])
    faintness = table.integrated_magnitudes(10.1, 0.02, 1.0)[1]
    relative = 10 ** (0.4 * (faintness - sun(0.0, np.log10(5772.0), 4.438, 0.0)[0]))
    z = np.abs(np.log10(table.metallicity / 0.02)).argmin()
    left = present_mass_fraction(table.initial_mass[-1, z], table.present_mass[-1, z], KROUPA2001)
    assert 4.0 < left * relative < 9.0


def sampled_cluster(table, age, metallicity, n_stars, rng):
    """Total initial mass and magnitudes of stars sampled one by one, evenly over the fractions."""
    row = int(np.abs(table.log_age - age).argmin())
    column = int(np.abs(table.metallicity - metallicity).argmin())
    mass = KROUPA2001.ppf((np.arange(n_stars) + rng.random(n_stars)) / n_stars)
    known = table.initial_mass[row, column]
    flux = 10.0 ** (-0.4 * table.mag_ab[row, column])
    light = [np.interp(mass, known, flux[:, band]).sum() for band in range(3)]
    return mass.sum(), -2.5 * np.log10(light)


def test_stars_sampled_one_by_one_add_up_to_the_integral(table, rng):
    mass, magnitude = sampled_cluster(table, 8.0, 0.02, 2_000_000, rng)
    expected = table.integrated_magnitudes(8.0, 0.02, mass)
    np.testing.assert_allclose(magnitude, expected, atol=0.03)


def test_the_sum_knows_its_metallicity(table, rng):
    """Negative control: the same stars at another metallicity do not add up."""
    mass, magnitude = sampled_cluster(table, 8.0, 0.002, 2_000_000, rng)
    expected = table.integrated_magnitudes(8.0, 0.02, mass)
    assert np.abs(magnitude - expected).max() > 0.1
