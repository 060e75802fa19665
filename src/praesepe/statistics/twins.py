"""Whether a stamp looks like others: light in annuli, against the scatter of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

ANNULI = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8)
"""Radii of the annuli in sides of the stamp; what lies outside of them is background."""

Array = NDArray[np.float64]
AnyArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class TwinStatistics:
    """How n stamps compare with k twins each (docs/images.md).

    Attributes
    ----------
    flux : ndarray, shape (n, band)
        Light inside a radius, over the background.
    twin_flux : ndarray, shape (n, k, band)
        The same of the twins, in the same pixels.
    p_flux : ndarray, shape (n, band)
        Two-sided tail probability of the light among that of the twins: 2 / (k + 1) where it is
        less, or more, than that of all of them.
    chi2 : ndarray, shape (n, band)
        Mean over annuli of the squared difference from the twins' mean, over their variance times
        1 + 1/k. What differs is asinh of the mean of the pixels over the background, in units of
        the background's scatter: a logarithm where it is bright. NaN for one twin.
    p_twins : ndarray, shape (n,)
        Share of the k + 1 stamps, the real one among them, whose mean of that over bands, against
        the k others, is at least as large; 1 / (k + 1) for one that is unlike all of them. Uniform
        where the stamp is one more twin.
    """

    flux: Array
    twin_flux: Array
    p_flux: Array
    chi2: Array
    p_twins: Array


def compare_with_twins(real: AnyArray, twins: AnyArray, radius_px: Array) -> TwinStatistics:
    """Compare stamps with their twins.

    Parameters
    ----------
    real : ndarray, shape (n, band, side, side)
        NaN where a pixel is missing; it is then left out of the twins too.
    twins : ndarray, shape (n, k, band, side, side)
    radius_px : ndarray, shape (n,)
        Of the aperture; at most that of the annuli, and at least two pixels.

    Returns
    -------
    TwinStatistics
        NaN in bands without pixels.
    """
    side = real.shape[-1]
    edges = side * np.array(ANNULI)
    flux, chi2, p_twins = [], [], []
    for stamp, others, radius in zip(real, twins, radius_px, strict=True):
        pool = over_background(np.concatenate((stamp[None], others)).astype(float))
        aperture = np.clip(radius, 2.0, edges[-1]) if np.isfinite(radius) else edges[-1] / 2
        flux.append(_light(pool, np.array([0.0, aperture]))[..., 0])
        square = _against_others(_brightness(pool, edges))  # (k + 1, band, annulus)
        chi2.append(_mean_of_known(square[0], axis=-1))
        unlike = _mean_of_known(square.reshape(len(square), -1), axis=-1)
        p_twins.append(np.mean(unlike >= unlike[0]) if np.isfinite(unlike[0]) else np.nan)
    light = np.stack(flux)  # (n, k + 1, band)
    return TwinStatistics(
        light[:, 0], light[:, 1:], _tail(light), np.stack(chi2), np.array(p_twins)
    )


def over_background(stamps: Array) -> Array:
    """Stamps (m, band, side, side) less the level of their background, of one set of pixels.

    Where any of them misses a pixel, it is NaN in all.
    """
    stamps = np.where(np.isfinite(stamps).all(axis=0), stamps, np.nan)
    return stamps - background_level(stamps)[..., None, None]


def background_level(stamps: AnyArray) -> Array:
    """Median of the pixels outside of all annuli, (..., band); of all where these are missing."""
    return _background_percentile(stamps, [50])[0]


def background_scatter(stamps: AnyArray) -> Array:
    """What lies between percentile 16 and the median of these pixels, (..., band).

    Of stars that are told apart it holds little, nor of the spikes of bright ones.
    """
    low, middle = _background_percentile(stamps, [16, 50])
    return np.asarray(middle - low)


def _background_percentile(stamps: AnyArray, which: Sequence[float]) -> Array:
    """Percentiles of what is there of the background, (percentile, ..., band)."""
    outside = radii(stamps.shape[-1]) >= stamps.shape[-1] * ANNULI[-1]
    there = np.isfinite(stamps)
    counted = there & (outside | ~(there & outside).any(axis=(-2, -1), keepdims=True))
    flat = np.where(counted, stamps, np.nan).reshape(*stamps.shape[:-2], -1)
    some = np.isfinite(flat).any(axis=-1)
    found = np.full((len(which), *some.shape), np.nan)
    found[:, some] = np.nanpercentile(flat[some], which, axis=-1)
    return found


def radii(side: int) -> Array:
    """Distance of each pixel of a stamp from the middle one."""
    steps = np.arange(side) - side // 2
    return np.hypot(steps, steps[:, None])


def _light(stamps: Array, edges: Array) -> Array:
    """Light between radii, (m, band, annulus); NaN where there are no pixels."""
    distance = radii(stamps.shape[-1])
    found = []
    for low, high in pairwise(edges):
        pixels = stamps[..., np.asarray((distance >= low) & (distance < high))]
        some = np.isfinite(pixels).any(axis=-1)
        found.append(np.where(some, np.nansum(pixels, axis=-1), np.nan))
    return np.stack(found, axis=-1)


def _brightness(stamps: Array, edges: Array) -> Array:
    """Inverse hyperbolic sine of the mean pixel between radii, in units of their scatter."""
    scatter = np.median(background_scatter(stamps), axis=0)[:, None]
    n_pixels = _light(np.where(np.isfinite(stamps), 1.0, np.nan), edges)
    with np.errstate(divide="ignore", invalid="ignore"):  # images without noise
        return np.arcsinh(_light(stamps, edges) / n_pixels / scatter)


def _mean_of_known(values: Array, axis: int) -> Array:
    """Mean of what is finite; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis)
    return np.where(known.any(axis), total / np.maximum(known.sum(axis), 1), np.nan)


def _against_others(values: Array) -> Array:
    """Squared distance of each of m values from the mean of the others, in their variances."""
    k = len(values) - 1
    if k < 2:
        return np.full(values.shape, np.nan)
    values = values - values.mean(axis=0)  # so that squares do not cancel
    mean = (values.sum(axis=0) - values) / k
    square = (np.square(values).sum(axis=0) - np.square(values)) / k
    variance = (square - mean**2) * k / (k - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (values - mean) ** 2 / variance / (1 + 1 / k)
    return np.where(variance > 0, found, np.nan)


def _tail(light: Array) -> Array:
    """Two-sided tail probability of the first of (n, k + 1, band) among all."""
    first, m = light[:, :1], light.shape[1]
    low, high = ((light <= first).sum(axis=1) / m, (light >= first).sum(axis=1) / m)
    return np.where(np.isfinite(first[:, 0]), np.minimum(1, 2 * np.minimum(low, high)), np.nan)
