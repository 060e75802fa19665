"""One true image in whatever form a FITS file can have: the same stamps, or a refusal.

Hypothesis draws the form: how the WCS is written, the unit, where the keywords stand, what else is
in the file, the type of the numbers, and the compression.
"""

from __future__ import annotations

import math
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Mosaic
from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.images.units.zero_points import hst_zero_point
from praesepe.survey import Survey

SIZE, SCALE_ARCSEC, ANGLE_DEG = 72, 0.05, 31.0
EXPOSURE_S, GAIN = 1520.0, 2.0
PHOTFLAM, PHOTPLAM = 7.033e-20, 8057.0
JANSKY = 3631 * 10 ** (-0.4 * hst_zero_point(PHOTFLAM, PHOTPLAM))
AREA_SR = math.radians(SCALE_ARCSEC / 3600) ** 2
IMAGE = np.random.default_rng(4).normal(0.02, 0.01, (SIZE, SIZE))
IMAGE[20:50, 20:50] += 5 * np.hypot(*np.mgrid[-15:15, -15:15]).clip(1) ** -2.0

UNITS = {
    "ELECTRONS/S": 1.0,
    "electron/s": 1.0,
    "e-/s": 1.0,
    "ELECTRONS": EXPOSURE_S,
    "COUNTS/S": 1 / GAIN,
    "DN": EXPOSURE_S / GAIN,
    "MJy/sr": JANSKY / 1e6 / AREA_SR,
    "nJy": JANSKY * 1e9,
    "10.0*nanoJansky": JANSKY * 1e8,
    "uJy": JANSKY * 1e6,
    "mJy": JANSKY * 1e3,
}
"""Unit: what an electron per second is in it."""

CALIBRATION = ("PHOTFLAM", "PHOTPLAM", "EXPTIME", "CCDGAIN", "INSTRUME", "FILTER")


@dataclass(frozen=True)
class Form:
    """How an image is written down."""

    wcs: str
    unit: str
    primary: frozenset[str]
    place: str
    kind: str
    compression: str


forms = st.builds(
    Form,
    wcs=st.sampled_from(["CD", "PC", "CROTA2"]),
    unit=st.sampled_from(sorted(UNITS)),
    primary=st.frozensets(st.sampled_from(CALIBRATION)),
    place=st.sampled_from(["primary", "SCI", "unnamed", "after a constant", "before a weight"]),
    kind=st.sampled_from([">f4", ">f8", "scaled i4"]),
    compression=st.sampled_from(["none", "none", ".gz", ".bz2", ".zip", "GZIP_2", "RICE_1"]),
)


def wcs_cards(form: str) -> dict[str, Any]:
    """The same linear WCS in one of three notations."""
    scale, angle = SCALE_ARCSEC / 3600, math.radians(ANGLE_DEG)
    cards: dict[str, Any] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRVAL1": 10.6, "CRVAL2": 41.2, "CRPIX1": 36.5, "CRPIX2": 36.5, "RADESYS": "ICRS",
    }  # fmt: skip
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = {"1_1": -cos, "1_2": -sin, "2_1": -sin, "2_2": cos}
    if form == "CD":
        return cards | {f"CD{key}": scale * value for key, value in matrix.items()}
    cards |= {"CDELT1": -scale, "CDELT2": scale}
    if form == "CROTA2":
        return cards | {"CROTA2": ANGLE_DEG}
    signs = {"1_1": -1, "1_2": -1, "2_1": 1, "2_2": 1}
    return cards | {f"PC{key}": signs[key] * value for key, value in matrix.items()}


def headers(form: Form) -> tuple[fits.Header, fits.Header]:
    """Header of the image, and the primary one."""
    calibration = {
        "PHOTFLAM": PHOTFLAM, "PHOTPLAM": PHOTPLAM, "EXPTIME": EXPOSURE_S, "CCDGAIN": GAIN,
        "INSTRUME": "ACS", "FILTER": "F814W",
    }  # fmt: skip
    own = fits.Header(wcs_cards(form.wcs) | {"BUNIT": form.unit})
    own.update({key: calibration[key] for key in CALIBRATION if key not in form.primary})
    return own, fits.Header({key: calibration[key] for key in sorted(form.primary)})


def hdus(form: Form) -> fits.HDUList:
    """The image in its form, uncompressed or compressed by tiles."""
    own, first = headers(form)
    values = IMAGE * UNITS[form.unit]
    data = values.astype(form.kind) if form.kind.startswith(">") else values
    packed = form.compression in ("GZIP_2", "RICE_1")
    if form.place == "primary" and not packed:
        own.update(first)
        hdu = fits.PrimaryHDU(data, own)
        others = []
    elif packed:
        hdu = fits.CompImageHDU(
            data, own, compression_type=form.compression, quantize_level=1e-4 * values.std() * -1
        )
        others = [fits.PrimaryHDU(header=first)]
    else:
        hdu = fits.ImageHDU(data, own)
        others = [fits.PrimaryHDU(header=first)]
    if form.place == "SCI":
        hdu.name = "SCI"
    if form.kind == "scaled i4" and not packed:
        hdu.scale("int32", bscale=float(values.std()) * 1e-6)
    if form.place == "after a constant" and others:
        others.append(fits.ImageHDU(np.ones((SIZE, SIZE), np.float32)))
    weight = [fits.ImageHDU(np.ones((SIZE, SIZE), np.float32), name="WHT")]
    return fits.HDUList([*others, hdu, *(weight if form.place == "before a weight" else [])])


def stamps(hdulist: fits.HDUList, form: Form, survey: Survey, folder: Path) -> Any:
    """What Praesepe cuts out of the file."""
    suffix = form.compression if form.compression in (".gz", ".bz2") else ""
    path = folder / f"a.fits{suffix}"
    hdulist.writeto(path)
    if form.compression == ".zip":
        path = folder / "a.fits.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(folder / "a.fits", "a.fits")
    wcs = WCS(fits.Header(wcs_cards("CD")))
    mosaic = Mosaic.read({"F475W": (IMAGE, wcs), "F814W": path}, survey)
    return extract_stamps(mosaic, [36.0], [34.0], 32).images[0]


@pytest.fixture(scope="module")
def survey(two_bands: Survey) -> Survey:
    """Two bands; the first one is the image as an array."""
    return two_bands


quick = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.filterwarnings("ignore:.*the unit is believed")  # PHOTFLAM of e-/s, left over
@quick
@given(form=forms)
def test_same_stamps_in_every_form(survey: Survey, form: Form) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = stamps(hdus(form), form, survey, Path(folder))
    scale = 10 ** (0.4 * (survey.band("F814W").zero_point_ab - hst_zero_point(PHOTFLAM, PHOTPLAM)))
    assert found[1] == pytest.approx(scale * found[0], rel=1e-4, abs=1e-5)


@quick
@given(
    form=forms,
    key=st.sampled_from(sorted({*wcs_cards("CD"), *wcs_cards("PC"), *CALIBRATION, "BUNIT"})),
    value=st.one_of(st.none(), st.floats(), st.integers(), st.text("aA1 '-.", max_size=8)),
)
def test_a_wrong_card_is_refused_or_said(survey: Survey, form: Form, key: str, value: Any) -> None:
    """Never a traceback; an image elsewhere in the sky is not measured as if it were here."""
    hdulist = hdus(form)
    for hdu in hdulist:
        if key in hdu.header:
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                del hdu.header[key]
            else:
                hdu.header[key] = value
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            stamps(hdulist, form, survey, Path(folder))
        except InputError as error:
            said = str(error).strip()
        else:
            said = ""
    assert "\n" not in said
    assert all(issubclass(w.category, PraesepeWarning) for w in caught), [str(w) for w in caught]
