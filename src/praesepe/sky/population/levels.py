"""Levels of completeness: which stars of a population are individually sampled.

The theory is in docs/theory.md, sections 3 (flux limit) and 6 (crowded populations).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

EXACT, COMPLETE = 0, 1
"""The first level samples every star, the second all stars above the lowest flux limit."""

N_IMPORTANCE = 16
"""Levels of importance sampling, for crowded populations; the last one samples no star."""

LIMIT_STEP = 1.5
"""Where flux limits vary, they are tabulated at factors this far apart."""


@dataclass(frozen=True)
class Levels:
    """The levels that every isochrone is tabulated at, in this order.

    ``EXACT``
        Every star is individually sampled.
    ``COMPLETE``, ``COMPLETE + 1``, …
        All stars above a flux limit in some band, and all of higher mass: those are dead, but in
        small populations each of them matters for the total mass, and a companion may shine. One
        level for each multiple of one common limit.
    ``importance``, ``importance + 1``, …
        Stars of crowded populations are sampled with a probability that falls with their flux.
        The first of these levels is for the lowest flux limit alone. Each further one adds the
        shot noise of more stars and leaves about a third of the points. The last samples no star.

    Parameters
    ----------
    limit : ndarray, shape (band,)
        Lowest flux limits, in the unit of the tables.
    limit_range : float
        Highest over lowest flux limit that a population may ask for.
    """

    limit: np.ndarray
    limit_range: float = 1.0

    @cached_property
    def factors(self) -> np.ndarray:
        """Multiples of the lowest limit, (complete level,): ascending from 1."""
        n = 1 + math.ceil(math.log(self.limit_range) / math.log(LIMIT_STEP) - 1e-9)
        return np.asarray(LIMIT_STEP ** np.arange(n))

    @property
    def importance(self) -> int:
        """The first level of importance sampling."""
        return COMPLETE + len(self.factors)

    @property
    def n(self) -> int:
        """Number of levels."""
        return self.importance + N_IMPORTANCE
