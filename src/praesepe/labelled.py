"""Real, annotated clusters as training data: stamps and known parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from praesepe.errors import InputError
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
        if len(self.images) != len(self.labels):
            raise InputError(f"{len(self.images)} stamps but {len(self.labels)} labels; they must pair up")
        if len(self.images) < MINIMUM:
            raise InputError(
                f"{len(self.images)} usable labelled clusters ({self.left_out} left out); at least {MINIMUM} "
                "are needed, inside the image and with log_age, log_mass and rh_arcsec (or log_rh)"
            )


def read_labelled(survey: Survey, images: Mapping[str, Any], catalog: Any, **columns: Any) -> Labelled:
    """Cut the stamps of an annotated catalogue out of mosaics.

    Parameters
    ----------
    survey : Survey
        Bands and stamp size.
    images : mapping of str to path
        Mosaic of each band, as for `praesepe.predict`.
    catalog : path or Table
        Positions, and the columns ``log_age``, ``log_mass`` and ``rh_arcsec`` (or ``log_rh``).
    **columns
        Passed to `praesepe.images.catalogs.read_catalog`: names and origin of x and y.

    Returns
    -------
    Labelled
        Rows without labels, off the image or mostly missing are left out and counted.
    """
    from praesepe.images.catalogs import read_catalog
    from praesepe.images.cutouts import extract_stamps
    from praesepe.images.mosaic import read_mosaic

    mosaic = read_mosaic(images, survey)
    table, x, y = read_catalog(catalog, mosaic.wcs, **columns)
    labels = _labels(table)
    stamps = extract_stamps(mosaic, x, y, survey.stamp_size)
    usable = np.isfinite(labels).all(1) & np.isfinite(stamps.images).all((1, 2, 3))
    usable &= stamps.missing_fraction <= 0.5
    return Labelled(stamps.images[usable], labels[usable], int((~usable).sum()))


def _labels(table: Any) -> NDArray[np.float32]:
    """The three labels from a table; masked values become NaN."""

    def column(name: str) -> NDArray[np.float64]:
        return np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)

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
            f"the catalogue has no column {', '.join(missing)} (it has {', '.join(table.colnames)}); "
            "training on real clusters needs log_age [dex(yr)], log_mass [dex(Msun)] and rh_arcsec or log_rh"
        )
    return np.column_stack((column("log_age"), column("log_mass"), log_rh)).astype(np.float32)


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
        self.survey, self.seed, self.batch_size = survey, seed, batch_size
        order = np.random.default_rng((seed, 7)).permutation(len(labelled.images))
        images = torch.from_numpy(labelled.images[order]).to(device)
        labels = torch.from_numpy(labelled.labels[order]).to(device)
        held_out = max(len(order) // 7, 1)
        self._valid = images[:held_out], labels[:held_out]
        self._train = images[held_out:], labels[held_out:]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, 8, step))
        images, labels = self._train
        index = torch.from_numpy(rng.integers(0, len(images), self.batch_size))
        turned = []
        for image, k in zip(images[index], rng.integers(0, 8, self.batch_size), strict=True):
            image = torch.rot90(image, int(k) % 4, (-2, -1))
            turned.append(image.flip(-1) if k >= 4 else image)
        gain = rng.normal(0, self.survey.nuisance.zero_point_mag, (self.batch_size, images.shape[1], 1, 1))
        factor = torch.from_numpy(10 ** (-0.4 * gain)).to(images)
        return torch.stack(turned) * factor, labels[index]

    def validation(self) -> tuple[Tensor, Tensor]:
        """The clusters kept back."""
        return self._valid
