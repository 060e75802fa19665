"""Artificial-cluster tests: the metrics are what they say, and a bad model is found out."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.table import Table

from praesepe import evaluate as _public
from praesepe.errors import InputError
from praesepe.evaluation.recovery import (
    Recovered,
    as_table,
    bins,
    coverage,
    evaluate,
    probability_integral_transform,
    summarise,
)
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior
from praesepe.sky.simulator import Mocks
from praesepe.survey import load_survey

PHAT = load_survey("phat")
PARAMETERS = ("log_age", "log_mass", "log_rh")
METRICS = {"median", "mad_sigma", "rms", "coverage68", "coverage95"}


class Fakes:
    """In place of the simulator: labels from the prior, written into the stamps' first pixels."""

    def __init__(self, survey: Any, *, seed: int, nuisances: bool = True, **_: Any) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.nuisances = nuisances

    def draw(self, n: int) -> Mocks:
        low, high = torch.tensor([6.6, 2.0, -1.097]), torch.tensor([10.1, 4.5, -0.097])
        labels = low + (high - low) * torch.rand(n, 3, generator=self.generator)
        images = torch.zeros(n, 3, 64, 64)
        images[:, 0, 0, :3] = labels
        return Mocks(images, labels, {"gamma": torch.full((n,), 3.0)})


class Gaussian(Estimator):
    """A model with Gaussian posteriors of known error: calibrated, biased or overconfident."""

    sigma = 0.1
    claimed_sigma = 0.1
    bias = 0.0

    def predict(self, stamps: Any, *, n_samples: int = 500, rows: Any, **_: Any) -> Posterior:
        """Posterior around truth + error."""
        rng = np.random.default_rng(int(rows[0]))
        truth = np.asarray(stamps)[:, 0, 0, :3]
        centre = truth + self.bias + self.sigma * rng.normal(size=truth.shape)
        draws = centre[:, None] + self.claimed_sigma * rng.normal(size=(len(truth), n_samples, 3))
        return Posterior(
            draws.astype(np.float32),
            np.zeros(len(truth), np.float32),
            lambda values: torch.zeros(len(values)),
        )


@pytest.fixture
def gaussian(monkeypatch: pytest.MonkeyPatch) -> Gaussian:
    # `praesepe.evaluate` is the function; its module is in sys.modules
    monkeypatch.setattr(sys.modules["praesepe.evaluation.recovery"], "Simulator", Fakes)
    return Gaussian.untrained(PHAT, encoder="tiny")  # type: ignore[return-value]


def test_a_calibrated_model_is_calibrated(gaussian: Gaussian) -> None:
    metrics = evaluate(gaussian, n=4000, seed=2)["all"]
    assert metrics["n"] == 4000
    for name in PARAMETERS:
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
    for name in PARAMETERS:
        assert metrics[name]["coverage68"] == pytest.approx(0.383, abs=0.04)  # erf(0.5 / sqrt 2)


def test_a_biased_model_is_found_out(gaussian: Gaussian) -> None:
    gaussian.bias = 0.2
    metrics = evaluate(gaussian, n=2000, seed=2)["all"]
    for name in PARAMETERS:
        assert metrics[name]["median"] == pytest.approx(0.2, abs=0.01)
        assert metrics[name]["mad_sigma"] == pytest.approx(0.1, abs=0.01)
        assert metrics[name]["rms"] == pytest.approx(math.hypot(0.2, 0.1), abs=0.01)


def test_bins() -> None:
    truth = np.array(
        [
            [9.0, np.log10(250), -0.5],
            [9.0, 3.5, -0.5],
            [9.6, 3.5, -0.5],
            [7.0, 2.39, -0.5],
            [10.05, 4.49, -0.5],
        ]
    )
    selected = bins(truth, PHAT)
    assert selected["all"].all()
    assert selected["seed_range"].tolist() == [True, True, False, False, False]
    assert selected["m_gt_1000"].tolist() == [False, True, False, False, False]
    assert selected["age_9.0_9.5"].tolist() == [True, True, False, False, False]
    assert selected["age_7.0_7.5"].tolist() == [False, False, False, True, False]
    assert selected["age_10.0_10.5"].tolist() == [False, False, False, False, True]
    assert selected["mass_2.0_2.5"].tolist() == [True, False, False, True, False]
    ages = [name for name in selected if name.startswith("age_")]
    assert ages[0] == "age_6.5_7.0"
    assert len(ages) == 8
    assert [name for name in selected if name.startswith("mass_")][-1] == "mass_4.0_4.5"


def test_no_mass_is_left_out(rng: np.random.Generator) -> None:
    """The stars drawn can exceed the largest mass of the prior, 10^4.5 Msun."""
    truth = np.column_stack(
        [rng.uniform(6.6, 10.1, 500), rng.uniform(1.9, 4.5, 500), np.zeros(500)]
    )
    truth[0, 1], truth[1, 1] = 4.5, 4.52
    selected = bins(truth, PHAT)
    masses = [member for name, member in selected.items() if name.startswith("mass_")]
    assert (np.sum(masses, axis=0) == 1).all()
    assert selected["mass_4.5_5.0"].sum() == 2
    assert selected["mass_1.5_2.0"].any()
    inside = np.clip(truth, None, (10.0, 4.4, 0))
    assert "mass_4.5_5.0" not in bins(inside, PHAT)


def test_three_gyr_is_the_limit() -> None:
    truth = np.array([[np.log10(3e9) - 1e-6, 3.2, 0], [np.log10(3e9) + 1e-6, 3.2, 0]])
    assert bins(truth, PHAT)["seed_range"].tolist() == [True, False]


def test_probability_integral_transform() -> None:
    draws = np.arange(9, dtype=float)[None, :, None] * np.ones(3)
    truth = np.array([[-1.0, 4.5, 99.0]])
    np.testing.assert_allclose(probability_integral_transform(draws, truth), [[0.05, 0.55, 0.95]])
    uniform = (np.arange(10_000) + 0.5) / 10_000
    assert coverage(uniform, 0.6827) == pytest.approx(0.6827, abs=1e-3)


def test_empty_bins_are_null_in_valid_json() -> None:
    truth = np.array([[9.8, 2.2, -0.5]])
    percentiles = np.stack([truth - 0.1, truth, truth + 0.1])
    recovered = Recovered(truth, percentiles, np.full((1, 3), 0.5), np.zeros(1), {})
    metrics = summarise(recovered, PHAT)
    assert metrics["seed_range"]["n"] == 0
    assert metrics["seed_range"]["log_age"] == dict.fromkeys(METRICS)
    assert metrics["all"]["log_age"]["median"] == 0
    json.loads(json.dumps(metrics, allow_nan=False))


def test_what_is_written(gaussian: Gaussian, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    seen: list[tuple[int, int]] = []
    metrics = evaluate(gaussian, n=300, seed=2, out=out, progress=lambda *at: seen.append(at))
    assert seen == [(0, 300), (256, 300), (300, 300)]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["provenance"]["seed"] == 2
    assert metrics["provenance"]["n"] == 300
    assert metrics["provenance"]["model"] == "phat"
    assert metrics["provenance"]["survey_fingerprint"] == PHAT.fingerprint()
    table = Table.read(out / "clusters.ecsv")
    assert len(table) == 300
    residual = table["log_age_p50"] - table["log_age_true"]
    assert np.median(residual) == pytest.approx(metrics["all"]["log_age"]["median"], abs=1e-6)
    assert str(table["log_mass_true"].unit) == "dex(solMass)"
    for name in ("recovered", "residuals", "calibration"):
        assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InputError, match=r"holds metrics\.json"):
        evaluate(gaussian, n=300, seed=2, out=out)
    evaluate(gaussian, n=10, seed=3, out=out, overwrite=True)
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


def test_bad_arguments(gaussian: Gaussian, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n = 0"):
        evaluate(gaussian, n=0, seed=1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        evaluate(gaussian, n=5, seed=1, out=tmp_path / "file")
    with pytest.raises(InputError, match="no-such-model"):
        evaluate("no-such-model", n=5, seed=1)


def test_table_of_clusters() -> None:
    truth = np.zeros((4, 3))
    recovered = Recovered(
        truth, np.stack([truth] * 3), truth + 0.5, np.zeros(4), {"gamma": np.full(4, 3.0)}
    )
    table = as_table(recovered)
    assert {"log_age_true", "log_rh_p16", "log_mass_pit", "log_prob", "gamma"} <= set(
        table.colnames
    )


def test_public_name() -> None:
    assert _public is evaluate
