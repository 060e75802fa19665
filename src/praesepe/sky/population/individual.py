"""Stars sampled one by one: mass, light and present mass (docs/theory.md, sections 2, 5 and 9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.population.alias import AliasSampler
from praesepe.sky.population.colors import ColorChange
from praesepe.sky.population.extinction import Extinction, attenuation
from praesepe.sky.population.tables import IsochroneTables
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import InitialMassFunction

CHUNK = {"cpu": 1 << 15, "cuda": 1 << 24}
"""Stars drawn at once: few enough to stay in a processor's cache, or in a GPU's memory."""


@dataclass(frozen=True)
class Populations:
    """What the populations of one draw are.

    Attributes
    ----------
    isochrone : Tensor of int64, shape (population,)
    isochrone_level : Tensor of int64, shape (population,)
        (isochrone, level): the isochrone times the number of levels, plus the level.
    n_stars : Tensor of float64, shape (population,)
        Companions not counted.
    extinction : Extinction or None
    colors : ColorChange or None
    binarity : Tensor, shape (population,), or None
        Fraction of the binaries of the tables that each population has; None: all.
    """

    isochrone: Tensor
    isochrone_level: Tensor
    n_stars: Tensor
    extinction: Extinction | None
    colors: ColorChange | None = None
    binarity: Tensor | None = None


class IndividualStars:
    """Draws stars of isochrones.

    Attributes
    ----------
    max_living_mass : Tensor, shape (isochrone,)
        Msun.
    binaries : Binaries or None
    alias : AliasSampler
        Of the stars that are sampled one by one.
    """

    def __init__(
        self,
        tables: IsochroneTables,
        binaries: Binaries | None,
        imf: InitialMassFunction,
        device: torch.device,
    ) -> None:
        def single(values: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32), device=device)

        self.binaries, self.device = binaries, device
        self.alias = AliasSampler(tables.individual, device)
        self._start, self._rise = single(tables.start), single(tables.rise)
        self._bands = slice(1, len(tables.start) - 1)
        self._n_nodes = tables.mass.shape[1]
        self._terms: Tensor | None = None
        if tables.extinction is not None:
            self._terms = single(tables.extinction)  # (term band, isochrone node)
        self.color_terms: Tensor | None = None
        if tables.color_terms is not None:
            self.color_terms = single(tables.color_terms)  # (term, isochrone, node)
        # One ascending list of the masses of all isochrones, in double precision: single precision
        # cannot tell neighbours apart.
        self._mass_span = 2.0 * float(tables.mass.max())
        in_order = np.arange(len(tables.mass))[:, None]
        mass_key = (tables.mass + self._mass_span * in_order).ravel()
        self._mass_key = torch.as_tensor(mass_key, device=device)
        self._lowest_mass = single(tables.lowest_mass)
        self._has_brown_dwarfs = float(imf.edges[0]) < tables.lowest_mass.max()
        self.max_living_mass = single(tables.max_living_mass)

    @property
    def fraction(self) -> Tensor:
        """Fraction of the stars that is individually sampled, (isochrone level,)."""
        return self.alias.fraction

    def draw(
        self,
        value: Tensor,
        population: Tensor,
        populations: Populations,
        *,
        generator: torch.Generator,
        compute_truth: bool,
        alias: AliasSampler | None = None,
        slots: Tensor | None = None,
    ) -> Tensor | None:
        """Draw stars.

        Parameters
        ----------
        value : Tensor, shape (1 + band, star) or (2 + band, star)
            Filled with initial mass, light by band, and, if it has a line for it, present mass.
        population : Tensor of int64, shape (star,)
            Population of each star.
        populations : Populations
        generator : torch.Generator
        compute_truth : bool
            Whether to count the living stars.
        alias : AliasSampler, optional
            Other stars than those of the mass function: they get no companions.
        slots : Tensor of int64, shape (star,), optional
            Filled with the place of each star in the alias table.

        Returns
        -------
        Tensor, shape (star,), or None
            Living stars at this point, 0 to 2; None where the truth is not asked for.
        """
        n, isochrone = len(population), populations.isochrone
        source = self.alias if alias is None else alias
        start, count = (of[populations.isochrone_level] for of in (source.start, source.count))
        max_living, lowest = self.max_living_mass[isochrone], self._lowest_mass[isochrone]
        n_living = torch.empty(n, device=self.device) if compute_truth else None
        for part in _chunks(n, self.device):
            own, here = population[part], value[:, part]
            slot = source.draw(own, start, count, generator)
            node = source.nodes.index_select(0, slot)
            t = torch.rand(node.shape, generator=generator, device=self.device)
            low, rise = (
                table[: len(here)].index_select(1, node) for table in (self._start, self._rise)
            )
            torch.addcmul(low, rise, t, out=here)
            if slots is not None:
                slots[part] = slot
            a_v = None
            if populations.extinction is not None:
                a_v = populations.extinction.of_stars(own, generator)
                here[self._bands] *= self.attenuation(node, a_v)
            if populations.colors is not None:
                here[self._bands] *= populations.colors.of_stars(own, node)
            if n_living is not None:
                n_living[part] = here[0] <= max_living.index_select(0, own)
                if self._has_brown_dwarfs:
                    n_living[part] *= here[0] >= lowest.index_select(0, own)
            if self.binaries is not None and alias is None:
                living = None if n_living is None else n_living[part]
                of_stars = isochrone.index_select(0, own)
                self.add_companions(
                    here, living, of_stars, a_v, generator, populations=populations, population=own
                )
        return n_living

    def attenuation(self, node: Tensor, a_v: Tensor) -> Tensor:
        """Factor of the dust on the light of stars above the given nodes, (band, star)."""
        assert self._terms is not None
        terms = self._terms.index_select(1, node)
        return attenuation(terms.unflatten(0, (-1, len(self._start) - 2)), a_v)

    def light(self, node: Tensor, t: Tensor) -> Tensor:
        """Light of stars at t (0 to 1) between their nodes and the next, (band, star)."""
        return torch.addcmul(self._start[self._bands, node], self._rise[self._bands, node], t)

    def add_companions(
        self,
        value: Tensor,
        n_living: Tensor | None,
        isochrone: Tensor,
        a_v: Tensor | None,
        generator: torch.Generator,
        *,
        populations: Populations | None = None,
        population: Tensor | None = None,
    ) -> None:
        """Add the mass and light of a companion to some stars, in place.

        `value` is that of `draw`; `n_living` (star,) counts the living at each point, `a_v`
        (star,) is the extinction above the tables' lowest. What else differs is told by the
        `populations` and the `population` (star,) of each star.
        """
        assert self.binaries is not None
        u = torch.rand((2, len(isochrone)), generator=generator, device=self.device)
        fraction: float | Tensor = self.binaries.fraction
        if populations is not None and population is not None and populations.binarity is not None:
            fraction = fraction * populations.binarity.index_select(0, population)
        which = torch.nonzero(u[0] < fraction).flatten()
        ratio = self.binaries.ppf(u[1].index_select(0, which))
        mass = value[0].index_select(0, which) * ratio
        isochrone = isochrone.index_select(0, which)
        key = isochrone.double() * self._mass_span + mass
        node = torch.searchsorted(self._mass_key, key, right=True) - 1
        node = torch.maximum(node, isochrone * self._n_nodes)
        start, rise = (
            table[: len(value)].index_select(1, node) for table in (self._start, self._rise)
        )
        t = (mass - start[0]) / rise[0].clamp_min(1e-30)
        companion = start.addcmul_(rise, t.clamp_(0, 1))
        if a_v is not None:
            companion[self._bands] *= self.attenuation(node, a_v.index_select(0, which))
        colors = None if populations is None else populations.colors
        if colors is not None and population is not None:
            companion[self._bands] *= colors.of_stars(population.index_select(0, which), node)
        # A brown dwarf weighs, but does not shine.
        is_star = mass >= self._lowest_mass.index_select(0, isochrone)
        companion[self._bands] *= is_star
        companion[0] = mass
        if n_living is not None:
            companion[-1] = torch.where(is_star, companion[-1], mass)
            alive = is_star & (mass <= self.max_living_mass.index_select(0, isochrone))
            n_living.index_add_(0, which, alive.float())
        value.index_add_(1, which, companion)


def _chunks(n: int, device: torch.device) -> Iterator[slice]:
    size = CHUNK["cpu" if device.type == "cpu" else "cuda"]
    for start in range(0, n, size):
        yield slice(start, start + size)
