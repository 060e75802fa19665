"""Sets of mock clusters at any size: in one file or in shards, by one process or many.

A set consists of blocks of 256 mocks. Each block is a random stream of its own, from the seed and
the block's number; a set is therefore the same whoever computes which part of it, and in which
order.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError, PraesepeError, unknown
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
    Block,
    MockSet,
    holds,
    write_mocks,
)
from praesepe.quantities import PARAMETERS
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey, load_survey

log = logging.getLogger(__name__)

BLOCK = 256
"""Mocks in a block: fixed, so that a seed always gives the same set."""

MANIFEST = "manifest.json"
FORMATS = ("fits", "zarr")

Progress = Callable[[int, int], None]


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
    source = _Source(survey, seed, nuisances, device)
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
    jobs = [job for _, part in todo for job in _blocks_of(part)]
    count = _Count(kept, n, progress)
    blocks = _draw(source, jobs, min(workers, len(jobs)))
    try:
        for file, part in todo:
            write_mocks(file, part, count(islice(blocks, len(_blocks_of(part)))))
    finally:
        blocks.close()
    return path


def _blocks_of(part: MockSet) -> list[tuple[int, int]]:
    """Number and size of the blocks of a file."""
    stop = part.first + part.n
    return [(start // BLOCK, min(BLOCK, stop - start)) for start in range(part.first, stop, BLOCK)]


class _Count:
    """Tells the progress of blocks as they are written."""

    def __init__(self, done: int, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = done, total, progress
        self._tell()

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the same blocks; each counts when the next one is asked for."""
        for block in blocks:
            yield block
            self._done += len(block.images)
            self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)


# Who draws


class _ConvolvesOn(Renderer):
    """A renderer that spreads stars on the CPU and convolves on another device."""

    def __init__(self, survey: Survey, device: str) -> None:
        super().__init__(survey)
        self._there = Renderer(survey, device=device)

    def convolve(self, grids: Tensor, **changes: Any) -> Tensor:
        """As `Renderer.convolve`; tensors go to the device and the images come back."""
        device = self._there.device
        there = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in changes.items()}
        return self._there.convolve(grids.to(device), **there).cpu()


@dataclass(frozen=True)
class _Source:
    """What a process needs to draw any block of a set."""

    survey: Survey
    seed: int
    nuisances: bool
    device: str

    def simulator(self) -> Simulator:
        simulator = Simulator(self.survey, seed=self.seed, nuisances=self.nuisances)
        if torch.device(self.device).type != "cpu":
            simulator.renderer = _ConvolvesOn(self.survey, self.device)
        return simulator


def draw_block(simulator: Simulator, seed: int, block: int, n: int) -> Block:
    """Draw one block of a set; it depends on nothing but the arguments' values.

    Parameters
    ----------
    simulator : Simulator
        Made with `seed`; its stream and the history of its star fields are put to the block.
    seed, block : int
        Seed of the set, number of the block.
    n : int
        Mocks in the block, up to 256.

    Returns
    -------
    Block
    """
    simulator.seed(seed, block)
    if simulator.bank is not None and simulator.bank.calls != block:
        simulator.bank.rewind(block)
    mocks = simulator.draw(n, batch_size=BLOCK)
    labels = mocks.labels.cpu().numpy()
    truth = {parameter.name: labels[:, i] for i, parameter in enumerate(PARAMETERS)}
    truth |= {name: values.cpu().numpy() for name, values in mocks.truth.items()}
    columns = {name: values.astype(np.float32) for name, values in truth.items()}
    return Block(mocks.images.cpu().numpy(), columns)


def _draw(source: _Source, jobs: list[tuple[int, int]], workers: int) -> Iterator[Block]:
    """Draw blocks in order, here or in processes of their own."""
    if workers <= 1:
        simulator = source.simulator() if jobs else None
        for job in jobs:
            yield draw_block(simulator, source.seed, *job)  # type: ignore[arg-type]
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(source, threads),
    )
    # A few blocks ahead of the writer, no more: they lie in memory.
    ahead: deque[Any] = deque()
    try:
        for job in jobs:
            ahead.append(pool.submit(_draw_in_worker, *job))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except BrokenProcessPool as error:
        raise PraesepeError(
            "a worker process died, perhaps for lack of memory; use fewer workers. Finished shards "
            "are kept: the same command goes on from there."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_mine: tuple[Simulator, int] | None = None
"""Simulator and seed of a worker process."""


def _start_worker(source: _Source, threads: int) -> None:
    global _mine
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that writes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _mine = source.simulator(), source.seed


def _end_with_parent() -> None:
    """End this process when the one that writes is gone; the pool would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _draw_in_worker(block: int, n: int) -> Block:
    if _mine is None:
        raise RuntimeError("the worker process has no simulator")
    return draw_block(*_mine, block, n)


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
    own = whole.identity()
    return {
        "survey": whole.survey.name,
        "survey_fingerprint": own["SURVHASH"],
        "n": whole.n,
        "seed": whole.seed,
        "nuisances": whole.nuisances,
        "shard_size": size,
        "format": form,
        "praesepe": own["PRAESEPE"],
        "stream": own["STREAM"],
        "spectra": own["SPECTRA"],
        "stars": own["STARKEYS"],
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
