"""Zero points that stars and noise tell together."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from praesepe.inference.check import judge as judging
from praesepe.inference.check import star_rows
from praesepe.inference.check.background import Plane
from praesepe.inference.check.colors import Offsets
from praesepe.inference.check.measured import middle_of
from praesepe.inference.check.pixel_rows import background, noise_apart
from praesepe.inference.check.registration import Registration
from praesepe.inference.check.rows import Row
from praesepe.inference.check.verdicts import judged
from praesepe.survey import load_survey

BANDS = [SimpleNamespace(name=name) for name in ("F336W", "F475W", "F814W")]
EXPECTED = (0.0098, 0.0102)


def rows_of(
    monkeypatch: pytest.MonkeyPatch, offset: float, noise: float, *, sparse: bool = True
) -> dict[str, Row]:
    """Rows of zero points of an image that has an offset and a noise in F336W."""
    monkeypatch.setattr(judging, "expected_noise", lambda *_: EXPECTED)
    measured = {"F336W": noise, "F475W": 0.01, "F814W": 0.01}
    judge: Any = SimpleNamespace(
        mosaic=SimpleNamespace(
            survey=SimpleNamespace(bands=BANDS),
            band_names=tuple(measured),
            reprojected=(),
        ),
        measured=SimpleNamespace(
            bands={name: SimpleNamespace(noise=one) for name, one in measured.items()}, area_px=1
        ),
        reference=SimpleNamespace(scatter_mag=np.array([0.03, 0.015, 0.015])),
        swapped=None,
        is_sparse=sparse,
        is_smoothed=lambda _: False,
        declared=lambda *_: 0.0,
        offsets=Offsets(np.array([offset, 0.0, 0.0]), 0.01, 0.0, 300),
    )
    return {row.band: row for row in star_rows.zero_points(judge)}


@pytest.mark.parametrize(
    ("offset", "noise", "verdict"),
    [
        (0.12, 0.0087, "wrong"),  # both 0.15 mag too faint
        (-0.11, 0.0115, "wrong"),
        (-0.12, 0.0087, "unknown"),  # the stars say otherwise
        (-0.25, 0.0180, "unknown"),  # half the exposure: other stars, and other noise
        (0.05, 0.0087, "unknown"),
        (0.15, 0.0100, "unknown"),  # nothing wrong with the noise
        (0.30, 0.0100, "wrong"),
        (1.00, 0.0040, "wrong"),
    ],
)
def test_noise_confirms_a_zero_point_that_few_stars_leave_open(
    monkeypatch: pytest.MonkeyPatch, offset: float, noise: float, verdict: str
) -> None:
    found = rows_of(monkeypatch, offset, noise)
    assert found["F336W"].verdict == verdict
    assert found["F475W"].verdict != "wrong"


def test_what_was_not_measured_is_not_wrong() -> None:
    """An image of 40 px: "values are nan times what they should be"."""
    judge: Any = SimpleNamespace(measured=SimpleNamespace(area_px=1))
    given = Row("unit", "F475W", "nan e-/s", "", "wrong", "check BUNIT", float("nan"))
    (row,) = judged(judge, [lambda _: iter([given])])
    assert (row.verdict, row.advice) == ("unknown", "")


@pytest.mark.parametrize(
    ("n", "structure", "verdict"),
    [
        (1, 0.5, "wrong"),
        (1, 0.86, "unknown"),  # of meshes of 24 px, on 512 px; fine before
        (1, 1.4, "unknown"),
        (1, 1.6, "fine"),
        (16, 0.8, "wrong"),
        (16, 0.9, "note"),
        (16, 1.1, "fine"),
    ],
)
def test_few_sections_leave_a_background_open(n: int, structure: float, verdict: str) -> None:
    seen = SimpleNamespace(planes=n * [Plane(0.0, structure=structure)], structure=structure)
    judge: Any = SimpleNamespace(each=lambda: iter([(BANDS[0], seen)]))
    (row,) = background(judge)
    assert row.verdict == verdict
    assert bool(row.advice) == (verdict != "fine")


@pytest.mark.parametrize(
    ("level", "factor", "apart"),
    [(0.0, 1.0, 1.0), (0.5, 1.0, 1.0), (0.0, 2.0, 2.0), (0.5, 1.5, 1.5)],
)
def test_noise_that_differs_between_parts(level: float, factor: float, apart: float) -> None:
    """What the light of a galaxy adds is no difference of depth."""
    band = load_survey("phat").band("F475W")
    seconds, read = band.typical_exposure_s, band.read_noise_e**2 * band.n_exposures
    planes = []
    for light, times in ((0.0, 1.0), (level, factor)):
        electrons = (band.sky_e_s[0] + band.dark_e_s + light) * seconds + read
        planes += 4 * [Plane(0.0, light, noise=times * np.sqrt(electrons) / seconds)]
    seen: Any = SimpleNamespace(planes=[*planes, Plane(1.0)])
    assert noise_apart(band, seen) == pytest.approx(apart)


def test_the_noise_of_a_wrong_zero_point_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows_of(monkeypatch, 0.15, 0.0087, sparse=False)
    assert found["F336W"].verdict == "wrong"
    judge: Any = SimpleNamespace(measured=SimpleNamespace(area_px=1))
    noise = [Row("noise", band, "", "", "wrong") for band in ("F336W", "F475W")]
    rows = judged(judge, [lambda _: iter(noise), lambda _: iter(found.values())])
    assert [row.verdict for row in rows if row.item == "noise"] == ["note", "wrong"]


def test_a_stretch_is_told_of_the_band_that_has_it() -> None:
    """The band with most stars was taken for the right one, since its middle lies on the others."""
    one = Registration.none((768, 768))
    stretched = replace(one, scale=1e-3)
    places = {"F336W": one, "F475W": stretched, "F814W": replace(one, x_px=0.05)}
    found = {name: where.displacements() for name, where in places.items()}
    assert middle_of(found, first="F475W") != "F475W"
    assert middle_of(found, first="F336W") == "F336W"
