"""Whether all that a survey names exists and fits together: filters, extinction law, PSF files."""

from __future__ import annotations

from praesepe.errors import InputError
from praesepe.sky.psf_files import read_psf_file
from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.extinction import covered_angstrom
from praesepe.stars.passbands import load_passband
from praesepe.survey import Survey, as_range


def check_survey(survey: Survey) -> None:
    """Check what the survey's file alone cannot tell, before a simulation needs it.

    Parameters
    ----------
    survey : Survey
        As `praesepe.survey.load_survey` returns it.

    Raises
    ------
    InputError
        Where a filter or the extinction law is unknown, a filter lies outside the spectra or the
        law, or a PSF file cannot be used; names the band.
    MissingDependencyError
        Where `astro-sedpy` or `dust_extinction` is needed and not installed.
    """
    stars = survey.stars
    dust = {"a_v": as_range(stars.a_v)[1], "r_v": stars.r_v}
    try:
        covered_angstrom(stars.extinction_law, stars.r_v)
    except InputError as error:
        raise InputError(f"stars.extinction_law: {error}") from error
    library = SpectralLibrary.embedded()
    for band in survey.bands:
        try:
            passband = load_passband(band.filter)
            library.bolometric_corrections([passband], **dust, law=stars.extinction_law)
            if band.psf.file is not None:
                read_psf_file(band.psf)
        except InputError as error:
            raise InputError(f"band {band.name!r}: {error}") from error
