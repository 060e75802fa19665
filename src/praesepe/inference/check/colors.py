"""Zero points: the colors of the stars against those of the survey's own star fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from praesepe.inference.check.registration import matched
from praesepe.inference.check.stars import StarList

Array = NDArray[np.float64]

LEAST_SIGNAL = 4.5
LEAST_STARS = 40
MOST_STARS = 1500
_KERNELS_MAG = (0.4, 0.25, 0.15, 0.1, 0.07)
_NEIGHBOURS = 60
_STRANGERS = 0.02
"""Density, per mag of each color, of objects that are no stars of the field."""
_MAGNITUDE_WEIGHT = 0.15
"""Weight of the mean magnitude beside the colors."""
_STRIDE = 1.5
"""Moves are longer than those to the mean, which come to the end slowly."""
_FREE = 0.5
"""How freely the numbers of stars along the locus may differ from the reference's."""


def shared_magnitudes(
    stars: Mapping[str, StarList],
    zero_points: Mapping[str, float],
    shares: Mapping[str, float],
    shifts: Mapping[str, tuple[float, float]] | None = None,
) -> Array:
    """AB magnitudes of the stars that all bands share.

    Parameters
    ----------
    stars : mapping of str to StarList
    zero_points : mapping of str to float
        AB magnitude of 1 e-/s.
    shares : mapping of str to float
        Of a star's light under its peak.
    shifts : mapping of str to (float, float), optional
        Of each band against a common one, pixels.

    Returns
    -------
    ndarray, shape (star, band)
    """
    good = {name: some.where(some.signal > LEAST_SIGNAL) for name, some in stars.items()}
    first = min(good, key=lambda name: len(good[name]))
    index = {}
    for name, some in good.items():
        shift = (0.0, 0.0)
        if shifts is not None:
            shift = (shifts[name][0] - shifts[first][0], shifts[name][1] - shifts[first][1])
        mine, theirs = matched(good[first], some, shift, 0.7)
        index[name] = np.full(len(good[first]), -1)
        index[name][mine] = theirs
    known = np.all([column >= 0 for column in index.values()], axis=0)
    return np.stack(
        [
            zero_points[name] - 2.5 * np.log10(good[name].peak[index[name][known]] / shares[name])
            for name in good
        ],
        axis=1,
    )


@dataclass(frozen=True)
class Offsets:
    """How far the stars of an image are from those of the survey.

    Attributes
    ----------
    mag : ndarray, shape (band,)
        What each band is too faint by, against the mean of all.
    error_mag : float
        Standard error, by parts of the stars.
    likelihood : float
        Mean log-likelihood of the stars.
    n_stars : int
    """

    mag: Array
    error_mag: float
    likelihood: float
    n_stars: int


def color_offsets(mags: Array, reference: Array, weights: Array | None = None) -> Offsets:
    """Find by how much colors have to be moved to be those of the reference.

    Parameters
    ----------
    mags : ndarray, shape (n, band)
    reference : ndarray, shape (m, band)
    weights : ndarray, shape (m,), optional
        How like the field of a star of the reference is to that of the stars.

    Notes
    -----
    Every star is explained by the reference's stars near it in color and magnitude, or by none; the
    offset is the mean distance, and the kernel narrows from step to step. How many stars lie where
    on the locus depends on the history of the field, and is fitted halfway.
    """
    rng = np.random.default_rng(3)
    prior = np.ones(len(reference)) if weights is None else weights
    prior = prior / prior.sum()
    if len(mags) > MOST_STARS:
        mags = mags[rng.choice(len(mags), MOST_STARS, replace=False)]
    whole, likelihood = _fit(mags, reference, prior, _KERNELS_MAG, np.zeros(mags.shape[1]))
    order = rng.permutation(len(mags))
    parts = [
        _fit(mags[order[k::4]], reference, prior, _KERNELS_MAG[-2:], whole)[0] for k in range(4)
    ]
    error = float(np.sqrt(np.mean(np.var(parts, axis=0, ddof=1))) / 2)
    return Offsets(whole, error, likelihood, len(mags))


def against_others(mag: Array) -> Array:
    """Offsets of bands against the mean of the others, shape (..., band)."""
    n = mag.shape[-1]
    return (mag - mag.mean(axis=-1, keepdims=True)) * n / (n - 1)


def _features(mags: Array) -> Array:
    mean = mags.mean(axis=1, keepdims=True)
    return np.concatenate([mags - mean, _MAGNITUDE_WEIGHT * mean], axis=1)


def _fit(
    mags: Array, reference: Array, prior: Array, kernels: tuple[float, ...], start: Array
) -> tuple[Array, float]:
    """Offsets, (band,) of mean zero, and the mean log-likelihood."""
    from scipy.spatial import cKDTree

    theirs, ours = _features(reference), _features(mags)
    n, bands = len(theirs), slice(0, mags.shape[1])
    tree, offset = cKDTree(theirs), np.append(start, 0.0)
    common, likelihood = prior, -np.inf
    for kernel in kernels:
        for _ in range(15):
            distance, near = tree.query(ours - offset, k=min(_NEIGHBOURS, n))
            weight = np.exp(-0.5 * (distance / kernel) ** 2) * common[near]
            density = weight.sum(axis=1) / (kernel * np.sqrt(2 * np.pi)) ** mags.shape[1]
            member = density / (density + _STRANGERS)
            weight *= (member / np.maximum(weight.sum(axis=1), 1e-30))[:, None]
            step = ours[:, None, bands] - offset[bands] - theirs[near][..., bands]
            total = max(float(weight.sum()), 1e-9)
            move = (weight[..., None] * step).sum(axis=(0, 1)) / total
            offset[bands] += _STRIDE * move
            used = np.bincount(near.ravel(), weight.ravel(), minlength=n) / total
            common = (1 - _FREE) * prior + _FREE * used
            likelihood = float(np.mean(np.log(density + _STRANGERS)))
            if np.abs(move).max() < 1e-3:
                break
    return offset[bands], likelihood


def swapped_pair(
    own: Offsets, mags: Array, reference: Array, zero_points: Array, weights: Array | None = None
) -> tuple[int, int] | None:
    """Two bands whose images, exchanged, make the stars those of the survey; None: none do.

    Exchanged images have other colors altogether. The right order needs offsets smaller by half,
    and explains the stars better. The magnitudes rest on the zero points, (band,), of the given
    order, whose offsets are the `own`.
    """
    best, pair = (float(np.abs(own.mag).max()), own.likelihood), None
    if best[0] < 0.2:
        return None
    for one, other in combinations(range(mags.shape[1]), 2):
        order = np.arange(mags.shape[1])
        order[[one, other]] = other, one
        turned = color_offsets((mags - zero_points)[:, order] + zero_points, reference, weights)
        size = float(np.abs(turned.mag).max())
        if size < 0.5 * best[0] and turned.likelihood > own.likelihood:
            best, pair = (size * 2, turned.likelihood), (one, other)
    return pair
