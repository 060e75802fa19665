"""Real, annotated clusters as training data: stamps and known parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from praesepe.errors import InputError
from praesepe.quantities import PARAMETERS
from praesepe.survey import Survey

MINIMUM = 20
"""Fewest labelled clusters that are worth a training."""


@dataclass(frozen=True)
class Labelled:
    """Clusters with known parameters.

    Attributes
    ----------
    images : ndarray of float32, shape (n, band, y, x)
        Stamps, e-/s at the survey's zero points.
    labels : ndarray of float32, shape (n, 3)
        log_age, log_mass, log_rh [dex(arcsec)].
    left_out : int
        Rows of the catalogue that could not be used.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.float32]
    left_out: int = 0

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if len(images) != len(labels):
            raise InputError(f"{len(images)} stamps but {len(labels)} labels; they must pair up")
        if images.ndim != 4 or labels.ndim != 2 or labels.shape[1] != len(PARAMETERS):
            raise InputError(
                f"stamps of shape {images.shape} and labels of shape {labels.shape}; they must be "
                f"(n, band, y, x) and (n, {len(PARAMETERS)})"
            )
        if len(images) < MINIMUM:
            raise InputError(
                f"{len(images)} usable labelled clusters ({self.left_out} left out); at least "
                f"{MINIMUM} are needed, inside the image and with log_age, log_mass and "
                "rh_arcsec (or log_rh)"
            )
        if not (np.isfinite(images).all() and np.isfinite(labels).all()):
            raise InputError("stamps or labels contain NaN or infinite values; leave these out")

    def fingerprint(self) -> str:
        """SHA-256 of stamps and labels: equal clusters, equal fingerprints."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images, np.float32).tobytes())
        digest.update(np.ascontiguousarray(self.labels, np.float32).tobytes())
        return digest.hexdigest()


def read_labelled(
    survey: Survey,
    images: Any,
    catalog: Any,
    *,
    x: str | None = None,
    y: str | None = None,
    origin: int | None = None,
    units: Mapping[str, str] | None = None,
    zero_points: Mapping[str, float] | None = None,
    allow_no_wcs: bool = False,
) -> Labelled:
    """Cut the stamps of an annotated catalogue out of mosaics.

    Parameters
    ----------
    survey : Survey
        Bands and stamp size.
    images : mapping or Mosaic
        Mosaic of each band, as for `praesepe.predict`.
    catalog : path, Table or Catalog
        Positions, and the columns ``log_age``, ``log_mass`` and ``rh_arcsec`` (or ``log_rh``).
    x, y, origin
        As for `praesepe.images.Catalog.read`.
    units, zero_points, allow_no_wcs
        As for `praesepe.images.Mosaic.read`.

    Returns
    -------
    Labelled
        Rows without labels, off the image or mostly missing are left out and counted.

    Raises
    ------
    InputError
        Where images or catalogue cannot be used, or too few rows remain.
    """
    from praesepe.images.catalogs import Catalog
    from praesepe.images.cutouts import extract_stamps
    from praesepe.images.mosaic import Mosaic

    mosaic = Mosaic.read(
        images, survey, units=units, zero_points=zero_points, allow_no_wcs=allow_no_wcs
    )
    clusters = Catalog.read(catalog, x=x, y=y, origin=origin)
    labels = _labels(clusters.table)
    stamps = extract_stamps(mosaic, *clusters.on(mosaic.wcs), survey.stamp_size)
    usable = np.isfinite(labels).all(1) & stamps.usable
    return Labelled(stamps.images[usable], labels[usable], int((~usable).sum()))


def _labels(table: Any) -> NDArray[np.float32]:
    """The three labels from a table; masked values become NaN."""

    def column(name: str) -> NDArray[np.float64]:
        try:
            return np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)
        except ValueError as error:
            raise InputError(
                f"column {name} of the catalogue does not hold numbers: {error}; "
                "leave cells without a value empty"
            ) from error

    missing = [name for name in ("log_age", "log_mass") if name not in table.colnames]
    if "log_rh" in table.colnames:
        log_rh = column("log_rh")
    elif "rh_arcsec" in table.colnames:
        radius = column("rh_arcsec")
        log_rh = np.log10(radius, out=np.full(len(radius), np.nan), where=radius > 0)
    else:
        missing.append("rh_arcsec")
    if missing:
        raise InputError(
            f"the catalogue has no column {', '.join(missing)} (it has "
            f"{', '.join(table.colnames)}); training on real clusters needs log_age [dex(yr)], "
            "log_mass [dex(Msun)] and rh_arcsec or log_rh"
        )
    return np.column_stack((column("log_age"), column("log_mass"), log_rh)).astype(np.float32)


def turn(image: Tensor, k: int) -> Tensor:
    """Turn and mirror (..., y, x) about pixel n // 2, where clusters lie; k from 0 to 7."""
    if k & 4:
        image = image.transpose(-2, -1)
    axes = [axis for axis, bit in ((-2, 1), (-1, 2)) if k & bit]
    shifts = [1 - image.shape[axis] % 2 for axis in axes]
    return image.flip(axes).roll(shifts, axes) if axes else image


class LabelledSource:
    """Batches of real clusters, turned, mirrored and with zero points off by the survey's scatter.

    Parameters
    ----------
    labelled : Labelled
        The clusters; a seventh of them is kept for validation.
    survey : Survey
        Gives the scatter of the zero points.
    seed, batch_size : int
    device : torch.device
    """

    def __init__(
        self, labelled: Labelled, survey: Survey, seed: int, batch_size: int, device: torch.device
    ) -> None:
        expected = (len(survey.bands), survey.stamp_size, survey.stamp_size)
        if labelled.images.shape[1:] != expected:
            raise InputError(
                f"labelled stamps have (band, y, x) = {labelled.images.shape[1:]}, survey "
                f"{survey.name!r} has {expected}; they must agree"
            )
        self.survey, self.seed, self.batch_size = survey, seed, batch_size
        order = np.random.default_rng((seed, 7)).permutation(len(labelled.images))
        images = torch.from_numpy(labelled.images[order].astype(np.float32)).to(device)
        labels = torch.from_numpy(labelled.labels[order].astype(np.float32)).to(device)
        held_out = max(len(order) // 7, 1)
        self._valid = images[:held_out], labels[:held_out]
        self._train = images[held_out:], labels[held_out:]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, 8, step))
        images, labels = self._train
        index = torch.from_numpy(rng.integers(0, len(images), self.batch_size))
        orientations = rng.integers(0, 8, self.batch_size)
        turned = [turn(image, int(k)) for image, k in zip(images[index], orientations, strict=True)]
        gain = rng.normal(
            0,
            self.survey.observation.nuisance.zero_point_mag,
            (self.batch_size, images.shape[1], 1, 1),
        )
        factor = torch.from_numpy(10 ** (-0.4 * gain)).to(images)
        return torch.stack(turned) * factor, labels[index]

    def all_images(self) -> Tensor:
        """The stamps of all clusters, those kept back last."""
        return torch.cat((self._train[0], self._valid[0]))

    def validation(self) -> tuple[Tensor, Tensor]:
        """The clusters kept back."""
        return self._valid
