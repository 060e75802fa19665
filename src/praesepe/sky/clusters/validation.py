"""Clusters that a user describes: names of choices, and whether the simulator can make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from praesepe import quantities
from praesepe.errors import InputError, check_number, unknown
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.clusters.profiles import PROFILES
from praesepe.stars.magnitudes import StellarTable
from praesepe.survey import Survey, as_range

METALLICITY_TOLERANCE_DEX = 0.025
"""Half a step of the metallicities at which a simulator has stars (`METALLICITY_STEP_DEX`)."""

SLACK = 1e-5
"""Single precision may put a value so far beyond the limit that it was given as."""

Values = NDArray[np.float64]


def names_to_indices(
    given: Mapping[str, Any], survey: Survey, *, source: str = ""
) -> dict[str, Any]:
    """Parameters of clusters with the names of profiles and stellar models as indices.

    Parameters
    ----------
    given : mapping
        Values by the names of `Clusters`; ``profile`` and ``model`` may be names or indices.
    survey : Survey
        Its stellar models count from 0 in the order in which it names them.
    source : str, optional
        What the messages call the table that the values come from.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        For a name that is not among the profiles or the survey's models.
    """
    found = dict(given)
    for name, allowed in choices(survey).items():
        values = found.get(name)
        if values is None or isinstance(values, Tensor):
            continue
        array = np.asarray(values)
        if array.dtype.kind in "iufb":
            continue
        names = [str(value) for value in array.ravel()]
        for value in names:
            if value not in allowed:
                kind = f"{name} in {source}:" if source else name
                raise unknown(kind, value, allowed, f"Or give its number, from 0{_advice(name)}.")
        found[name] = np.array([allowed.index(value) for value in names]).reshape(array.shape)
    return found


def validate_clusters(
    clusters: Clusters,
    survey: Survey,
    tables: Sequence[StellarTable],
    *,
    names: Sequence[str] | None = None,
) -> None:
    """Refuse clusters that the simulator would not make as they are described.

    Parameters
    ----------
    clusters : Clusters
        All their parameters.
    survey : Survey
        Its metallicities and extinctions are those that there are stars for; the half-light radius
        may be half of its stamp.
    tables : sequence of StellarTable
        Of the survey's stellar models, in their order: ages up to half a step beyond them can be
        had (`praesepe.stars.isochrones.check_covers`).
    names : sequence of str, optional
        What the messages call each cluster; by default "cluster 1" and so on.

    Raises
    ------
    InputError
        Naming the first cluster that cannot be had, what is allowed, and what to do.
    """
    check_number("the number of clusters", len(clusters), 1)
    value = {name: v.double().cpu().numpy() for name, v in clusters.parameters().items()}
    called = names or [f"cluster {i}" for i in range(1, len(clusters) + 1)]

    def demand(name: str, good: Any, allowed: Any, said: str, advice: str = "") -> None:
        if not good.all():
            i = int(np.flatnonzero(~good)[0])
            message = f"{called[i]}: {name} = {_shown(name, value[name][i])}; {said}"
            given = float(value[name][i])
            raise InputError(message, given=given, allowed=allowed, remedy=advice)

    for name, known in choices(survey).items():
        listed = ", ".join(f"{i} ({one})" for i, one in enumerate(known))
        good = np.isin(value[name], range(len(known)))
        demand(name, good, known, f"allowed are {listed}", _advice(name))
    low, high = survey.distance_range_pc
    demand("distance_pc", np.abs(value["distance_pc"] - value["distance_pc"].clip(low, high))
           <= 1e-4 * low, (low, high), f"the survey has {_span(low, high)} pc", "put a wider range "
           "into distance_pc of its galaxy")  # fmt: skip
    for quantity in quantities.registered():
        low, high = quantity.limits
        if quantity.name in value and np.isfinite(quantity.limits).any():
            good = quantity.within(value[quantity.name])
            demand(quantity.name, good, (low, high), f"allowed are {low:g} to {high:g}")
    demand("gamma", value["gamma"] > 2, (2.0, np.inf), "allowed are values above 2: with others "
           "the light of an EFF profile is infinite")  # fmt: skip
    demand("tidal_scale", value["tidal_scale"] > 0, (0.0, np.inf), "allowed are positive values, "
           "as for the tidal radius itself")  # fmt: skip
    half = 0.5 * survey.stamp_size * survey.pixel_scale_arcsec
    demand("log_rh", value["log_rh"] <= np.log10(half) + SLACK, (-np.inf, float(np.log10(half))),
           f"allowed is half a stamp at most, {half:.4g} arcsec",
           "give the survey a larger stamp_size")  # fmt: skip
    for i, (model, table) in enumerate(zip(survey.clusters.stars.models, tables, strict=True)):
        step = 0.5 * float(np.diff(table.log_age).min(initial=0.05))
        first, last = float(table.log_age[0]), float(table.log_age[-1])
        good = (value["model"] != i) | _within(value["log_age"], first - step, last + step)
        demand("log_age", good, (first, last), f"allowed are {first:g} to {last:g}, the ages of "
               f"the stellar model {model!r}")  # fmt: skip
    low, high = as_range(survey.clusters.a_v)
    demand("a_v", _within(value["a_v"], low, high), (low, high), f"the survey has "
           f"{_span(low, high)} mag", "put a wider range into a_v of its clusters")  # fmt: skip
    nuisances = {
        "foreground_a_v": survey.galaxy.foreground_a_v,
        "r_v": survey.clusters.stars.r_v,
        "a_v_scatter": survey.clusters.a_v_scatter,
        "binary_fraction": survey.clusters.stars.binary_fraction,
    }
    for name, values in nuisances.items():
        low, high = as_range(values)
        demand(name, _within(value[name], low, high), (low, high), f"the survey has "
               f"{_span(low, high)}", f"put a wider range into its {name}")  # fmt: skip
    low, high = as_range(survey.clusters.metallicity)
    ends = np.log10([low, high]) + np.array([-1, 1]) * METALLICITY_TOLERANCE_DEX
    demand("log_z", _within(value["log_z"], *ends), tuple(ends), f"the survey has stars of Z = "
           f"{_span(low, high)}", f"put a {'wider ' if low < high else ''}range into metallicity "
           "of its clusters")  # fmt: skip


def choices(survey: Survey) -> dict[str, tuple[str, ...]]:
    """Parameters that are one of several things: the names of these, which count from 0."""
    beside = {q.name: q.categories for q in survey.clusters.drawn_beside() if q.is_categorical}
    return {"profile": PROFILES, "model": survey.clusters.stars.models, **beside}


def _advice(name: str) -> str:
    return "name others in isochrones of the survey's stars" if name == "model" else ""


def _within(values: Values, low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low - SLACK) & (values <= high + SLACK)


def _span(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if low < high else f"{low:g} only"


def _shown(name: str, value: float) -> str:
    """A value as it is given in Python, and as it stands in a catalog."""
    if name == "log_z":
        return f"{value:.4g} (metallicity Z = {10**value:.3g})"
    if name == "log_rh":
        return f"{value:.4g} (rh_arcsec = {10**value:.4g})"
    return f"{value:.6g}"
