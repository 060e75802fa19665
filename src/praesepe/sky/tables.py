"""The stellar tables of a survey: light of stars in its bands, for clusters and star fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from praesepe.errors import listed
from praesepe.progress import Counter, Setup
from praesepe.sky.fields.simulated import field_extinction
from praesepe.stars.curves import band_curve
from praesepe.stars.interpolation import refine_metallicity
from praesepe.stars.isochrones import IsochroneGrid, check_covers
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
    """

    cluster: tuple[StellarTable, ...]
    field: StellarTable

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
            Where a stellar model is not known, or does not cover the survey's prior.
        """
        bands = [band_curve(band) for band in survey.bands]
        prior, s = survey.clusters, survey.clusters.stars
        table = partial(build_table, bands, r_v=s.r_v, law=s.extinction_law)
        z_range = as_range(prior.metallicity)
        low, high = a_v_range(prior.a_v, prior.a_v_scatter)
        nearest, farthest = as_range(survey.galaxy.foreground_a_v)
        clusters = []
        tell = None if setup is None else partial(setup, "tables of stars")
        counter = Counter(len(s.models) + 1, tell)
        for name in s.models:
            grid = load_isochrones(name)
            check_covers(grid, prior.log_age, z_range, name=f"stellar model {name!r}")
            grid = refine_metallicity(grid, METALLICITY_STEP_DEX, *z_range)
            clusters.append(table(grid=grid, a_v=(low + nearest, high + farthest)))
            counter.add()
        dust = field_extinction(survey) or as_range(prior.a_v)[0] + middle(
            survey.galaxy.foreground_a_v
        )
        grid = refine_metallicity(
            IsochroneGrid.embedded(), FIELD_METALLICITY_STEP_DEX, *survey.galaxy.field.metallicity
        )
        tables = cls(cluster=tuple(clusters), field=table(grid=grid, a_v=dust))
        counter.add()
        return tables
