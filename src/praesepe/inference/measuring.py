"""From stamps to percentiles and flags, block by block, so that memory does not grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe import quantities
from praesepe.errors import check_number
from praesepe.flags import Flag
from praesepe.inference.columns import Columns, ModelContext, empty_columns, summarise
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
    """

    infers: tuple[str, ...]
    n_samples: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("n_samples", self.n_samples, 1, MOST_DRAWS)
        check_seed(self.seed)


@dataclass(frozen=True)
class MeasuredBlock:
    """What was found for the rows of a block; NaN where nothing was measured.

    Attributes
    ----------
    values : dict of str to ndarray, each of shape (n,)
        Percentile columns, ``flags`` and ``missing_fraction``.
    draws : ndarray of float32, shape (n, n_samples, quantity)
        Posterior draws.
    std : ndarray of float32, shape (n, quantity)
        Their standard deviations.
    """

    values: Columns
    draws: NDArray[np.float32]
    std: NDArray[np.float32]


def infer_block(
    model: Estimator, stamps: Stamps, told: Told, sampling: Sampling, first: int
) -> MeasuredBlock:
    """Percentiles, flags and draws of stamps; `first` is the catalog's row of the first of them."""
    n, infers = len(stamps), sampling.infers
    values = empty_columns(n, infers)
    values["missing_fraction"] = np.asarray(stamps.missing_fraction, dtype=np.float64)
    flags = np.asarray(stamps.flags, dtype=np.int32).copy()
    draws = np.full((n, sampling.n_samples, len(infers)), np.nan, dtype=np.float32)
    std = np.full((n, len(infers)), np.nan, dtype=np.float32)
    used = np.flatnonzero(stamps.usable)
    if used.size:
        images, conditions = told.inputs(model, stamps, used, first)
        posterior = model.predict(
            images,
            conditions=conditions,
            n_samples=sampling.n_samples,
            seed=sampling.seed,
            rows=first + used,
        )
        draws[used], std[used] = posterior.samples, posterior.std
        summary = summarise(
            posterior.samples,
            infers,
            ModelContext(model),
            posterior.probabilities,
            posterior.weights,
        )
        for name, column in summary.items():
            values[name][used] = column
        flags[used] |= _posterior_flags(posterior, model)
    values["flags"] = flags
    return MeasuredBlock(values, draws, std)


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


def _posterior_flags(posterior: Posterior, model: Estimator) -> NDArray[np.int32]:
    """Flags that follow from the posterior."""
    low, high = (
        dict(zip(model.infers, percentile.T, strict=True))
        for percentile in posterior.percentile([16, 84])
    )
    edge = at_prior_edge(low, high, model.card.priors)
    strange = np.asarray(posterior.out_of_domain) > 1
    flags = np.where(edge, int(Flag.AT_PRIOR_EDGE), 0)
    flags |= np.where(strange, int(Flag.OUT_OF_DOMAIN), 0)
    return flags.astype(np.int32)
