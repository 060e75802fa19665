"""Quick draws from an autoregressive spline flow: the same numbers as zuko's inverse, less work.

zuko inverts an autoregressive transform by evaluating the whole hyper-network once per
coordinate, with the context repeated for every draw. Here every hidden unit is evaluated once,
as soon as the coordinates that it depends on are known, and what depends on the context alone is
evaluated once per stamp. Arrays have units first and draws last, so that all arithmetic runs
along contiguous memory.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from zuko.flows.autoregressive import MAF, MaskedAutoregressiveTransform
from zuko.nn import MaskedLinear

BOUND = 5.0
"""Splines act between -BOUND and BOUND and leave the rest as it is (zuko's default)."""

DRAWS_AT_ONCE = 8192
"""So few that intermediate results stay in the processor's cache."""


def invert_flow(flow: MAF, context: Tensor, noise: Tensor) -> Tensor:
    """Turn base noise into draws.

    Parameters
    ----------
    flow : zuko.flows.NSF
        Of fully autoregressive transforms with a plain MLP (ReLU) as hyper-network.
    context : Tensor, shape (n, feature)
    noise : Tensor, shape (n, n_samples, parameter)

    Returns
    -------
    Tensor, shape (n, n_samples, parameter)
        As ``flow(context).transform.inv(noise)`` gives, up to rounding.
    """
    inverses = [_Inverse(transform) for transform in reversed(flow.transform.transforms)]
    at_once = max(1, DRAWS_AT_ONCE // max(noise.shape[1], 1))
    if context.device.type != "cpu":
        at_once = max(1, len(context))
    parts = []
    for some, start in zip(context.split(at_once), noise.split(at_once), strict=True):
        values = start.permute(2, 0, 1).contiguous()  # (parameter, n, n_samples)
        for inverse in inverses:
            values = inverse(some.T, values)
        parts.append(values.permute(1, 2, 0))
    return torch.cat(parts)


class _Inverse:
    """Inverse of one autoregressive transform.

    The rank of a coordinate is its place in the order; the rank of a hidden unit is the number of
    leading coordinates it may depend on (0: the context alone).
    """

    def __init__(self, transform: MaskedAutoregressiveTransform) -> None:
        self.order: list[int] = transform.order.tolist()
        self.sizes = [math.prod(shape) for shape in transform.shapes]
        self.log_slope = abs(math.log(transform.univariate.keywords["slope"]))
        layers = [layer for layer in transform.hyper if isinstance(layer, MaskedLinear)]
        self.n = len(self.order)
        ranks = self._ranks(layers, transform.order)
        ranks.append(transform.order.repeat_interleave(transform.total))
        self.blocks = [  # [layer][rank]
            [
                _Block(layer, ranks[i - 1] if i else None, ranks[i] == rank, self)
                for rank in range(self.n)
            ]
            for i, layer in enumerate(layers)
        ]

    @staticmethod
    def _ranks(layers: list[MaskedLinear], order: Tensor) -> list[Tensor]:
        """Rank of every unit of every hidden layer."""
        depends = layers[0].mask[:, : len(order)].bool()  # (unit, coordinate)
        ranks = [torch.where(depends, order + 1, 0).amax(dim=1)]
        for layer in layers[1:-1]:
            depends = (layer.mask.float() @ depends.float()) > 0
            ranks.append(torch.where(depends, order + 1, 0).amax(dim=1))
        return ranks

    def __call__(self, context: Tensor, noise: Tensor) -> Tensor:
        """Invert; context (feature, n), noise and result (parameter, n, n_samples)."""
        known = torch.empty_like(noise)  # by rank
        result = torch.empty_like(noise)  # by coordinate
        hidden: list[list[Tensor]] = [[] for _ in self.blocks[:-1]]  # [layer][rank]
        for rank in range(self.n):
            for number, level in enumerate(hidden):
                block = self.blocks[number][rank]
                if number == 0:
                    value = block.first(context, known[:rank])
                else:
                    value = block.further(hidden[number - 1])
                level.append(value.relu_())
            coordinate = self.order.index(rank)
            phi = self.blocks[-1][rank].further(hidden[-1])
            known[rank] = result[coordinate] = self._spline(phi, noise[coordinate])
        return result

    def _spline(self, phi: Tensor, y: Tensor) -> Tensor:
        """Inverse rational-quadratic spline (Durkan et al. 2019); phi (3 K - 1, n, 1 or draw)."""
        widths, heights, slopes = phi.split(self.sizes)
        widths, heights = self._positive(widths, 2.0), self._positive(heights, 2.0)
        right, top = widths.cumsum(0), heights.cumsum(0)
        shape = (-1, *y.shape)
        target = (y / (2 * BOUND) + 0.5) * top[-1]
        k = (top[:-1] < target).sum(0, keepdim=True)
        x1, y1, dx, dy = (t.expand(shape).gather(0, k)[0] for t in (right, top, widths, heights))
        last = self.sizes[2]
        inner = [slopes.expand(shape).gather(0, i.clamp(0, last - 1)) for i in (k - 1, k)]
        d0 = torch.where(k == 0, 1.0, self._positive(inner[0], 1.0))[0]
        d1 = torch.where(k == last, 1.0, self._positive(inner[1], 1.0))[0]
        to_x, to_y = 2 * BOUND / right[-1], 2 * BOUND / top[-1]
        above = (target - y1 + dy) * to_y
        x0, dx, dy = (x1 - dx) * to_x - BOUND, dx * to_x, dy * to_y
        s = dy / dx
        bend = above * (d0 + d1 - 2 * s)
        a, b, c = dy * (s - d0) + bend, dy * d0 - bend, -s * above
        x = x0 + dx * (2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt()))
        return torch.where(y.abs() < BOUND, x, y)

    def _positive(self, raw: Tensor, steepness: float) -> Tensor:
        """Exponential of a softly limited number."""
        return (raw / (1 + (steepness / self.log_slope) * raw.abs())).exp_()


class _Block:
    """The units of one rank in one layer, with the weights that can reach them."""

    def __init__(
        self, layer: MaskedLinear, below: Tensor | None, units: Tensor, parent: _Inverse
    ) -> None:
        weight = (layer.weight * layer.mask)[units]
        self.bias = layer.bias[units][:, None]
        if below is None:  # the layer's inputs are the coordinates and the context
            self.context = weight[:, parent.n :]
            by_rank = sorted(range(parent.n), key=parent.order.__getitem__)
            self.coordinates = weight[:, by_rank]
        else:
            self.parts = [weight[:, below == rank] for rank in range(parent.n)]

    def first(self, context: Tensor, known: Tensor) -> Tensor:
        """Pre-activation (unit, n, 1 or n_samples) from context and known coordinates."""
        fixed = torch.addmm(self.bias, self.context, context)[..., None]
        return self._with_draws(fixed, self.coordinates[:, : len(known)], known)

    def further(self, below: list[Tensor]) -> Tensor:
        """Pre-activation from the units of the layer below, by rank."""
        fixed = torch.addmm(self.bias, self.parts[0], below[0][..., 0])[..., None]
        if len(below) == 1:
            return fixed
        weight, value = torch.cat(self.parts[1 : len(below)], 1), torch.cat(below[1:])
        return self._with_draws(fixed, weight, value)

    @staticmethod
    def _with_draws(fixed: Tensor, weight: Tensor, value: Tensor) -> Tensor:
        if not len(value):
            return fixed
        moving = weight @ value.flatten(1)
        return moving.view(len(weight), *value.shape[1:]).add_(fixed)
