"""The layer for files: whole or not there at all, also beside others and after errors."""

# ruff: noqa: PT012 - what is raised is raised at the end of a block

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from praesepe import files
from praesepe.errors import InputError, PraesepeError
from praesepe.files import (
    Writer,
    atomic,
    check_output,
    check_space,
    check_whole_folder,
    output_folder,
    remove_debris,
    replace_set,
)


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


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "set.zarr"
    for content in ("a", "b"):
        with atomic(path) as part:
            part.mkdir()
            (part / content).write_text(content)
        assert names(path) == {content}
    with pytest.raises(PraesepeError), atomic(path) as part:
        part.mkdir()
        full_disk()
    assert names(path) == {"b"}
    assert names(tmp_path) == {"set.zarr"}


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "set"
    path.mkdir()
    (path / "old").touch()
    rename = Path.rename

    def refuse(self, target):
        if target == path and ".part" in self.name and (self / "new").exists():
            full_disk()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PraesepeError, match="could not write"), atomic(path) as part:
        part.mkdir()
        (part / "new").touch()
    assert names(path) == {"old"}
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
    remove_debris(tmp_path)
    assert not left[gone].exists()
    assert len(names(tmp_path)) == 3
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
    with pytest.raises(InputError, match="disk of"):
        check_space(tmp_path, 10**18, "a set")


def test_a_folder_of_another_kind_is_never_replaced(tmp_path):
    folder = tmp_path / "precious"
    assert check_whole_folder(folder, "fields.json", "star fields") == folder
    folder.mkdir()
    assert check_whole_folder(folder, "fields.json", "star fields") == folder
    (folder / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds no star fields"):
        check_whole_folder(folder, "fields.json", "star fields", overwrite=True)
    (folder / "fields.json").touch()
    with pytest.raises(InputError, match="overwrite it"):
        check_whole_folder(folder, "fields.json", "star fields")
    check_whole_folder(folder, "fields.json", "star fields", overwrite=True)


def test_inputs_are_never_replaced(tmp_path):
    """Not by a file, not with a folder that holds them, not by a file of a folder's set."""
    folder, other = tmp_path / "fields", tmp_path / "group.zarr"
    for one, marker in ((folder, "fields.json"), (other, "zarr.json")):
        one.mkdir()
        (one / marker).touch()
    image, link = folder / "f475w.fits", tmp_path / "link.fits"
    image.touch()
    link.symlink_to(image)
    (other / "a.toml").touch()
    with pytest.raises(InputError, match=r"link.fits is an input: it would be replaced"):
        check_output(link, overwrite=True, inputs=[image])
    with pytest.raises(InputError, match=r"holds a.toml, an input"):
        check_output(other, (".zarr",), overwrite=True, inputs=[other / "a.toml"])
    with pytest.raises(InputError, match=r"holds f475w.fits, an input"):
        check_whole_folder(folder, "fields.json", "fields", overwrite=True, inputs=[image])
    with pytest.raises(InputError, match=r"f475w.fits is an input"):
        output_folder(folder, ["truth.ecsv", "f475w.fits"], overwrite=True, inputs=[image])
    # negative control: a folder with an input in it, whose own files have other names
    output_folder(folder, ["truth.ecsv"], overwrite=True, inputs=[image])
    check_output(folder / "other.fits", inputs=[image, tmp_path / "missing"])
