"""Draws from an autoregressive flow of which the first coordinate is known.

The flow's density is p(x₀) p(x₁, x₂, … | x₀). Where x₀ was measured otherwise, as μ ± σ, the
posterior is p(x₀) N(x₀; μ, σ) p(x₁, x₂, … | x₀), normalised: x₀ is drawn from the product of the
first two, on a grid, and the rest by the flow's own inverse, from the base noise of the first
coordinate that gives this x₀. No draw is lost, and none weighs more than another.
"""

from __future__ import annotations

import torch
from torch import Tensor

from praesepe.network.heads.flow_inverse import FlowInverse

REACH = 5.0
"""Grids reach so many standard deviations."""

GRID_POINTS = 129
"""Of a grid about what is known, and of another over what the flow expects."""

LEAST_ERROR = 1e-4
"""Of a grid."""


def draws_of_known(inverse: FlowInverse, context: Tensor, noise: Tensor, known: Tensor) -> Tensor:
    """Draw where the first coordinate is known.

    Parameters
    ----------
    inverse : FlowInverse
    context : Tensor, shape (n, feature)
    noise : Tensor, shape (n, n_samples, quantity)
    known : Tensor, shape (n, 2)
        Value and standard error of the first coordinate; NaN where it is not known.

    Returns
    -------
    Tensor, shape (n, n_samples, quantity)
    """
    value, error = known.to(context).unsqueeze(-1).unbind(1)
    told = ~value.isnan() & ~error.isnan()
    first = _first_draws(inverse, context, noise[..., 0], value.nan_to_num(), error.nan_to_num())
    base = noise.clone()
    base[..., 0] = torch.where(told, inverse.first(context, first)[0], noise[..., 0])
    draws = inverse(context, base)
    draws[..., 0] = torch.where(told, first, draws[..., 0])
    return draws


def _first_draws(
    inverse: FlowInverse, context: Tensor, noise: Tensor, value: Tensor, error: Tensor
) -> Tensor:
    """Draws (n, n_samples) of the first coordinate, by the inverse of the cumulative density."""
    steps = torch.linspace(-REACH, REACH, GRID_POINTS, device=value.device)
    grid_error = error.clamp_min(LEAST_ERROR)
    expected = inverse.first_inverse(context, steps.expand(len(context), -1))
    grid = torch.cat((value + grid_error * steps, expected), 1).sort(1).values
    log_density = inverse.first(context, grid)[1] - 0.5 * ((grid - value) / grid_error) ** 2
    density = (log_density - log_density.amax(1, keepdim=True)).exp().double()
    areas = grid.diff(dim=1) * (density[:, 1:] + density[:, :-1]) / 2
    sums = torch.nn.functional.pad(areas.cumsum(1), (1, 0))
    levels = torch.special.ndtr(noise.double()) * sums[:, -1:]
    at = torch.searchsorted(sums, levels).clamp(1, grid.shape[1] - 1)
    below, above = sums.gather(1, at - 1), sums.gather(1, at)
    left, right = grid.gather(1, at - 1), grid.gather(1, at)
    share = (levels - below) / (above - below).clamp_min(1e-300)
    return torch.where(error > 0, left + share.to(grid) * (right - left), value)
