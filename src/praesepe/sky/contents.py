"""What a survey's simulations are made of: keys of curves, PSFs, isochrones, spectra and fields."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from praesepe.errors import InputError, PraesepeWarning, listed
from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.curves import band_curve
from praesepe.stars.store import EMBEDDED, is_there, key_of
from praesepe.survey import Band, Survey
from praesepe.survey.contents import checksum, is_path
from praesepe.survey.moved import SOUGHT

log = logging.getLogger(__name__)


def contents_of(survey: Survey) -> dict[str, dict[str, str]]:
    """Checksums of all that goes into a survey's stamps and is not written in the survey itself.

    Equal contents and an equal survey give equal stamps, on any machine and from any folder.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    dict
        ``"curves"``, filter curves by the band's name; ``"psfs"``, those from files, by the band's
        name; ``"isochrones"`` by the model's name; ``"spectra"``, the embedded ones;
        ``"fields"``, star fields and histories by the survey's key.

    Raises
    ------
    InputError
        Where a filter or a stellar model is not known, or a file is not there.
    """
    return {
        group: {name: key() for name, (_, key) in parts.items()}
        for group, parts in _parts(survey).items()
    }


def check_contents(survey: Survey, trained: Mapping[str, Any], *, model: str) -> None:
    """Refuse to simulate for a model with other files than those of its training.

    What comes with the package and has changed since is told in the log alone.

    Parameters
    ----------
    survey : Survey
        The model's own.
    trained : mapping
        What `contents_of` said in the training; what it does not tell is not asked for.
    model : str
        Name of the model, for messages.

    Raises
    ------
    InputError
        With the files that are missing, or hold something else.
    """
    files, included = _changes(survey, trained)
    for change in included:
        log.warning("%s than in the training of %s", change, model)
    if files:
        raise InputError(
            f"model {model!r} was trained with other files: {'; '.join(files)}. They were "
            f"looked for by name and content {SOUGHT}",
            given=files,
            remedy="put the files of the training into one of these (import isochrones again), or "
            "train a model from this one with a survey that names the new ones",
        )


def without_missing_stars(survey: Survey) -> Survey:
    """A survey with those of its stellar models that are there, so that it can be simulated.

    A model may have learned from sets that do not come with the package. Who trains needs all of
    them; who simulates for a trained model does with the others, and is told.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    Survey
        The same where all of them are there, or none: then simulating refuses them.

    Warns
    -----
    PraesepeWarning
        Of those that are missing.
    """
    models = survey.clusters.stars.models
    there = tuple(name for name in models if is_there(name))
    if not there or there == models:
        return survey
    missing = [name for name in models if name not in there]
    warnings.warn(
        f"survey {survey.name!r} is simulated with stars of {listed(there)} alone: stellar model "
        f"{listed(missing)} is not here, and would have to be imported",
        PraesepeWarning,
        stacklevel=3,
    )
    return survey.with_values(clusters={"stars": {"isochrones": there}})


def tell_changes(survey: Survey, trained: Mapping[str, Any], *, model: str) -> None:
    """Warn of what a survey simulates with other contents than those that a model has seen.

    A training that goes on from the model may learn them; see `check_contents`.
    """
    files, included = _changes(survey, trained)
    for change in included:
        log.warning("%s than in the training of %s", change, model)
    if files:
        warnings.warn(
            f"model {model!r} was trained with other files, and goes on with the new ones: "
            f"{'; '.join(files)}",
            PraesepeWarning,
            stacklevel=2,
        )


def _changes(survey: Survey, trained: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The user's files that are missing or hold something else, and what the package changed."""
    files, included = [], []
    for group, parts in _parts(survey).items():
        keys = {Path(name).name: key for name, key in trained.get(group, {}).items()}
        for name, (file, key) in parts.items():
            expected = keys.get(Path(name).name)
            if expected is None:
                continue
            try:
                if key() == expected:
                    continue
                found = "holds something else"
            except (InputError, OSError):
                found = "is missing, or cannot be read"
            if file:
                files.append(f"{file} ({group} of {name}, SHA-256 {expected[:12]}…) {found}")
            else:
                included.append(f"{group} of {name} are others")
    return files, included


def _parts(survey: Survey) -> dict[str, dict[str, tuple[str, Callable[[], str]]]]:
    """By group and name: the user's file, or an empty text, and what gives its key."""
    field = {"files": survey.galaxy.field.files, "history": survey.galaxy.field.history}
    return {
        "curves": {
            band.name: (band.filter if is_path(band.filter) else "", partial(_curve_key, band))
            for band in survey.bands
        },
        "psfs": {
            band.name: (band.psf.file, partial(_file_key, band.psf.file))
            for band in survey.bands
            if band.psf.file is not None
        },
        "isochrones": {
            name: ("" if name == EMBEDDED else name, partial(key_of, name))
            for name in survey.clusters.stars.models
        },
        "spectra": {"embedded": ("", SpectralLibrary.embedded_key)},
        "fields": {
            key: (file, partial(_file_key, file))
            for key, file in field.items()
            if isinstance(file, str) and (key == "files" or is_path(file))
        },
    }


def _curve_key(band: Band) -> str:
    return band_curve(band).key


def _file_key(name: str) -> str:
    if not Path(name).exists():
        raise InputError(
            f"there is no file {name}", given=name, remedy="correct its path in the survey"
        )
    return checksum(name)
