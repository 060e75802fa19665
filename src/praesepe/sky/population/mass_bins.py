"""Mass bins of unresolved light: which stars it comes from (docs/theory.md, section 7)."""

from __future__ import annotations

import numpy as np

N_BINS = 6
"""Bins of stars that give equal parts of the light."""


def mass_of_light(light: np.ndarray, mass_light: np.ndarray, n_seen: int | None = None) -> float:
    """Geometric mean of the stars' masses, weighted by their light; arguments as below.

    Where mass segregation multiplies radii by a power of the mass over this one, half of the light
    stays within the half-light radius.
    """
    relative, relative_mass = _mean_of_bands(light, mass_light, n_seen)
    shines = relative > 0
    log_mass = np.log(relative_mass[shines] / relative[shines])
    return float(np.exp(np.average(log_mass, weights=relative[shines]))) if shines.any() else 1.0


def light_by_mass(
    weight: np.ndarray, light: np.ndarray, mass_light: np.ndarray, n_seen: int | None = None
) -> np.ndarray:
    """Divide unresolved light into bins of equal light, from low mass to high.

    Parameters
    ----------
    weight : ndarray, shape (level, interval)
        Fraction of the light of each interval that is not in individually sampled stars.
    light : ndarray, shape (band, interval)
        Light of all stars of the interval.
    mass_light : ndarray, shape (band, interval)
        Mass of these stars times their light.
    n_seen : int, optional
        How many of the bands, from the first on, the bins are made for; default: all.

    Returns
    -------
    ndarray, shape (level, bin, 1 + band)
        Mean mass, weighted by light and averaged over the bands that have light, and the fraction
        of the light of each band.
    """
    relative, relative_mass = _mean_of_bands(light, mass_light, n_seen)
    unresolved = weight * relative
    of_level = np.maximum(unresolved.sum(1, keepdims=True), 1e-300)
    index = ((np.cumsum(unresolved, axis=1) - unresolved / 2) / of_level * N_BINS).astype(int)
    columns = np.stack((relative_mass, relative, *light), axis=1)  # (interval, 2 + band)
    band_total = np.maximum(weight @ columns[:, 2:], 1e-300)  # (level, band)
    bins = np.zeros((len(weight), N_BINS, 1 + len(light)))
    for k in range(N_BINS):
        sums = np.where(index == k, weight, 0) @ columns
        bins[:, k, 0] = sums[:, 0] / np.maximum(sums[:, 1], 1e-300)
        bins[:, k, 1:] = sums[:, 2:] / band_total
    return bins


def _mean_of_bands(
    light: np.ndarray, mass_light: np.ndarray, n_seen: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the light, and mass times it, of each interval, (interval,); means over bands."""
    total = np.maximum(light.sum(1, keepdims=True), 1e-300)
    share, mass_share = ((values / total)[:n_seen].mean(0) for values in (light, mass_light))
    return share, mass_share
