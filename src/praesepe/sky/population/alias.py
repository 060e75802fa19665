"""Drawing intervals of many isochrones by their share of the stars: Walker's alias method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Slots:
    """Which intervals the stars drawn singly come from (Walker's alias method).

    Attributes
    ----------
    share : ndarray, shape (row, step)
        Share of the stars that are drawn.
    start, count : ndarray of int, shape (row, step)
        Where the slots lie in the arrays below, and their number.
    chance : ndarray of float32, shape (slot,)
        A slot's second node is taken with this probability, else the first.
    nodes : ndarray of int32, shape (slot, 2)
        Two nodes.
    gains : ndarray of float32, shape (slot, 2)
        Number of stars whose light a star of either node is to have.
    """

    share: np.ndarray
    start: np.ndarray
    count: np.ndarray
    chance: np.ndarray
    nodes: np.ndarray
    gains: np.ndarray

    @classmethod
    def of(cls, chances: np.ndarray, weight: np.ndarray) -> Slots:
        """Slots of one row.

        Parameters
        ----------
        chances : ndarray, shape (step, interval)
            Chance of the stars of each interval to be drawn.
        weight : ndarray, shape (interval,)
            Share of the stars that lie in it.
        """
        step, interval = np.nonzero(chances * weight)
        drawn = chances[step, interval]
        count = np.bincount(step, minlength=len(chances))
        other, chance = alias_tables(drawn * weight[interval], count)
        pair = np.stack((other, np.arange(len(other))), axis=1)
        return cls(
            share=np.minimum(chances @ weight, 1.0),
            start=np.cumsum(count) - count,
            count=count,
            chance=chance.astype(np.float32),
            nodes=interval.astype(np.int32)[pair],
            gains=(1 / np.sqrt(drawn)).astype(np.float32)[pair],
        )

    @classmethod
    def joined(cls, rows: Sequence[Slots], n_nodes: int) -> Slots:
        """Those of all rows, each of `n_nodes` nodes."""
        count = np.array([row.count for row in rows])
        nodes = [row.nodes + np.int32(i * n_nodes) for i, row in enumerate(rows)]
        return cls(
            share=np.array([row.share for row in rows]),
            start=np.cumsum(count.ravel()).reshape(count.shape) - count,
            count=count,
            chance=np.concatenate([row.chance for row in rows]),
            nodes=np.concatenate(nodes),
            gains=np.concatenate([row.gains for row in rows]),
        )


class SlotTable:
    """`Slots` of all entries, to draw from on a device.

    Attributes
    ----------
    share, start, count : Tensor, shape (entry,)
    nodes, gains : Tensor, shape (slot, 2)
    """

    def __init__(self, slots: Slots, device: torch.device) -> None:
        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), device=device)

        self.share, self.start = tensor(slots.share.ravel()), tensor(slots.start.ravel())
        self.count = tensor(slots.count.ravel().astype(float))
        self.nodes, self.gains = tensor(slots.nodes), tensor(slots.gains)
        self._chance = tensor(slots.chance)

    def draw(self, own: Tensor, start: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
        """Places in the flattened nodes and gains, given the slots of each star's population."""
        u = torch.rand(own.shape, generator=generator, device=own.device, dtype=torch.float64)
        u *= count.index_select(0, own)
        slot = u.long()
        take = u.sub_(slot) < self._chance.index_select(0, slot.add_(start.index_select(0, own)))
        return slot.mul_(2).add_(take)


def alias_tables(weight: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's alias method: draw an index with probability proportional to its weight.

    One of a table's slots is chosen evenly; its own index is taken with a chance, else another one.

    Parameters
    ----------
    weight : ndarray, shape (n,)
        Not negative; of one table after another. A table without any weight is even.
    count : ndarray of int, shape (table,)
        Number of weights of each table.

    Returns
    -------
    other : ndarray of int, shape (n,)
        The other index of each slot, counted over all tables.
    chance : ndarray, shape (n,)
        Probability of the slot's own index.

    Notes
    -----
    Light slots (weight below the mean) are filled up by heavy ones in order; a heavy slot that has
    given all it can spare is filled up by the next. Both pile up along one line, the missing
    of the light and the excess of the heavy, so that one search finds who fills whom (the sweep
    of Hübschle-Schneider & Sanders 2022, ACM TOMS 48, 11, without its loop). In each table the two
    are equal, so that all tables share the line, but for rounding at their ends.
    """
    tables = np.arange(len(count))
    table = np.repeat(tables, count)
    total = np.bincount(table, weight, minlength=len(count))
    scale = count / np.where(total > 0, total, 1)
    scaled = np.where(total[table] > 0, weight * scale[table], 1.0)
    is_heavy = scaled > 1 - 1e-9  # in every table at least one, whatever the rounding
    light, heavy = np.flatnonzero(~is_heavy), np.flatnonzero(is_heavy)
    of_light, of_heavy = table[light], table[heavy]
    missing = np.concatenate(([0.0], np.cumsum(1 - scaled[light])))
    excess = np.cumsum(scaled[heavy] - 1)
    first, last = (np.searchsorted(of_heavy, tables, side) for side in ("left", "right"))
    last -= 1
    other, chance = np.arange(len(weight)), scaled.copy()
    filler = np.searchsorted(excess, missing[:-1], side="right")
    other[light] = heavy[np.clip(filler, first[of_light], last[of_light])]
    start, end = (np.searchsorted(of_light, of_heavy, side) for side in ("left", "right"))
    used = missing[np.clip(np.searchsorted(missing, excess), start, end)]
    chance[heavy] = np.clip(1 + excess - used, 0, 1)
    other[heavy] = heavy[np.minimum(np.arange(len(heavy)) + 1, last[of_heavy])]
    return other, chance
