"""Images of several bands come onto one grid and one photometric scale, without losing light."""

from __future__ import annotations

import os
import pickle
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS, Sip

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Mosaic, extract_stamps
from praesepe.images.mosaic import grid
from praesepe.survey import Survey

Write = Callable[..., Path]
MakeWCS = Callable[..., WCS]
SHAPE = (200, 220)


def stars(wcs: WCS, shape: tuple[int, int], scale: float, sigma_arcsec: float = 0.15) -> np.ndarray:
    """Gaussian stars at fixed places on the sky, each of 1000 e-/s; e-/s per pixel."""
    y, x = np.indices(shape)
    image = 1e-3 * scale**2 * (1 + 1e-4 * (x + 0.37 * y))  # what is exactly flat would be a gap
    for dra, ddec in ((0, 0), (1.3, 0.7), (-1.0, 1.1), (0.4, -1.6)):
        ra, dec = 10.6847 + dra / 3600 / np.cos(np.radians(41.269)), 41.269 + ddec / 3600
        x0, y0 = wcs.all_world2pix(ra, dec, 0)
        sigma = sigma_arcsec / scale
        r2 = (x - x0) ** 2 + (y - y0) ** 2
        image += 1000 / (2 * np.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))
    return image.astype("f4")


def test_a_clipped_image_is_refused(
    write_image: Write, two_bands: Survey, rng: np.random.Generator
) -> None:
    images = {band: rng.normal(0, 0.1, SHAPE).astype("f4") for band in two_bands.band_names}
    images["F814W"] = np.clip(images["F814W"], 0, None)
    paths = {band: write_image(band, image) for band, image in images.items()}
    with pytest.raises(InputError, match=r"F814W.* was clipped: 50 % .* negative values"):
        Mosaic.read(paths, two_bands)


def test_values_come_out_in_the_surveys_electrons(
    write_image: Write, two_bands: Survey, rng: np.random.Generator
) -> None:
    image = rng.normal(1, 0.1, SHAPE).astype("f4")
    paths = {
        "F475W": write_image("a", image * 500, BUNIT="ELECTRONS", primary={"EXPTIME": 1720.0}),
        "F814W": write_image("b", image, band="F814W", EXPTIME=1520.0),
    }
    mosaic = Mosaic.read(paths, two_bands)
    assert mosaic.band_names == ("F475W", "F814W")
    assert mosaic.shape == SHAPE
    assert mosaic.reprojected == ()
    assert mosaic.pixel_scale_arcsec == pytest.approx(0.05, rel=1e-6)
    assert mosaic.band("F475W").calibration.exposure_s == 1720
    assert mosaic.band("F475W").calibration.unit == "ELECTRONS"
    for name, to_rate in (("F475W", 1 / 1720), ("F814W", 1.0)):
        offset = mosaic.band(name).calibration.zero_point_ab - two_bands.band(name).zero_point_ab
        assert abs(offset) < 0.02  # phat's zero points belong to these PHOTFLAMs
        assert mosaic.band(name).factor == pytest.approx(to_rate * 10 ** (-0.4 * offset), rel=1e-6)
    assert np.array_equal(mosaic.band("F814W").pixels[10:20, 30:50], image[10:20, 30:50])


def test_same_star_same_flux_whatever_the_zero_point(write_image: Write, two_bands: Survey) -> None:
    """A half as sensitive image (twice the PHOTFLAM, half the electrons) reads the same."""
    image = np.full(SHAPE, 2.0, "f4")
    one = Mosaic.read({b: write_image(b, image) for b in two_bands.band_names}, two_bands)
    photflam = {"F475W": 2 * 1.821e-19, "F814W": 2 * 7.033e-20}
    paths = {b: write_image(b, image / 2, PHOTFLAM=value) for b, value in photflam.items()}
    with pytest.warns(PraesepeWarning, match="1 e-/s is .* mag in the survey; values are scaled"):
        half = Mosaic.read(paths, two_bands)
    assert len(half.notes) == 2
    for band in two_bands.band_names:
        value = half.band(band).factor * half.band(band).pixels[0:1, 0:1]
        np.testing.assert_allclose(
            value, one.band(band).factor * one.band(band).pixels[0:1, 0:1], rtol=1e-6
        )


def test_other_inputs(make_wcs: MakeWCS, two_bands: Survey) -> None:
    image, wcs = np.ones((50, 60), "f4"), make_wcs((50, 60))
    keywords = {"PHOTFLAM": 7.033e-20, "PHOTPLAM": 8057.0}
    given = {
        "F475W": (image, wcs),
        "F814W": CCDData(image, unit="electron / s", wcs=wcs, meta=keywords),
    }
    mosaic = Mosaic.read(given, two_bands)
    assert mosaic.band("F475W").factor == 1
    assert mosaic.band("F814W").calibration.zero_point_ab == pytest.approx(25.94, abs=0.02)


def test_given_units_and_zero_points(write_image: Write, two_bands: Survey) -> None:
    drop = ("BUNIT", "PHOTFLAM", "PHOTPLAM")
    paths = {b: write_image(b, np.ones(SHAPE, "f4"), drop=drop) for b in two_bands.band_names}
    units, zero_points = dict.fromkeys(paths, "e-/s"), {"F475W": 26.06, "F814W": 25.94 - 1.25}
    with pytest.warns(PraesepeWarning, match="noise and throughput are not those of the training"):
        mosaic = Mosaic.read(paths, two_bands, units=units, zero_points=zero_points)
    assert mosaic.band("F475W").factor == pytest.approx(1)
    assert mosaic.band("F814W").factor == pytest.approx(10**0.5)
    with pytest.raises(InputError, match="unknown band 'F606W'"):
        Mosaic.read(paths, two_bands, units={"F606W": "e-/s"})


def test_one_file_for_all_bands(write_image: Write, two_bands: Survey, tmp_path: Path) -> None:
    """Each band finds the extension of its name (refused before); the same one twice is refused."""
    hdus = [fits.PrimaryHDU()]
    for value, band in enumerate(two_bands.band_names, 1):
        with fits.open(write_image(band, np.full(SHAPE, value, "f4"), extname=band)) as file:
            hdus.append(file[band].copy())
    path = tmp_path / "mef.fits"
    fits.HDUList(hdus).writeto(path)
    mosaic = Mosaic.read(dict.fromkeys(two_bands.band_names, path), two_bands)
    values = {name: float(mosaic.band(name).pixels[0:1, 0:1][0, 0]) for name in mosaic.band_names}
    assert values == {"F475W": 1, "F814W": 2}
    hdus[1].name = "SCI"
    fits.HDUList(hdus[:2]).writeto(path, overwrite=True)
    given = {"F475W": path, "F814W": f"{path}[1]"}  # passed before
    with pytest.raises(InputError, match="'F475W' and 'F814W' are given the same image"):
        Mosaic.read(given, two_bands)


@pytest.mark.parametrize("offset_mag", [-2.1, -1.9, -0.12, -0.08, 0.08, 0.12, 1.9, 2.1])
def test_zero_point_that_makes_no_sense(
    make_wcs: MakeWCS, two_bands: Survey, offset_mag: float
) -> None:
    """Up to 0.1 mag in silence, up to 2 mag with a warning, beyond not at all."""
    given = dict.fromkeys(two_bands.band_names, (np.ones((9, 9)), make_wcs((9, 9))))
    zero_points = {"F475W": two_bands.band("F475W").zero_point_ab + offset_mag}
    if abs(offset_mag) < 0.1:
        assert Mosaic.read(given, two_bands, zero_points=zero_points).notes == ()
    elif abs(offset_mag) < 2:
        with pytest.warns(PraesepeWarning, match=r"band 'F475W'.*1 e-/s is .* mag \(AB\), but 26"):
            mosaic = Mosaic.read(given, two_bands, zero_points=zero_points)
        zero_point = mosaic.band("F475W").calibration.zero_point_ab
        assert zero_point == pytest.approx(zero_points["F475W"])
    else:
        with pytest.raises(InputError, match=r"'F475W'.*Check the unit \(.*\), PHOTFLAM"):
            Mosaic.read(given, two_bands, zero_points=zero_points)


def test_tenth_of_a_pixel(make_wcs: MakeWCS, two_bands: Survey) -> None:
    """0.08 pixel apart: accepted; 0.12: not."""
    image = np.ones(SHAPE, "f4")
    near, far = make_wcs(SHAPE, shift=(0.08, 0.0)), make_wcs(SHAPE, shift=(0.0, 0.12))
    first = (image, make_wcs(SHAPE))
    assert Mosaic.read({"F475W": first, "F814W": (image, near)}, two_bands).reprojected == ()
    with pytest.raises(InputError, match=r"its pixels lie up to 0.12 from|up to 0.12 pixels"):
        Mosaic.read({"F475W": first, "F814W": (image, far)}, two_bands, reproject="never")


def test_rotation_that_only_shows_in_the_corners(make_wcs: MakeWCS, two_bands: Survey) -> None:
    image = np.ones(SHAPE, "f4")
    turned = make_wcs(SHAPE, rotation_deg=0.06)  # 0.15 px at the corners, none at the centre
    with pytest.raises(InputError, match=r"0.15"):
        Mosaic.read(
            {"F475W": (image, make_wcs(SHAPE)), "F814W": (image, turned)},
            two_bands,
            reproject="never",
        )


@pytest.mark.parametrize(
    "other",
    [
        {"shift": (0.37, -0.21)},
        {"rotation_deg": 33.0},
        {"scale": 0.04, "shape": (280, 300)},
        {"scale": 0.08, "shape": (150, 160)},
    ],
)
def test_reprojection_conserves_light_and_place(
    make_wcs: MakeWCS, two_bands: Survey, other: dict[str, Any]
) -> None:
    reference = make_wcs(SHAPE)
    shape, scale = other.get("shape", SHAPE), other.get("scale", 0.05)
    wcs = make_wcs(**{"shape": shape, **other})
    given = {
        "F475W": (stars(reference, SHAPE, 0.05), reference),
        "F814W": (stars(wcs, shape, scale), wcs),
    }
    with pytest.warns(PraesepeWarning, match="band 'F814W'.*reprojected"):
        mosaic = Mosaic.read(given, two_bands)
    assert mosaic.reprojected == ("F814W",)
    assert len(mosaic.notes) == 1
    window = (slice(50, 150), slice(60, 160))
    expected, found = mosaic.band("F475W").pixels[window], mosaic.band("F814W").pixels[window]
    assert found.sum() == pytest.approx(expected.sum(), rel=2e-3)
    y, x = np.indices(found.shape)
    for axis in (x, y):
        assert (axis * found).sum() / found.sum() == pytest.approx(
            (axis * expected).sum() / expected.sum(), abs=0.02
        )
    # Negative control: without the area ratio the light would be off by it.
    ratio = (0.05 / scale) ** 2
    if ratio != 1:
        assert found.sum() / ratio != pytest.approx(expected.sum(), rel=0.1)


def test_all_bands_off_scale_get_a_grid_of_the_survey(make_wcs: MakeWCS, two_bands: Survey) -> None:
    shape = (260, 280)
    wcs = make_wcs(shape, scale=0.04, rotation_deg=20)
    image = stars(wcs, shape, 0.04)
    given = dict.fromkeys(two_bands.band_names, (image, wcs))
    with pytest.warns(PraesepeWarning, match=r"pixel scale 0.0400 arcsec, -20 % off"):
        mosaic = Mosaic.read(given, two_bands)
    assert "reprojected (0.0466 Mpx)" in mosaic.notes[0]
    assert mosaic.pixel_scale_arcsec == pytest.approx(0.05, rel=1e-4)
    assert mosaic.shape == (208, 224)
    assert mosaic.reprojected == two_bands.band_names
    total = np.nansum(mosaic.band("F475W").pixels[20:190, 20:200])
    assert total == pytest.approx(4000, rel=5e-3)
    # Orientation is kept: north lies in the same direction.
    before = grid.pixel_vectors_arcsec(wcs, shape) / 0.04
    after = grid.pixel_vectors_arcsec(mosaic.wcs, mosaic.shape) / 0.05
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_the_warning_comes_before_the_work(
    make_wcs: MakeWCS, two_bands: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings are errors here: the first one stops the reading, before anything is resampled."""
    monkeypatch.setattr(grid, "reproject", lambda *_: pytest.fail("already at work"))
    image, wcs = np.ones(SHAPE, "f4"), make_wcs(SHAPE, scale=0.04)
    with pytest.raises(PraesepeWarning, match="is reprojected"):
        Mosaic.read(dict.fromkeys(two_bands.band_names, (image, wcs)), two_bands)


def test_missing_pixels_do_not_leak(make_wcs: MakeWCS, two_bands: Survey) -> None:
    """NaN and zero-filled gaps of a reprojected image are missing afterwards, not half bright."""
    reference, turned = make_wcs(SHAPE), make_wcs(SHAPE, rotation_deg=10)
    image = np.full(SHAPE, 5.0, "f4")
    image[80:120, 90:120] = 0
    image[50:60, 50:60] = np.nan
    with pytest.warns(PraesepeWarning, match="reprojected"):
        mosaic = Mosaic.read(
            {"F475W": (np.ones(SHAPE, "f4"), reference), "F814W": (image, turned)}, two_bands
        )
    pixels = np.asarray(mosaic.band("F814W").pixels)
    assert np.isnan(pixels).sum() > 1300
    np.testing.assert_allclose(pixels[np.isfinite(pixels)], 5.0, rtol=1e-3)


@pytest.mark.parametrize("sampled", [False, True])
def test_stars_of_a_coarser_band_are_not_saturated(
    make_wcs: MakeWCS, two_bands: Survey, rng: np.random.Generator, sampled: bool
) -> None:
    """Equal pixels are parts of one of the image that was given."""
    images = {}
    for name, shape, scale in (("F475W", SHAPE, 0.05), ("F814W", (67, 73), 0.15)):
        wcs = make_wcs(shape, scale)
        image = stars(wcs, shape, scale) + rng.normal(0, 0.1, shape)
        images[name] = (image.astype("f4"), wcs)
    with pytest.warns(PraesepeWarning, match="reprojected"):
        mosaic = Mosaic.read(images, two_bands, sampled=sampled)
    assert extract_stamps(mosaic, [109.5], [99.5], 128).flags.tolist() == [0]


def test_whole_pixel_shifts_are_not_resampled(make_wcs: MakeWCS, two_bands: Survey) -> None:
    """The second image is a cut-out of the same mosaic: it is shifted, not smoothed."""
    rng = np.random.default_rng(1)
    image, wcs = rng.normal(size=SHAPE).astype("f4"), make_wcs(SHAPE)
    mosaic = Mosaic.read(
        {"F475W": (image, wcs), "F814W": (image[20:150, 30:200], wcs[20:150, 30:200])}, two_bands
    )
    assert mosaic.reprojected == ()
    second = np.asarray(mosaic.band("F814W").pixels)
    assert np.array_equal(second[20:150, 30:200], image[20:150, 30:200])
    assert np.isnan(second).sum() == image.size - 130 * 170


def test_frames_may_differ(make_wcs: MakeWCS, two_bands: Survey) -> None:
    """The same pixels described in galactic coordinates are the same pixels."""
    from astropy.coordinates import SkyCoord

    wcs = make_wcs(SHAPE)
    galactic = WCS(naxis=2)
    galactic.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    centre = SkyCoord(*wcs.wcs.crval, unit="deg").galactic
    galactic.wcs.crval, galactic.wcs.crpix = [centre.l.deg, centre.b.deg], wcs.wcs.crpix
    north = SkyCoord(wcs.wcs.crval[0], wcs.wcs.crval[1] + 1e-3, unit="deg").galactic
    angle = centre.position_angle(north).rad
    step = 0.05 / 3600
    east, up = -step, step  # pixel steps towards west and north in the equatorial frame
    galactic.wcs.cd = [
        [east * np.cos(angle), up * np.sin(angle)],
        [-east * np.sin(angle), up * np.cos(angle)],
    ]
    image = np.ones(SHAPE, "f4")
    mosaic = Mosaic.read({"F475W": (image, wcs), "F814W": (image, galactic)}, two_bands)
    assert mosaic.reprojected == ()


@pytest.mark.parametrize(
    ("told", "moved"),
    [
        ({}, False),
        ({"dateobs": "2012-07-01"}, False),
        ({"radesys": "FK5", "equinox": 1975.0}, True),
        ({"crpix": [110.5, 101.0]}, True),
        ({"sip": True}, True),
    ],
)
def test_only_the_same_frame_leaves_pixels_where_they_are(
    make_wcs: MakeWCS, told: dict[str, Any], moved: bool
) -> None:
    wcs, other = make_wcs(), make_wcs(sip="sip" in told)
    if told.pop("sip", False):
        distorted = np.zeros((3, 3))
        distorted[2, 0] = 1e-4
        other.sip = Sip(distorted, distorted, None, None, other.wcs.crpix)
    for key, value in told.items():
        setattr(other.wcs, key, value)
    other.wcs.set()
    places = np.array([[0.0, 219.0], [0.0, 100.0]])
    found = np.array(grid.transform(wcs, other, *places))
    assert np.any(np.abs(found - places) > 0.1) == moved


def test_a_distortion_without_an_inverse_leaves_nothing(make_wcs: MakeWCS) -> None:
    """Places of a search that diverged were used, with a message of astropy's."""
    wcs, other = make_wcs(), make_wcs(sip=True)
    wild = np.zeros((3, 3))
    wild[2, 0] = 0.01
    other.sip = Sip(wild, wild, None, None, other.wcs.crpix)
    x, y = np.append(other.wcs.crpix[0] - 1, 0.0), np.append(other.wcs.crpix[1] - 1, 0.0)
    found = np.array(grid.transform(wcs, other, x, y))
    assert np.isfinite(found[:, 0]).all()
    assert np.isnan(found[:, 1]).all()


def test_different_fields(make_wcs: MakeWCS, two_bands: Survey) -> None:
    elsewhere = make_wcs(SHAPE)
    elsewhere.wcs.crval = [83.6, 22.0]
    elsewhere.wcs.set()
    image = np.ones(SHAPE, "f4")
    with pytest.raises(InputError, match="different parts of the sky"):
        Mosaic.read({"F475W": (image, make_wcs(SHAPE)), "F814W": (image, elsewhere)}, two_bands)


def test_warns_of_another_depth_or_instrument(write_image: Write, two_bands: Survey) -> None:
    image = np.ones(SHAPE, "f4")
    good = write_image("good", image, band="F814W", EXPTIME=1300.0, INSTRUME="ACS")
    short = write_image("short", image, EXPTIME=700.0, INSTRUME="ACS")
    wfc3 = write_image("wfc3", image, band="F814W", INSTRUME="WFC3")
    other = write_image("other", image)
    with pytest.warns(PraesepeWarning, match=r"exposure 700 s, but .* trained for 1720 s"):
        mosaic = Mosaic.read({"F475W": short, "F814W": good}, two_bands)
    assert len(mosaic.notes) == 1
    with pytest.warns(PraesepeWarning, match="taken with WFC3, but .* trained for ACS/WFC"):
        Mosaic.read({"F475W": other, "F814W": wfc3}, two_bands)
    assert Mosaic.read({"F475W": other, "F814W": good}, two_bands).notes == ()


@pytest.mark.parametrize(
    ("keyword", "value", "accepted"),
    [
        ("FILTER", "F475W", True),
        ("FILTER2", "F475W", True),
        ("FILTER", "F814W", False),
        ("FILTER", "F606W", False),
        ("FILTNAM1", "F606W", False),
        ("FILTER1", "CLEAR1L", True),
        ("FILTER", "F475W;CLEAR", True),
        ("FILTER1", 25, True),
        ("FILTER", "r.MP9601", True),
        ("PUPIL", "F162M", False),
        ("PHOTMODE", "ACS WFC1 F475W MJD#55000.0", True),
        ("PHOTMODE", "ACS WFC1", True),
    ],
)
def test_filter_keywords(
    write_image: Write, two_bands: Survey, keyword: str, value: object, accepted: bool
) -> None:
    image = np.ones(SHAPE, "f4")
    for where in ({"primary": {keyword: value}}, {keyword: value}):
        paths = {"F475W": write_image("a", image, **where), "F814W": write_image("F814W", image)}
        if accepted:
            Mosaic.read(paths, two_bands)
        else:
            with pytest.raises(InputError, match=f"band 'F475W'.*{keyword} = {value!r}"):
                Mosaic.read(paths, two_bands)


@pytest.mark.parametrize(
    ("photmode", "name"), [("ACS WFC1 F814W", "F814W"), ("A,F606W,,", "F606W")]
)
def test_photmode(write_image: Write, two_bands: Survey, photmode: str, name: str) -> None:
    """It names the detector as well, which proves nothing about the filter."""
    image = np.ones(SHAPE, "f4")
    a, b = write_image("a", image, PHOTMODE=photmode), write_image("F814W", image)
    with pytest.raises(InputError, match=f"band 'F475W'.*PHOTMODE = {name!r}"):
        Mosaic.read({"F475W": a, "F814W": b}, two_bands)


def test_two_wheels(write_image: Write, two_bands: Survey) -> None:
    """ACS has two filter wheels, of which one stands on CLEAR."""
    image = np.ones(SHAPE, "f4")
    a = write_image("a", image, primary={"FILTER1": "F475W", "FILTER2": "CLEAR2L"})
    b = write_image("F814W", image, primary={"FILTER1": "CLEAR1L", "FILTER2": "F814W"})
    Mosaic.read({"F475W": a, "F814W": b}, two_bands)
    with pytest.raises(InputError, match="is it the image for band 'F814W'"):
        Mosaic.read({"F475W": b, "F814W": a}, two_bands)


def test_unknown_band_of_a_mosaic(make_wcs: MakeWCS, two_bands: Survey) -> None:
    given = {b: (np.ones((9, 9)), make_wcs((9, 9))) for b in two_bands.band_names}
    with pytest.raises(InputError, match=re.escape("unknown band 'F475X'")):
        Mosaic.read(given, two_bands).band("F475X")


def sparse_image(path: Path, header: fits.Header, side: int, patch: np.ndarray) -> None:
    """A FITS file of side × side float32 pixels, of which only a patch takes room on disk."""
    header = header.copy()
    for position, (key, value) in enumerate(
        {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side}.items()
    ):
        header.insert(position, (key, value))
    text = header.tostring(padding=True).encode()
    first = (side - len(patch)) // 2
    with path.open("wb") as file:
        file.write(text)
        for row, line in enumerate(patch.astype(">f4")):
            file.seek(len(text) + 4 * ((first + row) * side + first))
            file.write(line.tobytes())
        size = len(text) + 4 * side * side
        file.truncate(size + (-size) % 2880)


def test_ten_gigabytes_do_not_enter_memory(
    tmp_path: Path, two_bands: Survey, make_wcs: MakeWCS
) -> None:
    side = 50_000  # 10 GB a band
    header = make_wcs((side, side)).to_header()
    header.update({"BUNIT": "ELECTRONS/S"})
    photflam, photplam = (
        {"F475W": 1.821e-19, "F814W": 7.033e-20},
        {"F475W": 4746.9, "F814W": 8057.0},
    )
    patch = np.random.default_rng(2).normal(3, 0.1, (300, 300))
    for band in two_bands.band_names:
        header.update({"PHOTFLAM": photflam[band], "PHOTPLAM": photplam[band]})
        sparse_image(tmp_path / f"{band}.fits", header, side, patch)
    tracemalloc.start()
    mosaic = Mosaic.read({b: tmp_path / f"{b}.fits" for b in two_bands.band_names}, two_bands)
    middle = side // 2
    stamps = extract_stamps(mosaic, [middle, middle + 20, 100], [middle, middle, 100], 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mosaic.shape == (side, side)
    assert peak < 30e6
    assert stamps.flags.tolist() == [0, 0, 2]
    assert np.nanmean(stamps.images[0, 0]) == pytest.approx(
        3 * mosaic.band("F475W").factor, rel=0.01
    )


def test_a_mosaic_goes_to_another_process(
    two_bands: Survey, write_image, make_wcs, run_python, rng: np.random.Generator, tmp_path: Path
) -> None:
    """By the names of its files: what is pickled is small, and the pixels and places are equal."""
    planes = rng.normal(0.01, 0.003, (2, 900, 800)).astype(np.float32)
    paths = {
        band: write_image(band, plane, wcs=make_wcs((900, 800)))
        for band, plane in zip(two_bands.band_names, planes, strict=True)
    }
    mosaic = Mosaic.read(paths, two_bands)
    packed = tmp_path / "mosaic.pickle"
    packed.write_bytes(pickle.dumps(mosaic))
    assert packed.stat().st_size < 200_000
    code = (
        "import pickle, sys, numpy as np\n"
        f"mosaic = pickle.load(open({str(packed)!r}, 'rb'))\n"
        "stamps = [mosaic.band(b).pixels[100:110, 200:210] for b in mosaic.band_names]\n"
        "print(repr(mosaic))\n"
        "print(*mosaic.wcs.all_pix2world([[3.5, 700.0]], 0)[0].tolist())\n"
        "print(*np.concatenate(stamps).ravel().tolist())\n"
    )
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr
    shown, position, values = finished.stdout.splitlines()
    assert shown == repr(mosaic)
    np.testing.assert_allclose(
        [float(v) for v in position.split()],
        mosaic.wcs.all_pix2world([[3.5, 700.0]], 0)[0],
        rtol=0,
        atol=1e-9,
    )
    expected = np.concatenate([mosaic.band(b).pixels[100:110, 200:210] for b in mosaic.band_names])
    np.testing.assert_array_equal([float(v) for v in values.split()], expected.ravel())


def test_what_changed_is_not_read_in_another_s_place(two_bands: Survey, write_image) -> None:
    image = np.ones((60, 70), np.float32)
    paths = {band: write_image(band, image) for band in two_bands.band_names}
    packed = pickle.dumps(Mosaic.read(paths, two_bands))
    assert pickle.loads(packed).shape == image.shape
    write_image("F475W", image + 1)
    os.utime(paths["F475W"], (1, 1))
    with pytest.raises(InputError, match="has changed"):
        pickle.loads(packed)
    paths["F475W"].unlink()
    with pytest.raises(InputError, match="cannot open"):
        pickle.loads(packed)


def test_images_in_memory_are_pickled_with_their_pixels(
    two_bands: Survey, make_wcs, rng: np.random.Generator
) -> None:
    """And with a distorted WCS."""
    image = rng.normal(0.01, 0.003, (60, 70)).astype(np.float32)
    wcs = make_wcs(image.shape, sip=True)
    coefficients = np.zeros((3, 3))
    coefficients[2, 0] = 1e-4
    wcs.sip = Sip(coefficients, coefficients.T, None, None, wcs.wcs.crpix)
    mosaic = Mosaic.read(dict.fromkeys(two_bands.band_names, (image, wcs)), two_bands)
    again = pickle.loads(pickle.dumps(mosaic))
    corner = [[2.0, 3.0]]
    np.testing.assert_allclose(
        again.wcs.all_pix2world(corner, 0), mosaic.wcs.all_pix2world(corner, 0), rtol=0, atol=1e-10
    )
    assert again.wcs.array_shape == image.shape
    np.testing.assert_array_equal(again.band("F475W").pixels[10:20, 30:50], image[10:20, 30:50])


def test_a_mosaic_says_what_it_is(two_bands: Survey, write_image) -> None:
    image = np.arange(4200, dtype=np.float32).reshape(60, 70)
    mosaic = Mosaic.read({b: write_image(b, image) for b in two_bands.band_names}, two_bands)
    shown = repr(mosaic)
    for word in ("0.05 arcsec", "'two'", f"{image.shape[1]}×{image.shape[0]} px"):
        assert word in shown
    assert "ELECTRONS/S" in repr(mosaic.band("F475W"))
    assert "F475W.fits" in repr(mosaic.band("F475W").pixels)
    shown_stamps = repr(extract_stamps(mosaic, [30, 900], [30, 30], 16))
    assert shown_stamps == "<Stamps: 2 of 16×16 px in 2 bands; 1 flagged>"
    for path in two_bands.band_names:
        assert f"{path}.fits" in shown


def test_extensions_can_be_chosen(two_bands: Survey, tmp_path: Path, make_wcs) -> None:
    paths = {}
    for i, band in enumerate(two_bands.bands):
        header = make_wcs((100, 100)).to_header()
        header.update(BUNIT="ELECTRONS/S", FILTER=band.name)
        hdus = fits.HDUList([fits.PrimaryHDU()])
        for version in (1, 2):
            plane = np.full((100, 100), 10 * i + version, np.float32)
            hdus.append(fits.ImageHDU(plane, header, name="SCI", ver=version))
        paths[band.name] = tmp_path / f"{band.name}.fits"
        hdus.writeto(paths[band.name])
    options = {"zero_points": {band.name: band.zero_point_ab for band in two_bands.bands}}
    with pytest.raises(InputError, match="2 images could be"):
        Mosaic.read(paths, two_bands, **options)
    both = Mosaic.read(paths, two_bands, hdu="SCI,2", **options)
    assert [both.band(b).pixels[0:1, 0:1].item() for b in both.band_names] == [2, 12]
    each = Mosaic.read(paths, two_bands, hdu={"F475W": 1, "F814W": 2}, **options)
    assert [each.band(b).pixels[0:1, 0:1].item() for b in each.band_names] == [1, 12]
    with pytest.raises(InputError, match="give one of them"):
        Mosaic.read({b: f"{p}[1]" for b, p in paths.items()}, two_bands, hdu=2, **options)
    with pytest.raises(InputError, match="not in an object of type ndarray"):
        Mosaic.read(dict.fromkeys(paths, np.zeros((9, 9))), two_bands, hdu=1)


@pytest.mark.parametrize("scale", [3600.0, 1e-4])
def test_a_pixel_of_a_degree_is_not_reprojected(two_bands: Survey, make_wcs, scale: float) -> None:
    """A header without CD and CDELT says so."""
    image = np.ones((60, 70), np.float32)
    scales = {"F475W": 0.05, "F814W": scale}
    given = {band: (image, make_wcs(image.shape, scale=one)) for band, one in scales.items()}
    with pytest.raises(InputError, match=r"F814W.*5 times off.*check CD or CDELT"):
        Mosaic.read(given, two_bands)
