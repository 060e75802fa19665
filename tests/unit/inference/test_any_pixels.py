"""Whatever the pixels hold: a row has finite numbers or a flag, and costs no other row."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from praesepe.errors import PraesepeWarning
from praesepe.inference.prediction import predict
from praesepe.mocks.mosaic_files import mosaic_hdus
from praesepe.network.estimator import Estimator
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")
NUMBERS = ("log_age_p16", "log_age_p50", "log_mass_p50", "log_mass_p84", "rh_arcsec_p50")
BAD, GOOD = 0, 1
"""Rows of the catalog: the pixels of the first are damaged."""

INDEF, MAX = 1.6e38, float(np.finfo(np.float32).max)
SPECIAL = (INDEF, -INDEF, MAX, -MAX, np.inf, -np.inf, np.nan, 0.0, 1e-45, 1e-30, 1e20)
damages = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 63), st.integers(0, 63), st.sampled_from([1, 5, 40, 64]),
        st.one_of(st.sampled_from(SPECIAL), st.floats(width=32)),
    ),
    min_size=1, max_size=4,
)  # fmt: skip
"""Band, place in the first cluster's stamp, side of a square, and what it holds."""

Measure = Any


@pytest.fixture(scope="module")
def planes() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0.01, 0.01, (3, 200, 200)).astype(np.float32)


@pytest.fixture(scope="module")
def measure(wcs: WCS) -> Measure:
    """Measure two clusters whose stamps do not touch."""
    model = Estimator.untrained(PHAT, encoder="tiny", seed=3).describe(
        present_mass={"log_age": [6.6, 10.1], "fraction": [1.0, 0.5]}
    )
    ra, dec = wcs.pixel_to_world_values([50.0, 150.0], [100.0, 100.0])
    catalog = Table({"ra": ra, "dec": dec})

    def measure(planes: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Numbers (row, column) and flags of the rows."""
        given = (plane if isinstance(plane, Path) else (plane, wcs) for plane in planes)
        images = dict(zip(PHAT.band_names, given, strict=True))
        with warnings.catch_warnings(action="ignore", category=PraesepeWarning):
            found = predict(model, images, catalog, n_samples=5, check=False)
        numbers = [np.ma.filled(found[name], np.nan) for name in NUMBERS]
        return np.array(numbers, float).T, np.array(found["flags"])

    return measure


@pytest.fixture(scope="module")
def whole(measure: Measure, planes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers of the good row of whole images, which has no flag."""
    numbers, flags = measure(planes)
    assert np.isfinite(numbers).all()
    assert not flags.any()
    return np.asarray(numbers[GOOD])


def says_so(numbers: NDArray[np.float64], flags: NDArray[np.int64]) -> bool:
    return bool((np.isfinite(numbers).all(axis=1) | (flags != 0)).all())


def every(value: float) -> list[tuple[int, int, int, int, float]]:
    return [(0, 0, 0, 64, value)]


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(damages=damages)
@example(damages=every(INDEF))
@example(damages=every(-INDEF))
@example(damages=every(MAX))
@example(damages=every(-MAX))
@example(damages=every(np.inf))
@example(damages=every(np.nan))
@example(damages=[(0, 20, 20, 1, INDEF)])
@example(damages=[(1, 10, 10, 40, INDEF), (2, 10, 10, 40, -MAX)])
def test_a_row_has_numbers_or_says_why_not(
    measure: Measure,
    planes: NDArray[np.float32],
    whole: NDArray[np.float64],
    damages: list[tuple[int, int, int, int, float]],
) -> None:
    damaged = planes.copy()
    for band, y, x, side, value in damages:
        damaged[band, 68 + y : min(68 + y + side, 132), 18 + x : min(18 + x + side, 82)] = value
    numbers, flags = measure(damaged)
    assert says_so(numbers, flags)
    np.testing.assert_array_equal(numbers[GOOD], whole)


def scaled(scale: float, zero: float) -> tuple[NDArray[np.int32], dict[str, float]]:
    return np.zeros((200, 200), np.int32), {"BSCALE": scale, "BZERO": zero}


@pytest.mark.parametrize(
    ("stored", "cards", "value"),
    [
        (*scaled(1e30, 0.0), 2**31 - 1),
        (*scaled(-1e30, 0.0), 2**31 - 1),
        (*scaled(1e300, 0.0), 2**31 - 1),
        (*scaled(1e-5, 1e39), 0),
        (np.zeros((200, 200)), {}, 1e300),
        (np.zeros((200, 200)), {"BUNIT": "ELECTRONS", "EXPTIME": 1e-3}, MAX),
    ],
)
@pytest.mark.parametrize("all_over", [False, True])
def test_numbers_that_overflow_when_they_are_read(
    measure: Measure, planes: NDArray[np.float32], wcs: WCS, tmp_path: Path,
    stored: NDArray[Any], cards: dict[str, Any], value: float, all_over: bool,
) -> None:  # fmt: skip
    """Of integers by their scaling, of doubles, of counts by a short exposure."""
    hdus = mosaic_hdus(planes[0], PHAT.bands[0], wcs, PHAT)
    stored = stored + np.where(stored, 0, planes[0]).astype(stored.dtype)
    stored[:, slice(None) if all_over else slice(100)] = value
    hdus[1].data = stored
    for hdu in hdus:
        hdu.header.update(cards)
    hdus.writeto(tmp_path / "scaled.fits")
    numbers, flags = measure([tmp_path / "scaled.fits", *planes[1:]])
    assert says_so(numbers, flags)
    assert flags[BAD]
