"""What the telescope and the galaxy are: one TOML file, checked and frozen."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from praesepe.errors import InputError, nearest, unknown

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]

LOG_AGES: Range = (6.6, 10.1)
METALLICITIES: Range = (0.0002, 0.03)
"""What the embedded isochrones cover; a little beyond them the last one is taken."""


def _check_ages(log_age: Range) -> None:
    if not (log_age[0] >= LOG_AGES[0] - 0.025 and log_age[1] <= LOG_AGES[1] + 0.025):
        raise ValueError(
            f"log_age = {list(log_age)}: the embedded isochrones cover {LOG_AGES[0]} to "
            f"{LOG_AGES[1]}"
        )


def _check_metallicities(given: float | list[float]) -> None:
    low, high = METALLICITIES
    values = given if isinstance(given, list) else [given]
    if not (min(values) >= low / 1.5 and max(values) <= high * 1.5):
        raise ValueError(
            f"metallicity = {given}: the embedded isochrones cover mass fractions Z of {low} to "
            f"{high}"
        )


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for name, value in self:
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
    file_has_pixel: bool = Field(True, description="whether the file includes the pixel response")
    file_energy_fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="share of a star's light inside the file's box; default: by the optical model",
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
    psf: PSF = PSF()

    @model_validator(mode="after")
    def _sky_is_positive(self) -> Self:
        if self.sky_e_s[0] < 0:
            raise ValueError(f"sky_e_s = {list(self.sky_e_s)}: a sky cannot be negative")
        return self


class Stars(Settings):
    """The stellar population of the clusters."""

    isochrones: Literal["sse"] = "sse"
    metallicity: float = Field(0.0142, description="mass fraction Z")
    a_v: NonNegative = Field(0.0, description="extinction of clusters and field, mag")
    r_v: Annotated[float, Field(ge=2, le=6)] = 3.1
    extinction_law: str = Field("F99", description="a class of dust_extinction.parameter_averages")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _check_metallicities(self.metallicity)
        return self


class Prior(Settings):
    """What the simulated clusters are drawn from, uniformly in the logarithm."""

    log_age: Range = (6.6, 10.1)
    log_mass: Range = (2.0, 4.5)
    rh_arcsec: Range = (0.08, 0.8)
    gamma: Range = Field((2.2, 4.0), description="slope of the EFF profile, uniform")
    centre_shift_px: NonNegative = Field(1.0, description="largest shift of the centre in x and y")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _check_ages(self.log_age)
        if not (self.log_mass[0] >= 0 and self.log_mass[1] <= 8):
            raise ValueError(f"log_mass = {list(self.log_mass)}: allowed are 0 to 8")
        if self.rh_arcsec[0] <= 0:
            raise ValueError(f"rh_arcsec = {list(self.rh_arcsec)}: a radius must be positive")
        if self.gamma[0] <= 2:
            raise ValueError(
                f"gamma = {list(self.gamma)}: an EFF profile has finite light only for gamma > 2"
            )
        return self


class Nuisance(Settings):
    """What differs from image to image; drawn for every stamp and every band on its own."""

    zero_point_mag: NonNegative = Field(0.03, description="standard deviation of the zero point")
    blur_px: Range = Field((0.0, 0.8), description="sigma of an extra Gaussian blur, uniform")
    registration_px: NonNegative = Field(
        0.15, description="standard deviation of the shift in x and y"
    )


class StarField(Settings):
    """The simulated star field behind (and before) the clusters."""

    surface_density: Range = Field((5.0, 200.0), description="initial Msun/pc2, log-uniform")
    log_age: Range = Field((6.6, 10.1), description="ages, at a constant rate of star formation")
    burstiness: NonNegative = Field(
        0.7, description="scatter of the rate between ages, natural log"
    )
    metallicity: Range = Field((0.004, 0.03), description="uniform in log Z")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _check_ages(self.log_age)
        _check_metallicities(list(self.metallicity))
        if self.surface_density[0] <= 0:
            raise ValueError(
                f"surface_density = {list(self.surface_density)}: it must be greater than 0; for "
                "almost no field stars give a tiny number, such as 1e-3"
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
    field: StarField = StarField()

    @model_validator(mode="after")
    def _bands_differ(self) -> Self:
        names = [band.name for band in self.bands]
        if len(set(names)) < len(names):
            raise ValueError(f"bands {names}: each name may occur once")
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
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_toml(self) -> str:
        """Write the survey as TOML that `load_survey` reads back to an equal survey."""
        return _to_toml(self.model_dump(mode="json", exclude_none=True))


def survey_names() -> tuple[str, ...]:
    """Names of the surveys that come with the package."""
    folder = resources.files("praesepe") / "data" / "surveys"
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    )


def survey_text(name: str) -> str:
    """Return the TOML text of a survey that comes with the package."""
    if name not in survey_names():
        raise unknown("survey", name, survey_names(), "Or give the path of a TOML file.")
    file = resources.files("praesepe") / "data" / "surveys" / f"{name}.toml"
    return file.read_text(encoding="utf-8")


def load_survey(source: str | Path | Survey) -> Survey:
    """Read a survey by its built-in name or from a TOML file.

    Parameters
    ----------
    source : str, Path or Survey
        ``"phat"``, or the path of a TOML file. File names inside it (PSFs, filter curves) are
        relative to it. A `Survey` is returned as it is.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        Where no such survey exists, the file is not TOML, a key is unknown or a value impossible.
    """
    if isinstance(source, Survey):
        return source
    path = Path(source)
    if str(source) in survey_names():
        text, folder = survey_text(str(source)), None
    elif path.is_file():
        text, folder = _read_utf8(path), path.parent
    elif path.suffix == ".toml":
        raise InputError(
            f"no survey file at {path}. `praesepe survey init {path}` writes one to start from."
        )
    else:
        raise unknown("survey", str(source), survey_names(), "Or give the path of a TOML file.")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"survey {source} is not valid TOML: {error}") from error
    return parse_survey(content, folder=folder, source=str(source))


def _read_utf8(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"survey {path} is not UTF-8 text: {error.reason} at byte {error.start}; save it as "
            "UTF-8"
        ) from error


def parse_survey(
    content: dict[str, Any], *, folder: Path | None = None, source: str = "survey"
) -> Survey:
    """Check a survey given as nested dictionaries; see `load_survey`."""
    if folder is not None:
        content = _with_absolute_paths(content, folder)
    try:
        return Survey.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        within_bands = any(f["loc"][:1] == ("bands",) and len(f["loc"]) > 1 for f in found)
        if within_bands:  # a band that is wrong is not counted; that is no error of its own
            found = [f for f in found if (f["loc"], f["type"]) != (("bands",), "too_short")]
        problems = "\n  ".join(_explain(problem) for problem in found)
        raise InputError(f"{source} does not describe a survey:\n  {problems}") from error


def _with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Resolve the names of PSF and filter files against the survey file's folder."""

    def resolve(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        candidate = folder / value
        return str(candidate.resolve()) if candidate.is_file() else value

    bands = content.get("bands")
    if not isinstance(bands, list):
        return content
    resolved = []
    for band in bands:
        if isinstance(band, dict):
            band = {**band, **({"filter": resolve(band["filter"])} if "filter" in band else {})}
            if isinstance(band.get("psf"), dict) and "file" in band["psf"]:
                band["psf"] = {**band["psf"], "file": resolve(band["psf"]["file"])}
        resolved.append(band)
    return {**content, "bands": resolved}


def _explain(problem: Any) -> str:
    """One line for one of pydantic's findings, with the nearest valid key."""
    where = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        model = _model_at(where[:-1])
        keys = tuple(model.model_fields)
        close = nearest(where[-1], keys)
        hint = f" Did you mean {close!r}?" if close else ""
        return f"unknown key {'.'.join(where)!r}.{hint} Allowed here: {', '.join(keys)}."
    if problem["type"] == "missing":
        return f"missing key {'.'.join(where)!r}."
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    shown = "" if isinstance(given, dict | list | tuple) else f" (given: {given!r})"
    return f"{'.'.join(where) or 'survey'}: {message}{shown}"


def _model_at(where: list[str]) -> type[Settings]:
    nested: dict[str, type[Settings]] = {
        "bands": Band,
        "psf": PSF,
        "stars": Stars,
        "prior": Prior,
        "nuisance": Nuisance,
        "field": StarField,
    }
    named = [part for part in where if part in nested]
    return nested[named[-1]] if named else Survey


def _to_toml(content: dict[str, Any]) -> str:
    """Write nested dictionaries as TOML; scalars and plain lists first, then tables."""

    def literal(value: Any) -> str:
        return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)

    def write(table: dict[str, Any], prefix: str) -> list[str]:
        lines = []
        for key, value in table.items():
            if not isinstance(value, dict) and not (
                isinstance(value, list) and value and isinstance(value[0], dict)
            ):
                lines.append(f"{key} = {literal(value)}")
        for key, value in table.items():
            if isinstance(value, dict):
                lines += ["", f"[{prefix}{key}]", *write(value, f"{prefix}{key}.")]
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                for item in value:
                    lines += ["", f"[[{prefix}{key}]]", *write(item, f"{prefix}{key}.")]
        return lines

    return "\n".join(write(content, "")) + "\n"
