"""One run at a time where files are written: whoever works there holds a lock, and is named in it.

The lock is the system's own, on a small hidden file: it ends with the process that holds it,
whatever ends that, so that nobody waits for a run that was killed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from praesepe.errors import InputError, reason, unusable
from praesepe.files import as_path, make_folder
from praesepe.temporary import remove_debris, shortened

LOCK = ".praesepe.lock"
"""Name of the lock in a folder."""


@contextmanager
def locked(*outputs: Path | None) -> Iterator[None]:
    """Let no other run write the same files until the block ends; None is left out.

    Raises
    ------
    InputError
        Where another run is at work there; its process and host are named.
    """
    with ExitStack() as held:
        for path in outputs:
            if path is not None:
                place = path.with_name(f".{shortened(path.name)}.lock")
                held.enter_context(_hold(place, path))
        yield


@contextmanager
def working_folder(path: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """Make a folder, or find it, for one run at a time; of None, nothing.

    What ended runs left half written in it is removed, and so are the folder and those above it
    where they were made here and stay empty.

    Raises
    ------
    InputError
        Where it cannot be made, or another run is at work in it.
    """
    if path is None:
        yield None
        return
    folder = as_path(path)
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        make_folder(folder)
        with _hold(folder / LOCK, folder):
            remove_debris(folder)
            yield folder
    finally:
        with suppress(OSError):  # there is something in it
            for one in made:
                one.rmdir()


@contextmanager
def _hold(place: Path, what: Path) -> Iterator[None]:
    """Hold the lock in a file, on behalf of what is written."""
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(place, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{what} is being written by {_owner(place)}",
            given=what,
            remedy="wait until that has ended, or write to another place",
        ) from None
    except OSError as error:
        fault = f"cannot be locked by {place.name}: {reason(error)}"
        raise unusable(what, fault, "write to another place") from error
    is_soft = isinstance(lock, SoftFileLock)  # where a file system has no locks: names its owner
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same
            if not is_soft:
                place.write_text(f"{os.getpid()}\n{socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            if not is_soft:
                place.unlink()
        lock.release()


def _owner(place: Path) -> str:
    """Who holds a lock, in words."""
    try:
        pid, host = place.read_text(encoding="utf-8").split()[:2]
    except (OSError, ValueError):
        return "another run"
    return f"another run: process {pid} on {host}"
