"""Where positions on the sky lie on an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.wcs import WCS

FloatArray = NDArray[np.float64]


def pixel_positions(
    wcs: WCS, ra_deg: FloatArray, dec_deg: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Zero-based pixel positions of ICRS coordinates, distortions (SIP) included.

    Parameters
    ----------
    wcs : WCS
        Celestial; positions are transformed to its frame.
    ra_deg, dec_deg : ndarray, shape (N,)
        Degrees; NaN is allowed.

    Returns
    -------
    x, y : ndarray, each of shape (N,)
        NaN for NaN; infinite for the half of the sky that the projection does not show. Far off
        the image, where the distortion polynomials mean nothing, they are left out.
    """
    from astropy.coordinates import SkyCoord, angular_separation
    from astropy.wcs.utils import wcs_to_celestial_frame

    x, y = np.full(len(ra_deg), np.nan), np.full(len(ra_deg), np.nan)
    good = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    if not good.size:
        return x, y
    x[good] = y[good] = np.inf
    sky = SkyCoord(ra_deg[good], dec_deg[good], unit="deg", frame="icrs")
    sky = sky.transform_to(wcs_to_celestial_frame(wcs)).spherical
    world = np.empty((good.size, 2))
    world[:, wcs.wcs.lng], world[:, wcs.wcs.lat] = sky.lon.deg, sky.lat.deg
    lon0, lat0 = np.radians(wcs.wcs.crval[[wcs.wcs.lng, wcs.wcs.lat]])
    visible = angular_separation(sky.lon.rad, sky.lat.rad, lon0, lat0) < np.pi / 2
    good, world = good[visible], world[visible]
    if not good.size:
        return x, y
    pixel = wcs.wcs_world2pix(world, 0)
    near = on_image(wcs, *pixel.T, margin=0.2)
    if wcs.has_distortion and near.any():
        pixel[near] = wcs.all_world2pix(world[near], 0, quiet=True)
    x[good], y[good] = pixel.T
    return x, y


def on_image(wcs: WCS, x: FloatArray, y: FloatArray, *, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which positions are on an image or within `margin` of its size around it.

    All that are finite where its size is not known.
    """
    inside = np.isfinite(x) & np.isfinite(y)
    for at, size in zip((y, x), wcs.array_shape or (), strict=False):
        inside &= np.abs(at - (size - 1) / 2) < (0.5 + margin) * size  # False for NaN
    return inside
