"""The network proper: transforms, encoder, conditions and head."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from praesepe.errors import InputError, listed
from praesepe.network.conditions import ConditionEmbedding
from praesepe.network.encoders import fused, make_encoder
from praesepe.network.heads.registry import make_head
from praesepe.network.schema import ModelCard
from praesepe.network.transform import LabelTransform, StampTransform


class ClusterNet(nn.Module):
    """Stamps in e-/s, and what is known of the observation, to the density of the quantities.

    Parameters
    ----------
    card : ModelCard
        Bands, quantities, conditions, encoder and head.
    asinh_scales : sequence of float
        e-/s at which each band's transform bends.

    Attributes
    ----------
    channel_of : Tensor of int64, shape (band,), or None
        Input of the encoder that each band is added to; None where each has its own.
    """

    channel_of: Tensor | None

    def __init__(self, card: ModelCard, asinh_scales: Sequence[float]) -> None:
        super().__init__()
        self.stamps = StampTransform(asinh_scales, card.background, card.scaling)
        self.labels = LabelTransform(card.priors)
        if card.encoder.settings:
            raise InputError(
                f"encoder {card.encoder.name!r} has no settings",
                given=card.encoder.settings,
                remedy=f"leave out {listed(card.encoder.settings)}",
            )
        self.conditions: ConditionEmbedding | None = None
        told = 0
        if card.conditions:
            ranges = {entry.name: (entry.low, entry.high) for entry in card.conditions}
            n_beside = len(card.bands) if card.scaling == "noise" else 0
            self.conditions = ConditionEmbedding(ranges, len(card.bands), n_beside)
            told = self.conditions.features
        of_band = [band.channel or band.name for band in card.bands]
        channels = list(dict.fromkeys(of_band))
        shared = len(channels) < len(of_band)
        places = torch.tensor([channels.index(name) for name in of_band]) if shared else None
        self.register_buffer("channel_of", places, persistent=False)
        self.encoder = make_encoder(card.encoder.name, len(channels), told)
        self.features = features = self.encoder.features + told
        self.head = make_head(card.head.name, features, self.labels.axes, card.head.settings)
        self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._folded: tuple[list[tuple[int, int]] | None, nn.Module] | None = None

    def for_inference(self) -> ClusterNet:
        """A copy that gives the same features faster; it shares the head and the transforms.

        The encoder is folded once, and anew where a weight or a statistic has changed.
        """
        tensors = (*self.encoder.parameters(), *self.encoder.buffers())
        state = None
        if not any(tensor.is_inference() for tensor in tensors):  # which count no changes
            state = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
        if state is None or self._folded is None or self._folded[0] != state:
            self._folded = state, fused(self.encoder)
        net = copy.copy(self)
        net._modules = {**self._modules, "encoder": self._folded[1]}
        return net

    def context(self, stamps: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Features (n, feature) of stamps (n, band, y, x) in e-/s and conditions (n, value).

        A condition that is NaN is not known. Pixels of absent bands are not looked at.
        """
        x, noise = self.stamps(stamps)
        if self.conditions is None:
            return self._encoded(x)
        assert conditions is not None, "a network with conditions must be told them"
        present = self.conditions.present(conditions)
        if present is not None:
            x = torch.where(present > 0, x, 0.0)
            noise = None if noise is None else noise * present.flatten(1)
        if self.channel_of is not None:  # of whose bands one is there
            channels = x.new_zeros((len(x), int(self.channel_of.max()) + 1, *x.shape[2:]))
            x = channels.index_add(1, self.channel_of, x)
        told = self.conditions(conditions, noise)
        return torch.cat((self._encoded(x, told), told.float()), 1)

    def _encoded(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        return self.encoder(x.contiguous(memory_format=torch.channels_last), told).float()

    def log_prob(self, labels: Tensor, context: Tensor) -> Tensor:
        """Log-density of labels (n, quantity), in their units, given features; shape (n,).

        Labels that are NaN are left out, with those that are inferred jointly with them.
        """
        values = self.labels(labels)
        return self.head.log_prob(values, context) - self._log_volume(values)

    def _log_volume(self, values: Tensor) -> Tensor:
        """Logarithm of the Jacobian of the labels that count, (n,)."""
        return (self.head.counted(values) * self.labels.std.log()).sum(1)

    def loss(self, labels: Tensor, context: Tensor) -> Tensor:
        """Mean of minus the log-density, labels beyond the head's reach moved to its edge."""
        values = self.head.nearest(self.labels(labels))
        return (self._log_volume(values) - self.head.log_prob(values, context)).mean()

    def sample(self, context: Tensor, noise: Tensor) -> Tensor:
        """Posterior draws (n, n_samples, quantity); see `Head.sample`."""
        return self.labels.inverse(self.head.sample(context, noise))
