"""The clusters to expect: what they are drawn from, and the stars that they are made of."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler  # not in `pydantic` of 2.9
from pydantic_core import InitErrorDetails

from praesepe import quantities
from praesepe.errors import listed, unknown
from praesepe.quantities import Quantity
from praesepe.survey.settings import (
    Fraction,
    FractionRange,
    NonNegative,
    NonNegativeRange,
    Positive,
    PositiveFraction,
    PositiveRange,
    Range,
    SurveySettings,
    ValueOrRange,
    as_range,
    check_ages,
    check_metallicities,
    middle,
)

PriorValue = ValueOrRange | str | Annotated[tuple[str, ...], Field(min_length=1)]
"""What a quantity may be drawn from: a value, a range, or one or more categories."""

RV = Annotated[float, Field(ge=2, le=6)]

ProfileName = Literal["eff", "king", "plummer"]

DEFAULT_RH_ARCSEC: Range = (0.08, 0.8)


class MassFunction(SurveySettings):
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


class Stars(SurveySettings):
    """The stellar population of the clusters."""

    isochrones: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "sse", description="stellar model, or several of which each cluster follows one"
    )
    imf: Literal["kroupa2001", "chabrier2003", "salpeter1955"] | MassFunction = "kroupa2001"
    binary_fraction: Fraction | FractionRange = Field(
        0.0,
        description="share of stars with an unresolved companion, or the range that it is drawn "
        "from, uniformly",
    )
    binary_mass_ratio: tuple[PositiveFraction, PositiveFraction] = Field(
        (0.1, 1.0), description="range of the companion's mass ratio q"
    )
    binary_mass_ratio_slope: Annotated[float, Field(gt=-1)] = Field(
        0.0, description="dN/dq ~ q^slope; 0: uniform"
    )
    r_v: RV | tuple[RV, RV] = Field(
        3.1, description="A_V / E(B-V) inside the galaxy, or the range that it is drawn from"
    )
    color_error_mag: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0,
        description="standard deviation of smooth errors of the stars' magnitudes in temperature "
        "and gravity, drawn for every stamp and band",
    )
    extinction_law: str = Field("F99", description="a class of dust_extinction.parameter_averages")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"isochrones = {list(self.models)}: each model may occur once")
        return self

    @property
    def colors_vary(self) -> bool:
        """Whether stars of one isochrone have other colors in other clusters."""
        return self.color_error_mag > 0 or isinstance(self.r_v, tuple)

    @property
    def middle_r_v(self) -> float:
        """A_V / E(B-V), of a range the middle."""
        return middle(self.r_v)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the stellar models, at least one."""
        return (self.isochrones,) if isinstance(self.isochrones, str) else self.isochrones


class ClusterPrior(SurveySettings):
    """What the simulated clusters are drawn from, uniformly in the logarithm.

    Beside the fields below, a key may be the ``prior`` of any registered quantity, with a value, a
    range, or names of categories: see `drawn_beside`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, PriorValue]

    log_age: Range = (6.6, 10.1)
    log_mass: Range = (2.0, 4.5)
    rh_arcsec: PositiveRange | None = Field(
        None, description="half-light radius; default: 0.08 to 0.8, or what rh_pc says"
    )
    rh_pc: PositiveRange | None = Field(
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
        (0.0, 0.0), description="mass segregation: radii scale as (m/m_light)^-s, s uniform"
    )
    center_shift_px: NonNegative = Field(1.0, description="largest shift of the center in x and y")
    metallicity: ValueOrRange = Field(
        0.0142, description="mass fraction Z, or a range that is drawn from, uniform in log Z"
    )
    a_v: ValueOrRange = Field(
        0.0, description="extinction in mag, or the range that it is drawn from, uniformly"
    )
    nebular: Fraction | FractionRange = Field(
        0.0,
        description="share of the ionising light that gas around clusters younger than 20 Myr "
        "turns into lines and continuum, or its range, uniform",
    )
    a_v_scatter: NonNegative | NonNegativeRange = Field(
        0.0,
        description="differential extinction: standard deviation from star to star, mag, or the "
        "range that it is drawn from, uniformly",
    )
    stars: Stars = Stars()

    @property
    def has_nebulae(self) -> bool:
        """Whether any cluster has gas that its stars ionise."""
        return as_range(self.nebular)[1] > 0

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The fields, and the priors of quantities that were registered beside them."""
        fields = tuple(cls.model_fields)
        return fields + tuple(q.prior for q in quantities.drawn() if q.prior not in fields)

    @model_validator(mode="wrap")
    @classmethod
    def _no_unknown_keys(cls, content: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(content, dict) or not (unknown := set(content) - set(cls.keys())):
            return handler(content)
        wrong: list[Any] = [
            InitErrorDetails(type="extra_forbidden", loc=(key,), input=content[key])
            for key in sorted(unknown)
        ]
        try:
            handler({key: value for key, value in content.items() if key not in unknown})
        except ValidationError as error:
            wrong += error.errors()
        raise ValidationError.from_exception_data(cls.__name__, wrong)

    @model_validator(mode="before")
    @classmethod
    def _one_radius(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        radii = [name for name in ("rh_arcsec", "rh_pc") if content.get(name) is not None]
        if len(radii) == 2:
            raise ValueError("rh_arcsec and rh_pc: give one of them")
        return content if radii else {**content, "rh_arcsec": DEFAULT_RH_ARCSEC}

    @field_validator("log_rh_normal")
    @classmethod
    def _is_mean_and_deviation(cls, value: Range | None) -> Range | None:
        if value is not None and not value[1] > 0:
            raise ValueError(f"{list(value)}: the standard deviation, the second, must be positive")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.stars.models == ("sse",):  # those of other models are known when they are read
            check_ages(self.log_age)
            check_metallicities(self.metallicity)
        if self.gamma[0] <= 2:
            raise ValueError(
                f"gamma = {list(self.gamma)}: an EFF profile has finite light only for gamma > 2"
            )
        for quantity in quantities.drawn():
            if getattr(self, quantity.prior, None) is not None and quantity != quantities.PROFILE:
                _check(quantity, getattr(self, quantity.prior))
        return self

    @property
    def profiles(self) -> tuple[ProfileName, ...]:
        """Names of the profiles, at least one."""
        return (self.profile,) if isinstance(self.profile, str) else self.profile

    def drawn_beside(self) -> tuple[Quantity, ...]:
        """Registered quantities that it gives beside its fields, in the order of the registry.

        They are drawn uniformly, and stand in the truth of what is simulated.

        Raises
        ------
        InputError
            Where a quantity is not registered (any more, or in this process).
        """
        beside = self.model_extra or {}
        for key in beside:
            if key not in self.keys():
                raise unknown("key of clusters", key, self.keys(), "Or register its quantity.")
        return tuple(quantity for quantity in quantities.drawn() if quantity.prior in beside)

    def categories_of(self, quantity: Quantity) -> tuple[int, ...]:
        """Categories of a quantity that are drawn, each as often, by their numbers."""
        return _numbers(quantity, getattr(self, quantity.prior))

    def is_default(self, quantity: Quantity) -> bool:
        """Whether it gives a quantity the one value that all clusters have by default."""
        if quantity.prior not in type(self).model_fields:
            return False
        given, default = getattr(self, quantity.prior), getattr(DEFAULT_PRIOR, quantity.prior)
        low, high = range_of(quantity, default)
        return low == high and given is not None and range_of(quantity, given) == (low, high)


def range_of(quantity: Quantity, prior: Any) -> Range:
    """Ends of what a survey gives for a quantity, in the quantity's own values."""
    if quantity.is_categorical:
        numbers = _numbers(quantity, prior)
        return min(numbers), max(numbers)
    low, high = as_range(prior)
    return (math.log10(low), math.log10(high)) if _is_linear(quantity) else (low, high)


def _numbers(quantity: Quantity, names: str | tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of the categories that a survey names."""
    names = names if isinstance(names, tuple) else (names,)
    return tuple(quantity.categories.index(name) for name in names)


def _is_linear(quantity: Quantity) -> bool:
    """Whether surveys give a logarithmic quantity as the number itself."""
    return quantity.linear == quantity.prior


def _check(quantity: Quantity, prior: PriorValue) -> None:
    """Refuse what a quantity cannot be drawn from."""
    values = prior if isinstance(prior, tuple) else (prior,)
    key = f"{quantity.prior} = {list(prior) if isinstance(prior, tuple) else prior}"
    if quantity.is_categorical:
        if not set(values) <= set(quantity.categories):
            raise ValueError(f"{key}: allowed are {listed(quantity.categories)}")
        return
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values):
        raise ValueError(f"{key}: give a number, or a range [low, high]")
    low, high = quantity.limits
    if _is_linear(quantity):
        if not numbers[0] > 0:
            raise ValueError(f"{key}: it must be positive")
        low, high = 10**low, 10**high
    if numbers[0] < low or numbers[-1] > high:
        any_above = f"numbers greater than or equal to {low:g}"
        allowed = f"{low:g} to {high:g}" if math.isfinite(high) else any_above
        raise ValueError(f"{key}: allowed are {allowed}")


DEFAULT_PRIOR = ClusterPrior()
"""The clusters of a survey that says nothing about them."""
