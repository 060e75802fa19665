"""Faulty stamps, made of good ones: what a critic learns to tell (`praesepe.training.critic`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.sky.instrument.artefacts import LONGEST_STREAK_PX, add_cosmic_rays

GAIN_DEX = (0.6, 1.3)
"""By how much the light of a band is wrong."""

SHIFT_PX = (1.0, 2.9)
WIDER = (1.8, 2.8)
"""PSF over the usual one of the band."""

NEARLY = (0.8, 1.1)
"""PSF over that of the image, of what is nearly right."""

MOST_SHARPENED = 3.0
"""Largest factor on a spatial frequency."""

RAYS_PX = (0.02, 0.12)
"""Share of the pixels that cosmic rays cover."""

RAY_NOISES = (4.0, 400.0)
"""Electrons of a remnant, in units of a pixel's noise."""

USUAL_FWHM_PX = 2.2
SIGMA = 1 / (8 * math.log(2)) ** 0.5


@dataclass(frozen=True)
class Stamps:
    """Stamps to spoil.

    Attributes
    ----------
    images : Tensor, shape (n, band, y, x)
    there : Tensor of bool, shape (n, band)
        Bands that the network sees.
    noise : Tensor, shape (n, band)
        Of a pixel, in the unit of the images.
    fwhm_px : Tensor, shape (n, band)
        Of the PSF.
    generator : torch.Generator
        On the CPU.
    """

    images: Tensor
    there: Tensor
    noise: Tensor
    fwhm_px: Tensor
    generator: torch.Generator

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Numbers between two, on the images' device."""
        u = torch.rand(shape, generator=self.generator).to(self.images)
        return low + (high - low) * u

    def noisy(self) -> Tensor:
        """Nothing but noise in every band."""
        white = torch.randn(self.images.shape, generator=self.generator).to(self.images)
        return white * self.noise[..., None, None]

    def bands(self, n: int) -> Tensor:
        """`n` different bands of every stamp, of those that are there, (stamp, n)."""
        order = self.uniform(*self.there.shape).masked_fill(~self.there, -1)
        return order.topk(n, dim=1).indices

    def one_or_all(self) -> Tensor:
        """Which bands are spoilt, one of half of the stamps, all of the others; (n, band, 1, 1)."""
        one = torch.zeros_like(self.there).scatter_(1, self.bands(1), True)
        every = self.uniform(len(one), 1) < 0.5
        return (one | every)[..., None, None]

    def part(self, which: Tensor) -> Stamps:
        """Some of the stamps."""
        return Stamps(
            self.images[which],
            self.there[which],
            self.noise[which],
            self.fwhm_px[which],
            self.generator,
        )

    def one(self) -> Tensor:
        """One band of every stamp, (n, band, 1, 1)."""
        return torch.zeros_like(self.there).scatter_(1, self.bands(1), True)[..., None, None]


def swapped(stamps: Stamps) -> Tensor:
    """Two bands in each other's place."""
    spoilt, pair = stamps.images.clone(), stamps.bands(2)
    rows = torch.arange(len(pair), device=pair.device)
    spoilt[rows, pair[:, 0]] = stamps.images[rows, pair[:, 1]]
    spoilt[rows, pair[:, 1]] = stamps.images[rows, pair[:, 0]]
    return spoilt


def rescaled(stamps: Stamps) -> Tensor:
    """One band too bright, or too faint for a third of the stamps."""
    n = len(stamps.images)
    dex = stamps.uniform(n, low=GAIN_DEX[0], high=GAIN_DEX[1])
    dex = torch.where(stamps.uniform(n) < 1 / 3, -dex, dex)
    gain = 10 ** dex[:, None, None, None]
    return torch.where(stamps.one(), stamps.images * gain, stamps.images)


def shifted(stamps: Stamps) -> Tensor:
    """One band off by whole pixels, so that its noise stays what it is."""
    reach = math.ceil(SHIFT_PX[1])
    steps = [
        (y, x)
        for y in range(-reach, reach + 1)
        for x in range(-reach, reach + 1)
        if SHIFT_PX[0] <= math.hypot(y, x) <= SHIFT_PX[1]
    ]
    spoilt = stamps.images.clone()
    chosen = (stamps.uniform(len(spoilt)) * len(steps)).long().tolist()
    for k, (band, step) in enumerate(zip(stamps.bands(1)[:, 0].tolist(), chosen, strict=True)):
        spoilt[k, band] = stamps.images[k, band].roll(steps[step], (0, 1))
    return spoilt


def blurred(stamps: Stamps) -> Tensor:
    """Every band less sharp than usual."""
    n = len(stamps.images)
    usual = stamps.fwhm_px.mean(0)
    return _with_width(stamps, usual * stamps.uniform(n, 1, low=WIDER[0], high=WIDER[1]))


def _with_width(stamps: Stamps, fwhm_px: Tensor) -> Tensor:
    """Stamps through PSFs of other widths (n, band); half of them with the noise that they had."""
    n, _, side, _ = stamps.images.shape
    variance = SIGMA**2 * (fwhm_px.square() - stamps.fwhm_px.square())
    y = torch.fft.fftfreq(side, device=variance.device)
    x = torch.fft.rfftfreq(side, device=variance.device)
    square = y[:, None].square() + x.square()
    transfer = torch.exp(-2 * math.pi**2 * variance[..., None, None] * square)
    transfer = transfer.clamp_max(MOST_SHARPENED)
    seen = torch.fft.irfft2(torch.fft.rfft2(stamps.images) * transfer, s=(side, side))
    left = transfer.square().mean((2, 3), keepdim=True)  # of the variance of the noise
    again = (stamps.uniform(n, 1, 1, 1) < 0.5) * (1 - left).clamp_min(0).sqrt()
    return seen + again * stamps.noisy()


def emptied(stamps: Stamps) -> Tensor:
    """One band, or all, without a star: noise alone, or for a third of the stamps a constant."""
    level = (stamps.uniform(len(stamps.images), 1, 1, 1) >= 1 / 3).float()
    return torch.where(stamps.one_or_all(), level * stamps.noisy(), stamps.images)


def hit(stamps: Stamps) -> Tensor:
    """Cosmic rays in one band, or in all."""
    spoilt = stamps.images.cpu().clone()  # where the generator is
    noise, whole = stamps.noise[..., None, None].cpu(), (1 + LONGEST_STREAK_PX) / 2
    for part in torch.arange(len(spoilt)).split(16):
        low, high = (math.log(share) for share in RAYS_PX)
        share = math.exp(low + (high - low) * float(stamps.uniform(1)))
        some = spoilt[part]
        electrons, rate = RAY_NOISES, share / whole * 1e4
        add_cosmic_rays(some, rate, electrons, 1 / noise[part], generator=stamps.generator)
        spoilt[part] = some
    return torch.where(stamps.one_or_all(), spoilt.to(stamps.images), stamps.images)


def imperfect(stamps: Stamps) -> Tensor:
    """Still good: fluxes off by 0.1 mag, noise up by half, a PSF nearly as wide."""
    n, n_bands = stamps.there.shape
    gain = 10 ** (-0.04 * torch.randn((n, n_bands, 1, 1), generator=stamps.generator))
    factor = stamps.uniform(n, n_bands, low=NEARLY[0], high=NEARLY[1])
    light = _with_width(stamps, factor * stamps.fwhm_px) * gain.to(stamps.images)
    return light + stamps.uniform(n, 1, 1, 1) * 1.1 * stamps.noisy()


FAULTS: dict[str, tuple[str, Callable[[Stamps], Tensor]]] = {
    "swapped": ("photometry", swapped),
    "rescaled": ("photometry", rescaled),
    "shifted": ("registration", shifted),
    "blurred": ("shape", blurred),
    "emptied": ("noise", emptied),
    "hit": ("noise", hit),
}
"""Kind of each fault, and what makes it."""
