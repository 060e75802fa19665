"""The embedded stellar model against PARSEC, and proof that the comparison can fail."""

import importlib.util
import sys

import numpy as np
import pytest

from praesepe.stars import BrokenPowerLaw, IsochroneGrid

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
    return compare.read_parsec(shared_data / "isochrones" / "parsec_v1.2S_wfc3_Z0.019.dat")


@pytest.fixture(scope="module")
def theirs(compare, parsec):
    """Ages (A,) and PARSEC's integrated magnitudes (A, 3)."""
    return compare.parsec_integrated(parsec, parsec.magnitude)


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


def test_spectra_star_by_star(compare, parsec):
    """Stars of 6000 to 35000 K, one by one; cooler ones agree only on average."""
    residual = compare.kurucz_on_parsec(parsec) - parsec.magnitude
    teff = 10.0**parsec.log_teff
    assert worst(residual[(teff > 6000) & (teff < 35000)]) < SPECTRA_LIMIT_MAG
    warm = residual[(teff > 4000) & (teff <= 6000)]
    assert np.abs(np.median(warm[:, 1:], axis=0)).max() < 0.05


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
