"""Blocks of work: each is addressed by (seed, number) and gives the same wherever it is done.

Training steps, sets of mocks, evaluations and tiles are all made of blocks. What a block gives
depends on the seed and its number alone, so that a worker can take any of them in any order; each
is done with one thread, so that this holds to the last bit.
`map_blocks` is the one way to split work. It has two backends: this process, and local processes.
A cluster's scheduler (Dask) will be the third: it takes the same `Task`, which can be pickled, and
returns the same results in the same order; its place is in `map_blocks`.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from praesepe import quantities
from praesepe.errors import InputError, PraesepeError, check_number, must_be
from praesepe.quantities import Quantity

BLOCK_SIZE = 256
"""Things in a block: fixed, so that a seed always gives the same set."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Block:
    """A block of work.

    Attributes
    ----------
    number : int
        Its address, together with a seed that the task knows.
    n : int
        Things in it: clusters, rows; the last block of a set may have fewer than the others.
    first : int
        Number of its first thing in the whole.
    """

    number: int
    n: int
    first: int


Work = Callable[[Block], Result]
"""What is done with a block."""

Task = Callable[[], Work[Result]]
"""Is called once in every process that works, to make what all blocks share (a simulator, say), and
returns what is done with a block. To reach other processes it must be picklable: a `functools.
partial` of a module's function, or a dataclass with ``__call__``. Results should be plain numpy
arrays; tensors would tie processes together by shared memory."""


def blocks_of(n: int, *, first: int = 0, size: int = BLOCK_SIZE) -> list[Block]:
    """Cut work into blocks.

    Parameters
    ----------
    n : int
        Things in all.
    first : int
        Number of the first one in the whole set, a multiple of `size`.
    size : int
        Things in a block.

    Returns
    -------
    list of Block
    """
    if first % size:
        raise must_be("first", first, f"a multiple of {size}: a set is made of whole blocks")
    return [
        Block(start // size, min(size, first + n - start), start)
        for start in range(first, first + n, size)
    ]


def map_blocks(
    task: Task[Result],
    blocks: Iterable[Block],
    *,
    workers: int = 1,
    run: int = 1,
) -> Generator[Result, None, None]:
    """Do a task for every block, here or in processes of their own.

    Parameters
    ----------
    task : callable
        See `Task`.
    blocks : iterable of Block
        May be endless.
    workers : int
        Processes that work; 1: this one. They are spawned, so that a script of one's own must
        guard its main part with ``if __name__ == "__main__":``.
    run : int
        Blocks that a worker takes at once, one after the other; more than one where the next block
        is cheaper than any other one (a pool of star fields that moves on slowly).

    Yields
    ------
    Result
        In the order of `blocks`. The workers are a few runs ahead, no more: results lie in memory.

    Raises
    ------
    PraesepeError
        Where a worker process dies, or never begins. Errors of the task are raised as they are.
    """
    check_number("workers", workers, 1)
    check_number("run", run, 1)
    if isinstance(blocks, Sequence):
        workers = min(workers, math.ceil(len(blocks) / run))
    if workers > 1:
        each = iter(blocks)
        runs = iter(lambda: list(itertools.islice(each, run)), [])
        yield from _in_processes(task, runs, workers)
        return
    work: Work[Result] | None = None
    for block in blocks:
        work = work or task()
        with one_thread():
            result = work(block)
        yield result


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch, since the last bits of sums depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Do something for every item in threads of this process, between which torch's are shared.

    It is quick where numpy and torch do the work, which let other threads go on meanwhile.

    Parameters
    ----------
    work : callable
    items : iterable
        Taken here, a few ahead.
    workers : int
        Threads; 1: this one.

    Yields
    ------
    Result
        In the order of the items.
    """
    import torch

    if workers == 1:
        yield from map(work, items)
        return
    before, ahead = torch.get_num_threads(), deque[Future[Result]]()
    share = (max(1, before // workers),)
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=share)
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)  # which threads that begin later have, too


def _in_processes(
    task: Task[Result], runs: Iterable[Sequence[Block]], workers: int
) -> Iterator[Result]:
    """Do runs of blocks in a pool of local processes."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    pool = ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_start_worker,
        initargs=(pickle.dumps(task), _sendable_quantities(), begun),
    )
    ahead: deque[Future[list[Result]]] = deque()
    try:
        for blocks in runs:
            ahead.append(pool.submit(_work_in_worker, blocks))
            if len(ahead) > 2 * workers:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    except BrokenProcessPool as error:
        if not begun.is_set():
            raise PraesepeError(
                "the worker processes ended before they began. Each of them imports the script "
                'that asked for them: put its main part under if __name__ == "__main__":, or use '
                "one worker"
            ) from error
        raise PraesepeError(
            "a worker process died, perhaps for lack of memory; use fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_make: tuple[bytes, list[tuple[str, bytes]]]
"""The task, and the quantities that it may need, where this process is a worker."""

_work: Work[Any] | None = None
"""What this process does with a block, where it is a worker; made with the first one."""


def _start_worker(task: bytes, own: list[tuple[str, bytes]], begun: Event) -> None:
    global _make
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    _make = task, own


def _sendable_quantities() -> list[tuple[str, bytes]]:
    """Quantities that were registered here, by name; empty where they cannot be pickled."""
    found = []
    for quantity in quantities.added():
        try:
            found.append((quantity.name, pickle.dumps(vars(quantity))))
        except (pickle.PicklingError, AttributeError, TypeError):
            found.append((quantity.name, b""))
    return found


def _register(sent: list[tuple[str, bytes]]) -> None:
    """Register in a worker what it has not registered itself as it imported the script."""
    known = {quantity.name for quantity in quantities.registered()}
    for name, content in sent:
        if name in known:
            continue
        try:
            quantities.register(Quantity(**pickle.loads(content)))
        except (pickle.UnpicklingError, AttributeError, ImportError, EOFError) as error:
            raise InputError(
                f"quantity {name!r} cannot be sent to worker processes",
                given=name,
                remedy="make its derive a function of a module, no lambda, or use one worker",
            ) from error


def _end_with_parent() -> None:
    """End this process when the one that asked is gone; the pool would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work_in_worker(blocks: Sequence[Block]) -> list[Any]:
    global _work
    if _work is None:
        task, own = _make
        _register(own)
        _work = pickle.loads(task)()
    return [_work(block) for block in blocks]
