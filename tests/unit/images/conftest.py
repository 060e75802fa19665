"""Small images with known WCS and calibration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from praesepe.survey import Survey, load_survey

CENTRE = (10.6847, 41.269)
PHOTOMETRY = {
    "F336W": {"PHOTFLAM": 1.3129e-18, "PHOTPLAM": 3354.8},
    "F475W": {"PHOTFLAM": 1.821e-19, "PHOTPLAM": 4746.9},
    "F814W": {"PHOTFLAM": 7.033e-20, "PHOTPLAM": 8057.0},
}


@pytest.fixture(scope="session")
def phat() -> Survey:
    return load_survey("phat-nodust")


@pytest.fixture(scope="session")
def two_bands() -> Survey:
    """F475W and F814W of phat, for shorter tests."""
    phat = load_survey("phat-nodust")
    return phat.with_values(name="two", observation={"bands": phat.bands[1:]})


@pytest.fixture(scope="session")
def make_wcs() -> Callable[..., WCS]:
    """Tangential WCS with the sky position `CENTRE` at a pixel (zero-based)."""

    def make(
        shape: tuple[int, int] = (200, 220),
        scale: float = 0.05,
        rotation_deg: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        sip: bool = False,
    ) -> WCS:
        wcs = WCS(naxis=2)
        suffix = "-SIP" if sip else ""
        wcs.wcs.ctype = [f"RA---TAN{suffix}", f"DEC--TAN{suffix}"]
        wcs.wcs.crval = CENTRE
        wcs.wcs.crpix = [(shape[1] + 1) / 2 + shift[0], (shape[0] + 1) / 2 + shift[1]]
        c, s = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
        wcs.wcs.cd = np.array([[-c, s], [s, c]]) * scale / 3600
        wcs.wcs.set()
        wcs.array_shape = shape
        return wcs

    return make


@pytest.fixture
def write_image(tmp_path: Path, make_wcs: Callable[..., WCS]) -> Callable[..., Path]:
    """Write an image as ``<name>.fits``: a primary header, a weight map, then SCI.

    It is calibrated as F475W of phat unless another band, or that band's name, is given.
    """

    def write(
        name: str,
        data: np.ndarray,
        wcs: WCS | str | None = "default",
        *,
        primary: dict[str, Any] | None = None,
        drop: tuple[str, ...] = (),
        extname: str = "SCI",
        compress: bool = False,
        band: str = "",
        **keywords: Any,
    ) -> Path:
        if isinstance(wcs, str):
            wcs = make_wcs(data.shape)
        header = fits.Header() if wcs is None else wcs.to_header(relax=True)
        band = band or (name if name in PHOTOMETRY else "F475W")
        header.update({"BUNIT": "ELECTRONS/S", **PHOTOMETRY[band], **keywords})
        for key in drop:
            header.remove(key)
        first = fits.PrimaryHDU()
        first.header.update(primary or {})
        kind = fits.CompImageHDU if compress else fits.ImageHDU
        weight = fits.ImageHDU(np.ones_like(data, dtype="f4"), header, name="WHT")
        hdus = fits.HDUList([first, weight, kind(data, header, name=extname)])
        path = tmp_path / f"{name}.fits"
        hdus.writeto(path, overwrite=True)
        return path

    return write
