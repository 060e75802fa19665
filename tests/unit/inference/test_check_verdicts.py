"""Verdicts that rest on two measurements."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from praesepe.inference.check import verdicts
from praesepe.inference.check.rows import Row


@pytest.mark.parametrize(
    ("noise", "offset", "verdict"),
    [
        (0.0087, 0.12, "wrong"),  # both 0.15 mag too faint
        (0.0115, -0.11, "wrong"),
        (0.0087, -0.12, "unknown"),  # the stars say otherwise
        (0.0141, -0.02, "unknown"),  # half the exposure: noise alone
        (0.0087, 0.05, "unknown"),
    ],
)
def test_noise_confirms_a_zero_point_that_few_stars_leave_open(
    monkeypatch: pytest.MonkeyPatch, noise: float, offset: float, verdict: str
) -> None:
    monkeypatch.setattr(verdicts, "expected_noise", lambda *_: (0.0098, 0.0102))
    survey = SimpleNamespace(band=lambda name: name)
    judge: Any = SimpleNamespace(
        mosaic=SimpleNamespace(survey=survey), measured=SimpleNamespace(area_px=1)
    )
    rows = [
        Row("noise", "F475W", "", "", "wrong", "deeper", noise),
        Row("zero point", "F475W", "", "", "unknown", "few stars", offset),
        Row("zero point", "F814W", "", "", "unknown", "few stars", offset),  # its noise is fine
    ]
    found = {(r.item, r.band): r.verdict for r in verdicts.judged(judge, [lambda _: iter(rows)])}
    assert found["zero point", "F475W"] == verdict
    assert found["noise", "F475W"] == ("note" if verdict == "wrong" else "wrong")
    assert found["zero point", "F814W"] == "unknown"
