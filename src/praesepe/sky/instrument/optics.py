"""What a survey assumes of its optics, in words and numbers for people."""

from __future__ import annotations

from praesepe.sky.instrument.psf import band_psf, energy_in_box
from praesepe.sky.instrument.psf_files import load_psf_file
from praesepe.sky.instrument.psf_shapes import encircled_energy, full_width
from praesepe.survey import Band, Survey

ENERGY_ARCSEC = (0.1, 0.2, 0.5, 1.0)
"""Radii at which the encircled energy is told."""

FINER = 4
"""Points per mosaic pixel at which point spread functions are measured."""


def describe_optics(survey: Survey) -> list[str]:
    """Say of each band where its PSF comes from, its width, its light, and what is assumed.

    Width and encircled energy are of stars in the mosaic: with native pixel, drizzle and all that
    the survey tells, and without nuisances.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    list of str
        A few lines a band.
    """
    lines = ["Stars in the mosaic, without nuisances:"]
    scale = survey.pixel_scale_arcsec
    step = scale / FINER
    for band in survey.bands:
        telescope = survey.observation.telescope_of(band)
        image = band_psf(
            band,
            grid_scale_arcsec=step,
            half_size_px=int(1.05 * max(ENERGY_ARCSEC) / step) + 1,
            pixel_scale_arcsec=scale,
            telescope=telescope,
        )
        energy = encircled_energy(image, step, ENERGY_ARCSEC)
        told = ", ".join(f"{e:.3f} in {r:g}" for r, e in zip(ENERGY_ARCSEC, energy, strict=True))
        lines.append(f"{band.name}: {_source(band)}{_outside(band, hubble=telescope == 'HST')}")
        lines.append(f"  FWHM {full_width(image, step):.3f} arcsec; light {told} arcsec")
    return lines


def _source(band: Band) -> str:
    if band.psf.file is None:
        return (
            f"optical model of Hubble, mirror {band.psf.diameter_m:g} m, native pixel "
            f"{band.psf.native_pixel_arcsec:g} arcsec, pixfrac {band.psf.pixfrac:g}"
        )
    return f"PSF file {band.psf.file}, pixfrac {band.psf.pixfrac:g}"


def _outside(band: Band, *, hubble: bool) -> str:
    """What is assumed outside the box of a file."""
    psf = band.psf
    if psf.file is None:
        return ""
    file = load_psf_file(psf)
    beyond = f"beyond {file.reach_arcsec:.2f} arcsec"
    if hubble:
        told = psf.file_energy_fraction
        share = "" if told is None else f" {1 - told:.3f} of the light, as in"
        return f"; {beyond} of the star{share} the optical model of Hubble"
    known = psf.file_energy_fraction is not None or file.energy is not None
    source = "as told" if known else "assumed"
    inside = energy_in_box(psf, file)
    return f"; {beyond} of the star nothing, {inside:.3f} of its light inside ({source})"
