"""Stars of a population, drawn in bulk: masses from the IMF, light from the isochrones.

A row is one isochrone (an age at a metallicity of a stellar model). Stars brighter than a limit are
drawn one by one. Those fainter in every band cannot be told apart in the image: their number, total
mass and total light are drawn, and the light of each band is divided among so many equal points
that their shot noise is that of the stars: N <f>² / <f²> for N stars of flux f.

In heavy populations even the brighter stars blend: their own shot noise joins the noise s in which
no star can be told apart. Stars of flux f below s are thinned to the share (f / s)², each with the
light of s / f stars, which have the same shot noise, and the same between any two bands. What is
then missing of the population's light is spread smoothly.

A binary is a star like any other whose light and mass are those of both its stars; dust dims each
star by its own extinction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.check import check_tables
from praesepe.sky.population.alias import SlotTable
from praesepe.sky.population.memory import check_fits
from praesepe.sky.population.points import Stars
from praesepe.sky.population.tables import (
    ALL,
    FLUX,
    LIVING,
    MASS,
    N_STEPS,
    PRESENT,
    THINNED,
    WHOLE,
    tabulate,
)
from praesepe.sky.population.unresolved import (
    Dust,
    Faint,
    dimming,
    dusty,
    effective_number,
    nested_points,
    root,
)
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import KROUPA2001, InitialMassFunction
from praesepe.stars.population import StellarTable

MAX_POINTS = 1 << 13
"""Most stars of one population drawn singly, unless the flux limit is zero, a mean number; and most
points that share its faint light. A thinned population has no more than both together."""

FEW_STARS = 64
"""Populations of no more stars are drawn star by star: their sums are far from a normal law."""

CHUNK = {"cpu": 1 << 15, "cuda": 1 << 24}
"""Stars drawn at once: few enough to stay in a processor's cache, or in a GPU's memory."""


class StarSampler:
    """Draws the stars of many populations at once.

    Parameters
    ----------
    tables : StellarTable or sequence of StellarTable
        Isochrones with absolute AB magnitudes, of one stellar model or several. Ages and
        metallicities may differ, bands and the range of extinction not.
    zero_points : sequence of float
        AB magnitude of 1 e-/s in each band.
    distance_modulus : float
        mag.
    flux_limit : sequence of float
        In each band, the flux (e-/s) below which a star cannot be told apart; 0: draw all.
    imf : InitialMassFunction
        Of single stars and primaries.
    binaries : Binaries, optional
        Unresolved companions, on the isochrone of their primary.
    device : torch.device or str
        Where stars are drawn.

    Attributes
    ----------
    n_models : int
        Number of tables.
    log_age, metallicity : ndarray, shapes (A,), (Zn,)
        Of the first table.
    present_fraction : ndarray, shape (A, Zn)
        Present-day mass per unit of initial mass, of the first table and single stars.
    mean_mass : float
        Mean initial mass of a star with its companion, Msun.
    a_v : tuple of float
        Range of extinction of the tables, mag.

    Raises
    ------
    InputError
        For tables that do not belong together, or zero points that do not match them.
    """

    def __init__(
        self,
        tables: StellarTable | Sequence[StellarTable],
        *,
        zero_points: Sequence[float],
        distance_modulus: float,
        flux_limit: Sequence[float],
        imf: InitialMassFunction = KROUPA2001,
        binaries: Binaries | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._tables = (tables,) if isinstance(tables, StellarTable) else tuple(tables)
        check_tables(self._tables, zero_points)
        table = self._tables[0]
        self.device = torch.device(device)
        self.n_models = len(self._tables)
        self.log_age, self.metallicity, self.a_v = table.log_age, table.metallicity, table.a_v
        self.binaries = binaries if binaries is not None and binaries.fraction > 0 else None
        companions = self.binaries.fraction * self.binaries.mean_ratio if self.binaries else 0.0
        self.mean_mass = float(imf.mean_mass) * (1 + companions)
        self._draw_all = not np.any(np.asarray(flux_limit) > 0)
        rows = tabulate(
            self._tables,
            magnitude_of_unit_flux=np.asarray(zero_points) - distance_modulus,
            limit=np.asarray(flux_limit, dtype=float),
            imf=imf,
            binaries=self.binaries,
        )
        shapes = [t.mag_ab.shape[:2] for t in self._tables]
        self._first_row = np.cumsum([0, *(a * z for a, z in shapes)]).tolist()
        self.present_fraction = rows.present_fraction[: self._first_row[1]].reshape(shapes[0])
        self._n_nodes = rows.n_nodes
        self._n_bands = len(zero_points)
        self._start, self._rise = self._float(rows.start), self._float(rows.rise)
        self._dust = None if rows.dust is None else self._float(rows.dust)
        # One ascending list of all rows: row i holds the values from i to i + 1.
        in_order = np.arange(len(rows.cdf))[:, None]
        self._key = self._tensor((rows.cdf + in_order).ravel())
        self._mass_span = 2.0 * float(rows.mass.max())
        self._mass_key = self._tensor((rows.mass + self._mass_span * in_order).ravel())
        self._lowest_mass = self._float(rows.lowest_mass)
        self._has_brown = float(imf.edges[0]) < rows.lowest_mass.max()
        self._dead_mass = self._float(rows.dead_mass)
        self._below_dead = self._tensor(imf.cdf(rows.dead_mass))
        # One entry for each row and each step of the limit.
        self._share = self._tensor(rows.share.ravel())
        self._below = self._tensor(rows.below.ravel())
        self._faint_mean = self._tensor(rows.mean).flatten(0, 1)
        self._faint_second = self._tensor(rows.second).flatten(0, 1)
        self._mean_dust = None
        if rows.mean_dust is not None and rows.second_dust is not None:
            self._mean_dust = self._tensor(rows.mean_dust).flatten(0, 1)
            self._second_dust = self._tensor(rows.second_dust).flatten(0, 1)
        self._faint_root = root(self._faint_mean, self._faint_second)
        self._faint_points_per_star = effective_number(self._faint_mean, self._faint_second)
        self._light_groups = self._float(rows.light_groups).flatten(0, 1)
        self._slots = SlotTable(rows.slots, self.device)
        self._companions, self._points_per_star = None, self._share
        if rows.companions is not None:
            self._companions = SlotTable(rows.companions, self.device)
            self._points_per_star = self._share + self._companions.share

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def _float(self, values: np.ndarray) -> Tensor:
        return self._tensor(values.astype(np.float32))

    def row(self, i_age: Tensor, i_metallicity: Tensor | int = 0) -> Tensor:
        """Index of the isochrone at an age and a metallicity of the first table."""
        return i_age * len(self.metallicity) + i_metallicity

    def rows_for(self, model: Tensor, log_age: Tensor, log_z: Tensor) -> Tensor:
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
        rows = torch.zeros_like(model)
        for k, table in enumerate(self._tables):
            i_age = _nearest(log_age, table.log_age)
            i_z = _nearest(log_z, np.log10(table.metallicity))
            found = self._first_row[k] + i_age * len(table.metallicity) + i_z
            rows = found if self.n_models == 1 else torch.where(model == k, found, rows)
        return rows

    def draw(
        self,
        row: Tensor,
        n_stars: Tensor,
        *,
        generator: torch.Generator,
        max_points: int | Tensor = MAX_POINTS,
        a_v: Tensor | None = None,
        a_v_scatter: float = 0.0,
        detail: bool = True,
    ) -> Stars:
        """Draw populations of given numbers of stars.

        Parameters
        ----------
        row : Tensor of int64, shape (population,)
            Isochrone of each population.
        n_stars : Tensor, shape (population,)
            Number of stars to draw, living and dead, companions not counted.
        generator : torch.Generator
            Source of randomness.
        max_points : int or Tensor of int64, shape (population,)
            Most stars of one population drawn singly, and most points that share its faint light.
            Populations that need more of either are thinned, to twice as many points of light at
            most; the rest of their light is in `Stars.smooth`.
        a_v : Tensor, shape (population,), optional
            Mean extinction, mag; by default the lowest of the tables.
        a_v_scatter : float
            Differential extinction, mag: each star has its own A_V, normally distributed about the
            mean with this standard deviation, negative values being set to zero. Values outside
            the tables' range take its end; see `praesepe.stars.population.a_v_range`.
        detail : bool
            Whether to count the living stars, find the brightest and add up the present-day mass.

        Returns
        -------
        Stars

        Raises
        ------
        InputError
            For an extinction that the tables do not cover, or more stars than fit into memory.
        """
        dust = Dust.behind(self.a_v, row, a_v, a_v_scatter, varies=self._dust is not None)
        n_stars = n_stars.to(torch.float64)
        entry = self._entry_of(row, n_stars, max_points)
        n_bright = torch.binomial(n_stars, self._share[entry].clamp(0, 1), generator=generator)
        n_faint = n_stars - n_bright
        faint = self._faint(entry, n_faint, dust, generator)
        thinned = _thinned(entry)
        n_dark = torch.zeros_like(n_bright)
        if self._companions is not None and bool(thinned.any()):
            n_dark = self._companions.share[entry] * n_stars
            n_dark = torch.poisson(n_dark, generator=generator)
        # First the stars drawn singly, those of each population side by side; then companions of
        # dark stars of thinned populations; then the points.
        counts = [n_bright.long(), n_dark.long(), faint.counts.sum(1)]
        n, n_singly = (int(sum(number.sum() for number in counts[:k])) for k in (1, 2))
        check_fits(n_singly, 2 + self._n_bands, self.device)
        group = torch.repeat_interleave(faint.counts.flatten())
        owner = torch.cat([torch.repeat_interleave(number) for number in counts])
        value = torch.empty(
            (2 + self._n_bands if detail else 1 + self._n_bands, len(owner)), device=self.device
        )
        bands, groups = slice(1, 1 + self._n_bands), self._light_groups[entry]
        value[0, n_singly:] = groups[..., 0].mean(1).index_select(0, owner[n_singly:])
        value[bands, n_singly:] = faint.flux.index_select(1, group)
        singly, own = value[:, :n_singly], owner[:n_singly]
        living, gain = self._singly(singly, own, n, row, entry, dust, generator, detail)

        def total(values: Tensor) -> Tensor:
            parts = zip(values.split([n, n_singly - n]), counts, strict=False)
            sums = [
                torch.segment_reduce(part, "sum", lengths=number, unsafe=True, initial=0)
                for part, number in parts
                if len(part)
            ]
            return sum(sums, torch.zeros(len(row), device=self.device))

        light = faint.total[:, FLUX:] + torch.stack([total(flux) for flux in singly[bands]], 1)
        more_truth: dict[str, Tensor] = {}
        if detail:
            most = self._brightest_faint(row, entry, n_faint, dust, generator)
            for line, flux in zip(most, singly[bands], strict=True):
                line.scatter_reduce_(0, own, flux, "amax")
            more_truth = {
                "present_mass": faint.total[:, PRESENT] + total(singly[-1]),
                "n_living": faint.total[:, LIVING].round() + total(living),
                "brightest": most.T,
            }
        smooth = torch.zeros_like(light)
        if gain is not None:
            singly[bands] *= gain
            shown = torch.stack([total(flux) for flux in singly[bands]], 1)
            smooth = (light - shown).clamp_min_(0) * thinned[:, None]
        return Stars(
            owner=owner,
            flux=value[bands],
            star_mass=value[0],
            mass=faint.total[:, MASS] + total(singly[0]),
            light=light,
            smooth=smooth,
            smooth_groups=groups,
            **more_truth,
        )

    def blends(self, row: Tensor, n_stars: Tensor) -> Tensor:
        """Whether so many stars lie above the flux limit that their own noise has to join it.

        Parameters
        ----------
        row, n_stars : Tensor, shape (population,)
            As for `draw`.

        Returns
        -------
        Tensor of bool, shape (population,)
        """
        return self._entry_of(row, n_stars.double(), MAX_POINTS) % N_STEPS > THINNED

    def _entry_of(self, row: Tensor, n_stars: Tensor, max_points: int | Tensor) -> Tensor:
        """Row and step of the flux limit: the first step that leaves few enough points."""
        most = torch.as_tensor(max_points, device=self.device).expand(len(row))
        first = row * N_STEPS
        if self._draw_all:
            return first
        steps = torch.arange(N_STEPS, device=self.device)
        entries = first[:, None] + steps  # (population, step)
        singly = n_stars[:, None] * self._points_per_star[entries]
        few = singly <= most[:, None] * torch.where(steps < THINNED, 1, 2)
        few[:, ALL] = n_stars <= FEW_STARS
        faint = (n_stars - singly[:, WHOLE])[:, None]
        summed = faint * self._faint_points_per_star[entries[:, WHOLE]]
        few[:, WHOLE] &= summed.amax(1) <= most
        return first + few.int().argmax(1)

    def _singly(
        self, value: Tensor, owner: Tensor, n: int, *about: Any
    ) -> tuple[Tensor, Tensor | None]:
        """`_bright` for `n` stars, and companions of dark stars after them."""
        living, gain = self._bright(self._slots, value[:, :n], owner[:n], *about)
        if self._companions is not None and len(owner) > n:
            more, more_gain = self._bright(self._companions, value[:, n:], owner[n:], *about)
            assert gain is not None
            assert more_gain is not None
            living, gain = torch.cat((living, more)), torch.cat((gain, more_gain))
        return living, gain

    def _bright(
        self,
        slots: SlotTable,
        value: Tensor,
        owner: Tensor,
        row: Tensor,
        entry: Tensor,
        dust: Dust | None,
        generator: torch.Generator,
        detail: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Draw stars one by one into `value`: initial mass, flux by band, if asked present mass.

        Returns
        -------
        living : Tensor
            Number of living stars at each point, empty without `detail`.
        gain : Tensor or None
            Number of stars whose light each one is to have; None where no population is thinned.
        """
        start, rise = self._start[: len(value)], self._rise[: len(value)]
        living = torch.empty(len(owner) if detail else 0, device=self.device)
        dead_mass, lowest_mass = self._dead_mass[row], self._lowest_mass[row]
        some_thinned = bool(_thinned(entry).any())
        gain = torch.empty(len(owner), device=self.device) if some_thinned else None
        first, number = slots.start[entry], slots.count[entry]
        for part in _chunks(len(owner), self.device):
            own, here = owner[part], value[:, part]
            slot = slots.draw(own, first, number, generator)
            node = slots.nodes.view(-1).index_select(0, slot)
            step = torch.rand(own.shape, generator=generator, device=self.device)
            torch.addcmul(start.index_select(1, node), rise.index_select(1, node), step, out=here)
            if gain is not None:
                torch.index_select(slots.gains.view(-1), 0, slot, out=gain[part])
            x = None
            if dust is not None:
                x = dust.of_stars(own, generator)
                here[1 : 1 + self._n_bands] *= self._dimming(node, x)
            if detail:
                living[part] = here[0] <= dead_mass.index_select(0, own)
                if self._has_brown:
                    living[part] *= here[0] >= lowest_mass.index_select(0, own)
            if self.binaries is not None and slots is self._slots:
                alive = living[part] if detail else None
                self._add_companions(here, alive, row.index_select(0, own), x, generator)
        return living, gain

    def _dimming(self, node: Tensor, x: Tensor) -> Tensor:
        """Factor of the dust on the light of stars, (band, star)."""
        assert self._dust is not None
        terms = self._dust.index_select(1, node)
        return dimming(terms.view(-1, self._n_bands, len(node)), x)

    def _add_companions(
        self,
        value: Tensor,
        living: Tensor | None,
        row: Tensor,
        x: Tensor | None,
        generator: torch.Generator,
    ) -> None:
        """Add to some stars' mass and light that of a companion, in place."""
        assert self.binaries is not None
        u = torch.rand((2, len(row)), generator=generator, device=self.device)
        which = torch.nonzero(u[0] < self.binaries.fraction).flatten()
        ratio = self.binaries.ppf(u[1].index_select(0, which))
        mass = value[0].index_select(0, which) * ratio
        row = row.index_select(0, which)
        key = row.double() * self._mass_span + mass  # single precision has too few digits
        node = torch.searchsorted(self._mass_key, key, right=True) - 1
        node = torch.maximum(node, row * self._n_nodes)
        rows = len(value)
        here, rise = (part[:rows].index_select(1, node) for part in (self._start, self._rise))
        step = (mass - here[0]) / rise[0].clamp_min(1e-30)
        here.addcmul_(rise, step.clamp_(0, 1))
        bands = slice(1, 1 + self._n_bands)
        if x is not None:
            here[bands] *= self._dimming(node, x.index_select(0, which))
        # A brown dwarf weighs, but is dark.
        star = mass >= self._lowest_mass.index_select(0, row)
        here[bands] *= star
        here[0] = mass
        if living is not None:
            here[-1] = torch.where(star, here[-1], mass)
            alive = star & (mass <= self._dead_mass.index_select(0, row))
            living.index_add_(0, which, alive.float())
        value.index_add_(1, which, here)

    def _faint(
        self, entry: Tensor, n_faint: Tensor, dust: Dust | None, generator: torch.Generator
    ) -> Faint:
        """Totals of the stars that are summed (central limit theorem), and points of their light.

        The totals are never negative. Thinned populations have no such points.
        """
        mean = self._faint_mean[entry]  # (population, 3 + band)
        if dust is None or self._mean_dust is None:
            spread, effective = self._faint_root[entry], self._faint_points_per_star[entry]
        else:
            mean = dusty(mean, self._mean_dust[entry], dust)
            second = dusty(self._faint_second[entry], self._second_dust[entry], dust)
            spread, effective = root(mean, second), effective_number(mean, second)
        normal = torch.randn(mean.shape, generator=generator, device=self.device).double()
        scatter = torch.einsum("pij,pj->pi", spread, normal)
        total = (n_faint[:, None] * mean + n_faint.sqrt()[:, None] * scatter).clamp_min_(0)
        equal = n_faint[:, None] * effective  # equal stars with the same shot noise
        # Of a total that varies by itself as 1 / equal, one point more has it.
        points = torch.minimum((equal + 1).round(), n_faint[:, None])
        whole = ~_thinned(entry)[:, None]
        counts, flux = nested_points(points * whole, total[:, FLUX:].float() * whole)
        return Faint(counts, flux, total.float())

    def _brightest_faint(
        self,
        row: Tensor,
        entry: Tensor,
        n_faint: Tensor,
        dust: Dust | None,
        generator: torch.Generator,
    ) -> Tensor:
        """Light of the most massive living star of those that are summed, (band, population)."""
        cap = torch.minimum(self._below[entry], self._below_dead[row])
        n = n_faint * cap / (1 - self._share[entry]).clamp_min(1e-12)
        u = torch.rand(len(row), generator=generator, device=self.device, dtype=torch.float64)
        at = row + cap * u ** (1 / n.clamp_min(1e-12))
        node = torch.searchsorted(self._key, at, right=True) - 1
        first = row * self._n_nodes
        node = node.clamp(first, first + self._n_nodes - 2)
        width = (self._key[node + 1] - self._key[node]).clamp_min(1e-300)
        step = ((at - self._key[node]) / width).clamp(0, 1).float()
        bands = slice(1, 1 + self._n_bands)
        flux = torch.addcmul(self._start[bands, node], self._rise[bands, node], step)
        if dust is not None:
            flux = flux * self._dimming(node, dust.mean)
        return flux * (n > 0)


def _thinned(entry: Tensor) -> Tensor:
    """Whether the stars of each entry's populations are thinned."""
    return entry % N_STEPS >= THINNED


def _nearest(values: Tensor, grid: np.ndarray) -> Tensor:
    """Position of the nearest value of an ascending grid."""
    middle = torch.as_tensor(0.5 * (grid[1:] + grid[:-1]), device=values.device)
    return torch.bucketize(values.to(middle.dtype), middle)


def _chunks(n: int, device: torch.device) -> Iterator[slice]:
    size = CHUNK["cpu" if device.type == "cpu" else "cuda"]
    for start in range(0, n, size):
        yield slice(start, start + size)
