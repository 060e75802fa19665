"""One model for two cameras: trained, saved, and asked about images of each, whose headers tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits

import praesepe
from praesepe.errors import InputError
from praesepe.evaluation.asking import make_asking
from praesepe.images.mosaic.cameras import with_cameras
from praesepe.inference.check.checking import check_images
from praesepe.inference.prediction import predict
from praesepe.mocks.mosaic_files import SimulatedMosaic
from praesepe.network.estimator import Estimator
from praesepe.survey import Survey, load_survey
from praesepe.training.initial import transfer
from praesepe.training.loop import train

BOTH = ("UVIS", "ACS")


@pytest.fixture(scope="module")
def survey() -> Survey:
    """Two channels of `nearby`, small stamps, few stars of one metallicity."""
    nearby = load_survey("nearby")
    field = {"surface_density": (1e-3, 2e-3), "metallicity": (0.0199, 0.02), "log_age": (8, 8.5)}
    return nearby.with_values(
        observation={
            "bands": [band for band in nearby.bands if band.channel in ("F555W", "F814W")],
            "nuisance": {"focus_nm": 0.0},
        },
        galaxy={"field": field | {"galaxies_per_arcmin2": 0.0}},
        clusters={
            "metallicity": 0.02, "a_v": 0.3, "rh_pc": (1.0, 4.0), "log_mass": (3.0, 4.0),
            "log_age": (8.0, 8.5), "nebular": 0.0, "stars": {"binary_fraction": 0.0, "r_v": 3.1},
        },
        contaminants={"fraction": 0.0},
        network={"stamp_size": 16, "infers": ("log_age", "log_mass", "log_rh")},
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nearby") / "model"
    quick = {"steps": 6, "batch_size": 16, "valid_size": 32, "valid_every": 3}
    train(survey, out=out, encoder="tiny", seed=1, **quick)
    return out


@pytest.fixture(scope="module")
def mosaic(survey: Survey) -> SimulatedMosaic:
    return praesepe.simulate_mosaic(survey, n=4, size=128, density=0, seed=5, nuisances=False)


def images_of(mosaic: SimulatedMosaic, camera: str) -> dict[str, Any]:
    """Images of one camera, by the names of the channels."""
    return {f: mosaic.images[f"{f}_{camera}"] for f in ("F555W", "F814W")}


def ask(model: Path, images: dict[str, Any], mosaic: SimulatedMosaic, **how: Any) -> Any:
    known: Any = {"distance_pc": mosaic.survey.distance_pc, "foreground_a_v": 0.25}
    return predict(
        model, images, mosaic.truth["ra", "dec"], known=known, n_samples=20, check=False, **how
    )


def test_a_header_tells_the_camera(model: Path, mosaic: SimulatedMosaic) -> None:
    answers = {}
    for camera in BOTH:
        images = images_of(mosaic, camera)
        result = ask(model, images, mosaic, pixels_of="F814W")
        assert result.observation.band_names == tuple(f"{f}_{camera}" for f in images)
        named = ask(model, {f"{f}_{camera}": hdus for f, hdus in images.items()}, mosaic)
        answers[camera] = np.array(result["log_age_p50"])
        assert np.isfinite(answers[camera]).all()
        np.testing.assert_array_equal(answers[camera], named["log_age_p50"])
    mixed = images_of(mosaic, "UVIS") | {"F814W": mosaic.images["F814W_ACS"]}
    result = ask(model, mixed, mosaic, zero_points={"F814W": 25.943})
    assert result.observation.band_names == ("F555W_UVIS", "F814W_ACS")
    for others in answers.values():
        assert (np.array(result["log_age_p50"]) != others).any()


def camera_is(instrument: str, detector: str, hdus: fits.HDUList) -> fits.HDUList:
    """The same image with another camera in its header."""
    copy = fits.HDUList([hdu.copy() for hdu in hdus])
    for key, value in (("INSTRUME", instrument), ("DETECTOR", detector)):
        copy[0].header.pop(key)
        if value:
            copy[0].header[key] = value
    copy[1].header.pop("PHOTMODE")
    return copy


@pytest.mark.parametrize(
    ("band", "camera", "message"),
    [
        ("F814W", ("WFPC2", ""), r"'F814W', which is of WFC3/UVIS and ACS/WFC, but .* says WFPC2"),
        ("F814W", ("WFC3", "IR"), r"'F814W', which is of .*, but its header says WFC3/IR"),
        ("F814W", ("", ""), r"does not say which camera took it.*or name the band: F814W_UVIS"),
        ("F814W_ACS", ("WFC3", "UVIS"), r"'F814W_ACS', which is of ACS/WFC, but .* says WFC3"),
    ],
)
def test_a_camera_that_the_channel_does_not_know(
    survey: Survey, mosaic: SimulatedMosaic, band: str, camera: tuple[str, str], message: str
) -> None:
    image = camera_is(*camera, mosaic.images["F814W_ACS"])
    with pytest.raises(InputError, match=message):
        with_cameras(survey, {"F555W": mosaic.images["F555W_ACS"], band: image})


def test_two_images_of_one_channel(model: Path, survey: Survey, mosaic: SimulatedMosaic) -> None:
    both = r"F814W_UVIS and F814W_ACS are of one channel, 'F814W'.*give one of them"
    images: dict[str, Any] = {name: mosaic.images[name] for name in ("F814W_UVIS", "F814W_ACS")}
    with pytest.raises(InputError, match=both):
        ask(model, images, mosaic)
    estimator = Estimator.load(model)
    told = {"foreground_a_v": 0.2, "log_distance": 7.0}
    stamps = np.zeros((2, len(survey.bands), 16, 16), np.float32)
    with pytest.raises(InputError, match="are of one channel"):
        estimator.predict(stamps, conditions=told)  # all are said to be present
    estimator.predict(stamps, conditions=told | {"present": [1, 0, 0, 1]}, n_samples=2)


def test_the_cameras_share_the_first_layer(survey: Survey, generator: Any) -> None:
    """The same pixels of another camera are the same input, and another answer by what is told."""
    made = Estimator.untrained(survey, encoder="tiny", seed=2)
    assert made.net.encoder.stem[0].in_channels == 2
    assert [band.channel for band in made.card.bands] == ["F555W", "F555W", "F814W", "F814W"]
    rng = np.random.default_rng(1)
    stamps = np.repeat(rng.normal(0, 0.01, (3, 2, 16, 16)), 2, axis=1).astype(np.float32)
    told = {"foreground_a_v": 0.2, "log_distance": 7.0}
    answers = [
        made.predict(stamps, conditions=told | {"present": one}, n_samples=4).samples
        for one in ([1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1])
    ]
    assert not np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    stamps[:, 1::2] = 7.0  # of bands that are not there
    again = made.predict(stamps, conditions=told | {"present": [1, 0, 1, 0]}, n_samples=4)
    np.testing.assert_array_equal(again.samples, answers[0])


def test_it_starts_from_a_model_of_one_camera(survey: Survey) -> None:
    uvis = tuple(band for band in survey.bands if band.instrument == "WFC3/UVIS")
    start = Estimator.untrained(
        survey.with_values(observation={"bands": uvis}), encoder="tiny", seed=3
    )
    fresh = Estimator.untrained(survey, encoder="tiny", seed=4)
    transfer(start, fresh)
    assert torch.equal(fresh.net.encoder.stem[0].weight, start.net.encoder.stem[0].weight)


def test_it_is_evaluated_in_one_camera(model: Path) -> None:
    how: Any = {"survey": None, "told": {}, "prior": {}, "n_samples": 10}
    estimator = Estimator.load(model)
    assert make_asking(estimator, bands=None, **how).bands == ("F555W_UVIS", "F814W_UVIS")
    mixed = ("F555W_UVIS", "F814W_ACS")
    assert make_asking(estimator, bands=mixed, **how).bands == mixed
    with pytest.raises(InputError, match="are of one channel"):
        make_asking(estimator, bands=("F814W_UVIS", "F814W_ACS"), **how)


def test_it_can_be_checked(model: Path, mosaic: SimulatedMosaic) -> None:
    found = check_images(model, images_of(mosaic, "ACS"), n_fields=2)
    assert found.observation.band_names == ("F555W_ACS", "F814W_ACS")
