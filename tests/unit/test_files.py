"""The layer for files: whole or not there at all, also beside others and after errors."""

# ruff: noqa: PT012 - what is raised is raised at the end of a block

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import zarr

from praesepe import files, temporary
from praesepe.errors import InputError, PraesepeError
from praesepe.files import atomic, check_output, check_space, output_folder, replace_set
from praesepe.temporary import Writer, remove_debris, scratch_file


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "out.txt"
    with atomic(path) as part:
        part.write_text("new")
        assert part.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == {"out.txt"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "out.txt"
    path.write_text("old")
    told = PraesepeError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(told), atomic(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == {"out.txt"}


def test_a_file_has_the_permissions_of_the_umask(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with atomic(tmp_path / "out") as part:
        part.write_text("x")
        part.chmod(0o600)
    assert (tmp_path / "out").stat().st_mode == plain.stat().st_mode


def test_nothing_is_replaced_that_appeared_meanwhile(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(InputError, match="exists"), atomic(path, overwrite=False) as part:
        part.write_text("mine")
        path.write_text("another's")
    assert path.read_text() == "another's"
    with pytest.raises(InputError, match="exists"), atomic(path, overwrite=False):
        pytest.fail("the work began")
    assert names(tmp_path) == {"out"}


def group(path: Path, name: str) -> None:
    """A Zarr group of Praesepe's with one array."""
    root = zarr.create_group(path, zarr_format=3, attributes={"praesepe": {}})
    root.create_array(name, shape=(4, 4), chunks=(2, 2), dtype="float32")[:] = 1


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "set.zarr"
    for content in ("a", "b"):
        with atomic(path) as part:
            group(part, content)
        assert names(path) == {"zarr.json", content}
    with pytest.raises(PraesepeError), atomic(path) as part:
        part.mkdir()
        full_disk()
    assert names(path) == {"zarr.json", "b"}
    assert names(tmp_path) == {"set.zarr"}


@pytest.mark.parametrize("mine", ["notes.txt", "b/notes.txt", "folder/zarr", "b/c/x", "link"])
def test_a_folder_with_something_of_the_users_is_never_replaced(tmp_path, mine):
    path, elsewhere = tmp_path / "set.zarr", tmp_path / "elsewhere"
    group(path, "b")
    assert check_output(path, (".zarr",), overwrite=True) == path
    elsewhere.mkdir()
    if mine == "link":
        (path / mine).symlink_to(elsewhere)
    else:
        (path / mine).parent.mkdir(exist_ok=True)
        (path / mine).touch()
    with pytest.raises(InputError, match=r"holds (notes.txt|folder|x|link): a folder is"):
        check_output(path, (".zarr",), overwrite=True)
    with pytest.raises(InputError), atomic(path):
        pytest.fail("the work began")
    assert os.path.lexists(path / mine)
    (path / "zarr.json").write_text("{}")  # another program's
    with pytest.raises(InputError, match="holds no Zarr group"):
        check_output(path, (".zarr",), overwrite=True)


def test_no_device_pipe_or_link_is_replaced(tmp_path):
    pipe, link, loop = (tmp_path / name for name in ("pipe", "link", "loop"))
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "nowhere")
    loop.symlink_to(loop)
    for path in (pipe, link, loop, Path("/dev/null")):
        with pytest.raises(InputError, match=r"leads nowhere|not a file"):
            check_output(path, overwrite=True)
        with pytest.raises(InputError), atomic(path):
            pytest.fail("the work began")
        with pytest.raises(InputError):
            output_folder(path.parent, [path.name], overwrite=True)
    assert names(tmp_path) == {"pipe", "link", "loop"}
    target = tmp_path / "target"
    target.write_text("the user's")
    link.unlink()
    link.symlink_to(target)
    with atomic(link) as part:
        part.write_text("new")
    with replace_set(tmp_path, ["link"]) as part:
        (part / "link").write_text("new")
    assert target.read_text() == "the user's"


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "set"
    group(path, "old")
    rename = Path.rename

    def refuse(self, target):
        if target == path and ".part" in self.name and (self / "new").exists():
            full_disk()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(files, "swap", lambda *_: False)
    with pytest.raises(PraesepeError, match="could not write"), atomic(path) as part:
        part.mkdir()
        (part / "new").touch()
    assert names(path) == {"zarr.json", "old"}
    assert names(tmp_path) == {"set"}


def test_files_are_replaced_as_a_set(tmp_path):
    (tmp_path / "other").write_text("not ours")
    for text in ("1", "2"):
        with replace_set(tmp_path, ["image", "truth"]) as part:
            for name in ("image", "truth"):
                (part / name).write_text(text)
        assert [(tmp_path / name).read_text() for name in ("image", "truth")] == [text, text]
    assert names(tmp_path) == {"image", "truth", "other"}


@pytest.mark.parametrize("existed", [False, True])
def test_a_set_that_cannot_be_completed_leaves_the_old_one(tmp_path, monkeypatch, existed):
    if existed:
        for name in ("image", "truth"):
            (tmp_path / name).write_text("old")
    replace, calls = os.replace, []

    def refuse(source, target):
        calls.append(target)
        if len(calls) == 2:  # the second file of the set
            full_disk()
        return replace(source, target)

    monkeypatch.setattr(files.os, "replace", refuse)
    with (
        pytest.raises(PraesepeError, match="No space left"),
        replace_set(tmp_path, ["image", "truth"]) as part,
    ):
        for name in ("image", "truth"):
            (part / name).write_text("new")
    assert names(tmp_path) == ({"image", "truth"} if existed else set())
    assert {path.read_text() for path in tmp_path.iterdir()} == ({"old"} if existed else set())


def test_what_an_ended_process_left_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    mine = Writer.new()
    gone = Writer(mine.host, int(ended.stdout), mine.creation)
    elsewhere = Writer("another-machine", gone.pid, gone.creation)
    left = {w: w.temporary(tmp_path / "shard-1.fits") for w in (mine, gone, elsewhere)}
    for path in left.values():
        path.touch()
    (tmp_path / ".hidden").touch()
    assert [Writer.of(path) for path in left.values()] == list(left)
    other = gone.temporary(tmp_path / "shard-2.fits")
    other.touch()
    with atomic(tmp_path / "shard-1.fits") as part:  # what the same output left
        part.touch()
    assert not left[gone].exists()
    assert other.exists()
    remove_debris(tmp_path)
    assert len(names(tmp_path)) == 4
    assert gone.is_gone()
    assert not mine.is_gone()


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "out"
    with atomic(path) as first, atomic(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


def test_a_long_name_is_no_trouble(tmp_path):
    path = tmp_path / ("long" * 60 + ".txt")
    with atomic(path) as part:
        part.write_text("x")
    assert path.is_file()


def test_outputs_are_checked_before_the_work(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="overwrite it"):
        check_output(file)
    with pytest.raises(InputError, match="does not exist; make it first"):
        check_output(tmp_path / "none" / "x")
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path)
    assert check_output(file, overwrite=True) == file
    with pytest.raises(InputError, match="is a file"):
        output_folder(file, [])
    with pytest.raises(InputError, match="cannot be made"):
        output_folder(file / "inside", [])
    with pytest.raises(InputError, match="already holds file;"):
        output_folder(tmp_path, ["other", "file"])
    assert output_folder(tmp_path / "a" / "b", ["x"]).is_dir()
    with pytest.raises(InputError, match=r"a set takes 1,000,000,000.0 GB, but the disk of"):
        check_space(tmp_path, 10**18, "a set")


def test_little_space_is_told_in_its_units(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=30_000))
    with pytest.raises(InputError, match=r"takes 4.2 MB, but .* has 30 kB free"):
        check_space(tmp_path, 4_200_000, "a set")


def test_inputs_are_never_replaced(tmp_path):
    """Not by a file, not with a folder that holds them, not by a file of a folder's set."""
    folder, other = tmp_path / "fields", tmp_path / "group.zarr"
    folder.mkdir()
    group(other, "b")
    image, link = folder / "f475w.fits", tmp_path / "link.fits"
    image.touch()
    link.symlink_to(image)
    (other / "a.toml").touch()
    with pytest.raises(InputError, match=r"link.fits is an input: it would be replaced"):
        check_output(link, overwrite=True, inputs=[image])
    with pytest.raises(InputError, match=r"holds a.toml, an input"):
        check_output(other, (".zarr",), overwrite=True, inputs=[other / "a.toml"])
    with pytest.raises(InputError, match=r"f475w.fits is an input"):
        output_folder(folder, ["truth.ecsv", "f475w.fits"], overwrite=True, inputs=[image])
    # negative control: a folder with an input in it, whose own files have other names
    output_folder(folder, ["truth.ecsv"], overwrite=True, inputs=[image])
    check_output(folder / "other.fits", inputs=[image, tmp_path / "missing"])


def test_a_scratch_file_has_a_name_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    left = Writer(Writer.new().host, 2**22 + 1, "0" * 12).temporary(tmp_path / "praesepe.fits")
    left.touch()  # of a killed run
    with scratch_file(".fits") as file:
        file.write(b"x")
        file.flush()
        (path,) = tmp_path.iterdir()
        assert str(path) == file.name
        assert (path.suffix, path.stat().st_mode & 0o777) == (".fits", 0o600)
    assert not list(tmp_path.iterdir())
