"""Photon noise, alone and with read noise, faster than a Poisson deviate for every pixel.

A normal deviate z becomes a deviate of another distribution by an expansion in its cumulants
(Cornish & Fisher 1938), here to third order: mean, variance, skewness and kurtosis are right, and
what is left cannot be measured with a million draws (tests/unit/sky/test_noise.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_FEW, MIN_NORMAL = 1.0, 10.0
"""Expected electrons up to which photons are counted up, and from which on a Poisson deviate is
computed from a normal one: most pixels of a stamp are faint, most of the others bright."""

MIN_READ_NOISE = 2.0
"""Electrons of read noise from which electrons need not be counted one by one.

The skewness of photons and read noise together never exceeds 0.385 over the read noise, and the
steps between whole electrons are smoothed away.
"""


def poisson(expected: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw Poisson deviates.

    Parameters
    ----------
    expected : Tensor of float32
        Means, not negative.
    generator : torch.Generator
        Source of randomness, on the device of the tensor.

    Returns
    -------
    Tensor
        Whole numbers, of the shape of `expected`.
    """
    flat = expected.reshape(-1)
    drawn = _few_photons(flat.clamp(max=MAX_FEW), generator)
    several = ((flat > MAX_FEW) & (flat < MIN_NORMAL)).nonzero()[:, 0]
    if several.numel():
        drawn[several] = torch.poisson(flat[several], generator=generator)
    many = (flat >= MIN_NORMAL).nonzero()[:, 0]
    if many.numel():
        drawn[many] = _many_photons(flat[many], generator)
    return drawn.view(expected.shape)


def photons_and_read_noise(
    expected: Tensor, read_noise: Tensor, *, generator: torch.Generator
) -> Tensor:
    """Draw Poisson deviates with normal read noise added, from one normal deviate each.

    Parameters
    ----------
    expected : Tensor of float32, shape (..., band, y, x)
        Expected electrons, not negative.
    read_noise : Tensor, shape (band, 1, 1)
        Standard deviation of the read noise in electrons, at least `MIN_READ_NOISE`.
    generator : torch.Generator
        Source of randomness, on the device of the tensors.

    Returns
    -------
    Tensor
        Electrons, of the shape of `expected`.

    Notes
    -----
    The cumulants of the sum are λ + R² (variance) and λ (all higher ones). With s the standard
    deviation and a = λ / s² the expansion is
    λ + s z + a (z² - 1) / 6 + a [(z³ - 3 z) / 24 - a (2 z³ - 5 z) / 36] / s.
    """
    variance = expected + read_noise**2
    inverse = torch.rsqrt(variance)
    share = torch.mul(expected, inverse).mul_(inverse)
    z = torch.randn(expected.shape, generator=generator, device=expected.device)
    square = z * z
    scaled = z.mul_(inverse)  # z / s
    tilt = (square - 2.5).mul_(share)
    correction = torch.mul(square, 1 / 24).sub_(1 / 8).add_(tilt, alpha=-1 / 18)
    correction.mul_(scaled).add_(square, alpha=1 / 6).sub_(1 / 6).mul_(share)
    return correction.add_(expected).addcmul_(variance, scaled)


def _few_photons(expected: Tensor, generator: torch.Generator) -> Tensor:
    """Poisson deviates of means up to `MAX_FEW`: how often a uniform deviate exceeds the sum.

    Both sides are multiplied by exp(λ). Ten terms reach a probability of 1 - 1e-8 for a mean of 1.
    """
    uniform = torch.rand(expected.shape, generator=generator, device=expected.device)
    uniform *= torch.exp(expected)
    below = uniform.sub_(1)  # above zero while the sum has not reached the deviate
    drawn = torch.sign(below)
    power = torch.ones_like(expected)
    step = torch.empty_like(expected)
    for count in range(1, 10):
        power *= expected
        below.sub_(power, alpha=1 / math.factorial(count))
        drawn += torch.sign(below, out=step)
    return drawn.add_(10).mul_(0.5).floor_()


def _many_photons(expected: Tensor, generator: torch.Generator) -> Tensor:
    """Poisson deviates of means from `MIN_NORMAL` on: the quantile function to the order 1/λ.

    Giles (2016, ACM TOMS 42, 7), the normal approximation Q_N3, rounded down.
    """
    root = torch.sqrt(expected)
    z = torch.randn(expected.shape, generator=generator, device=expected.device)
    square = z * z
    last = (square * square).mul_(1 / 270).add_(square, alpha=7 / 810).sub_(8 / 405).div_(expected)
    third = square.mul(-1 / 72).sub_(1 / 36).mul_(z).div_(root)
    drawn = last.add_(third).add_(square, alpha=1 / 6).add_(1 / 3).addcmul_(root, z)
    return drawn.add_(expected).floor_().clamp_(min=0)
