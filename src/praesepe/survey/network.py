"""The network: what it sees, what it infers, and what it is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from praesepe.quantities import DEFAULT_INFERRED, get
from praesepe.survey.settings import SurveySettings


class NetworkSettings(SurveySettings):
    """What the network maps: stamps of a size, to quantities."""

    stamp_size: Annotated[int, Field(ge=16, le=256, multiple_of=2)] = Field(
        64, description="side of a stamp in pixels, even"
    )
    infers: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        DEFAULT_INFERRED, description="quantities that it infers, by name"
    )
    conditions: tuple[str, ...] = Field((), description="what it is told beside the stamp, by name")
    scaling: Literal["band", "noise"] = Field(
        "band",
        description="what stamps are divided by: asinh_scale of each band, or the noise of the "
        "stamp, which is then told beside the conditions",
    )
    catalog_prior: dict[str, str] = Field(
        {},
        description="priors that catalogs are measured with in place of the training's, by "
        "quantity, as predict takes them",
    )

    @field_validator("infers", "conditions")
    @classmethod
    def _differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"{list(names)}: each name may occur once")
        return names

    @model_validator(mode="after")
    def _noise_is_told(self) -> Self:
        if self.scaling == "noise" and not self.conditions:
            raise ValueError(
                'scaling = "noise" and no conditions: the noise is told beside them; add "depth" '
                "to the conditions, or leave the scaling out"
            )
        return self

    @field_validator("infers", "catalog_prior")
    @classmethod
    def _known(cls, names: Any) -> Any:
        for name in names:
            get(name)
        return names
