"""An image through another filter is found by its pivot wavelength; the right one never is."""

from __future__ import annotations

import itertools
import re

import pytest

from praesepe.errors import InputError
from praesepe.images.filters import check_filters
from praesepe.images.units import Headers
from praesepe.stars.curves import load_passband
from praesepe.survey import Survey, load_survey, parse_survey


def survey_of(*bands: tuple[str, str]) -> Survey:
    """Survey with bands of the given names and filter curves."""
    content = load_survey("phat-nodust").model_dump()
    like = content["observation"]["bands"][1]
    content["observation"]["bands"] = [
        {**like, "name": name, "filter": curve} for name, curve in bands
    ]
    return parse_survey({**content, "name": "any"})


def check(survey: Survey, *pivots: float | None) -> None:
    headers = {
        band.name: Headers([{} if pivot is None else {"PHOTPLAM": pivot}], band.name)
        for band, pivot in zip(survey.bands, pivots, strict=True)
    }
    check_filters(survey, headers)


def space_filters() -> list[str]:
    observate = pytest.importorskip("sedpy.observate")
    names = observate.list_available_filters()
    return [name for name in names if re.fullmatch(r"(acs|wfc3|wfpc2|jwst)_.*f\d+[wmn]", name)]


def test_no_filter_is_taken_for_another() -> None:
    """Every pair of HST's and JWST's filters passes with its own pivots; most swaps do not."""
    names = space_filters()
    pivot = {name: load_passband(name).pivot_angstrom for name in names}
    found = n = 0
    for one, two in itertools.combinations(names[::3], 2):
        survey = survey_of(("a", one), ("b", two))
        check(survey, pivot[one], pivot[two])
        if one[-4:] != two[-4:]:
            n += 1
            try:
                check(survey, pivot[two], pivot[one])
            except InputError:
                found += 1
    assert n > 300
    assert found > 0.97 * n


@pytest.mark.parametrize(
    ("bands", "pivots"),
    [
        (("F775W", "F814W"), (8057.0, 7693.5)),  # both within 8 %
        (("F336W", "F343N"), (3435.2, 3354.5)),
        (("F110W", "F160W"), (15369.2, 11534.5)),
    ],
)
def test_neighbours(bands: tuple[str, str], pivots: tuple[float, float]) -> None:
    survey = survey_of(*((name, "acs_wfc_f814w") for name in bands))
    check(survey, *reversed(pivots))
    check(survey, pivots[1], None)
    with pytest.raises(InputError, match=f"{bands[0]!r}.*PHOTPLAM = .* Å.*{bands[1]!r}"):
        check(survey, *pivots)


def test_number_from_the_curve() -> None:
    survey = survey_of(("V", "acs_wfc_f555w"), ("I", "acs_wfc_f814w"))
    check(survey, 5361.0, 8057.0)
    with pytest.raises(InputError, match=r"for band 'V', but .* is it the image for band 'I'"):
        check(survey, 8057.0, 8057.0)
    with pytest.raises(InputError, match=r"for band 'I', .* = 11534 Å; give the image"):
        check(survey, 5361.0, 11534.0)


def test_names_without_a_number_are_exempt() -> None:
    """Long passes too: the pivot of F350LP is 5850 Å."""
    survey = survey_of(("g", "sdss_g0"), ("F350LP", "sdss_r0"))
    check(survey, 8057.0, 5850.0)
    check(survey, None, None)
