"""Files of a model's survey that now lie elsewhere: found again by name and content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from praesepe.errors import InputError
from praesepe.survey.contents import checksum, is_path
from praesepe.survey.schema import Survey

SOUGHT = "in the model's folder, in those above it and in the working directory"
"""Where `find_again` looks, in words."""


def with_moved_files(
    survey: Survey,
    trained: Mapping[str, Any],
    folder: Path,
    *,
    isochrone_key: Callable[[str], str] = checksum,
) -> Survey:
    """A model's survey with its files where they now lie.

    A file that is missing, or holds something else, is looked for by its name, and by the last
    folders of its path, in the model's folder, in those above it and in the working directory.
    One of the same content takes its place; without one, the survey keeps the name.

    Parameters
    ----------
    survey : Survey
    trained : mapping
        Hashes of the training's files: ``"psfs"`` by band, ``"isochrones"`` by name, ``"fields"``
        by key.
    folder : Path
        The model's.
    isochrone_key : callable
        Gives the hash of a stellar model's file.
    """
    psfs, fields = trained.get("psfs", {}), trained.get("fields", {})
    stars = {
        name: find_again(name, key, folder, key_of=isochrone_key)
        for name, key in trained.get("isochrones", {}).items()
    }
    models = tuple(stars.get(name, name) for name in survey.clusters.stars.models)
    bands = [
        band
        if band.psf.file is None
        else band.model_copy(
            update={
                "psf": band.psf.model_copy(
                    update={"file": find_again(band.psf.file, psfs.get(band.name), folder)}
                )
            }
        )
        for band in survey.bands
    ]
    named = {"files": survey.galaxy.field.files, "history": survey.galaxy.field.history}
    found = {
        key: find_again(name, fields[key], folder)
        for key, name in named.items()
        if isinstance(name, str) and key in fields
    }
    old = survey.clusters.stars.models
    if bands == list(survey.bands) and found.items() <= named.items() and models == old:
        return survey
    return survey.with_values(
        observation={"bands": bands},
        galaxy={"field": found},
        clusters={"stars": {"isochrones": models}} if models != old else {},
    )


def find_again(
    name: str, key: str | None, folder: Path, *, key_of: Callable[[str], str] = checksum
) -> str:
    """Path of a file or folder with the content `key`; `name` where there is none.

    A folder that is in its place is taken as it is: it may hold gigabytes.
    """

    def holds(path: Path) -> bool:
        try:
            return path.exists() and key_of(str(path)) == key
        except (InputError, OSError):
            return False

    path = Path(name)
    if key is None or not is_path(name) or path.is_dir() or holds(path):
        return name
    parts = path.parts[path.is_absolute() :]
    here = folder.resolve()
    for place in (here, *here.parents, Path.cwd()):
        for first in range(len(parts)):
            candidate = place.joinpath(*parts[first:])
            if holds(candidate):
                return str(candidate)
    return name
