"""What a model is told of the images: which bands there are, their depth and their stars' width."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import (
    InputError,
    PraesepeWarning,
    check_number,
    check_type,
    listed,
    must_be,
    unknown,
)
from praesepe.inference.band_choice import has_choice
from praesepe.inference.priors import KnownValues, check_inside, trained_or_refuse
from praesepe.network.conditions import KINDS, PRESENT
from praesepe.network.estimator import Estimator
from praesepe.survey import Survey, as_range

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.images.mosaic.cutouts import Stamps
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.inference.check.measured import Measured

MOST_LISTED = 40

LOGARITHMS = {"distance_pc": "log_distance"}
"""Conditions that can be told by the number itself, by its name."""


@dataclass(frozen=True, eq=False)
class Told:
    """What a model is told beside the stamps of a mosaic.

    Attributes
    ----------
    bands : tuple of str
        Those of the mosaic.
    values : dict of str to ndarray
        By condition, of shape (band,) with all bands of the model, () or (row,); NaN where it is
        not known.
    sources : dict of str to str or list
        Where each is from: "given", "measured", "header", "survey" or "assumed"; a list by band of
        the model where these differ, None where nothing is known of a band.
    trained : dict of str to (ndarray, ndarray)
        Lowest and highest value in the training, of shape (band,) or ().
    """

    bands: tuple[str, ...]
    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    trained: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def meta(self) -> dict[str, Any]:
        """For the metadata of a table: values and sources, by condition."""
        return {
            name: {"value": _plain(value), "from": self.sources[name]}
            for name, value in self.values.items()
        }

    def inputs(
        self, model: Estimator, stamps: Stamps, rows: NDArray[np.int_], first: int
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Images of all bands of a model, and conditions, of some of the stamps.

        The first of the stamps is the catalog's row `first`.
        """
        images = stamps.images[rows]
        of_rows = {
            name: value[first + rows] if value.ndim and not KINDS[name].per_band else value
            for name, value in self.values.items()
        }
        if not has_choice(model):
            return images, of_rows
        places = [model.survey.band_names.index(name) for name in self.bands]
        whole = np.zeros((len(rows), len(model.survey.bands), *images.shape[2:]), np.float32)
        present = np.zeros(whole.shape[:2], np.float32)
        there = stamps.has_band[rows]
        whole[:, places] = np.where(there[..., None, None], images, 0)
        present[:, places] = there
        told: dict[str, Any] = {PRESENT: present}
        for name, value in of_rows.items():
            per_band = KINDS[name].per_band
            told[name] = np.where(present > 0, value, np.nan) if per_band else value
        return whole, told

    def distance_pc(self, rows: NDArray[np.int_]) -> NDArray[np.float64] | None:
        """Distance that is told, of shape () or (n, 1) for rows of the catalog; None: it is not."""
        value = self.of_rows("log_distance", rows)
        return None if value is None else np.asarray(10**value)

    def of_rows(self, name: str, rows: NDArray[np.int_]) -> NDArray[np.float64] | None:
        """A condition of shape () or (n, 1) for rows of the catalog; None: it is not told."""
        value = self.values.get(name)
        return value if value is None or not value.ndim else value[rows][:, None]

    def beyond(self, conditions: Mapping[str, Any]) -> Any:
        """Which stamps, of these conditions, are told what no stamp of the training was; (n,)."""
        found: Any = False
        for name, ends in self.trained.items():
            low, high = (np.asarray(end) for end in ends)
            values = np.asarray(conditions[name])
            out = (values < low - 1e-6) | (values > high + 1e-6)
            found = found | (out.any(-1) if KINDS[name].per_band else out)
        return found


Known = Mapping[str, float | str | tuple[float | str, float]]
"""What a user knows of the clusters: a value or a column of the catalog, with or without its error.
"""


def tell_model(
    model: Estimator,
    mosaic: Mosaic,
    measured: Measured | None,
    known: Known,
    catalog: Table,
) -> Told:
    """What a model is told of a mosaic: what is known, what was measured, or what its survey says.

    Parameters
    ----------
    model : Estimator
    mosaic : Mosaic
    measured : Measured or None
        What the mosaic shows; None where nobody looked.
    known : mapping
        See `Known`: ``foreground_a_v``, ``distance_pc`` or ``log_distance``. Of the
        latter two what is not known is assumed, with a warning.
    catalog : Table
        Its columns may hold what is known.

    Raises
    ------
    InputError
        Where something is given that the model is not told, or outside what it infers.
    """
    names = [condition.name for condition in model.card.conditions if condition.name != PRESENT]
    given = _given(model, known, names, catalog)
    values: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    for name in names:
        for source, value in _ways(name, model, mosaic, measured, given):
            if np.isfinite(value).any():
                values[name], sources[name] = value, source
                break
        if not KINDS[name].optional:
            values[name], sources[name] = _completed(name, model, values.get(name), sources)
    trained = {name: _trained(name, model, mosaic) for name in values}
    told = Told(mosaic.band_names, values, sources, trained)
    _warn_beyond(told, model)
    return told


def _completed(
    name: str, model: Estimator, value: Any, sources: Mapping[str, Any]
) -> tuple[Any, str]:
    """A condition that must be told, and its source; what is not known of it is assumed."""
    unknown_of = np.isnan(value) if value is not None else np.array(True)
    if not unknown_of.any():
        return value, sources[name]
    survey = model.survey
    if name == "foreground_a_v":
        assumed, said = 0.0, "the extinction in the Milky Way is taken as 0"
        code = "known={'foreground_a_v': 0.17}"
    else:
        low, high = (math.log10(end) for end in survey.distance_range_pc)
        assumed, code = (low + high) / 2, "known={'distance_pc': 785000}"
        said = (
            f"the distance is taken as {10**assumed / 1e3:.4g} kpc, the middle of what model "
            f"{model.name!r} was trained with ({10**low / 1e3:g} to {10**high / 1e3:g} kpc)"
        )
    rows = f" of {int(unknown_of.sum())} rows" if unknown_of.ndim else ""
    warnings.warn(f"{said}{rows}; tell it: {code}", PraesepeWarning, stacklevel=4)
    if value is None:
        return np.array(assumed), "assumed"
    return np.where(unknown_of, assumed, value), f"{sources[name]}, else assumed"


def _trained(name: str, model: Estimator, mosaic: Mosaic) -> tuple[Any, Any]:
    """Lowest and highest value of a condition in a model's training, of each band or ()."""
    survey = model.survey
    if KINDS[name].per_band:
        from praesepe.inference.check.telling import trained_by_band

        by_band = trained_by_band(name, mosaic.survey)
        ends = [by_band.get(band, (math.nan, math.nan)) for band in survey.band_names]
        low, high = np.transpose(ends)
        return low, high
    if name == "log_distance":
        near, far = survey.distance_range_pc
        return math.log10(near), math.log10(far)
    if name == "foreground_a_v":
        return as_range(survey.galaxy.foreground_a_v)
    return KINDS[name].usual


def _warn_beyond(told: Told, model: Estimator) -> None:
    """Say which conditions lie outside what the training told."""
    for name, value in told.values.items():
        one = Told(told.bands, trained={name: told.trained[name]})
        out = np.atleast_1d(one.beyond({name: value}))
        if out.any():
            low, high = (np.round(end, 4).tolist() for end in told.trained[name])
            rows = f" of {int(out.sum())} rows" if out.size > 1 else ""
            warnings.warn(
                f"{name} = {_plain(value)} ({told.sources[name]}){rows} is outside what model "
                f"{model.name!r} was trained with ({low} to {high}): flagged OUT_OF_DOMAIN",
                PraesepeWarning,
                stacklevel=4,
            )


def known_of_inferred(model: Estimator, known: Known, catalog: Table) -> KnownValues:
    """Values and errors of what is known of what the model infers; () or (row,).

    Raises
    ------
    InputError
        Where the error is missing of a quantity that only weights can tell, or a value lies
        outside what the model was trained with.
    """
    found = {}
    for name, what in known.items():
        value, error = _value_and_error(what)
        if name not in model.infers:
            continue  # `tell_model` takes it, or refuses it
        trained = trained_or_refuse(model, name, what)
        numbers, errors = _numbers(name, value, catalog), _errors(name, error, catalog)
        if (errors == 0).any() and name != model.leading:
            raise InputError(
                f"{name!r} is given without an error: draws of model {model.name!r} are weighted "
                "by how far they are from the value, in units of its error",
                given={name: what},
                remedy="give an error",
                code=f"known={{{name!r}: ({value!r}, 0.1)}}",
            )
        check_inside(f"known {name}", numbers, trained, model)
        found[name] = (np.where(np.isnan(errors), np.nan, numbers), errors)
    return found


def _value_and_error(what: Any) -> tuple[Any, Any]:
    return what if isinstance(what, tuple) else (what, 0.0)


def _given(
    model: Estimator, known: Known, names: Sequence[str], catalog: Table
) -> dict[str, NDArray[np.float64]]:
    """What the model is told, each of shape (), (row,) or (band,)."""
    found: dict[str, NDArray[np.float64]] = {}
    check_type("known", known, Mapping, "a mapping by quantity")
    for given, what in known.items():
        value, error = _value_and_error(what)
        name = LOGARITHMS.get(given, given)
        if name in model.infers:
            continue  # by `known_of_inferred`
        has_error = isinstance(error, str) or bool(np.any(error))
        if name not in names or has_error:
            takes = (*names, *model.infers)
            raise InputError(
                f"model {model.name!r} is not told {given!r}{' with an error' * has_error}",
                given={given: what},
                allowed=takes,
                remedy=f"it takes {listed(takes)}, those it infers with an error",
            )
        if name in found:
            twice = {one: known[one] for one in known if LOGARITHMS.get(one, one) == name}
            raise InputError(
                f"{listed(twice)} say the same", given=twice, remedy="give one of them"
            )
        if KINDS[name].per_band:
            found[name] = _by_band(given, value, model)
            continue
        found[name] = _numbers(given, value, catalog)
        if given in LOGARITHMS:
            if (found[name] <= 0).any():
                raise must_be(f"lowest {given}", float(np.nanmin(found[name])), "more than 0")
            found[name] = np.log10(found[name])
    return found


def _errors(name: str, error: Any, catalog: Table) -> NDArray[np.float64]:
    """Standard errors, of shape () or (row,); NaN where a column has none."""
    errors = _numbers(f"error of {name}", error, catalog)
    if (errors < 0).any():
        raise must_be(f"error of {name}", float(np.nanmin(errors)), "at least 0")
    return errors


def _by_band(name: str, value: Any, model: Estimator) -> NDArray[np.float64]:
    """One value for all bands of the model, or one for each."""
    bands = model.survey.band_names
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iuf" or numbers.shape not in ((), (len(bands),)):
        raise must_be(f"known {name}", value, f"a number, or one for each of {listed(bands)}")
    if not np.isfinite(numbers).all():
        raise must_be(f"known {name}", value, "finite")
    return np.broadcast_to(numbers.astype(float), len(bands))


def _numbers(name: str, value: Any, catalog: Table) -> NDArray[np.float64]:
    """A number, or those of a column or of all rows; NaN where it is masked."""
    if np.ndim(value) == 1 and len(value) == len(catalog):
        return np.asarray(np.ma.filled(np.ma.asarray(value, dtype=float), np.nan))
    if isinstance(value, str):
        if value not in catalog.colnames:
            raise unknown("column of the catalog", value, catalog.colnames)
        column = np.ma.asarray(catalog[value])
        if column.dtype.kind not in "iuf":
            raise InputError(
                f"column {value!r} does not hold numbers for {name!r}", given=str(column.dtype),
                allowed="numbers",
            )  # fmt: skip
        return np.asarray(np.ma.filled(column.astype(float), np.nan))
    return np.array(check_number(name, value, -math.inf, whole=False), float)


def _ways(
    name: str,
    model: Estimator,
    mosaic: Mosaic,
    measured: Measured | None,
    known: Mapping[str, NDArray[np.float64]],
) -> Iterator[tuple[Any, Any]]:
    """Source and value of a condition, the best first."""
    if name in known:
        yield "given", known[name]
    survey = model.survey
    if name in ("depth", "psf_fwhm_px"):
        yield _best_by_band(name, survey, mosaic, measured)
    elif name == "log_distance" and not survey.varies_in_distance:
        yield "survey", np.array(np.log10(survey.distance_pc))
    elif name == "foreground_a_v" and isinstance(survey.galaxy.foreground_a_v, float):
        yield "survey", np.array(survey.galaxy.foreground_a_v)


def _best_by_band(
    name: str, survey: Survey, mosaic: Mosaic, measured: Measured | None
) -> tuple[str | list[str | None], NDArray[np.float64]]:
    """Sources and values of depth or width: as measured, else by the header, else by the survey.

    Nothing tells the depth of a band that was resampled here: its noise is smoother than that of
    its exposure.
    """
    from praesepe.inference.check.telling import header_by_band, measured_by_band, survey_by_band

    ways = {
        "measured": {} if measured is None else measured_by_band(name, mosaic, measured),
        "header": header_by_band(name, mosaic),
        "survey": survey_by_band(name, mosaic),
    }
    smoothed = mosaic.reprojected if name == "depth" else ()
    sources = [
        None if band in smoothed else next((way for way in ways if band in ways[way]), None)
        for band in survey.band_names
    ]
    values = [
        math.nan if way is None else ways[way][band]
        for way, band in zip(sources, survey.band_names, strict=True)
    ]
    used = {way for way in sources if way is not None}
    return used.pop() if len(used) == 1 else sources, np.array(values)


def told_of_inferred(known: KnownValues, source: str) -> dict[str, Any]:
    """What is known of inferred quantities, for the metadata of a table."""
    return {
        name: {"value": _plain(value), "error": _plain(error), "from": source}
        for name, (value, error) in known.items()
    }


def _plain(value: Any) -> Any:
    """Numbers that JSON and FITS can hold; of many rows, how many are told."""
    if np.size(value) > MOST_LISTED:
        return f"{int(np.isfinite(value).sum())} of {np.size(value)} rows"
    return [None if np.isnan(v) else round(float(v), 4) for v in np.atleast_1d(value)]
