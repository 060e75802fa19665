"""The commands about surveys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as ScreenTable

from praesepe.cli.common import Overwrite, SurveyName
from praesepe.cli.screen import console_on, say
from praesepe.errors import InputError, already_exists


def survey_list() -> None:
    """List the surveys that are included."""
    from praesepe.survey import load_survey, survey_names

    table = ScreenTable("name", "telescope", "bands", "description", box=None, header_style="bold")
    for name in survey_names():
        survey = load_survey(name)
        table.add_row(name, survey.telescope, ", ".join(survey.band_names), survey.description)
    console_on().print(table)


def survey_show(
    name: SurveyName,
    every_key: Annotated[
        bool, typer.Option("--all", help="Every key, with the defaults filled in.")
    ] = False,
) -> None:
    """Print a survey as TOML; a file is checked, and completed with the defaults."""
    from praesepe.sky.check import check_survey
    from praesepe.survey import load_survey, survey_names, survey_text

    check_survey(load_survey(name))
    plain = name in survey_names() and not every_key
    typer.echo((survey_text(name) if plain else load_survey(name).to_toml()).rstrip())


def survey_init(
    file: Annotated[Path, typer.Argument(help="TOML file to write.")],
    like: Annotated[str, typer.Option(help="Survey to start from.")] = "phat",
) -> None:
    """Write a survey file to edit.

    Example: praesepe survey init m33.toml; then change distance, bands, priors and tides.
    """
    from praesepe.survey import load_survey, survey_text

    if file.exists():
        raise InputError(f"{file} exists; choose another name or remove it.")
    if file.suffix != ".toml":
        raise InputError(f"{file}: the name of a survey file ends in .toml.")
    name = "".join(c if (c.isalnum() and c.isascii()) or c in "_.-" else "-" for c in file.stem)
    text = survey_text(like).replace(
        f'name = "{like}"', f'name = "{name.lstrip("_.-") or "mine"}"', 1
    )
    file.write_text(text, encoding="utf-8")
    load_survey(file)
    say(f"Wrote {file}. Edit it, check it with `praesepe survey show {file}`, then train:")
    say(f"  praesepe train {file} --out {name} --minutes 60")


def survey_upgrade(
    file: Annotated[Path, typer.Argument(help="Survey file of an earlier version.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; default: the same, and the old one becomes FILE.old."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Give a survey file of an earlier version today's form; its comments are kept.

    Example: praesepe survey upgrade m33.toml
    """
    from praesepe.files import atomic
    from praesepe.survey import upgrade

    try:
        old = file.read_text(encoding="utf-8")
        new = upgrade(old)
    except ValueError as error:  # no UTF-8, no TOML
        raise InputError(f"survey {file} cannot be read as TOML: {error}") from error
    if new == old:
        say(f"{file} has today's form already; nothing was written.")
        return
    kept = file.with_name(file.name + ".old") if out is None else None
    out = out or file
    for path in (out, kept):
        if path is not None and path != file and path.exists() and not overwrite:
            raise already_exists(path)
    for path, text in ((kept, old), (out, new)):
        if path is not None:
            with atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    say(f"Wrote {out}{f'; what was there is {kept}' if kept else ''}.")
    say(f"Check it: praesepe survey show {out}")
