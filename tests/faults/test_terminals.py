"""Terminals that have few letters, or go away: the work is finished all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*words: object, env: dict[str, str] | None = None, out: int = subprocess.PIPE) -> str:
    """What a command that succeeds says."""
    command = [sys.executable, "-m", "praesepe", *map(str, words)]
    done = subprocess.run(
        command, stdout=out, stderr=out, env={**os.environ, **(env or {})}, check=False, timeout=600
    )
    said = (done.stdout or b"") + (done.stderr or b"")
    assert done.returncode == 0, said
    return said.decode("ascii" if env else "utf-8")


def test_a_terminal_of_ascii_letters(toy_survey: str, tmp_path: Path) -> None:
    survey = tmp_path / "é 星.toml"
    survey.write_text(toy_survey.replace('"F475W"', '"é 星"'), encoding="utf-8")
    assert r"\u661f: optical model" in run("survey", "show", survey, env=ASCII)
    run("survey", "init", tmp_path / "星 é.toml", env=ASCII)
    assert (tmp_path / "星 é.toml").exists()


def test_nobody_reads_what_is_said(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run("survey", "init", tmp_path / "a.toml", "-v", out=writer)
    finally:
        os.close(writer)
    assert (tmp_path / "a.toml").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_the_standard_output_is_told_once() -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "praesepe", "survey", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error:")
    assert "Traceback" not in done.stderr
