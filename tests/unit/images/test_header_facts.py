"""Facts of a header are held against each other: harmless ones are told, others refused."""

from __future__ import annotations

import gzip
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Mosaic
from praesepe.images.sip import sip_notes
from praesepe.images.source import open_image
from praesepe.survey import Survey

TNX = "wtype=tnx axtype=ra lngcor = 3. 4. 4. 2."
SIP = {"A_ORDER": 2, "A_2_0": 2e-3, "A_0_2": 1e-3, "B_ORDER": 2, "B_2_0": 1e-3, "B_1_1": 2e-3}


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(2, 0.2, (200, 220)).astype(np.float32)


def test_leftover_sip(write_image, image, two_bands: Survey, capsys) -> None:
    """Not applied, told with what it would do; astropy's own text stays off the screen."""
    plain = {n: write_image(n, image) for n in two_bands.band_names}
    right = Mosaic.read(plain, two_bands).wcs
    spoilt = {n: write_image(n, image, **SIP) for n in two_bands.band_names}
    with pytest.warns(
        PraesepeWarning, match=r"CTYPE \(RA---TAN .*move positions by up to \d"
    ) as told:
        mosaic = Mosaic.read(spoilt, two_bands)
    assert len(told) == 2
    np.testing.assert_array_equal(
        mosaic.wcs.pixel_to_world_values(3.0, 190.0), right.pixel_to_world_values(3.0, 190.0)
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["WCS", "CCDData"])
def test_leftover_sip_of_objects(write_image, image, two_bands: Survey, form: str) -> None:
    """Applied without a word before: only headers were looked at."""
    name = two_bands.band_names[0]
    right = open_image(write_image(name, image), name).wcs
    path = write_image(name, image, **SIP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {
            "WCS": lambda: (image, WCS(fits.getheader(path, "SCI"))),
            "CCDData": lambda: CCDData.read(path, hdu="SCI", unit="electron/s"),
        }[form]()
    source = open_image(given, name)
    assert len(source.remarks) == 1
    assert "are not applied; they would move positions by up to" in source.remarks[0]
    assert sip_notes(source) == []
    found, wanted = (wcs.pixel_to_world_values(3, 190) for wcs in (source.wcs, right))
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"CRVAL1": "11.5"}, ""),  # read as 0 before: every row off the image
        ({"CRVAL1": "00:46:00"}, "CRVAL1 = '00:46:00' in its header is not a number"),
        ({"RADESYS": "icrs"}, ""),
        ({"CTYPE1": 3}, "CTYPE1 = 3 is not a text"),
        (
            {
                "CTYPE1": "RA---TNX",
                "CTYPE2": "DEC--TNX",
                "WAT0_001": "system=image",
                "WAT1_001": TNX,
            },
            "TNX.*is IRAF's",
        ),
    ],
)
def test_wcs_keywords_of_another_kind(image, make_wcs, keywords: dict, said: str) -> None:
    header = make_wcs(image.shape).to_header()
    header["CRVAL1"] = 11.5
    right = open_image((image, header.copy()), "F475W").wcs
    header.update(keywords)
    if said:
        with pytest.raises(InputError, match=said):
            open_image((image, header), "F475W")
    else:
        wcs = open_image((image, header), "F475W").wcs
        assert wcs.pixel_to_world_values(3, 9) == right.pixel_to_world_values(3, 9)


def test_sip_without_coefficients(write_image, image, make_wcs, two_bands: Survey) -> None:
    wcs = make_wcs(image.shape, sip=True)
    paths = {n: write_image(n, image, wcs) for n in two_bands.band_names}
    with pytest.warns(PraesepeWarning, match="no SIP coefficients"):
        Mosaic.read(paths, two_bands)


@pytest.mark.parametrize("stretch", [1.5, 3.0])
def test_pixels_that_are_no_squares(write_image, image, make_wcs, two_bands, stretch) -> None:
    """Silent before: only their area was looked at."""
    wcs = make_wcs(image.shape)
    wcs.wcs.cd = wcs.wcs.cd * np.array([[stretch], [1 / stretch]])
    paths = {n: write_image(n, image, wcs) for n in two_bands.band_names}
    with pytest.warns(PraesepeWarning, match=rf"pixel scale {0.05 * stretch:.4f} × 0.0"):
        mosaic = Mosaic.read(paths, two_bands)
    assert mosaic.reprojected == two_bands.band_names


def test_one_side_of_a_degree(write_image, image, make_wcs, two_bands: Survey) -> None:
    wcs = make_wcs(image.shape)
    wcs.wcs.cd = wcs.wcs.cd * np.array([[7e4], [1 / 7e4]])
    paths = {n: write_image(n, image, wcs) for n in two_bands.band_names}
    with pytest.raises(InputError, match="more than 20 times off"):
        Mosaic.read(paths, two_bands)


@pytest.mark.parametrize("inner", ["plain", "gzip", "with a note"])
def test_zip(write_image, image, tmp_path: Path, inner: str) -> None:
    """Never mapped as if it were plain, not even a .fits.gz in a .zip."""
    plain = write_image("F475W", image).read_bytes()
    packed = tmp_path / "a.fits.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.fits", gzip.compress(plain) if inner == "gzip" else plain)
        if inner == "with a note":
            archive.writestr("readme.txt", "a note")
    np.testing.assert_array_equal(open_image(packed, "F475W").pixels, image)


def test_what_cannot_be_unpacked(tmp_path: Path, write_image, image) -> None:
    two = tmp_path / "two.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.fits", "x")
        archive.writestr("b.fits", "x")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04" + b"x" * 100)
    lzw = tmp_path / "a.fits.Z"
    lzw.write_bytes(b"\x1f\x9d" + b"x" * 100)
    for path, said in ((two, "holds a.fits and b.fits"), (broken, "cannot be read"), (lzw, "Z")):
        with pytest.raises(InputError, match=f"{said}.*unpack it"):
            open_image(path, "F475W")
    assert fits.getdata(write_image("F475W", image), "SCI").shape == image.shape
