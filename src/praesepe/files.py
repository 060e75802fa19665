"""One layer for files: checked before the work, and whole or not there at all after it.

Every output is written under a temporary name beside its own, brought to the disk, and then renamed
over what was there.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from praesepe.errors import (
    InputError,
    PraesepeError,
    already_exists,
    bad_suffix,
    check_type,
    listed,
    unusable,
)
from praesepe.temporary import Writer, remove, remove_debris

_OF_ZARR = re.compile(r"([^/]+/)*(zarr\.json|c(/\d+)*)")
_NUMBER_OF_ERROR = re.compile(r"(?:errno|os error) (\d+)", re.IGNORECASE)
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # of numpy


def foreign_in(group: Path) -> str | None:
    """What in a folder is no part of a Zarr group of Praesepe's; None where all is ours."""
    try:
        told = json.loads((group / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        ours = {"praesepe", "PRAESEPE"} & set(told)
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if not ours:
        return "no Zarr group"
    for folder, folders, names in os.walk(group):  # which follows no links
        for name in (*folders, *names):
            path = Path(folder, name)
            is_array = not path.is_symlink() and (path / "zarr.json").is_file()
            if not (is_array or _OF_ZARR.fullmatch(path.relative_to(group).as_posix())):
                return name
    return None


def parts_of_zarr(group: Path) -> list[str]:
    """Names in a group of the files that are its arrays, without the user's beside them."""
    paths = (Path(folder, name) for folder, _, names in os.walk(group) for name in names)
    names = (path.relative_to(group).as_posix() for path in paths)
    return sorted(name for name in names if _OF_ZARR.fullmatch(name))


# Whole or not at all


@contextmanager
def atomic(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Write a file or a folder that appears under its name when it is complete, not before.

    Parameters
    ----------
    path : path
        Final name. Its folder must exist.
    overwrite : bool
        Whether it may replace what is there; a folder replaces all of the old one.

    Yields
    ------
    Path
        Temporary name with the same ending: make a file or a folder of it. It is brought to the
        disk and renamed when the block ends without an error.

    Raises
    ------
    PraesepeError
        Where it cannot be written (a full disk, for instance). Nothing is left behind, and what
        was there before stays as it was.
    InputError
        Where it exists and may not be replaced.
    """
    path = Path(path)
    _refuse_existing(path, overwrite=overwrite)
    remove_debris(path.parent, path.name)
    temporary = Writer.new().temporary(path)
    try:
        with _writing(path):
            mode = _mode_of_new_files(temporary)
            yield temporary
            _to_disk(temporary, mode)
            _refuse_existing(path, overwrite=overwrite)
            _put_in_place(temporary, path)
    finally:
        with suppress(OSError):
            remove(temporary)


@contextmanager
def replace_set(folder: str | os.PathLike[str], names: Sequence[str]) -> Iterator[Path]:
    """Write several files of a folder that belong together, and replace them as a set.

    Parameters
    ----------
    folder : path
        Must exist; other files in it are left alone.
    names : sequence of str
        Names of the files, in the order in which they are put in place: that which says what the
        others are comes last.

    Yields
    ------
    Path
        A temporary folder: write every one of `names` into it.

    Raises
    ------
    PraesepeError
        Where a file cannot be written or renamed. Nothing is left behind, and the old set stays.

    Notes
    -----
    An error leaves the old set or the new one. Only a kill within the moment of the renaming can
    leave some files of each; a set should tell by a creation id or by checksums what belongs
    together.
    """
    folder = Path(folder)
    remove_debris(folder, "set")
    scratch = Writer.new().temporary(folder / "set")
    try:
        with _writing(folder):
            new, old = scratch / "new", scratch / "old"
            for inner in (scratch, new, old):
                inner.mkdir()
            mode = _mode_of_new_files(scratch / "mode")
            yield new
            for name in names:
                _to_disk(new / name, mode)
            with _alone(folder), ExitStack() as undo:
                for name in names:
                    _exchange(folder / name, new / name, old / name, undo)
                undo.pop_all()
            _sync_folder(folder)
    finally:
        with suppress(OSError):
            remove(scratch)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Let errors of the file system say which output could not be written."""
    try:
        yield
    except OSError as error:
        for above in path.parents:
            if Writer.of(above):  # of a set that is not complete
                path = above.parent / path.name
        told = f"could not write {path}: {_why(error)}; nothing was left behind"
        raise PraesepeError(told) from error


def _why(error: OSError) -> str:
    """What the system says; libraries pass its number on in words of their own."""
    found = _NUMBER_OF_ERROR.search(str(error))
    if number := error.errno or (found and int(found[1])):
        return os.strerror(number)
    if _SHORT_WRITE.search(str(error)):
        return "only a part found room; the disk is full, or the file would be too large"
    return str(error)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time rename in a folder, so that files of two sets do not mix there."""
    handle = None
    with suppress(ImportError, OSError):  # not on every system
        from fcntl import LOCK_EX, flock

        handle = os.open(folder, os.O_RDONLY)
        flock(handle, LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _exchange(path: Path, new: Path, old: Path, undo: ExitStack) -> None:
    """Put `new` in the place of `path`, which moves to `old`; `undo` can take both back."""
    if path.exists():
        try:
            os.link(path, old)
        except OSError:  # some file systems have no links
            shutil.copy2(path, old)
        undo.callback(os.replace, old, path)
    else:
        undo.callback(remove, path)
    os.replace(new, path)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a file or a folder over what is there."""
    if not (temporary.is_dir() and path.exists()):
        os.replace(temporary, path)
    elif not swap(temporary, path):  # nothing replaces a folder that is not empty
        old = Writer.new().temporary(path)
        path.rename(old)
        try:
            temporary.rename(path)
        except BaseException:
            old.rename(path)
            raise
        with suppress(OSError):
            remove(old)
    _sync_folder(path.parent)


def swap(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or its files cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2  # of Linux
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _mode_of_new_files(path: Path) -> int:
    """Permissions that the umask gives; some libraries make their files private."""
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return mode


def _to_disk(path: Path, mode: int) -> None:
    """Wait until the disk holds a file or a folder, which is then safe to rename."""
    if path.is_dir():
        for inner in path.rglob("*"):
            if inner.is_file():
                _sync(inner)
        return
    _sync(path)
    path.chmod(mode)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until the disk holds a renaming; some systems cannot, and then it comes by itself."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# Checks before the work


def as_path(path: str | os.PathLike[str]) -> Path:
    """A path that the user gave, with ``~`` expanded; `InputError` for what can be none."""
    given = check_type("the path", path, (str, os.PathLike), "a text or a Path")
    try:
        found = Path(given).expanduser()
        os.lstat(found)
    except (ValueError, RuntimeError) as error:  # a NUL in it, or a home that is not known
        remedy = "correct its path"
        raise InputError(f"{given!r} is no path: {error}", given=given, remedy=remedy) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            fault = f"the name of {given} is too long"
            raise InputError(fault, given=given, remedy="give a shorter one") from error
        return Path(given).expanduser()
    return found


def check_output(
    path: str | os.PathLike[str],
    suffixes: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Stop before hours of work where a file could not be written in the end.

    Parameters
    ----------
    path : path
    suffixes : sequence of str, optional
        Endings that its name may have, such as ``(".ecsv", ".fits")``; ``.zarr`` is a folder.
    overwrite : bool
        Whether it may exist.
    inputs : iterable of path
        Files that it is made from: none is ever replaced.

    Returns
    -------
    Path
    """
    path, inputs = as_path(path), tuple(inputs)
    may_be_folder = suffixes is not None and path.suffix.lower() == ".zarr"
    refuse_inputs([path] if may_be_folder or path.is_file() else [], inputs)
    if suffixes is not None and path.suffix.lower() not in suffixes:
        raise bad_suffix(path, suffixes)
    if path.is_dir() and not may_be_folder:
        raise unusable(path, "is a folder", "give the name of a file")
    _refuse_existing(path, overwrite=overwrite)
    _check_parent(path)
    return path


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Stop where an output is a file that it is made from, or a folder with such a file in it."""
    there = [output for output in outputs if output.exists()]
    found = [Path(one) for one in inputs if os.path.exists(one)]
    for output in there:
        for one in found:
            if output.samefile(one):
                raise unusable(output, "is an input: it would be replaced", "choose another name")
            if one.resolve().is_relative_to(output.resolve()):
                fault = f"holds {one.name}, an input: it would be replaced"
                raise unusable(output, fault, "choose another name")


def output_folder(
    path: str | os.PathLike[str],
    names: Sequence[str],
    *,
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Make a folder for files, or find it; stop where one of them may not be replaced.

    Parameters
    ----------
    path : path
        The folder; made with the folders above it.
    names : sequence of str
        Files that will be written into it.
    overwrite : bool
        Whether they may exist.
    inputs : iterable of path
        As for `check_output`.

    Returns
    -------
    Path
    """
    path = as_path(path)
    refuse_file(path)
    refuse_inputs([path / name for name in names], inputs)
    for name in names:
        refuse_special(path / name)
        if (path / name).is_dir():
            raise unusable(path / name, "is a folder", "choose another folder for the output")
    existing = [name for name in names if (path / name).exists()]
    if existing and not overwrite:
        remedy = "choose another folder, or overwrite them"
        raise unusable(path, f"already holds {listed(existing)}", remedy, code="overwrite=True")
    make_folder(path)
    return path


def make_folder(path: Path) -> None:
    """Make a folder with those above it, or find it; stop where nothing can be written into it."""
    refuse_file(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fault = f"cannot be made: {error.strerror or error}"
        raise unusable(path, fault, "choose another folder") from error
    _check_parent(path / "any")


def refuse_file(path: Path) -> None:
    """Stop where a folder is wanted and a file is there."""
    if path.exists() and not path.is_dir():
        raise unusable(path, "is a file", "give the name of a folder")


def check_space(folder: Path, n_bytes: int, what: str) -> None:
    """Stop before hours of work where the disk cannot hold the result."""
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise InputError(
            f"{what} takes {_size(n_bytes)}, but the disk of {folder} has {_size(free)} free",
            given=n_bytes,
            allowed=f"at most {free} bytes",
            remedy="ask for less, or write to another disk",
        )


def _size(n_bytes: int) -> str:
    """Bytes in words."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= 0.1 * scale:
            return f"{n_bytes / scale:,.1f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"


def refuse_special(path: Path) -> None:
    """Stop where a device, a pipe, or a link that leads nowhere would be replaced."""
    there = path.exists()
    if path.is_symlink() and not there:
        raise unusable(path, "is a link that leads nowhere", "choose another name")
    if there and not (path.is_file() or path.is_dir()):
        raise unusable(path, "is a device or a pipe, not a file", "choose another name")


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    refuse_special(path)
    if path.is_dir():
        if not any(path.iterdir()):
            return
        if (foreign := foreign_in(path)) is not None:
            fault = f"holds {foreign}: a folder is replaced only where Praesepe made all of it"
            raise unusable(path, fault, "choose another name")
    if path.exists() and not overwrite:
        raise already_exists(path)


def _check_parent(path: Path) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(
            f"the folder of output {path} does not exist",
            given=path,
            remedy=f"make it first (mkdir -p {folder})",
        )
    if not os.access(folder, os.W_OK):
        remedy = f"choose another folder for {path.name}"
        raise unusable(folder, "gives no permission to write", remedy)
