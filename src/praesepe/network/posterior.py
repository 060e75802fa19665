"""The joint posterior of a set of clusters: draws, their summaries, and the density itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from praesepe import quantities
from praesepe.errors import check_number, listed, must_be, unknown
from praesepe.quantities import DEFAULT_INFERRED, Quantity


class Posterior:
    """Joint posterior of what a model infers, for a set of stamps.

    Attributes
    ----------
    samples : ndarray of float32, shape (n, n_samples, quantity)
        Draws; of a categorical quantity, the number of the category.
    names : tuple of str
        What the last axis holds.
    out_of_domain : ndarray, shape (n,)
        How unlike the training's stamps each stamp is. Above 1 the posterior should not be
        trusted: the largest of the Mahalanobis distance of its features over the distance that
        99.9 % of training stamps stay below, and of `doubts`. NaN where the model does not know
        its training's stamps.
    doubts : dict of str to ndarray, each of shape (n,)
        For each kind of fault (``"photometry"``, ``"shape"``, ``"registration"``, ``"noise"``) the
        odds that the stamp has it, over odds that hardly any good stamp exceeds. Of a model that
        was not taught faults there is none, but that of a band without noise: ``"noise"``,
        infinite.
    probabilities : dict of str to ndarray, each of shape (n, category)
        Probability of every category of each categorical quantity, without sampling noise.
    weights : ndarray of float32, shape (n, n_samples), or None
        How much each draw counts; they sum to 1 for every stamp. None: all count the same.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        out_of_domain: NDArray[np.float32],
        log_prob: Callable[[Tensor], Tensor],
        names: Sequence[str] = DEFAULT_INFERRED,
        probabilities: Mapping[str, NDArray[np.float32]] | None = None,
        weights: ArrayLike | None = None,
        doubts: Mapping[str, NDArray[np.float32]] | None = None,
        draw_again: Callable[[NDArray[np.intp], int], Posterior] | None = None,
    ) -> None:
        self.samples = samples
        self.names = tuple(names)
        self.doubts = dict(doubts or {})
        self.out_of_domain = np.fmax.reduce([out_of_domain, *self.doubts.values()])
        self.probabilities = dict(probabilities or {})
        self._log_prob = log_prob
        self._draw_again = draw_again
        self.weights = None if weights is None else _normalised(weights, samples.shape[:2])

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        n, n_samples = self.samples.shape[:2]
        return f"<Posterior of {n} clusters: {n_samples} draws of {', '.join(self.names)}>"

    def again(self, rows: NDArray[np.intp], n_samples: int) -> Posterior:
        """That of some of the stamps, by their places, with another number of draws.

        Of a larger number the first are the same.
        """
        assert self._draw_again is not None, "only what a model inferred can be drawn again"
        return self._draw_again(rows, n_samples)

    def weighted(self, weights: ArrayLike) -> Posterior:
        """The same draws, of which each counts as much as its weight (n, n_samples) says.

        Probabilities of categories are those of the weighted draws; `log_prob` stays what it is.
        """
        return Posterior(
            self.samples,
            self.out_of_domain,
            self._log_prob,
            self.names,
            weights=weights,
            doubts=self.doubts,
        )

    def unweighted(self, n_samples: int) -> Posterior:
        """The same by `n_samples` draws that all count the same.

        Of weighted ones by systematic resampling: one of weight w comes n_samples w times, rounded
        up or down. Without weights it is this posterior.
        """
        if self.weights is None:
            return self
        levels = (np.arange(n_samples) + 0.5) / n_samples
        sums = np.cumsum(self.weights, axis=1, dtype=np.float64)
        found = np.stack([np.searchsorted(one, levels * one[-1]) for one in sums])
        draws = self.samples[np.arange(len(found))[:, None], found]
        return Posterior(draws, self.out_of_domain, self._log_prob, self.names, doubts=self.doubts)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the last axis holds, as the registry describes it."""
        return tuple(quantities.get(name) for name in self.names)

    @property
    def mean(self) -> NDArray[np.float32]:
        """Posterior means, shape (n, quantity); NaN of categories, see `shares`."""
        return self._mean_of(self._numbers)

    @property
    def std(self) -> NDArray[np.float32]:
        """Standard deviations, shape (n, quantity); NaN of categories."""
        if self.weights is None:
            return self._numbers.std(axis=1)
        return np.sqrt(self._mean_of((self.samples - self.mean[:, None]) ** 2))

    def shares(self, name: str) -> NDArray[np.float32]:
        """Probability of every category of a categorical quantity, shape (n, category).

        Raises
        ------
        InputError
            Where the posterior has no such quantity.
        """
        if name in self.probabilities:
            return self.probabilities[name]
        categorical = [q.name for q in self.quantities if q.is_categorical]
        if name not in categorical:
            raise unknown("categorical quantity of this posterior", str(name), categorical)
        draws = self.samples[..., self.names.index(name)]
        categories = range(len(quantities.get(name).categories))
        return self._mean_of(np.stack([draws == k for k in categories], 2).astype(np.float32))

    @property
    def _numbers(self) -> NDArray[np.float32]:
        """The draws, with NaN in place of the numbers of categories, which have no mean."""
        categorical = [quantity.is_categorical for quantity in self.quantities]
        return (
            np.where(categorical, np.float32("nan"), self.samples)
            if any(categorical)
            else self.samples
        )

    def _mean_of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.weights is None:
            return values.mean(axis=1)
        return np.einsum("nk,nkq->nq", self.weights, values)

    def percentile(self, q: float | ArrayLike) -> NDArray[np.floating]:
        """Percentiles of the marginal posteriors.

        Parameters
        ----------
        q : float or sequence of float
            0 to 100.

        Returns
        -------
        ndarray, shape (n, quantity) or (len(q), n, quantity)
            Interpolated between draws of equal weights; of others, the draw at which the sum of
            the weights reaches the share asked for. NaN of categories.
        """
        return weighted_percentile(self._numbers, q, self.weights)

    def log_prob(self, values: ArrayLike) -> NDArray[np.float32]:
        """Log-density, per unit of every quantity, of one point per stamp.

        Parameters
        ----------
        values : array_like, shape (n, quantity)

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        InputError
            Where there is not one point for every stamp.
        """
        try:
            points = torch.from_numpy(np.array(values, dtype=np.float32))
        except (TypeError, ValueError) as error:
            raise must_be("values", type(values).__name__, "numbers, a point a stamp") from error
        if points.shape != (len(self), len(self.names)):
            allowed = (
                f"{len(self), len(self.names)}, a point of {listed(self.names)} for each stamp"
            )
            raise must_be("the shape of values", tuple(points.shape), allowed)
        if len(points) == 0:
            return np.zeros(0, np.float32)
        with torch.inference_mode():
            return self._log_prob(points).numpy()


def weighted_percentile(
    samples: NDArray[np.floating], q: float | ArrayLike, weights: NDArray[np.floating] | None
) -> NDArray[np.floating]:
    """Percentiles along the second axis of draws (n, n_samples, …) with weights (n, n_samples)."""
    levels = np.reshape(
        [check_number("percentile", level, 0, 100, whole=False) for level in np.ravel(q).tolist()],
        np.shape(q),
    )
    if weights is None:
        return np.asarray(np.percentile(samples, levels, axis=1))
    each = weights.reshape(weights.shape + (1,) * (samples.ndim - 2))
    each = np.broadcast_to(each, samples.shape).astype(np.float64)
    return np.asarray(np.percentile(samples, levels, axis=1, weights=each, method="inverted_cdf"))


def _normalised(weights: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights that sum to 1 for every stamp."""
    given = np.asarray(weights, np.float64)
    if given.shape != shape:
        raise must_be("shape of weights", given.shape, f"{shape}: one for each draw")
    total = given.sum(axis=1, keepdims=True)
    if not (np.isfinite(given).all() and (given >= 0).all() and (total > 0).all()):
        allowed = "finite, not negative, and not all zero for any stamp"
        raise must_be("the lowest of weights", float(given.min()), allowed)
    return (given / total).astype(np.float32)
