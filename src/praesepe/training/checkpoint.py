"""Checkpoints of a training: whole at any moment, of one run only, and checked as models are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from praesepe.bounded import check_regular, parse_json
from praesepe.errors import InputError, reason, unusable
from praesepe.files import atomic
from praesepe.network.schema import Entry, ModelCard, checksum
from praesepe.network.storage import check_finite
from praesepe.provenance import difference


class Checkpoint(Entry):
    """What a checkpoint holds beside its tensors; as for models, all under one checksum."""

    format: Literal[3] = 3
    step: int
    seconds: float
    valid_loss: float | None
    best_loss: float | None = None
    best_step: int = 0
    identity: dict[str, Any]
    card: ModelCard
    checksum: str = ""


def write_checkpoint(path: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Write the state of a training to one file that appears whole or not at all.

    Raises
    ------
    PraesepeError
        Where it cannot be written, or the training has run away; the last checkpoint stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save, save_file

    remedy = f"the last checkpoint stays in {path}: begin anew with a lower learning rate"
    check_finite(tensors, f"the training, after step {progress['step']},", remedy)
    state = Checkpoint.model_validate(progress)
    content = state.model_dump(mode="json", exclude={"checksum"})
    content["checksum"] = checksum(content, save(tensors))
    with atomic(path) as partial:
        try:
            save_file(tensors, partial, metadata={"checkpoint": json.dumps(content)})
        except SafetensorError as error:  # a full disk, for instance
            raise OSError(str(error)) from error


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors (on the CPU) and the progress that `write_checkpoint` wrote.

    Raises
    ------
    InputError
        Where the file is damaged, no checkpoint, or of an earlier version.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save

    check_regular(path)
    try:
        with safe_open(path, "pt", device="cpu") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        earlier = "progress" in metadata
        content = parse_json(metadata["progress" if earlier else "checkpoint"])
        if not earlier:
            state = Checkpoint.model_validate(content)
            if state.checksum != checksum(content, save(tensors)):
                raise ValueError("its checksum is another")
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        fault = f"is no checkpoint of a training, or damaged: {reason(error)}"
        raise unusable(path, fault, "begin anew in another folder") from error
    check_finite(tensors, path, "begin anew in another folder")
    if earlier:
        remedy = "begin anew in another folder, or train from a model"
        raise unusable(path, "is of an earlier version", remedy)
    return tensors, dict(state)


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
                f"{path} belongs to a run with another {key}: {difference(then, now, defaults)}",
                given=now,
                allowed=then,
                remedy="resume with what it was begun with or choose another folder",
            )
