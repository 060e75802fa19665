"""Random crops of wide star fields with dihedral augmentation: each in one of 8 orientations."""

from __future__ import annotations

import torch
from torch import Tensor


def add_crops(light: Tensor, fields: Tensor, choice: Tensor, factor: Tensor | None = None) -> None:
    """Add a crop of a field to each stamp, in place.

    Parameters
    ----------
    light : Tensor, shape (n, band, size, size)
        The stamps.
    fields : Tensor, shape (field, band, y, x)
        On the device of the stamps.
    choice : Tensor of int64, shape (4, n)
        Field, first row, first column, and three bits: transposed, mirrored in x, mirrored in y;
        on the CPU.
    factor : Tensor, shape (n, band), optional
        On the light of the fields.
    """
    size = light.shape[-1]
    if light.device.type != "cpu":  # one launch for all stamps
        crops = gather(fields, choice.to(light.device), size)
        light += crops if factor is None else crops * factor[..., None, None]
        return
    factors = [None] * len(light) if factor is None else factor[..., None, None]
    for stamp, (field, row, column, orientation), of_stamp in zip(
        light, choice.T.tolist(), factors, strict=True
    ):
        crop = fields[field, :, row : row + size, column : column + size]
        flips = [axis for axis, bit in ((-1, 2), (-2, 4)) if orientation & bit]
        crop = crop.flip(flips) if flips else crop
        crop = crop.transpose(-1, -2) if orientation & 1 else crop
        if of_stamp is None:
            stamp += crop
        else:
            stamp.addcmul_(crop, of_stamp)


def gather(fields: Tensor, choice: Tensor, size: int) -> Tensor:
    """The crops of side `size` all at once, as a GPU likes it, (n, band, size, size)."""
    field, row, column, orientation = choice
    steps = torch.arange(size, device=fields.device)
    backwards = steps.flip(0)
    along_x = column[:, None] + torch.where((orientation & 2).bool()[:, None], backwards, steps)
    along_y = row[:, None] + torch.where((orientation & 4).bool()[:, None], backwards, steps)
    transposed = (orientation & 1).bool()[:, None, None]
    y = torch.where(transposed, along_y[:, None, :], along_y[:, :, None])  # (n, size, size)
    x = torch.where(transposed, along_x[:, :, None], along_x[:, None, :])
    bands = torch.arange(fields.shape[1], device=fields.device)[:, None, None]
    return fields[field[:, None, None, None], bands, y[:, None], x[:, None]]
