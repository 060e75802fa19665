"""Which clusters are judged together: bins of the true values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError
from praesepe.quantities import Quantity

BIN_DEX = 0.5
"""Width of the bins of a logarithmic quantity."""

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
    truth: np.ndarray,
    quantities: Sequence[Quantity],
    priors: Ranges,
    named: Mapping[str, Ranges] | None = None,
) -> list[Bin]:
    """Sort clusters into bins by their true values.

    Parameters
    ----------
    truth : (N, Q) ndarray
    quantities : sequence of Q Quantity
        Columns of `truth`.
    priors : mapping
        Range of each continuous quantity in the prior. It is cut into bins of half a dex, or of a
        round number, which hold their lower edge. A truth can lie beyond the prior, because the
        stars drawn exceed the mass that was asked for; then there are more bins, so that none is
        left out.
    named : mapping, optional
        The survey's own bins by name, each a range of one or more quantities, both ends included.

    Returns
    -------
    list of Bin
        ``all``; those of the survey; ``age_6.5_7.0``, ``mass_2.0_2.5``, …: a bin for each part of
        each quantity's prior, and for each category.

    Raises
    ------
    InputError
        Where a bin is of a quantity that `truth` does not have.
    """
    names = [quantity.name for quantity in quantities]
    bins = [Bin("all", "all", np.ones(len(truth), dtype=bool))]
    for name, ranges in (named or {}).items():
        selected = np.ones(len(truth), dtype=bool)
        for of, (low, high) in ranges.items():
            if of not in names:
                raise InputError(
                    f"bin {name!r} of the survey is one of {of!r}, which this model does not "
                    f"infer; it infers {', '.join(names)}"
                )
            values = truth[:, names.index(of)]
            selected &= (values >= low) & (values <= high)
        bins.append(Bin(name, _label(ranges, quantities, priors), selected))
    for i, quantity in enumerate(quantities):
        bins += _parts(quantity, truth[:, i], priors.get(quantity.name))
    return bins


def _parts(quantity: Quantity, values: np.ndarray, prior: tuple[float, float] | None) -> list[Bin]:
    """Bins of one quantity."""
    short = quantity.name.removeprefix("log_")
    if quantity.is_categorical:
        return [
            Bin(f"{short}_{name}", f"{quantity.word}: {name}", values == k)
            for k, name in enumerate(quantity.categories)
        ]
    ends = np.concatenate([values, np.asarray(prior or ())])
    if ends.size == 0:
        return []
    step = BIN_DEX if quantity.logarithmic else _round_step(float(np.ptp(ends)))
    member = np.floor(values / step).astype(int)
    first = math.floor(ends.min() / step)
    last = int(member.max()) if len(values) else first
    if prior is not None:  # one that ends on an edge needs no bin beyond it
        last = max(last, math.ceil(prior[1] / step) - 1)
    digits = max(1, -math.floor(math.log10(step)))
    word = f"log {quantity.word}" if quantity.logarithmic else quantity.word
    unit = "" if quantity.logarithmic or not quantity.unit else f" {quantity.unit}"
    parts = []
    for k in range(first, last + 1):
        low, high = f"{k * step:.{digits}f}", f"{(k + 1) * step:.{digits}f}"
        parts.append(Bin(f"{short}_{low}_{high}", f"{word} {low} to {high}{unit}", member == k))
    return parts


def _round_step(width: float) -> float:
    """A round number that divides a width into four to ten parts."""
    if not width > 0:
        return 1.0
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
