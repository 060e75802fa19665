"""Sets of mock clusters at any size: in one file or in shards, by one process or many.

A set consists of blocks of 256 mocks. Each block is a random stream of its own, from the seed and
the block's number; a set is therefore the same whoever computes which part of it, and in which
order.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from praesepe.blocks import BLOCK_SIZE, Block, map_blocks
from praesepe.errors import InputError, unknown
from praesepe.files import (
    atomic,
    check_output,
    check_space,
    check_whole_folder,
    remove,
    remove_debris,
)
from praesepe.mocks.stamps import (
    FITS_SUFFIXES,
    SUFFIXES,
    MockArrays,
    MockSet,
    holds,
    write_mocks,
)
from praesepe.progress import Counter, Progress, Setup
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey

log = logging.getLogger(__name__)

BLOCK = BLOCK_SIZE
"""Mocks in a block."""

MANIFEST = "manifest.json"
FORMATS = ("fits", "zarr")


def simulate(
    survey: Survey | str | Path,
    out: str | Path,
    *,
    n: int,
    seed: int = 0,
    nuisances: bool = True,
    shards: int | None = None,
    shard_size: int | None = None,
    form: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    device: str = "cpu",
    command: str | None = None,
    progress: Progress | None = None,
    setup: Setup | None = None,
) -> Path:
    """Write mock clusters of a survey: one FITS or Zarr file, or a folder of shards.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey, its built-in name or its TOML file.
    out : path
        FITS file: image extension IMAGES (n, band, y, x), float32, e-/s; table TRUTH. Or a Zarr
        group: compressed array ``images`` of the same shape; arrays ``truth/NAME``. Or, with
        `shards` or `shard_size`, a folder, in which a manifest tells what belongs to the set.
    n : int
        Number of clusters.
    seed : int
        The same seed gives the same clusters, whatever `workers`, `shards` and the format.
    nuisances : bool
        Draw zero points, blur and registration errors for every stamp and band.
    shards : int, optional
        Number of files of about the same size.
    shard_size : int, optional
        Clusters in a file, a multiple of 256; instead of `shards`.
    form : {"fits", "zarr"}, optional
        Format of the shards; FITS by default. A single file has it in its name.
    workers : int
        Processes that draw. Above 1, a script of one's own must guard its main part with
        ``if __name__ == "__main__":``, as `multiprocessing` needs it.
    overwrite : bool
        Replace what exists. A folder with shards of the same set needs no overwriting: what is
        finished is kept, and the rest is drawn.
    device : str
        Where the images are convolved. All random numbers come from the CPU.
    command : str, optional
        The command line, for the header.
    progress : callable, optional
        Called with (clusters done, all clusters), first with what is there already.
    setup : callable, optional
        Called with (stage, done, total) as the simulator is made, where one process draws.

    Returns
    -------
    Path
        The file or the folder that was written.

    Raises
    ------
    InputError
        Where the survey or the output cannot be used, or the disk is too small.
    PraesepeError
        Where writing fails, or a worker process dies.
    """
    survey = load_survey(survey)
    if n < 1 or seed < 0 or workers < 1:
        raise InputError(
            f"n = {n}, seed = {seed}, workers = {workers}: at least one cluster and one worker, "
            "and a seed of 0 or more."
        )
    whole = MockSet(survey, seed, nuisances, n, command=command)
    source = DrawMocks(survey, seed, nuisances, device, setup if workers == 1 else None)
    path = Path(out).expanduser()
    if shards is None and shard_size is None:
        path = _check_file(path, form, overwrite=overwrite)
        check_space(path.absolute().parent, whole.bytes, f"a set of {n:,} clusters")
        todo = [(path, whole)]
        kept = 0
    else:
        size = _shard_size(n, shards, shard_size)
        if not path.exists() and path.absolute().parent.is_dir():
            check_space(path.absolute().parent, whole.bytes, f"a set of {n:,} clusters")
        parts = _open_folder(path, whole, size, form or "fits", overwrite=overwrite)
        todo = [(file, part) for file, part in parts if not holds(file, part)]
        kept = n - sum(part.n for _, part in todo)
        check_space(path, sum(part.bytes for _, part in todo), f"what is left of {n:,} clusters")
        log.info("%d of %d shards are there already", len(parts) - len(todo), len(parts))
    todo_blocks = [block for _, part in todo for block in part.blocks(BLOCK)]
    count = Counter(n, progress, done=kept)
    drawn = map_blocks(source, todo_blocks, workers=workers)
    try:
        for file, part in todo:
            its_blocks = islice(drawn, len(part.blocks(BLOCK)))
            write_mocks(file, part, count.each(its_blocks, lambda arrays: len(arrays.images)))
    finally:
        drawn.close()
    return path


# Who draws


class RemoteRenderer(Renderer):
    """A renderer that spreads stars on the CPU and convolves on another device.

    Parameters
    ----------
    survey : Survey
    device : str
        Where the images are convolved.
    """

    def __init__(self, survey: Survey, device: str) -> None:
        super().__init__(survey)
        self.remote = Renderer(survey, device=device)

    def convolve(self, grids: Tensor, **changes: Any) -> Tensor:
        """As `Renderer.convolve`; tensors go to the device and the images come back."""
        device = self.remote.device
        there = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in changes.items()}
        return self.remote.convolve(grids.to(device), **there).cpu()


@dataclass(frozen=True)
class DrawMocks:
    """The task of a set of mocks, for `praesepe.blocks.map_blocks`: a block of them as arrays.

    Attributes
    ----------
    survey : Survey
    seed : int
        Of the set.
    nuisances : bool
    device : str
        Where the images are convolved.
    setup : callable, optional
        Called with (stage, done, total) as the simulator is made.
    """

    survey: Survey
    seed: int
    nuisances: bool
    device: str = "cpu"
    setup: Setup | None = None

    def __call__(self) -> Callable[[Block], MockArrays]:
        """Make a simulator, and return what it does with a block."""
        simulator = Simulator(
            self.survey, seed=self.seed, nuisances=self.nuisances, setup=self.setup
        )
        if torch.device(self.device).type != "cpu":
            simulator.renderer = RemoteRenderer(self.survey, self.device)
        return partial(_draw_arrays, simulator)


def _draw_arrays(simulator: Simulator, block: Block) -> MockArrays:
    return MockArrays.of(simulator.draw_block(block.number, block.n))


# Where the set goes


def _check_file(path: Path, form: str | None, *, overwrite: bool) -> Path:
    """One file: its ending, and whether it may be written."""
    suffix = path.suffix.lower()
    if form is not None:
        raise InputError(
            f"format {form!r} is for shards; a single file has it in its name, {path.name}"
        )
    if suffix not in SUFFIXES:
        raise InputError(
            f"output {path.name}: the format {path.suffix!r} is not one of {', '.join(SUFFIXES)}",
            given=path.suffix,
            allowed=SUFFIXES,
            remedy="for a folder of many files say how many",
            code="shards=4",
        )
    if suffix in FITS_SUFFIXES:
        return check_output(path, FITS_SUFFIXES, overwrite=overwrite)
    return check_whole_folder(path, "zarr.json", "Zarr group", overwrite=overwrite)


def _shard_size(n: int, shards: int | None, shard_size: int | None) -> int:
    """Clusters in a shard: whole blocks."""
    n_blocks = -(-n // BLOCK)
    if shards is not None and shard_size is not None:
        raise InputError("give either the number of shards or their size, not both")
    if shards is not None:
        if not 1 <= shards <= n_blocks:
            raise InputError(
                f"{shards} shards: {n:,} clusters are {n_blocks} blocks of {BLOCK}, and a shard "
                f"holds whole blocks; give 1 to {n_blocks}"
            )
        return BLOCK * -(-n_blocks // shards)
    size = int(shard_size or 0)
    if size < BLOCK or size % BLOCK:
        near = BLOCK * max(1, round(size / BLOCK))
        raise InputError(
            f"shards of {size} clusters: a shard holds whole blocks of {BLOCK}; give a multiple of "
            f"it, for instance {near}"
        )
    return size


def _open_folder(
    folder: Path, whole: MockSet, size: int, form: str, *, overwrite: bool
) -> list[tuple[Path, MockSet]]:
    """Make the folder with its manifest, or find the same set in it; return all its shards."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if folder.suffix.lower() in SUFFIXES:
        raise InputError(
            f"output {folder.name}: shards lie in a folder, for instance {folder.stem}",
            given=folder,
            remedy="choose their format apart from the name",
            code=f"form={FORMATS[0]!r}",
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"output {folder} is a file; shards need a folder")
    starts = range(0, whole.n, size)
    parts = [
        (
            folder / f"shard-{i:05d}.{form}",
            replace(whole, first=start, n=min(size, whole.n - start)),
        )
        for i, start in enumerate(starts)
    ]
    manifest = _manifest(whole, size, form, parts)
    if folder.exists() and any(folder.iterdir()):
        _check_same_set(folder, manifest, overwrite=overwrite)
    elif not folder.exists():
        check_output(folder)
        folder.mkdir()
    with atomic(folder / MANIFEST) as part:
        part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return parts


def _manifest(
    whole: MockSet, size: int, form: str, parts: list[tuple[Path, MockSet]]
) -> dict[str, Any]:
    made_by = whole.made_by()
    del made_by["first"]
    return {
        "praesepe": made_by.pop("praesepe_version"),
        **made_by,
        "shard_size": size,
        "format": form,
        "shards": [{"file": file.name, "first": p.first, "n": p.n} for file, p in parts],
    }


def _check_same_set(folder: Path, manifest: dict[str, Any], *, overwrite: bool) -> None:
    """Go on with the set in a folder; stop at another one, or remove it where that is wanted."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [folder / Path(str(shard["file"])).name for shard in found["shards"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder} is not empty and holds no set of mocks (no readable {MANIFEST}); choose "
            "another folder"
        ) from None
    remove_debris(folder, "shard-")
    changed = [key for key in manifest if found.get(key) != manifest[key] and key != "shards"]
    if changed and not overwrite:
        told = ", ".join(f"{key} = {found.get(key)!r}, not {manifest[key]!r}" for key in changed)
        raise InputError(
            f"{folder} holds another set: {told}.",
            remedy="Choose another folder, or overwrite it",
            code="overwrite=True",
        )
    if overwrite:
        for file in files:
            remove(file)
