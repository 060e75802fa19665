"""Where a field's stars are: gradients of the surface density, and clumps of young stars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from praesepe.rng import on_cpu, uniform
from praesepe.sky.clusters.profiles import sample_plummer
from praesepe.sky.population.sampler import StarSampler
from praesepe.survey import Survey

STAMPS_PER_WAVE = 6
"""Length of a wave of the surface density, about, in stamps: one stamp then sees a slope."""

YOUNG_LOG_AGE = math.log10(3e8)
"""Stars younger than 300 Myr may lie in clumps."""

CLUMP_MSUN = (100.0, 1e4)
"""Initial masses of the clumps: from a handful of bright stars to a large association."""


@dataclass(frozen=True)
class Gradient:
    """A wave in the logarithm of the surface density, periodic like the field itself.

    A field has no edge and is cut, in a random orientation, so the density cannot rise for
    ever: it goes up and down with a cosine so long that a stamp sees hardly more than a slope.

    Attributes
    ----------
    amplitude_dex : float
        Half the difference between the highest and the lowest log10 density.
    waves : tuple of int
        Whole waves across the width and across the height of the field. The two are equal in
        size, or one of them is zero.
    phase : float
        In waves.
    """

    amplitude_dex: float = 0.0
    waves: tuple[int, int] = (1, 0)
    phase: float = 0.0

    @classmethod
    def draw(
        cls, survey: Survey, *, shape_px: tuple[int, int], generator: torch.Generator
    ) -> Gradient:
        """Draw the gradient of one field.

        Parameters
        ----------
        survey : Survey
            `field.gradient_dex` is the change of log10 density across a stamp at the steepest
            place of the steepest field; the steepest place of a field is uniform below it.
        shape_px : tuple of int
            Height and width of the field, image pixels.
        generator : torch.Generator
            Source of randomness; not used where the survey asks for no gradient.

        Returns
        -------
        Gradient
        """
        largest = survey.galaxy.field.gradient_dex
        if largest == 0:
            return cls()
        cpu, stamp = on_cpu(generator), survey.stamp_size
        height, width = shape_px
        along = int(torch.randint(2, (), generator=cpu))  # 0: mainly along x
        tilt = int(torch.randint(-1, 2, (), generator=cpu))
        n = max(1, round((width, height)[along] / (STAMPS_PER_WAVE * stamp)))
        waves = (n, tilt * n) if along == 0 else (tilt * n, n)
        per_px = math.hypot(waves[0] / width, waves[1] / height)
        steepest = uniform(0.0, largest, generator=cpu)
        phase = uniform(0.0, 1.0, generator=cpu)
        return cls(steepest / (2 * math.pi * stamp * per_px), waves, phase)

    @cached_property
    def _quantiles(self) -> Tensor:
        """Place within a wave below which each multiple of 1/1024 of its stars lies."""
        edge = np.linspace(0.0, 1.0, 4097)
        middle = (edge[1:] + edge[:-1]) / 2
        density = 10 ** (self.amplitude_dex * np.cos(2 * np.pi * middle))
        fraction = np.concatenate(([0.0], np.cumsum(density) / density.sum()))
        return torch.from_numpy(np.interp(np.linspace(0.0, 1.0, 1025), fraction, edge)).float()

    def place(self, u: Tensor) -> Tensor:
        """Move places spread evenly over the field so that they follow the density.

        Both are (2, n): x and y as fractions of the field's width and height, in [0, 1).
        """
        if self.amplitude_dex == 0:
            return u
        main = 0 if self.waves[0] else 1
        n, other = self.waves[main], self.waves[1 - main]
        table = self._quantiles.to(u.device)
        wave = torch.floor(n * u[main])
        at = (n * u[main] - wave) * (len(table) - 1)
        low = at.long().clamp(max=len(table) - 2)
        within = torch.lerp(table[low], table[low + 1], at - low)
        # Sliding along one axis in proportion to the other tilts the crests and keeps areas.
        moved = (wave + within - self.phase) / n - (other // n) * u[1 - main]
        out = torch.empty_like(u)
        out[main], out[1 - main] = moved % 1, u[1 - main]
        return out

    def factor(self, x: Tensor, y: Tensor) -> Tensor:
        """Density over the field's mean at fractions x and y of its width and height."""
        crest = torch.cos(2 * math.pi * (self.waves[0] * x + self.waves[1] * y + self.phase))
        mean = float(torch.special.i0(torch.tensor(self.amplitude_dex * math.log(10))))
        return 10 ** (self.amplitude_dex * crest) / mean


@dataclass(frozen=True)
class Clumps:
    """Groups of young stars, each of one age and metallicity.

    Attributes
    ----------
    isochrone : Tensor of int64, shape (clump,)
        Index of each clump's isochrone.
    expected : Tensor of float64, shape (clump,)
        Mean number of stars.
    center : Tensor, shape (2, clump)
        x and y as fractions of the field's width and height.
    radius_px : Tensor, shape (clump,)
        Projected radius that holds half of a clump's stars (Plummer's profile).
    """

    isochrone: Tensor
    expected: Tensor
    center: Tensor
    radius_px: Tensor

    @classmethod
    def draw(
        cls,
        survey: Survey,
        sampler: StarSampler,
        expected: Tensor,
        *,
        gradient: Gradient,
        generator: torch.Generator,
    ) -> Clumps:
        """Draw clumps that hold a given mass on average.

        Parameters
        ----------
        survey : Survey
            Range of the radii.
        sampler : StarSampler
            Mean mass of a star.
        expected : Tensor, shape (isochrone,)
            Stars in clumps at each isochrone, on average.
        gradient : Gradient
            The clumps' centers follow it, too.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        Clumps

        Notes
        -----
        Masses follow dN/dM ~ M^-2 between `CLUMP_MSUN`, as those of young clusters and
        associations do (Elmegreen & Efremov 1997, ApJ 480, 235; Lada & Lada 2003, ARA&A 41, 57);
        radii are log-uniform and independent of the mass. The number of clumps is Poisson's.
        """
        cpu = on_cpu(generator)
        expected = expected.double().cpu()
        low, high = CLUMP_MSUN
        mean_mass = math.log(high / low) / (1 / low - 1 / high)
        total_mass = float(expected.sum()) * sampler.mean_mass
        n = int(torch.poisson(torch.tensor(total_mass / mean_mass), generator=cpu))
        u = torch.rand((4, n), generator=cpu, dtype=torch.float64)
        mass = 1 / ((1 - u[0]) / low + u[0] / high)
        smallest, largest = (math.log(pc) for pc in survey.galaxy.field.clump_pc)
        radius_pc = torch.exp(smallest + (largest - smallest) * u[1])
        isochrone = torch.zeros(0, dtype=torch.long)
        if n:
            isochrone = torch.multinomial(expected, n, replacement=True, generator=cpu)
        pixel_pc = survey.pixel_scale_arcsec * survey.pc_per_arcsec
        device = sampler.device
        return cls(
            isochrone=isochrone.to(device),
            expected=(mass / sampler.mean_mass).to(device),
            center=gradient.place(u[2:].float()).to(device),
            radius_px=(radius_pc / pixel_pc).float().to(device),
        )

    def place(
        self, clump: Tensor, *, shape_px: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Draw places of stars around the clump (n,) that each belongs to.

        They are (2, n), as in `Gradient.place`; what leaves on one side comes back on the other.
        """
        offset_px = sample_plummer(self.radius_px[clump], generator=generator)
        side = torch.tensor(shape_px[::-1], device=clump.device)[:, None]
        return (self.center[:, clump] + offset_px / side) % 1
