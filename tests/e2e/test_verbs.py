"""What all commands have in common: errors, -v, waiting threads, a quick start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from praesepe.cli import app
from praesepe.cli.waiting import POLICY, VARIABLES

Run = Callable[..., Any]


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, run_cli: Run) -> Callable[..., Any]:
    """Run a command whose work ends with an error."""

    def run(error: BaseException, *options: str) -> Any:
        monkeypatch.setattr("praesepe.survey.load_survey", raiser(error))
        return run_cli(*options, "survey", "show", "phat", check=False)

    return run


def test_an_error_that_nobody_foresaw(fails: Any) -> None:
    """A short report, no traceback; -v shows where it was."""
    error = ZeroDivisionError("division by zero")
    failed = fails(error)
    assert failed.returncode == 1
    assert "Traceback" not in failed.output
    assert "ZeroDivisionError: division by zero" in failed.stderr
    assert "Add -v" in failed.stderr
    assert "The command was: praesepe survey show phat" in failed.stderr
    traced = fails(error, "-v")
    assert traced.returncode == 1
    assert "Traceback" in traced.stderr
    assert "Add -v" not in traced.stderr


def test_not_enough_memory(fails: Any) -> None:
    failed = fails(MemoryError("array of 3 TB"))
    assert failed.returncode == 1
    assert "the memory is not enough: array of 3 TB" in failed.stderr


def test_interrupted(fails: Any) -> None:
    failed = fails(KeyboardInterrupt())
    assert failed.returncode == 130
    assert failed.stderr == "Interrupted.\n"


def test_terminated(monkeypatch: pytest.MonkeyPatch, run_cli: Run) -> None:
    """SIGTERM unwinds what goes on, as Ctrl-C does, and is as it was afterwards."""
    ended = []

    def work(*_: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)
        finally:
            ended.append("cleaned")

    monkeypatch.setattr("praesepe.survey.load_survey", work)
    stopped = run_cli("survey", "show", "phat", check=False)
    assert (stopped.returncode, stopped.stderr, ended) == (143, "Terminated.\n", ["cleaned"])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_bad_input(run_cli: Run) -> None:
    for words in (("survey", "show", "phatt"), ("-v", "survey", "show", "phatt")):
        failed = run_cli(*words, check=False)
        assert failed.returncode == 2
        assert "Did you mean 'phat'" in failed.stderr
        assert ("Traceback" in failed.stderr) == ("-v" in words)
    assert "Traceback" in run_cli("survey", "show", "-v", "phatt", check=False).stderr


def test_verbosity_shows_what_the_library_logs(
    run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    def talk(*_: Any) -> tuple[str, ...]:
        log = logging.getLogger("praesepe.survey.test")
        log.debug("detail")
        log.info("step %d", 3)
        log.warning("beware")
        return ()

    monkeypatch.setattr("praesepe.survey.survey_names", talk)
    for options, shown in (((), 1), (("-v",), 2), (("-vv",), 3)):
        said = run_cli("survey", "list", *options).stderr.splitlines()
        assert len(said) == shown
        assert said[-1] == "Warning: beware"
        if shown > 1:
            assert re.fullmatch(r"\d\d:\d\d:\d\d  survey.test: step 3", said[-2])
    assert logging.getLogger("praesepe").level == logging.NOTSET  # nothing stays behind
    assert not logging.getLogger("praesepe").handlers


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "praesepe", "survey", "show", "phat", "--all"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert "Error" not in done.stderr


POLICY_OF = """
import json, os, sys
{first}
print(json.dumps({{name: os.environ.get(name) for name in {names}}}))
print("torch" in sys.modules)
"""
COMMAND = """
from praesepe.cli import main
sys.argv = ["praesepe", "--version"]
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    ("first", "given", "expected"),
    [
        (COMMAND, {}, POLICY),
        (COMMAND, {"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        (COMMAND, {"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ("import praesepe, praesepe.cli.app; praesepe.Estimator", {}, {}),
    ],
    ids=["command line", "user's policy", "user's spin", "library"],
)
def test_waiting_threads(first: str, given: dict[str, str], expected: dict[str, str]) -> None:
    """The command line says how OpenMP waits, before torch; a user's word and a library's stand."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    code = POLICY_OF.format(first=first, names=list(VARIABLES))
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | given, capture_output=True, text=True, check=True
    )
    *_, found, torch_is_there = done.stdout.splitlines()
    assert {name: value for name, value in json.loads(found).items() if value} == expected
    assert torch_is_there == str(first != COMMAND)


def test_threads(run_python: Run) -> None:
    done = run_python(
        "from praesepe.cli.waiting import use_threads; use_threads(1)\n"
        "import torch; print(torch.get_num_threads())\n"
        "use_threads(2); print(torch.get_num_threads())"
    )
    assert done.stdout.split() == ["1", "2"]


def test_the_start_is_quick(run_python: Run) -> None:
    """Help needs none of the large libraries: with them it would take seconds."""
    done = run_python("import sys, praesepe.cli.app; print(*sys.modules)")
    assert not {"numpy", "torch", "astropy", "pydantic", "matplotlib"} & set(done.stdout.split())


def test_one_name_for_one_thing() -> None:
    """An option that several commands have means the same in all, and is written the same way."""
    from typer.main import get_command

    meanings: dict[str, set[tuple[Any, ...]]] = {}
    commands = get_command(app.app).commands  # type: ignore[attr-defined]
    groups = [commands, *(getattr(command, "commands", {}) for command in commands.values())]
    for command in (one for group in groups for one in group.values()):
        for option in command.params:
            if option.opts[0].startswith("--"):
                meanings.setdefault(option.name, set()).add(tuple(option.opts))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
    assert not {"clusters", "labels", "exclude", "survey"} & set(meanings)  # --catalog, argument
