"""The columns of a table of measurements: which there are, what they mean, and their values.

Which quantities a model reports comes from the registry (`praesepe.quantities.reported`), so that
a new quantity gets its columns without a change here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import listed
from praesepe.flags import Flag
from praesepe.inference.classes import CLUSTER, classes_of
from praesepe.inference.modes import axes_of
from praesepe.quantities import CONTAMINANT, Context, Quantity, get, reported
from praesepe.survey.schema import ARCSEC

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.network.estimator import Estimator

Columns = dict[str, NDArray[Any]]

PERCENTILES = (16, 50, 84)
PIXEL = (
    "position on the image that the metadata name (pixels_of), where the center of the first pixel "
    "is 1 (FITS, DS9)"
)


@dataclass(frozen=True)
class Column:
    """A column of the table of measurements."""

    name: str
    unit: str | None
    description: str
    decimals: int = 4


OTHER_COLUMNS = {
    column.name: column
    for column in (
        Column(
            "flags",
            None,
            "sum of " + ", ".join(f"{int(flag)} {flag.name}" for flag in Flag),
        ),
        Column("missing_fraction", None, "share of the stamp's pixels missing in the worst band"),
        *(Column(name, "pixel", PIXEL, 3) for name in ("x", "y", "x_image", "y_image")),
    )
}
"""Columns of every table, whatever the model infers."""


@dataclass(frozen=True)
class ModelContext:
    """What derived quantities need to know, as a model tells it.

    Attributes
    ----------
    model : Estimator
    distance_pc : float or ndarray, optional
        Where the model is told it; of shape (n, 1), beside draws (n, n_samples).
    n_samples : int, optional
        Draws a row, to each of which belongs another R_V of the survey's range.
    """

    model: Estimator
    distance_pc: float | NDArray[np.float64] | None = None
    n_samples: int | None = None

    @property
    def pc_per_arcsec(self) -> float | NDArray[np.float64]:
        """Length at the galaxy's distance that one arcsec spans, pc; NaN where it is not known."""
        if self.distance_pc is not None:
            return ARCSEC * self.distance_pc
        survey = self.model.survey
        return math.nan if survey.varies_in_distance else survey.pc_per_arcsec

    @property
    def r_v(self) -> float | NDArray[np.float64]:
        """A_V / E(B-V) of the survey: of a range, one for each draw, or the middle."""
        stars = self.model.survey.clusters.stars
        if self.n_samples is None or not isinstance(stars.r_v, tuple):
            return stars.middle_r_v
        low, high = stars.r_v
        turns = np.arange(self.n_samples, dtype=np.float64) * (math.sqrt(5) - 1) / 2
        return np.asarray(low + (high - low) * (turns % 1))  # evenly, in no order

    def present_mass_fraction(self, log_age: ArrayLike) -> NDArray[np.float64]:
        """Present-day mass per unit of initial mass; NaN where the model does not tell."""
        return np.asarray(self.model.present_mass_fraction(log_age), np.float64)


def columns_of(quantity: Quantity) -> tuple[Column, ...]:
    """The columns that a quantity becomes.

    Parameters
    ----------
    quantity : Quantity
        A continuous one becomes its percentiles ``<name>_p16``, ``_p50`` and ``_p84``, a
        categorical one the probability ``<name>_<category>`` of each of its categories.

    Returns
    -------
    tuple of Column
    """
    if quantity.is_categorical:
        return tuple(
            Column(f"{quantity.name}_{c}", None, f"{quantity.description}; probability of {c}")
            for c in quantity.categories
        )
    return tuple(
        Column(
            f"{quantity.name}_p{p}",
            quantity.unit or None,
            f"{quantity.description}; percentile {p} of the posterior",
            quantity.decimals,
        )
        for p in PERCENTILES
    )


def output_columns(infers: Sequence[str]) -> dict[str, Column]:
    """Describe all columns that a model which infers these quantities may add to a catalog.

    Parameters
    ----------
    infers : sequence of str
        Names of quantities.

    Returns
    -------
    dict of str to Column
        In the order of the table.
    """
    measured = [column for quantity in _summarised(infers) for column in columns_of(quantity)]
    every = (*measured, *class_columns(infers), *mode_columns(infers))
    return {column.name: column for column in every} | OTHER_COLUMNS


def _summarised(infers: Sequence[str]) -> tuple[Quantity, ...]:
    """What is reported; the class has columns of its own."""
    return tuple(quantity for quantity in reported(infers) if quantity.name not in CLUSTER)


def class_columns(infers: Sequence[str]) -> tuple[Column, ...]:
    """What is told of the class; nothing where none is inferred."""
    if not classes_of(infers):
        return ()
    p_cluster = Column("p_cluster", None, "probability that there is a cluster in the middle", 6)
    if CONTAMINANT.name not in infers:
        return (p_cluster,)
    words = "most probable kind of what is no cluster, where p_cluster is below 0.5"
    return (p_cluster, Column(CONTAMINANT.name, None, words))


def mode_columns(infers: Sequence[str]) -> tuple[Column, ...]:
    """What is told of the modes of a posterior; nothing where no age is inferred."""
    axes = [get(name) for name in axes_of(infers)]
    if not axes:
        return ()
    which = {"mode": "the highest mode", "mode2": "the other mode that holds most"}
    plane = " and ".join(quantity.word for quantity in axes)
    columns = [Column("n_modes", None, f"number of modes of the posterior of {plane}")]
    for mode, words in which.items():
        for q in axes:
            name, about = f"{q.name}_{mode}", f"{q.description}; at {words}"
            columns.append(Column(name, q.unit, about, q.decimals))
        columns.append(Column(f"{mode}_share", None, f"share of the posterior in {words}"))
    return tuple(columns)


def summarise(
    samples: ArrayLike,
    infers: Sequence[str],
    context: Context,
    probabilities: Mapping[str, ArrayLike] | None = None,
) -> Columns:
    """Percentiles of every quantity, and the probabilities of categories.

    Parameters
    ----------
    samples : array_like, shape (n, n_samples, quantity)
        Posterior draws, which all count the same.
    infers : sequence of str
        What the last axis holds.
    context : Context
        Gives the present mass as a fraction of the initial mass, and the distance.
    probabilities : mapping, optional
        Probabilities (n, category) of categorical quantities, where they are known better than by
        counting draws.

    Returns
    -------
    dict of str to ndarray of float, each of shape (n,)
        By the names of `columns_of`.
    """
    axes = np.moveaxis(np.asarray(samples, dtype=np.float64), -1, 0)
    draws: dict[str, NDArray[np.float64]] = dict(zip(infers, axes, strict=True))
    values: Columns = {}
    for quantity in _summarised(infers):
        name = quantity.name
        of = draws[name] if name in draws else quantity.derived(draws, context)  # (n, n_samples)
        if not quantity.is_categorical:
            rows = np.percentile(of, PERCENTILES, axis=-1)
        elif probabilities and name in probabilities:
            rows = np.asarray(probabilities[name], dtype=np.float64).T
        else:
            rows = np.stack([(of == k).mean(-1) for k in range(len(quantity.categories))])
        columns = (column.name for column in columns_of(quantity))
        values |= dict(zip(columns, rows, strict=True))
    return values


def empty_columns(n: int, infers: Sequence[str]) -> Columns:
    """Columns of `n` rows in which nothing has been measured yet; without positions."""
    columns: Columns = {
        column.name: np.full(n, np.nan)
        for quantity in _summarised(infers)
        for column in columns_of(quantity)
    }
    columns |= {column.name: np.full(n, np.nan) for column in class_columns(infers)}
    if CONTAMINANT.name in columns:
        columns[CONTAMINANT.name] = np.full(n, "", f"U{max(map(len, CONTAMINANT.categories))}")
    columns |= {column.name: np.full(n, np.nan) for column in mode_columns(infers)}
    if "n_modes" in columns:
        columns["n_modes"] = np.zeros(n, dtype=np.int32)
    columns["flags"] = np.zeros(n, dtype=np.int32)
    columns["missing_fraction"] = np.full(n, np.nan)
    return columns


def append_columns(
    table: Table, values: Mapping[str, NDArray[Any]], described: Mapping[str, Column]
) -> list[str]:
    """Append measured columns to a table, with units and descriptions, in place.

    Parameters
    ----------
    table : Table
        A catalog.
    values : mapping of str to ndarray
        Columns, NaN where there is no value. Where the catalog has ``x`` or ``y`` of its own, the
        positions are called ``x_image`` and ``y_image``.
    described : mapping of str to Column
        What they are.

    Returns
    -------
    list of str
        What the user should know: which columns of the catalog were renamed.
    """
    values = dict(values)
    if "x" in table.colnames or "y" in table.colnames:
        values["x_image"], values["y_image"] = values.pop("x"), values.pop("y")
    taken = sorted(set(table.colnames) & set(values))
    for name in taken:
        new = f"{name}_in"
        while new in table.colnames:
            new += "_in"
        table.rename_column(name, new)
    for name, column in values.items():
        table[name] = _table_column(described[name], column)
    if not taken:
        return []
    return [
        f"the catalog already has columns {listed(taken)}; they are kept, renamed with '_in' at "
        "the end"
    ]


def _table_column(what: Column, values: NDArray[Any]) -> Any:
    """One output column, masked where there is no value."""
    from astropy import table

    if values.dtype.kind == "U":  # empty where there is none: few formats can mask texts
        return table.Column(values, description=what.description)
    missing, data = ~np.isfinite(values), np.round(values, what.decimals)
    if missing.any():
        return table.MaskedColumn(data, mask=missing, unit=what.unit, description=what.description)
    return table.Column(data, unit=what.unit, description=what.description)
