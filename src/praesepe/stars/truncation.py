"""Whether an isochrone file holds all its rows; a download may end anywhere."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from praesepe.errors import InputError, PraesepeWarning, unusable

if TYPE_CHECKING:
    from praesepe.stars.readers import IsochroneFile

SETTLED_LOG_AGE = 6.7
"""Before, the most massive stars die within few steps."""

COMPARABLE_DEX = 0.06
"""How far the ages of two isochrones may be apart whose late phases are compared."""

LEAST_ROWS = 0.71
"""Share of its rows that the next isochrone has: 0.72 or more in files of PARSEC and Geneva."""

MASS_DEX = 0.03
"""How far the highest mass may fall below the line through the two ages before.

It does so by at most 0.016 dex in the files of PARSEC and Geneva, after a cut on the main sequence
by up to 0.1 dex and more.
"""

LIGHT_DEX = 0.3
"""How much fainter the brightest star of an age may be than that of the age before it.

It is by at most 0.21 dex in those files, and by 0.4 to 3 dex after a cut among the first giants.
"""

COOL_DEX = 0.06
"""How much hotter the coolest of the bright stars may be than that of the age before it.

It is by at most 0.04 dex in those files; without red giants by 0.1 or more.
"""

LEAST_BACK, BACK_DEX, AGB_MSUN = 0.5, 0.05, 8.0
"""What ends on the asymptotic giant branch turns to the blue at last.

Isochrones of stars below 8 Msun end with one that is hotter than the coolest, by 0.09 to 0.25 dex
in files of PARSEC, and by 0.78 or more of that of the age before; after a cut of 50 rows of the
last 130, by 0.00.
"""

BRIGHT_DEX = 1.0
"""Stars whose log L is so far from that of the brightest count as bright."""

GIANTS = (*range(7), 11)
"""Kinds (`Isochrone.kind`) in the order in which a star goes through them.

The naked helium stars, 7 to 9, are left out: they end as the Wolf-Rayet stars do, at 7 Myr.
"""


def check_whole(file: IsochroneFile, good: np.ndarray) -> None:
    """Refuse a file that was cut off between two lines.

    Its last isochrone is compared with that of the age before it. The stars of highest mass are
    written last, so a cut takes away the giants, which give most of the light. `good` are the rows
    that are stars, bool (n,).

    Raises
    ------
    InputError
        Where the last isochrone of the file lacks the late phases, the light or the cool giants of
        the one before it.

    Warns
    -----
    PraesepeWarning
        Where it lacks many rows only, or the end of the giant branch.
    """
    last_row = int(np.flatnonzero(good)[-1]) if good.any() else -1
    if last_row >= 0:
        same_z = np.flatnonzero(good & (file.metallicity == file.metallicity[last_row]))
        _check_last(file, blocks_of(file, same_z), last_row)


def blocks_of(file: IsochroneFile, rows: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Ages and their rows, by ascending age."""
    ages = np.round(file.log_age[rows], 4)
    return [(float(age), rows[ages == age]) for age in np.unique(ages)]


def _check_last(file: IsochroneFile, blocks: list[tuple[float, np.ndarray]], last_row: int) -> None:
    """Compare the isochrone that the file ends with, where its age is the highest."""
    age, rows = blocks[-1]
    if len(blocks) < 2 or last_row not in rows or age - blocks[-2][0] > COMPARABLE_DEX:
        return
    younger, before = blocks[-2]
    phases = [max(map(_phase, file.kind[part])) for part in (before, rows)]
    if phases[1] < phases[0]:
        raise _cut(file, age, f"it lacks the late phases of evolution that {younger:g} has")
    light = [float(file.log_l[part].max()) for part in (before, rows)]
    if light[1] < light[0] - LIGHT_DEX:
        raise _cut(
            file, age, f"its brightest star has log L = {light[1]:.2f}, that of {younger:g} "
            f"{light[0]:.2f}",
        )  # fmt: skip
    coolest = [_coolest(file, part) for part in (before, rows)]
    if coolest[1] > coolest[0] + COOL_DEX:
        raise _cut(
            file, age, f"its coolest bright star has log T_eff = {coolest[1]:.3f}, that of "
            f"{younger:g} {coolest[0]:.3f}",
        )  # fmt: skip
    if len(blocks) > 2 and blocks[-3][0] >= SETTLED_LOG_AGE:
        x = np.array([block[0] for block in blocks[-3:]])
        y = np.log10([file.initial_mass[block[1]].max() for block in blocks[-3:]])
        expected = y[1] + (y[1] - y[0]) / (x[1] - x[0]) * (x[2] - x[1])
        if y[2] < expected - MASS_DEX:
            raise _cut(
                file, age, f"it ends at {10 ** y[2]:.4g} Msun where {10**expected:.4g} is expected"
            )
    doubt = ""
    if len(rows) < LEAST_ROWS * len(before):
        doubt = f"has {len(rows)} rows of log age {age:g}, with which it ends, and {len(before)}"
    ends = (float(file.log_teff[part[-1]]) for part in (before, rows))
    back = [end - cool for end, cool in zip(ends, coolest, strict=True)]
    if file.initial_mass[rows].max() < AGB_MSUN and max(BACK_DEX, back[1] / LEAST_BACK) < back[0]:
        doubt = (
            f"ends {back[1]:.2f} dex in T_eff behind the coolest star of log age {age:g}, and "
            f"{back[0]:.2f} dex behind that"
        )
    if doubt:
        doubt = f"{file.path.name} {doubt} of {younger:g}; it may be cut off"
        warnings.warn(doubt, PraesepeWarning, stacklevel=4)


def _phase(kind: int) -> int:
    return GIANTS.index(kind) if kind in GIANTS else 0


def _coolest(file: IsochroneFile, rows: np.ndarray) -> float:
    """Lowest log T_eff among the bright stars."""
    bright = file.log_l[rows] > file.log_l[rows].max() - BRIGHT_DEX
    return float(file.log_teff[rows][bright].min())


def _cut(file: IsochroneFile, age: float, why: str) -> InputError:
    return unusable(
        file.path,
        f"is truncated in its isochrone of log age {age:g}: {why}",
        "download it again, or delete that isochrone from the file",
    )
