"""Artificial mosaics as files: what is refused, and where a catalogue's middle is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from praesepe import quantities
from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Catalog, Mosaic
from praesepe.mocks.mosaic_files import draw_density, middle_position, simulate_mosaic
from praesepe.quantities import Quantity
from praesepe.survey import Survey, load_survey


def test_real_star_fields_are_not_for_mosaics(tmp_path: Path) -> None:
    phat = load_survey("phat-nodust")
    field = phat.galaxy.field.model_copy(update={"files": "fields"})
    survey = phat.with_values(galaxy={"field": field})
    with pytest.raises(InputError, match=r"simulated star field.*density 0"):
        simulate_mosaic(survey, n=1, size=64, out=tmp_path / "sky")
    assert not (tmp_path / "sky").exists()


def test_the_middle_of_a_catalog_is_that_of_most_positions() -> None:
    """Right across RA = 0, and whatever a single stray position says."""
    ra = np.array([359.99, 0.0, 0.01, np.nan, 40.0])
    dec = np.array([41.0, 41.01, 41.02, 41.0, -20.0])
    middle_ra, middle_dec = middle_position(ra, dec)
    assert (middle_ra + 180) % 360 - 180 == pytest.approx(0.005, abs=0.02)
    assert middle_dec == pytest.approx(41.01, abs=0.02)
    with pytest.raises(InputError, match="no row"):
        middle_position(np.array([np.nan]), np.array([1.0]))


def test_a_mosaic_says_what_was_drawn_for_each_band(tmp_path: Path, survey: Survey) -> None:
    made = simulate_mosaic(survey, n=0, size=64, density=0.0, seed=5, out=tmp_path / "sky")
    for band, path in made.images.items():
        header = fits.getheader(path)
        drawn = made.truth.meta["nuisances"][band]
        assert header["ZPOFFSET"] == pytest.approx(drawn["zero_point_mag"], abs=1e-6)
        assert 0 <= header["BLURPX"] <= 0.8
        assert header["XSHIFT"] != header["YSHIFT"]
    clean = simulate_mosaic(survey, n=0, size=64, density=0.0, nuisances=False)
    assert all("ZPOFFSET" not in hdus[0].header for hdus in clean.images.values())


def test_bands_of_two_runs_are_refused(tmp_path: Path, survey: Survey) -> None:
    """As a run that replaced a mosaic and was killed would leave them."""
    survey = load_survey("phat-nodust")
    options = {"size": 72, "density": 0.0}
    one, same, fewer = (
        simulate_mosaic(survey, seed=5, **{**options, "n": n}, out=tmp_path / name)
        for name, n in {"one": 1, "same": 1, "fewer": 0}.items()
    )
    last = survey.band_names[-1]
    with pytest.raises(InputError, match=r"different simulations \(SETID"):
        Mosaic.read(one.images | {last: fewer.images[last]}, survey)
    for path in one.images.values():  # equal runs make equal files
        assert path.read_bytes() == (tmp_path / "same" / path.name).read_bytes()
    assert one.truth.meta["SETID"] == fits.getheader(one.images[last])["SETID"]
    mosaic = Mosaic.read(one.images | {last: same.images[last]}, survey)
    Catalog.read(tmp_path / "same" / "truth.ecsv").on(mosaic)
    other = simulate_mosaic(survey, seed=6, **{**options, "n": 1}).truth
    with pytest.warns(PraesepeWarning, match="of different simulations .*not true of these"):
        Catalog.read(other).on(mosaic)
    fits.setval(same.images[last], "SEED", value=6)
    with pytest.raises(InputError, match=r"f336w.fits .*f814w.fits .*are of different.*SEED 5 a"):
        Mosaic.read(one.images | {last: same.images[last]}, survey)


@pytest.fixture
def toys() -> Iterator[tuple[str, ...]]:
    """Three quantities that change no star: a number, a logarithm, and a category."""
    for toy in (
        Quantity("toy", "q", "mag", "a toy", limits=(0.0, 4.0), prior="toy"),
        Quantity("log_p", "P", "dex(yr)", "log10 of the period", linear="period",
                 prior="period"),
        Quantity("kind", "k", "", "a class", categories=("a", "b"), prior="kind"),
    ):  # fmt: skip
        quantities.register(toy)
    yield ("toy", "log_p", "kind")
    for name in ("toy", "log_p", "kind"):
        quantities.unregister(name)


def test_a_drawn_quantity_comes_from_the_catalog_or_the_prior(
    tmp_path: Path, toys: tuple[str, ...], survey: Survey
) -> None:
    survey = survey.with_values(
        clusters={"toy": (0.0, 1.0), "period": (10.0, 1000.0), "kind": ("a", "b")},
    )
    options = {"size": 128, "density": 0.0, "seed": 4}
    truth = simulate_mosaic(survey, n=3, **options).truth
    assert ((truth["toy"] >= 0) & (truth["toy"] <= 1)).all()
    np.testing.assert_allclose(truth["period"], 10 ** truth["log_p"], rtol=1e-5)
    assert str(truth["period"].unit) == "yr"
    assert set(truth["kind"]) <= {"a", "b"}
    truth["toy"], truth["period"], truth["kind"] = [0.1, 0.2, 0.3], [20.0, 30.0, 40.0], list("bab")
    made = simulate_mosaic(survey, truth, **options)
    saved = made.save(tmp_path / "sky")
    again = Table.read(saved.path / "truth.ecsv")
    np.testing.assert_allclose(again["toy"], [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(again["log_p"], np.log10([20, 30, 40]), rtol=1e-6)
    assert list(again["kind"]) == list("bab")
    (band,) = survey.band_names
    plane = fits.getdata(saved.images[band], "SCI")
    np.testing.assert_array_equal(plane, made.images[band]["SCI"].data)
    assert repr(saved).startswith("<SimulatedMosaic of survey 'phat-nodust': F475W; 3 clusters; in")
    truth["toy"][1] = 5.0
    with pytest.raises(InputError, match=r"row 2: toy = 5; allowed are 0 to 4"):
        simulate_mosaic(survey, truth, **options)
    truth.rename_column("toy", "toyy")
    with pytest.raises(InputError, match=r"'toyy'\. Did you mean 'toy'"):
        simulate_mosaic(survey, truth, **options)


def test_the_density_comes_from_the_surveys_range_by_default():
    survey = load_survey("phat-nodust")
    low, high = survey.galaxy.field.surface_density
    drawn = [draw_density(survey, seed) for seed in range(40)]
    assert low <= min(drawn) < (low * high) ** 0.5 < max(drawn) <= high
    assert drawn[3] == draw_density(survey, 3)
