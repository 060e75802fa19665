"""The image of a file is found, and what the other extensions mark is missing."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Flag, Mosaic, extract_stamps
from praesepe.images.reading.extensions import headers_of
from praesepe.images.reading.source import open_image
from praesepe.survey import Survey

SHAPE = (80, 90)
GAP = np.zeros(SHAPE, bool)
GAP[:, 50:] = True


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(1, 0.1, SHAPE).astype("f4")


@pytest.fixture
def header(make_wcs: Callable[..., WCS]) -> fits.Header:
    return make_wcs(SHAPE).to_header()


def planes(dtype: str, good: int, bad: int) -> np.ndarray:
    return np.where(GAP, bad, good).astype(dtype)


def files(*hdus: Any, telescope: str = "") -> fits.HDUList:
    first = fits.PrimaryHDU()
    first.header["TELESCOP"] = telescope
    return fits.HDUList([first, *hdus])


@pytest.mark.parametrize("name", ["HDRTAB", "DQ", ""])
@pytest.mark.parametrize("kind", [fits.BinTableHDU, fits.TableHDU])
@pytest.mark.parametrize("first", [False, True])
def test_tables_beside_an_image_are_left_alone(
    image: np.ndarray, header: fits.Header, tmp_path: Path, name: str, kind: Any, first: bool
) -> None:
    """Drizzled images of HST and JWST have a table of the headers of their exposures."""
    table = kind.from_columns([fits.Column("A", "I6" if kind is fits.TableHDU else "J", array=[1])])
    table.name = name
    sci = fits.ImageHDU(image, header, name="SCI")
    path = tmp_path / "a.fits"
    files(*((table, sci) if first else (sci, table)), telescope="HST").writeto(path)
    source = open_image(path, "F475W")
    np.testing.assert_array_equal(source.pixels.read(0, 0, 9, 9), image[:9, :9])


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("name", "marks", "telescope"),
    [
        ("WHT", planes("f4", 900, 0), "HST"),
        ("CTX", np.stack([planes("i4", 0, 0), planes("i4", 6, 0)]), "HST"),
        ("ERR", np.where(GAP, np.nan, 0.1).astype("f4"), "JWST"),
        ("ERR", planes("f4", 1, 0), "JWST"),
        ("DQ", planes("u4", 4, 1), "JWST"),
        ("DQ", planes("i2", 16, 8), "HST"),
        ("DQ", planes("u4", 64 + 4, 1 + 64), "ROMAN"),
        ("MASK", planes("u1", 0, 1), ""),
        ("WEIGHT_MAP", planes("f4", 900, 0), ""),
        ("WTMAP", planes("f4", 900, np.nan), ""),
        ("IVAR", planes("f4", 900, 0), ""),
        ("COVERAGE", planes("f4", 2, 0), ""),
        ("NHIT", planes("i2", 2, 0), ""),
        ("EXPMAP", planes("f4", 800, 0), ""),
        ("EXPOSURE", planes("f4", 800, -1), ""),
        ("TIME", planes("f4", 800, 0), ""),
        ("VAR", planes("f4", 2, np.inf), ""),
        ("UNCERT", planes("f4", 2, np.nan), ""),
        ("BPM", planes("u1", 0, 1), ""),
        *(
            (name, planes("i2", 0, 1), "")
            for name in ("MSK", "BADMASK", "DATA_QUALITY", "FLG", "IMAFLAGS", "CRMASK", "MASKS")
        ),
        ("IVAR2", planes("f4", 900, 0), ""),
        ("RMS", planes("f4", 1, 1e10), ""),
        ("ERR", planes("f4", 1, np.inf), ""),
        *(("ERR", planes("f4", 0.004, bad), "") for bad in (-1, 9999, 1e6)),
        ("VAR", planes("f4", 2, 1e9), ""),
        *(("WHT", planes("f4", 1000, bad), "HST") for bad in (1e-12, 9e-6)),
        *(("VAR_POISSON", planes("f4", 0, bad), "JWST") for bad in (np.nan, np.inf)),
    ],
)
def test_what_extensions_mark_is_missing(
    tmp_path: Path,
    image: np.ndarray,
    header: fits.Header,
    name: str,
    marks: np.ndarray,
    telescope: str,
    compress: bool,
) -> None:
    kind = fits.CompImageHDU if compress else fits.ImageHDU
    options = {"quantize_level": 0.0, "compression_type": "GZIP_1"} if compress else {}
    hdus = files(
        kind(image, header, name="SCI", **options),
        kind(marks, name=name, **options),
        telescope=telescope,
    )
    path = tmp_path / "a.fits"
    hdus.writeto(path)
    for given in (path, hdus):
        source = open_image(given, "F475W")
        assert np.array_equal(np.isnan(np.asarray(source.pixels)), GAP)
        assert not source.remarks
    again = pickle.loads(pickle.dumps(open_image(path, "F475W").pixels))
    assert np.array_equal(np.isnan(np.asarray(again)), GAP)


@pytest.mark.parametrize("names", [("f814w", "f475w", "wht"), ("Model", "Sci", "wht")])
def test_names_in_lower_case(
    tmp_path: Path, image: np.ndarray, header: fits.Header, names: tuple[str, ...]
) -> None:
    """Weights were not used before, and the image of the band was not found."""
    images = (np.sqrt(image), image, planes("f4", 900, 0))
    hdus = files(*(fits.ImageHDU(one, header) for one in images))
    for hdu, name in zip(hdus[1:], names, strict=True):
        hdu.header["EXTNAME"] = name
    hdus.writeto(tmp_path / "a.fits")
    for given in (tmp_path / "a.fits", f"{tmp_path / 'a.fits'}[{names[1]}]"):
        pixels = np.asarray(open_image(given, "F475W").pixels)
        assert np.array_equal(np.isnan(pixels), GAP)
        assert np.array_equal(pixels[~GAP], image[~GAP])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_an_image_without_a_name_beside_its_errors_and_quality(
    image: np.ndarray, header: fits.Header, order: tuple[int, ...]
) -> None:
    """Which one was asked before."""
    noise = image - 1
    trio = (noise, np.abs(noise) + 0.1, planes("i2", 0, 4))
    hdus = files(*(fits.ImageHDU(trio[i], header) for i in order))
    if order[0]:  # errors first
        with pytest.raises(InputError, match="could be the science image"):
            open_image(hdus, "F475W")
    else:
        source = open_image(hdus, "F475W")
        assert np.array_equal(np.asarray(source.pixels), noise)
        assert "1 is taken, and 2 and 3, which look like its errors" in source.remarks[0]


def test_parts_of_a_variance_and_little_weight_are_measurements(
    image: np.ndarray, header: fits.Header
) -> None:
    """A noise of a thousand times the usual is one; and an error tells all of its parts."""
    science = fits.ImageHDU(image, header, name="SCI")
    weight = fits.ImageHDU(planes("f4", 1000, 1e-3), name="WHT")
    parts = [fits.ImageHDU(planes("f4", 1, bad), name="VAR_FLAT") for bad in (0, np.nan)]
    error = fits.ImageHDU(planes("f4", 1, 2), name="ERR")
    for others in ([weight], parts[:1], [error, parts[1]]):
        source = open_image(files(science, *others), "F475W")
        assert np.isfinite(np.asarray(source.pixels)).all()
        assert not source.remarks


def test_marks_of_another_version_do_not_count(image: np.ndarray, header: fits.Header) -> None:
    science = fits.ImageHDU(image, header, name="SCI")
    other = fits.ImageHDU(planes("f4", 1, 0), name="WHT", ver=2)
    assert np.isfinite(np.asarray(open_image(files(science, other), "F475W").pixels)).all()


def test_marks_that_mark_everything_are_told_and_not_used(
    tmp_path: Path, image: np.ndarray, header: fits.Header, two_bands: Survey
) -> None:
    header.update({"BUNIT": "electron/s", "PHOTFLAM": 1.821e-19, "PHOTPLAM": 4746.9})
    hdus = files(
        fits.ImageHDU(image, header, name="SCI"),
        fits.ImageHDU(np.zeros(SHAPE, "f4"), name="ERR"),
    )
    source = open_image(hdus, "F475W")
    assert np.isfinite(np.asarray(source.pixels)).all()
    assert "ERR,1 marks nearly every pixel" in source.remarks[0]


@pytest.mark.parametrize("name", ["ERR", "VAR", "WHT"])
def test_maps_that_are_half_negative_are_told(
    name: str, image: np.ndarray, header: fits.Header, rng: np.random.Generator
) -> None:
    """They are no errors and no weights: half of the image was missing, without a word why."""
    science = fits.ImageHDU(image, header, name="SCI")
    noise = fits.ImageHDU(rng.normal(0, 1, SHAPE).astype("f4"), name=name)
    source = open_image(files(science, noise), "F475W")
    assert np.isfinite(np.asarray(source.pixels)).all()
    said = rf"{name},1 is not used: (4|5)\d% of its values are below zero"
    assert re.search(said, source.remarks[0])
    half = np.ones(SHAPE, "f4")
    half[:, SHAPE[1] // 2 :] = -1  # there is nothing, it says
    source = open_image(files(science, fits.ImageHDU(half, name=name)), "F475W")
    assert np.array_equal(np.isnan(np.asarray(source.pixels)), half < 0)


def test_marks_of_another_shape_are_told(image: np.ndarray, header: fits.Header) -> None:
    science = fits.ImageHDU(image, header, name="SCI")
    source = open_image(files(science, hdu(np.zeros((40, 45)), name="WHT")), "F475W")
    assert "WHT,1 is not used: its axes are 40 and 45" in source.remarks[0]


def test_zero_weights_that_were_dithered(
    image: np.ndarray, header: fits.Header, rng: np.random.Generator
) -> None:
    weight = rng.normal(1000, 20, SHAPE).astype("f4")
    weight[GAP] = 0
    packed = fits.CompImageHDU(weight, name="WHT", quantize_method=1, dither_seed=9)
    science = fits.ImageHDU(image, header, name="SCI")
    pixels = open_image(files(science, packed), "F475W").pixels
    assert np.array_equal(np.isnan(np.asarray(pixels)), GAP)


def test_masks_in_which_one_is_good(
    image: np.ndarray, header: fits.Header, rng: np.random.Generator
) -> None:
    """They are taken so where the values show it; else it is asked."""
    mask = fits.ImageHDU(planes("u1", 1, 0), name="MASK")
    with pytest.raises(InputError, match=r"MASK,1 is 1 in \d+% of the image and 0 elsewhere"):
        open_image(files(fits.ImageHDU(image, header, name="SCI"), mask), "F475W")
    image[GAP] = np.nan
    image[5, 5] = mask.data[5, 5] = 0
    source = open_image(files(fits.ImageHDU(image, header, name="SCI"), mask), "F475W")
    assert "0 is taken for missing" in source.remarks[0]
    expected = GAP.copy()
    expected[5, 5] = True
    assert np.array_equal(np.isnan(np.asarray(source.pixels)), expected)


@pytest.mark.filterwarnings("ignore:.*taken with JWST")
def test_saturated_pixels_of_a_file(
    image: np.ndarray, header: fits.Header, two_bands: Survey, make_wcs: Callable[..., WCS]
) -> None:
    quality = np.zeros(SHAPE, "i4")
    quality[40, 40] = 2
    header.update({"BUNIT": "electron/s"})
    hdus = files(
        fits.ImageHDU(image, header, name="SCI"),
        fits.ImageHDU(quality, name="DQ"),
        telescope="JWST",
    )
    points = {band.name: band.zero_point_ab for band in two_bands.bands}
    mosaic = Mosaic.read(dict.fromkeys(points, hdus), two_bands, zero_points=points)
    stamps = extract_stamps(mosaic, [40, 70], [40, 40], 16)
    assert stamps.flags.tolist() == [Flag.SATURATED, 0]
    hdus["SCI"].header["CRPIX1"] += 0.4  # the other band is reprojected, its flag is not lost
    clean = fits.ImageHDU(image, header.copy(), name="SCI")
    with pytest.warns(PraesepeWarning, match="reprojected"):
        mosaic = Mosaic.read({"F475W": clean, "F814W": hdus}, two_bands, zero_points=points)
    again = pickle.loads(pickle.dumps(mosaic))
    for one in (mosaic, again):
        assert extract_stamps(one, [40, 70], [40, 40], 16).flags.tolist() == [Flag.SATURATED, 0]


def hdu(data: np.ndarray, header: fits.Header | None = None, name: str = "") -> fits.ImageHDU:
    return fits.ImageHDU(data, header, name=name or None)


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        "constant",
        "named",
        "model",
        "signal",
        "flat",
        "galfit",
        "band",
        "primary",
        "sky",
        "of a band",
        "drizzled",
    ],
)
def test_the_obvious_image_wins(
    tmp_path: Path, image: np.ndarray, header: fits.Header, case: str, in_memory: bool
) -> None:
    flat, smooth = np.ones_like(image), np.sqrt(image)
    objects = [header.copy() for _ in range(3)]
    for one, text in zip(objects, ("M31", "model", "residual map"), strict=True):
        one["OBJECT"] = text
    given = {
        "constant": [hdu(flat, header), hdu(image, header)],
        "named": [hdu(flat, header, "SCI"), hdu(image, header)],
        "model": [hdu(smooth, header, "MODEL"), hdu(image, header)],
        "signal": [hdu(smooth, header, "SNR"), hdu(image, header)],
        "flat": [hdu(smooth, header, "FLAT"), hdu(image, header)],
        "galfit": [hdu(image, objects[0]), *(hdu(smooth, one) for one in objects[1:])],
        "band": [hdu(smooth, header, "F814W"), hdu(image, header, "F475W")],
        "sky": [hdu(smooth, header, "SKYSUB"), hdu(image, header, "DATA")],
        "of a band": [hdu(smooth, header, "SCI_F814W"), hdu(image, header, "SCI_F475W")],
        "drizzled": [hdu(image, header, "DRZ"), hdu(smooth, header, "SKYMODEL")],
    }
    hdus = files(*given.get(case, []))
    if case == "primary":
        hdus = fits.HDUList([fits.PrimaryHDU(image, header), hdu(smooth, header, "WHT")])
    path = tmp_path / "a.fits"
    hdus.writeto(path)
    source = open_image(hdus if in_memory else path, "F475W")
    assert np.array_equal(np.asarray(source.pixels), image)


def test_several_images_are_listed_with_how_to_choose(
    tmp_path: Path, image: np.ndarray, header: fits.Header
) -> None:
    path = tmp_path / "a.fits"
    files(hdu(image, header), hdu(2 * image, header)).writeto(path)
    with pytest.raises(InputError, match=r"2 images .*\(1, 2\); .*file.fits\[1\]"):
        open_image(path, "F475W")
    assert np.array_equal(np.asarray(open_image(f"{path}[2]", "F475W").pixels), 2 * image)


def test_the_extension_is_said(
    tmp_path: Path, image: np.ndarray, header: fits.Header, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.fits"
    files(hdu(image, header, "SCI"), hdu(planes("f4", 1, 0), header, "WHT")).writeto(path)
    with caplog.at_level(logging.INFO, logger="praesepe"):
        assert open_image(path, "F475W").taken == "a.fits[SCI,1]"
    assert "a.fits (band 'F475W'): extension SCI,1" in caplog.text
    assert "missing pixels by WHT" in caplog.text


@pytest.mark.parametrize("agree", [False, True])
def test_photometry_of_other_extensions(
    image: np.ndarray, header: fits.Header, agree: bool, two_bands: Survey
) -> None:
    """The image in the primary HDU, PHOTFLAM elsewhere: used where all that have it agree."""
    header["BUNIT"] = "electron/s"
    primary = fits.PrimaryHDU(image, header)
    others = [hdu(np.ones(SHAPE, "f4"), name=name) for name in ("WHT", "EXP")]
    for other, photflam in zip(others, (1.8e-19, 1.8e-19 if agree else 7e-20), strict=True):
        other.header.update({"PHOTFLAM": photflam, "PHOTPLAM": 4746.9})
    found = open_image(fits.HDUList([primary, *others]), "F475W").headers
    assert (found[-1].get("PHOTFLAM") == 1.8e-19) == agree
    assert found[-1]["PHOTPLAM"] == 4746.9


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("tile", [None, (40, 30)])
@pytest.mark.parametrize("value", [0.0, -0.0021])
@pytest.mark.parametrize("method", [1, 2, -1])
def test_gaps_that_were_dithered(
    tmp_path: Path,
    header: fits.Header,
    rng: np.random.Generator,
    method: int,
    value: float,
    tile: tuple[int, int] | None,
    in_memory: bool,
) -> None:
    """fpack's SUBTRACTIVE_DITHER_1 gives zeros back as small random numbers."""
    image = rng.normal(0.002, 0.01, SHAPE).astype("f4")
    image[GAP] = value
    packed = fits.CompImageHDU(
        image, header, name="SCI", tile_shape=tile,
        quantize_level=4.0, quantize_method=method, dither_seed=42,
    )  # fmt: skip
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
    with fits.open(path) as hdus:
        pixels = open_image(hdus if in_memory else path, "F475W").pixels
        missing = pixels.find_gaps(np.asarray(pixels)).missing
    assert missing[GAP].all()
    assert missing[~GAP].mean() < 0.02


@pytest.mark.parametrize("level", [0.5, 1.0, 4.0, 16.0])
@pytest.mark.parametrize("width", [0, 2, 3, 4])
def test_thin_gaps_that_were_dithered(
    header: fits.Header, rng: np.random.Generator, level: float, width: int
) -> None:
    image = rng.normal(0.002, 0.01, SHAPE).astype("f4")
    image[:, 30 : 30 + width] = 0
    image[20 : 20 + width] = 0
    gap = image == 0
    packed = fits.CompImageHDU(
        image, header, name="SCI", quantize_level=level, quantize_method=1, dither_seed=42
    )
    pixels = open_image(packed, "F475W").pixels
    missing = pixels.find_gaps(np.asarray(pixels)).missing
    assert missing[~gap].mean() < 0.01
    if level >= 4:
        assert missing[gap].all()


@pytest.mark.parametrize("level", [4.0, 16.0])
@pytest.mark.parametrize("slope", [0.2, 0.5, 1.0, 2.0])
def test_diagonal_gaps_that_were_dithered(
    tmp_path: Path, header: fits.Header, rng: np.random.Generator, level: float, slope: float
) -> None:
    """Chips of a drizzled mosaic are turned: their gaps run in any direction, over strips."""
    y, x = np.mgrid[:600, :300]
    gap = np.abs(y - slope * x - 300) < 1.5 * np.hypot(1, slope)
    image = np.where(gap, -0.0021, rng.normal(0.002, 0.01, gap.shape)).astype("f4")
    packed = fits.CompImageHDU(
        image, header, name="SCI", quantize_level=level, quantize_method=1, dither_seed=42
    )
    packed.writeto(tmp_path / "a.fits")
    pixels = open_image(tmp_path / "a.fits", "F475W").pixels
    missing = pixels.find_gaps(np.asarray(pixels)).missing
    assert missing[gap].mean() > 0.99
    assert missing[~gap].mean() < 0.001


def test_a_card_that_no_one_can_read_is_as_if_missing(tmp_path: Path) -> None:
    """Its keyword is asked for where it is needed; others do not matter."""
    header = fits.Header({"INSTRUME": "ACS", "FILTER": "F814W"})
    hdu = fits.PrimaryHDU(np.ones((8, 8), np.float32), header)
    hdu.writeto(tmp_path / "a.fits")
    raw = (tmp_path / "a.fits").read_bytes().replace(b"= 'ACS     '", b"= 'ACS  x 3 ")
    (tmp_path / "a.fits").write_bytes(raw)
    with fits.open(tmp_path / "a.fits") as hdus:
        own, *_ = headers_of(hdus[0], hdus)
    assert "INSTRUME" not in own
    assert own["FILTER"] == "F814W"


EUCLID = "EUC_MER_{}_TILE102018211-{}T142710.276838Z_00.00.fits"


@pytest.mark.parametrize(
    ("science", "weights", "fill"),
    [
        ("m31_f475w_drz_sci.fits", "m31_f475w_drz_wht.fits", 0),
        ("m31-sci.fits", "m31-weight.fits", -1),
        ("m31_sci.fits", "m31_rms.fits.gz", np.inf),
        ("m31_sci.fits.gz", "m31_wht.fits.gz", 0),
        ("m31_drz.fits", "m31_wht.fits", 1e-9),
        ("m31_drc.fits", "m31_drc_wht.fits", 0),
        ("m31_drz.fits", "m31_drz_weight.fits", 0),
        ("m31.fits", "m31.weight.fits", 0),
        ("coadd-0001m002-image-g.fits", "coadd-0001m002-invvar-g.fits", 0),
        ("m31_sci.fits", "m31_exp.fits", 0),
        ("m31_sci.fits", "m31_unc.fits", np.nan),
        ("m31_sci.fits", "m31_var.fits", 1e12),
        ("M31.stk.i.fits", "M31.stk.i.wt.fits", np.nan),
        (
            EUCLID.format("BGSUB-MOSAIC-VIS", "ACBD03_20241018"),
            EUCLID.format("MOSAIC-VIS-RMS", "8BC7BF_20241019"),
            np.inf,
        ),
    ],
)
def test_weights_in_a_file_beside_the_image(
    tmp_path: Path, image: np.ndarray, header: fits.Header, science: str, weights: str, fill: float
) -> None:
    if science.endswith(".fits"):
        weights = weights.removesuffix(".gz")
    fits.PrimaryHDU(image, header).writeto(tmp_path / science)
    fits.PrimaryHDU(planes("f4", 900, fill), header).writeto(tmp_path / weights)
    source = open_image(tmp_path / science, "F475W")
    assert np.array_equal(np.isnan(np.asarray(source.pixels)), GAP)
    assert source.taken == f"{science}[PRIMARY,1] with {weights}"
    assert len(source.remarks) == 1  # nothing is used without a word
    assert f"which pixels are missing is also taken from {weights} beside it" in source.remarks[0]


def test_data_quality_in_a_file_beside_the_image(
    tmp_path: Path, image: np.ndarray, header: fits.Header
) -> None:
    header["TELESCOP"] = "HST"
    fits.PrimaryHDU(image, header).writeto(tmp_path / "a_sci.fits")
    fits.PrimaryHDU(planes("i2", 64, 8)).writeto(tmp_path / "a_dq.fits")
    source = open_image(tmp_path / "a_sci.fits", "F475W")
    assert np.array_equal(np.isnan(np.asarray(source.pixels)), GAP)


@pytest.mark.parametrize("name", ["a_mask.fits", "a_drz_flag.fits", "a_drz.mask.fits"])
def test_a_mask_beside_the_image_is_named_and_not_used(
    tmp_path: Path, image: np.ndarray, header: fits.Header, name: str
) -> None:
    """It may be one of stars, in which 1 means light."""
    for file, data in (("a_drz.fits", image), (name, planes("u1", 0, 1))):
        fits.PrimaryHDU(data, header).writeto(tmp_path / file)
    source = open_image(tmp_path / "a_drz.fits", "F475W")
    assert np.isfinite(np.asarray(source.pixels)).all()
    assert f"beside it lies {name}, not used" in source.remarks[0]


def test_files_beside_the_image_of_other_images_are_left_alone(
    tmp_path: Path, image: np.ndarray, header: fits.Header
) -> None:
    names = ("m31_drz.fits", "m33_wht.fits", "m31_f475w_wht.fits", "m31_drc_wht.fits")
    names += ("m31_exp1.fits", "m31_con.fits", "m31_drz_f814w.fits", "m31_wht.txt", "m31.fits")
    for name in names:
        fits.PrimaryHDU(np.where(GAP, 0, image), header).writeto(tmp_path / name)
    fits.PrimaryHDU(image, header).writeto(tmp_path / "m31_drz.fits", overwrite=True)
    source = open_image(tmp_path / "m31_drz.fits", "F475W")
    assert not source.remarks
    assert source.taken == "m31_drz.fits[PRIMARY,1]"


def test_weights_of_another_field_are_not_used(
    tmp_path: Path, image: np.ndarray, header: fits.Header
) -> None:
    fits.PrimaryHDU(image, header).writeto(tmp_path / "m31_drz.fits")
    header["CRPIX1"] += 3
    fits.PrimaryHDU(planes("f4", 9, 0), header).writeto(tmp_path / "m31_wht.fits")
    source = open_image(tmp_path / "m31_drz.fits", "F475W")
    assert "m31_wht.fits beside it is not used: by its WCS it lies 3 pixels" in source.remarks[0]
    assert np.isfinite(np.asarray(source.pixels)).all()


def test_a_file_beside_the_image_that_does_not_fit_is_told(
    tmp_path: Path, image: np.ndarray, header: fits.Header
) -> None:
    fits.PrimaryHDU(image, header).writeto(tmp_path / "a_sci.fits")
    for content, said in (
        (fits.HDUList([fits.PrimaryHDU(np.ones((40, 45)))]), "axes are 40 and 45, not those of"),
        (fits.HDUList([fits.PrimaryHDU()]), "is not used"),
    ):
        content.writeto(tmp_path / "a_wht.fits", overwrite=True)
        source = open_image(tmp_path / "a_sci.fits", "F475W")
        assert "the file a_wht.fits beside it is not used" in source.remarks[0]
        assert said in source.remarks[0]
        assert np.isfinite(np.asarray(source.pixels)).all()
    (tmp_path / "a_wht.fits").write_bytes(b"SIMPLE")
    assert "is not used" in open_image(tmp_path / "a_sci.fits", "F475W").remarks[0]


@pytest.mark.parametrize(
    "name",
    [
        "m31_drz_wht.fits",
        "EUC_MER_MOSAIC-VIS-RMS_TILE1.fits.gz",
        "m31_bkg.fits",
        "a_model.fits",
        "m31_f475w_unc.fits",
        "m31_snr.fits",
        "m31-invvar-g.fits",
    ],
)
def test_a_file_that_is_called_no_image_is_refused(
    tmp_path: Path, image: np.ndarray, header: fits.Header, name: str
) -> None:
    """Measured without a word before; whoever means it names the extension."""
    path = tmp_path / name
    fits.PrimaryHDU(image, header).writeto(path)
    with pytest.raises(InputError, match=r"by its name it is no science image.*\[PRIMARY,1\]"):
        open_image(path, "F475W")
    assert open_image(f"{path}[PRIMARY,1]", "F475W").taken == f"{name}[PRIMARY,1]"
    for good in (
        "model-m31_drz.fits",
        "bkgsub_sci.fits",
        "snr_m33_drz.fits",
        "m31_background-subtracted.fits",
    ):
        fits.PrimaryHDU(image, header).writeto(tmp_path / good)
        assert open_image(tmp_path / good, "F475W").taken == f"{good}[PRIMARY,1]"


def test_an_extension_that_is_named_but_called_a_weight_map(
    tmp_path: Path, image: np.ndarray, header: fits.Header
) -> None:
    """Numbers of extensions begin with 0, which is easily forgotten."""
    path, hdus = tmp_path / "a.fits", files(hdu(image, header, "SCI"), hdu(image, header, "WHT"))
    hdus.writeto(path)
    for given, number in ((f"{path}[2]", None), (hdus, 2), (hdus[2], None)):
        remarks = open_image(given, "F475W", number).remarks
        assert any("WHT,1, which was named, is called no science" in one for one in remarks)
    for given, number in ((f"{path}[1]", None), (hdus, "SCI"), (hdus[1], None)):
        assert not open_image(given, "F475W", number).remarks


def test_extensions_of_its_shape_that_are_not_used_are_told(
    image: np.ndarray, header: fits.Header
) -> None:
    for name in ("OBJMASK", "STDEV", "CHIPMAP"):
        science, other = hdu(image, header, "SCI"), hdu(np.where(GAP, 1, 0), header, name)
        remarks = open_image(files(science, other), "F475W").remarks
        assert f"{name},1 of its shape is not used" in remarks[0]


def test_flags_of_ccd_data_are_missing(image: np.ndarray, make_wcs: Callable[..., WCS]) -> None:
    data = CCDData(image, unit="electron/s", wcs=make_wcs(SHAPE), flags=GAP.astype("u2"))
    assert np.array_equal(np.isnan(np.asarray(open_image(data, "F475W").pixels)), GAP)
    data.flags = np.zeros(SHAPE)
    with pytest.raises(InputError, match="flags"):
        open_image(data, "F475W")
