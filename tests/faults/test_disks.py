"""No room, no permission, no folder: every command says so in one line and leaves what was there.

The disk is a small tmpfs, which is full when half of the output is written, or is read-only. Where
none can be mounted, the limit of a file's size (RLIMIT_FSIZE), which stops a write in its middle
too, stands for it alone.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from praesepe.report import demo

PAGE = 4096
NO_ROOM = "No space left|only a part found room|but the disk of .* has"
TOO_LARGE = "File too large|only a part found room"
NO_FOLDER = "Not a directory|does not exist|is a file"
READ_ONLY = "Read-only file system|gives no permission to write"

COMMANDS = {
    "simulate to FITS": "simulate {toy} --n 2 --out {out}/a.fits",
    "simulate to Zarr": "simulate {toy} --n 2 --out {out}/a.zarr",
    "simulate shards": "simulate {toy} --n 257 --shards 2 --out {out}/set",
    "mosaic": "mosaic {toy} --n 2 --size 64 --out {out}/sky",
    "fields build": "fields build {toy} {images} --n 2 --size 32 --out {out}/fields",
    "predict": "predict {model} {images} --catalog {catalog} --no-check --n-samples 20"
    " --out {out}/a.ecsv --regions {out}/a.reg --samples {out}/a.parquet",
    "predict to FITS": "predict {model} {images} --catalog {catalog} --no-check --n-samples 20"
    " --out {out}/a.fits --samples {out}/a.zarr",
    "predict to VOTable": "predict {model} {images} --catalog {catalog} --no-check"
    " --n-samples 20 --out {out}/a.vot",
    "predict to Parquet": "predict {model} {images} --catalog {catalog} --no-check"
    " --n-samples 20 --out {out}/a.parquet",
    "twins": "predict {model} {images} --catalog {catalog} --no-check --n-samples 20"
    " --out {out}/a.csv --twins 2 --twins-out {out}/twins.fits",
    "train": "train {toy} --encoder tiny --steps 1 --batch-size 2 --out {out}/trained",
    "evaluate": "evaluate {model} --n 4 --n-samples 20 --seed 3 --out {out}/evaluation",
    "check to HTML": "check {model} {images} --out {out}/check.html",
    "check to JSON": "check {model} {images} --out {out}/check.json",
    "demo": "demo --model {model} --n 2 --out {out}/demo",
    "survey init": "survey init {out}/mine.toml",
    "survey upgrade": "survey upgrade {old} --out {out}/new.toml",
    "stars import": "stars import {isochrones} --name mine",
    "stars show": "stars show sse --out {out}/stars.png",
}
QUICK = ("fields build", "predict", "predict to FITS", "survey init", "stars import")
"""Commands that are run into a full disk in every run; the others with PRAESEPE_FAULTS=all."""

AGAIN = {"train": "--resume --steps 2"}
"""How a command is run where its output is there already, if not with --overwrite."""

TRAINED = r"trained(/(metrics.jsonl|tensorboard.*|checkpoint.safetensors))?"
MAY_STAY = {
    "twins": ("a.csv", "a.csv"),
    "train": (TRAINED, TRAINED),
    "simulate shards": (r"set(/(manifest.json|shard-00000.fits))?", r"set/.incoming.*"),
}
"""What was whole before another output failed, at first and with --overwrite."""


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@contextmanager
def disk(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A disk that holds so many bytes, in whole pages."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={max(n_bytes // PAGE * PAGE, PAGE)}"]
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, *options, "tmpfs", folder], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def no_file_above(n_bytes: int) -> Iterator[None]:
    """No file may become larger: Python ignores the signal, and the write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def command(
    name: str,
    inputs: dict[str, str],
    run_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Run a command into a folder."""
    monkeypatch.setattr(demo, "SIZE", 160)

    def run(out: Path, *, again: bool = False) -> Any:
        words = COMMANDS[name].format(**inputs, out=out).split()
        words += AGAIN.get(name, "--overwrite").split() if again else []
        return run_cli(*words, check=False, env={"PRAESEPE_DATA": str(out / "data")})

    def refused(folder: Path, why: str, *, again: bool = False, below: str = "") -> set[str]:
        """See that it fails in a line, and what has changed."""
        before = contents(folder)
        done = run(folder / below, again=again)
        after = contents(folder)
        assert done.returncode == 2, done.output
        assert "Traceback" not in done.output
        assert re.search(why, done.stderr.strip().splitlines()[-1]), done.stderr
        return {name for name in {*before, *after} if before.get(name, 0) != after.get(name, 0)}

    run.refused = refused  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_takes_no_files(command: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not command.refused(tmp_path, NO_FOLDER, below="file/below")
    with disk(tmp_path / "disk", PAGE) as place:
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        assert not command.refused(place, READ_ONLY)


@pytest.mark.parametrize("name", list(COMMANDS) if os.environ.get("PRAESEPE_FAULTS") else QUICK)
def test_no_room_for_half_of_the_output(name: str, command: Any, tmp_path: Path) -> None:
    whole, plain, stays = tmp_path / "whole", tmp_path / "plain", MAY_STAY.get(name, ("", ""))
    whole.mkdir()
    done = command(whole)
    assert done.returncode in ((0, 1) if name.startswith("check") else (0,)), done.output
    sizes = [len(content) for content in contents(whole).values() if content is not None]
    n_bytes = sum(-(-size // PAGE) * PAGE for size in sizes)
    plain.mkdir()
    for again in (False, True):
        if again:
            shutil.copytree(whole, plain, dirs_exist_ok=True)
        with no_file_above(max(sizes) // 2):
            changed = command.refused(plain, TOO_LARGE, again=again)
        assert all(re.fullmatch(stays[again], one) for one in changed), changed
    for again in (False, True):
        room = n_bytes // 2 // PAGE * PAGE
        with disk(tmp_path / f"full-{again}", n_bytes * again + room + PAGE) as full:
            (full / "filler").write_bytes(bytes(PAGE))
            if again:
                shutil.copytree(whole, full, dirs_exist_ok=True)
            changed = command.refused(full, NO_ROOM, again=again)
        assert all(re.fullmatch(stays[again], one) for one in changed), changed


LINKS = [name for name in COMMANDS if not name.startswith("predict to")]


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_points_to_itself(
    name: str, inputs: dict[str, str], run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    """As any output or input: told in one line before the work, and nothing is written."""
    out, data = tmp_path / "out", tmp_path / "data"
    (data / "stars").mkdir(parents=True)
    out.mkdir()

    def refused(link: Path, **changed: str) -> None:
        link.symlink_to(link.name)
        words = COMMANDS[name].format(**{**inputs, **changed}, out=out).split()
        for again in ([], ["--overwrite"]):
            before = contents(tmp_path)
            done = run_cli(*words, *again, check=False, env={"PRAESEPE_DATA": str(data)})
            if "No such option" in done.stderr:
                continue
            assert done.returncode == 2, done.output
            assert "Traceback" not in done.output
            assert link.name in " ".join(done.stderr.split()), done.stderr
            assert contents(tmp_path) == before
        link.unlink()

    for given in re.findall(r"{out}(/\S+)", COMMANDS[name]) or ["/../data/stars/mine.npz"]:
        refused(Path(f"{out}{given}"))
    for key in re.findall(r"{(\w+)}", COMMANDS[name].replace("{out}", "")):
        link = tmp_path / f"link{Path(inputs[key].split()[-1]).suffix}"
        images = re.sub(r"F475W=\S+", f"F475W={link}", inputs["images"])
        refused(link, **{key: images if key == "images" else str(link)})


MAPPED = """
import numpy as np
from praesepe.images.mosaic.grid import mark_saturated
from praesepe.images.reading.pixels import Pixels

full = np.indices(({side}, {side})).reshape(2, -1)
pixels = Pixels(np.zeros(({side}, {side}), np.float32), ({side}, {side}))
{write}
"""
RESERVED = "mark_saturated(pixels, [full])"
UNRESERVED = "open('a', 'wb').truncate({side} ** 2); np.memmap('a', np.uint8, 'r+')[:] = 1"


@pytest.mark.parametrize(("write", "status"), [(RESERVED, 1), (UNRESERVED, -signal.SIGBUS)])
def test_a_full_disk_under_a_map_is_an_error(write: str, status: int, tmp_path: Path) -> None:
    """The only map that is written to has its space first; without, the process would be killed."""
    side = 4 * PAGE // 64
    code = MAPPED.replace("{write}", write).replace("{side}", str(side))
    with disk(tmp_path / "full", side**2 // 2) as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=full, env={**os.environ, "TMPDIR": str(full)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == status, done.stderr
    if status == 1:
        assert "PraesepeError: could not write a temporary file" in done.stderr
