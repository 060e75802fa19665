"""Visibility: how far a cluster stands out of what lies around it (docs/theory.md, section 14).

The flux inside the half-light radius over the scatter of the same aperture on stamps of the same
star field without a cluster, the local background subtracted from both; of the best band.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property, lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, pad

from praesepe.quantities import LOG_VISIBILITY
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.clusters.profiles import even_positions
from praesepe.sky.contaminants import NONE, kind_of
from praesepe.sky.fields.pool import FieldPool
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.render import OVERSAMPLING, Renderer
from praesepe.survey import Survey

N_RADII = 8
"""Radii at which fields are measured; between them logarithms are interpolated."""

LEAST_RADIUS_PX = 0.5

DISTANCES = 4 * torch.linspace(0, 1, 129)
"""Distances of a star from the middle of an aperture, in its radii; none beyond count."""

N_POINTS = 32
"""Points that stand for a cluster's profile."""

NOTHING = 1e-30
"""Stands for 0 where logarithms are interpolated."""

EVERY_PX = 4
"""Apertures on star fields lie so far apart."""


def annulus_px(radius_px: float) -> tuple[float, float]:
    """Inner and outer radius of the local background of an aperture."""
    inner = max(1.5 * radius_px, radius_px + 2)
    return inner, max(2 * radius_px, inner + 3)


def net_weights(radius_px: float) -> Tensor:
    """Weights of pixels (side, side), of odd side, whose sum is the net flux in an aperture.

    A pixel at distance d from the middle counts by radius + 1/2 - d, cut at 0 and 1. The mean over
    the annulus, weighted alike, is subtracted.
    """
    inner, outer = annulus_px(radius_px)
    half = math.ceil(outer + 1)
    steps = torch.arange(-half, half + 1, dtype=torch.float64)
    distance = torch.hypot(steps, steps[:, None])
    aperture, hole, disc = (
        (radius + 0.5 - distance).clamp(0, 1) for radius in (radius_px, inner, outer)
    )
    return aperture - (disc - hole) * (aperture.sum() / (disc - hole).sum())


class Visibility:
    """Tells the visibility of clusters on the star fields of a pool.

    Parameters
    ----------
    survey : Survey
    renderer : Renderer
    detector : Detector
    pool : FieldPool, optional
        The fields; each is measured when it is first asked for, and after each change.
    """

    def __init__(
        self,
        survey: Survey,
        renderer: Renderer,
        detector: Detector,
        pool: FieldPool | None,
    ) -> None:
        self.survey, self.renderer, self.detector, self.pool = survey, renderer, detector, pool
        self.device = renderer.device
        low, high = (radius / survey.pixel_scale_arcsec for radius in survey.rh_arcsec)
        low = max(low, LEAST_RADIUS_PX)
        self.log_radius = torch.linspace(math.log(low), math.log(max(high, low) * 1.001), N_RADII)
        n, n_bands = 0 if pool is None else len(pool.number), len(survey.bands)
        self._measured = torch.full((n,), -1)
        self._scatter = torch.full((max(n, 1), N_RADII, n_bands), math.log(NOTHING))
        self._mixed = torch.zeros_like(self._scatter)
        self._background = torch.zeros((max(n, 1), n_bands))

    def __repr__(self) -> str:
        return f"<Visibility of clusters of survey {self.survey.name!r} on {self.pool}>"

    def complete(self, truth: dict[str, Tensor], clusters: Clusters, *, wanted: bool) -> None:
        """Add the visibility to a truth, where it is wanted or inferred, in place of ``field``."""
        if wanted or LOG_VISIBILITY.name in self.survey.network.infers:
            truth[LOG_VISIBILITY.name] = self.of(clusters, truth)
        truth.pop("field", None)

    def of(self, clusters: Clusters, truth: Mapping[str, Tensor]) -> Tensor:
        """Logarithms of the visibilities of clusters.

        Parameters
        ----------
        clusters : Clusters
            n of them.
        truth : mapping of str to Tensor, each of shape (n,)
            Their magnitudes; ``field``, the pool's field that each lies on; depths; exposures,
            where they vary.

        Returns
        -------
        Tensor, shape (n,)
            Within the limits of the quantity ``log_visibility``; NaN without a cluster in the
            middle.
        """
        field = truth["field"] if self.pool is not None else torch.zeros(len(clusters)).long()
        light = self._light(truth, "mag_")
        self._measure(field.unique().tolist())
        node, t = self.place_of(clusters.log_rh)
        share = self.shares_inside(clusters, node, t)
        scatter, mixed = (
            torch.lerp(of[field, node], of[field, node + 1], t)
            for of in (self._scatter, self._mixed)
        )
        stars = scatter.exp()
        variance = stars.square()
        if self.pool is None or self.pool.before_psf:  # real fields have their noise already
            pixels = torch.lerp(self._noise_area[node], self._noise_area[node + 1], t).exp()
            time = self.detector.exposure.flatten().cpu()
            if self.survey.varies_in_depth:
                time = self._stacked(truth, "exposure_")
            pixel = self._pixel_variance(
                self._light(truth, "depth_"), self._background[field], time
            )
            noise = (pixels * pixel).sqrt()
            variance = variance + noise.square() + mixed * stars * noise
        ratio = (light * share / variance.sqrt().clamp_min(NOTHING)).amax(1)
        log_visibility = ratio.clamp_min(NOTHING).log10().clamp(*LOG_VISIBILITY.limits)
        kind = kind_of(clusters)
        if kind is not None:
            log_visibility = log_visibility.masked_fill(kind.cpu() != NONE, torch.nan)
        return log_visibility.float().to(self.device)

    def _stacked(self, truth: Mapping[str, Tensor], prefix: str) -> Tensor:
        """Columns of all bands, (n, band)."""
        return torch.stack([truth[prefix + name] for name in self.survey.band_names], 1).cpu()

    def _light(self, truth: Mapping[str, Tensor], prefix: str) -> Tensor:
        """Magnitudes of all bands as light, e-/s, (n, band)."""
        zero_points = torch.tensor([band.zero_point_ab for band in self.survey.bands])
        return torch.as_tensor(10 ** (0.4 * (zero_points - self._stacked(truth, prefix))))

    def place_of(self, log_rh: Tensor) -> tuple[Tensor, Tensor]:
        """Radii in the tables: the next lower one, (n,), and the way to the one above, (n, 1)."""
        log_px = log_rh.cpu() * math.log(10) - math.log(self.survey.pixel_scale_arcsec)
        at = (log_px - self.log_radius[0]) / (self.log_radius[1] - self.log_radius[0])
        at = at.clamp(0, N_RADII - 1 - 1e-4)
        return at.long(), at.frac()[:, None]

    # The cluster

    @cached_property
    def _star(self) -> Tensor:
        """A star in the middle of the renderer's grid, light per pixel, (band, grid, grid)."""
        grid = self.renderer.grid
        transfer = torch.stack([of.mean(0) for of in self.renderer.optical_transfer]).cpu()
        star = torch.fft.irfft2(transfer * OVERSAMPLING, s=(grid, grid))
        return star.roll((grid // 2, grid // 2), (-2, -1))

    @cached_property
    def _star_shares(self) -> Tensor:
        """Net share of a star's light in an aperture, (radius, band, distance)."""
        star = self._star[..., ::OVERSAMPLING, ::OVERSAMPLING]
        angle = torch.arange(16) * (2 * math.pi / 16) + 0.1
        direction = torch.stack((angle.cos(), angle.sin()), 1)
        shares = []
        for radius in self.log_radius.exp().tolist():
            weights = net_weights(radius).float()
            reach = math.ceil(DISTANCES[-1] * radius) + 2
            seen = _convolved(star, weights, reach)  # (band, 2 reach + 1, 2 reach + 1)
            place = direction[:, None] * DISTANCES[:, None] * radius / reach  # (16, distance, 2)
            ring = grid_sample(seen[None], place[None], align_corners=True)
            shares.append(ring[0].mean(1))
        return torch.stack(shares)

    def shares_inside(self, clusters: Clusters, node: Tensor, t: Tensor) -> Tensor:
        """Net share of the clusters' light in their apertures, (n, band), of smooth profiles."""
        profile = clusters.spatial_profile()
        place = even_positions(profile, N_POINTS)
        distance = (
            torch.hypot(*place).view(len(clusters), N_POINTS) / profile.half_light_radius[:, None]
        )
        step = (distance.cpu() / (DISTANCES[1] - DISTANCES[0])).round().long()
        beyond = step >= len(DISTANCES)
        step = step.masked_fill(beyond, len(DISTANCES) - 1)[:, None].expand(
            -1, len(self.survey.bands), -1
        )
        low, high = (self._star_shares[k].gather(2, step) for k in (node, node + 1))
        shares = torch.lerp(low, high, t[..., None])
        return shares.masked_fill(beyond[:, None], 0).mean(2)

    # Its surroundings

    @cached_property
    def _noise_area(self) -> Tensor:
        """Logarithm of the number of pixels whose noise an aperture has, (radius, band)."""
        areas = []
        for radius in self.log_radius.exp().tolist():
            weights = net_weights(radius).float()[None, None]
            area = []
            for kernels in self.detector.kernels:
                spread = weights
                for kernel in kernels:
                    reach = [side // 2 for side in kernel.shape[:-3:-1] for _ in range(2)]
                    spread = conv2d(pad(spread, reach), kernel.cpu())
                area.append(spread.square().sum())
            areas.append(torch.stack(area))
        return torch.stack(areas).log()

    def _pixel_variance(self, noise: Tensor, background: Tensor, exposure_s: Tensor) -> Tensor:
        """Of a pixel under the field's light before its noise is spread over others, (e-/s)².

        `noise` is that of an empty pixel, e-/s; all (..., band).
        """
        empty = (noise / self.detector.smoothing.cpu()).square()
        return empty + background.clamp_min(0) / exposure_s

    def _measure(self, places: list[int]) -> None:
        """Measure the scatter of apertures on fields that are new."""
        if self.pool is None:
            return
        for place in places:
            number = int(self.pool.number[place])
            if int(self._measured[place]) != number:
                self._measure_field(self.pool.field(place), place)
                self._measured[place] = number

    def _measure_field(self, field: Tensor, place: int) -> None:
        """Measure apertures everywhere on one field.

        Central parts of distributions do not add as variances do: what is left is found by adding
        noise to the field's values, and goes with the product of both widths.
        """
        spectrum = self._spectrum(field)
        background = self._sparse(spectrum).median(1).values.cpu()
        self._background[place] = background
        low, high = self.detector.sky
        typical = self.detector.noise_in(None, (low + high).flatten() / 2).cpu()
        exposure_s = self.detector.exposure.flatten().cpu()
        pixel = self._pixel_variance(typical, background, exposure_s)
        noise = (self._noise_area.exp() * pixel).sqrt()  # (radius, band)
        for k, weights in enumerate(self._transfers):
            values = self._sparse(spectrum * weights).cpu()
            stars = _half_width(values).clamp_min(NOTHING)
            self._scatter[place, k] = stars.log()
            both = _half_width(values + noise[k, :, None] * self._deviates(values.shape[1]))
            mixed = (both**2 - stars**2 - noise[k] ** 2) / (stars * noise[k])
            self._mixed[place, k] = mixed.nan_to_num(0).clamp(-1, 2)

    @staticmethod
    @lru_cache(maxsize=2)
    def _deviates(n: int) -> Tensor:
        """Normal ones, always the same."""
        return torch.randn(n, generator=torch.Generator().manual_seed(n))

    def _sparse(self, spectrum: Tensor) -> Tensor:
        """Values of a map of which this is the transform, on every fourth pixel, (band, value)."""
        step = math.gcd(self._side, EVERY_PX)
        # Adding the parts of the spectrum samples the rows.
        folded = spectrum.unflatten(-2, (step, self._side // step)).mean(-3)
        rows = torch.fft.ifft(folded, dim=-2)
        return torch.fft.irfft(rows, n=self._side)[..., ::step].flatten(1)

    def _spectrum(self, field: Tensor) -> Tensor:
        """Transform of a field as the telescope sees it, on its pixels."""
        spectrum = torch.fft.rfft2(field)
        if self.pool is None or not self.pool.before_psf:
            return spectrum
        half = field.shape[-1] // OVERSAMPLING // 2
        spectrum = spectrum[..., : half + 1]
        rows = torch.cat((spectrum[..., :half, :], spectrum[..., -half:, :]), -2)
        return rows * self._telescope

    @cached_property
    def _telescope(self) -> Tensor:
        """Factors on the spectrum of a field's grid that make one of its pixels; low frequencies.

        What frequencies beyond the pixels' add does not matter to sums over several of them.
        """
        side = OVERSAMPLING * self._side
        transfer = torch.fft.rfft2(_in_corner(self._star, side))  # a star is even, but for a shift
        half = self._side // 2
        transfer = transfer[..., : half + 1] / OVERSAMPLING**2
        rows = torch.cat((transfer[..., :half, :], transfer[..., -half:, :]), -2)
        return rows.to(self.device)

    @cached_property
    def _transfers(self) -> list[Tensor]:
        """Transforms of the apertures on a field's pixels, real."""
        weights = [net_weights(radius).float() for radius in self.log_radius.exp().tolist()]
        return [
            torch.fft.rfft2(_in_corner(one, self._side)).real.to(self.device) for one in weights
        ]

    @property
    def _side(self) -> int:
        """Side of the pool's fields, pixels."""
        assert self.pool is not None
        return self.pool.size_px


def _in_corner(image: Tensor, side: int) -> Tensor:
    """An image (..., y, x) on a periodic canvas of a side, its middle pixel in the corner."""
    half = image.shape[-1] // 2
    canvas = image.new_zeros((*image.shape[:-2], side, side))
    step = (torch.arange(image.shape[-1]) - half) % side
    index = (step[:, None] * side + step).flatten()
    canvas.flatten(-2).index_add_(-1, index, image.flatten(-2))
    return canvas


def _convolved(star: Tensor, weights: Tensor, reach: int) -> Tensor:
    """Net flux of a star (band, y, x), by its place in the aperture, up to a reach in pixels."""
    side = star.shape[-1] + len(weights) + 2 * reach
    side += side % 2
    product = torch.fft.rfft2(_in_corner(star, side)) * torch.fft.rfft2(_in_corner(weights, side))
    seen = torch.fft.irfft2(product, s=(side, side)).roll((reach, reach), (-2, -1))
    return seen[..., : 2 * reach + 1, : 2 * reach + 1]


def _half_width(values: Tensor) -> Tensor:
    """Half of the central 68.3 per cent of values (band, value)."""
    low, high = (values.kthvalue(round(q * values.shape[1])).values for q in (0.1587, 0.8413))
    return (high - low) / 2
