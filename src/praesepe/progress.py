"""How long work tells how far it is: by a callable that the caller hands in.

The library shows nothing by itself. Work of a known amount calls a `Progress`; what comes before it
(tables of stars, star fields) calls a `Setup`, with the name of each stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""Is called with how many of all things are done, and with all; first with none done."""

Setup = Callable[[str, int, int], None]
"""Is called with a stage in words ("tables of stars"), and how many of its things are done."""


class Counter:
    """Counts what is done and tells it.

    Parameters
    ----------
    total : int
        Number of things.
    progress : Progress, optional
        Is told at once, and after each step.
    done : int
        How many are done already.
    """

    def __init__(self, total: int, progress: Progress | None, *, done: int = 0) -> None:
        self.done, self.total, self.progress = done, total, progress
        self.add(0)

    def add(self, n: int = 1) -> None:
        """Count `n` more things."""
        self.done += n
        if self.progress is not None:
            self.progress(self.done, self.total)

    def each(self, items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[Item]:
        """Yield the same items; each counts, as `size` says, when the next one is asked for."""
        for item in items:
            yield item
            self.add(size(item))
