"""Files of a model: a kill at any moment leaves the old one or the new one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from praesepe.network.storage import FORMAT, read_model, write_model

MODELS = {
    version: (version.encode() * 50, {"format": FORMAT, "name": version}) for version in "abc"
}
"""Weights and content of each version."""


class Killed(BaseException):
    """Stands for a kill: nothing after it changes a file, so its remains stay."""


class Killer:
    """Ends the n-th change of the file system, and all that come after it.

    It listens to what Python reports of itself (`sys.addaudithook`), whoever asks for the change.
    """

    CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod")

    def __init__(self) -> None:
        self.left: int | None = None
        sys.addaudithook(self)

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if self.left is None:
            return
        creates = event == "open" and isinstance(given[2], int) and given[2] & os.O_CREAT
        if event not in self.CHANGES and not creates:
            return
        if self.left == 0 and creates:  # what was to be written is empty
            self.left = None
            Path(given[0]).write_bytes(b"")
            self.left = 0
        if self.left == 0:
            raise Killed
        self.left -= 1

    def kills(self, action: Callable[[], None], survivors: int) -> bool:
        """Do something that is killed after so many changes; whether it was."""
        self.left = survivors
        try:
            action()
        except Killed:
            return True
        finally:
            self.left = None
        return False


@pytest.fixture(scope="module")
def killer() -> Killer:
    return Killer()  # a hook stays for as long as the process


def version_of(path: Path) -> str:
    """Which of `MODELS` is found, with the weights that belong to it."""
    content, blob = read_model(path)
    del content["checksum"]
    assert (blob, content) == MODELS[content["name"]]
    return content["name"]


def test_a_kill_leaves_the_old_model_or_the_new_one(tmp_path: Path, killer: Killer) -> None:
    """Also a second kill, in the remains of the first one."""
    path = tmp_path / "model"

    def write(version: str, survivors: int) -> bool:
        return killer.kills(lambda: write_model(path, *MODELS[version]), survivors)

    seen, killed, n = set(), True, 0
    while killed:
        shutil.rmtree(path, ignore_errors=True)
        write_model(path, *MODELS["a"])
        killed = write("b", n)
        seen.add(version := version_of(path))
        assert version == "b" or killed
        assert version == "a" or n > 0
        remains = tmp_path / f"remains-{n}"
        shutil.copytree(path, remains)
        for again in range(n % 4, 20, 4):  # each point of the second, with some of the first
            shutil.rmtree(path)
            shutil.copytree(remains, path)
            write("c", again)
            assert version_of(path) in (version, "c")
        n += 1
    assert seen == {"a", "b"}
    assert n > 10


def test_a_kill_of_the_first_writing_leaves_a_whole_model_or_none(
    tmp_path: Path, killer: Killer
) -> None:
    path, killed, n = tmp_path / "model", True, 0
    while killed:
        killed = killer.kills(lambda: write_model(path, *MODELS["a"]), n)
        assert not path.exists() or version_of(path) == "a"
        assert path.exists() or killed
        if path.exists():
            shutil.rmtree(path)
        n += 1
    assert n > 3
