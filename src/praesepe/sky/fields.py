"""Star fields: the galaxy's own stars around and in front of the clusters."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.render import OVERSAMPLING, bspline, chunks
from praesepe.sky.sampler import MAX_POINTS, StarSampler
from praesepe.survey import Survey

WIDE_FIELD_PX = 384**2
"""Area up to which a population's faint light needs no more points than `MAX_POINTS`."""


class FieldBank:
    """A stock of wide simulated star fields, from which stamps are cut at random.

    The fields are kept as light on the renderer's grid, before the PSF: a stamp's PSF, zero
    point and registration then act on field and cluster alike. One field after another is drawn
    anew, so that training never sees the same sky for long.

    Parameters
    ----------
    survey : Survey
        Gives the range of surface densities, ages and metallicities.
    sampler : StarSampler
        Stars of all metallicities of the field, in the bands of the survey.
    n_fields : int
        Number of fields kept.
    size_px : int
        Side of a field in image pixels.
    refresh : int
        A field is replaced after this many calls of `add_to`; 0: never.
    seed : tuple of int
        Of the fields. The k-th field drawn depends on the seed and k alone, so that a bank can be
        put back to any point of its history.
    """

    def __init__(
        self,
        survey: Survey,
        sampler: StarSampler,
        *,
        n_fields: int = 24,
        size_px: int = 384,
        refresh: int = 8,
        seed: tuple[int, ...] = (0,),
    ) -> None:
        self.survey, self.sampler, self.refresh = survey, sampler, refresh
        self.size_px = size_px
        self._seed = seed
        self.calls = 0
        self.density = torch.zeros(n_fields)
        side = OVERSAMPLING * size_px
        self.fields = torch.zeros((n_fields, len(survey.bands), side, side), device=sampler.device)
        # Densities are stratified, so that even a small bank spans the range.
        self._order = np.random.default_rng(seed).permutation(n_fields)
        for k in range(n_fields):
            self._draw(k)

    def _draw(self, k: int) -> None:
        """Draw the k-th field of the bank's history, in the place of the oldest one."""
        n = len(self.fields)
        place = k % n
        generator = stream((*self._seed, k), self.sampler.device)
        jitter = np.random.default_rng((*self._seed, k)).random()
        low, high = self.survey.field.surface_density
        self.density[place] = low * (high / low) ** ((self._order[place] + jitter) / n)
        self.fields[place] = draw_field(
            self.survey,
            self.sampler,
            float(self.density[place]),
            shape_px=(self.size_px, self.size_px),
            generator=generator,
        )

    def rewind(self, calls: int) -> None:
        """Put the bank to where it stood after `calls` calls of `add_to`."""
        n = len(self.fields)
        drawn = [n + (c // self.refresh if self.refresh else 0) for c in (self.calls, calls)]
        if drawn[0] != drawn[1]:
            there = drawn[0] if drawn[1] > drawn[0] else 0  # going on, the latest are drawn already
            for k in range(max(drawn[1] - n, there), drawn[1]):
                self._draw(k)
        self.calls = calls

    def add_to(self, grids: Tensor, *, generator: torch.Generator) -> Tensor:
        """Add to each grid a random piece of a random field, turned and mirrored at random.

        Parameters
        ----------
        grids : Tensor, shape (n, band, grid, grid)
            Changed in place.
        generator : torch.Generator
            Source of randomness of the choice.

        Returns
        -------
        Tensor, shape (n,)
            Surface density of each stamp's field, initial Msun/pc².
        """
        self.calls += 1
        if self.refresh and self.calls % self.refresh == 0:
            self._draw(len(self.fields) + self.calls // self.refresh - 1)
        side = grids.shape[-1]
        room = self.fields.shape[-1] - side + 1
        u = torch.rand((4, len(grids)), generator=_cpu(generator))
        which = (u[0] * len(self.fields)).long()
        rows, columns = (u[1] * room).long().tolist(), (u[2] * room).long().tolist()
        turn = (u[3] * 8).long().tolist()
        places = zip(grids, which.tolist(), rows, columns, turn, strict=True)
        for grid, field, row, column, k in places:
            piece = self.fields[field, :, row : row + side, column : column + side]
            if k & 1:
                piece = piece.transpose(-1, -2)
            flips = [axis for axis, bit in ((-1, 2), (-2, 4)) if k & bit]
            grid += piece.flip(flips) if flips else piece
        return self.density[which]


def draw_field(
    survey: Survey,
    sampler: StarSampler,
    density: float,
    *,
    shape_px: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """Draw one star field on the renderer's grid.

    Parameters
    ----------
    survey : Survey
        Ages, metallicities and the bursts of the field.
    sampler : StarSampler
        Stars in the survey's bands.
    density : float
        Initial mass of the stars per area, Msun/pc².
    shape_px : tuple of int
        Height and width in image pixels.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor, shape (band, 2 height, 2 width)
        Light per grid point, e-/s, periodic at the edges.
    """
    height, width = shape_px
    area_pc2 = height * width * (survey.pixel_scale_arcsec * survey.pc_per_arcsec) ** 2
    share = age_metallicity_shares(survey, sampler, generator=generator)  # (age, Z)
    expected = density * area_pc2 / sampler.mean_mass * share.flatten()
    n_stars = torch.poisson(expected.to(sampler.device), generator=generator)
    rows = torch.nonzero(n_stars).flatten()
    # A population's faint light covers the whole field: as many points per area as in a stamp.
    max_points = MAX_POINTS * max(1, height * width // WIDE_FIELD_PX)
    stars = sampler.draw(rows, n_stars[rows], generator=generator, max_points=max_points)
    u = torch.rand((2, stars.owner.numel()), generator=generator, device=sampler.device)
    return _spread_periodic(stars.flux, u, (OVERSAMPLING * height, OVERSAMPLING * width))


def age_metallicity_shares(
    survey: Survey, sampler: StarSampler, *, generator: torch.Generator
) -> Tensor:
    """Share of a field's mass at each age and metallicity of the sampler.

    The rate of star formation is constant in time on average and varies from bin to bin by the
    survey's burstiness; metallicity is uniform in its logarithm.
    """
    settings = survey.field
    log_age = torch.as_tensor(sampler.log_age, dtype=torch.float64)
    weight = 10 ** (log_age - 10)
    weight *= (log_age >= settings.log_age[0] - 0.026) & (log_age <= settings.log_age[1] + 0.026)
    scatter = torch.randn(len(log_age), generator=_cpu(generator), dtype=torch.float64)
    weight *= torch.exp(settings.burstiness * scatter)
    z = np.asarray(sampler.metallicity)
    low, high = settings.metallicity
    inside = (z >= low * 0.999) & (z <= high * 1.001)
    if not inside.any():
        distance = np.abs(np.log(z / math.sqrt(low * high)))
        inside = distance == distance.min()
    shares = weight[:, None] * torch.as_tensor(inside, dtype=torch.float64)
    return shares / shares.sum()


def _spread_periodic(flux: Tensor, u: Tensor, shape: tuple[int, int]) -> Tensor:
    """Put stars at the fractions `u` (x, y) of a periodic grid, with the renderer's spline."""
    height, width = shape
    out = torch.zeros((len(flux), height * width), device=flux.device)
    steps = torch.arange(4, device=flux.device)[:, None]
    scale = torch.tensor([[width], [height]], device=flux.device)
    for part in chunks(flux.shape[1], flux.device):
        where = u[:, part] * scale
        corner = torch.floor(where)
        wx, wy = bspline(where - corner)
        column = (corner[0].long() - 1 + steps) % width  # (4, star)
        row = (corner[1].long() - 1 + steps) % height
        index = (row[:, None] * width + column[None]).reshape(-1)
        weight = (wy[:, None] * wx[None]).reshape(16, -1)
        for band in range(len(flux)):
            out[band].index_add_(0, index, (weight * flux[band, part]).reshape(-1))
    return out.view(len(flux), height, width)


def stream(seed: tuple[int, ...], device: torch.device) -> torch.Generator:
    """A random stream of its own for each tuple of integers."""
    state = int(np.random.SeedSequence((len(seed), *seed)).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(state)


def _cpu(generator: torch.Generator) -> torch.Generator:
    """A CPU generator that goes on from `generator`: small choices are made on the CPU."""
    if generator.device.type == "cpu":
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))
