"""The commands about surveys."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.table import Table as ScreenTable

from praesepe.cli.common import Overwrite, SurveyName
from praesepe.cli.screen import console_on, say


def survey_list() -> None:
    """List the surveys that are included."""
    from praesepe.survey import load_survey, survey_names

    table = ScreenTable("name", "telescope", "bands", "description", box=None, header_style="bold")
    for name in survey_names():
        survey = load_survey(name)
        table.add_row(name, survey.telescope, ", ".join(survey.band_names), survey.description)
    console_on().print(table)


def survey_show(
    survey: SurveyName,
    every_key: Annotated[
        bool, typer.Option("--all", help="Every key, with the defaults filled in.")
    ] = False,
) -> None:
    """Print a survey as TOML; a file is checked, and completed with the defaults."""
    from praesepe.sky.check import check_survey
    from praesepe.sky.instrument.optics import describe_optics
    from praesepe.survey import load_survey, survey_names, survey_text

    described = load_survey(survey)
    check_survey(described)
    plain = survey in survey_names() and not every_key
    say((survey_text(survey) if plain else described.to_toml()).rstrip())
    for line in describe_optics(described):
        say(f"# {line}")


def survey_init(
    file: Annotated[Path, typer.Argument(help="TOML file to write.")],
    like: Annotated[str, typer.Option(help="Survey to start from.")] = "phat",
    overwrite: Overwrite = False,
) -> None:
    """Write a survey file to edit.

    Example: praesepe survey init m33.toml; then change distance, bands, priors and tides.
    """
    from praesepe.survey.editing import init_survey

    init_survey(file, like=like, overwrite=overwrite)
    typed, model = quote(str(file)), quote(file.stem)
    say(f"Wrote {file}. Edit it, check it with `praesepe survey show {typed}`, then train:")
    say(f"  praesepe train {typed} --out {model} --minutes 60")


def survey_upgrade(
    file: Annotated[Path, typer.Argument(help="Survey file of an earlier version.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; default: the same, and the old one becomes FILE.old."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Give a survey file of an earlier version today's form, without its comments.

    Example: praesepe survey upgrade m33.toml
    """
    from praesepe.survey.editing import upgrade_survey

    written = upgrade_survey(file, out=out, overwrite=overwrite)
    if written is None:
        say(f"{file} has today's form already; nothing was written.")
        return
    say(f"Wrote {written}, without comments; they are in {file if out else f'{file}.old'}.")
    say(f"Check it: praesepe survey show {quote(str(written))}")
