"""Levels of completeness: which stars of a population are individually sampled.

The theory is in docs/theory.md, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

EXACT, COMPLETE = 0, 1
"""The first level samples every star, the second all stars above the lowest flux limit."""

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
    ``further``, ``further + 1``, …
        What a sampler adds (`praesepe.sky.massive`); a `StarSampler` has none of these.

    Parameters
    ----------
    limit : ndarray, shape (band,)
        Lowest flux limits, in the unit of the tables.
    limit_range : float
        Highest over lowest flux limit that a population may ask for.
    n_further : int
        Levels that a sampler adds.
    """

    limit: np.ndarray
    limit_range: float = 1.0
    n_further: int = 0

    @cached_property
    def factors(self) -> np.ndarray:
        """Multiples of the lowest limit, (complete level,): ascending from 1."""
        n = 1 + math.ceil(math.log(self.limit_range) / math.log(LIMIT_STEP) - 1e-9)
        return np.asarray(LIMIT_STEP ** np.arange(n))

    @property
    def further(self) -> int:
        """The first level that a sampler adds."""
        return COMPLETE + len(self.factors)

    @property
    def n(self) -> int:
        """Number of levels."""
        return self.further + self.n_further
