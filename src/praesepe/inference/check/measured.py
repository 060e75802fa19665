"""All that is measured on a mosaic before it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from praesepe.images.mosaic.mosaic import Mosaic
from praesepe.inference.check.background import Plane, measure_plane
from praesepe.inference.check.profiles import stacked_energy
from praesepe.inference.check.registration import Registration, register
from praesepe.inference.check.sections import LEAST_SEEN, corners, read_sections
from praesepe.inference.check.stars import StarList
from praesepe.inference.check.widths import PSFWidths
from praesepe.progress import Progress
from praesepe.survey import Survey

Array = NDArray[np.float64]

LEAST_STARS = 8
"""Isolated bright stars that a width rests on."""


@dataclass(frozen=True, eq=False)
class BandMeasured:
    """What one band shows, over all sections.

    Attributes
    ----------
    planes : list of Plane
        The sections; those with too few values tell of gaps alone.
    stars : StarList
        All stars.
    missing, lacking, level, gradient, noise : float
        Share of pixels without a value; of those where another band has one; level of the faintest
        pixels, its range over the mosaic,
        and the noise of a pixel, e-/s.
    correlation : float
        Of the noise of neighbouring pixels.
    structure : float
        Of the background, see `block_structure`.
    saturated, spikes : float
        Pixels in saturated cores, or that share the largest value; sharp peaks per 10^4 pixels.
    blur_square, blur_error : float
        Square of the blur, px², that makes the model's PSF as wide as the stars, and its error;
        NaN where there are too few stars.
    energy, energy_error : float
        Share of the stars' light within a radius, see `stacked_energy`, and its error.
    """

    planes: list[Plane]
    stars: StarList
    missing: float
    lacking: float
    level: float
    gradient: float
    noise: float
    correlation: float
    structure: float
    saturated: int
    spikes: float
    blur_square: float
    blur_error: float
    energy: float
    energy_error: float

    @classmethod
    def of(
        cls, planes: list[Plane], widths: PSFWidths, saturated: int, lacking: float
    ) -> BandMeasured:
        """Summary of the sections of a band."""
        seen = [plane for plane in planes if np.isfinite(plane.noise)]
        stars = StarList.joined([plane.stars for plane in planes])
        good = stars.where(stars.alone & (stars.signal > 20))
        blur = error = np.nan
        if len(good) >= LEAST_STARS:
            squares = np.array([widths.blur_square(r) for r in good.peak / good.wide])
            blur = float(np.median(squares))
            error = 1.2 * 1.4826 * float(np.median(np.abs(squares - blur))) / len(good) ** 0.5
        energy, energy_error = stacked_energy([plane.profiles for plane in seen])
        levels = np.concatenate([plane.levels for plane in seen]) if seen else np.empty(0)

        def middle(values: list[float]) -> float:
            return float(np.median(values)) if values else np.nan

        return cls(
            planes=planes,
            stars=stars,
            missing=float(np.mean([plane.missing for plane in planes])),
            lacking=lacking,
            level=middle([plane.level for plane in seen]),
            gradient=float(np.ptp(np.quantile(levels, (0.05, 0.95)))) if len(levels) else np.nan,
            noise=middle([plane.noise for plane in seen]),
            correlation=middle([plane.correlation for plane in seen]),
            structure=middle([p.structure for p in seen if np.isfinite(p.structure)]),
            saturated=max(saturated, _at_the_top(seen)),
            spikes=1e4 * sum(p.spikes for p in seen) / max(sum(p.n_pixels for p in seen), 1),
            blur_square=blur,
            blur_error=error,
            energy=energy,
            energy_error=energy_error,
        )


def _at_the_top(planes: list[Plane]) -> int:
    """Pixels at the largest value of all sections, where several share it."""
    top = max((plane.top for plane in planes), default=0.0)
    count = sum(plane.full for plane in planes if plane.top >= top * (1 - 1e-6))
    return count if count > 3 else 0


@dataclass(frozen=True, eq=False)
class Measured:
    """What a mosaic shows.

    Attributes
    ----------
    bands : dict of str to BandMeasured
    reference : str
        The band against which the others are registered: that with most stars, or another one if
        that lies apart from the others.
    registration : dict of str to Registration or None
        Of the other bands.
    area_px : int
        Pixels that were looked at.
    """

    bands: dict[str, BandMeasured]
    reference: str
    registration: dict[str, Registration | None]
    area_px: int


def measure_mosaic(
    mosaic: Mosaic, widths: Mapping[str, PSFWidths], n: int, progress: Progress | None = None
) -> Measured:
    """Measure up to `n` sections of a mosaic."""
    planes: dict[str, list[Plane]] = {name: [] for name in mosaic.band_names}
    area = 0
    saturated, lacking = dict.fromkeys(planes, 0), dict.fromkeys(planes, 0.0)
    places, shape = corners(mosaic.shape, n)
    for done, section in enumerate(read_sections(mosaic, places, shape)):
        usable = bool((1 - section.missing >= LEAST_SEEN).all())
        area += section.images[0].size if usable else 0
        for k, name in enumerate(planes):
            saturated[name] += section.saturated[k]
            lacking[name] += section.lacking[k] / len(places)
            planes[name].append(
                measure_plane(
                    section.images[k], section.y0, section.x0, sharpest=widths[name].sharpest
                )
                if usable
                else Plane(float(section.missing[k]))
            )
        if progress is not None:
            progress(done + 1, len(places))
    bands = {
        name: BandMeasured.of(planes[name], widths[name], saturated[name], lacking[name])
        for name in planes
    }
    lists = {name: [plane.stars for plane in planes[name]] for name in planes}
    by_stars = sorted(bands, key=lambda name: -int((bands[name].stars.signal > 10).sum()))
    for reference in by_stars:
        registration = _against(reference, lists, mosaic.shape)
        if any(registration.values()):  # else it is the one that shares no stars
            break
    lying = {name: one.displacements() for name, one in registration.items() if one}
    middle = middle_of({reference: np.zeros((4, 2)), **lying}, first=reference)
    if middle != reference:
        reference, registration = middle, _against(middle, lists, mosaic.shape)
    return Measured(bands, reference, registration, area)


def _against(
    reference: str, lists: Mapping[str, list[StarList]], shape: tuple[int, int]
) -> dict[str, Registration | None]:
    """Registration of all other bands against one; through a third that shares more stars."""
    found = {
        name: register(lists[reference], stars, shape)
        for name, stars in lists.items()
        if name != reference
    }
    for name in [name for name, one in found.items() if one is None]:
        for third, known in tuple(found.items()):
            step = None if known is None else register(lists[third], lists[name], shape)
            if known is not None and step is not None:
                found[name] = step.through(known)
                break
    return found


def middle_of(places: Mapping[str, Array], *, first: str) -> str:
    """The band nearest to the others, so that a shift is told of the band that has it.

    `places` are displacements (x, y) of the same points, shape (n, 2). `first` stands where no
    other is clearly nearer; of two bands always.
    """
    far = {
        name: sum(float(np.hypot(*(place - other).T).mean()) for other in places.values())
        for name, place in places.items()
    }
    nearest = min(far, key=lambda name: far[name])
    return nearest if far[nearest] < far[first] - 0.1 else first


_WIDTHS: dict[str, dict[str, PSFWidths]] = {}


def psf_widths(survey: Survey) -> dict[str, PSFWidths]:
    """The model's PSF of every band, computed once in a process."""
    key = survey.fingerprint()
    if key not in _WIDTHS:
        _WIDTHS.clear()
        _WIDTHS[key] = {name: PSFWidths.of(survey, name) for name in survey.band_names}
    return _WIDTHS[key]
