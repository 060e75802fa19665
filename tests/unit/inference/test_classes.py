"""Whether there is a cluster: under other odds than the training's, and what is there instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.table import Table

from praesepe.errors import InputError
from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.inference.classes import ClassOdds, class_values, make_odds, redraw
from praesepe.inference.prediction import predict
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior
from praesepe.survey import load_survey

INFERS = ("log_age", "log_mass", "log_rh", "a_v", "object_class", "log_visibility")
KINDS = ("none", "empty", "group", "star", "galaxy", "artefact", "off_center")


@pytest.fixture(scope="module")
def model() -> Estimator:
    """It tells class and kind, of which the training had seven clusters in ten."""
    survey = load_survey("phat").with_values(
        contaminants={"fraction": 0.3}, network={"catalog_prior": {"a_v": "exponential:0.7"}}
    )
    infers = (*INFERS, "contaminant")
    made = Estimator.untrained(survey, encoder="tiny", infers=infers, seed=3)
    with torch.no_grad():
        for logits in made.net.head.logits.values():
            logits.bias[0] += 2.0  # background, or none
    return made


def test_the_share_of_the_training_is_divided_out() -> None:
    """Likelihoods of 4 to 1 for a cluster; by Bayes with odds of 1:1000, 4 to 1000."""
    prior, likelihood = np.array([0.3, 0.7]), np.array([1.0, 4.0])
    trained = (prior * likelihood / (prior * likelihood).sum())[None].astype(np.float32)
    names = ("object_class",)
    posterior = Posterior(
        np.zeros((1, 4, 1), np.float32), np.zeros(1, np.float32), lambda x: x, names,
        {"object_class": trained},
    )  # fmt: skip
    for odds, expected in ((1.0, 4 / 5), (1e-3, 4 / 1004), (7 / 3, trained[0, 1])):
        found = class_values(ClassOdds(7 / 3, odds).shares(posterior))
        assert found["p_cluster"] == pytest.approx(expected, rel=1e-5)


def test_kinds_are_those_of_what_is_no_cluster() -> None:
    shares = np.full((2, 7), 0.05)
    shares[:, 0], shares[:, KINDS.index("galaxy")] = (0.45, 0.6), (0.3, 0.15)
    found = class_values({"contaminant": shares})
    assert found["p_cluster"].tolist() == [0.45, 0.6]
    assert found["contaminant"].tolist() == ["galaxy", ""]
    draws = np.zeros((2, 1000, 1), np.float32)
    redraw(draws, ["contaminant"], {"contaminant": shares})
    counted = [(draws[..., 0] == k).mean(1) for k in range(7)]
    np.testing.assert_allclose(np.transpose(counted), shares, atol=2e-3)


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W50")
def test_a_catalog_tells_the_class(model: Estimator, noise: Any, tmp_path: Path) -> None:
    for given, number in {"1:1000": 1e-3, None: 1.0}.items():
        result = predict(
            model, *noise, check=False, n_samples=200, cluster_odds=given, keep="draws"
        )
        stamps = extract_stamps(result.observation, *result._positions, 64)
        exact = model.predict(stamps.images[:3], rows=[0, 1, 2]).probabilities["object_class"]
        expected = exact[:, 1] * number / (exact[:, 1] * number + exact[:, 0] * 7 / 3)
        np.testing.assert_allclose(result["p_cluster"][:3], expected, rtol=1e-4, atol=1e-6)
        drawn = result.samples[:3, :, INFERS.index("object_class")].mean(1)
        np.testing.assert_allclose(drawn, expected, atol=0.01)
    assert result.meta["cluster_odds"] == "1:1"
    assert result["p_cluster"].mask.tolist() == [False] * 3 + [True]
    assert all(kind in KINDS[1:] for kind in result["contaminant"][:3])
    assert not {"object_class_cluster", "contaminant_star"} & set(result.colnames)
    for suffix in ("ecsv", "fits", "vot", "csv", "parquet"):
        read = Table.read(result.save(tmp_path / f"measured.{suffix}"))
        np.testing.assert_allclose(read["p_cluster"][:3], result["p_cluster"][:3], atol=1e-6)
        assert [str(kind) for kind in read["contaminant"][:3]] == list(result["contaminant"][:3])


def test_the_prior_of_catalogs_is_the_default(model: Estimator, noise: Any) -> None:
    settings: Any = {"check": False, "n_samples": 500}
    usual = predict(model, *noise, **settings)
    asked = predict(model, *noise, **settings, prior={"a_v": "exponential:0.7"})
    flat = predict(model, *noise, **settings, prior={"a_v": "uniform"})
    assert usual.meta["prior"]["a_v"] == "exponential:0.7"
    assert flat.meta["prior"]["a_v"] == "uniform:0:2.5"
    assert (usual["a_v_p50"] == asked["a_v_p50"])[:3].all()
    assert (usual["a_v_p50"] < flat["a_v_p50"] - 0.2)[:3].all()
    # The class is that of the stamp, whatever is expected of the quantities.
    np.testing.assert_array_equal(usual["p_cluster"][:3], flat["p_cluster"][:3])
    assert (usual["n_modes"] > 0).tolist() == [True] * 3 + [False]
    with pytest.raises(InputError, match="unknown quantity 'av'"):
        load_survey("phat").with_values(network={"catalog_prior": {"av": "exponential:1"}})


@pytest.mark.parametrize("given", ["1:0", "0", "x", "1:2:3", "-1", "inf", ":", 0.0])
def test_what_are_no_odds(model: Estimator, given: str | float) -> None:
    with pytest.raises(InputError, match=r"cluster_odds = .* such as 1:1000"):
        make_odds(model, given)


def test_a_model_without_classes_has_no_odds() -> None:
    plain = Estimator.untrained(load_survey("phat"), encoder="tiny")
    assert make_odds(plain, None) is None
    with pytest.raises(InputError, match="'phat' does not tell clusters"):
        make_odds(plain, "1:1")
