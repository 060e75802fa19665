"""What pydantic finds wrong with a survey, in the words of a survey file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from praesepe.errors import InputError, nearest
from praesepe.survey.limits import LIMITS

OTHER_KIND = ("float_type", "float_parsing", "string_type", "tuple_type", "model_type")
"""What pydantic says of a value that is of another kind than it tried."""


OF_SIZE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")
"""What pydantic says of a number that is too small, too large, or none."""


def not_valid(error: ValidationError, root: type[Any], wrong: str) -> InputError:
    """The error for what should be a `root`: `wrong`, and a line for each mistake.

    By key, it carries the values that were given, and the keys or values that are allowed there.
    """
    found: list[Any] = list(error.errors())
    places = {f["loc"] for f in found}
    # A band that is wrong is not counted; that is no error of its own.
    found = [
        f
        for f in found
        if f["type"] != "too_short" or not any(p[: len(f["loc"])] == f["loc"] != p for p in places)
    ]
    found = _meant(found)
    return InputError(
        "\n  ".join([f"{wrong}:", *(_explain(problem, root) for problem in found)]),
        given={".".join(_where(one)): one["input"] for one in found},
        allowed={".".join(_where(one)): _allowed(one, root) for one in found},
    )


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


def _where(problem: Any) -> list[str]:
    """Where one of pydantic's findings stands."""
    if problem["type"] == "extra_forbidden":
        return [*_keys(problem["loc"][:-1]), str(problem["loc"][-1])]  # whatever its letters
    return _keys(problem["loc"])


def _allowed(problem: Any, root: type[Any]) -> tuple[str, ...] | str:
    """The keys that are allowed in place of an unknown one, or what a value must be."""
    if problem["type"] == "extra_forbidden":
        return tuple(_model_at(_where(problem)[:-1], root).keys())
    return str(problem["msg"]).removeprefix("Value error, ")


def _explain(problem: Any, root: type[Any]) -> str:
    """One line for one of pydantic's findings, with the nearest valid key."""
    where, allowed = _where(problem), _allowed(problem, root)
    if not isinstance(allowed, str):
        close = nearest(where[-1], allowed)
        hint = f" Did you mean {close!r}?" if close else ""
        return f"unknown key {'.'.join(where)!r}.{hint} Allowed here: {', '.join(allowed)}."
    if problem["type"] == "missing":
        return f"missing key {'.'.join(where)!r}."
    settings, given = _model_at(where[:-1], root), problem["input"]
    limit = LIMITS.get(settings.__name__, {}).get(where[-1]) if where else None
    if limit is not None and problem["type"] in OF_SIZE:
        allowed = f"{allowed}; allowed are {limit}"
    shown = "" if isinstance(given, dict | list | tuple) else f" (given: {repr(given)[:80]})"
    return f"{'.'.join(where) or 'survey'}: {allowed}{shown}"


def _model_at(where: list[str], root: type[Any]) -> type[Any]:
    """The settings that stand at a place in a survey."""
    model = root
    for key in where:
        field = model.model_fields.get(key)
        inside = list(models_in(field.annotation)) if field is not None else []
        model = inside[0] if inside else model
    return model


def models_in(annotation: Any) -> Iterator[type[Any]]:
    """Settings among the kinds of values that an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
