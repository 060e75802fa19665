"""Quick draws from an autoregressive spline flow: the numbers of zuko's inverse, with less work.

An autoregressive transform turns draws x into base noise y, one coordinate after the other in a
fixed order: y_r = spline(x_r; φ_r), where the parameters φ_r of the spline are outputs of a masked
network whose inputs are the context and the coordinates before x_r (Papamakarios et al. 2017). To
invert it, one needs x_0 … x_{r-1} before one can ask for φ_r. zuko evaluates the whole network once
per coordinate, with the context repeated for every draw. Two things save most of that work:

1. Every unit has a *rank*: the number of leading coordinates that it may depend on. Units of rank r
   are evaluated once, as soon as x_{r-1} is known. (An output for coordinate r has rank r.)
2. Units of rank 0 depend on the context alone. They are evaluated once per stamp, not per draw.

Arrays have units first and draws last, so that all arithmetic runs along contiguous memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from zuko.flows.autoregressive import MAF, MaskedAutoregressiveTransform
from zuko.flows.gaussianization import ElementWiseTransform
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
        Of fully autoregressive transforms with a plain MLP (ReLU) as network, or of one quantity.
        Its weights are those at this time.
    """

    @torch.no_grad()
    def __init__(self, flow: MAF) -> None:
        self.transforms = [
            (_ElementInverse if isinstance(t, ElementWiseTransform) else _TransformInverse)(t)
            for t in reversed(flow.transform.transforms)
        ]

    @torch.no_grad()
    def __call__(self, context: Tensor, noise: Tensor) -> Tensor:
        """Turn base noise into draws, without gradients.

        Parameters
        ----------
        context : Tensor, shape (n, feature)
        noise : Tensor, shape (n, n_samples, quantity)

        Returns
        -------
        Tensor, shape (n, n_samples, quantity)
            As ``flow(context).transform.inv(noise)`` gives, up to rounding.
        """
        parts = []
        at_once = stamps_at_once(noise.shape[1], noise.device)
        for features, base in zip(context.split(at_once), noise.split(at_once), strict=True):
            values = base.permute(2, 0, 1).contiguous()  # (quantity, n, n_samples)
            for transform in self.transforms:
                values = transform(features.T, values)
            parts.append(values.permute(1, 2, 0))
        return torch.cat(parts)

    @torch.no_grad()
    def first(self, context: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Base noise and log-density of values (n, m) of the coordinate that comes first.

        The coordinate must come first in every transform.
        """
        log_slopes = torch.zeros_like(values)
        for transform in reversed(self.transforms):
            parameters = transform.first_parameters(context.T)
            values, log_slope = transform.spline.forward(parameters, values)
            log_slopes += log_slope
        return values, log_slopes - 0.5 * (values**2 + math.log(2 * math.pi))

    @torch.no_grad()
    def first_inverse(self, context: Tensor, noise: Tensor) -> Tensor:
        """Values (n, m) of the coordinate that comes first, of base noise."""
        for transform in self.transforms:
            noise = transform.spline(transform.first_parameters(context.T), noise)
        return noise


def stamps_at_once(n_samples: int, device: torch.device) -> int:
    """Stamps that go through together: a power of two, so that batches split without a rest."""
    if device.type != "cpu":
        return 2**30
    return 2 ** int(math.log2(max(DRAWS_AT_ONCE // max(n_samples, 1), 1)))


class _TransformInverse:
    """Inverse of one autoregressive transform."""

    def __init__(self, transform: MaskedAutoregressiveTransform) -> None:
        self.order: list[int] = transform.order.tolist()  # place of each coordinate in the order
        self.spline = _InverseSpline(transform)
        linear = [layer for layer in transform.hyper if isinstance(layer, MaskedLinear)]
        ranks = _ranks(linear, transform.order, parameters=transform.total)
        layers = [
            _RankedLayer(layer, below, own, n_ranks=len(self.order))
            for layer, below, own in zip(linear, ranks[:-1], ranks[1:], strict=True)
        ]
        self.hidden = layers[:-1]
        self.output = [block.with_rows(self.spline.with_ends) for block in layers[-1].blocks]

    def __call__(self, context: Tensor, noise: Tensor) -> Tensor:
        """Invert; context (feature, n), noise and result (quantity, n, n_samples)."""
        # Of every layer's inputs: those of rank 0, (unit, n), and the others, (unit, n, n_samples).
        per_stamp = [context]
        for layer in self.hidden:
            per_stamp.append(layer.blocks[0].of_stamps(per_stamp[-1]).relu_())
        known = torch.empty_like(noise)  # coordinates in the order in which they become known
        per_draw = [known]
        for layer in self.hidden:
            per_draw.append(noise.new_empty((layer.n_per_draw, *noise.shape[1:])))
        for rank, coordinate in enumerate(sorted(range(len(noise)), key=self.order.__getitem__)):
            if rank > 0:
                for i, layer in enumerate(self.hidden):
                    block = layer.blocks[rank]
                    block(per_stamp[i], per_draw[i], out=per_draw[i + 1][block.place]).relu_()
            phi = self.output[rank](per_stamp[-1], per_draw[-1])
            known[rank] = self.spline(phi, noise[coordinate])
        return known[self.order]

    def first_parameters(self, context: Tensor) -> Tensor:
        """What the spline of the first coordinate is made of, (3 K + 1, n, 1)."""
        units = context
        for layer in self.hidden:
            units = layer.blocks[0].of_stamps(units).relu_()
        return self.output[0].of_stamps(units)[..., None]


class _ElementInverse:
    """Inverse of a transform of one quantity, whose spline is that of the stamp alone."""

    def __init__(self, transform: ElementWiseTransform) -> None:
        self.hyper, self.spline = transform.hyper, _InverseSpline(transform)

    def __call__(self, context: Tensor, noise: Tensor) -> Tensor:
        """Invert; context (feature, n), noise and result (1, n, n_samples)."""
        return self.spline(self.first_parameters(context), noise[0])[None]

    def first_parameters(self, context: Tensor) -> Tensor:
        """What the spline is made of, (3 K + 1, n, 1)."""
        return self.spline.with_ends(self.hyper(context.T).T)[..., None]


class _InverseSpline:
    """Inverse of a monotonic rational-quadratic spline (Durkan et al. 2019, eq. 4 to 8)."""

    def __init__(self, transform: MaskedAutoregressiveTransform | ElementWiseTransform) -> None:
        self.n_bins = math.prod(transform.shapes[0])
        self.log_slope = abs(math.log(transform.univariate.keywords["slope"]))

    def with_ends(self, rows: Tensor) -> Tensor:
        """Rows (3 K - 1, …) of what gives the parameters, with those of the slope at both ends.

        There the slope is 1, so that its logarithm is 0.
        """
        knots, end = 2 * self.n_bins, rows.new_zeros((1, *rows.shape[1:]))
        return torch.cat((rows[:knots], end, rows[knots:], end))

    def __call__(self, phi: Tensor, y: Tensor) -> Tensor:
        """Invert.

        Parameters
        ----------
        phi : Tensor, shape (3 K + 1, n, 1 or n_samples)
            Logarithms, softly limited, of the K bins' widths and heights and of the slopes at their
            K + 1 knots. It is written over.
        y : Tensor, shape (n, n_samples)

        Returns
        -------
        Tensor, shape (n, n_samples)
        """
        logs, log_slopes = phi.tensor_split([2 * self.n_bins])
        sizes = self._exp(logs, 2.0).unflatten(0, (2, self.n_bins))  # widths and heights
        ends = sizes.cumsum(1)  # of the bins, up to a common factor
        scale = 2 * BOUND / ends[:, -1]
        target = (y / (2 * BOUND) + 0.5) * ends[1, -1]
        k = (ends[1, :-1] < target).sum(0)  # the bin that holds y
        there = k.expand(2, 1, *y.shape)
        size, end = (of.expand(-1, -1, *y.shape).gather(1, there)[:, 0] for of in (sizes, ends))
        slopes = log_slopes.expand(-1, *y.shape).gather(0, torch.stack((k, k + 1)))
        slope_left, slope_right = self._exp(slopes, 1.0)
        x_left, y_low = end - size
        above = (target - y_low) * scale[1]
        width, height = size * scale
        slope = height / width
        bend = above * (slope_left + slope_right - 2 * slope)
        # a ξ² + b ξ + c = 0 for the place ξ in the bin, from 0 to 1
        a = height * (slope - slope_left) + bend
        b = height * slope_left - bend
        c = -slope * above
        place = 2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt())
        return torch.where(y.abs() < BOUND, x_left * scale[0] - BOUND + width * place, y)

    def forward(self, phi: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The spline itself and the logarithm of its slope, for x (n, m) and as `__call__`."""
        logs, log_slopes = phi.tensor_split([2 * self.n_bins])
        sizes = self._exp(logs, 2.0).unflatten(0, (2, self.n_bins))
        sizes = sizes * (2 * BOUND / sizes.sum(1, keepdim=True))
        ends = sizes.cumsum(1) - BOUND
        k = (ends[0, :-1] < x).sum(0)  # the bin that holds x
        there = k.expand(2, 1, *x.shape)
        size, end = (of.expand(-1, -1, *x.shape).gather(1, there)[:, 0] for of in (sizes, ends))
        slopes = log_slopes.expand(-1, *x.shape).gather(0, torch.stack((k, k + 1)))
        left, right = self._exp(slopes, 1.0)
        width, height = size
        slope = height / width
        place = (x - (end - size)[0]) / width
        rest = place * (1 - place)
        below = slope + (left + right - 2 * slope) * rest
        y = (end - size)[1] + height * (slope * place**2 + left * rest) / below
        steep = 2 * slope * rest + left * (1 - place) ** 2 + right * place**2
        log_slope = (slope**2 * steep / below**2).log()
        inside = x.abs() < BOUND
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def _exp(self, raw: Tensor, steepness: float) -> Tensor:
        """Exponential of a number that is softly limited, as zuko has it; in its place."""
        return raw.div_(raw.abs().mul_(steepness / self.log_slope).add_(1)).exp_()


def _ranks(layers: list[MaskedLinear], order: Tensor, parameters: int) -> list[Tensor]:
    """Rank of every input, of every unit of every hidden layer, and of every output."""
    n = len(order)
    n_context = layers[0].mask.shape[1] - n
    # As an input, the coordinate at place r counts from rank r + 1 on.
    ranks = [torch.cat((order + 1, order.new_zeros(n_context)))]
    reached = layers[0].mask[:, :n].bool()  # (unit, coordinate)
    for i, layer in enumerate(layers[:-1]):
        if i:
            reached = (layer.mask.float() @ reached.float()) > 0
        ranks.append(torch.where(reached, order + 1, 0).amax(dim=1))
    ranks.append(order.repeat_interleave(parameters))
    return ranks


@dataclass(frozen=True)
class _Block:
    """The units of one rank in one layer, and the weights that can reach them.

    Attributes
    ----------
    bias : Tensor, shape (unit, 1)
    per_stamp : Tensor, shape (unit, input)
        Weights of the inputs of rank 0.
    per_draw : Tensor, shape (unit, input)
        Weights of the inputs of ranks 1 to that of the block, sorted by rank.
    place : slice
        Where the units lie among their layer's units of rank 1 and more, sorted by rank.
    """

    bias: Tensor
    per_stamp: Tensor
    per_draw: Tensor
    place: slice

    def with_rows(self, change: Callable[[Tensor], Tensor]) -> _Block:
        """The same with other units, which `change` makes of rows of weights."""
        bias, per_stamp, per_draw = map(change, (self.bias, self.per_stamp, self.per_draw))
        return _Block(bias, per_stamp, per_draw, self.place)

    def of_stamps(self, inputs: Tensor) -> Tensor:
        """What inputs (input, n) of rank 0 add to the units; shape (unit, n)."""
        return torch.addmm(self.bias, self.per_stamp, inputs)

    def __call__(self, of_stamps: Tensor, of_draws: Tensor, out: Tensor | None = None) -> Tensor:
        """Units before the activation, shape (unit, n, n_samples); n_samples is 1 in rank 0.

        Parameters
        ----------
        of_stamps : Tensor, shape (input, n)
            The inputs of rank 0.
        of_draws : Tensor, shape (input, n, n_samples)
            The others; those known so far come first.
        out : Tensor, optional
            Where to put the result.
        """
        constant = self.of_stamps(of_stamps)[..., None]
        n_known = self.per_draw.shape[1]
        if n_known == 0:
            return constant if out is None else out.copy_(constant.expand_as(out))
        if out is None:
            out = of_draws.new_empty((len(self.per_draw), *of_draws.shape[1:]))
        torch.mm(self.per_draw, of_draws[:n_known].flatten(1), out=out.flatten(1))
        return out.add_(constant)


class _RankedLayer:
    """One masked layer, its units and its inputs sorted by rank."""

    def __init__(self, layer: MaskedLinear, below: Tensor, own: Tensor, n_ranks: int) -> None:
        weight = layer.weight * layer.mask
        n_per_stamp = int((below == 0).sum())
        by_rank = torch.argsort(below, stable=True)
        per_stamp, per_draw = weight[:, by_rank[:n_per_stamp]], weight[:, by_rank[n_per_stamp:]]
        self.blocks: list[_Block] = []
        self.n_per_draw = 0
        for rank in range(n_ranks):
            units = own == rank
            n_known = int((below <= rank).sum()) - n_per_stamp
            start = self.n_per_draw
            self.n_per_draw += int(units.sum()) if rank else 0
            place = slice(start, self.n_per_draw)
            bias = layer.bias[units][:, None]
            self.blocks.append(_Block(bias, per_stamp[units], per_draw[units, :n_known], place))
