"""The sky of the small images that are measured."""

from __future__ import annotations

import pytest
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
