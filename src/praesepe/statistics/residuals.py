"""How far estimates lie from the truth: bias, robust scatter, root mean square.

All take residuals (estimate minus truth) of shape (N, …) and return an array of the remaining
shape: NaN where a residual is not finite, or there are none. Whoever leaves values out does so
before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

NORMAL_PER_MAD = 1.482602218505602
"""Standard deviations of a normal distribution in one median absolute deviation."""


def bias(residual: ArrayLike) -> Any:
    """Median of the residuals."""
    return np.median(at_least_one(residual), axis=0)


def robust_scatter(residual: ArrayLike) -> Any:
    """Scatter around the median that outliers do not rule.

    1.4826 times the median absolute deviation: the standard deviation, where the residuals are
    normal.
    """
    residual = at_least_one(residual)
    return NORMAL_PER_MAD * np.median(np.abs(residual - np.median(residual, axis=0)), axis=0)


def rms(residual: ArrayLike) -> Any:
    """Root mean square of the residuals, bias included."""
    return np.sqrt(np.mean(at_least_one(residual) ** 2, axis=0))


def at_least_one(values: ArrayLike) -> NDArray[np.float64]:
    """The values (N, …), or one NaN each where N is 0."""
    values = np.asarray(values, dtype=float)
    return values if len(values) else np.full((1, *values.shape[1:]), np.nan)
