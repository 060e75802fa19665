"""Isochrones between the metallicities of a grid, at equal evolutionary phase."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from praesepe.errors import check_number, outside
from praesepe.stars.isochrones import (
    COLUMNS,
    METALLICITY_REACH_DEX,
    Isochrone,
    IsochroneGrid,
)

FIRST_EVOLVED = 2
COOL_LOG_TEFF = 3.9
"""Evolved stars cross this temperature fast: blue and red supergiants are not averaged."""
APART = 1e-10
"""Least relative distance of neighbouring masses."""


def refine_metallicity(
    grid: IsochroneGrid,
    step_dex: float = 0.05,
    low: float | None = None,
    high: float | None = None,
) -> IsochroneGrid:
    """The grid at evenly spaced metallicities, interpolated where it has none.

    Parameters
    ----------
    grid : IsochroneGrid
    step_dex : float
        Largest step in log10 Z.
    low, high : float, optional
        First and last mass fraction of metals; by default the grid's ends. Up to 0.2 dex beyond
        these, the end itself is taken. Equal values give one metallicity.

    Returns
    -------
    IsochroneGrid
        At the same ages; ``ceil(log10(high / low) / step_dex) + 1`` metallicities.

    Raises
    ------
    InputError
        For a step that is not positive, or a range that is reversed or beyond the grid.
    """
    check_number("step_dex", step_dex, 0, whole=False, above=True)
    first, last = float(grid.metallicity[0]), float(grid.metallicity[-1])
    low, high = first if low is None else low, last if high is None else high
    reach = 10.0**METALLICITY_REACH_DEX
    if not first / reach <= low <= high <= last * reach:
        raise outside("metallicity", (low, high), (first, last), "the stellar model")
    ends = np.clip([low, high], first, last)
    steps = int(np.ceil(np.log10(ends[1] / ends[0]) / step_dex - 1e-9))
    wanted = np.geomspace(ends[0], ends[1], steps + 1) if steps else ends[:1]
    joined: dict[int, list[JoinedIsochrones]] = {}
    isochrones = tuple(_at_metallicity(grid, float(metallicity), joined) for metallicity in wanted)
    return IsochroneGrid(grid.log_age, wanted, isochrones)


def _at_metallicity(
    grid: IsochroneGrid, metallicity: float, joined: dict[int, list[JoinedIsochrones]]
) -> tuple[Isochrone, ...]:
    """Isochrones of all ages at one metallicity inside the grid.

    Neighbours are joined once for all metallicities between them: `joined`, by the upper one.
    """
    log_z = np.log10(grid.metallicity)
    at = np.log10(metallicity)
    nearest = int(np.abs(log_z - at).argmin())
    if abs(log_z[nearest] - at) < 1e-6:
        return grid.isochrones[nearest]
    upper = int(np.clip(np.searchsorted(log_z, at), 1, len(log_z) - 1))
    fraction = float((at - log_z[upper - 1]) / (log_z[upper] - log_z[upper - 1]))
    if upper not in joined:
        pairs = zip(grid.isochrones[upper - 1], grid.isochrones[upper], strict=True)
        joined[upper] = [JoinedIsochrones.of(poor, rich) for poor, rich in pairs]
    return tuple(pair.at(fraction) for pair in joined[upper])


@dataclass(frozen=True)
class JoinedIsochrones:
    """Two isochrones of one age, point by point: columns at both ends, and the kind of star.

    Both are cut into phases: runs of stars of one kind. Phases that both have are joined point
    by point at equal progress, which is the fraction of the phase in initial mass, or in
    equivalent evolutionary points where both count them; masses and states are then linear in
    between. A phase that only one has keeps its own stars, and holds a mass interval that shrinks
    in proportion. So the turn-off, the tips of the giant branches and the last living star move
    steadily from one to the other.

    References
    ----------
    The idea of equivalent evolutionary points is that of Prather (1976) and Bergbusch &
    VandenBerg (1992, ApJS 81, 163), with the stellar types of SSE as points.
    """

    first: dict[str, np.ndarray]
    second: dict[str, np.ndarray]
    kind: np.ndarray

    @classmethod
    def of(cls, first: Isochrone, second: Isochrone) -> JoinedIsochrones:
        """Join two isochrones phase by phase."""
        with_eep = first.eep is not None and second.eep is not None
        names = [*(name for name in COLUMNS if name != "kind"), *(["eep"] if with_eep else [])]
        phases = _phases(first, second)
        parts = [_join(first, second, pair, names, with_eep) for pair in phases]
        low, high = (
            {name: np.concatenate([part[side][name] for part in parts]) for name in names}
            for side in (0, 1)
        )
        return cls(low, high, np.concatenate([kind for _, _, kind in parts]))

    def at(self, fraction: float) -> Isochrone:
        """The isochrone at a fraction of the way from the first (0) to the second (1)."""
        columns = {
            name: (1 - fraction) * low + fraction * self.second[name]
            for name, low in self.first.items()
        }
        mass = columns["initial_mass"]
        steps = APART * np.arange(len(mass))
        columns["initial_mass"] = np.maximum.accumulate(mass * (1 - steps)) * (1 + steps)
        return Isochrone(**columns, kind=self.kind)


@dataclass(frozen=True)
class _Pair:
    """One phase: its points in either isochrone, or None and the mass where it would lie."""

    first: slice | None
    second: slice | None
    gap: float = 0.0


def _phase_codes(isochrone: Isochrone) -> np.ndarray:
    """Kind of each star, and for evolved living ones whether it is hot or cool."""
    kind = isochrone.kind.astype(int)
    hot = isochrone.living & (kind >= FIRST_EVOLVED) & (isochrone.log_teff > COOL_LOG_TEFF)
    return 2 * kind + hot


def _runs(code: np.ndarray) -> list[slice]:
    edges = np.flatnonzero(np.diff(code)) + 1
    return [slice(int(a), int(b)) for a, b in zip([0, *edges], [*edges, len(code)], strict=True)]


def _phases(first: Isochrone, second: Isochrone) -> list[_Pair]:
    """Phases of both isochrones in the order of mass, matched by kind."""
    codes = _phase_codes(first), _phase_codes(second)
    runs = _runs(codes[0]), _runs(codes[1])
    kinds = [[int(code[run.start]) for run in own] for code, own in zip(codes, runs, strict=True)]
    pairs = []
    matcher = SequenceMatcher(None, kinds[0], kinds[1], autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            pairs += [_Pair(*both) for both in zip(runs[0][a:b], runs[1][c:d], strict=True)]
        else:
            gaps = _edge(first, runs[0], a), _edge(second, runs[1], c)
            # The masses at which the other isochrone skips these phases; after the first one's
            # phases have passed, its own place is their end.
            pairs += [_Pair(run, None, gaps[1]) for run in runs[0][a:b]]
            gap = _edge(first, runs[0], b)
            pairs += [_Pair(None, run, gap) for run in runs[1][c:d]]
    return pairs


def _edge(isochrone: Isochrone, runs: list[slice], index: int) -> float:
    """Mass between a run and the one before it."""
    mass = isochrone.initial_mass
    if index == 0:
        return float(mass[0])
    if index == len(runs):
        return float(mass[-1])
    at = runs[index].start
    return float(0.5 * (mass[at - 1] + mass[at]))


def _join(
    first: Isochrone, second: Isochrone, pair: _Pair, names: list[str], with_eep: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Columns of one phase at either end, at the same points, and their kind of star."""
    if pair.first is None or pair.second is None:
        own, run = (first, pair.first) if pair.second is None else (second, pair.second)
        there = {name: getattr(own, name)[run] for name in names}
        gone = {**there, "initial_mass": np.full_like(there["initial_mass"], pair.gap)}
        return *((there, gone) if own is first else (gone, there)), own.kind[run]
    sides = (first, pair.first), (second, pair.second)
    progress = _progress(sides, with_eep)
    grid = max(progress, key=len)
    low, high = (
        {name: np.interp(grid, own, getattr(one, name)[run]) for name in names}
        for own, (one, run) in zip(progress, sides, strict=True)
    )
    return low, high, np.full(len(grid), first.kind[pair.first.start])


def _progress(
    sides: tuple[tuple[Isochrone, slice], tuple[Isochrone, slice]], with_eep: bool
) -> list[np.ndarray]:
    """How far each star is through its phase, 0 to 1, in either isochrone."""
    if with_eep:
        counts = [np.asarray(one.eep)[run] for one, run in sides]
        if all(np.isfinite(count).all() and (np.diff(count) > 0).all() for count in counts):
            return [_fraction(count) for count in counts]
    return [_fraction(one.initial_mass[run]) for one, run in sides]


def _fraction(values: np.ndarray) -> np.ndarray:
    width = values[-1] - values[0]
    return (values - values[0]) / width if width > 0 else np.zeros(len(values))
