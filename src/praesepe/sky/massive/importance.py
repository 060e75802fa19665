"""Importance sampling of crowded populations: who is sampled (docs/theory.md, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from praesepe.sky.population.alias import AliasTable
from praesepe.sky.population.binaries import GAUSS, ROUNDING, pair_products
from praesepe.sky.population.isochrone import IsochroneNodes
from praesepe.stars.binaries import Binaries

N_IMPORTANCE = 16
"""Levels of importance sampling; each further one adds the shot noise of more stars and leaves
about a third of the points. The last one samples no star."""

NUMBERS = 4.0 ** np.arange(-60, 31)
"""Between these the numbers of stars are sought whose shot noise joins the detector's."""

LEAST_NOISE = 1e-3
"""Stars of low mass that together have no more of any band's <f²> are not sampled."""

NEGLIGIBLE = 1e-3
"""In binaries, stars this much fainter than some star of lower mass, in every band, count as
non-luminous: their companions outshine them, and would be sampled as rarely as a faint star."""


@dataclass(frozen=True)
class ImportanceSampling:
    """Inclusion probabilities of the stars of one isochrone at all levels of importance sampling.

    Parameters
    ----------
    nodes : IsochroneNodes
    limit : ndarray, shape (band,)
        Lowest flux limit.
    binaries : Binaries or None
    """

    nodes: IsochroneNodes
    limit: np.ndarray
    binaries: Binaries | None

    @cached_property
    def numbers(self) -> np.ndarray:
        """Numbers of stars whose shot noise joins the detector's, for each level but the last.

        Each leaves a third of the points of the one before, by the band that has most of them.
        """
        brightest, fraction = self.nodes.brightest, self.nodes.fraction
        points = np.zeros(1 + len(NUMBERS))
        numbers = np.concatenate(([0.0], NUMBERS))
        mean_square = fraction @ np.ascontiguousarray(brightest.T) ** 2
        for flux, limit, square in zip(brightest, self.limit, mean_square, strict=True):
            order = np.argsort(flux)
            squares, fractions = flux[order] ** 2, fraction[order]
            below = np.concatenate(([0.0], np.cumsum(fractions * squares)))
            above = np.concatenate((np.cumsum(fractions[::-1])[::-1], [0.0]))
            noise = np.maximum(limit**2 + numbers * square, 1e-300)
            fainter = np.searchsorted(squares, noise, side="right")
            points = np.maximum(points, above[fainter] + below[fainter] / noise)
        points = np.log(np.maximum(points, 1e-300))
        wanted = points[0] - np.log(3.0) * np.arange(1, N_IMPORTANCE - 1)
        found = np.interp(-wanted, -points[1:], np.log(NUMBERS))
        return np.concatenate(([0.0], np.exp(found)))

    @cached_property
    def probability(self) -> np.ndarray:
        """Inclusion probability of a star that matters, (level, interval)."""
        square = self.nodes.brightest**2
        up_to = np.cumsum(self.nodes.fraction * square, axis=1)
        ratio = np.zeros((N_IMPORTANCE, square.shape[1]))  # the last level samples no star
        with np.errstate(over="ignore"):
            noise = self.limit**2 + self.numbers[:, None] * up_to[:, -1]  # (level, band)
            for of_band, noise_of_band in zip(square, noise.T, strict=True):
                each = of_band / np.maximum(noise_of_band, 1e-300)[:, None]
                np.maximum(ratio[:-1], each, out=ratio[:-1])
        matters = (up_to > LEAST_NOISE * up_to[:, -1:]).any(0) | (ratio > 1)
        return np.where(matters, np.minimum(ratio, 1), 0)

    @property
    def inclusion(self) -> np.ndarray:
        """Inclusion probability of single stars and primaries, (level, interval)."""
        return np.where(self.negligible, 0, self.probability)

    @cached_property
    def negligible(self) -> np.ndarray:
        """Whether stars are negligible beside stars of lower mass, with binaries; (interval,)."""
        brightest = self.nodes.brightest
        if self.binaries is None:
            return np.zeros(brightest.shape[1], bool)
        negligible = (brightest <= NEGLIGIBLE * np.maximum.accumulate(brightest, axis=1)).all(0)
        return np.asarray(negligible & (brightest.cumsum(1) > 0).any(0))

    @cached_property
    def companions(self) -> tuple[np.ndarray, np.ndarray]:
        """Companions of negligible primaries, in each interval.

        Their number per star of the population, (interval,), and the sum of their primaries'
        quantities, (3 + band, interval).
        """
        assert self.binaries is not None
        (interval,) = np.nonzero(self.negligible)
        primary = self.nodes.stars(interval, 0.5)
        weight = self.binaries.fraction * self.nodes.fraction[interval]
        up_to = self.binaries.cdf(self.nodes.mass_edges / primary[:1].T)  # (primary, node)
        each = np.diff(np.concatenate((weight[None], weight * primary)) @ up_to, axis=1)
        none = self.negligible | (each[0] < ROUNDING * weight.sum())
        return np.where(none, 0, each[0]), np.where(none, 0, each[1:])

    def sampled_companions(self, factor: np.ndarray) -> np.ndarray:
        """What individually sampled companions of negligible primaries take out of the sums.

        Parameters
        ----------
        factor : ndarray, shape (k, interval)
            On the quantities of a star, such as that of dust.

        Returns
        -------
        ndarray, shape (level, k + k (k + 1) / 2)
        """
        number, primary = self.companions
        stars = [self.nodes.stars(slice(None), place) for place in GAUSS]
        own = sum(np.concatenate((star, pair_products(star, star))) for star in stars)
        own = 0.5 * number * own
        own *= np.concatenate((factor, pair_products(factor, factor)))
        mean = factor * sum(stars) / len(stars)
        own[len(mean) :] += pair_products(mean, primary) + pair_products(primary, mean)
        return self.probability @ own.T


class ImportanceLevels:
    """The levels of importance sampling, for `praesepe.sky.population.tables.tabulate`.

    Parameters
    ----------
    limit : ndarray, shape (band,)
        Lowest flux limit, the one that these levels are for.
    binaries : Binaries or None
    """

    n = N_IMPORTANCE

    def __init__(self, limit: np.ndarray, binaries: Binaries | None) -> None:
        self.limit, self.binaries = limit, binaries
        self._companions: list[AliasTable] = []

    def add(
        self, nodes: IsochroneNodes, first_node: int, first_level: int
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]:
        """Inclusion probabilities of the next isochrone, and what companions take out of sums."""
        importance = ImportanceSampling(nodes, self.limit, self.binaries)
        if self.binaries is None:
            return importance.inclusion, None
        number, _ = importance.companions
        never = np.zeros((first_level, len(number)))
        inclusion = np.concatenate((never, importance.probability))
        self._companions.append(AliasTable.build(inclusion, number, first_node=first_node))
        return importance.inclusion, importance.sampled_companions

    @property
    def companions(self) -> AliasTable | None:
        """Of companions of stars that have died or are negligible; None without binaries.

        Their fractions are numbers per star of the population.
        """
        return AliasTable.concatenate(self._companions) if self._companions else None
