"""From electron rates to the network's input, and from labels to the head's variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.network.heads.base import Axis
from praesepe.quantities import Values
from praesepe.survey import Survey

GRID_POINTS = 2**16 + 1
"""About so many points of its sources tell the range of a derived quantity."""


BEND, FARTHEST = 3.0, 7.0
"""Standard deviations of the noise at which stamps bend that it scales, and the natural logarithm
of the largest factor between that and the scale of the band."""

QUARTILE = 0.84
"""Lower quartile of the standard deviations of 16 pixels of white noise of 1."""


class StampTransform(nn.Module):
    """Per-band inverse hyperbolic sine: linear in the noise, logarithmic in the stars.

    Parameters
    ----------
    scales : sequence of float
        e-/s at which each band bends.
    background : str
        ``"removed"``: that of each stamp and band is subtracted before, so that a constant added
        to an image changes nothing; ``"kept"``: stamps are taken as they are.
    scaling : str
        ``"band"``: bands bend at the `scales`; ``"noise"``: each stamp and band at `BEND` times its
        own noise, and `forward` tells how far that is from the scale.
    """

    scale: Tensor

    def __init__(
        self, scales: Sequence[float], background: str = "removed", scaling: str = "band"
    ) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scales).view(-1, 1, 1))
        self.background, self.scaling = background, scaling

    def forward(self, stamps: Tensor) -> tuple[Tensor, Tensor | None]:
        """Transform stamps of shape (n, band, y, x) in e-/s.

        Returns
        -------
        images : Tensor, shape (n, band, y, x)
        noise : Tensor, shape (n, band), or None
            Where the noise scales them: natural logarithm of what they were divided by, in units
            of the band's scale; within ±`FARTHEST`.
        """
        noise = noise_of(stamps) if self.scaling == "noise" else None
        if self.background == "removed":
            stamps = stamps - background_of(stamps)
        if noise is None:
            return asinh(stamps / self.scale), None
        told = (BEND * noise / self.scale).log().clamp(-FARTHEST, FARTHEST)
        return asinh(stamps / (self.scale * told.exp())), told.flatten(1)


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine up to 1e18, in a quarter of the time that torch takes.

    log(a + √(1 + a²)) is log1p(a + a² / (1 + √(1 + a²))), which is exact for a small a, too.
    """
    size = x.abs().clamp_max(1e18)
    square = size * size
    return (size + square / ((square + 1).sqrt() + 1)).log1p().copysign(x)


def background_of(stamps: Tensor) -> Tensor:
    """Background of stamps (n, band, y, x), in their unit, (n, band, 1, 1).

    It is the lower quartile of the means of blocks of 4×4 pixels. Both follow an added constant
    exactly; blocks with a star, or a quarter of them in a cluster's light, do not move it.
    """
    blocks = avg_pool2d(stamps, 4).flatten(2)
    return blocks.kthvalue(max(1, blocks.shape[2] // 4), dim=2).values[..., None, None]


def noise_of(stamps: Tensor) -> Tensor:
    """Noise of a pixel of stamps (n, band, y, x), in their unit, (n, band, 1, 1).

    It is the lower quartile of the standard deviations within blocks of 4×4 pixels, so that stars
    in three quarters of the blocks do not move it, over `QUARTILE`, so that it is right for white
    noise. Blocks of one number, as filled gaps have, do not count; 0 where there are no others.
    """
    n, bands, height, width = (*stamps.shape[:2], *(side // 4 for side in stamps.shape[2:]))
    blocks = stamps[..., : 4 * height, : 4 * width].reshape(n, bands, height, 4, width, 4)
    spread = blocks.std((3, 5), correction=0).flatten(2).sort(2).values
    constant = (spread == 0).sum(2, keepdim=True)
    place = constant + (spread.shape[2] - constant) // 4
    return spread.gather(2, place.clamp_max(spread.shape[2] - 1))[..., None] / QUARTILE


class LabelTransform(nn.Module):
    """Shift and scale of the labels, so that the prior has mean 0 and standard deviation 1.

    Categories, which are counted 0, 1, …, stay as they are.

    Parameters
    ----------
    priors : mapping of str to (float, float)
        Ends of the prior of every inferred quantity, by its name.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, priors: Mapping[str, tuple[float, float]]) -> None:
        super().__init__()
        self.quantities = tuple(quantities.get(name) for name in priors)
        low, high = torch.tensor(list(priors.values())).unbind(1)
        mean, std = (low + high) / 2, (high - low).clamp_min(0.1) / 12**0.5
        categorical = torch.tensor([quantity.is_categorical for quantity in self.quantities])
        self.register_buffer("mean", torch.where(categorical, 0.0, mean))
        self.register_buffer("std", torch.where(categorical, 1.0, std))
        bounds = torch.stack((low, high), 1)
        self._bounds = ((bounds - self.mean[:, None]) / self.std[:, None]).tolist()

    def forward(self, labels: Tensor) -> Tensor:
        """Standardise labels of shape (..., quantity)."""
        return (labels - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """Undo `forward`."""
        return values * self.std + self.mean

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What a head sees of each quantity."""
        return tuple(
            Axis(quantity.name, low, high, len(quantity.categories), quantity.bins)
            for quantity, (low, high) in zip(self.quantities, self._bounds, strict=True)
        )


@dataclass(frozen=True)
class _OfSurvey:
    """What derived quantities may ask for while only the survey is known."""

    pc_per_arcsec: float
    r_v: float

    def present_mass_fraction(self, log_age: ArrayLike) -> Values:
        """Not known before a simulator is there."""
        return np.full(np.shape(log_age), np.nan)


def prior_range(survey: Survey, name: str) -> tuple[float, float]:
    """Lowest and highest value of a quantity in a survey's prior.

    Of a categorical quantity these are its first and its last category, or, twice, the only one
    that is drawn; of one that derives from others, its extremes on a grid over their priors, at
    the survey's nearest and farthest distance, within its limits.

    Raises
    ------
    InputError
        Where neither the prior nor the registry bounds it.
    """
    quantity = quantities.get(name)
    if quantity.is_categorical:
        low, high = survey.drawn_range(quantity) if quantity.prior else (0, 1)
        return (0.0, len(quantity.categories) - 1.0) if low < high else (low, high)
    if quantity.sources and survey.varies_in_distance:
        ends = [
            prior_range(survey.with_values(galaxy={"distance_pc": pc}), name)
            for pc in survey.distance_range_pc
        ]
        return min(low for low, _ in ends), max(high for _, high in ends)
    bounds = np.full(2, np.nan)
    if quantity.prior:
        bounds = np.array(survey.drawn_range(quantity))
    elif quantity.sources:
        columns = _source_grid(survey, quantity.sources)
        with np.errstate(all="ignore"):
            values = quantity.derived(
                columns, _OfSurvey(survey.pc_per_arcsec, survey.clusters.stars.middle_r_v)
            )
        bounds = np.clip([values.min(), values.max()], *quantity.limits)  # NaN stays NaN
    bounds = np.where(np.isnan(bounds), quantity.limits, bounds)
    if not np.isfinite(bounds).all():
        raise InputError(
            f"quantity {name!r} cannot be inferred: nothing says between which values it lies",
            given=name,
            remedy="give it limits in the registry",
        )
    return float(bounds[0]), float(bounds[1])


def _source_grid(survey: Survey, sources: Sequence[str]) -> dict[str, Values]:
    """Values of quantities on a regular grid over their priors, corners included."""
    n = max(2, round(GRID_POINTS ** (1 / len(sources))))
    axes = []
    for name in sources:
        low, high = prior_range(survey, name)
        steps = round(high - low) + 1 if quantities.get(name).is_categorical else n
        axes.append(np.linspace(low, high, steps))
    grid = np.meshgrid(*axes, indexing="ij")
    return {name: values.ravel() for name, values in zip(sources, grid, strict=True)}


def prior_ranges(survey: Survey, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Ranges of what is inferred; raise `InputError` where a quantity does not vary."""
    ranges = {name: prior_range(survey, name) for name in names}
    for name, (low, high) in ranges.items():
        if not low < high:
            quantity = quantities.get(name)
            value = quantity.value_text(low) if quantity.is_categorical else f"{low:g}"
            raise InputError(
                f"{name!r} is {value} in all clusters of survey {survey.name!r}, so that nothing "
                "can be inferred",
                given=name,
                remedy=f"give it {'several' if quantity.is_categorical else 'a range'} in the "
                "survey's clusters, or leave it out of infers",
            )
    return ranges
