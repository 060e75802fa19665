"""Runs that are terminated or killed at any moment, or two at once, from the command line.

Trainings are in `tests/e2e/test_train.py`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO, Any

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.image import imread
from pyarrow.parquet import read_table as read_parquet

MEASURE = "predict {model} {images} --catalog {catalog} --no-check --n-samples 20"
COMMANDS = {
    "simulate to FITS": "simulate {toy} --n 300 --workers 1 --out {out}/a.fits",
    "simulate to Zarr": "simulate {toy} --n 300 --workers 1 --out {out}/a.zarr",
    "simulate shards": "simulate {toy} --n 600 --shards 3 --workers 1 --out {out}/set",
    "mosaic": "mosaic {toy} --n 5 --size 128 --out {out}/sky",
    "fields build": "fields build {toy} {images} --n 2 --size 32 --out {out}/fields",
    "predict": MEASURE + " --out {out}/a.ecsv --regions {out}/a.reg --samples {out}/a.parquet",
    "predict to Zarr": MEASURE + " --out {out}/a.fits --samples {out}/a.zarr",
    "twins": MEASURE + " --out {out}/a.csv --twins 2 --twins-out {out}/twins.fits",
    "evaluate": "evaluate {model} --n 40 --n-samples 20 --workers 1 --out {out}/evaluation",
    "check": "check {model} {images} --out {out}/check.html",
    "demo": "demo --model {model} --n 2 --out {out}/demo",
    "stars import": "stars import {isochrones} --name mine",
}
QUICK = [("fields build", signal.SIGTERM)]
"""What is tried in every run; all that is below with PRAESEPE_FAULTS=all."""

ALL = [(name, number) for name in COMMANDS for number in (signal.SIGTERM, signal.SIGKILL)]
ALL += [(name, signal.SIGINT) for name in ("fields build", "predict", "twins")]

ENDS = {143: "Terminated.", 130: "Interrupted."}
"""What a run says that has heard SIGTERM or SIGINT, by its exit status."""

GO_ON = {"simulate shards": ""}
"""How a run goes on where it was killed; others begin again, with --overwrite."""

WELL = {name: (0, 1) if name == "check" else (0,) for name in COMMANDS}
"""Exit status of a run that has ended: 1 of a check is its verdict."""


def words_of(name: str, inputs: dict[str, str], out: Path) -> list[str]:
    return COMMANDS[name].format(**inputs, out=out).split()


def hidden(folder: Path) -> list[str]:
    """Locks and what is half written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def result(folder: Path) -> dict[str, Any]:
    """What the files of a folder say, without when, where and by which command it was made."""
    return {
        str(path.relative_to(folder)): said(path, folder)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def said(path: Path, folder: Path) -> Any:
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            return [None if hdu.data is None else hdu.data.tobytes() for hdu in hdus]
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {
                name: without_origin(str(values.tolist()), folder)
                for name, values in arrays.items()
            }
    if path.suffix == ".parquet":
        return read_parquet(path).to_pydict()
    if path.suffix == ".png":
        return imread(path).tobytes()
    try:
        return without_origin(path.read_text(), folder)
    except UnicodeDecodeError:
        return path.read_bytes()


def without_origin(text: str, folder: Path) -> str:
    return ORIGIN.sub("", " ".join(text.replace(str(folder), "").split()))


ORIGIN = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+]+|\s--overwrite|\b[0-9a-f]{64}\b")
"""Times, how a command goes on, and checksums of texts that hold these."""


FORKS = """
import json, os, sys, tempfile
import matplotlib.pyplot, pyarrow.parquet, zarr
import praesepe.evaluation.assessment, praesepe.inference.prediction, praesepe.report.demo
from praesepe.cli.app import main

for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.environ.update(asked["env"])
        tempfile.tempdir = None
        for number, name in ((1, os.devnull), (2, asked["told"])):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        sys.argv = ["praesepe", *asked["words"]]
        sys.exit(main())
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Runs commands in processes of their own, for which the libraries are imported once."""


@dataclass
class Running:
    """A command at work."""

    pid: int
    answer: IO[str]

    @property
    def lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def hear(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self) -> int:
        """Its exit status; of a killed one the number of the signal, below 0."""
        return int(self.answer.readline())


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Running]]:
    """Start a command: ``start(words, told=Path, env={})``; `told` is what it says of errors."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def start(words: list[str], *, told: Path, env: dict[str, str]) -> Running:
            asked = {"words": words, "told": str(told), "env": env}
            print(json.dumps(asked), file=process.stdin, flush=True)
            assert process.stdout is not None
            return Running(int(process.stdout.readline()), process.stdout)

        yield start
        process.stdin.close()


@pytest.fixture(scope="module")
def unbroken(
    inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[dict[str, Any], float]]:
    """Result of an unbroken run of a command, and how many seconds it took."""
    made: dict[str, tuple[dict[str, Any], float]] = {}

    def of(name: str, run_cli: Callable[..., Any]) -> tuple[dict[str, Any], float]:
        if name not in made:
            out = tmp_path_factory.mktemp("whole") / "unbroken"
            out.mkdir()
            begun = time.monotonic()
            data = {"PRAESEPE_DATA": str(out)}
            done = run_cli(*words_of(name, inputs, out), check=False, env=data)
            assert done.returncode in WELL[name], done.output
            made[name] = result(out), time.monotonic() - begun
        return made[name]

    return of


@pytest.mark.parametrize(("name", "number"), ALL if os.environ.get("PRAESEPE_FAULTS") else QUICK)
def test_a_stopped_run(
    name: str,
    number: signal.Signals,
    inputs: dict[str, str],
    run_cli: Callable[..., Any],
    unbroken: Callable[..., tuple[dict[str, Any], float]],
    start: Callable[..., Running],
    tmp_path: Path,
) -> None:
    """A second run is refused while it lives; later the result is that of an unbroken one."""
    whole, seconds = unbroken(name, run_cli)
    out, temporary = tmp_path / "broken", tmp_path / "temporary"
    out.mkdir()
    temporary.mkdir()
    words = words_of(name, inputs, out)
    environment = {"PRAESEPE_DATA": str(out), "TMPDIR": str(temporary)}
    run = start(words, told=tmp_path / "told", env=environment)
    end = time.monotonic() + 600  # ends a hang, judges no speed
    while not any(out.rglob(".*lock")) and run.lives and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(Random(f"{name} {number}").uniform(0, 0.7 * seconds))  # any moment will do
    run.hear(signal.SIGSTOP)
    if any(out.rglob(".*lock")) and run.lives:
        second = run_cli(*words, "--overwrite", check=False, env=environment)
        assert second.returncode == 2
        assert f"process {run.pid} on" in " ".join(second.stderr.split())
    run.hear(number)
    run.hear(signal.SIGCONT)
    status, told = run.end(), (tmp_path / "told").read_text()
    if status in ENDS:
        assert told.strip().endswith(ENDS[status])
        assert not hidden(out)
        assert not any(temporary.iterdir())
        left = result(out)
        assert [one for one in left if left[one] != whole.get(one)] == []
    elif status != -number:  # at its very end it hears no signal
        assert status in WELL[name], told  # it was quicker
    if status not in WELL[name]:
        again = run_cli(
            *words, *GO_ON.get(name, "--overwrite").split(), check=False, env=environment
        )
        assert again.returncode in WELL[name], again.output
    assert not hidden(out)
    found = result(out)
    assert found.keys() == whole.keys()
    assert [one for one in found if found[one] != whole[one]] == []
