"""The simulator: clusters of a survey's prior, on star fields, as the telescope sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.rng import stream
from praesepe.sky.clusters.parameters import Clusters, draw_clusters
from praesepe.sky.clusters.validation import names_to_indices, validate_clusters
from praesepe.sky.fields.real import RealFieldBank
from praesepe.sky.fields.simulated import Bank, FieldBank
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.render import OVERSAMPLING, Renderer
from praesepe.sky.massive.stars import ClusterStars, draw_cluster_stars
from praesepe.sky.population.sampler import StarSampler
from praesepe.sky.tables import SurveyTables
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import imf_from
from praesepe.stars.population import StellarTable
from praesepe.survey import Survey, as_range, load_survey

FAINT_STAR_SNR = 0.3
"""Stars whose brightest pixel stays below this share of the noise are unresolved."""

RANDOM_STREAM = 5
"""Raised with every change after which a seed gives other stamps; sets of mocks carry it."""

STAMPS_AT_ONCE = {"cpu": 32, "cuda": 1024}
"""Stamps that go through all stages together: few enough for a processor's cache."""


@dataclass(frozen=True)
class Mocks:
    """Simulated stamps and the truth about them.

    Attributes
    ----------
    images : Tensor, shape (n, band, y, x)
        e-/s.
    labels : Tensor, shape (n, 3)
        log age [dex(yr)], log initial mass [dex(Msun)], log r_h [dex(arcsec)].
    truth : dict of str to Tensor, each of shape (n,)
        What else is known: present-day mass, profile, place, magnitudes.
    """

    images: Tensor
    labels: Tensor
    truth: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)


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
        Whether zero points, blur and registration vary from stamp to stamp.
    tables : SurveyTables, optional
        Ready-made stellar tables; built from the survey by default.
    n_fields : int
        Number of star fields in the bank that the stamps' surroundings are cut from; 0: no field
        stars.

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
        tables: SurveyTables | None = None,
        n_fields: int = 24,
    ) -> None:
        self.survey = load_survey(survey)
        self.device = torch.device(device)
        self.nuisances = nuisances
        self.tables = tables or SurveyTables.build(self.survey)
        self.renderer = Renderer(self.survey, device=self.device)
        self.detector = Detector(self.survey, device=self.device)
        # Without sky and read noise, a star of less than an electron still cannot be told apart.
        electron = [1 / band.exposure_range_s[1] for band in self.survey.bands]
        noise = np.maximum(self.detector.noise.cpu().numpy(), electron)
        self.flux_limit = FAINT_STAR_SNR * noise / self.renderer.peak  # (band,), e-/s
        self.stars = self._sampler(self.tables.cluster)
        self.base_seed = seed
        self.seed(seed)
        self.bank: Bank | None = None
        if n_fields and self.survey.galaxy.field.files is not None:
            self.bank = RealFieldBank(
                self.survey.galaxy.field.files, self.survey, device=self.device
            )
        elif n_fields:
            self.bank = FieldBank(
                self.survey,
                self._sampler(self.tables.field),
                n_fields=n_fields,
                seed=(seed, 1),
                flux_limit=self._limit,
            )

    def seed(self, *seed: int) -> None:
        """Start the stream of clusters anew from one or more integers; the star fields stay."""
        self.generator = stream((*seed, 0), self.device)

    def _sampler(self, tables: StellarTable | Sequence[StellarTable]) -> StarSampler:
        s = self.survey.clusters.stars
        near, far = self.survey.distance_range_pc
        brightest = (self.survey.distance_pc / near) ** 2
        return StarSampler(
            tables,
            unit_magnitude=[
                band.zero_point_ab - self.survey.distance_modulus for band in self.survey.bands
            ],
            flux_limit=(self.flux_limit / brightest).tolist(),
            flux_limit_range=(far / near) ** 2,
            imf=imf_from(s.imf),
            binaries=Binaries(s.binary_fraction, s.binary_mass_ratio, s.binary_mass_ratio_slope),
            device=self.device,
        )

    @property
    def _limit(self) -> Tensor:
        """Light below which a star cannot be told apart in the deepest stamp, e-/s, (band,)."""
        return torch.as_tensor(self.flux_limit, dtype=torch.float32, device=self.device)

    def draw(self, n: int, *, batch_size: int = 256, compute_truth: bool = True) -> Mocks:
        """Draw clusters from the prior and render them.

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
        if n < 1:
            raise InputError(f"{n} stamps asked for; ask for at least one")
        sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
        parts = []
        for size in sizes:
            self._next_fields()
            parts.append(self._observe(self.sample_prior(size), compute_truth))
        return _joined(parts)

    def _next_fields(self) -> None:
        """Go on to the next batch, for which some of the star fields may be renewed."""
        if self.bank is not None:
            self.bank.advance()

    def draw_block(self, block: int, n: int, *, compute_truth: bool = True) -> Mocks:
        """Draw one block of the endless set that the simulator's seed gives.

        It depends on the survey, the seed, the block's number and `n` alone, not on what was drawn
        before. Steps of a training, sets of mocks and evaluations are made of such blocks.

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
        if self.bank is not None and self.bank.calls != block:
            self.bank.rewind(block)
        return self.draw(n, batch_size=n, compute_truth=compute_truth)

    def sample_prior(self, n: int) -> Clusters:
        """Draw the parameters of `n` clusters from the survey's prior."""
        return draw_clusters(
            self.survey, n, generator=self.generator, distance_pc=self._distances(n)
        )

    def _distances(self, n: int) -> Tensor | None:
        """Distances of stamps, pc, (n,): those of the star fields; None where all have one."""
        if not self.survey.varies_in_distance:
            return None
        if isinstance(self.bank, FieldBank):
            return self.bank.draw_distances(n, generator=self.generator)
        near, far = self.survey.distance_range_pc
        u = torch.rand(n, generator=self.generator, device=self.device)
        return near * (far / near) ** u

    def observe(self, clusters: Clusters | Mapping[str, Any], n: int | None = None) -> Mocks:
        """Render given clusters, one a stamp.

        Parameters
        ----------
        clusters : Clusters or mapping
            All parameters, or some of them by name (see `Clusters`), each one value or one for
            every cluster; the others are drawn from the prior. Profiles and stellar models may
            be named: ``{"profile": "king"}``.
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
        beside_labels: set[str] = set()
        if not isinstance(clusters, Clusters):
            beside_labels = set(clusters) - {
                "log_age",
                "log_mass",
                "log_rh",
                "x_offset",
                "y_offset",
            }
            sizes = {int(np.prod(np.shape(values))) for values in clusters.values()} - {1}
            if n is None:
                n = sizes.pop() if len(sizes) == 1 else 1
            if n < 1:
                raise InputError(f"{n} clusters are given; give at least one")
            self._next_fields()
            clusters = self.sample_prior(n).with_values(**names_to_indices(clusters, self.survey))
        else:
            self._next_fields()
        validate_clusters(clusters, self.survey, self.tables.cluster)
        mocks = self._observe(clusters, compute_truth=True)
        mocks.truth.update({name: getattr(clusters, name) for name in sorted(beside_labels)})
        return mocks

    def _observe(self, clusters: Clusters, compute_truth: bool) -> Mocks:
        """Populate, lay on star fields and expose, a few stamps at a time."""
        step = STAMPS_AT_ONCE["cpu" if self.device.type == "cpu" else "cuda"]
        parts = []
        for start in range(0, len(clusters), step):
            some = clusters.part(slice(start, start + step))
            labels, truth, grids = self.populate(some, compute_truth=compute_truth)
            images, more = self._expose(grids, some.distance_pc)
            parts.append(Mocks(images, labels, truth | more))
        return _joined(parts)

    def _expose(self, grids: Tensor, distance_pc: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Lay clusters on star fields and look at them with the telescope."""
        bank, n = self.bank, len(grids)
        truth: dict[str, Tensor] = {}
        background: Tensor | None = None
        if bank is not None and bank.before_psf:
            truth["field_density"] = self._field(grids, distance_pc)
        images = self.renderer.convolve(grids, **self._nuisances(n))
        if bank is not None and not bank.before_psf:
            background = torch.zeros_like(images)
            truth["field_density"] = self._field(background, distance_pc)
        exposure_s = self.detector.draw_exposures(n, generator=self.generator)
        if exposure_s is not None:
            names = self.survey.band_names
            truth |= {f"exposure_{name}": exposure_s[:, i] for i, name in enumerate(names)}
        exposed = self.detector.expose(
            images, generator=self.generator, background=background, exposure_s=exposure_s
        )
        return exposed, truth

    def _field(self, light: Tensor, distance_pc: Tensor) -> Tensor:
        """Add star fields in place; the surface density of their stars, (n,)."""
        assert self.bank is not None
        density = self.bank.add_to(light, generator=self.generator, distance_pc=distance_pc)
        return density.to(self.device)

    def populate(
        self, clusters: Clusters, *, compute_truth: bool = True
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Draw the stars of clusters and lay each cluster on a grid of its own.

        Parameters
        ----------
        clusters : Clusters
            Their parameters.
        compute_truth : bool
            As for `draw`.

        Returns
        -------
        labels : Tensor, shape (n, 3)
            In the order of `praesepe.quantities.PARAMETERS`.
        truth : dict of str to Tensor, each of shape (n,)
            What else is known.
        grids : Tensor, shape (n, band, grid, grid)
            Light before the telescope, for `Renderer.convolve`.
        """
        n = len(clusters)
        drawn = self.stars_of(clusters, compute_truth=compute_truth)
        stars = drawn.stars
        center = torch.stack((clusters.x_offset, clusters.y_offset)) + self.survey.stamp_size // 2
        grids = self.renderer.empty(n)
        position = drawn.offset + center.index_select(1, stars.population)
        self.renderer.scatter(grids, stars.population, position, stars.flux)
        limit = torch.as_tensor(self.flux_limit, device=self.device)
        drawn.diffuse.add_to(grids, center, renderer=self.renderer, limit=limit)
        labels = torch.stack((clusters.log_age, stars.mass.log10(), clusters.log_rh), dim=1)
        truth = {"x": center[0], "y": center[1], "n_stars": drawn.n_stars}
        truth |= self._parameters_beside_labels(clusters)
        for i, band in enumerate(self.survey.bands):
            truth[f"mag_{band.name}"] = band.zero_point_ab - 2.5 * stars.light[:, i].log10()
        if compute_truth:
            truth |= self._details(drawn)
        return labels, truth, grids

    def stars_of(self, clusters: Clusters, *, compute_truth: bool = True) -> ClusterStars:
        """Draw the stars of clusters.

        Parameters
        ----------
        clusters : Clusters
        compute_truth : bool
            As for `draw`.

        Returns
        -------
        ClusterStars
        """
        light_scale = flux_limit = None
        if self.survey.varies_in_distance:
            shape = (len(clusters), len(self.survey.bands))
            scale = (self.survey.distance_pc / clusters.distance_pc) ** 2
            light_scale, flux_limit = scale[:, None].expand(shape), self._limit.expand(shape)
        return draw_cluster_stars(
            self.stars,
            clusters,
            clusters.spatial_profile(self.survey.pixel_scale_arcsec),
            generator=self.generator,
            psf_px=float(self.renderer.peak.max()) ** -0.5,
            visible_px=self.renderer.grid / OVERSAMPLING / 2**0.5
            + torch.hypot(clusters.x_offset, clusters.y_offset),
            a_v_scatter=self.survey.clusters.a_v_scatter,
            light_scale=light_scale,
            flux_limit=flux_limit,
            compute_truth=compute_truth,
        )

    def _parameters_beside_labels(self, clusters: Clusters) -> dict[str, Tensor]:
        """Those of the clusters' parameters that the survey lets vary, and the profile's slope."""
        prior, tides = self.survey.clusters, self.survey.galaxy.tides
        varies = {
            "a_v": as_range(prior.a_v) != (0.0, 0.0),
            "log_z": isinstance(prior.metallicity, tuple),
            "distance_pc": self.survey.varies_in_distance,
            "model": len(prior.stars.models) > 1,
            "profile": prior.profiles != ("eff",),
            "concentration": "king" in prior.profiles,
            "ellipticity": prior.ellipticity != (0.0, 0.0),
            "angle": prior.ellipticity != (0.0, 0.0),
            "segregation": prior.segregation != (0.0, 0.0),
        }
        names = ["gamma"] if "eff" in prior.profiles else []
        names += ["tidal_radius"] if "eff" in prior.profiles and tides is not None else []
        names += [name for name, wanted in varies.items() if wanted]
        return {name: getattr(clusters, name) for name in names}

    def _details(self, drawn: ClusterStars) -> dict[str, Tensor]:
        """What the stars drawn are, apart from their sum."""
        stars, bands = drawn.stars, self.survey.bands
        assert stars.present_mass is not None
        assert stars.n_living is not None
        assert stars.brightest is not None
        radius = drawn.half_light_radius(len(bands) // 2)
        details = {
            "log_present_mass": stars.present_mass.log10(),
            "n_living": stars.n_living,
            "rh_realised_arcsec": radius * self.survey.pixel_scale_arcsec,
        }
        for i, band in enumerate(bands):
            flux = stars.brightest[:, i]
            details[f"brightest_{band.name}"] = band.zero_point_ab - 2.5 * flux.log10()
        return details

    def _nuisances(self, n: int) -> dict[str, Tensor]:
        if not self.nuisances:
            return self._psfs(n)
        settings, shape = self.survey.observation.nuisance, (n, len(self.survey.bands))
        low, high = settings.blur_px

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=self.generator, device=self.device)

        u = torch.rand(shape, generator=self.generator, device=self.device)
        return {
            "gain": 10 ** (-0.4 * settings.zero_point_mag * normal(*shape)),
            "blur_px": low + (high - low) * u,
            "shift_px": settings.registration_px * normal(*shape, 2),
            **self._psfs(n),
        }

    def _psfs(self, n: int) -> dict[str, Tensor]:
        """Which of its PSFs each band sees: one place on the detector and one focus a stamp.

        The place is where the cluster happens to lie, and always drawn. The focus is a nuisance:
        without these, every band has its first, the sharpest.
        """
        counts = torch.tensor(self.renderer.n_psfs, device=self.device)
        if bool((counts == 1).all()):
            return {}
        from_file = [band.psf.file is not None for band in self.survey.bands]
        place, focus = torch.rand((2, n, 1), generator=self.generator, device=self.device)
        if not self.nuisances:
            focus = torch.zeros_like(focus)
        u = torch.where(torch.tensor(from_file, device=self.device), place, focus)
        return {"psf": (u * counts).long()}


def _joined(parts: list[Mocks]) -> Mocks:
    """Sets of stamps as one."""
    if len(parts) == 1:
        return parts[0]
    return Mocks(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        {key: torch.cat([part.truth[key] for part in parts]) for key in parts[0].truth},
    )
