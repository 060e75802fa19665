"""The one progress display: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from praesepe.cli.screen import console_on, harmless, say_note

log = logging.getLogger(__name__)

SECONDS_PER_LINE = 10.0
GETTING_READY = "getting ready"


class Display:
    """What a command is doing: set-up first, then how much of the work is done.

    Called by the library with (done, total), or with the dictionary of a training; before, its
    method `setup` with the stages of a set-up. `what` is going on, such as ``"measuring"``, and
    `things` are counted, such as ``"clusters"``; `share` of the work is done, 0 to 1.
    """

    def __init__(self, what: str, things: str) -> None:
        self.what, self.things = what, things
        self.share = 0.0
        self.text = GETTING_READY
        self._made = time.perf_counter()
        self._first: float | None = None
        self._latest = self._made
        self._done = self._done_at_first = 0

    @property
    def setup_seconds(self) -> float:
        """Time before the first call."""
        return (self._latest if self._first is None else self._first) - self._made

    @property
    def seconds(self) -> float:
        """Time between the first and the latest call."""
        return 0.0 if self._first is None else self._latest - self._first

    def __call__(self, done: int, total: int) -> None:
        """Tell how many of all things are done; the first call starts the time."""
        if self._first is None:
            self._done_at_first = done
        self._note()
        self._done = done
        self.share = done / total if total else 1.0
        self.text = f"{done:,} of {total:,} {self.things}"
        if done > self._done_at_first and self.seconds > 0:
            rate = (done - self._done_at_first) / self.seconds
            shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            left = timedelta(seconds=round((total - done) / rate))
            self.text += f", {shown} per second, {left} left"

    def setup(self, stage: str, done: int, total: int) -> None:
        """Tell how far the set-up is, in (stage, done, total), or what comes after the work."""
        text = f"{stage}, {done:,} of {total:,}"
        if self._done == self._done_at_first:  # work that is told of may begin with a set-up
            self._first = None
            self._latest = time.perf_counter()
            self.share = done / total if total else 1.0
            self.text = f"{GETTING_READY}, {text}"
        elif self.share == 1:  # star fields that are made during the work are no news
            self.text = text

    def training(self, now: dict[str, Any]) -> None:
        """Tell step, losses, rate and time left of a training."""
        self._note(trained=now["seconds"])
        self._done = 1 + self._done_at_first  # star fields that are made later are no set-up
        self.share = min(now["progress"], 1.0)
        valid = "" if now["valid_loss"] is None else f", validation {now['valid_loss']:.3f}"
        loss = "" if now["loss"] is None else f"  loss {now['loss']:.3f}{valid}"
        left = timedelta(seconds=round(now["seconds_left"]))
        self.text = f"step {now['step']:,}{loss}  {now['stamps_per_s']:.0f} stamps/s  {left} left"

    def line(self) -> str:
        """All of it in one line."""
        if self._first is None:
            waited = time.perf_counter() - self._made
            return f"{self.what}: {self.text} … {waited:.0f} s"
        return f"{self.what}: {100 * self.share:3.0f} %  {self.text}"

    def _note(self, trained: float = 0.0) -> None:
        self._latest = time.perf_counter()
        if self._first is None:
            self._first = max(self._latest - trained, self._made)


@contextmanager
def display(what: str, things: str = "") -> Iterator[Display]:
    """Show a `Display`, to be handed to the library, on the standard error during the work."""
    shown = Display(what, things)
    console = console_on(stderr=True)
    stop = threading.Event()
    show = _bar if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(shown, stop), daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        stop.set()
        thread.join()
        log.info("%s: set-up %.1f s, then %.1f s", what, shown.setup_seconds, shown.seconds)


def _bar(shown: Display, stop: threading.Event) -> None:
    """A bar that is redrawn often, and wiped in the end."""
    columns = BarColumn(), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=console_on(stderr=True), transient=True) as bar:
        task = bar.add_task(harmless(shown.line()), total=1.0)
        while not stop.wait(0.1):
            total = None if shown.text == GETTING_READY else 1.0
            bar.update(task, completed=shown.share, total=total, description=harmless(shown.line()))


def _lines(shown: Display, stop: threading.Event) -> None:
    """A line now and then."""
    said = ""
    while not stop.wait(SECONDS_PER_LINE):
        line = shown.line()
        if line != said:
            say_note(line)
        said = line
