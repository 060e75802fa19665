"""What a posterior head is: a density, draws from base noise, probabilities of categories."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

Sampler = Callable[[Tensor, Tensor], Tensor]
"""Turns features (n, feature) and base noise (n, n_samples, noise_size) into draws."""


@dataclass(frozen=True)
class Axis:
    """One inferred quantity as a head sees it: standardised, see `LabelTransform`.

    Attributes
    ----------
    name : str
        Of the quantity in the registry.
    low, high : float
        Ends of the prior.
    categories : int
        Number of categories, whose values are 0, 1, …; 0: the quantity is continuous.
    bins : int
        Into how many bins a head of bins divides it by default.
    """

    name: str
    low: float
    high: float
    categories: int = 0
    bins: int = 20


class Head(nn.Module):
    """Base of all heads; a new one is a subclass, named in `heads.registry`.

    Attributes
    ----------
    noise : str
        Distribution of the base noise: ``"normal"``, or ``"uniform"`` between 0 and 1.
    noise_size : int
        Numbers that one draw takes.
    axes : tuple of Axis
        What the last axis of values and draws holds.
    """

    noise: ClassVar[Literal["normal", "uniform"]]
    noise_size: int

    def __init__(self, features: int, axes: Sequence[Axis]) -> None:
        super().__init__()
        self.features = features
        self.axes = tuple(axes)

    @abstractmethod
    def log_prob(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-density of values (n, quantity) given features (n, feature); shape (n,).

        Over a category it is a probability; minus infinity outside what the head can represent.
        """

    @abstractmethod
    def sampler(self) -> Sampler:
        """What makes draws with the present weights, prepared once for many calls."""

    def sample(self, context: Tensor, noise: Tensor) -> Tensor:
        """Posterior draws.

        Parameters
        ----------
        context : Tensor, shape (n, feature)
        noise : Tensor, shape (n, n_samples, noise_size)
            Base noise; equal noise gives equal draws.

        Returns
        -------
        Tensor, shape (n, n_samples, quantity)
            Without gradients.
        """
        return self.sampler()(context, noise)

    def nearest(self, values: Tensor) -> Tensor:
        """Values (…, quantity) that the head can represent, next to those given.

        A training asks for it: a truth may lie a little outside the prior.
        """
        return values

    def probabilities(self, context: Tensor) -> dict[str, Tensor]:
        """Probability (n, category) of every category, by the name of its quantity.

        These are a head's own point estimates; those of numbers come from its draws, so that they
        fit what is saved and weighted (`Posterior.mean`, `percentile`).
        """
        return {}
