"""One isochrone, tabulated so that every quantity is linear in the cumulative number of stars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from praesepe.stars.binaries import LOWEST_STAR, Binaries
from praesepe.stars.imf import InitialMassFunction

MESH = 256
"""Nodes added to those of the isochrone, evenly spaced in log mass."""

SAME_MASS = 1e-12
"""Masses that differ by no more than this fraction are one: no last bit may decide how many nodes
there are, or whether a star lives, since a seed gives the same stars on every processor."""

MASS, PRESENT, LIVING, FLUX = 0, 1, 2, 3
"""Places in a vector of a star's quantities: initial mass, present mass, living, flux by band."""


@dataclass(frozen=True)
class IsochroneNodes:
    """An isochrone between whose nodes mass and light are linear (docs/theory.md, section 2).

    Attributes
    ----------
    cdf : ndarray, shape (node,)
        Fraction of the stars below each node.
    start, rise : ndarray, shape (2 + band, interval)
        Initial mass (Msun), flux in each band, and present mass at the lower node of each
        interval, and their change to the upper one. Non-luminous stars have no flux.
    extinction : ndarray, shape (band, term, interval), or None
        Binary logarithm of the attenuation: factors of the powers of A_V.
    color_terms : ndarray, shape (term, interval), or None
        Functions by which colors may differ: see `praesepe.stars.colors`.
    max_living_mass : float
        Stars of higher initial mass have ended their lives, Msun.
    lowest_mass : float
        What has a lower initial mass (Msun) is a brown dwarf: non-luminous and not counted among
        the living. `LOWEST_STAR`, or the isochrone's first mass where that is lower.
    """

    cdf: np.ndarray
    start: np.ndarray
    rise: np.ndarray
    extinction: np.ndarray | None
    color_terms: np.ndarray | None
    max_living_mass: float
    lowest_mass: float

    @classmethod
    def build(
        cls,
        node: np.ndarray,
        cdf: np.ndarray,
        mass: np.ndarray,
        present_mass: np.ndarray,
        flux: np.ndarray,
        extinction: np.ndarray | None,
        color_terms: np.ndarray | None = None,
        *,
        max_living_mass: float,
    ) -> IsochroneNodes:
        """Tabulate an isochrone.

        Parameters
        ----------
        node, cdf : ndarray, shape (node,)
            Masses from `node_masses`, and the fraction of the stars below them.
        mass, present_mass : ndarray, shape (point,)
            Initial mass, ascending, and present mass, Msun.
        flux : ndarray, shape (point, band)
        extinction : ndarray, shape (point, band, term), or None
            Attenuation in mag: factors of the powers of A_V.
        color_terms : ndarray, shape (point, term), optional
        max_living_mass : float
        """
        lowest = lowest_star(mass)
        above = np.searchsorted(mass, node * (1 + SAME_MASS), side="right")
        at = np.clip(above - 1, 0, len(mass) - 2)
        width = mass[at + 1] - mass[at]
        t = np.clip((node - mass[at]) / np.where(width > 0, width, 1), 0, 1)[:, None]
        node_flux = _interpolate_flux(flux, at, t)
        node_flux[node > mass[-1]] = 0
        # A star is never half luminous: an interval with a non-luminous end is so as a whole.
        off = (node_flux[:-1].max(1) <= 0) | (node_flux[1:].max(1) <= 0)
        off |= node[1:] <= lowest
        node_present = np.minimum(np.interp(node, mass, present_mass), node)
        value = np.stack((node, *node_flux.T, node_present))  # (2 + band, node)
        start, rise = value[:, :-1].copy(), np.diff(value, axis=1)
        start[1:-1, off] = rise[1:-1, off] = 0
        if extinction is not None:
            between = _between(extinction.reshape(len(mass), -1), at, t) / (-2.5 * np.log10(2))
            between = between.reshape(len(between), *extinction.shape[1:])
            extinction = np.ascontiguousarray(between.transpose(1, 2, 0))
        if color_terms is not None:
            color_terms = np.ascontiguousarray(_between(color_terms, at, t).T)
        return cls(cdf, start, rise, extinction, color_terms, max_living_mass, lowest)

    @cached_property
    def fraction(self) -> np.ndarray:
        """Fraction of the stars in each interval."""
        return np.diff(self.cdf)

    @cached_property
    def mass_edges(self) -> np.ndarray:
        """Initial masses of the nodes."""
        return np.append(self.start[0], self.start[0, -1] + self.rise[0, -1])

    @cached_property
    def brightest(self) -> np.ndarray:
        """Highest flux of each interval, (band, interval)."""
        flux = self.start[1:-1]
        return np.maximum(flux, flux + self.rise[1:-1])

    def attenuation(self, a_v: float) -> np.ndarray:
        """Factor of the dust on each quantity, the same in an interval, (3 + band, interval)."""
        factor = np.ones((len(self.start) + 1, self.start.shape[1]))
        if self.extinction is not None and a_v > 0:
            powers = a_v ** np.arange(1, self.extinction.shape[1] + 1)
            factor[FLUX:] = np.exp2(np.einsum("bti,t->bi", self.extinction, powers))
        return factor

    def color_factor(self, term: int, exponent: float) -> np.ndarray:
        """Factor on each quantity where 2 to a term's power times `exponent` is one on light."""
        assert self.color_terms is not None
        factor = np.ones((len(self.start) + 1, self.start.shape[1]))
        factor[FLUX:] = np.exp2(exponent * self.color_terms[term])
        return factor

    def stars(self, interval: np.ndarray | slice, t: np.ndarray | float) -> np.ndarray:
        """Quantities of stars at t (0 to 1) within their intervals, (3 + band, star)."""
        value = self.start[:, interval] + t * self.rise[:, interval]
        out = np.empty((len(value) + 1, value.shape[1]))
        out[MASS], out[PRESENT], out[FLUX:] = value[0], value[-1], value[1:-1]
        out[LIVING] = (value[0] >= self.lowest_mass) & (value[0] <= self.max_living_mass)
        return out


def _between(values: np.ndarray, at: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Middle of each interval between nodes, of values of points (point, k)."""
    at_node = values[at] + t * (values[at + 1] - values[at])
    return np.asarray(0.5 * (at_node[:-1] + at_node[1:]))


def lowest_star(mass: np.ndarray) -> float:
    """Lowest mass of a star, Msun; what is lighter is a brown dwarf."""
    return min(LOWEST_STAR, float(mass[0]))


def node_masses(
    mass: np.ndarray, imf: InitialMassFunction, binaries: Binaries | None
) -> np.ndarray:
    """Masses of the nodes: the isochrone's, a mesh, and the edges of the mass function.

    Parameters
    ----------
    mass : ndarray, shape (point,)
        Initial masses of the isochrone, ascending, Msun.
    imf : InitialMassFunction
    binaries : Binaries or None
        Companions may be lighter than any star of the mass function.
    """
    low, high, lowest = float(imf.edges[0]), float(imf.edges[-1]), lowest_star(mass)
    if binaries is not None:
        low = min(low, lowest)
    # The mass function bends at its edges, where a node must be.
    edges = [low, *imf.edges, *([lowest] if lowest > low else [])]
    inside = mass[(mass > low) & (mass < high)]
    nodes = np.unique(np.concatenate((even_mesh(low, high), edges, inside)))
    return nodes[np.append(True, np.diff(nodes) > SAME_MASS * nodes[:-1])]


@lru_cache
def even_mesh(low: float, high: float) -> np.ndarray:
    """Masses that are evenly spaced in their logarithm, without the ends."""
    return np.geomspace(low, high, MESH)[1:-1]


def _interpolate_flux(flux: np.ndarray, at: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Flux between two points of an isochrone, linear in magnitude; (node, band)."""
    out = flux[at]
    at_next = t[:, 0] == 1
    out[at_next] = flux[at[at_next] + 1]
    (between,) = np.nonzero((t[:, 0] > 0) & (t[:, 0] < 1))
    low, t = at[between], t[between]
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.exp((1 - t) * np.log(flux[low]) + t * np.log(flux[low + 1]))
    out[between] = np.nan_to_num(inside)
    return out
