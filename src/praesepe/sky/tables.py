"""The stellar tables of a survey: light of stars in its bands, for clusters and star fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from praesepe.progress import Setup
from praesepe.sky.fields.simulated import field_extinction
from praesepe.stars.curves import band_curve
from praesepe.stars.interpolation import refine_metallicity
from praesepe.stars.isochrones import IsochroneGrid, check_covers
from praesepe.stars.magnitudes import StellarTable, a_v_range, build_table
from praesepe.stars.store import load_isochrones
from praesepe.survey import Survey, as_range

METALLICITY_STEP_DEX = 0.05
"""Isochrones are interpolated to metallicities this far apart; the nearest is then taken."""

FIELD_METALLICITY_STEP_DEX = 0.1
"""The same for star fields, whose stars are of all metallicities at once."""

STAGE = "tables of stars"


@dataclass(frozen=True)
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

    @classmethod
    def build(cls, survey: Survey, *, setup: Setup | None = None) -> SurveyTables:
        """Integrate the embedded spectra over the survey's filter curves.

        Parameters
        ----------
        survey : Survey
        setup : callable, optional
            Called with (stage, done, total) before each table and after the last.

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
        clusters, n_tables = [], len(s.models) + 1
        tell = setup or _silent
        for i, name in enumerate(s.models):
            tell(STAGE, i, n_tables)
            grid = load_isochrones(name)
            check_covers(grid, prior.log_age, z_range, name=f"stellar model {name!r}")
            grid = refine_metallicity(grid, METALLICITY_STEP_DEX, *z_range)
            clusters.append(table(grid=grid, a_v=a_v_range(prior.a_v, prior.a_v_scatter)))
        dust = field_extinction(survey) or as_range(prior.a_v)[0]
        grid = refine_metallicity(
            IsochroneGrid.embedded(), FIELD_METALLICITY_STEP_DEX, *survey.galaxy.field.metallicity
        )
        tell(STAGE, n_tables - 1, n_tables)
        tables = cls(cluster=tuple(clusters), field=table(grid=grid, a_v=dust))
        tell(STAGE, n_tables, n_tables)
        return tables


def _silent(stage: str, done: int, total: int, /) -> None:
    """Tell nobody."""
