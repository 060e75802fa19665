"""Pixel grids: their scale, whether two agree, and how an image gets onto another one."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS, WCSCOMPARE_ANCILLARY
from astropy.wcs.utils import pixel_to_pixel
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from numpy.typing import NDArray

from praesepe.bounded import reserve
from praesepe.images.reading.pixels import (
    FloatImage,
    Mark,
    Pixels,
    scratch_error,
    scratch_image,
)

Shape = tuple[int, int]
FloatArray = NDArray[np.float64]

_BLOCK = 512
_MARGIN = 3
CONVERGED_ARCSEC = 1e-3


def pixel_vectors_arcsec(wcs: WCS, shape: Shape) -> FloatArray:
    """Steps on the sky of one pixel along x and along y at the image's center.

    Parameters
    ----------
    wcs : WCS
        Celestial, distortions included.
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    ndarray, shape (2, 2)
        Columns: the steps along x and y; rows: eastwards and northwards (or the frame's
        longitude and latitude), arcsec.
    """
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    steps = np.array([[-0.5, 0.5, 0.0, 0.0], [0.0, 0.0, -0.5, 0.5]])
    world = wcs.all_pix2world(x + steps[0], y + steps[1], 0)
    longitude, latitude = world[wcs.wcs.lng], world[wcs.wcs.lat]
    dlon = (longitude[1::2] - longitude[::2] + 180) % 360 - 180
    east = dlon * math.cos(math.radians(float(np.mean(latitude))))
    return 3600 * np.array([east, latitude[1::2] - latitude[::2]])


def pixel_scale_arcsec(wcs: WCS, shape: Shape) -> float:
    """Side of a square with the area of the pixel at the image's center, arcsec."""
    return math.sqrt(abs(np.linalg.det(pixel_vectors_arcsec(wcs, shape))))


def pixel_sides_arcsec(wcs: WCS, shape: Shape) -> tuple[float, float]:
    """Longest and shortest axis on the sky of a pixel at the center, arcsec: equal for a square."""
    long, short = np.linalg.svd(pixel_vectors_arcsec(wcs, shape), compute_uv=False)
    return float(long), float(short)


def _probes(shape: Shape, n: int) -> tuple[FloatArray, FloatArray]:
    """Pixel positions from corner to corner: x and y, each of shape (n²,)."""
    y, x = np.meshgrid(
        np.linspace(0, shape[0] - 1, n), np.linspace(0, shape[1] - 1, n), indexing="ij"
    )
    return x.ravel(), y.ravel()


def transform(
    wcs_from: WCS, wcs_to: WCS, x: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Find pixel positions of an image in another one.

    Parameters
    ----------
    wcs_from, wcs_to : WCS
        Of the two images; their frames (ICRS, FK5 …) may differ.
    x, y : ndarray, shape (N,)
        Where the center of the first pixel is (0, 0).

    Returns
    -------
    x, y : ndarray, each of shape (N,)
        NaN where the other image has no such position.
    """
    if _same(wcs_from, wcs_to):
        return x.copy(), y.copy()
    with np.errstate(invalid="ignore"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x_to, y_to = (np.array(one, float) for one in pixel_to_pixel(wcs_from, wcs_to, x, y))
        if any("failed to converge" in str(one.message) for one in caught):  # and where is not said
            there, found = wcs_from.pixel_to_world(x, y), wcs_to.pixel_to_world(x_to, y_to)
            lost = ~(there.separation(found).arcsec < CONVERGED_ARCSEC)
            x_to[lost] = y_to[lost] = np.nan
    return x_to, y_to


def _same(one: WCS, other: WCS) -> bool:
    """Whether the keywords of two WCS, neither of which is distorted, make one frame of both."""
    frames = {f"{wcs.wcs.radesys} {wcs.wcs.equinox}" for wcs in (one, other)}
    if len(frames) > 1 or one.has_distortion or other.has_distortion:
        return False
    return one is other or bool(one.wcs.compare(other.wcs, WCSCOMPARE_ANCILLARY))


def pixel_offsets(reference: WCS, shape: Shape, wcs: WCS) -> FloatArray:
    """How far the same pixel of two images lies apart, from corner to corner and at the center.

    Parameters
    ----------
    reference : WCS
        Of the reference image, whose height and width are `shape`.
    wcs : WCS
        Of the other image.

    Returns
    -------
    ndarray, shape (25, 2)
        Position in the other image minus position in the reference, x and y, pixels. NaN where
        the other image's projection does not reach.
    """
    x, y = _probes(shape, 5)
    x_to, y_to = transform(reference, wcs, x, y)
    return np.stack([x_to - x, y_to - y], axis=1)


def overlap(reference: WCS, shape: Shape, wcs: WCS, other: Shape) -> bool:
    """Whether two images share sky, judged from a grid of 17 × 17 positions in each."""
    for wcs_from, shape_from, wcs_to, shape_to in (
        (reference, shape, wcs, other),
        (wcs, other, reference, shape),
    ):
        x, y = transform(wcs_from, wcs_to, *_probes(shape_from, 17))
        if np.any((x > -0.5) & (x < shape_to[1] - 0.5) & (y > -0.5) & (y < shape_to[0] - 0.5)):
            return True
    return False


def survey_grid(wcs: WCS, shape: Shape, scale_arcsec: float) -> tuple[WCS, Shape]:
    """Lay a tangential grid of another pixel scale over an image.

    Parameters
    ----------
    wcs, shape : WCS, (int, int)
        The image whose center, orientation and footprint the grid takes over.
    scale_arcsec : float
        Side of a pixel of the new grid.

    Returns
    -------
    wcs : WCS
        TAN projection in the frame of `wcs`, without distortions.
    shape : (int, int)
        Height and width.
    """
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    vectors = pixel_vectors_arcsec(wcs, shape)
    ratio = math.sqrt(abs(np.linalg.det(vectors))) / scale_arcsec
    new_shape = (math.ceil(shape[0] * ratio), math.ceil(shape[1] * ratio))
    grid = WCS(naxis=2)
    prefixes = [axis.split("-")[0] for axis in wcs.wcs.ctype]
    grid.wcs.ctype = [
        f"{prefix:-<5}TAN" if len(prefix) > 4 else f"{prefix:-<4}-TAN" for prefix in prefixes
    ]
    grid.wcs.cunit = ["deg", "deg"]
    grid.wcs.radesys = wcs.wcs.radesys
    if math.isfinite(wcs.wcs.equinox):
        grid.wcs.equinox = wcs.wcs.equinox
    grid.wcs.crval = wcs.all_pix2world([[x, y]], 0)[0]
    order = [wcs.wcs.lng, wcs.wcs.lat]
    matrix = np.empty((2, 2))
    matrix[order] = vectors / ratio / 3600
    grid.wcs.cd = matrix
    grid.wcs.crpix = [(new_shape[1] + 1) / 2, (new_shape[0] + 1) / 2]
    grid.wcs.set()
    grid.array_shape = new_shape
    return grid, new_shape


def reproject(pixels: Pixels, wcs: WCS, grid: WCS, shape: Shape) -> Pixels:
    """Resample an image onto another grid, conserving the light.

    The flux of a new pixel is the mean surface brightness of the old pixels it covers, weighted
    by the exact overlap on the sky (`reproject.reproject_exact`), times the area of a new pixel
    over that of an old one. A new pixel that touches a missing one is missing. The work goes in
    blocks of 512 × 512 pixels and the result to a temporary file, so that no image needs to fit
    in memory.

    Parameters
    ----------
    pixels, wcs : Pixels, WCS
        The image, in units per pixel.
    grid, shape : WCS, (int, int)
        The new grid, its height and width.

    Returns
    -------
    Pixels
        In units per new pixel; missing pixels are NaN. Those with the center of a saturated one
        are marked.
    """
    pixels.read_ahead(True)
    full: list[NDArray[np.intp]] = []
    try:
        new = scratch_image(shape, _strips(pixels, wcs, grid, shape, full), gaps_known=True)
    finally:
        pixels.read_ahead(False)
    return mark_saturated(new, full)


def mark_saturated(pixels: Pixels, full: Sequence[NDArray[np.intp]]) -> Pixels:
    """Mark saturated pixels, arrays (2, n) of y and x, of a resampled image."""
    if not full:
        return pixels
    with tempfile.TemporaryFile(prefix="praesepe-") as file:
        try:
            reserve(file.fileno(), math.prod(pixels.shape))
        except OSError as error:
            raise scratch_error(error) from error
        mask = np.memmap(file, np.uint8, "w+", shape=pixels.shape)
    mask[tuple(np.concatenate(full, axis=1))] = 1
    return replace(pixels, marks=(Mark("saturated", Pixels(mask, pixels.shape), "quality", 0, 1),))


@dataclass(frozen=True, eq=False)
class Resampled:
    """An image on another grid, resampled window by window when it is looked at.

    Attributes
    ----------
    pixels, wcs : Pixels, WCS
        The image, in units per pixel.
    grid, shape : WCS, (int, int)
        The new grid, its height and width.
    """

    pixels: Pixels
    wcs: WCS
    grid: WCS
    shape: Shape
    dtype = np.dtype(np.float32)

    @property
    def nbytes(self) -> int:
        """Size of the whole image."""
        return int(self.dtype.itemsize * math.prod(self.shape))

    def __getitem__(self, key: tuple[slice, slice]) -> FloatImage:
        rows, columns = key
        window = np.full((rows.stop - rows.start, columns.stop - columns.start), np.nan, self.dtype)
        block = _block(self.pixels, self.wcs, self.grid, rows, columns, [])
        if block is not None:
            window[...] = block * _area_ratio(self.pixels, self.wcs, self.grid, self.shape)
        return window


def _area_ratio(pixels: Pixels, wcs: WCS, grid: WCS, shape: Shape) -> float:
    """Area of a pixel of the new grid over that of one of the image."""
    return (pixel_scale_arcsec(grid, shape) / pixel_scale_arcsec(wcs, pixels.shape)) ** 2


def _strips(
    pixels: Pixels, wcs: WCS, grid: WCS, shape: Shape, full: list[NDArray[np.intp]]
) -> Iterator[FloatImage]:
    """The new image from its first row to its last; `full` takes its saturated pixels (y, x)."""
    area_ratio = _area_ratio(pixels, wcs, grid, shape)
    height, width = shape
    for y0 in range(0, height, _BLOCK):
        rows = slice(y0, min(y0 + _BLOCK, height))
        strip = np.full((rows.stop - y0, width), np.nan, np.float32)
        for x0 in range(0, width, _BLOCK):
            columns = slice(x0, min(x0 + _BLOCK, width))
            block = _block(pixels, wcs, grid, rows, columns, full)
            if block is not None:
                strip[:, columns] = block * area_ratio
        pixels.release()
        yield strip


def _block(
    pixels: Pixels, wcs: WCS, grid: WCS, rows: slice, columns: slice, full: list[NDArray[np.intp]]
) -> FloatArray | None:
    """One block of the new grid; None where the image does not reach it."""
    from reproject import reproject_exact

    shape = (rows.stop - rows.start, columns.stop - columns.start)
    x, y = _probes((shape[0] + 2, shape[1] + 2), 9)  # one pixel beyond the block on every side
    x, y = transform(grid, wcs, x + columns.start - 1, y + rows.start - 1)
    if not np.isfinite(x).any():
        return None
    x0, x1 = int(np.nanmin(x)) - _MARGIN, int(np.nanmax(x)) + _MARGIN + 2
    y0, y1 = int(np.nanmin(y)) - _MARGIN, int(np.nanmax(y)) + _MARGIN + 2
    x0, y0 = max(x0, 0), max(y0, 0)
    x1, y1 = min(x1, pixels.shape[1]), min(y1, pixels.shape[0])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    section = pixels.read(y0, x0, y1 - y0, x1 - x0)
    gaps = pixels.find_gaps(section)
    section[gaps.missing] = np.nan
    saturated = gaps.saturated | pixels.marked_saturated(y0, x0, *section.shape)
    if saturated.any():
        y_full, x_full = np.argwhere(saturated).T.astype(float)
        x, y = transform(wcs, grid, x_full + x0, y_full + y0)
        inside = (np.abs(x - columns.start - shape[1] / 2 + 0.5) < shape[1] / 2) & (
            np.abs(y - rows.start - shape[0] / 2 + 0.5) < shape[0] / 2
        )
        if inside.any():
            full.append(np.rint([y[inside], x[inside]]).astype(np.intp))
    old = _window(wcs, slice(y0, y1), slice(x0, x1))
    new = _window(grid, rows, columns)
    result, covered = reproject_exact(
        (section.astype(float), old), new, shape_out=shape, parallel=False
    )
    result[covered < 0.999] = np.nan
    return np.asarray(result, np.float64)


def _window(wcs: WCS, rows: slice, columns: slice) -> HighLevelWCSWrapper:
    """WCS of a window; unlike ``wcs[rows, columns]`` right for distortion tables too."""
    return HighLevelWCSWrapper(SlicedLowLevelWCS(wcs, (rows, columns)))
