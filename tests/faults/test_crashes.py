"""Die at every operation of the layer for files, and see what a reader finds afterwards.

A child process writes, and ends at once, as after SIGKILL, before its first, second, … operation
on the disk. Then the old is there, whole, or the new; or nothing, or what a reader refuses, where
a kind cannot do better. Nothing else has changed, and the next run leaves nothing but its result.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from safetensors.torch import save

from praesepe import files
from praesepe.errors import InputError
from praesepe.files import atomic, replace_set
from praesepe.network.schema import FORMAT
from praesepe.network.storage import read_model, write_model
from praesepe.sky.fields.real import DESCRIPTION, FIELDS, checksum_of, open_fields

OPERATIONS = (
    (os, "replace"), (os, "rename"), (os, "link"), (os, "fsync"), (os, "mkdir"), (os, "unlink"),
    (os, "chmod"), (shutil, "rmtree"), (shutil, "copy2"), (files, "swap"),
)  # fmt: skip
DIED = 9


def write_file(folder: Path, text: str) -> None:
    with atomic(folder / "out.txt") as part:
        part.write_text(text)


def write_group(folder: Path, text: str) -> None:
    with atomic(folder / "out.zarr") as part:
        zarr.create_group(part, zarr_format=3, attributes={"praesepe": text})


def read_group(folder: Path) -> str:
    return str(zarr.open_group(folder / "out.zarr", mode="r").attrs["praesepe"])


def write_fields(folder: Path, text: str) -> None:
    """Star fields; the table of places is not read."""
    fields = np.full((2, 1, 4, 4), float(text), np.float32)
    told: dict[str, Any] = {"n": 2, "bands": [{}], "size": 4, "text": text}
    told["checksum"] = checksum_of(told, fields)
    with replace_set(folder, (FIELDS, DESCRIPTION)) as part:
        np.save(part / FIELDS, fields)
        (part / DESCRIPTION).write_text(json.dumps(told))


def read_fields(folder: Path) -> str:
    described = json.loads((folder / DESCRIPTION).read_text())
    assert open_fields(folder, described).max() == float(described["text"])
    return str(described["text"])


def write_weights(folder: Path, text: str) -> None:
    weights = save({"weights": torch.full((3,), float(text))})
    write_model(folder, weights, {"format": FORMAT, "text": text})


def read_weights(folder: Path) -> str:
    content, weights = read_model(folder)
    assert weights == save({"weights": torch.full((3,), float(content["text"]))})
    return str(content["text"])


@dataclass(frozen=True)
class Kind:
    """A writer, its reader, and what else than old or new a kill may leave."""

    write: Callable[[Path, str], None]
    read: Callable[[Path], str]
    may_leave: tuple[type[Exception], ...] = ()


KINDS = {
    "file": Kind(write_file, lambda folder: (folder / "out.txt").read_text()),
    "group": Kind(write_group, read_group),
    "group without exchange": Kind(write_group, read_group, (FileNotFoundError,)),  # nothing
    "fields": Kind(write_fields, read_fields, (InputError,)),  # refused
    "model": Kind(write_weights, read_weights),
}


def dies(work: Callable[[], None], at: int) -> bool:
    """Whether a child process comes to its operation number `at`, where it ends."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(operation: Callable[..., Any]) -> Callable[..., Any]:
            def do(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == at:
                    os._exit(DIED)
                return operation(*arguments, **options)

            return do

        try:
            for module, name in OPERATIONS:
                setattr(module, name, counted(getattr(module, name)))
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, DIED)
    return code == DIED


@pytest.mark.parametrize("name", KINDS)
def test_a_kill_at_any_operation(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, found = KINDS[name], set()
    if name == "group without exchange":
        monkeypatch.setattr(files, "swap", lambda *_: False)
    elif name == "group":
        for one in (tmp_path / "a", tmp_path / "b"):
            one.mkdir()
        if not files.swap(tmp_path / "a", tmp_path / "b"):
            pytest.skip("this file system cannot exchange two names")
    for at in range(1, 200):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        kind.write(folder, "1")
        names = {path.name for path in folder.iterdir()}
        died = dies(lambda folder=folder: kind.write(folder, "2"), at)  # type: ignore[misc]
        try:
            found.add(kind.read(folder))
        except kind.may_leave as error:
            found.add(type(error).__name__)
        assert (folder / "notes.txt").read_text() == "mine"
        kind.write(folder, "3")
        assert kind.read(folder) == "3"
        assert {path.name for path in folder.iterdir()} == names
        if not died:
            break
    else:
        pytest.fail("the work never came to its end")
    assert at > 4
    assert {"1", "2"} <= found <= {"1", "2", *(one.__name__ for one in kind.may_leave)}
