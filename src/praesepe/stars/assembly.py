"""From the rows of isochrone files to a grid: sorted, completed, on common ages."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from praesepe.errors import InputError, PraesepeWarning, unusable
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.readers import IsochroneFile
from praesepe.stars.truncation import check_whole

LOG_AGES = (6.6, 10.1)
"""What a grid may cover; ages beyond, by more than half a step, are left out."""
STEP_DEX = 0.05
MASSES = (0.08, 120.0)
"""Msun; every isochrone of a grid reaches from one to the other, like the embedded ones."""
SMALL_GAP = 0.15
"""Msun; below a first mass up to this one, its star stands for the lighter ones."""
APART = 1e-9
"""Relative distance given to masses that a file rounds to the same number."""
SAME_Z = 1e-3
FEW = 0.02
"""Share of a file's rows that may be no stars without a word."""

LIMITS = {"log_l": (-9.0, 9.0), "log_teff": (2.0, 7.0), "log_g": (-4.0, 12.0)}
"""Numbers outside stand for stars that do not exist (PARSEC writes -9.999)."""
NON_LUMINOUS = (-4.0, 3.7, 8.0)
"""log L, log T_eff, log g written for dead stars; they give no light."""

Stars = tuple[IsochroneFile, np.ndarray]
"""A file, and the places of one isochrone's stars in it."""


def assemble(files: Sequence[IsochroneFile]) -> IsochroneGrid:
    """Build a grid from what was read.

    Ages are thinned to the one nearest each multiple of 0.05 dex between 6.6 and 10.1, and only
    those that every metallicity has are kept. Masses are sorted, and equal ones set apart by
    1e-9. Stars lighter than the first are given its light where it has at most 0.15 Msun, else
    they come from the embedded grid. Stars heavier than the last one are dead and non-luminous,
    with the remnants of the embedded grid.

    Parameters
    ----------
    files : sequence of IsochroneFile

    Returns
    -------
    IsochroneGrid

    Raises
    ------
    InputError
        For no usable age, a metallicity that two files give for the same age, or a file that was
        cut off between two lines.

    Warns
    -----
    PraesepeWarning
        Where ages are left out, or low-mass stars come from the embedded grid.
    """
    base = IsochroneGrid.embedded()
    cells = _cells(files)
    metallicities = sorted({z for z, _ in cells})
    slots = _common_slots(cells, metallicities)
    log_age = np.array([_age(cells[metallicities[0], slot]) for slot in slots])
    isochrones = tuple(
        tuple(
            _complete(_sorted(cells[z, slot]), age, z, base)
            for slot, age in zip(slots, log_age, strict=True)
        )
        for z in metallicities
    )
    columns = (cells[z, slot] for z in metallicities for slot in slots)
    first = max(float(file.initial_mass[rows].min()) for file, rows in columns)
    if first > SMALL_GAP:
        warnings.warn(
            f"the stellar model begins at {first:g} Msun; lighter stars come from the embedded one",
            PraesepeWarning,
            stacklevel=2,
        )
    return IsochroneGrid(log_age, np.array(metallicities), isochrones)


def _cells(files: Sequence[IsochroneFile]) -> dict[tuple[float, int], Stars]:
    """Rows of each metallicity and step in age: of the age nearest the step."""
    cells: dict[tuple[float, int], Stars] = {}
    seen: list[float] = []
    ages: list[float] = []
    for file in files:
        good = are_stars(file)
        if (left_out := 1 - good.mean()) > FEW:
            warnings.warn(
                f"{file.path.name}: {left_out:.0%} of the rows are left out: no mass, age, "
                "metallicity, luminosity, temperature or gravity of a star",
                PraesepeWarning,
                stacklevel=2,
            )
        check_whole(file, good)
        rounded = np.round(file.log_age, 4)
        for z in np.unique(file.metallicity[good]):
            same = next((other for other in seen if abs(other / z - 1) < SAME_Z), None)
            key = float(z) if same is None else same
            seen.append(key)
            mine = good & (file.metallicity == z)
            for age in np.unique(rounded[mine]):
                ages.append(float(age))
                _place(cells, key, float(age), (file, np.flatnonzero(mine & (rounded == age))))
    if not cells:
        shown = f"{min(ages):g} to {max(ages):g}" if ages else "none"
        raise InputError(
            f"no isochrone has a log age of {LOG_AGES[0]:g} to {LOG_AGES[1]:g} (found: {shown})",
            given=ages,
            allowed=LOG_AGES,
            remedy="download ages within these",
        )
    return cells


def are_stars(file: IsochroneFile) -> np.ndarray:
    """Whether the rows of a file are stars, bool (n,)."""
    good = np.isfinite(file.initial_mass) & (file.initial_mass > 0) & (file.metallicity > 0)
    good &= np.isfinite(file.log_age) & (file.present_mass > 0)
    for name, (low, high) in LIMITS.items():
        column = getattr(file, name)
        good &= (column > low) & (column < high)  # False for NaN
    return np.asarray(good)


def _place(cells: dict[tuple[float, int], Stars], z: float, age: float, stars: Stars) -> None:
    slot = round(age / STEP_DEX)
    if not round(LOG_AGES[0] / STEP_DEX) <= slot <= round(LOG_AGES[1] / STEP_DEX):
        return
    if len(stars[1]) < 2:
        return  # one star is no isochrone
    known = cells.get((z, slot))
    if known is not None:
        if known[0] is not stars[0]:
            fault = f"and {stars[0].path.name} both have Z = {z:g} at log age {age:g}"
            raise unusable(known[0].path, fault, "give one of them")
        if abs(_age(known) - slot * STEP_DEX) <= abs(age - slot * STEP_DEX):
            return
    cells[z, slot] = stars


def _common_slots(
    cells: dict[tuple[float, int], Stars], metallicities: Sequence[float]
) -> list[int]:
    """Steps in age that every metallicity has."""
    sets = [{slot for z, slot in cells if z == own} for own in metallicities]
    common, every = set.intersection(*sets), set.union(*sets)
    if not common:
        shown = "; ".join(
            f"Z = {z:g}: {min(s) * STEP_DEX:.2f} to {max(s) * STEP_DEX:.2f}"
            for z, s in zip(metallicities, sets, strict=True)
        )
        raise InputError(
            f"the metallicities have no age in common ({shown})",
            given=list(metallicities),
            remedy="download the same ages of each",
        )
    if common != every:
        lost = ", ".join(f"{slot * STEP_DEX:.2f}" for slot in sorted(every - common))
        warnings.warn(
            f"log ages that not every metallicity has are left out: {lost}",
            PraesepeWarning,
            stacklevel=3,
        )
    return sorted(common)


def _age(stars: Stars) -> float:
    return float(np.round(stars[0].log_age[stars[1][0]], 4))


def _sorted(stars: Stars) -> Isochrone:
    """Stars of one isochrone by strictly ascending mass."""
    file, rows = stars
    rows = rows[np.argsort(file.initial_mass[rows], kind="stable")]
    mass = file.initial_mass[rows]
    # Equal masses are fast phases that the file's digits do not tell apart: keep every point.
    steps = np.arange(len(mass))
    mass = np.maximum.accumulate(mass * (1 - APART * steps)) * (1 + APART * steps)
    return replace(file.take(rows), initial_mass=mass)


def _complete(isochrone: Isochrone, log_age: float, z: float, base: IsochroneGrid) -> Isochrone:
    """Add the stars below the first mass, and the dead above the last."""
    parts = [isochrone]
    first, last = isochrone.initial_mass[[0, -1]]
    nearest_z = int(np.abs(np.log10(base.metallicity / z)).argmin())
    nearest_age = int(np.abs(base.log_age - log_age).argmin())
    if first > MASSES[0] * (1 + APART):
        parts.insert(0, _lighter(isochrone, first, base.isochrone(nearest_age, nearest_z)))
    if last < MASSES[1] * (1 - 1e-3):
        parts.append(_dead(last, nearest_age, nearest_z, base))
    return Isochrone.joined(parts, with_eep=isochrone.eep is not None)


def _lighter(isochrone: Isochrone, first: float, base: Isochrone) -> Isochrone:
    if first <= SMALL_GAP:
        lightest, mass = isochrone.take(slice(0, 1)), np.array([MASSES[0]])
        eep = None if lightest.eep is None else lightest.eep - 1.0
        return replace(lightest, initial_mass=mass, present_mass=mass, eep=eep)
    return base.take(base.initial_mass < first * (1 - APART))


def _dead(last: float, i_age: int, i_z: int, base: IsochroneGrid) -> Isochrone:
    """Remnants of all stars above the last mass; those of the base grid, or of a later age."""
    for age in range(i_age, len(base.log_age)):
        other = base.isochrone(age, i_z)
        gone = ~other.living
        if gone.any():
            break
    mass, remnant, kind = (c[gone] for c in (other.initial_mass, other.present_mass, other.kind))
    beyond = mass > last * (1 + 2e-6)
    at = np.concatenate([[last * (1 + 1e-6)], mass[beyond]])
    if at[-1] < MASSES[1]:
        at = np.append(at, MASSES[1])
    nearest = np.clip(np.searchsorted(mass, at), 0, len(mass) - 1)
    log_l, log_teff, log_g = (np.full(len(at), value) for value in NON_LUMINOUS)
    remnants = np.interp(at, mass, remnant)
    return Isochrone(at, remnants, log_l, log_teff, log_g, kind[nearest])
