"""Errors of Python and of other libraries do not reach who calls the library with bad input."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import praesepe
from praesepe.errors import InputError
from praesepe.images.inputs import CatalogReading, ImageReading
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
        (lambda _: praesepe.Estimator.load("phat").predict(np.array(["a"])), "not real numbers"),
        (lambda _: praesepe.read_labelled("phatt", {}, {}), "unknown survey 'phatt'"),
    ],
)
def test_bad_arguments(call: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call(tmp_path)
    assert "pydantic" not in str(caught.value)


VERBS: dict[str, partial[Any]] = {
    "predict": partial(praesepe.predict, "phat", {}, catalog={}),
    "check": partial(praesepe.check, "phat", {}, catalog={}),
    "build_fields": partial(praesepe.build_fields, "phat", {}, catalog={}, out="fields"),
    "read_labelled": partial(praesepe.read_labelled, "phat", {}, catalog={}),
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_argument_is_told_with_the_nearest(verb: str) -> None:
    with pytest.raises(InputError, match=rf"argument of {verb}: 'zeropoints'.*'zero_points'"):
        VERBS[verb](zeropoints={})
    own = list(signature(getattr(praesepe, verb)).parameters)[-2]
    with pytest.raises(InputError, match=rf"argument of {verb}: '{own}s'.*'{own}'"):
        VERBS[verb](**{f"{own}s": None})


def test_options_of_reading_are_those_of_images_and_catalogs() -> None:
    pairs = (praesepe.Mosaic.read, ImageReading), (praesepe.Catalog.read, CatalogReading)
    for read, options in pairs:
        keywords = [p.name for p in signature(read).parameters.values() if p.kind == p.KEYWORD_ONLY]
        assert set(keywords) - {"sampled"} == set(options.__annotations__)  # of `check` alone


@pytest.mark.parametrize("verb", ["check", "build_fields"])
def test_without_a_catalog_its_options_are_refused(verb: str) -> None:
    with pytest.raises(InputError, match="origin would be ignored: no catalog is given"):
        VERBS[verb](catalog=None, origin=1)


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
