"""What the telescope sees: its bands, and what differs from image to image."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from praesepe.survey.bands import Band
from praesepe.survey.contents import is_path
from praesepe.survey.settings import (
    Fraction,
    FractionRange,
    NonNegative,
    Positive,
    PositiveRange,
    SurveySettings,
)

_HUBBLE = re.compile(r"(hst|hubble)\b", re.IGNORECASE)
_OTHER_CAMERAS = re.compile(
    r"\b(jwst|nircam|niriss|nirspec|miri|roman|wfi|euclid|nisp|vis)\b", re.IGNORECASE
)


HaloShare = Annotated[float, Field(ge=-0.3, le=0.5)]


class Nuisance(SurveySettings):
    """What differs from image to image; drawn for every stamp and every band on its own."""

    zero_point_mag: NonNegative = Field(0.03, description="standard deviation of the zero point")
    blur_px: tuple[Annotated[float, Field(ge=-0.6)], float] = Field(
        (0.0, 0.8),
        description="sigma of an extra Gaussian blur, uniform; below zero: sharper instead",
    )
    halo_share: tuple[HaloShare, HaloShare] = Field(
        (0.0, 0.0),
        description="range of the share of a star's light that is spread into a halo of 0.3 "
        "arcsec, uniform; below zero: back from it into the core",
    )
    flux_mag: NonNegative = Field(
        0.0, description="standard deviation of a zero point's error that all bands share"
    )
    registration_px: NonNegative = Field(
        0.15, description="standard deviation of the shift in x and y"
    )
    noise_correlation: FractionRange = Field(
        (1.0, 1.0),
        description="range of the share of the noise that the bands' kernels spread, uniform; the "
        "rest is white, and a pixel as noisy as before",
    )
    sky_apart: bool = Field(
        False,
        description="whether the sky that is left in the mosaic is drawn apart from the sky that "
        "makes the noise",
    )
    focus_nm: NonNegative = Field(
        0.0, description="standard deviation of the r.m.s. wavefront error by defocus, nm"
    )


class DetectorErrors(SurveySettings):
    """What a calibrated mosaic keeps of the detector's faults."""

    flat_field: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="standard deviation of the flat field's error from pixel to pixel"
    )
    cosmic_rays: NonNegative = Field(
        0.0, description="remnants of cosmic rays per 10^4 pixels of each band"
    )
    cosmic_ray_e: PositiveRange = Field(
        (50.0, 5000.0), description="electrons of a remnant, log-uniform"
    )
    bad_pixels: Annotated[float, Field(ge=0, le=0.1)] = Field(
        0.0, description="share of pixels that hold no value, filled as real images are"
    )
    gaps: Fraction = Field(
        0.0,
        description="share of the stamps of each band with a gap: a strip or all beyond an edge "
        "without values, filled likewise",
    )


class Observation(SurveySettings):
    """The telescope, its bands, and the errors that calibrated images keep."""

    telescope: str = ""
    pixel_scale_arcsec: Positive = Field(description="pixel of the mosaics")
    bands: Annotated[tuple[Band, ...], Field(min_length=1)] = Field(
        description="in the order of the stamps' channels"
    )
    nuisance: Nuisance = Nuisance()
    detector: DetectorErrors = DetectorErrors()

    @model_validator(mode="after")
    def _bands_differ(self) -> Self:
        names = [band.name for band in self.bands]
        if len(set(names)) < len(names):
            raise ValueError(f"bands {names}: each name may occur once")
        return self

    def is_hubble(self, band: Band) -> bool:
        """Whether a band is seen with Hubble's optics: so its telescope and camera say, if any."""
        known = "" if is_path(band.filter) else band.filter
        camera = f"{known} {band.instrument}".replace("_", " ")
        named = self.telescope.strip()
        hubble = not named or bool(_HUBBLE.match(named))
        return hubble and not _OTHER_CAMERAS.search(camera)

    @model_validator(mode="after")
    def _optics_are_known(self) -> Self:
        without = [b.name for b in self.bands if b.psf.file is None and not self.is_hubble(b)]
        if without:
            raise ValueError(
                f"telescope = {self.telescope!r}: the optics computed here are Hubble's, so that "
                f"bands of other telescopes need a PSF file, and {', '.join(without)} have none; "
                "give each a psf.file, for instance one that STPSF has written"
            )
        return self
