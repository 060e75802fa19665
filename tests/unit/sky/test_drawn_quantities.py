"""A quantity that is drawn is one entry of the registry and one key of a survey."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.quantities import DEFAULT_INFERRED, Quantity
from praesepe.sky.clusters.parameters import draw_clusters
from praesepe.sky.simulator import Simulator
from praesepe.sky.truth import varying_parameters
from praesepe.survey import Survey, load_survey, parse_survey

TOYS = (
    Quantity("toy", "q", "", "one that changes no star", limits=(0.0, 4.0), prior="toy"),
    Quantity("log_toy", "T", "dex", "a logarithm", linear="size", prior="size"),
    Quantity("kind", "k", "", "a class", categories=("a", "b", "c"), prior="kind"),
    Quantity("twice", "2q", "", "derives", sources=("toy",), derive=lambda of, _: 2 * of["toy"]),
)
GIVEN = {"toy": [0.0, 1.0], "size": [10.0, 1000.0], "kind": ["a", "c"]}


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    for quantity in TOYS:
        quantities.register(quantity)
    yield
    for quantity in TOYS:
        quantities.unregister(quantity.name)


def survey_with(**clusters: Any) -> Survey:
    phat = load_survey("phat-nodust")
    return phat.with_values(observation={"bands": phat.bands[1:2]}, clusters=clusters)


def drawn(survey: Survey, n: int = 4000) -> Any:
    return draw_clusters(survey, n, generator=torch.Generator().manual_seed(1))


def test_each_is_drawn_evenly_and_moves_no_other() -> None:
    clusters, usual = drawn(survey_with(**GIVEN)), drawn(survey_with())
    for name, low, high in (("toy", 0, 1), ("log_toy", 1, 3)):
        values = clusters.more[name].double().numpy()
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.003
        assert stats.kstest(values**2, stats.uniform(low, high - low).cdf).pvalue < 1e-6
    counts = np.bincount(clusters.more["kind"].numpy(), minlength=3)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2]]).pvalue > 0.003
    assert usual.more == {}
    for name, values in usual.parameters().items():
        assert torch.equal(values, clusters.parameters()[name])


def test_they_stand_in_the_truth_and_move_no_stamp() -> None:
    mocks = Simulator(survey_with(**GIVEN), seed=3, n_fields=0).draw(5)
    usual = Simulator(survey_with(), seed=3, n_fields=0).draw(5)
    assert {"toy", "log_toy", "kind"} <= set(mocks.truth)
    assert not {"toy", "log_toy", "kind"} & set(usual.truth)
    torch.testing.assert_close(mocks.values(["twice"])[:, 0], 2 * mocks.truth["toy"])
    assert set(mocks.truth) - set(usual.truth) == {"toy", "log_toy", "kind"}


@pytest.mark.parametrize(
    ("clusters", "told"),
    [
        ({"metallicity": 0.0142}, {"gamma", "tidal_radius"}),
        ({"a_v": (0.0, 0.0)}, {"gamma", "tidal_radius"}),
        ({"a_v": 1.0, "profile": "plummer"}, {"a_v", "profile"}),
        ({"profile": ("eff", "king")}, {"gamma", "tidal_radius", "profile", "concentration"}),
        ({"ellipticity": (0.0, 0.3)}, {"gamma", "tidal_radius", "ellipticity", "angle"}),
        ({"metallicity": (0.01, 0.02), "kind": "a"}, {"gamma", "tidal_radius", "log_z", "kind"}),
    ],
)
def test_the_truth_tells_what_is_not_at_a_fixed_default(
    clusters: dict[str, Any], told: set[str]
) -> None:
    survey = survey_with(**({"metallicity": 0.0142} | clusters))
    assert set(varying_parameters(drawn(survey, 2), survey)) == told | {*DEFAULT_INFERRED}


def test_they_can_be_given() -> None:
    simulator = Simulator(survey_with(**GIVEN), seed=3, n_fields=0)
    mocks = simulator.observe({"log_mass": 3.0, "toy": [0.2, 0.4], "kind": ["c", "a"]})
    np.testing.assert_allclose(mocks.truth["toy"], [0.2, 0.4], rtol=1e-6)
    assert mocks.truth["kind"].tolist() == [2, 0]
    with pytest.raises(InputError, match=r"toy = 5; allowed are 0 to 4"):
        simulator.observe({"toy": 5.0})
    with pytest.raises(InputError, match="unknown kind 'd'"):
        simulator.observe({"kind": "d"})
    with pytest.raises(InputError, match=r"unknown cluster parameter 'toyy'\. Did you mean 'toy'"):
        simulator.observe({"toyy": 0.5})


def test_a_survey_holds_them() -> None:
    survey = survey_with(**GIVEN)
    assert [quantity.name for quantity in survey.clusters.drawn_beside()] == [
        "toy",
        "log_toy",
        "kind",
    ]
    assert survey.drawn_range(quantities.get("log_toy")) == pytest.approx((1.0, 3.0))
    again = parse_survey(survey.model_dump(mode="json", exclude_none=True))
    assert again == survey
    assert survey.fingerprint() != survey_with().fingerprint()
    assert "toy = [0.0, 1.0]" in survey.to_toml()
    one = survey_with(toy=0.5)
    assert drawn(one, 3).more["toy"].tolist() == [0.5] * 3
    with pytest.raises(InputError, match="does not say what 'toy' is drawn from"):
        survey_with().drawn_range(quantities.get("toy"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"toyy": [0.0, 1.0]}, "unknown key 'clusters.toyy'. Did you mean 'toy'"),
        ({"log_agee": [7.0, 8.0]}, "Did you mean 'log_age'"),
        ({"toy": [1.0, 0.0]}, "must not exceed"),
        ({"toy": [0.0, 5.0]}, "toy = .0.0, 5.0.: allowed are 0 to 4"),
        ({"toy": "a"}, "toy = a: give a number, or a range"),
        ({"size": [0.0, 5.0]}, "must be positive"),
        ({"kind": ["a", "d"]}, "allowed are a, b and c"),
        ({"kind": 1.0}, "allowed are a, b and c"),
    ],
)
def test_what_cannot_be_drawn(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        survey_with(**given)
