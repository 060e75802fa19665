"""Survey files: TOML to settings, with errors that name the nearest valid key."""

from __future__ import annotations

import contextlib
import os
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from praesepe.bounded import check_depth, read_text
from praesepe.errors import InputError, check_type, unknown, unusable
from praesepe.survey.contents import is_path, with_files
from praesepe.survey.old_form import is_old_form, upgraded
from praesepe.survey.schema import Survey


def survey_names() -> tuple[str, ...]:
    """Names of the surveys that come with the package.

    Returns
    -------
    tuple of str
        In alphabetical order.
    """
    folder = resources.files("praesepe") / "data" / "surveys"
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    )


def survey_text(name: str) -> str:
    """Return the TOML text of a survey that comes with the package."""
    if name not in survey_names():
        raise unknown("survey", name, survey_names(), "Or give the path of a TOML file.")
    file = resources.files("praesepe") / "data" / "surveys" / f"{name}.toml"
    return file.read_text(encoding="utf-8")


def load_survey(source: str | Path | Survey) -> Survey:
    """Read a survey by its built-in name or from a TOML file.

    Parameters
    ----------
    source : str, Path or Survey
        ``"phat"``, or the path of a TOML file. File names inside it (PSFs, filter curves) are
        relative to it. A `Survey` is returned as it is.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        Where no such survey exists, the file is not TOML, a key is unknown or a value impossible.
    """
    if isinstance(source, Survey):
        return source
    check_type(
        "survey", source, (str, os.PathLike), ("a name", "the path of a TOML file", "a Survey")
    )
    path, included = Path(source), str(source) in survey_names()
    if not included and not path.is_file():
        if path.suffix != ".toml":
            raise unknown("survey", str(source), survey_names(), "Or give the path of a TOML file.")
        write = f"praesepe.init_survey({str(path)!r})"
        raise unusable(path, "is not there", "write one to start from", code=write)
    text = survey_text(str(source)) if included else read_survey_text(path)
    content = tomllib.loads(text)
    if not content:
        write = "praesepe.init_survey('mine.toml')"
        raise unusable(source, "is empty", "write one to start from", code=write)
    if is_old_form(content):
        raise InputError(
            f"survey {source} has the form of earlier versions",
            given=source,
            remedy="give it today's, with the tables observation, galaxy, clusters and network",
            code=f"praesepe.upgrade_survey({str(source)!r})",
        )
    return parse_survey(content, folder=None if included else path.parent, source=str(source))


def survey_files(source: str | Path | Survey) -> list[Path]:
    """Files that a survey is read from: its own, and the files and folders that it names."""
    survey = load_survey(source)
    found = [] if isinstance(source, Survey) else [Path(source)]
    found += [Path(name) for name in survey.clusters.stars.models if is_path(name)]

    def noted(name: str, may_be_word: bool) -> str:
        if not may_be_word or is_path(name):
            found.append(Path(name))
        return name

    with_files(survey.model_dump(mode="json"), noted)
    return found


def read_survey_text(path: Path) -> str:
    """Text of a survey file that is TOML; `InputError` for any other."""
    try:
        text = read_text(path)
        check_depth(tomllib.loads(text))
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
        raise unusable(path, fault, "give the path of a TOML file") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML
        raise unusable(path, f"is not valid TOML in UTF-8: {error}", "correct it there") from error
    return text


def parse_survey(
    content: dict[str, Any], *, folder: Path | None = None, source: str = "survey"
) -> Survey:
    """Check a survey given as nested dictionaries; see `load_survey`.

    Parameters
    ----------
    content : dict
        The tables of a survey file. Those of earlier versions, as older models carry them, are
        turned into today's.
    folder : Path, optional
        Where files that the survey names are looked for.
    source : str
        What messages call the survey.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        Where a key is unknown or a value impossible.
    """
    if is_old_form(content):
        content = upgraded(content)
    if folder is not None:

        def found_in(name: str, _may_be_word: bool) -> str:
            path = folder / name
            with contextlib.suppress(OSError):  # a name that no file can have
                return str(path.resolve()) if path.exists() else name
            return name

        content = with_files(content, found_in)
    return Survey.checked(content, f"{source} does not describe a survey")
