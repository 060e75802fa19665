"""What the light of clusters' stars differs by from that of their isochrones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.clusters.parameters import Clusters
from praesepe.stars.colors import N_TERMS, r_v_powers, uncertainty
from praesepe.stars.curves import band_curve
from praesepe.survey import Survey


class ClusterColors:
    """Draws errors of the stars' colors, and knows what R_V does to them.

    Parameters
    ----------
    survey : Survey
    r_v_terms : ndarray, shape (power, band, term), or None
        See `praesepe.sky.tables.SurveyTables`.
    device : torch.device
    """

    def __init__(
        self, survey: Survey, r_v_terms: np.ndarray | None, *, device: torch.device
    ) -> None:
        self.error_mag = survey.clusters.stars.color_error_mag
        self.n_bands = len(survey.bands)
        self._pivot = np.array([band_curve(band).pivot_angstrom for band in survey.bands])
        self._r_v_terms: Tensor | None = None
        if r_v_terms is not None:
            self._r_v_terms = torch.as_tensor(r_v_terms, device=device).float()

    def draw(
        self, clusters: Clusters, *, generator: torch.Generator, imperfect: bool = True
    ) -> Tensor | None:
        """Draw it for each cluster, (n, band, term), mag; None where there is nothing.

        Parameters
        ----------
        clusters : Clusters
        generator : torch.Generator
            Source of randomness.
        imperfect : bool
            Whether colors have errors.
        """
        magnitude: Tensor | None = None
        if imperfect and self.error_mag > 0:
            shape = (len(clusters), self.n_bands, N_TERMS)
            magnitude = torch.randn(shape, generator=generator, device=generator.device)
            larger = uncertainty(self._pivot, clusters.log_age.cpu().double().numpy())
            each = self.error_mag * torch.as_tensor(larger).to(magnitude) / (N_TERMS - 1) ** 0.5
            magnitude *= each[..., None]
            magnitude[..., 0] = 0  # a constant is a zero point's error
        if self._r_v_terms is not None:
            a_v, r_v = (v.cpu().double().numpy() for v in (clusters.a_v, clusters.r_v))
            powers = torch.as_tensor(r_v_powers(a_v, r_v)).to(self._r_v_terms)
            change = torch.einsum("np,pbt->nbt", powers, self._r_v_terms)
            magnitude = change if magnitude is None else magnitude + change
        return magnitude
