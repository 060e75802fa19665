"""The scripts that rebuild the grid: what they refuse, and how they refine."""

import bz2
import importlib.util
import os
import pickle
import sys

import numpy as np
import pytest


@pytest.fixture
def tool(repository, monkeypatch):
    """Import a module of tools/ by name, without leaving it behind."""

    def load(name):
        path = repository / "tools" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


class Malicious:
    def __reduce__(self):
        return os.system, ("echo harm",)


def test_spectra_files_cannot_run_code(tool):
    content = bz2.compress(pickle.dumps([Malicious(), 1, 2]))
    with pytest.raises(pickle.UnpicklingError, match="system"):
        tool("kurucz_spectra").read_library(content)


def states(module, mass, log_l, log_teff, kind):
    return np.column_stack(np.broadcast_arrays(mass, log_l, log_teff, kind))


def test_wide_intervals_are_halved(tool):
    module = tool("sse_isochrones")
    mass = np.array([1.0, 1.1, 1.2, 1.3, 1.4])
    state = states(module, mass, [0.0, 0.1, 0.3, 0.31, 0.32], [3.7, 3.7, 3.7, 3.74, 3.74], 1)
    assert module.intervals_to_halve(mass, state).tolist() == [1, 2]


def test_the_end_of_life_is_pinned_down_and_then_left(tool):
    module = tool("sse_isochrones")
    state = states(module, [1.0, 1.0], [0.0, -4.0], [3.7, 4.0], [6, 11])
    assert module.intervals_to_halve(np.array([1.0, 1.1]), state).tolist() == [0]
    assert module.intervals_to_halve(np.array([1.0, 1.0 + 1e-9]), state).tolist() == []


def test_dark_stars_are_not_refined(tool):
    module = tool("sse_isochrones")
    state = states(module, [1.4, 10.0], [-9.0, -5.0], [6.0, 3.6], [13, 14])
    assert module.intervals_to_halve(np.array([20.0, 40.0]), state).tolist() == []


def test_refinement_ends_on_a_smooth_track(tool, monkeypatch):
    """On L proportional to m^3.5 the loop stops with every step below the limit."""
    module = tool("sse_isochrones")

    def evolve(mass, log_age, metallicity):
        return states(module, mass, 3.5 * np.log10(mass), 3.7 + 0.5 * np.log10(mass), 1)

    monkeypatch.setattr(module, "evolve", evolve)
    monkeypatch.setattr(module, "N_START", 10)
    for mass, state in module.isochrones(0.02):
        assert module.intervals_to_halve(mass, state).size == 0
        assert (np.diff(mass) > 0).all()


def test_supergiants(tool):
    module = tool("sse_isochrones")
    mass = np.array([5.0, 20.0, 60.0, 60.0, 60.0])
    kind = np.array([6, 4, 4, 1, 8])
    state = states(module, mass, [4.0, 5.0, 5.8, 5.8, 5.8], [3.40, 3.46, 3.46, 4.5, 5.0], kind)
    warmed = 10 ** module.warm_supergiants(mass, state)[:, 2]
    np.testing.assert_allclose(warmed, [10**3.40, 3600.0, 15000.0, 10**4.5, 1e5])


@pytest.fixture
def cool_stars(tool):
    tool("kurucz_spectra")  # which it imports
    return tool("cool_stars")


def test_the_colour_correction_is_smooth_and_ends(cool_stars):
    correction = cool_stars.Correction.read()
    wave = np.linspace(1000.0, 20000.0, 20000)
    temperatures = (4500.0, 6000.0, 3750.0, 6250.0, 1e4)
    factor = np.array([correction(teff, 4.5, wave) for teff in temperatures])
    outside = (wave < cool_stars.VANISHES[0]) | (wave > cool_stars.VANISHES[1])
    assert not factor[:, outside].any()
    assert not factor[2:].any()
    assert factor[0].min() < -0.04  # dwarfs of 4500 K get fainter in the blue
    assert np.abs(np.diff(factor, axis=1)).max() < 1e-3  # per 0.95 Angstrom


def test_the_colour_correction_is_small(cool_stars):
    """A third of a magnitude at most, and no bend sharper than that between nodes."""
    correction = cool_stars.Correction.read()
    at = np.array([(t, g) for t in np.arange(4000, 6001, 125) for g in np.arange(0, 5.1, 0.5)])
    nodes = cool_stars.polynomials(*at.T) @ correction.coefficients.T
    assert 0.2 < np.abs(nodes).max() < 0.33
    assert np.abs(np.diff(nodes, n=2, axis=1)).max() < 0.33


def test_a_correction_keeps_the_total_light_and_can_be_removed(cool_stars, tool, rng):
    spectra = tool("kurucz_spectra")
    wave = np.geomspace(1000.0, 1e5, 500)
    teff, log_g, metal = (a.ravel() for a in np.meshgrid([4000.0, 7000.0], [4.0], [0.0]))
    shape = np.log10(wave * 1e4) + rng.normal(0.0, 0.1, (2, 500))
    scale = spectra.STEFAN_BOLTZMANN * teff**4 / np.trapezoid(10**shape / wave, wave, axis=1)
    flux = shape + np.log10(scale)[:, None]
    kurucz = {"wavelength": wave, "teff": teff, "logg": log_g, "feh": metal, "flux": flux}
    settl = {**kurucz, "teff": np.array([2000.0, 2000.0])}
    spectra.COOL_TEFF = np.array([2000.0])
    plain, coloured = (
        spectra.spectral_grid(kurucz, settl, correction)
        for correction in (None, cool_stars.Correction.read())
    )
    changed = (plain["spectra"] != coloured["spectra"]).any(axis=1)
    assert changed.tolist() == [False] + 7 * [True] + 7 * [False]  # 2000, 4000, 7000 K; 7 [Fe/H]
    light = [
        np.trapezoid(
            10 ** (one["spectra"] * spectra.QUANTUM_DEX) / one["wavelength"], one["wavelength"]
        )
        for one in (plain, coloured)
    ]
    np.testing.assert_allclose(light[1], light[0], rtol=1e-3)
    axes = [coloured[key] for key in ("wavelength", "teff", "logg", "feh")]
    one_gravity = coloured["index"][:, 8:9]
    library = cool_stars.SpectralLibrary(
        *axes[:2], axes[2][8:9], axes[3], one_gravity, 10 ** (coloured["spectra"] * 1e-3)
    )
    restored = np.log10(cool_stars.Correction.read().removed(library).spectra)
    np.testing.assert_allclose(restored, plain["spectra"] * 1e-3, atol=1.5e-3)


def test_every_other_isochrone_is_fitted(cool_stars):
    ages = np.array([7.0, 7.0, 6.6, 6.8, 6.8])
    assert cool_stars.fitted_half(ages).tolist() == [True, True, True, False, False]
