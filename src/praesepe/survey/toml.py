"""Survey files: TOML to settings and back, with errors that name the nearest valid key."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from praesepe.errors import InputError, nearest, unknown
from praesepe.survey.models import (
    PSF,
    Band,
    DetectorErrors,
    MassFunction,
    Nuisance,
    Prior,
    Settings,
    StarField,
    Stars,
    Survey,
    Tides,
)

OTHER_KIND = ("float_type", "float_parsing", "string_type", "tuple_type", "model_type")
"""What pydantic says of a value that is of another kind than it tried."""

FIELD_FILES = ("files", "history")
"""Keys of the star field whose values may name a file or a folder."""


def survey_names() -> tuple[str, ...]:
    """Names of the surveys that come with the package."""
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
    path = Path(source)
    if str(source) in survey_names():
        text, folder = survey_text(str(source)), None
    elif path.is_file():
        text, folder = _read_utf8(path), path.parent
    elif path.suffix == ".toml":
        raise InputError(
            f"no survey file at {path}. `praesepe survey init {path}` writes one to start from."
        )
    else:
        raise unknown("survey", str(source), survey_names(), "Or give the path of a TOML file.")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"survey {source} is not valid TOML: {error}") from error
    return parse_survey(content, folder=folder, source=str(source))


def _read_utf8(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"survey {path} is not UTF-8 text: {error.reason} at byte {error.start}; save it as "
            "UTF-8"
        ) from error


def parse_survey(
    content: dict[str, Any], *, folder: Path | None = None, source: str = "survey"
) -> Survey:
    """Check a survey given as nested dictionaries; see `load_survey`."""
    if folder is not None:
        content = _with_absolute_paths(content, folder)
    try:
        return Survey.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        within_bands = any(f["loc"][:1] == ("bands",) and len(f["loc"]) > 1 for f in found)
        if within_bands:  # a band that is wrong is not counted; that is no error of its own
            found = [f for f in found if (f["loc"], f["type"]) != (("bands",), "too_short")]
        problems = "\n  ".join(_explain(problem) for problem in _meant(found))
        raise InputError(f"{source} does not describe a survey:\n  {problems}") from error


def _with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Resolve the names of files and folders against the survey file's folder."""

    def resolve(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        candidate = folder / value
        return str(candidate.resolve()) if candidate.exists() else value

    if isinstance(content.get("field"), dict):
        field = {k: resolve(v) if k in FIELD_FILES else v for k, v in content["field"].items()}
        content = {**content, "field": field}
    bands = content.get("bands")
    if not isinstance(bands, list):
        return content
    resolved = []
    for band in bands:
        if isinstance(band, dict):
            band = {**band, **({"filter": resolve(band["filter"])} if "filter" in band else {})}
            if isinstance(band.get("psf"), dict) and "file" in band["psf"]:
                band["psf"] = {**band["psf"], "file": resolve(band["psf"]["file"])}
        resolved.append(band)
    return {**content, "bands": resolved}


def _meant(found: list[Any]) -> list[Any]:
    """Of keys that admit several kinds of values, only what is said of the kind that was given.

    Pydantic reports a wrong value once for each kind: that a word is no known name, and that it is
    no table either.
    """
    kept: list[Any] = []
    for problem in found:
        where = _keys(problem["loc"])
        others = [f for f in found if _keys(f["loc"])[: len(where)] == where and f is not problem]
        if problem["type"] in OTHER_KIND and any(f["type"] not in OTHER_KIND for f in others):
            continue
        if any(_keys(f["loc"]) == where and f["type"] == problem["type"] for f in kept):
            continue
        kept.append(problem)
    words = [f for f in kept if f["type"] == "literal_error"]
    wrong = [f for f in words if not isinstance(f["input"], str)]
    return [f for f in kept if f not in wrong or len(kept) == len(wrong)]


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys and numbers of a place in a survey, without pydantic's names of kinds of values."""
    kinds = ("str", "float", "int", "bool")
    return [str(part) for part in loc if re.fullmatch(r"\w+", str(part)) and part not in kinds]


def _explain(problem: Any) -> str:
    """One line for one of pydantic's findings, with the nearest valid key."""
    where = _keys(problem["loc"])
    if problem["type"] == "extra_forbidden":
        model = _model_at(where[:-1])
        keys = tuple(model.model_fields)
        close = nearest(where[-1], keys)
        hint = f" Did you mean {close!r}?" if close else ""
        return f"unknown key {'.'.join(where)!r}.{hint} Allowed here: {', '.join(keys)}."
    if problem["type"] == "missing":
        return f"missing key {'.'.join(where)!r}."
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    shown = "" if isinstance(given, dict | list | tuple) else f" (given: {given!r})"
    return f"{'.'.join(where) or 'survey'}: {message}{shown}"


def _model_at(where: list[str]) -> type[Settings]:
    nested: dict[str, type[Settings]] = {
        "bands": Band,
        "psf": PSF,
        "stars": Stars,
        "prior": Prior,
        "tides": Tides,
        "imf": MassFunction,
        "nuisance": Nuisance,
        "detector": DetectorErrors,
        "field": StarField,
    }
    named = [part for part in where if part in nested]
    return nested[named[-1]] if named else Survey


def to_toml(content: dict[str, Any]) -> str:
    """Write nested dictionaries as TOML; scalars and plain lists first, then tables."""

    def literal(value: Any) -> str:
        return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)

    def write(table: dict[str, Any], prefix: str) -> list[str]:
        lines = []
        for key, value in table.items():
            if not isinstance(value, dict) and not (
                isinstance(value, list) and value and isinstance(value[0], dict)
            ):
                lines.append(f"{key} = {literal(value)}")
        for key, value in table.items():
            if isinstance(value, dict):
                lines += ["", f"[{prefix}{key}]", *write(value, f"{prefix}{key}.")]
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                for item in value:
                    lines += ["", f"[[{prefix}{key}]]", *write(item, f"{prefix}{key}.")]
        return lines

    return "\n".join(write(content, "")) + "\n"
