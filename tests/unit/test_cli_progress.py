"""The progress display: what it says at which moment; no test waits for the clock."""

from __future__ import annotations

import threading

import pytest

from praesepe.cli import progress
from praesepe.cli.progress import Display, display


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the display sees."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_set_up_is_shown_and_not_counted(clock: list[float]) -> None:
    shown = Display("measuring", "clusters")
    clock[0] += 12
    assert shown.line() == "measuring: getting ready … 12 s"
    shown(0, 1000)
    clock[0] += 5
    shown(250, 1000)
    assert shown.setup_seconds == 12
    assert shown.seconds == 5
    assert shown.line() == ("measuring:  25 %  250 of 1,000 clusters, 50 per second, 0:00:15 left")


def test_the_stages_of_the_set_up_are_told(clock: list[float]) -> None:
    shown = Display("training", "")
    clock[0] += 12
    shown.setup("stars of clusters", 640, 1278)
    assert shown.line() == "training: getting ready, stars of clusters, 640 of 1,278 … 12 s"
    shown(0, 10)
    clock[0] += 8
    shown.setup("star fields", 3, 24)  # nothing is done yet
    assert shown.line() == "training: getting ready, star fields, 3 of 24 … 20 s"
    shown(2, 10)
    clock[0] += 4
    shown(4, 10)
    shown.setup("star fields", 4, 24)  # of fields that are made later
    assert shown.setup_seconds == 20
    assert shown.line() == "training:  40 %  4 of 10 , 0.5 per second, 0:00:12 left"


def test_training(clock: list[float]) -> None:
    shown = Display("training", "")
    clock[0] += 30
    now = {"step": 10, "seconds": 10.0, "loss": 1.5, "valid_loss": None, "stamps_per_s": 220.4,
           "progress": 0.5, "seconds_left": 3700.0}  # fmt: skip
    shown.training(now)
    assert shown.setup_seconds == 20  # 10 s of the 30 were training
    assert shown.line() == "training:  50 %  step 10  loss 1.500  220 stamps/s  1:01:40 left"
    shown.training({**now, "valid_loss": 1.25})
    assert ", validation 1.250" in shown.line()


def test_where_there_is_no_terminal_lines_are_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line every ten seconds, also while nothing was counted yet."""
    assert progress.SECONDS_PER_LINE == 10
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0.001)
    written = threading.Event()
    line = Display.line

    def noted(shown: Display) -> str:
        written.set()
        return line(shown)

    monkeypatch.setattr(Display, "line", noted)
    with display("simulating", "clusters"):
        assert written.wait(600)  # ends a hang, judges no speed
    assert "simulating: getting ready … 0 s\n" in capsys.readouterr().err


def test_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with display("simulating", "clusters") as shown:
        shown(1, 2)
    assert "simulating" in capsys.readouterr().err


def test_an_error_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt), display("simulating", "clusters"):
        raise KeyboardInterrupt


def test_what_comes_after_the_work_is_shown() -> None:
    shown = Display("training", "")
    now = {"step": 5, "valid_loss": None, "loss": None, "seconds": 9.0, "seconds_left": 1.0}
    shown.training({**now, "progress": 0.9, "stamps_per_s": 100.0})
    shown.setup("star fields", 1, 4)
    assert "star fields" not in shown.line()
    shown.training({**now, "progress": 1.02, "stamps_per_s": 100.0})
    shown.setup("learning when not to be believed", 192, 7000)
    assert shown.line() == "training: 100 %  learning when not to be believed, 192 of 7,000"
