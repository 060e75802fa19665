"""What a network is told of every stamp in training: as uncertain as what will be measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from praesepe.errors import InputError, listed
from praesepe.network.conditions import KINDS, PRESENT
from praesepe.rng import stream
from praesepe.survey import Survey


@dataclass(frozen=True)
class Habits:
    """How often something is told.

    Attributes
    ----------
    all_bands : float
        Share of the stamps that have all bands; the others have any two or more.
    bands : tuple of str, optional
        The bands that all stamps have, instead.
    not_told : float
        Share of the stamps of which depth, or width, is not told.
    """

    all_bands: float = 0.4
    bands: tuple[str, ...] | None = None
    not_told: float = 0.1


TRAINING = Habits()

DEPTH_ERROR_MAG, WIDTH_ERROR = 0.1, 0.05
Telling = Callable[["_Stamps"], Tensor]


class _Stamps:
    """What a telling of one condition may use.

    Attributes
    ----------
    truth : mapping of str to Tensor, each of shape (n,)
    survey : Survey
    bands : tuple of str
        Those of the network.
    n : int
    channels : list of list of int
        Places of the bands of each of the network's inputs.
    present : Tensor, shape (n, band)
        1 where the network has the band.
    """

    def __init__(
        self,
        survey: Survey,
        bands: tuple[str, ...],
        truth: Mapping[str, Tensor],
        n: int,
        generator: torch.Generator,
        habits: Habits,
    ) -> None:
        self.survey, self.truth, self.n, self.generator = survey, truth, n, generator
        self.bands, self.habits = bands, habits
        own = {band.name: band.channel or band.name for band in survey.bands}
        of_band = [own.get(name, name) for name in bands]
        self.channels = [
            [place for place, channel in enumerate(of_band) if channel == one]
            for one in dict.fromkeys(of_band)
        ]
        self.present = torch.ones(n, len(bands))

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def by_band(self, beginning: str) -> Tensor:
        """A column of the truth for each band, NaN where there is none; (n, band)."""
        unknown = torch.full((self.n,), torch.nan)
        columns = (self.truth.get(f"{beginning}_{b}", unknown) for b in self.bands)
        return torch.stack([column.cpu() for column in columns], 1)

    def column(self, name: str, otherwise: float) -> Tensor:
        """A column of the truth, or one value for all; (n,)."""
        return self.truth.get(name, torch.full((self.n,), otherwise)).cpu()


def _some_bands(stamps: _Stamps) -> Tensor:
    """All channels of some stamps, of the others two or more, any number as often.

    Of the bands of a channel, which are of other cameras, one is there, each as often.
    """
    if (bands := stamps.habits.bands) is not None:
        there = torch.tensor([name in bands for name in stamps.bands])
        stamps.present = there.float().expand(stamps.n, -1)
        return stamps.present
    n_channels = len(stamps.channels)
    kept = 2 + (stamps.uniform(stamps.n) * max(n_channels - 2, 0)).long()
    kept[stamps.uniform(stamps.n) < stamps.habits.all_bands] = n_channels
    rank = stamps.uniform(stamps.n, n_channels).argsort(1).argsort(1)
    there = (rank < kept[:, None]).float()
    stamps.present = torch.zeros_like(stamps.present)
    for channel, places in enumerate(stamps.channels):
        rows, one = torch.arange(stamps.n), torch.zeros(stamps.n, dtype=torch.long)
        if len(places) > 1:
            one = (stamps.uniform(stamps.n) * len(places)).long()
        stamps.present[rows, torch.tensor(places)[one]] = there[:, channel]
    return stamps.present


def _measured(stamps: _Stamps, values: Tensor) -> Tensor:
    """Values (n, band) of the bands that there are; of some stamps, none."""
    values = values.masked_fill(stamps.present == 0, torch.nan)
    values[stamps.uniform(stamps.n) < stamps.habits.not_told] = torch.nan
    return values


def _depth(stamps: _Stamps) -> Tensor:
    error = DEPTH_ERROR_MAG * stamps.normal(*stamps.present.shape)
    return _measured(stamps, stamps.by_band("depth") + error)


def _width(stamps: _Stamps) -> Tensor:
    error = 1 + WIDTH_ERROR * stamps.normal(*stamps.present.shape)
    return _measured(stamps, stamps.by_band("fwhm") * error)


def _log_distance(stamps: _Stamps) -> Tensor:
    return stamps.column("distance_pc", stamps.survey.distance_pc).log10()


def _foreground(stamps: _Stamps) -> Tensor:
    given = stamps.survey.galaxy.foreground_a_v
    return stamps.column("foreground_a_v", given if isinstance(given, float) else math.nan)


TELLINGS: dict[str, Telling] = {
    PRESENT: _some_bands,
    "depth": _depth,
    "psf_fwhm_px": _width,
    "foreground_a_v": _foreground,
    "log_distance": _log_distance,
}
"""How each condition is told, by name; in the order in which they are drawn."""


def tell(
    names: tuple[str, ...],
    survey: Survey,
    truth: Mapping[str, Tensor],
    n: int,
    *,
    seed: tuple[int, ...],
    bands: tuple[str, ...] | None = None,
    habits: Habits = TRAINING,
) -> Tensor | None:
    """Conditions of simulated stamps, as `praesepe.network.conditions.as_tensor` gives them.

    Parameters
    ----------
    names : tuple of str
        Of the conditions, in the network's order.
    survey : Survey
    truth : mapping of str to Tensor, each of shape (n,)
        Of the stamps.
    n : int
        Number of stamps.
    seed : tuple of int
        Of what is not told, and of the errors of what is.
    bands : tuple of str, optional
        Those of the network; by default the survey's.
    habits : Habits
        How often something is told; by default as in a training.

    Returns
    -------
    Tensor, shape (n, value), or None
        NaN where something is not told; None where the network is told nothing.

    Raises
    ------
    InputError
        Where the simulation does not know what must be told.
    """
    if not names:
        return None
    generator = stream(seed, torch.device("cpu"))
    stamps = _Stamps(survey, bands or survey.band_names, truth, n, generator, habits)
    told = {name: telling(stamps) for name, telling in TELLINGS.items() if name in names}
    for name, values in told.items():
        if not KINDS[name].optional and not values.isfinite().all():
            raise InputError(
                f"simulations of survey {survey.name!r} do not know the condition {name!r}",
                given=name,
                allowed=tuple(KINDS),
                remedy=f"leave it out of the survey's network.conditions ({listed(names)})",
            )
    return torch.cat([told[name].reshape(n, -1) for name in names], 1).float()
