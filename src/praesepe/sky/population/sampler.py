"""Stars of populations, drawn in bulk: masses from the IMF, light from isochrones.

Stars brighter than a flux limit are sampled one by one. Those fainter in every band are unresolved:
their totals are drawn, and their light is divided among a few points with the same shot noise.
docs/theory.md explains both. Where a population is crowded, so that even stars above the limit
blend, `praesepe.sky.population.crowded` takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.progress import Progress
from praesepe.sky.population.crowded import CrowdedPopulations
from praesepe.sky.population.extinction import Extinction
from praesepe.sky.population.individual import IndividualStars, Populations, Sampled
from praesepe.sky.population.isochrone import FLUX, LIVING, MASS, PRESENT
from praesepe.sky.population.levels import COMPLETE, EXACT, Levels
from praesepe.sky.population.memory import check_fits
from praesepe.sky.population.points import Stars
from praesepe.sky.population.tables import IsochroneTables, tabulate
from praesepe.sky.population.unresolved import Unresolved, UnresolvedStars
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import KROUPA2001, InitialMassFunction
from praesepe.stars.magnitudes import StellarTable

MAX_POINTS = 1 << 13
"""Most individually sampled stars of one population, unless the flux limit is zero, a mean number;
and most points that share its unresolved light. A crowded population has no more than both
together."""

FEW_STARS = 64
"""Populations of no more stars are drawn star by star: their sums are far from a normal law."""


class StarSampler:
    """Draws the stars of many populations at once.

    Parameters
    ----------
    tables : StellarTable or sequence of StellarTable
        Isochrones with absolute AB magnitudes, of one stellar model or several. Ages and
        metallicities may differ, bands and the range of extinction not.
    unit_magnitude : sequence of float
        In each band, the absolute AB magnitude of a star of unit light. With the zero point minus
        the distance modulus, light is in e-/s at that distance; with 0, it is absolute.
    flux_limit : sequence of float
        In each band, the light below which a star cannot be told apart, in the same unit; 0: draw
        all. Where `draw` is told limits of its own, the lowest of them.
    flux_limit_range : float
        Highest over lowest limit that `draw` may be told.
    imf : InitialMassFunction
        Of single stars and primaries.
    binaries : Binaries, optional
        Unresolved companions, on the isochrone of their primary.
    device : torch.device or str
        Where stars are drawn.
    progress : callable, optional
        Called with (done, total), the numbers of isochrones, as they are tabulated.

    Attributes
    ----------
    log_age, metallicity : ndarray, shapes (A,), (Zn,)
        Of the first table.
    mean_mass : float
        Mean initial mass of a star with its companion, Msun.
    a_v : tuple of float
        Range of extinction of the tables, mag.

    Raises
    ------
    InputError
        For tables that do not belong together, or another number of bands.
    """

    def __init__(
        self,
        tables: StellarTable | Sequence[StellarTable],
        *,
        unit_magnitude: Sequence[float],
        flux_limit: Sequence[float],
        flux_limit_range: float = 1.0,
        imf: InitialMassFunction = KROUPA2001,
        binaries: Binaries | None = None,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        self._tables = (tables,) if isinstance(tables, StellarTable) else tuple(tables)
        self.device = torch.device(device)
        self.binaries = binaries if binaries is not None and binaries.fraction > 0 else None
        self.levels = Levels(np.asarray(flux_limit, dtype=float), flux_limit_range)
        tabulated = tabulate(
            self._tables,
            unit_magnitude=np.asarray(unit_magnitude, dtype=float),
            levels=self.levels,
            imf=imf,
            binaries=self.binaries,
            progress=progress,
        )
        table = self._tables[0]
        self.log_age, self.metallicity, self.a_v = table.log_age, table.metallicity, table.a_v
        companions = self.binaries.fraction * self.binaries.mean_ratio if self.binaries else 0.0
        self.mean_mass = float(imf.mean_mass) * (1 + companions)
        shapes = [t.mag_ab.shape[:2] for t in self._tables]
        self._first = np.cumsum([0, *(a * z for a, z in shapes)]).tolist()
        self._n_bands = len(flux_limit)
        self.individual = IndividualStars(tabulated, self.binaries, imf, self.device)
        self.unresolved = UnresolvedStars(tabulated, self.device)
        self._crowded = CrowdedPopulations(tabulated, self.individual, self.device)
        self._brightest = _BrightestUnresolved(tabulated, imf, self.individual, self.device)

    def nearest_isochrone(self, model: Tensor, log_age: Tensor, log_z: Tensor) -> Tensor:
        """Index of the isochrone nearest in age and metallicity.

        Parameters
        ----------
        model : Tensor of int64, shape (n,)
            Position of each population's table in the sampler's.
        log_age, log_z : Tensor, shape (n,)
            log10(age/yr), log10 of the mass fraction of metals; beyond the ends of a table, its
            end is taken.

        Returns
        -------
        Tensor of int64, shape (n,)
        """
        isochrone = torch.zeros_like(model)
        for k, table in enumerate(self._tables):
            i_age = _nearest(log_age, table.log_age)
            i_z = _nearest(log_z, np.log10(table.metallicity))
            found = self._first[k] + i_age * len(table.metallicity) + i_z
            isochrone = torch.where(model == k, found, isochrone)
        return isochrone

    def draw(
        self,
        isochrone: Tensor,
        n_stars: Tensor,
        *,
        generator: torch.Generator,
        max_points: int | Tensor = MAX_POINTS,
        a_v: Tensor | None = None,
        a_v_scatter: float = 0.0,
        light_scale: Tensor | None = None,
        flux_limit: Tensor | None = None,
        compute_truth: bool = True,
    ) -> Stars:
        """Draw populations of given numbers of stars.

        Parameters
        ----------
        isochrone : Tensor of int64, shape (population,)
            Index of each population's isochrone; see `nearest_isochrone`.
        n_stars : Tensor, shape (population,)
            Number of stars to draw, living and dead, companions not counted.
        generator : torch.Generator
            Source of randomness.
        max_points : int or Tensor of int64, shape (population,)
            Most individually sampled stars of one population, and most points that share its
            unresolved light. A population that needs more of either is crowded: it gets twice as
            many points at most, and the rest of its light is in `Stars.diffuse`.
        a_v : Tensor, shape (population,), optional
            Mean extinction, mag; by default the lowest of the tables.
        a_v_scatter : float
            Differential extinction, mag: each star has its own A_V, normally distributed about the
            mean with this standard deviation, negative values being set to zero. Values outside
            the tables' range take its end; see `praesepe.stars.magnitudes.a_v_range`.
        light_scale : Tensor, shape (population, band), optional
            Factor on all light: zero point and distance, where they differ between populations.
            By default 1.
        flux_limit : Tensor, shape (population, band), optional
            Light, with this factor, below which a star cannot be told apart; by default the
            sampler's own limit times the factor.
        compute_truth : bool
            Whether to count the living stars, find the brightest and add up the present-day mass.

        Returns
        -------
        Stars

        Raises
        ------
        InputError
            For an extinction that the tables do not cover, a flux limit outside the sampler's
            range, or more stars than fit into memory.
        """
        n_stars = n_stars.to(torch.float64)
        isochrone_level = self._isochrone_level(
            isochrone, n_stars, max_points, light_scale=light_scale, flux_limit=flux_limit
        )
        extinction = Extinction.of_populations(self.a_v, a_v, a_v_scatter, like=n_stars)
        populations = Populations(isochrone, isochrone_level, extinction)
        crowded = isochrone_level % self.levels.n >= self.levels.importance
        any_crowded = bool(crowded.any())

        fraction = self.individual.fraction[isochrone_level].clamp(0, 1)
        n_individual = torch.binomial(n_stars, fraction, generator=generator)
        n_unresolved = n_stars - n_individual
        unresolved = self.unresolved.draw(
            isochrone_level, n_unresolved, extinction, has_points=~crowded, generator=generator
        )
        more = (
            self._crowded.n_companions(isochrone_level, n_stars, generator) if any_crowded else None
        )
        points = _Points(
            [n_individual, more, unresolved.counts.sum(1)],
            n_values=(2 if compute_truth else 1) + self._n_bands,
            device=self.device,
        )
        mass_bins = self.unresolved.mass_bins[isochrone_level]
        points.set_unresolved(unresolved, mass_bins[..., 0].mean(1))
        draw: Callable[..., Sampled] = self.individual.draw
        if any_crowded:
            draw = partial(self._crowded.draw, n_single=points.n_single)
        sampled = draw(
            points.stars,
            points.population_of_stars,
            populations,
            generator=generator,
            compute_truth=compute_truth,
        )

        flux = points.stars[1 : 1 + self._n_bands]
        light = unresolved.total[:, FLUX:] + points.totals(flux)
        truth: dict[str, Tensor] = {}
        if compute_truth:
            brightest = self._brightest.light(populations, n_unresolved, generator)
            truth = {
                "present_mass": unresolved.total[:, PRESENT] + points.total(points.stars[-1]),
                "n_living": unresolved.total[:, LIVING].round() + points.total(sampled.n_living),
                "brightest": points.brightest(flux, brightest).T,
            }
        diffuse = torch.zeros_like(light)
        if any_crowded:
            flux *= sampled.flux_weight
            diffuse = (light - points.totals(flux)).clamp_min_(0) * crowded[:, None]
        stars = Stars(
            population=points.population,
            flux=points.value[1 : 1 + self._n_bands],
            star_mass=points.value[0],
            mass=unresolved.total[:, MASS] + points.total(points.stars[0]),
            light=light,
            diffuse=diffuse,
            mass_bins=mass_bins,
            **truth,
        )
        return stars if light_scale is None else stars.scaled(light_scale)

    def is_crowded(
        self,
        isochrone: Tensor,
        n_stars: Tensor,
        *,
        light_scale: Tensor | None = None,
        flux_limit: Tensor | None = None,
    ) -> Tensor:
        """Whether so many stars lie above the flux limit that their own noise has to join it.

        Parameters
        ----------
        isochrone, n_stars : Tensor, shape (population,)
            As for `draw`.
        light_scale, flux_limit : Tensor, shape (population, band), optional
            As for `draw`.

        Returns
        -------
        Tensor of bool, shape (population,)
        """
        isochrone_level = self._isochrone_level(
            isochrone, n_stars.double(), MAX_POINTS, light_scale=light_scale, flux_limit=flux_limit
        )
        return isochrone_level % self.levels.n > self.levels.importance

    def _complete_level(
        self, isochrone: Tensor, flux_limit: Tensor | None, light_scale: Tensor | None
    ) -> Tensor:
        """Each population's level of completeness: its flux limit or the next lower one."""
        if flux_limit is None:
            return torch.full_like(isochrone, COMPLETE)
        limit = flux_limit if light_scale is None else flux_limit / light_scale
        lowest = torch.as_tensor(self.levels.limit, device=self.device)
        ratio = (limit.double() / lowest).amin(1)
        factors = torch.as_tensor(self.levels.factors, device=self.device)
        level = torch.searchsorted(factors, ratio * (1 + 1e-6), right=True) - 1
        if bool((level < 0).any()):
            raise InputError(
                f"a flux limit of {float(ratio.min()):.4g} times the sampler's lowest: build the "
                "sampler with a lower flux_limit"
            )
        return COMPLETE + level

    def _isochrone_level(
        self,
        isochrone: Tensor,
        n_stars: Tensor,
        max_points: int | Tensor,
        *,
        light_scale: Tensor | None,
        flux_limit: Tensor | None,
    ) -> Tensor:
        """(isochrone, level) of each population: the first level that leaves few enough points."""
        levels, first = self.levels, isochrone * self.levels.n
        if not levels.limit.any():
            return first + EXACT
        most = torch.as_tensor(max_points, device=self.device).expand(len(isochrone))
        level = torch.arange(levels.n, device=self.device)
        candidates = first[:, None] + level  # (population, level)
        individual = n_stars[:, None] * self._crowded.points_per_star[candidates]
        few = individual <= most[:, None] * torch.where(level < levels.importance, 1, 2)
        few[:, EXACT] = n_stars <= FEW_STARS
        own = self._complete_level(isochrone, flux_limit, light_scale)
        few[:, COMPLETE : levels.importance] &= level[COMPLETE : levels.importance] == own[:, None]
        n_unresolved = n_stars - individual.gather(1, own[:, None])[:, 0]
        needed = n_unresolved[:, None] * self.unresolved.points_per_star[first + own]
        few[:, COMPLETE : levels.importance] &= (needed.amax(1) <= most)[:, None]
        return first + few.int().argmax(1)


class _Points:
    """Points of light of a draw, (value, point), those of one kind side by side.

    The kinds are individual stars (`n_single` of them), more stars of crowded populations, and
    points of unresolved light; their `counts` (population,) are given in this order. The values are
    mass, light by band, and present mass if it is asked for.
    """

    def __init__(
        self, counts: Sequence[Tensor | None], *, n_values: int, device: torch.device
    ) -> None:
        every = [count.long() for count in counts if count is not None]
        self._of_stars = every[:-1]
        self._numbers = [int(count.sum()) for count in self._of_stars]
        self.n_single, self._n_stars = self._numbers[0], sum(self._numbers)
        check_fits(self._n_stars, n_values, device)
        self.population = torch.cat([torch.repeat_interleave(count) for count in every])
        self.value = torch.empty((n_values, len(self.population)), device=device)

    @property
    def stars(self) -> Tensor:
        """Values of all stars, (value, star)."""
        return self.value[:, : self._n_stars]

    @property
    def population_of_stars(self) -> Tensor:
        """Population of each star."""
        return self.population[: self._n_stars]

    def set_unresolved(self, unresolved: Unresolved, mass: Tensor) -> None:
        """Put unresolved light, and the mass (population,) that it comes from, into its points."""
        group = torch.repeat_interleave(unresolved.counts.flatten())
        value, own = self.value[:, self._n_stars :], self.population[self._n_stars :]
        value[0] = mass.index_select(0, own)
        value[1 : 1 + len(unresolved.flux)] = unresolved.flux.index_select(1, group)

    def brightest(self, flux: Tensor, least: Tensor) -> Tensor:
        """Highest of the stars' fluxes (band, star) and of `least`, (band, population)."""
        for of_band, flux_of_band in zip(least, flux, strict=True):
            of_band.scatter_reduce_(0, self.population_of_stars, flux_of_band, "amax")
        return least

    def total(self, values: Tensor) -> Tensor:
        """Sum over the stars of each population, (population,), of values (star,)."""
        parts = zip(values.split(self._numbers), self._of_stars, strict=True)
        sums = [
            torch.segment_reduce(part, "sum", lengths=count, unsafe=True, initial=0)
            for part, count in parts
            if len(part)
        ]
        return sum(sums, torch.zeros(len(self._of_stars[0]), device=values.device))

    def totals(self, values: Tensor) -> Tensor:
        """The same for values (band, star): (population, band)."""
        return torch.stack([self.total(of_band) for of_band in values], 1)


class _BrightestUnresolved:
    """Light of the most massive living star among the unresolved ones."""

    def __init__(
        self,
        tables: IsochroneTables,
        imf: InitialMassFunction,
        individual: IndividualStars,
        device: torch.device,
    ) -> None:
        self._individual, self._n_nodes = individual, tables.cdf.shape[1]
        # One ascending list of all isochrones: isochrone i holds the values from i to i + 1.
        key = (tables.cdf + np.arange(len(tables.cdf))[:, None]).ravel()
        self._key = torch.as_tensor(key, device=device)
        self._below = torch.as_tensor(tables.below.ravel(), device=device)
        self._living = torch.as_tensor(imf.cdf(tables.max_living_mass), device=device)

    def light(
        self, populations: Populations, n_unresolved: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Draw it for each population, (band, population); 0 where there is none."""
        isochrone, isochrone_level = populations.isochrone, populations.isochrone_level
        highest = torch.minimum(self._below[isochrone_level], self._living[isochrone])
        unresolved = (1 - self._individual.fraction[isochrone_level]).clamp_min(1e-12)
        n = n_unresolved * highest / unresolved
        u = torch.rand(len(n), generator=generator, device=n.device, dtype=torch.float64)
        at = isochrone + highest * u ** (1 / n.clamp_min(1e-12))  # the highest of n even deviates
        node = torch.searchsorted(self._key, at, right=True) - 1
        first = isochrone * self._n_nodes
        node = node.clamp(first, first + self._n_nodes - 2)
        width = (self._key[node + 1] - self._key[node]).clamp_min(1e-300)
        t = ((at - self._key[node]) / width).clamp(0, 1).float()
        flux = self._individual.light(node, t)
        if populations.extinction is not None:
            flux = flux * self._individual.attenuation(node, populations.extinction.mean)
        return flux * (n > 0)


def _nearest(values: Tensor, grid: np.ndarray) -> Tensor:
    """Position of the nearest value of an ascending grid."""
    middle = torch.as_tensor(0.5 * (grid[1:] + grid[:-1]), device=values.device)
    return torch.bucketize(values.to(middle.dtype), middle)
