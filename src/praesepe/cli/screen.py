"""What the command line shows: messages, errors, log lines, and tables on the screen."""

from __future__ import annotations

import errno
import logging
import re
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.style import Style
from rich.table import Table as ScreenTable
from rich.text import Text

from praesepe.cli.common import as_options
from praesepe.errors import InputError, PraesepeError

if TYPE_CHECKING:
    from praesepe.evaluation.assessment import Evaluation
    from praesepe.quantities import Quantity

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ENOUGH_FOR_A_RATE = 1000
ROOM_FOR_LABELS = 15
"""Characters that a table of metrics keeps for the labels of bins; longer ones are broken."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys, but for tabs and ends of lines; and what turns the order of letters."""

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""Of the messages that are shown: usually, with ``-v`` and with ``-vv``."""


class Screen(Console):
    """A console that shows text as it is: nothing in it is a style or moves the cursor.

    Styles are those of `Text`, which the program writes. Names, paths and messages are plain
    strings, in cells of tables, too.
    """

    def render_str(self, text: str, *, style: str | Style = "", **options: Any) -> Text:
        """The text, with control characters written as escapes."""
        justify, overflow = options.get("justify"), options.get("overflow")
        return Text(harmless(text), style, justify=justify, overflow=overflow)


def console_on(*, stderr: bool = False) -> Screen:
    """A console on the present standard output or error."""
    return Screen(stderr=stderr, highlight=False)


def harmless(text: str) -> str:
    r"""Text with its control characters as escapes, so that a terminal does not obey them.

    >>> harmless("a\x1b[31m.fits")
    'a\\u001b[31m.fits'
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str) -> None:
    """Print text as it is, without wrapping it."""
    console_on().print(text, soft_wrap=True)


def say_note(text: str) -> None:
    """Print text on the standard error, where it is no part of the result."""
    console_on(stderr=True).print(text, soft_wrap=True)


def say_error(error: BaseException) -> None:
    """One message on the standard error about input that cannot be used."""
    text = error.text(as_options) if isinstance(error, InputError) else str(error)
    if isinstance(error, OSError) and not isinstance(error, PraesepeError):
        text = f"{error.filename}: {error.strerror}" if error.filename else text
        if error.errno in DISK_IS_FULL:
            text += ". Free some space, or write to another disk."
    _say_with_head("Error:", text or type(error).__name__)


def say_unexpected(error: BaseException, *, command: str, traced: bool) -> None:
    """A short report of an error that Praesepe did not foresee; `traced`: after its traceback."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        text = f"the memory is not enough: {error}. Close other programs, or give less at once."
        _say_with_head("Error:", text)
        return
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "praesepe" in Path(frame.filename).parts]
    place = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    text = f"{type(error).__name__}: {error}".rstrip(": ") + place
    _say_with_head("Error:", f"this was not foreseen: {text}")
    more = "" if traced else "Add -v to see where it happened. "
    say_note(
        f"{more}If the input is sound, please report it, with the output of -v, to the project's "
        f"issue tracker.\nThe command was: {command}"
    )


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One message on the standard error, in place of Python's with its source line."""
    _say_with_head("Warning:", str(message), "bold yellow")


def _say_with_head(head: str, text: str, style: str = "bold red") -> None:
    console = console_on(stderr=True)
    console.print(Text(head, style), end=" ", soft_wrap=True)
    console.print(text, soft_wrap=True)


class LogLines(logging.Handler):
    """Shows what the library logs: warnings as such, the rest with the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            show_warning(text)
            return
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}  {record.name.removeprefix('praesepe.')}: {text}"
        console_on(stderr=True).print(line, soft_wrap=True, style="dim")


@contextmanager
def log_lines(verbosity: int) -> Iterator[None]:
    """Show what the library's loggers tell: warnings (0), what goes on (1), or everything (2)."""
    logger = logging.getLogger("praesepe")
    level, handler = logger.level, LogLines()
    logger.addHandler(handler)
    logger.setLevel(LEVELS[min(verbosity, len(LEVELS) - 1)])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def say_measured(table: Any, *, setup: float | None = None, seconds: float | None = None) -> None:
    """How many clusters were measured, how fast, on which images, and which flags were raised.

    The rate is left out where there are too few clusters to tell.
    """
    import numpy as np

    from praesepe.flags import NO_VALUE, Flag

    flags = np.asarray(table["flags"])
    measured = int(((flags & NO_VALUE) == 0).sum())
    rate = ""
    if seconds is not None and len(flags) >= ENOUGH_FOR_A_RATE:
        rate = f" in {seconds:.1f} s ({len(flags) / max(seconds, 1e-9):,.0f} per second)"
    ready = "" if setup is None else f" Set-up took {setup:.1f} s."
    model = f"{table.meta['model']} {table.meta['model_version']}"
    say(f"{measured} of {len(flags)} clusters measured by model {model}{rate}.{ready}")
    if images := table.meta.get("images"):
        say("Images: " + ", ".join(f"{band} {file}" for band, file in images.items()))
    if prior := table.meta.get("prior"):
        odds = table.meta.get("cluster_odds")
        forms = [f"{name} {form}" for name, form in prior.items()]
        say("Prior: " + ", ".join(forms + ([f"cluster to background {odds}"] if odds else [])))
    for flag in Flag:
        count = int(((flags & flag) > 0).sum())
        if count:
            say(f"  flag {int(flag):3d} {flag.name}: {count}: {flag.description}")


def metrics_tables(evaluation: Evaluation, width: int) -> list[ScreenTable]:
    """Bias, scatter and coverage of every quantity, for all clusters and in the survey's bins.

    Quantities that find no room beside each other on a screen of `width` characters follow in
    tables of their own, so that no number is cut.
    """
    by_truth = [evaluation[name] for name in ("all", *evaluation.own_bins) if evaluation[name]["n"]]
    of_median = [evaluation["by_median"][name] for name in evaluation.own_bins]
    by_median = [part for part in of_median if part["n"]]
    parts = by_truth + by_median
    quantities = evaluation.recovery.quantities
    widest = 0
    for quantity in quantities:
        rows = [_heads(quantity), *(_cells(part[quantity.name], part["n"]) for part in parts)]
        needed = sum(1 + max(map(len, column)) for column in zip(*rows, strict=True))
        widest = max(widest, needed)
    room = width - ROOM_FOR_LABELS - 1 - max(len(str(part["n"])) for part in parts)
    size = max(room // widest, 1)
    tables = [
        _metrics_of(quantities[start : start + size], by_truth, by_median)
        for start in range(0, len(quantities), size)
    ]
    made_by = evaluation["provenance"]
    tables[0].title = (
        f"{made_by['model']} {made_by['model_version']}: posterior median minus truth, its "
        "scatter (±), both in dex for logarithms, and the coverage of the 68 % credible interval"
    )
    return tables


def _metrics_of(
    group: Sequence[Quantity], by_truth: list[dict[str, Any]], by_median: list[dict[str, Any]]
) -> ScreenTable:
    """A table of some quantities."""
    table = ScreenTable(
        title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("true value")
    for head in ("N", *(head for quantity in group for head in _heads(quantity))):
        table.add_column(head, justify="right", no_wrap=True)

    def add(parts: list[dict[str, Any]]) -> None:
        for part in parts:
            cells = [cell for quantity in group for cell in _cells(part[quantity.name], part["n"])]
            table.add_row(part["label"], str(part["n"]), *cells)

    add(by_truth)
    if by_median:
        table.add_row()
        table.add_row(Text("posterior median", "bold"))
        add(by_median)
    return table


def _heads(quantity: Quantity) -> tuple[str, ...]:
    return (quantity.word, "correct") if quantity.is_categorical else (quantity.word, "±", "68 %")


def _cells(metrics: dict[str, float | None], n: int) -> tuple[str, ...]:
    """Of n clusters; fewer than five tell neither scatter nor fractions; none is a dash."""
    names = ("accuracy",) if "accuracy" in metrics else ("median", "mad_sigma", "coverage68")
    formats = {"median": "+.3f", "mad_sigma": ".3f"}
    known = {name: value for name in names if (value := metrics[name]) is not None}
    cells = [
        f"{known[name]:{formats.get(name, '.2f')}}"
        if name in known and (n >= 5 or name == "median")
        else "–"
        for name in names
    ]
    return ("", *cells) if "accuracy" in metrics else tuple(cells)
