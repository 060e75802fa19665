"""The simulator: clusters of a survey's prior, on star fields, as the telescope sees them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.arrays import check_tensor
from praesepe.device import usable_device
from praesepe.errors import check_number, check_type, listed
from praesepe.progress import Setup
from praesepe.rng import check_seed, stream
from praesepe.sky.cluster_stars import ClusterSampler, Sight
from praesepe.sky.clusters.colors import ClusterColors
from praesepe.sky.clusters.parameters import Clusters, draw_clusters
from praesepe.sky.clusters.validation import names_to_indices, validate_clusters
from praesepe.sky.contaminants import ContaminantSampler, PointSources, has_cluster
from praesepe.sky.fields.pool import SimulatedFieldPool, field_pool
from praesepe.sky.flux_limits import FluxLimits
from praesepe.sky.instrument.detector import Detector, Sky
from praesepe.sky.instrument.nuisances import draw_nuisances
from praesepe.sky.instrument.render import OVERSAMPLING, Renderer
from praesepe.sky.massive.clusters import MassiveClusterSampler
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.sky.nebulae import NebulaSampler
from praesepe.sky.neighbors import with_neighbors
from praesepe.sky.stamps import Mocks, Population, TruthContext, joined
from praesepe.sky.star_samplers import star_sampler
from praesepe.sky.tables import SurveyTables
from praesepe.sky.truth import observed_truth, truth_of
from praesepe.sky.visibility import Visibility
from praesepe.stars.present_mass import present_mass_curve
from praesepe.survey import Survey, load_survey

RANDOM_STREAM = 8
"""Raised with every change after which a seed gives other stamps; sets of mocks carry it."""

STAMPS_AT_ONCE = {"cpu": 32, "cuda": 1024}
"""Stamps that go through all stages together: few enough for a processor's cache."""


class Simulator:
    """Endless supply of simulated cluster stamps of one survey.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey, its built-in name, or its TOML file.
    device : str or torch.device
        ``"cpu"`` or ``"cuda"``.
    seed : int
        The same seed gives the same stamps.
    nuisances : bool
        Whether zero points, blur and registration vary from stamp to stamp, and the colors of
        stars have errors.
    contaminants : bool
        Whether some stamps have no cluster in their middle, where the survey asks for it.
    tables : SurveyTables, optional
        Ready-made stellar tables; built from the survey by default.
    n_fields : int
        Number of star fields that the stamps' surroundings are cut from; 0: no field stars.
    setup : callable, optional
        Called with (stage, done, total) while tables and samplers of stars and the first star
        fields are made.

    Examples
    --------
    >>> from praesepe import Simulator
    >>> mocks = Simulator("phat", seed=1).draw(4)
    >>> mocks.images.shape
    torch.Size([4, 3, 64, 64])
    """

    def __init__(
        self,
        survey: Survey | str,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        nuisances: bool = True,
        contaminants: bool = True,
        tables: SurveyTables | None = None,
        n_fields: int = 24,
        setup: Setup | None = None,
    ) -> None:
        seed, n_fields = check_seed(seed), check_number("n_fields", n_fields, 0)
        self.survey = load_survey(survey)
        self.device = usable_device(device)
        self.nuisances, self._setup = nuisances, setup
        self.tables = tables or SurveyTables.build(self.survey, setup=setup)
        self.renderer = Renderer(self.survey, device=self.device)
        self.detector = Detector(self.survey, device=self.device)
        self.limits = FluxLimits(self.survey, self.detector, self.renderer)
        self._sampler = partial(
            star_sampler, self.survey, limits=self.limits, device=self.device, setup=setup
        )
        self.stars = self._sampler(
            self.tables.cluster,
            stage="stars of clusters",
            flux_limit_range=self.limits.depth_range,
            of_clusters=True,
        )
        self._in_field = cache(partial(self._sampler, self.tables.field, stage="stars of fields"))
        self.colors = ClusterColors(self.survey, self.tables.r_v_terms, device=self.device)
        self.cluster_stars: ClusterSampler = MassiveClusterSampler(self.stars)
        self.nebulae = NebulaSampler(self.survey, device=self.device)
        self.contaminants = ContaminantSampler(
            self.survey, self.detector, self.limits,
            wanted=contaminants, reach_px=self.renderer.pad, field_stars=self._in_field,
        )  # fmt: skip
        self._begin(seed, n_fields)

    def _begin(self, seed: int, n_fields: int) -> None:
        """Start the stream of clusters, and make the star fields."""
        self.base_seed, self.n_fields = seed, n_fields
        self.seed(seed)
        self.field_pool = field_pool(
            self.survey,
            self._in_field,
            n_fields=n_fields,
            seed=(seed, 1),
            flux_limit=self.limits.lowest,
            setup=self._setup,
            device=self.device,
        )
        self.visibility = Visibility(self.survey, self.renderer, self.detector, self.field_pool)

    def another(self, seed: int, *, n_fields: int) -> Simulator:
        """Make the simulator that `Simulator` makes of another seed; both share what costs time."""
        other = copy(self)
        other._begin(seed, n_fields)
        return other

    def seed(self, *seed: int) -> None:
        """Start the stream of clusters anew from one or more integers; the star fields stay."""
        self.generator = stream((*seed, 0), self.device)

    @property
    def field_stars(self) -> CrowdedSampler:
        """The sampler of the stars of star fields; made when it is first needed."""
        return self._in_field()  # not of `self`, which would stay in memory in a circle

    @cached_property
    def context(self) -> TruthContext:
        """What quantities that derive from the truth need."""
        survey, r_v = self.survey, self.survey.clusters.stars.middle_r_v
        return TruthContext(survey.pc_per_arcsec, *present_mass_curve(survey), r_v)

    def __repr__(self) -> str:
        if self.field_pool is None:
            fields = "no star fields"
        elif self.field_pool.before_psf:
            fields = f"{self.n_fields} simulated star fields"
        else:
            fields = f"real star fields of {self.survey.galaxy.field.files}"
        return (
            f"<Simulator of {self.survey.name!r}: {self.survey.stamp_size} px stamps in "
            f"{listed(self.survey.band_names)}; seed {self.base_seed}, {fields}, "
            f"{'with' if self.nuisances else 'without'} nuisances, on {self.device}>"
        )

    def sample(self, n: int) -> Clusters:
        """First stage: draw the parameters of `n` clusters, or contaminants, from the survey."""
        check_number("n", n, 1)
        return self.contaminants.assign(self._sample_clusters(n), generator=self.generator)

    def _sample_clusters(self, n: int) -> Clusters:
        """Draw clusters alone."""
        distance_pc = self._distances(n)
        return draw_clusters(self.survey, n, generator=self.generator, distance_pc=distance_pc)

    def _distances(self, n: int) -> Tensor | None:
        """Distances of stamps, pc, (n,): those of the star fields; None where all have one."""
        if not self.survey.varies_in_distance:
            return None
        if isinstance(self.field_pool, SimulatedFieldPool):
            return self.field_pool.draw_distances(n, generator=self.generator)
        near, far = self.survey.distance_range_pc
        return near * (far / near) ** torch.rand(n, generator=self.generator, device=self.device)

    def populate(
        self,
        clusters: Clusters,
        *,
        exposure_s: Tensor | None = None,
        renderer: Renderer | None = None,
        compute_truth: bool = True,
    ) -> Population:
        """Second stage: draw the stars of clusters.

        Parameters
        ----------
        clusters : Clusters
            Their parameters, n of them.
        exposure_s : Tensor, shape (n, band), optional
            Exposure times of their stamps, where the survey has a range of them; by default the
            longest. No more stars are sampled one by one than they can show.
        renderer : Renderer, optional
            As for `spread`: stars are drawn as far out as its grid reaches.
        compute_truth : bool
            As for `draw`.

        Returns
        -------
        Population
        """
        check_type("clusters", clusters, Clusters, "Clusters, as from sample")
        renderer = renderer or self.renderer
        light_scale, flux_limit = self.limits.of_stamps(clusters.distance_pc, exposure_s)
        sight = Sight(
            psf_px=float(renderer.peak.max()) ** -0.5,
            visible_px=renderer.grid / OVERSAMPLING / 2**0.5
            + torch.hypot(clusters.x_offset, clusters.y_offset),
            flux_limit=self.limits.lowest,
        )
        drawn = self.cluster_stars.draw(
            clusters,
            clusters.spatial_profile(self.survey.pixel_scale_arcsec),
            generator=self.generator,
            sight=sight,
            has_stars=has_cluster(clusters),
            colors=self.colors.draw(clusters, generator=self.generator, imperfect=self.nuisances),
            light_scale=light_scale,
            flux_limit=flux_limit,
            compute_truth=compute_truth,
        )
        others = self.contaminants.draw(clusters, generator=self.generator)
        gas = self.nebulae.draw(clusters, drawn, generator=self.generator)
        others = PointSources.together(others, gas)
        center = torch.stack((clusters.x_offset, clusters.y_offset)) + self.survey.stamp_size // 2
        truth = truth_of(clusters, center, drawn, others, self.survey, compute_truth=compute_truth)
        return Population(drawn, center, truth, others)

    def spread(self, population: Population, *, renderer: Renderer | None = None) -> Tensor:
        """Lay each cluster on a grid of its own: light before the telescope.

        Parameters
        ----------
        population : Population
            Of n clusters.
        renderer : Renderer, optional
            Of another size of stamp than the survey's; clusters stay around the same pixel.

        Returns
        -------
        Tensor, shape (n, band, grid, grid)
            e-/s; twice as fine as pixels, and wider than the stamp.
        """
        check_type("population", population, Population, "a Population, as from populate")
        renderer = renderer or self.renderer
        grids = renderer.empty(len(population))
        population.drawn.add_to(grids, population.center, renderer=renderer)
        if population.others is not None:
            population.others.add_to(grids, population.center, renderer=renderer)
        return grids

    def render(self, light: Population | Tensor, **nuisances: Tensor) -> Tensor:
        """Third stage: see the light through the telescope's optics, before any noise.

        Parameters
        ----------
        light : Population or Tensor, shape (n, band, grid, grid)
            Stars, or grids as from `spread`, to which ``field_pool.add_to`` may have added stars.
        **nuisances : Tensor
            As from `draw_nuisances`; none by default.

        Returns
        -------
        Tensor, shape (n, band, y, x)
            e-/s.
        """
        grids = self.spread(light) if isinstance(light, Population) else light
        check_tensor("light", grids, ("n", self.renderer.n_bands, *[self.renderer.grid] * 2))
        return self.renderer.convolve(grids, **nuisances)

    def expose(
        self,
        images: Tensor,
        *,
        background: Tensor | None = None,
        exposure_s: Tensor | None = None,
        sky: Sky | None = None,
    ) -> Tensor:
        """Fourth stage: expose images, so that they have sky, noise and detector artefacts.

        Parameters
        ----------
        images : Tensor, shape (n, band, y, x)
            Images before noise, e-/s, as from `render`.
        background : Tensor, shape (n, band, y, x), optional
            Real images in e-/s to lay them on: the light then brings its own photon noise only, and
            the background keeps its sky, noise and artefacts.
        exposure_s : Tensor, shape (n, band), optional
            Exposure times, as from ``detector.draw_exposures``; by default the survey's.
        sky : Sky, optional
            As from ``detector.draw_sky``; by default drawn.

        Returns
        -------
        Tensor, shape (n, band, y, x)
            e-/s.
        """
        return self.detector.expose(
            images, generator=self.generator, background=background, exposure_s=exposure_s, sky=sky
        )

    def draw(self, n: int, *, batch_size: int = 256, compute_truth: bool = True) -> Mocks:
        """Draw clusters from the prior and simulate stamps of them.

        Parameters
        ----------
        n : int
            Number of stamps.
        batch_size : int
            Stamps whose parameters are drawn at once; part of what makes a set reproducible.
        compute_truth : bool
            Whether the truth counts living stars, finds the brightest and measures the realised
            radius, which a training does not need.

        Returns
        -------
        Mocks
        """
        check_number("n", n, 1)
        check_number("batch_size", batch_size, 1)
        parts = []
        for start in range(0, n, batch_size):
            self._next_fields()  # before the clusters, which are as far as their fields
            clusters = self.sample(min(batch_size, n - start))
            parts.append(self._simulate(clusters, compute_truth))
        return joined(parts)

    def _next_fields(self) -> None:
        """Go on to the next batch, for which some of the star fields may be renewed."""
        if self.field_pool is not None:
            self.field_pool.seek(self.field_pool.step + 1)

    def draw_block(self, block: int, n: int, *, compute_truth: bool = True) -> Mocks:
        """Draw one block of the endless set that the simulator's seed gives.

        It depends on the survey, the seed, the block's number and `n` alone, not on what was drawn
        before. Steps and validation sets of a training, sets of mocks and evaluations are made of
        such blocks.

        Parameters
        ----------
        block : int
            Number of the block, from 0.
        n : int
            Number of stamps, whose parameters are drawn together.
        compute_truth : bool
            As for `draw`.

        Returns
        -------
        Mocks
        """
        self.seed(self.base_seed, block)
        if self.field_pool is not None:
            self.field_pool.seek(block)
        return self.draw(n, batch_size=n, compute_truth=compute_truth)

    def observe(self, clusters: Clusters | Mapping[str, Any], n: int | None = None) -> Mocks:
        """Simulate stamps of given clusters.

        Parameters
        ----------
        clusters : Clusters or mapping
            All parameters, or some of them by name (see `Clusters.with_values`), each one value
            or one for every cluster; the others are drawn from the prior, at the distances that
            are given. Profiles and stellar models may be named: ``{"profile": "king"}``.
        n : int, optional
            Number of clusters, where a mapping holds single values only.

        Returns
        -------
        Mocks
            Their truth holds all that is given, also what the survey does not let vary.

        Raises
        ------
        InputError
            For no clusters, and for those that the simulator cannot make; see
            `praesepe.sky.clusters.validation.validate_clusters`.

        Examples
        --------
        >>> from praesepe import Simulator
        >>> simulator = Simulator("phat", seed=1, n_fields=1)
        >>> mocks = simulator.observe({"log_age": 8.0, "log_mass": 3.0, "log_rh": -0.5}, n=2)
        >>> mocks.images.shape
        torch.Size([2, 3, 64, 64])
        """
        check_type("clusters", clusters, (Clusters, Mapping), ("Clusters", "a mapping by name"))
        self._next_fields()
        given: set[str] = set()
        if not isinstance(clusters, Clusters):
            given, clusters = set(clusters), self.complete(clusters, n)
        validate_clusters(clusters, self.survey, self.tables.cluster)
        mocks = self._simulate(clusters, compute_truth=True)
        told = {*clusters.parameters(), "tidal_radius"} - {*mocks.truth, "x_offset", "y_offset"}
        mocks.truth.update({name: getattr(clusters, name) for name in sorted(given & told)})
        return mocks

    def complete(self, given: Mapping[str, Any], n: int | None = None) -> Clusters:
        """Draw from the survey what is not given of clusters; see `observe`."""
        sizes = {int(np.prod(np.shape(values))) for values in given.values()} - {1}
        n = (sizes.pop() if len(sizes) == 1 else 1) if n is None else n
        check_number("the number of clusters", n, 1)
        values = names_to_indices(given, self.survey)
        clusters = self._sample_clusters(n).moved(values.get("distance_pc"), self.survey)
        kind = values.pop("contaminant", None)
        placed = self.contaminants.place(clusters, kind, generator=self.generator)
        return placed.with_values(**values)

    def _simulate(self, clusters: Clusters, compute_truth: bool) -> Mocks:
        """Populate, lay on star fields, render and expose, a few stamps at a time."""
        step = STAMPS_AT_ONCE["cpu" if self.device.type == "cpu" else "cuda"]
        parts = []
        for start in range(0, len(clusters), step):
            some = clusters.part(slice(start, start + step))
            exposure_s = self.detector.draw_exposures(len(some), generator=self.generator)
            population = self.populate(some, exposure_s=exposure_s, compute_truth=compute_truth)
            crowd = with_neighbors(population, some, self.survey, generator=self.generator)
            grids, a_v = self.spread(crowd), some.foreground_a_v
            images, observed = self.image(grids, some.distance_pc, exposure_s, foreground_a_v=a_v)
            self.contaminants.spoil(images, some, exposure_s, generator=self.generator)
            parts.append(Mocks(images, population.truth | observed, self.context))
        mocks = joined(parts)
        self.visibility.complete(mocks.truth, clusters, wanted=compute_truth)
        return mocks

    def image(
        self,
        grids: Tensor,
        distance_pc: Tensor,
        exposure_s: Tensor | None = None,
        *,
        foreground_a_v: Tensor | None = None,
        nuisances: dict[str, Tensor] | None = None,
        sky: Sky | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Lay light on random crops of star fields, render and expose it.

        Parameters
        ----------
        grids : Tensor, shape (n, band, grid, grid)
            As from `spread`; changed in place.
        distance_pc, foreground_a_v : Tensor, shape (n,)
            Of the clusters, and so of their fields; the latter where the survey has a range.
        exposure_s : Tensor, shape (n, band), optional
            Where the survey has a range.
        nuisances, sky : optional
            As from `draw_nuisances` and ``detector.draw_sky``; by default drawn.

        Returns
        -------
        images : Tensor, shape (n, band, y, x)
            e-/s.
        observed : dict of str to Tensor, each of shape (n,)
            See `observed_truth`, and ``add_to`` of the pool; no depth on real star fields.
        """
        pool, background = self.field_pool, None
        observed: dict[str, Tensor] = {}
        given: dict[str, Any] = {
            "generator": self.generator,
            "distance_pc": distance_pc,
            "foreground_a_v": foreground_a_v,
        }
        if pool is not None and pool.before_psf:
            observed |= pool.add_to(grids, **given)
        nuisances = nuisances or self.draw_nuisances(len(grids))
        images = self.render(grids, **nuisances)
        if pool is not None and not pool.before_psf:
            background = torch.zeros_like(images)
            observed |= pool.add_to(background, **given)
        if background is None:
            sky = sky or self.detector.draw_sky(len(images), generator=self.generator)
        observed |= observed_truth(
            self.survey,
            fwhm_px=self.renderer.widths(len(images), **nuisances),
            exposure_s=exposure_s,
            noise=None if sky is None else self.detector.noise_in(exposure_s, sky.level),
        )
        exposed = self.expose(images, background=background, exposure_s=exposure_s, sky=sky)
        return exposed, observed

    def draw_nuisances(self, n: int) -> dict[str, Tensor]:
        """What the telescope does to each of n stamps, and band, for `render`."""
        how: Any = {"n_psfs": self.renderer.n_psfs, "imperfect": self.nuisances}
        return draw_nuisances(self.survey, n, generator=self.generator, **how)
