"""One run at a time in a place: the second is told who is there, and a dead one holds nobody up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import praesepe
from praesepe.errors import InputError
from praesepe.locks import locked, working_folder
from praesepe.report.demo import run_demo
from praesepe.temporary import Writer

ME = rf"another run: process {os.getpid()} on {socket.gethostname()}"

HOLD = """
import sys, time
from praesepe.locks import working_folder
with working_folder(sys.argv[1]) as folder:
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_file_is_for_one_run(tmp_path):
    out, other = tmp_path / "out.ecsv", tmp_path / "other.ecsv"
    with locked(None, out):
        told = rf"out.ecsv is being written by {ME}; wait"
        with pytest.raises(InputError, match=told), locked(out):
            pytest.fail("the work began")
        with locked(other):
            pass
    with locked(out, other):
        pass
    with locked(tmp_path / ("星" * 80 + ".fits")):  # 245 bytes
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_stays_empty_goes_only_where_it_was_made_here(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    for folder in (mine, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt), working_folder(folder):
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with working_folder(tmp_path / "new") as made:
        (made / "result").touch()
        left = Writer(Writer.new().host, 2**22 + 1, "0" * 12).temporary(made / "other")
        left.touch()
    with working_folder(tmp_path / "new"):
        pass
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["result"]


def test_a_killed_run_holds_nobody_up(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} on"), working_folder(tmp_path):
            pytest.fail("the work began")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".praesepe.lock"]
    with working_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


IMAGES = dict.fromkeys(("F336W", "F475W", "F814W"), "none.fits")

COMMANDS: dict[str, Callable[[Path], object]] = {
    "simulate": lambda out: praesepe.simulate("phat", n=1, shards=1, out=out),
    "mosaic": lambda out: praesepe.simulate_mosaic("phat", n=1, out=out),
    "fields": lambda out: praesepe.build_fields("phat", IMAGES, out=out),
    "evaluate": lambda out: praesepe.evaluate("phat", out=out),
    "train": lambda out: praesepe.train("phat", out=out, steps=1),
    "demo": run_demo,
    "stars import": lambda out: praesepe.import_isochrones(["none.dat"], name="mine"),
    "check": lambda out: praesepe.check("phat", IMAGES, out=out.with_suffix(".json")),
    "simulate one file": lambda out: praesepe.simulate("phat", n=1, out=out.with_suffix(".fits")),
    "predict": lambda out: praesepe.predict(
        "phat", IMAGES, "none.csv", out=out.with_suffix(".csv"), samples=out.with_suffix(".zarr")
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_second_run_of_a_command_is_refused_at_once(tmp_path, name, monkeypatch):
    monkeypatch.setenv("PRAESEPE_DATA", str(tmp_path))
    out = tmp_path / "stars"
    files = locked(*(out.with_suffix(f".{ending}") for ending in ("fits", "zarr", "json")))
    told = f"is being written by {ME}"
    with files, working_folder(out), pytest.raises(InputError, match=told):
        COMMANDS[name](out)
