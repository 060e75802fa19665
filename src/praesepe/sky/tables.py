"""The stellar tables of a survey: light of stars in its bands, for clusters and star fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from praesepe.errors import listed
from praesepe.progress import Counter, Setup
from praesepe.sky.check import refuse_impossible
from praesepe.sky.fields.simulated import field_extinction
from praesepe.stars.colors import r_v_terms
from praesepe.stars.curves import band_curve
from praesepe.stars.extinction import FOREGROUND_R_V
from praesepe.stars.interpolation import refine_metallicity
from praesepe.stars.isochrones import IsochroneGrid
from praesepe.stars.magnitudes import StellarTable, a_v_range, build_table
from praesepe.stars.store import load_isochrones
from praesepe.survey import Survey, as_range
from praesepe.survey.settings import middle

METALLICITY_STEP_DEX = 0.05
"""Isochrones are interpolated to metallicities this far apart; the nearest is then taken."""

FIELD_METALLICITY_STEP_DEX = 0.1
"""The same for star fields, whose stars are of all metallicities at once."""


@dataclass(frozen=True, repr=False)
class SurveyTables:
    """The stellar tables a simulator needs; build them once, share them between simulators.

    Attributes
    ----------
    cluster : tuple of StellarTable
        One for each of the survey's stellar models, at the clusters' metallicities.
    field : StellarTable
        The embedded model at the metallicities of the field.
    r_v_terms : ndarray, shape (power, band, term), or None
        How light depends on R_V, where that differs from the tables': see
        `praesepe.stars.colors.r_v_terms`.
    """

    cluster: tuple[StellarTable, ...]
    field: StellarTable
    r_v_terms: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"<SurveyTables: clusters of {listed(self.cluster)}; field of {self.field}>"

    @classmethod
    def build(cls, survey: Survey, *, setup: Setup | None = None) -> SurveyTables:
        """Integrate the embedded spectra over the survey's filter curves.

        Parameters
        ----------
        survey : Survey
        setup : callable, optional
            Called with (stage, done, total) before the first table and after each.

        Returns
        -------
        SurveyTables

        Raises
        ------
        InputError
            Where the survey cannot be simulated: see `praesepe.sky.check.refuse_impossible`.
        """
        refuse_impossible(survey)
        bands = [band_curve(band) for band in survey.bands]
        prior, s = survey.clusters, survey.clusters.stars
        # Two screens are one where both have the Milky Way's R_V; another one changes colors.
        in_front, own = survey.galaxy.foreground_a_v, s.r_v
        other = isinstance(own, tuple) or (in_front != 0 and own != FOREGROUND_R_V)
        r_v = FOREGROUND_R_V if other else s.middle_r_v
        table = partial(build_table, bands, r_v=r_v, law=s.extinction_law)
        z_range = as_range(prior.metallicity)
        low, high = a_v_range(prior.a_v, as_range(prior.a_v_scatter)[1])
        nearest, farthest = as_range(in_front)
        clusters = []
        tell = None if setup is None else partial(setup, "tables of stars")
        counter = Counter(len(s.models) + 1, tell)
        for name in s.models:
            grid = load_isochrones(name)
            grid = refine_metallicity(grid, METALLICITY_STEP_DEX, *z_range)
            a_v = (low + nearest, high + farthest)
            clusters.append(
                table(
                    grid=grid,
                    a_v=a_v,
                    with_color_terms=other or s.colors_vary,
                    with_ionising=prior.has_nebulae,
                )
            )
            counter.add()
        dust = field_extinction(survey) or as_range(prior.a_v)[0] + middle(in_front)
        grid = refine_metallicity(
            IsochroneGrid.embedded(), FIELD_METALLICITY_STEP_DEX, *survey.galaxy.field.metallicity
        )
        terms = None
        if other and high > 0:
            terms = r_v_terms(bands, a_v=high, r_v=as_range(own), law=s.extinction_law)
        tables = cls(tuple(clusters), table(grid=grid, a_v=dust), terms)
        counter.add()
        return tables
