"""The sky of the small images that are measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS


@pytest.fixture(scope="session")
def wcs() -> WCS:
    """Of an image of 200 × 200 pixels of 0.05 arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [11.0, 41.5]
    wcs.wcs.crpix = [100.0, 100.0]
    wcs.wcs.cdelt = [-0.05 / 3600, 0.05 / 3600]
    return wcs


@pytest.fixture(scope="session")
def noise(wcs: WCS) -> tuple[dict[str, Any], Table]:
    """Images of noise in phat's bands, and a catalog of three positions on them and one beside."""
    planes = np.random.default_rng(1).normal(0.01, 0.01, (3, 200, 200)).astype(np.float32)
    images = {n: (plane, wcs) for n, plane in zip(("F336W", "F475W", "F814W"), planes, strict=True)}
    x = np.array([60.0, 90.0, 120.0, -500.0])
    ra, dec = wcs.pixel_to_world_values(x, x)
    return images, Table({"ra": ra, "dec": dec})
