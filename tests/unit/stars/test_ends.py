"""Isochrone files that were cut inside, and those whose numbers are in other units."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest

from praesepe.errors import InputError, PraesepeWarning
from praesepe.stars import IsochroneGrid
from praesepe.stars.assembly import are_stars
from praesepe.stars.ends import check_ends, check_steps
from praesepe.stars.readers import IsochroneFile, read_isochrones

COLUMNS = ("initial_mass", "present_mass", "log_l", "log_teff", "log_g", "kind")
Z = 6
AGES = np.arange(6.6, 10.11, 0.05).round(4)


@pytest.fixture(scope="module")
def whole():
    """The living stars of SSE at Z = 0.02, as a file."""
    grid = IsochroneGrid.embedded()
    parts = [one.take(one.living) for one in grid.isochrones[Z]]
    sizes = [len(one.kind) for one in parts]
    columns = {name: np.concatenate([getattr(one, name) for one in parts]) for name in COLUMNS}
    return IsochroneFile(
        **columns, path=Path("a.dat"), format="PARSEC", sha256="0" * 64,
        metallicity=np.full(sum(sizes), grid.metallicity[Z]),
        log_age=np.repeat(grid.log_age, sizes),
    )  # fmt: skip


def changed(file, keep=slice(None), **columns):
    """Some rows of a file, with other numbers."""
    names = (*COLUMNS, "metallicity", "log_age")
    file = dataclasses.replace(file, **columns)
    return dataclasses.replace(file, **{name: getattr(file, name)[keep] for name in names})


def light(file, share, only):
    """Of some ages only the stars below a share of the highest mass."""
    highest = {age: file.initial_mass[np.abs(file.log_age - age) < 1e-6].max() for age in only}
    most = [share * highest.get(round(age, 4), np.inf) for age in file.log_age]
    return changed(file, file.initial_mass < most)


def begun(file, share, only=None):
    """The first rows of each isochrone, or of those of some ages."""
    keep = np.ones(len(file.log_age), bool)
    for age in np.unique(file.log_age) if only is None else only:
        rows = np.flatnonzero(np.abs(file.log_age - age) < 1e-6)
        keep[rows[int(share * len(rows)) :]] = False
    return changed(file, np.flatnonzero(keep))


@pytest.mark.parametrize(
    ("change", "refused", "said"),
    [
        (lambda f: f, False, None),
        (
            lambda f: light(f, 0.9, AGES[5:25]),
            False,
            r"of log age 6\.95, .* and others .* end before",
        ),
        (
            lambda f: light(f, 0.6, [8.0]),
            True,
            r"a\.dat lacks stars in its isochrone of log age 8:",
        ),
        (
            lambda f: light(f, 0.9, [7.5, 8.0, 9.0]),
            False,
            r"a\.dat: isochrones of log age 7\.5, 8 and 9 \(Z = 0\.02\) end before those of other",
        ),
        (
            lambda f: changed(f, f.initial_mass < 5),
            True,
            r"lacks stars in its isochrone of log age 6\.6: .*mass is 0\.6., that of SSE 2\.0",
        ),
        (lambda f: changed(f, f.log_age > 7.9), False, None),
        (
            lambda f: changed(f, log_l=f.log_l * np.log(10)),
            True,
            r"log_l = 8\.2. for a star of 8\.\d+ Msun of the main sequence .*give log10 of lum",
        ),
        (
            lambda f: changed(f, log_l=f.log_l + 0.4),
            False,
            r"a\.dat: unevolved stars of log age 6\.6, .* others .* log_l by \+0\.40 at 6\.6;",
        ),
        (lambda f: changed(f, log_teff=f.log_teff - 0.3), True, r"log_teff = 3.* for a star"),
        (lambda f: changed(f, log_age=f.log_age - 0.5), True, "lacks stars in its isochrone"),
    ],
)
def test_isochrones_end_where_stars_die(whole, change, refused, said):
    """Silent before, but for masses that fall by a fifth from one age to the next."""
    file = change(whole)
    told = pytest.raises(InputError, match=said) if refused else pytest.warns(match=said)
    with told if said else contextlib.nullcontext():
        check_ends(file, are_stars(file))


def test_whole_files_of_other_models_pass(shared_data):
    for path in sorted((shared_data / "isochrones").glob("*.dat")):
        (file,) = read_isochrones(path)
        check_ends(file, are_stars(file))
        check_steps(np.unique(file.log_age))


def test_ages_far_apart_are_told():
    check_steps(AGES[::2])
    with pytest.warns(PraesepeWarning, match=r"up to 0\.60 dex apart in age \(6\.6 and 7\.2\)"):
        check_steps(AGES[::12])


@pytest.mark.parametrize("name", ["fsps_parsec_isoc_z0.0200.dat", "parsec_v1.2S_wfc3_Z0.019.dat"])
def test_real_files_with_a_third_of_each_block_lost(shared_data, name):
    (file,) = read_isochrones(shared_data / "isochrones" / name)
    one = begun(file, 0.67, [7.0])
    with pytest.warns(
        PraesepeWarning, match=r"of log age 7 .*coolest bright star is \S+, .* 3\.56"
    ):
        check_ends(one, are_stars(one))
    every = begun(file, 0.67)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((InputError, PraesepeWarning), match=r"7\.1|6\.75|lacks stars"):
            check_ends(every, are_stars(every))
