"""Which stamps are unlike those of the training: the distance of their features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST = 4
"""Fewest stamps whose features say anything."""


@dataclass(frozen=True)
class FeatureDomain:
    """Where the features of the training's stamps lie.

    Attributes
    ----------
    mean : Tensor, shape (feature,)
    precision : Tensor, shape (feature, feature)
    limit : Tensor, shape ()
        Mahalanobis distance that 99.9 % of the training's stamps stay below.
    """

    mean: Tensor
    precision: Tensor
    limit: Tensor

    @classmethod
    def learn(cls, context: Tensor) -> FeatureDomain | None:
        """Learn from features (n, feature) of stamps like those of the training.

        With fewer than ten per feature the limit is set on a half that the mean and the covariance
        have not seen, since distances of the stamps that they were fitted to would come out too
        small. Of fewer than four stamps nothing is learnt: None.
        """
        n, size = context.shape
        if n < LEAST:
            return None
        fitted, judged = (context[::2], context[1::2]) if n < 10 * size else (context, context)
        covariance = torch.cov(fitted.T.double())
        ridge = (1e-3 * covariance.diagonal().mean()).clamp_min(1e-12)
        ridge = ridge * torch.eye(size).to(covariance)
        precision = torch.linalg.inv(covariance + ridge).float()
        found = cls(fitted.mean(0), precision, torch.ones((), device=context.device))
        limit = torch.quantile(found.score(judged), 0.999).clamp_min(1e-6)
        return cls(found.mean, found.precision, limit)

    def score(self, context: Tensor) -> Tensor:
        """Distance of features (n, feature) from the training's, over its limit; shape (n,)."""
        delta = context - self.mean.to(context)
        square = torch.einsum("ni,ij,nj->n", delta, self.precision.to(context), delta)
        return square.clamp_min(0).sqrt() / self.limit.to(context)
