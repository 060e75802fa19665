"""Magnitudes of clusters of given age, mass, metallicity and dust, with few stars or many."""

from __future__ import annotations

import itertools
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

A_V_STEP_MAG, METALLICITY_STEP_DEX = 0.25, 0.2

MOST_STARS = 1e12
"""Of a group: more do not scatter, and no integer holds them."""

NEEDED = ("log_age", "log_mass")


@dataclass(frozen=True, eq=False)
class ClusterLight:
    """Light of clusters of given age, mass, metallicity and extinction.

    Stars alone: no gas, and one screen of dust. The stellar model is the survey's first, binaries
    are as many as in the middle of their range.

    Attributes
    ----------
    log_age, log_z, a_v : ndarray, shape (age,), (metallicity,) and (extinction,)
        Of the grid.
    magnitude : ndarray, shape (age, metallicity, extinction, band)
        Of a solar mass of stars, as they were born, absolute.
    middle : MeanLight
        At the middle metallicity: how many stars make the light.
    band_names : tuple of str
    system : str
        "AB" or "Vega".
    """

    log_age: Array
    log_z: Array
    a_v: Array
    magnitude: Array
    middle: MeanLight
    band_names: tuple[str, ...]
    system: str = "AB"

    @classmethod
    def of(
        cls, survey: Survey, system: str = "AB", *, metallicity_varies: bool = False
    ) -> ClusterLight:
        """That of a survey's clusters in its bands, at the middle metallicity or all of them.

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
        table = _table(survey, metallicity_varies)
        low, high = table.a_v
        a_v = np.linspace(low, high, max(2, round((high - low) / A_V_STEP_MAG) + 1))
        binaries = Binaries(
            middle(stars.binary_fraction), stars.binary_mass_ratio, stars.binary_mass_ratio_slope
        )
        n_metals, imf = len(table.metallicity), imf_from(stars.imf)
        means = [
            table.mean_light(a_v, imf=imf, binaries=binaries, metallicity_index=z)
            for z in range(n_metals)
        ]
        zero = [curve.vega_minus_ab if system == "Vega" else 0.0 for curve in curves]
        magnitude = np.stack([mean.magnitude for mean in means], 1) + zero
        log_z, names = np.log10(table.metallicity), survey.band_names
        return cls(table.log_age, log_z, a_v, magnitude, means[n_metals // 2], names, system)

    def __call__(
        self,
        log_age: ArrayLike,
        log_mass: ArrayLike,
        a_v: ArrayLike,
        distance_pc: ArrayLike,
        log_z: ArrayLike | None = None,
    ) -> Array:
        """Magnitudes of the mean light of clusters of these parameters, (..., band).

        All have shapes that fit; what lies outside the grid is as its edge. Without a metallicity
        it is the middle one.
        """
        log_z = self.log_z.mean() if log_z is None else log_z
        corners = itertools.product(
            _between(self.log_age, log_age), _between(self.log_z, log_z), _between(self.a_v, a_v)
        )
        mean: Any = 0.0
        for (i, t), (j, u), (k, v) in corners:
            mean = mean + self.magnitude[i, j, k] * (t * u * v)[..., None]
        farther = 5 * np.log10(np.asarray(distance_pc, float) / 10)
        return np.asarray(mean + (farther - 2.5 * np.asarray(log_mass, float))[..., None])

    def scatter(self, log_age: Array, log_mass: Array, rng: np.random.Generator) -> Array:
        """What clusters (n,) differ from the mean by, mag, (n, band): their stars are drawn.

        Of each group of stars there are as many as a Poisson deviate says. Bands scatter together.
        """
        i = _nearest(self.log_age, log_age)
        expected = self.middle.number[i] * 10 ** np.asarray(log_mass, float)[:, None]  # (n, group)
        ratio = rng.poisson(np.minimum(expected, MOST_STARS)) / np.clip(expected, 1e-9, MOST_STARS)
        return -2.5 * np.log10(
            np.maximum(np.einsum("nk,nkb->nb", ratio, self.middle.share[i]), 1e-6)
        )

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
        metals = draws[..., names.index("log_z")] if "log_z" in names else None
        magnitudes = self(age, mass, np.broadcast_to(dust, age.shape), far, metals)
        for k, row in enumerate(rows.tolist()):
            magnitudes[k] += self.scatter(age[k], mass[k], np.random.default_rng((seed, row)))
        found = np.percentile(magnitudes, PERCENTILES, axis=1)  # (percentile, n, band)
        return dict(
            zip(self.described, found.transpose(2, 0, 1).reshape(-1, len(draws)), strict=True)
        )

    @property
    def described(self) -> dict[str, Column]:
        """The columns of the table."""
        about = f"{self.system} magnitude of the whole cluster, by its stars, mass and dust"
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

    varies = "log_z" in model.infers
    return ClusterLight.of(without_missing_stars(survey), system, metallicity_varies=varies)


def _table(survey: Survey, metallicity_varies: bool) -> StellarTable:
    """The survey's first stellar model behind all of its dust."""
    from praesepe.stars.curves import band_curve
    from praesepe.stars.extinction import FOREGROUND_R_V
    from praesepe.stars.interpolation import refine_metallicity
    from praesepe.stars.magnitudes import build_table
    from praesepe.stars.store import load_isochrones

    stars, front = survey.clusters.stars, survey.galaxy.foreground_a_v
    metals = as_range(survey.clusters.metallicity)
    if not metallicity_varies:
        metals = (float(np.sqrt(np.prod(metals))),) * 2
    grid = refine_metallicity(load_isochrones(stars.models[0]), METALLICITY_STEP_DEX, *metals)
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


def _between(grid: Array, values: ArrayLike) -> tuple[tuple[NDArray[np.intp], Array], ...]:
    """The neighbors of values in a grid, lower and higher, each with its weight."""
    values = np.asarray(values, float).clip(grid[0], grid[-1])
    if len(grid) == 1:
        return ((np.zeros(values.shape, np.intp), np.ones(values.shape)),)
    cell = (np.searchsorted(grid, values, side="right") - 1).clip(max=len(grid) - 2)
    above = (values - grid[cell]) / (grid[cell + 1] - grid[cell])
    return (cell, 1 - above), (cell + 1, above)
