"""Survey files to edit: one to start from; those of earlier versions in today's form."""

from __future__ import annotations

import tomllib
from pathlib import Path

from praesepe.errors import already_exists, bad_suffix
from praesepe.files import as_path, atomic, refuse_inputs
from praesepe.survey.old_form import is_old_form, upgraded
from praesepe.survey.schema import toml_text
from praesepe.survey.toml import load_survey, read_survey_text, survey_text


def init_survey(file: str | Path, *, like: str = "phat", overwrite: bool = False) -> Path:
    """Write a survey file to start from: one that is included, under a name of its own.

    Parameters
    ----------
    file : str or Path
        TOML file to write; the survey is named after it.
    like : str
        An included survey.
    overwrite : bool
        Whether the file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        Where the file exists, or there is no such survey.
    """
    file = as_path(file)
    if file.suffix != ".toml":
        raise bad_suffix(file, (".toml",))
    name = "".join(c if (c.isalnum() and c.isascii()) or c in "_.-" else "-" for c in file.stem)
    ours = f'name = "{name.lstrip("_.-") or "mine"}"'
    text = survey_text(like).replace(f'name = "{like}"', ours, 1)
    with atomic(file, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8")
    load_survey(file)
    return file


def upgrade_survey(
    file: str | Path, *, out: str | Path | None = None, overwrite: bool = False
) -> Path | None:
    """Give a survey file of an earlier version today's form, without its comments.

    Parameters
    ----------
    file : str or Path
        The survey.
    out : str or Path, optional
        File to write; by default the same, and the earlier one is kept as ``FILE.old``.
    overwrite : bool
        Whether `out`, or ``FILE.old``, may be replaced.

    Returns
    -------
    Path or None
        What was written; None where the file has today's form already.

    Raises
    ------
    InputError
        Where the file is not there or no TOML, or an output exists.
    """
    file = as_path(file)
    old = read_survey_text(file)
    content = tomllib.loads(old)
    if not is_old_form(content):
        return None
    written = file if out is None else as_path(out)
    if out is not None:
        refuse_inputs([written], [file])
    texts = {written: toml_text(upgraded(content))}
    if out is None:
        texts = {file.with_name(file.name + ".old"): old, **texts}
    for path in texts:
        if path != file and path.exists() and not overwrite:
            raise already_exists(path)
    for path, text in texts.items():
        with atomic(path) as part:
            part.write_text(text, encoding="utf-8")
    return written
