"""Sets of mock clusters at any size: in one file or in shards, by one process or many.

A set consists of blocks of 256 mocks. Each block is a random stream of its own, from the seed and
the block's number; a set is therefore the same whoever computes which part of it, and in which
order.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from praesepe.blocks import BLOCK_SIZE, Block, map_blocks
from praesepe.bounded import read_json
from praesepe.device import usable_device
from praesepe.errors import (
    InputError,
    bad_suffix,
    check_number,
    must_be,
    refuse_unused,
    unknown,
    unusable,
)
from praesepe.files import (
    as_path,
    atomic,
    check_output,
    check_space,
    foreign_in,
    make_folder,
    refuse_file,
    refuse_inputs,
)
from praesepe.locks import LOCK, locked, working_folder
from praesepe.mocks.stamps import SUFFIXES, MockArrays, MockSet, holds, write_mocks
from praesepe.progress import Counter, Progress, Setup
from praesepe.provenance import difference
from praesepe.rng import check_seed
from praesepe.sky.contents import without_missing_stars
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.simulator import Simulator
from praesepe.sky.truth import describe
from praesepe.survey import Survey, load_survey
from praesepe.survey.toml import survey_files
from praesepe.temporary import remove, remove_debris

if TYPE_CHECKING:
    from astropy.table import Table

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
INCOMING = ".incoming"
"""Folder beside the shards, where those that will replace them wait until they are complete."""
FORMATS = ("fits", "zarr")
_SHARD = re.compile(r"shard-\d{5,}\.(fits|zarr)")


@dataclass(frozen=True, repr=False)
class SimulatedStamps:
    """Artificial clusters, made by `simulate`: their stamps and the truth.

    Attributes
    ----------
    mocks : MockSet
        What they are: survey, seed, number, nuisances.
    path : Path or None
        The file, or the folder with shards; None in memory.
    files : tuple of Path
        The file or the shards, in order.
    """

    mocks: MockSet
    path: Path | None = None
    files: tuple[Path, ...] = ()
    _kept: MockArrays | None = None

    def __len__(self) -> int:
        return self.mocks.n

    def __repr__(self) -> str:
        of = self.mocks
        return (
            f"<SimulatedStamps of survey {of.survey.name!r}: {of.n} clusters, seed {of.seed}; "
            f"{'in memory' if self.path is None else f'in {self.path}'}>"
        )

    def blocks(self) -> Iterator[MockArrays]:
        """Images and truth: a file at a time, or all that is in memory."""
        return iter([self._kept]) if self._kept else map(MockArrays.read, self.files)

    @property
    def images(self) -> NDArray[np.float32]:
        """All stamps, shape (n, band, y, x), e-/s; read from the files at each call."""
        return MockArrays.joined(self.blocks()).images

    @property
    def truth(self) -> Table:
        """What is known of the clusters, a row each."""
        from astropy.table import Column, Table

        table = Table()
        for name, values in MockArrays.joined(self.blocks()).truth.items():
            unit, description = describe(name)
            table[name] = Column(values, unit=unit or None, description=description)
        return table

    def save(self, out: str | Path, *, overwrite: bool = False) -> SimulatedStamps:
        """Write one FITS or Zarr file, as `simulate` does; return what lies there."""
        path = _check_file(as_path(out), overwrite=overwrite)
        write_mocks(path, self.mocks, self.blocks())
        return SimulatedStamps(self.mocks, path, (path,))


def simulate(
    survey: Survey | str | Path,
    *,
    n: int,
    seed: int = 0,
    nuisances: bool = True,
    out: str | Path | None = None,
    shards: int | None = None,
    shard_size: int | None = None,
    format: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    device: str = "cpu",
    command: str | None = None,
    progress: Progress | None = None,
    setup: Setup | None = None,
) -> SimulatedStamps:
    """Simulate clusters of a survey, in memory or into files.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey, its built-in name or its TOML file.
    n : int
        Number of clusters.
    seed : int
        The same seed gives the same clusters, whatever `workers`, `shards` and the format.
    nuisances : bool
        Draw zero points, blur and registration errors for every stamp and band.
    out : path, optional
        FITS file: image extension IMAGES (n, band, y, x), float32, e-/s; table TRUTH. Or a Zarr
        group: compressed array ``images`` of the same shape; arrays ``truth/NAME``. Or, with
        `shards` or `shard_size`, a folder, in which a manifest tells what belongs to the set.
    shards : int, optional
        Number of files of about the same size.
    shard_size : int, optional
        Clusters in a file, a multiple of 256; instead of `shards`.
    format : {"fits", "zarr"}, optional
        Format of the shards; FITS by default. A single file has it in its name.
    workers : int
        Processes that draw. Above 1, a script of one's own must guard its main part with
        ``if __name__ == "__main__":``, as `multiprocessing` needs it.
    overwrite : bool
        Replace what exists, when the new is complete: the disk must hold both. A folder with
        shards of the same set needs no overwriting: what is finished is kept, and the rest is
        drawn.
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
    SimulatedStamps

    Raises
    ------
    InputError
        Where the survey or the output cannot be used, or the disk is too small.
    PraesepeError
        Where writing fails, or a worker process dies.
    """
    read, survey = survey_files(survey), without_missing_stars(load_survey(survey))
    n, seed, workers = (
        check_number("n", n, 1),
        check_seed(seed),
        check_number("workers", workers, 1),
    )
    whole = MockSet(survey, seed, nuisances, n, command=command)
    path = None if out is None else as_path(out)
    with ExitStack() as held:
        parts = _parts(
            path, whole, shards, shard_size, format,
            overwrite=overwrite, inputs=read, held=held,
        )  # fmt: skip
        todo = [  # shards that are there are kept
            (file, part)
            for file, part in parts
            if file is None or file == path or not holds(file, part)
        ]
        log.info("%d of %d files are there already", len(parts) - len(todo), len(parts))
        task = partial(_start, survey, seed, nuisances, device, setup if workers == 1 else None)
        todo_blocks = [block for _, part in todo for block in part.blocks(BLOCK_SIZE)]
        count = Counter(n, progress, done=n - sum(part.n for _, part in todo))
        results = map_blocks(task, todo_blocks, workers=workers)
        kept = None
        try:
            for file, part in todo:
                blocks = count.each(islice(results, len(part.blocks(BLOCK_SIZE))), len)
                if file is None:
                    kept = MockArrays.joined(blocks)
                else:
                    write_mocks(file, part, blocks)
        finally:
            results.close()
        files = tuple(file for file, _ in parts if file)
        if path is not None and any(file.parent == path / INCOMING for file in files):
            _take_place(path)
            files = tuple(path / file.name for file in files)
        return SimulatedStamps(whole, path, files, kept)


# Who draws


class RemoteRenderer(Renderer):
    """A renderer that spreads stars on the CPU and convolves on another device."""

    def __init__(self, survey: Survey, device: str) -> None:
        super().__init__(survey)
        self.remote = Renderer(survey, device=device)

    def convolve(self, grids: Tensor, **changes: Any) -> Tensor:
        """As `Renderer.convolve`; tensors go to the device and the images come back."""
        device = self.remote.device
        there = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in changes.items()}
        return self.remote.convolve(grids.to(device), **there).cpu()


def _start(
    survey: Survey, seed: int, nuisances: bool, device: str, setup: Setup | None
) -> Callable[[Block], MockArrays]:
    """Make a simulator, and return what it does with a block; for `map_blocks`."""
    simulator = Simulator(survey, seed=seed, nuisances=nuisances, setup=setup)
    if usable_device(device).type != "cpu":
        simulator.renderer = RemoteRenderer(survey, device)
    return lambda block: MockArrays.of(simulator.draw_block(block.number, block.n))


# Where the set goes


def _parts(
    path: Path | None,
    whole: MockSet,
    shards: int | None,
    shard_size: int | None,
    format: str | None,
    *,
    overwrite: bool,
    inputs: Sequence[Path],
    held: ExitStack,
) -> list[tuple[Path | None, MockSet]]:
    """The files of a set, with what each holds; they can be written, by this run alone."""
    what = f"a set of {whole.n:,} clusters"
    if shards is not None or shard_size is not None:
        if path is None:
            remedy = "say where they go"
            raise InputError("shards are files", given=path, remedy=remedy, code="out='mocks'")
        size = clusters_per_shard(whole.n, shards, shard_size)
        return _open_folder(
            path, whole, size, format or "fits", what,
            overwrite=overwrite, inputs=inputs, held=held,
        )  # fmt: skip
    if path is None:
        refuse_unused("nothing is written", format=format)
    else:
        path = _check_file(path, format, overwrite=overwrite, inputs=inputs)
        held.enter_context(locked(path))
        check_space(path.absolute().parent, whole.bytes, what)
    return [(path, whole)]


def _check_file(
    path: Path, format: str | None = None, *, overwrite: bool, inputs: Sequence[Path] = ()
) -> Path:
    """One file: its ending, and whether it may be written."""
    if format is not None:
        raise InputError(
            f"format {format!r} is for shards",
            given=format,
            remedy=f"leave it out: a single file has it in its name, {path.name}",
        )
    if path.suffix.lower() not in SUFFIXES:
        raise bad_suffix(path, SUFFIXES, "for a folder of many files say how many", "shards=4")
    return check_output(path, SUFFIXES, overwrite=overwrite, inputs=inputs)


def clusters_per_shard(n: int, shards: int | None, shard_size: int | None) -> int:
    """Clusters in a shard, whole blocks of `BLOCK_SIZE`: give the number of shards or their size.

    Raises
    ------
    InputError
        Where both are given, a size is no multiple of a block, or shards are more than blocks.
    """
    n_blocks = -(-n // BLOCK_SIZE)
    if shards is not None and shard_size is not None:
        raise InputError(
            f"{shards} shards of {shard_size} clusters",
            given=(shards, shard_size),
            remedy="give either the number of shards or their size, not both",
        )
    if shards is not None:
        if not 1 <= shards <= n_blocks:
            allowed = f"1 to {n_blocks}: {n:,} clusters are {n_blocks} blocks of {BLOCK_SIZE}"
            raise must_be("shards", shards, f"{allowed}, and a shard holds whole ones")
        return BLOCK_SIZE * -(-n_blocks // shards)
    size = int(shard_size or 0)
    if size < BLOCK_SIZE or size % BLOCK_SIZE:
        near = BLOCK_SIZE * max(1, round(size / BLOCK_SIZE))
        allowed = f"a multiple of {BLOCK_SIZE}: a shard holds whole blocks"
        raise must_be("shard_size", shard_size, allowed, f"give, for instance, {near}")
    return size


def _open_folder(
    folder: Path,
    whole: MockSet,
    size: int,
    format: str,
    what: str,
    *,
    overwrite: bool,
    inputs: Sequence[Path],
    held: ExitStack,
) -> list[tuple[Path | None, MockSet]]:
    """Make the folder with its manifest, or find the same set in it; return all its shards."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if folder.suffix.lower() in SUFFIXES:
        raise InputError(
            f"output {folder.name}: shards lie in a folder, for instance {folder.stem}",
            given=folder,
            remedy="choose their format apart from the name",
            code=f"format={FORMATS[0]!r}",
        )
    refuse_file(folder)
    if not folder.exists():
        check_output(folder)
        check_space(folder.absolute().parent, whole.bytes, what)  # before a list of all shards
    parts = [
        (
            folder / f"shard-{i:05d}.{format}",
            replace(whole, first=start, n=min(size, whole.n - start)),
        )
        for i, start in enumerate(range(0, whole.n, size))
    ]
    refuse_inputs([*(file for file, _ in parts), folder / MANIFEST], inputs)
    manifest = _manifest(whole, size, format, parts)
    held.enter_context(working_folder(folder))
    place, incoming = folder, folder / INCOMING
    if (incoming / MANIFEST).exists() and not (folder / MANIFEST).exists():
        _take_place(folder)  # a kill came between
    if any(one.name != LOCK for one in folder.iterdir()):
        told = _told_difference(folder, manifest)
        if told and not overwrite:
            fault, remedy = f"holds another set: {told}.", "Choose another folder"
            raise unusable(folder, fault, f"{remedy}, or overwrite it", code="overwrite=True")
        place = incoming if overwrite else folder
        _clear_incoming(folder, manifest if overwrite else None)
        parts = [(place / file.name, part) for file, part in parts]
        left = sum(part.bytes for file, part in parts if not holds(file, part))
        check_space(folder, left, f"what is left of {whole.n:,} clusters")
    make_folder(place)
    with atomic(place / MANIFEST) as part:
        part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return list(parts)


def _manifest(
    whole: MockSet, size: int, format: str, parts: list[tuple[Path, MockSet]]
) -> dict[str, Any]:
    record = whole.record()
    del record["first"]
    return {
        "praesepe": record.pop("praesepe_version"),
        **record,
        "survey_content": whole.survey.identity(),
        "shard_size": size,
        "format": format,
        "shards": [{"file": file.name, "first": p.first, "n": p.n} for file, p in parts],
    }


def _shards_in(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The manifest of a folder, and the shards that it names; files of that kind, no others."""
    try:
        found = read_json(folder / MANIFEST)
        names = [str(shard["file"]) for shard in found["shards"]]
    except (OSError, ValueError, KeyError, TypeError):
        fault = f"is not empty and holds no set of mocks (no readable {MANIFEST})"
        raise unusable(folder, fault, "choose another folder") from None
    foreign = [name for name in names if not _is_shard(folder, name)]
    if foreign:
        fault = f"holds a {MANIFEST} with {foreign[0]!r}, which is no file of a set"
        raise unusable(folder, fault, "choose another folder")
    return found, names


def _told_difference(folder: Path, manifest: dict[str, Any]) -> str:
    """How the set in a folder differs from that of a manifest; empty where it does not."""
    found, _ = _shards_in(folder)
    # Shards follow from the rest; survey is a name; sets of earlier versions tell no content.
    content = "survey_content"
    free = {"shards", "survey", "survey_fingerprint" if content in found else content}
    then, now = (
        {key: of.get(key) for key in manifest if key not in free} for of in (found, manifest)
    )
    return "" if then == now else difference(then, now)


def _clear_incoming(folder: Path, manifest: dict[str, Any] | None) -> None:
    """Remove what a run began that was to replace the set, unless it is what the manifest tells."""
    incoming = folder / INCOMING
    if not (incoming / MANIFEST).exists():
        return
    if manifest is not None and not _told_difference(incoming, manifest):
        return
    for name in (*_shards_in(incoming)[1], MANIFEST):
        remove(incoming / name)
    remove_debris(incoming)
    with suppress(OSError):  # there is something of the user's in it
        incoming.rmdir()


def _take_place(folder: Path) -> None:
    """Let a complete set replace that of its folder; it can be done again after a kill.

    While files of both are there, the folder has no manifest that would take them for one set.
    """
    incoming = folder / INCOMING
    if (folder / MANIFEST).exists():
        for name in _shards_in(folder)[1]:
            remove(folder / name)
        (folder / MANIFEST).unlink()
    for name in (*_shards_in(incoming)[1], MANIFEST):  # the manifest last
        if (incoming / name).exists():
            os.replace(incoming / name, folder / name)
    with suppress(OSError):
        incoming.rmdir()


def _is_shard(folder: Path, name: str) -> bool:
    """Whether a name in a manifest is that of a file, or of a Zarr group, that `simulate` makes."""
    path = folder / name
    return bool(_SHARD.fullmatch(name)) and not (path.is_dir() and foreign_in(path))
