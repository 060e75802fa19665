"""What a network is told beside the stamp: which bands there are, their depth, the distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
    """What a network may be told.

    Attributes
    ----------
    per_band : bool
        Whether it has a value for every band.
    optional : bool
        Whether it may be unknown, NaN.
    usual : (float, float)
        The range that suits most surveys.
    """

    per_band: bool
    optional: bool
    usual: tuple[float, float]


KINDS = {
    # whether the band was observed
    PRESENT: ConditionKind(True, False, (0.0, 1.0)),
    # standard deviation of a pixel of the background, as an AB magnitude at the zero point
    "depth": ConditionKind(True, True, (26.0, 33.0)),
    # full width at half maximum of the PSF, pixels
    "psf_fwhm_px": ConditionKind(True, True, (1.0, 5.0)),
    # extinction in the Milky Way, mag
    "foreground_a_v": ConditionKind(False, False, (0.0, 0.5)),
    # log10 of the distance in pc
    "log_distance": ConditionKind(False, False, (5.8, 7.5)),
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
    n_beside : int
        Further values that the layers see, which the stamps tell.
    """

    center: Tensor
    width: Tensor
    optional: Tensor

    def __init__(
        self, ranges: Mapping[str, tuple[float, float]], n_bands: int, n_beside: int = 0
    ) -> None:
        super().__init__()
        self.sizes = {name: n_bands if condition_kind(name).per_band else 1 for name in ranges}
        names = [name for name, size in self.sizes.items() for _ in range(size)]
        bounds = torch.tensor([ranges[name] for name in names])
        self.register_buffer("center", bounds.mean(1), persistent=False)
        spread = (bounds[:, 1] - bounds[:, 0]).clamp_min(1e-3) / 2
        self.register_buffer("width", spread, persistent=False)
        optional = torch.tensor([KINDS[name].optional for name in names])
        self.register_buffer("optional", optional, persistent=False)
        self.n_inputs = len(names) + int(optional.sum())
        self.layers = nn.Sequential(
            nn.Linear(self.n_inputs + n_beside, EMBEDDED),
            nn.ReLU(),
            nn.Linear(EMBEDDED, EMBEDDED),
            nn.ReLU(),
        )
        self.features = EMBEDDED

    def forward(self, conditions: Tensor, beside: Tensor | None = None) -> Tensor:
        """Map conditions (n, value), in the order of `sizes`, to features (n, feature)."""
        inputs = self.inputs(conditions)
        return self.layers(inputs if beside is None else torch.cat((inputs, beside), 1))

    def inputs(self, conditions: Tensor) -> Tensor:
        """What the layers see of the conditions, (n, `n_inputs`).

        Of each that may be unknown it is the value, or 0, and whether it is known.
        """
        values = ((conditions - self.center) / self.width).nan_to_num()
        known = (~conditions[:, self.optional].isnan()).to(values)
        return torch.cat((values, known), 1)

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

    Each of `given` has shape (n, band) or (n,), or is one value, or one a band. Those that may be
    unknown are NaN where they are not given, and every band is present. `sizes` says how many
    values of each the network takes, `ranges` between which values each lay in the training of
    the `model`: a warning tells of values beyond.

    Raises
    ------
    InputError
        Where a condition is missing, unknown, not finite, or of another shape.
    """
    given = dict(given or {})
    for name in sizes:
        if name == PRESENT:
            given.setdefault(name, 1.0)
        elif KINDS[name].optional:
            given.setdefault(name, np.nan)
    if given.keys() != sizes.keys():
        raise InputError(
            f"model {model!r} is told {', '.join(sizes) or 'no conditions'}; given were "
            f"{', '.join(given) or 'none'}",
            given=tuple(given),
            allowed=tuple(sizes),
        )
    if not sizes:
        return None
    columns = []
    for name, size in sizes.items():
        values = np.asarray(given[name], dtype=np.float32)
        if values.ndim == 1 and size == 1 and values.shape != (1,):
            values = values[:, None]
        try:
            values = np.broadcast_to(values, (n, size))
        except ValueError as error:
            raise InputError(
                f"condition {name!r} has shape {values.shape}; {(n, size)} is needed, or one value",
                given=values.shape,
                allowed=(n, size),
            ) from error
        if np.isinf(values).any() or (np.isnan(values).any() and not KINDS[name].optional):
            raise InputError(
                f"condition {name!r} has values that are not finite",
                given=values,
                remedy="leave stamps out of which it is not known",
            )
        advice = f"which model {model!r} was trained with; do not trust its answers there"
        warn_outside(values, *ranges[name], f"condition {name!r}", advice, stacklevel=3)
        columns.append(values)
    return torch.from_numpy(np.concatenate(columns, axis=1))


def standard_ranges(names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Ranges that suit most surveys, for the conditions named."""
    return {name: condition_kind(name).usual for name in names}
