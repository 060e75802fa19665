"""What stamps may hold in place of a cluster in their middle."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from praesepe.survey.settings import (
    Fraction,
    NonNegative,
    PositiveRange,
    Range,
    SurveySettings,
)


class ContaminantShares(SurveySettings):
    """How often each kind of contaminant occurs, relative to the others.

    The fields are the categories of `praesepe.quantities.CONTAMINANT` beside the first.
    """

    empty: NonNegative = Field(3.0, description="the star field alone")
    group: NonNegative = Field(5.0, description="field stars that lie together by chance")
    star: NonNegative = Field(3.0, description="a single bright star")
    galaxy: NonNegative = Field(2.0, description="a background galaxy")
    artefact: NonNegative = Field(2.0, description="what a detector or a satellite leaves behind")
    off_center: NonNegative = Field(5.0, description="a cluster that is not in the middle")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not sum(share for _, share in self) > 0:
            raise ValueError("all shares are 0; give at least one kind a positive one")
        return self


class Contaminants(SurveySettings):
    """Stamps without a cluster in their middle, from which a model learns what is none."""

    fraction: Fraction = Field(
        0.0, description="share of the stamps; 0: every stamp has a cluster in its middle"
    )
    shares: ContaminantShares = ContaminantShares()
    off_center_px: PositiveRange = Field(
        (3.0, 30.0), description="distance of off-center clusters from the middle, uniform"
    )
    aside: Fraction = Field(
        0.3, description="share of groups, stars and galaxies that lie off the middle as well"
    )
    group_stars: tuple[int, int] = Field(
        (3, 40), description="number of stars of a group, log-uniform"
    )
    group_arcsec: PositiveRange = Field(
        (0.2, 1.0), description="radius of the disc that a group's stars lie in, log-uniform"
    )
    star_mag: Range = Field(
        (15.0, 24.0), description="AB magnitude of a star in its brightest band, uniform"
    )
    galaxy_mag: Range = Field(
        (18.0, 25.0), description="AB magnitude of a galaxy in F814W, uniform"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, high = self.group_stars
        if not 1 <= low <= high:
            raise ValueError(
                f"group_stars = {[low, high]}: give the fewest and the most stars, at least 1"
            )
        return self
