"""Stars of populations, drawn in bulk: masses from the IMF, light from isochrones.

Stars brighter than a flux limit are sampled one by one. Those fainter in every band are unresolved:
their totals are drawn, and their light is divided among a few points with the same shot noise.
docs/theory.md explains both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError, listed
from praesepe.progress import Progress
from praesepe.sky.population.colors import ColorChange
from praesepe.sky.population.extinction import Extinction
from praesepe.sky.population.individual import IndividualStars, Populations
from praesepe.sky.population.isochrone import FLUX, LIVING, MASS, PRESENT
from praesepe.sky.population.levels import COMPLETE, EXACT, Levels
from praesepe.sky.population.points import Points, Stars
from praesepe.sky.population.tables import FurtherLevels, IsochroneTables, tabulate
from praesepe.sky.population.unresolved import Unresolved, UnresolvedStars
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import KROUPA2001, InitialMassFunction
from praesepe.stars.magnitudes import StellarTable

Fraction = TypeVar("Fraction", float, Tensor)

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
        all; infinite for a last band of ionising photons, which no image shows. Where `draw` is
        told limits of its own, the lowest of them.
    flux_limit_range : float
        Highest over lowest limit that `draw` may be told.
    imf : InitialMassFunction
        Of single stars and primaries.
    binaries : Binaries, optional
        Unresolved companions, on the isochrone of their primary.
    with_singles : bool
        Whether `draw` may be told a fraction of binaries.
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
    light_mass : Tensor, shape (isochrone,)
        Mass of the stars that give an isochrone's light, Msun.
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
        with_singles: bool = False,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        self._tables = (tables,) if isinstance(tables, StellarTable) else tuple(tables)
        self.device = torch.device(device)
        self.binaries = binaries if binaries is not None and binaries.fraction > 0 else None
        limit = np.asarray(flux_limit, dtype=float)
        further = self._further_levels(limit)
        self.n_bands = int(np.isfinite(limit).sum())
        self.levels = Levels(limit, flux_limit_range, 0 if further is None else further.n)
        tabulated = tabulate(
            self._tables,
            unit_magnitude=np.asarray(unit_magnitude, dtype=float),
            levels=self.levels,
            imf=imf,
            binaries=self.binaries,
            further=further,
            with_singles=with_singles,
            progress=progress,
        )
        table = self._tables[0]
        self.log_age, self.metallicity, self.a_v = table.log_age, table.metallicity, table.a_v
        self._mean_single_mass = float(imf.mean_mass)
        fraction = self.binaries.fraction if self.binaries else 0.0
        self.mean_mass = float(self.mean_mass_with(fraction))
        shapes = [t.mag_ab.shape[:2] for t in self._tables]
        self._first = np.cumsum([0, *(a * z for a, z in shapes)]).tolist()
        self._put_on_device(tabulated, imf)

    def _further_levels(self, limit: np.ndarray) -> FurtherLevels | None:
        """Levels beyond the complete ones, for a flux limit: none here."""
        return None

    def mean_mass_with(self, binary_fraction: Fraction) -> Fraction:
        """Mean initial mass of a star with its companion, Msun, for fractions of binaries."""
        ratio = self.binaries.mean_ratio if self.binaries else 0.0
        return self._mean_single_mass * (1 + ratio * binary_fraction)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {listed(self._tables)} on {self.device}>"

    def _put_on_device(self, tabulated: IsochroneTables, imf: InitialMassFunction) -> None:
        self.individual = IndividualStars(tabulated, self.binaries, imf, self.device)
        self.unresolved = UnresolvedStars(tabulated, self.device)
        self.light_mass = torch.as_tensor(tabulated.light_mass, device=self.device).float()
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
        a_v: Tensor | None = None,
        a_v_scatter: float | Tensor = 0.0,
        colors: Tensor | None = None,
        binary_fraction: Tensor | None = None,
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
        a_v : Tensor, shape (population,), optional
            Mean extinction, mag; by default the lowest of the tables.
        a_v_scatter : float or Tensor, shape (population,)
            Differential extinction, mag: each star has its own A_V, normally distributed about the
            mean with this standard deviation, negative values being set to zero. Values outside
            the tables' range take its end; see `praesepe.stars.magnitudes.a_v_range`.
        colors : Tensor, shape (population, band, term), optional
            Magnitudes by which light differs from that of the isochrones: factors of
            `praesepe.stars.colors.color_terms`. The tables must have these terms.
        binary_fraction : Tensor, shape (population,), optional
            Fraction of the stars with a companion, up to that of the sampler's binaries, which is
            the default; the sampler must have been made `with_singles`.
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
        populations = self.populations(
            isochrone,
            n_stars,
            a_v=a_v,
            a_v_scatter=a_v_scatter,
            colors=colors,
            binary_fraction=binary_fraction,
            light_scale=light_scale,
            flux_limit=flux_limit,
        )
        n_individual, unresolved = self.divide(populations, generator)
        points = self.points([n_individual], unresolved, populations, compute_truth)
        n_living = self.individual.draw(
            points.stars,
            points.population_of_stars,
            populations,
            generator=generator,
            compute_truth=compute_truth,
        )
        stars = self.add_up(points, n_living, unresolved, populations, generator)
        return stars if light_scale is None else stars.scaled(light_scale)

    # The steps of `draw`

    def populations(
        self,
        isochrone: Tensor,
        n_stars: Tensor,
        *,
        a_v: Tensor | None = None,
        a_v_scatter: float | Tensor = 0.0,
        colors: Tensor | None = None,
        binary_fraction: Tensor | None = None,
        light_scale: Tensor | None = None,
        flux_limit: Tensor | None = None,
    ) -> Populations:
        """Populations with the level of each: complete above its limit, or all of few stars."""
        n_stars = n_stars.double()
        level = torch.full_like(isochrone, EXACT)
        if self.levels.limit.any():
            own = self._complete_level(isochrone, flux_limit, light_scale)
            level = torch.where(n_stars <= FEW_STARS, EXACT, own)
        extinction = Extinction.of_populations(self.a_v, a_v, a_v_scatter, like=n_stars)
        binarity = None
        if binary_fraction is not None and self.binaries is not None:
            binarity = (binary_fraction / self.binaries.fraction).clamp(0, 1)
        change, terms = None, self.individual.color_terms
        if colors is not None:
            if terms is None:
                raise InputError(
                    "other colors than the isochrones' need tables of stars with color terms",
                    given=tuple(colors.shape),
                    remedy="build them so",
                )
            unseen = len(self.levels.limit) - self.n_bands
            colors = torch.nn.functional.pad(colors, (0, 0, 0, unseen))
            change = ColorChange.of_populations(colors, isochrone, terms)
        return Populations(
            isochrone, isochrone * self.levels.n + level, n_stars, extinction, change, binarity
        )

    def divide(
        self, populations: Populations, generator: torch.Generator
    ) -> tuple[Tensor, Unresolved]:
        """Numbers of individually sampled stars, (population,), and the unresolved ones."""
        level, n_stars = populations.isochrone_level, populations.n_stars
        fraction = self.individual.fraction[level].clamp(0, 1)
        n_individual = torch.binomial(n_stars, fraction, generator=generator)
        unresolved = self.unresolved.draw(
            level,
            n_stars - n_individual,
            populations.extinction,
            populations.colors,
            populations.binarity,
            generator=generator,
        )
        return n_individual, unresolved

    def points(
        self,
        counts: list[Tensor],
        unresolved: Unresolved,
        populations: Populations,
        compute_truth: bool,
    ) -> Points:
        """Points of unresolved light, and beside them room for stars in these numbers."""
        mass = self.unresolved.mass_bins[populations.isochrone_level, :, 0].mean(1)
        n_values = (2 if compute_truth else 1) + len(unresolved.flux)
        return Points(counts, unresolved, mass, n_values=n_values)

    def add_up(
        self,
        points: Points,
        n_living: Tensor | None,
        unresolved: Unresolved,
        populations: Populations,
        generator: torch.Generator,
    ) -> Stars:
        """Points with the totals of their populations, and the truth if the living are counted."""
        total, truth = unresolved.total, {}
        if n_living is not None:
            brightest = self._brightest.light(populations, unresolved.n_stars, generator)
            truth = {
                "present_mass": total[:, PRESENT] + points.total(points.stars[-1]),
                "n_living": total[:, LIVING].round() + points.total(n_living),
                "brightest": points.brightest(brightest).T[:, : self.n_bands],
            }
        light = total[:, FLUX:] + points.light()
        if light.shape[1] > self.n_bands:
            truth["ionising"] = light[:, -1]
        return Stars(
            population=points.population,
            flux=points.flux[: self.n_bands],
            star_mass=points.value[0],
            mass=total[:, MASS] + points.total(points.stars[0]),
            light=light[:, : self.n_bands],
            **truth,
        )

    def _complete_level(
        self, isochrone: Tensor, flux_limit: Tensor | None, light_scale: Tensor | None
    ) -> Tensor:
        """Each population's level of completeness: its flux limit or the next lower one."""
        if flux_limit is None:
            return torch.full_like(isochrone, COMPLETE)
        limit = flux_limit if light_scale is None else flux_limit / light_scale
        lowest = torch.as_tensor(self.levels.limit[: self.n_bands], device=self.device)
        ratio = (limit.double() / lowest).amin(1)
        factors = torch.as_tensor(self.levels.factors, device=self.device)
        level = torch.searchsorted(factors, ratio * (1 + 1e-6), right=True) - 1
        if bool((level < 0).any()):
            raise InputError(
                f"a flux limit of {float(ratio.min()):.4g} times the sampler's lowest",
                given=float(ratio.min()),
                allowed="1 or more times the lowest",
                remedy="build the sampler with a lower flux_limit",
            )
        return COMPLETE + level


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
        if populations.colors is not None:
            flux = flux * populations.colors.of_stars(torch.arange(len(n), device=n.device), node)
        return flux * (n > 0)


def _nearest(values: Tensor, grid: np.ndarray) -> Tensor:
    """Position of the nearest value of an ascending grid."""
    middle = torch.as_tensor(0.5 * (grid[1:] + grid[:-1]), device=values.device)
    return torch.bucketize(values.to(middle.dtype), middle)
