"""Sums of the quantities of all stars in an interval of an isochrone, and of their products.

See docs/theory.md, sections 4 and 5.
"""

from __future__ import annotations

import numpy as np

from praesepe.sky.population.binaries import GAUSS, Companions, pair_products
from praesepe.sky.population.isochrone import IsochroneNodes
from praesepe.stars.binaries import Binaries


def interval_sums(nodes: IsochroneNodes, binaries: Binaries | None, a_v: np.ndarray) -> np.ndarray:
    """Sums over each interval of a star's quantities and of the products of pairs of them.

    A binary is one star with the mass and the light of both.

    Parameters
    ----------
    nodes : IsochroneNodes
    binaries : Binaries or None
    a_v : ndarray, shape (x,)
        Extinctions above that of the isochrone, mag; the first is 0.

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
    out = np.empty((len(a_v), *sums.shape))
    for sums_at_x, x in zip(out, a_v, strict=True):
        factor = nodes.attenuation(x)
        factor = np.concatenate((factor, pair_products(factor, factor)))
        np.multiply(sums, factor, out=sums_at_x)
        if companions is not None:
            sums_at_x += companions.sums(factor)
    return out
