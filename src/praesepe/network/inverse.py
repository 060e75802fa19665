"""Quick draws from an autoregressive spline flow: the same numbers as zuko's inverse, less work.

zuko inverts an autoregressive transform by evaluating the whole hyper-network once per
coordinate, with the context repeated for every draw. Here every hidden unit is evaluated once,
as soon as the coordinates that it depends on are known, and what depends on the context alone is
evaluated once per stamp.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from zuko.flows.autoregressive import MAF, MaskedAutoregressiveTransform
from zuko.nn import MaskedLinear


def invert_flow(flow: MAF, context: Tensor, noise: Tensor) -> Tensor:
    """Turn base noise into draws.

    Parameters
    ----------
    flow : zuko.flows.MAF
        Of fully autoregressive transforms with a plain MLP (ReLU) as hyper-network.
    context : Tensor, shape (n, feature)
    noise : Tensor, shape (n, n_samples, parameter)

    Returns
    -------
    Tensor, shape (n, n_samples, parameter)
        As ``flow(context).transform.inv(noise)`` gives, up to rounding.
    """
    values = noise
    for transform in reversed(flow.transform.transforms):
        values = _Inverse(transform)(context, values)
    return values


class _Inverse:
    """Inverse of one autoregressive transform.

    The rank of a coordinate is its place in the order; the rank of a hidden unit is the number of
    leading coordinates it may depend on (0: the context alone).
    """

    def __init__(self, transform: MaskedAutoregressiveTransform) -> None:
        self.transform = transform
        self.order: list[int] = transform.order.tolist()
        self.layers = [layer for layer in transform.hyper if isinstance(layer, MaskedLinear)]
        n = len(self.order)
        depends = self.layers[0].mask[:, :n].bool()  # (unit, coordinate)
        self.ranks = []
        for following in [*self.layers[1:], None]:
            rank = torch.where(depends, transform.order + 1, 0).amax(dim=1)
            self.ranks.append(rank)
            if following is not None:
                depends = (following.mask.float() @ depends.float()) > 0

    def __call__(self, context: Tensor, noise: Tensor) -> Tensor:
        n = len(self.order)
        known: list[Tensor | None] = [None] * n
        hidden: list[dict[int, Tensor]] = [{} for _ in self.layers[:-1]]  # by layer and rank
        for rank in range(n):
            coordinate = self.order.index(rank)
            self._evaluate_hidden(rank, context, known, hidden)
            rows = slice(coordinate * self.transform.total, (coordinate + 1) * self.transform.total)
            last = len(self.layers) - 1
            phi = self._linear(last, torch.arange(rows.start, rows.stop), hidden[-1])
            shapes = [shape[0] for shape in self.transform.shapes]
            spline = self.transform.univariate(*phi.split(shapes, dim=-1))
            known[coordinate] = spline.inv(noise[..., coordinate])
        return torch.stack([value for value in known if value is not None], dim=-1)

    def _evaluate_hidden(self, rank, context, known, hidden) -> None:  # type: ignore[no-untyped-def]
        """Evaluate the hidden units of one rank, layer by layer."""
        for number, level in enumerate(hidden):
            units = torch.nonzero(self.ranks[number] == rank).flatten()
            if not len(units):
                continue
            if number == 0:
                weight = (self.layers[0].weight * self.layers[0].mask)[units]
                value = functional.linear(
                    context, weight[:, len(known) :], self.layers[0].bias[units]
                )
                value = value[:, None, :]
                for coordinate, x in enumerate(known):
                    if x is not None:
                        value = value + x[..., None] * weight[:, coordinate]
            else:
                value = self._linear(number, units, hidden[number - 1])
            level[rank] = value.relu()

    def _linear(self, number: int, units: Tensor, inputs: dict[int, Tensor]) -> Tensor:
        """Pre-activation of some units of a layer from the ranks of the layer before."""
        layer, ranks = self.layers[number], self.ranks[number - 1]
        weight = (layer.weight * layer.mask)[units]
        total: Tensor = layer.bias[units]
        for rank, value in sorted(inputs.items()):
            total = total + functional.linear(value, weight[:, ranks == rank])
        return total
