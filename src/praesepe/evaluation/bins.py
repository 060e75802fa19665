"""Which clusters are judged together: bins of the true or of the inferred values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import PraesepeWarning, listed
from praesepe.quantities import Quantity

BIN_DEX = 0.5
"""Width of the bins of a logarithmic quantity."""

ROUNDING = 1e-6
"""Share of a bin's width by which rounding may put a value off the edge that it is on."""

Ranges = Mapping[str, tuple[float, float]]
"""Name of a quantity: lowest and highest value."""


@dataclass(frozen=True)
class Bin:
    """Clusters that are judged together.

    Attributes
    ----------
    name : str
        Key in the metrics: ``"age_6.5_7.0"``.
    label : str
        What is in it, in words: ``"log age 6.5–7"``.
    selected : (N,) ndarray of bool
    """

    name: str
    label: str
    selected: NDArray[np.bool_]


def bins_of(
    values: np.ndarray,
    quantities: Sequence[Quantity],
    priors: Ranges,
    named: Mapping[str, Ranges] | None = None,
) -> list[Bin]:
    """Sort clusters into bins by their true values, or by the estimates.

    Parameters
    ----------
    values : (N, Q) ndarray
    quantities : sequence of Q Quantity
        Columns of `values`.
    priors : mapping
        Range of each quantity in the prior. That of a continuous one is cut into bins of half a
        dex, or of a round number, which hold their lower edge. A truth can lie beyond the prior,
        because the stars drawn exceed the mass that was asked for; then there are more bins, so
        that none is left out.
    named : mapping, optional
        The survey's own bins by name, each a range of one or more of the quantities, both ends
        included; see `usable`.

    Returns
    -------
    list of Bin
        ``all``; those of the survey; ``age_6.5_7.0``, ``mass_2.0_2.5``, …: a bin for each part of
        each quantity's prior, and for each category.
    """
    names = [quantity.name for quantity in quantities]
    bins = [Bin("all", "all", np.ones(len(values), dtype=bool))]
    for name, ranges in (named or {}).items():
        selected = np.ones(len(values), dtype=bool)
        for of, (low, high) in ranges.items():
            column = values[:, names.index(of)]
            selected &= (column >= low) & (column <= high)
        bins.append(Bin(name, _label(ranges, quantities, priors), selected))
    for i, quantity in enumerate(quantities):
        bins += _equal_bins(quantity, values[:, i], priors)
    return bins


def usable(named: Mapping[str, Ranges], inferred: Sequence[str]) -> dict[str, Ranges]:
    """Those of the survey's own bins whose quantities a model infers; a warning for each other."""
    used = {name: ranges for name, ranges in named.items() if set(ranges) <= set(inferred)}
    for name in (name for name in named if name not in used):
        others = listed([of for of in named[name] if of not in inferred])
        warnings.warn(
            f"the survey's bin {name!r} is left out: it is one of {others}, and the model infers "
            f"{listed(inferred)}",
            PraesepeWarning,
            stacklevel=3,
        )
    return used


def _equal_bins(quantity: Quantity, values: np.ndarray, priors: Ranges) -> list[Bin]:
    """Bins of one quantity."""
    short = quantity.name.removeprefix("log_")
    if quantity.is_categorical:
        return [
            Bin(f"{short}_{name}", f"{quantity.word}: {name}", values == k)
            for k, name in enumerate(quantity.categories)
        ]
    low, high = priors[quantity.name]
    # The step follows from the prior alone, so that keys do not move with the sample.
    step = BIN_DEX if quantity.logarithmic else _round_step(high - low)
    member = np.floor(values / step + ROUNDING)
    known = member[np.isfinite(member)].astype(int)
    first = min([math.floor(low / step + ROUNDING), *known])
    last = max([first, math.ceil(high / step - ROUNDING) - 1, *known])
    digits = max(1, -math.floor(math.log10(step)))
    word = f"log {quantity.word}" if quantity.logarithmic else quantity.word
    unit = "" if quantity.logarithmic or not quantity.unit else f" {quantity.unit}"
    parts = []
    for k in range(first, last + 1):
        ends = [f"{edge * step:.{digits}f}" for edge in (k, k + 1)]
        label = f"{word} {' to '.join(ends)}{unit}"
        parts.append(Bin("_".join([short, *ends]), label, member == k))
    return parts


def _round_step(width: float) -> float:
    """A round number that divides a width into four to ten parts."""
    if not width > 0:
        return 1.0
    width *= 1 + ROUNDING
    power = 10.0 ** math.floor(math.log10(width / 4))
    return next(factor * power for factor in (5, 2, 1) if width / (factor * power) >= 4)


def _label(ranges: Ranges, quantities: Sequence[Quantity], priors: Ranges) -> str:
    """A range in words; ends at or beyond the prior's are not told."""
    words = []
    for quantity in quantities:
        if quantity.name not in ranges:
            continue
        low, high = ranges[quantity.name]
        first, last = priors.get(quantity.name, (-math.inf, math.inf))
        below, above = (quantity.value_text(end) for end in (low, high))
        if low > first and high < last:
            unit = " " + below.rpartition(" ")[2]
            below = below.removesuffix(unit) if above.endswith(unit) else below
            words.append(f"{quantity.word} {below}–{above}")
        elif high < last:
            words.append(f"{quantity.word} ≤ {above}")
        elif low > first:
            words.append(f"{quantity.word} ≥ {below}")
    return ", ".join(words) or "all"
