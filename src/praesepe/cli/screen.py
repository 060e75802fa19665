"""What the command line shows: messages, progress bars and tables on the screen."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as ScreenTable

from praesepe.cli.common import as_options
from praesepe.errors import InputError, PraesepeError
from praesepe.quantities import PARAMETERS

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ENOUGH_FOR_A_RATE = 1000


def console_on(*, stderr: bool = False) -> Console:
    """A console on the present standard output or error."""
    return Console(stderr=stderr, highlight=False)


def say(text: str) -> None:
    """Print text as it is, without wrapping it."""
    console_on().print(text, markup=False, soft_wrap=True)


def say_error(error: Exception) -> None:
    """One message on the standard error."""
    words = error.text(as_options) if isinstance(error, InputError) else str(error)
    text = words or type(error).__name__
    if isinstance(error, OSError) and not isinstance(error, PraesepeError):
        text = f"{error.filename}: {error.strerror}" if error.filename else text
        if error.errno in DISK_IS_FULL:
            text += ". Free some space, or write to another disk."
    console = console_on(stderr=True)
    console.print("[bold red]Error:[/]", end=" ")
    console.print(text, markup=False, soft_wrap=True)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One message on the standard error, in place of Python's with its source line."""
    console = console_on(stderr=True)
    console.print("[bold yellow]Warning:[/]", end=" ")
    console.print(str(message), markup=False, soft_wrap=True)


class Stopwatch:
    """Time between the first and the latest call of a progress bar."""

    def __init__(self, show: Callable[[int, int, float], None]) -> None:
        self._show = show
        self._start: float | None = None
        self.seconds = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Tell how many of all things are done; the first call, with none done, starts the time."""
        now = time.perf_counter()
        self._start = now if self._start is None else self._start
        self.seconds = now - self._start
        self._show(done, total, self.seconds)


@contextmanager
def progress_bar(what: str, things: str) -> Iterator[Stopwatch]:
    """A progress bar with rate and time left, as a callable (done, total) for the library."""
    console = console_on(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=None, rate="getting ready …")

        def show(done: int, total: int, seconds: float) -> None:
            rate = f"{done / max(seconds, 1e-9):,.0f} {things}/s" if done else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield Stopwatch(show)


@contextmanager
def training_bar() -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar with step, loss, rate and time left; without a terminal a line every half minute."""
    console = console_on(stderr=True)
    bar = Progress(
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %  {task.fields[line]}"),
        console=console,
        disable=not console.is_terminal,
    )
    last_line = -math.inf
    with bar:
        task = bar.add_task(
            "", total=1.0, line="getting ready: tables of stars, point spread functions …"
        )

        def report(now: dict[str, Any]) -> None:
            nonlocal last_line
            line = _training_line(now)
            bar.update(task, completed=now["done"], line=line)
            if not console.is_terminal and time.monotonic() - last_line > 30:
                last_line = time.monotonic()
                console.print(line, markup=False, soft_wrap=True)

        yield report


def _training_line(now: dict[str, Any]) -> str:
    """One dense line: step, losses, rate, time left."""
    valid = "" if now["valid_loss"] is None else f", validation {now['valid_loss']:.3f}"
    minutes, seconds = divmod(round(now["seconds_left"]), 60)
    return (
        f"step {now['step']}  loss {now['loss']:.3f}{valid}  "
        f"{now['stamps_per_s']:.0f} stamps/s  {minutes}:{seconds:02d} left"
    )


def say_measured(table: Any, *, seconds: float | None = None) -> None:
    """How many clusters were measured, how fast, and which flags were raised.

    The rate is left out where there are too few clusters to tell.
    """
    from praesepe.flags import Flag

    measured = int(np.isfinite(np.ma.filled(table["log_age_p50"].astype(float), np.nan)).sum())
    rate = ""
    if seconds is not None and len(table) >= ENOUGH_FOR_A_RATE:
        rate = f" in {seconds:.1f} s ({len(table) / max(seconds, 1e-9):,.0f} per second)"
    say(f"{measured} of {len(table)} clusters measured{rate}.")
    flags = np.asarray(table["flags"])
    for flag in Flag:
        count = int(((flags & flag) > 0).sum())
        if count:
            say(f"  flag {int(flag):3d} {flag.name}: {count}: {flag.description}")


def demo_table(summary: list[tuple[str, float, float, float]]) -> ScreenTable:
    """How well the demonstration recovered the truth."""
    table = ScreenTable(box=None, header_style="bold")
    table.add_column("recovered - true")
    for column in ("median", "scatter", "truth within 68 %"):
        table.add_column(column, justify="right")
    for name, median, scatter, inside in summary:
        table.add_row(name, f"{median:+.3f} dex", f"{scatter:.3f} dex", f"{inside:.0%}")
    return table


def metrics_table(metrics: dict[str, Any]) -> ScreenTable:
    """Median, scatter and 68 % coverage of every parameter in every bin: 80 characters wide."""
    made_by = metrics["provenance"]
    title = f"{made_by['model']} {made_by['model_version']}: posterior median minus truth (dex), "
    table = ScreenTable(
        title=title + "its scatter (±), and the share of truths within 68 %",
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("bin", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for short_name in ("age", "mass", "size"):
        for column in (short_name, "±", "68 %"):
            table.add_column(column, justify="right", no_wrap=True)
    for name, content in metrics.items():
        if name != "provenance" and content["n"]:
            cells = [cell for p in PARAMETERS for cell in _cells(content[p.name])]
            table.add_row(name, str(content["n"]), *cells)
    return table


def _cells(metrics: dict[str, float]) -> tuple[str, str, str]:
    return (
        f"{metrics['median']:+.3f}",
        f"{metrics['mad_sigma']:.3f}",
        f"{metrics['coverage68']:.2f}",
    )
