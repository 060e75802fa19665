"""A pool of simulated star fields, from which the surroundings of stamps are cut at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import listed
from praesepe.progress import Setup
from praesepe.rng import on_cpu, stream
from praesepe.sky.fields.crops import add_crops
from praesepe.sky.fields.galaxies import transmitted
from praesepe.sky.fields.real import RealFieldPool
from praesepe.sky.fields.simulated import draw_field
from praesepe.sky.fields.structure import Gradient
from praesepe.sky.instrument.render import OVERSAMPLING
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.stars.extinction import FOREGROUND_R_V
from praesepe.survey import Survey
from praesepe.survey.settings import middle


class SimulatedFieldPool:
    """A pool of wide simulated star fields.

    Fields are drawn when they are first needed, and kept as light on the renderer's grid, before
    the PSF: a stamp's PSF, zero point and registration then act on field and cluster alike. One
    field after another is drawn anew, so that training never sees the same sky for long.

    Parameters
    ----------
    survey : Survey
        Describes the fields; see docs/fields.md.
    sampler : CrowdedSampler
        As for `praesepe.sky.fields.simulated.draw_field`.
    n_fields : int
        Number of fields kept.
    size_px : int
        Side of a field in image pixels.
    refresh : int
        A field is replaced after this many steps; 0: never.
    seed : tuple of int
        Of the fields. The k-th field drawn depends on the seed and k alone.
    flux_limit : Tensor, shape (band,), optional
        Light below which stars cannot be told apart, e-/s, for surveys with a range of distances;
        by default the sampler's.
    setup : callable, optional
        Called with (stage, done, total) as the first fields are drawn.

    Attributes
    ----------
    before_psf : bool
        Whether `add_to` takes the renderer's grids, before the PSF. A `RealFieldPool` takes exposed
        images, and what it adds brings its own noise and sky.
    step : int
        Number of the batch that the pool stands at; see `seek`.
    number : Tensor of int64, shape (field,)
        Which of all fields that are ever drawn each is.
    """

    before_psf = True

    def __init__(
        self,
        survey: Survey,
        sampler: CrowdedSampler,
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
        self.step = 0
        self.density = torch.zeros(n_fields)
        self.number = torch.arange(n_fields)
        self.distance_pc = torch.full((n_fields,), survey.distance_pc)
        self.gradients = [Gradient()] * n_fields
        side = OVERSAMPLING * size_px
        self._fields = torch.zeros((n_fields, len(survey.bands), side, side), device=sampler.device)
        self._due: dict[int, int] = {}
        # Densities and distances are stratified, so that even a small pool spans their ranges.
        self._order = np.random.default_rng(seed).permutation(n_fields)
        self._distance_order = np.random.default_rng((*seed, 1)).permutation(n_fields)
        for k in range(n_fields):
            self._plan(k)

    def __repr__(self) -> str:
        return (
            f"<SimulatedFieldPool: {len(self._fields)} star fields of {self.size_px} px in "
            f"{listed(self.survey.band_names)}>"
        )

    @property
    def fields(self) -> Tensor:
        """Light of all fields, (field, band, grid, grid), e-/s."""
        self._draw_due(list(self._due))
        return self._fields

    def field(self, place: int) -> Tensor:
        """Light of one field, (band, grid, grid), e-/s."""
        self._draw_due([place])
        return self._fields[place]

    def seek(self, step: int) -> None:
        """Go to a batch, forward or back; every `refresh` batches one field is drawn anew."""
        n = len(self._fields)
        now, then = (n + (s // self.refresh if self.refresh else 0) for s in (self.step, step))
        if now != then:
            there = now if then > now else 0  # going on, the latest are there already
            for k in range(max(then - n, there), then):
                self._plan(k)
        self.step = step

    def _plan(self, k: int) -> None:
        """Let the k-th field of the pool's history follow the oldest one, once it is needed."""
        place = k % len(self._fields)
        self.density[place] = self._stratified(
            self.survey.galaxy.field.surface_density, self._order[place], (k,)
        )
        if self.survey.varies_in_distance:
            self.distance_pc[place] = self._stratified(
                self.survey.distance_range_pc, self._distance_order[place], (k, 1)
            )
        self._due[place] = self.number[place] = k

    def _stratified(
        self, limits: tuple[float, float], stratum: int, numbers: tuple[int, ...]
    ) -> float:
        """A log-uniform deviate in one stratum of a range; there are as many strata as fields."""
        low, high = limits
        within = np.random.default_rng((*self._seed, *numbers)).random()
        return float(low * (high / low) ** ((stratum + within) / len(self._fields)))

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
        self.gradients[place] = Gradient.draw(survey, shape_px=shape, generator=generator)
        self._fields[place] = draw_field(
            survey,
            self.sampler,
            float(self.density[place]),
            shape_px=shape,
            generator=generator,
            gradient=self.gradients[place],
            light_scale=scale,
            flux_limit=None if scale is None else self.flux_limit,
        )

    def _dimmed(self, foreground_a_v: Tensor | None) -> Tensor | None:
        """Factor on the light of each stamp's field by its foreground, (n, band)."""
        told = self.survey.galaxy.foreground_a_v
        if foreground_a_v is None or not isinstance(told, tuple):
            return None
        of_one_mag = torch.as_tensor(transmitted(self.survey, 1.0, r_v=FOREGROUND_R_V))
        return of_one_mag.to(foreground_a_v) ** (foreground_a_v - middle(told))[:, None]

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
        foreground_a_v: Tensor | None = None,
    ) -> dict[str, Tensor]:
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
        foreground_a_v : Tensor, shape (n,), optional
            Extinction by the Milky Way, mag, where the survey has a range of it. Fields are drawn
            behind the middle of the range; the rest is that of light at the bands' pivot
            wavelengths.

        Returns
        -------
        dict of str to Tensor, each of shape (n,)
            ``field``, the place of each field in the pool, int64, on the CPU; ``field_density``,
            surface density of the field stars where each stamp's center is, initial Msun/pc².
        """
        side, width = light.shape[-1], self._fields.shape[-1]
        u = torch.rand((4, len(light)), generator=on_cpu(generator))
        which = (u[0] * len(self._fields)).long()
        if distance_pc is not None and self.survey.varies_in_distance:
            which = (self.distance_pc[:, None] - distance_pc.cpu()).abs().argmin(0)
        self._draw_due(which.unique().tolist())
        row, column = (u[1:3] * (width - side + 1)).long()
        orientation = (u[3] * 8).long()
        choice = torch.stack((which, row, column, orientation))
        add_crops(light, self._fields, choice, self._dimmed(foreground_a_v))
        density = self.density[which]
        if self.survey.galaxy.field.gradient_dex:
            y, x = ((first + side / 2) / width for first in (row, column))
            for k, gradient in enumerate(self.gradients):
                here = which == k
                density[here] *= gradient.factor(x[here], y[here])
        return {"field": which, "field_density": density.to(light.device)}


FieldPool = SimulatedFieldPool | RealFieldPool


def field_pool(
    survey: Survey,
    sampler: Callable[[], CrowdedSampler],
    *,
    n_fields: int,
    seed: tuple[int, ...],
    flux_limit: Tensor,
    setup: Setup | None,
    device: torch.device,
) -> FieldPool | None:
    """The star fields of a survey, real or simulated; None for no fields.

    `sampler` makes the sampler of their stars, which real fields do not need.
    """
    if not n_fields:
        return None
    if survey.galaxy.field.files is not None:
        return RealFieldPool(survey.galaxy.field.files, survey, device=device)
    return SimulatedFieldPool(
        survey, sampler(), n_fields=n_fields, seed=seed, flux_limit=flux_limit, setup=setup
    )
