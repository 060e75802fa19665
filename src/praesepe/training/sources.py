"""What a training learns from: fresh simulations, or annotated clusters of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from praesepe.blocks import blocks_of
from praesepe.errors import InputError
from praesepe.progress import Setup
from praesepe.sky.simulator import Simulator
from praesepe.sky.stamps import Mocks, joined
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey
from praesepe.training.config import TrainingSettings
from praesepe.training.labelled import Labelled

VALIDATION_SEED = 982_451_653
"""Added to the seed of a run for its validation set."""


class SimulatedSource:
    """Fresh simulated clusters for every step; step k is the same in every run of a seed.

    The labels hold the quantities `infers`.
    """

    name = "simulations"

    def __init__(
        self,
        survey: Survey,
        settings: TrainingSettings,
        infers: Sequence[str],
        device: torch.device,
        tables: SurveyTables | None,
        setup: Setup | None,
    ) -> None:
        self.settings, self.infers = settings, tuple(infers)
        self.simulator = Simulator(
            survey, device=device, seed=settings.seed, tables=tables, setup=setup
        )

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step."""
        mocks = self.simulator.draw_block(step, self.settings.batch_size, compute_truth=False)
        return mocks.images, self._labels(mocks)

    def validation(self) -> tuple[Tensor, Tensor]:
        """A fixed set that shares neither clusters nor star fields with the training."""
        simulator = self.simulator.another(self.settings.seed + VALIDATION_SEED, n_fields=12)
        blocks = blocks_of(self.settings.valid_size)
        drawn = [simulator.draw_block(b.number, b.n, compute_truth=False) for b in blocks]
        mocks = joined(drawn)
        return mocks.images, self._labels(mocks)

    def _labels(self, mocks: Mocks) -> Tensor:
        return mocks.values(self.infers).float()


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
        self, labelled: Labelled, survey: Survey, seed: int, batch_size: int, device: torch.device
    ) -> None:
        expected = (len(survey.bands), survey.stamp_size, survey.stamp_size)
        if labelled.images.shape[1:] != expected:
            raise InputError(
                f"labelled stamps have (band, y, x) = {labelled.images.shape[1:]}, survey "
                f"{survey.name!r} has {expected}; they must agree"
            )
        self.survey, self.seed, self.batch_size = survey, seed, batch_size
        order = np.random.default_rng((seed, 7)).permutation(len(labelled.images))
        images = torch.from_numpy(labelled.images[order].astype(np.float32)).to(device)
        labels = torch.from_numpy(labelled.labels[order].astype(np.float32)).to(device)
        held_out = max(len(order) // 7, 1)
        self._valid = images[:held_out], labels[:held_out]
        self._train = images[held_out:], labels[held_out:]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, 8, step))
        images, labels = self._train
        index = torch.from_numpy(rng.integers(0, len(images), self.batch_size))
        orientations = rng.integers(0, 8, self.batch_size)
        turned = [
            dihedral(image, int(k)) for image, k in zip(images[index], orientations, strict=True)
        ]
        scatter = self.survey.observation.nuisance.zero_point_mag
        gain = rng.normal(0, scatter, (self.batch_size, images.shape[1], 1, 1))
        factor = torch.from_numpy(10 ** (-0.4 * gain)).to(images)
        return torch.stack(turned) * factor, labels[index]

    def all_images(self) -> Tensor:
        """The stamps of all clusters, those kept back last."""
        return torch.cat((self._train[0], self._valid[0]))

    def validation(self) -> tuple[Tensor, Tensor]:
        """The clusters kept back."""
        return self._valid


Source = SimulatedSource | LabelledSource
"""Where batches come from."""
