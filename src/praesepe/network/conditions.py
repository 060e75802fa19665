"""What a network is told beside the stamp: which bands there are, their depth, the distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from praesepe.errors import InputError, unknown, warn_outside

PRESENT = "present"
"""The condition that says which bands there are; the network sees the others as empty."""

EMBEDDED = 32
"""Features that the conditions become."""


class ConditionKind(NamedTuple):
    """Whether a condition has a value for every band, and the range that suits most surveys."""

    per_band: bool
    usual: tuple[float, float]


KINDS = {
    PRESENT: ConditionKind(True, (0.0, 1.0)),  # whether the band was observed
    "depth": ConditionKind(True, (23.0, 29.0)),  # AB magnitude of a point source of 5 sigma
    "psf_fwhm": ConditionKind(True, (0.05, 0.2)),  # full width at half maximum, arcsec
    "log_distance": ConditionKind(False, (5.8, 7.5)),  # log10 of the distance in pc
}


def condition_kind(name: str) -> ConditionKind:
    """Return the condition called `name`; raise `InputError` where there is none."""
    if name not in KINDS:
        raise unknown("condition", name, KINDS)
    return KINDS[name]


class ConditionEmbedding(nn.Module):
    """Features made of conditions.

    Parameters
    ----------
    ranges : mapping of str to (float, float)
        What each condition lies between in the training, by name.
    n_bands : int
    """

    center: Tensor
    width: Tensor

    def __init__(self, ranges: Mapping[str, tuple[float, float]], n_bands: int) -> None:
        super().__init__()
        self.sizes = {name: n_bands if condition_kind(name).per_band else 1 for name in ranges}
        bounds = torch.tensor(
            [ranges[name] for name, size in self.sizes.items() for _ in range(size)]
        )
        self.register_buffer("center", bounds.mean(1), persistent=False)
        spread = (bounds[:, 1] - bounds[:, 0]).clamp_min(1e-3) / 2
        self.register_buffer("width", spread, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(len(bounds), EMBEDDED), nn.ReLU(), nn.Linear(EMBEDDED, EMBEDDED), nn.ReLU()
        )
        self.features = EMBEDDED

    def forward(self, conditions: Tensor) -> Tensor:
        """Map conditions (n, value), in the order of `sizes`, to features (n, feature)."""
        return self.layers((conditions - self.center) / self.width)

    def present(self, conditions: Tensor) -> Tensor | None:
        """Which bands there are, (n, band, 1, 1); None where that is no condition."""
        start = 0
        for name, size in self.sizes.items():
            if name == PRESENT:
                return conditions[:, start : start + size, None, None]
            start += size
        return None


def as_tensor(
    given: Mapping[str, ArrayLike] | None,
    sizes: Mapping[str, int],
    n: int,
    *,
    ranges: Mapping[str, tuple[float, float]],
    model: str,
) -> Tensor | None:
    """Conditions (n, value) of n stamps, in the network's order; None where it takes none.

    Each of `given` has shape (n, band) or (n,), or is one value, or one a band. `sizes` says
    how many values of each the network takes, `ranges` between which values each lay in the
    training of the `model`: a warning tells of values beyond.

    Raises
    ------
    InputError
        Where a condition is missing, unknown, not finite, or of another shape.
    """
    given = given or {}
    if given.keys() != sizes.keys():
        raise InputError(
            f"model {model!r} is told {', '.join(sizes) or 'no conditions'}; given were "
            f"{', '.join(given) or 'none'}"
        )
    if not sizes:
        return None
    columns: list[np.ndarray[Any, Any]] = []
    for name, size in sizes.items():
        values = np.asarray(given[name], dtype=np.float32)
        if values.ndim == 1 and size == 1 and values.shape != (1,):
            values = values[:, None]
        try:
            values = np.broadcast_to(values, (n, size))
        except ValueError as error:
            raise InputError(
                f"condition {name!r} has shape {values.shape}; {(n, size)} is needed, or one value"
            ) from error
        if not np.isfinite(values).all():
            raise InputError(f"condition {name!r} has values that are not finite")
        advice = f"which model {model!r} was trained with; do not trust its answers there"
        warn_outside(values, *ranges[name], f"condition {name!r}", advice, stacklevel=3)
        columns.append(values)
    return torch.from_numpy(np.concatenate(columns, axis=1))


def standard_ranges(names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Ranges that suit most surveys, for the conditions named."""
    return {name: condition_kind(name).usual for name in names}
