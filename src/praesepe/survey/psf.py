"""The point spread function of a band."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from praesepe.survey.settings import (
    Fraction,
    NonNegative,
    Positive,
    PositiveFraction,
    SurveySettings,
)


class PSF(SurveySettings):
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
    file_energy_fraction: PositiveFraction | None = Field(
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
    native_pixel_arcsec: Positive = Field(
        0.05, description="detector pixel before drizzling; default: that of the camera"
    )
    diffusion_arcsec: NonNegative = Field(0.035, description="charge diffusion, r.m.s. per axis")
    jitter_arcsec: NonNegative = Field(0.004, description="pointing jitter, Gaussian sigma")
    halo_fraction: Fraction = Field(0.04, description="share of the light scattered into the halo")
    halo_arcsec: Positive = Field(0.4, description="e-folding radius of the halo")
    pixfrac: Fraction = Field(0.0, description="drizzle drop size; 0: not drizzled")
