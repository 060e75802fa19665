"""From stamps to percentiles and flags, block by block, so that memory does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe import quantities
from praesepe.errors import check_number
from praesepe.flags import ODD, Flag
from praesepe.inference.classes import ClassOdds, class_values, redraw
from praesepe.inference.columns import (
    Column,
    Columns,
    ModelContext,
    empty_columns,
    output_columns,
    summarise,
)
from praesepe.inference.light import ClusterLight
from praesepe.inference.modes import SECOND_SHARE, axes_of, find_modes
from praesepe.inference.priors import (
    KnownValues,
    Reweighting,
    counting,
    log_mean,
    normalised,
)
from praesepe.inference.told import Told
from praesepe.network.estimator import Estimator
from praesepe.network.noise import MOST_DRAWS
from praesepe.network.posterior import Posterior
from praesepe.rng import check_seed

if TYPE_CHECKING:
    from praesepe.images.mosaic.cutouts import Stamps

ROWS_AT_ONCE = 256
"""Rows cut and inferred together: what is in memory at once."""

EDGE_FRACTION = 0.02

LEAST_COUNTING = 100
"""Draws of a row that count (Kish); with fewer, more are drawn, or the row is flagged."""

MORE_DRAWS = (2000, 20_000)
"""Draws that are made of a row of which too few count, first so many, then so many."""


@dataclass(frozen=True)
class Sampling:
    """How posteriors are drawn.

    Attributes
    ----------
    infers : tuple of str
        What the model infers.
    n_samples : int
        Draws for every cluster.
    seed : int
        Of the draws.
    weighting : Reweighting
        What the draws are weighted by, if by anything.
    odds : ClassOdds or None
        Of a cluster, where the model infers that.
    light : ClusterLight or None
        What tells the clusters' magnitudes, where they are asked for.
    conditioned : KnownValues
        Of the model's leading quantity, where it is known.
    """

    infers: tuple[str, ...]
    n_samples: int = 500
    seed: int = 0
    weighting: Reweighting = field(default_factory=lambda: Reweighting(()))
    odds: ClassOdds | None = None
    light: ClusterLight | None = None
    conditioned: KnownValues = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("n_samples", self.n_samples, 1, MOST_DRAWS)
        check_seed(self.seed)

    @property
    def described(self) -> dict[str, Column]:
        """The columns that a catalog gets, by name."""
        return output_columns(self.infers) | (self.light.described if self.light else {})

    def empty(self, n: int) -> Columns:
        """These columns of `n` rows in which nothing has been measured yet; without positions."""
        light = {} if self.light is None else self.light.described
        return {name: np.full(n, np.nan) for name in light} | empty_columns(n, self.infers)

    @property
    def known(self) -> KnownValues:
        """All that is known of what is inferred."""
        return self.conditioned | self.weighting.known

    def knowing(self, known: KnownValues, leading: str | None = None) -> Sampling:
        """The same where values of quantities are known, with errors.

        Draws are conditioned on the leading quantity, and weighted by the others.
        """
        weighted = {name: of for name, of in known.items() if name != leading}
        return replace(
            self,
            weighting=replace(self.weighting, known=weighted),
            conditioned={name: of for name, of in known.items() if name == leading},
        )

    def leading(self, rows: NDArray[np.int_]) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Value and error of the leading quantity of rows of the catalog, where it is known."""
        for value, error in self.conditioned.values():
            return (value[rows] if value.ndim else value), (error[rows] if error.ndim else error)
        return None


@dataclass(frozen=True)
class MeasuredBlock:
    """What was found for the rows of a block; NaN where nothing was measured.

    Attributes
    ----------
    values : dict of str to ndarray, each of shape (n,)
        Percentile columns, ``flags`` and ``missing_fraction``.
    draws : ndarray of float32, shape (n, n_samples, quantity)
        Posterior draws, which all count the same.
    std : ndarray of float32, shape (n, quantity)
        Their standard deviations.
    log_mean_weight : ndarray of float64, shape (n,)
        Of the draws of the network; 0 where they are not weighted.
    """

    values: Columns
    draws: NDArray[np.float32]
    std: NDArray[np.float32]
    log_mean_weight: NDArray[np.float64]


def infer_block(
    model: Estimator, stamps: Stamps, told: Told, sampling: Sampling, first: int
) -> MeasuredBlock:
    """Percentiles, flags and draws of stamps; `first` is the catalog's row of the first of them."""
    n, infers, weighting = len(stamps), sampling.infers, sampling.weighting
    values = sampling.empty(n)
    values["missing_fraction"] = np.asarray(stamps.missing_fraction, dtype=np.float64)
    flags = np.asarray(stamps.flags, dtype=np.int32).copy()
    draws = np.full((n, sampling.n_samples, len(infers)), np.nan, dtype=np.float32)
    std = np.full((n, len(infers)), np.nan, dtype=np.float32)
    log_mean_weight = np.zeros(n)
    priors = weighting.ranges(model.card.priors)
    for used, posterior, log_weights, beyond in _posteriors(model, stamps, told, sampling, first):
        failed = ~np.isfinite(posterior.samples).all(axis=(1, 2))
        posterior.samples[failed] = 0.0  # emptied below
        weighted = posterior
        if log_weights is not None:
            weighted = posterior.weighted(normalised(log_weights))
        equal = weighted.unweighted(sampling.n_samples)
        shares = {} if sampling.odds is None else sampling.odds.shares(posterior)
        redraw(equal.samples, infers, shares)
        draws[used], std[used] = equal.samples, equal.std
        context = ModelContext(model, told.distance_pc(first + used), sampling.n_samples)
        summary = summarise(equal.samples, infers, context, equal.probabilities)
        if sampling.light is not None:
            summary |= sampling.light.columns(
                equal.samples, model, told, first + used, sampling.seed
            )
        flags[used] = stamps.flags[used] | _posterior_flags(equal, model, priors)
        flags[used] |= np.where(beyond, Flag.OUT_OF_DOMAIN, 0)
        if axes_of(infers):
            modes = find_modes(weighted.samples, infers, model.card.priors, weighted.weights)
            summary |= modes.columns
            flags[used] |= np.where(modes.shares[:, 1] > SECOND_SHARE, Flag.SECOND_MODE, 0)
        for name, column in (summary | class_values(shares)).items():
            values[name][used] = column
        flags[used] |= np.where(failed, Flag.OUT_OF_DOMAIN, 0)
        if log_weights is not None:
            log_mean_weight[used] = log_mean(log_weights)
            flags[used] |= np.where(counting(log_weights) < LEAST_COUNTING, Flag.FEW_DRAWS, 0)
            failed |= np.isneginf(log_mean_weight[used])
        none = used[failed]
        draws[none], std[none] = np.nan, np.nan
        for name, empty in sampling.empty(none.size).items():
            if name in summary:
                values[name][none] = empty
    values["flags"] = flags
    return MeasuredBlock(values, draws, std, log_mean_weight)


def _posteriors(
    model: Estimator, stamps: Stamps, told: Told, sampling: Sampling, first: int
) -> Iterator[tuple[NDArray[np.intp], Posterior, NDArray[np.float64] | None, NDArray[np.bool_]]]:
    """Rows of the stamps that can be used, their posteriors, and logarithms of the weights.

    Last, whether what the model was told of them lies outside what its training told. Rows of
    which too few weighted draws count come again, with more draws.
    """
    rows, weighting = np.flatnonzero(stamps.usable), sampling.weighting
    if not rows.size:
        return
    images, conditions = told.inputs(model, stamps, rows, first)
    beyond = np.broadcast_to(told.beyond(conditions), rows.shape)
    posterior = model.predict(
        images,
        conditions=conditions,
        known=sampling.leading(first + rows),
        n_samples=sampling.n_samples,
        seed=sampling.seed,
        rows=first + rows,
    )
    if not weighting:
        yield rows, posterior, None, beyond
        return
    for more in (*(number for number in MORE_DRAWS if number > sampling.n_samples), 0):
        log_weights = weighting.log_weights(posterior.samples, first + rows)
        yield rows, posterior, log_weights, beyond
        few = np.flatnonzero(counting(log_weights) < LEAST_COUNTING)
        if not (few.size and more):
            return
        rows, beyond, posterior = rows[few], beyond[few], posterior.again(few, more)


def at_prior_edge(
    low: Mapping[str, ArrayLike],
    high: Mapping[str, ArrayLike],
    priors: Mapping[str, tuple[float, float]],
) -> NDArray[np.bool_]:
    """Tell which posteriors (n,) reach an edge of the prior, so that the truth may lie beyond it.

    They do where percentile 16 or 84 of a quantity, `low` or `high`, lies within 2 % of the prior's
    range from its end, or beyond. An end of what is physical (the age of the Universe, no
    extinction) does not count.
    """
    found = [np.zeros(np.shape(next(iter(low.values()))), bool)]
    for name, (bottom, top) in priors.items():
        quantity = quantities.get(name)
        if quantity.is_categorical:
            continue
        margin = EDGE_FRACTION * (top - bottom)
        if bottom > quantity.physical[0]:
            found.append(np.asarray(low[name]) < bottom + margin)
        if top < quantity.physical[1]:
            found.append(np.asarray(high[name]) > top - margin)
    return np.any(found, axis=0)


def _posterior_flags(
    posterior: Posterior, model: Estimator, priors: Mapping[str, tuple[float, float]]
) -> NDArray[np.int32]:
    """Flags that follow from the posterior."""
    low, high = (
        dict(zip(model.infers, percentile.T, strict=True))
        for percentile in posterior.percentile([16, 84])
    )
    edge = at_prior_edge(low, high, priors)
    strange = np.asarray(posterior.out_of_domain) > 1
    flags = np.where(edge, int(Flag.AT_PRIOR_EDGE), 0)
    flags |= np.where(strange, int(Flag.OUT_OF_DOMAIN), 0)
    for kind, doubt in posterior.doubts.items():
        flags |= np.where(doubt > 1, int(ODD.get(kind, 0)), 0)
    return flags.astype(np.int32)
