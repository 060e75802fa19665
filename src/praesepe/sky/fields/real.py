"""Star fields cut from real mosaics, as backgrounds of simulated clusters."""

from __future__ import annotations

import hashlib
import json
import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor

from praesepe.bounded import read_json
from praesepe.errors import InputError, listed, must_be, reason, unusable
from praesepe.rng import on_cpu
from praesepe.sky.fields.crops import add_crops
from praesepe.survey import Survey

FIELDS, DESCRIPTION = "fields.npy", "fields.json"
"""The files of a folder of star fields: the pixels, and what they are."""

FORMAT = "praesepe star fields 1"

AGAIN, BUILD = "build the fields again", "praesepe.build_fields(…)"

ZERO_POINT_TOLERANCE_MAG = 0.01
SCALE_TOLERANCE = 0.02
"""Largest differences between the fields and the survey; the second is relative."""


class _Band(BaseModel, strict=True, allow_inf_nan=False):
    """What is used of the description of a band."""

    name: str
    zero_point_ab: float


class _Description(BaseModel, strict=True, allow_inf_nan=False):
    """What is used of a description; the rest is for its readers."""

    n: int = Field(gt=0)
    size: int = Field(gt=0)
    pixel_scale_arcsec: float = Field(gt=0)
    bands: list[_Band] = Field(min_length=1)


class RealFieldPool:
    """Random crops of real star fields, in e-/s at the survey's zero points.

    The fields stay in their file, which is mapped into memory: several processes share one copy.
    On a GPU they are copied to its memory. The pool has no state: what it gives depends on the
    generator alone.

    Parameters
    ----------
    folder : path
        Made by `praesepe fields build` (`praesepe.mocks.fields.build_fields`).
    survey : Survey
        The simulated survey; its bands must be among those of the fields.
    device : torch.device or str
        Where the crops are wanted.

    Raises
    ------
    InputError
        Where the folder holds no fields, or fields of other bands, zero points or pixel scale, or
        too small ones; names both values.
    """

    before_psf = False
    step = 0

    def __init__(
        self, folder: str | Path, survey: Survey, *, device: torch.device | str = "cpu"
    ) -> None:
        description = _read_description(folder)
        fields = torch.from_numpy(open_fields(Path(folder).expanduser(), description))
        bands = _check_fit(description, survey, str(folder))
        if bands != list(range(fields.shape[1])):  # a copy in memory, of the wanted bands only
            fields = fields[:, bands]
        self._fields = fields.to(device)
        self.size_px, self.number = fields.shape[-1], torch.arange(len(fields))

    def __repr__(self) -> str:
        n, n_bands, *_, side = self._fields.shape
        return f"<RealFieldPool: {n} star fields of {side} px in {n_bands} bands>"

    def seek(self, step: int) -> None:
        """Go to a batch: nothing changes, the fields are those of the files."""

    def add_to(
        self,
        light: Tensor,
        *,
        generator: torch.Generator,
        distance_pc: Tensor | None = None,
        foreground_a_v: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Add a random crop of a random field to each exposed image, in a random orientation.

        Parameters
        ----------
        light : Tensor, shape (n, band, size, size)
            e-/s; changed in place.
        generator : torch.Generator
            Source of randomness.
        distance_pc, foreground_a_v : Tensor, shape (n,), optional
            Do not matter: real fields have one distance, and their dust before them.

        Returns
        -------
        dict of str to Tensor, each of shape (n,)
            ``field``, the number of each field, int64, on the CPU; ``field_density``, NaN: the
            surface density of a real field is not known.
        """
        room = self._fields.shape[-1] - light.shape[-1] + 1
        high = torch.tensor([[len(self._fields)], [room], [room], [8]])
        u = torch.rand((4, len(light)), generator=on_cpu(generator), dtype=torch.float64)
        choice = (u * high).long()
        add_crops(light, self._fields, choice)
        density = torch.full((len(light),), math.nan, device=light.device)
        return {"field": choice[0], "field_density": density}

    def field(self, place: int) -> Tensor:
        """One field, (band, y, x), e-/s."""
        return self._fields[place]


def _read_description(folder: str | Path) -> dict[str, Any]:
    """What a folder of star fields says about itself; an `InputError` where it is none."""
    path = Path(folder).expanduser() / DESCRIPTION
    try:
        description = dict(read_json(path))
        given = description["format"]
    except (OSError, ValueError, KeyError, TypeError):
        fault = f"holds no star fields: no readable {DESCRIPTION} in it"
        raise unusable(folder, fault, "make them", code=BUILD) from None
    if given != FORMAT:
        raise must_be("format", given, repr(FORMAT), AGAIN, code=BUILD).at(str(path))
    try:
        _Description.model_validate(description)
    except ValueError as error:
        raise unusable(path, f"is damaged: {reason(error)}", AGAIN, code=BUILD) from None
    return description


def open_fields(folder: Path, description: dict[str, Any]) -> NDArray[np.float32]:
    """The pixels (n, band, y, x), mapped into memory, where they are what the description says."""
    path = folder / FIELDS
    size = description["size"]
    shape = (description["n"], len(description["bands"]), size, size)
    try:
        # "c": what torch takes for writable memory, and still the file's own pages.
        fields = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, SyntaxError, tokenize.TokenError) as error:
        raise unusable(path, f"cannot be read: {reason(error)}", AGAIN, code=BUILD) from None
    if fields.shape != shape or fields.dtype != np.float32:
        given = (str(fields.dtype), fields.shape)
        allowed = f"{('float32', shape)}, as {DESCRIPTION} beside it says"
        raise must_be("type and shape", given, allowed, AGAIN, code=BUILD).at(str(path))
    if "checksum" in description and description["checksum"] != checksum_of(description, fields):
        fault = f"is damaged, or of another run than the {DESCRIPTION} beside it"
        raise unusable(path, fault, AGAIN, code=BUILD)
    return np.asarray(fields)


def checksum_of(description: dict[str, Any], fields: NDArray[np.float32]) -> str:
    """SHA-256 of a description and of all pixels: 0.15 s for 500 fields of three bands."""
    told = {key: value for key, value in description.items() if key != "checksum"}
    total = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    total.update(np.ascontiguousarray(fields).data)
    return total.hexdigest()


def _check_fit(description: dict[str, Any], survey: Survey, folder: str) -> list[int]:
    """Places of the survey's bands among those of the fields."""
    bands = {band["name"]: i for i, band in enumerate(description["bands"])}

    def unfit(what: str, theirs: Any, ours: Any) -> InputError:
        return InputError(
            f"the star fields in {folder} have {what} {listed(theirs)}, but survey {survey.name!r} "
            f"{listed(ours)}",
            given=theirs,
            allowed=ours,
            remedy="build fields for this survey",
            code=BUILD,
        )

    if not set(survey.band_names) <= set(bands):
        raise unfit("bands", tuple(bands), survey.band_names)
    for band in survey.bands:
        theirs = float(description["bands"][bands[band.name]]["zero_point_ab"])
        if abs(theirs - band.zero_point_ab) > ZERO_POINT_TOLERANCE_MAG:
            raise unfit(f"a zero point of {band.name} [mag (AB)] of", theirs, band.zero_point_ab)
    scale = float(description["pixel_scale_arcsec"])
    if abs(scale / survey.pixel_scale_arcsec - 1) > SCALE_TOLERANCE:
        raise unfit("pixels [arcsec] of", scale, survey.pixel_scale_arcsec)
    if description["size"] < survey.stamp_size:
        raise unfit("a width [px] of", description["size"], survey.stamp_size)
    return [bands[name] for name in survey.band_names]
