"""What a training learns from: fresh simulations, or annotated clusters of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from praesepe.blocks import blocks_of
from praesepe.errors import InputError
from praesepe.network.conditions import KINDS, as_tensor
from praesepe.network.schema import ModelCard
from praesepe.progress import Setup
from praesepe.sky.simulator import Simulator
from praesepe.sky.stamps import Mocks, joined
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey
from praesepe.training.config import TrainingSettings
from praesepe.training.labelled import Labelled
from praesepe.training.telling import tell

VALIDATION_SEED = 982_451_653
"""Added to the seed of a run for its validation set."""

TOLD = 5
"""Last number of the seed of what is told."""


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

    def split(self, size: int) -> Iterator[Batch]:
        """Parts of at most `size` stamps."""
        for start in range(0, len(self.images), size):
            yield self.part(slice(start, start + size))


class SimulatedSource:
    """Fresh simulated clusters for every step; step k is the same in every run of a seed.

    The labels hold what the model infers, the conditions what it is told.
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
    ) -> None:
        self.settings, self.infers = settings, card.infers
        self.conditions = tuple(condition.name for condition in card.conditions)
        self.simulator = Simulator(
            survey, device=device, seed=settings.seed, tables=tables, setup=setup
        )

    def batch(self, step: int) -> Batch:
        """The stamps of a step."""
        mocks = self.simulator.draw_block(step, self.settings.batch_size, compute_truth=False)
        return self._batch(mocks, self.settings.seed, step)

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


def dihedral(image: Tensor, k: int) -> Tensor:
    """Turn and mirror (..., y, x) about pixel n // 2, where clusters lie; k from 0 to 7."""
    if k & 4:
        image = image.transpose(-2, -1)
    axes = [axis for axis, bit in ((-2, 1), (-1, 2)) if k & bit]
    shifts = [1 - image.shape[axis] % 2 for axis in axes]
    return image.flip(axes).roll(shifts, axes) if axes else image


class LabelledSource:
    """Batches of real clusters, turned, mirrored and with zero points off by the survey's scatter.

    A seventh of the clusters is kept for validation.
    """

    name = "labelled clusters"

    def __init__(
        self,
        labelled: Labelled,
        survey: Survey,
        seed: int,
        batch_size: int,
        device: torch.device,
        conditions: Sequence[str] = (),
    ) -> None:
        expected = (len(survey.bands), survey.stamp_size, survey.stamp_size)
        if labelled.images.shape[1:] != expected:
            raise InputError(
                f"labelled stamps have (band, y, x) = {labelled.images.shape[1:]}, survey "
                f"{survey.name!r} has {expected}; they must agree",
                given=labelled.images.shape[1:],
                allowed=expected,
            )
        self.survey, self.seed, self.batch_size = survey, seed, batch_size
        order = np.random.default_rng((seed, 7)).permutation(len(labelled.images))
        images = torch.from_numpy(labelled.images[order].astype(np.float32)).to(device)
        labels = torch.from_numpy(labelled.labels[order].astype(np.float32)).to(device)
        held_out = max(len(order) // 7, 1)
        sizes = {n: len(survey.bands) if KINDS[n].per_band else 1 for n in conditions}
        told = as_tensor(None, sizes, len(order), ranges={}, model=survey.name)
        everything = Batch(images, labels, None if told is None else told.to(device))
        self._valid = everything.part(slice(held_out))
        self._train = everything.part(slice(held_out, None))
        self.everything = everything

    def batch(self, step: int) -> Batch:
        """The stamps of a step; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, 8, step))
        index = rng.integers(0, len(self._train.images), self.batch_size)
        images, labels, told = self._train.part(torch.from_numpy(index))
        orientations = rng.integers(0, 8, self.batch_size)
        turned = [dihedral(image, int(k)) for image, k in zip(images, orientations, strict=True)]
        scatter = self.survey.observation.nuisance.zero_point_mag
        gain = rng.normal(0, scatter, (self.batch_size, images.shape[1], 1, 1))
        factor = torch.from_numpy(10 ** (-0.4 * gain)).to(images)
        return Batch(torch.stack(turned) * factor, labels, told)

    def validation(self) -> Batch:
        """The clusters kept back."""
        return self._valid


Source = SimulatedSource | LabelledSource
"""Where batches come from."""
