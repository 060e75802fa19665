"""Isochrones from the SSE tracks of Hurley, Pols & Tout (2000), computed with cosmic-popsynth.

Every isochrone starts from a coarse grid of initial masses. Each star is evolved to the age of the
isochrone, and the interval between two neighbouring masses is halved until its ends differ by less
than `MAX_STEP_LOG_L` and `MAX_STEP_LOG_TEFF`, or until the interval is so narrow that what is left
is a jump of the track itself (helium flash, end of the AGB).
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np

LOG_AGES = np.round(np.arange(6.6, 10.1 + 1e-6, 0.05), 2)
METALLICITIES = (0.0002, 0.0006, 0.002, 0.004, 0.008, 0.014, 0.02, 0.03)
LOW_MASS, HIGH_MASS, N_START = 0.08, 120.0, 110
MAX_STEP_LOG_L, MAX_STEP_LOG_TEFF = 0.15, 0.03
JUMP = 1e-8  # relative width in mass below which an interval is a jump of the track
LEAST_LOG_L = -1.0  # white dwarfs fainter than this count as non-luminous
MAX_ROUNDS = 60
CHUNK = 2000  # stars handed to COSMIC at once
COOLEST_BY_MASS = ((8.0, 3000.0), (10.0, 3600.0))  # (initial mass, K)
COOLEST_BY_LOG_L = ((5.5, 3600.0), (5.55, 15000.0))  # (log10 of solar luminosities, K)
GIANTS = (2, 3, 4, 5)
WHITE_DWARFS, FIRST_NON_LUMINOUS_KIND = (10, 11, 12), 13


def default_settings() -> dict:
    """The package's own default settings, category `bse`, as Python values."""
    import cosmic

    path = Path(cosmic.__file__).parent / "data" / "cosmic-settings.json"
    category = next(c for c in json.loads(path.read_text()) if c["category"] == "bse")
    settings = {}
    for setting in category["settings"]:
        text = next(o["name"] for o in setting["options"] if o.get("default"))
        settings[setting["name"]] = _value(text)
    return settings


def _value(text: object) -> object:
    """A setting's value: a number, or a list whose items may be written as fractions."""
    if not isinstance(text, str):
        return text
    if "/" in text:
        fractions = (item.split("/") for item in text.strip("[]").split(","))
        return [float(upper) / float(lower) for upper, lower in fractions]
    return ast.literal_eval(text)


def evolve(mass: np.ndarray, log_age: np.ndarray, metallicity: float) -> np.ndarray:
    """State of single stars at a given age.

    Parameters
    ----------
    mass, log_age : ndarray, shape (n,)
        Initial mass (solar masses) and log10(age/yr) of every star.
    metallicity : float
        Mass fraction of metals, 0.0001 to 0.03.

    Returns
    -------
    ndarray, shape (n, 4)
        Present mass (solar masses), log10 L (solar), log10 T_eff (K), SSE stellar type.
    """
    settings = default_settings()
    parts = [
        _evolve_chunk(mass[i : i + CHUNK], log_age[i : i + CHUNK], metallicity, settings)
        for i in range(0, len(mass), CHUNK)
    ]
    return warm_supergiants(mass, np.concatenate(parts))


def _evolve_chunk(
    mass: np.ndarray, log_age: np.ndarray, metallicity: float, settings: dict
) -> np.ndarray:
    from cosmic.evolve import Evolve
    from cosmic.sample import InitialBinaryTable

    one = np.ones(len(mass))
    age_myr = 10.0 ** (log_age - 6.0)
    stars = InitialBinaryTable.InitialBinaries(
        m1=mass, m2=0.0 * one, porb=-one, ecc=-one, tphysf=age_myr,
        kstar1=np.where(mass > 0.7, 1, 0), kstar2=15 * one, metallicity=metallicity * one,
    )  # fmt: skip
    steps = Evolve.evolve(
        initialbinarytable=stars, BSEDict=settings, SSEDict={"stellar_engine": "sse"},
        randomseed=1, nproc=1, n_per_block=len(mass),
    )[1]  # fmt: skip
    last = steps.drop_duplicates("bin_num", keep="last").sort_values("bin_num")
    if len(last) != len(mass) or not np.allclose(last["tphys"], age_myr, rtol=1e-6):
        raise RuntimeError("a star was not followed to the age of its isochrone")
    with np.errstate(divide="ignore"):
        log_l = np.maximum(np.log10(last["lum_1"].to_numpy()), -9.99)
        log_teff = np.log10(np.maximum(last["teff_1"].to_numpy(), 1000.0))
    return np.column_stack([last["mass_1"], log_l, log_teff, last["kstar_1"]])


def is_luminous(state: np.ndarray) -> np.ndarray:
    """Whether a star gives light: living, or a white dwarf above `LEAST_LOG_L`. Shape (n,)."""
    young = np.isin(state[:, 3], WHITE_DWARFS) & (state[:, 1] > LEAST_LOG_L)
    return (state[:, 3] < WHITE_DWARFS[0]) | young


def intervals_to_halve(mass: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Indices i of the intervals (i, i + 1) of one isochrone that are still too wide."""
    luminous = is_luminous(state)
    step = np.abs(np.diff(state[:, 1:3], axis=0))
    large = (step[:, 0] > 0.99 * MAX_STEP_LOG_L) | (step[:, 1] > 0.99 * MAX_STEP_LOG_TEFF)
    both, either = luminous[1:] & luminous[:-1], luminous[1:] | luminous[:-1]
    wide = np.diff(mass) / mass[1:] > JUMP
    return np.flatnonzero(wide & ((both & large) | (either & ~both)))


def isochrones(metallicity: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """All isochrones of one metallicity: (initial mass (n,), state (n, 4)) for each age."""
    start = np.geomspace(LOW_MASS, HIGH_MASS, N_START)
    state = evolve(np.tile(start, len(LOG_AGES)), np.repeat(LOG_AGES, N_START), metallicity)
    tracks = [(start, part) for part in np.split(state, len(LOG_AGES))]
    for _ in range(MAX_ROUNDS):
        marked = [intervals_to_halve(*track) for track in tracks]
        counts = [len(index) for index in marked]
        if not sum(counts):
            break
        middle = [0.5 * (m[i] + m[i + 1]) for (m, _), i in zip(tracks, marked, strict=True)]
        new = evolve(np.concatenate(middle), np.repeat(LOG_AGES, counts), metallicity)
        parts = np.split(new, np.cumsum(counts)[:-1])
        tracks = [
            (np.insert(m, i + 1, x), np.insert(s, i + 1, y, axis=0))
            for (m, s), i, x, y in zip(tracks, marked, middle, parts, strict=True)
        ]
    return tracks


def warm_supergiants(mass: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Lift supergiants to the coolest temperatures that are observed.

    The radii of SSE, fitted to models of lower mass, make red supergiants of 3000 K, and make
    them up to log L = 5.8. Observed ones have 3450 to 4100 K (Levesque et al. 2005, ApJ 628, 973)
    and end at log L = 5.5 (Davies, Crowther & Beasor 2018, MNRAS 478, 3138); brighter evolved
    stars are blue, in quiescence at 15000 K and more (Smith, Vink & de Koter 2004, ApJ 615, 475).
    Luminosity and mass stay; naked helium stars and the asymptotic giant branch proper are not
    touched.

    Parameters
    ----------
    mass : ndarray, shape (n,)
        Initial mass, solar masses.
    state : ndarray, shape (n, 4)
        As `evolve` gives it.
    """
    masses, by_mass = np.array(COOLEST_BY_MASS).T
    limits, by_log_l = np.array(COOLEST_BY_LOG_L).T
    coolest = np.interp(mass, masses, np.log10(by_mass))
    brighter = np.interp(state[:, 1], limits, np.log10(by_log_l))
    coolest = np.where(state[:, 1] > limits[0], np.maximum(coolest, brighter), coolest)
    giant = np.isin(state[:, 3], GIANTS) & (mass > masses[0])
    warmed = state.copy()
    warmed[giant, 2] = np.maximum(state[giant, 2], coolest[giant])
    return warmed


def cached_isochrones(metallicity: float, folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `isochrones`, kept in `folder` so that an interrupted build can go on."""
    path = folder / f"sse_z{metallicity:g}.npz"
    if not path.exists():
        tracks = isochrones(metallicity)
        arrays = {f"m{i:02d}": m for i, (m, _) in enumerate(tracks)}
        arrays |= {f"s{i:02d}": s for i, (_, s) in enumerate(tracks)}
        partial = path.with_name(f"partial_{path.name}")
        np.savez(partial, **arrays)
        partial.replace(path)
    with np.load(path, allow_pickle=False) as file:
        return [(file[f"m{i:02d}"], file[f"s{i:02d}"]) for i in range(len(LOG_AGES))]
