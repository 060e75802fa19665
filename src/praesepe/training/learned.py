"""What a model has learned: how much narrower its posteriors are than its prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import listed
from praesepe.quantities import get

NOTHING = 0.8
"""Width of the posterior over the prior's, from which hardly anything has been learned: 1 is a
uniform posterior as wide as the prior, 0.85 a Gaussian one of the prior's standard deviation."""


def relative_widths(
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    names: Sequence[str],
    priors: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """Median width of the 68 % interval of continuous quantities over the prior's.

    Parameters
    ----------
    low, high : ndarray, shape (n, quantity)
        Percentiles 16 and 84.
    names : sequence of str
    priors : mapping of str to (float, float)
        Ends of the priors.

    Returns
    -------
    dict of str to float
        By quantity; 1 where nothing was learned.
    """
    found = {}
    for i, name in enumerate(names):
        if not get(name).is_categorical:
            width = 0.68 * (priors[name][1] - priors[name][0])
            found[name] = float(np.nanmedian(high[:, i] - low[:, i]) / width)
    return found


def sentences(widths: Mapping[str, float]) -> list[str]:
    """What the widths mean, for a user."""
    said = [
        "posteriors are "
        + ", ".join(f"{width:.2f} ({get(name).word})" for name, width in widths.items())
        + " times as wide as the prior"
    ]
    nothing = [get(name).word for name, width in widths.items() if width > NOTHING]
    if nothing:
        said.append(
            f"hardly anything has been learned of {listed(nothing)}: do not use the model for it, "
            "train longer"
        )
    return said
