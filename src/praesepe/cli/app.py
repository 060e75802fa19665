"""The command line: reads arguments, calls the library, shows what comes back. No science here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from praesepe.cli.check import check
from praesepe.cli.models import demo, evaluate, predict, train
from praesepe.cli.sky import fields_build, mosaic, simulate
from praesepe.cli.stars import stars_import, stars_list, stars_show
from praesepe.cli.streams import read_utf8, steady_streams
from praesepe.cli.survey import survey_init, survey_list, survey_show, survey_upgrade
from praesepe.cli.verbs import VERBOSITY, Verbose, verb
from praesepe.cli.waiting import wait_shortly
from praesepe.version import __version__

COMMANDS: dict[str, Callable[..., None]] = {
    "check": check,
    "predict": predict,
    "train": train,
    "evaluate": evaluate,
    "simulate": simulate,
    "mosaic": mosaic,
    "demo": demo,
}
GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "survey": (
        "Surveys: what the telescope and the galaxy are, in one TOML file.",
        {
            "list": survey_list,
            "show": survey_show,
            "init": survey_init,
            "upgrade": survey_upgrade,
        },
    ),
    "stars": (
        "Stellar models: the embedded one, and PARSEC, MIST or FSPS isochrones of your own.",
        {"import": stars_import, "list": stars_list, "show": stars_show},
    ),
    "fields": (
        "Star fields of real mosaics, as backgrounds of simulated clusters.",
        {"build": fields_build},
    ),
}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ages, masses and sizes of star clusters from the pixels of multi-band images.",
)


def main() -> None:
    """Entry point of the console script."""
    read_utf8()
    steady_streams()
    wait_shortly()
    app(prog_name="praesepe")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"praesepe {__version__}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    verbose: Verbose = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""
    ctx.meta[VERBOSITY] = verbose


for name, command in COMMANDS.items():
    app.command(name)(verb(command))
for name, (text, commands) in GROUPS.items():
    group = typer.Typer(no_args_is_help=True, help=text)
    group.callback()(lambda: None)  # so that a single command keeps its name
    for one, command in commands.items():
        group.command(one)(verb(command))
    app.add_typer(group, name=name, help=text)
