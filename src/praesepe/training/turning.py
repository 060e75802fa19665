"""Stamps turned and mirrored, and their labels with them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from praesepe.quantities import ANGLE, OFFSETS

_X, _Y = OFFSETS


def dihedral(image: Tensor, k: int) -> Tensor:
    """Turn and mirror (..., y, x) about pixel n // 2, where clusters lie; k from 0 to 7."""
    if k & 4:
        image = image.transpose(-2, -1)
    axes = [axis for axis, bit in ((-2, 1), (-1, 2)) if k & bit]
    shifts = [1 - image.shape[axis] % 2 for axis in axes]
    return image.flip(axes).roll(shifts, axes) if axes else image


def turned(images: Tensor, k: Tensor) -> Tensor:
    """Stamps (n, band, y, x), each in its own of the eight orientations k (n,)."""
    images = images.clone()
    for way in range(1, 8):
        these = (k == way).nonzero()[:, 0]
        images[these] = dihedral(images[these], way)
    return images


def turned_values(values: dict[str, Tensor], k: Tensor) -> dict[str, Tensor]:
    """Quantities of the stamps, each of shape (n,), as they are in the orientations k (n,).

    Offsets and the angle of the long axis turn. Where only one of the two offsets is there, it is
    NaN in orientations that swap the axes.
    """
    swapped, up, right = (k & 4) > 0, (k & 1) > 0, (k & 2) > 0
    values = dict(values)
    if _X in values or _Y in values:
        unknown = torch.full(k.shape, torch.nan, device=k.device)
        x, y = values.get(_X, unknown), values.get(_Y, unknown)
        x, y = torch.where(swapped, y, x), torch.where(swapped, x, y)
        new = {_X: torch.where(right, -x, x), _Y: torch.where(up, -y, y)}
        values |= {name: new[name] for name in OFFSETS if name in values}
    if ANGLE.name in values:
        angle = values[ANGLE.name]
        angle = torch.where(swapped, math.pi / 2 - angle, angle)
        values[ANGLE.name] = torch.where(up ^ right, -angle, angle) % math.pi
    return values
