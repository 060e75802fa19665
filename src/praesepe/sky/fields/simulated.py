"""Star fields: the galaxy's own stars around and in front of the clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from praesepe.progress import Setup
from praesepe.rng import on_cpu, stream, uniform
from praesepe.sky.fields.crops import add_crops
from praesepe.sky.fields.galaxies import draw_galaxies
from praesepe.sky.fields.histories import age_metallicity_shares
from praesepe.sky.fields.structure import YOUNG_LOG_AGE, Clumps, Gradient
from praesepe.sky.instrument.render import OVERSAMPLING, bspline, chunks
from praesepe.sky.population.sampler import MAX_POINTS, StarSampler
from praesepe.survey import Survey, as_range

POPULATION_PX = 64**2
"""Area in which a population may have `MAX_POINTS` points of light."""

STARS_AT_ONCE = 3e7
"""Stars, seen or not, that are drawn at once; more would need gigabytes of memory."""


class Bank(Protocol):
    """A stock of surroundings, simulated or real, that stamps are laid on.

    Attributes
    ----------
    before_psf : bool
        True: `add_to` takes the renderer's grids, (n, band, grid, grid), before the PSF. False: it
        takes exposed images, (n, band, y, x), and what it adds brings its own noise and sky.
    calls : int
        How often `advance` was called.
    """

    before_psf: bool
    calls: int

    def advance(self) -> None:
        """Go on to the next batch, for which some of the stock may be renewed."""
        ...

    def add_to(
        self, light: Tensor, *, generator: torch.Generator, distance_pc: Tensor | None = None
    ) -> Tensor:
        """Add a random crop to each stamp, in place, e-/s: of a field at the stamp's distance.

        Returns
        -------
        Tensor, shape (n,)
            Surface density of each crop, initial Msun/pc²; NaN where nobody knows.
        """
        ...

    def rewind(self, calls: int) -> None:
        """Put the pool to where it stood after `calls` calls of `advance`."""
        ...


class FieldBank:
    """A stock of wide simulated star fields, from which stamps are cut at random.

    Fields are drawn when they are first needed, and kept as light on the renderer's grid, before
    the PSF: a stamp's PSF, zero point and registration then act on field and cluster alike. One
    field after another is drawn anew, so that training never sees the same sky for long.

    Parameters
    ----------
    survey : Survey
        Describes the fields; see docs/fields.md.
    sampler : StarSampler
        Stars of all metallicities of the field, in the bands of the survey. Where the field's
        extinction varies (`field_extinction`), its table must cover that range.
    n_fields : int
        Number of fields kept.
    size_px : int
        Side of a field in image pixels.
    refresh : int
        A field is replaced after this many calls of `advance`; 0: never.
    seed : tuple of int
        Of the fields. The k-th field drawn depends on the seed and k alone, so that a pool can be
        put back to any point of its history.
    flux_limit : Tensor, shape (band,), optional
        Light below which stars cannot be told apart, e-/s, for surveys with a range of distances;
        by default the sampler's.
    setup : callable, optional
        Called with (stage, done, total) as the first fields are drawn.
    """

    before_psf = True

    def __init__(
        self,
        survey: Survey,
        sampler: StarSampler,
        *,
        n_fields: int = 24,
        size_px: int = 384,
        refresh: int = 8,
        seed: tuple[int, ...] = (0,),
        flux_limit: Tensor | None = None,
        setup: Setup | None = None,
    ) -> None:
        self.survey, self.sampler, self.refresh = survey, sampler, refresh
        self.size_px, self.flux_limit = size_px, flux_limit
        self._seed, self._setup = seed, setup
        self.calls = 0
        self.density = torch.zeros(n_fields)
        self.distance_pc = torch.full((n_fields,), survey.distance_pc)
        self.gradients = [Gradient()] * n_fields
        side = OVERSAMPLING * size_px
        self._fields = torch.zeros((n_fields, len(survey.bands), side, side), device=sampler.device)
        self._due: dict[int, int] = {}
        # Densities are stratified, so that even a small bank spans the range.
        self._order = np.random.default_rng(seed).permutation(n_fields)
        self._distance_order = np.random.default_rng((*seed, 1)).permutation(n_fields)
        for k in range(n_fields):
            self._plan(k)

    @property
    def fields(self) -> Tensor:
        """Light of all fields, (field, band, grid, grid), e-/s."""
        self._draw_due(list(self._due))
        return self._fields

    def _plan(self, k: int) -> None:
        """Let the k-th field of the pool's history follow the oldest one, once it is needed."""
        n = len(self._fields)
        place = k % n
        jitter = np.random.default_rng((*self._seed, k)).random()
        low, high = self.survey.galaxy.field.surface_density
        self.density[place] = low * (high / low) ** ((self._order[place] + jitter) / n)
        if self.survey.varies_in_distance:
            near, far = self.survey.distance_range_pc
            within = np.random.default_rng((*self._seed, k, 1)).random()
            share = (self._distance_order[place] + within) / n
            self.distance_pc[place] = near * (far / near) ** share
        self._due[place] = k

    def _draw_due(self, places: list[int]) -> None:
        """Draw those of the fields at the given places that are due."""
        n = len(self._fields)
        for place in places:
            if place not in self._due:
                continue
            k = self._due.pop(place)
            self._draw(k)
            if self._setup is not None and k < n:
                self._setup("star fields", n - sum(one < n for one in self._due.values()), n)

    def _draw(self, k: int) -> None:
        """Draw the k-th field of the pool's history."""
        place = k % len(self._fields)
        generator = stream((*self._seed, k), self.sampler.device)
        survey, scale = self.survey, None
        if survey.varies_in_distance:
            survey = survey.with_values(galaxy={"distance_pc": float(self.distance_pc[place])})
            scale = (self.survey.distance_pc / survey.distance_pc) ** 2
        shape = (self.size_px, self.size_px)
        gradient = Gradient.draw(survey, shape_px=shape, generator=generator)
        self.gradients[place] = gradient
        self._fields[place] = draw_field(
            survey,
            self.sampler,
            float(self.density[place]),
            shape_px=shape,
            generator=generator,
            gradient=gradient,
            light_scale=scale,
            flux_limit=self.flux_limit,
        )

    def rewind(self, calls: int) -> None:
        """Put the pool to where it stood after `calls` calls of `advance`."""
        n = len(self._fields)
        now, then = (n + (c // self.refresh if self.refresh else 0) for c in (self.calls, calls))
        if now != then:
            there = now if then > now else 0  # going on, the latest are there already
            for k in range(max(then - n, there), then):
                self._plan(k)
        self.calls = calls

    def advance(self) -> None:
        """Go on to the next batch; every `refresh` batches a field is drawn anew."""
        self.calls += 1
        if self.refresh and self.calls % self.refresh == 0:
            self._plan(len(self._fields) + self.calls // self.refresh - 1)

    def draw_distances(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Draw distances of stamps among those of the fields, pc, (n,)."""
        which = torch.randint(len(self.distance_pc), (n,), generator=on_cpu(generator))
        return self.distance_pc[which].to(generator.device)

    def add_to(
        self,
        light: Tensor,
        *,
        generator: torch.Generator,
        distance_pc: Tensor | None = None,
    ) -> Tensor:
        """Add to each grid a random crop of a random field, in a random orientation.

        Parameters
        ----------
        light : Tensor, shape (n, band, grid, grid)
            The renderer's grids; changed in place.
        generator : torch.Generator
            Source of randomness of the choice.
        distance_pc : Tensor, shape (n,), optional
            Distances of the stamps: each lies on the field nearest in distance. By default each
            lies on any field.

        Returns
        -------
        Tensor, shape (n,)
            Surface density of the field stars where each stamp's centre is, initial Msun/pc².
        """
        side = light.shape[-1]
        whole = self._fields.shape[-1]
        u = torch.rand((4, len(light)), generator=on_cpu(generator))
        which = (u[0] * len(self._fields)).long()
        if distance_pc is not None and self.survey.varies_in_distance:
            which = (self.distance_pc[:, None] - distance_pc.cpu()).abs().argmin(0)
        self._draw_due(which.unique().tolist())
        row, column = (u[1:3] * (whole - side + 1)).long()
        orientation = (u[3] * 8).long()
        add_crops(light, self._fields, torch.stack((which, row, column, orientation)))
        density = self.density[which]
        if self.survey.galaxy.field.gradient_dex:
            y, x = ((start + side / 2) / whole for start in (row, column))
            for k, gradient in enumerate(self.gradients):
                here = which == k
                density[here] *= gradient.factor(x[here], y[here])
        return density


def draw_field(
    survey: Survey,
    sampler: StarSampler,
    density: float,
    *,
    shape_px: tuple[int, int],
    generator: torch.Generator,
    gradient: Gradient | None = None,
    light_scale: float | None = None,
    flux_limit: Tensor | None = None,
) -> Tensor:
    """Draw one star field on the renderer's grid.

    Parameters
    ----------
    survey : Survey
        What the field consists of; see docs/fields.md.
    sampler : StarSampler
        Stars in the survey's bands. Where the field's extinction varies (`field_extinction`), its
        table must cover that range.
    density : float
        Initial mass of the stars per area, averaged over the field, Msun/pc².
    shape_px : tuple of int
        Height and width in image pixels.
    generator : torch.Generator
        Source of randomness.
    gradient : Gradient, optional
        Of the surface density; by default drawn from the survey.
    light_scale : float, optional
        Factor on the light of all stars, where the survey is at another distance than the sampler.
    flux_limit : Tensor, shape (band,), optional
        Light, with this factor, below which stars cannot be told apart; by default the sampler's
        limit times the factor.

    Returns
    -------
    Tensor, shape (band, 2 height, 2 width)
        Light per grid point, e-/s, periodic at the edges.

    Raises
    ------
    InputError
        Where the survey's star-formation history cannot be used, or the sampler's table does not
        cover the extinction.
    """
    height, width = shape_px
    if gradient is None:
        gradient = Gradient.draw(survey, shape_px=shape_px, generator=generator)
    area_pc2 = height * width * (survey.pixel_scale_arcsec * survey.pc_per_arcsec) ** 2
    share = age_metallicity_shares(survey, sampler, generator=generator)  # (age, Z)
    expected = density * area_pc2 / sampler.mean_mass * share
    groups, clumps = _draw_groups(survey, sampler, expected, gradient, generator)
    foreground, behind = _dust_layer(survey, generator)
    a_v = None
    if field_extinction(survey) is not None:
        groups, a_v = groups.behind_dust(foreground, behind, generator=generator)
    # As many points per area as a cluster has in a stamp.
    max_points = MAX_POINTS * max(1, height * width // POPULATION_PX)
    max_points = max(max_points, groups.most_in_a_clump())
    light = torch.zeros(
        (len(survey.bands), OVERSAMPLING * height, OVERSAMPLING * width), device=sampler.device
    )
    diffuse = torch.zeros(len(survey.bands), device=sampler.device)
    scale = limit = None
    if light_scale is not None:
        scale = torch.full((len(light),), light_scale, device=sampler.device)
        limit = flux_limit
    for part in groups.parts(STARS_AT_ONCE):
        some = groups.part(part)
        stars = sampler.draw(
            some.row,
            some.n_stars,
            generator=generator,
            max_points=max_points,
            a_v=None if a_v is None else a_v[part],
            light_scale=None if scale is None else scale.expand(len(some.n_stars), -1),
            flux_limit=None if limit is None else limit.expand(len(some.n_stars), -1),
            compute_truth=False,
        )
        place = _places(some.clump[stars.population], gradient, clumps, shape_px, generator)
        _spread_periodic(light, stars.flux, place)
        diffuse += stars.diffuse.sum(0)
    if survey.galaxy.field.galaxies_per_arcmin2:
        all_dust = foreground + behind[1] if behind[0] else foreground
        place, flux = draw_galaxies(survey, shape_px=shape_px, a_v=all_dust, generator=generator)
        _spread_periodic(light, flux, place)
    return _add_diffuse(light, diffuse, gradient)


def field_extinction(survey: Survey) -> tuple[float, float] | None:
    """Extinctions that the field's table of stars must cover.

    Parameters
    ----------
    survey : Survey
        Extinction of stars and field.

    Returns
    -------
    tuple of float, or None
        Lowest and highest A_V, mag. None: all field stars have the one extinction of
        `clusters.a_v`, and `StarSampler.draw` is called without any.
    """
    settings, of_clusters = survey.galaxy.field, as_range(survey.clusters.a_v)
    low = of_clusters[0] if settings.a_v is None else settings.a_v
    high = low + (settings.dust_a_v[1] if settings.dust_share[1] > 0 else 0.0)
    return None if of_clusters == (low, high) else (low, high)


@dataclass(frozen=True)
class _Groups:
    """Stars that are drawn together: of one isochrone, one extinction, and one clump or none.

    Attributes
    ----------
    row : Tensor of int64, shape (group,)
        Isochrone.
    n_stars : Tensor, shape (group,)
        Number of stars.
    clump : Tensor of int64, shape (group,)
        Which clump they are; -1: spread over the field.
    """

    row: Tensor
    n_stars: Tensor
    clump: Tensor

    def part(self, rows: slice) -> _Groups:
        """Some of the groups."""
        return _Groups(**{name: values[rows] for name, values in vars(self).items()})

    def parts(self, most: float) -> list[slice]:
        """Groups side by side with as many stars, or single groups that have more."""
        if not len(self.n_stars):
            return []
        batch = (self.n_stars.cumsum(0) / most).floor().long().tolist()
        edges = [i for i in range(1, len(batch)) if batch[i] != batch[i - 1]]
        return [slice(a, b) for a, b in zip([0, *edges], [*edges, len(batch)], strict=True)]

    def most_in_a_clump(self) -> int:
        """Number of stars of the richest clump.

        With that many points allowed, a clump keeps all its light in points: what the sampler
        leaves over is spread over the field, where a clump is not.
        """
        in_clumps = self.n_stars[self.clump >= 0]
        return int(in_clumps.max()) if len(in_clumps) else 0

    def behind_dust(
        self, foreground: float, layer: tuple[float, float], *, generator: torch.Generator
    ) -> tuple[_Groups, Tensor]:
        """Split each group at a dust layer (share behind, A_V); a clump lies on one side of it."""
        share, a_v = layer
        chance = torch.full_like(self.n_stars, share)
        behind = torch.binomial(self.n_stars, chance, generator=generator)
        one_side = torch.bernoulli(chance, generator=generator) * self.n_stars
        behind = torch.where(self.clump < 0, behind, one_side)
        counts = torch.cat((self.n_stars - behind, behind))
        dust = torch.zeros_like(counts)
        dust[len(self.row) :] = a_v
        kept = counts > 0
        twice = _Groups(self.row.repeat(2)[kept], counts[kept], self.clump.repeat(2)[kept])
        return twice, (foreground + dust[kept]).float()


def _places(
    clump: Tensor,
    gradient: Gradient,
    clumps: Clumps | None,
    shape_px: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """Places of stars, as fractions of the field (2, star): in their clump, or anywhere (-1)."""
    place = gradient.place(torch.rand((2, len(clump)), generator=generator, device=clump.device))
    if clumps is not None:
        there = clump >= 0
        place[:, there] = clumps.place(clump[there], shape_px=shape_px, generator=generator)
    return place


def _draw_groups(
    survey: Survey,
    sampler: StarSampler,
    expected: Tensor,
    gradient: Gradient,
    generator: torch.Generator,
) -> tuple[_Groups, Clumps | None]:
    """Numbers of stars of each age and metallicity, in clumps and outside them."""
    device, clumps = sampler.device, None
    if survey.galaxy.field.clump_share[1] > 0:
        share = uniform(*survey.galaxy.field.clump_share, generator=on_cpu(generator))
        young = torch.as_tensor(np.asarray(sampler.log_age) < YOUNG_LOG_AGE)[:, None]
        in_clumps = (share * young * expected).flatten()
        expected = expected * (1 - share * young.double())
        if float(in_clumps.sum()) > 0:
            clumps = Clumps.draw(survey, sampler, in_clumps, gradient=gradient, generator=generator)
    n_stars = torch.poisson(expected.flatten().to(device), generator=generator)
    row = torch.nonzero(n_stars).flatten()
    n_stars, clump = n_stars[row], torch.full_like(row, -1)
    if clumps is not None:
        members = torch.poisson(clumps.expected, generator=generator)
        row = torch.cat((row, clumps.row))
        n_stars = torch.cat((n_stars, members))
        clump = torch.cat((clump, torch.arange(len(clumps.row), device=device)))
    return _Groups(row, n_stars, clump), clumps


def _dust_layer(survey: Survey, generator: torch.Generator) -> tuple[float, tuple[float, float]]:
    """Foreground A_V, and of the dust layer the share of stars behind it and its A_V."""
    settings = survey.galaxy.field
    foreground = as_range(survey.clusters.a_v)[0] if settings.a_v is None else settings.a_v
    if settings.dust_share[1] == 0:
        return foreground, (0.0, 0.0)
    cpu = on_cpu(generator)
    share = uniform(*settings.dust_share, generator=cpu)
    return foreground, (share, uniform(*settings.dust_a_v, generator=cpu))


def _add_diffuse(light: Tensor, total: Tensor, gradient: Gradient) -> Tensor:
    """Spread light without shot noise, (band,), over the grid as the density goes."""
    if not bool(total.any()):
        return light
    height, width = light.shape[1:]
    y, x = (torch.arange(n, device=light.device) / n for n in (height, width))
    factor = gradient.factor(x, y[:, None])  # (height, width), of mean 1
    return light.add_(total[:, None, None] * (factor / (height * width)))


def _spread_periodic(light: Tensor, flux: Tensor, u: Tensor) -> None:
    """Add stars at the fractions `u` (x, y) of a periodic grid, with the renderer's spline."""
    height, width = light.shape[1:]
    out = light.view(len(light), -1)
    steps = torch.arange(4, device=flux.device)[:, None]
    scale = torch.tensor([[width], [height]], device=flux.device)
    for part in chunks(flux.shape[1], flux.device):
        where = u[:, part] * scale
        corner = torch.floor(where)
        wx, wy = bspline(where - corner)
        column = (corner[0].long() - 1 + steps) % width  # (4, star)
        row = (corner[1].long() - 1 + steps) % height
        index = (row[:, None] * width + column[None]).reshape(-1)
        weight = (wy[:, None] * wx[None]).reshape(1, 16, -1)
        each = (weight * flux[:, None, part]).reshape(len(flux), -1)
        out.scatter_add_(1, index.expand(len(flux), -1), each)
