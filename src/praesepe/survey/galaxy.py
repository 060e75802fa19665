"""The galaxy: how far it is, its tides, and the stars around the clusters."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from praesepe.survey.settings import (
    Fraction,
    FractionRange,
    NonNegative,
    NonNegativeRange,
    Positive,
    PositiveOrRange,
    PositiveRange,
    Range,
    SurveySettings,
    check_ages,
    check_metallicities,
)


class Tides(SurveySettings):
    """The galaxy's tides, which end the EFF profiles of clusters."""

    circular_speed_km_s: Positive = Field(description="of the galaxy, the same at every radius")
    galactocentric_kpc: PositiveRange = Field(
        description="distance from the galaxy's center, uniform"
    )
    endless_share: Fraction = Field(
        0.0, description="share of the clusters whose profile has no end all the same"
    )


class StarField(SurveySettings):
    """The star field behind (and before) the clusters: simulated, or cut from real mosaics."""

    files: str | None = Field(
        None,
        description="folder of real star fields, made by `praesepe fields build`; the keys below "
        "then do not matter",
    )
    surface_density: Range = Field((5.0, 200.0), description="initial Msun/pc2, log-uniform")
    log_age: Range = Field((6.6, 10.1), description="ages of the stars")
    history: str = Field(
        "constant",
        description="rate of star formation: constant, declining, burst, or a file with two "
        "columns, log age and relative rate",
    )
    decline_gyr: Positive = Field(5.0, description="e-folding time of a declining rate")
    burst_log_age: Range = Field((7.0, 8.5), description="ages of the stars of a burst")
    burst_share: FractionRange = Field(
        (0.0, 0.1), description="share of the mass in the burst, uniform"
    )
    burstiness: NonNegative = Field(
        0.7, description="scatter of the rate between ages, natural log"
    )
    metallicity: Range = Field((0.004, 0.03), description="uniform in log Z")
    a_v: NonNegative | None = Field(
        None, description="foreground extinction of the field; default: lowest clusters.a_v"
    )
    dust_share: FractionRange = Field(
        (0.0, 0.0), description="share of the stars behind a dust layer, uniform"
    )
    dust_a_v: NonNegativeRange = Field(
        (0.0, 1.5), description="extinction by the dust layer, mag, uniform"
    )
    gradient_dex: NonNegative = Field(
        0.0, description="largest change of log surface density across a stamp"
    )
    clump_share: FractionRange = Field(
        (0.0, 0.0), description="share of the stars younger than 300 Myr that lie in clumps"
    )
    clump_pc: PositiveRange = Field((5.0, 50.0), description="radii of the clumps, log-uniform")
    neighbor_share: Fraction = Field(
        0.0, description="share of the stamps with a second cluster at a few half-light radii"
    )
    neighbor_rh: PositiveRange = Field(
        (2.0, 6.0),
        description="its distance, in half-light radii of the first, log-uniform",
    )
    galaxies_per_arcmin2: NonNegative = Field(
        0.0, description="background galaxies to 26 AB mag in F814W"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_ages(self.log_age)
        check_metallicities(self.metallicity)
        if self.surface_density[0] <= 0:
            raise ValueError(
                f"surface_density = {list(self.surface_density)}: it must be greater than 0; for "
                "almost no field stars give a tiny number, such as 1e-3"
            )
        return self


class Galaxy(SurveySettings):
    """What depends on the galaxy, and neither on its clusters nor on the telescope."""

    distance_pc: PositiveOrRange = Field(
        description="turns sizes from pc to arcsec and sets the brightness of stars; a range: "
        "drawn for every field, uniform in the logarithm"
    )
    tides: Tides | None = Field(
        None, description="end EFF profiles at the tidal radius; default: they do not end"
    )
    foreground_a_v: NonNegative | NonNegativeRange = Field(
        0.0,
        description="extinction by the Milky Way in front of the galaxy, mag, with R_V = 3.1; a "
        "range: drawn for every stamp, uniformly",
    )
    field: StarField = StarField()
