"""From stamps to percentiles and flags, block by block, so that memory does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.flags import Flag
from praesepe.inference.columns import Columns, ModelContext, empty_columns, summarise
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior

if TYPE_CHECKING:
    from praesepe.images.cutouts import Stamps
    from praesepe.images.mosaic import Mosaic

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
        for name, least in (("n_samples", 1), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(
                    f"{name} = {value}: the least that is allowed is {least}", given=value
                )


@dataclass(frozen=True)
class Block:
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


def measure(
    model: Estimator,
    mosaic: Mosaic,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    sampling: Sampling,
) -> Iterator[tuple[slice, Block]]:
    """Cut, infer and summarise block by block.

    Parameters
    ----------
    model : Estimator
    mosaic : Mosaic
    x, y : ndarray, shape (N,)
        Zero-based pixel positions on the mosaic.
    sampling : Sampling

    Yields
    ------
    rows : slice
        The rows of this block.
    block : Block
    """
    from praesepe.images.cutouts import iter_stamps

    start = 0
    for stamps in iter_stamps(mosaic, x, y, model.survey.stamp_size, ROWS_AT_ONCE):
        rows = slice(start, start + len(stamps))
        yield rows, infer_block(model, stamps, sampling, start)
        start = rows.stop


def infer_block(model: Estimator, stamps: Stamps, sampling: Sampling, first: int) -> Block:
    """Percentiles, flags and draws of one block of stamps.

    Parameters
    ----------
    model : Estimator
    stamps : Stamps
    sampling : Sampling
    first : int
        Row of the first stamp in the catalogue; its draws belong to it.

    Returns
    -------
    Block
    """
    n, infers = len(stamps), sampling.infers
    values = empty_columns(n, infers)
    values["missing_fraction"] = np.asarray(stamps.missing_fraction, dtype=np.float64)
    flags = np.asarray(stamps.flags, dtype=np.int32).copy()
    draws = np.full((n, sampling.n_samples, len(infers)), np.nan, dtype=np.float32)
    used = np.flatnonzero(stamps.usable)
    if used.size:
        posterior = model.predict(
            stamps.images[used],
            n_samples=sampling.n_samples,
            seed=sampling.seed,
            rows=first + used,
        )
        draws[used] = posterior.samples
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
    return Block(values, draws, draws.std(axis=1))


def at_prior_edge(
    low: Mapping[str, ArrayLike],
    high: Mapping[str, ArrayLike],
    priors: Mapping[str, tuple[float, float]],
) -> NDArray[np.bool_]:
    """Tell which posteriors reach an edge of the prior, so that the truth may lie beyond it.

    Parameters
    ----------
    low, high : mapping of str to array_like, each of shape (n,)
        Percentiles 16 and 84 of inferred quantities.
    priors : mapping of str to (float, float)
        Ends of their priors.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where one of them lies within 2 % of the prior's range from its edge, or beyond. An
        edge at the end of what is physical (the age of the Universe, no extinction) does not count.
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
