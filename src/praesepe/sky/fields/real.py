"""Star fields cut from real mosaics, as backgrounds of simulated clusters."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from praesepe.errors import InputError
from praesepe.sky.fields.crops import gather
from praesepe.survey import Survey

FIELDS, DESCRIPTION = "fields.npy", "fields.json"
"""The files of a folder of star fields: the pixels, and what they are."""

FORMAT = "praesepe star fields 1"

ZERO_POINT_TOLERANCE_MAG = 0.01
SCALE_TOLERANCE = 0.02
"""Largest differences between the fields and the survey; the second is relative."""


class RealFieldBank:
    """Random crops of real star fields, in e-/s at the survey's zero points.

    The fields stay in their file, which is mapped into memory: several processes share one copy.
    On a GPU they are copied to its memory. The bank has no state: what it gives depends on the
    generator alone.

    Parameters
    ----------
    folder : path
        Made by `praesepe fields build` (`praesepe.mocks.fields.build_fields`).
    survey : Survey
        The simulated survey; its bands must be among those of the fields.
    device : torch.device or str
        Where the crops are wanted.
    size : int, optional
        Side of a crop in pixels; the survey's stamps by default.

    Attributes
    ----------
    n_fields, field_size : int
        Number of fields, and their side in pixels.
    description : dict
        What the folder says about itself: files, survey, seed, places left out.

    Raises
    ------
    InputError
        Where the folder holds no fields, or fields of other bands, zero points or pixel scale, or
        too small ones; names both values.
    """

    def __init__(
        self,
        folder: str | Path,
        survey: Survey,
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
    ) -> None:
        self.size = survey.stamp_size if size is None else size
        self.device = torch.device(device)
        self.description = read_description(folder)
        self._fields = _open(Path(folder).expanduser(), self.description)
        self.n_fields, _, self.field_size, _ = self._fields.shape
        self._bands = _check_fit(self.description, survey, self.field_size, self.size, str(folder))
        in_order = self._bands == list(range(self._fields.shape[1]))
        if not in_order:  # a copy in memory, of the wanted bands only
            self._fields = np.ascontiguousarray(self._fields[:, self._bands])
        self._on_device: Tensor | None = None
        if self.device.type != "cpu":
            self._on_device = torch.from_numpy(np.array(self._fields)).to(self.device)

    before_psf = False
    calls = 0

    def advance(self) -> None:
        """Go on to the next batch: nothing changes, the fields are those of the files."""

    def rewind(self, calls: int) -> None:
        """Put the pool to where it stood after `calls` batches: it always stands there."""

    def add_to(
        self, light: Tensor, *, generator: torch.Generator, distance_pc: Tensor | None = None
    ) -> Tensor:
        """Add a random crop to each exposed image, in place.

        Parameters
        ----------
        light : Tensor, shape (n, band, size, size)
            e-/s.
        generator : torch.Generator
            Source of randomness.
        distance_pc : Tensor, shape (n,), optional
            Does not matter: real fields are at one distance.

        Returns
        -------
        Tensor, shape (n,)
            NaN: the surface density of a real field is not known.
        """
        light += self.cut(len(light), generator=generator)
        return torch.full((len(light),), math.nan)

    def cut(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Cut random crops of random fields, in a random orientation.

        Parameters
        ----------
        n : int
            Number of crops.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        Tensor, shape (n, band, size, size)
            e-/s, on the device of the pool. They hold the sky and the noise of the images.
        """
        seeded = generator
        if generator.device.type != "cpu":  # small choices are made on the CPU
            seed = torch.randint(2**62, (), generator=generator, device=generator.device)
            seeded = torch.Generator().manual_seed(int(seed))
        room = self.field_size - self.size + 1
        high = torch.tensor([[self.n_fields], [room], [room], [8]])
        choice = (torch.rand((4, n), generator=seeded, dtype=torch.float64) * high).long()
        if self._on_device is not None:
            return gather(self._on_device, choice.to(self.device), self.size)
        return self._copy(choice)

    def _copy(self, choice: Tensor) -> Tensor:
        """Copy the crops out of the mapped file, one by one: rows are read in order."""
        size = self.size
        crops = torch.empty((choice.shape[1], self._fields.shape[1], size, size))
        for out, (field, row, column, orientation) in zip(
            crops.numpy(), choice.T.tolist(), strict=True
        ):
            crop = self._fields[field, :, row : row + size, column : column + size]
            if orientation & 2:
                crop = crop[:, :, ::-1]
            if orientation & 4:
                crop = crop[:, ::-1]
            out[...] = crop.swapaxes(1, 2) if orientation & 1 else crop
        return crops


def read_description(folder: str | Path) -> dict[str, Any]:
    """Read what a folder of star fields says about itself.

    Raises
    ------
    InputError
        Where it is not such a folder.
    """
    path = Path(folder).expanduser() / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise InputError(
                f"{path} is of the format {description['format']!r}, not {FORMAT!r}; build the "
                "fields again: praesepe fields build"
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{folder} holds no star fields: no readable {DESCRIPTION} in it; make them with "
            "praesepe fields build"
        ) from None
    return dict(description)


def _open(folder: Path, description: dict[str, Any]) -> NDArray[np.float32]:
    path = folder / FIELDS
    size = description["size"]
    shape = (description["n"], len(description["bands"]), size, size)
    try:
        fields = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; build the fields again") from None
    if fields.shape != shape or fields.dtype != np.float32:
        raise InputError(
            f"{path} holds {fields.dtype} of shape {fields.shape}, but {DESCRIPTION} beside it "
            f"says float32 of shape {shape}; build the fields again"
        )
    return np.asarray(fields)  # a plain view of the map: slicing a memmap is slow


def _check_fit(
    description: dict[str, Any], survey: Survey, field_size: int, size: int, folder: str
) -> list[int]:
    """Places of the survey's bands among those of the fields."""
    bands = {band["name"]: i for i, band in enumerate(description["bands"])}
    missing = [name for name in survey.band_names if name not in bands]
    if missing:
        raise InputError(
            f"the star fields in {folder} have the bands {', '.join(bands)}, but survey "
            f"{survey.name!r} needs {', '.join(survey.band_names)}: {', '.join(missing)} missing; "
            "build fields for this survey"
        )
    for band in survey.bands:
        theirs = float(description["bands"][bands[band.name]]["zero_point_ab"])
        if abs(theirs - band.zero_point_ab) > ZERO_POINT_TOLERANCE_MAG:
            raise InputError(
                f"band {band.name!r}: 1 e-/s is {theirs:g} mag (AB) in the star fields in "
                f"{folder}, but {band.zero_point_ab:g} in survey {survey.name!r}; build fields for "
                "this survey"
            )
    scale = float(description["pixel_scale_arcsec"])
    if abs(scale / survey.pixel_scale_arcsec - 1) > SCALE_TOLERANCE:
        raise InputError(
            f"the star fields in {folder} have pixels of {scale:g} arcsec, but survey "
            f"{survey.name!r} of {survey.pixel_scale_arcsec:g}; build fields for this survey"
        )
    if field_size < size:
        raise InputError(
            f"the star fields in {folder} are {field_size} px wide, but stamps of survey "
            f"{survey.name!r} {size} px; build larger ones"
        )
    return [bands[name] for name in survey.band_names]
