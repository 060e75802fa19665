"""How models of a survey are judged: bins of true values, beside those that every survey has."""

from __future__ import annotations

from pydantic import Field, field_validator

from praesepe.quantities import get
from praesepe.survey.settings import Range, SurveySettings


class EvaluationSettings(SurveySettings):
    """Bins of true values that the galaxy asks for, each a range of one or more quantities.

    Attributes
    ----------
    bins : dict
        Name of the bin: name of a quantity: lowest and highest value, both in the bin.
    """

    bins: dict[str, dict[str, Range]] = Field(default_factory=dict)

    @field_validator("bins")
    @classmethod
    def _possible(cls, bins: dict[str, dict[str, Range]]) -> dict[str, dict[str, Range]]:
        for name, ranges in bins.items():
            if not name.isidentifier() or name == "all":
                raise ValueError(f"{name!r} cannot be the name of a bin; use letters, digits, _")
            for quantity, (low, high) in ranges.items():
                get(quantity)
                if low > high:
                    raise ValueError(
                        f"{name}.{quantity} = {[low, high]}: the first number must not exceed the "
                        "second"
                    )
        return bins
