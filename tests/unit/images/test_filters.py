"""An image through another filter is found by its pivot wavelength; the right one never is."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from praesepe.errors import InputError
from praesepe.images.units.filters import check_filters
from praesepe.images.units.headers import Headers
from praesepe.stars.curves import load_passband, passband_names
from praesepe.survey import Survey, load_survey, parse_survey


def survey_of(*bands: tuple[str, str]) -> Survey:
    """Survey with bands of the given names and filter curves."""
    content = load_survey("phat-nodust").model_dump()
    like = content["observation"]["bands"][1]
    like["psf"]["file"] = "psf.fits"  # the optical model is Hubble's
    content["observation"]["bands"] = [
        {**like, "name": name, "filter": curve, "instrument": ""} for name, curve in bands
    ]
    return parse_survey({**content, "name": "any"})


def check(survey: Survey, *pivots: float | None) -> list[str]:
    headers = {
        band.name: Headers([{} if pivot is None else {"PHOTPLAM": pivot}], band.name)
        for band, pivot in zip(survey.bands, pivots, strict=True)
    }
    return check_filters(survey, headers)


def space_filters() -> list[str]:
    return [name for name in passband_names() if re.match(r"(acs_wfc|wfc3|wfpc2|nic\d)_", name)]


def test_no_filter_is_taken_for_another() -> None:
    """Every pair of HST's filters passes with its own pivots; swaps and neighbours do not."""
    pivot = {name: load_passband(name).pivot_angstrom for name in space_filters()[::3]}
    for one, two in itertools.combinations(pivot, 2):
        survey = survey_of(("a", one), ("b", two))
        assert check(survey, pivot[one], pivot[two]) == []
        if abs(math.log(pivot[one] / pivot[two])) > 0.006:
            with pytest.raises(InputError, match="PHOTPLAM"):
                check(survey, pivot[two], pivot[one])


@pytest.mark.parametrize(
    ("curves", "pivots", "words"),
    [
        (("acs_wfc_f555w",), (5308.4,), "has 5360 Å.*another camera"),  # of UVIS, 1 % off
        (("acs_wfc_f475w",), (4773.1,), "another camera"),
        (("acs_wfc_f814w",), (8029.5,), "another camera"),  # 0.4 % off, silent before
        (("acs_wfc_f814w",), (8057.0,), None),  # an older calibration of the same
        (("wfc3_uvis_f814w",), (8039.1,), None),
        (("wfc3_uvis_f336w", "wfc3_ir_f160w"), (None, 15369.2), None),
    ],
)
def test_a_curve_of_another_camera_is_a_doubt(curves, pivots, words) -> None:
    doubts = check(survey_of(*((f"band{i}", curve) for i, curve in enumerate(curves))), *pivots)
    assert len(doubts) == (words is not None)
    assert words is None or re.search(words, doubts[0])


@pytest.mark.parametrize(
    ("curve", "pivot"),
    [
        ("wfc3_uvis_f555w", 5442.9),  # WFPC2 F555W
        ("wfc3_ir_f160w", 16037.0),  # NICMOS F160W
        ("wfc3_uvis_f336w", 3435.2),  # F343N
        ("acs_wfc_f814w", 7693.5),  # F775W: within 8 % of the number in the name
        ("sdss_g0", 8057.0),  # no number in its name
    ],
)
def test_another_filter_is_refused(curve: str, pivot: float) -> None:
    with pytest.raises(InputError, match=r"PHOTPLAM = .* Å, and the band's filter curve has .* Å"):
        check(survey_of(("any", curve)), pivot)


def test_the_band_that_the_image_fits_is_named() -> None:
    survey = survey_of(("V", "acs_wfc_f555w"), ("I", "acs_wfc_f814w"))
    assert check(survey, 5361.0, 8057.0) == check(survey, None, None) == []
    with pytest.raises(InputError, match=r"for band 'V', but .* is it the image for band 'I'"):
        check(survey, 8057.0, 8057.0)
    with pytest.raises(InputError, match=r"for band 'I', .* = 11534 Å.*; give the image"):
        check(survey, 5361.0, 11534.0)


def test_one_filter_of_two_cameras_swapped() -> None:
    survey = survey_of(("U", "wfc3_uvis_f555w"), ("A", "acs_wfc_f555w"))
    assert check(survey, 5308.4, 5361.0) == []
    with pytest.raises(InputError, match="is it the image for band"):
        check(survey, 5361.0, 5308.4)


NAMED = {
    "ACS": (("F336W", "wfc3_uvis_f336w"), ("F814W", "acs_wfc_f814w")),
    "NIRCam": (("F150W", "NIRCam F150W"), ("F444W", "NIRCam F444W"), ("F405N", "NIRCam F405N")),
    "Roman": (("F158", "Roman F158"), ("F184", "Roman F184")),
    "Euclid": (("Y", "Euclid NISP Y"), ("H", "Euclid NISP H")),
}


@pytest.mark.parametrize(
    ("camera", "band", "header", "said"),
    [
        ("NIRCam", "F444W", {"FILTER": "F277W-CLEAR"}, "FILTER = 'F277W'"),
        ("NIRCam", "F444W", {"FILTER": "F150W-CLEAR"}, "is it the image for band 'F150W'"),
        ("NIRCam", "F444W", {"FILTER": "F444W-CLEAR", "PUPIL": "CLEAR"}, ""),
        ("NIRCam", "F444W", {"FILTER": "F444W", "PUPIL": "F405N"}, "PUPIL = 'F405N'.*'F405N'"),
        ("NIRCam", "F405N", {"FILTER": "F444W", "PUPIL": "F405N"}, ""),
        ("NIRCam", "F150W", {"FILTER": "F150W", "PUPIL": "F162M"}, "PUPIL = 'F162M'"),
        ("NIRCam", "F150W", {"FILTER": "CLEAR", "PUPIL": "f150w"}, ""),
        ("Roman", "F158", {"FILTER": "F213"}, "FILTER = 'F213'"),
        ("Roman", "F158", {"FILTER": "F184"}, "is it the image for band 'F184'"),
        ("Roman", "F158", {"FILTER": "F158"}, ""),
        ("ACS", "F336W", {"FILTER": "F184"}, "FILTER = 'F184'"),
        ("ACS", "F336W", {"FILTER": "HST/WFC3_UVIS.F275W"}, "FILTER = 'F275W'"),
        ("ACS", "F336W", {"FILTER": "UVIS_F275W"}, "FILTER = 'F275W'"),
        ("ACS", "F336W", {"FILTER": "WFC3_UVIS_F336W"}, ""),
        ("ACS", "F814W", {"FILTER1": "F814W", "FILTER2": "POL0V", "PHOTMODE": "ACS F814W"}, ""),
        ("ACS", "F814W", {"FILTER": "F814"}, ""),
        ("ACS", "F814W", {"FILTER": "detection"}, "FILTER = 'DETECTION'"),
        ("ACS", "F814W", {"EXTNAME": "F336W"}, "EXTNAME = 'F336W'.*is it the image for band 'F336"),
        ("ACS", "F814W", {"EXTNAME": "SCI_F336W"}, "EXTNAME = 'F336W'"),
        ("ACS", "F814W", {"EXTNAME": "F814W"}, ""),
        ("ACS", "F814W", {"EXTNAME": "SCI", "BAND": "i"}, ""),
        ("ACS", "F336W", {"INSFILTE": "F814W"}, "INSFILTE = 'F814W'"),
        ("ACS", "F336W", {"FILTNAME": "F814W"}, "FILTNAME = 'F814W'"),
        ("ACS", "F336W", {"FILTERS": "F814W"}, "FILTERS = 'F814W'"),
        ("ACS", "F336W", {"FILT": "F814W"}, "FILT = 'F814W'"),
        ("ACS", "F336W", {"BAND": "F814W"}, "BAND = 'F814W'"),
        ("ACS", "F336W", {"ESO INS FILT1 NAME": "F814W"}, "ESO INS FILT1 NAME = 'F814W'"),
        ("Euclid", "Y", {"EXTNAME": "H"}, "EXTNAME = 'H'"),
        ("Euclid", "Y", {"EXTNAME": "CCD.H"}, ""),
        ("Euclid", "Y", {"FILTER": "NIR_H"}, "is it the image for band 'H'"),
        ("Euclid", "Y", {"FILTER": "NIR_J"}, "FILTER = 'J'"),
        ("Euclid", "Y", {"FILTER": "VIS"}, "FILTER = 'VIS'"),
        ("Euclid", "Y", {"FILTER": "NIR_Y"}, ""),
    ],
)
def test_names_of_filters(camera: str, band: str, header: dict[str, str], said: str) -> None:
    survey = survey_of(*NAMED["ACS"])
    like = survey.bands[0]  # not looked at further: the telescope's PSF is another's
    bands = [like.model_copy(update={"name": n, "filter": f}) for n, f in NAMED[camera]]
    seen = survey.observation.model_copy(update={"bands": tuple(bands)})
    survey = survey.model_copy(update={"observation": seen})
    headers = {b: Headers([header if b == band else {}], b) for b in survey.band_names}
    if not said:
        assert check_filters(survey, headers) == []
        return
    with pytest.raises(InputError, match=said):
        check_filters(survey, headers)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ({"FILTER": "F606W/F814W"}, "F606W and F814W"),  # a detection image of two filters
        ({"FILTER": "F814X", "PHOTMODE": "ACS WFC1 F814W"}, "F814W and F814X"),
        ({"FILTER": "detection", "PHOTMODE": "ACS WFC1 F814W"}, "DETECTION and F814W"),
        ({"FILTER": "F814W", "EXTNAME": "F475W"}, "F475W and F814W"),
    ],
)
def test_several_filters_are_a_doubt(header: dict[str, str], named: str) -> None:
    headers = Headers([header], "a.fits")
    (doubt,) = check_filters(survey_of(("F814W", "acs_wfc_f814w")), {"F814W": headers})
    assert f"names the filters {named}" in doubt
