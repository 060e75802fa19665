"""Star-formation histories: how a field's mass is shared among ages and metallicities."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError, reason, unknown, unusable
from praesepe.rng import on_cpu, uniform
from praesepe.sky.population.sampler import StarSampler
from praesepe.survey import StarField, Survey

HISTORIES = ("constant", "declining", "burst")
"""Star-formation histories with a name; anything else is a file."""

STEPS_PER_BIN = 16
"""Points at which a rate is taken within a bin of age."""

AGE_TOLERANCE_DEX = 0.026
"""A bin belongs to a range of ages that its middle misses by no more than this: half a step."""


def age_metallicity_fractions(
    survey: Survey, sampler: StarSampler, *, generator: torch.Generator
) -> Tensor:
    """Fraction of a field's initial mass at each age and metallicity of the sampler.

    The rate of star formation follows the survey's history on average and varies from bin to bin
    by its burstiness; metallicity is uniform in its logarithm. The mass of a burst comes on top.

    Parameters
    ----------
    survey : Survey
        History, ages, metallicities, burstiness.
    sampler : StarSampler
        Its ages and metallicities.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of float64, shape (age, Z)
        Sums to 1.

    Raises
    ------
    InputError
        For a history that is neither known nor a readable file, or that forms no stars at the
        field's ages.
    """
    settings, cpu = survey.galaxy.field, on_cpu(generator)
    scatter = torch.randn(len(sampler.log_age), generator=cpu, dtype=torch.float64)
    weight = torch.as_tensor(mass_per_bin(settings, sampler.log_age))
    weight = weight * torch.exp(settings.burstiness * scatter)
    weight /= weight.sum()
    if settings.history == "burst":
        share = uniform(*settings.burst_share, generator=cpu)
        burst = torch.as_tensor(burst_per_bin(settings, sampler.log_age))
        weight = (1 - share) * weight + share * burst
    inside = torch.as_tensor(_metallicities(settings, sampler.metallicity), dtype=torch.float64)
    fractions = weight[:, None] * inside
    return fractions / fractions.sum()


def mass_per_bin(settings: StarField, log_age: np.ndarray) -> np.ndarray:
    """Relative mass (age,) that the survey's history forms in bins about these ages, without burst.

    The integral of the rate over each bin whose middle lies in the range of ages. A declining rate
    is exp(-(T - t) / τ), where t is the age of the stars and T the time since star formation began.
    T changes the rates of all ages alike and does not matter.
    """
    low, high = settings.log_age
    inside = (log_age >= low - AGE_TOLERANCE_DEX) & (log_age <= high + AGE_TOLERANCE_DEX)
    edges = _edges(log_age)
    place = (np.arange(STEPS_PER_BIN) + 0.5) / STEPS_PER_BIN
    point = edges[:-1, None] + np.diff(edges)[:, None] * place  # (age, step), log age
    years = 10**point
    rate = np.ones_like(years)
    if settings.history == "declining":
        rate = np.exp((years - 10 ** log_age[-1]) / (1e9 * settings.decline_gyr))
    elif settings.history not in HISTORIES:
        at, rates = read_history(settings.history)
        rate = np.interp(point, at, rates, left=0.0, right=0.0)
    mean_rate = (rate * years).sum(1) / years.sum(1)
    mass = np.where(inside, 10 ** (log_age - 10) * mean_rate, 0.0)
    if not mass.sum() > 0:
        raise InputError(
            f"field.history = {settings.history!r} forms no stars at field.log_age = "
            f"{list(settings.log_age)}, where the isochrones cover {log_age[0]:.2f} to "
            f"{log_age[-1]:.2f}",
            given=settings.log_age,
            allowed=(float(log_age[0]), float(log_age[-1])),
            remedy="make the ages overlap",
        )
    return mass


def burst_per_bin(settings: StarField, log_age: np.ndarray) -> np.ndarray:
    """Fraction of a burst's mass in each bin of age, (age,), for a constant rate.

    A burst shorter than a bin, or outside the ages, lies in the nearest bin.
    """
    low, high = settings.burst_log_age
    edges = np.clip(_edges(log_age), low, high)
    mass = np.diff(10**edges)
    if not mass.sum() > 0:
        mass = np.zeros(len(log_age))
        mass[np.abs(log_age - (low + high) / 2).argmin()] = 1.0
    return mass / mass.sum()


def read_history(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a star-formation history.

    Parameters
    ----------
    name : str
        A text file with two columns: log10(age/yr), ascending, and the rate of star formation in
        mass per time, in any unit. ``#`` starts a comment; columns are separated by blanks or a
        comma. Between its rows the rate is linear in log age, beyond them zero.

    Returns
    -------
    log_age, rate : ndarray, shape (row,)

    Raises
    ------
    InputError
        Where there is no such file, or it is not such a table.
    """
    path = Path(name)
    if not path.is_file():
        raise unknown(
            "galaxy.field.history", name, HISTORIES, "Or name a file; there is no such file."
        )
    try:
        text = path.read_text(encoding="utf-8").replace(",", " ")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy's about a file without numbers
            table = np.loadtxt(text.splitlines(), ndmin=2)
        if table.shape[0] < 2 or table.shape[1] != 2:
            raise ValueError(f"it has {table.shape[0]} rows of {table.shape[1]} numbers")
        log_age, rate = table.T
        if not np.isfinite(table).all():
            raise ValueError("it holds values that are not finite")
        if (np.diff(log_age) <= 0).any():
            raise ValueError("the ages in its first column do not ascend")
        if log_age[0] < 4 or log_age[-1] > 11:
            raise ValueError(f"its ages of {log_age[0]:g} to {log_age[-1]:g} are not log10(age/yr)")
        if (rate < 0).any() or not rate.any():
            raise ValueError("its rates are negative, or all zero")
    except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise unusable(
            path,
            f"is not a star-formation history: {reason(error)}",
            "give at least two rows of two columns, log10(age/yr), ascending, and the relative "
            "rate, from 0 up",
        ) from error
    return log_age, rate


def _edges(log_age: np.ndarray) -> np.ndarray:
    """Edges of the bins: half-way between their middles."""
    middle = (log_age[1:] + log_age[:-1]) / 2
    return np.concatenate(([2 * log_age[0] - middle[0]], middle, [2 * log_age[-1] - middle[-1]]))


def _metallicities(settings: StarField, metallicity: np.ndarray) -> np.ndarray:
    """Which metallicities of the sampler lie in the field's range; else the nearest one."""
    z = np.asarray(metallicity)
    low, high = settings.metallicity
    inside = (z >= low * 0.999) & (z <= high * 1.001)
    if not inside.any():
        distance = np.abs(np.log(z / math.sqrt(low * high)))
        inside = distance == distance.min()
    return inside
