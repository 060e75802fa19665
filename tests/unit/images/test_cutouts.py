"""Stamps lie where they should, are filled where pixels are missing, and say what was missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Flag, Mosaic, extract_stamps, iter_stamps
from praesepe.survey import Survey

SIZE = 32
MakeMosaic = Callable[..., Mosaic]


@pytest.fixture
def make_mosaic(two_bands: Survey, make_wcs: Callable[..., WCS]) -> MakeMosaic:
    def make(first: np.ndarray, second: np.ndarray | None = None) -> Mosaic:
        second = first if second is None else second
        wcs = make_wcs(first.shape)
        return Mosaic.read({"F475W": (first, wcs), "F814W": (second, wcs)}, two_bands)

    return make


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(5, 1, (120, 150)).astype(">f4")


def test_the_central_pixel_is_the_nearest(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    x, y = [60.0, 60.4, 60.6, 59.5], [50.0, 49.7, 50.3, 50.49]
    stamps = extract_stamps(make_mosaic(image), x, y, SIZE)
    for i, (column, row) in enumerate([(60, 50), (60, 50), (61, 50), (60, 50)]):
        assert stamps.images[i, 0, SIZE // 2, SIZE // 2] == image[row, column]
        window = image[row - 16 : row + 16, column - 16 : column + 16]
        assert np.array_equal(stamps.images[i, 1], window)
    assert stamps.images.dtype == np.float32
    assert stamps.flags.dtype.kind == "u"
    assert not stamps.flags.any()
    assert not stamps.missing_fraction.any()


def test_odd_size(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    stamps = extract_stamps(make_mosaic(image), [60], [50], 5)
    assert np.array_equal(stamps.images[0, 0], image[48:53, 58:63])


def test_values_are_scaled(make_mosaic: MakeMosaic, image: np.ndarray, two_bands: Survey) -> None:
    with pytest.warns(PraesepeWarning, match="but 26.06 mag in the survey"):
        mosaic = Mosaic.read(
            dict.fromkeys(two_bands.band_names, image),
            two_bands,
            units={"F475W": "e-/s"},
            zero_points={"F475W": two_bands.band("F475W").zero_point_ab - 1.25},
        )
    stamps = extract_stamps(mosaic, [60], [50], SIZE)
    np.testing.assert_allclose(stamps.images[0, 0], 10**0.5 * stamps.images[0, 1], rtol=1e-5)


def test_no_position_no_stamp(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    x = [np.nan, 60, -0.6, 149.4, 149.6, 60, np.inf, 1e300, -1e300]
    y = [50, np.nan, 50, 50, 50, 119.7, 50, 50, 50]
    stamps = extract_stamps(make_mosaic(image), x, y, SIZE)
    off, bad = Flag.OFF_IMAGE, Flag.BAD_COORDINATE
    assert stamps.flags[[0, 1, 2, 4, 5, 6, 7, 8]].tolist() == [
        bad,
        bad,
        off,
        off,
        off,
        off,
        off,
        off,
    ]
    assert stamps.flags[3] & Flag.EDGE
    assert np.isnan(stamps.images[~stamps.usable]).all()
    assert np.isnan(stamps.missing_fraction[0])
    assert stamps.missing_fraction[2] == 1


def test_edge(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    """A quarter, and more than half, of the stamp beyond the edge."""
    stamps = extract_stamps(make_mosaic(image), [8, 8, 60], [60, 5, 16], SIZE)
    np.testing.assert_allclose(stamps.missing_fraction, [0.25, 1 - (24 * 21) / 32**2, 0])
    assert stamps.flags[0] == Flag.PARTLY_MISSING | Flag.EDGE
    assert stamps.flags[1] == Flag.MISSING | Flag.EDGE
    assert stamps.usable.tolist() == [True, False, True]
    assert np.isfinite(stamps.images[0]).all()
    assert np.isnan(stamps.images[1]).all()
    assert np.array_equal(stamps.images[0, 0, :, 8:], image[44:76, :24])


def test_holes_get_the_median_of_their_own_band(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    first, second = image.copy(), 3 * image
    first[50:55, 60:66] = np.nan
    second[40:46, 70:75] = np.inf
    stamps = extract_stamps(make_mosaic(first, second), [64], [50], SIZE)
    hole = np.zeros((SIZE, SIZE), bool)
    hole[16:21, 12:18] = True  # rows 50:55 of a stamp from row 34, columns 60:66 from column 48
    good = image[34:66, 48:80]
    assert np.array_equal(stamps.images[0, 0][~hole], good[~hole])
    assert np.all(stamps.images[0, 0][hole] == np.median(good[~hole]))
    assert np.isfinite(stamps.images[0, 1]).all()
    assert stamps.images[0, 1, 8, 24] == pytest.approx(15, abs=1)
    assert stamps.flags[0] == Flag.PARTLY_MISSING
    assert stamps.missing_fraction[0] == pytest.approx(30 / SIZE**2)
    assert stamps.holes[0].sum(axis=(-2, -1)).max() == 30


def test_one_band_missing_counts_as_missing(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    """The fraction is that of the worst band: colours need all of them."""
    second = image.copy()
    second[:, :70] = 0
    stamps = extract_stamps(make_mosaic(image, second), [64, 80], [50, 50], SIZE)
    np.testing.assert_allclose(stamps.missing_fraction, [22 / 32, 6 / 32])
    assert stamps.flags.tolist() == [Flag.MISSING, Flag.PARTLY_MISSING]


def test_zero_in_all_bands_is_missing_in_one_it_is_not(
    make_mosaic: MakeMosaic, image: np.ndarray
) -> None:
    both, one = image.copy(), image.copy()
    both[50, 64] = one[50, 64] = 0
    stamps = extract_stamps(make_mosaic(both, both), [64], [50], SIZE)
    assert stamps.missing_fraction[0] == pytest.approx(1 / SIZE**2)
    stamps = extract_stamps(make_mosaic(one, image), [64], [50], SIZE)
    assert stamps.missing_fraction[0] == 0
    assert stamps.images[0, 0, 16, 16] == 0


def test_counts_of_zero_are_kept(make_mosaic: MakeMosaic, rng: np.random.Generator) -> None:
    counts = rng.poisson(0.7, (120, 150)).astype("i2")
    stamps = extract_stamps(make_mosaic(counts), [64], [50], SIZE)
    assert stamps.flags[0] == 0
    assert np.array_equal(stamps.images[0, 0], counts[34:66, 48:80])


def test_batches_equal_the_whole(make_mosaic: MakeMosaic, image: np.ndarray, rng) -> None:
    mosaic = make_mosaic(image)
    x, y = rng.uniform(-20, 170, 700), rng.uniform(-20, 140, 700)
    x[13] = np.nan
    whole = extract_stamps(mosaic, x, y, SIZE)
    parts = list(iter_stamps(mosaic, x, y, SIZE, 256))
    assert [len(part) for part in parts] == [256, 256, 188]
    for field in ("images", "missing_fraction", "flags"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, field))


def test_images_are_not_changed(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    image[40:50, 40:50] = np.nan
    before = image.copy()
    extract_stamps(make_mosaic(image), [45, 60], [45, 60], SIZE).images[:] = 7
    np.testing.assert_array_equal(image, before)


def test_bad_arguments(make_mosaic: MakeMosaic, image: np.ndarray) -> None:
    mosaic = make_mosaic(image)
    with pytest.raises(InputError, match="equal length"):
        extract_stamps(mosaic, [1, 2], [1], SIZE)
    with pytest.raises(InputError, match="size = 0"):
        extract_stamps(mosaic, [1], [1], 0)
    with pytest.raises(InputError, match="batch_size"):
        next(iter_stamps(mosaic, [1], [1], SIZE, 0))
    assert len(extract_stamps(mosaic, [], [], SIZE)) == 0
