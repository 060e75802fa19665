"""The samplers of a survey's stars, in the unit of its images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from praesepe.progress import Progress
from praesepe.sky.population.sampler import StarSampler
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import imf_from
from praesepe.stars.magnitudes import StellarTable
from praesepe.survey import Survey


def survey_sampler(
    survey: Survey,
    tables: StellarTable | Sequence[StellarTable],
    *,
    flux_limit: np.ndarray,
    device: torch.device,
    progress: Progress | None = None,
) -> StarSampler:
    """Make a sampler of stars at the survey's distance, in e-/s.

    Parameters
    ----------
    survey : Survey
    tables : StellarTable or sequence of StellarTable
        In its bands.
    flux_limit : ndarray, shape (band,)
        Light below which a star cannot be told apart, e-/s.
    device : torch.device
    progress : callable, optional
        Called with (done, total), the numbers of isochrones, as they are tabulated.
    """
    stars = survey.clusters.stars
    near, far = survey.distance_range_pc
    brightest = (survey.distance_pc / near) ** 2
    return StarSampler(
        tables,
        unit_magnitude=[band.zero_point_ab - survey.distance_modulus for band in survey.bands],
        flux_limit=(flux_limit / brightest).tolist(),
        flux_limit_range=(far / near) ** 2,
        imf=imf_from(stars.imf),
        binaries=Binaries(
            stars.binary_fraction, stars.binary_mass_ratio, stars.binary_mass_ratio_slope
        ),
        device=device,
        progress=progress,
    )
