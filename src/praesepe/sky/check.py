"""Whether all that a survey names exists and fits together: filters, extinction law, PSF files."""

from __future__ import annotations

import warnings
from pathlib import Path

from praesepe.errors import InputError, PraesepeWarning
from praesepe.sky.fields.histories import HISTORIES, read_history
from praesepe.sky.instrument.psf import band_psf, band_wavelengths, check_optics_fit
from praesepe.sky.instrument.render import LARGEST_HALF, OVERSAMPLING
from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.curves import band_curve, check_zero_points
from praesepe.stars.extinction import covered_angstrom
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
        Where a filter, the extinction law or a folder of star fields is unknown, a filter lies
        outside the spectra or the law, or a PSF file, or the extension, position or sampling asked
        of it, or a file of the star formation's history cannot be used; names the band.
    MissingDependencyError
        Where `astro-sedpy` or `dust_extinction` is needed and not installed.

    Warns
    -----
    PraesepeWarning
        Where a PSF file has a strange normalisation, many values missing or a sky that was left, a
        curve or a zero point is not that of its camera and filter, or the focus is to vary in a
        band whose PSF is a file.
    """
    survey = load_survey(survey)
    stars = survey.clusters.stars
    most = as_range(survey.clusters.a_v)[1] + as_range(survey.clusters.a_v_scatter)[1]
    most += as_range(survey.galaxy.foreground_a_v)[1]
    dust = {"a_v": most, "r_v": stars.middle_r_v}
    try:
        for r_v in as_range(stars.r_v):
            covered_angstrom(stars.extinction_law, r_v)
    except InputError as error:
        raise error.at("clusters.stars.extinction_law") from error
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
    check_zero_points(survey)
    field = survey.galaxy.field
    if field.files is not None and not Path(field.files).is_dir():
        raise InputError(
            f"galaxy.field.files: there is no folder {field.files}",
            given=field.files,
            remedy="make one, or leave the key out for simulated fields",
            code="praesepe.build_fields(…)",
        )
    if field.history not in HISTORIES:
        read_history(field.history)
    files = [band.name for band in survey.bands if band.psf.file is not None]
    focus_nm = survey.observation.nuisance.focus_nm
    if focus_nm > 0 and files:
        warnings.warn(
            f"observation.nuisance.focus_nm = {focus_nm:g} varies the optical model only; the PSF "
            f"files of {', '.join(files)} keep their focus. Set it to 0, or leave the files out.",
            PraesepeWarning,
            stacklevel=2,
        )
