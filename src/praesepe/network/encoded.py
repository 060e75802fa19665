"""Stamps as a network sees them, and the posteriors that are drawn from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from praesepe.network.critic import ANSWER_DRAWS, Critic
from praesepe.network.domain import FeatureDomain
from praesepe.network.heads.flow_inverse import stamps_at_once
from praesepe.network.net import ClusterNet
from praesepe.network.noise import base_noise
from praesepe.network.posterior import Posterior

BATCH = {"cpu": 64, "cuda": 256}
"""Stamps that pass through the network at once: always so many, so that no bit of a row's answer
depends on the rows beside it."""


FAR, LEAST_WIDTH = 4.0, 0.02
"""Standard deviations between what is known and what the pixels say that are not believed, and the
least of these, in units of the prior's."""


class _Model(Protocol):
    """What an estimator sees with."""

    net: ClusterNet
    domain: FeatureDomain | None
    critic: Critic | None

    @property
    def infers(self) -> tuple[str, ...]: ...

    @property
    def device(self) -> torch.device: ...


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model has seen in n stamps; draws, however many, need the stamps no more.

    Attributes
    ----------
    model : Estimator
    features : Tensor, shape (n, feature)
    told : Tensor, shape (n, value), or None
        Conditions.
    known : Tensor, shape (n, 2), or None
        Value and error of the head's leading axis; see `praesepe.network.heads.base.Sampler`.
    shown : Tensor, shape (n, value), or None
        What the critic sees in the stamps, where there is one.
    score : Tensor, shape (n,)
        Distance from the training's stamps; NaN where the model does not know them.
    dead : Tensor of bool, shape (n,)
        Whether a band that is said to be there holds one number in all pixels.
    numbers : ndarray of int, shape (n,)
        Numbers of the rows, of which the noise of the draws is made, with the seed.
    seed : int
    """

    model: _Model
    features: Tensor
    told: Tensor | None
    known: Tensor | None
    shown: Tensor | None
    score: Tensor
    dead: Tensor
    numbers: NDArray[np.int64]
    seed: int

    @classmethod
    def of(
        cls,
        model: _Model,
        stamps: Tensor,
        told: Tensor | None,
        known: Tensor | None = None,
        *,
        numbers: NDArray[np.int64],
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> Encoded:
        """Let a model see stamps (n, band, y, x), checked, in e-/s."""
        net, n = model.net.for_inference(), len(stamps)
        size = _batch_size(model.device)
        features = torch.empty((n, net.features), device=model.device)
        score, dead = torch.full((n,), torch.nan), torch.zeros(n, dtype=torch.bool)
        shown: list[Tensor] = []
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            images = _padded(stamps[part], size, model.device)
            beside = None if told is None else _padded(told[part], size, model.device)
            seen = net.context(images, beside)
            features[part] = seen[: part.stop - start]
            if model.domain is not None:
                score[part] = model.domain.score(seen)[: part.stop - start].cpu()
            if model.critic is not None:
                shown.append(model.critic.shown(net, images, beside)[: part.stop - start])
            dead[part] = _any_constant(net, images, beside)[: part.stop - start].cpu()
            if progress is not None:
                progress(part.stop)
        return cls(
            model,
            features,
            None if told is None else told.to(model.device),
            None if known is None else known.to(model.device),
            torch.cat(shown) if shown else None,
            score,
            dead,
            numbers,
            seed,
        )

    def __getitem__(self, rows: NDArray[Any]) -> Encoded:
        """Some of the stamps, by their places or a mask."""
        told, known, shown = (
            None if of is None else of[rows] for of in (self.told, self.known, self.shown)
        )
        return replace(
            self,
            features=self.features[rows],
            told=told,
            known=known,
            shown=shown,
            score=self.score[rows],
            dead=self.dead[rows],
            numbers=self.numbers[rows],
        )

    def __len__(self) -> int:
        return len(self.features)

    @torch.inference_mode()
    def posterior(self, n_samples: int) -> Posterior:
        """Draw from the posteriors. Of a larger number of draws the first are the same."""
        model, net, head = self.model, self.model.net, self.model.net.head
        device, sampler, critic = model.device, head.sampler(), model.critic
        enough = n_samples if critic is None else max(n_samples, ANSWER_DRAWS)
        size = min(stamps_at_once(enough, device), _batch_size(device))
        draws = torch.empty((len(self), n_samples, len(model.infers)))
        doubts: list[Tensor] = []
        against: list[Tensor] = []
        probabilities: dict[str, list[Tensor]] = {}
        for start in range(0, len(self), size):
            part = slice(start, min(start + size, len(self)))
            n = part.stop - start
            features, told, known, shown = (
                None if of is None else _padded(of[part], size, device)
                for of in (self.features, self.told, self.known, self.shown)
            )
            assert features is not None
            noise = base_noise(
                head.noise, seed=self.seed, rows=self.numbers[part], n_samples=enough,
                size=head.noise_size,
            )  # fmt: skip
            noise = _padded(noise, size, device)
            drawn = sampler(features, noise, known)
            draws[part] = net.labels.inverse(drawn[:n, :n_samples]).cpu()
            seen = drawn if known is None else sampler(features, noise[:, :ANSWER_DRAWS])
            if known is not None:
                against.append(_against(known, seen[..., head.leading])[:n].cpu())
            if critic is not None:
                assert shown is not None
                evidence = critic.evidence(net, shown, seen, told)
                doubts.append(critic.scores(evidence)[:n].cpu())
            for name, values in head.probabilities(features).items():
                probabilities.setdefault(name, []).append(values[:n].cpu())
        found = {} if critic is None else critic.by_kind(doubts)
        if self.dead.any():
            odds = found.get("noise", np.zeros(len(self), np.float32))
            found["noise"] = np.where(self.dead.numpy(), np.float32(np.inf), odds)
        if against:
            found["known"] = torch.cat(against).numpy()
        return Posterior(
            draws.numpy(),
            self.score.numpy(),
            self._log_prob,
            model.infers,
            {name: torch.cat(parts).numpy() for name, parts in probabilities.items()},
            doubts=found,
            draw_again=self._draw_again,
        )

    def _draw_again(self, rows: NDArray[np.intp], n_samples: int) -> Posterior:
        return self[rows].posterior(n_samples)

    def _log_prob(self, values: Tensor) -> Tensor:
        """Log-density of values (n, quantity), on the CPU."""
        size = _batch_size(self.model.device)
        pairs = zip(values.split(size), self.features.split(size), strict=True)
        parts = [
            self.model.net.log_prob(*(_padded(of, size, self.model.device) for of in pair))[
                : len(pair[0])
            ].cpu()
            for pair in pairs
        ]
        return torch.cat(parts)


def _against(known: Tensor, seen: Tensor) -> Tensor:
    """How far what is known (n, 2) is from what the pixels say, draws (n, n_samples).

    Above 1 it is more than `FAR` standard deviations, of both together. NaN where nothing is known.
    """
    value, error = known.unbind(1)
    both = (seen.var(1) + error**2).sqrt().clamp_min(LEAST_WIDTH)
    return (value - seen.mean(1)).abs() / (FAR * both)


def _any_constant(net: ClusterNet, stamps: Tensor, told: Tensor | None) -> Tensor:
    """Of stamps (n, band, y, x), whether a band that is there has no noise at all; (n,)."""
    constant = (stamps == stamps[..., :1, :1]).flatten(2).all(2)
    if net.conditions is not None and told is not None:
        present = net.conditions.present(told)
        if present is not None:
            constant &= present.flatten(1) > 0
    return constant.any(1)


def _batch_size(device: torch.device) -> int:
    return BATCH["cpu" if device.type == "cpu" else "cuda"]


def _padded(part: Tensor, size: int, device: torch.device) -> Tensor:
    """A whole batch on a device, the rest zeros."""
    rest = part.new_zeros((size - len(part), *part.shape[1:]))
    return (torch.cat((part, rest)) if len(rest) else part).to(device)
