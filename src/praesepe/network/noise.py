"""Base noise of draws: what row r of seed s gets depends on (s, r) and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from praesepe.errors import must_be

MOST_DRAWS = 100_000
"""Draws that may be asked for of one posterior: a block of rows holds a gigabyte of them."""


def base_noise(
    kind: Literal["normal", "uniform"],
    *,
    seed: int,
    rows: Sequence[int] | NDArray[np.int64],
    n_samples: int,
    size: int,
) -> Tensor:
    """Noise for the draws of some rows, made on the CPU.

    Parameters
    ----------
    kind : str
        ``"normal"``, or ``"uniform"`` between 0 and 1.
    seed : int
        0 to 2^64 - 1.
    rows : sequence of int
        Numbers of the rows; not negative.
    n_samples : int
        Draws per row. Of a larger number the first are the same.
    size : int
        Numbers per draw.

    Returns
    -------
    Tensor of float32, shape (row, n_samples, size)

    Notes
    -----
    Each row has a stream of the counter-based generator Philox (Salmon et al. 2011) with the key
    (row, seed): no stream has to be run through to come to another.
    """
    noise = np.empty((len(rows), n_samples, size), np.float32)
    for i, row in enumerate(rows):
        key = np.array([row, seed], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        if kind == "normal":
            generator.standard_normal(out=noise[i], dtype=np.float32)
        else:
            generator.random(out=noise[i], dtype=np.float32)
    return torch.from_numpy(noise)


def row_numbers(rows: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Numbers of n rows, checked."""
    if rows is None:
        return np.arange(n, dtype=np.int64)
    numbers = np.asarray(rows)
    if numbers.shape != (n,) or (n and numbers.dtype.kind not in "iu"):
        given = (str(numbers.dtype), numbers.shape)
        raise must_be("type and shape of rows", given, f"one integer for each of the {n} stamps")
    if n and int(numbers.min()) < 0:
        raise must_be("the lowest of rows", int(numbers.min()), "0 or more")
    return numbers.astype(np.int64)
