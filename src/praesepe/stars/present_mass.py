"""The curve of a survey's present-day mass, which a model keeps for its catalogs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from praesepe.stars.binaries import Binaries
from praesepe.stars.imf import imf_from
from praesepe.stars.magnitudes import present_mass_fraction
from praesepe.stars.store import load_isochrones
from praesepe.survey import Survey, as_range
from praesepe.survey.settings import middle


def present_mass_curve(survey: Survey) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Present-day mass per unit of initial mass of a survey's clusters, by age.

    Parameters
    ----------
    survey : Survey
        Its first stellar model at the middle of its metallicities, its mass function and its
        binaries are those of the curve.

    Returns
    -------
    log_age, fraction : ndarray, each of shape (age,)
    """
    stars = survey.clusters.stars
    grid = load_isochrones(stars.models[0])
    low, high = as_range(survey.clusters.metallicity)
    column = grid.nearest_metallicity(float(np.sqrt(low * high)))
    imf = imf_from(stars.imf)
    binaries = Binaries(
        middle(stars.binary_fraction), stars.binary_mass_ratio, stars.binary_mass_ratio_slope
    )
    rows = [grid.isochrone(i, column) for i in range(len(grid.log_age))]
    fractions = [
        present_mass_fraction(row.initial_mass, row.present_mass, imf, binaries) for row in rows
    ]
    return np.asarray(grid.log_age), np.array(fractions)
