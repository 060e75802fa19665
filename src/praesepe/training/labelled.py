"""Real, annotated clusters as training data: stamps and known parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.arrays import plain, rates
from praesepe.errors import InputError, must_be, warn_outside
from praesepe.images.inputs import Reading, split_reading
from praesepe.network.conditions import KINDS, as_tensor
from praesepe.network.heads.flow import APART
from praesepe.survey import Survey, load_survey

if TYPE_CHECKING:
    from praesepe.inference.told import Known

MINIMUM = 20
"""Fewest labelled clusters that are worth a training."""

OF_ALL = {
    "object_class": float(quantities.get("object_class").categories.index("cluster")),
    "contaminant": float(quantities.get("contaminant").categories.index("none")),
    "offset_x_px": np.nan,
    "offset_y_px": np.nan,
    "log_visibility": np.nan,
}
"""Labels of all clusters of a catalog that does not have them."""


@dataclass(frozen=True, repr=False)
class Labelled:
    """Clusters with known parameters.

    Attributes
    ----------
    images : ndarray of float32, shape (n, band, y, x)
        Stamps, e-/s at the survey's zero points.
    labels : ndarray of float32, shape (n, quantity)
        What the network is to infer, by default log_age, log_mass and log_rh [dex(arcsec)]. NaN
        for all clusters: not known, which only what is inferred apart may be (`log_visibility`).
    left_out : int
        Rows of the catalog that could not be used.
    conditions : ndarray of float32, shape (n, value), optional
        What the network is told beside, in its order; NaN where that is not known.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.float32]
    left_out: int = 0
    conditions: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        images = rates(self.images, "stamps")
        label_values, mask, _ = plain(self.labels)
        labels = np.asarray(label_values, np.float32)
        labels = labels if mask is None else np.where(mask, np.float32(np.nan), labels)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)
        if len(images) != len(labels):
            raise must_be("the number of labels", len(labels), f"that of the stamps, {len(images)}")
        if images.ndim != 4 or labels.ndim != 2:
            given = (images.shape, labels.shape)
            raise must_be("shapes of stamps, labels", given, "(n, band, y, x) and (n, quantity)")
        if len(images) < MINIMUM:
            raise InputError(
                f"{len(images)} usable labelled clusters ({self.left_out} left out); at least "
                f"{MINIMUM} are needed",
                given=len(images),
                allowed=f"at least {MINIMUM}",
                remedy="give more, inside the image and with a value in every column of labels",
            )
        known = labels[:, ~np.isnan(labels).all(0)]
        if not (known.size and np.isfinite(images).all() and np.isfinite(known).all()):
            fault = "stamps or labels contain NaN or infinite values"
            raise InputError(fault, given=np.nan, remedy="leave these out")

    def __repr__(self) -> str:
        n, n_bands, height, width = self.images.shape
        return (
            f"<Labelled: {n} clusters with {self.labels.shape[1]} labels each, stamps of {width} × "
            f"{height} px in {n_bands} bands; {self.left_out} rows left out>"
        )

    def check(self, priors: Mapping[str, tuple[float, float]]) -> None:
        """Refuse labels that a network with these priors cannot learn; warn of those beyond them.

        Raises
        ------
        InputError
            For categories that do not exist, and for what is not known of any cluster.
        """
        for (name, (low, high)), values in zip(priors.items(), self.labels.T, strict=True):
            if np.isnan(values).all():
                if name in APART:
                    continue
                raise InputError(
                    f"label {name} is not known of any cluster",
                    given=np.nan,
                    remedy="give its values: the network infers it together with others",
                )
            if categories := quantities.get(name).categories:
                strange = values[~np.isin(values, range(len(categories)))]
                if len(strange):
                    named = ", ".join(f"{i} ({word})" for i, word in enumerate(categories))
                    raise InputError(
                        f"label {name} = {strange[0]:g}; allowed are {named}",
                        given=float(strange[0]),
                        allowed=categories,
                    )
                continue
            advice = "the prior; leave these clusters out, or give the survey a wider range"
            warn_outside(values, low, high, f"label {name}", advice, stacklevel=2)

    def told(self, survey: Survey) -> NDArray[np.float32] | None:
        """Conditions (n, value) for a survey's network, where need be without knowing them.

        Raises
        ------
        InputError
            Where they are not those of that network, or one that must be told is not.
        """
        width = sum(_sizes(survey).values())
        if self.conditions is None:
            return conditions_of(survey, len(self.images))
        if self.conditions.shape != (len(self.images), width):
            needed = (len(self.images), width)
            raise must_be("shape of conditions", self.conditions.shape, f"{needed}")
        return np.asarray(self.conditions, np.float32)

    def fingerprint(self) -> str:
        """SHA-256 of stamps and labels: equal clusters, equal fingerprints."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images, np.float32).tobytes())
        digest.update(np.ascontiguousarray(self.labels, np.float32).tobytes())
        if self.conditions is not None:
            digest.update(np.ascontiguousarray(self.conditions, np.float32).tobytes())
        return digest.hexdigest()


def read_labelled(
    survey: Survey | str | Path,
    images: Any,
    catalog: Any,
    *,
    known: Known | None = None,
    **reading: Unpack[Reading],
) -> Labelled:
    """Cut the stamps of an annotated catalog out of mosaics.

    What the survey's network is told beside (bands that there are, depth, width) is measured, as
    `praesepe.predict` does.

    Parameters
    ----------
    survey : Survey, str or Path
        Bands, stamp size, and the quantities that its network infers.
    images : mapping of str to path, or Mosaic
        Mosaic of each band, as for `praesepe.predict`.
    catalog : path, Table or Catalog
        Positions, and a column for each quantity, by its name or (``rh_arcsec`` for ``log_rh``)
        that of its number. ``object_class`` and ``contaminant`` may be left out: all are clusters;
        visibility and offset, too: they are not learned from them.
    known : mapping, optional
        What the network is told of the clusters, as for `praesepe.predict`.
    **reading
        How images and catalog are read, as for `praesepe.predict`.

    Returns
    -------
    Labelled
        Rows without labels, off the image or mostly missing are left out and counted.

    Raises
    ------
    InputError
        Where images or catalog cannot be used, or too few rows remain.
    """
    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.band_images import refuse_copies
    from praesepe.images.mosaic.cutouts import extract_stamps
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.inference.band_choice import fewest_bands, survey_of
    from praesepe.inference.check.alignment import prepared
    from praesepe.inference.told import tell_model
    from praesepe.network.estimator import Estimator

    survey = load_survey(survey)
    of_images, of_catalog = split_reading(read_labelled, reading, catalog)
    network = Estimator.untrained(survey, encoder="tiny") if survey.network.conditions else None
    seen = survey if network is None else survey_of(network, images, of_images.get("hdu"))
    mosaic = Mosaic.read(images, seen, **of_images)
    refuse_copies(mosaic.bands)
    clusters = Catalog.read(catalog, **of_catalog)
    labels = _labels(clusters.table, survey.network.infers)
    fewest = None if network is None else fewest_bands(network)
    stamps = extract_stamps(mosaic, *clusters.on(mosaic), survey.stamp_size, fewest_bands=fewest)
    apart = np.array([name in APART for name in survey.network.infers])
    unknown = apart & np.asarray(np.isnan(labels).all(0))
    usable = np.isfinite(labels[:, ~unknown]).all(1) & stamps.usable
    left_out, rows = int((~usable).sum()), np.flatnonzero(usable)
    if network is None:
        if known:
            takes = "nothing: its survey names no network.conditions"
            raise must_be("known", tuple(known), f"what the network is told: {takes}")
        return Labelled(stamps.images[rows], labels[rows], left_out)
    _, measured = prepared(mosaic)
    told = tell_model(network, mosaic, measured, known or {}, clusters.table)
    planes, by_name = told.inputs(network, stamps, rows, 0)
    conditions = conditions_of(survey, len(rows), by_name)
    assert conditions is not None
    return Labelled(planes, labels[rows], left_out, conditions)


def conditions_of(
    survey: Survey, n: int, given: Mapping[str, Any] | None = None
) -> NDArray[np.float32] | None:
    """Conditions (n, value) in the order of a survey's network; None where it takes none."""
    sizes = _sizes(survey)
    ranges = dict.fromkeys(sizes, (-np.inf, np.inf))  # what lies beyond has been told
    told = as_tensor(given, sizes, n, ranges=ranges, model=survey.name)
    return None if told is None else told.numpy()


def _sizes(survey: Survey) -> dict[str, int]:
    """Values of each condition of a survey's network."""
    names = survey.network.conditions
    return {name: len(survey.bands) if KINDS[name].per_band else 1 for name in names}


def _labels(table: Any, names: Sequence[str]) -> NDArray[np.float32]:
    """The labels (n, quantity) from a table; masked values become NaN."""
    columns, missing = [], []
    for name in names:
        linear = quantities.get(name).linear
        if name in table.colnames:
            columns.append(_numbers(table, name))
        elif name in OF_ALL and linear not in table.colnames:
            columns.append(np.full(len(table), OF_ALL[name]))
        elif linear and linear in table.colnames:
            number = _numbers(table, linear)
            columns.append(np.log10(number, out=np.full(len(number), np.nan), where=number > 0))
        else:
            missing.append(linear or name)
    if missing:
        wanted = [
            f"{name} [{quantities.get(name).unit}]" if quantities.get(name).unit else name
            for name in names
        ]
        raise InputError(
            f"the catalog has no column {', '.join(missing)} (it has "
            f"{', '.join(table.colnames)}); training on real clusters needs {', '.join(wanted)}, "
            "or the number instead of its logarithm",
            given=table.colnames,
            allowed=tuple(names),
        )
    return np.column_stack(columns).astype(np.float32)


def _numbers(table: Any, name: str) -> NDArray[np.float64]:
    """A column of numbers, or of names of categories."""
    column = np.ma.asarray(table[name])
    try:
        categories = quantities.get(name).categories
    except InputError:
        categories = ()
    if categories and column.dtype.kind in "US":
        numbers = {category: float(i) for i, category in enumerate(categories)}
        return np.array([numbers.get(str(value), np.nan) for value in column.filled("")])
    from praesepe.images.catalog.coordinates import numbers as read_numbers

    return read_numbers(table, name, "the catalog")
