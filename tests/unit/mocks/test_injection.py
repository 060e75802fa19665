"""Clusters on real images: their light, their photons, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits

from praesepe.errors import InputError
from praesepe.mocks.injection import inject
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey

SIDE = 160
PLACES = ([40.3, 60.0, 130.45], [80.2, 100.4, 29.75])


@pytest.fixture(scope="module")
def simulator(survey: Survey, tables: SurveyTables) -> Simulator:
    return Simulator(survey, seed=1, n_fields=0, nuisances=False, tables=tables)


@pytest.fixture(scope="module")
def clusters(simulator: Simulator) -> Clusters:
    """Three bright and compact ones."""
    return simulator.sample(3).with_values(
        log_mass=4.5,
        log_rh=-0.9,
        gamma=4.0,
        log_age=8.5,
        profile=0,
        ellipticity=0.0,
        x_offset=0.2,
        y_offset=-0.3,
    )


@pytest.fixture
def background(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0.02, 0.01, (1, SIDE, SIDE)).astype(np.float32)


@pytest.fixture
def caught(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Light that is exposed, before its noise."""
    light: list[torch.Tensor] = []
    expose = simulator.expose

    def catch(images: torch.Tensor, **options: Any) -> torch.Tensor:
        light.append(images.clone())
        return expose(images, **options)

    monkeypatch.setattr(simulator, "expose", catch)
    return light


def flux(truth: dict[str, np.ndarray], simulator: Simulator) -> np.ndarray:
    (band,) = simulator.survey.bands
    return 10 ** (-0.4 * (truth[f"mag_{band.name}"] - band.zero_point_ab))


def test_the_flux_of_the_truth_is_added(
    simulator: Simulator, clusters: Clusters, background: np.ndarray
) -> None:
    made = inject(simulator, background, clusters, *PLACES, seed=5)
    added = (made.images - background)[0]
    assert added.sum() == pytest.approx(flux(made.truth, simulator).sum(), rel=0.02)
    for x, y, light in zip(*PLACES, flux(made.truth, simulator), strict=True):
        piece = added[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13]
        assert 0.85 * light < piece.sum() < 1.03 * light
        index = np.arange(-12, 13)
        center = np.array([piece.sum(0) @ index, piece.sum(1) @ index]) / piece.sum()
        np.testing.assert_allclose(center, (x - round(x), y - round(y)), atol=0.2)
    np.testing.assert_allclose(made.truth["x"], PLACES[0])
    assert added[150:, :30].max() == 0  # no sky, no read noise: nothing where no cluster is


def excess(added: np.ndarray, light: np.ndarray, exposure_s: float) -> float:
    """Variance of the noise in units of the photons'; 1 where it is theirs alone."""
    bright = light * exposure_s > 20
    assert bright.sum() > 1000
    return float(np.mean((added - light)[bright] ** 2 / light[bright] * exposure_s))


def test_the_noise_grows_by_the_clusters_photons_only(
    simulator: Simulator, clusters: Clusters, caught: list[torch.Tensor]
) -> None:
    zero = np.zeros((3, 1, 96, 96), np.float32)
    (exposure_s,) = (band.typical_exposure_s for band in simulator.survey.bands)
    made = inject(simulator, zero, clusters, seed=5)
    light = torch.cat(caught).numpy()
    assert light.shape == zero.shape
    assert excess(made.images, light, exposure_s) == pytest.approx(1, abs=0.08)
    # Negative controls: double noise, and the noise of the sky once more.
    assert excess(light + 2 * (made.images - light), light, exposure_s) > 3
    with_sky = Simulator.expose(simulator, torch.cat(caught)).numpy()
    assert abs(excess(with_sky, light, exposure_s) - 1) > 0.2
    # What is there already is kept, with its noise, to the last digits.
    noisy = np.random.default_rng(3).normal(1, 0.1, zero.shape).astype(np.float32)
    on_noise = inject(simulator, noisy, clusters, seed=5).images
    np.testing.assert_allclose(on_noise - noisy, made.images, atol=1e-3)


def test_a_longer_exposure_has_less_noise(
    simulator: Simulator, clusters: Clusters, caught: list[torch.Tensor]
) -> None:
    zero = np.zeros((3, 1, 96, 96), np.float32)
    made = inject(simulator, zero, clusters, seed=5, exposure_s=[400.0])
    assert excess(made.images, torch.cat(caught).numpy(), 400.0) == pytest.approx(1, abs=0.1)
    (band,) = simulator.survey.band_names
    assert made.truth[f"exposure_{band}"].tolist() == [400.0] * 3


def test_images_deeper_than_the_survey_get_the_same_stars(
    simulator: Simulator, clusters: Clusters
) -> None:
    zero = np.zeros((3, 1, 96, 96), np.float32)
    usual, deeper = (
        inject(simulator, zero, clusters, seed=5, exposure_s=exposure_s).truth
        for exposure_s in (None, [9e4])
    )
    assert all(np.array_equal(usual[name], deeper[name]) for name in usual)


def test_the_same_seed_gives_the_same(
    simulator: Simulator, clusters: Clusters, background: np.ndarray, tmp_path: Path
) -> None:
    simulator.seed(3)
    before = simulator.generator.get_state()
    one, again, other = (
        inject(simulator, background, clusters, *PLACES, seed=seed)
        for seed in (5, np.int64(5), (5, 1))
    )
    assert torch.equal(simulator.generator.get_state(), before)
    with fits.open(again.save(tmp_path / "injected.fits")) as file:
        np.testing.assert_array_equal(file["IMAGES"].data, one.images)
        assert (file["IMAGES"].header["BUNIT"], file["IMAGES"].header["SEED"]) == ("electron/s", 5)
        for name, values in one.truth.items():
            np.testing.assert_array_equal(file["TRUTH"].data[name], values)
    with pytest.raises(InputError, match="exists"):
        again.save(tmp_path / "injected.fits")
    with pytest.raises(InputError, match="exists"):
        inject(simulator, background, clusters, *PLACES, out=tmp_path / "injected.fits")
    inject(simulator, background, clusters, *PLACES, seed=5, out=tmp_path / "again.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "again.fits", "IMAGES"), one.images)
    assert repr(one) == "<Injected: 3 clusters on images of 1 × 160 × 160>"
    np.testing.assert_array_equal(one.images, again.images)
    assert all(np.array_equal(one.truth[name], again.truth[name]) for name in one.truth)
    assert not np.array_equal(one.images, other.images)
    assert one.images.shape == background.shape


def test_gaps_stay_and_clusters_may_lie_at_the_edge(
    simulator: Simulator, clusters: Clusters, background: np.ndarray
) -> None:
    background[0, :20] = np.nan
    made = inject(simulator, background, clusters, [0.0, 80.0, 159.4], [159.4, 10.0, 159.0])
    np.testing.assert_array_equal(np.isnan(made.images), np.isnan(background))
    assert made.images[0, 159, 0] > background[0, 159, 0] + 1


@pytest.mark.parametrize("value", [0.0, -0.0021])
def test_no_light_falls_on_gaps(
    simulator: Simulator, clusters: Clusters, background: np.ndarray, value: float
) -> None:
    """Else the gap would look observed, and be measured as a faint cluster."""
    background[0, :, 60:110] = value
    made = inject(simulator, background, clusters, *PLACES)
    gap = made.images[0, :, 60:110]
    assert (np.isnan(gap) | (gap == np.float32(value))).all()
    assert np.isnan(gap[80:120, :20]).all()  # where the second cluster lies
    masked = np.ma.masked_equal(background, np.float32(value))
    again = inject(simulator, masked, clusters, *PLACES)
    np.testing.assert_array_equal(made.images[0, :, :60], again.images[0, :, :60])


def test_saturation_ends_the_sum_and_leaves_the_image_alone(
    simulator: Simulator, clusters: Clusters, background: np.ndarray
) -> None:
    """Real pixels may be brighter than the survey says, by a longer exposure for instance."""
    (band,) = simulator.survey.bands
    full = 200.0 * band.n_exposures / band.typical_exposure_s  # e-/s
    survey = simulator.survey.with_values(
        observation={"bands": (band.model_copy(update={"saturation_e": 200.0}),)}
    )
    shallow = Simulator(survey, n_fields=0, nuisances=False, tables=simulator.tables)
    bright = np.zeros(background.shape, bool)
    bright[0, 70:75, 50:55] = True  # beside the first two clusters
    background[bright] = np.random.default_rng(3).normal(3 * full, 0.1 * full, 25)  # no plateau
    free = inject(simulator, background, clusters, *PLACES, seed=5).images
    made = inject(shallow, background, clusters, *PLACES, seed=5).images
    assert (made[bright] == background[bright]).all()
    clipped = (free > full) & ~bright
    assert clipped.sum() > 20
    np.testing.assert_allclose(made[clipped], full, rtol=1e-6)
    np.testing.assert_array_equal(made[~clipped & ~bright], free[~clipped & ~bright])


def test_a_stamp_is_as_one_of_the_simulator(simulator: Simulator, clusters: Clusters) -> None:
    """The light of clusters in a stamp, whichever way it was made."""
    many = clusters.part(torch.arange(40) % 3)
    drawn = simulator.observe(many)
    zero = np.zeros(drawn.images.shape, np.float32)
    made = inject(simulator, zero, many, seed=2)
    sky = float(drawn.images[:, :, 0].median())
    per_mass = [
        (images - level).sum((1, 2, 3)) / 10 ** truth["log_mass"]
        for images, level, truth in (
            (made.images, 0.0, made.truth),
            (drawn.images.numpy(), sky, {"log_mass": drawn.truth["log_mass"].numpy()}),
        )
    ]
    assert np.median(per_mass[0]) == pytest.approx(np.median(per_mass[1]), rel=0.1)


def test_what_does_not_fit_is_refused(simulator: Simulator, clusters: Clusters) -> None:
    stamps, sky = np.zeros((3, 1, 32, 32)), np.zeros((1, 64, 64))
    old = clusters.with_values(log_age=12.0)
    refused: dict[str, Callable[[], Any]] = {
        "of 1 bands": lambda: inject(simulator, np.zeros((3, 64, 64)), clusters, *PLACES),
        "clusters = 3: it must be 2": lambda: inject(simulator, stamps[:2], clusters),
        "x or y is not given; give both": lambda: inject(simulator, sky, clusters),
        "it must be .3,. for 3 clusters": lambda: inject(simulator, sky, clusters, [1.0], [1.0]),
        "lie outside the image of 64×64": lambda: inject(simulator, sky, clusters, *PLACES),
        "must be positive times": lambda: inject(simulator, stamps, clusters, exposure_s=[0.0]),
        "log_age": lambda: inject(simulator, stamps, old),
    }
    for message, attempt in refused.items():
        with pytest.raises(InputError, match=message):
            attempt()
