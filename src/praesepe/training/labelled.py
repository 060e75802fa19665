"""Real, annotated clusters as training data: stamps and known parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.arrays import plain, rates
from praesepe.errors import InputError, must_be, warn_outside
from praesepe.images.inputs import Reading, split_reading
from praesepe.survey import Survey, load_survey

MINIMUM = 20
"""Fewest labelled clusters that are worth a training."""


@dataclass(frozen=True, repr=False)
class Labelled:
    """Clusters with known parameters.

    Attributes
    ----------
    images : ndarray of float32, shape (n, band, y, x)
        Stamps, e-/s at the survey's zero points.
    labels : ndarray of float32, shape (n, quantity)
        What the network is to infer, by default log_age, log_mass and log_rh [dex(arcsec)].
    left_out : int
        Rows of the catalog that could not be used.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.float32]
    left_out: int = 0

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
        if not (np.isfinite(images).all() and np.isfinite(labels).all()):
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
            For categories that do not exist.
        """
        for (name, (low, high)), values in zip(priors.items(), self.labels.T, strict=True):
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

    def fingerprint(self) -> str:
        """SHA-256 of stamps and labels: equal clusters, equal fingerprints."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images, np.float32).tobytes())
        digest.update(np.ascontiguousarray(self.labels, np.float32).tobytes())
        return digest.hexdigest()


def read_labelled(
    survey: Survey | str | Path,
    images: Any,
    catalog: Any,
    **reading: Unpack[Reading],
) -> Labelled:
    """Cut the stamps of an annotated catalog out of mosaics.

    Parameters
    ----------
    survey : Survey, str or Path
        Bands, stamp size, and the quantities that its network infers.
    images : mapping of str to path, or Mosaic
        Mosaic of each band, as for `praesepe.predict`.
    catalog : path, Table or Catalog
        Positions, and a column for each quantity, by its name or (``rh_arcsec`` for ``log_rh``)
        that of its number.
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

    survey = load_survey(survey)
    of_images, of_catalog = split_reading(read_labelled, reading, catalog)
    mosaic = Mosaic.read(images, survey, **of_images)
    refuse_copies(mosaic.bands)
    clusters = Catalog.read(catalog, **of_catalog)
    x_pixel, y_pixel = clusters.on(mosaic)
    labels = _labels(clusters.table, survey.network.infers)
    stamps = extract_stamps(mosaic, x_pixel, y_pixel, survey.stamp_size)
    usable = np.isfinite(labels).all(1) & stamps.usable
    return Labelled(stamps.images[usable], labels[usable], int((~usable).sum()))


def _labels(table: Any, names: Sequence[str]) -> NDArray[np.float32]:
    """The labels (n, quantity) from a table; masked values become NaN."""
    columns, missing = [], []
    for name in names:
        linear = quantities.get(name).linear
        if name in table.colnames:
            columns.append(_numbers(table, name))
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
