"""Streams of random numbers that depend on nothing but the numbers that name them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from praesepe.errors import check_number


def check_seed(seed: Any) -> int:
    """A seed that the user gave, as an int; raise `InputError` unless it is 0 to 2^64 - 1."""
    return int(check_number("seed", seed, 0, 2**64 - 1))


def stream(seed: tuple[int, ...], device: torch.device) -> torch.Generator:
    """A random stream of its own for each tuple of integers."""
    words = (len(seed), *map(check_seed, seed))
    state = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(state)


def on_cpu(generator: torch.Generator) -> torch.Generator:
    """A CPU generator that goes on from `generator`: small choices are made on the CPU."""
    if generator.device.type == "cpu":
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))


def uniform(low: float, high: float, *, generator: torch.Generator) -> float:
    """One number between `low` and `high`, from a CPU generator."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
