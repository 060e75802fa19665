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
from praesepe.images.cutouts import extract_stamps
from praesepe.images.mosaic import Mosaic
from praesepe.inference.check import reference as own_fields
from praesepe.mocks.mosaic_files import SimulatedMosaic

Images = dict[str, fits.HDUList]


@pytest.fixture(scope="module")
def sky() -> SimulatedMosaic:
    """A mosaic with perfect zero points, blur and registration."""
    survey = praesepe.Estimator.load("phat").survey
    return praesepe.simulate_mosaic(survey, n=8, size=512, density=40, seed=5, nuisances=False)


@pytest.fixture(autouse=True, scope="module")
def few_fields() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_fields, "N_DENSITIES", 3)
        patch.setattr(own_fields, "N_EACH", 2)
        yield


def changed(sky: SimulatedMosaic, band: str, change: Callable[[np.ndarray], np.ndarray]) -> Images:
    images = {name: fits.HDUList([hdu.copy() for hdu in hdus]) for name, hdus in sky.images.items()}
    images[band][1].data = change(images[band][1].data).astype(np.float32)
    return images


def faults_of(images: Images | Mosaic) -> str:
    return ", ".join(praesepe.check("phat", images).faults)


def test_a_mosaic_as_the_model_expects_it_is_fine(sky: SimulatedMosaic, tmp_path: Path) -> None:
    found = praesepe.check("phat", sky.images, sky.truth, out=tmp_path / "check.html")
    assert found.fine, found.faults
    assert "nothing wrong" in repr(found)
    page = (tmp_path / "check.html").read_text()
    assert page.count("<img") == 4
    assert "registration" in page
    written = json.loads(found.save(tmp_path / "check.json").read_text())
    assert written["fine"] is True
    assert {row["verdict"] for row in written["rows"]} == {"fine"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda image: image + 0.5, "sky level (F475W)"),
        (lambda image: gaussian_filter(image, 1.5), "PSF width (F475W)"),
        (lambda image: shift(image, (0.3, 0), order=3, mode="nearest"), "registration"),
        (lambda image: image * 1720, "unit (F475W)"),
        (lambda image: np.minimum(image, 3.0), "saturation (F475W)"),
        (lambda image: image + np.random.default_rng(1).normal(0, 0.01, (512, 512)), "noise"),
        (
            lambda image: image + 5.0 * (np.random.default_rng(1).random((512, 512)) < 3e-4),
            "cosmic rays (F475W)",
        ),
    ],
    ids=["sky", "blur", "shift", "units", "saturation", "depth", "cosmic rays"],
)
def test_a_fault_is_named(
    sky: SimulatedMosaic, change: Callable[[np.ndarray], np.ndarray], name: str
) -> None:
    assert name in faults_of(changed(sky, "F475W", change))


def test_predict_lays_a_shifted_band_on_the_others(sky: SimulatedMosaic) -> None:
    moved = changed(sky, "F475W", lambda image: shift(image, (0.4, -0.3), order=5, mode="nearest"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        praesepe.predict("phat", moved, sky.truth)
    assert any("F475W: registration (-0.3" in str(one.message) for one in told)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = praesepe.predict("phat", moved, sky.truth, align=True)
    assert any("F475W lay (-0.3" in str(one.message) for one in told)
    assert "registration" not in faults_of(result.observation)
    assert result.observation.reprojected == ("F475W",)
    stamps = [
        extract_stamps(m, result["x"] - 1, result["y"] - 1, 32).images[:, 1]
        for m in (result.observation, Mosaic.read(sky.images, result.model.survey))
    ]
    light = np.nansum(stamps, axis=(2, 3))
    assert light[0] == pytest.approx(light[1], rel=0.03, abs=1.0)
