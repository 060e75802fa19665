"""Whether what is to be drawn fits into memory."""

from __future__ import annotations

import math
import os

import torch

from praesepe.errors import InputError

BYTES_PER_QUANTITY = 8
"""Memory for one quantity of an individual star: itself, and once more while it is worked on."""


def check_fits(n_stars: float, n_quantities: int, device: torch.device) -> None:
    """Raise an `InputError` if so many stars, with so many quantities each, exceed the memory."""
    needed = n_stars * n_quantities * BYTES_PER_QUANTITY
    if device.type == "cuda":
        there = float(torch.cuda.get_device_properties(device).total_memory)
    elif hasattr(os, "sysconf"):
        there = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    else:  # as on Windows
        there = math.inf
    if needed > there:
        raise InputError(
            f"{n_stars:.3g} stars drawn one by one need some {needed / 1e9:.3g} GB of memory, and "
            f"there are {there / 1e9:.3g} GB",
            given=n_stars,
            remedy="give a flux limit above zero, below which stars are unresolved, or draw fewer "
            "or less massive populations at once",
        )
