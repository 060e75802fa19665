"""Temporary names beside those of outputs, and what is left under them.

A name carries who writes (host and process) and an id of the write, so that two writers never share
one, and what a killed one left behind can be told from what is still being written.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_TEMPORARY = re.compile(
    r"\.(?P<stem>.*)\.(?P<host>[\w-]+)@(?P<pid>\d+)\.(?P<id>[0-9a-f]{12})\.part"
)
_LONGEST_NAME = 120  # bytes; file systems allow 255


@dataclass(frozen=True)
class Writer:
    """Who writes a file: a process on a machine, with an id of this write."""

    host: str
    pid: int
    creation: str

    @classmethod
    def new(cls) -> Writer:
        """Describe this process, with a new id."""
        host = re.sub(r"[^\w-]", "-", socket.gethostname().partition(".")[0]) or "host"
        return cls(host, os.getpid(), uuid.uuid4().hex[:12])

    @classmethod
    def of(cls, temporary: Path) -> Writer | None:
        """Who writes a temporary file, by its name; None where the name is no such one."""
        found = _TEMPORARY.match(temporary.name)
        return None if found is None else cls(found["host"], int(found["pid"]), found["id"])

    def is_gone(self) -> bool:
        """Whether the process has ended; False for another machine's, which cannot be asked."""
        if self.host != Writer.new().host:
            return False
        try:
            os.kill(self.pid, 0)
        except OSError as error:  # one that is not ours may not be asked, but is there
            return isinstance(error, ProcessLookupError)
        return False

    def temporary(self, path: Path) -> Path:
        """Temporary name beside `path`, with the same ending."""
        stem = shortened(path.stem)
        return path.with_name(f".{stem}.{self.host}@{self.pid}.{self.creation}.part{path.suffix}")


def shortened(name: str) -> str:
    """The beginning of a name, as long as a file's hidden companion may have it."""
    return os.fsencode(name)[:_LONGEST_NAME].decode(errors="ignore")


def remove_debris(folder: Path, of: str | None = None) -> None:
    """Remove temporary files that ended processes of this machine left in a folder.

    `of` is the name of the file that they would have become; without it, all are removed.
    """
    for path in folder.glob(".*.part*"):
        writer = Writer.of(path)
        if writer is None or (of is not None and path != writer.temporary(folder / of)):
            continue
        if writer.is_gone():
            with suppress(OSError):  # another user's, or another run was quicker
                remove(path)


def remove(path: Path) -> None:
    """Remove a file, a link, a folder with all that is in it, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def scratch_file(suffix: str = "") -> Iterator[IO[bytes]]:
    """A file with a name among the system's temporary ones, where libraries must open it by that.

    Those of killed processes are removed.
    """
    path = Path(tempfile.gettempdir(), f"praesepe{suffix}")
    remove_debris(path.parent, path.name)
    path = Writer.new().temporary(path)
    try:
        with open(path, "x+b", opener=_private) as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
