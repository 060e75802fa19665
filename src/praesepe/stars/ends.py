"""Whether the isochrones of a file reach as far as those of other models, and of other ages.

A file may be cut inside: every isochrone may lack its last rows, which are the giants, or its
massive stars. Each is held against those of the ages before and after it and against SSE's, which
come with Praesepe.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

import numpy as np

from praesepe.errors import PraesepeWarning, listed, unusable
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.readers import IsochroneFile
from praesepe.stars.truncation import BRIGHT_DEX, blocks_of

SETTLED_LOG_AGE = 6.75
"""Before, models differ in which of the most massive stars have died."""

LEAST_MASS = 0.5
"""Msun; lighter stars add nothing to the light that is compared."""

ENDS = ("highest mass", "brightest star", "coolest bright star", "light of all stars")
COOLEST = 2
BELOW_SSE = (0.08, 1.1, 0.31, 0.25)
BELOW_NEIGHBORS = (0.015, 0.37, 0.16, 0.18)
GROSSLY_BELOW_SSE = (0.15, math.inf, math.inf, 0.4)
"""How far, in dex, the `_ends` of an isochrone may lie below those of SSE, and how much further
than those of the ages before and after.

In FSPS's files of PARSEC, Padova, Geneva and BaSTI (Z up to 0.04) they do so by 0.06, 0.98, 0.29
and 0.23, and by 0.01, 0.35, 0.15 and 0.17, at most. Without the last third of its rows one of three
isochrones lies below SSE's limits, two of three below those of its neighbors.
"""

STEP_DEX, WIDE_STEP_DEX = 0.05, 0.13
MOST_AGES = 6
"""As many are named."""

NEIGHBORS_DEX = 0.11
"""How far the ages before and after may be for that."""

OFF_SSE = {"log_l": 0.9, "log_teff": 0.2}
"""How far stars of the main sequence may lie off SSE's, in the middle of all: 0.55 and 0.09 in
files as above, 1.4 and more where logarithms are natural."""

UNEVOLVED, DOUBTED_OFF_SSE = (0.5, 0.7), {"log_l": 0.2, "log_teff": 0.06}
"""From so many Msun to this share of the highest mass of the main sequence models agree: by 0.08
and 0.02 in files of PARSEC and Geneva, at the median of each age."""


def check_ends(file: IsochroneFile, good: np.ndarray) -> None:
    """Hold the ends of a file's isochrones, and their main sequence, against what is known.

    `good` are the rows that are stars, bool (n,).

    Raises
    ------
    InputError
        Where an isochrone lacks masses or light that stars of its age have, or its main sequence is
        far from that of SSE.

    Warns
    -----
    PraesepeWarning
        Where isochrones end before others do by less, or unevolved stars are off those of SSE.
    """
    base = IsochroneGrid.embedded()
    first, last = base.log_age[[0, -1]] + np.array([-1, 1]) * STEP_DEX / 2
    for z in np.unique(file.metallicity[good]):
        blocks = blocks_of(file, np.flatnonzero(good & (file.metallicity == z)))
        inside = [one for one in blocks if first <= one[0] <= last and len(one[1]) > 1]
        if inside:
            _check_ends(file, float(z), inside)


def check_steps(log_age: np.ndarray) -> None:
    """Warn where the ages of a grid are far apart."""
    steps = np.diff(log_age)
    if steps.size and steps.max() > WIDE_STEP_DEX:
        at = int(steps.argmax())
        warnings.warn(
            f"the isochrones are up to {steps[at]:.2f} dex apart in age ({log_age[at]:g} and "
            f"{log_age[at + 1]:g}), and a cluster has the stars of the nearest; give steps of "
            f"{STEP_DEX} dex",
            PraesepeWarning,
            stacklevel=3,
        )


def _check_ends(file: IsochroneFile, z: float, blocks: list[tuple[float, np.ndarray]]) -> None:
    """Compare the ends of the isochrones of one metallicity."""
    base = IsochroneGrid.embedded()
    ages = np.array([age for age, _ in blocks])
    i_z = int(np.abs(np.log10(base.metallicity / z)).argmin())
    known = np.array([np.interp(ages, base.log_age, end) for end in _ends_of_sse(i_z).T]).T
    found = np.array([_ends(file.take(rows)) for _, rows in blocks])
    off = []
    for age, rows in blocks:
        sse = base.isochrone(_nearest(base.log_age, age), i_z)
        _check_main_sequence(file, age, rows, sse)
        off += [(_off_sse(file, rows, sse), age)]
    _tell_off_sse(file, z, [one for one in off if one[0]])
    below = known - found  # (age, end)
    settled = ages > SETTLED_LOG_AGE
    gross = below > GROSSLY_BELOW_SSE
    gross[~settled, 0] = False
    early = settled & (below > BELOW_SSE).any(axis=1)
    near = np.diff(ages) <= NEIGHBORS_DEX
    inner = settled[1:-1] & near[1:] & near[:-1]
    further = below[1:-1] - np.maximum(below[:-2], below[2:]) > BELOW_NEIGHBORS
    early[1:-1] |= inner & further.any(axis=1)
    for wrong, most in ((gross.any(axis=1), GROSSLY_BELOW_SSE), (early, BELOW_SSE)):
        if not wrong.any():
            continue
        excess = np.where(wrong[:, None], below / most, -math.inf)
        worst, which = map(int, np.unravel_index(excess.argmax(), excess.shape))
        sign = -1 if which == COOLEST else 1
        told = [f"{sign * value[worst, which]:.2f}" for value in (found, known)]
        why = f"the logarithm of its {ENDS[which]} is {told[0]}, that of SSE {told[1]}"
        if wrong is not early:
            raise unusable(
                file.path,
                f"lacks stars in its isochrone of log age {ages[worst]:g}: {why}",
                "download it again, or leave that age out",
            )
        warnings.warn(
            f"{file.path.name}: isochrones of log age {_listed(ages[early])} (Z = {z:g}) end "
            f"before those of other ages or of SSE; of {ages[worst]:g} {why}; they may be cut off",
            PraesepeWarning,
            stacklevel=4,
        )


def _listed(ages: np.ndarray) -> str:
    return listed([f"{age:g}" for age in ages[:MOST_AGES]]) + " and others" * (
        len(ages) > MOST_AGES
    )


def _nearest(ages: np.ndarray, age: float) -> int:
    return int(np.abs(ages - age).argmin())


def _ends(stars: Isochrone) -> np.ndarray:
    """Logarithms of what an isochrone reaches, in the order of `ENDS`; less is less reached."""
    order = np.argsort(stars.initial_mass, kind="stable")
    mass, log_l = stars.initial_mass[order], stars.log_l[order]
    light = np.trapezoid(np.where(mass > LEAST_MASS, mass**-2.3, 0.0) * 10.0**log_l, mass)
    coolest = -stars.log_teff[stars.log_l > log_l.max() - BRIGHT_DEX].min()
    return np.array([np.log10(mass[-1]), log_l.max(), coolest, np.log10(max(light, 1e-9))])


@lru_cache(maxsize=32)
def _ends_of_sse(i_z: int) -> np.ndarray:
    """(age, end) of the embedded isochrones of one metallicity."""
    column = IsochroneGrid.embedded().isochrones[i_z]
    return np.array([_ends(one.take(one.living)) for one in column])


def _check_main_sequence(file: IsochroneFile, age: float, rows: np.ndarray, sse: Isochrone) -> None:
    """Refuse luminosities or temperatures that stars of these masses do not have."""
    rows = rows[np.argsort(file.initial_mass[rows], kind="stable")]
    mass, dwarfs = file.initial_mass[rows], sse.kind < 2
    low, high = mass[0], 0.8 * min(mass[-1], sse.initial_mass[dwarfs].max())
    if low >= high:
        return
    masses = np.geomspace(low, high, 20)
    for name, most in OFF_SSE.items():
        own = np.interp(masses, mass, getattr(file, name)[rows])
        off = own - np.interp(masses, sse.initial_mass, getattr(sse, name))
        if np.median(np.abs(off)) > most:
            worst = int(np.abs(off).argmax())
            raise unusable(
                file.path,
                f"has {name} = {own[worst]:.2f} for a star of {masses[worst]:.2f} Msun of the main "
                f"sequence at log age {age:g}, where {own[worst] - off[worst]:.2f} is expected",
                "give log10 of luminosity (solar) and temperature (K), and the right ages",
            )


def _off_sse(file: IsochroneFile, rows: np.ndarray, sse: Isochrone) -> dict[str, float]:
    """How far unevolved stars lie off SSE's, at the median, of what is doubted."""
    rows = rows[np.argsort(file.initial_mass[rows], kind="stable")]
    mass, (low, share) = file.initial_mass[rows], UNEVOLVED
    low, high = max(low, mass[0]), share * min(mass[-1], sse.initial_mass[sse.kind < 2].max())
    if low >= high:
        return {}
    masses = np.geomspace(low, high, 20)
    found = {
        name: np.interp(masses, mass, getattr(file, name)[rows])
        - np.interp(masses, sse.initial_mass, getattr(sse, name))
        for name in DOUBTED_OFF_SSE
    }
    off = {name: float(np.median(values)) for name, values in found.items()}
    return {name: value for name, value in off.items() if abs(value) > DOUBTED_OFF_SSE[name]}


def _tell_off_sse(file: IsochroneFile, z: float, off: list[tuple[dict[str, float], float]]) -> None:
    if off:
        which, ages = off[0][0], np.array([age for _, age in off])
        shown = " and ".join(f"{name} by {value:+.2f}" for name, value in which.items())
        warnings.warn(
            f"{file.path.name}: unevolved stars of log age {_listed(ages)} (Z = {z:g}) are off "
            f"those of SSE, in {shown} at {ages[0]:g}; are luminosities, temperatures, masses and "
            "Z what they are said to be?",
            PraesepeWarning,
            stacklevel=5,
        )
