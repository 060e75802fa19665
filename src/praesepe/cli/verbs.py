"""What all commands have in common: how much they tell, and what becomes of errors."""

from __future__ import annotations

import functools
import inspect
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Annotated, Any

import typer

from praesepe.cli.common import command_line
from praesepe.cli.screen import (
    log_lines,
    say_error,
    say_note,
    say_unexpected,
    show_warning,
)
from praesepe.errors import PraesepeError, PraesepeWarning

NOT_FORESEEN = 1
BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143
VERBOSITY = "praesepe.verbosity"
"""Where the context keeps the number of -v that stand before the command."""

Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        show_default=False,
        help="Tell what goes on, and where errors come from; -vv tells all.",
    ),
]


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a batch system sends it before it kills."""


@contextmanager
def terminable() -> Iterator[None]:
    """Answer SIGTERM as Ctrl-C is, so that nothing half written is left behind."""

    def interrupt(*_: object) -> None:
        raise Terminated

    usual = signal.getsignal(signal.SIGTERM)
    if usual is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose annotations Typer understands.

    The command takes ``-v`` too, and in place of a parameter that is a dataclass one option for
    each of its fields. Its exit status is 0, 2 for input that cannot be used, 1 for an error that
    nobody foresaw, 130 after Ctrl-C and 143 after SIGTERM. This is the one place where errors
    become messages.
    """
    own = inspect.signature(function, eval_str=True).parameters
    groups: dict[str, Callable[..., Any]] = {
        name: one.annotation
        for name, one in own.items()
        if isinstance(one.annotation, type) and is_dataclass(one.annotation)
    }
    fields = {name: inspect.signature(group, eval_str=True) for name, group in groups.items()}

    @functools.wraps(function)
    def run(ctx: typer.Context, verbose: int, **options: Any) -> None:
        for name, group in groups.items():
            options[name] = group(
                **{field: options.pop(field) for field in fields[name].parameters}
            )
        verbosity = verbose + ctx.meta.get(VERBOSITY, 0)
        said: set[str] = set()

        def show_once(message: Warning | str, *_: Any, **__: Any) -> None:
            if str(message) not in said:  # a PSF file, for instance, is read more than once
                said.add(str(message))
                show_warning(message)

        with warnings.catch_warnings(), log_lines(verbosity), terminable():
            if verbosity == 0:  # what libraries tell is for programmers, and names their options
                warnings.simplefilter("ignore")
            warnings.simplefilter("always", PraesepeWarning)
            warnings.showwarning = show_once
            try:
                function(**options)
                if sys.stdout is not None:
                    sys.stdout.flush()  # a full disk is told here, not at the end of Python
            except (typer.Exit, typer.Abort):
                raise
            except KeyboardInterrupt as error:
                terminated = isinstance(error, Terminated)
                say_note("Terminated." if terminated else "Interrupted.")
                raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from None
            except Exception as error:
                raise typer.Exit(_report(error, traced=verbosity > 0)) from None

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        one.replace(kind=keyword)
        for name, parameter in own.items()
        for one in (fields[name].parameters.values() if name in fields else [parameter])
    ]
    parameters += [
        inspect.Parameter("verbose", keyword, default=0, annotation=Verbose),
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
    ]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    del run.__wrapped__  # or Typer reads the signature there
    return run


def _report(error: Exception, *, traced: bool) -> int:
    """Tell what went wrong; return the exit status."""
    if traced:
        say_note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, PraesepeError | OSError):
        say_error(error)
        return BAD_INPUT
    say_unexpected(error, command=command_line(), traced=traced)
    return NOT_FORESEEN
