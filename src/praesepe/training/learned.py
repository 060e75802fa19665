"""What a model has learned: how much better it knows than its prior does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import listed
from praesepe.quantities import get

NOTHING = 0.9
"""Error over that of a guess, from which hardly anything has been learned."""


def relative_errors(
    estimate: NDArray[np.floating],
    truth: NDArray[np.floating],
    names: Sequence[str],
    priors: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """Error of continuous quantities over that of guessing the middle of the prior.

    Parameters
    ----------
    estimate, truth : ndarray, shape (n, quantity)
        Medians of the posteriors, and the truth; NaN where it means nothing.
    names : sequence of str
    priors : mapping of str to (float, float)
        Ends of the priors.

    Returns
    -------
    dict of str to float
        Root mean squares' ratio, by quantity; 1 where nothing was learned.
    """
    found = {}
    for i, name in enumerate(names):
        if not get(name).is_categorical:
            error, guess = estimate[:, i] - truth[:, i], np.mean(priors[name]) - truth[:, i]
            squares = np.nanmean(error**2) / max(float(np.nanmean(guess**2)), 1e-12)
            found[name] = round(float(squares**0.5), 4)
    return found


def sentences(errors: Mapping[str, float]) -> list[str]:
    """What the errors mean, for a user."""
    said = [
        "errors are "
        + ", ".join(f"{error:.2f} ({get(name).word})" for name, error in errors.items())
        + " of those of a guess; 1 would be nothing learned"
    ]
    nothing = [get(name).word for name, error in errors.items() if not error < NOTHING]
    if nothing:
        said.append(
            f"hardly anything has been learned of {listed(nothing)}: do not use the model for it, "
            "train longer"
        )
    return said
