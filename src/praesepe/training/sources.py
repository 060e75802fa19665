"""What a training learns from: fresh simulations, or annotated clusters of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from praesepe.blocks import blocks_of
from praesepe.errors import InputError
from praesepe.network.schema import ModelCard
from praesepe.progress import Setup
from praesepe.rng import stream
from praesepe.sky.simulator import Simulator
from praesepe.sky.stamps import Mocks, joined
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey
from praesepe.training.ahead import SimulatedAhead
from praesepe.training.config import TrainingSettings
from praesepe.training.labelled import Labelled
from praesepe.training.telling import tell
from praesepe.training.turning import turned, turned_values

VALIDATION_SEED = 982_451_653
"""Added to the seed of a run for its validation set."""

HELD_OUT = 4
"""Of labelled clusters one in so many is held out."""

TOLD, TURNED = 5, 6
"""Last numbers of the seeds of what is told, and of how stamps lie."""

VIEWS_APART = 4
"""Blocks between two views of a stamp, so that steps in a row see others."""


class Batch(NamedTuple):
    """Stamps to learn from.

    Attributes
    ----------
    images : Tensor, shape (n, band, y, x)
        e-/s.
    labels : Tensor, shape (n, quantity)
        NaN where a quantity means nothing, as the age of what is no cluster.
    conditions : Tensor, shape (n, value), or None
        What the network is told beside; NaN where it is not.
    """

    images: Tensor
    labels: Tensor
    conditions: Tensor | None = None

    def part(self, which: slice | Tensor) -> Batch:
        """Some of the stamps."""
        told = None if self.conditions is None else self.conditions[which]
        return Batch(self.images[which], self.labels[which], told)

    def joined(self, other: Batch) -> Batch:
        """These stamps, then the others."""
        images, labels = torch.cat((self.images, other.images)), (self.labels, other.labels)
        if self.conditions is None or other.conditions is None:
            return Batch(images, torch.cat(labels))
        return Batch(images, torch.cat(labels), torch.cat((self.conditions, other.conditions)))

    def split(self, size: int) -> Iterator[Batch]:
        """Parts of at most `size` stamps."""
        for start in range(0, len(self.images), size):
            yield self.part(slice(start, start + size))


class SimulatedSource:
    """Simulated clusters; step k is the same in every run of a seed.

    The labels hold what the model infers, the conditions what it is told. A stamp is seen
    `settings.views` times, in parts of as many batches: always turned or mirrored otherwise, with
    other bands and told other values.
    """

    name = "simulations"

    def __init__(
        self,
        survey: Survey,
        settings: TrainingSettings,
        card: ModelCard,
        device: torch.device,
        tables: SurveyTables | None,
        setup: Setup | None,
        first_step: int = 0,
    ) -> None:
        self.settings, self.infers = settings, card.infers
        self.conditions = tuple(condition.name for condition in card.conditions)
        self.ahead: SimulatedAhead | None = None
        if settings.workers > 1:  # their tables are made while this process makes its own
            self.ahead = SimulatedAhead(survey, settings, device, first_step // settings.views)
        self.simulator = Simulator(
            survey, device=device, seed=settings.seed, tables=tables, setup=setup
        )
        self.blocks: dict[int, Mocks] = {}

    def batch(self, step: int) -> Batch:
        """The stamps of a step."""
        seed, views = self.settings.seed, self.settings.views
        first, part = divmod(step, views)
        self.blocks = {number: kept for number, kept in self.blocks.items() if number >= first}
        parts = []
        for view in range(views):
            block = self._block(first + view * VIEWS_APART)
            parts.append(block.part(slice((part + view) % views, None, views)))
        mocks = joined(parts)
        if views > 1:
            device = mocks.images.device
            generator = stream((seed, step, TURNED), torch.device("cpu"))
            k = torch.randint(8, (len(mocks),), generator=generator).to(device)
            mocks = Mocks(turned(mocks.images, k), turned_values(mocks.truth, k), mocks.context)
        return self._batch(mocks, seed, step)

    def _block(self, number: int) -> Mocks:
        while number not in self.blocks:
            if self.ahead is not None:
                made, mocks = self.ahead.next_block()
            else:
                made, size = number, self.settings.batch_size
                mocks = self.simulator.draw_block(number, size, compute_truth=False)
            self.blocks[made] = mocks
        return self.blocks[number]

    def close(self) -> None:
        """End the processes that simulate."""
        if self.ahead is not None:
            self.ahead.close()

    def validation(self) -> Batch:
        """A fixed set that shares neither clusters nor star fields with the training."""
        seed = self.settings.seed + VALIDATION_SEED
        simulator = self.simulator.another(seed, n_fields=12)
        blocks = blocks_of(self.settings.valid_size)
        drawn = [simulator.draw_block(b.number, b.n, compute_truth=False) for b in blocks]
        return self._batch(joined(drawn), seed)

    def _batch(self, mocks: Mocks, *seed: int) -> Batch:
        told = tell(
            self.conditions, self.simulator.survey, mocks.truth, len(mocks), seed=(*seed, TOLD)
        )
        labels = mocks.values(self.infers).float()
        return Batch(mocks.images, labels, None if told is None else told.to(labels.device))


class LabelledSource:
    """Batches of real clusters, turned, mirrored and with zero points off by the survey's scatter.

    A quarter of the clusters is held out for validation.

    Attributes
    ----------
    everything : Batch
        All clusters, those held out first.
    """

    def __init__(
        self, labelled: Labelled, survey: Survey, seed: int, batch_size: int, device: torch.device
    ) -> None:
        n = len(labelled.images)
        expected = (len(survey.bands), survey.stamp_size, survey.stamp_size)
        if labelled.images.shape[1:] != expected:
            raise InputError(
                f"labelled stamps have (band, y, x) = {labelled.images.shape[1:]}, survey "
                f"{survey.name!r} has {expected}; they must agree",
                given=labelled.images.shape[1:],
                allowed=expected,
            )
        self.survey, self.seed, self.batch_size = survey, seed, batch_size
        order = np.random.default_rng((seed, 7)).permutation(n)
        images = torch.from_numpy(labelled.images[order]).to(device)
        labels = torch.from_numpy(labelled.labels[order]).to(device)
        told = labelled.told(survey)
        conditions = None if told is None else torch.from_numpy(told[order]).to(device)
        self.everything = Batch(images, labels, conditions)
        held_out = n // HELD_OUT
        self._valid = self.everything.part(slice(held_out))
        self._train = self.everything.part(slice(held_out, None))

    def batch(self, step: int) -> Batch:
        """The stamps of a step; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, 8, step))
        index = rng.integers(0, len(self._train.images), self.batch_size)
        images, labels, told = self._train.part(torch.from_numpy(index))
        k = torch.from_numpy(rng.integers(0, 8, self.batch_size)).to(labels.device)
        named = dict(zip(self.survey.network.infers, labels.T, strict=True))
        labels = torch.stack(tuple(turned_values(named, k).values()), 1)
        scatter = self.survey.observation.nuisance.zero_point_mag
        gain = rng.normal(0, scatter, (self.batch_size, images.shape[1], 1, 1))
        factor = torch.from_numpy(10 ** (-0.4 * gain)).to(images)
        return Batch(turned(images, k) * factor, labels, told)

    def validation(self) -> Batch:
        """The clusters held out."""
        return self._valid


class MixedSource:
    """Batches of which one half are labelled clusters, the other fresh simulations.

    The labelled clusters teach what the simulations have wrong; the simulations keep the error
    bars right, which a few clusters, seen again and again, would make too short.

    Attributes
    ----------
    simulated_validation : Batch
        Of the simulations; what is validated on are the labelled clusters held out.
    """

    name = "labelled clusters and simulations"

    def __init__(self, labelled: LabelledSource, simulated: SimulatedSource) -> None:
        self.labelled, self.simulated = labelled, simulated
        self.simulated_validation = simulated.validation()

    @property
    def simulator(self) -> Simulator:
        """Where the simulations are from."""
        return self.simulated.simulator

    def batch(self, step: int) -> Batch:
        """The stamps of a step, labelled clusters first."""
        return self.labelled.batch(step).joined(self.simulated.batch(step))

    def close(self) -> None:
        """End the processes that simulate."""
        self.simulated.close()

    def validation(self) -> Batch:
        """The labelled clusters held out."""
        return self.labelled.validation()

    @property
    def everything(self) -> Batch:
        """All labelled clusters, and the validation set of the simulations."""
        return self.labelled.everything.joined(self.simulated_validation)


Source = SimulatedSource | MixedSource
"""Where batches come from."""
