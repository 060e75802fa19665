"""How far estimates lie from the truth: bias, robust scatter, root mean square.

A value that is not finite makes the result NaN: whoever leaves values out does so before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

NORMAL_PER_MAD = 1.482602218505602
"""Standard deviations of a normal distribution in one median absolute deviation."""


def bias(residual: ArrayLike, axis: int | None = 0) -> Any:
    """Median of the residuals.

    Parameters
    ----------
    residual : array_like
        Estimate minus truth.
    axis : int, optional
        Along which the clusters lie; None: all values.

    Returns
    -------
    ndarray or float
        The residuals' shape without `axis`; NaN for no residuals.
    """
    residual = np.asarray(residual, dtype=float)
    if residual.size == 0:
        return _nothing(residual, axis)
    return np.median(residual, axis=axis)


def robust_scatter(residual: ArrayLike, axis: int | None = 0) -> Any:
    """Scatter around the median that outliers do not rule.

    1.4826 times the median absolute deviation: the standard deviation, where the residuals are
    normal.

    Parameters
    ----------
    residual : array_like
    axis : int, optional
        Along which the clusters lie; None: all values.

    Returns
    -------
    ndarray or float
        The residuals' shape without `axis`; NaN for no residuals.
    """
    residual = np.asarray(residual, dtype=float)
    if residual.size == 0:
        return _nothing(residual, axis)
    center = np.median(residual, axis=axis, keepdims=True)
    return NORMAL_PER_MAD * np.median(np.abs(residual - center), axis=axis)


def rms(residual: ArrayLike, axis: int | None = 0) -> Any:
    """Root mean square of the residuals, bias included; see `bias` for the arguments."""
    residual = np.asarray(residual, dtype=float)
    if residual.size == 0:
        return _nothing(residual, axis)
    return np.sqrt(np.mean(residual**2, axis=axis))


def _nothing(residual: NDArray[np.float64], axis: int | None) -> Any:
    """NaN in the shape of a result, without numpy's warning."""
    return np.full(np.sum(residual, axis=axis).shape, np.nan)[()]
