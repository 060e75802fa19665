"""What a survey's simulations are made of: keys of filter curves, PSFs, isochrones and spectra."""

from __future__ import annotations

import hashlib
import json

from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.curves import band_curve
from praesepe.stars.store import key_of
from praesepe.survey import Survey
from praesepe.survey.contents import checksum

Keys = dict[str, str]


def contents(survey: Survey) -> dict[str, Keys]:
    """Checksums of all that goes into a survey's stamps and is not written in the survey itself.

    Equal contents and an equal survey give equal stamps, on any machine and from any folder.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    dict
        ``"curves"``, filter curves by the band's name; ``"psfs"``, an optical model or a file, by
        the band's name; ``"isochrones"`` by the model's name; ``"spectra"``, the embedded ones.

    Raises
    ------
    InputError
        Where a filter or a stellar model is not known.
    """
    psfs = {}
    for band in survey.bands:
        model = band.psf.model_dump(mode="json", exclude_none=True)
        if band.psf.file is not None:
            model["file"] = checksum(band.psf.file)
        psfs[band.name] = hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()
    return {
        "curves": {band.name: band_curve(band).key for band in survey.bands},
        "psfs": psfs,
        "isochrones": {name: key_of(name) for name in survey.clusters.stars.models},
        "spectra": {"embedded": SpectralLibrary.embedded_key()},
    }
