"""Artificial mosaics as files: what is refused, and where a catalogue's middle is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.mocks.mosaic_files import _middle, draw_density, simulate_mosaic
from praesepe.survey import load_survey


def test_real_star_fields_are_not_for_mosaics(tmp_path: Path) -> None:
    phat = load_survey("phat-nodust")
    field = phat.galaxy.field.model_copy(update={"files": "fields"})
    survey = phat.with_values(galaxy={"field": field})
    with pytest.raises(InputError, match=r"simulated star field.*density 0"):
        simulate_mosaic(survey, tmp_path / "sky", n=1, size=64)
    assert not (tmp_path / "sky").exists()


def test_the_middle_of_a_catalogue_is_that_of_most_positions() -> None:
    """Right across RA = 0, and whatever a single stray position says."""
    ra = np.array([359.99, 0.0, 0.01, np.nan, 40.0])
    dec = np.array([41.0, 41.01, 41.02, 41.0, -20.0])
    middle_ra, middle_dec = _middle(ra, dec)
    assert (middle_ra + 180) % 360 - 180 == pytest.approx(0.005, abs=0.02)
    assert middle_dec == pytest.approx(41.01, abs=0.02)
    with pytest.raises(InputError, match="no row"):
        _middle(np.array([np.nan]), np.array([1.0]))


def test_a_mosaic_says_what_was_drawn_for_each_band(tmp_path: Path) -> None:
    from astropy.io import fits

    phat = load_survey("phat-nodust")
    survey = phat.with_values(observation={"bands": phat.bands[1:]}, network={"stamp_size": 32})
    made = simulate_mosaic(survey, tmp_path / "sky", n=0, size=64, density=0.0, seed=5)
    for band, path in made.images.items():
        header = fits.getheader(path)
        drawn = made.table.meta["nuisances"][band]
        assert header["ZPOFFSET"] == pytest.approx(drawn["zero_point_mag"], abs=1e-6)
        assert 0 <= header["BLURPX"] <= 0.8
        assert header["XSHIFT"] != header["YSHIFT"]
    clean = simulate_mosaic(survey, tmp_path / "clean", n=0, size=64, density=0.0, nuisances=False)
    assert "ZPOFFSET" not in fits.getheader(next(iter(clean.images.values())))


def test_the_density_comes_from_the_surveys_range_by_default():
    survey = load_survey("phat-nodust")
    low, high = survey.galaxy.field.surface_density
    drawn = [draw_density(survey, seed) for seed in range(40)]
    assert low <= min(drawn) < (low * high) ** 0.5 < max(drawn) <= high
    assert drawn[3] == draw_density(survey, 3)
