"""Alias tables: draw an interval of an isochrone in constant time (docs/theory.md, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class AliasTable:
    """Alias tables of the individually sampled stars, one for each (isochrone, level).

    Attributes
    ----------
    fraction : ndarray, shape (isochrone, level)
        Fraction of the stars that is individually sampled.
    start, count : ndarray of int, shape (isochrone, level)
        Where the slots of the table lie in the arrays below, and their number.
    threshold : ndarray of float32, shape (slot,)
        The slot's second node is taken with this probability, else its first.
    nodes : ndarray of int32, shape (slot, 2)
        Lower nodes of two intervals.
    flux_weights : ndarray of float32, shape (slot, 2)
        Inclusion probability of a star of either interval, to the power -1/2.
    """

    fraction: np.ndarray
    start: np.ndarray
    count: np.ndarray
    threshold: np.ndarray
    nodes: np.ndarray
    flux_weights: np.ndarray

    @classmethod
    def build(
        cls, inclusion: np.ndarray, fraction: np.ndarray, *, first_node: int = 0
    ) -> AliasTable:
        """Tables of one isochrone.

        Parameters
        ----------
        inclusion : ndarray, shape (level, interval)
            Probability that a star of the interval is individually sampled.
        fraction : ndarray, shape (interval,)
            Fraction of the stars that lies in the interval.
        first_node : int
            The isochrone's first node among those of all isochrones.
        """
        level, interval = np.nonzero(inclusion * fraction)
        probability = inclusion[level, interval]
        count = np.bincount(level, minlength=len(inclusion))
        other, threshold = alias_tables(probability * fraction[interval], count)
        pair = np.stack((other, np.arange(len(other))), axis=1)
        share = inclusion @ fraction
        return cls(
            # One, that is all stars, takes no random number: no last bit may decide about it.
            fraction=np.where(share > 1 - 1e-9, 1.0, share),
            start=np.cumsum(count) - count,
            count=count,
            threshold=threshold.astype(np.float32),
            nodes=(interval + first_node).astype(np.int32)[pair],
            flux_weights=(1 / np.sqrt(probability)).astype(np.float32)[pair],
        )

    @classmethod
    def concatenate(cls, tables: Sequence[AliasTable]) -> AliasTable:
        """Tables of all isochrones."""
        count = np.array([table.count for table in tables])
        return cls(
            fraction=np.array([table.fraction for table in tables]),
            start=np.cumsum(count.ravel()).reshape(count.shape) - count,
            count=count,
            threshold=np.concatenate([table.threshold for table in tables]),
            nodes=np.concatenate([table.nodes for table in tables]),
            flux_weights=np.concatenate([table.flux_weights for table in tables]),
        )


class AliasSampler:
    """Draws from an `AliasTable` on a device.

    Attributes
    ----------
    fraction, start, count : Tensor, shape (isochrone level,)
        As in `AliasTable`, flattened.
    nodes, flux_weights : Tensor, shape (2 slot,)
        What `draw` gives the places of.
    """

    def __init__(self, table: AliasTable, device: torch.device) -> None:
        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), device=device)

        self.fraction, self.start = tensor(table.fraction.ravel()), tensor(table.start.ravel())
        self.count = tensor(table.count.ravel().astype(float))
        self.nodes, self.flux_weights = (
            tensor(table.nodes.ravel()),
            tensor(table.flux_weights.ravel()),
        )
        self._threshold = tensor(table.threshold)

    def draw(
        self, population: Tensor, start: Tensor, count: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Draw one interval for each star: its place (star,) in `nodes` and `flux_weights`.

        `start` and `count` (population,) are the slots of each population's table.
        """
        u = torch.rand(
            population.shape, generator=generator, device=population.device, dtype=torch.float64
        )
        u *= count.index_select(0, population)
        slot = u.long()
        slot_start = start.index_select(0, population)
        second = u.sub_(slot) < self._threshold.index_select(0, slot.add_(slot_start))
        return slot.mul_(2).add_(second)


def alias_tables(weight: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Build many alias tables at once (Walker 1977; Vose 1991; docs/theory.md, section 2).

    One of a table's slots is chosen evenly. Its own index is taken with the slot's probability,
    its alias otherwise; index i then has the probability weight_i / sum of the weights.

    Parameters
    ----------
    weight : ndarray, shape (n,)
        Not negative; of one table after another. A table without any weight is even.
    count : ndarray of int, shape (table,)
        Number of weights of each table.

    Returns
    -------
    alias : ndarray of int, shape (n,)
        The other index of each slot, counted over all tables.
    probability : ndarray, shape (n,)
        Of the slot's own index.

    Notes
    -----
    Small slots (weight below the mean) are filled up by large ones in order; a large slot that has
    given all it can spare is filled up by the next. The deficits of the small and the surpluses of
    the large are laid end to end along one line, so that one search finds who fills whom (the sweep
    of Hübschle-Schneider & Sanders 2019, LIPIcs 144, 59, without its loop). In each table
    deficits and surpluses are equal, so that all tables share the line, but for rounding at their
    ends.
    """
    tables = np.arange(len(count))
    table = np.repeat(tables, count)
    total = np.bincount(table, weight, minlength=len(count))
    scale = count / np.where(total > 0, total, 1)
    scaled = np.where(total[table] > 0, weight * scale[table], 1.0)
    is_large = scaled > 1 - 1e-9  # in every table at least one, whatever the rounding
    small, large = np.flatnonzero(~is_large), np.flatnonzero(is_large)
    table_of_small, table_of_large = table[small], table[large]
    deficit = np.concatenate(([0.0], np.cumsum(1 - scaled[small])))
    surplus = np.cumsum(scaled[large] - 1)
    first, last = (np.searchsorted(table_of_large, tables, side) for side in ("left", "right"))
    last -= 1
    alias, probability = np.arange(len(weight)), scaled.copy()
    filler = np.searchsorted(surplus, deficit[:-1], side="right")
    alias[small] = large[np.clip(filler, first[table_of_small], last[table_of_small])]
    start, end = (
        np.searchsorted(table_of_small, table_of_large, side) for side in ("left", "right")
    )
    filled = deficit[np.clip(np.searchsorted(deficit, surplus), start, end)]
    probability[large] = np.clip(1 + surplus - filled, 0, 1)
    alias[large] = large[np.minimum(np.arange(len(large)) + 1, last[table_of_large])]
    return alias, probability
