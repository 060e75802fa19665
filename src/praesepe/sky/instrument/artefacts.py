"""What calibrated images keep of a detector's artefacts: cosmic rays and bad pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LONGEST_STREAK_PX = 4
"""A remnant of a cosmic ray covers one to this many pixels in a row."""

_DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))


def add_cosmic_rays(
    images: Tensor,
    rate: float,
    electrons: tuple[float, float],
    exposure_s: Tensor,
    *,
    generator: torch.Generator,
) -> None:
    """Add remnants of cosmic rays at random places.

    Parameters
    ----------
    images : Tensor, shape (n, band, y, x)
        e-/s; changed in place.
    rate : float
        Expected number per 10^4 pixels of a band.
    electrons : (float, float)
        Range of the electrons of a remnant, log-uniform; its pixels share them evenly.
    exposure_s : Tensor, shape (band, 1, 1) or (n, band, 1, 1)
        Exposure times that turn electrons into e-/s.
    generator : torch.Generator
        Source of randomness, on the device of the images.
    """
    n, n_bands, height, width = images.shape
    device = images.device

    def uniform(high: int) -> Tensor:
        return torch.randint(high, (count,), generator=generator, device=device)

    expected = torch.tensor(rate * images.numel() / 1e4, device=device, dtype=torch.float64)
    count = int(torch.poisson(expected, generator=generator))
    plane, row, column = uniform(n * n_bands), uniform(height), uniform(width)
    length = uniform(LONGEST_STREAK_PX) + 1
    step = torch.tensor(_DIRECTIONS, device=device)[uniform(len(_DIRECTIONS))]  # (count, 2)
    low, high = (math.log(value) for value in electrons)
    exposure = exposure_s.expand(n, n_bands, 1, 1).reshape(-1)
    u = torch.rand(count, generator=generator, device=device)
    light = torch.exp(low + (high - low) * u) / length / exposure[plane]
    along = torch.arange(LONGEST_STREAK_PX, device=device)
    rows = row[:, None] + along * step[:, 1:]  # (count, LONGEST_STREAK_PX)
    columns = column[:, None] + along * step[:, :1]
    hit = (along < length[:, None]) & (rows >= 0) & (rows < height) & (columns < width)
    index = (plane[:, None] * height + rows) * width + columns
    images.view(-1).index_add_(0, index[hit], light[:, None].expand(index.shape)[hit])


def fill_bad_pixels(images: Tensor, fraction: float, *, generator: torch.Generator) -> None:
    """Lose pixels at random and fill them as `praesepe.images.mosaic.cutouts` fills real stamps.

    Parameters
    ----------
    images : Tensor, shape (n, band, y, x)
        Changed in place: a bad pixel holds the median of the good ones of its stamp and band, of an
        even number of them the lower of the middle two.
    fraction : float
        Expected fraction of bad pixels.
    generator : torch.Generator
        Source of randomness, on the device of the images.
    """
    bad = torch.rand(images.shape, generator=generator, device=images.device) < fraction
    median = images.masked_fill(bad, torch.nan).flatten(-2).nanmedian(-1).values  # (n, band)
    torch.where(bad, median[..., None, None], images, out=images)
