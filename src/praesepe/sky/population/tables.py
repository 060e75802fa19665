"""Isochrones tabulated for the sampler: what is looked up for each (isochrone, level)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from praesepe.errors import InputError, listed, must_be
from praesepe.progress import Counter, Progress
from praesepe.sky.population.alias import AliasTable
from praesepe.sky.population.binaries import symmetric_places
from praesepe.sky.population.isochrone import FLUX, IsochroneNodes, node_masses
from praesepe.sky.population.levels import COMPLETE, Levels
from praesepe.sky.population.mass_bins import N_BINS, light_by_mass, mass_of_light
from praesepe.sky.population.moments import interval_sums
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import InitialMassFunction
from praesepe.stars.magnitudes import StellarTable

COLOR_STEP = 2.0**-10
"""Change of the binary logarithm of light by which slopes of moments are taken."""

STEEPEST = 5.0
"""Twice the largest color term: products of light cannot change faster."""


class FurtherLevels(Protocol):
    """Levels beyond the complete ones, which a sampler adds."""

    n: int
    """Number of levels."""

    def add(
        self, nodes: IsochroneNodes, first_node: int, first_level: int
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]:
        """Inclusion probabilities (level, interval) of the stars of the next isochrone.

        Beside them, if there is any, what is to be taken out of the sums over its unresolved stars,
        (level, moment), for factors on a star's quantities, such as those of dust.
        """


@dataclass(frozen=True)
class Moments:
    """Mean quantities of unresolved stars, and their mean products.

    Attributes
    ----------
    mean : ndarray, shape (isochrone, level, 3 + band)
        Of the unresolved stars: see `praesepe.sky.population.isochrone.MASS` and what follows it.
    second : ndarray, shape (isochrone, level, 3 + band, 3 + band)
        Mean products of these quantities.
    mean_extinction, second_extinction : ndarray, shapes of `mean` and `second` with (..., term)
        Binary logarithm of the attenuation of both, as for `extinction`.
    mean_colors, second_colors : ndarray, shapes of `mean` and `second` with (..., term)
        Change of the binary logarithm of both with that of the light by each term, in all bands.
    """

    mean: np.ndarray
    second: np.ndarray
    mean_extinction: np.ndarray | None
    second_extinction: np.ndarray | None
    mean_colors: np.ndarray | None
    second_colors: np.ndarray | None

    @classmethod
    def of_sums(cls, sums: np.ndarray, a_v: np.ndarray, size: int) -> Moments:
        """Moments (isochrone, factor, level, moment) at extinctions, then for color terms."""
        places = symmetric_places(size)
        usual, extinction, colors = sums[:, 0], None, None
        if len(a_v) > 1:
            extinction = _extinction_terms(sums[:, : len(a_v)], a_v)
        if sums.shape[1] > len(a_v):
            colors = _color_slopes(usual, sums[:, len(a_v) :])
        pairs = [
            (None, None)
            if terms is None
            else (terms[..., :size, :], terms[..., size:, :].take(places, axis=2))
            for terms in (extinction, colors)
        ]
        second = usual[..., size:].take(places, axis=2)
        return cls(usual[..., :size], second, *pairs[0], *pairs[1])


@dataclass(frozen=True)
class IsochroneTables:
    """All isochrones of all stellar models, one after another (docs/theory.md, sections 2 to 6).

    Attributes
    ----------
    lowest_mass, max_living_mass : ndarray, shape (isochrone,)
        See `IsochroneNodes`.
    cdf, mass : ndarray, shape (isochrone, node)
        Cumulative number; initial mass, Msun. Shorter isochrones are padded by their last node.
    start, rise : ndarray, shape (2 + band, isochrone node)
        Initial mass, flux in each band, and present mass at each node, and their change to the
        next one.
    extinction : ndarray, shape (term band, isochrone node), or None
        Binary logarithm of the attenuation of the flux: factors of the powers of A_V.
    below : ndarray, shape (isochrone, level)
        Fraction of the stars that are less massive than all of those that are always sampled.
    moments : Moments
        Of the unresolved stars.
    singles : Moments or None
        The same without companions, where the fraction of binaries varies.
    color_terms : ndarray, shape (term, isochrone, node), or None
        Functions by which colors may differ: see `praesepe.stars.colors`.
    mass_bins : ndarray, shape (isochrone, level, bin, 1 + band)
        Where the unresolved light comes from: see `praesepe.sky.population.mass_bins`; Msun.
    light_mass : ndarray, shape (isochrone,)
        Mass of the stars that give the light, Msun; see `mass_of_light`.
    individual : AliasTable
        Of the individually sampled stars.
    further : FurtherLevels or None
        What the levels beyond the complete ones were made by.
    """

    lowest_mass: np.ndarray
    max_living_mass: np.ndarray
    cdf: np.ndarray
    mass: np.ndarray
    start: np.ndarray
    rise: np.ndarray
    extinction: np.ndarray | None
    below: np.ndarray
    moments: Moments
    singles: Moments | None
    color_terms: np.ndarray | None
    mass_bins: np.ndarray
    light_mass: np.ndarray
    individual: AliasTable
    further: FurtherLevels | None


def tabulate(
    tables: Sequence[StellarTable],
    *,
    unit_magnitude: np.ndarray,
    levels: Levels,
    imf: InitialMassFunction,
    binaries: Binaries | None,
    further: FurtherLevels | None = None,
    with_singles: bool = False,
    progress: Progress | None = None,
) -> IsochroneTables:
    """Tabulate the isochrones of all tables, one after another, age by age.

    Parameters
    ----------
    tables : sequence of StellarTable
        In the same bands, over the same range of extinction.
    unit_magnitude : ndarray, shape (band,)
        Absolute AB magnitude of a star of unit flux.
    levels : Levels
        With flux limits in this unit.
    imf : InitialMassFunction
    binaries : Binaries or None
    further : FurtherLevels, optional
        Levels beyond the complete ones; `levels` counts them.
    with_singles : bool
        Whether moments without companions are tabulated, too.
    progress : callable, optional
        Called with (done, total), the numbers of isochrones.

    Raises
    ------
    InputError
        For tables that do not belong together, or another number of bands.
    """
    _check_tables(tables, unit_magnitude)
    nodes = [
        node_masses(mass, imf, binaries)
        for table in tables
        for mass in table.initial_mass.reshape(-1, table.initial_mass.shape[-1])
    ]
    counter = Counter(len(nodes), progress)
    filled = _Arrays(nodes, imf, levels, _extinctions(tables[0]), tables[0], further, with_singles)
    for table in tables:
        flux = 10 ** (-0.4 * (table.mag_ab - unit_magnitude))
        for at in np.ndindex(table.mag_ab.shape[:2]):
            i = counter.done
            isochrone = IsochroneNodes.build(
                nodes[i],
                filled.cdf[i, : len(nodes[i])],
                table.initial_mass[at],
                table.present_mass[at],
                flux[at],
                None if table.dust is None else table.dust[at],
                None if table.color_terms is None else table.color_terms[at],
                max_living_mass=float(table.max_living_mass[at]),
            )
            filled.add(i, isochrone, binaries)
            counter.add()
    return filled.tables()


def _check_tables(tables: Sequence[StellarTable], unit_magnitude: np.ndarray) -> None:
    """Raise an `InputError` for tables that do not belong together, or have other bands."""
    first = tables[0]
    if len(unit_magnitude) != len(first.band_names):
        allowed = f"one for each band, {listed(first.band_names)}"
        raise must_be("unit_magnitude", unit_magnitude, allowed)
    for table in tables[1:]:
        if table.band_names != first.band_names or table.a_v != first.a_v:
            raise InputError(
                f"tables of stars in {listed(first.band_names)} behind A_V = {first.a_v} and in "
                f"{listed(table.band_names)} behind {table.a_v}",
                given=(table.band_names, table.a_v),
                allowed=(first.band_names, first.a_v),
                remedy="build all with the same filters and dust",
            )


def _extinctions(table: StellarTable) -> np.ndarray:
    """Extinctions above the table's lowest at which moments are taken; the first is 0."""
    terms = 0 if table.dust is None else table.dust.shape[-1]
    low, high = table.a_v
    place: np.ndarray = 1 - np.cos(np.pi * np.arange(terms + 1) / max(terms, 1))
    return 0.5 * (high - low) * place


class _Arrays:
    """The arrays of `IsochroneTables`, filled with one isochrone after another."""

    def __init__(
        self,
        nodes: Sequence[np.ndarray],
        imf: InitialMassFunction,
        levels: Levels,
        a_v: np.ndarray,
        table: StellarTable,
        further: FurtherLevels | None,
        with_singles: bool,
    ) -> None:
        self.levels, self.a_v, self.further = levels, a_v, further
        n, n_nodes, n_bands = len(nodes), max(map(len, nodes)), len(table.band_names)
        shape, size = (n, n_nodes), FLUX + n_bands
        self.mass = np.empty(shape)
        for padded, own in zip(self.mass, nodes, strict=True):
            padded[: len(own)], padded[len(own) :] = own, own[-1]
        self.cdf = imf.cdf(self.mass)
        self.cdf[:, 0] = 0.0
        self.cdf[self.mass == self.mass[:, -1:]] = 1.0
        self.start = np.empty((2 + n_bands, *shape), np.float32)
        self.rise = np.zeros((2 + n_bands, *shape), np.float32)
        self.extinction: np.ndarray | None = None
        if table.dust is not None:
            self.extinction = np.zeros((table.dust.shape[-1], n_bands, *shape), np.float32)
        self.color_terms: np.ndarray | None = None
        if table.color_terms is not None:
            self.color_terms = np.zeros((table.color_terms.shape[-1], *shape), np.float32)
        n_factors = len(a_v) + (0 if self.color_terms is None else len(self.color_terms))
        self.moments = np.empty((n, n_factors, levels.n, size + size * (size + 1) // 2))
        self.singles = np.empty_like(self.moments) if with_singles else None
        self.of_isochrone = np.empty((2, n))
        self.below = np.empty((n, levels.n))
        self.mass_bins = np.empty((n, levels.n, N_BINS, 1 + n_bands), np.float32)
        self.light_mass = np.empty(n)
        self.individual: list[AliasTable] = []

    def add(self, i: int, nodes: IsochroneNodes, binaries: Binaries | None) -> None:
        """Fill in isochrone `i`, the next one."""
        self._add_nodes(i, nodes)
        levels, first_node = self.levels, i * self.mass.shape[1]
        inclusion, taken_out = _inclusion(nodes, levels), None
        if self.further is not None:
            beyond, taken_out = self.further.add(nodes, first_node, levels.further)
            inclusion = np.concatenate((inclusion, beyond))
        individual = AliasTable.build(inclusion, nodes.fraction, first_node=first_node)
        factors = [nodes.attenuation(x) for x in self.a_v]
        if nodes.color_terms is not None:
            factors += [nodes.color_factor(j, COLOR_STEP) for j in range(len(nodes.color_terms))]
        sums = interval_sums(nodes, binaries, factors)  # (x, moment, interval)
        of_all = np.where(individual.fraction >= 1, 1.0, 1.0 - individual.fraction)[:, None]
        _sum_up(sums, 1 - inclusion, into=self.moments[i])
        if taken_out is not None:
            for of_x, factor in zip(self.moments[i], factors, strict=True):
                of_x[levels.further :] -= taken_out(factor)
        self.moments[i] /= of_all
        if self.singles is not None:
            _sum_up(interval_sums(nodes, None, factors), 1 - inclusion, into=self.singles[i])
            self.singles[i] /= of_all
        size = 1 + nodes.start.shape[0]
        always = np.column_stack((inclusion >= 1, np.ones(levels.n, bool)))
        self.below[i] = nodes.cdf[always.argmax(1)]
        # A star that is sampled takes the light of 1 / sqrt(inclusion) stars out of the sums.
        mass_light = sums[0, size + FLUX : 2 * size]  # products with the first quantity, the mass
        n_seen = int(np.isfinite(levels.limit).sum())
        light = sums[0, FLUX:size]
        self.mass_bins[i] = light_by_mass(1 - np.sqrt(inclusion), light, mass_light, n_seen)
        self.light_mass[i] = mass_of_light(light, mass_light, n_seen)
        self.individual.append(individual)

    def _add_nodes(self, i: int, nodes: IsochroneNodes) -> None:
        n = nodes.start.shape[1]
        self.start[:, i, :n], self.rise[:, i, :n] = nodes.start, nodes.rise
        # The last node of an isochrone ends its last interval: as one of its own it does not rise.
        self.start[:, i, n:] = (nodes.start[:, -1] + nodes.rise[:, -1])[:, None]
        if self.extinction is not None and nodes.extinction is not None:
            self.extinction[:, :, i, :n] = nodes.extinction.swapaxes(0, 1)
        if self.color_terms is not None and nodes.color_terms is not None:
            self.color_terms[:, i, :n] = nodes.color_terms
        self.of_isochrone[:, i] = nodes.lowest_mass, nodes.max_living_mass

    def tables(self) -> IsochroneTables:
        """The tables, once all isochrones are filled in."""
        size = 1 + len(self.start)
        extinction = self.extinction
        if extinction is not None:
            extinction = extinction.reshape(-1, self.mass.size)
        moments, singles = (
            None if sums is None else Moments.of_sums(sums, self.a_v, size)
            for sums in (self.moments, self.singles)
        )
        assert moments is not None
        lowest_mass, max_living_mass = self.of_isochrone
        return IsochroneTables(
            lowest_mass=lowest_mass,
            max_living_mass=max_living_mass,
            cdf=self.cdf,
            mass=self.mass,
            start=self.start.reshape(len(self.start), -1),
            rise=self.rise.reshape(len(self.rise), -1),
            extinction=extinction,
            below=self.below,
            moments=moments,
            singles=singles,
            color_terms=self.color_terms,
            mass_bins=self.mass_bins,
            light_mass=self.light_mass,
            individual=AliasTable.concatenate(self.individual),
            further=self.further,
        )


def _sum_up(sums: np.ndarray, unresolved: np.ndarray, *, into: np.ndarray) -> None:
    """Sum over the unresolved part (level, interval) of each interval, for each factor.

    One product of matrices of one layout for each extinction: the covariance's root magnifies
    rounding, and a seed is to give the same stars whatever the number of extinctions.
    """
    for of_x, each in zip(into, sums, strict=True):
        np.matmul(unresolved, each.T.copy(), out=of_x)  # (level, moment)


def _inclusion(nodes: IsochroneNodes, levels: Levels) -> np.ndarray:
    """Inclusion probability at the exact and the complete levels, (level, interval)."""
    inclusion = np.zeros((levels.further, nodes.start.shape[1]))
    inclusion[0] = 1
    for of_level, factor in zip(inclusion[COMPLETE:], levels.factors, strict=True):
        limit = factor * levels.limit
        above = np.flatnonzero((nodes.brightest > limit[:, None]).any(0))
        of_level[above[0] if len(above) else len(of_level) :] = 1
    return inclusion


def _color_slopes(usual: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Change of log2 of moments (isochrone, level, moment) with each term, (..., term)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log2(changed / usual[:, None]) / COLOR_STEP
    # Where nearly nothing is unresolved, rounding is all that is left.
    slope = np.nan_to_num(slope, posinf=0.0, neginf=0.0).clip(-STEEPEST, STEEPEST)
    return np.ascontiguousarray(np.moveaxis(slope, 1, -1), np.float32)


def _extinction_terms(values: np.ndarray, a_v: np.ndarray) -> np.ndarray:
    """Polynomials (isochrone, ..., term) through log2 of the attenuation of (isochrone, x, ...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(values[:, 1:] / values[:, :1])
    ratio[~np.isfinite(ratio)] = 0.0
    inverse = np.linalg.inv(a_v[1:, None] ** np.arange(1, len(a_v)))
    return np.ascontiguousarray(np.moveaxis(np.tensordot(inverse, ratio, axes=(1, 1)), 0, -1))
