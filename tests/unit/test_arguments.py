"""Plain arguments that cannot be: refused by name, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import praesepe
from praesepe.errors import InputError
from praesepe.network.estimator import Estimator
from praesepe.rng import check_seed


def predict(**given: Any) -> Any:
    return praesepe.predict("phat", {"F475W": "none.fits"}, "none.ecsv", **given)


def stamps(**given: Any) -> Any:
    return Estimator.load("phat").predict(np.zeros((1, 3, 64, 64), "f4"), **given)


def mosaic(**given: Any) -> Any:
    return praesepe.simulate_mosaic("phat", **{"n": 1, **given})


SEED = r"seed = .*: it must be a whole number, at least 0 and at most 18446744073709551615"


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        *((check_seed, {"seed": wrong}, SEED) for wrong in (2**64, 0.5, "1", None, True)),
        (praesepe.evaluate, {"model": "phat", "n": 2, "seed": -1}, SEED),
        (praesepe.Simulator, {"survey": "phat", "seed": -1}, SEED),
        (praesepe.Simulator, {"survey": "phat", "n_fields": -1}, "n_fields = -1: .* at least 0"),
        (praesepe.simulate, {"survey": "phat", "n": 2, "seed": 2**70}, SEED),
        (praesepe.simulate, {"survey": "phat", "n": 2.5}, "n = 2.5: .* a whole number"),
        (mosaic, {"seed": -1}, SEED),
        (mosaic, {"density": np.nan}, "density = nan: .* finite number, at least 0"),
        (mosaic, {"size": 64.5}, "size = 64.5: .* a whole number"),
        (predict, {"seed": -1}, SEED),
        (predict, {"n_samples": 10.5}, "n_samples = 10.5: .* a whole number"),
        (predict, {"n_samples": 10**10}, "n_samples = 10000000000: .* at most 100000"),
        (stamps, {"n_samples": 10.5}, "n_samples = 10.5: .* a whole number"),
        (stamps, {"seed": -1}, SEED),
        (praesepe.inject, {"simulator": "phat", "images": 0, "clusters": 0}, "'phat' is no Simul"),
    ],
)
def test_impossible_arguments(
    function: Callable[..., Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        function(**given)


def test_a_survey_is_checked_by_its_name() -> None:
    with pytest.raises(InputError, match="unknown survey 'phatt'"):
        praesepe.check_survey("phatt")


def test_what_is_known_is_a_number_or_a_column() -> None:
    from praesepe.cli.common import known_values

    assert known_values(["a_v=AV:AV_ERR", "foreground_a_v=0.17", "log_distance=LOGD:0.02"]) == {
        "a_v": ("AV", "AV_ERR"),
        "foreground_a_v": 0.17,
        "log_distance": ("LOGD", 0.02),
    }
    for wrong in (["a_v"], ["a_v="], ["=3"], ["a_v=0.4:"], ["a_v=1", "a_v=2"]):
        with pytest.raises(InputError, match=r"--known .*write NAME=VALUE"):
            known_values(wrong)
