"""Training: reproducible, resumable to the last bit, calibrated where the answer is known."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from praesepe.blocks import one_thread
from praesepe.errors import InputError, PraesepeError
from praesepe.network.estimator import Estimator
from praesepe.network.transform import prior_range
from praesepe.sky.contents import check_contents, contents_of
from praesepe.sky.tables import SurveyTables
from praesepe.stars import load_passband
from praesepe.survey import Survey, parse_survey
from praesepe.training import run
from praesepe.training.checkpoint import read_checkpoint
from praesepe.training.config import FINE_TUNING, TrainingSettings
from praesepe.training.initial import start_network
from praesepe.training.labelled import Labelled
from praesepe.training.learned import NOTHING, sentences, tuning_sentences
from praesepe.training.loop import train
from praesepe.training.signals import Signals
from praesepe.training.sources import Batch

SCALE = 0.03
NOISE = 0.3
WEIGHTS = "weights.safetensors"


def make_survey(**changes: Any) -> Survey:
    band = {
        "name": "F475W",
        "filter": "acs_wfc_f475w",
        "zero_point_ab": 26.06,
        "exposure_s": 1700.0,
        "read_noise_e": 4.0,
        "sky_e_s": [0.1, 0.2],
        "asinh_scale": SCALE,
    }
    content = {
        "name": "toy",
        "observation": {"pixel_scale_arcsec": 0.1, "bands": [band]},
        "galaxy": {"distance_pc": 785000.0, "field": {"surface_density": [0.02, 0.1]}},
        "clusters": {"log_mass": [2.0, 3.5], "rh_arcsec": [0.1, 0.4]},
        "network": {"stamp_size": 16},
    }
    return parse_survey(content).with_values(**changes)


@pytest.fixture(scope="module")
def survey() -> Survey:
    return make_survey()


@pytest.fixture(scope="module")
def tables(survey: Survey) -> SurveyTables:
    return SurveyTables.build(survey)


def train_into(survey: Survey, out: Path, **settings: Any) -> Path:
    """The folder of a model that was trained there."""
    folder = train(survey, out=out, **settings).path
    assert folder is not None
    return folder


QUICK = {
    "encoder": "tiny",
    "batch_size": 16,
    "warmup_steps": 5,
    "ema_decay": 0.9,
    "valid_size": 64,
    "valid_every": 7,
}


def lines(folder: Path) -> list[dict[str, Any]]:
    """Metrics of every tenth step and the last; a slow machine writes others in between."""
    text = (folder / "metrics.jsonl").read_text()
    every = [json.loads(line) for line in text.splitlines()]
    return [line for line in every if line["step"] % 10 == 0 or line is every[-1]]


# Stamps that hold their labels


def prior_bounds(survey: Survey) -> Tensor:
    """Lower and upper ends of the priors of what is inferred, shape (2, quantity)."""
    return torch.tensor([prior_range(survey, name) for name in survey.network.infers]).T


def toy_stamps(labels: Tensor, survey: Survey, rng: np.random.Generator) -> Tensor:
    """Three stripes whose brightness is a standardised label, off by `NOISE` of its scatter.

    A fourth one is fainter than all others: the background, from which a network counts.
    """
    low, high = prior_bounds(survey)
    z = (labels - (low + high) / 2) / (high - low) * 12**0.5
    z = z + NOISE * torch.from_numpy(rng.normal(size=z.shape)).float()
    images = torch.from_numpy(rng.normal(0, 0.3, (len(labels), 1, 16, 16))).float()
    images[:, :, :4] -= 4.0
    for i, rows in enumerate((slice(4, 8), slice(8, 12), slice(12, 16))):
        images[:, :, rows] += z[:, i, None, None, None]
    return SCALE * images


def toy_set(n: int, survey: Survey, *seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    low, high = prior_bounds(survey)
    labels = low + (high - low) * torch.from_numpy(rng.random((n, 3))).float()
    return toy_stamps(labels, survey, rng), labels


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put toy stamps in the place of simulations: ``toy(spoil=…)`` may change each batch."""

    def install(
        spoil: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        class Toy:
            name = "toys"

            def __init__(self, survey: Survey, settings: TrainingSettings, *_: object) -> None:
                self.survey, self.settings = survey, settings

            def batch(self, step: int) -> Batch:
                size = self.settings.batch_size
                images, labels = toy_set(size, self.survey, self.settings.seed, step)
                return Batch(*(spoil(step, images, labels) if spoil else (images, labels)))

            def validation(self) -> Batch:
                size, seed = self.settings.valid_size, self.settings.seed
                return Batch(*toy_set(size, self.survey, seed, 0, 9))

            def close(self) -> None:
                pass

        monkeypatch.setattr(run, "SimulatedSource", Toy)

    return install


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that a training sees; it stands still unless a test moves it."""
    clock = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.seconds)
    return clock


def taking(
    seconds: float, clock: SimpleNamespace
) -> Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """For `toy`: every batch takes so long."""

    def spend(_: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        clock.seconds += seconds
        return images, labels

    return spend


def coverage(estimator: Estimator, images: Tensor, labels: Tensor, stretch: float = 1.0) -> float:
    """Share of truths between the 16th and 84th percentiles, stretched about the median."""
    low, median, high = estimator.predict(images).percentile([16, 50, 84])
    low, high = median + stretch * (low - median), median + stretch * (high - median)
    truth = labels.numpy()
    return float(((truth > low) & (truth < high)).mean())


def relative_width(estimator: Estimator, images: Tensor) -> np.ndarray:
    """Width of the posteriors in units of the prior's, per parameter."""
    low, high = (bound.numpy() for bound in prior_bounds(estimator.survey))
    return estimator.predict(images).samples.std(1).mean(0) / ((high - low) / 12**0.5)


LONG = {
    "encoder": "tiny",
    "batch_size": 64,
    "learning_rate": 4e-3,
    "warmup_steps": 30,
    "ema_decay": 0.98,
    "valid_size": 512,
}


def test_a_known_problem_is_solved_and_calibrated(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    trained = train(survey, out=tmp_path / "m", steps=300, **LONG)
    losses = [line["valid_loss"] for line in lines(tmp_path / "m")]
    assert losses[-1] < losses[0] - 2.0
    assert all(0.2 < error < 0.45 for error in trained.learned.values()), trained.learned
    assert len(sentences(trained.learned)) == 1
    estimator = Estimator.load(tmp_path / "m")
    images, labels = toy_set(700, survey, 77)
    assert 0.6 < coverage(estimator, images, labels) < 0.76
    # The test can fail: error bars half or twice as long.
    assert coverage(estimator, images, labels, 0.5) < 0.5
    assert coverage(estimator, images, labels, 2.0) > 0.85
    # As sharp as the noise allows (a Gaussian of 0.3 within a uniform prior), and unbiased.
    width = relative_width(estimator, images)
    assert (width > 0.24).all()
    assert (width < 0.42).all()
    low, high = (bound.numpy() for bound in prior_bounds(survey))
    residual = (estimator.predict(images).mean - labels.numpy()) / ((high - low) / 12**0.5)
    assert np.abs(residual.mean(0)).max() < 0.06
    assert estimator.predict(images, n_samples=1).out_of_domain.mean() < 0.8
    assert estimator.predict(100 * images, n_samples=1).out_of_domain.mean() > 1

    # A few labelled clusters, seen again and again, leave the error bars what they are.
    real = Labelled(*(part.numpy() for part in toy_set(60, survey, 8)))
    tuned = train(survey, initial=estimator, labelled=real, steps=60, **LONG).estimator
    assert 0.6 < coverage(tuned, images, labels) < 0.76
    tuning = tuned.card.runs[-1].tuning
    assert (tuning["labelled"], tuning["held_out"]) == (60, 15)
    assert tuning["before"]["simulated"].keys() == set(survey.network.infers)


def test_a_model_that_has_learned_nothing_says_so(toy: Callable[..., None], survey: Survey) -> None:
    toy()
    begun = train(survey, steps=1, **LONG).learned
    assert all(error > NOTHING for error in begun.values()), begun
    assert sentences(begun)[1].startswith("hardly anything has been learned of age, mass and size")


def test_shuffled_labels_give_back_the_prior(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy(spoil=lambda _, images, labels: (images, labels.roll(1, 0)))
    estimator = Estimator.load(train_into(survey, tmp_path / "m", steps=150, **LONG))
    images, labels = toy_set(500, survey, 77)
    width = relative_width(estimator, images)
    assert (width > 0.88).all()
    assert (width < 1.12).all()
    assert 0.6 < coverage(estimator, images, labels) < 0.76


# Simulated clusters: the same again, broken and resumed

STEPS = 30


@pytest.fixture(scope="module")
def unbroken(
    survey: Survey, tables: SurveyTables, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run over simulations, long enough for star fields to be drawn anew three times."""
    out = tmp_path_factory.mktemp("train") / "unbroken"
    return train_into(survey, out, steps=STEPS, tables=tables, **QUICK)


class Kill(Exception):
    """Ends a training as a kill would: nothing is written any more."""


def kill_at(step: int) -> Callable[[dict[str, Any]], None]:
    def report(line: dict[str, Any]) -> None:
        if line["step"] >= step:
            raise Kill

    return report


def without_times(folder: Path) -> list[dict[str, Any]]:
    times = ("seconds", "stamps_per_s", "seconds_left")
    return [{k: v for k, v in line.items() if k not in times} for line in lines(folder)]


def test_a_run_leaves_a_model_and_its_history(unbroken: Path, survey: Survey) -> None:
    assert [line["step"] for line in lines(unbroken)] == [10, 20, 30]
    last = lines(unbroken)[-1]
    assert last["progress"] == 1
    assert last["seconds_left"] == 0
    assert last["valid_loss"] is not None
    estimator = Estimator.load(unbroken)
    assert estimator.survey == survey
    assert estimator.name == "unbroken"
    (run,) = estimator.card.runs
    assert run.steps == STEPS
    assert run.clusters == STEPS * 16
    assert run.seed == 0
    assert run.survey_fingerprint == survey.fingerprint()
    assert run.data == "simulations"
    fraction = estimator.present_mass_fraction([6.6, 10.0])
    assert 1 >= fraction[0] > fraction[1] > 0.3


def test_the_same_seed_gives_the_same_weights(
    unbroken: Path, survey: Survey, tables: SurveyTables, tmp_path: Path
) -> None:
    torch.manual_seed(123)  # global generators have no say
    again = train_into(survey, tmp_path / "again", steps=STEPS, tables=tables, **QUICK)
    assert (again / WEIGHTS).read_bytes() == (unbroken / WEIGHTS).read_bytes()
    assert without_times(again) == without_times(unbroken)


def test_processes_make_the_stamps_that_the_training_would(
    survey: Survey, tables: SurveyTables, tmp_path: Path
) -> None:
    """Stamps and weights are the same to the last bit, and no process is left."""
    given = {**QUICK, "steps": 3, "views": 2, "tables": tables}
    with one_thread():
        alone = train_into(survey, tmp_path / "alone", **given)
        beside = train_into(survey, tmp_path / "beside", workers=2, **given)
    assert (beside / WEIGHTS).read_bytes() == (alone / WEIGHTS).read_bytes()
    assert not multiprocessing.active_children()


def test_another_seed_gives_other_weights(
    survey: Survey, unbroken: Path, tables: SurveyTables, tmp_path: Path
) -> None:
    other = train_into(survey, tmp_path / "other", steps=2, seed=1, tables=tables, **QUICK)
    assert (other / WEIGHTS).read_bytes() != (unbroken / WEIGHTS).read_bytes()


def test_a_broken_run_ends_as_the_unbroken_one(
    unbroken: Path, survey: Survey, tables: SurveyTables, tmp_path: Path
) -> None:
    settings = {"steps": STEPS, "tables": tables, "checkpoint_seconds": 0.0, **QUICK}
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", report=kill_at(10), **settings)
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", report=kill_at(20), resume=True, **settings)
    # What a kill in the middle of a line leaves behind.
    with (tmp_path / "m" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "seco')
    resumed = train_into(survey, tmp_path / "m", resume=True, **settings)
    assert (resumed / WEIGHTS).read_bytes() == (unbroken / WEIGHTS).read_bytes()
    assert without_times(resumed) == without_times(unbroken)


def test_a_finished_run_can_be_resumed(
    unbroken: Path, survey: Survey, tables: SurveyTables
) -> None:
    weights, history = (unbroken / WEIGHTS).read_bytes(), without_times(unbroken)
    again = train_into(survey, unbroken, steps=STEPS, tables=tables, resume=True, **QUICK)
    assert again == unbroken
    assert (unbroken / WEIGHTS).read_bytes() == weights
    assert without_times(unbroken) == history


def test_a_kill_before_the_first_checkpoint_begins_anew(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy()
    settings = {"steps": 12, **QUICK, "valid_every": 50}
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", report=kill_at(10), **settings)
    assert not (tmp_path / "m" / "checkpoint.safetensors").exists()
    assert not caplog.records
    resumed = train_into(survey, tmp_path / "m", resume=True, **settings)
    assert [r.getMessage() for r in caplog.records] == [
        f"no checkpoint in {tmp_path / 'm'}; beginning anew"
    ]
    straight = train_into(survey, tmp_path / "s", **settings)
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()
    assert [line["step"] for line in lines(resumed)] == [10, 12]


def counted_batches(folder: Path) -> set[int]:
    """Batches that the normalisations have seen."""
    tensors, _ = read_checkpoint(folder / "checkpoint.safetensors")
    return {int(value) for key, value in tensors.items() if key.endswith("batches_tracked")}


@pytest.mark.parametrize(("until", "batches"), [(0.0, 0), (None, 5), (0.7, 7), (1.0, 10)])
def test_batch_normalisations_learn_their_statistics_up_to_a_share_of_the_run(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, until: float | None, batches: int
) -> None:
    toy()
    folder = train_into(survey, tmp_path / "m", steps=10, freeze_bn_after=until, **QUICK)
    assert counted_batches(folder) == {batches}


def test_a_model_that_is_trained_further_keeps_its_statistics(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    first = train_into(survey, tmp_path / "a", steps=6, **QUICK)
    second = train_into(survey, tmp_path / "b", steps=4, initial=first, **QUICK)
    assert counted_batches(second) == counted_batches(first) == {3}
    before, after = (Estimator.load(folder).net.state_dict() for folder in (first, second))
    same = {key for key, value in before.items() if torch.equal(value, after[key])}
    assert {key for key in before if "running" in key} <= same
    assert "encoder.stem.1.weight" not in same  # scale and shift go on learning


def test_a_longer_training_goes_on(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    train_into(survey, tmp_path / "m", steps=10, **QUICK)
    folder = train_into(survey, tmp_path / "m", steps=19, resume=True, **QUICK)
    assert [line["step"] for line in lines(folder)] == [10, 19]
    assert Estimator.load(folder).card.runs[-1].steps == 19


def test_without_a_folder_nothing_is_written(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy()
    monkeypatch.chdir(tmp_path)
    training = train(survey, steps=12, **QUICK)
    assert list(tmp_path.iterdir()) == []
    assert training.path is None
    assert [line["step"] for line in training.metrics if line["step"] % 10 == 0] == [10]
    assert repr(training) == (
        "<Training of 'toy' unsaved on toys: 12 steps, 192 clusters, validation loss "
        f"{training.metrics[-1]['valid_loss']:.3f}; not saved>"
    )
    saved = Estimator.load(training.save(tmp_path / "m"))
    kept = Estimator.load(train_into(survey, tmp_path / "toy", steps=12, **QUICK))
    assert saved.version == kept.version == training.estimator.version
    with pytest.raises(InputError, match="cannot be resumed; give its folder as out"):
        train(survey, steps=12, resume=True, **QUICK)


# Stopped by a signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_of_the_last_step(
    toy: Callable[..., None],
    survey: Survey,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
) -> None:
    armed = True

    def interrupt(step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if step == 8 and armed:
            os.kill(os.getpid(), number)
        return images, labels

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    toy(spoil=interrupt)
    settings = {"steps": 12, **QUICK}
    usual = {n: signal.signal(n, end) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt):
            train_into(survey, tmp_path / "m", **settings)
        assert signal.getsignal(number) is end  # as it was found
    finally:
        for n, handler in usual.items():
            signal.signal(n, handler)
    _, progress = read_checkpoint(tmp_path / "m" / "checkpoint.safetensors")
    assert progress["step"] == 9
    assert not (tmp_path / "m" / "model.json").exists()
    assert "stopped after step 9" in caplog.text
    assert "resume=True" in caplog.text
    armed = False
    resumed = train_into(survey, tmp_path / "m", resume=True, **settings)
    straight = train_into(survey, tmp_path / "s", **settings)
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()


def test_signals_are_left_alone_elsewhere() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[object] = []

    def watch() -> None:
        with Signals():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert found == [before]
    usual = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Signals():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, usual)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):  # the second one ends it at once
            os.kill(os.getpid(), signal.SIGINT)
        signals.received = None
    assert signal.getsignal(signal.SIGINT) is before


# How checkpoints are written


def test_files_have_the_mode_of_the_umask(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    before = os.umask(0o027)
    try:
        folder = train_into(survey, tmp_path / "m", steps=2, **QUICK)
    finally:
        os.umask(before)
    for name in ("checkpoint.safetensors", WEIGHTS, "model.json", "metrics.jsonl"):
        assert (folder / name).stat().st_mode & 0o777 == 0o640, name


def test_checkpoints_keep_to_their_interval(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, clock: SimpleNamespace
) -> None:
    toy(spoil=taking(0.02, clock))
    checkpoint = tmp_path / "m" / "checkpoint.safetensors"
    found: list[tuple[int, int]] = []

    def report(now: dict[str, Any]) -> None:
        if checkpoint.exists():
            found.append((now["step"], read_checkpoint(checkpoint)[1]["step"]))

    settings = {**QUICK, "valid_every": 1000, "checkpoint_seconds": 0.3}
    train_into(survey, tmp_path / "m", steps=90, report=report, **settings)
    assert len({written for _, written in found[:-1]}) >= 3
    assert max(now - written for now, written in found) <= 0.3 / 0.02 + 1  # steps
    assert [p.name for p in (tmp_path / "m").glob(".*")] == []


def test_a_checkpoint_precedes_each_validation(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    # A validation may take long, and a kill in it must not cost what lies before it.
    toy()
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", steps=20, report=kill_at(10), **QUICK)
    _, progress = read_checkpoint(tmp_path / "m" / "checkpoint.safetensors")
    assert progress["step"] == 7


def test_a_failing_write_leaves_the_last_checkpoint(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch
    from safetensors import SafetensorError

    toy()
    settings = {"steps": 12, "checkpoint_seconds": 0.0, **QUICK}
    real, calls = safetensors.torch.save_file, []

    def full(tensors: Any, path: Path, **rest: Any) -> None:
        calls.append(path)
        if len(calls) > 5:
            Path(path).write_bytes(b"half a check")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        real(tensors, path, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(PraesepeError, match=r"could not write .*checkpoint.*No space left"):
            train_into(survey, tmp_path / "m", **settings)
    assert [p.name for p in (tmp_path / "m").glob(".*")] == []
    resumed = train_into(survey, tmp_path / "m", resume=True, **settings)
    straight = train_into(survey, tmp_path / "s", **settings)
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()


# What is refused


@pytest.fixture
def begun(toy: Callable[..., None], survey: Survey, tmp_path: Path) -> Path:
    toy()
    return train_into(survey, tmp_path / "begun", steps=3, **QUICK)


def toy_labelled(n: int, survey: Survey, seed: int) -> Labelled:
    images, labels = toy_set(n, survey, seed)
    return Labelled(images.numpy(), labels.numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, "another settings: seed 0, now 5"),
        ({"batch_size": 8}, "another settings: batch_size 16, now 8"),
        ({"learning_rate": 0.1, "clip": 2.0}, "learning_rate 0.0015, now 0.1, clip 1.0, now 2.0"),
        (
            {"survey": {"galaxy": {"distance_pc": 1e6}}},
            "survey: galaxy.distance_pc 785000.0, now 1000000.0;",
        ),
        ({"survey": {"observation": {"nuisance": {"blur_px": (0, 1)}}}}, "blur_px 'default', now"),
        ({"labelled": 40}, "another labels: 'none', now"),
        ({"encoder": "small"}, "another network: encoder 'tiny', now 'small'"),
        ({"head": "grid"}, "another network: head 'flow', now 'grid'"),
        ({"freeze_bn_after": 0.2}, "another settings: freeze_bn_after None, now 0.2"),
    ],
)
def test_another_run_is_not_resumed(
    begun: Path, survey: Survey, change: dict[str, Any], message: str
) -> None:
    before = {p.name: p.read_bytes() for p in begun.iterdir() if p.is_file()}
    settings = {**QUICK, **change}
    survey = make_survey(**settings.pop("survey", {}))
    if "labelled" in settings:
        settings["labelled"] = toy_labelled(settings["labelled"], survey, 0)
    with pytest.raises(InputError, match=message):
        train_into(survey, begun, steps=5, resume=True, **settings)
    assert {p.name: p.read_bytes() for p in begun.iterdir() if p.is_file()} == before


def test_a_folder_that_holds_a_training_is_refused(
    begun: Path, survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SimulatedSource", None)  # refused before the costly part
    with pytest.raises(InputError, match=r"begun holds a training already; resume it"):
        train_into(survey, begun, steps=5, **QUICK)
    with pytest.raises(InputError, match=r"metrics\.jsonl is a file; give the name of a folder"):
        train_into(survey, begun / "metrics.jsonl", steps=5, **QUICK)
    (begun / "checkpoint.safetensors").unlink()
    for resume in (False, True):
        with pytest.raises(InputError, match="no checkpoint"):
            train_into(survey, begun, steps=5, resume=resume, **QUICK)


@pytest.mark.parametrize("blob", [b"", b"nonsense" * 50])
def test_a_damaged_checkpoint_is_refused(begun: Path, survey: Survey, blob: bytes) -> None:
    (begun / "checkpoint.safetensors").write_bytes(blob)
    with pytest.raises(InputError, match="damaged"):
        train_into(survey, begun, steps=5, resume=True, **QUICK)


@pytest.mark.parametrize("where", ["header", "tensors"])
def test_a_flipped_bit_in_a_checkpoint_is_found(begun: Path, survey: Survey, where: str) -> None:
    file = begun / "checkpoint.safetensors"
    blob = bytearray(file.read_bytes())
    blob[blob.index(b'seconds\\": ') + 11 if where == "header" else -3] ^= 1
    file.write_bytes(blob)
    with pytest.raises(InputError, match="damaged: its checksum is another"):
        train_into(survey, begun, steps=5, resume=True, **QUICK)


def test_words_and_what_is_judged_end_no_run(begun: Path, survey: Survey) -> None:
    worded = survey.with_values(
        name="other", description="words", evaluation={"bins": {"old": {"log_age": (9.0, 10.0)}}}
    )
    train_into(worded, begun, steps=4, resume=True, **QUICK)


def test_another_random_stream_ends_a_run_but_a_model_goes_on(
    begun: Path, survey: Survey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "RANDOM_STREAM", run.RANDOM_STREAM + 1)
    with pytest.raises(InputError, match=r"another simulator: random stream \d+, now \d+;"):
        train_into(survey, begun, steps=5, resume=True, **QUICK)
    train_into(survey, tmp_path / "on", steps=1, initial=begun, **QUICK)


def test_a_model_is_no_checkpoint(begun: Path, survey: Survey) -> None:
    (begun / WEIGHTS).rename(begun / "checkpoint.safetensors")
    with pytest.raises(InputError, match="no checkpoint of a training"):
        train_into(survey, begun, steps=5, resume=True, **QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either minutes or steps"),
        ({"minutes": 1, "steps": 1}, "either minutes or steps"),
        ({"steps": 0}, "steps = 0: it must be a whole number, at least 1"),
        ({"steps": 1.5}, "steps = 1.5: it must be a whole number, at least 1"),
        ({"minutes": -1.0}, "minutes = -1.0: it must be a finite number, greater than 0"),
        ({"minutes": np.nan}, "minutes = nan: it must be a finite number, greater than 0"),
        ({"minutes": np.inf}, "minutes = inf: it must be a finite number"),
        (
            {"steps": 5, "freeze_bn_after": 1.5},
            "freeze_bn_after = 1.5: .* at least 0 and at most 1",
        ),
        ({"steps": 1, "ema_decay": 2.0}, "ema_decay = 2.0: .* at most 1"),
        ({"steps": 1, "learning_rate": -1}, "learning_rate = -1: .* greater than 0"),
        ({"steps": 1, "learning_rate": "fast"}, "learning_rate = 'fast': .* greater than 0"),
        ({"steps": 1, "weight_decay": np.nan}, "weight_decay = nan"),
        ({"steps": 1, "clip": 0}, "clip = 0"),
        ({"steps": 1, "checkpoint_seconds": np.nan}, "checkpoint_seconds = nan"),
        ({"steps": 1, "seed": 2**70}, "seed = 1180591620717411303424: .* at most"),
        ({"steps": 1, "head_options": {"foo": 1}}, "unknown setting of head 'flow': 'foo'.*'bins'"),
        ({"steps": 1, "head_options": {"transform": 1}}, "Did you mean 'transforms'"),
        ({"steps": 1, "head_options": {"bins": 0}}, "bins = 0: .* at least 2"),
        ({"steps": 1, "head_options": {"hidden_features": 3}}, "are not of the right kind"),
        ({"steps": 1, "head_options": 3}, "head_options = 3: it must be a mapping"),
        (
            {"steps": 1, "head": "grid", "head_options": {"bins": {"log_mass": 0}}},
            "bins of 'log_mass' = 0: .* at least 1",
        ),
        ({"steps": 1, "batchsize": 3}, "'batchsize'.*'batch_size'"),
        ({"steps": 1, "batch_size": 1}, "batch_size = 1.*at least 2"),
        ({"steps": 1, "seed": -1}, "seed = -1.*at least 0"),
        ({"steps": 1, "encoder": "huge"}, "unknown encoder 'huge'"),
    ],
)
def test_impossible_settings(
    survey: Survey, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_into(survey, tmp_path / "m", **settings)
    assert not (tmp_path / "m").exists()


def test_simulations_tell_conditions(survey: Survey, tables: SurveyTables, tmp_path: Path) -> None:
    """The network learns to use them, and goes on from a checkpoint to the same weights."""
    told = survey.with_values(network={"conditions": ["present", "depth", "psf_fwhm_px"]})
    whole = Estimator.load(train_into(told, tmp_path / "m", steps=4, tables=tables, **QUICK))
    assert [entry.name for entry in whole.card.conditions][1:] == ["depth", "psf_fwhm_px"]
    weights = whole.net.state_dict()
    start = Estimator.untrained(told, encoder="tiny").net.state_dict()
    for name in ("conditions.layers.0.weight", "encoder.modulations.0.linear.weight"):
        assert not torch.equal(weights[name], start[name]), name


@pytest.mark.parametrize(
    ("folder", "given", "expected"),
    [("mine", "", "mine"), ("mine", "phat", "phat"), ("my Körper 2", "", "my-K-rper-2")],
)
def test_the_model_is_named_after_its_folder(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, folder: str, given: str, expected: str
) -> None:
    toy()
    estimator = Estimator.load(train_into(survey, tmp_path / folder, steps=2, name=given, **QUICK))
    assert estimator.name == expected
    assert estimator.survey.name == "toy"


# Length, rate, averages


def test_the_learning_rate_rises_and_falls() -> None:
    settings = TrainingSettings(steps=1000, warmup_steps=100, learning_rate=2.0)
    rates = [settings.learning_rate_at(step, settings.progress(step, 0.0)) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02)
    assert np.argmax(rates) in (98, 99, 100)
    assert max(rates) == pytest.approx(2.0, rel=0.05)
    assert rates[-1] < 1e-4
    assert (np.diff(rates[100:]) < 0).all()


def test_a_long_validation_does_not_slow_the_rate(
    toy: Callable[..., None],
    survey: Survey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: SimpleNamespace,
) -> None:
    toy(spoil=taking(0.01, clock))
    validate = run.Run.validate

    def slow(state: run.Run) -> Tensor:
        clock.seconds += 1.5
        return validate(state)

    monkeypatch.setattr(run.Run, "validate", slow)
    folder = train_into(survey, tmp_path / "m", steps=20, **{**QUICK, "valid_every": 100})
    first = lines(folder)[0]
    assert first["step"] == 10
    assert first["stamps_per_s"] == pytest.approx(16 / 0.01)
    assert first["seconds_left"] == pytest.approx(10 * 0.01)


def test_minutes_are_kept(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, clock: SimpleNamespace
) -> None:
    toy(spoil=taking(0.1, clock))
    told: list[dict[str, Any]] = []
    folder = train_into(survey, tmp_path / "m", minutes=0.04, report=told.append, **QUICK)
    assert told[-1]["progress"] == 1
    assert told[-1]["seconds"] == pytest.approx(2.4, abs=0.11)
    assert told[-1]["step"] in (24, 25)
    assert told[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)
    (run,) = Estimator.load(folder).card.runs
    assert run.steps == told[-1]["step"]


def test_a_bad_batch_does_no_harm(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if step == 9:
            images = images.clone()
            images[3, 0, 2, 2] = torch.nan
        if step == 11:
            labels = torch.full_like(labels, torch.inf)
        return images, labels

    toy(spoil)
    told: list[dict[str, Any]] = []
    with caplog.at_level(logging.WARNING, "praesepe"):
        folder = train_into(survey, tmp_path / "m", steps=20, report=told.append, **QUICK)
    assert [r.args[0] for r in caplog.records] == [9, 11]
    assert told[0]["loss"] is None
    assert lines(folder)[0]["loss"] is None  # JSON knows no NaN
    assert np.isfinite([line["valid_loss"] for line in lines(folder)]).all()
    assert lines(folder)[-1]["loss"] is not None
    net = Estimator.load(folder).net
    assert all(value.isfinite().all() for value in net.state_dict().values())


def test_the_model_is_the_average(toy: Callable[..., None], survey: Survey, tmp_path: Path) -> None:
    toy()

    folder = train_into(survey, tmp_path / "m", steps=10, **QUICK)
    state = load_file(folder / "checkpoint.safetensors")
    model = Estimator.load(folder).net.state_dict()
    assert all(torch.equal(value, state[f"average.{key}"]) for key, value in model.items())
    assert not torch.equal(
        model["head.flows.0.transform.transforms.0.hyper.0.weight"],
        state["net.head.flows.0.transform.transforms.0.hyper.0.weight"],
    )


# Fine-tuning, and real clusters


def test_fine_tuning_starts_from_a_model(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    first = train_into(survey, tmp_path / "first", steps=60, learning_rate=4e-3, **QUICK)
    version = Estimator.load(first).version
    tuned = train_into(survey, tmp_path / "tuned", steps=10, initial=first, **QUICK)
    before, after = lines(first)[0]["valid_loss"], lines(first)[-1]["valid_loss"]
    assert lines(tuned)[0]["valid_loss"] < before - 0.5 * (before - after)
    runs = Estimator.load(tuned).card.runs
    assert [run.steps for run in runs] == [60, 10]
    assert [run.initial for run in runs] == ["", version]
    assert Estimator.load(tuned).version != version
    with pytest.raises(InputError, match="another initial"):
        train_into(survey, tuned, steps=12, resume=True, **QUICK)
    with pytest.raises(InputError, match=r"has encoder 'tiny', not 'small'.*must agree"):
        train_into(survey, tmp_path / "x", steps=2, initial=first, encoder="small")
    wider = make_survey(network={"stamp_size": 32})
    with pytest.raises(InputError, match=r"takes 16 px.*has 32 px"):
        train_into(wider, tmp_path / "x", steps=2, initial=first, **QUICK)


def test_a_training_goes_on_from_a_model_of_another_simulator(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    options = {"groups": [["log_age", "log_rh"], ["log_mass"]], "bins": {"log_age": 4}}
    settings = {**QUICK, "steps": 3}
    first = train_into(survey, tmp_path / "a", head="grid", head_options=options, **settings)
    farther = make_survey(galaxy={"distance_pc": 9e5})
    second = train_into(
        farther, tmp_path / "b", initial=first, steps=2, batch_size=16, valid_size=64
    )
    card = Estimator.load(second).card  # with its network, which need not be said again
    assert (card.encoder.name, card.head.name) == ("tiny", "grid")
    assert card.head.settings == options
    assert [run.steps for run in card.runs] == [3, 2]
    assert card.runs[0].survey_fingerprint != card.runs[1].survey_fingerprint
    wider = make_survey(clusters={"log_mass": [2.0, 4.0]})
    anew, _ = start_network(wider, TrainingSettings(steps=1), first)  # its cells are others
    assert same_parts(anew, Estimator.load(first)) == {"encoder": True, "head": False}


def same_parts(one: Estimator, other: Estimator) -> dict[str, bool]:
    """Which parts of two networks have the same weights."""
    same = {}
    for part in ("encoder", "head"):
        mine, theirs = (getattr(model.net, part).state_dict() for model in (one, other))
        same[part] = all(torch.equal(mine[key], theirs[key]) for key in theirs)
    return same


def test_a_training_goes_on_with_other_bands_quantities_and_conditions(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy()
    first = Estimator.load(train_into(survey, tmp_path / "a", steps=3, **QUICK))
    band = survey.bands[0]
    other = band.model_copy(update={"name": "F814W", "filter": "acs_wfc_f814w"})
    two = survey.with_values(observation={"bands": (other, band)})
    anew, _ = start_network(two, TrainingSettings(steps=1), first)
    stem, theirs = (m.net.encoder.stem[0].weight for m in (anew, first))
    torch.testing.assert_close(stem, theirs.repeat(1, 2, 1, 1) / 2)
    assert same_parts(anew, first)["head"]
    assert "all is taken but the channels of F814W" in caplog.text
    assert anew.card.background == "removed"
    caplog.clear()
    more = survey.with_values(network={"infers": (*first.infers, "offset_x_px", "offset_y_px")})
    anew, _ = start_network(more, TrainingSettings(steps=1), first)
    assert same_parts(anew, first) == {"encoder": True, "head": True}
    assert "all is taken but the head of offset_x_px and offset_y_px" in caplog.text
    torch.testing.assert_close(anew.net.labels.mean[:3], first.net.labels.mean)
    told = two.with_values(
        clusters={"a_v": (0.0, 1.0)},
        network={"infers": ("log_age", "log_mass", "log_rh", "a_v"), "conditions": ("present",)},
    )
    caplog.clear()
    anew, _ = start_network(told, TrainingSettings(steps=1), first)
    assert "but the head, what it is told and the channels of F814W" in caplog.text
    for name in ("stages.0.0.path.0.weight", "rings.head.0.weight"):
        mine, theirs = (m.net.encoder.state_dict()[name] for m in (anew, first))
        assert torch.equal(mine, theirs), name


def test_a_flow_that_infers_more_keeps_what_it_has_learned(survey: Survey) -> None:
    """A further quantity comes after the others of their flow: their draws are the same numbers."""
    dusty = survey.with_values(
        clusters={"a_v": (0.0, 1.0), "metallicity": (0.01, 0.03)},
        network={"infers": ("log_age", "log_mass", "a_v", "log_visibility", "offset_x_px",
                            "offset_y_px")},
    )  # fmt: skip
    more = dusty.with_values(network={"infers": (*dusty.network.infers, "log_z")})
    first = Estimator.untrained(dusty, encoder="tiny", seed=3)
    anew, _ = start_network(more, TrainingSettings(steps=1), first)
    noise = torch.randn(4, 20, 7)
    context = torch.randn(4, first.net.head.features)
    draws = anew.net.head.sampler()(context, noise)
    torch.testing.assert_close(
        draws[..., :6], first.net.head.sampler()(context, noise[..., :6].contiguous())
    )
    other = Estimator.untrained(more, encoder="tiny", seed=3)
    assert (other.net.head.sampler()(context, noise) - draws)[..., :3].abs().max() > 0.01


def test_the_head_alone_learns_from_features_of_a_model(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    settings = {**QUICK, "fixed_encoder": True}
    with pytest.raises(InputError, match="needs a model to start from"):
        train_into(survey, tmp_path / "x", steps=2, **settings)
    first = train_into(survey, tmp_path / "first", steps=12, **QUICK)
    settings |= {"steps": 40, "initial": first, "learning_rate": 4e-3}
    told = survey.with_values(network={"conditions": ("depth",)})
    with pytest.raises(InputError, match="what it is told of model 'first' would begin anew"):
        train_into(told, tmp_path / "x", **settings)
    whole = train_into(survey, tmp_path / "whole", **settings)
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", report=kill_at(20), checkpoint_seconds=0.0, **settings)
    train_into(survey, tmp_path / "m", resume=True, checkpoint_seconds=0.0, **settings)
    before, after = (Estimator.load(model).net.state_dict() for model in (first, whole))
    assert all(torch.equal(before[key], after[key]) for key in before if "encoder." in key)
    assert lines(whole)[-1]["valid_loss"] < lines(whole)[0]["valid_loss"] - 0.1
    assert (tmp_path / "m" / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_settings_that_change_nothing_end_no_run(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy()
    train_into(survey, tmp_path / "m", steps=3, **QUICK)
    # As a version with a setting more would have it, whose default is what was always done.
    usual = TrainingSettings.defaults.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        TrainingSettings, "defaults", classmethod(lambda cls: usual(cls) | {"dropout": 0.0})
    )
    monkeypatch.setattr(TrainingSettings, "dropout", 0.0, raising=False)
    changed = {**QUICK, "valid_every": 2, "valid_size": 32, "checkpoint_seconds": 0.0}
    train_into(survey, tmp_path / "m", steps=5, resume=True, **changed)
    monkeypatch.setattr(TrainingSettings, "dropout", 0.5)
    with pytest.raises(InputError, match=r"another settings: dropout 0\.0, now 0\.5"):
        train_into(survey, tmp_path / "m", steps=6, resume=True, **changed)


def test_a_checkpoint_of_an_earlier_version_is_refused(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    train_into(survey, tmp_path / "m", steps=3, **QUICK)
    path = tmp_path / "m" / "checkpoint.safetensors"
    tensors, _ = read_checkpoint(path)
    save_file(tensors, path, metadata={"progress": json.dumps({"step": 3})})
    with pytest.raises(InputError, match="of an earlier version"):
        train_into(survey, tmp_path / "m", steps=5, resume=True, **QUICK)


def test_set_up_is_told_and_not_counted(
    toy: Callable[..., None],
    survey: Survey,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    clock: SimpleNamespace,
) -> None:
    def slow(step: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        clock.seconds += 20.0 if step == 0 else 0.1  # star fields are made for the first batch
        return images, labels

    toy(spoil=slow)
    stages: list[tuple[str, int, int]] = []
    told: list[dict[str, Any]] = []
    with caplog.at_level(logging.INFO, "praesepe"):
        train_into(
            survey,
            tmp_path / "m",
            steps=5,
            report=told.append,
            setup=lambda *stage: stages.append(stage),
            **QUICK,
        )
    assert [stage[1:] for stage in stages] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert stages[0][0] == "tables of stars"
    assert stages[-1][0] == "first validation"
    assert "set-up took 20.0 s" in caplog.text
    assert told[-1]["seconds"] == pytest.approx(0.4)


def test_the_last_validation_is_told(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    told: list[dict[str, Any]] = []
    settings = {**QUICK, "valid_every": 10, "learning_rate": 4e-3}
    train_into(survey, tmp_path / "m", steps=45, report=told.append, **settings)
    losses = [line["valid_loss"] for line in told if line["step"] % 10 == 0]
    assert len(set(losses)) == len(losses)  # every line has one of its own
    assert told[-1]["valid_loss"] not in losses


def test_training_on_annotated_clusters(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    labelled = toy_labelled(200, survey, 4)
    settings = {**QUICK, "learning_rate": 4e-3, "steps": 60, "batch_size": 32}
    folder = train_into(survey, tmp_path / "m", labelled=labelled, **settings)
    assert lines(folder)[-1]["valid_loss"] < lines(folder)[0]["valid_loss"]
    estimator = Estimator.load(folder)
    assert estimator.card.runs[-1].data == "labelled clusters and simulations"
    fraction = estimator.present_mass_fraction([6.6, 10.0])
    assert 1 >= fraction[0] > fraction[1] > 0.3
    # It is the survey's, whatever that of a model from which the training starts.
    first = Estimator.untrained(survey, encoder="tiny")
    first.describe(present_mass={"log_age": [7.0, 9.0], "fraction": [0.9, 0.7]})
    start = {"initial": first, "steps": 1, "batch_size": 32, "valid_size": 64}
    tuned = Estimator.load(train_into(survey, tmp_path / "tuned", labelled=labelled, **start))
    assert tuned.present_mass_fraction([6.6, 10.0]).tolist() == fraction.tolist()
    salpeter = make_survey(clusters={"stars": {"imf": "salpeter1955"}})
    other = Estimator.load(train_into(salpeter, tmp_path / "o", labelled=labelled, **start))
    assert other.present_mass_fraction(9.0) > tuned.present_mass_fraction(9.0) + 0.05
    # New clusters of the same kind are familiar, though only 200 were seen.
    images, _ = toy_set(400, survey, 5)
    assert (estimator.predict(images, n_samples=1).out_of_domain > 1).mean() < 0.05
    assert (estimator.predict(100 * images, n_samples=1).out_of_domain > 1).mean() > 0.9
    with pytest.raises(InputError, match="another labels"):
        train_into(survey, folder, labelled=toy_labelled(200, survey, 6), resume=True, **settings)


def test_the_best_weights_on_clusters_held_out_are_kept(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy()
    settings = {**QUICK, "valid_every": 5, "learning_rate": 4e-3}
    first = Estimator.load(train_into(survey, tmp_path / "first", steps=40, **settings))
    monkeypatch.setattr(run, "PATIENCE", 4)
    images, labels = toy_set(60, survey, 3)
    real = Labelled((images / 2).numpy(), labels.numpy())  # half as bright as simulated
    spoiling = {**settings, "learning_rate": 0.3, "warmup_steps": 1}
    spoilt = train(survey, labelled=real, initial=first, steps=100, **spoiling).estimator
    tuning = spoilt.card.runs[-1].tuning
    assert (tuning["kept_step"], tuning["steps"]) == (0, 20)  # nothing better: it ended early
    assert tuning["before"] == tuning["after"]
    assert same_parts(spoilt, first) == {"encoder": True, "head": True}
    tuned = train(survey, labelled=real, initial=first, steps=40, **settings)
    record = tuned.estimator.card.runs[-1]
    assert record.tuning["kept_step"] > 0
    assert record.valid_loss is not None
    assert record.valid_loss < min(line["valid_loss"] for line in tuned.metrics) + 1e-3
    before, after = (record.tuning[when]["labelled"]["log_mass"] for when in ("before", "after"))
    assert after["scatter"] < before["scatter"]
    said = tuning_sentences(record.tuning)
    assert f"the weights of step {record.tuning['kept_step']} of" in said[0]
    assert f"coverage {before['coverage68']:.2f} → {after['coverage68']:.2f}" in said[2]
    unchanged = {**record.tuning, "kept_step": 0}
    assert "no step was better on 15 held-out clusters" in tuning_sentences(unchanged)[0]
    again = Estimator.load(tuned.save(tmp_path / "tuned")).card.runs[-1].tuning
    assert again == record.tuning


def test_fine_tuning_has_settings_of_its_own(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    first = Estimator.untrained(survey, encoder="tiny")
    labelled = toy_labelled(40, survey, 4)
    given = {"initial": first, "labelled": labelled, "steps": 2, "batch_size": 16}
    tuned = train(survey, valid_size=32, **given).estimator.card.runs[-1]
    assert tuned.learning_rate == FINE_TUNING["learning_rate"]
    tuned = train(survey, valid_size=32, learning_rate=2e-4, **given).estimator.card.runs[-1]
    assert tuned.learning_rate == 2e-4


def test_a_broken_run_on_annotated_clusters(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    toy()
    labelled = toy_labelled(40, survey, 4)
    settings = {**QUICK, "steps": 15, "labelled": labelled, "checkpoint_seconds": 0.0}
    straight = train_into(survey, tmp_path / "s", **settings)
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", report=kill_at(10), **settings)
    resumed = train_into(survey, tmp_path / "m", resume=True, **settings)
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()


# What is told


def test_tensorboard_shows_the_same(
    toy: Callable[..., None], survey: Survey, tmp_path: Path
) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    toy()
    settings = {"steps": 20, "checkpoint_seconds": 0.0, **QUICK}
    with pytest.raises(Kill):
        train_into(survey, tmp_path / "m", report=kill_at(10), **settings)
    folder = train_into(survey, tmp_path / "m", resume=True, **settings)
    board = event_accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = set(board.Tags()["scalars"])
    assert tags == {"loss", "valid_loss", "learning_rate", "stamps_per_s"}
    shown = {event.step: event.value for event in board.Scalars("loss")}
    assert shown == pytest.approx({line["step"]: line["loss"] for line in lines(folder)})


def test_without_tensorboard(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    folder = train_into(survey, tmp_path / "m", steps=3, **QUICK)
    assert not (folder / "tensorboard").exists()
    assert [line["step"] for line in lines(folder)] == [3]


def test_the_library_is_silent(
    toy: Callable[..., None], survey: Survey, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    toy()
    train_into(survey, tmp_path / "m", steps=3, **QUICK)
    assert capfd.readouterr() == ("", "")


def test_a_run_on_other_isochrones_of_the_same_name_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from praesepe.stars import IsochroneGrid
    from praesepe.stars.store import write_grid

    monkeypatch.setenv("PRAESEPE_DATA", str(tmp_path))
    survey = make_survey(clusters={"log_age": [7.0, 9.0], "stars": {"isochrones": "mine"}})
    grid = IsochroneGrid.embedded()
    for n_ages in (71, 70):
        rows = tuple(row[:n_ages] for row in grid.isochrones)
        changed = IsochroneGrid(grid.log_age[:n_ages], grid.metallicity, rows)
        write_grid(tmp_path / "stars" / "mine.npz", changed, overwrite=True)
        if n_ages == 71:
            train_into(survey, tmp_path / "run", steps=1, **QUICK)
    with pytest.raises(InputError, match="another stars: mine"):
        train_into(survey, tmp_path / "run", steps=2, resume=True, **QUICK)


def test_a_run_on_other_spectra_is_not_resumed(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from praesepe.stars.atmospheres import SpectralLibrary

    train_into(survey, tmp_path / "run", steps=1, **QUICK)
    monkeypatch.setattr(SpectralLibrary, "embedded_key", staticmethod(lambda: "others"))
    with pytest.raises(InputError, match=r"another spectra: .*now 'others'"):
        train_into(survey, tmp_path / "run", steps=2, resume=True, **QUICK)


def test_a_run_goes_on_after_its_files_have_moved(toy: Any, tmp_path: Path) -> None:
    """What counts is what the files hold."""
    toy()
    curve = load_passband("acs_wfc_f475w")

    def survey_in(folder: str) -> Survey:
        survey, path = make_survey(), tmp_path / folder / "curve.txt"
        own = {"filter": str(path), "instrument": "ACS/WFC"}
        band = survey.bands[0].model_copy(update=own)
        return survey.with_values(observation={"bands": (band,)})

    (tmp_path / "here").mkdir()
    table = np.c_[curve.wavelength_angstrom, curve.throughput]
    np.savetxt(tmp_path / "here" / "curve.txt", table)
    train_into(survey_in("here"), tmp_path / "m", steps=2, **QUICK)
    (tmp_path / "here").rename(tmp_path / "there")
    train_into(survey_in("there"), tmp_path / "m", steps=4, resume=True, **QUICK)
    (run,) = Estimator.load(tmp_path / "m").card.runs
    assert run.steps == 4
    hashes = Estimator.load(tmp_path / "m").card.hashes
    assert hashes.curves == {"F475W": load_passband(tmp_path / "there" / "curve.txt").key}
    fingerprint, key = survey_in("there").fingerprint(), hashes.curves["F475W"]
    np.savetxt(tmp_path / "there" / "curve.txt", table * [[1.0, 0.9]])
    with pytest.raises(InputError, match=r"another survey: observation.bands.F475W.filter"):
        train_into(survey_in("there"), tmp_path / "m", steps=6, resume=True, **QUICK)
    model = Estimator.load(tmp_path / "m")  # carries the curve, and what it was trained with
    (tmp_path / "there" / "curve.txt").unlink()
    assert contents_of(model.survey)["curves"]["F475W"] == key
    check_contents(model.survey, hashes.model_dump(), model="m")
    assert model.survey_fingerprint == model.survey.fingerprint() == fingerprint
    assert parse_survey(tomllib.loads(model.survey.to_toml())) == model.survey
