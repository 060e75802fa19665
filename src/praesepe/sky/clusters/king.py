"""King profiles: their light, and radii from tables of the inverse cumulative light."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

_CONCENTRATIONS = np.linspace(0.1, 3.5, 69)
_N_STEPS = 512

# The light inside r grows as r^2 from the center, and what is missing vanishes as (r_t - r)^3 at
# the edge. With 1 - (1 - t^inner)^outer for the light inside, ln(r / t) is smooth in t from 0 to 1,
# so that few steps suffice.
_INNER, _OUTER = 2.0, 3.0


def king_radius(
    half_light_radius: Tensor,
    concentration: Tensor,
    cluster_index: Tensor,
    survival: Tensor,
) -> Tensor:
    """Radii of King profiles with given survival fractions.

    Parameters
    ----------
    half_light_radius, concentration : Tensor, shape (cluster,)
    cluster_index : Tensor of int64, shape (point,)
        Cluster of each point.
    survival : Tensor, shape (point,)
        Fraction of the light outside the radius.

    Returns
    -------
    Tensor, shape (point,)
        In the unit of the half-light radius.
    """
    device = half_light_radius.device
    table = torch.from_numpy(_king_table()).to(device).flatten()
    step = float(_CONCENTRATIONS[1] - _CONCENTRATIONS[0])
    place = (concentration - float(_CONCENTRATIONS[0])) / step
    place = place.clamp(0, len(_CONCENTRATIONS) - 1.001)
    first = place.long()
    weight = (place - first)[cluster_index]
    t = (1 - survival ** (1 / _OUTER)).clamp_(min=1e-9) ** (1 / _INNER)
    column = (t * _N_STEPS).clamp_(max=_N_STEPS - 1e-3)
    left = column.long()
    along = column - left
    index = first[cluster_index] * (_N_STEPS + 1) + left

    def between(index: Tensor) -> Tensor:
        return torch.lerp(table[index], table[index + 1], along)

    logarithm = torch.lerp(between(index), between(index + _N_STEPS + 1), weight)
    return torch.exp(logarithm) * t * half_light_radius.index_select(0, cluster_index)


@cache
def _king_table() -> np.ndarray:
    """Table of ln(r / (r_h t)), float32 of shape (concentration, t); see `_INNER`."""
    t = np.linspace(0, 1, _N_STEPS + 1)
    table = []
    for concentration in _CONCENTRATIONS:
        radius = np.sinh(np.linspace(0, np.arcsinh(10.0**concentration), 8193))
        light = king_light_inside(radius, concentration)
        missing = np.clip(1 - light, 0, 1) ** (1 / _OUTER)
        at = (1 - missing) ** (1 / _INNER)
        at[-1] = 1.0
        ratio = np.log(np.interp(t[1:], at, radius) / t[1:] / king_half_light_radius(concentration))
        table.append(np.concatenate([[2 * ratio[0] - ratio[1]], ratio]))
    return np.array(table, dtype=np.float32)


def king_light_inside(radius: np.ndarray, concentration: float) -> np.ndarray:
    """Fraction of the light of a King profile inside a projected radius.

    Parameters
    ----------
    radius : ndarray
        In core radii.
    concentration : float
        log10 of the tidal over the core radius.

    Returns
    -------
    ndarray
        0 in the center, 1 from the tidal radius on.

    Notes
    -----
    King (1962, AJ 67, 471), equation 18, from the surface density
    k [(1 + x)^-1/2 - (1 + x_t)^-1/2]² with x = (r/r_c)².
    """
    tidal = 10.0 ** (2 * concentration)
    edge = 1 / np.sqrt(1 + tidal)

    def light(x: np.ndarray | float) -> np.ndarray:
        return np.log1p(x) - 4 * edge * x / (np.sqrt(1 + x) + 1) + edge**2 * np.asarray(x)

    return light(np.minimum(np.square(radius), tidal)) / light(tidal)


def king_half_light_radius(concentration: float) -> float:
    """Projected half-light radius of a King profile in core radii."""
    low, high = 0.0, 10.0**concentration
    for _ in range(60):
        middle = 0.5 * (low + high)
        if king_light_inside(np.array(middle), concentration) < 0.5:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
