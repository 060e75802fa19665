"""Surface-brightness profiles of star clusters, sampled star by star."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def eff_scale_radius(half_light_radius: Tensor, gamma: Tensor) -> Tensor:
    """Scale radius *a* of an EFF profile.

    Parameters
    ----------
    half_light_radius : Tensor
        Projected half-light radius r_h, any unit.
    gamma : Tensor
        Slope of the profile's outskirts, > 2.

    Returns
    -------
    Tensor
        ``r_h / sqrt(2**(2 / (gamma - 2)) - 1)``, in the unit of r_h.

    Notes
    -----
    Elson, Fall & Freeman (1987, ApJ 323, 54): Σ(r) ∝ (1 + r²/a²)^(-γ/2).
    """
    return half_light_radius / torch.sqrt(torch.exp2(2.0 / (gamma - 2.0)) - 1.0)


def sample_eff(half_light_radius: Tensor, gamma: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw projected positions from EFF profiles centred on the origin.

    Parameters
    ----------
    half_light_radius, gamma : Tensor, shape (n,)
        Profile of each star's cluster.
    generator : torch.Generator
        Source of randomness, on the device of the tensors.

    Returns
    -------
    Tensor, shape (2, n)
        x and y in the unit of `half_light_radius`.

    Notes
    -----
    The light inside r is 1 - (1 + r²/a²)^((2-γ)/2), inverted for a uniform deviate.
    """
    scale = eff_scale_radius(half_light_radius, gamma)
    outside, turn = torch.rand(
        (2, *scale.shape), generator=generator, device=scale.device, dtype=scale.dtype
    )
    outside = outside.clamp_min(torch.finfo(scale.dtype).tiny)
    radius = scale * torch.sqrt(torch.pow(outside, 2.0 / (2.0 - gamma)) - 1.0)
    angle = 2 * math.pi * turn
    return torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)))
