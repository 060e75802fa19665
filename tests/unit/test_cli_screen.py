"""Tables on the screen: every number can be read, whatever the width."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table as ScreenTable

from praesepe.cli.common import Machine, as_options, workers_for
from praesepe.cli.progress import display
from praesepe.cli.screen import (
    Screen,
    console_on,
    metrics_tables,
    say,
    say_error,
    say_note,
    show_warning,
)
from praesepe.cli.survey import survey_init
from praesepe.errors import InputError
from praesepe.evaluation import Evaluation, Recovery, metrics_of
from praesepe.survey import load_survey

PRIORS = {"log_age": (6.6, 10.1), "log_mass": (2.0, 4.5), "log_rh": (-1.1, -0.1), "a_v": (0, 2.5)}
MADE_BY = {"model": "phat", "model_version": "0123456789ab"}


def evaluation_of(names: tuple[str, ...]) -> Evaluation:
    """Of 300 clusters whose medians are a little off."""
    rng = np.random.default_rng(1)
    ends = np.array([PRIORS[name] for name in names]).T
    truth = rng.uniform(*ends, (300, len(names)))
    nothing = np.zeros(300)
    recovery = Recovery(
        names=names,
        truth=truth,
        percentiles=truth + rng.normal(0, 0.1, (3, 1, 1)),
        pit=rng.uniform(size=truth.shape),
        log_prob=nothing,
        tarp=nothing,
    )
    bins = load_survey("phat-nodust").evaluation.bins
    metrics = metrics_of(recovery, PRIORS, bins)
    return Evaluation({"provenance": MADE_BY, **metrics}, recovery, tuple(bins))


def printed(evaluation: Any, width: int) -> str:
    """What a screen of this width shows."""
    console = Console(width=width)
    with console.capture() as shown:
        for table in metrics_tables(evaluation, console.width):
            console.print(table)
    return shown.get()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("names", [tuple(PRIORS)[:3], tuple(PRIORS)])
def test_no_number_of_an_evaluation_is_cut(names: tuple[str, ...], width: int) -> None:
    evaluation = evaluation_of(names)
    text = printed(evaluation, width)
    assert "…" not in text
    for name in names:
        for bin_name in ("all", "seed_range"):
            assert f"{evaluation[bin_name][name]['coverage68']:.2f}" in text
    # bins of the truth, and below them those of the median
    assert len(re.findall("^posterior median *$", text, re.M)) == text.count("true value") > 0
    # in words, over more than one line where there is no room
    assert "seed_range" not in text
    assert "log age" not in text  # the other bins are in metrics.json alone
    assert re.search(r"250–4000\s+M☉", text)
    assert max(map(len, text.splitlines())) <= width


def test_few_clusters_tell_no_scatter_and_no_coverage() -> None:
    """A single one would have the scatter 0.000 and the coverage 0.00 or 1.00."""
    evaluation = evaluation_of(tuple(PRIORS)[:3])
    evaluation["all"]["n"] = 1
    (row,) = (line for line in printed(evaluation, 120).splitlines() if line.startswith("all"))
    assert row.count("–") == 6
    assert len(re.findall(r"[+-]0\.\d{3}", row)) == 3
    assert "dex" in printed(evaluation, 120)


def test_what_is_certain_has_no_coverage() -> None:
    evaluation = evaluation_of(tuple(PRIORS)[:2])
    evaluation["all"]["log_mass"]["coverage68"] = None
    (row,) = (line for line in printed(evaluation, 120).splitlines() if line.startswith("all"))
    assert row.count("–") == 1


def test_eighty_characters_hold_three_quantities() -> None:
    evaluation = evaluation_of(tuple(PRIORS)[:3])
    assert len(metrics_tables(evaluation, 80)) == 1
    assert len(metrics_tables(evaluation_of(tuple(PRIORS)), 80)) == 2
    assert len(metrics_tables(evaluation, 60)) == 2


@pytest.mark.parametrize(
    ("n", "threads", "device", "workers"),
    [
        (60, 4, "cpu", 1),
        (8000, 4, "cpu", 4),
        (8000, 2, "cpu", 2),
        (8000, 2, "cuda", 1),
        (1_000_000, 64, "cpu", 8),
    ],
)
def test_long_work_is_shared(n: int, threads: int, device: str, workers: int) -> None:
    assert workers_for(n, Machine(device=device, threads=threads)) == workers


HOSTILE = "a\x1b[31m\x9b2J\r[/red]:car:\u202eb"
SHOWN = r"a\u001b[31m\u009b2J\u000d[/red]:car:\u202eb"


def test_text_of_files_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = ScreenTable("name", HOSTILE)
    table.add_row("row", HOSTILE)
    console_on().print(table)
    say(HOSTILE)
    say_note(HOSTILE)
    say_error(InputError(HOSTILE))
    show_warning(HOSTILE)
    out, err = capsys.readouterr()
    assert (out.count(SHOWN), err.count(SHOWN)) == (3, 3)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out + err)


def test_the_bar_shows_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    screen = Screen(file=text, force_terminal=True, color_system=None, width=200)
    monkeypatch.setattr("praesepe.cli.progress.console_on", lambda **_: screen)
    with display(HOSTILE):
        pass
    assert SHOWN in text.getvalue()


@pytest.mark.parametrize("name", ["two words", "$(touch x)", "a;b", "it's"])
def test_printed_commands_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = tmp_path / f"{name}.toml"
    survey_init(file)
    last = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(last)[:5] == ["praesepe", "train", str(file), "--out", name]
    if "'" not in name:
        typed = as_options(f"praesepe.upgrade_survey({name!r})")
        assert shlex.split(typed) == ["praesepe", "survey", "upgrade", name]
    assert shlex.split(as_options(f"ra={name!r}")) == ["--ra", name]
    assert shlex.split(as_options(f"units={{'A': {name!r}}}")) == ["--unit", f"A={name}"]
