"""Modes of a posterior in the plane of age and A_V: where they are, and what share each holds.

Ages and dust that look alike make posteriors of two or more separate solutions, which percentiles
do not show. See section 16 of `docs/theory.md`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLANE = ("log_age", "a_v")
"""In which modes are sought; in the first alone where the second is not inferred."""

CELL = {1: (0.05,), 2: (0.1, 0.1)}
"""Side of a cell, dex and mag, by the number of axes."""

WIDTH_CELLS = {1: 2.0, 2: 1.25}
"""Standard deviation of the smoothing, cells."""

DEPTH_SIGMA = 3.5
"""A valley must lie so much below the lower of two modes, in units of the noise of the draws."""

DEPTH = 0.25
"""The same as a share of the lower mode's density."""

LEAST_SHARE = 0.05
"""What holds less is no mode."""

SECOND_SHARE = 0.15
"""A second mode that holds more is flagged."""


@dataclass(frozen=True)
class Modes:
    """Modes of the posteriors of n rows.

    Attributes
    ----------
    names : tuple of str
        Axes: those of `PLANE` that are inferred.
    number : ndarray of int, shape (n,)
    places : ndarray, shape (n, 2, axis)
        Of the highest mode, and of that which holds most of the others; NaN where there is none.
    shares : ndarray, shape (n, 2)
        What these hold of the posterior.
    """

    names: tuple[str, ...]
    number: NDArray[np.int32]
    places: NDArray[np.float64]
    shares: NDArray[np.float64]

    @property
    def columns(self) -> dict[str, NDArray[np.generic]]:
        """For the table of measurements."""
        found: dict[str, NDArray[np.generic]] = {"n_modes": self.number}
        for k, mode in enumerate(("mode", "mode2")):
            found |= {f"{name}_{mode}": self.places[:, k, i] for i, name in enumerate(self.names)}
            found[f"{mode}_share"] = self.shares[:, k]
        return found


def axes_of(infers: Sequence[str]) -> tuple[str, ...]:
    """In which quantities modes are sought; none without an age."""
    return tuple(name for name in PLANE if name in infers) if PLANE[0] in infers else ()


def find_modes(
    samples: NDArray[np.float32],
    infers: Sequence[str],
    ranges: Mapping[str, tuple[float, float]],
    weights: NDArray[np.float32] | None = None,
) -> Modes:
    """Find the modes of posteriors.

    Parameters
    ----------
    samples : ndarray, shape (n, n_samples, quantity)
        Draws.
    infers : sequence of str
        What the last axis holds; an age among it.
    ranges : mapping
        Ends of the priors.
    weights : ndarray, shape (n, n_samples), optional
        How much each draw counts.
    """
    names = axes_of(infers)
    cells, lows = CELL[len(names)], [ranges[name][0] for name in names]
    shape = tuple(
        math.ceil((ranges[name][1] - low) / cell - 1e-6)
        for name, low, cell in zip(names, lows, cells, strict=True)
    )
    mass, counting = _histogram(
        samples[..., [list(infers).index(name) for name in names]], lows, cells, shape, weights
    )
    width, n = WIDTH_CELLS[len(names)], len(samples)
    density = mass
    for axis, size in enumerate(shape):
        density = np.moveaxis(np.moveaxis(density, axis + 1, -1) @ _smoothing(size, width), -1,
                              axis + 1)  # fmt: skip
    # draws that tell the density of a point: of a Gaussian kernel
    effective = counting.clip(1) * (2 * math.sqrt(math.pi) * width) ** len(names)
    summit = _ascend(density)
    merged = _merge(density, summit, np.repeat(effective, math.prod(shape)))
    share = np.bincount(merged[summit], mass.ravel(), minlength=density.size)
    tops = np.flatnonzero(share >= LEAST_SHARE)
    rows, heights = tops // math.prod(shape), density.ravel()[tops]
    number = np.bincount(rows, minlength=n).astype(np.int32)
    places, shares = np.full((n, 2, len(names)), np.nan), np.full((n, 2), np.nan)
    order = np.lexsort((-heights, rows))
    highest = order[np.unique(rows[order], return_index=True)[1]]
    others = np.setdiff1d(np.arange(len(tops)), highest)
    others = others[np.lexsort((-share[tops[others]], rows[others]))]
    second = others[np.unique(rows[others], return_index=True)[1]]
    for k, chosen in enumerate((highest, second)):
        where = _places(density, tops[chosen])
        places[rows[chosen], k] = np.array(lows) + (where + 0.5) * np.array(cells)
        shares[rows[chosen], k] = share[tops[chosen]]
    return Modes(names, number, places, shares)


def _histogram(
    values: NDArray[np.float32],
    lows: Sequence[float],
    cells: Sequence[float],
    shape: tuple[int, ...],
    weights: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of the draws (n, n_samples, axis) in each cell, (n, *shape); how many draws count.

    Draws a little beyond the prior's ends are left out.
    """
    n, n_cells = len(values), math.prod(shape)
    flat = np.zeros(values.shape[:2], np.int32)
    for i, (low, cell, size) in enumerate(zip(lows, cells, shape, strict=True)):
        place = np.floor((values[..., i] - np.float32(low)) * np.float32(1 / cell))
        beyond = (place < 0) | (place >= size)
        flat = np.where(beyond | (flat < 0), -1, flat * size + place.astype(np.int32))
    flat += np.arange(n, dtype=np.int32)[:, None] * n_cells
    flat[flat < np.arange(n)[:, None] * n_cells] = n * n_cells  # one cell more, for these
    found = np.bincount(flat.ravel(), None if weights is None else weights.ravel(), n * n_cells + 1)
    mass = found[:-1].reshape(n, n_cells)
    total = mass.sum(axis=1, keepdims=True)
    mass = np.divide(mass, total, out=np.zeros((n, n_cells)), where=total > 0)
    if weights is None:
        return mass.reshape(n, *shape), total[:, 0].astype(float)
    return mass.reshape(n, *shape), 1 / (weights.astype(np.float64) ** 2).sum(axis=1)


def _smoothing(size: int, width: float) -> NDArray[np.float64]:
    """Matrix that smooths an axis by a Gaussian, reflected at its ends."""
    reach = math.ceil(4 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    matrix = np.zeros((size, size))
    for shift, part in zip(range(-reach, reach + 1), kernel / kernel.sum(), strict=True):
        place = (np.arange(size) + shift) % (2 * size)
        np.add.at(matrix, (np.arange(size), np.where(place < size, place, 2 * size - 1 - place)),
                  part)  # fmt: skip
    return matrix


def _neighbours(shape: tuple[int, ...]) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Slices of the cells (n, *shape) that have a neighbour in some direction, and of these."""
    steps = [(1,)] if len(shape) == 1 else [(1, 0), (0, 1), (1, 1), (1, -1)]
    here = {0: slice(None), 1: slice(None, -1), -1: slice(1, None)}
    return [
        ((slice(None), *(here[s] for s in step)), (slice(None), *(here[-s] for s in step)))
        for step in steps
    ]


def _ascend(density: NDArray[np.float64]) -> NDArray[np.intp]:
    """Summit that one comes to from each cell on the steepest way up; as flat indices."""
    index = np.arange(density.size).reshape(density.shape)
    highest, upward = density.copy(), index.copy()
    for cell, other in _neighbours(density.shape[1:]):
        for one, two in ((cell, other), (other, cell)):
            higher = density[two] > highest[one]
            np.copyto(highest[one], density[two], where=higher)
            np.copyto(upward[one], index[two], where=higher)
    flat = upward.ravel()
    while (further := flat[flat]).tobytes() != flat.tobytes():
        flat = further
    return flat


def _merge(
    density: NDArray[np.float64], summit: NDArray[np.intp], effective: NDArray[np.float64]
) -> NDArray[np.intp]:
    """The mode that each summit belongs to: summits without a valley between them are one.

    Passes are gone through from the highest down. A summit falls to its higher neighbour unless
    the pass lies deeper than the draws' noise and `DEPTH` below it.
    """
    height, tops = density.ravel(), summit.reshape(density.shape)
    found, levels = [], []
    for a, b in _neighbours(density.shape[1:]):
        low = np.minimum(density[a], density[b])
        apart = (tops[a] != tops[b]) & (low > 0)
        found.append(np.stack((tops[a][apart], tops[b][apart])))
        levels.append(low[apart])
    pairs, level = np.sort(np.concatenate(found, axis=1), axis=0), np.concatenate(levels)
    mode = np.arange(density.size)
    if not level.size:
        return mode
    order = np.lexsort((-level, pairs[1], pairs[0]))
    pairs, level = pairs[:, order], level[order]
    first = np.append(True, (np.diff(pairs, axis=1) != 0).any(axis=0))  # the highest of a pair's
    pairs, level = pairs[:, first], level[first]
    order = np.argsort(-level, kind="stable")
    parents: dict[int, int] = {}

    def root(one: int) -> int:
        while (up := parents.get(one, one)) != one:
            one = up
        return one

    for a, b, low in zip(*pairs[:, order].tolist(), level[order].tolist(), strict=True):
        one, two = root(a), root(b)
        if one == two:
            continue
        lower, higher = sorted((one, two), key=lambda top: height[top])
        top, draws = height[lower], effective[lower]
        noise = math.sqrt((top + low) / draws)
        if top - low < max(DEPTH_SIGMA * noise, DEPTH * top):
            parents[lower] = higher
    for one in parents:
        mode[one] = root(one)
    return mode


def _places(density: NDArray[np.float64], tops: NDArray[np.intp]) -> NDArray[np.float64]:
    """Summits of parabolas through cells and their neighbours, in cells; (top, axis)."""
    cells = np.unravel_index(tops, density.shape)
    found = []
    for axis in range(1, density.ndim):
        size, middle = density.shape[axis], cells[axis]
        around = []
        for shift in (-1, 0, 1):
            moved = list(cells)
            moved[axis] = (middle + shift).clip(0, size - 1)
            around.append(density[tuple(moved)])
        left, here, right = around
        bend = left - 2 * here + right
        inner = (middle > 0) & (middle < size - 1) & (bend < 0)
        beside = np.divide(0.5 * (left - right), bend, out=np.zeros(len(tops)), where=inner)
        found.append(middle + beside)
    return np.stack(found, axis=-1)
