"""Sums of the quantities of all stars in an interval of an isochrone, and of their products.

See docs/theory.md, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from praesepe.sky.population.binaries import GAUSS, Companions, pair_products
from praesepe.sky.population.isochrone import IsochroneNodes
from praesepe.stars.binaries import Binaries


def interval_sums(
    nodes: IsochroneNodes, binaries: Binaries | None, factors: Sequence[np.ndarray]
) -> np.ndarray:
    """Sums over each interval of a star's quantities and of the products of pairs of them.

    A binary is one star with the mass and the light of both.

    Parameters
    ----------
    nodes : IsochroneNodes
    binaries : Binaries or None
    factors : sequence of x ndarray, each of shape (k, interval)
        On the quantities of a star, such as those of dust; see `IsochroneNodes.attenuation`.

    Returns
    -------
    ndarray, shape (x, k + k (k + 1) / 2, interval)
        For k = 3 + band quantities (see `praesepe.sky.population.isochrone.MASS`), per star of the
        population.
    """
    n = len(nodes.fraction)
    star = nodes.stars(np.repeat(np.arange(n), 2), np.tile(GAUSS, n))
    sums = np.concatenate((star, pair_products(star, star)))
    sums *= np.repeat(nodes.fraction / 2, 2)
    sums = sums[:, ::2] + sums[:, 1::2]
    companions = None if binaries is None else Companions(nodes, binaries)
    out = np.empty((len(factors), *sums.shape))
    for sums_at_x, factor in zip(out, factors, strict=True):
        factor = np.concatenate((factor, pair_products(factor, factor)))
        np.multiply(sums, factor, out=sums_at_x)
        if companions is not None:
            sums_at_x += companions.sums(factor)
    return out
