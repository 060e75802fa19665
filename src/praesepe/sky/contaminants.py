"""Stamps without a cluster in their middle: chance groups, stars, galaxies, artefacts, and so on.

Which kinds there are says `praesepe.quantities.CONTAMINANT`. Their light joins the star field
before the telescope; artefacts come after the exposure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError, listed, unknown
from praesepe.quantities import CONTAMINANT
from praesepe.rng import on_cpu, stream
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.fields.galaxies import shapes
from praesepe.sky.fields.simulated import draw_bright_stars
from praesepe.sky.flux_limits import FluxLimits
from praesepe.sky.instrument.artefacts import spoil
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.survey import Survey

NONE, EMPTY, GROUP, STAR, GALAXY, ARTEFACT, OFF_CENTER = range(len(CONTAMINANT.categories))

BRIGHTEST_DEX = 2.5
"""Stars are taken from the brightest n of those that can be seen; log n is uniform, and spans so
much below all of them."""

BULGE_FRACTION = 0.5
"""Half of the galaxies are round and concentrated as clusters are, far more than in the field."""

STAR_SEED = 26_703
"""The stars that groups and single stars are taken from are the same for all seeds."""


@dataclass(frozen=True)
class PointSources:
    """Points of light beside those of clusters.

    Attributes
    ----------
    image_index : Tensor of int64, shape (point,)
        Stamp of each point.
    offset : Tensor, shape (2, point)
        x and y from the center of what it belongs to, pixels.
    flux : Tensor, shape (band, point)
        e-/s.
    """

    image_index: Tensor
    offset: Tensor
    flux: Tensor

    def add_to(self, grids: Tensor, center: Tensor, *, renderer: Renderer) -> None:
        """Add the light to a grid of each stamp; `center` is as in `ClusterStars.add_to`."""
        place = self.offset + center.index_select(1, self.image_index)
        renderer.scatter(grids, self.image_index, place, self.flux)

    @classmethod
    def together(cls, *parts: PointSources | None) -> PointSources | None:
        """Those of several parts as one; None for nothing."""
        some = [part for part in parts if part is not None]
        if len(some) < 2:
            return some[0] if some else None
        return cls(
            torch.cat([part.image_index for part in some]),
            torch.cat([part.offset for part in some], dim=1),
            torch.cat([part.flux for part in some], dim=1),
        )

    def light(self, n: int) -> Tensor:
        """Light of all points of each of n stamps, (n, band)."""
        total = self.flux.new_zeros((n, len(self.flux)))
        return total.index_add_(0, self.image_index, self.flux.T)


class ContaminantSampler:
    """Decides which stamps hold no cluster in their middle, and draws what they hold.

    Parameters
    ----------
    survey : Survey
        Its `contaminants` say how many and which.
    detector : Detector
    limits : FluxLimits
        Which stars can be told apart.
    wanted : bool
        Whether stamps get the survey's contaminants; those that are asked for can be had anyhow.
    reach_px : float
        How far from the stamp's edge stars may lie before their PSF comes back on its other side.
    field_stars : callable
        Gives the sampler of the field's stars; called when they are first needed.
    """

    def __init__(
        self,
        survey: Survey,
        detector: Detector,
        limits: FluxLimits,
        *,
        wanted: bool,
        reach_px: float,
        field_stars: Callable[[], CrowdedSampler],
    ) -> None:
        self.survey, self.detector, self._limit = survey, detector, limits.lowest
        self._wanted, self._reach_px, self._field_stars = wanted, reach_px, field_stars
        of_kind = survey.contaminants.shares
        shares = [getattr(of_kind, kind) for kind in CONTAMINANT.categories[1:]]
        self._edges = torch.tensor(shares, dtype=torch.float64).cumsum(0) / sum(shares)

    def __repr__(self) -> str:
        return f"<ContaminantSampler of survey {self.survey.name!r}>"

    @cached_property
    def bright_stars(self) -> Tensor:
        """Stars of the field that can be seen, the brightest first, (band, star), e-/s."""
        generator = stream((STAR_SEED,), self._limit.device)
        flux = draw_bright_stars(self.survey, self._field_stars(), generator=generator)
        prominence = (flux / self._limit[:, None]).amax(0)
        order = torch.argsort(prominence, descending=True, stable=True)
        n = int((prominence > 1).sum())
        return flux[:, order[: max(n, 1)]]

    # What stamps hold

    def assign(self, clusters: Clusters, *, generator: torch.Generator) -> Clusters:
        """Replace some clusters by contaminants, as often as the survey says."""
        fraction, n = self.survey.contaminants.fraction, len(clusters)
        if fraction == 0:
            return clusters
        u = torch.rand((2, n), generator=generator, device=generator.device)
        kind = 1 + torch.bucketize(u[1], self._edges.to(u.device), right=True)
        is_none = (u[0] >= fraction) | (not self._wanted)
        return self.place(clusters, kind.masked_fill(is_none, NONE), generator=generator)

    def place(self, clusters: Clusters, kind: Any, *, generator: torch.Generator) -> Clusters:
        """Replace clusters by contaminants of given kinds, names or numbers, in their places.

        Off-center clusters, and some of the others, lie off the middle. Without a kind all stay.
        """
        if kind is None:
            return clusters
        n, settings, device = len(clusters), self.survey.contaminants, generator.device
        kind = (kind if isinstance(kind, Tensor) else _numbers(kind, n)).to(device)
        u = torch.rand((3, n), generator=generator, device=device)
        nearest, farthest = settings.off_center_px
        farthest = min(farthest, self.survey.stamp_size / 2 - 1)
        most = torch.where(kind == STAR, min(farthest, self._reach_px), farthest)
        distance = nearest + (most - nearest).clamp_min(0) * u[0]
        others = (kind == GROUP) | (kind == STAR) | (kind == GALAXY)
        off = (kind == OFF_CENTER) | (others & (u[1] < settings.aside))
        angle = 2 * math.pi * u[2]
        return replace(
            clusters,
            x_offset=torch.where(off, distance * torch.cos(angle), clusters.x_offset),
            y_offset=torch.where(off, distance * torch.sin(angle), clusters.y_offset),
            more={**clusters.more, CONTAMINANT.name: kind},
        )

    # Their light

    def draw(self, clusters: Clusters, *, generator: torch.Generator) -> PointSources | None:
        """Draw groups, stars and galaxies; None where all are clusters by themselves."""
        kind = kind_of(clusters)
        if kind is None:
            return None
        parts = [
            draw(torch.nonzero(kind == k).flatten(), generator)
            for k, draw in ((GROUP, self._groups), (STAR, self._stars), (GALAXY, self._galaxies))
        ]
        sources = PointSources(
            torch.cat([part.image_index for part in parts]),
            torch.cat([part.offset for part in parts], 1),
            torch.cat([part.flux for part in parts], 1),
        )
        if not self.survey.varies_in_distance:
            return sources
        nearer = (self.survey.distance_pc / clusters.distance_pc) ** 2
        scale = torch.where(kind == GROUP, nearer, 1.0)  # the magnitudes of others are given
        return replace(sources, flux=sources.flux * scale[sources.image_index])

    def _some_stars(self, brightest: Tensor, generator: torch.Generator) -> Tensor:
        """Random ones, (band, star), each of the given brightest fraction of those seen."""
        n = self.bright_stars.shape[1]
        u = torch.rand(len(brightest), generator=generator, device=brightest.device)
        return self.bright_stars[:, (u * brightest * n).long().clamp(max=n - 1)]

    def _brightest(self, n: int, generator: torch.Generator) -> Tensor:
        """Fractions of the stars, log-uniform."""
        u = torch.rand(n, generator=generator, device=generator.device)
        return 10 ** (-BRIGHTEST_DEX * u)

    def _groups(self, index: Tensor, generator: torch.Generator) -> PointSources:
        """Field stars spread evenly over a disc: together by chance, bound by nothing."""
        settings, n = self.survey.contaminants, len(index)
        u = torch.rand((2, n), generator=generator, device=index.device)
        fewest, most = settings.group_stars
        counts = (fewest * ((most + 1) / fewest) ** u[0]).long().clamp(max=most)
        low, high = settings.group_arcsec
        radius_px = low * (high / low) ** u[1] / self.survey.pixel_scale_arcsec
        brightest = self._brightest(n, generator).repeat_interleave(counts)
        v = torch.rand((2, len(brightest)), generator=generator, device=index.device)
        radius = radius_px.repeat_interleave(counts) * v[0].sqrt()
        angle = 2 * math.pi * v[1]
        return PointSources(
            index.repeat_interleave(counts),
            torch.stack((radius * torch.cos(angle), radius * torch.sin(angle))),
            self._some_stars(brightest, generator),
        )

    def _stars(self, index: Tensor, generator: torch.Generator) -> PointSources:
        """Stars of the field's colors, in front of the galaxy or in it."""
        low, high = self.survey.contaminants.star_mag
        flux = self._some_stars(self._brightest(len(index), generator), generator)
        u = torch.rand(len(index), generator=generator, device=index.device)
        zero_point = flux.new_tensor([band.zero_point_ab for band in self.survey.bands])
        brightest = (zero_point[:, None] - 2.5 * flux.log10()).amin(0)
        flux = flux * 10 ** (0.4 * (brightest - (low + (high - low) * u)))
        return PointSources(index, flux.new_zeros((2, len(index))), flux)

    def _galaxies(self, index: Tensor, generator: torch.Generator) -> PointSources:
        """Background galaxies, discs and bulges; their magnitudes are those that are seen."""
        cpu, n = on_cpu(generator), len(index)
        u = torch.rand((4, n), generator=cpu, dtype=torch.float64).numpy()
        normal = torch.randn((2, n), generator=cpu, dtype=torch.float64).numpy()
        low, high = self.survey.contaminants.galaxy_mag
        galaxy, offset, flux = shapes(
            self.survey,
            low + (high - low) * u[0],
            u[1:],
            normal,
            a_v=0.0,
            bulge_fraction=BULGE_FRACTION,
        )
        return PointSources(
            index[torch.as_tensor(galaxy, device=index.device)],
            torch.as_tensor(offset, dtype=torch.float32, device=index.device),
            torch.as_tensor(flux, dtype=torch.float32, device=index.device),
        )

    # After the exposure

    def spoil(
        self,
        images: Tensor,
        clusters: Clusters,
        exposure_s: Tensor | None,
        *,
        generator: torch.Generator,
    ) -> None:
        """Lay artefacts on exposed images (n, band, y, x), in place."""
        kind, detector = kind_of(clusters), self.detector
        if kind is None or not bool((kind == ARTEFACT).any()):
            return
        cpu = on_cpu(generator)
        for i in torch.nonzero(kind == ARTEFACT).flatten().tolist():
            time = detector.exposure.flatten() if exposure_s is None else exposure_s[i]
            spoil(
                images[i],
                noise=detector.noise_in(time),
                full=detector.full_well / time,
                exposure_s=time,
                generator=cpu,
            )


def kind_of(clusters: Clusters) -> Tensor | None:
    """What stamps hold in place of clusters, (n,); None where nobody asked."""
    return clusters.more.get(CONTAMINANT.name)


def has_cluster(clusters: Clusters) -> Tensor | None:
    """Whether stamps hold a cluster, in the middle or off it, (n,); None: all do."""
    kind = kind_of(clusters)
    return None if kind is None else (kind == NONE) | (kind == OFF_CENTER)


def _numbers(kind: Any, n: int) -> Tensor:
    """The kinds of n stamps from names or numbers, one or one for each."""
    categories = CONTAMINANT.categories
    values = np.asarray(kind).ravel()
    if values.dtype.kind not in "iuf":
        for value in values:
            if value not in categories:
                raise unknown("contaminant", str(value), categories)
        values = np.array([categories.index(value) for value in values])
    if not np.isin(values, range(len(categories))).all() or len(values) not in (1, n):
        raise InputError(
            f"contaminant = {kind!r}; give one of {listed(categories)}, or one for each of {n} "
            "stamps",
            given=kind,
            allowed=categories,
        )
    return torch.as_tensor(values).long().expand(n).clone()
