"""Artificial-cluster tests: the metrics are what they say, and a bad model is found out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.table import Table
from scipy import stats

from praesepe.errors import InputError, PraesepeWarning
from praesepe.evaluation import PRODUCTS, Recovery, evaluate, metrics_of
from praesepe.evaluation.detection import detection_metrics
from praesepe.evaluation.recovery import compare
from praesepe.mocks.sets import simulate
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior
from praesepe.quantities import CONTAMINANT, Quantity, register, unregister
from praesepe.report.demo import run_demo
from praesepe.sky.contents import contents_of
from praesepe.sky.stamps import Mocks
from praesepe.survey import load_survey
from praesepe.training.config import TrainingSettings
from praesepe.training.initial import start_network

PHAT = load_survey("phat-nodust")
PRIORS = {"log_age": (6.6, 10.1), "log_mass": (2.0, 4.5), "log_rh": (-1.097, -0.097)}
NAMES = tuple(PRIORS)
METRICS = {"median", "mad_sigma", "rms", "coverage68", "coverage95"}


class Fakes:
    """In place of the simulator: labels from the prior, written into the stamps' first pixels."""

    def __init__(self, survey: Any, *, seed: int, nuisances: bool = True, **_: Any) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.nuisances = nuisances

    def draw_block(self, block: int, n: int) -> Mocks:
        low, high = torch.tensor(list(PRIORS.values())).T
        labels = low + (high - low) * torch.rand(n, 3, generator=self.generator)
        images = torch.zeros(n, 3, 64, 64)
        images[:, 0, 0, :3] = labels
        truth = dict(zip(NAMES, labels.T, strict=True))
        return Mocks(images, truth | {"gamma": torch.full((n,), 3.0)})


class Gaussian(Estimator):
    """A model with Gaussian posteriors of known error: calibrated, biased or overconfident."""

    sigma = 0.1
    claimed_sigma = 0.1
    bias = 0.0

    def predict(self, stamps: Any, *, n_samples: int = 500, rows: Any, **_: Any) -> Posterior:
        """Posterior around truth + error."""
        rng = np.random.default_rng(int(rows[0]))
        truth = np.asarray(stamps)[:, 0, 0, :3]
        center = truth + self.bias + self.sigma * rng.normal(size=truth.shape)
        draws = center[:, None] + self.claimed_sigma * rng.normal(size=(len(truth), n_samples, 3))
        return Posterior(
            draws.astype(np.float32),
            np.zeros(len(truth), np.float32),
            lambda values: torch.zeros(len(values)),
        )


@pytest.fixture
def gaussian(monkeypatch: pytest.MonkeyPatch) -> Gaussian:
    monkeypatch.setattr("praesepe.evaluation.assessment.Simulator", Fakes)
    return Gaussian.untrained(PHAT, encoder="tiny")  # type: ignore[return-value]


@pytest.fixture
def tiny() -> Estimator:
    """A model with random weights, for few stars on small stamps of one band."""
    survey = PHAT.with_values(
        galaxy={"field": {"surface_density": (0.02, 0.1), "metallicity": (0.02, 0.02)}},
        observation={"bands": PHAT.bands[:1]},
        network={"stamp_size": 16},
        clusters={"log_mass": (2.0, 2.5), "rh_arcsec": (0.1, 0.3)},
    )
    return Estimator.untrained(survey, encoder="tiny")


@pytest.mark.parametrize("simulate", [evaluate, run_demo])
def test_other_files_than_those_of_the_training_are_refused(
    tmp_path: Path, simulate: Callable[..., Any]
) -> None:
    """A PSF that was replaced at the same path simulates other clusters than were trained on."""
    file = tmp_path / "psf.fits"
    file.write_bytes(b"a star")
    psf = PHAT.bands[0].psf.model_copy(update={"file": str(file)})
    bands = (PHAT.bands[0].model_copy(update={"psf": psf}),)
    survey = PHAT.with_values(observation={"bands": bands})
    model = Estimator.untrained(survey, encoder="tiny").describe(hashes=contents_of(survey))
    file.write_bytes(b"another star")
    with pytest.raises(InputError, match=r"psf.fits \(psfs of F336W, .* else.*above it.*; put"):
        simulate(model=model, out=tmp_path / "out")
    for described in (survey, survey.model_copy(update={"description": "with new optics"})):
        with pytest.warns(PraesepeWarning, match=r"new ones: .*psf.fits \(psfs of F336W.* else"):
            start_network(described, TrainingSettings(steps=1), model)


def simulate_set(model: Estimator, out: Path, **how: Any) -> Any:
    return simulate(model.survey, out=out / "set.fits", **how)


@pytest.mark.parametrize("run", [evaluate, simulate_set])
def test_a_set_of_stars_that_is_not_in_the_package_is_done_without(
    tmp_path: Path, tiny: Estimator, run: Callable[..., Any]
) -> None:
    """A model of two sets, on a machine that has one of them; one of none is refused."""
    survey = tiny.survey.with_values(clusters={"stars": {"isochrones": ("sse", "absent")}})
    known = contents_of(tiny.survey)
    hashes = {**known, "isochrones": {**known["isochrones"], "absent": "0" * 64}}
    model = Estimator.untrained(survey, encoder="tiny").describe(hashes=hashes)
    with pytest.warns(PraesepeWarning, match="stars of sse alone: .* absent is not here"):
        done = run(model=model, out=tmp_path, n=2)
    if run is evaluate:
        assert done["provenance"]["stars"] == ["sse"]
    survey = survey.with_values(clusters={"stars": {"isochrones": "absent"}})
    model = Estimator.untrained(survey, encoder="tiny").describe(hashes=hashes)
    with pytest.raises(InputError, match="absent"):
        run(model=model, out=tmp_path, n=2, overwrite=True)


def test_a_calibrated_model_is_calibrated(gaussian: Gaussian) -> None:
    metrics = evaluate(gaussian, n=4000, seed=2)["all"]
    assert metrics["n"] == 4000
    for name in NAMES:
        assert metrics[name].keys() == METRICS
        assert metrics[name]["median"] == pytest.approx(0, abs=0.01)
        assert metrics[name]["mad_sigma"] == pytest.approx(0.1, abs=0.008)
        assert metrics[name]["rms"] == pytest.approx(0.1, abs=0.008)
        # binomial: 0.0074 and 0.0033 at 4000
        assert metrics[name]["coverage68"] == pytest.approx(0.6827, abs=0.03)
        assert metrics[name]["coverage95"] == pytest.approx(0.9545, abs=0.013)


def test_an_overconfident_model_is_found_out(gaussian: Gaussian) -> None:
    gaussian.claimed_sigma = 0.05
    metrics = evaluate(gaussian, n=2000, seed=2)["all"]
    for name in NAMES:
        assert metrics[name]["coverage68"] == pytest.approx(0.383, abs=0.04)  # erf(0.5 / sqrt 2)


def test_a_biased_model_is_found_out(gaussian: Gaussian) -> None:
    gaussian.bias = 0.2
    metrics = evaluate(gaussian, n=2000, seed=2)["all"]
    for name in NAMES:
        assert metrics[name]["median"] == pytest.approx(0.2, abs=0.01)
        assert metrics[name]["mad_sigma"] == pytest.approx(0.1, abs=0.01)
        assert metrics[name]["rms"] == pytest.approx(math.hypot(0.2, 0.1), abs=0.01)


def recovery(truth: np.ndarray, **changes: Any) -> Recovery:
    """Clusters whose posteriors lie around the truth."""
    entries = {
        "names": NAMES,
        "truth": truth,
        "percentiles": np.stack([truth - 0.1, truth, truth + 0.1]),
        "pit": np.full(truth.shape, 0.5),
        "log_prob": np.zeros(len(truth)),
        "tarp": np.full(len(truth), 0.5),
    }
    return Recovery(**{**entries, **changes})


def test_empty_bins_are_null_in_valid_json() -> None:
    one = recovery(np.array([[9.8, 2.2, -0.5]]))
    metrics = metrics_of(one, PRIORS, PHAT.evaluation.bins)
    assert metrics["seed_range"]["n"] == 0
    assert metrics["seed_range"]["log_age"] == dict.fromkeys(METRICS)
    assert metrics["all"]["log_age"]["median"] == 0
    json.loads(json.dumps(metrics, allow_nan=False))


@pytest.fixture
def kind() -> Iterator[Quantity]:
    """A categorical quantity, registered for the test."""
    yield register(Quantity("kind", "k", "", "what it is", categories=("cluster", "nothing")))
    unregister("kind")


def test_categories_are_scored(kind: Quantity) -> None:
    truth = np.array([[0.0], [1.0], [1.0]])
    probabilities = {"kind": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])}
    one = recovery(truth, names=("kind",), probabilities=probabilities, tarp=np.full(3, np.nan))
    metrics = metrics_of(one, {})
    assert metrics["all"]["kind"]["accuracy"] == pytest.approx(2 / 3)
    assert metrics["kind_cluster"]["kind"]["brier"] == pytest.approx(0.02)
    assert metrics["calibration"]["tarp_ks_distance"] is None
    json.loads(json.dumps(metrics, allow_nan=False))
    assert {"kind_true", "kind_p_cluster"} <= set(one.to_table().colnames)
    assert metrics["kind_nothing"]["n"] == 2
    assert metrics["by_median"]["kind_nothing"]["n"] == 1  # taken for nothing, most probably


def test_bins_of_the_median_are_calibrated_where_bins_of_the_truth_are_not(
    rng: np.random.Generator,
) -> None:
    """The known posterior of a truth drawn from a normal prior and measured with an error."""
    truth = rng.normal(7.0, 0.5, (20_000, 1))
    measured = truth + rng.normal(0, 0.5, truth.shape)
    median, sigma = (measured + 7.0) / 2, 0.5 / np.sqrt(2)
    low, high = median - sigma, median + sigma
    pit = stats.norm.cdf((truth - median) / sigma)
    one = recovery(truth, names=("log_age",), percentiles=np.stack([low, median, high]), pit=pit)
    metrics = metrics_of(one, {"log_age": (5.5, 8.5)})
    assert metrics["age_8.0_8.5"]["log_age"]["median"] < -0.4
    assert metrics["age_8.0_8.5"]["log_age"]["coverage68"] < 0.45
    for name in ("age_6.5_7.0", "age_7.5_8.0"):
        values = metrics["by_median"][name]["log_age"]
        assert values["median"] == pytest.approx(0, abs=0.04)
        assert values["coverage68"] == pytest.approx(0.6827, abs=0.04)


def test_a_truth_without_density_does_not_hide_the_log_score_of_the_others() -> None:
    truth = np.zeros((4, 3))
    scores = np.array([1.0, -np.inf, 2.0, -np.inf])
    calibration = metrics_of(recovery(truth, log_prob=scores), PRIORS)["calibration"]
    assert (calibration["log_score"], calibration["n_zero_density"]) == (1.5, 2)
    scores = np.full(4, -np.inf)
    calibration = metrics_of(recovery(truth, log_prob=scores), PRIORS)["calibration"]
    assert (calibration["log_score"], calibration["n_zero_density"]) == (None, 4)
    scores = np.array([1.0, np.nan, 2.0, 3.0])  # a density that is not known stays so
    calibration = metrics_of(recovery(truth, log_prob=scores), PRIORS)["calibration"]
    assert (calibration["log_score"], calibration["n_zero_density"]) == (None, 0)


def test_what_is_written(gaussian: Gaussian, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    seen: list[tuple[int, int]] = []
    metrics = evaluate(gaussian, n=300, seed=2, out=out, progress=lambda *at: seen.append(at))
    assert seen == [(0, 300), (256, 300), (300, 300)]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["provenance"]["seed"] == 2
    assert metrics["provenance"]["n"] == 300
    assert metrics["provenance"]["model"] == PHAT.name
    assert metrics["provenance"]["survey_fingerprint"] == PHAT.fingerprint()
    table = Table.read(out / "clusters.ecsv")
    assert len(table) == 300
    residual = table["log_age_p50"] - table["log_age_true"]
    assert np.median(residual) == pytest.approx(metrics["all"]["log_age"]["median"], abs=1e-6)
    assert str(table["log_mass_true"].unit) == "dex(solMass)"
    for name in ("recovered", "residuals", "calibration"):
        picture = (out / f"{name}.png").read_bytes()
        assert picture[:4] == b"\x89PNG"
        assert json.dumps(metrics["provenance"]).encode() in picture
    assert metrics["provenance"].items() <= table.meta.items()
    with pytest.raises(InputError, match=r"holds metrics\.json"):
        evaluate(gaussian, n=300, seed=2, out=out)
    (out / "detection.png").touch()  # of another model, which infers the class
    evaluate(gaussian, n=10, seed=3, out=out, overwrite=True)
    assert not (out / "detection.png").exists()
    assert json.loads((out / "metrics.json").read_text())["all"]["n"] == 10


def test_same_seed_same_metrics(gaussian: Gaussian) -> None:
    one, again, other = (evaluate(gaussian, n=50, seed=seed)["all"] for seed in (2, 2, 3))
    assert one == again
    assert one != other


def test_the_training_s_seed_is_refused(gaussian: Gaussian) -> None:
    run = {"steps": 1, "clusters": 8, "seed": 7, "learning_rate": 1e-3}
    gaussian.describe(runs=[run])
    with pytest.raises(InputError, match="seed 7"):
        evaluate(gaussian, n=10, seed=7)
    assert evaluate(gaussian, n=10, seed=8)["all"]["n"] == 10


def test_a_model_that_knows_contaminants_is_judged_on_clusters(tiny: Estimator) -> None:
    contaminants = {"fraction": 0.5, "off_center_px": (3.0, 6.0)}
    survey = tiny.survey.with_values(contaminants=contaminants)
    recovery = evaluate(Estimator.untrained(survey, encoder="tiny"), n=8, seed=2).recovery
    assert len(recovery) == 8
    assert np.isfinite(recovery.truth).all()
    assert (recovery.extra["contaminant"] == 0).all()


def test_a_model_that_infers_the_class_is_judged_on_contaminants_too(
    tiny: Estimator, tmp_path: Path
) -> None:
    survey = tiny.survey.with_values(
        contaminants={"fraction": 0.5, "off_center_px": (3.0, 6.0)},
        network={"infers": ("log_age", "log_mass", "object_class", "log_visibility")},
    )
    seen: list[tuple[int, int]] = []
    evaluation = evaluate(
        Estimator.untrained(survey, encoder="tiny"),
        n=70,  # more than a batch of the network: all of it has no age
        seed=2,
        n_samples=20,
        progress=lambda *at: seen.append(at),
    )
    detection = evaluation["detection"]
    assert detection["n_background"] == 70
    assert set(detection["mistaken"]) <= set(CONTAMINANT.categories[1:])
    assert [at["rate"] for at in detection["at_rates"]] == [0.1]
    assert seen[-1] == (140, 140)
    assert np.isfinite(evaluation.recovery.truth).all()
    json.dumps(evaluation.metrics, allow_nan=False)
    shown = dict(evaluation.figures())["recovered.png"].axes
    assert not any("class" in ax.get_xlabel() for ax in shown)  # which is the same for all
    evaluation.save(tmp_path)
    assert set(evaluation.products) == set(PRODUCTS) == {path.name for path in tmp_path.iterdir()}


def test_of_what_is_certain_there_is_no_coverage() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(200, 2))
    samples = truth[:, None] + rng.normal(size=(200, 50, 2)) + rng.normal(size=(200, 1, 2))
    samples[..., 1] = truth[:, None, 1]
    recovery = compare(
        ("log_age", "log_mass"),
        truth,
        samples,
        {"log_age": (-3, 3), "log_mass": (-3, 3)},
        log_prob=np.zeros(200),
        probabilities={},
        extra={},
        generator=rng,
    )
    found = metrics_of(recovery, {"log_age": (-3, 3), "log_mass": (-3, 3)})
    assert found["all"]["log_age"]["coverage68"] == pytest.approx(0.68, abs=0.12)
    assert found["all"]["log_mass"]["coverage68"] is None
    assert found["all"]["log_mass"]["median"] == 0
    assert found["calibration"]["ks_distance"]["log_mass"] is None


def test_completeness_is_that_at_a_rate_of_false_positives() -> None:
    def seen(probability: np.ndarray, **extra: np.ndarray) -> Recovery:
        n = len(probability)
        empty = np.zeros((n, 1))
        return Recovery(
            ("object_class",),
            empty,
            np.zeros((3, n, 1)),
            empty,
            np.zeros(n),
            np.zeros(n),
            {"object_class": np.stack((1 - probability, probability), 1)},
            extra,
        )

    rng = np.random.default_rng(1)
    kind = np.repeat([1, 3], 2000)
    mistaken = np.where(kind == 1, 0.5 * rng.random(4000), rng.random(4000))
    log_visibility = np.repeat([0.2, 1.2], 1000)
    clusters = seen(np.repeat([0.4, 0.97], 1000), log_visibility=log_visibility)
    found = detection_metrics(clusters, seen(mistaken, contaminant=kind))
    assert found["mistaken"] == {"empty": 0, "star": pytest.approx(0.5, abs=0.04)}
    at = {one["rate"]: one for one in found["at_rates"]}
    assert list(at) == [0.1, 0.01, 0.001]
    assert at[0.1]["threshold"] == pytest.approx(0.8, abs=0.02)
    assert at[0.1]["completeness"] == 0.5
    assert at[0.1]["completeness_visible"] == 1
    assert at[0.1]["by_log_visibility"] == {"0.0_0.5": 0.0, "1.0_1.5": 1.0}
    assert at[0.01]["threshold"] == pytest.approx(0.98, abs=0.004)
    assert at[0.01]["completeness"] == 0


def test_bad_arguments(gaussian: Gaussian, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n = 0"):
        evaluate(gaussian, n=0, seed=1)
    with pytest.raises(InputError, match="n_samples = 0"):
        evaluate(gaussian, n=1, seed=1, n_samples=0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        evaluate(gaussian, n=5, seed=1, out=tmp_path / "file")
    with pytest.raises(InputError, match="no-such-model"):
        evaluate("no-such-model", n=5, seed=1)


@pytest.mark.filterwarnings("error::praesepe.errors.PraesepeWarning")
def test_a_bin_of_what_is_not_inferred_is_told_before_the_work(gaussian: Gaussian) -> None:
    gaussian.survey = PHAT.with_values(evaluation={"bins": {"dusty": {"a_v": (1.0, 2.0)}}})
    seen: list[tuple[int, int]] = []
    with pytest.raises(PraesepeWarning, match="'dusty' is left out"):
        evaluate(gaussian, n=10, seed=2, progress=lambda *at: seen.append(at))
    assert seen == []


def test_table_of_clusters() -> None:
    extra = {"gamma": np.full(4, 3.0), "mag_F475W": np.full(4, 20.0), "log_age": np.zeros(4)}
    table = recovery(np.zeros((4, 3)), extra=extra).to_table()
    assert {"log_age_true", "log_rh_p16", "log_mass_pit", "log_prob", "gamma"} < set(table.colnames)
    assert "log_age" not in table.colnames  # it is there as the truth
    assert table["mag_F475W"].unit == "mag"
    assert table["gamma"].description == "slope of the EFF profile"
    assert table["log_age_p16"].description.endswith("; percentile 16 of the posterior")


def test_calibration_of_the_joint_posterior(gaussian: Gaussian) -> None:
    # Narrow: at the edges of the prior these posteriors, which do not know it, are wrong.
    gaussian.sigma = gaussian.claimed_sigma = 0.005
    calibration = evaluate(gaussian, n=2000, seed=2)["calibration"]
    assert calibration["tarp_ks_distance"] < calibration["ks_bound"]
    assert max(calibration["ks_distance"].values()) < calibration["ks_bound"]
    gaussian.claimed_sigma = 0.0025
    calibration = evaluate(gaussian, n=2000, seed=2)["calibration"]
    assert calibration["tarp_ks_distance"] > calibration["ks_bound"]
    assert min(calibration["ks_distance"].values()) > calibration["ks_bound"]


def test_an_evaluation_says_what_it_is(gaussian: Gaussian) -> None:
    evaluation = evaluate(gaussian, n=64, seed=2)
    assert f"64 artificial clusters of {PHAT.name!r}, seed 2; age: bias" in repr(evaluation)
    assert repr(evaluation.recovery) == (
        "<Recovery of log_age, log_mass, log_rh of 64 artificial clusters>"
    )
    assert dict(evaluation) == evaluation.metrics
    assert {"provenance", "calibration", "all"} <= set(evaluation)


def test_workers_change_nothing(tiny: Estimator) -> None:
    """The real simulator and a model with random weights, in this process and in two others."""
    settings = {"n": 300, "seed": 2, "n_samples": 20}
    here = evaluate(tiny, **settings).recovery
    there = evaluate(tiny, **settings, workers=2).recovery
    for name in ("truth", "percentiles", "pit", "log_prob", "tarp"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    np.testing.assert_array_equal(here.extra["gamma"], there.extra["gamma"])


@pytest.mark.parametrize("name", PRODUCTS)
def test_no_file_of_the_user_is_overwritten(gaussian: Gaussian, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"already holds {name}"):
        evaluate(gaussian, n=2, out=tmp_path)
    assert (tmp_path / name).read_text() == "mine"
