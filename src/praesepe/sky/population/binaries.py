"""Moments of the light of unresolved companions, in closed form (docs/theory.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from praesepe.stars.binaries import Binaries

_AT, _WEIGHT = np.polynomial.legendre.leggauss(3)
_AT, _WEIGHT = 0.5 + 0.5 * _AT, 0.5 * _WEIGHT


@dataclass(frozen=True)
class BinaryMoments:
    """Mean quantities of the companions of given primaries, and the means of their products.

    Attributes
    ----------
    node : ndarray, shape (n + 1,)
        Masses of companions, ascending: from the lowest companion of any primary to the highest.
    mass : ndarray, shape (p,)
        Masses of the primaries. One without a companion counts as zero.
    binaries : Binaries
        Fraction and mass ratios.

    Notes
    -----
    The mean of any quantity over the mass ratio is the difference of one cumulative integral at two
    masses, so that no narrow range of masses is missed, such as that of the giants among the
    companions of dead primaries.
    """

    node: np.ndarray
    mass: np.ndarray
    binaries: Binaries

    def moments(self, start: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """Mean quantities of the companion of each primary, and their mean products.

        Parameters
        ----------
        start, rise : ndarray, shape (k, n)
            Quantities of a companion at each node, not negative, and their change to the next one,
            linear in mass.

        Returns
        -------
        ndarray, shape (k + k (k + 1) / 2, p)
            The products in the order of `products`.
        """
        low, high = self.binaries.mass_ratio
        fraction, power = self.binaries.fraction, self.binaries.slope + 1
        if low == high:
            place, step = self._place(low * self.mass)
            value = start[:, place] + step * rise[:, place]
            return fraction * np.concatenate((value, products(value, value)))
        terms = self._terms(start, rise)
        (to_high, high_weight), (to_low, low_weight) = self._ends
        integral = _weighted(terms, to_high, high_weight)
        integral -= _weighted(terms, to_low, low_weight)
        integral *= fraction * power / (high**power - low**power) / self.mass**power
        return np.maximum(integral, 0, out=integral)

    def _terms(self, start: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """The integral up to each node, and what the three integrals beyond multiply, (4, ., n)."""
        cross = products(start, rise) + products(rise, start)
        k, n = start.shape
        terms = np.zeros((4, k + len(cross), n))
        terms[1, :k], terms[1, k:] = start, products(start, start)
        terms[2, :k], terms[2, k:] = rise, cross
        terms[3, k:] = products(rise, rise)
        inside = np.einsum("tn,tkn->kn", self._whole, terms[1:])
        np.cumsum(inside[:, :-1], axis=1, out=terms[0, :, 1:])
        return terms

    @cached_property
    def _ends(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Intervals of the heaviest and of the lightest companions, and factors of the terms."""
        ends = []
        for ratio in self.binaries.mass_ratio[::-1]:
            place, step = self._place(ratio * self.mass)
            ends.append((place, self._beyond(place, step)))
        return ends

    @cached_property
    def _whole(self) -> np.ndarray:
        """Factors of the terms for the integral over each whole interval, (3, n)."""
        n = len(self.node) - 1
        return self._beyond(np.arange(n), np.ones(n))

    def _place(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        last = len(self.node) - 2
        place = np.clip(np.searchsorted(self.node, mass, side="right") - 1, 0, last)
        width = self.node[place + 1] - self.node[place]
        return place, np.clip((mass - self.node[place]) / width, 0, 1)

    def _beyond(self, place: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Integrals of u^s, u^s t and u^s t² du from a node to a step beyond it, (3, p).

        t counts from 0 at the node to 1 at the next. Three Gauss points: exact for s = 0.
        """
        width = (self.node[place + 1] - self.node[place])[:, None]
        t = step[:, None] * _AT
        density = (self.node[place, None] + width * t) ** self.binaries.slope
        density *= width * step[:, None] * _WEIGHT
        return np.stack((density.sum(1), (density * t).sum(1), (density * t * t).sum(1)))


def _weighted(terms: np.ndarray, place: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The integral at each place: its value at the node plus the weighted terms beyond it."""
    by_node = np.ascontiguousarray(terms.swapaxes(1, 2))  # (4, n, .): what is taken lies together
    total: np.ndarray = by_node[0].take(place, axis=0)
    for term, factor in zip(by_node[1:], weight, strict=True):
        one = term.take(place, axis=0)
        one *= factor[:, None]
        total += one
    return np.ascontiguousarray(total.T)


def products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Products of pairs, (k (k + 1) / 2, ...), of quantities (k, ...): the upper triangle."""
    i, j = pairs(len(one))
    out = one[i]
    out *= other[j]
    return out


@lru_cache
def pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The two quantities of each product, in the order of `products`."""
    i, j = np.triu_indices(size)
    return i, j


def symmetric_places(size: int) -> np.ndarray:
    """Where the products of a symmetric matrix (k, k) stand in the order of `products`."""
    i, j = pairs(size)
    out = np.empty((size, size), int)
    out[i, j] = out[j, i] = np.arange(len(i))
    return out
