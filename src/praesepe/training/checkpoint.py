"""Checkpoints of a training: whole at any moment, and of one run only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from praesepe.errors import InputError
from praesepe.files import atomic


def write_checkpoint(path: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Write the state of a training to one file that appears whole or not at all.

    Raises
    ------
    PraesepeError
        Where it cannot be written; the last checkpoint stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic(path) as partial:
        try:
            save_file(tensors, partial, metadata={"progress": json.dumps(progress)})
        except SafetensorError as error:  # a full disk, for instance
            raise OSError(str(error)) from error


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors (on the CPU) and the progress that `write_checkpoint` wrote.

    Raises
    ------
    InputError
        Where the file is damaged or no checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt", device="cpu") as file:
            progress = json.loads(file.metadata()["progress"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no checkpoint of a training, or damaged: {error}; begin anew in another "
            "folder"
        ) from error
    return tensors, progress


def check_same_run(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], path: Path, defaults: Mapping[str, Any]
) -> None:
    """Refuse a checkpoint of a run with other data or another network, saying what differs.

    `theirs` and `ours` identify the run of the checkpoint, and this one. Settings are those that
    differ from their `defaults`, so that a new setting ends no run.
    """
    for key in sorted({*theirs, *ours}, key=list({**ours, **theirs}).index):
        if (then := theirs.get(key)) != (now := ours.get(key)):
            raise InputError(
                f"{path} belongs to a run with another {key}: {_difference(then, now, defaults)}; "
                "resume with what it was begun with or choose another folder"
            )


def _difference(then: Any, now: Any, defaults: Mapping[str, Any]) -> str:
    """What differs between two entries."""
    if isinstance(then, dict) and isinstance(now, dict):
        values = [
            (key, then.get(key, defaults.get(key)), now.get(key, defaults.get(key)))
            for key in {**now, **then}
        ]
        return ", ".join(f"{key} {a!r}, now {b!r}" for key, a, b in values if a != b)
    return f"{then or 'none'!r}, now {now or 'none'!r}"
