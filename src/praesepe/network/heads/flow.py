"""The flow head: conditional neural spline flows over numbers, soft-max over categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import zuko
from torch import Tensor, nn

from praesepe.errors import InputError, check_number, unknown
from praesepe.network.heads.base import Axis, Head, Sampler, check_groups
from praesepe.network.heads.flow_inverse import FlowInverse
from praesepe.network.heads.known import draws_of_known

GROUPS_APART = (("log_visibility",), ("offset_x_px", "offset_y_px"))
"""Groups of quantities that have a flow of their own by default."""

APART = tuple(name for group in GROUPS_APART for name in group)
"""All of them."""


class FlowHead(Head):
    """Conditional neural spline flows (Durkan et al. 2019, arXiv:1906.04032).

    Each group of continuous quantities has a joint flow. Every categorical quantity has the
    probabilities of its categories, given the stamp alone.

    Parameters
    ----------
    features : int
        Length of the context vector.
    axes : sequence of Axis
        Continuous and categorical quantities.
    groups : sequence of sequence of str, optional
        Names of the continuous quantities that are inferred jointly; together they are all of
        them. By default the `GROUPS_APART` on their own, and all others together.
    leading : str, optional
        The continuous quantity that draws can be conditioned on. It comes first in every
        transform of its flow, which is then p(leading) p(others given leading).
    transforms : int
        Autoregressive transforms, one after the other.
    hidden_features : sequence of int
        Units of the hidden layers of each transform's network.
    bins : int
        Of each spline.

    Raises
    ------
    InputError
        Where the groups do not fit the quantities, none is continuous, or there is no such
        leading quantity.
    """

    noise = "normal"

    def __init__(
        self,
        features: int,
        axes: Sequence[Axis],
        *,
        groups: Sequence[Sequence[str]] | None = None,
        leading: str | None = None,
        transforms: int = 3,
        hidden_features: Sequence[int] = (96, 96),
        bins: int = 8,
    ) -> None:
        super().__init__(features, axes)
        numbers = [axis.name for axis in self.axes if not axis.categories]
        if not numbers:
            raise InputError(
                "the flow head infers at least one continuous quantity",
                given=[axis.name for axis in self.axes],
                remedy="choose head 'grid' for categories alone",
            )
        if groups is None:
            apart = [[name for name in group if name in numbers] for group in GROUPS_APART]
            groups = [[name for name in numbers if name not in APART], *apart]
        groups = [group for group in groups if group]
        check_groups(groups, numbers)
        if leading is not None and leading not in numbers:
            raise unknown("continuous quantity", str(leading), numbers)
        groups = [sorted(group, key=lambda name: name != leading) for group in groups]
        hidden = tuple(check_number("hidden_features", units, 1) for units in hidden_features)
        transforms = check_number("transforms", transforms, 1)
        settings: dict[str, Any] = {
            "context": features,
            "hidden_features": hidden,
            "bins": check_number("bins", bins, 2),
        }
        places = {axis.name: place for place, axis in enumerate(self.axes)}
        categorical = [place for place, axis in enumerate(self.axes) if axis.categories]
        self.groups = (*(tuple(places[n] for n in group) for group in groups),)
        self.leading = None if leading is None else places[leading]
        self.flows = nn.ModuleList(
            _in_one_order(len(group), transforms, **settings)
            if leading in group
            else zuko.flows.NSF(len(group), transforms=transforms, **settings)
            for group in groups
        )
        self.logits = nn.ModuleDict(
            {str(place): nn.Linear(features, self.axes[place].categories) for place in categorical}
        )
        self.noise_size = len(self.axes)
        self.register_load_state_dict_pre_hook(_with_one_flow)

    def log_prob(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-density of values (n, quantity) given features (n, feature); shape (n,).

        A group with a NaN, or a category that is NaN, is left out: the density is that of the rest.
        """
        total = values.new_zeros(len(values))
        for group, flow in zip(self.groups, self.flows, strict=True):
            some = values[:, group]
            known = ~some.isnan().any(1)
            if bool(known.all()):
                total = total + flow(context).log_prob(some)
            elif bool(known.any()):
                total[known] = total[known] + flow(context[known]).log_prob(some[known])
        for place, logits in self.logits.items():
            value = values[:, int(place)]
            log_share = logits(context).log_softmax(1)
            index = value.nan_to_num().round().long().clamp(0, log_share.shape[1] - 1)
            found = log_share.gather(1, index[:, None])[:, 0]
            total = total + torch.where(value == index, found, -math.inf).where(
                ~value.isnan(), torch.zeros_like(found)
            )
        return total

    def sampler(self) -> Sampler:
        """What makes draws with the present weights; see `FlowInverse`."""
        inverses = [FlowInverse(flow) for flow in self.flows]

        @torch.no_grad()
        def draw(context: Tensor, noise: Tensor, known: Tensor | None = None) -> Tensor:
            draws = torch.empty_like(noise)
            for group, inverse in zip(self.groups, inverses, strict=True):
                base = noise[..., group]
                if known is None or group[0] != self.leading:
                    draws[..., group] = inverse(context, base)
                else:
                    draws[..., group] = draws_of_known(inverse, context, base, known)
            for place, logits in self.logits.items():
                cumulative = logits(context).double().softmax(1).cumsum(1)[:, :-1].contiguous()
                level = torch.special.ndtr(noise[..., int(place)].double()).contiguous()
                draws[..., int(place)] = torch.searchsorted(cumulative, level, right=True).float()
            return draws

        return draw

    def probabilities(self, context: Tensor) -> dict[str, Tensor]:
        """Probability (n, category) of every category."""
        return {
            self.axes[int(place)].name: logits(context).softmax(1)
            for place, logits in self.logits.items()
        }


def _in_one_order(n: int, transforms: int, **settings: Any) -> zuko.lazy.Flow:
    """A flow whose transforms all take the coordinates in one order; zuko's turn it each time."""
    made = [zuko.flows.NSF(n, transforms=1, **settings) for _ in range(transforms)]
    return zuko.lazy.Flow([flow.transform.transforms[0] for flow in made], made[0].base)


def _with_one_flow(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Take weights of the time when the head had one flow, called ``flow``."""
    assert isinstance(state, dict)
    for key in [key for key in state if key.startswith(f"{prefix}flow.")]:
        state[key.replace(f"{prefix}flow.", f"{prefix}flows.0.", 1)] = state.pop(key)
