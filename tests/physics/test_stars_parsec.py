"""The embedded stellar model against PARSEC, and proof that the comparison can fail."""

import importlib.util
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from praesepe.stars import BrokenPowerLaw, IsochroneGrid, build_table
from praesepe.stars.assembly import assemble
from praesepe.stars.readers import read_isochrones

MODEL_LIMIT_MAG = 0.4
SPECTRA_LIMIT_MAG = 0.1


@pytest.fixture(scope="module")
def compare(repository):
    path = repository / "benchmarks" / "compare_parsec.py"
    spec = importlib.util.spec_from_file_location("compare_parsec", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_parsec"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parsec(compare, shared_data):
    (read,) = read_isochrones(shared_data / "isochrones" / "parsec_v1.2S_wfc3_Z0.019.dat")
    return read


@pytest.fixture(scope="module")
def theirs(compare, parsec):
    """Ages (A,) and PARSEC's integrated magnitudes (A, 3)."""
    return compare.parsec_integrated(parsec, compare.magnitudes(parsec))


def worst(difference):
    return float(np.abs(difference).max())


def test_integrated_magnitudes(compare, theirs):
    """10^6 solar masses, F336W, F475W, F814W, 4 Myr to 12 Gyr, every 0.05 dex."""
    ages, magnitudes = theirs
    assert (ages[0], ages[-1]) == (6.6, 10.1)
    difference = compare.embedded_integrated(ages, 0.019) - magnitudes
    assert worst(difference) < MODEL_LIMIT_MAG
    assert np.median(np.abs(difference)) < 0.15


def test_integrated_magnitudes_without_the_pulsing_giants(compare, theirs):
    """PARSEC's file has no thermally pulsing giants: nor has the model here."""
    ages, magnitudes = theirs
    bare = compare.without_tp_agb(IsochroneGrid.embedded())
    difference = compare.embedded_integrated(ages, 0.019, grid=bare) - magnitudes
    assert worst(difference) < MODEL_LIMIT_MAG


def test_spectra_on_their_own_stars(compare, parsec, theirs):
    _, magnitudes = theirs
    _, kurucz = compare.parsec_integrated(parsec, compare.kurucz_on_parsec(parsec))
    assert worst(kurucz - magnitudes) < SPECTRA_LIMIT_MAG


@pytest.fixture(scope="module")
def residual(compare, parsec):
    """Embedded spectra minus PARSEC, (n, 11): F336W to F160W, star by star."""
    bands = compare.STAR_BY_STAR
    return compare.kurucz_on_parsec(parsec, bands=bands) - compare.magnitudes(parsec, bands)


def between(parsec, low, high):
    return (10.0**parsec.log_teff > low) & (10.0**parsec.log_teff < high)


def test_spectra_on_hot_stars(parsec, residual):
    """6000 to 35000 K: every star in every band."""
    assert worst(residual[between(parsec, 6000, 35000)]) < SPECTRA_LIMIT_MAG
    # The CMD form takes 4.77 mag and 3.846e33 erg/s for the Sun: 0.025 mag fainter than ours.
    assert np.median(residual[between(parsec, 8000, 35000), -3:]) == pytest.approx(-0.027, abs=5e-3)


@pytest.fixture(scope="module")
def held_out(compare, parsec):
    """Stars of 4000 to 6000 K of the isochrones that the cool spectra were not fitted to."""
    return between(parsec, 4000, 6000) & ~compare.fitted_half(parsec.log_age)


@pytest.fixture(scope="module")
def uncorrected(compare, parsec):
    """As `residual`, for spectra without PARSEC's colours."""
    bands = compare.STAR_BY_STAR
    ours = compare.kurucz_on_parsec(parsec, bands=bands, library=compare.uncorrected())
    return ours - compare.magnitudes(parsec, bands)


def fractions(compare, residual):
    """Share of the stars within the limit, by band."""
    inside = (np.abs(residual) < SPECTRA_LIMIT_MAG).mean(axis=0)
    return dict(zip(compare.STAR_BY_STAR, inside, strict=True))


def test_spectra_on_cool_stars(compare, parsec, residual, held_out):
    """Isochrones that the colours were not fitted to; in F160W supergiants differ."""
    inside = fractions(compare, residual[held_out])
    assert inside.pop("F160W") > 0.97
    assert min(inside.values()) > 0.995
    normal = held_out & (parsec.log_g > 0.7) & (parsec.log_teff > np.log10(4150))
    assert worst(residual[normal][:, :6]) < SPECTRA_LIMIT_MAG


def test_uncorrected_spectra_are_noticed(compare, uncorrected, held_out):
    """Negative control: Kurucz's own colours miss the criterion in F336W and F390W."""
    inside = fractions(compare, uncorrected[held_out])
    assert inside["F336W"] < 0.5
    assert inside["F390W"] < 0.9


def test_the_correction_leaves_hot_stars_and_the_total_light(compare, parsec):
    plain, corrected = compare.uncorrected(), compare.SpectralLibrary.embedded()
    hot = np.unique(corrected.index[corrected.teff >= 6250])
    np.testing.assert_array_equal(plain.spectra[hot], corrected.spectra[hot])
    cold = np.unique(corrected.index[corrected.teff <= 3750])
    np.testing.assert_array_equal(plain.spectra[cold], corrected.spectra[cold])
    wave = corrected.wavelength_angstrom
    light = [np.trapezoid(one.spectra / wave, wave, axis=1) for one in (plain, corrected)]
    np.testing.assert_allclose(light[1], light[0], rtol=1e-5)
    assert np.abs(np.log10(corrected.spectra / plain.spectra)).max() > 0.05


def test_the_difference_sets_in_where_parsec_changes_its_spectra(parsec, uncorrected):
    """Dwarfs in F390W: small above 6250 K, growing steadily towards 4500 K."""
    dwarfs = (parsec.log_g > 4) & (parsec.log_g < 4.9)
    edges = (4000, 4500, 5000, 5500, 6000)
    medians = [
        np.median(uncorrected[dwarfs & between(parsec, low, high), 1])
        for low, high in pairwise(edges)
    ]
    assert (np.diff(medians) > 0.02).all()
    assert medians[0] < -0.15
    assert worst(uncorrected[dwarfs & between(parsec, 6250, 35000)]) < 0.05


def test_spectra_of_other_stars_are_noticed(compare, parsec, residual):
    """Negative control: temperatures 5 % off, or another star's magnitudes."""
    hot = between(parsec, 6000, 35000)
    bands = compare.STAR_BY_STAR
    warmer = replace(parsec, log_teff=parsec.log_teff + np.log10(1.05))
    wrong = compare.kurucz_on_parsec(warmer, bands=bands) - compare.magnitudes(parsec, bands)
    assert (np.abs(wrong[hot]).max(axis=1) > SPECTRA_LIMIT_MAG).mean() > 0.3
    other = compare.magnitudes(parsec, bands)[hot]
    mixed = compare.kurucz_on_parsec(parsec, bands=bands)[hot] - np.roll(other, 500, axis=0)
    assert (np.abs(mixed).max(axis=1) > SPECTRA_LIMIT_MAG).mean() > 0.9


def test_the_imported_grid_shines_like_the_file(compare, parsec, theirs):
    """The whole way from the file to integrated magnitudes of a population."""
    ages, magnitudes = theirs
    grid = assemble([parsec])
    np.testing.assert_allclose(grid.log_age, ages, atol=1e-6)
    curves = compare.passbands()
    vega = np.array([curve.vega_minus_ab for curve in curves])
    table = build_table(curves, grid=grid)
    light = np.array([table.integrated_magnitudes(age, 0.019, compare.MASS) for age in ages])
    assert worst(light + vega - magnitudes) < SPECTRA_LIMIT_MAG
    wrong = build_table(curves, metallicities=[0.008])
    other = np.array([wrong.integrated_magnitudes(age, 0.008, compare.MASS) for age in ages])
    assert worst(other + vega - magnitudes) > 3 * SPECTRA_LIMIT_MAG


def test_a_wrong_metallicity_is_noticed(compare, theirs):
    ages, magnitudes = theirs
    assert worst(compare.embedded_integrated(ages, 0.002) - magnitudes) > 2 * MODEL_LIMIT_MAG


def test_a_wrong_mass_function_is_noticed(compare, theirs):
    ages, magnitudes = theirs
    steep = BrokenPowerLaw(edges=(0.08, 0.5, 120.0), slopes=(1.3, 2.7))
    wrong = compare.embedded_integrated(ages, 0.019, imf=steep)
    assert worst(wrong - magnitudes) > MODEL_LIMIT_MAG


def test_shuffled_ages_are_noticed(compare, theirs, rng):
    ages, magnitudes = theirs
    model = compare.embedded_integrated(ages, 0.019)
    assert worst(rng.permutation(model) - magnitudes) > 2.0


def test_wrong_spectra_are_noticed(compare, parsec, theirs):
    _, magnitudes = theirs
    _, poor = compare.parsec_integrated(parsec, compare.kurucz_on_parsec(parsec, metals=-1.5))
    assert worst(poor - magnitudes) > SPECTRA_LIMIT_MAG
    swapped = compare.kurucz_on_parsec(parsec)[:, [1, 0, 2]]
    assert worst(compare.parsec_integrated(parsec, swapped)[1] - magnitudes) > 0.5
