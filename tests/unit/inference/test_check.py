"""Images are held against a model's training: clean ones are fine, each fault has its name."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import fourier_shift, gaussian_filter, map_coordinates, shift

import praesepe
from praesepe.errors import InputError, PraesepeWarning
from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.images.mosaic.grid import Resampled
from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.images.reading.pixels import Mark, Pixels
from praesepe.inference.check.alignment import aligned, prepared
from praesepe.inference.check.background import measure_plane
from praesepe.inference.check.checking import Check, check_images
from praesepe.inference.check.judge import Judge
from praesepe.inference.check.positions import position_rows
from praesepe.inference.check.profiles import encircled_of, stacked_energy
from praesepe.inference.check.registration import register
from praesepe.inference.check.sections import corners, on_own_grid
from praesepe.inference.check.stars import block_background, block_levels, find_stars
from praesepe.mocks.mosaic_files import SimulatedMosaic, mosaic_wcs
from praesepe.report.check_page import write_check_page

Images = dict[str, fits.HDUList]
Change = Callable[[Images], object]


@pytest.fixture(scope="module")
def sky() -> SimulatedMosaic:
    """A mosaic with perfect zero points, focus, blur and registration."""
    survey = praesepe.Estimator.load("phat").survey
    focused = survey.with_values(observation={"nuisance": {"focus_nm": 0.0}})
    return praesepe.simulate_mosaic(focused, n=8, size=512, density=40, seed=6, nuisances=False)


def copied(sky: SimulatedMosaic) -> Images:
    return {name: fits.HDUList([hdu.copy() for hdu in hdus]) for name, hdus in sky.images.items()}


def pixels(change: Callable[[np.ndarray], np.ndarray], band: str = "F475W") -> Change:
    def apply(images: Images) -> None:
        images[band][1].data = change(images[band][1].data).astype(np.float32)

    return apply


def cards(band: str = "F475W", *, own: bool = True, **values: float) -> Change:
    """Say something in the header of a band, and that the file is ours or not."""

    def apply(images: Images) -> None:
        header = images[band][0].header
        header.update(values)
        if not own:
            header.remove("STREAM")

    return apply


def swap(images: Images) -> None:
    one, other = images["F475W"][1], images["F814W"][1]
    one.data, other.data = other.data, one.data


def wrong_scale(images: Images) -> None:
    for hdus in images.values():
        for key in ("CDELT1", "CDELT2"):
            hdus[1].header[key] *= 0.8


def both(*changes: Change) -> Change:
    return lambda images: [change(images) for change in changes]


def check(images: Images | Mosaic, catalog: object = None) -> Check:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PraesepeWarning)
        return check_images("phat", images, catalog, n_fields=4)  # type: ignore[arg-type]


def test_a_mosaic_as_the_model_expects_it_is_fine(sky: SimulatedMosaic, tmp_path: Path) -> None:
    found = check(sky.images, sky.truth)
    assert found.fine, found.faults
    assert "nothing wrong" in repr(found)
    page = write_check_page(found, tmp_path / "check.html").read_text()
    assert page.count("<img") == 4
    assert "registration" in page
    written = json.loads(found.save(tmp_path / "check.json").read_text())
    assert written["fine"] is True
    unlike = {row["item"]: row["verdict"] for row in written["rows"] if row["verdict"] != "fine"}
    assert unlike["catalog centers"] == "unknown"  # eight clusters are too few
    assert set(unlike) <= {"catalog centers", "zero point"}
    energy = [row["value"] for row in written["rows"] if row["item"] == "encircled energy"]
    assert all(0.6 < value < 0.9 for value in energy)
    assert len(energy) == 3


def noisy(image: np.ndarray) -> np.ndarray:
    return image + np.random.default_rng(1).normal(0, 0.01, image.shape)


def hit(image: np.ndarray) -> np.ndarray:
    return image + 5.0 * (np.random.default_rng(1).random(image.shape) < 3e-4)


def torn(image: np.ndarray) -> np.ndarray:
    return np.where(np.arange(image.shape[1]) < 100, np.nan, image)


def eaten(image: np.ndarray) -> np.ndarray:
    """Less its background in meshes of 25 px."""
    levels = np.median(image[:500, :500].reshape(20, 25, 20, 25), axis=(1, 3))
    places = np.meshgrid(*[(np.arange(512) - 12) / 25] * 2, indexing="ij")
    return image - map_coordinates(levels, places, order=3, mode="nearest")


moved = pixels(lambda image: shift(image, (0.3, 0), order=5, mode="nearest"))


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (
            both(
                pixels(lambda image: image + 0.5),
                pixels(lambda image: gaussian_filter(image, 1.0), "F814W"),
                pixels(noisy, "F336W"),
            ),
            {"sky level (F475W)", "blur (F814W)", "noise (F336W)"},
        ),
        (
            both(
                pixels(lambda image: gaussian_filter(image, 0.5), "F814W"),
                moved,
                cards(YSHIFT=0.3),
            ),
            {"blur (F814W)"},
        ),
        (
            both(
                pixels(lambda image: image * 1720),
                pixels(torn, "F814W"),
                pixels(hit, "F814W"),
                pixels(lambda image: np.minimum(image, 0.5), "F336W"),
            ),
            {"unit (F475W)", "gaps (F814W)", "cosmic rays (F814W)", "saturation (F336W)"},
        ),
        (swap, {"band (F475W and F814W)"}),
        (wrong_scale, {"pixel scale (F336W, F475W and F814W)"}),
        (
            both(moved, cards(YSHIFT=0.3, own=False)),
            {"registration (F475W)"},
        ),
        (pixels(lambda image: 0.84 * image), {"zero point (F475W)"}),
        (
            both(pixels(lambda image: image[::-1, ::-1]), pixels(eaten, "F336W")),
            {"registration (F475W)", "background (F336W)"},
        ),
    ],
    ids=[
        *("sky, much blur, depth", "blur as small as trained, own offsets", "what pixels show"),
        *("swapped", "scale", "another's offsets", "zero point", "turned, small meshes"),
    ],
)
def test_a_fault_is_named_and_no_other(
    sky: SimulatedMosaic, change: Change, faults: set[str]
) -> None:
    images = copied(sky)
    change(images)
    assert set(check(images).faults) == faults


def test_the_structure_of_a_background(sky: SimulatedMosaic, rng: np.random.Generator) -> None:
    """Of noise it is 1, under stars more; what small meshes take away is told."""
    image = sky.images["F475W"][1].data
    torn_away = np.where(np.arange(512) < 430, np.nan, image)
    kinds = rng.normal(0, 1, image.shape), image, eaten(image), torn_away
    found = [measure_plane(one.astype("f4"), sharpest=0.5).structure for one in kinds]
    assert found[0] == pytest.approx(1, abs=0.35)
    assert found[1] > 1.2
    assert found[2] < 0.6
    assert np.isnan(found[3])
    slope = np.linspace(0, 3, 512)
    assert measure_plane((image + slope).astype("f4"), sharpest=0.5).structure > 1.2


def test_only_headers_of_our_own_mosaics_are_believed(sky: SimulatedMosaic) -> None:
    survey = praesepe.Estimator.load("phat").survey
    for own, said, believed in ((True, 0.15, 0.15), (True, 0.9, 0.0), (False, 0.15, 0.0)):
        images = copied(sky)
        cards(own=own, ZPOFFSET=said)(images)
        judge = Judge(Mosaic.read(images, survey), None, {})  # type: ignore[arg-type]
        assert judge.declared("F475W", "ZPOFFSET") == believed


def test_predict_lays_a_shifted_band_on_the_others(sky: SimulatedMosaic) -> None:
    images = copied(sky)
    pixels(lambda image: shift(image, (0.4, -0.3), order=5, mode="nearest"))(images)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        praesepe.predict("phat", images, sky.truth)
    assert any("F475W: registration (-0." in str(one.message) for one in told)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = praesepe.predict("phat", images, sky.truth, align=True)
    assert any("F475W lay (-0." in str(one.message) for one in told)
    assert "registration" not in ", ".join(check(result.observation).faults)
    assert result.observation.reprojected == ("F475W",)
    stamps = [
        extract_stamps(m, result["x"] - 1, result["y"] - 1, 32).images[:, 1]
        for m in (result.observation, Mosaic.read(sky.images, result.model.survey))
    ]
    light = np.nansum(stamps, axis=(2, 3))
    assert light[0] == pytest.approx(light[1], rel=0.03, abs=1.0)


@pytest.mark.parametrize(
    "change",
    [
        pixels(lambda image: image[::-1, ::-1]),
        pixels(lambda image: image[:, ::-1], "F814W"),
        pixels(lambda image: np.roll(image, 40, axis=1), "F336W"),
    ],
    ids=["turned", "mirrored", "far off"],
)
def test_predict_tells_of_a_band_that_shares_no_stars(sky: SimulatedMosaic, change: Change) -> None:
    images = copied(sky)
    change(images)
    mosaic = Mosaic.read(images, "phat")
    with pytest.warns(PraesepeWarning, match="registration too few stars are shared"):
        prepared(mosaic)


def test_the_same_pixels_in_two_bands_are_refused(sky: SimulatedMosaic) -> None:
    images = copied(sky)
    images["F475W"][1].data = images["F814W"][1].data.copy()
    mosaic = Mosaic.read(images, "phat")
    for looked_at in (check, lambda mosaic: praesepe.predict("phat", mosaic, [], check=False)):
        with pytest.raises(InputError, match="bands 'F475W' and 'F814W' have the same pixels"):
            looked_at(mosaic)


def starry(
    x: np.ndarray, y: np.ndarray, flux: np.ndarray, side: int, sigma_px: float = 1.1
) -> np.ndarray:
    """Round stars at given places on noise."""
    image = np.random.default_rng(2).normal(0, 0.01, (side, side))
    near = np.arange(-8, 9)
    for column, row, light in zip(x, y, flux, strict=True):
        j, i = round(float(column)), round(float(row))
        if min(i, j) >= 8 and max(i, j) < side - 8:
            away = ((i + near - row)[:, None] ** 2 + (j + near - column) ** 2) / sigma_px**2
            star = light / (2 * np.pi * sigma_px**2) * np.exp(-0.5 * away)
            image[i - 8 : i + 9, j - 8 : j + 9] += star
    return image.astype(np.float32)


def test_a_turned_and_stretched_band_is_laid_on_another() -> None:
    side, angle, scale, shift_px = 800, math.radians(0.02), 5e-4, (0.21, -0.33)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, side, (2, 500))
    flux, middle = rng.uniform(5, 50, 500), (side - 1) / 2
    far_x, far_y = x - middle, y - middle
    moved_x = x + shift_px[0] + scale * far_x - angle * far_y
    moved_y = y + shift_px[1] + angle * far_x + scale * far_y
    images = {"F336W": starry(x, y, flux, side), "F814W": starry(moved_x, moved_y, flux, side)}
    images["F475W"] = images["F336W"] + 0.0

    def lists(image: np.ndarray) -> list:
        found = []
        places, (height, width) = corners(image.shape, 4)
        for y0, x0 in places:
            part = image[y0 : y0 + height, x0 : x0 + width]
            good = np.isfinite(part)
            stars = find_stars(
                np.where(good, part - block_background(part, good, block_levels(part, good)[0]), 0),
                good,
            )
            stars.x[:] += x0
            stars.y[:] += y0
            found.append(stars)
        return found

    shape = (side, side)
    found = register(lists(images["F336W"]), lists(images["F814W"]), shape)
    assert found is not None
    assert (found.x_px, found.y_px) == pytest.approx(shift_px, abs=0.01)
    assert (found.angle, found.scale) == pytest.approx((angle, scale), abs=2e-5)
    mosaic = Mosaic.read(images, "phat")
    full = np.zeros(shape, np.uint8)
    full[700:704, 100:103] = 1
    marks = (Mark("DQ", Pixels(full, shape), "quality", 0, 1),)
    band = replace(mosaic.bands["F814W"], pixels=Pixels(images["F814W"], shape, marks=marks))
    mosaic = replace(mosaic, bands=mosaic.bands | {"F814W": band})
    pixels = aligned(mosaic, {"F814W": found}, "F336W").bands["F814W"].pixels
    laid = pixels.read(0, 0, *shape)
    saturated = np.argwhere(pixels.marked_saturated(0, 0, *shape))
    moved = [shift_px[1] + (angle * -298.5 + scale * 302), shift_px[0] + (scale * -298.5)]
    assert len(saturated) == pytest.approx(12, abs=4)
    assert saturated.mean(0) == pytest.approx(np.array([701.5, 101]) - moved, abs=0.6)
    left = register(lists(images["F336W"]), lists(laid), shape)
    assert left is not None
    assert left.farthest_px < 0.02
    inside = (slice(10, -10), slice(10, -10))
    assert np.isfinite(laid[inside]).all()
    assert laid[inside].sum() == pytest.approx(images["F336W"][inside].sum(), rel=1e-3)


@pytest.mark.parametrize("shape", [(768, 512), (300, 5000), (513, 100)])
def test_no_pixel_is_looked_at_twice(shape: tuple[int, int]) -> None:
    places, (height, width) = corners(shape, 49)
    seen = np.zeros(shape, int)
    for y, x in places:
        seen[y : y + height, x : x + width] += 1
    assert seen.max() == 1
    assert seen[0, 0] == seen[-1, -1] == 1


def test_rings_around_shifted_stars_are_no_cosmic_rays() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 300, (2, 60))
    stars = starry(x, y, rng.uniform(5, 50, 60), 300, 0.6).astype(float)
    image = np.fft.ifft2(fourier_shift(np.fft.fft2(stars), (0.3, 0))).real.astype(np.float32)
    assert measure_plane(image, sharpest=0.2).spikes == 0
    image[tuple(rng.integers(5, 295, (2, 20)))] += 5.0
    assert measure_plane(image, sharpest=0.2).spikes >= 15


def test_positions_to_one_side_of_the_light_are_told() -> None:
    rng = np.random.default_rng(4)
    x, y = (grid.ravel() + rng.normal(0, 0.5, 100) for grid in np.mgrid[60:600:54, 60:600:54])
    image = starry(x, y, rng.uniform(20, 60, 100), 660, 2.5)
    survey = praesepe.load_survey("phat")
    mosaic = Mosaic.read({name: image + k for k, name in enumerate(survey.band_names)}, survey)
    told = {off: position_rows(mosaic, x + off, y + off, survey)[1] for off in (0, 1, 20)}
    assert [row.verdict for row in told.values()] == ["fine", "wrong", "unknown"]
    assert "one side" in told[1].advice
    assert "no brighter" in told[20].advice


@pytest.mark.parametrize(("at", "gaps", "verdict"), [(900.0, 0, "wrong"), (30.0, np.nan, "fine")])
def test_positions_off_the_image_or_in_gaps(at: float, gaps: float, verdict: str) -> None:
    survey, rng = praesepe.load_survey("phat"), np.random.default_rng(4)
    images = {name: rng.normal(0, 1, (60, 60)) + gaps for name in survey.band_names}
    places = np.full(12, at)
    rows = position_rows(Mosaic.read(images, survey), places, places, survey)
    assert [row.verdict for row in rows] == [verdict, "unknown"]
    assert rows[0].measured.startswith("0 of 12" if verdict == "wrong" else "12 of 12")


def test_a_wrong_scale_is_judged_before_anything_is_resampled() -> None:
    survey, rng = praesepe.load_survey("phat"), np.random.default_rng(5)
    fine = survey.with_values(observation={"pixel_scale_arcsec": 0.04})
    wcs = mosaic_wcs(fine, 150)
    x, y = rng.uniform(0, 150, (2, 30))
    images = {name: (starry(x, y, np.full(30, 9.0), 150), wcs) for name in survey.band_names}
    with pytest.warns(PraesepeWarning, match="off the survey's"):
        mosaic = Mosaic.read(images, survey, sampled=True)
    with pytest.warns(PraesepeWarning, match="off the survey's"):
        whole = Mosaic.read(images, survey)
    band = mosaic.bands["F475W"]
    assert isinstance(band.pixels.raw, Resampled)
    expected = whole.bands["F475W"].pixels.read(20, 30, 50, 40)
    assert band.pixels.read(20, 30, 50, 40) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    own = on_own_grid(mosaic)
    assert own.reprojected == ()
    assert own.pixel_scale_arcsec == pytest.approx(0.04, rel=1e-3)
    assert (own.bands["F475W"].pixels.read(0, 0, 150, 150) == images["F475W"][0]).all()


@pytest.mark.parametrize("sigma_px", [0.9, 1.3])
def test_encircled_energy_of_stars_is_that_of_their_psf(sigma_px: float) -> None:
    rng = np.random.default_rng(4)
    x, y = (grid.ravel() + rng.uniform(-0.5, 0.5, 81) for grid in np.mgrid[40:480:50, 40:480:50])
    image = starry(x, y, rng.uniform(20, 60, 81), 512, sigma_px)
    profiles = measure_plane(image, sharpest=0.5).profiles
    fine = (np.arange(-40, 41) / 2) ** 2
    psf = np.exp(-0.5 * (fine[:, None] + fine) / sigma_px**2)
    share, error = stacked_energy([profiles])
    assert share == pytest.approx(encircled_of(psf, 2), abs=0.01)
    assert error < 0.01
