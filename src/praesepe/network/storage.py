"""Files of models, written so that a kill at any moment leaves them whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from praesepe.bounded import check_regular, read_json
from praesepe.errors import InputError, unusable
from praesepe.files import atomic, make_folder, replace_set
from praesepe.network.schema import FORMAT, checksum
from praesepe.temporary import remove_debris

AGAIN = "copy or train the model again"
WEIGHTS = "weights.safetensors"
CONTENT = "model.json"
PREVIOUS = ".weights.previous.safetensors"
"""The old weights, for as long as ``model.json`` still speaks of them: a kill between the renaming
of the two files leaves the new weights beside the old ``model.json``."""


def model_files(source: object) -> list[Path]:
    """Files of a model that is given by its folder."""
    if not isinstance(source, str | os.PathLike):
        return []
    return [Path(source) / name for name in (CONTENT, WEIGHTS)]


def check_finite(tensors: Mapping[str, Tensor], source: str | Path, remedy: str = AGAIN) -> None:
    """Raise `InputError` where a weight is NaN or infinite: such a network answers nothing."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise unusable(source, f"has weights that are not finite ({name})", remedy)


def write_model(path: Path, blob: bytes, content: dict[str, Any]) -> None:
    """Write a model, or replace one; a kill at any moment leaves the old one or the new one.

    Parameters
    ----------
    path : Path
        The folder. Where it does not exist, it appears complete or not at all; other files in it
        are left alone.
    blob : bytes
        The weights.
    content : dict
        What goes into ``model.json``; the checksum is added.

    Raises
    ------
    PraesepeError
        Where the disk is full, for instance; the old model stays.
    """
    content = {**content, "checksum": checksum(content, blob)}
    files = {WEIGHTS: blob, CONTENT: json.dumps(content, indent=1).encode()}
    make_folder(path.parent)
    if not path.exists():
        with atomic(path) as folder:
            folder.mkdir()
            _write(folder, files)
        return
    remove_debris(path)
    old = _matching_weights(path)
    if old is not None:
        with atomic(path / PREVIOUS) as part:
            part.write_bytes(old)
    with replace_set(path, list(files)) as folder:  # the weights first
        _write(folder, files)
    (path / PREVIOUS).unlink(missing_ok=True)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _matching_weights(path: Path) -> bytes | None:
    """The weights in place, if they are those that ``model.json`` speaks of."""
    try:
        blob = (path / WEIGHTS).read_bytes()
        content = read_json(path / CONTENT)
        return blob if content["checksum"] == checksum(content, blob) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def read_model(path: Path) -> tuple[dict[str, Any], bytes]:
    """Read the content of ``model.json`` and the weights that belong to it.

    Raises
    ------
    InputError
        Where the folder does not hold a model or its weights are damaged.
    """
    check_regular(path / WEIGHTS)
    if (path / CONTENT).is_file() and not (path / WEIGHTS).is_file():
        raise unusable(path, f"lacks its {WEIGHTS}", AGAIN)
    try:
        content = read_json(path / CONTENT)
        blob = (path / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise unusable(
            path,
            f"is not a Praesepe model: {error}",
            f"give a folder with {CONTENT} and {WEIGHTS}, as a training writes it",
        ) from error
    if not isinstance(content, dict) or "format" not in content:
        fault = f"is not a Praesepe model: its {CONTENT} lacks the usual entries"
        raise unusable(path, fault, AGAIN)
    if content["format"] != FORMAT:
        raise InputError(
            f"{path} is of model format {content['format']}, this version reads {FORMAT}",
            given=content["format"],
            allowed=FORMAT,
            remedy="use the version of Praesepe that wrote it, or train the model again",
        )
    previous = path / PREVIOUS
    for weights in (blob, previous.read_bytes() if previous.is_file() else b""):
        if content.get("checksum") == checksum(content, weights):
            return content, weights
    fault = (
        f"is damaged, or was changed after it was written: the checksum of {CONTENT} and "
        f"{WEIGHTS} is another"
    )
    raise unusable(path, fault, AGAIN)
