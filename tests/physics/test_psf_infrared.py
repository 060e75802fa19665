"""The optical PSF of WFC3/IR against the encircled energy of its handbook."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from praesepe.survey import load_survey

TOLERANCE = 0.012  # docs/decisions.md: 0.010 and 0.011


@pytest.fixture
def fit_psf(repository, monkeypatch):
    """The tool that fits; it has the handbook's table."""
    path = repository / "tools" / "fit_psf.py"
    spec = importlib.util.spec_from_file_location("fit_psf", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fit_psf", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["F110W", "F160W"])
def test_the_survey_s_model_agrees_with_the_handbook(fit_psf, name):
    psf = load_survey("phat6").band(name).psf

    def worst(**changes):
        model, published = fit_psf.ir_energy(name, psf.model_copy(update=changes))
        return np.abs(model - published).max()

    assert worst() < TOLERANCE
    assert worst(native_pixel_arcsec=0.05) > 3 * TOLERANCE  # a pixel of another camera,
    assert worst(halo_fraction=0.0) > 3 * TOLERANCE  # a part that is missing,
    other = {"F110W": "F160W", "F160W": "F110W"}[name]
    model, _ = fit_psf.ir_energy(name, psf)
    _, published = fit_psf.ir_energy(other, psf)
    assert np.abs(model - published).max() > 3 * TOLERANCE  # or another filter would be noticed
