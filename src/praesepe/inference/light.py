"""Magnitudes of clusters of given age, mass and extinction, with few stars or many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import InputError, unknown
from praesepe.inference.columns import PERCENTILES, Column
from praesepe.inference.told import Told
from praesepe.network.estimator import Estimator
from praesepe.survey import Survey, as_range
from praesepe.survey.settings import middle

if TYPE_CHECKING:
    from praesepe.stars.magnitudes import MeanLight, StellarTable

Array = NDArray[np.float64]
SYSTEMS = ("AB", "Vega")

A_V_STEP_MAG = 0.25

MOST_STARS = 1e12
"""Of a group: more do not scatter, and no integer holds them."""

NEEDED = ("log_age", "log_mass")


@dataclass(frozen=True, eq=False)
class ClusterLight:
    """Light of clusters of given age, mass and extinction.

    Stars alone: no gas, and one screen of dust. The stellar model is the survey's first, the
    metallicity the middle one, binaries are as many as in the middle of their range.

    Attributes
    ----------
    log_age, a_v : ndarray, shape (age,) and (extinction,)
        Of the grid.
    mean : MeanLight
        Of a solar mass of stars, as they were born, at absolute magnitudes.
    band_names : tuple of str
    system : str
        "AB" or "Vega".
    """

    log_age: Array
    a_v: Array
    mean: MeanLight
    band_names: tuple[str, ...]
    system: str = "AB"

    @classmethod
    def of(cls, survey: Survey, system: str = "AB") -> ClusterLight:
        """That of a survey's clusters in its bands.

        Raises
        ------
        InputError
            For another system, or where none of the survey's stellar models is here.
        """
        # imported here, so that a bare GPU node can import this module
        from praesepe.stars.binaries import Binaries
        from praesepe.stars.curves import band_curve
        from praesepe.stars.imf import imf_from

        if system not in SYSTEMS:
            raise unknown("system of magnitudes", str(system), SYSTEMS)
        curves, stars = [band_curve(band) for band in survey.bands], survey.clusters.stars
        table = _table(survey)
        low, high = table.a_v
        a_v = np.linspace(low, high, max(2, round((high - low) / A_V_STEP_MAG) + 1))
        binaries = Binaries(
            middle(stars.binary_fraction), stars.binary_mass_ratio, stars.binary_mass_ratio_slope
        )
        mean = table.mean_light(a_v, imf=imf_from(stars.imf), binaries=binaries)
        zero = [curve.vega_minus_ab if system == "Vega" else 0.0 for curve in curves]
        mean = mean._replace(magnitude=mean.magnitude + zero)
        return cls(table.log_age, a_v, mean, survey.band_names, system)

    def __call__(
        self, log_age: ArrayLike, log_mass: ArrayLike, a_v: ArrayLike, distance_pc: ArrayLike
    ) -> Array:
        """Magnitudes of the mean light of clusters of these parameters, (..., band).

        All have shapes that fit; what lies outside the grid is as its edge.
        """
        i, t = _between(self.log_age, log_age)
        j, u = _between(self.a_v, a_v)
        grid = self.mean.magnitude
        low = grid[i, j] * (1 - t) + grid[i + 1, j] * t
        high = grid[i, j + 1] * (1 - t) + grid[i + 1, j + 1] * t
        farther = 5 * np.log10(np.asarray(distance_pc, float) / 10)
        return low * (1 - u) + high * u + (farther - 2.5 * np.asarray(log_mass, float))[..., None]

    def scatter(self, log_age: Array, log_mass: Array, rng: np.random.Generator) -> Array:
        """What clusters (n,) differ from the mean by, mag, (n, band): their stars are drawn.

        Of each group of stars there are as many as a Poisson deviate says. Bands scatter together.
        """
        i = _nearest(self.log_age, log_age)
        expected = self.mean.number[i] * 10 ** np.asarray(log_mass, float)[:, None]  # (n, group)
        ratio = rng.poisson(np.minimum(expected, MOST_STARS)) / np.clip(expected, 1e-9, MOST_STARS)
        return -2.5 * np.log10(np.maximum(np.einsum("nk,nkb->nb", ratio, self.mean.share[i]), 1e-6))

    def columns(
        self,
        draws: NDArray[np.float32],
        model: Estimator,
        told: Told,
        rows: NDArray[np.intp],
        seed: int,
    ) -> dict[str, Array]:
        """Percentiles, by the names of `described`, of draws of a model's posteriors of rows."""
        survey, names = model.survey, model.infers
        age, mass = (draws[..., names.index(name)] for name in NEEDED)
        dust: Any = as_range(survey.clusters.a_v)[0]
        if "a_v" in names:
            dust = draws[..., names.index("a_v")]
        front = told.of_rows("foreground_a_v", rows)
        dust = dust + (as_range(survey.galaxy.foreground_a_v)[0] if front is None else front)
        distance = told.distance_pc(rows)
        far = survey.distance_pc if distance is None else distance
        magnitudes = self(age, mass, np.broadcast_to(dust, age.shape), far)
        for k, row in enumerate(rows.tolist()):
            magnitudes[k] += self.scatter(age[k], mass[k], np.random.default_rng((seed, row)))
        found = np.percentile(magnitudes, PERCENTILES, axis=1)  # (percentile, n, band)
        return dict(
            zip(self.described, found.transpose(2, 0, 1).reshape(-1, len(draws)), strict=True)
        )

    @property
    def described(self) -> dict[str, Column]:
        """The columns of the table."""
        about = f"{self.system} magnitude of the whole cluster, by its age, mass and dust"
        every = [
            Column(f"mag_{band}_p{p}", "mag", f"{about}; percentile {p} of the posterior", 3)
            for band in self.band_names
            for p in PERCENTILES
        ]
        return {column.name: column for column in every}


def make_light(model: Estimator, system: str | None) -> ClusterLight | None:
    """What tells the magnitudes of a model's clusters; None where nobody asks.

    Raises
    ------
    InputError
        Where the model tells too little of them.
    """
    if system is None:
        return None
    survey, told = model.survey, [condition.name for condition in model.card.conditions]
    lacking = [name for name in NEEDED if name not in model.infers]
    unknown_dust = isinstance(survey.clusters.a_v, tuple) and "a_v" not in model.infers
    lacking += ["a_v"] if unknown_dust else []
    in_front = isinstance(survey.galaxy.foreground_a_v, tuple)
    lacking += ["foreground_a_v"] if in_front and "foreground_a_v" not in told else []
    far = survey.varies_in_distance and "log_distance" not in told
    lacking += ["log_distance"] if far else []
    if lacking:
        raise InputError(
            f"model {model.name!r} tells no magnitudes: {', '.join(lacking)} of its clusters vary, "
            "and it neither infers nor is told them",
            given=system,
            allowed=NEEDED,
            remedy="leave the magnitudes out",
        )
    from praesepe.sky.contents import without_missing_stars

    return ClusterLight.of(without_missing_stars(survey), system)


def _table(survey: Survey) -> StellarTable:
    """The survey's first stellar model at the middle metallicity, behind all of its dust."""
    from praesepe.stars.curves import band_curve
    from praesepe.stars.extinction import FOREGROUND_R_V
    from praesepe.stars.interpolation import refine_metallicity
    from praesepe.stars.magnitudes import build_table
    from praesepe.stars.store import load_isochrones

    stars, front = survey.clusters.stars, survey.galaxy.foreground_a_v
    metals = float(np.sqrt(np.prod(as_range(survey.clusters.metallicity))))
    grid = refine_metallicity(load_isochrones(stars.models[0]), 1.0, metals, metals)
    low, high = np.add(as_range(survey.clusters.a_v), as_range(front)).tolist()
    r_v = stars.middle_r_v if front == 0 else FOREGROUND_R_V
    return build_table(
        [band_curve(band) for band in survey.bands],
        a_v=(low, max(high, low + A_V_STEP_MAG)),
        r_v=r_v,
        law=stars.extinction_law,
        grid=grid,
    )


def _nearest(grid: Array, values: ArrayLike) -> NDArray[np.intp]:
    return np.searchsorted((grid[1:] + grid[:-1]) / 2, np.asarray(values, float))


def _between(grid: Array, values: ArrayLike) -> tuple[NDArray[np.intp], Array]:
    """Cells of a grid that hold values, and the places in them from 0 to 1, (..., 1)."""
    values = np.asarray(values, float).clip(grid[0], grid[-1])
    cell = (np.searchsorted(grid, values, side="right") - 1).clip(max=len(grid) - 2)
    return cell, ((values - grid[cell]) / (grid[cell + 1] - grid[cell]))[..., None]
