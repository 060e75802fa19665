"""Whether what is to be drawn fits into memory."""

from __future__ import annotations

import math
import os

import torch

from praesepe.errors import InputError

BYTES_PER_QUANTITY = 8
"""Memory for one quantity of an individual star: itself, and once more while it is worked on."""


def check_fits(n_stars: float, n_quantities: int, device: torch.device) -> None:
    """Refuse to draw more stars one by one than there is memory for.

    Parameters
    ----------
    n_stars : float
        Number of stars.
    n_quantities : int
        Single-precision numbers to keep of each.
    device : torch.device
        Where they are drawn.

    Raises
    ------
    InputError
        With an estimate of the memory needed, and what to change.
    """
    needed, there = n_stars * n_quantities * BYTES_PER_QUANTITY, memory_bytes(device)
    if needed > there:
        raise InputError(
            f"{n_stars:.3g} stars drawn one by one need some {needed / 1e9:.3g} GB of memory, and "
            f"there are {there / 1e9:.3g} GB: give a flux limit above zero, below which stars are "
            "unresolved, or draw fewer or less massive populations at once"
        )


def memory_bytes(device: torch.device) -> float:
    """Memory of a device, of which a part may be in use; infinite where that cannot be told."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # as on Windows
        return math.inf
