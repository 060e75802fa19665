"""Moments of the light of unresolved companions: means over the mass ratio, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from praesepe.stars.binaries import Binaries

_AT, _WEIGHT = np.polynomial.legendre.leggauss(3)
_AT, _WEIGHT = 0.5 + 0.5 * _AT, 0.5 * _WEIGHT


@dataclass(frozen=True)
class Companions:
    """What companions add on average to primaries of given masses, and the mean products of it.

    Attributes
    ----------
    node : ndarray, shape (n + 1,)
        Masses of companions, ascending: from the lowest companion of any primary to the highest.
    mass : ndarray, shape (p,)
        Masses of the primaries; those without a companion count as zero.
    binaries : Binaries
        Fraction and mass ratios.

    Notes
    -----
    With dN/dq ∝ q^s, a primary of mass m has on average m^-(s+1) ∫ u^s g(u) du of any quantity
    g of its companion, from the lowest to the highest q times m, over the same integral of u^s at
    m = 1: the difference of one cumulative integral at two masses. So no narrow range of masses is
    missed, such as that of the giants among the companions of dead primaries.
    """

    node: np.ndarray
    mass: np.ndarray
    binaries: Binaries

    def moments(self, start: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """Mean quantities of the companion of each primary, and their mean products.

        Parameters
        ----------
        start, rise : ndarray, shape (n, k)
            Quantities of a companion at each node, not negative, and their change to the next one,
            linear in mass.

        Returns
        -------
        ndarray, shape (p, k + k (k + 1) / 2)
            The products in the order of `products`.
        """
        low, high = self.binaries.mass_ratio
        fraction, power = self.binaries.fraction, self.binaries.slope + 1
        if low == high:
            place, step = self._place(low * self.mass)
            value = start[place] + step[:, None] * rise[place]
            return fraction * np.concatenate((value, products(value, value)), axis=1)
        terms = self._terms(start, rise)
        (to_high, high_weight), (to_low, low_weight) = self._ends
        integral = np.matmul(high_weight, terms[to_high])[:, 0]
        integral -= np.matmul(low_weight, terms[to_low])[:, 0]
        scale = fraction * power / (high**power - low**power) / self.mass**power
        integral *= scale[:, None]
        return np.maximum(integral, 0, out=integral)

    def _terms(self, start: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """The integral up to each node, and what the three integrals beyond multiply; (n, 4, .)."""
        cross = products(start, rise) + products(rise, start)
        terms = np.zeros((len(start), 4, start.shape[1] + cross.shape[1]))
        k = start.shape[1]
        terms[:, 1, :k], terms[:, 1, k:] = start, products(start, start)
        terms[:, 2, :k], terms[:, 2, k:] = rise, cross
        terms[:, 3, k:] = products(rise, rise)
        inside = np.matmul(self._whole, terms)[:, 0]
        np.cumsum(inside[:-1], axis=0, out=terms[1:, 0])
        return terms

    @cached_property
    def _ends(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Intervals of the heaviest and of the lightest companions, and factors of the terms."""
        ends = []
        for ratio in self.binaries.mass_ratio[::-1]:
            place, step = self._place(ratio * self.mass)
            beyond = self._beyond(place, step)
            ends.append((place, np.column_stack((np.ones(len(place)), beyond))[:, None]))
        return ends

    @cached_property
    def _whole(self) -> np.ndarray:
        """Factors of the terms for the integral over each whole interval, (n, 1, 4)."""
        n = len(self.node) - 1
        return np.column_stack((np.zeros(n), self._beyond(np.arange(n), np.ones(n))))[:, None]

    def _place(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        last = len(self.node) - 2
        place = np.clip(np.searchsorted(self.node, mass, side="right") - 1, 0, last)
        width = self.node[place + 1] - self.node[place]
        return place, np.clip((mass - self.node[place]) / width, 0, 1)

    def _beyond(self, place: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Integrals of u^s, u^s t and u^s t² du from a node to a step beyond it, (p, 3).

        t counts from 0 at the node to 1 at the next. Three Gauss points: exact for s = 0.
        """
        width = (self.node[place + 1] - self.node[place])[:, None]
        t = step[:, None] * _AT
        density = (self.node[place, None] + width * t) ** self.binaries.slope
        density *= width * step[:, None] * _WEIGHT
        return np.stack((density.sum(1), (density * t).sum(1), (density * t * t).sum(1)), axis=1)


def products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Products (..., k (k + 1) / 2) of quantities (..., k): the upper triangle, line by line."""
    i, j = np.triu_indices(one.shape[-1])
    return one[..., i] * other[..., j]


def matrix(triangle: np.ndarray, size: int) -> np.ndarray:
    """Symmetric matrices (..., k, k) from what `products` gives."""
    i, j = np.triu_indices(size)
    out = np.empty((*triangle.shape[:-1], size, size))
    out[..., i, j] = out[..., j, i] = triangle
    return out
