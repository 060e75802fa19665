"""The detector: sky, dark current, flat field, photon and read noise, saturation, artefacts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from praesepe.arrays import check_tensor
from praesepe.errors import check_type
from praesepe.sky.instrument.artefacts import add_cosmic_rays, cut_gaps, fill_bad_pixels
from praesepe.sky.instrument.noise import (
    MIN_READ_NOISE,
    drizzle_kernel,
    photons_and_read_noise,
    photons_on_noise,
    poisson,
)
from praesepe.survey import Band, Survey


class Sky(NamedTuple):
    """The sky over stamps.

    Attributes
    ----------
    level : Tensor, shape (n, band)
        e-/s in a pixel.
    left : Tensor, shape (n, band)
        Share of it that is left in the images.
    """

    level: Tensor
    left: Tensor


PIXELS_PER_CHUNK = {"cpu": 1 << 17, "cuda": 1 << 26}
"""Pixels exposed at once: few enough to stay in a processor's cache, or in a GPU's memory."""

FULL_WELL_E = 60_000.0
"""Electrons of one exposure that count as saturated where the survey gives no `saturation_e`: a
little below the full well of HST's CCDs (63 000 to 84 000 on WFC3/UVIS and ACS/WFC)."""


class Detector:
    """Adds to noiseless stamps what a real exposure has.

    Parameters
    ----------
    survey : Survey
        Exposure times, noise and sky of the bands, and the detector's artefacts.
    device : torch.device or str
        Where the work is done.

    Attributes
    ----------
    noise : Tensor, shape (band,)
        Standard deviation of an empty pixel under the faintest sky in the longest exposure, e-/s.
    full_well : Tensor, shape (band,)
        Where a pixel is full, electrons; `FULL_WELL_E` of one exposure where the survey says never.
    """

    def __init__(self, survey: Survey, *, device: torch.device | str = "cpu") -> None:
        bands = survey.bands

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device)[:, None, None]  # (band, 1, 1)

        self.artefacts = survey.observation.detector
        self.exposure = column([band.typical_exposure_s for band in bands])
        ends = [column([band.exposure_range_s[end] for band in bands]) for end in (0, 1)]
        self.exposures = ends if survey.varies_in_depth else None
        self.dark = column([band.dark_e_s for band in bands])
        self.read_noise = column([band.read_noise_e * band.n_exposures**0.5 for band in bands])
        self.sky = [column([band.sky_e_s[end] for band in bands]) for end in (0, 1)]
        self.left = [column([band.sky_left[end] for band in bands]) for end in (0, 1)]
        full = [(band.saturation_e or torch.inf) * band.n_exposures for band in bands]
        self.full: Tensor | None = column(full) if min(full) < torch.inf else None
        wells = [(band.saturation_e or FULL_WELL_E) * band.n_exposures for band in bands]
        self.full_well = torch.tensor(wells, device=device)
        self.kernels = [
            [weights[None, None].to(device) for weights in _noise_kernels(survey, band)]
            for band in bands
        ]
        self.sky_apart = survey.observation.nuisance.sky_apart
        self.correlation = survey.observation.nuisance.noise_correlation
        self.smoothing = torch.tensor([_smoothing(survey, band) for band in bands], device=device)
        self.noise = self.noise_in(ends[1].flatten())
        # Where read noise hides the steps between electrons, one normal deviate serves both; the
        # noise of real backgrounds contains it as well.
        smooth = (self.read_noise >= MIN_READ_NOISE).flatten().tolist()
        self._smooth = [i for i, is_smooth in enumerate(smooth) if is_smooth]
        self._counted = [i for i, is_smooth in enumerate(smooth) if not is_smooth]

    def noise_in(self, exposure_s: Tensor | None, sky: Tensor | None = None) -> Tensor:
        """Standard deviation of an empty pixel, e-/s, (..., band).

        Parameters
        ----------
        exposure_s : Tensor, shape (..., band), optional
            By default the survey's.
        sky : Tensor, shape (..., band), optional
            Level in e-/s; by default the faintest of the survey.
        """
        exposure_s = self.exposure.flatten() if exposure_s is None else exposure_s
        level = self.sky[0].flatten() if sky is None else sky
        variance = (level + self.dark.flatten()) * exposure_s
        return (variance + self.read_noise.flatten() ** 2).sqrt() / exposure_s * self.smoothing

    def exposure_for(self, noise: Tensor, sky: Tensor) -> Tensor:
        """Exposure in which an empty pixel has some noise: the inverse of `noise_in`; s."""
        square = (noise / self.smoothing) ** 2
        rate = sky + self.dark.flatten()
        root = (rate**2 + 4 * square * self.read_noise.flatten() ** 2).sqrt()
        return (rate + root) / (2 * square)

    def draw_exposures(self, n: int, *, generator: torch.Generator) -> Tensor | None:
        """Draw the exposure of every stamp and band, s; None where the survey has one for all.

        Parameters
        ----------
        n : int
            Number of stamps.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        Tensor, shape (n, band), or None
        """
        if self.exposures is None:
            return None
        low, high = (end[:, 0, 0] for end in self.exposures)
        u = torch.rand((n, len(low)), generator=generator, device=low.device)
        return low * (high / low) ** u

    def draw_sky(self, n: int, *, generator: torch.Generator) -> Sky:
        """Draw the sky over every stamp and band, its level and what is left of it."""
        low = self.sky[0]
        u = torch.rand((2, n, len(low), 1, 1), generator=generator, device=low.device)
        level = torch.lerp(self.sky[0], self.sky[1], u[0])
        left = torch.lerp(self.left[0], self.left[1], u[1])
        if self.sky_apart:
            other = torch.rand(level.shape, generator=generator, device=low.device)
            left = left * torch.lerp(self.sky[0], self.sky[1], other) / level.clamp_min(1e-30)
        return Sky(level[..., 0, 0], left[..., 0, 0])

    def expose(
        self,
        images: Tensor,
        *,
        generator: torch.Generator,
        background: Tensor | None = None,
        exposure_s: Tensor | None = None,
        sky: Sky | None = None,
    ) -> Tensor:
        """Expose noiseless images, each stamp and band under a sky of its own.

        Parameters
        ----------
        images : Tensor, shape (n, band, y, x)
            Light of all sources, e-/s.
        generator : torch.Generator
            Source of randomness.
        background : Tensor, shape (n, band, y, x), optional
            Real images of the sky in e-/s, with its noise and the detector's artefacts. `images`
            then add their own photon noise to it, and neither sky nor read noise nor artefacts.
        exposure_s : Tensor, shape (n, band), optional
            Exposure of each stamp; by default that of the survey, or one drawn from its range.
        sky : Sky, optional
            Over each stamp; by default drawn.

        Returns
        -------
        Tensor, shape (n, band, y, x)
            e-/s; dark current subtracted, of the sky the fraction that the survey says is left.

        Notes
        -----
        A survey's noise kernel is convolved with the noise alone, and the autocorrelation of evenly
        lit pixels is that of the kernel. A kernel of numbers is scaled to a unit sum of squares:
        pixels keep their variance. That of drizzling has a unit sum: large areas keep theirs.
        """
        check_tensor("images", images, ("n", len(self.read_noise), "y", "x"))
        for name, given, n_axes in (("background", background, 4), ("exposure_s", exposure_s, 2)):
            if given is not None:
                check_tensor(name, given, images.shape[:n_axes])
        check_type("sky", sky, (Sky, type(None)), "a Sky, as from draw_sky")
        exposed = torch.empty_like(images, memory_format=torch.contiguous_format)
        if exposure_s is None:
            exposure_s = self.draw_exposures(len(images), generator=generator)
        exposure = self.exposure if exposure_s is None else exposure_s[..., None, None]
        exposure = exposure.expand(*images.shape[:2], 1, 1)
        if background is not None:
            for part in self._chunks(images):
                exposed[part] = self._on_background(
                    images[part], background[part], exposure[part], generator
                )
            return exposed
        if sky is None:
            sky = self.draw_sky(len(images), generator=generator)
        level, left = (values[..., None, None] for values in sky)
        for part in self._chunks(images):
            exposed[part] = self._under_sky(
                images[part], level[part], left[part], exposure[part], generator
            )
        artefacts = self.artefacts
        if artefacts.cosmic_rays > 0:
            electrons = artefacts.cosmic_ray_e
            add_cosmic_rays(
                exposed, artefacts.cosmic_rays, electrons, exposure, generator=generator
            )
        if artefacts.bad_pixels > 0:
            fill_bad_pixels(exposed, artefacts.bad_pixels, generator=generator)
        if artefacts.gaps > 0:
            cut_gaps(exposed, artefacts.gaps, generator=generator)
        return exposed

    def _chunks(self, images: Tensor) -> Iterator[slice]:
        limit = PIXELS_PER_CHUNK["cpu" if images.device.type == "cpu" else "cuda"]
        size = max(1, limit // max(1, images[:1].numel()))
        for start in range(0, len(images), size):
            yield slice(start, start + size)

    def _under_sky(
        self,
        images: Tensor,
        sky: Tensor,
        left: Tensor,
        exposure: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Images with sky, dark current, the flat field's error, noise and saturation, e-/s."""
        if self.artefacts.flat_field > 0:
            flat = torch.empty_like(images).normal_(generator=generator)
            flat.mul_(self.artefacts.flat_field).add_(1)
            expected = (images + sky).mul_(flat).add_(self.dark)
        else:
            expected = images + (sky + self.dark)
        expected.mul_(exposure).clamp_(min=0)
        electrons = self._correlated(expected, generator)
        if self.full is not None:
            electrons = torch.minimum(electrons, self.full)
        return electrons.div_(exposure).sub_(sky * (1 - left) + self.dark)

    def _on_background(
        self, images: Tensor, background: Tensor, exposure: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Images with their photon noise on real ones, e-/s."""
        expected = (images * exposure).clamp_(min=0)
        electrons = self._correlated(expected, generator, on_noise=True)
        total = electrons.div_(exposure).add_(background)
        if self.full is not None:  # a real pixel that is brighter stays as it is
            total = torch.minimum(total, torch.maximum(self.full / exposure, background))
        return total

    def _electrons(self, expected: Tensor, generator: torch.Generator, *, on_noise: bool) -> Tensor:
        """Photons, and read noise unless they come on a background with noise of its own."""

        def smooth(bands: slice | list[int]) -> Tensor:
            light = expected[:, bands]
            if on_noise:
                return photons_on_noise(light, generator=generator)
            return photons_and_read_noise(light, self.read_noise[bands], generator=generator)

        if not self._counted:
            return smooth(slice(None))
        electrons = torch.empty_like(expected)
        if self._smooth:
            electrons[:, self._smooth] = smooth(self._smooth)
        counted = poisson(expected[:, self._counted], generator=generator)
        if not on_noise:
            noise = torch.randn(counted.shape, generator=generator, device=counted.device)
            counted.addcmul_(noise, self.read_noise[self._counted])
        electrons[:, self._counted] = counted
        return electrons

    def _correlated_share(self, n: int, generator: torch.Generator) -> Tensor | None:
        """Share of the noise that the kernels spread, (n, band); None for all of it."""
        low, high = self.correlation
        if low == high == 1:
            return None
        shape = (n, len(self.kernels))
        return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)

    def _correlated(
        self, expected: Tensor, generator: torch.Generator, *, on_noise: bool = False
    ) -> Tensor:
        """Electrons whose noise is spread over neighbours as the survey's kernels say."""
        if not any(self.kernels):
            return self._electrons(expected, generator, on_noise=on_noise)
        # Noise comes from beyond the edge as well, of pixels like those at the edge.
        reaches = [max((max(k.shape) // 2 for k in kernels), default=0) for kernels in self.kernels]
        reach = max(reaches)
        wider = pad(expected, (reach,) * 4, mode="replicate")
        electrons = self._electrons(wider, generator, on_noise=on_noise)
        noise = electrons.sub_(wider)
        correlated = expected.clone()
        share = self._correlated_share(len(expected), generator)
        for band, kernels in enumerate(self.kernels):
            part = pad(noise[:, band : band + 1], (reaches[band] - reach,) * 4)  # cut off
            for kernel in kernels:
                part = conv2d(part, kernel)
            if share is not None and kernels:
                white = pad(noise[:, band : band + 1], (-reach,) * 4)
                part = _blended(part, white, share[:, band, None, None, None], kernels)
            correlated[:, band : band + 1] += part
        return correlated


def _blended(part: Tensor, white: Tensor, share: Tensor, kernels: list[Tensor]) -> Tensor:
    """Correlated noise with white noise in it, as large as without: a pixel keeps its variance."""
    square = math.prod(float(kernel.square().sum()) for kernel in kernels)
    middle = math.prod(float(k[..., k.shape[-2] // 2, k.shape[-1] // 2]) for k in kernels)
    rest = 1 - share
    variance = rest**2 + 2 * share * rest * middle + share**2 * square
    scale = (square / variance).sqrt()
    return part.mul_(share * scale).add_(white * (rest * scale))


def _noise_kernels(survey: Survey, band: Band) -> list[Tensor]:
    """Weights of the convolutions, one after the other, that a band's noise goes through.

    conv2d correlates: turned by 180 degrees, a kernel is what becomes of one pixel's noise.
    """
    if band.noise_kernel is None:
        return []
    if band.noise_kernel == "drizzle":
        drop_arcsec = band.psf.pixfrac * band.psf.native_pixel_arcsec
        line = drizzle_kernel(drop_arcsec / survey.pixel_scale_arcsec).float()
        return [line[:, None], line[None, :]]
    kernel = torch.tensor(band.noise_kernel)
    return [(kernel / kernel.square().sum().sqrt()).flip(-2, -1)]


def _smoothing(survey: Survey, band: Band) -> float:
    """Standard deviation of a pixel's noise over what it would be without the kernel."""
    if band.noise_kernel != "drizzle":
        return 1.0
    return math.prod(float(line.square().sum().sqrt()) for line in _noise_kernels(survey, band))
