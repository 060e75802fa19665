"""Which of a survey's stars are resolved."""

from __future__ import annotations

import torch
from torch import Tensor

from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.render import Renderer
from praesepe.survey import Survey

FAINT_STAR_SNR = 0.3
"""Stars whose brightest pixel stays below this fraction of the noise are unresolved."""


class FluxLimits:
    """Light below which a star cannot be told apart (docs/theory.md, section 3).

    Attributes
    ----------
    lowest : Tensor of float64, shape (band,)
        In the deepest stamp, e-/s.
    depth_range : float
        Highest limit that a stamp can have, over the lowest.
    """

    def __init__(self, survey: Survey, detector: Detector, renderer: Renderer) -> None:
        self._survey, self._detector = survey, detector
        device = detector.noise.device
        self._peak = torch.as_tensor(renderer.peak, device=device)
        ends = zip(*(band.exposure_range_s for band in survey.bands), strict=True)
        highest, self.lowest = (self.in_exposure(torch.tensor(end, device=device)) for end in ends)
        self.depth_range = float((highest / self.lowest).min())

    def in_exposure(self, exposure_s: Tensor) -> Tensor:
        """Limits in exposures, e-/s; both (..., band)."""
        # Without sky and read noise, a star of less than an electron still cannot be told apart.
        noise = torch.maximum(self._detector.noise_in(exposure_s), 1 / exposure_s)
        return FAINT_STAR_SNR * noise.double() / self._peak

    def of_stamps(
        self, distance_pc: Tensor, exposure_s: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """What `StarSampler.draw` needs where stamps differ: `light_scale` and `flux_limit`.

        Parameters
        ----------
        distance_pc : Tensor, shape (stamp,)
        exposure_s : Tensor, shape (stamp, band), optional
            By default all stamps are as deep as the deepest.

        Returns
        -------
        light_scale, flux_limit : Tensor, shape (stamp, band), or None
            None where all stamps have the sampler's own.
        """
        limit = None
        if exposure_s is not None:  # an image deeper than the survey's shows no more of the stars
            limit = torch.maximum(self.in_exposure(exposure_s), self.lowest)
        if not self._survey.varies_in_distance:
            return None, limit
        shape = (len(distance_pc), len(self.lowest))
        scale = (self._survey.distance_pc / distance_pc[:, None]) ** 2
        return scale.expand(shape), self.lowest.expand(shape) if limit is None else limit
