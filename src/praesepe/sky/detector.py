"""The detector: sky, dark current, photon and read noise."""

from __future__ import annotations

import torch
from torch import Tensor

from praesepe.survey import Survey


class Detector:
    """Adds to noiseless stamps what a real exposure has.

    Parameters
    ----------
    survey : Survey
        Exposure times, noise and sky of the bands.
    device : torch.device or str
        Where the work is done.

    Attributes
    ----------
    noise : Tensor, shape (band,)
        Standard deviation of an empty pixel under the faintest sky, e-/s.
    """

    def __init__(self, survey: Survey, *, device: torch.device | str = "cpu") -> None:
        bands = survey.bands

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device)[:, None, None]  # (band, 1, 1)

        self.exposure = column([band.exposure_s for band in bands])
        self.dark = column([band.dark_e_s for band in bands])
        self.read_noise = column([band.read_noise_e * band.n_exposures**0.5 for band in bands])
        self.sky = [column([band.sky_e_s[end] for band in bands]) for end in (0, 1)]
        self.left = [column([band.sky_left[end] for band in bands]) for end in (0, 1)]
        variance = (self.sky[0] + self.dark) * self.exposure + self.read_noise**2
        self.noise = (variance.sqrt() / self.exposure).flatten()

    def expose(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Expose noiseless images, each stamp and band under a sky of its own.

        Parameters
        ----------
        images : Tensor, shape (n, band, y, x)
            Light of all sources, e-/s.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        Tensor, shape (n, band, y, x)
            e-/s; dark current subtracted, of the sky the share that the survey says is left.
        """
        u = torch.rand((2, *images.shape[:2], 1, 1), generator=generator, device=images.device)
        sky = self.sky[0] + (self.sky[1] - self.sky[0]) * u[0]
        left = self.left[0] + (self.left[1] - self.left[0]) * u[1]
        expected = (images + (sky + self.dark)).mul_(self.exposure).clamp_(min=0)
        electrons = torch.poisson(expected, generator=generator)
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        electrons.addcmul_(noise, self.read_noise)
        return electrons.div_(self.exposure).sub_(sky * (1 - left) + self.dark)
