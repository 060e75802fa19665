"""The science image is found by name or content in everything that can hold one."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D
from astropy.wcs import WCS

from praesepe.errors import InputError
from praesepe.images.reading.source import open_image

Write = Callable[..., Path]


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(1, 0.1, (60, 70)).astype("f4")


def values(source) -> np.ndarray:
    return np.asarray(source.pixels)


def test_science_by_name(write_image: Write, image: np.ndarray) -> None:
    source = open_image(
        write_image("a", image), "F475W"
    )  # a weight map with a WCS stands before it
    assert np.array_equal(values(source), image)
    assert source.pixels.mapping is not None


def test_science_by_content(write_image: Write, image: np.ndarray) -> None:
    source = open_image(write_image("a", image, extname="MOSAIC"), "F475W")
    assert np.array_equal(values(source), image)


def test_two_candidates_need_a_choice(tmp_path: Path, image: np.ndarray, make_wcs) -> None:
    header = make_wcs(image.shape).to_header()
    path = tmp_path / "two.fits"
    chips = [fits.ImageHDU(image + i, header, name="SCI", ver=i) for i in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *chips]).writeto(path)
    with pytest.raises(InputError, match=r"2 images could be the science image \(SCI,1, SCI,2\)"):
        open_image(path, "F475W")
    assert np.array_equal(values(open_image(f"{path}[SCI,2]", "F475W")), image + 2)
    assert np.array_equal(values(open_image(f"{path}[1]", "F475W")), image + 1)
    with pytest.raises(InputError, match="Allowed: 'SCI,1', 'SCI,2'"):
        open_image(f"{path}[SCI,3]", "F475W")


def test_image_in_the_primary_hdu(tmp_path: Path, image: np.ndarray, make_wcs) -> None:
    path = tmp_path / "one.fits"
    fits.PrimaryHDU(image[None], make_wcs(image.shape).to_header()).writeto(path)
    source = open_image(path, "F475W")
    assert np.array_equal(values(source), image)
    assert source.wcs is not None


@pytest.mark.parametrize(
    ("suffix", "opener"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)]
)
def test_compressed_files(write_image: Write, image: np.ndarray, suffix: str, opener) -> None:
    plain = write_image("a", image)
    packed = plain.with_suffix(f".fits{suffix}")
    with opener(packed, "wb") as file:
        file.write(plain.read_bytes())
    assert np.array_equal(values(open_image(packed, "F475W")), image)
    plain.write_bytes(plain.read_bytes()[:-1])
    assert "its size is no multiple of 2880" in open_image(plain, "F475W").remarks[-1]
    cut = packed.with_name("cut.fits" + suffix)
    cut.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(InputError, match="truncated or damaged"):
        open_image(cut, "F475W")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: b[:7000], "extension 1 ends at byte .*, the file at byte 7000"),
        (lambda b: b[:4000], "the header of extension 1 is not whole: the file ends in it"),
        (lambda b: b[:2000], "the primary header is not whole: the file ends in it"),
        (lambda b: b.replace(b"BITPIX  =                  -32", b"BITPIX  =                   77"),
         "the header of extension 1 has BITPIX = 77"),
        (lambda b: b.replace(b"NAXIS1  =", b"NAXIS9  ="), "the header of extension 1 lacks NAXIS1"),
        (lambda b: b.replace(b"NAXIS2  =                   ", b"NAXIS2  =                  x"),
         "the header of extension 1 has NAXIS2 = x.*no whole number"),
        (lambda b: b.replace(b"NAXIS2  =                   ", b"NAXIS2  =                  -"),
         "the header of extension 1 has NAXIS2 = -"),
        (lambda b: b[:3000] + bytes(200) + b[3200:],
         "the header of extension 1 holds what is no text at byte 3000"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_damaged_file(
    write_image: Write, image: np.ndarray, damage: Callable[[bytes], bytes], said: str
) -> None:
    """In our words, not the library's, which speak of its own code; those are the cause."""
    path = write_image("a", image)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=said) as caught:
        open_image(path, "F475W")
    cause = caught.value.__cause__
    assert cause is None or str(cause) not in str(caught.value)


def test_tile_compressed(write_image: Write, rng: np.random.Generator) -> None:
    counts = rng.poisson(100, (700, 90)).astype("i4")
    source = open_image(write_image("a", counts, compress=True), "F475W")
    assert np.array_equal(values(source), counts)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("compress", [False, True])
def test_all_number_types(write_image: Write, dtype: str, compress: bool) -> None:
    """Unsigned integers are stored with BZERO, which astropy cannot map."""
    if compress and dtype == "i8":
        pytest.skip("no tile compression of 64-bit integers")
    numbers = (np.arange(4200) % 120).reshape(60, 70).astype(dtype)
    source = open_image(write_image("a", numbers, compress=compress), "F475W")
    np.testing.assert_allclose(values(source), numbers.astype("f4"), atol=0.01)


def test_scaled_integers_with_blank(tmp_path: Path, make_wcs) -> None:
    hdu = fits.ImageHDU(np.arange(24, dtype="i2").reshape(4, 6), name="SCI")
    hdu.header.update(make_wcs((4, 6)).to_header())
    hdu.header.update({"BSCALE": 0.25, "BZERO": 3.0, "BLANK": 7})
    path = tmp_path / "scaled.fits"
    with fits.HDUList([fits.PrimaryHDU(), hdu]) as hdus:
        hdus.writeto(path, output_verify="ignore")
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        raw, header = hdus["SCI"].data.copy(), hdus["SCI"].header
        assert (header["BSCALE"], header["BZERO"], header["BLANK"]) == (0.25, 3.0, 7)
    expected = raw * 0.25 + 3.0
    expected[raw == 7] = np.nan
    np.testing.assert_allclose(values(open_image(path, "F475W")), expected)
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        for given in (hdus, hdus["SCI"], (raw, header)):
            source = open_image(given, "F475W")
            np.testing.assert_allclose(values(source), expected)
            assert "scaled by BSCALE = 0.25 and BZERO = 3" in source.remarks[0]
    with fits.open(path) as hdus:
        source = open_image(hdus, "F475W")
        np.testing.assert_allclose(values(source), expected)
        assert not source.remarks


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u1"])
def test_blank_of_integers_in_memory(dtype: str, make_wcs) -> None:
    numbers = np.arange(24, dtype=dtype).reshape(4, 6)
    header = make_wcs(numbers.shape).to_header()
    zero = 2**15 if dtype == "u2" else 0
    header.update({"BLANK": 7 - zero, "BZERO": zero})
    expected = np.where(numbers == 7, np.nan, numbers)
    for given in ((numbers, header), fits.ImageHDU(numbers, header)):
        np.testing.assert_array_equal(values(open_image(given, "F475W")), expected)


def test_objects_in_memory(image: np.ndarray, make_wcs) -> None:
    wcs = make_wcs(image.shape)
    hdu = fits.ImageHDU(image, wcs.to_header(), name="SCI")
    for given in (
        (image, wcs),
        (image, wcs.to_header()),
        hdu,
        fits.PrimaryHDU(image, wcs.to_header()),
        fits.HDUList([fits.PrimaryHDU(), hdu]),
        CCDData(image, unit=u.electron / u.s, wcs=wcs),
    ):
        source = open_image(given, "F475W")
        assert np.array_equal(values(source), image)
        assert isinstance(source.wcs, WCS)
    assert open_image(image, "F475W").wcs is None


def test_a_cutout_of_astropy(image: np.ndarray, make_wcs) -> None:
    wcs = make_wcs(image.shape)
    source = open_image(Cutout2D(image, (60, 50), (40, 50), wcs=wcs), "F475W")
    assert np.array_equal(values(source), image[30:70, 35:85])
    assert source.wcs is not None
    there, whole = source.wcs.pixel_to_world(3, 4), wcs.pixel_to_world(38, 34)
    assert there.separation(whole).arcsec < 1e-6


def test_nddata_brings_mask_and_unit(image: np.ndarray, make_wcs) -> None:
    mask = image > 1.2
    source = open_image(
        CCDData(image, unit="electron / s", wcs=make_wcs(image.shape), mask=mask), "F475W"
    )
    assert np.array_equal(np.isnan(values(source)), mask)
    assert source.unit == "electron / s"
    assert not source.headers  # so that the zero point is the survey's, as of a plain array
    assert "the survey's zero point" in source.remarks[0]
    masked = np.ma.masked_array(image, mask)
    for given in (masked, (masked, make_wcs(image.shape))):
        assert np.array_equal(np.isnan(values(open_image(given, "F475W"))), mask)


@pytest.mark.parametrize(
    "given",
    [
        None,
        3,
        [1, 2],
        (np.ones((3, 3)), 4),
        np.ones(5),
        np.ones((2, 3, 4)),
        "F475W.fits[1][2:9,2:9]",
    ],
)
def test_what_is_no_image(given: object) -> None:
    with pytest.raises(InputError, match="F475W"):
        open_image(given, "F475W")


def test_sip_distortion_is_kept(shared_data: Path) -> None:
    source = open_image(shared_data / "real/ngc1261/f336w.fits", "F336W")
    assert source.wcs.sip is not None
    assert source.headers[1]["EXPTIME"] == 700


def header_of_a_mosaic() -> fits.Header:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [11.0, 41.5]
    wcs.wcs.crpix = [50, 50]
    wcs.wcs.cdelt = [-0.05 / 3600, 0.05 / 3600]
    return wcs.to_header()


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"CDELT1": 0.0}, "CDELT1 = 0.0"),
        ({"CUNIT1": "parsec"}, "CUNIT1 = parsec"),
        ({"CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB"}, "cannot be understood"),
        ({"CTYPE2": "DEC--SIN"}, "'RA---TAN' and 'DEC--SIN'"),
        ({"CTYPE1": 5}, "cannot be understood"),
        ({"CRVAL2": 100.0}, "CRVAL2 = 100.0"),
        ({"RADESYS": "GAPPT"}, "RADESYS = 'GAPPT'.*to ICRS, FK5 or FK4"),
        ({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2}, "A_ORDER = 2"),
        ({"CTYPE1": "RA---TAN-SIP", "A_ORDER": "two", "B_ORDER": 2}, "cannot be understood"),
        ({"CPDIS1": "LOOKUP", "CPDIS2": "LOOKUP"}, "CPDIS1"),
    ],
)
def test_a_strange_wcs_is_told(
    tmp_path: Path, keywords: dict[str, Any], said: str, in_memory: bool
) -> None:
    """No error of wcslib's or astropy's reaches the user as it is."""
    header = header_of_a_mosaic()
    header.update(keywords)
    image: Any = (np.ones((90, 90), np.float32), header)
    if not in_memory:
        fits.PrimaryHDU(*image).writeto(tmp_path / "a.fits", output_verify="ignore")
        image = tmp_path / "a.fits"
    with pytest.raises(InputError, match=said) as raised:
        open_image(image, "F475W")
    assert "F475W" in str(raised.value)
    assert "wcsset" not in str(raised.value)
    assert "truncated" not in str(raised.value)


@pytest.mark.parametrize("whole", [False, True])
def test_the_file_of_an_hdu_is_closed(write_image: Write, image: np.ndarray, whole: bool) -> None:
    """A traceback before, or 'no two-dimensional image'."""
    with fits.open(write_image("a", image)) as hdus:
        given = hdus if whole else hdus["SCI"]
    with pytest.raises(InputError, match=r"a\.fits is closed.*give the path"):
        open_image(given, "F475W")
    with fits.open(write_image("b", image), memmap=False) as hdus:
        given = hdus["SCI"]
        _ = given.data
    assert np.array_equal(values(open_image(given, "F475W")), image)


@pytest.mark.parametrize("thing", ["CONSTELLATION-III", "SIGMA-ORI", "CHI-PER", "EXPOSED"])
def test_an_object_is_no_weight_map(image: np.ndarray, make_wcs, thing: str) -> None:
    header = make_wcs(image.shape).to_header()
    header["OBJECT"] = thing
    hdu = fits.PrimaryHDU(image, header)
    two = fits.HDUList([hdu, fits.ImageHDU(image + 1, header, name="BACKGROUND")])
    for hdus in (fits.HDUList([hdu]), two):
        assert np.array_equal(values(open_image(hdus, "F475W")), image)


@pytest.mark.parametrize("beside", ["SKY", "NOISE", "STDDEV", "STAT", "SUBTRACTED", "BACKGROUND"])
def test_an_image_wins_over_what_is_none(image: np.ndarray, make_wcs, beside: str) -> None:
    header = make_wcs(image.shape).to_header()
    hdus = [fits.ImageHDU(image + i, header, name=n) for i, n in enumerate(("IMAGE", beside))]
    opened = fits.HDUList([fits.PrimaryHDU(), *hdus])
    assert np.array_equal(values(open_image(opened, "F475W")), image)
    for choice in ("IMAGE, 1", ("IMAGE", 1)):
        assert np.array_equal(values(open_image(opened, "F475W", choice)), image)
