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
