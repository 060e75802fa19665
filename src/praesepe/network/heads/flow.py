"""Posterior heads: what the features say about the parameters."""

from __future__ import annotations

from typing import Any

import torch
import zuko
from torch import Tensor, nn

from praesepe.errors import unknown
from praesepe.network.heads.flow_inverse import FlowInverse

HEADS = {
    "tiny": {"transforms": 2, "hidden_features": (32,), "bins": 4},
    "small": {"transforms": 3, "hidden_features": (96, 96), "bins": 8},
    "paper": {"transforms": 4, "hidden_features": (128, 128), "bins": 8},
}
"""Settings of the flow for each network preset."""


class FlowHead(nn.Module):
    """Conditional neural spline flow (Durkan et al. 2019) over the standardised parameters.

    Parameters
    ----------
    features : int
        Length of the context vector.
    n_parameters : int
        Number of parameters.
    preset : str
        One of `HEADS`.
    """

    def __init__(self, features: int, n_parameters: int = 3, preset: str = "small") -> None:
        super().__init__()
        if preset not in HEADS:
            raise unknown("network preset", preset, HEADS)
        self.n_parameters = n_parameters
        settings: dict[str, Any] = HEADS[preset]
        self.flow = zuko.flows.NSF(n_parameters, context=features, **settings)

    def log_prob(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-density of values (n, parameter) given context (n, feature); shape (n,)."""
        return self.flow(context).log_prob(values)

    def sample(
        self,
        context: Tensor,
        n_samples: int,
        *,
        generator: torch.Generator,
        inverse: FlowInverse | None = None,
    ) -> Tensor:
        """Draw from the posterior of each context.

        Parameters
        ----------
        context : Tensor, shape (n, feature)
        n_samples : int
        generator : torch.Generator
            CPU generator; the draws are the same on every device.
        inverse : FlowInverse, optional
            Of this head's flow with its present weights; saves preparing it for every call.

        Returns
        -------
        Tensor, shape (n, n_samples, parameter)
        """
        shape = (len(context), n_samples, self.n_parameters)
        noise = torch.randn(shape, generator=generator).to(context)
        return (inverse or FlowInverse(self.flow))(context, noise)
