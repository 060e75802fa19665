"""The clusters to expect: what they are drawn from, and the stars that they are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from praesepe.quantities import CONCENTRATION, ELLIPTICITY, LOG_MASS, SEGREGATION
from praesepe.survey.settings import (
    Fraction,
    NonNegative,
    Positive,
    Range,
    Settings,
    ValueOrRange,
    as_range,
    check_ages,
    check_metallicities,
    shown,
)

ProfileName = Literal["eff", "king", "plummer"]

DEFAULT_RH_ARCSEC: Range = (0.08, 0.8)

SHAPE_LIMITS: dict[str, Range] = {
    quantity.prior: quantity.limits for quantity in (CONCENTRATION, ELLIPTICITY, SEGREGATION)
}
"""Lowest and highest values of a profile's shape that clusters can be made with."""


class MassFunction(Settings):
    """An initial mass function of one's own: a broken power law, dN/dm ~ m^-slope."""

    edges: Annotated[tuple[Positive, ...], Field(min_length=2)] = Field(
        description="masses where the slope changes, with both ends, Msun"
    )
    slopes: Annotated[tuple[float, ...], Field(min_length=1)] = Field(
        description="one slope per interval"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if len(self.edges) != len(self.slopes) + 1:
            raise ValueError(
                f"{len(self.slopes)} slopes need {len(self.slopes) + 1} edges; given: "
                f"{len(self.edges)}"
            )
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"edges = {list(self.edges)}: the masses must ascend")
        return self


class Stars(Settings):
    """The stellar population of the clusters."""

    isochrones: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "sse", description="stellar model, or several of which each cluster follows one"
    )
    imf: Literal["kroupa2001", "chabrier2003", "salpeter1955"] | MassFunction = "kroupa2001"
    binary_fraction: Fraction = Field(
        0.0, description="share of stars with an unresolved companion"
    )
    binary_mass_ratio: Range = Field(
        (0.1, 1.0), description="range of the companion's mass ratio q"
    )
    binary_mass_ratio_slope: Annotated[float, Field(gt=-1)] = Field(
        0.0, description="dN/dq ~ q^slope; 0: uniform"
    )
    r_v: Annotated[float, Field(ge=2, le=6)] = 3.1
    extinction_law: str = Field("F99", description="a class of dust_extinction.parameter_averages")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"isochrones = {list(self.models)}: each model may occur once")
        if not (self.binary_mass_ratio[0] > 0 and self.binary_mass_ratio[1] <= 1):
            raise ValueError(
                f"binary_mass_ratio = {list(self.binary_mass_ratio)}: allowed are values above 0 "
                "and up to 1"
            )
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the stellar models, at least one."""
        return (self.isochrones,) if isinstance(self.isochrones, str) else self.isochrones


class ClusterPrior(Settings):
    """What the simulated clusters are drawn from, uniformly in the logarithm."""

    log_age: Range = (6.6, 10.1)
    log_mass: Range = (2.0, 4.5)
    rh_arcsec: Range | None = Field(
        None, description="half-light radius; default: 0.08 to 0.8, or what rh_pc says"
    )
    rh_pc: Range | None = Field(
        None, description="half-light radius in pc, instead of rh_arcsec; the distance turns it"
    )
    log_rh_normal: Range | None = Field(
        None,
        description="mean and standard deviation of log10 r_h, in the unit of the range, cut at "
        "its ends; default: uniform in the logarithm",
    )
    profile: ProfileName | Annotated[tuple[ProfileName, ...], Field(min_length=1)] = Field(
        "eff", description="surface-brightness profile, or several of which each cluster has one"
    )
    gamma: Range = Field((2.2, 4.0), description="slope of the EFF profile, uniform")
    king_concentration: Range = Field(
        (0.5, 2.0), description="log10 of tidal over core radius of the King profile, uniform"
    )
    ellipticity: Range = Field((0.0, 0.0), description="1 - b/a, uniform; the angle is random")
    segregation: Range = Field(
        (0.0, 0.0), description="mass segregation: radii scale as (m/<m>)^-s, s uniform"
    )
    center_shift_px: NonNegative = Field(1.0, description="largest shift of the center in x and y")
    metallicity: ValueOrRange = Field(
        0.0142, description="mass fraction Z, or a range that is drawn from, uniform in log Z"
    )
    a_v: ValueOrRange = Field(
        0.0, description="extinction in mag, or the range that it is drawn from, uniformly"
    )
    a_v_scatter: NonNegative = Field(
        0.0, description="differential extinction: standard deviation from star to star, mag"
    )
    stars: Stars = Stars()

    @model_validator(mode="before")
    @classmethod
    def _one_radius(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        radii = [name for name in ("rh_arcsec", "rh_pc") if given.get(name) is not None]
        if len(radii) == 2:
            raise ValueError("rh_arcsec and rh_pc: give one of them")
        return given if radii else {**given, "rh_arcsec": DEFAULT_RH_ARCSEC}

    @field_validator("log_rh_normal")
    @classmethod
    def _is_mean_and_deviation(cls, value: Range | None) -> Range | None:
        if value is not None and not value[1] > 0:
            raise ValueError(f"{list(value)}: the standard deviation, the second, must be positive")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, high = LOG_MASS.limits
        if not (self.log_mass[0] >= low and self.log_mass[1] <= high):
            raise ValueError(f"log_mass = {list(self.log_mass)}: allowed are {low:g} to {high:g}")
        for name in ("rh_arcsec", "rh_pc"):
            radii = getattr(self, name)
            if radii is not None and radii[0] <= 0:
                raise ValueError(f"{name} = {list(radii)}: a radius must be positive")
        if self.gamma[0] <= 2:
            raise ValueError(
                f"gamma = {list(self.gamma)}: an EFF profile has finite light only for gamma > 2"
            )
        for name, (low, high) in SHAPE_LIMITS.items():
            given = getattr(self, name)
            if given[0] < low or given[1] > high:
                raise ValueError(f"{name} = {list(given)}: allowed are {low:g} to {high:g}")
        return self

    @model_validator(mode="after")
    def _stars_are_known(self) -> Self:
        if self.stars.models == ("sse",):  # those of other models are known when they are read
            check_ages(self.log_age)
            check_metallicities(self.metallicity)
        if as_range(self.metallicity)[0] <= 0:
            raise ValueError(f"metallicity = {shown(self.metallicity)}: Z must be positive")
        if as_range(self.a_v)[0] < 0:
            raise ValueError(f"a_v = {shown(self.a_v)}: give numbers greater than or equal to 0")
        return self

    @property
    def profiles(self) -> tuple[ProfileName, ...]:
        """Names of the profiles, at least one."""
        return (self.profile,) if isinstance(self.profile, str) else self.profile
