"""The bands of an observation."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from praesepe.survey.contents import is_path
from praesepe.survey.psf import PSF
from praesepe.survey.settings import (
    NonNegative,
    NonNegativeRange,
    Positive,
    PositiveOrRange,
    Range,
    SurveySettings,
    as_range,
    typical,
)

NATIVE_PIXELS_ARCSEC = {
    r"uvis[12]?": 0.0396, "ir": 0.128, "hrc": 0.027, "sbc": 0.032, "acs|wfc[12]?": 0.05,
    "nic(mos)?1": 0.043, "nic(mos)?2": 0.075, "nic(mos)?3": 0.2, "pc1?": 0.0455,
    "wfpc2|wf[234]?": 0.0996,
}  # fmt: skip
"""Pixels of Hubble's detectors by the words of their names; the first that fits counts."""


class FilterCurve(SurveySettings):
    """What a filter's file held: models carry it, so that they need the file no more."""

    file: str = Field(description="SHA-256 of the file that it was read from")
    wavelength_angstrom: tuple[float, ...]
    throughput: tuple[float, ...]


class Band(SurveySettings):
    """One filter on one instrument, as it appears in the mosaic."""

    name: str
    filter: str = Field(
        description="camera and filter, or a file: wavelength [Angstrom], throughput"
    )
    instrument: str = Field("", description="the camera, where `filter` does not name it")
    channel: str | None = Field(
        None,
        description="input of the network that it shares with bands of other cameras, of which an "
        "image has one; default: its own",
    )
    curve: FilterCurve | None = Field(
        None, description="in surveys of models: what the file `filter` held, instead of it"
    )
    zero_point_ab: float = Field(description="AB magnitude of 1 e-/s")
    exposure_s: PositiveOrRange = Field(
        description="total exposure; a range: drawn for every stamp, uniform in the logarithm"
    )
    n_exposures: Annotated[int, Field(ge=1)] = 1
    read_noise_e: NonNegative = Field(0.0, description="per exposure and mosaic pixel")
    dark_e_s: NonNegative = Field(0.0, description="per mosaic pixel")
    sky_e_s: NonNegativeRange = Field(description="range of the sky's brightness per mosaic pixel")
    sky_left: Range = Field(
        (-0.1, 1.0), description="share of the sky that the mosaic still contains"
    )
    asinh_scale: Positive = Field(0.02, description="e-/s at which the network's input bends")
    saturation_e: Positive | None = Field(
        None, description="electrons of one exposure at which a pixel is full; default: never"
    )
    noise_kernel: tuple[tuple[float, ...], ...] | Literal["drizzle"] | None = Field(
        None,
        description="how drizzling spreads the noise of a pixel: a square with an odd side, or "
        '"drizzle": as the native pixel, the drop and the mosaic\'s pixel have it',
    )
    psf: PSF = Field(PSF(), validate_default=True)

    def __repr__(self) -> str:
        on = f" on {self.instrument}" if self.instrument else ""
        shortest, longest = (f"{value:g}" for value in self.exposure_range_s)
        return (
            f"<Band {self.name!r}: filter {self.filter}{on}, zero point {self.zero_point_ab:g} "
            f"AB mag, {shortest if shortest == longest else f'{shortest} to {longest}'} s>"
        )

    __str__ = __repr__

    @field_validator("psf")
    @classmethod
    def _pixel_is_the_cameras(cls, psf: PSF, info: ValidationInfo) -> PSF:
        """Take the detector's pixel from the camera, where the survey does not say it."""
        filter_ = str(info.data.get("filter", ""))
        named = f"{info.data.get('instrument', '')} {'' if is_path(filter_) else filter_}".lower()
        words = re.findall(r"[a-z0-9]+", named)
        for camera, pixel in NATIVE_PIXELS_ARCSEC.items():
            if "native_pixel_arcsec" not in psf.model_fields_set and any(
                re.fullmatch(camera, word) for word in words
            ):
                return psf.model_copy(update={"native_pixel_arcsec": pixel})
        return psf

    @field_validator("noise_kernel", mode="before")
    @classmethod
    def _kernel_is_a_square_or_drizzle(cls, kernel: object) -> object:
        if kernel is not None and kernel != "drizzle" and not isinstance(kernel, list | tuple):
            raise ValueError('give "drizzle" or a square of numbers, as in [[1.0]]')
        return kernel

    @field_validator("noise_kernel")
    @classmethod
    def _kernel_is_square(
        cls, kernel: tuple[tuple[float, ...], ...] | Literal["drizzle"] | None
    ) -> tuple[tuple[float, ...], ...] | Literal["drizzle"] | None:
        if kernel is None or isinstance(kernel, str):
            return kernel
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
    def _drizzled_noise_has_drops(self) -> Self:
        if self.noise_kernel == "drizzle" and self.psf.pixfrac == 0:
            raise ValueError(
                'noise_kernel = "drizzle" and psf.pixfrac = 0: give the size of the drops '
                "(0 < pixfrac <= 1), or a square of numbers as the kernel"
            )
        return self

    @property
    def typical_exposure_s(self) -> float:
        """Exposure, or the geometric mean of its range, s."""
        return typical(self.exposure_s)

    @property
    def exposure_range_s(self) -> Range:
        """Shortest and longest exposure, s."""
        return as_range(self.exposure_s)
