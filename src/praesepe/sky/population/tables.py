"""Isochrones tabulated for the sampler: what is looked up for each (isochrone, level)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from praesepe.errors import InputError, listed
from praesepe.sky.population.alias import AliasTable
from praesepe.sky.population.binaries import symmetric_matrix
from praesepe.sky.population.importance import ImportanceSampling
from praesepe.sky.population.isochrone import FLUX, IsochroneNodes
from praesepe.sky.population.levels import COMPLETE, Levels
from praesepe.sky.population.mass_bins import mass_bins
from praesepe.sky.population.moments import interval_sums
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import InitialMassFunction
from praesepe.stars.population import StellarTable


@dataclass(frozen=True)
class IsochroneTables:
    """All isochrones of all stellar models, one after another (docs/theory.md, sections 2 to 6).

    Attributes
    ----------
    levels : Levels
    n_nodes : int
        Nodes of each isochrone, shorter ones being padded by their last node.
    lowest_mass, max_living_mass, present_fraction : ndarray, shape (isochrone,)
        See `IsochroneNodes`.
    cdf, mass : ndarray, shape (isochrone, node)
        Cumulative number; initial mass, Msun.
    start, rise : ndarray, shape (2 + band, isochrone node)
        Initial mass, flux in each band, and present mass at each node, and their change to the
        next one.
    extinction : ndarray, shape (term band, isochrone node), or None
        Binary logarithm of the attenuation of the flux: factors of the powers of A_V.
    below : ndarray, shape (isochrone, level)
        Fraction of the stars that are less massive than all of those that are always sampled.
    mean : ndarray, shape (isochrone, level, 3 + band)
        Of the unresolved stars: see `praesepe.sky.population.isochrone.MASS` and what follows it.
    second : ndarray, shape (isochrone, level, 3 + band, 3 + band)
        Mean products of these quantities.
    mean_extinction, second_extinction : ndarray, shapes of `mean` and `second` with (..., term)
        Binary logarithm of the attenuation of both, as for `extinction`.
    numbers : ndarray, shape (isochrone, level of importance sampling but the last)
        Numbers of stars whose shot noise joins the detector's.
    mass_bins : ndarray, shape (isochrone, level, bin, 1 + band)
        Where the unresolved light comes from: see `praesepe.sky.population.mass_bins`; Msun.
    individual : AliasTable
        Of the individually sampled stars.
    companions : AliasTable or None
        In crowded populations, of the companions of stars that have died or are negligible; None
        without binaries. Their fractions are numbers per star of the population.
    """

    levels: Levels
    n_nodes: int
    lowest_mass: np.ndarray
    max_living_mass: np.ndarray
    present_fraction: np.ndarray
    cdf: np.ndarray
    mass: np.ndarray
    start: np.ndarray
    rise: np.ndarray
    extinction: np.ndarray | None
    below: np.ndarray
    mean: np.ndarray
    second: np.ndarray
    mean_extinction: np.ndarray | None
    second_extinction: np.ndarray | None
    numbers: np.ndarray
    mass_bins: np.ndarray
    individual: AliasTable
    companions: AliasTable | None

    @property
    def fraction(self) -> np.ndarray:
        """Fraction of the stars that is individually sampled, (isochrone, level)."""
        return self.individual.fraction


def tabulate(
    tables: Sequence[StellarTable],
    *,
    unit_magnitude: np.ndarray,
    levels: Levels,
    imf: InitialMassFunction,
    binaries: Binaries | None,
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

    Raises
    ------
    InputError
        For tables that do not belong together, or another number of bands.
    """
    check_tables(tables, unit_magnitude)
    a_v = _extinctions(tables[0])
    nodes, entries = [], []
    for table in tables:
        flux = 10 ** (-0.4 * (table.mag_ab - unit_magnitude))
        for i, j in np.ndindex(table.mag_ab.shape[:2]):
            isochrone = IsochroneNodes.build(
                table.initial_mass[i, j],
                table.present_mass[i, j],
                flux[i, j],
                None if table.dust is None else table.dust[i, j],
                max_living_mass=float(table.dead_mass[i, j]),
                imf=imf,
                binaries=binaries,
            )
            entries.append(_Entry.of(isochrone, levels, binaries, a_v))
            nodes.append(isochrone)
    return _concatenate(nodes, entries, levels, a_v)


def check_tables(tables: Sequence[StellarTable], unit_magnitude: np.ndarray) -> None:
    """Raise an `InputError` for tables that do not belong together, or have other bands."""
    if not tables:
        raise InputError("a sampler needs at least one table of stars")
    first = tables[0]
    if len(unit_magnitude) != len(first.band_names):
        raise InputError(
            f"{len(unit_magnitude)} unit magnitudes for the bands {listed(first.band_names)}; "
            "give one each"
        )
    for table in tables[1:]:
        if table.band_names != first.band_names or table.a_v != first.a_v:
            raise InputError(
                f"tables of stars in {listed(first.band_names)} behind A_V = {first.a_v} and in "
                f"{listed(table.band_names)} behind {table.a_v}: build all with the same filters "
                "and dust"
            )


def _extinctions(table: StellarTable) -> np.ndarray:
    """Extinctions above the table's lowest at which moments are taken; the first is 0."""
    terms = 0 if table.dust is None else table.dust.shape[-1]
    low, high = table.a_v
    place: np.ndarray = 1 - np.cos(np.pi * np.arange(terms + 1) / max(terms, 1))
    return 0.5 * (high - low) * place


@dataclass(frozen=True)
class _Entry:
    """What `IsochroneTables` holds of one isochrone; moments for all extinctions (x, level, …)."""

    mean: np.ndarray
    second: np.ndarray
    numbers: np.ndarray
    mass_bins: np.ndarray
    below: np.ndarray
    individual: AliasTable
    companions: AliasTable | None

    @classmethod
    def of(
        cls, nodes: IsochroneNodes, levels: Levels, binaries: Binaries | None, a_v: np.ndarray
    ) -> _Entry:
        importance = ImportanceSampling(nodes, levels.limit, binaries)
        inclusion = np.concatenate((_inclusion(nodes, levels), importance.inclusion))
        individual = AliasTable.build(inclusion, nodes.fraction)
        sums = interval_sums(nodes, binaries, a_v)  # (x, moment, interval)
        # One product of matrices of one layout for each extinction: the covariance's root magnifies
        # rounding, and a seed is to give the same stars whatever the number of extinctions.
        unresolved = 1 - inclusion
        moments = np.array([unresolved @ each.T.copy() for each in sums])  # (x, level, moment)
        companions = None
        if binaries is not None:
            companions = _companion_table(importance, levels)
            for each, x in zip(moments, a_v, strict=True):
                each[levels.importance :] -= importance.sampled_companions(x)
        of_all = individual.fraction
        moments /= np.where(of_all >= 1, 1.0, 1.0 - of_all)[:, None]
        size = 1 + nodes.start.shape[0]
        always = np.column_stack((inclusion >= 1, np.ones(levels.n, bool)))
        # A star that is sampled takes the light of 1 / sqrt(inclusion) stars out of the sums.
        mass_light = sums[0, size + FLUX : 2 * size]  # products with the first quantity, the mass
        return cls(
            mean=moments[..., :size],
            second=symmetric_matrix(moments[..., size:], size),
            numbers=importance.numbers,
            mass_bins=mass_bins(1 - np.sqrt(inclusion), sums[0, FLUX:size], mass_light),
            below=nodes.cdf[always.argmax(1)],
            individual=individual,
            companions=companions,
        )


def _inclusion(nodes: IsochroneNodes, levels: Levels) -> np.ndarray:
    """Inclusion probability at the levels before importance sampling, (level, interval)."""
    inclusion = np.zeros((levels.importance, nodes.start.shape[1]))
    inclusion[0] = 1
    for of_level, factor in zip(inclusion[COMPLETE:], levels.factors, strict=True):
        limit = factor * levels.limit
        above = np.flatnonzero((nodes.brightest > limit[:, None]).any(0))
        of_level[above[0] if len(above) else len(of_level) :] = 1
    return inclusion


def _companion_table(importance: ImportanceSampling, levels: Levels) -> AliasTable:
    number, _ = importance.companions
    never = np.zeros((levels.importance, len(number)))
    return AliasTable.build(np.concatenate((never, importance.probability)), number)


def _concatenate(
    nodes: list[IsochroneNodes], entries: list[_Entry], levels: Levels, a_v: np.ndarray
) -> IsochroneTables:
    n_nodes = max(len(each.cdf) for each in nodes)
    mean = np.array([entry.mean for entry in entries])  # (isochrone, x, level, 3 + band)
    second = np.array([entry.second for entry in entries])
    companions = [entry.companions for entry in entries if entry.companions is not None]
    dust = [each.extinction for each in nodes if each.extinction is not None]
    # The last node of an isochrone ends its last interval: as one of its own it does not rise.
    start = [np.column_stack((each.start, each.start[:, -1] + each.rise[:, -1])) for each in nodes]
    return IsochroneTables(
        levels=levels,
        n_nodes=n_nodes,
        lowest_mass=np.array([each.lowest_mass for each in nodes]),
        max_living_mass=np.array([each.max_living_mass for each in nodes]),
        present_fraction=np.array([each.present_fraction for each in nodes]),
        cdf=_padded([each.cdf for each in nodes], n_nodes, repeat=True),
        mass=_padded([values[0] for values in start], n_nodes, repeat=True),
        start=_side_by_side(_padded(start, n_nodes, repeat=True)),
        rise=_side_by_side(_padded([each.rise for each in nodes], n_nodes)),
        extinction=_side_by_side(_padded(dust, n_nodes).swapaxes(1, 2)) if dust else None,
        below=np.array([entry.below for entry in entries]),
        mean=mean[:, 0],
        second=second[:, 0],
        mean_extinction=_extinction_terms(mean, a_v) if dust else None,
        second_extinction=_extinction_terms(second, a_v) if dust else None,
        numbers=np.array([entry.numbers for entry in entries]),
        mass_bins=np.array([entry.mass_bins for entry in entries]),
        individual=AliasTable.concatenate([entry.individual for entry in entries], n_nodes),
        companions=AliasTable.concatenate(companions, n_nodes) if companions else None,
    )


def _padded(values: list[np.ndarray], length: int, *, repeat: bool = False) -> np.ndarray:
    """Stack arrays (..., n) to (isochrone, ..., length), padded by zeros or the last value."""
    out = np.zeros((len(values), *values[0].shape[:-1], length))
    for row, each in zip(out, values, strict=True):
        row[..., : each.shape[-1]] = each
        if repeat:
            row[..., each.shape[-1] :] = each[..., -1:]
    return out


def _side_by_side(values: np.ndarray) -> np.ndarray:
    """(..., isochrone node) from (isochrone, ..., node); all axes between become one."""
    n, length = len(values), values.shape[-1]
    return values.reshape(n, -1, length).swapaxes(0, 1).reshape(-1, n * length)


def _extinction_terms(values: np.ndarray, a_v: np.ndarray) -> np.ndarray:
    """Polynomials (isochrone, ..., term) through log2 of the attenuation of (isochrone, x, ...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(values[:, 1:] / values[:, :1])
    ratio = np.where(np.isfinite(ratio), ratio, 0.0)
    inverse = np.linalg.inv(a_v[1:, None] ** np.arange(1, len(a_v)))
    return np.moveaxis(np.tensordot(inverse, ratio, axes=(1, 1)), 0, -1)
