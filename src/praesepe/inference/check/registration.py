"""How the bands lie on each other, from the stars that they share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from praesepe.inference.check.stars import StarList

Array = NDArray[np.float64]

REACH_PX = 12.0
"""Largest shift that is looked for."""
LEAST_STARS = 12
LEAST_SHARE = 0.05
"""Of the stars that two bands could share; fewer meet by chance."""
_MATCH_PX = 1.5


@dataclass(frozen=True)
class Registration:
    """Where a band lies against the reference band.

    A star at (X, Y) from the mosaic's middle in the reference band is seen at
    ``X + x_px + scale X - angle Y``, ``Y + y_px + angle X + scale Y``.

    Attributes
    ----------
    x_px, y_px : float
        Shift at the mosaic's middle, pixels.
    angle : float
        Turn counter-clockwise, rad.
    scale : float
        Relative stretch.
    n_stars : int
        Stars it rests on.
    error_px : float
        Standard error of the shift along one axis.
    farthest_px : float
        Largest displacement on the mosaic.
    middle : (float, float)
        x and y of the mosaic's middle, pixels.
    """

    x_px: float
    y_px: float
    angle: float
    scale: float
    n_stars: int
    error_px: float
    farthest_px: float
    middle: tuple[float, float]

    @classmethod
    def none(cls, shape: tuple[int, int]) -> Registration:
        """No displacement on a mosaic of a shape."""
        middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
        return cls(0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, middle)

    def against(self, other: Registration) -> Registration:
        """Where this band lies against another, both small displacements from one reference."""
        return self._plus(other, -1)

    def through(self, other: Registration) -> Registration:
        """Where this band lies against the reference of the band that it was measured against."""
        return self._plus(other, 1)

    def _plus(self, other: Registration, sign: int) -> Registration:
        found = replace(
            self,
            x_px=self.x_px + sign * other.x_px,
            y_px=self.y_px + sign * other.y_px,
            angle=self.angle + sign * other.angle,
            scale=self.scale + sign * other.scale,
            error_px=math.hypot(self.error_px, other.error_px),
        )
        return found.with_farthest()

    def displacements(self) -> Array:
        """Displacements (x, y) in pixels at the corners of the mosaic, shape (4, 2)."""
        x, y = (np.array([0.0, 2 * one]) for one in self.middle)
        corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(4, 2)
        return np.stack(self(*corners.T), axis=-1) - corners

    def with_farthest(self) -> Registration:
        """The same with the largest displacement, which is at a corner."""
        return replace(self, farthest_px=float(np.max(np.hypot(*self.displacements().T))))

    def __call__(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Place in the band of places in the reference band, pixels."""
        far_x, far_y = x - self.middle[0], y - self.middle[1]
        return (
            x + self.x_px + self.scale * far_x - self.angle * far_y,
            y + self.y_px + self.angle * far_x + self.scale * far_y,
        )


def coarse_shift(reference: StarList, other: StarList) -> tuple[float, float] | None:
    """The shift (x, y) that lays most stars on others, within `REACH_PX`; None: no such one."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    if len(reference) < 5 or len(other) < 5:
        return None
    brightest = [some.where(np.argsort(-some.signal)[:1500]) for some in (reference, other)]
    places = [np.stack([some.x, some.y], axis=1) for some in brightest]
    near = cKDTree(places[0]).query_ball_point(places[1], REACH_PX)
    steps = np.concatenate(
        [places[1][i] - places[0][j] for i, j in enumerate(near) if j] or [np.empty((0, 2))]
    )
    if len(steps) < 5:
        return None
    edges: Array = np.linspace(-REACH_PX, REACH_PX, int(4 * REACH_PX) + 1)
    votes = gaussian_filter(np.histogram2d(steps[:, 0], steps[:, 1], bins=[edges, edges])[0], 0.7)
    i, j = np.unravel_index(votes.argmax(), votes.shape)
    inside = np.hypot(*np.meshgrid(edges[:-1], edges[:-1])) < REACH_PX
    usual, scatter = float(votes[inside].mean()), float(votes[inside].std())
    if votes[i, j] < usual + 6 * scatter or votes[i, j] < 1:
        return None
    middle = 0.5 * (edges[1:] + edges[:-1])
    return float(middle[i]), float(middle[j])


def matched(
    reference: StarList, other: StarList, shift: tuple[float, float], reach_px: float = _MATCH_PX
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Numbers of stars that are each other's nearest after a shift."""
    from scipy.spatial import cKDTree

    if not len(reference) or not len(other):
        return np.empty(0, int), np.empty(0, int)
    a = np.stack([reference.x + shift[0], reference.y + shift[1]], axis=1)
    b = np.stack([other.x, other.y], axis=1)
    distance, there = cKDTree(b).query(a, distance_upper_bound=reach_px)
    _, back = cKDTree(a).query(b)
    mine = np.flatnonzero(np.isfinite(distance))
    mine = mine[back[there[mine]] == mine]
    return mine, there[mine]


def bright_and_alone(stars: StarList) -> StarList:
    """Stars that are looked for in another band."""
    return stars.where(stars.alone & (stars.signal > 10))


def shareable(reference: list[StarList], other: list[StarList]) -> int:
    """Stars that two bands could share, over all sections."""
    return sum(
        min(len(bright_and_alone(one)), len(bright_and_alone(two)))
        for one, two in zip(reference, other, strict=True)
    )


def register(
    reference: list[StarList], other: list[StarList], shape: tuple[int, int]
) -> Registration | None:
    """Measure the registration of one band against another from sections of both.

    Parameters
    ----------
    reference, other : list of StarList
        One for each section, the same sections.
    shape : (int, int)
        Of the mosaic, pixels.

    Returns
    -------
    Registration, or None
        None where too few stars are shared.
    """
    pairs = []
    for one, two in zip(reference, other, strict=True):
        one, two = bright_and_alone(one), bright_and_alone(two)
        shift = coarse_shift(one, two)
        if shift is None:
            continue
        for _ in range(2):
            i, j = matched(one, two, shift)
            if not len(i):
                break
            shift = (float(np.median(two.x[j] - one.x[i])), float(np.median(two.y[j] - one.y[i])))
        i, j = matched(one, two, shift, 1.0)
        pairs.append(np.stack([one.x[i], one.y[i], two.x[j] - one.x[i], two.y[j] - one.y[i]]))
    if not pairs:
        return None
    x, y, dx, dy = np.concatenate(pairs, axis=1)
    if len(x) < max(LEAST_STARS, LEAST_SHARE * shareable(reference, other)):
        return None
    middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    far_x, far_y = x - middle[0], y - middle[1]
    zero, one_ = np.zeros_like(x), np.ones_like(x)
    design = np.concatenate(
        [
            np.stack([one_, zero, -far_y, far_x], axis=1),
            np.stack([zero, one_, far_x, far_y], axis=1),
        ]
    )
    values = np.concatenate([dx, dy])
    keep = np.ones(len(x), bool)
    spread = np.nan
    solution = np.zeros(4)
    # a turn or a stretch needs stars far apart
    wide = len(x) > 40 and max(np.ptp(x), np.ptp(y)) > 200
    columns = slice(None) if wide else slice(0, 2)
    for _ in range(8):
        both = np.tile(keep, 2)
        solution[columns] = np.linalg.lstsq(design[both][:, columns], values[both], rcond=None)[0]
        rest = (values - design @ solution).reshape(2, -1)
        spread = max(1.4826 * float(np.median(np.abs(rest[:, keep]))), 1e-3)
        keep = np.hypot(*rest) < 3 * spread
    both = np.tile(keep, 2)
    use = design[both][:, columns]
    covariance = np.linalg.inv(use.T @ use) * spread**2
    error = math.sqrt(covariance[0, 0])
    if wide:  # what is not measured is not there
        for k in (2, 3):
            if abs(solution[k]) < 4 * math.sqrt(covariance[k, k]):
                solution[k] = 0.0
    shift_x, shift_y, angle, scale = solution.tolist()
    found = Registration(shift_x, shift_y, angle, scale, int(keep.sum()), error, 0.0, middle)
    return found.with_farthest()
