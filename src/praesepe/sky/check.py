"""Whether all that a survey names exists and fits together: filters, extinction law, PSF files."""

from __future__ import annotations

import warnings
from pathlib import Path

from praesepe.errors import InputError, PraesepeWarning
from praesepe.sky.contents import without_missing_stars
from praesepe.sky.fields.histories import HISTORIES, read_history
from praesepe.sky.fields.real import RealFieldPool
from praesepe.sky.instrument.psf import band_psf, band_wavelengths, check_optics_fit
from praesepe.sky.instrument.render import LARGEST_HALF, OVERSAMPLING
from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.curves import band_curve, check_zero_points
from praesepe.stars.extinction import covered_angstrom
from praesepe.stars.isochrones import IsochroneGrid, check_covers
from praesepe.stars.store import load_isochrones
from praesepe.survey import Survey, as_range, load_survey


def check_survey(survey: Survey | str | Path) -> None:
    """Check what the survey's file alone cannot tell, before a simulation needs it.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey, its name or its file.

    Raises
    ------
    InputError
        As `refuse_impossible`, which every simulation asks first.
    MissingDependencyError
        Where `astro-sedpy` or `dust_extinction` is needed and not installed.

    Warns
    -----
    PraesepeWarning
        Where a PSF file has a strange normalisation, many values missing or a sky that was left, a
        curve or a zero point is not that of its camera and filter, a stellar model is not here, or
        the focus is to vary in a band whose PSF is a file.
    """
    survey = without_missing_stars(load_survey(survey))
    refuse_impossible(survey)
    files = [band.name for band in survey.bands if band.psf.file is not None]
    focus_nm = survey.observation.nuisance.focus_nm
    if focus_nm > 0 and files:
        warnings.warn(
            f"observation.nuisance.focus_nm = {focus_nm:g} varies the optical model only; the PSF "
            f"files of {', '.join(files)} keep their focus. Set it to 0, or leave the files out.",
            PraesepeWarning,
            stacklevel=2,
        )


def refuse_impossible(survey: Survey) -> None:
    """Refuse a survey that cannot be simulated, before anything is computed or allocated.

    Raises
    ------
    InputError
        Where a filter, the extinction law, a stellar model or a folder of star fields is unknown, a
        filter lies outside the spectra or the law, ages or metals outside the stellar models, or a
        PSF file, or the extension, position or sampling asked of it, star fields, or a file of the
        star formation's history cannot be used; names the band.
    """
    _check_stars(survey)
    _check_bands(survey)
    check_zero_points(survey)
    field = survey.galaxy.field
    if field.files is not None:
        RealFieldPool(field.files, survey)
    if field.history not in HISTORIES:
        read_history(field.history)


def _check_stars(survey: Survey) -> None:
    """Whether the stellar models are known, and have the ages and metals that are asked for."""
    prior, stars = survey.clusters, survey.clusters.stars
    for name in stars.models:
        grid, z_range = load_isochrones(name), as_range(prior.metallicity)
        check_covers(grid, prior.log_age, z_range, name=f"stellar model {name!r}")
    embedded = IsochroneGrid.embedded()
    ages = float(embedded.log_age[0]), float(embedded.log_age[-1])
    try:
        check_covers(embedded, ages, survey.galaxy.field.metallicity, name="stars of fields")
    except InputError as error:
        raise error.at("galaxy.field") from error
    try:
        for r_v in as_range(stars.r_v):
            covered_angstrom(stars.extinction_law, r_v)
    except InputError as error:
        raise error.at("clusters.stars.extinction_law") from error


def _check_bands(survey: Survey) -> None:
    """Whether there is a curve, light and a PSF for each band."""
    stars = survey.clusters.stars
    most = as_range(survey.clusters.a_v)[1] + as_range(survey.clusters.a_v_scatter)[1]
    most += as_range(survey.galaxy.foreground_a_v)[1]
    dust = {"a_v": most, "r_v": stars.middle_r_v}
    library = SpectralLibrary.embedded()
    for band in survey.bands:
        try:
            passband = band_curve(band)
            library.bolometric_corrections([passband], **dust, law=stars.extinction_law)
            step = survey.pixel_scale_arcsec / OVERSAMPLING
            if band.psf.file is None:
                check_optics_fit(band.psf, band_wavelengths(band), step, LARGEST_HALF)
            else:
                band_psf(
                    band,
                    grid_scale_arcsec=step,
                    half_size_px=1,
                    pixel_scale_arcsec=survey.pixel_scale_arcsec,
                    telescope=survey.observation.telescope_of(band),
                )
        except InputError as error:
            raise error.at(f"band {band.name!r}") from error
