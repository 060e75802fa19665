"""From electron rates to the network's input, and from labels to the flow's variables."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from praesepe.survey import Survey


class StampTransform(nn.Module):
    """Per-band inverse hyperbolic sine: linear in the noise, logarithmic in the stars.

    Parameters
    ----------
    scales : sequence of float
        e-/s at which each band bends.
    """

    scale: Tensor

    def __init__(self, scales: list[float]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scales).view(-1, 1, 1))

    def forward(self, stamps: Tensor) -> Tensor:
        """Transform stamps of shape (n, band, y, x) in e-/s."""
        return torch.asinh(stamps / self.scale)


class LabelTransform(nn.Module):
    """Shift and scale of the labels, so that the prior has mean 0 and standard deviation 1.

    Parameters
    ----------
    survey : Survey
        Its prior gives the ranges.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, survey: Survey) -> None:
        super().__init__()
        low, high = prior_bounds(survey)
        self.register_buffer("mean", (low + high) / 2)
        self.register_buffer("std", (high - low).clamp_min(0.1) / 12**0.5)

    def forward(self, labels: Tensor) -> Tensor:
        """Standardise labels of shape (..., 3)."""
        return (labels - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """Undo `forward`."""
        return values * self.std + self.mean

    @property
    def log_volume(self) -> Tensor:
        """Logarithm of the Jacobian, to be subtracted from a log-density of the variables."""
        return self.std.log().sum()


def prior_bounds(survey: Survey) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds of (log_age, log_mass, log_rh) in the prior, each of shape (3,)."""
    prior = survey.prior
    log_rh = torch.tensor(prior.rh_arcsec, dtype=torch.float64).log10().float()
    bounds = torch.tensor([prior.log_age, prior.log_mass, (0.0, 0.0)])
    bounds[2] = log_rh
    return bounds[:, 0].clone(), bounds[:, 1].clone()
