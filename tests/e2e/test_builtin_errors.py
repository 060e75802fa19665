"""Errors of Python and of other libraries do not reach who calls the library with bad input."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import praesepe
from praesepe.errors import InputError
from praesepe.survey import Band


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: praesepe.Survey(), r"this makes no Survey:\n  missing key 'name'"),
        (lambda _: Band(), "this makes no Band"),
        (
            lambda _: praesepe.load_survey("phat").with_values(**{"clusters.a_vv": 0}),
            "unknown key 'clusters.a_vv'",
        ),
        (lambda folder: praesepe.upgrade_survey(folder / "no.toml"), "no.toml cannot be read"),
        (lambda folder: praesepe.upgrade_survey(folder), "cannot be read"),
        (lambda _: praesepe.predict("phat", {}, {}, device="gpu"), "no device 'gpu'; give cpu"),
        (lambda _: praesepe.Estimator.load("phat", device="cuda:99"), "cuda:99.*device='cpu'"),
        (lambda _: praesepe.Estimator.load("phat").predict(np.array(["a"])), "not numbers"),
        (lambda _: praesepe.read_labelled("phatt", {}, {}), "unknown survey 'phatt'"),
    ],
)
def test_bad_arguments(call: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call(tmp_path)
    assert "pydantic" not in str(caught.value)


def test_the_arguments_of_read_labelled_are_its_own() -> None:
    with pytest.raises(TypeError, match=r"read_labelled.*'zeropoints'"):
        praesepe.read_labelled("phat", {}, {}, zeropoints={})  # type: ignore[call-arg]


def test_a_model_without_weights_is_incomplete(tmp_path: Path, repository: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(repository / "src/praesepe/data/weights/phat", model)
    (model / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks its weights\.safetensors; copy"):
        praesepe.Estimator.load(model)


def test_draws_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "draws.parquet"
    file.write_text("no Parquet")
    with pytest.raises(InputError, match=r"damaged one; measure the clusters again$"):
        praesepe.read_samples(file)
