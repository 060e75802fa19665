"""Training as a user starts it: killed without warning, resumed, fine-tuned on real clusters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.network.estimator import Estimator
from praesepe.survey import load_survey
from praesepe.training import loop
from praesepe.training.checkpoint import read_checkpoint

Run = Callable[..., Any]

NEVER = 10**9
SCRIPT = """
import sys
import torch
from praesepe.training.loop import train
torch.set_num_threads(1)

def hold(now):
    if now["step"] >= int(sys.argv[4]):
        sys.stdin.read()  # for ever: the test will kill

train(sys.argv[1], out=sys.argv[2], steps=int(sys.argv[3]), resume=True, encoder="tiny",
      batch_size=16, warmup_steps=5, valid_size=64, valid_every=25, report=hold)
"""


@pytest.fixture
def survey_file(toy_survey: str, tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(toy_survey)
    return path


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a training in a process of its own, which does not outlive the test."""
    started = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        words = [sys.executable, "-W", "error", "-c", SCRIPT, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def finish(process: subprocess.Popen[str], timeout: float = 600) -> None:
    _, said = process.communicate(timeout=timeout)
    assert process.returncode == 0, said


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 600  # ends a hang, judges no speed
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_sigkill_loses_little_and_the_run_ends_the_same(
    tmp_path: Path, survey_file: Path, start: Start
) -> None:
    steps, held, saved = 60, 40, 25  # a checkpoint precedes each validation
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start(survey_file, straight, steps, NEVER))

    process = start(survey_file, killed, steps, held)
    metrics = killed / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and f'"step": {held},' in metrics.read_text(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "model.json").exists()
    _, progress = read_checkpoint(killed / "checkpoint.safetensors")
    assert progress["step"] >= saved  # more on a machine so slow that the interval passes
    finish(start(survey_file, killed, steps, NEVER))
    weights = [(out / "weights.safetensors").read_bytes() for out in (straight, killed)]
    assert weights[0] == weights[1]
    ours, theirs = (
        [(line["step"], line["loss"]) for line in lines(out) if line["step"] % 10 == 0]
        for out in (straight, killed)
    )
    assert ours == theirs
    steps_told = [line["step"] for line in lines(killed)]
    assert steps_told == sorted(set(steps_told))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_loses_nothing_and_tells_how_to_go_on(
    tmp_path: Path, survey_file: Path, start: Start, number: signal.Signals
) -> None:
    stopped = tmp_path / "stopped"
    process = start(survey_file, stopped, 100_000, NEVER)
    wait_for(lambda: (stopped / "metrics.jsonl").exists() and len(lines(stopped)) > 2, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=600)  # ends a hang, judges no speed
    assert process.returncode == -number
    _, progress = read_checkpoint(stopped / "checkpoint.safetensors")
    assert progress["step"] >= lines(stopped)[-1]["step"]
    assert f"stopped after step {progress['step']}; {stopped} holds a checkpoint" in said
    assert "go on with resume=True" in said


def test_the_command_line_trains_and_resumes(
    run_cli: Run, tmp_path: Path, survey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    words = ("train", survey_file, "--out", model, "--encoder", "tiny", "--batch-size", 8)
    done = run_cli(*words, "--steps", 6)
    for verb in ("evaluate", "predict"):
        assert f"praesepe {verb} {model}" in done.output.replace("\n", "")
    assert Estimator.load(model).card.runs[-1].steps == 6
    assert Estimator.load(model).critic is not None
    # Its 2048 stamps, and the critic that is taught on them, are half of the time of this test.
    monkeypatch.setattr(loop, "train", partial(loop.train, valid_size=256))
    refused = run_cli(*words, "--steps", 9, check=False)
    assert refused.returncode == 2
    assert "resume" in refused.stderr
    refused = run_cli(*words, "--steps", 9, "--resume", "--seed", 4, check=False)
    assert refused.returncode == 2
    assert "seed 0, now 4" in refused.stderr
    said = run_cli(*words, "--steps", 9, "--resume").output
    assert "Going on after step 6 of" in said
    assert "Validation loss at the end: " in said
    assert "What another hour would bring cannot be said" in said
    assert Estimator.load(model).card.runs[-1].steps == 9
    steps = [line["step"] for line in lines(model)]  # a slow machine writes more of them
    assert {6, 9} <= set(steps)
    assert steps == sorted(set(steps))

    out = tmp_path / "evaluation"
    words = ("evaluate", model, "--out", out, "--n", 40, "--n-samples", 50)
    refused = run_cli(*words, "--seed", 2, "--told", "a_v", check=False)
    assert "--told a_v" in refused.stderr
    other = ("--clusters-of", survey_file, "--prior", "log_mass=power:-2")
    shown = run_cli(*words, "--seed", 2, *other)
    assert "metrics.json has more bins" in shown.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["provenance"]["clusters_of"] == load_survey(survey_file).name
    assert metrics["provenance"]["prior"]["log_mass"] == "power:-2"
    assert metrics["all"]["n"] == 40
    assert metrics["provenance"]["nuisances"] is True
    for name in ("metrics.json", "clusters.ecsv", "calibration.png"):
        assert (out / name).exists()
        assert name in shown.stdout
    seen = run_cli(*words, "--seed", 0, check=False)
    assert seen.returncode == 2
    refused = run_cli(*words, "--seed", 2, check=False)
    assert "already holds metrics.json" in refused.stderr
    assert "--overwrite" in refused.stderr


def test_the_command_line_tunes_on_annotated_clusters(
    run_cli: Run, tmp_path: Path, survey_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "train", partial(loop.train, valid_size=512))
    survey = load_survey(survey_file)
    first = Estimator.untrained(survey, encoder="tiny").save(tmp_path / "first")
    rng = np.random.default_rng(2)
    wcs = mosaic_wcs(survey, 128)
    plane = rng.normal(0.1, 0.03, (128, 128)).astype(np.float32)
    image, labels, tuned = tmp_path / "f475w.fits", tmp_path / "known.csv", tmp_path / "tuned"
    mosaic_hdus(plane, survey.bands[0], wcs, survey).writeto(image)
    known = Table(rng.uniform(10, 118, (40, 2)), names=("x", "y"))
    known["log_age"] = rng.uniform(7, 10, 40)
    known["log_mass"] = rng.uniform(2, 3.5, 40)
    known["rh_arcsec"] = rng.uniform(0.1, 0.4, 40)
    known.write(labels)
    words = ("train", survey_file, "--out", tuned, "--from", first, "--catalog", labels)
    alone = run_cli(*words, "--steps", 5, check=False)
    assert alone.returncode == 2
    assert "--image" in alone.stderr
    words += ("--image", f"F475W={image}", "--x", "x", "--y", "y", "--origin", 0)
    done = run_cli(*words, "--steps", 5, "--batch-size", 8)
    assert "40 annotated clusters, 0 rows left out" in done.output
    assert "10 held-out clusters" in done.output
    assert "simulations, age: bias" in done.output
    run = Estimator.load(tuned).card.runs[-1]
    assert run.data == "labelled clusters and simulations"
    assert run.tuning["held_out"] == 10
    assert run.initial == Estimator.load(first).version
