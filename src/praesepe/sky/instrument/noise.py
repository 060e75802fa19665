"""Photon and read noise, faster than a Poisson deviate for every pixel; the noise of drizzling.

A normal deviate z becomes a deviate of another distribution by an expansion in its cumulants
(Cornish & Fisher 1938), here to third order: mean, variance, skewness and kurtosis are right, and
what is left is not found among 250 000 draws (tests/unit/sky/test_noise.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MIN_NORMAL = 10.0
"""Expected electrons from which a Poisson deviate is computed from a normal one."""

MIN_READ_NOISE = 3.0
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
    large = expected >= MIN_NORMAL
    if bool(large.all()):
        return _many_photons(expected, generator)
    counts = torch.poisson(torch.where(large, 0.0, expected), generator=generator)
    if bool(large.any()):
        counts[large] = _many_photons(expected[large], generator)
    return counts


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
    photon_fraction = torch.mul(expected, inverse).mul_(inverse)
    z = _normal(expected, generator)
    square = z * z
    scaled = z.mul_(inverse)  # z / s
    tilt = (square - 2.5).mul_(photon_fraction)
    correction = torch.mul(square, 1 / 24).sub_(1 / 8).add_(tilt, alpha=-1 / 18)
    correction.mul_(scaled).add_(square, alpha=1 / 6).sub_(1 / 6).mul_(photon_fraction)
    return correction.add_(expected).addcmul_(variance, scaled)


def photons_on_noise(expected: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw what stands for Poisson deviates where normal noise is there already.

    Parameters
    ----------
    expected : Tensor of float32
        Expected electrons, not negative.
    generator : torch.Generator
        Source of randomness, on the device of the tensor.

    Returns
    -------
    Tensor
        Electrons, not whole ones: mean and variance are those of Poisson deviates, and from 1/8
        expected electrons on the skewness is as well. Added to normal noise of at least
        `MIN_READ_NOISE` they cannot be told from counted electrons.

    Notes
    -----
    λ + s z + c (z² - 1) has the variance s² + 2 c² and the third cumulant 6 s² c + 8 c³. Both are
    λ for 6 λ c - 4 c³ = λ, which two steps from c = 1/6 solve well enough.
    """
    inverse = 1 / expected.clamp_min(1 / 8)
    first = inverse.mul(1 / 324).add_(1 / 6)
    curvature = first.pow_(3).mul_(inverse).mul_(2 / 3).add_(1 / 6)
    curvature = torch.minimum(curvature, torch.sqrt(expected / 2))
    slope = (expected - 2 * curvature * curvature).clamp_(min=0).sqrt_()
    z = _normal(expected, generator)
    return slope.mul_(z).addcmul_(curvature, z.square_().sub_(1)).add_(expected)


def drizzle_correlation(drop_px: float, lags: Tensor) -> Tensor:
    """Covariance of the noise of a drizzled mosaic along one axis, at lags in its pixels.

    Parameters
    ----------
    drop_px : float
        Side of the drops, `pixfrac` native pixels, in pixels of the mosaic.
    lags : Tensor of float64

    Returns
    -------
    Tensor
        Over the variance that an uncorrelated pixel of the same noise per area has; the sum over
        all whole lags is 1. The covariance in two dimensions is the product of both axes.

    Notes
    -----
    A pixel of the mosaic is the mean of the native pixels, each weighted with the overlap of its
    drop. Over the positions that the dithers give the drops, the covariance is the
    autocorrelation of the drop convolved with the pixel, two squares: the convolution of two
    triangles, a cubic spline. At lag zero it is 1 / R of Fruchter & Hook (2002, PASP 114, 144).
    """
    corner = [(-1, 1), (0, -2), (1, 1)]  # second differences: a triangle has three corners
    cubes = [
        drop_weight * weight * (lags + drop * drop_px + pixel).abs() ** 3
        for drop, drop_weight in corner
        for pixel, weight in corner
    ]
    return torch.stack(cubes).sum(dim=0) / (12 * drop_px**2)


def drizzle_kernel(drop_px: float) -> Tensor:
    """Kernel that gives white noise the correlation of drizzling along one axis.

    Parameters
    ----------
    drop_px : float
        As for `drizzle_correlation`.

    Returns
    -------
    Tensor of float64, shape (k,)
        Odd and symmetric, of sum 1: noise over many pixels is what it was, in one pixel less. Its
        transform is the square root of that of `drizzle_correlation`. Cut off where the
        correlations are right to 0.005, and variances to 2 %, for drops up to 6 pixels.
    """
    reach, n = math.ceil(2 * drop_px) + 2, 1024
    lags = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    power = torch.fft.fft(drizzle_correlation(drop_px, lags)).real
    kernel = torch.fft.ifft(power.clamp_min(0).sqrt()).real.roll(reach)[: 2 * reach + 1]
    return kernel / kernel.sum()


def _many_photons(expected: Tensor, generator: torch.Generator) -> Tensor:
    """Poisson deviates of means from `MIN_NORMAL` on: the quantile function to the order 1/λ.

    Giles (2016, ACM TOMS 42, 7), the normal approximation Q_N3, rounded down.
    """
    root = torch.sqrt(expected)
    z = _normal(expected, generator)
    square = z * z
    last = (square * square).mul_(1 / 270).add_(square, alpha=7 / 810).sub_(8 / 405).div_(expected)
    third = square.mul(-1 / 72).sub_(1 / 36).mul_(z).div_(root)
    counts = last.add_(third).add_(square, alpha=1 / 6).add_(1 / 3).addcmul_(root, z)
    return counts.add_(expected).floor_().clamp_(min=0)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
