"""Sums of the quantities of all stars in an interval of an isochrone, and of their products.

See docs/theory.md, sections 4 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from praesepe.sky.population.binaries import BinaryMoments, products
from praesepe.sky.population.isochrone import FLUX, LIVING, MASS, PRESENT, IsochroneNodes
from praesepe.stars.binaries import Binaries

GAUSS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)
"""Gauss points in an interval: exact for products of two linear functions."""


def interval_sums(nodes: IsochroneNodes, binaries: Binaries | None, a_v: np.ndarray) -> np.ndarray:
    """Sums over each interval of a star's quantities and of the products of pairs of them.

    A binary is one star with the mass and the light of both.

    Parameters
    ----------
    nodes : IsochroneNodes
    binaries : Binaries or None
    a_v : ndarray, shape (x,)
        Extinctions above that of the isochrone, mag; the first is 0.

    Returns
    -------
    ndarray, shape (x, k + k (k + 1) / 2, interval)
        For k = 3 + band quantities (see `praesepe.sky.population.isochrone.MASS`), per star of the
        population.
    """
    quadrature = _Quadrature.of(nodes, binaries)
    if binaries is not None:
        companions = _companions(nodes, binaries, quadrature)
        return np.stack([_with_companions(nodes, companions, quadrature, x) for x in a_v])
    star = nodes.stars(quadrature.interval, quadrature.step)
    sums = quadrature.sum_by_interval(np.concatenate((star, products(star, star))))
    return _attenuated(sums, nodes, a_v)


def _attenuated(sums: np.ndarray, nodes: IsochroneNodes, a_v: np.ndarray) -> np.ndarray:
    """Sums (k + k (k + 1) / 2, interval) behind dust: one factor for all stars of an interval."""
    out = np.empty((len(a_v), *sums.shape))
    out[0] = sums
    for behind, x in zip(out[1:], a_v[1:], strict=True):
        light = nodes.attenuation(x)
        factor = np.concatenate((np.ones((FLUX, light.shape[1])), light))
        np.multiply(sums[: len(factor)], factor, out=behind[: len(factor)])
        np.multiply(sums[len(factor) :], products(factor, factor), out=behind[len(factor) :])
    return out


@dataclass(frozen=True)
class _Quadrature:
    """Points at which stars are summed: their interval (in order), place in it, and share."""

    interval: np.ndarray
    step: np.ndarray
    fraction: np.ndarray

    @classmethod
    def of(cls, nodes: IsochroneNodes, binaries: Binaries | None) -> _Quadrature:
        """Two Gauss points in each interval.

        With binaries, two in each part of it between masses at which the heaviest or the lightest
        companion passes from one interval to the next.
        """
        start, width = nodes.start[0], nodes.rise[0]
        interval, step = np.arange(len(start)), np.zeros(len(start))
        if binaries is not None:
            ratios = set(binaries.mass_ratio) - {1.0}
            bends = np.concatenate([np.empty(0), *(start / ratio for ratio in ratios)])
            bends = bends[bends < start[-1] + width[-1]]
            of_bend = np.searchsorted(start, bends, side="right") - 1
            interval = np.concatenate((interval, of_bend))
            step = np.concatenate((step, (bends - start[of_bend]) / width[of_bend]))
            order = np.lexsort((step, interval))
            interval, step = interval[order], step[order]
        last = np.append(interval[1:] != interval[:-1], True)
        part = np.where(last, 1.0, np.append(step[1:], 1.0)) - step
        place = step[:, None] + part[:, None] * GAUSS
        fraction = nodes.fraction[interval] * part / 2
        return cls(np.repeat(interval, 2), place.ravel(), np.repeat(fraction, 2))

    def sum_by_interval(self, values: np.ndarray) -> np.ndarray:
        """Sums (k, interval) of values (k, point), which are overwritten."""
        values *= self.fraction
        first = np.flatnonzero(np.append(True, self.interval[1:] != self.interval[:-1]))
        if 2 * len(first) == values.shape[1]:
            pairs: np.ndarray = values[:, ::2] + values[:, 1::2]
            return pairs
        return np.add.reduceat(values, first, axis=1)


def _with_companions(
    nodes: IsochroneNodes, companions: BinaryMoments, quadrature: _Quadrature, a_v: float
) -> np.ndarray:
    """`interval_sums` at one extinction, (k + k (k + 1) / 2, interval)."""
    star = nodes.stars(quadrature.interval, quadrature.step, a_v)
    moments = companions.moments(*_companion_nodes(nodes, companions, a_v))
    mean, pairs = moments[: len(star)], moments[len(star) :]
    pairs += products(star, mean) + products(mean, star) + products(star, star)
    mean += star
    return quadrature.sum_by_interval(moments)


def _companions(
    nodes: IsochroneNodes, binaries: Binaries, quadrature: _Quadrature
) -> BinaryMoments:
    interval, step = quadrature.interval, quadrature.step
    mass = nodes.start[0, interval] + step * nodes.rise[0, interval]
    edges = nodes.mass_edges
    # Brown dwarfs may be lighter than all that is tabulated.
    lowest = min(binaries.mass_ratio[0] * mass[0], 0.99 * edges[0])
    return BinaryMoments(np.concatenate(([lowest], edges)), mass, binaries)


def _companion_nodes(
    nodes: IsochroneNodes, companions: BinaryMoments, a_v: float
) -> tuple[np.ndarray, np.ndarray]:
    """Quantities of stars at the lower ends of the companions' intervals, and their rise."""
    n = nodes.start.shape[1]
    every = np.arange(n)
    middle, start, end = (nodes.stars(every, np.full(n, at), a_v) for at in (0.5, 0.0, 1.0))
    # An interval is alive or not as a whole: its ends belong to its neighbours as well.
    start[LIVING] = end[LIVING] = middle[LIVING]
    brown = np.zeros((len(start), 2))
    brown[[MASS, PRESENT]] = companions.node[:2]
    start = np.concatenate((brown[:, :1], start), axis=1)
    end = np.concatenate((brown[:, 1:], end), axis=1)
    return start, end - start
