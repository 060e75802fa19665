"""What the survey leads to expect: its own star fields, measured as the user's images are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from praesepe.inference.check.background import Plane, measure_plane
from praesepe.inference.check.colors import (
    LEAST_STARS,
    against_others,
    color_offsets,
    shared_magnitudes,
)
from praesepe.inference.check.profiles import stacked_energy
from praesepe.inference.check.widths import PSFWidths
from praesepe.progress import Counter, Setup
from praesepe.rng import stream
from praesepe.sky.contents import without_missing_stars
from praesepe.sky.fields.simulated import draw_field
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey

Array = NDArray[np.float64]

N_FIELDS = 20
FIELDS_OF = (0.4, 0.3, 0.15, 0.15)
"""Shares of the fields at each density, ascending: sparse ones hold fewer stars."""
LEAST_FIELDS = 4
"""From which their scatter is told."""
SIDE_PX = 512
CROWDED_SQUARE = 0.05
"""Square of the blur, px², by which stars seem wider in a field."""
LIKE = 1.0
"""Difference of the densities' natural logarithms at which stars count less."""
BRIGHT = 15.0
"""Peaks over the noise of an empty pixel from which stars are counted."""

_MADE: dict[str, Reference] = {}


@dataclass(frozen=True, eq=False)
class Reference:
    """Star fields of a survey without sky subtraction, nuisances and clusters.

    Attributes
    ----------
    density : ndarray, shape (field,)
        Initial mass of the stars, Msun/pc², ascending.
    level, noise, correlation : dict of str to ndarray, each of shape (field,)
        As in `Plane`, under the faintest sky, which is subtracted.
    energy : dict of str to ndarray, each of shape (field,)
        Encircled energy of the stars, less that of the model's PSF; NaN where there are few.
    counts : dict of str to ndarray, each of shape (field,)
        Bright stars per pixel of area.
    bright : dict of str to float
        Peak from which a star is bright, e-/s.
    mags : ndarray, shape (star, band)
        Of the stars that all bands share.
    star_density : ndarray, shape (star,)
        Density of the field of each.
    scatter_mag : ndarray, shape (band,)
        How much zero points seem to differ from field to field, because stars of other ages have
        other colors.
    """

    density: Array
    level: dict[str, Array]
    noise: dict[str, Array]
    correlation: dict[str, Array]
    energy: dict[str, Array]
    counts: dict[str, Array]
    bright: dict[str, float]
    mags: Array
    star_density: Array
    scatter_mag: Array

    def at(self, values: Array, density: float) -> float:
        """A quantity of the fields at a density."""
        good = np.isfinite(values)
        if not good.any():
            return np.nan
        values = values[good]
        known, inverse = np.unique(self.density[good], return_inverse=True)
        means = np.bincount(inverse, values) / np.bincount(inverse)
        return float(np.interp(np.log(density), np.log(known), means))

    def density_of(self, counts: dict[str, float]) -> float:
        """The density whose fields have as many bright stars per pixel of area."""
        found = []
        known = np.log(self.density)
        for name, count in counts.items():
            line = np.polyfit(known, np.log(np.maximum(self.counts[name], 1e-7)), 1)
            found.append((np.log(max(count, 1e-7)) - line[1]) / max(line[0], 0.2))
        return float(np.exp(np.median(found)))


def likeness(known: Array, density: float) -> Array:
    """Weights of stars of fields of known densities for a field of another one."""
    return 0.02 + np.exp(-0.5 * (np.log(known / density) / LIKE) ** 2)


def reference_of(
    survey: Survey,
    widths: dict[str, PSFWidths],
    n_fields: int = N_FIELDS,
    *,
    setup: Setup | None = None,
) -> Reference:
    """Fields over the survey's range of densities, made once in a process."""
    key = f"{survey.fingerprint()} {n_fields}"
    if key not in _MADE:
        _MADE.clear()
        _MADE[key] = _make(survey, widths, n_fields, setup)
    return _MADE[key]


def _make(
    survey: Survey, widths: dict[str, PSFWidths], n_fields: int, setup: Setup | None
) -> Reference:
    survey = without_missing_stars(survey).fixed()
    bands = tuple(
        band.model_copy(update={"sky_e_s": (band.sky_e_s[0],) * 2, "sky_left": (0.0, 0.0)})
        for band in survey.bands
    )
    plain = survey.with_values(
        observation={"bands": bands, "nuisance": {"focus_nm": 0.0}},
        galaxy={"field": {"files": None}},
    )
    simulator = Simulator(plain, seed=1, n_fields=0, setup=setup)
    generator = stream((1, 7), torch.device("cpu"))
    renderer, detector = Renderer(plain, size=SIDE_PX, pad=0), Detector(plain)
    low, high = plain.galaxy.field.surface_density
    blur_px = float(np.mean(plain.observation.nuisance.blur_px))
    which = np.searchsorted(np.cumsum(FIELDS_OF), (np.arange(n_fields) + 0.5) / n_fields)
    density = np.geomspace(low, high, len(FIELDS_OF))[which]
    fields: list[dict[str, Plane]] = []
    count = Counter(len(density), None if setup is None else partial(setup, "star fields"))
    for one in density:
        light = draw_field(
            plain,
            simulator.field_stars,
            float(one),
            shape_px=(SIDE_PX, SIDE_PX),
            generator=generator,
        )
        seen = renderer.convolve(light[None], blur_px=torch.full((1, len(bands)), blur_px))
        image = detector.expose(seen, generator=generator)[0].numpy()
        fields.append(
            {
                band.name: measure_plane(plane, sharpest=widths[band.name].sharpest)
                for band, plane in zip(plain.bands, image, strict=True)
            }
        )
        count.add()
    return _summary(plain, widths, density, fields, blur_px * abs(blur_px))


def _summary(
    survey: Survey,
    widths: dict[str, PSFWidths],
    density: Array,
    fields: list[dict[str, Plane]],
    square: float,
) -> Reference:
    names = survey.band_names
    bright = {name: BRIGHT * float(min(one[name].noise for one in fields)) for name in names}
    counts = {
        name: np.array([np.sum(one[name].stars.peak > bright[name]) for one in fields]) / SIDE_PX**2
        for name in names
    }
    zero_points = {band.name: band.zero_point_ab for band in survey.bands}
    shares = {name: widths[name].share_at(square + CROWDED_SQUARE) for name in names}
    mags = [
        shared_magnitudes({name: one[name].stars for name in names}, zero_points, shares)
        for one in fields
    ]

    def column(what: str) -> dict[str, Array]:
        return {name: np.array([getattr(one[name], what) for one in fields]) for name in names}

    return Reference(
        density,
        column("level"),
        column("noise"),
        column("correlation"),
        {
            name: np.array([stacked_energy([one[name].profiles])[0] for one in fields])
            - widths[name].energy_at(square)
            for name in names
        },
        counts,
        bright,
        np.concatenate(mags),
        np.repeat(density, [len(one) for one in mags]),
        _scatter(mags, density),
    )


def _scatter(fields: list[Array], density: Array) -> Array:
    """Scatter of the fields' zero points against those of the other fields."""
    found = []
    for k, one in enumerate(fields):
        if len(one) < LEAST_STARS:
            continue
        others = [other for other in range(len(fields)) if other != k]
        known = np.concatenate([fields[other] for other in others])
        where = np.repeat(density[others], [len(fields[other]) for other in others])
        found.append(against_others(color_offsets(one, known, likeness(where, density[k])).mag))
    if len(found) < LEAST_FIELDS:
        return np.zeros(fields[0].shape[1])
    return np.sqrt(np.mean(np.square(found), axis=0))
