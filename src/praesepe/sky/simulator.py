"""The simulator: clusters of a survey's prior, on star fields, as the telescope sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.sky.clusters import Clusters, draw_clusters
from praesepe.sky.detector import Detector
from praesepe.sky.fields import FieldBank, draw_field, stream
from praesepe.sky.profiles import sample_eff
from praesepe.sky.render import OVERSAMPLING, Renderer
from praesepe.sky.sampler import StarSampler
from praesepe.stars.passbands import load_passband
from praesepe.stars.population import StellarTable, build_table
from praesepe.survey import Survey, as_range, load_survey

FAINT_STAR_SNR = 0.3
"""Stars whose brightest pixel stays below this share of the noise are summed, not drawn singly."""


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


@dataclass(frozen=True)
class SurveyTables:
    """The stellar tables a simulator needs; build them once, share them between simulators.

    Attributes
    ----------
    cluster, field : StellarTable
        At the clusters' metallicity, and at all metallicities of the field.
    """

    cluster: StellarTable
    field: StellarTable

    @classmethod
    def build(cls, survey: Survey) -> SurveyTables:
        """Integrate the embedded spectra over the survey's filter curves."""
        bands = [load_passband(band.filter) for band in survey.bands]
        s = survey.stars
        a_v = as_range(s.a_v)[0]
        table = partial(build_table, bands, a_v=a_v, r_v=s.r_v, law=s.extinction_law)
        return cls(cluster=table(metallicities=[as_range(s.metallicity)[0]]), field=table())


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
        self.stars = self._sampler(self.tables.cluster)
        self.seed(seed)
        self.bank: FieldBank | None = None
        if n_fields:
            self.bank = FieldBank(
                self.survey, self._sampler(self.tables.field), n_fields=n_fields, seed=(seed, 1)
            )

    def seed(self, *seed: int) -> None:
        """Start the stream of clusters anew from one or more integers; the star fields stay."""
        self.generator = stream((*seed, 0), self.device)

    def _sampler(self, table: StellarTable) -> StarSampler:
        limit = FAINT_STAR_SNR * self.detector.noise.cpu().numpy() / self.renderer.peak
        return StarSampler(
            table,
            zero_points=[band.zero_point_ab for band in self.survey.bands],
            distance_modulus=self.survey.distance_modulus,
            flux_limit=limit.tolist(),
            device=self.device,
        )

    def draw(self, n: int, *, batch_size: int = 256) -> Mocks:
        """Draw clusters from the prior and render them.

        Parameters
        ----------
        n : int
            Number of stamps.
        batch_size : int
            Stamps rendered at once; part of what makes a set reproducible.

        Returns
        -------
        Mocks
        """
        if n < 1:
            raise InputError(f"{n} stamps asked for; ask for at least one")
        parts = [self._batch(min(batch_size, n - start)) for start in range(0, n, batch_size)]
        return Mocks(
            torch.cat([part.images for part in parts]),
            torch.cat([part.labels for part in parts]),
            {key: torch.cat([part.truth[key] for part in parts]) for key in parts[0].truth},
        )

    def sample_prior(self, n: int) -> Clusters:
        """Draw the parameters of `n` clusters from the survey's prior."""
        return draw_clusters(self.survey, n, generator=self.generator)

    def observe(self, clusters: Clusters | Mapping[str, Any], n: int | None = None) -> Mocks:
        """Render given clusters, one a stamp.

        Parameters
        ----------
        clusters : Clusters or mapping
            All parameters, or some of them by name (see `Clusters`), each one value or one for
            every cluster; the others are drawn from the prior.
        n : int, optional
            Number of clusters, where a mapping holds single values only.

        Returns
        -------
        Mocks

        Examples
        --------
        >>> from praesepe import Simulator
        >>> simulator = Simulator("phat", seed=1, n_fields=1)
        >>> mocks = simulator.observe({"log_age": 8.0, "log_mass": 3.0, "log_rh": -0.5}, n=2)
        >>> mocks.images.shape
        torch.Size([2, 3, 64, 64])
        """
        if not isinstance(clusters, Clusters):
            sizes = {np.size(v) for v in clusters.values()} - {1}
            if n is None and len(sizes) == 1:
                n = sizes.pop()
            clusters = self.sample_prior(n or 1).with_values(**clusters)
        return self._expose(*self.populate(clusters))

    def _batch(self, n: int) -> Mocks:
        return self._expose(*self.populate(self.sample_prior(n)))

    def _expose(self, labels: Tensor, truth: dict[str, Tensor], grids: Tensor) -> Mocks:
        """Lay the clusters on star fields and look at them with the telescope."""
        if self.bank is not None:
            density = self.bank.add_to(grids, generator=self.generator)
            truth["field_density"] = density.to(self.device)
        images = self.renderer.convolve(grids, **self._nuisances(len(grids)))
        return Mocks(self.detector.expose(images, generator=self.generator), labels, truth)

    def populate(self, clusters: Clusters) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Draw the stars of clusters and lay each cluster on a grid of its own.

        Parameters
        ----------
        clusters : Clusters
            Their parameters.

        Returns
        -------
        labels : Tensor, shape (n, 3)
            In the order of `praesepe.parameters.PARAMETERS`.
        truth : dict of str to Tensor, each of shape (n,)
            What else is known.
        grids : Tensor, shape (n, band, grid, grid)
            Light before the telescope, for `Renderer.convolve`.
        """
        survey, n = self.survey, len(clusters)
        i_age = self._nearest_age(clusters.log_age)
        n_stars = torch.poisson(
            10**clusters.log_mass / self.stars.mean_mass, generator=self.generator
        ).clamp_(min=1)
        drawn = self.stars.draw(self.stars.row(i_age), n_stars, generator=self.generator)
        radius_px = (10**clusters.log_rh / survey.pixel_scale_arcsec)[drawn.owner]
        position = sample_eff(radius_px, clusters.gamma[drawn.owner], generator=self.generator)
        centre = torch.stack((clusters.x_offset, clusters.y_offset)) + survey.stamp_size // 2
        position += centre[:, drawn.owner]
        grids = self.renderer.empty(n)
        self.renderer.scatter(grids, drawn.owner, position, drawn.flux)
        labels = torch.stack((clusters.log_age, drawn.mass.log10(), clusters.log_rh), dim=1)
        left = torch.as_tensor(self.stars.present_fraction[:, 0], device=self.device).float()
        truth = {
            "log_present_mass": (drawn.mass * left[i_age]).log10(),
            "gamma": clusters.gamma,
            "x": centre[0],
            "y": centre[1],
            "n_stars": n_stars,
        }
        for i, band in enumerate(survey.bands):
            truth[f"mag_{band.name}"] = band.zero_point_ab - 2.5 * drawn.light[:, i].log10()
        return labels, truth, grids

    def _nearest_age(self, log_age: Tensor) -> Tensor:
        """Index of the isochrone nearest to each age."""
        grid = torch.as_tensor(self.stars.log_age, device=self.device, dtype=torch.float32)
        return (log_age[:, None] - grid).abs().argmin(1)

    def _nuisances(self, n: int) -> dict[str, Tensor]:
        if not self.nuisances:
            return {}
        settings, shape = self.survey.nuisance, (n, len(self.survey.bands))
        low, high = settings.blur_px

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=self.generator, device=self.device)

        u = torch.rand(shape, generator=self.generator, device=self.device)
        return {
            "gain": 10 ** (-0.4 * settings.zero_point_mag * normal(*shape)),
            "blur_px": low + (high - low) * u,
            "shift_px": settings.registration_px * normal(*shape, 2),
        }


def make_mosaic(
    survey: Survey | str,
    *,
    n_clusters: int,
    size: int,
    seed: int,
    field_density: float = 20.0,
    nuisances: bool = True,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Make a mosaic with clusters drawn from the survey's prior.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey.
    n_clusters : int
        Number of clusters, at least half a stamp from the edges and 3/4 of a stamp apart.
    size : int
        Side of the mosaic, pixels.
    seed : int
        The same seed gives the same mosaic.
    field_density : float
        Surface density of the star field, initial Msun/pc².
    nuisances : bool
        Whether each band of the mosaic has a zero point, blur and registration of its own.

    Returns
    -------
    images : dict of str to ndarray, each of shape (size, size)
        e-/s by band.
    truth : dict of str to ndarray, each of shape (n_clusters,)
        x, y (zero-based pixels), log_age, log_mass, log_rh, log_present_mass.

    Raises
    ------
    InputError
        Where the clusters do not fit into the mosaic.
    """
    survey = load_survey(survey)
    simulator = Simulator(survey, seed=seed, nuisances=nuisances, n_fields=0)
    stamp = survey.stamp_size
    x, y = _places(n_clusters, size, stamp, np.random.default_rng(seed))
    # Clusters are rendered on grids of their own, with a margin as wide as a stamp, and added.
    simulator.renderer = Renderer(survey, size=stamp, pad=stamp // 2)
    labels, extra, grids = simulator.populate(simulator.sample_prior(n_clusters))
    field_sampler = simulator._sampler(simulator.tables.field)
    canvas = draw_field(
        survey, field_sampler, field_density, shape_px=(size, size), generator=simulator.generator
    )
    margin = OVERSAMPLING * simulator.renderer.pad
    canvas = torch.nn.functional.pad(canvas, (margin,) * 4, mode="circular")
    side = grids.shape[-1]
    for grid, left, bottom in zip(grids, x, y, strict=True):
        column = OVERSAMPLING * (int(left) - stamp // 2)
        row = OVERSAMPLING * (int(bottom) - stamp // 2)
        canvas[:, row : row + side, column : column + side] += grid
    renderer = Renderer(survey, size=size, pad=simulator.renderer.pad)
    images = renderer.convolve(canvas[None], **simulator._nuisances(1))
    exposed = simulator.detector.expose(images, generator=simulator.generator)[0].numpy()
    truth = {
        "x": x + extra["x"].numpy() - stamp // 2,
        "y": y + extra["y"].numpy() - stamp // 2,
        **{name: labels[:, i].numpy() for i, name in enumerate(("log_age", "log_mass", "log_rh"))},
        "log_present_mass": extra["log_present_mass"].numpy(),
    }
    return {band.name: exposed[i] for i, band in enumerate(survey.bands)}, truth


def _places(
    n: int, size: int, stamp: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole-pixel places of clusters that keep their distance."""
    x: list[int] = []
    y: list[int] = []
    low, high = stamp // 2 + 2, size - stamp // 2 - 2
    if high <= low:
        raise InputError(f"a mosaic of {size} px holds no stamp of {stamp} px; make it larger")
    for _ in range(2000 * n):
        if len(x) == n:
            break
        new_x, new_y = rng.integers(low, high, 2).tolist()
        if all(math.hypot(new_x - a, new_y - b) > 0.75 * stamp for a, b in zip(x, y, strict=True)):
            x.append(new_x)
            y.append(new_y)
    if len(x) < n:
        raise InputError(
            f"only {len(x)} of {n} clusters fit into {size}×{size} px; make the mosaic larger"
        )
    return np.array(x), np.array(y)
