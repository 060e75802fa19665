"""The joint posterior of a set of clusters: draws, their summaries, and the density itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from praesepe.errors import InputError
from praesepe.quantities import PARAMETER_NAMES, PARAMETERS


class Posterior:
    """Joint posterior of age, mass and size for a set of stamps.

    Attributes
    ----------
    samples : ndarray of float32, shape (n, n_samples, 3)
        Draws of (log_age, log_mass, log_rh).
    parameters : tuple of Quantity
        What the last axis holds.
    surprise : ndarray, shape (n,)
        How unlike the training's stamps each stamp looks to the network: the Mahalanobis distance
        of its features over the distance that 99.9 % of training stamps stay below. Above 1 the
        posterior should not be trusted. NaN where the model does not know its training's stamps.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        surprise: NDArray[np.float32],
        log_prob: Callable[[Tensor], Tensor],
    ) -> None:
        self.samples = samples
        self.parameters = PARAMETERS
        self.surprise = surprise
        self._log_prob = log_prob

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def mean(self) -> NDArray[np.float32]:
        """Posterior means, shape (n, 3)."""
        return self.samples.mean(axis=1)

    def percentile(self, q: float | ArrayLike) -> NDArray[np.floating]:
        """Percentiles of the marginal posteriors.

        Parameters
        ----------
        q : float or sequence of float
            0 to 100.

        Returns
        -------
        ndarray, shape (n, 3) or (len(q), n, 3)
        """
        return np.asarray(np.percentile(self.samples, np.asarray(q, dtype=float), axis=1))

    def log_prob(self, values: ArrayLike) -> NDArray[np.float32]:
        """Log-density, per dex³, of one point per stamp.

        Parameters
        ----------
        values : array_like, shape (n, 3)
            log_age, log_mass, log_rh.

        Returns
        -------
        ndarray, shape (n,)
        """
        points = torch.from_numpy(np.array(values, dtype=np.float32))
        if points.shape != (len(self), len(PARAMETERS)):
            raise InputError(
                f"values have shape {tuple(points.shape)}; give one point "
                f"({', '.join(PARAMETER_NAMES)}) for each of the {len(self)} stamps"
            )
        if len(points) == 0:
            return np.zeros(0, np.float32)
        with torch.inference_mode():
            return self._log_prob(points).numpy()
