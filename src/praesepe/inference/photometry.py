"""Aperture photometry of stamps: light in circles, and the sky around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import InputError, must_be
from praesepe.lazy import extras


def aperture_flux(
    images: ArrayLike,
    *,
    x: ArrayLike,
    y: ArrayLike,
    radius_px: ArrayLike,
    sky_px: tuple[ArrayLike, ArrayLike] | None = None,
) -> NDArray[np.float64]:
    """Light of every stamp inside a circle.

    Parameters
    ----------
    images : array_like, shape (n, band, y, x)
        Any unit per pixel.
    x, y, radius_px : array_like, shape (n,) or ()
        Center (the center of the first pixel is (0, 0)) and radius of each stamp's circle,
        pixels.
    sky_px : (array_like, array_like), optional
        Inner and outer radius of the ring around the same center whose mean per pixel is
        subtracted as sky, pixels.

    Returns
    -------
    ndarray, shape (n, band)
        Unit of the images.

    Raises
    ------
    InputError
        Where a circle or ring reaches beyond its stamp, or a radius is impossible.
    """
    with extras():
        from photutils.aperture import CircularAnnulus, CircularAperture

    stack = np.asarray(images)
    if stack.ndim != 4:
        raise must_be("shape of images", stack.shape, "(n, band, y, x)")
    n, _, height, width = stack.shape
    rings = (0.0, 0.0) if sky_px is None else sky_px
    places = [np.broadcast_to(np.asarray(v, dtype=float), n) for v in (x, y, radius_px, *rings)]
    flux = np.empty(stack.shape[:2])
    for k, (x_k, y_k, radius, inner, outer) in enumerate(zip(*places, strict=True)):
        reach = min(x_k + 0.5, y_k + 0.5, width - 0.5 - x_k, height - 0.5 - y_k)
        if not 0 < max(radius, outer) <= reach or (sky_px is not None and not 0 <= inner < outer):
            raise InputError(
                f"stamp {k}: a circle of {radius:.4g} px and a ring of {inner:.4g} to {outer:.4g} "
                f"px; radii must be positive and ascend, and stay within {max(reach, 0):.4g} px of "
                "the center",
                given=(radius, inner, outer),
                allowed=(0.0, max(reach, 0.0)),
                remedy="make the stamps larger",
            )
        circle = CircularAperture((x_k, y_k), radius)
        flux[k] = _light(stack[k], circle)
        if sky_px is not None:
            ring = CircularAperture((x_k, y_k), outer)
            if inner > 0:
                ring = CircularAnnulus((x_k, y_k), inner, outer)
            flux[k] -= _light(stack[k], ring) / ring.area * circle.area
    return flux


def _light(planes: NDArray[Any], aperture: Any) -> NDArray[Any]:
    """Light of planes (band, y, x) in an aperture; pixels count by their exact overlap."""
    overlap = aperture.to_mask(method="exact").to_image(planes.shape[-2:])
    return np.tensordot(planes, overlap, 2)
