"""Tables of artificial clusters: read from a catalog for a mosaic, written as its truth."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.errors import InputError, PraesepeWarning, listed, must_be, unknown
from praesepe.mocks.mosaics import Places
from praesepe.quantities import LOG_PRESENT_MASS, Quantity
from praesepe.rng import stream
from praesepe.sky.clusters.parameters import PARAMETERS, Clusters, draw_clusters
from praesepe.sky.clusters.validation import choices, names_to_indices, validate_clusters
from praesepe.sky.tables import SurveyTables
from praesepe.sky.truth import BY_BAND, NO_QUANTITIES, describe
from praesepe.survey import Survey

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

    from praesepe.images.catalog.catalogs import Catalog

NEEDED = tuple(quantities.get(name).linear or name for name in quantities.DEFAULT_INFERRED)
"""Columns that a catalog must have; others are drawn from the prior where they are missing."""

NO_PARAMETERS = {"id", "name", "ra", "dec", LOG_PRESENT_MASS.name, *NO_QUANTITIES}
"""Columns that say nothing new about a cluster, such as those of a table of truth."""


def parameter_columns(survey: Survey) -> dict[str, Quantity]:
    """Numbers that a catalog may give of a cluster, by column; it has no logarithms of radii."""
    names = {*PARAMETERS, *(quantity.name for quantity in survey.clusters.drawn_beside())}
    return {
        quantity.linear or quantity.name: quantity
        for quantity in quantities.registered()
        if quantity.name in names and not quantity.is_categorical
    }


def clusters_on(
    catalog: Catalog,
    survey: Survey,
    wcs: WCS,
    *,
    seed: int,
    tables: SurveyTables,
    positions: set[str],
) -> tuple[Clusters, Places, Places, list[str]]:
    """Take the clusters of a catalog that lie on a mosaic, with a warning where others do not.

    The survey's prior gives the parameters that are not in the catalog, by the seed; `positions`
    are columns that are no parameters. Returns clusters, x and y of their centers in pixels, ids.
    """
    table, label = catalog.table, catalog.label
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PraesepeWarning)  # that all are outside: seen below
        x, y = catalog.on(wcs)
    kept = _inside(x, y, wcs, survey.pixel_scale_arcsec, label)
    values = _parameters(table, survey, label, positions)
    clusters = draw_clusters(survey, len(kept), generator=stream((seed, 0), torch.device("cpu")))
    clusters = clusters.with_values(**{name: column[kept] for name, column in values.items()})
    rows = [f"{label}, row {i + 1}" for i in kept]
    validate_clusters(clusters, survey, tables.cluster, names=rows)
    ids = table[catalog.id_column] if catalog.id_column else np.arange(1, len(table) + 1)
    return clusters, x[kept], y[kept], [str(ids[i]) for i in kept]


def _inside(x: Places, y: Places, wcs: WCS, scale_arcsec: float, label: str) -> NDArray[np.int64]:
    """Rows of a catalog that lie on a mosaic, counted from 0."""
    height, width = wcs.array_shape
    with np.errstate(invalid="ignore"):
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    mosaic = f"the mosaic of {width}×{height} px"
    if not inside.any():
        raise InputError(
            f"{label}: none of its {len(x)} clusters lies on {mosaic} "
            f"({width * scale_arcsec:.1f} arcsec)",
            given=(height, width),
            remedy="make it larger, or move its center",
        )
    outside = np.flatnonzero(~inside) + 1
    if len(outside):
        shown = ", ".join(map(str, outside[:8])) + (" …" if len(outside) > 8 else "")
        warnings.warn(
            f"{label}: {len(outside)} of {len(x)} clusters lie outside {mosaic} and are left out: "
            f"rows {shown}",
            PraesepeWarning,
            stacklevel=4,
        )
    return np.flatnonzero(inside)


def _parameters(
    table: Table, survey: Survey, label: str, positions: set[str]
) -> dict[str, NDArray[Any]]:
    """The clusters' parameters, by the names that `Clusters` has."""
    known, named = parameter_columns(survey), choices(survey)
    logarithms = {q.name for name, q in known.items() if name in table.colnames}
    missing = [name for name in NEEDED if name not in table.colnames]
    if missing:
        optional = [name for name in (*known, *named) if name not in NEEDED]
        units = ", ".join(_described(name, known[name])[0] for name in NEEDED)
        raise InputError(
            f"{label} lacks {listed(missing)}; it has {listed(table.colnames)}. Needed are "
            f"{listed(NEEDED)} ({units}) and positions; optional are {listed(optional)}",
            given=table.colnames,
            allowed=(*NEEDED, *optional),
        )
    _check_names(table.colnames, label, {*known, *named}, logarithms | positions)
    values = {
        quantity.name: _values(table, name, quantity, label)
        for name, quantity in known.items()
        if name in table.colnames
    }
    words = {name: table[name] for name in named if name in table.colnames}
    return values | names_to_indices(words, survey, source=label)


def _values(table: Table, name: str, quantity: Quantity, label: str) -> NDArray[np.float64]:
    """A column's values, of a logarithmic quantity their log10."""
    from praesepe.images.catalog.coordinates import numbers

    values = numbers(table, name, label)
    good = np.isfinite(values) & ((values > 0) | (not quantity.linear))
    if name == "tidal_radius":  # infinite where a profile has no end
        good |= np.isposinf(values)
    if not good.all():
        row = int(np.argmin(good))
        allowed = f"a {'positive' if quantity.linear else 'finite'} number"
        raise must_be(name, float(values[row]), allowed).at(f"{label}, row {row + 1}")
    return np.log10(values) if quantity.linear else values


def _check_names(names: list[str], label: str, known: set[str], silent: set[str]) -> None:
    """Stop at a column that looks like a misspelt parameter; warn about others of no use."""
    ignored = []
    for name in names:
        if name in known | silent or name.lower() in NO_PARAMETERS | silent:
            continue
        if difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75):
            raise unknown(f"column in {label}:", name, known, "Rename it or remove it.")
        if not name.startswith(tuple(BY_BAND)):
            ignored.append(name)
    if ignored:
        warnings.warn(
            f"{label}: columns that are no parameters of a cluster are ignored: "
            f"{', '.join(ignored)}",
            PraesepeWarning,
            stacklevel=5,
        )


# The truth


def truth_table(
    survey: Survey,
    clusters: Clusters | None,
    known: Mapping[str, NDArray[Any]],
    wcs: WCS,
    ids: list[str],
) -> Table:
    """All that is known of the clusters; the columns that a catalog may have come first.

    `clusters` are as they were asked for; `known` is what the simulation tells, x and y too.
    """
    from astropy.table import Column, Table

    table = Table({"id": Column(ids, dtype=str, description="name or number of the cluster")})
    if clusters is None:
        return table
    for name, degrees in zip(
        ("ra", "dec"), wcs.pixel_to_world_values(known["x"], known["y"]), strict=True
    ):
        axis = "right ascension (ICRS)" if name == "ra" else "declination (ICRS)"
        table[name] = Column(np.round(degrees, 8), unit="deg", description=axis)
    place = "position on the mosaic, where the center of the first pixel is 0"
    for name in "xy":
        table[name] = Column(known[name], unit="pixel", description=place)
    asked = clusters.parameters() | {"tidal_radius": clusters.tidal_radius}
    columns: dict[str, tuple[Any, str, str]] = {}
    for name, quantity in parameter_columns(survey).items():
        values = known.get(quantity.name, asked[quantity.name].numpy())
        if name in NEEDED:
            columns[quantity.name] = (values, *describe(quantity.name))
        columns[name] = (10**values if quantity.linear else values, *_described(name, quantity))
    for name, words in choices(survey).items():
        meaning = describe(name)[1].partition(";")[0].partition(",")[0]  # without its numbers
        columns[name] = ([words[i] for i in asked[name].tolist()], "", meaning)
    others = {name: (values, *describe(name)) for name, values in known.items()}
    for name, (values, unit, description) in (columns | others | columns).items():
        if name not in table.colnames:
            table[name] = Column(values, unit=unit or None, description=description or None)
    return table


def _described(name: str, quantity: Quantity) -> tuple[str, str]:
    """Unit and description of a column; a logarithm's number need not be registered."""
    if name == quantity.name or name in (known.name for known in quantities.registered()):
        return describe(name)
    return quantity.linear_unit, quantity.description.removeprefix("log10 of the ")
