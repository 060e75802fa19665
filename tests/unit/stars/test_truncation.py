"""Isochrone files that were cut off between two lines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from praesepe.errors import InputError, PraesepeWarning
from praesepe.stars import build_table, load_passband
from praesepe.stars.assembly import assemble
from praesepe.stars.isochrones import surface_gravity
from praesepe.stars.readers import IsochroneFile, read_isochrones
from praesepe.stars.truncation import check_whole

PHASES = ((0.85, 1), (0.9, 2), (0.96, 3), (0.98, 4), (1.0, 5))
"""Fraction of the highest mass up to which a made-up star is in a phase."""


def made_up(ages=(8.0, 8.05, 8.1), kinds=True, fall=0.02):
    """Isochrones whose highest mass falls by `fall` dex each, with giants of up to 3 dex."""
    rows = []
    for i, age in enumerate(ages):
        highest = 5.0 * 10 ** (-fall * i)
        for fraction in np.concatenate([np.geomspace(0.02, 0.85, 40), np.linspace(0.86, 1.0, 29)]):
            kind = next(k for limit, k in PHASES if fraction <= limit + 1e-9)
            mass = fraction * highest
            log_l = 3.5 * np.log10(mass) + 15 * max(0.0, fraction - 0.85)
            rows.append((0.02, age, mass, log_l, 3.9 - 0.1 * kind, kind if kinds else 1))
    z, age, mass, log_l, log_teff, kind = np.array(rows).T
    gravity = surface_gravity(mass, log_l, log_teff)
    return IsochroneFile(
        mass, mass, log_l, log_teff, gravity, kind.astype(np.uint8), path=Path("a.dat"),
        format="PARSEC", sha256="0" * 64, metallicity=z, log_age=age,
    )  # fmt: skip


def cut(file, n):
    """The first n rows of a file, or those of these numbers."""
    columns = ("metallicity", "log_age", "initial_mass", "present_mass", "log_l", "log_teff")
    columns = (*columns, "log_g", "kind")
    return dataclasses.replace(
        file,
        **{
            name: getattr(file, name)[:n] if np.isscalar(n) else getattr(file, name)[n]
            for name in columns
        },
    )


def test_whole_files_pass():
    for kinds in (True, False):
        assert len(assemble([made_up(kinds=kinds)]).log_age) == 3
    assert len(assemble([cut(made_up(), 2 * 69)]).log_age) == 2  # whole isochrones, fewer ages


@pytest.mark.parametrize("kinds", [True, False])
@pytest.mark.parametrize("n", [2, 20, 40, 45, 50])
def test_a_cut_is_found(n, kinds):
    """By the mass, the phases or the light; the first two isochrones are whole."""
    with pytest.raises(InputError, match=r"a\.dat is truncated in its isochrone of log age 8\.1"):
        assemble([cut(made_up(kinds=kinds), 2 * 69 + n)])


def test_a_cut_among_the_giants_is_found_by_their_phases():
    with pytest.raises(InputError, match=r"late phases of evolution that 8\.05 has"):
        assemble([cut(made_up(), 3 * 69 - 5)])


def test_a_cut_without_phases_is_found_by_the_light():
    file = made_up(kinds=False)
    with pytest.raises(InputError, match="brightest star has log L"):
        assemble([cut(file, 3 * 69 - 5)])
    assemble([cut(file, 3 * 69 - 1)])  # the loss of one star is a matter of 0.01 mag


def test_a_cut_without_phases_and_giants_is_found_by_the_mass():
    file = made_up(kinds=False)
    log_teff = np.full_like(file.log_teff, 3.7)
    file = dataclasses.replace(file, log_l=np.minimum(file.log_l, 1.5), log_teff=log_teff)
    with pytest.raises(InputError, match=r"ends at .* Msun where .* is expected"):
        assemble([cut(file, 3 * 69 - 25)])


def test_a_cut_without_phases_among_stars_of_one_brightness_is_found_by_the_temperature():
    """The supergiants of young clusters are no brighter than the stars that they come from."""
    file = made_up(kinds=False)
    file = dataclasses.replace(file, log_l=np.minimum(file.log_l, 1.5))
    with pytest.raises(InputError, match=r"coolest bright star has log T_eff = 3\.6"):
        assemble([cut(file, 3 * 69 - 10)])


@pytest.mark.parametrize("z", ["0.0080", "0.0140", "0.0200"])
@pytest.mark.parametrize("n", [40, 100])
def test_the_end_of_the_giant_branch_is_missed(shared_data, tmp_path, z, n):
    """The giants' first rows and the asymptotic branch's alike in light: all other signs fail."""
    name = f"fsps_parsec_isoc_z{z}.dat"
    lines = (shared_data / "isochrones" / name).read_text().splitlines()
    (tmp_path / name).write_text("\n".join(lines[:-n]) + "\n")
    said = r"ends 0\.0\d dex in T_eff behind the coolest star of log age 10\.1.* may be cut off"
    with pytest.warns(PraesepeWarning, match=said):
        assemble(read_isochrones(tmp_path / name))


def test_many_rows_less_are_told():
    with pytest.warns(PraesepeWarning, match=r"has 35 rows of log age 8\.1.* may be cut off"):
        assemble([cut(made_up(), np.r_[0:138, 138:207:2])])


FILES = ("parsec_v1.2S_wfc3_Z0.019.dat", "fsps_parsec_isoc_z0.0080.dat")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.9])
def test_real_files_cut_at_a_line_end(shared_data, tmp_path, name, fraction):
    """In the isochrone of log age 7.3; a file that ends after it is whole."""
    text = (shared_data / "isochrones" / name).read_text()
    lines = text.splitlines()
    (whole,) = read_isochrones(shared_data / "isochrones" / name)
    rows = np.flatnonzero(np.abs(whole.log_age - 7.3) < 1e-3)
    data = [i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    for end, refused in ((rows[int(fraction * len(rows))], True), (rows[-1], False)):
        path = tmp_path / name.removeprefix("fsps_parsec_")
        path.write_text("\n".join(lines[: data[end] + 1]) + "\n")
        read = read_isochrones(path)
        if refused:
            with pytest.raises(InputError, match=r"truncated in its isochrone of log age 7\.3"):
                assemble(read)
        else:
            assert assemble(read).log_age[-1] == pytest.approx(7.3)


def test_every_age_of_the_real_files_may_be_the_last(shared_data):
    """No whole isochrone is taken for a cut one, whatever the age at which a file ends."""
    for path in sorted((shared_data / "isochrones").glob("*.dat")):
        (file,) = read_isochrones(path)
        ends = np.flatnonzero(np.diff(np.round(file.log_age, 4)) > 0) + 1
        ages = np.round(file.log_age[ends - 1], 4)
        assert len(ages) > 40
        for end in ends:
            part = cut(file, end)
            check_whole(part, part.log_l > -9)


@pytest.mark.parametrize("step", [2, 3, 6, 12])
def test_fewer_ages_are_no_cut(shared_data, step):
    """Isochrones of whole files in steps of 0.1 to 0.6 dex, in either order."""
    for path in sorted((shared_data / "isochrones").glob("*.dat")):
        (file,) = read_isochrones(path)
        ages = np.unique(np.round(file.log_age, 4))
        for first in range(step):
            kept = np.isin(np.round(file.log_age, 4), ages[first::step])
            for rows in (np.flatnonzero(kept), np.flatnonzero(kept)[::-1]):
                part = cut(file, rows)
                check_whole(part, part.log_l > -9)


@pytest.mark.filterwarnings("ignore:.*it may be cut off")
def test_what_a_cut_that_is_not_found_costs(shared_data):
    """Late in the last giant phase only; less than 0.1 mag in the light of the population."""
    (file,) = read_isochrones(shared_data / "isochrones" / "fsps_parsec_isoc_z0.0200.dat")
    band = load_passband("acs_wfc_f814w")
    rows = np.flatnonzero(np.round(file.log_age, 3) == 9.0)
    start = int(np.flatnonzero(np.round(file.log_age, 3) == 8.9)[0])

    def light(end):
        part = cut(file, end)
        columns = ("metallicity", "log_age", "initial_mass", "present_mass", "log_l", "log_teff")
        columns = (*columns, "log_g", "kind")
        kept = {name: getattr(part, name)[start:] for name in columns}
        grid = assemble([dataclasses.replace(part, **kept)])
        return float(build_table([band], grid=grid).integrated_magnitudes(9.0, 0.02, 1e4)[0])

    whole, found, worst = light(rows[-1] + 1), 0, 0.0
    for end in rows[20::50]:
        try:
            worst = max(worst, light(end) - whole)
        except InputError:
            found += 1
    assert found >= 5
    assert 0 <= worst < 0.1
