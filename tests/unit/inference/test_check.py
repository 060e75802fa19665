"""Images are held against a model's training: clean ones are fine, each fault has its name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter, shift

import praesepe
from praesepe.errors import PraesepeWarning
from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.inference.check.checking import Check, check_images
from praesepe.inference.check.judge import Judge
from praesepe.mocks.mosaic_files import SimulatedMosaic
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
    assert {row["verdict"] for row in written["rows"]} == {"fine"}


def noisy(image: np.ndarray) -> np.ndarray:
    return image + np.random.default_rng(1).normal(0, 0.01, image.shape)


def hit(image: np.ndarray) -> np.ndarray:
    return image + 5.0 * (np.random.default_rng(1).random(image.shape) < 3e-4)


def torn(image: np.ndarray) -> np.ndarray:
    return np.where(np.arange(image.shape[1]) < 100, np.nan, image)


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
        (pixels(lambda image: gaussian_filter(image, 0.5), "F814W"), {"blur (F814W)"}),
        (
            both(pixels(lambda image: image * 1720), pixels(torn, "F814W")),
            {"unit (F475W)", "gaps (F814W)"},
        ),
        (
            both(pixels(lambda image: np.minimum(image, 3.0)), pixels(hit, "F814W")),
            {"saturation (F475W)", "cosmic rays (F814W)"},
        ),
        (swap, {"band (F475W and F814W)"}),
        (wrong_scale, {"pixel scale (F336W, F475W and F814W)"}),
        (both(moved, cards(YSHIFT=0.3)), set()),
        (both(moved, cards(YSHIFT=0.3, own=False)), {"registration (F475W)"}),
        (cards(ZPOFFSET=0.9, XSHIFT=2.0), set()),
    ],
    ids=[
        *("sky, little blur, depth", "blur as small as trained", "counts and gaps"),
        *("saturation and cosmic rays", "swapped", "scale", "own offsets"),
        *("another's offsets", "offsets beyond the training"),
    ],
)
def test_a_fault_is_named_and_no_other(
    sky: SimulatedMosaic, change: Change, faults: set[str]
) -> None:
    images = copied(sky)
    change(images)
    assert set(check(images).faults) == faults


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
