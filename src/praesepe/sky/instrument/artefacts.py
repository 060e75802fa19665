"""What calibrated images keep of a detector's artefacts: cosmic rays, bad pixels, and worse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from praesepe.rng import uniform

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


def cut_gaps(images: Tensor, share: float, *, generator: torch.Generator) -> None:
    """Lose a strip, or all beyond an edge, in some planes, and fill it as `fill_bad_pixels` does.

    Parameters
    ----------
    images : Tensor, shape (n, band, y, x)
        Changed in place.
    share : float
        Expected fraction of the planes. The middle of a stamp is never lost: the edge is at least
        an eighth of its side away from it, in any direction.
    generator : torch.Generator
        Source of randomness, on the device of the images.
    """
    planes = images.view(-1, *images.shape[-2:])
    u = torch.rand((4, len(planes)), generator=generator, device=images.device)
    which = torch.nonzero(u[0] < share).flatten()
    if not len(which):
        return
    side = images.shape[-1]
    angle, near, width = u[1:, which, None, None]
    y, x = (torch.arange(n, device=images.device) - n // 2 for n in images.shape[-2:])
    along = x * torch.cos(2 * math.pi * angle) + y[:, None] * torch.sin(2 * math.pi * angle)
    first = side * (1 / 8 + 3 / 8 * near)
    lost = (along > first) & (along < first + side * (1 / 16 + width))
    some = planes[which]
    median = some.masked_fill(lost, torch.nan).flatten(-2).nanmedian(-1).values
    planes[which] = torch.where(lost, median[:, None, None], some)


# Artefacts so strong that they are taken for sources: what contaminants of that kind are.


def spoil(
    image: Tensor, *, noise: Tensor, full: Tensor, exposure_s: Tensor, generator: torch.Generator
) -> None:
    """Lay one artefact over the middle of an exposed stamp, in one band or in all.

    Parameters
    ----------
    image : Tensor, shape (band, y, x)
        e-/s; changed in place.
    noise : Tensor, shape (band,)
        Standard deviation of an empty pixel, e-/s.
    full : Tensor, shape (band,)
        Where a pixel is full, e-/s.
    exposure_s : Tensor, shape (band,)
    generator : torch.Generator
        Source of randomness, on the CPU.
    """
    draw = Draws(generator)
    make = ARTEFACTS[draw.whole(len(ARTEFACTS))]
    bands = slice(None)
    if draw.between(0, 1) < ONE_BAND:
        one = draw.whole(len(image))
        bands = slice(one, one + 1)
    make(image[bands], Detection(noise[bands], full[bands], exposure_s[bands]), draw)


ONE_BAND = 0.7
"""Share of artefacts that one band has and the others, exposed at other times, have not."""


class Detection(NamedTuple):
    """Noise of an empty pixel and full well, e-/s, and exposure, s; each of shape (band,)."""

    noise: Tensor
    full: Tensor
    exposure_s: Tensor

    def with_photons(self, light: Tensor, generator: torch.Generator) -> Tensor:
        """Light (band, y, x) with its photon noise, e-/s."""
        deviates = torch.randn(light.shape, generator=generator).to(light)
        return light + deviates * (light / self.exposure_s[:, None, None]).sqrt()


class Draws:
    """Single random numbers."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def between(self, low: float, high: float) -> float:
        """Uniform."""
        return uniform(low, high, generator=self.generator)

    def power(self, low: float, high: float) -> float:
        """Uniform in the logarithm, from 10^low to 10^high."""
        return float(10 ** self.between(low, high))

    def whole(self, n: int) -> int:
        """One of 0 to n - 1."""
        return int(torch.randint(n, (), generator=self.generator))


def _cosmic_rays(image: Tensor, seen: Detection, draw: Draws) -> None:
    """Many times the usual number: 10 to 300 in 10^4 pixels, the last on 6 % of them."""
    rate = draw.power(1.0, 2.5)
    exposure_s = seen.exposure_s[:, None, None].cpu()
    hit = torch.zeros(image.shape)[None]
    add_cosmic_rays(hit, rate, (200.0, 2e4), exposure_s, generator=draw.generator)
    image += hit[0].to(image)


def _hot_columns(image: Tensor, seen: Detection, draw: Draws) -> None:
    """One to three bright columns or rows, whole or from some pixel on."""
    lines = image if draw.whole(2) else image.transpose(-1, -2)
    first, n = _near_middle(image, draw), 1 + draw.whole(3)
    start = draw.whole(2) * draw.whole(image.shape[-1])
    lines[:, start:, first : first + n] += draw.power(0.5, 2.0) * seen.noise[:, None, None]


def _bleeding(image: Tensor, seen: Detection, draw: Draws) -> None:
    """Charge that a full pixel has spilled along its column, to both sides."""
    side = image.shape[-1]
    lines = image if draw.whole(2) else image.transpose(-1, -2)
    row, column = _near_middle(image, draw), _near_middle(image, draw)
    reach = round(draw.power(0.5, math.log10(side)))
    rows, width = slice(max(0, row - reach), row + reach), 1 + draw.whole(3)
    lines[:, rows, column : column + width] = seen.full[:, None, None]


def _trail(image: Tensor, seen: Detection, draw: Draws) -> None:
    """Satellite that has crossed the stamp, out of focus."""
    width, off = draw.between(1.0, 6.0), draw.between(-10.0, 10.0)
    distance = (_along(image, draw) - off) / width
    light = draw.power(0.3, 2.0) * seen.noise[:, None, None] * torch.exp(-0.5 * distance**2)
    image += seen.with_photons(light, draw.generator)


def _ghost(image: Tensor, seen: Detection, draw: Draws) -> None:
    """Out-of-focus image of the pupil by reflections of a bright star elsewhere."""
    side, outer = image.shape[-1], draw.power(0.7, 1.4)
    steps = torch.arange(side, device=image.device)
    x, y = (steps - side // 2 - draw.between(-5.0, 5.0) for _ in range(2))
    radius = torch.hypot(x, y[:, None])
    soft = ((outer - radius + 0.5).clamp(0, 1) * (radius - 0.33 * outer + 0.5).clamp(0, 1))[None]
    light = draw.power(0.0, 1.3) * seen.noise[:, None, None] * soft
    image += seen.with_photons(light, draw.generator)


def _edge(image: Tensor, _: Detection, draw: Draws) -> None:
    """End of a detector: what lies beyond has no value, and is filled as of real stamps."""
    missing = _along(image, draw) > draw.between(-0.25, 0.25) * image.shape[-1]
    median = image.masked_fill(missing, torch.nan).flatten(-2).nanmedian(-1).values
    torch.where(missing, median[:, None, None], image, out=image)


ARTEFACTS: tuple[Callable[[Tensor, Detection, Draws], None], ...] = (
    _cosmic_rays,
    _hot_columns,
    _bleeding,
    _trail,
    _ghost,
    _edge,
)


def _near_middle(image: Tensor, draw: Draws) -> int:
    """A row or column within an eighth of the stamp from its middle."""
    side = image.shape[-1]
    return side // 2 - side // 8 + draw.whole(side // 4 + 1)


def _along(image: Tensor, draw: Draws) -> Tensor:
    """Distance of each pixel (y, x) from a line through the middle in a random direction."""
    side, angle = image.shape[-1], draw.between(0.0, 2 * math.pi)
    steps = torch.arange(side, device=image.device) - side // 2
    return steps * math.cos(angle) + steps[:, None] * math.sin(angle)
