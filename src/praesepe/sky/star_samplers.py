"""The samplers of stars of a survey, in e-/s at its distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch

from praesepe.progress import Setup
from praesepe.sky.flux_limits import FluxLimits
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import imf_from
from praesepe.stars.magnitudes import IONISING, StellarTable
from praesepe.survey import Survey, as_range
from praesepe.survey.settings import middle


def star_sampler(
    survey: Survey,
    tables: StellarTable | Sequence[StellarTable],
    *,
    limits: FluxLimits,
    stage: str,
    flux_limit_range: float = 1.0,
    of_clusters: bool = False,
    device: torch.device,
    setup: Setup | None = None,
) -> CrowdedSampler:
    """Make a sampler of stars at the survey's distance, in e-/s.

    Parameters
    ----------
    survey : Survey
    tables : StellarTable or sequence of StellarTable
        As for `StarSampler`.
    limits : FluxLimits
        Of the survey.
    stage : str
        What is made, for `setup`.
    flux_limit_range : float
        Highest over lowest limit that exposures ask for; distances come on top.
    of_clusters : bool
        Whether the fraction of binaries varies where the survey has a range; else all have the
        middle.
    device : torch.device
    setup : callable, optional
        Called with (stage, done, total) as isochrones are tabulated.
    """
    stars = survey.clusters.stars
    near, far = survey.distance_range_pc
    brightest = (survey.distance_pc / near) ** 2
    unit_magnitude = [band.zero_point_ab - survey.distance_modulus for band in survey.bands]
    flux_limit = (limits.lowest / brightest).tolist()
    first = tables if isinstance(tables, StellarTable) else tables[0]
    if first.band_names[-1] == IONISING:  # nobody sees these photons themselves
        unit_magnitude.append(0.0)
        flux_limit.append(math.inf)
    varies = of_clusters and isinstance(stars.binary_fraction, tuple)
    fraction = as_range(stars.binary_fraction)[1] if varies else middle(stars.binary_fraction)
    return CrowdedSampler(
        tables,
        unit_magnitude=unit_magnitude,
        flux_limit=flux_limit,
        flux_limit_range=flux_limit_range * (far / near) ** 2,
        imf=imf_from(stars.imf),
        binaries=Binaries(fraction, stars.binary_mass_ratio, stars.binary_mass_ratio_slope),
        with_singles=varies,
        device=device,
        progress=None if setup is None else partial(setup, stage),
    )
