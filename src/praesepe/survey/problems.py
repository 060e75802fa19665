"""What pydantic finds wrong with a survey, in the words of a survey file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from praesepe.errors import nearest

OTHER_KIND = ("float_type", "float_parsing", "string_type", "tuple_type", "model_type")
"""What pydantic says of a value that is of another kind than it tried."""


def explained(error: ValidationError, root: type[Any]) -> str:
    """One line for each mistake in what should be a `root`, with the nearest valid key."""
    found: list[Any] = list(error.errors())
    wrong = {f["loc"] for f in found}
    # A band that is wrong is not counted; that is no error of its own.
    found = [
        f
        for f in found
        if f["type"] != "too_short" or not any(w[: len(f["loc"])] == f["loc"] != w for w in wrong)
    ]
    return "\n  ".join(_explain(problem, root) for problem in _meant(found))


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


def _explain(problem: Any, root: type[Any]) -> str:
    """One line for one of pydantic's findings, with the nearest valid key."""
    where = _keys(problem["loc"])
    if problem["type"] == "extra_forbidden":
        where = [*_keys(problem["loc"][:-1]), str(problem["loc"][-1])]  # whatever its letters
        model = _model_at(where[:-1], root)
        keys = model.keys()
        close = nearest(where[-1], keys)
        hint = f" Did you mean {close!r}?" if close else ""
        return f"unknown key {'.'.join(where)!r}.{hint} Allowed here: {', '.join(keys)}."
    if problem["type"] == "missing":
        return f"missing key {'.'.join(where)!r}."
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    shown = "" if isinstance(given, dict | list | tuple) else f" (given: {given!r})"
    return f"{'.'.join(where) or 'survey'}: {message}{shown}"


def _model_at(where: list[str], root: type[Any]) -> type[Any]:
    """The settings that stand at a place in a survey."""
    model = root
    for key in where:
        field = model.model_fields.get(key)
        inside = list(_models_in(field.annotation)) if field is not None else []
        model = inside[0] if inside else model
    return model


def _models_in(annotation: Any) -> Iterator[type[Any]]:
    """Settings among the kinds of values that an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
