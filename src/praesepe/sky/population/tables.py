"""Isochrones tabulated for drawing: what `praesepe.sky.population.sampler` looks up.

A row is one isochrone. Its nodes are the isochrone's masses and a mesh of the initial mass
function; between two nodes every quantity is linear in the cumulative number of stars. An entry is
a row at one step of the flux limit: the chance of a star of each interval of nodes to be drawn
singly, and the moments of all stars that are not, which are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from praesepe.sky.population.alias import Slots
from praesepe.sky.population.binaries import Companions, matrix, products
from praesepe.sky.population.mass_bins import light_groups
from praesepe.stars.binaries import LOWEST_STAR, Binaries
from praesepe.stars.imf import InitialMassFunction
from praesepe.stars.population import StellarTable

ALL, WHOLE, THINNED = 0, 1, 2
"""Steps of the flux limit: how many stars are drawn singly.

The first step draws every star. The second draws the stars above the limit, and all of higher mass:
those are dead, but in light populations each of them matters for the total mass, and a companion
may shine. All further steps are for heavy populations, whose stars are thinned. The shot noise of a
number of stars joins the detector's: s² = limit² + number <f²> in each band. A star is drawn with
the chance (f / s)², or always where it is brighter than s in any band, and then has the light of
s / f stars. Populations thinned like this keep the shot noise of all their stars, N <f_b f_c>
between any two bands, with the fewest points of light for a given skewness (the sum of f³ over the
points). The
number is zero at first; each further step leaves about a third of the points, and the last none.
"""

N_STEPS = THINNED + 16

NUMBERS = 4.0 ** np.arange(-60, 31)
"""Between these the numbers of stars are sought whose shot noise joins the detector's."""

LEAST_NOISE = 1e-3
"""Stars of low mass that together have no more of any band's <f²> are not thinned but summed."""

FADED = 1e-3
"""Stars this much fainter than some star of lower mass, in every band, count as dark in binaries:
their companions outshine them, and would be drawn with the chance of a faint star."""

MESH = 256
"""Nodes added to those of the isochrone, evenly spaced in log mass."""

MASS, PRESENT, LIVING, FLUX = 0, 1, 2, 3
"""Places in a vector of moments: initial mass, present mass, living stars, flux of each band."""


@dataclass(frozen=True)
class RowSettings:
    """What the tabulation of all rows has in common; fluxes in e-/s."""

    imf: InitialMassFunction
    limit: np.ndarray  # (band,)
    binaries: Binaries | None
    dust_x: np.ndarray  # extinctions above the lowest at which moments are taken; the first is 0

    def mass_range(self, lowest_star: float) -> tuple[float, float]:
        """Initial masses (solar) to tabulate: those of the mass function, and lit companions."""
        low, high = float(self.imf.edges[0]), float(self.imf.edges[-1])
        return low if self.binaries is None else min(low, lowest_star), high


@dataclass(frozen=True)
class StarRows:
    """All rows of all tables, concatenated.

    Attributes
    ----------
    n_nodes : int
        Nodes of each row, shorter rows being padded by their last node.
    lowest_mass : ndarray, shape (row,)
        What is of lower initial mass (Msun) is a brown dwarf: it weighs, but is dark and not
        counted among the living. `LOWEST_STAR`, or the isochrone's first mass where that is lower.
    cdf, mass : ndarray, shape (row, node)
        Cumulative number; initial mass, Msun.
    start, rise : ndarray, shape (2 + band, row node)
        Initial mass, flux in each band, and present mass at each node, and their change to the
        next one; dark stars have no flux.
    dust : ndarray, shape (term band, row node), or None
        Binary logarithm of the flux at higher extinction: factors of the powers of A_V.
    dead_mass, present_fraction : ndarray, shape (row,)
        Msun; present-day mass per unit of initial mass, without binaries.
    below : ndarray, shape (row, step)
        Share of the stars that are lighter than all of those that are always drawn.
    mean : ndarray, shape (row, step, 3 + band)
        Of the stars that are not drawn: see `MASS` and the names beside it.
    second : ndarray, shape (row, step, 3 + band, 3 + band)
        Mean products of these quantities.
    mean_dust, second_dust : ndarray, shapes of `mean` and `second` with (..., term)
        Binary logarithm of both at higher extinction, as for `dust`.
    numbers : ndarray, shape (row, step)
        Numbers of stars whose shot noise joins the detector's, from `THINNED` on; not of the last.
    light_groups : ndarray, shape (row, step, group, 1 + band)
        Whose light is summed: see `praesepe.sky.population.mass_bins`; Msun.
    slots : Slots
        Of the stars drawn singly.
    companions : Slots or None
        Of thinned populations, the companions of stars that have died or faded; without binaries
        none. Their shares are numbers per star of the population.
    """

    n_nodes: int
    lowest_mass: np.ndarray
    cdf: np.ndarray
    mass: np.ndarray
    start: np.ndarray
    rise: np.ndarray
    dust: np.ndarray | None
    dead_mass: np.ndarray
    present_fraction: np.ndarray
    below: np.ndarray
    mean: np.ndarray
    second: np.ndarray
    mean_dust: np.ndarray | None
    second_dust: np.ndarray | None
    numbers: np.ndarray
    light_groups: np.ndarray
    slots: Slots
    companions: Slots | None

    @property
    def share(self) -> np.ndarray:
        """Share of the stars that are drawn singly, (row, step)."""
        return self.slots.share


def tabulate(
    tables: Sequence[StellarTable],
    *,
    magnitude_of_unit_flux: np.ndarray,
    limit: np.ndarray,
    imf: InitialMassFunction,
    binaries: Binaries | None,
) -> StarRows:
    """Tabulate the isochrones of all tables, one after another, age by age.

    Parameters
    ----------
    tables : sequence of StellarTable
        In the same bands, over the same range of extinction.
    magnitude_of_unit_flux : ndarray, shape (band,)
        Absolute AB magnitude of a star of 1 e-/s.
    limit : ndarray, shape (band,)
        Flux (e-/s) below which a star may be summed.
    imf : InitialMassFunction
    binaries : Binaries or None
    """
    terms = 0 if tables[0].dust is None else tables[0].dust.shape[-1]
    low, high = tables[0].a_v
    dust_x = 0.5 * (high - low) * (1 - np.cos(np.pi * np.arange(terms + 1) / max(terms, 1)))
    settings = RowSettings(imf, limit, binaries, dust_x)
    rows = []
    for table in tables:
        flux = 10 ** (-0.4 * (table.mag_ab - magnitude_of_unit_flux))
        for a, z in np.ndindex(table.mag_ab.shape[:2]):
            dust = None if table.dust is None else table.dust[a, z]
            star = (table.initial_mass[a, z], table.present_mass[a, z], flux[a, z], dust)
            rows.append(_Row.of(*star, float(table.dead_mass[a, z]), settings))
    return _joined(rows, settings)


@dataclass(frozen=True)
class _Entries:
    """Of one isochrone, as in `StarRows`; moments for all extinctions (x, step, 3 + band, …)."""

    first: np.ndarray
    second: np.ndarray
    numbers: np.ndarray
    light_groups: np.ndarray
    below: np.ndarray
    slots: Slots
    companions: Slots | None


@dataclass(frozen=True)
class _Row:
    """One isochrone: `start` and `rise` are (interval, 2 + band), other names as in StarRows."""

    cdf: np.ndarray
    start: np.ndarray
    rise: np.ndarray
    dust: np.ndarray | None  # (interval, band, term)
    dead_mass: float
    lowest_mass: float
    settings: RowSettings

    @classmethod
    def of(
        cls,
        mass: np.ndarray,
        present: np.ndarray,
        flux: np.ndarray,
        dust: np.ndarray | None,
        dead_mass: float,
        settings: RowSettings,
    ) -> _Row:
        imf = settings.imf
        lowest = min(LOWEST_STAR, float(mass[0]))
        low, high = settings.mass_range(lowest)
        # The mass function bends at its edges, where a node must be.
        edges = [low, *imf.edges, *([lowest] if lowest > low else [])]
        mesh = np.concatenate((np.geomspace(low, high, MESH)[1:-1], edges))
        nodes = np.unique(np.concatenate((mesh, mass[(mass > low) & (mass < high)])))
        at = np.clip(np.searchsorted(mass, nodes, side="right") - 1, 0, len(mass) - 2)
        width = mass[at + 1] - mass[at]
        step = np.clip((nodes - mass[at]) / np.where(width > 0, width, 1), 0, 1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            between = np.exp((1 - step) * np.log(flux[at]) + step * np.log(flux[at + 1]))
        between = np.where(step == 1, flux[at + 1], np.nan_to_num(between))
        node_flux = np.where(step == 0, flux[at], between)
        node_flux[nodes > mass[-1]] = 0
        # An interval with a dark end is dark: a star is never half-lit.
        dark = (node_flux[:-1].max(1) <= 0) | (node_flux[1:].max(1) <= 0)
        dark |= nodes[1:] <= lowest
        node_present = np.minimum(np.interp(nodes, mass, present), nodes)
        value = np.column_stack((nodes, node_flux, node_present))
        start, rise = value[:-1].copy(), np.diff(value, axis=0)
        start[dark, 1:-1] = rise[dark, 1:-1] = 0
        cdf = imf.cdf(nodes)
        cdf[0], cdf[-1] = 0.0, 1.0
        if dust is not None:
            node_dust = dust[at] + step[..., None] * (dust[at + 1] - dust[at])
            dust = 0.5 * (node_dust[:-1] + node_dust[1:]) / (-2.5 * np.log10(2))
        return cls(cdf, start, rise, dust, dead_mass, lowest, settings)

    @property
    def present_fraction(self) -> float:
        middle = self.start + self.rise / 2
        total = np.diff(self.cdf) @ middle[:, [0, -1]]
        return float(total[1] / total[0])

    @cached_property
    def _top(self) -> np.ndarray:
        """Highest flux of each interval, (interval, band)."""
        flux = self.start[:, 1:-1]
        return np.maximum(flux, flux + self.rise[:, 1:-1])

    @cached_property
    def _thinned(self) -> np.ndarray:
        """Chance of the stars of each interval in the steps from `THINNED` on."""
        up_to = np.cumsum(np.diff(self.cdf)[:, None] * self._top**2, axis=0)
        square = up_to[-1]
        with np.errstate(over="ignore"):
            noise = self.settings.limit**2 + self._numbers[:, None] * square  # (step, band)
            ratio = (self._top**2 / np.maximum(noise, 1e-300)[:, None]).max(-1)
        matter = (up_to > LEAST_NOISE * square).any(1) | (ratio > 1)
        return np.concatenate((np.where(matter, ratio.clip(0, 1), 0), np.zeros((1, len(up_to)))))

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Numbers of stars whose shot noise joins the detector's, for each step but the last.

        Each leaves a third of the points of the one before, by the band that has most of them.
        """
        share, points = np.diff(self.cdf), np.zeros(1 + len(NUMBERS))
        square = share @ self._top**2
        numbers = np.concatenate(([0.0], NUMBERS))
        for flux, limit, mean_square in zip(self._top.T, self.settings.limit, square, strict=True):
            order = np.argsort(flux)
            squares, shares = flux[order] ** 2, share[order]
            below = np.concatenate(([0.0], np.cumsum(shares * squares)))
            above = np.concatenate((np.cumsum(shares[::-1])[::-1], [0.0]))
            noise = np.maximum(limit**2 + numbers * mean_square, 1e-300)
            fainter = np.searchsorted(squares, noise, side="right")
            points = np.maximum(points, above[fainter] + below[fainter] / noise)
        points = np.log(np.maximum(points, 1e-300))
        wanted = points[0] - np.log(3.0) * np.arange(1, N_STEPS - THINNED - 1)
        found = np.interp(-wanted, -points[1:], np.log(NUMBERS))
        return np.concatenate(([0.0], np.exp(found)))

    @cached_property
    def chances(self) -> np.ndarray:
        """Chance of the stars of each interval to be drawn singly, (step, interval)."""
        above = np.flatnonzero((self._top > self.settings.limit).any(1))
        whole = np.zeros(len(self._top))
        whole[above[0] if len(above) else len(whole) :] = 1
        thinned = np.where(self._faded, 0, self._thinned)
        return np.concatenate((np.ones((1, len(whole))), whole[None], thinned))

    @cached_property
    def _faded(self) -> np.ndarray:
        """Whether stars are dark beside stars of lower mass, with binaries; (interval,)."""
        if self.settings.binaries is None:
            return np.zeros(len(self._top), bool)
        faded = (self._top <= FADED * np.maximum.accumulate(self._top)).all(1)
        return np.asarray(faded & (self._top.cumsum(0) > 0).any(1))

    @cached_property
    def slots(self) -> Slots:
        """Of the stars drawn singly."""
        return Slots.of(self.chances, np.diff(self.cdf))

    @cached_property
    def _of_faded(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Companions of stars that have died or faded, in each interval; None without binaries.

        Their number per star of the population, and the sum of their primaries' quantities.
        """
        binaries = self.settings.binaries
        if binaries is None:
            return None
        (interval,) = np.nonzero(self._faded)
        middle = np.full(len(interval), 0.5)
        primary = self._stars(interval, middle, 0.0)
        share = binaries.fraction * np.diff(self.cdf)[interval]
        ends = np.append(self.start[:, 0], self.start[-1, 0] + self.rise[-1, 0])
        each = share[:, None] * np.diff(binaries.cdf(ends / primary[:, :1]), axis=1)
        number = np.where(self._faded, 0, each.sum(0))
        return number, np.where(self._faded[:, None], 0, each.T @ primary)

    @cached_property
    def companions(self) -> Slots | None:
        """Of the companions of stars that have died or faded."""
        if self._of_faded is None:
            return None
        never = np.zeros((THINNED, len(self._top)))
        return Slots.of(np.concatenate((never, self._thinned)), self._of_faded[0])

    def _drawn_companions(self, x: float) -> np.ndarray:
        """What the companions of faded stars, drawn singly, take out of the sums, (step, ...)."""
        assert self._of_faded is not None
        number, primary = self._of_faded
        every, taken = np.arange(len(number)), 0.0
        for place in 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3):  # exact for products
            star = self._stars(every, np.full(len(number), place), x)
            both = products(star, primary) + products(primary, star)
            own = number[:, None] * np.concatenate((star, products(star, star)), axis=1)
            own[:, star.shape[1] :] += both
            taken = taken + own / 2
        return self._thinned @ taken

    @property
    def share(self) -> np.ndarray:
        """Share of all stars that is drawn singly, (step,)."""
        return self.slots.share

    @cached_property
    def below(self) -> np.ndarray:
        """Share of the stars that are lighter than all of those always drawn, (step,)."""
        always = np.column_stack((self.chances >= 1, np.ones(N_STEPS, bool)))
        return self.cdf[always.argmax(1)]

    def entries(self) -> _Entries:
        """What is looked up; all that was computed on the way is forgotten.

        Two Gauss points per interval are exact for products of linear functions; with binaries,
        `Companions` says what else is needed.
        """
        outside = np.where(self.share >= 1, 1.0, 1.0 - self.share)[:, None]
        size = 3 + len(self.settings.limit)
        sums = [self._sums(x) for x in self.settings.dust_x]
        total = [(1 - self.chances) @ each for each in sums]
        if self._of_faded is not None:
            for each, x in zip(total, self.settings.dust_x, strict=True):
                each[THINNED:] -= self._drawn_companions(x)
        total = [each / outside for each in total]
        first = np.array([moments[:, :size] for moments in total])
        second = np.array([matrix(moments[:, size:], size) for moments in total])
        # A star that is drawn takes the light of 1 / sqrt(chance) stars out of the sums.
        weighted = matrix(sums[0][:, size:], size)[:, MASS, FLUX:]
        groups = light_groups(1 - np.sqrt(self.chances), sums[0][:, FLUX:size], weighted)
        found = _Entries(
            first, second, self._numbers, groups, self.below, self.slots, self.companions
        )
        for name in set(vars(self)) - {field.name for field in fields(self)}:
            del vars(self)[name]
        return found

    def _sums(self, x: float) -> np.ndarray:
        """Sums over each interval of a star's quantities, and of their products."""
        interval, step, share = self._points
        star = self._stars(interval, step, x)  # (point, 3 + band)
        size = star.shape[1]
        moments = np.concatenate((star, products(star, star)), axis=1)
        if self.settings.binaries is not None:
            more = self._companions.moments(*self._of_companions(x))
            mean = more[:, :size]
            more[:, size:] += products(star, mean)
            more[:, size:] += products(mean, star)
            moments += more
        moments *= share[:, None]
        first_of_interval = np.searchsorted(interval, np.arange(len(self.start)))
        return np.add.reduceat(moments, first_of_interval, axis=0)

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Interval (in order), place in it and share of all stars of the Gauss points.

        Two in each interval; with binaries two in each part of it between masses at which the
        heaviest or the lightest companion passes from one interval to the next.
        """
        start, width, binaries = self.start[:, 0], self.rise[:, 0], self.settings.binaries
        ratios = () if binaries is None else set(binaries.mass_ratio) - {1.0}
        bends = np.concatenate([np.empty(0), *(start / ratio for ratio in ratios)])
        bends = bends[bends < start[-1] + width[-1]]
        of_bend = np.searchsorted(start, bends, side="right") - 1
        interval = np.concatenate((np.arange(len(start)), of_bend))
        at_bend = (bends - start[of_bend]) / width[of_bend]
        step = np.concatenate((np.zeros(len(start)), at_bend))
        order = np.lexsort((step, interval))
        interval, step = interval[order], step[order]
        last = np.append(interval[1:] != interval[:-1], True)
        part = np.where(last, 1.0, np.append(step[1:], 1.0)) - step
        points = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)
        place = step[:, None] + part[:, None] * points
        share = np.diff(self.cdf)[interval] * part / 2
        return np.repeat(interval, 2), place.ravel(), np.repeat(share, 2)

    def _stars(self, interval: np.ndarray, step: np.ndarray, x: float) -> np.ndarray:
        """Quantities (n, 3 + band) of stars at a place within their intervals."""
        value = self.start[interval] + step[:, None] * self.rise[interval]
        flux = value[:, 1:-1]
        if x > 0 and self.dust is not None:
            powers = x ** np.arange(1, self.dust.shape[-1] + 1)
            flux = flux * np.exp2(self.dust @ powers)[interval]
        living = (value[:, 0] >= self.lowest_mass) & (value[:, 0] <= self.dead_mass)
        return np.column_stack((value[:, 0], value[:, -1], living, flux))

    @cached_property
    def _companions(self) -> Companions:
        binaries = self.settings.binaries
        assert binaries is not None
        interval, step, _ = self._points
        mass = self.start[interval, 0] + step * self.rise[interval, 0]
        node = np.append(self.start[:, 0], self.start[-1, 0] + self.rise[-1, 0])
        # Brown dwarfs may be lighter than all that is tabulated.
        lowest = min(binaries.mass_ratio[0] * mass[0], 0.99 * node[0])
        return Companions(np.concatenate(([lowest], node)), mass, binaries)

    def _of_companions(self, x: float) -> tuple[np.ndarray, np.ndarray]:
        """Quantities of stars at the lower ends of the companions' intervals, and their rise."""
        n = len(self.start)
        every = np.arange(n)
        middle, start, end = (self._stars(every, np.full(n, at), x) for at in (0.5, 0.0, 1.0))
        # An interval is alive or not as a whole: its ends belong to its neighbours as well.
        start[:, LIVING] = end[:, LIVING] = middle[:, LIVING]
        brown = np.zeros((2, start.shape[1]))
        brown[:, [MASS, PRESENT]] = self._companions.node[:2, None]
        start, end = np.concatenate((brown[:1], start)), np.concatenate((brown[1:], end))
        return start, end - start


def _joined(rows: list[_Row], settings: RowSettings) -> StarRows:
    n_nodes = max(len(row.cdf) for row in rows)
    entries = [row.entries() for row in rows]
    first = np.array([entry.first for entry in entries])  # (row, x, step, 3 + band)
    second = np.array([entry.second for entry in entries])
    companions = [entry.companions for entry in entries if entry.companions is not None]
    dusty = [row.dust for row in rows if row.dust is not None]
    dust = np.concatenate([_padded(terms, n_nodes) for terms in dusty]) if dusty else None
    # The last node of a row ends its last interval: as an interval of its own it does not rise.
    start = [np.concatenate((row.start, row.start[-1:] + row.rise[-1:])) for row in rows]
    return StarRows(
        n_nodes=n_nodes,
        lowest_mass=np.array([row.lowest_mass for row in rows]),
        cdf=np.array([_padded(row.cdf, n_nodes, mode="edge") for row in rows]),
        mass=np.array([_padded(s[:, 0], n_nodes, mode="edge") for s in start]),
        start=np.concatenate([_padded(s, n_nodes, mode="edge") for s in start]).T,
        rise=np.concatenate([_padded(row.rise, n_nodes) for row in rows]).T,
        dust=None if dust is None else dust.transpose(2, 1, 0).reshape(-1, len(dust)),
        dead_mass=np.array([row.dead_mass for row in rows]),
        present_fraction=np.array([row.present_fraction for row in rows]),
        below=np.array([entry.below for entry in entries]),
        mean=first[:, 0],
        second=second[:, 0],
        mean_dust=_dust_terms(first, settings.dust_x) if dusty else None,
        second_dust=_dust_terms(second, settings.dust_x) if dusty else None,
        numbers=np.array([entry.numbers for entry in entries]),
        light_groups=np.array([entry.light_groups for entry in entries]),
        slots=Slots.joined([entry.slots for entry in entries], n_nodes),
        companions=Slots.joined(companions, n_nodes) if companions else None,
    )


def _padded(values: np.ndarray, length: int, **how: str) -> np.ndarray:
    """Pad the first axis to `length`, with zeros unless `how` says otherwise."""
    after = [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, after, **how)  # type: ignore[call-overload]


def _dust_terms(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Polynomial through log2(value / value at x = 0), (row, ..., term) for (row, x, ...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(values[:, 1:] / values[:, :1])
    ratio = np.where(np.isfinite(ratio), ratio, 0.0)
    inverse = np.linalg.inv(x[1:, None] ** np.arange(1, len(x)))
    return np.moveaxis(np.tensordot(inverse, ratio, axes=(1, 1)), 0, -1)
