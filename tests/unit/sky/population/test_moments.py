"""Sums over the stars of an interval, with companions and dust, against sums by brute force."""

import numpy as np
import pytest

from praesepe.sky.population.binaries import pair_products
from praesepe.sky.population.isochrone import LIVING, MASS, PRESENT, IsochroneNodes, node_masses
from praesepe.sky.population.moments import interval_sums
from praesepe.stars import KROUPA2001
from praesepe.stars.binaries import Binaries

MASSES = np.array([0.1, 0.3, 0.8, 1.5, 2.9, 3.0, 3.1, 120.0])
"""Giants from 2.9 to 3 Msun; what is heavier is dead."""

EVERY = [Binaries(0.5), Binaries(0.4, (0.2, 0.9), 0.6), Binaries(0.3, (0.7, 0.7))]


def nodes_with(binaries):
    node = node_masses(MASSES, KROUPA2001, binaries)
    cdf = KROUPA2001.cdf(node)
    flux = np.column_stack((MASSES**3, MASSES**2))
    flux[5] *= 100
    flux[6:] = 0
    dust = 0.9 + 0.1 * np.arange(2)[:, None] + 0.02 * np.arange(len(MASSES))[:, None, None]
    present = np.where(MASSES > 3, 0.6, MASSES)
    return IsochroneNodes.build(node, cdf, MASSES, present, flux, dust, max_living_mass=3.0)


def quantities(nodes, mass, a_v):
    """Of single stars of any mass, (5, star); an interval is alive or not as a whole."""
    edges = nodes.mass_edges
    interval = np.clip(np.searchsorted(edges, mass, side="right") - 1, 0, len(edges) - 2)
    step = (mass - edges[interval]) / nodes.rise[0, interval]
    star = nodes.stars(interval, step) * nodes.attenuation(a_v)[:, interval]
    star[LIVING] = nodes.stars(interval, 0.5)[LIVING]
    brown = mass < edges[0]
    star[:, brown] = 0
    star[MASS, brown] = star[PRESENT, brown] = mass[brown]
    return star


def by_brute_force(nodes, binaries, interval, a_v, n_primaries=30, n_ratios=10_000):
    place, ratio = ((np.arange(n) + 0.5) / n for n in (n_primaries, n_ratios))
    primary = nodes.start[0, interval] + place * nodes.rise[0, interval]
    star = quantities(nodes, primary, a_v)
    companion = quantities(nodes, np.outer(primary, binaries.ppf(ratio)).ravel(), a_v)
    both = np.repeat(star, n_ratios, axis=1) + companion
    alone, paired = (np.concatenate((x, pair_products(x, x))).mean(axis=1) for x in (star, both))
    return nodes.fraction[interval] * (alone + binaries.fraction * (paired - alone))


@pytest.mark.parametrize("binaries", EVERY)
def test_sums_over_binaries(binaries):
    nodes = nodes_with(binaries)
    a_v = np.array([0.0, 1.5])
    factors = [nodes.attenuation(x) for x in a_v]
    sums = interval_sums(nodes, binaries, factors)
    single = interval_sums(nodes, None, factors)
    edges = nodes.mass_edges
    for mass in (0.1, 0.4, 1.1, 2.95, 3.05, 3.5, 20.0):
        i = int(np.searchsorted(edges, mass)) - 1
        for x, found, alone in zip(a_v, sums, single, strict=True):
            expected = by_brute_force(nodes, binaries, i, x)
            np.testing.assert_allclose(found[:, i], expected, rtol=5e-3)
            assert alone[MASS, i] < 0.9 * expected[MASS]
            np.testing.assert_array_equal(found[:, i] == 0, expected == 0)
