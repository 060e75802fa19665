"""The settings of a survey: what each key means, and which values are possible."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from praesepe.errors import unknown

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]
ValueOrRange = float | Range
"""One value, or the range that it is drawn from."""

ProfileName = Literal["eff", "king", "plummer"]

LOG_AGES: Range = (6.6, 10.1)
METALLICITIES: Range = (0.0002, 0.03)
"""What the embedded isochrones cover; a little beyond them the last one is taken."""


def as_range(value: ValueOrRange) -> Range:
    """Lowest and highest of a value or a range."""
    return value if isinstance(value, tuple) else (value, value)


def _shown(value: ValueOrRange) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _check_ages(log_age: Range) -> None:
    if not (log_age[0] >= LOG_AGES[0] - 0.025 and log_age[1] <= LOG_AGES[1] + 0.025):
        raise ValueError(
            f"log_age = {list(log_age)}: the embedded isochrones cover {LOG_AGES[0]} to "
            f"{LOG_AGES[1]}"
        )


def _check_metallicities(given: ValueOrRange) -> None:
    low, high = METALLICITIES
    values = as_range(given)
    if not (min(values) >= low / 1.5 and max(values) <= high * 1.5):
        raise ValueError(
            f"metallicity = {_shown(given)}: the embedded isochrones cover mass fractions Z of "
            f"{low} to {high}"
        )


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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


class PSF(Settings):
    """Point spread function of one band: a FITS file, or an optical model of the telescope."""

    file: str | None = Field(
        None, description="FITS file with the PSF; overrides the optical model"
    )
    file_scale_arcsec: Positive | None = Field(None, description="sampling of that file")
    file_has_pixel: bool | None = Field(
        None,
        description="whether the file includes the pixel response; default: yes, except for the "
        "oversampled extensions of STPSF",
    )
    file_energy_fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="share of a star's light inside the file's box; default: by the optical model",
    )
    file_extension: str | int | None = Field(
        None, description="HDU of the file, by name or number; default: the first image"
    )
    file_position: Annotated[int, Field(ge=0)] | Literal["mean", "random"] = Field(
        "mean",
        description="plane of a position-dependent file: a number, the mean, or a random one",
    )
    diameter_m: Positive = 2.4
    obscuration: Annotated[float, Field(ge=0, lt=1)] = 0.33
    struts: Annotated[int, Field(ge=0)] = 4
    strut_width: NonNegative = Field(0.022, description="fraction of the diameter")
    strut_angle_deg: float = 45.0
    wavelength_angstrom: Positive | None = Field(None, description="default: from the filter curve")
    native_pixel_arcsec: Positive = Field(0.05, description="detector pixel before drizzling")
    diffusion_arcsec: NonNegative = Field(0.035, description="charge diffusion, r.m.s. per axis")
    jitter_arcsec: NonNegative = Field(0.004, description="pointing jitter, Gaussian sigma")
    halo_fraction: Fraction = Field(0.04, description="share of the light scattered into the halo")
    halo_arcsec: Positive = Field(0.4, description="e-folding radius of the halo")
    pixfrac: Fraction = Field(0.0, description="drizzle drop size; 0: not drizzled")


class Band(Settings):
    """One filter on one instrument, as it appears in the mosaic."""

    name: str
    filter: str = Field(
        description="name in astro-sedpy, or a file: wavelength [Angstrom], throughput"
    )
    instrument: str = ""
    zero_point_ab: float = Field(description="AB magnitude of 1 e-/s")
    exposure_s: Positive
    n_exposures: Annotated[int, Field(ge=1)] = 1
    read_noise_e: NonNegative = Field(0.0, description="per exposure and mosaic pixel")
    dark_e_s: NonNegative = Field(0.0, description="per mosaic pixel")
    sky_e_s: Range = Field(description="range of the sky's brightness per mosaic pixel")
    sky_left: Range = Field(
        (-0.1, 1.0), description="share of the sky that the mosaic still contains"
    )
    asinh_scale: Positive = Field(0.02, description="e-/s at which the network's input bends")
    saturation_e: Positive | None = Field(
        None, description="electrons of one exposure at which a pixel is full; default: never"
    )
    noise_kernel: tuple[tuple[float, ...], ...] | None = Field(
        None, description="square, odd: how drizzling spreads the noise of a pixel"
    )
    psf: PSF = PSF()

    @field_validator("noise_kernel")
    @classmethod
    def _kernel_is_square(
        cls, kernel: tuple[tuple[float, ...], ...] | None
    ) -> tuple[tuple[float, ...], ...] | None:
        if kernel is None:
            return None
        side = len(kernel)
        if side % 2 == 0 or any(len(row) != side for row in kernel):
            raise ValueError(
                f"a kernel of {side} rows of {[len(row) for row in kernel]} values: give a square "
                "with an odd side, its middle on the pixel itself"
            )
        if not sum(value**2 for row in kernel for value in row) > 0:
            raise ValueError("a kernel of zeros leaves no noise; give at least one value")
        return kernel

    @model_validator(mode="after")
    def _sky_is_positive(self) -> Self:
        if self.sky_e_s[0] < 0:
            raise ValueError(f"sky_e_s = {list(self.sky_e_s)}: a sky cannot be negative")
        return self


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
    metallicity: ValueOrRange = Field(
        0.0142, description="mass fraction Z, or a range that is drawn from, uniform in log Z"
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
    a_v: ValueOrRange = Field(
        0.0, description="extinction in mag, or the range that it is drawn from, uniformly"
    )
    a_v_scatter: NonNegative = Field(
        0.0, description="differential extinction: standard deviation from star to star, mag"
    )
    r_v: Annotated[float, Field(ge=2, le=6)] = 3.1
    extinction_law: str = Field("F99", description="a class of dust_extinction.parameter_averages")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.models == ("sse",):
            _check_metallicities(self.metallicity)
        if as_range(self.metallicity)[0] <= 0:
            raise ValueError(f"metallicity = {_shown(self.metallicity)}: Z must be positive")
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"isochrones = {list(self.models)}: each model may occur once")
        if as_range(self.a_v)[0] < 0:
            raise ValueError(f"a_v = {_shown(self.a_v)}: give numbers greater than or equal to 0")
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


class Tides(Settings):
    """The galaxy's tides, which end the EFF profiles of clusters."""

    circular_speed_km_s: Positive = Field(description="of the galaxy, the same at every radius")
    galactocentric_kpc: Range = Field(description="distance from the galaxy's centre, uniform")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.galactocentric_kpc[0] <= 0:
            raise ValueError(
                f"galactocentric_kpc = {list(self.galactocentric_kpc)}: it must be positive"
            )
        return self


class Prior(Settings):
    """What the simulated clusters are drawn from, uniformly in the logarithm."""

    log_age: Range = (6.6, 10.1)
    log_mass: Range = (2.0, 4.5)
    rh_arcsec: Range = (0.08, 0.8)
    log_rh_normal: Range | None = Field(
        None,
        description="mean and standard deviation of log10 r_h [arcsec], cut at rh_arcsec; "
        "default: uniform in the logarithm",
    )
    profile: ProfileName | Annotated[tuple[ProfileName, ...], Field(min_length=1)] = Field(
        "eff", description="surface-brightness profile, or several of which each cluster has one"
    )
    gamma: Range = Field((2.2, 4.0), description="slope of the EFF profile, uniform")
    tides: Tides | None = Field(
        None, description="end EFF profiles at the tidal radius; default: they do not end"
    )
    king_concentration: Range = Field(
        (0.5, 2.0), description="log10 of tidal over core radius of the King profile, uniform"
    )
    ellipticity: Range = Field((0.0, 0.0), description="1 - b/a, uniform; the angle is random")
    segregation: Range = Field(
        (0.0, 0.0), description="mass segregation: radii scale as (m/<m>)^-s, s uniform"
    )
    centre_shift_px: NonNegative = Field(1.0, description="largest shift of the centre in x and y")

    @field_validator("log_rh_normal")
    @classmethod
    def _is_mean_and_deviation(cls, value: Range | None) -> Range | None:
        if value is not None and not value[1] > 0:
            raise ValueError(f"{list(value)}: the standard deviation, the second, must be positive")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not (self.log_mass[0] >= 0 and self.log_mass[1] <= 8):
            raise ValueError(f"log_mass = {list(self.log_mass)}: allowed are 0 to 8")
        if self.rh_arcsec[0] <= 0:
            raise ValueError(f"rh_arcsec = {list(self.rh_arcsec)}: a radius must be positive")
        if self.gamma[0] <= 2:
            raise ValueError(
                f"gamma = {list(self.gamma)}: an EFF profile has finite light only for gamma > 2"
            )
        limits = {
            "king_concentration": (0.1, 3.5),
            "ellipticity": (0.0, 0.9),
            "segregation": (0.0, 1.0),
        }
        for name, (low, high) in limits.items():
            given = getattr(self, name)
            if given[0] < low or given[1] > high:
                raise ValueError(f"{name} = {list(given)}: allowed are {low:g} to {high:g}")
        return self

    @property
    def profiles(self) -> tuple[ProfileName, ...]:
        """Names of the profiles, at least one."""
        return (self.profile,) if isinstance(self.profile, str) else self.profile


class Nuisance(Settings):
    """What differs from image to image; drawn for every stamp and every band on its own."""

    zero_point_mag: NonNegative = Field(0.03, description="standard deviation of the zero point")
    blur_px: Range = Field((0.0, 0.8), description="sigma of an extra Gaussian blur, uniform")
    registration_px: NonNegative = Field(
        0.15, description="standard deviation of the shift in x and y"
    )
    focus_nm: NonNegative = Field(
        0.0, description="standard deviation of the r.m.s. wavefront error by defocus, nm"
    )


class DetectorErrors(Settings):
    """What a calibrated mosaic keeps of the detector's faults."""

    flat_field: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="standard deviation of the flat field's error from pixel to pixel"
    )
    cosmic_rays: NonNegative = Field(
        0.0, description="remnants of cosmic rays per 10^4 pixels of each band"
    )
    cosmic_ray_e: Annotated[Range, Field()] = Field(
        (50.0, 5000.0), description="electrons of a remnant, log-uniform"
    )
    bad_pixels: Annotated[float, Field(ge=0, le=0.1)] = Field(
        0.0, description="share of pixels that hold no value, filled as real images are"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.cosmic_ray_e[0] <= 0:
            raise ValueError(f"cosmic_ray_e = {list(self.cosmic_ray_e)}: it must be positive")
        return self


class StarField(Settings):
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
    burst_share: Range = Field((0.0, 0.1), description="share of the mass in the burst, uniform")
    burstiness: NonNegative = Field(
        0.7, description="scatter of the rate between ages, natural log"
    )
    metallicity: Range = Field((0.004, 0.03), description="uniform in log Z")
    a_v: NonNegative | None = Field(
        None, description="foreground extinction of the field; default: lowest stars.a_v"
    )
    dust_share: Range = Field(
        (0.0, 0.0), description="share of the stars behind a dust layer, uniform"
    )
    dust_a_v: Range = Field((0.0, 1.5), description="extinction by the dust layer, mag, uniform")
    gradient_dex: NonNegative = Field(
        0.0, description="largest change of log surface density across a stamp"
    )
    clump_share: Range = Field(
        (0.0, 0.0), description="share of the stars younger than 300 Myr that lie in clumps"
    )
    clump_pc: Range = Field((5.0, 50.0), description="radii of the clumps, log-uniform")
    galaxies_per_arcmin2: NonNegative = Field(
        0.0, description="background galaxies to 26 AB mag in F814W"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _check_ages(self.log_age)
        _check_metallicities(self.metallicity)
        if self.surface_density[0] <= 0:
            raise ValueError(
                f"surface_density = {list(self.surface_density)}: it must be greater than 0; for "
                "almost no field stars give a tiny number, such as 1e-3"
            )
        for name in ("burst_share", "dust_share", "clump_share"):
            given = getattr(self, name)
            if given[0] < 0 or given[1] > 1:
                raise ValueError(f"{name} = {list(given)}: a share lies between 0 and 1")
        if self.dust_a_v[0] < 0 or self.clump_pc[0] <= 0:
            raise ValueError(
                f"dust_a_v = {list(self.dust_a_v)}, clump_pc = {list(self.clump_pc)}: the first "
                "cannot be negative, the second must be positive"
            )
        return self


class Survey(Settings):
    """A telescope, a set of bands, a galaxy, and the priors of the clusters in it.

    Attributes
    ----------
    distance_pc : float
        Distance of the galaxy, pc.
    pixel_scale_arcsec : float
        Pixel of the mosaics, arcsec.
    stamp_size : int
        Side of a stamp in pixels; even, 16 to 256.
    bands : tuple of Band
        In the order of the network's input channels.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str = ""
    telescope: str = ""
    distance_pc: Positive
    pixel_scale_arcsec: Positive
    stamp_size: Annotated[int, Field(ge=16, le=256, multiple_of=2)] = 64
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]
    stars: Stars = Stars()
    prior: Prior = Prior()
    nuisance: Nuisance = Nuisance()
    detector: DetectorErrors = DetectorErrors()
    field: StarField = StarField()

    @model_validator(mode="after")
    def _bands_differ(self) -> Self:
        names = [band.name for band in self.bands]
        if len(set(names)) < len(names):
            raise ValueError(f"bands {names}: each name may occur once")
        return self

    @model_validator(mode="after")
    def _ages_are_known(self) -> Self:
        if self.stars.models == ("sse",):  # those of other models are known when they are read
            _check_ages(self.prior.log_age)
        return self

    @model_validator(mode="after")
    def _clusters_fit_the_stamp(self) -> Self:
        prior, size = self.prior, self.stamp_size
        half = 0.5 * size * self.pixel_scale_arcsec
        if prior.rh_arcsec[1] > half * (1 + 1e-9):
            raise ValueError(
                f"prior.rh_arcsec = {list(prior.rh_arcsec)}: the largest radius may be half a "
                f"stamp, {half:.4g} arcsec ({size} px of {self.pixel_scale_arcsec:g} arcsec); "
                "make the stamps larger or the radii smaller"
            )
        if prior.centre_shift_px > size / 4:
            raise ValueError(
                f"prior.centre_shift_px = {prior.centre_shift_px:g}: it may be a quarter of a "
                f"stamp, 0 to {size / 4:g} px"
            )
        return self

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, in the order of the stamps' channels."""
        return tuple(band.name for band in self.bands)

    @property
    def pc_per_arcsec(self) -> float:
        """Length at the galaxy's distance that one arcsec spans, pc."""
        return self.distance_pc * math.radians(1 / 3600)

    @property
    def distance_modulus(self) -> float:
        """Distance modulus, mag."""
        return 5 * math.log10(self.distance_pc / 10)

    def band(self, name: str) -> Band:
        """Return the band called `name`; raise `InputError` where there is none."""
        for band in self.bands:
            if band.name == name:
                return band
        raise unknown("band", name, self.band_names, "Train a model for it or drop it.")

    def fingerprint(self) -> str:
        """SHA-256 of the survey's content: equal surveys, equal fingerprints."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_toml(self) -> str:
        """Write the survey as TOML that `load_survey` reads back to an equal survey."""
        from praesepe.survey.toml import to_toml

        return to_toml(self.model_dump(mode="json", exclude_none=True))
