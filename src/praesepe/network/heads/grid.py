"""The grid head: soft-max groups over bins of quantities, as in paper II.

Bialopetravičius & Narbutis (2020, A&A 633, A148) infer age, extinction and mass together on a grid
of 20 × 10 × 14 cells, and size (14 bins), class (2) and visibility (20) each on its own. Here a
group is one or more quantities together; inside a cell the density is uniform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from praesepe.errors import InputError, check_number
from praesepe.network.heads.base import Axis, Head, Sampler, check_groups

JOINT = ("log_age", "a_v", "log_mass")
"""Quantities that share one group by default, as far as they are inferred."""


class GridHead(Head):
    """Probabilities of cells: independent groups of quantities, each with a joint grid.

    Parameters
    ----------
    features : int
        Length of the context vector.
    axes : sequence of Axis
        Continuous quantities, divided into equal bins between the ends of their priors, and
        categorical ones.
    groups : sequence of sequence of str, optional
        Names of the quantities that are inferred jointly; together they are all of `axes`.
        By default those of `JOINT` together and every other quantity on its own.
    bins : mapping of str to int, optional
        Number of bins of continuous quantities; by default as the registry says.

    Raises
    ------
    InputError
        Where the groups do not fit the quantities.
    """

    noise = "uniform"

    def __init__(
        self,
        features: int,
        axes: Sequence[Axis],
        *,
        groups: Sequence[Sequence[str]] | None = None,
        bins: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(features, axes)
        names = [axis.name for axis in self.axes]
        groups = default_groups(names) if groups is None else groups
        check_groups(groups, names)
        numbers = [axis.name for axis in self.axes if not axis.categories]
        if strange := sorted(set(bins or {}) - set(numbers)):
            message = f"bins of {strange}: not among the continuous of {names}"
            raise InputError(message, given=strange, allowed=numbers)
        for name, number in (bins or {}).items():
            check_number(f"bins of {name!r}", number, 1)
        self.grids = tuple(
            _Grid([names.index(name) for name in group], self.axes, bins or {}) for group in groups
        )
        self.groups = tuple(grid.places for grid in self.grids)
        self.logits = nn.ModuleList(nn.Linear(features, grid.n_cells) for grid in self.grids)
        self.noise_size = len(self.grids) + sum(not axis.categories for axis in self.axes)

    def log_prob(self, values: Tensor, context: Tensor) -> Tensor:
        """Log-density of values (n, quantity) given features (n, feature); shape (n,)."""
        total = values.new_zeros(len(values))
        for group, logits in zip(self.grids, self.logits, strict=True):
            cell, inside = group.cell(values)
            log_probability = logits(context).log_softmax(1).gather(1, cell[:, None])[:, 0]
            density = torch.where(inside, log_probability - group.log_volume, -math.inf)
            known = ~values[:, group.places].isnan().any(1)
            total = total + torch.where(known, density, 0.0)
        return total

    def sampler(self) -> Sampler:
        """What makes draws with the present weights."""
        return self._draw

    @torch.no_grad()
    def _draw(self, context: Tensor, noise: Tensor, known: Tensor | None = None) -> Tensor:
        """Choose a cell by one number of the noise, and the place inside by one a quantity."""
        assert known is None, "a grid has no leading axis"
        draws = noise.new_empty((*noise.shape[:2], len(self.axes)))
        numbers = iter(noise.unbind(2))  # each (n, n_samples)
        for group, logits in zip(self.grids, self.logits, strict=True):
            cumulative = logits(context).double().softmax(1).cumsum(1)  # (n, cell)
            level = next(numbers).double() * cumulative[:, -1:]
            cell = torch.searchsorted(cumulative, level.contiguous(), right=True)
            for place, index in group.indices(cell.clamp_max(group.n_cells - 1)):
                axis = self.axes[place]
                if axis.categories:
                    draws[..., place] = index
                else:
                    low, width = group.edges(place)
                    draws[..., place] = low + width * (index + next(numbers))
        return draws

    def nearest(self, values: Tensor) -> Tensor:
        """Values (…, quantity) moved to the nearest end of the grid where they are outside."""
        low = values.new_tensor([axis.low for axis in self.axes])
        high = values.new_tensor([axis.high for axis in self.axes])
        return values.clamp(low, high)

    def probabilities(self, context: Tensor) -> dict[str, Tensor]:
        """Probability (n, category) of every category, summed over all else."""
        result = {}
        for group, logits in zip(self.grids, self.logits, strict=True):
            grid = logits(context).softmax(1).unflatten(1, group.shape)  # (n, *shape)
            for dimension, place in enumerate(group.places):
                if self.axes[place].categories:
                    others = [d + 1 for d in range(len(group.shape)) if d != dimension]
                    result[self.axes[place].name] = grid.sum(others) if others else grid
        return result


class _Grid:
    """The joint grid of some quantities.

    Attributes
    ----------
    places : tuple of int
        Which of the axes these are.
    shape : tuple of int
        Cells along each.
    log_volume : float
        Of one cell, over the continuous quantities.
    """

    def __init__(
        self, places: Sequence[int], axes: Sequence[Axis], bins: Mapping[str, int]
    ) -> None:
        self.places = tuple(places)
        self._axes = axes
        self.shape = tuple(
            axes[place].categories or bins.get(axes[place].name, axes[place].bins)
            for place in places
        )
        self.n_cells = math.prod(self.shape)
        widths = [self.edges(place)[1] for place in places if not axes[place].categories]
        self.log_volume = sum(math.log(width) for width in widths)

    def edges(self, place: int) -> tuple[float, float]:
        """Lower end of a continuous quantity, and the width of its bins."""
        axis, n = self._axes[place], self.shape[self.places.index(place)]
        return axis.low, (axis.high - axis.low) / n

    def cell(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Number of the cell that holds values (n, quantity), and whether one does; each (n,)."""
        cell = torch.zeros(len(values), dtype=torch.long, device=values.device)
        inside = torch.ones(len(values), dtype=torch.bool, device=values.device)
        for place, n in zip(self.places, self.shape, strict=True):
            value = values[:, place]
            if self._axes[place].categories:
                index = value.round()
                inside &= (value == index) & (index >= 0) & (index < n)
            else:
                axis, (low, width) = self._axes[place], self.edges(place)
                index = ((value - low) / width).floor()
                inside &= (value >= axis.low) & (value <= axis.high)
            cell = cell * n + index.nan_to_num().long().clamp(0, n - 1)
        return cell, inside

    def indices(self, cell: Tensor) -> list[tuple[int, Tensor]]:
        """The axis and the bin on it, for every quantity, of numbers of cells."""
        result = []
        for place, n in zip(reversed(self.places), reversed(self.shape), strict=True):
            result.append((place, cell % n))
            cell = cell // n
        return result[::-1]


def default_groups(names: Sequence[str]) -> list[list[str]]:
    """The quantities of `JOINT` together, every other on its own."""
    joint = [name for name in names if name in JOINT]
    return ([joint] if joint else []) + [[name] for name in names if name not in JOINT]
