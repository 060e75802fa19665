"""Blocks of work: the same results whoever does them, in order, and errors that come through."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

from praesepe import quantities
from praesepe.blocks import Block, blocks_of, map_blocks, map_in_threads
from praesepe.errors import InputError, PraesepeError
from praesepe.progress import Counter
from praesepe.quantities import Quantity
from praesepe.survey import load_survey


def start(seed: int):
    return partial(numbers, seed)


def numbers(seed: int, block: Block) -> np.ndarray:
    return np.random.default_rng((seed, block.number)).random(block.n)


def start_dying():
    return die


def die(block: Block) -> None:
    os._exit(3)


def start_failing():
    return fail


def fail(block: Block) -> None:
    raise InputError(f"block {block.number} cannot be done", remedy="leave it out")


@pytest.mark.parametrize(
    ("n", "first", "expected"),
    [
        (0, 0, []),
        (10, 0, [Block(0, 4, 0), Block(1, 4, 4), Block(2, 2, 8)]),
        (5, 8, [Block(2, 4, 8), Block(3, 1, 12)]),
    ],
)
def test_work_is_cut_into_blocks(n, first, expected):
    assert blocks_of(n, first=first, size=4) == expected


def test_a_part_begins_with_a_whole_block():
    with pytest.raises(InputError, match="a multiple of 4: a set is made of whole blocks"):
        blocks_of(4, first=3, size=4)


@pytest.mark.parametrize("run", [1, 3])
def test_processes_give_what_this_one_gives(run):
    blocks = blocks_of(70, size=8)
    here = list(map_blocks(partial(start, 3), blocks))
    there = list(map_blocks(partial(start, 3), blocks, workers=2, run=run))
    np.testing.assert_array_equal(np.concatenate(here), np.concatenate(there))
    other = list(map_blocks(partial(start, 4), blocks))
    assert not np.array_equal(here[0], other[0])


def test_what_is_not_asked_for_is_not_done():
    done = []
    results = map_blocks(lambda: done.append, blocks_of(9, size=3))
    next(results)
    results.close()
    assert done == [Block(0, 3, 0)]


def test_a_dead_worker_is_told():
    with pytest.raises(PraesepeError, match="a worker process died"):
        list(map_blocks(start_dying, blocks_of(4, size=1), workers=2))


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path):
    """Its workers import it, and so ask for workers themselves."""
    script = tmp_path / "script.py"
    script.write_text(
        "from praesepe.blocks import blocks_of, map_blocks\n"
        "def start(): return print\n"
        "list(map_blocks(start, blocks_of(4, size=1), workers=2))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    found = "PraesepeError: the worker processes ended before they began. Each of them imports the "
    told = done.stderr.partition(found)[2].partition("\n")[0]
    assert 'put its main part under if __name__ == "__main__":' in told


def test_an_error_of_the_task_comes_through_whole():
    with pytest.raises(InputError, match="cannot be done; leave it out"):
        list(map_blocks(start_failing, blocks_of(4, size=1), workers=2))


def test_at_least_one_worker():
    with pytest.raises(InputError, match="workers = 0"):
        list(map_blocks(partial(start, 1), blocks_of(4), workers=0))


def test_progress_counts_what_was_asked_for():
    told = []
    count = Counter(10, lambda *now: told.append(now), done=2)
    assert list(count.each([3, 5], int)) == [3, 5]
    assert told == [(2, 10), (5, 10), (10, 10)]


def double_mass(of, _):
    return 2 * of["log_mass"]


def start_looking(survey):
    return partial(look, survey)


def look(survey, block: Block):
    names = [quantity.name for quantity in quantities.added()]
    return [quantity.name for quantity in survey.clusters.drawn_beside()], names


def registering(*new: Quantity):
    """A survey that draws a quantity of one's own, and what forgets it and others afterwards."""
    stack = contextlib.ExitStack()
    for quantity in (Quantity("spin", "s", "", "a toy", prior="spin"), *new):
        quantities.register(quantity)
        stack.callback(quantities.unregister, quantity.name)
    return load_survey("phat").with_values(clusters={"spin": (1.0, 2.0)}), stack


def test_workers_know_the_quantities_that_were_registered():
    survey, stack = registering(
        Quantity("double", "d", "", "", sources=("log_mass",), derive=double_mass)
    )
    with stack:
        task = partial(start_looking, survey)
        there = list(map_blocks(task, blocks_of(2, size=1), workers=2))
    assert there == [(["spin"], ["spin", "double"])] * 2
    with pytest.raises(InputError, match="key of clusters 'spin'"):
        survey.clusters.drawn_beside()


def test_a_quantity_that_cannot_be_sent_is_told():
    survey, stack = registering(
        Quantity("double", "d", "", "", sources=("log_mass",), derive=lambda of, _: of["log_mass"])
    )
    with stack, pytest.raises(InputError, match=r"'double' cannot be sent .* no lambda"):
        list(map_blocks(partial(start_looking, survey), blocks_of(2, size=1), workers=2))


def start_counting_threads():
    return lambda block: torch.get_num_threads()


def test_every_block_has_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for workers in (1, 2):
            found = map_blocks(start_counting_threads, blocks_of(3, size=1), workers=workers)
            assert list(found) == [1, 1, 1]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_threads_share_those_of_torch():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        found = map_in_threads(lambda i: (i, torch.get_num_threads()), range(9), 2)
        assert list(found) == [(i, 2) for i in range(9)]
        assert torch.get_num_threads() == 4
        assert list(map_in_threads(lambda i: torch.get_num_threads(), range(2), 1)) == [4, 4]
        with pytest.raises(ZeroDivisionError):
            list(map_in_threads(lambda i: 1 / i, [1, 0, 1], 2))
        with ThreadPoolExecutor(1) as other:  # begins later
            assert other.submit(torch.get_num_threads).result() == 4
    finally:
        torch.set_num_threads(before)
