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
_CAMERAS = {
    "hst", "hubble", "acs", "wfc", "hrc", "sbc", "uvis", "ir", "wfpc", "pc", "wf", "nic", "nicmos",
    "stis", "foc",
}  # fmt: skip
"""Words of Hubble's cameras, without the numbers of their detectors."""

_FILTER = re.compile(r"f\d+[a-z]*\d?")
_OTHERS_FILTERS = re.compile(
    r"f(0(?!98m)\d\d[mnw]?|1(06|29|46|58|84)|213|\d{4}w|\d+w2|(115|200|277|356|444|560|770)w"
    r"|(140|158|162|182|210|250|300|335|360|380|430|460|480)m|(323|405|466|470)n)"
)
"""Filters of JWST and Roman whose names none of Hubble has."""


_OTHERS_CAMERAS = {
    "JWST": {"jwst", "webb", "nircam", "niriss", "nirspec", "miri"},
    "Roman": {"roman", "wfirst", "wfi"},
    "Euclid": {"euclid", "vis", "nisp"},
}

MIRRORS_M = {"JWST": 6.5, "Roman": 2.36, "Euclid": 1.2}
"""Diameters of the other telescopes that are known."""

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
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=64)] = Field(
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

    def telescope_of(self, band: Band) -> str:
        """Telescope that sees a band: ``"HST"``, one of `MIRRORS_M`, or ``""`` for any other.

        Of Hubble its telescope or its camera must speak, and neither them nor the filter of another
        one.
        """
        named = self.telescope.strip()
        texts = [band.instrument] if is_path(band.filter) else [band.instrument, band.filter]
        words = [_words(text) for text in texts]
        filters = {*_words(band.name), *words[-1]}
        cameras = [
            {one.rstrip("0123456789") for one in text if not _FILTER.fullmatch(one)}
            for text in words
        ]
        said = [text for text in cameras if text]
        if (
            (_HUBBLE.match(named) or (said and not named))
            and not any(map(_OTHERS_FILTERS.fullmatch, filters))
            and all(text & _CAMERAS for text in said)
        ):
            return "HST"
        every = _words(named).union(*words)
        return next((name for name, own in _OTHERS_CAMERAS.items() if own & every), "")

    @model_validator(mode="after")
    def _optics_are_known(self) -> Self:
        modelled = [band for band in self.bands if band.psf.file is None]
        without = [band.name for band in modelled if self.telescope_of(band) != "HST"]
        if without:
            raise ValueError(
                f"telescope = {self.telescope!r}: the optics computed here are Hubble's, so that "
                f"bands of other telescopes need a PSF file, and {', '.join(without)} have none; "
                "give each a psf.file, for instance one that STPSF has written, or say by "
                'telescope = "HST" and instrument = "ACS/WFC", for instance, that Hubble took them'
            )
        unknown = [b.name for b in modelled if "native_pixel_arcsec" not in b.psf.model_fields_set]
        if unknown:
            raise ValueError(
                f"the detector's pixel of {', '.join(unknown)} is not known; name the camera, as "
                'in instrument = "WFC3/IR", or give psf.native_pixel_arcsec'
            )
        return self


def _words(text: str) -> set[str]:
    return {*re.findall(r"[a-z0-9]+", text.lower())}
