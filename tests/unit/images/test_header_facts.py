"""Facts of a header are held against each other: harmless ones are told, others refused."""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import warnings
import zipfile
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Mosaic
from praesepe.images.reading.frames import frame_notes
from praesepe.images.reading.sip import sip_notes
from praesepe.images.reading.source import open_image
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
    for header in source.headers[:1]:
        assert sip_notes(header, source.wcs, label=name, shape=image.shape) == []
    found, wanted = (wcs.pixel_to_world_values(3, 190) for wcs in (source.wcs, right))
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"CRVAL1": "11.5"}, ""),  # read as 0 before: every row off the image
        ({"CRVAL1": "00:46:00"}, "CRVAL1 = '00:46:00' in its header is not a number"),
        ({"RADESYS": "icrs"}, ""),
        ({"RADESYS": "ICRS", "RADECSYS": "FK4"}, ""),  # FK4 was taken, 0.6 degrees off
        ({"CTYPE1": "ra---tan", "CTYPE2": "dec--tan"}, ""),
        ({"CTYPE1": 3}, "CTYPE1 = 3 is not a text"),
        # both were taken for right ascension and declination
        ({"CTYPE1": "RA", "CTYPE2": "DEC"}, "CTYPE .'RA' and 'DEC'. has no projection"),
        ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"}, "axes of its WCS are .*ELON.*reproject"),
        ({"CTYPE1": "HLON-TAN", "CTYPE2": "HLAT-TAN"}, "axes of its WCS are .*HLON"),
        ({"CTYPE1": "SLON-TAN", "CTYPE2": "SLAT-TAN"}, "axes of its WCS are .*SLON"),
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


def celestial_header(make_wcs, **keywords) -> fits.Header:
    header = make_wcs((200, 220)).to_header()
    header.update(keywords)
    return header


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"RADESYS": "FK4", "EQUINOX": 2000.0}, "'FK4', but EQUINOX = 2000"),  # 0.9 arcsec off
        ({"RADESYS": "FK5", "EQUINOX": "B1950"}, "'FK5', but EQUINOX = 1950"),
        ({"CRPIX1": "nan"}, "CRPIX1 = 'nan' in its header is not a number"),
        ({"PV1_0": 0, "PV1_1": 1, "PV1_2": 0, "PV2_1": 1}, "PV1_0 and its like announce distort"),
        ({"PV1_1": 1.0, "PV1_4": 0.2, "PV2_1": 1.0}, "PV2_1 .* mean nothing"),  # 180 degrees off
        ({"CDELT1": 0.0}, r"CDELT1 = 0\.0.* make none"),
    ],
)
def test_headers_that_contradict_themselves(image, make_wcs, keywords: dict, said: str) -> None:
    header = celestial_header(make_wcs, **keywords)
    with pytest.raises(InputError, match=said) as caught:
        open_image((image, header), "F475W")
    assert "parameter" not in str(caught.value)  # of wcslib's texts


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"CROTA2": 30.0}, "CROTA2 = 30 .* turned by 0 degrees"),
        ({"CROTA2": 180.0}, ""),
        ({"RADESYS": "ICRS", "EQUINOX": 1950.0}, "'ICRS', which is taken, but EQUINOX = 1950"),
        ({"RADESYS": "ICRS", "EQUINOX": 2000.0}, ""),
        ({"RADESYS": "ICRS", "RADECSYS": "FK5"}, "is ICRS, but RADECSYS = 'FK5' .* ICRS is taken"),
        ({"RADESYS": "ICRS", "RADECSYS": "ICRS"}, ""),
        ({"RADESYS": "FK5", "EQUINOX": 2004.5}, "equinox of its WCS is 2004.5 by its header"),
        ({"CRPIX1": None}, "its header lacks CRPIX1, taken as 0"),
    ],
)
def test_keywords_that_are_passed_over_are_told(image, make_wcs, keywords, said: str) -> None:
    header = celestial_header(make_wcs, PC1_1=1.0, **keywords)
    header["PC2_2"] = 1.0
    for key in [key for key, value in keywords.items() if value is None]:
        del header[key]
    source = open_image((image, header), "F475W")
    notes = frame_notes(header, source.wcs, "F475W")
    assert len(notes) == bool(said)
    assert re.search(said, "".join(notes))


def test_two_keywords_of_the_frame(image, make_wcs) -> None:
    header = celestial_header(make_wcs, RADESYS="FK4", EQUINOX=1950.0, RADECSYS="FK5")
    source = open_image((image, header), "F475W")
    with pytest.raises(InputError, match=r"is FK4, but RADECSYS = 'FK5'.*both cannot be right"):
        frame_notes(header, source.wcs, "F475W")


def test_an_equinox_in_words(image, make_wcs) -> None:
    header = celestial_header(make_wcs, EQUINOX="B1950")
    header.remove("RADESYS", ignore_missing=True)
    assert open_image((image, header), "F475W").wcs.wcs.radesys == "FK4"


@pytest.mark.parametrize(("factor", "said"), [(2.0, "CD1_1 = .*, but by PC and CDELT"), (1.0, "")])
def test_two_matrices(image, make_wcs, factor: float, said: str) -> None:
    """PC was taken before, and CD not looked at."""
    header = make_wcs(image.shape).to_header()  # PC and CDELT
    right = open_image((image, header.copy()), "F475W").wcs
    for i in (1, 2):
        pc = header.get(f"PC{i}_{i}", 1.0) * header.get(f"CDELT{i}", 1.0)
        header[f"CD{i}_{i}"] = factor * pc
    if said:
        with pytest.raises(InputError, match=said):
            open_image((image, header), "F475W")
    else:
        wcs = open_image((image, header), "F475W").wcs
        np.testing.assert_allclose(
            wcs.pixel_to_world_values(3, 9), right.pixel_to_world_values(3, 9)
        )


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ((-0.1, 0.1), "0.05 × 0.05 arcsec by the CD matrix .* taken, and 0.1 × 0.1 by CDELT"),
        ((-0.05, 0.05), ""),
        ((3600.0, 3600.0), ""),  # what software writes that does not know it
    ],
)
def test_cdelt_beside_cd(image, make_wcs, sides: tuple[float, float], said: str) -> None:
    header = make_wcs(image.shape).to_header()
    wcs = open_image((image, header.copy()), "F475W").wcs
    for i in (1, 2):
        header[f"CD{i}_{i}"] = header.get(f"PC{i}_{i}", 1.0) * header[f"CDELT{i}"]
        header.remove(f"PC{i}_{i}", ignore_missing=True)
        header[f"CDELT{i}"] = sides[i - 1] / 3600
    source = open_image((image, header), "F475W")
    np.testing.assert_allclose(
        source.wcs.pixel_to_world_values(3, 9), wcs.pixel_to_world_values(3, 9)
    )
    notes = frame_notes(header, source.wcs, "F475W")
    assert len(notes) == bool(said)
    assert re.search(said, "".join(notes))


@pytest.mark.parametrize(
    ("primary", "said"),
    [
        ({"INSTRUME": "ACS", "DETECTOR": "HRC"}, "taken with ACS/HRC, .* trained for ACS/WFC"),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC", "TELESCOP": "HST"}, ""),
        ({"PHOTMODE": "ACS HRC F475W"}, "taken with ACS/HRC, .* trained for ACS/WFC"),
        ({"PHOTMODE": "ACS WFC1 F475W", "TELESCOP": "Hubble Space Telescope"}, ""),
        ({"TELESCOP": "JWST"}, "taken with JWST, .* trained for HST"),
        ({"DETECTOR": "MOCK"}, ""),
    ],
)
def test_another_telescope_or_detector(write_image, image, two_bands, primary, said) -> None:
    """Only INSTRUME was looked at before."""
    paths = {n: write_image(n, image) for n in two_bands.band_names}
    paths["F475W"] = write_image("F475W", image, primary=primary)
    if not said:
        assert Mosaic.read(paths, two_bands).notes == ()
        return
    with pytest.warns(PraesepeWarning, match=said) as told:
        Mosaic.read(paths, two_bands)
    assert len(told) == 1


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
    with pytest.raises(InputError, match="more than 5 times off"):
        Mosaic.read(paths, two_bands)


@pytest.mark.parametrize("inner", ["plain", "gzip", "with a note", "from a Mac"])
def test_zip(write_image, image, tmp_path: Path, inner: str) -> None:
    """Never mapped as if it were plain, not even a .fits.gz in a .zip."""
    plain = write_image("F475W", image).read_bytes()
    packed = tmp_path / "a.fits.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.fits", gzip.compress(plain) if inner == "gzip" else plain)
        if inner == "with a note":
            archive.writestr("readme.txt", "a note")
        if inner == "from a Mac":
            archive.writestr("__MACOSX/._a.fits", "x")
    np.testing.assert_array_equal(open_image(packed, "F475W").pixels, image)


def test_what_cannot_be_unpacked(tmp_path: Path, write_image, image) -> None:
    two = tmp_path / "two.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.fits", "x")
        archive.writestr("b.fits", "x")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04" + b"x" * 100)
    bundle = tmp_path / "mast.tar.gz"
    with tarfile.open(bundle, "w:gz") as tar:
        tar.add(two)
    lzw = tmp_path / "a.fits.Z"
    lzw.write_bytes(b"\x1f\x9d" + b"x" * 100)
    for path, said in (
        (two, "holds a.fits and b.fits"),
        (broken, "the archive is damaged"),
        (lzw, "Z"),
        (bundle, "tar"),
    ):
        with pytest.raises(InputError, match=f"{said}.*unpack it") as raised:
            open_image(path, "F475W")
        assert str(raised.value).count("archive") <= 1
    assert fits.getdata(write_image("F475W", image), "SCI").shape == image.shape


@pytest.mark.parametrize(
    ("unit", "zero_point"),
    [(u.electron / u.s, None), (None, 26.0 * u.ABmag), ("electron/s", "26.0 mag(AB)")],
)
def test_units_and_zero_points_of_astropy(write_image, image, two_bands, unit, zero_point) -> None:
    """Tracebacks and 'not a magnitude' before."""
    paths = {n: write_image(n, image) for n in two_bands.band_names}
    name = two_bands.band_names[0]
    options = {
        "units": None if unit is None else {name: unit},
        "zero_points": None if zero_point is None else {name: zero_point},
    }
    found = Mosaic.read(paths, two_bands, **options).band(name).calibration.zero_point_ab
    right = Mosaic.read(paths, two_bands).band(name).calibration.zero_point_ab
    assert found == pytest.approx(right if zero_point is None else 26.0)


def test_a_quantity_needs_no_zero_point(image, two_bands: Survey, make_wcs) -> None:
    """Refused before for a zero point that nobody gave; an empty unit was ignored."""
    given = {n: (image * u.nJy, make_wcs(image.shape)) for n in two_bands.band_names}
    assert Mosaic.read(given, two_bands).band("F475W").calibration.unit == "nJy"
    with pytest.raises(InputError, match="unit BUNIT = '' is not one of"):
        Mosaic.read(given, two_bands, units={"F475W": ""})


@pytest.mark.parametrize("form", ["Quantity", "CCDData"])
@pytest.mark.parametrize("bunit", ["ELECTRONS/S", "nJy"])
def test_a_unit_beside_another_of_the_header(image, two_bands, make_wcs, form, bunit) -> None:
    header = make_wcs(image.shape).to_header()
    header["BUNIT"] = bunit
    one = (image * u.nJy, header)
    if form == "CCDData":
        one = CCDData(image, unit="nJy", wcs=make_wcs(image.shape), meta={"BUNIT": bunit})
    given = dict.fromkeys(two_bands.band_names, one)
    told = bunit != "nJy"
    match = "pixels are in nJy, but BUNIT = 'ELECTRONS/S' in its header"
    with pytest.warns(PraesepeWarning, match=match) if told else contextlib.nullcontext():
        assert Mosaic.read(given, two_bands).band("F475W").calibration.unit == "nJy"


@pytest.mark.parametrize("form", ["header", "wcs", "ccd"])
def test_an_array_with_the_wcs_of_the_whole_image(image, make_wcs, form: str) -> None:
    """All positions would be off by where the array was cut out, without a word."""
    cut = image[40:140, 30:150]
    wcs = make_wcs(image.shape)
    header = fits.ImageHDU(image, wcs.to_header()).header
    whole = {"header": header, "wcs": wcs, "ccd": wcs}[form]
    cut_wcs = wcs[40:140, 30:150]
    good = fits.ImageHDU(cut, cut_wcs.to_header()).header if form == "header" else cut_wcs
    given = [
        CCDData(cut, wcs=one, unit="electron/s") if form == "ccd" else (cut, one)
        for one in (whole, good)
    ]
    with pytest.raises(InputError, match="has 120 × 100 pixels, but its WCS or header is of an im"):
        open_image(given[0], "F475W")
    assert open_image(given[1], "F475W").wcs.wcs.crpix.tolist() == cut_wcs.wcs.crpix.tolist()


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"IMAGETYP": "Flat Field"}, "IMAGETYP = 'Flat Field' .*no image of the sky"),
        ({"OBSTYPE": "dark"}, "OBSTYPE = 'dark'"),
        ({"BSOFTEN": 31.2, "BOFFSET": 0.1}, "on a scale of asinh .*give BOFFSET"),
    ],
)
def test_pixels_that_are_no_light(write_image, image, two_bands: Survey, keywords, said) -> None:
    """Measured without a word before."""
    names = two_bands.band_names
    good = {n: write_image(n, image, IMAGETYP="OBJECT", OBSTYPE="dark sky") for n in names}
    Mosaic.read(good, two_bands)
    spoilt = {n: write_image(n, image, **keywords) for n in names}
    with pytest.raises(InputError, match=said):
        Mosaic.read(spoilt, two_bands)
