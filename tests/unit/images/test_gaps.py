"""What was not observed is found by its values, and chance and saturated stars are no gaps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from praesepe.images.reading.gaps import find_gaps, measure_grain
from praesepe.images.reading.pixels import Pixels

Y, X = np.mgrid[:64, :64]
SLANTED = (X + 2 * Y) < 50
"""A slanted edge, as between chips."""


@pytest.fixture
def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0.01, 0.003, (64, 64)).astype("f4")


def star(peak: float, half_width: float = 4) -> np.ndarray:
    radius = np.hypot(X - 30, Y - 34)
    return (peak * (1 + (radius / half_width) ** 2) ** -2).astype("f4")


@pytest.mark.parametrize("value", [0, -0.0021, 0.02, 5.0, 40000.0, 3e-30, -99.0])
def test_a_constant_of_any_value_is_a_gap(noise: np.ndarray, value: float) -> None:
    noise[SLANTED] = value
    gaps = find_gaps(noise)
    assert np.array_equal(gaps.missing, SLANTED)
    assert not gaps.saturated.any()


@pytest.mark.parametrize("pixels", [24, 25])
def test_plateaus_begin_at_25_pixels(noise: np.ndarray, pixels: int) -> None:
    noise[30, 5 : 5 + pixels - 10] = noise[31:36, 6:8] = 0.013  # of any shape
    assert find_gaps(noise).missing.sum() == (pixels if pixels == 25 else 0)


def test_single_zeros_are_measurements(noise: np.ndarray) -> None:
    noise[10, 10] = noise[20:22, 20:22] = noise[30, 5:13] = 0
    assert not find_gaps(noise).missing.any()


def test_a_gap_goes_on_beyond_the_border(noise: np.ndarray) -> None:
    noise[:3, -3:] = -0.0021
    assert np.array_equal(find_gaps(noise).missing, (Y < 3) & (X > 60))


@pytest.mark.parametrize("side", [4, 8, 12, 15])
def test_small_windows_have_gaps_too(noise: np.ndarray, side: int) -> None:
    small = noise[:side, :side].copy()
    assert not find_gaps(small).missing.any()
    small[0, 0] = np.nan
    assert np.argwhere(find_gaps(small).missing).tolist() == [[0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -999, -9999, 1e20, 1e30, -3.4e38, -32768])
def test_fill_values_need_no_neighbours(noise: np.ndarray, value: float) -> None:
    noise[40, 40] = value
    assert np.argwhere(find_gaps(noise).missing).tolist() == [[40, 40]]
    noise[40, 40] = 0.5
    assert not find_gaps(1e5 * noise).missing.any()  # a bright pixel is none


@pytest.mark.parametrize("mean", [0.03, 0.1, 0.7, 3.0])
def test_counts_are_often_equal(rng: np.random.Generator, mean: float) -> None:
    """Half of the pixels of a Poisson image with 0.7 counts are zero; none is a gap."""
    image = rng.poisson(mean, (320, 320)).astype("f4")
    pixels = Pixels(image, image.shape)
    windows = image.reshape(5, 64, 5, 64).swapaxes(1, 2).reshape(25, 64, 64)
    assert not pixels.find_gaps(windows).missing.any()
    if mean > 0.05:  # else 31 × 31 zeros in a row may be chance
        image[64:128, 64:128] = 0
        assert pixels.find_gaps(image[64:128, 64:128]).missing.mean() > 0.99


@pytest.mark.parametrize("sigma", [3, 10, 300])
@pytest.mark.parametrize("value", [0, 7])
def test_integers_with_noise_of_many_steps(
    rng: np.random.Generator, sigma: float, value: int
) -> None:
    """Scaled integers have gaps as real numbers do, and no others."""
    image = np.rint(rng.normal(0, sigma, (640, 640)))
    pixels = Pixels(image.astype("i2"), image.shape, scale=0.0125, zero=0.003)
    assert not pixels.find_gaps(np.asarray(pixels)).missing.any()
    image[:, 300:] = value
    pixels = Pixels(image.astype("i2"), image.shape, scale=0.0125, zero=0.003)
    missing = pixels.find_gaps(pixels[100:164, 280:344]).missing
    assert missing[:, 20:].all()
    assert missing[:, :20].mean() < 0.05  # a pixel at the edge that is equal by chance


def test_grain_is_of_the_image_not_of_the_gap(noise: np.ndarray) -> None:
    noise[:40] = 0
    noise[40:50] = -1
    assert measure_grain(noise[None]).coarse  # two gaps in one block
    assert measure_grain(noise.reshape(4, 16, 64)[[1, 3, 3, 3]]).real


def test_nothing_but_a_constant_is_a_gap() -> None:
    assert find_gaps(np.full((2, 64, 64), 0.013, "f4")).missing.all()


@pytest.mark.parametrize("full", [8.0, 1.0])
def test_saturated_cores_are_no_gaps(noise: np.ndarray, full: float) -> None:
    image = noise + np.minimum(star(40.0) + noise, full)
    image[star(40.0) > full] = full
    gaps = find_gaps(image)
    assert not gaps.missing.any()
    assert np.array_equal(gaps.saturated, star(40.0) > full)


@pytest.mark.parametrize("value", [np.nan, 0.0, -999.0])
def test_a_core_without_values_is_both(noise: np.ndarray, value: float) -> None:
    image = noise + star(40.0)
    core = star(40.0) > 10
    image[core] = value
    gaps = find_gaps(image)
    assert np.array_equal(gaps.missing, core)
    assert np.array_equal(gaps.saturated, core)
    noise[core] = value  # the same hole without a star
    assert not find_gaps(noise).saturated.any()


ODD = np.where((X * 7 + Y * 5 + X * Y) % 3 == 0, 1, 0)


@pytest.mark.parametrize(
    "fill",
    [
        -(0.03 + 1e-5 * X + 2e-5 * Y),
        -(0.03 + 0.002 * np.sin(X / 60) * np.cos(Y / 70)),
        1e-12 * ODD,
        np.nextafter(np.float32(-0.03), ODD.astype("f4") - 1),
    ],
    ids=["plane", "smooth", "jitter", "ulp"],
)
def test_gaps_that_vary_without_noise(noise: np.ndarray, fill: np.ndarray) -> None:
    """A sky that varies was subtracted from a gap."""
    gap = X < 30
    image = np.where(gap, fill, noise).astype("f4")
    missing = find_gaps(image).missing
    assert missing[1:-1, 1:29].all()
    assert not missing[~gap].any()


@pytest.mark.parametrize("value", [0, -1, -99, -1e4, 65535, 32767, -1e10])
def test_single_pixels_of_one_value(
    noise: np.ndarray, rng: np.random.Generator, value: float
) -> None:
    """A number that single pixels of a noisy image hold again and again is a fill value."""
    filled = rng.random(noise.shape) < 0.03
    noise[filled] = value
    assert np.array_equal(find_gaps(noise).missing, filled)


@pytest.mark.parametrize("zoom", [2, 2.56, 4])
@pytest.mark.parametrize("order", [1, 3])
def test_images_on_finer_pixels_have_no_gaps(noise: np.ndarray, zoom: float, order: int) -> None:
    assert not find_gaps(ndimage.zoom(noise, zoom, order=order)).missing.any()


@pytest.mark.parametrize("radius", [4, 20, 60])
def test_light_without_noise_is_no_gap(radius: float) -> None:
    y, x = np.mgrid[:256, :256]
    distance = np.hypot(x - 100, y - 120) / radius
    for light in (np.exp(-distance), np.exp(-(distance**2) / 4), (1 + distance**2) ** -2.5):
        assert not find_gaps((0.03 + 1e-5 * x + 2e-5 * y + light).astype("f4")).missing.any()


@pytest.fixture
def mosaic(rng: np.random.Generator) -> np.ndarray:
    """Sky noise with stars; broad ones, which are faint and many, and narrow ones."""
    image = rng.normal(0, 1, (400, 400))
    stars = np.zeros(image.shape)
    y, x = rng.integers(0, 400, (2, 3000))
    np.add.at(stars, (y, x), 20 * rng.pareto(1.5, 3000))
    return (0.0075 * (image + ndimage.gaussian_filter(stars, 1.2))).astype("f4")


def quiet_fill(kind: str, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What stands in a gap, for a noise of 0.0075."""
    if kind == "dithered":  # cfitsio's, with 4 steps in the noise
        return rng.uniform(-0.5, 0.5, noise.shape) * 0.0075 / 4
    if kind == "column":
        return np.broadcast_to(noise[:, 119:120], noise.shape)
    if kind == "ramp":
        ends = noise[:, 119:120], noise[:, 280:281]
        return ends[0] + (ends[1] - ends[0]) * np.arange(400) / 400
    return rng.normal(0, float(kind) * 0.0075, noise.shape)


@pytest.mark.parametrize("kind", ["dithered", "column", "ramp", "0.001", "0.01", "0.1"])
@pytest.mark.parametrize("columns", [(120, 280), (230, 260), (100, 400)])
def test_gaps_with_little_noise(
    mosaic: np.ndarray, rng: np.random.Generator, kind: str, columns: tuple[int, int]
) -> None:
    gap = np.zeros(mosaic.shape, bool)
    gap[:, slice(*columns)] = True
    image = np.where(gap, quiet_fill(kind, mosaic, rng), mosaic).astype("f4")
    pixels = Pixels(image, image.shape)
    left, right = max(columns[0] - 40, 0), min(columns[1] + 40, 400)
    missing = pixels.find_gaps(image[100:164, left:right]).missing
    inside = gap[100:164, left:right]
    assert missing[inside].mean() > (0.9 if inside.sum() > 2000 else 0.75)
    assert missing[~inside].mean() < 0.05
    assert not missing[~ndimage.binary_dilation(inside, iterations=3)].any()


@pytest.mark.parametrize("kind", ["dithered", "0.01", "0.15"])
@pytest.mark.parametrize(("first", "width"), [(230, 2), (231, 2), (229, 5)])
@pytest.mark.parametrize("turned", [False, True])
def test_narrow_gaps_with_little_noise(
    mosaic: np.ndarray, rng: np.random.Generator, kind: str, first: int, width: int, turned: bool
) -> None:
    """Between two chips: too narrow for a box."""
    gap = np.zeros(mosaic.shape, bool)
    gap[:, first : first + width] = True
    image = np.where(gap, quiet_fill(kind, mosaic, rng), mosaic).astype("f4")
    if turned:
        image, gap = image.T.copy(), gap.T
    missing = Pixels(image, image.shape).find_gaps(image[200:264, 200:264]).missing
    inside = gap[200:264, 200:264]
    assert missing[inside].mean() > (0.6 if kind == "0.15" else 0.95)
    assert not missing[~inside].any()


def straight(image: np.ndarray, rows: slice, columns: slice, dtype: str = "f8") -> np.ndarray:
    """An image whose columns are interpolated from both sides, as IRAF's fixpix does."""
    x0, x1 = columns.start, columns.stop
    share = np.linspace(0, 1, x1 - x0 + 2)[1:-1].astype(dtype)
    low, high = (image[rows, x : x + 1].astype(dtype) for x in (x0 - 1, x1))
    image[rows, columns] = low * (1 - share) + high * share
    return image


AFTERWARDS = ["fpack", "integers", "flat"]


@pytest.mark.parametrize("kind", ["double", "single", "sky", "star", "blob", *AFTERWARDS])
@pytest.mark.parametrize("width", [3, 10, 16])
@pytest.mark.parametrize("turned", [False, True])
def test_columns_that_were_interpolated_from_their_sides(
    mosaic: np.ndarray, kind: str, width: int, turned: bool
) -> None:
    """A cluster behind ten of them came out 2 dex too old."""
    columns, rows = slice(230, 230 + width), slice(None)
    if kind == "star":
        mosaic[200:264, 200:264] += star(100.0)
    elif kind == "blob":
        rows = slice(225, 237)
    level = np.float32(3.0 if kind == "sky" else 0)  # subtracted afterwards
    dtype = "f4" if kind == "single" else "f8"
    image = straight(mosaic + level, rows, columns, dtype) - level
    if kind == "fpack":  # four steps in the noise, dithered
        dither, step = np.random.default_rng(1).random(image.shape), 0.0075 / 4
        image = ((np.rint(image / step - dither) + dither) * step).astype("f4")
    elif kind == "integers":
        image = (np.rint(image / 0.002) * 0.002).astype("f4")
    elif kind == "flat":
        image = ((image + 0.5) / (1 + 0.1 * np.sin(np.arange(400) / 40)) - 0.5).astype("f4")
    gap = np.zeros(image.shape, bool)
    gap[rows, columns] = True
    if turned:
        image, gap = image.T.copy(), gap.T
    missing = Pixels(image, image.shape).find_gaps(image[200:264, 200:264]).missing
    inside = gap[200:264, 200:264]
    assert missing[inside].mean() > 0.95
    assert missing[~inside].sum() <= 3  # beside an end, by chance


@pytest.mark.parametrize("kind", ["short", "narrow", "integers", "finer pixels", "model"])
def test_what_was_not_interpolated_from_its_sides(mosaic: np.ndarray, kind: str) -> None:
    image, columns = mosaic, slice(230, 240)
    if kind == "short":
        image = straight(image, slice(220, 227), columns)
    elif kind == "narrow":  # single bad columns
        image = straight(image, slice(None), slice(230, 232))
    elif kind == "integers":
        image = straight(np.rint(image / 0.0075), slice(None), columns)
    elif kind == "finer pixels":
        image = ndimage.zoom(image[:101, :101], 401 / 101, order=1)
    else:  # without noise
        y, x = np.mgrid[:400, :400]
        image = straight((1 + np.hypot(x - 190, y - 210) / 20) ** -2, slice(None), columns)
    image = image.astype("f4")
    assert not Pixels(image, image.shape).find_gaps(image[200:264, 200:264]).missing.any()


@pytest.mark.parametrize(
    "kind", ["crowded", "correlated", "moiré", "depth", "deep", "stamp", "nebula"]
)
def test_images_whose_noise_varies_have_no_gaps(
    mosaic: np.ndarray, rng: np.random.Generator, kind: str
) -> None:
    y, x = np.mgrid[:400, :400]
    if kind == "crowded":  # 100 times as many stars on one side
        mosaic[:, 200:] += ndimage.gaussian_filter(rng.pareto(1.5, (400, 200)), 1.2)
    elif kind == "correlated":
        mosaic = ndimage.gaussian_filter(mosaic, 1.5)
    elif kind == "moiré":
        mosaic = ndimage.map_coordinates(mosaic, (y * 0.997, x * 0.996), order=1)
    elif kind == "depth":  # 10 exposures on 1
        mosaic[:, 200:] /= 10**0.5
    elif kind == "deep":  # the same for a few
        mosaic[180:250, 200:260] /= 10**0.5
    elif kind == "nebula":
        light = 3 * np.exp(-np.hypot(x - 150, y - 220) / 40)
        mosaic += (light + rng.normal(0, 1, y.shape) * np.sqrt(light * 0.0075)).astype("f4")
    else:
        mosaic = rng.normal(0, 1, (64, 64)).astype("f4") + star(5000.0)
    assert not Pixels(mosaic, mosaic.shape).find_gaps(mosaic).missing.any()


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.5])
@pytest.mark.parametrize("kind", ["real", "correlated", "integers", "beside a gap"])
def test_clipped_noise_is_told(mosaic: np.ndarray, level: float, kind: str) -> None:
    """The sky's level, in its noise, above the value at which the image was clipped."""
    if kind == "correlated":
        mosaic = 3 * ndimage.gaussian_filter(mosaic, 1)
    image = np.maximum(mosaic + 0.0075 * level, 0.0)
    if kind == "integers":
        image = np.rint(2e4 * image)
    if kind == "beside a gap":
        image[:150] = 0
    image = image.astype("f4")
    assert Pixels(image, image.shape).clipped == pytest.approx((image[150:] == 0).mean(), abs=0.1)


@pytest.mark.parametrize("kind", ["counts", "rates", "gap", "holes", "thresholded", "shifted"])
def test_what_is_not_clipped(mosaic: np.ndarray, rng: np.random.Generator, kind: str) -> None:
    if kind in ("counts", "rates"):  # an exposure time that varies
        mosaic = rng.poisson(0.7, mosaic.shape).astype("f4")
        mosaic /= np.linspace(900, 1100, 400, dtype="f4") if kind == "rates" else 1
    elif kind == "gap":  # of any shape, in an image above zero
        mosaic += np.float32(0.04)
        mosaic[ndimage.gaussian_filter(rng.normal(0, 1, mosaic.shape), 2) > 0] = 0
    elif kind == "holes":  # of cosmic rays
        mosaic[rng.random(mosaic.shape) < 0.2] = mosaic.min()
    elif kind == "thresholded":  # what is not significant became zero
        mosaic[mosaic < 0.0225] = 0
    else:
        mosaic += np.float32(1)
    assert Pixels(mosaic, mosaic.shape).clipped == 0
