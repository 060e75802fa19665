"""Simulation beside the training: processes that make the blocks of the steps to come."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from praesepe.blocks import Block, map_blocks
from praesepe.sky.simulator import Simulator
from praesepe.sky.stamps import Mocks, TruthContext
from praesepe.survey import Survey
from praesepe.training.config import TrainingSettings

_Drawn = tuple[NDArray[Any], dict[str, NDArray[Any]], TruthContext | None]


class SimulatedAhead:
    """Blocks of simulated stamps, each the same as the training itself would draw.

    Parameters
    ----------
    survey : Survey
    settings : TrainingSettings
        Of which it needs `workers`, the seed and the size of a batch.
    device : torch.device
        Where the processes simulate, and where the blocks are wanted.
    first : int
        Number of the first block.
    """

    def __init__(
        self, survey: Survey, settings: TrainingSettings, device: torch.device, first: int
    ) -> None:
        size = settings.batch_size
        self._numbers = itertools.count(first)
        endless = (Block(number, size, number * size) for number in itertools.count(first))
        task = _Draw(survey, settings.seed, str(device))
        self._blocks = map_blocks(task, endless, workers=settings.workers)
        self._device = device
        self._thread = ThreadPoolExecutor(1)
        self._next = self._thread.submit(next, self._blocks)

    def next_block(self) -> tuple[int, Mocks]:
        """The next block and its number."""
        images, truth, context = self._next.result()
        self._next = self._thread.submit(next, self._blocks)
        there = {name: self._there(values) for name, values in truth.items()}
        return next(self._numbers), Mocks(self._there(images), there, context)

    def _there(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def close(self) -> None:
        """End the processes."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._blocks.close()


@dataclass(frozen=True)
class _Draw:
    """Draws blocks of a survey; see `praesepe.blocks.Task`."""

    survey: Survey
    seed: int
    device: str

    def __call__(self) -> Callable[[Block], _Drawn]:
        simulator = Simulator(self.survey, seed=self.seed, device=torch.device(self.device))

        def draw(block: Block) -> _Drawn:
            mocks = simulator.draw_block(block.number, block.n, compute_truth=False)
            truth = {name: values.cpu().numpy() for name, values in mocks.truth.items()}
            return mocks.images.cpu().numpy(), truth, mocks.context

        return draw
