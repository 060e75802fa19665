"""Quick draws from an autoregressive spline flow: the same numbers as zuko's inverse, less work.

zuko inverts an autoregressive transform by evaluating the whole hyper-network once per
coordinate, with the context repeated for every draw. Here every hidden unit is evaluated once,
as soon as the coordinates that it depends on are known, and what depends on the context alone is
evaluated once per stamp. Arrays have units first and draws last, so that all arithmetic runs
along contiguous memory.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from zuko.flows.autoregressive import MAF, MaskedAutoregressiveTransform
from zuko.nn import MaskedLinear

BOUND = 5.0
"""Splines act between -BOUND and BOUND and leave the rest as it is (zuko's default)."""

DRAWS_AT_ONCE = 8192
"""So few that intermediate results stay in the processor's cache."""


class FlowInverse:
    """Inverse of a flow, prepared once for many draws.

    Parameters
    ----------
    flow : zuko.flows.NSF
        Of fully autoregressive transforms with a plain MLP (ReLU) as hyper-network. Its weights
        are those at this time.
    """

    @torch.no_grad()
    def __init__(self, flow: MAF) -> None:
        self.inverses = [_Inverse(transform) for transform in reversed(flow.transform.transforms)]

    @torch.no_grad()
    def __call__(self, context: Tensor, noise: Tensor) -> Tensor:
        """Turn base noise into draws, without gradients.

        Parameters
        ----------
        context : Tensor, shape (n, feature)
        noise : Tensor, shape (n, n_samples, parameter)

        Returns
        -------
        Tensor, shape (n, n_samples, parameter)
            As ``flow(context).transform.inv(noise)`` gives, up to rounding.
        """
        at_once = max(1, DRAWS_AT_ONCE // max(noise.shape[1], 1))
        if context.device.type != "cpu":
            at_once = max(1, len(context))
        parts = []
        for some, start in zip(context.split(at_once), noise.split(at_once), strict=True):
            values = start.permute(2, 0, 1).contiguous()  # (parameter, n, n_samples)
            for inverse in self.inverses:
                values = inverse(some.T, values)
            parts.append(values.permute(1, 2, 0))
        return torch.cat(parts)


class _Inverse:
    """Inverse of one autoregressive transform.

    The rank of a coordinate is its place in the order; the rank of a hidden unit is the number of
    leading coordinates it may depend on (0: the context alone). Units are kept by rank.
    """

    def __init__(self, transform: MaskedAutoregressiveTransform) -> None:
        self.order: list[int] = transform.order.tolist()
        self.sizes = [math.prod(shape) for shape in transform.shapes]
        self.log_slope = abs(math.log(transform.univariate.keywords["slope"]))
        layers = [layer for layer in transform.hyper if isinstance(layer, MaskedLinear)]
        self.n = len(self.order)
        ranks = self._ranks(layers, transform.order)
        ranks.append(transform.order.repeat_interleave(transform.total))
        self.layers = [
            _Layer(layer, ranks[i - 1] if i else None, ranks[i], self.order)
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
        # What the context alone says, (unit, n), and the units that depend on draws.
        fixed = [context]
        for layer in self.layers[:-1]:
            fixed.append(layer.of_context(fixed[-1]).relu_())
        moving = [known, *(noise.new_empty((k, *noise.shape[1:])) for k in self._moving_units())]
        for rank in range(self.n):
            if rank:
                for number, layer in enumerate(self.layers[:-1]):
                    into = moving[number + 1][layer.places[rank]]
                    layer.units(rank, fixed[number], moving[number], into).relu_()
            coordinate = self.order.index(rank)
            phi = self.layers[-1].units(rank, fixed[-1], moving[-1])
            known[rank] = result[coordinate] = self._spline(phi, noise[coordinate])
        return result

    def _moving_units(self) -> list[int]:
        return [layer.places[-1].stop for layer in self.layers[:-1]]

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


class _Layer:
    """One layer's units by rank, with the weights that can reach them.

    Attributes
    ----------
    places : list of slice
        Where the units of each rank above 0 lie among all such units; empty for rank 0.
    """

    def __init__(
        self, layer: MaskedLinear, below: Tensor | None, ranks: Tensor, order: list[int]
    ) -> None:
        n = len(order)
        weight = layer.weight * layer.mask
        if below is None:  # the layer's inputs are the coordinates and the context
            constant, inputs = weight[:, n:], weight[:, sorted(range(n), key=order.__getitem__)]
            reach = list(range(n))
        else:
            by_rank = torch.argsort(below, stable=True)
            n_constant = int((below == 0).sum())
            constant = weight[:, by_rank[:n_constant]]
            inputs = weight[:, by_rank[n_constant:]]
            reach = [int((below <= rank).sum()) - n_constant for rank in range(n)]
        chosen = [ranks == rank for rank in range(n)]
        self.bias = [layer.bias[units][:, None] for units in chosen]
        self.constant = [constant[units] for units in chosen]
        self.inputs = [inputs[units, :k] for units, k in zip(chosen, reach, strict=True)]
        counts = [0] + [int(units.sum()) for units in chosen[1:]]
        ends = np.cumsum(counts).tolist()
        self.places = [slice(end - k, end) for k, end in zip(counts, ends, strict=True)]

    def of_context(self, below: Tensor) -> Tensor:
        """Pre-activation (unit, n) of the units of rank 0."""
        return torch.addmm(self.bias[0], self.constant[0], below)

    def units(self, rank: int, fixed: Tensor, moving: Tensor, out: Tensor | None = None) -> Tensor:
        """Pre-activation (unit, n, n_samples) of the units of a rank; (unit, n, 1) for rank 0.

        `fixed` (unit, n) and `moving` (unit, n, n_samples) are the inputs of rank 0 and of the
        others.
        """
        constant = torch.addmm(self.bias[rank], self.constant[rank], fixed)[..., None]
        weight = self.inputs[rank]
        if not weight.shape[1]:
            return constant if out is None else out.copy_(constant.expand_as(out))
        flat = moving[: weight.shape[1]].flatten(1)
        if out is None:
            out = flat.new_empty((len(weight), *moving.shape[1:]))
        torch.mm(weight, flat, out=out.flatten(1))
        return out.add_(constant)
