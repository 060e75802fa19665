"""Runs that are terminated, killed, or two at once, from the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def started(*words: object, until: Callable[[], bool], cwd: Path) -> subprocess.Popen[str]:
    """A command in a process of its own, once it is at work."""
    command = [sys.executable, "-m", "praesepe", *map(str, words)]
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300  # ends a hang, judges no speed
    while not until() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run(
    run_cli: Callable[..., Any], toy_survey: str, tmp_path: Path, number: int
) -> None:
    """A second run is refused while it lives; afterwards nothing of it is left."""
    survey, out = tmp_path / "toy.toml", tmp_path / "set.fits"
    survey.write_text(toy_survey)
    words = ("simulate", survey, "--out", out, "--workers", 1)
    process = started(
        *words, "--n", 10**6, until=lambda: any(tmp_path.glob(".*.part*")), cwd=tmp_path
    )
    try:
        second = run_cli(*words, "--n", 2, check=False)
    finally:
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert second.returncode == 2
    assert f"process {process.pid} on" in " ".join(second.stderr.split())
    left = {path.name for path in tmp_path.iterdir()} - {survey.name}
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert said.endswith("Terminated.\n")
        assert not left
    else:
        assert len(left) == 2  # a lock that nobody holds, and half a file
        run_cli(*words, "--n", 2)
        assert {path.name for path in tmp_path.iterdir()} == {survey.name, out.name}
