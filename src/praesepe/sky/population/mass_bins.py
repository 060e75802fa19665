"""Whose light it is that is summed: groups of stars by mass, for what depends on their mass."""

from __future__ import annotations

import numpy as np

N_GROUPS = 6
"""Groups that give equal parts of the light."""


def light_groups(weight: np.ndarray, light: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Divide summed light into groups of intervals, from low mass to high.

    Parameters
    ----------
    weight : ndarray, shape (step, interval)
        Share of the light of each interval that is summed.
    light : ndarray, shape (interval, band)
        Light of all stars of the interval.
    mass : ndarray, shape (interval, band)
        Mass of these stars times their light.

    Returns
    -------
    ndarray, shape (step, group, 1 + band)
        Mean mass of the group, weighted by its light and averaged over the bands that have light,
        and its share of the summed light of each band.
    """
    every = np.maximum(light.sum(0), 1e-300)
    of_interval, mass_of_interval = (light / every).mean(1), (mass / every).mean(1)
    given = weight * of_interval
    total = np.maximum(given.sum(1, keepdims=True), 1e-300)
    group = ((np.cumsum(given, axis=1) - given / 2) / total * N_GROUPS).astype(int)
    out = np.zeros((len(weight), N_GROUPS, 1 + light.shape[1]))
    summed = np.maximum(weight @ light, 1e-300)  # (step, band)
    for k in range(N_GROUPS):
        here = np.where(group == k, weight, 0)
        lit = here @ of_interval
        out[:, k, 0] = (here @ mass_of_interval) / np.maximum(lit, 1e-300)
        out[:, k, 1:] = here @ light / summed
    return out
