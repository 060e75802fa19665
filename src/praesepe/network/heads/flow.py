"""The flow head: a conditional neural spline flow over continuous quantities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import zuko
from torch import Tensor

from praesepe.errors import InputError, check_number
from praesepe.network.heads.base import Axis, Head, Sampler
from praesepe.network.heads.flow_inverse import FlowInverse


class FlowHead(Head):
    """Conditional neural spline flow (Durkan et al. 2019, arXiv:1906.04032).

    Parameters
    ----------
    features : int
        Length of the context vector.
    axes : sequence of Axis
        Continuous quantities.
    transforms : int
        Autoregressive transforms, one after the other.
    hidden_features : sequence of int
        Units of the hidden layers of each transform's network.
    bins : int
        Of each spline.

    Raises
    ------
    InputError
        Where a quantity is categorical.
    """

    noise = "normal"

    def __init__(
        self,
        features: int,
        axes: Sequence[Axis],
        *,
        transforms: int = 3,
        hidden_features: Sequence[int] = (96, 96),
        bins: int = 8,
    ) -> None:
        super().__init__(features, axes)
        for axis in self.axes:
            if axis.categories:
                raise InputError(
                    f"the flow head cannot infer {axis.name!r}, which has categories; "
                    "choose head 'grid'"
                )
        hidden = tuple(check_number("hidden_features", units, 1) for units in hidden_features)
        self.noise_size = len(self.axes)
        self.flow = zuko.flows.NSF(
            len(self.axes),
            context=features,
            transforms=check_number("transforms", transforms, 1),
            hidden_features=hidden,
            bins=check_number("bins", bins, 2),
        )

    def log_prob(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-density of values (n, quantity) given features (n, feature); shape (n,)."""
        return self.flow(context).log_prob(values)

    def sampler(self) -> Sampler:
        """What makes draws with the present weights; see `FlowInverse`."""
        if len(self.axes) == 1:  # not autoregressive: zuko's inverse has no work to save
            return self._inverse_of_one
        return FlowInverse(self.flow)

    @torch.no_grad()
    def _inverse_of_one(self, context: Tensor, noise: Tensor) -> Tensor:
        return self.flow(context).transform.inv(noise.transpose(0, 1)).transpose(0, 1)
