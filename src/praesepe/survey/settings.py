"""What all settings of a survey have in common: immutable, checked, nothing unknown."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from praesepe.errors import InputError
from praesepe.survey.limits import LIMITS, numbers_in

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Range = tuple[float, float]
ValueOrRange = float | Range
"""One value, or the range that it is drawn from."""
PositiveRange = tuple[Positive, Positive]
NonNegativeRange = tuple[NonNegative, NonNegative]
FractionRange = tuple[Fraction, Fraction]
PositiveOrRange = Positive | PositiveRange

LOG_AGES: Range = (6.6, 10.1)
METALLICITIES: Range = (0.0002, 0.03)
"""What the embedded isochrones cover; a little beyond them the last one is taken."""


def as_range(value: ValueOrRange) -> Range:
    """Lowest and highest of a value or a range."""
    return value if isinstance(value, tuple) else (value, value)


def middle(value: ValueOrRange) -> float:
    """A value, or the middle of a range."""
    return sum(value) / 2 if isinstance(value, tuple) else value


def typical(value: ValueOrRange) -> float:
    """A value, or the geometric mean of the ends of a range of positive values."""
    return math.sqrt(value[0] * value[1]) if isinstance(value, tuple) else value


def check_ages(log_age: Range) -> None:
    """Refuse ages that the embedded isochrones do not have."""
    if not (log_age[0] >= LOG_AGES[0] - 0.025 and log_age[1] <= LOG_AGES[1] + 0.025):
        raise ValueError(
            f"log_age = {list(log_age)}: the embedded isochrones cover {LOG_AGES[0]} to "
            f"{LOG_AGES[1]}"
        )


def check_metallicities(metallicity: ValueOrRange) -> None:
    """Refuse metallicities that the embedded isochrones do not have."""
    low, high = METALLICITIES
    values = as_range(metallicity)
    if not (min(values) >= low / 1.5 and max(values) <= high * 1.5):
        raise ValueError(
            f"metallicity = {list(values) if isinstance(metallicity, tuple) else metallicity}: the "
            f"embedded isochrones cover mass fractions Z of {low} to {high}"
        )


class SurveySettings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **content: Any) -> None:
        from praesepe.survey.problems import not_valid

        try:
            super().__init__(**content)
        except ValidationError as error:
            raise not_valid(error, type(self), f"this makes no {type(self).__name__}") from error

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # not for nested tables

    def __setattr__(self, name: str, value: Any) -> None:
        raise InputError(
            f"{name} of a {type(self).__name__} cannot be changed",
            given={name: value},
            remedy="make another survey with other values",
            code="Survey.with_values(…)",
        )

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """Keys that a table of a survey file may have."""
        return tuple(cls.model_fields)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is wanted: they would be 1 and 0."""
        parts = value if isinstance(value, list | tuple) else (value,)
        if info.field_name in LIMITS.get(cls.__name__, ()) and any(
            isinstance(part, bool) for part in parts
        ):
            raise ValueError("give a number, not true or false")
        return value

    @model_validator(mode="after")
    def _numbers_are_possible(self) -> Self:
        for name, limit in LIMITS.get(type(self).__name__, {}).items():
            value = getattr(self, name)
            if not all(limit.low <= number <= limit.high for number in numbers_in(value)):
                given = list(value) if isinstance(value, tuple) else f"{value:g}"
                raise ValueError(f"{name} = {given}: allowed are {limit}")
        return self

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for name, value in self:
            if name == "log_rh_normal":  # a mean and a standard deviation
                continue
            is_range = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], float)
            if is_range and value[0] > value[1]:
                raise ValueError(
                    f"{name} = {list(value)}: the first number must not exceed the second"
                )
        return self
