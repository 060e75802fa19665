"""What a posterior head is: a density, draws from base noise, probabilities of categories."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor, nn

from praesepe.errors import InputError


class Sampler(Protocol):
    """Turns features (n, feature) and base noise (n, n_samples, noise_size) into draws.

    `known`, of shape (n, 2), holds the value and the standard error of the head's leading axis,
    both in its variable; NaN where it is not known, an error of 0 where it is certain. Only a head
    that has a leading axis takes it.
    """

    def __call__(self, context: Tensor, noise: Tensor, known: Tensor | None = None) -> Tensor:
        """Draw (n, n_samples, quantity)."""


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
    groups : tuple of tuple of int
        Which of the axes are inferred jointly; an axis in none of them is a group by itself.
    leading : int or None
        The axis whose value the draws can be conditioned on; None where there is none.
    """

    leading: int | None = None
    noise: ClassVar[Literal["normal", "uniform"]]
    noise_size: int
    groups: tuple[tuple[int, ...], ...]

    def __init__(self, features: int, axes: Sequence[Axis]) -> None:
        super().__init__()
        self.features = features
        self.axes = tuple(axes)

    @abstractmethod
    def log_prob(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-density of values (n, quantity) given features (n, feature); shape (n,).

        Over a category it is a probability; minus infinity outside what the head can represent.
        A group of axes of which one is NaN is left out: the density is that of the others.
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

    def counted(self, values: Tensor) -> Tensor:
        """Which values (n, quantity) the density is of: not those of a group with a NaN."""
        known = ~values.isnan()
        for group in self.groups:
            known[:, group] = known[:, group].all(1, keepdim=True)
        return known

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


def check_groups(groups: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    """Stop where groups of quantities do not hold each of `names` once."""
    grouped = sorted(name for group in groups for name in group)
    if grouped != sorted(names) or not all(groups):
        raise InputError(
            f"groups {[list(group) for group in groups]}: every quantity of {list(names)} must "
            "occur once, and no group may be empty",
            given=groups,
            allowed=tuple(names),
        )
