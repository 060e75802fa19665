"""Units and zero points, against hand-made numbers."""

from __future__ import annotations

import math

import pytest

from praesepe.errors import InputError
from praesepe.images.units.headers import Headers
from praesepe.images.units.pixel_units import PixelUnit, parse_unit
from praesepe.images.units.zero_points import (
    Calibration,
    calibrate,
    hst_zero_point,
    jansky_to_ab,
)


@pytest.mark.parametrize(
    ("text", "quantity", "per_second"),
    [
        *((t, "electron", True) for t in ("ELECTRONS/S", "e-/s", "electron s-1", "electron / s")),
        *((t, "electron", True) for t in ("e/sec", "electrons per second", "electron.s-1", "e-/S")),
        *((t, "electron", True) for t in ("electron s**-1", "electron s^-1")),
        *((t, "electron", False) for t in ("ELECTRONS", "e-", "electron", " Electrons ")),
        *((t, "count", True) for t in ("COUNTS/S", "cts/s", "DN/s", "ADU / s", "cps", "ct s-1")),
        *((t, "count", False) for t in ("COUNTS", "cts", "DN", "adu", "ADU")),
        *((t, "surface brightness", True) for t in ("MJy/sr", "MJY/SR", "MJy sr-1", "MJy.sr**-1")),
    ],
)
def test_spellings(text: str, quantity: str, per_second: bool) -> None:
    scale = 1e6 if quantity.startswith("surface") else 1.0
    assert parse_unit(text) == PixelUnit(quantity, per_second, pytest.approx(scale))


@pytest.mark.parametrize(
    "text",
    [
        *("MJY", "mjy/sr", "mjy/arcsec2", "Jy/beam", "UNITLESS", "s", "1/s", "/s", "mag", "nJy2"),
        *("N/A", "AB", "ST", "erg/cm2", "J/m2/sr"),  # astropy: newton per ampere, a flux of 0 mag
    ],
)
def test_other_units_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="ELECTRONS/S, ELECTRONS, COUNTS/S"):
        parse_unit(text)


def test_asinh_values_are_refused() -> None:
    with pytest.raises(InputError, match="asinh magnitudes"):
        rate(BUNIT="DN", MAGZERO=25.0, BSOFTEN=100.0, BOFFSET=1.0)


def test_hst_zero_point_against_the_definition_of_ab() -> None:
    """1 e-/s is F_lambda = PHOTFLAM; AB follows from F_nu = F_lambda lambda²/c."""
    photflam, photplam = 1.821e-19, 4746.9
    f_nu = photflam * photplam**2 / 2.99792458e18  # erg/s/cm²/Hz
    assert hst_zero_point(photflam, photplam) == pytest.approx(
        -2.5 * math.log10(f_nu) - 48.60, abs=2e-3
    )
    assert hst_zero_point(photflam, photplam) == pytest.approx(26.06, abs=0.01)  # ACS/WFC F475W


def headers(**keywords: object) -> Headers:
    return Headers(({"PHOTFLAM": 1e-19, "PHOTPLAM": 5000.0, **keywords},), "a.fits")


def rate(**keywords: object) -> Calibration:
    return calibrate(headers(**keywords), survey_zero_point_ab=25.0)


def test_to_rate() -> None:
    assert rate(BUNIT="ELECTRONS/S").to_rate == 1
    assert rate(BUNIT="ELECTRONS", EXPTIME=500.0).to_rate == pytest.approx(1 / 500)
    assert rate(BUNIT="COUNTS/S", CCDGAIN=1.5).to_rate == pytest.approx(1.5)
    assert rate(BUNIT="COUNTS", GAIN=2, EXPTIME=500).to_rate == pytest.approx(2 / 500)


def test_a_gain_of_the_whole_exposure_is_told() -> None:
    """SWarp writes such a one, for an image in counts per second."""
    assert "1720 electrons per count" in rate(BUNIT="ADU/s", GAIN=1720.0).notes[0]
    assert not rate(BUNIT="ADU/s", GAIN=14.0).notes


def test_zero_point_scales_to_the_survey() -> None:
    calibration = rate(BUNIT="ELECTRONS/S")
    zero_point = hst_zero_point(1e-19, 5000)
    assert calibration.zero_point_ab == pytest.approx(zero_point)
    assert calibration.factor(zero_point) == pytest.approx(1)
    # A survey that is 2.5 mag deeper sees ten times the electrons from the same star.
    assert calibration.factor(zero_point + 2.5) == pytest.approx(10)


def test_wfpc2_photflam_is_per_count() -> None:
    """The gain cancels in the flux: star of 1 DN/s has F_lambda = PHOTFLAM, whatever the gain."""
    found = rate(BUNIT="COUNTS/S", INSTRUME="WFPC2", DETECTOR=1, ATODGAIN=15.0)
    assert found.to_rate == 13.99  # not the commanded 15
    assert found.to_rate * 10 ** (-0.4 * found.zero_point_ab) == pytest.approx(
        10 ** (-0.4 * hst_zero_point(1e-19, 5000))
    )
    assert found.zero_point_ab == pytest.approx(
        hst_zero_point(1e-19, 5000) + 2.5 * math.log10(13.99)
    )
    other = rate(BUNIT="COUNTS/S", INSTRUME="WFPC2", DETECTOR=1, ATODGAIN=7.0)
    assert other.factor(25) == pytest.approx(found.factor(25))


def test_acs_photflam_is_per_electron_even_in_counts() -> None:
    found = rate(BUNIT="COUNTS", INSTRUME="ACS", CCDGAIN=2.0, EXPTIME=100.0)
    assert found.zero_point_ab == pytest.approx(hst_zero_point(1e-19, 5000))
    from_survey = calibrate(
        headers(BUNIT="COUNTS", CCDGAIN=2.0, EXPTIME=100.0),
        instrument="ACS/WFC",
        survey_zero_point_ab=25.0,
    )
    assert from_survey == found


def test_drizzled_wfpc2_in_electrons() -> None:
    """Drizzled to electrons, PHOTFLAM has been divided by the gain: it goes with the pixels."""
    found = rate(BUNIT="ELECTRONS/S", INSTRUME="WFPC2", ATODGAIN=7.0)
    assert found.zero_point_ab == pytest.approx(hst_zero_point(1e-19, 5000))


def test_surface_brightness_against_jansky() -> None:
    """0.5 MJy/sr in pixels of 2e-14 sr are 1e-8 Jy: AB 28.90."""
    found = calibrate(headers(BUNIT="MJy/sr", PIXAR_SR=2e-14), survey_zero_point_ab=28.0)
    assert jansky_to_ab(1e-8) == pytest.approx(28.9, abs=1e-3)
    assert 0.5 * found.factor(28.0) == pytest.approx(10 ** (-0.4 * (jansky_to_ab(1e-8) - 28.0)))
    by_wcs = calibrate(headers(BUNIT="MJy/sr"), survey_zero_point_ab=28.0, pixel_area_sr=2e-14)
    assert by_wcs.to_rate == pytest.approx(found.to_rate)


@pytest.mark.parametrize(
    ("keywords", "missing"),
    [
        ({"BUNIT": None}, "BUNIT"),
        ({"BUNIT": "ELECTRONS"}, "EXPTIME"),
        ({"BUNIT": "COUNTS", "EXPTIME": 10.0}, "CCDGAIN"),
        ({"BUNIT": "COUNTS", "GAIN": 1.0}, "EXPTIME"),
        ({"BUNIT": "ELECTRONS/S", "PHOTFLAM": None}, "PHOTFLAM"),
        ({"BUNIT": "ELECTRONS/S", "PHOTPLAM": None}, "PHOTPLAM"),
        ({"BUNIT": "MJy/sr"}, "PIXAR_SR"),
    ],
)
def test_errors_name_the_missing_keyword(keywords: dict[str, object], missing: str) -> None:
    with pytest.raises(InputError, match=f"keyword {missing}.* missing"):
        rate(**keywords)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "unknown"])
def test_meaningless_values_are_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"PHOTFLAM = .* not a positive number"):
        rate(BUNIT="ELECTRONS/S", PHOTFLAM=value)


def test_science_header_comes_before_primary() -> None:
    both = Headers(({"EXPTIME": 10.0}, {"EXPTIME": 99.0, "GAIN": 2.0}), "a.fits")
    assert both.get("EXPTIME") == ("EXPTIME", 10.0)
    assert both.get("GAIN") == ("GAIN", 2.0)


def test_given_values_replace_keywords() -> None:
    found = calibrate(
        Headers((), "array"), unit="e-/s", zero_point_ab=26.5, survey_zero_point_ab=26.0
    )
    assert found.factor(26.0) == pytest.approx(10**-0.2)


@pytest.mark.parametrize("given", [float("nan"), float("inf")])
def test_a_zero_point_is_a_number(given: float) -> None:
    with pytest.raises(InputError, match="is not a magnitude"):
        calibrate(headers(BUNIT="ELECTRONS/S"), zero_point_ab=given, survey_zero_point_ab=25.0)


AB_OF_NJY = 31.4  # of 1 nJy
ARCSEC2 = math.radians(1 / 3600) ** 2


@pytest.mark.parametrize(
    ("unit", "ab"),
    [
        ("nJy", AB_OF_NJY),
        ("10.0*nanoJansky", AB_OF_NJY - 2.5),
        ("10 nJy", AB_OF_NJY - 2.5),
        ("10nJy", AB_OF_NJY - 2.5),
        ("uJy", AB_OF_NJY - 7.5),
        ("µJy", AB_OF_NJY - 7.5),
        ("microJansky", AB_OF_NJY - 7.5),
        ("mJy", AB_OF_NJY - 15),
        ("NJY", AB_OF_NJY),
        ("Jy / pixel", AB_OF_NJY - 22.5),
        ("1e-9 Jy", AB_OF_NJY),
        ("nanomaggy", 22.5),
        ("maggy", 0.0),
        ("muJy", AB_OF_NJY - 7.5),
        ("mjy", AB_OF_NJY - 15),
        ("FLAM", hst_zero_point(1.0, 5000.0)),
        ("1.0e-29 erg/s/cm^2/Hz", AB_OF_NJY - 7.5),
        ("erg/s/cm2/Angstrom", hst_zero_point(1.0, 5000.0)),
        ("MJy/sr", AB_OF_NJY - 22.5 - 15 - 2.5 * math.log10(2e-14)),
        ("Jy/arcsec^2", AB_OF_NJY - 22.5 - 2.5 * math.log10(2e-14 / ARCSEC2)),
    ],
)
def test_flux_densities(unit: str, ab: float) -> None:
    """A value of 1 is so many magnitudes, whatever PHOTFLAM was left in the header."""
    found = calibrate(headers(BUNIT=unit, PIXAR_SR=2e-14), survey_zero_point_ab=28.0)
    assert 28.0 - 2.5 * math.log10(found.factor(28.0)) == pytest.approx(ab, abs=2e-3)
    with pytest.raises(InputError, match="need no zero point; the one given, 26"):
        calibrate(headers(BUNIT=unit), zero_point_ab=26.0, survey_zero_point_ab=28.0)


VEGA_AB = 0.42
ST_OF_AB = 5 * math.log10(5000.0) - 18.692  # ST minus AB magnitude at 5000 Å


def ab_of_one(given: float | str | None = None, **keywords: object) -> float:
    """AB magnitude of a value of 1."""
    found = calibrate(
        Headers((keywords,), "a.fits"), zero_point_ab=given, survey_zero_point_ab=26.0,
        vega_ab=lambda: VEGA_AB, pixel_area_sr=2e-14,
    )  # fmt: skip
    return 26.0 - 2.5 * math.log10(found.factor(26.0))


@pytest.mark.parametrize(
    ("keywords", "ab"),
    [
        ({"BUNIT": "uJy", "MAGZERO": 23.9}, 23.9),  # Euclid
        ({"MAGZERO": 24.6}, 24.6),  # without BUNIT: the zero point says all
        ({"BUNIT": "ADU", "MAGZERO": 30.0}, 30.0),
        ({"BUNIT": "ADU", "MAGZERO": 30.0, "EXPTIME": 100.0, "GAIN": 2.0}, 30.0),
        ({"BUNIT": "e-/s", "ZP": 26.4}, 26.4),
        ({"BUNIT": "e-/s", "MAGZERO": "26.4"}, 26.4),  # as text
        ({"ZP_STACK": 30.13}, 30.13),  # Euclid's early release observations
        ({"BUNIT": "e-/s", "ZP": 26.0, "MAGSYS": "Vega"}, 26.0 + VEGA_AB),
        ({"BUNIT": "e-/s", "ZP_VEGA": 26.0}, 26.0 + VEGA_AB),
        ({"MAGZERO": ST_OF_AB + 26.0, "MAGSYS": "STMAG", "PHOTPLAM": 5000.0}, 26.0),
        ({"BUNIT": "e-/s", "ZP": 26.0, "ABZP": 26.0 + VEGA_AB}, 26.0 + VEGA_AB),
        ({"MAGZERO": 34.0, "EXPTIME": 1000.0, "PHOTFNU": 3631 * 10 ** (-0.4 * 26.5)}, 34.0),
        ({"MAGZERO": 26.0, "PHOTFLAM": 0.0}, 26.0),
        ({"BUNIT": "adu", "FLUXMAG0": 10**10.8}, 27.0),  # Rubin's stack
        ({"BUNIT": "e-/s", "PHOTFNU": 3631e-10}, 25.0),  # HST
        ({"BUNIT": "DN/s", "PHOTMJSR": 0.5}, AB_OF_NJY - 37.5 - 2.5 * math.log10(1e-14)),  # JWST
        ({"BUNIT": "electron", "EXPTIME": 100.0, "PHOTFNU": 3631e-10}, 30.0),
    ],
)
def test_zero_points_of_headers(keywords: dict[str, object], ab: float) -> None:
    assert ab_of_one(**keywords) == pytest.approx(ab, abs=2e-3)


def test_a_zero_point_of_an_unknown_system_is_told() -> None:
    said = {
        tuple(keywords): calibrate(Headers((keywords,), "a"), survey_zero_point_ab=26.0).notes
        for keywords in (
            {"BUNIT": "e-/s", "ZP": 26.0},
            {"ZP": 26.0},
            {"BUNIT": "e-/s", "ZP": 26.0, "MAGSYS": "AB"},
            {"BUNIT": "e-/s", "ZP_AB": 26.0},
            {"ZP": 26.0, "MAGTYPE": "MAG_AUTO"},  # was taken for a system
            {"ZP": 26.0, "ZPTYPE": "empirical"},
            {"ZP_AB": 26.0, "MAGSYS": "Vega"},
        )
    }
    assert [len(notes) for notes in said.values()] == [1, 1, 0, 0, 1, 1, 1]
    assert "is taken as AB by its name, though MAGSYS = 'Vega'" in said["ZP_AB", "MAGSYS"][0]
    assert "ZP = 26 is taken as the AB magnitude of 1" in next(iter(said.values()))[0]


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"ZP": 25.0, "PHOTFLAM": 1e-19, "PHOTPLAM": 5000.0}, "by PHOTFLAM, but ZP = 25"),
        ({"ZP": 24.67, "ABZP": 26.0}, r"ABZP = 26.0 .*, but ZP = 24.67"),
        ({"BUNIT": "e-/s", "MAGZERO": 24.67, "FLUXMAG0": 1e10}, "MAGZERO = 24.67 .*25.00 or 24.67"),
        ({"ZP": 24.67, "MAGZERO": 24.67 - VEGA_AB}, "MAGZERO .*, but ZP"),  # both taken as AB
        ({"ZP": 25.0, "MAGSYS": "AB", "ZPTYPE": "Vega"}, "MAGSYS = 'AB' and ZPTYPE = 'Vega'"),
        ({"ZP": 25.0, "MAGSYS": "ST"}, "ST system needs the pivot wavelength"),
    ],
)
def test_zero_points_that_contradict_each_other(keywords: dict[str, object], said: str) -> None:
    """The first one was believed before, and ST taken for AB, without a word."""
    with pytest.raises(InputError, match=said):
        ab_of_one(**keywords)
    assert ab_of_one(25.0, **{"BUNIT": "e-/s"} | keywords) == pytest.approx(25.0)


def test_zero_points_that_are_given() -> None:
    assert ab_of_one("26.4 Vega", BUNIT="e-/s", ZP=25.0) == pytest.approx(26.4 + VEGA_AB)
    assert ab_of_one("26.4 AB", BUNIT="e-/s") == pytest.approx(26.4)
    with pytest.raises(InputError, match=r"26\.4 ST, is not a magnitude"):
        ab_of_one("26.4 ST", BUNIT="e-/s")


def test_unit_against_zero_point() -> None:
    """Silent before: 10 nJy written as nJy; the user who gives the unit goes by it."""
    with pytest.raises(InputError, match=r"1 nJy is 31.40 mag \(AB\), but ZP = 28.9"):
        ab_of_one(BUNIT="nJy", ZP=28.9)
    given = calibrate(Headers(({"ZP": 28.9},), "a"), unit="nJy", survey_zero_point_ab=26.0)
    assert 26 - 2.5 * math.log10(given.to_rate) == pytest.approx(31.4, abs=1e-3)


@pytest.mark.parametrize(("key", "per_sr"), [("PIXAR_SR", 1.0), ("PIXAR_A2", 1 / ARCSEC2)])
def test_the_area_of_a_pixel_is_that_of_the_wcs(key: str, per_sr: float) -> None:
    """A surface brightness goes with the pixels that the image has, not with the detector's."""
    right, stale = (
        calibrate(
            Headers(({"BUNIT": "MJy/sr", key: 2e-14 * factor * per_sr},), "a.fits"),
            survey_zero_point_ab=26.0,
            pixel_area_sr=2e-14,
        )
        for factor in (1.005, 2.56)
    )
    assert stale.to_rate == right.to_rate
    assert right.notes == ()
    assert (
        "PIXAR_SR says 5.12e-14 sr a pixel, but by its WCS a pixel has 2e-14 sr" in stale.notes[0]
    )


HST = hst_zero_point(1e-19, 5000.0)


@pytest.mark.parametrize(
    ("own", "primary", "said"),
    [
        ({"MAGZERO": 30.0}, {}, r"by PHOTFLAM, but MAGZERO = 30 in the header"),
        ({"MAGZERO": HST}, {}, ""),
        ({"ZP": HST - VEGA_AB}, {}, ""),  # Vega's
        ({"BUNIT": "ELECTRONS", "EXPTIME": 100.0, "ZP": HST + 5}, {}, ""),  # of 1 electron
        ({"PHOTFNU": 1e-5}, {}, "by PHOTFLAM, but .* by PHOTFNU"),
        ({"PHOTFNU": 3631 * 10 ** (-0.4 * HST)}, {}, ""),
        ({"BUNIT": "ELECTRONS", "EXPTIME": 750.0}, {"EXPTIME": 1500.0}, "EXPTIME = 750.*= 1500"),
        ({"BUNIT": "ELECTRONS", "EXPTIME": 750.0, "XPOSURE": 700.0}, {}, "XPOSURE = 700.*= 750"),
        ({"EXPTIME": 750.0}, {"EXPTIME": 1500.0}, ""),  # a rate needs none
        ({"BUNIT": "ELECTRONS", "EXPTIME": 750.0}, {"D001OUUN": "cps"}, "D001OUUN = 'cps'"),
        ({"D001OUUN": "counts"}, {}, "BUNIT = 'ELECTRONS/S', but AstroDrizzle"),
        ({"D001OUUN": "cps"}, {}, ""),
        ({}, {"PHOTFLAM": 2e-19}, "PHOTFLAM = 1e-19 .* but PHOTFLAM = 2e-19"),
        ({}, {"PHOTFLAM": 1.02e-19}, ""),
        ({"BUNIT": "COUNTS/S", "CCDGAIN": 1.5, "GAIN": 3.0}, {}, "CCDGAIN = 1.5.*GAIN = 3"),
    ],
)
def test_facts_that_contradict_each_other(own: dict, primary: dict, said: str) -> None:
    """The first one was believed before, without a word."""
    keywords = {"PHOTFLAM": 1e-19, "PHOTPLAM": 5000.0, "BUNIT": "ELECTRONS/S", **own}
    both = Headers((keywords, primary), "a.fits")
    options = {"survey_zero_point_ab": HST, "vega_ab": lambda: VEGA_AB}
    if not said:
        assert calibrate(both, **options).factor(HST) > 0
        return
    with pytest.raises(InputError, match=said):
        calibrate(both, **options)


@pytest.mark.parametrize(("unit", "key"), [("nJy", "PHOTFLAM"), ("MJy/sr", "MAGZERO")])
def test_a_flux_density_with_another_zero_point_is_told(unit: str, key: str) -> None:
    zero = {"PHOTFLAM": {"PHOTFLAM": 1e-19, "PHOTPLAM": 5000.0}, "MAGZERO": {"MAGZERO": 30.0}}
    header = Headers(({"BUNIT": unit, "PIXAR_SR": 2e-14, **zero[key]},), "a.fits")
    (note,) = calibrate(header, survey_zero_point_ab=26.0).notes
    assert f"1 {unit} is " in note
    assert f"by {key} 1 unit of the image is" in note
    assert calibrate(header, unit=unit, survey_zero_point_ab=26.0).notes == ()
