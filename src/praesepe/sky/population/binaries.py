"""Moments of the light of unresolved companions, in closed form (docs/theory.md, section 5)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from praesepe.sky.population.isochrone import LIVING, MASS, PRESENT, IsochroneNodes
from praesepe.stars.binaries import Binaries

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_AT, _WEIGHT = np.polynomial.legendre.leggauss(3)
_AT, _WEIGHT = 0.5 + 0.5 * _AT, 0.5 * _WEIGHT

GAUSS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)
"""Gauss points in an interval: exact for products of two linear functions."""


ROUNDING = 1e-13
"""Differences smaller than this part of what they are taken from are zero."""


class Companions:
    """What companions add to the sums over the stars of an interval (docs/theory.md, section 5).

    The mean of any quantity over the mass ratio is the difference of one cumulative integral at two
    masses, so that no narrow range of masses is missed, such as that of the giants among the
    companions of dead primaries. All is linear in the integrals up to the nodes and in the
    quantities there. Dust, the same for all companions in an interval, changes these alone.

    Parameters
    ----------
    nodes : IsochroneNodes
    binaries : Binaries
        Fraction and mass ratios.
    """

    def __init__(self, nodes: IsochroneNodes, binaries: Binaries) -> None:
        self.binaries = binaries
        self.start, middle, end = (nodes.stars(slice(None), at) for at in (0.0, 0.5, 1.0))
        # An interval is alive or not as a whole: its ends belong to its neighbours as well.
        self.start[LIVING] = end[LIVING] = middle[LIVING]
        self.rise = end - self.start
        interval, t, fraction = self._points(nodes)
        mass = self.start[MASS, interval] + t * self.rise[MASS, interval]
        # Brown dwarfs may be lighter than all that is tabulated.
        edges = nodes.mass_edges
        lowest = min(binaries.mass_ratio[0] * mass[0], 0.99 * edges[0])
        self.node = np.concatenate(([lowest], edges))
        brown = np.zeros((len(self.start), 2))
        brown[[MASS, PRESENT]] = self.node[0], edges[0] - self.node[0]
        self.terms = self._terms(
            np.concatenate((brown[:, :1], self.start), axis=1),
            np.concatenate((brown[:, 1:], self.rise), axis=1),
        )
        self.up_to, self.by_place = self._operators(interval, t, fraction, mass)

    def sums(self, attenuation: np.ndarray) -> np.ndarray:
        """Sums of the companions' quantities, and of all products in which these stand.

        Parameters
        ----------
        attenuation : ndarray, shape (k + k (k + 1) / 2, interval)
            Factor of the dust on each quantity and on each of their products.

        Returns
        -------
        ndarray, shape (k + k (k + 1) / 2, interval)
            The products in the order of `pair_products`.
        """
        k = len(self.start)
        brown = np.ones((1, len(attenuation)))
        terms = self.terms * np.concatenate((brown, attenuation.T))
        np.cumsum(terms[0, :-1], axis=0, out=terms[0, 1:])
        terms[0, 0] = 0
        terms = terms.reshape(-1, len(attenuation))
        heaviest, lightest = (matrix @ terms for matrix in self.up_to)
        sums = heaviest - lightest
        sums[sums < ROUNDING * heaviest] = 0  # all are positive or none: no light is no light
        at_place = np.where(sums[:, :k] > 0, self.by_place @ terms[:, :k], 0).T
        sums = sums.T.copy()
        for star, companion in ((self.start, sums[:k]), (self.rise, at_place)):
            attenuated = star * attenuation[:k]
            sums[k:] += pair_products(attenuated, companion) + pair_products(companion, attenuated)
        return sums

    def _points(self, nodes: IsochroneNodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points at which primaries are summed: interval, place in it, fraction of the stars.

        Two Gauss points in each part of an interval between masses at which the heaviest or the
        lightest companion passes from one interval to the next.
        """
        edges, width = nodes.mass_edges, nodes.rise[0]
        ratios = set(self.binaries.mass_ratio) - {1.0}
        bends = np.concatenate([edges[:-1], *(edges[:-1] / ratio for ratio in ratios)])
        bends = np.sort(bends[bends < edges[-1]])
        interval = np.searchsorted(edges, bends, side="right") - 1
        t = (bends - edges[interval]) / width[interval]
        last = np.append(interval[1:] != interval[:-1], True)
        part = np.where(last, 1.0, np.append(t[1:], 1.0)) - t
        place = t[:, None] + part[:, None] * GAUSS
        fraction = nodes.fraction[interval] * part / 2
        return np.repeat(interval, 2), place.ravel(), np.repeat(fraction, 2)

    def _terms(self, start: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """T, α, β and γ of section 5, (4, interval, k + k (k + 1) / 2): of `start` + t `rise`."""
        k, n = start.shape
        terms = np.zeros((4, k + k * (k + 1) // 2, n))
        terms[1, :k], terms[1, k:] = start, pair_products(start, start)
        terms[2, :k], terms[2, k:] = rise, pair_products(start, rise) + pair_products(rise, start)
        terms[3, k:] = pair_products(rise, rise)
        terms[0] = np.einsum("tn,tkn->kn", self._integrals(np.arange(n), np.ones(n)), terms[1:])
        return np.ascontiguousarray(terms.swapaxes(1, 2))

    def _operators(
        self, interval: np.ndarray, t_star: np.ndarray, fraction: np.ndarray, mass: np.ndarray
    ) -> tuple[list[csr_array], csr_array]:
        """Matrices that make sums over primaries of the terms: the coefficients of section 5.

        Up to the heaviest companion of each primary, and up to the lightest (S is the difference);
        and the difference of both times the primaries' places in their intervals (S').
        """
        from scipy.sparse import csr_array

        low, high = self.binaries.mass_ratio
        power = self.binaries.slope + 1
        weight = self.binaries.fraction * fraction
        if low < high:
            weight = weight * power / (high**power - low**power) / mass**power
        n = len(self.node) - 1
        sums: list[csr_array] = []
        by_place: list[csr_array] = []
        for ratio in (high, low):
            place, t = self._place(ratio * mass)
            if low < high:
                value = np.stack((t**0, *self._integrals(place, t))) * weight
            else:  # the quantities themselves, once, and nothing to subtract
                value = np.stack((0 * t, t**0, t, t**2)) * (0 if sums else weight)
            at = np.tile(interval, 4), (place + n * np.arange(4)[:, None]).ravel()
            for out, each in ((sums, value), (by_place, value * t_star)):
                out.append(csr_array((each.ravel(), at), shape=(len(self.start[0]), 4 * n)))
        return sums, by_place[0] - by_place[1]

    def _place(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval of each mass, and its place in it, 0 to 1."""
        place = np.clip(np.searchsorted(self.node, mass, side="right") - 1, 0, len(self.node) - 2)
        width = self.node[place + 1] - self.node[place]
        return place, np.clip((mass - self.node[place]) / width, 0, 1)

    def _integrals(self, place: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Integrals of u^s, u^s t and u^s t² du from a node up to t, (3, p).

        t counts from 0 at the node to 1 at the next. Three Gauss points: exact for s = 0.
        """
        width = (self.node[place + 1] - self.node[place])[:, None]
        at = t[:, None] * _AT
        density = (self.node[place, None] + width * at) ** self.binaries.slope
        density *= width * t[:, None] * _WEIGHT
        return np.stack((density.sum(1), (density * at).sum(1), (density * at * at).sum(1)))


def pair_products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Products of pairs, (k (k + 1) / 2, ...), of quantities (k, ...): the upper triangle."""
    i, j = pairs(len(one))
    out = one[i]
    out *= other[j]
    return out


@lru_cache
def pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The two quantities of each product, in the order of `pair_products`."""
    i, j = np.triu_indices(size)
    return i, j


def symmetric_places(size: int) -> np.ndarray:
    """Where the products of a symmetric matrix (k, k) stand in the order of `pair_products`."""
    i, j = pairs(size)
    out = np.empty((size, size), int)
    out[i, j] = out[j, i] = np.arange(len(i))
    return out
