"""Star fields: the galaxy's own stars around and in front of the clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from praesepe.rng import on_cpu, uniform
from praesepe.sky.fields.galaxies import draw_galaxies
from praesepe.sky.fields.histories import age_metallicity_fractions
from praesepe.sky.fields.structure import YOUNG_LOG_AGE, Clumps, Gradient
from praesepe.sky.instrument.render import OVERSAMPLING, bspline, chunks
from praesepe.sky.massive.sampler import MAX_POINTS, CrowdedSampler
from praesepe.survey import Survey, as_range
from praesepe.survey.settings import middle, typical

POPULATION_PX = 64**2
"""Area in which a population may have `MAX_POINTS` points of light."""

STARS_AT_ONCE = 3e7
"""Stars, resolved or not, that are drawn at once; more would need gigabytes of memory."""

N_HISTORIES, FIELD_PX = 8, 256
"""Star fields that bright stars are taken from: their number and side."""

ALL_POINTS = 1 << 24
"""Points of a population in which no star stands for others."""


def draw_field(
    survey: Survey,
    sampler: CrowdedSampler,
    density: float,
    *,
    shape_px: tuple[int, int],
    generator: torch.Generator,
    gradient: Gradient | None = None,
    light_scale: float | None = None,
    flux_limit: Tensor | None = None,
) -> Tensor:
    """Draw one star field on the renderer's grid (docs/theory.md, section 10).

    Parameters
    ----------
    survey : Survey
        What the field consists of; see docs/fields.md.
    sampler : CrowdedSampler
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
    fraction = age_metallicity_fractions(survey, sampler, generator=generator)
    expected = density * area_pc2 / sampler.mean_mass * fraction  # (age, Z)
    groups, clumps = _draw_groups(survey, sampler, expected, gradient, generator)
    foreground, layer = _dust_layer(survey, generator)
    if field_extinction(survey) is not None:
        groups = groups.behind_dust(foreground, layer, generator=generator)
    # As many points per area as a cluster has in a stamp.
    max_points = MAX_POINTS * max(1, height * width // POPULATION_PX)
    max_points = max(max_points, groups.most_in_a_clump())
    grid = (len(survey.bands), OVERSAMPLING * height, OVERSAMPLING * width)
    light = torch.zeros(grid, device=sampler.device)
    diffuse = torch.zeros(grid[0], device=sampler.device)
    for some in groups.parts(STARS_AT_ONCE):
        each = (len(some.n_stars), grid[0])
        stars = sampler.draw(
            some.isochrone,
            some.n_stars,
            generator=generator,
            max_points=max_points,
            a_v=some.a_v,
            light_scale=None if light_scale is None else light.new_full(each, light_scale),
            flux_limit=None if flux_limit is None else flux_limit.expand(each),
            compute_truth=False,
        )
        place = _places(some.clump[stars.population], gradient, clumps, shape_px, generator)
        _spread_periodic(light, stars.flux, place)
        diffuse += stars.diffuse.sum(0)
    if survey.galaxy.field.galaxies_per_arcmin2:
        a_v = foreground + layer[1]
        place, flux = draw_galaxies(survey, shape_px=shape_px, a_v=a_v, generator=generator)
        _spread_periodic(light, flux, place)
    return _add_diffuse(light, diffuse, gradient)


def draw_bright_stars(
    survey: Survey, sampler: CrowdedSampler, *, generator: torch.Generator
) -> Tensor:
    """Draw stars of fields of the survey's middle density, each one by one.

    Parameters
    ----------
    survey : Survey
        What the fields consist of.
    sampler : CrowdedSampler
        As for `draw_field`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor, shape (band, star)
        e-/s. Of `N_HISTORIES` histories; those fainter than the sampler's flux limit in all bands
        may be missing, or stand together as one.
    """
    side_pc = FIELD_PX * survey.pixel_scale_arcsec * survey.pc_per_arcsec
    mass = typical(survey.galaxy.field.surface_density) * side_pc**2
    parts = []
    for _ in range(N_HISTORIES):
        fraction = age_metallicity_fractions(survey, sampler, generator=generator)
        expected = (mass / sampler.mean_mass * fraction).flatten().to(sampler.device)
        n_stars = torch.poisson(expected, generator=generator)
        isochrone = torch.nonzero(n_stars).flatten()
        groups = _Groups(isochrone, n_stars[isochrone], torch.full_like(isochrone, -1))
        if field_extinction(survey) is not None:
            groups = groups.behind_dust(*_dust_layer(survey, generator), generator=generator)
        for some in groups.parts(STARS_AT_ONCE):
            stars = sampler.draw(
                some.isochrone,
                some.n_stars,
                generator=generator,
                max_points=ALL_POINTS,
                a_v=some.a_v,
                compute_truth=False,
            )
            parts.append(stars.flux)
    return torch.cat(parts, 1)


def field_extinction(survey: Survey) -> tuple[float, float] | None:
    """Extinctions that the field's table of stars must cover.

    Parameters
    ----------
    survey : Survey
        Extinction of stars and field.

    Returns
    -------
    tuple of float, or None
        Lowest and highest A_V, mag, with the Milky Way's (the middle of its range). None: all
        field stars have the one extinction of `clusters.a_v` behind the Milky Way's, and
        `StarSampler.draw` is called without any.
    """
    settings, of_clusters = survey.galaxy.field, as_range(survey.clusters.a_v)
    low = of_clusters[0] if settings.a_v is None else settings.a_v
    high = low + (settings.dust_a_v[1] if settings.dust_share[1] > 0 else 0.0)
    in_front = middle(survey.galaxy.foreground_a_v)
    return None if of_clusters == (low, high) else (low + in_front, high + in_front)


@dataclass(frozen=True)
class _Groups:
    """Stars that are drawn together: of one isochrone, one extinction, and one clump or none.

    A clump of -1 is the whole field. Without A_V [mag], all have that of the sampler's table.
    """

    isochrone: Tensor
    n_stars: Tensor
    clump: Tensor
    a_v: Tensor | None = None

    def part(self, which: slice | Tensor) -> _Groups:
        """Some of the groups."""
        a_v = None if self.a_v is None else self.a_v[which]
        return _Groups(self.isochrone[which], self.n_stars[which], self.clump[which], a_v)

    def parts(self, most: float) -> Iterator[_Groups]:
        """Groups side by side with as many stars, or single groups that have more."""
        batch = (self.n_stars.cumsum(0) / most).floor().long()
        first = 0
        for size in torch.unique_consecutive(batch, return_counts=True)[1].tolist():
            yield self.part(slice(first, first + size))
            first += size

    def most_in_a_clump(self) -> int:
        """Number of stars of the richest clump.

        With that many points allowed, a clump keeps all its light in points: what the sampler
        leaves over is spread over the field, where a clump is not.
        """
        in_clumps = self.n_stars[self.clump >= 0]
        return int(in_clumps.max()) if len(in_clumps) else 0

    def behind_dust(
        self, foreground: float, layer: tuple[float, float], *, generator: torch.Generator
    ) -> _Groups:
        """Split each group at a dust layer (share behind, A_V); a clump lies on one side of it."""
        share, a_v = layer
        probability = torch.full_like(self.n_stars, share)
        behind = torch.binomial(self.n_stars, probability, generator=generator)
        one_side = torch.bernoulli(probability, generator=generator) * self.n_stars
        behind = torch.where(self.clump < 0, behind, one_side)
        counts = torch.cat((self.n_stars - behind, behind))
        extinction = torch.full_like(counts, foreground)
        extinction[len(behind) :] += a_v
        both = _Groups(self.isochrone.repeat(2), counts, self.clump.repeat(2), extinction.float())
        return both.part(counts > 0)


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
    sampler: CrowdedSampler,
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
    isochrone = torch.nonzero(n_stars).flatten()
    n_stars, clump = n_stars[isochrone], torch.full_like(isochrone, -1)
    if clumps is not None:
        members = torch.poisson(clumps.expected, generator=generator)
        isochrone = torch.cat((isochrone, clumps.isochrone))
        n_stars = torch.cat((n_stars, members))
        clump = torch.cat((clump, torch.arange(len(members), device=device)))
    return _Groups(isochrone, n_stars, clump), clumps


def _dust_layer(survey: Survey, generator: torch.Generator) -> tuple[float, tuple[float, float]]:
    """A_V in front of all, and of the dust layer the share of stars behind it and its A_V."""
    settings = survey.galaxy.field
    foreground = as_range(survey.clusters.a_v)[0] if settings.a_v is None else settings.a_v
    foreground += middle(survey.galaxy.foreground_a_v)
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
