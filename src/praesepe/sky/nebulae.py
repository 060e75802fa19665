"""Nebulae around young clusters: the light of gas that their own stars ionise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.cluster_stars import ClusterStars
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.clusters.profiles import even_positions
from praesepe.sky.contaminants import PointSources
from praesepe.stars.curves import band_curve
from praesepe.stars.magnitudes import a_v_range
from praesepe.stars.nebula import nebular_magnitudes
from praesepe.survey import Survey, as_range

N_POINTS = 256
"""Points of light of one nebula."""

N_EXTINCTIONS = 9
"""Extinctions between which the light of the gas is interpolated."""

WIDEST = 2.0
"""Nebulae have 1 to so many half-light radii of their clusters."""


class NebulaSampler:
    """Lays nebulae around clusters.

    Parameters
    ----------
    survey : Survey
    device : torch.device
    """

    def __init__(self, survey: Survey, *, device: torch.device) -> None:
        self.survey = survey
        self.light: Tensor | None = None
        if not survey.clusters.has_nebulae:
            return
        stars, bands = survey.clusters.stars, [band_curve(band) for band in survey.bands]
        low, high = a_v_range(survey.clusters.a_v)
        nearest, farthest = as_range(survey.galaxy.foreground_a_v)
        self.a_v = (low + nearest, max(high + farthest, low + nearest + 1e-3))
        magnitudes = [
            nebular_magnitudes(bands, a_v=a_v, r_v=stars.middle_r_v, law=stars.extinction_law)
            for a_v in np.linspace(*self.a_v, N_EXTINCTIONS)
        ]
        unit = [band.zero_point_ab - survey.distance_modulus for band in survey.bands]
        self.light = torch.as_tensor(0.4 * (np.array(unit) - magnitudes), device=device).float()

    def draw(
        self, clusters: Clusters, drawn: ClusterStars, *, generator: torch.Generator
    ) -> PointSources | None:
        """Draw the nebulae of clusters; None where no stars ionise any gas.

        Parameters
        ----------
        clusters : Clusters
            `nebular` is the share of the ionising light that the gas takes.
        drawn : ClusterStars
            Their stars.
        generator : torch.Generator
            Of the nebulae's sizes.
        """
        ionising = drawn.stars.ionising
        if self.light is None or ionising is None:
            return None
        wider = torch.rand(len(clusters), generator=generator, device=generator.device)
        photons = ionising * clusters.nebular
        index = torch.nonzero(photons > 0).flatten()
        if not len(index):
            return None
        low, high = self.a_v
        a_v = clusters.a_v[index] + clusters.foreground_a_v[index]
        at = (a_v - low) / (high - low) * (N_EXTINCTIONS - 1)
        node = at.long().clamp(0, N_EXTINCTIONS - 2)
        of_unit = torch.lerp(self.light[node], self.light[node + 1], (at - node)[:, None])
        flux = 10**of_unit * photons[index, None]  # (nebula, band)
        if self.survey.varies_in_distance:
            flux *= (self.survey.distance_pc / clusters.distance_pc[index, None]) ** 2
        some = clusters.part(index)
        larger = some.log_rh + torch.log10(1 + (WIDEST - 1) * wider[index])
        profile = some.with_values(log_rh=larger).spatial_profile(self.survey.pixel_scale_arcsec)
        return PointSources(
            index.repeat_interleave(N_POINTS),
            even_positions(profile, N_POINTS),
            (flux.T / N_POINTS).repeat_interleave(N_POINTS, dim=1),
        )
