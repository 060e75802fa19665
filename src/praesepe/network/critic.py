"""When not to believe an answer: a small network that has seen what faulty images look like.

It weighs what a stamp shows (`praesepe.network.appearance`) against the answer and what the model
was told: whether clusters of these parameters have this light in every band, this sharpness,
bands that lie on each other, and this noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from praesepe.errors import unusable
from praesepe.network.appearance import Appearance
from praesepe.network.domain import FeatureDomain
from praesepe.network.net import ClusterNet
from praesepe.network.schema import ModelCard
from praesepe.survey import Survey

KINDS = ("photometry", "shape", "registration", "noise")
"""What can be strange about a stamp."""

ANSWER_DRAWS = 64
"""Draws of which the answer's mean and width are taken."""

HIDDEN = 64
"""Width of both layers."""

LEAST_WIDTH = 1e-3
"""Of an answer, in units of the prior's."""

MOST = 8.0
"""Evidence farther off the usual, in standard deviations, counts as so far."""


class Critic(nn.Module):
    """Tells faulty stamps from good ones, by kind of fault.

    Parameters
    ----------
    net : ClusterNet
        Whose answers are judged.
    survey : Survey
    kinds : tuple of str
        Kinds of fault that it tells.
    """

    center: Tensor
    width: Tensor
    limit: Tensor

    def __init__(self, net: ClusterNet, survey: Survey, kinds: tuple[str, ...] = KINDS) -> None:
        super().__init__()
        self.kinds = kinds
        self.appearance = Appearance(survey)
        told = 0 if net.conditions is None else net.conditions.n_inputs
        n_values = self.appearance.n_values + 2 * len(net.labels.quantities) + told
        self.register_buffer("center", torch.zeros(n_values))
        self.register_buffer("width", torch.ones(n_values))
        self.register_buffer("limit", torch.zeros(()))
        self.layers = nn.Sequential(
            nn.Linear(n_values, HIDDEN),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 1 + len(kinds)),
        )
        self.eval()

    def shown(self, net: ClusterNet, stamps: Tensor, conditions: Tensor | None) -> Tensor:
        """What stamps (n, band, y, x) in e-/s show, (n, value); NaN of bands that are not there."""
        present = None
        if net.conditions is not None:
            assert conditions is not None, "a network with conditions must be told them"
            present = net.conditions.present(conditions)
        return self.appearance.measure(stamps, present)

    def evidence(
        self, net: ClusterNet, shown: Tensor, drawn: Tensor, conditions: Tensor | None
    ) -> Tensor:
        """Gather what is judged.

        Parameters
        ----------
        net : ClusterNet
        shown : Tensor, shape (n, value)
        drawn : Tensor, shape (n, draw, quantity)
            The answers in the head's variables; at least `ANSWER_DRAWS`.
        conditions : Tensor, shape (n, value), or None

        Returns
        -------
        Tensor, shape (n, value)
        """
        answer = drawn[:, :ANSWER_DRAWS]
        parts = [shown, answer.mean(1), answer.std(1).clamp_min(LEAST_WIDTH).log()]
        if net.conditions is not None:
            assert conditions is not None, "a network with conditions must be told them"
            parts.append(net.conditions.inputs(conditions))
        return torch.cat(parts, 1)

    def standardise(self, evidence: Tensor) -> None:
        """Remember where evidence (n, value) of good stamps lies."""
        known = ~evidence.isnan()
        n = known.sum(0).clamp_min(1)
        center = evidence.nan_to_num().sum(0) / n
        square = torch.where(known, (evidence - center).square(), 0.0).sum(0) / n
        self.center.copy_(center)
        self.width.copy_(square.sqrt().clamp_min(1e-3))

    def logits(self, evidence: Tensor) -> Tensor:
        """Of no fault, and of every kind, (n, 1 + kind)."""
        usual = ((evidence - self.center) / self.width).clamp(-MOST, MOST).nan_to_num()
        return self.layers(usual)

    def forward(self, evidence: Tensor) -> Tensor:
        """Log-odds (n, kind) of every kind of fault against none."""
        logits = self.logits(evidence)
        return logits[:, 1:] - logits[:, :1]

    def scores(self, evidence: Tensor) -> Tensor:
        """Odds of every kind over those that hardly any good stamp exceeds; (n, kind)."""
        return (self(evidence) - self.limit).clamp(-30, 30).exp()

    def by_kind(self, scores: Sequence[Tensor]) -> dict[str, NDArray[np.float32]]:
        """Scores of one batch after another, by the name of the kind."""
        joined = torch.cat([*scores, torch.empty(0, len(self.kinds))]).numpy()
        return dict(zip(self.kinds, joined.T, strict=True))


def judges_of(
    card: ModelCard, tensors: dict[str, Tensor], net: ClusterNet, survey: Survey, source: str
) -> tuple[FeatureDomain | None, Critic | None]:
    """Take what tells strange stamps, as far as a model has it, out of its tensors.

    Raises
    ------
    InputError
        Where some of them are missing; `source` names the model.
    """

    def taken(prefix: str) -> dict[str, Tensor]:
        keys = [key for key in tensors if key.startswith(f"{prefix}.")]
        return {key.removeprefix(f"{prefix}."): tensors.pop(key) for key in keys}

    domain = critic = None
    try:
        if card.out_of_domain is not None:
            domain = FeatureDomain(**taken(card.out_of_domain.tensors))
        if card.critic is not None:
            critic = Critic(net, survey, card.critic.kinds)
            critic.load_state_dict(taken(card.critic.tensors))
    except (TypeError, RuntimeError) as error:
        fault = "lacks what tells stamps unlike its training's"
        raise unusable(source, fault, "copy it again") from error
    return domain, critic


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by longer names, on the CPU."""
    return {f"{prefix}.{name}": tensor.cpu() for name, tensor in tensors.items()}
