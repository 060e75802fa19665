"""Bins of true values: whose names stay, whose labels can be read, and that leave nothing out."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.errors import PraesepeWarning
from praesepe.evaluation.bins import bins_of, usable
from praesepe.quantities import A_V, LOG_AGE, LOG_MASS, LOG_RH, Quantity
from praesepe.survey import load_survey

BINS = load_survey("phat-nodust").evaluation.bins
THREE = (LOG_AGE, LOG_MASS, LOG_RH)
PRIORS = {"log_age": (6.6, 10.1), "log_mass": (2.0, 4.5), "log_rh": (-1.097, -0.097)}
LOG_3_GYR = np.log10(3e9)


def selected(truth: np.ndarray) -> dict[str, np.ndarray]:
    """Which clusters are in which bin of M31."""
    return {one.name: one.selected for one in bins_of(truth, THREE, PRIORS, BINS)}


def test_bins() -> None:
    truth = np.array(
        [
            [9.0, np.log10(250.001), -0.5],
            [9.0, 3.5, -0.5],
            [9.6, 3.5, -0.5],
            [7.0, 2.39, -0.5],
            [10.05, 4.49, -0.5],
        ]
    )
    inside = selected(truth)
    assert inside["all"].all()
    assert inside["seed_range"].tolist() == [True, True, False, False, False]
    assert inside["m_gt_1000"].tolist() == [False, True, False, False, False]
    assert inside["age_9.0_9.5"].tolist() == [True, True, False, False, False]
    assert inside["age_7.0_7.5"].tolist() == [False, False, False, True, False]
    assert inside["age_10.0_10.5"].tolist() == [False, False, False, False, True]
    assert inside["mass_2.0_2.5"].tolist() == [True, False, False, True, False]
    ages = [name for name in inside if name.startswith("age_")]
    assert ages[0] == "age_6.5_7.0"
    assert len(ages) == 8
    assert [name for name in inside if name.startswith("mass_")][-1] == "mass_4.0_4.5"
    sizes = [name for name in inside if name.startswith("rh_")]
    assert sizes == ["rh_-1.5_-1.0", "rh_-1.0_-0.5", "rh_-0.5_0.0"]


def test_no_mass_is_left_out(rng: np.random.Generator) -> None:
    """The stars drawn can exceed the largest mass of the prior, 10^4.5 Msun."""
    truth = np.column_stack(
        [rng.uniform(6.6, 10.1, 500), rng.uniform(1.9, 4.5, 500), np.full(500, -0.5)]
    )
    truth[0, 1], truth[1, 1] = 4.5, 4.52
    inside = selected(truth)
    masses = [member for name, member in inside.items() if name.startswith("mass_")]
    assert (np.sum(masses, axis=0) == 1).all()
    assert inside["mass_4.5_5.0"].sum() == 2
    assert inside["mass_1.5_2.0"].any()
    assert "mass_4.5_5.0" not in selected(np.clip(truth, None, (10.0, 4.4, 0)))


def test_three_gyr_is_the_limit() -> None:
    truth = np.array([[LOG_3_GYR - 1e-6, 3.2, -0.5], [LOG_3_GYR + 1e-6, 3.2, -0.5]])
    assert selected(truth)["seed_range"].tolist() == [True, False]


def test_labels_are_words() -> None:
    labels = {one.name: one.label for one in bins_of(np.zeros((0, 3)), THREE, PRIORS, BINS)}
    assert labels["seed_range"] == "age ≤ 3 Gyr, mass 250–4000 M☉"
    assert labels["m_gt_1000"] == "age ≤ 3 Gyr, mass ≥ 1000 M☉"
    assert labels["age_6.5_7.0"] == "log age 6.5 to 7.0"


def test_other_quantities(rng: np.random.Generator) -> None:
    kind = Quantity("kind", "k", "", "what it is", categories=("cluster", "nothing"))
    truth = np.column_stack([rng.uniform(0, 2.5, 300), rng.integers(0, 2, 300)])
    bins = bins_of(truth, (A_V, kind), {"a_v": (0.0, 2.5)})
    labels = {one.name: one.label for one in bins}
    assert labels["a_v_0.5_1.0"] == "extinction 0.5 to 1.0 mag"
    assert labels["kind_nothing"] == "kind: nothing"
    for prefix in ("a_v_", "kind_"):
        members = [one.selected for one in bins if one.name.startswith(prefix)]
        assert (np.sum(members, axis=0) == 1).all()
    assert "seed_range" not in labels


@pytest.mark.parametrize("width", [0.7, 1.0, 30.0])
def test_every_value_has_one_bin(rng: np.random.Generator, width: float) -> None:
    values = np.round(rng.uniform(0, width, 2000), 2)[:, None]
    members = [one.selected for one in bins_of(values, (A_V,), {"a_v": (0, width)})[1:]]
    assert 4 <= len(members) <= 11
    assert (np.sum(members, axis=0) == 1).all()


def test_keys_do_not_move_with_the_sample(rng: np.random.Generator) -> None:
    def keys(high: float) -> list[str]:
        values = rng.uniform(0, high, 50)[:, None]
        return [one.name for one in bins_of(values, (A_V,), {"a_v": (0.0, 1.9)})]

    assert keys(0.3) == keys(1.8) == ["all", "a_v_0.0_0.2", *keys(1.8)[2:]]
    assert set(keys(0.3)) < set(keys(6.0))  # beyond the prior there are more of the same width


def test_rounding_moves_nothing_over_an_edge() -> None:
    """0.3 / 0.1 is less than 3, and 0.7 - 0.3 less than 0.4."""
    bins = bins_of(np.array([[0.3], [0.6], [0.7 - 1e-9]]), (A_V,), {"a_v": (0.3, 0.7)})
    assert [(one.name, one.selected.tolist()) for one in bins[1:]] == [
        ("a_v_0.3_0.4", [True, False, False]),
        ("a_v_0.4_0.5", [False, False, False]),
        ("a_v_0.5_0.6", [False, False, False]),
        ("a_v_0.6_0.7", [False, True, False]),
        ("a_v_0.7_0.8", [False, False, True]),
    ]


def test_what_is_not_known_is_in_no_bin() -> None:
    bins = bins_of(np.array([[np.nan], [1.2]]), (A_V,), {"a_v": (0.0, 2.0)})
    assert np.sum([one.selected for one in bins[1:]], axis=0).tolist() == [0, 1]


def test_a_bin_of_what_is_not_inferred_is_left_out() -> None:
    named = {"young": {"log_age": (6, 7)}, "dusty": {"a_v": (1, 2)}}
    with pytest.warns(PraesepeWarning, match=r"'young' is left out: .* log_age.* infers a_v"):
        assert usable(named, ["a_v"]) == {"dusty": {"a_v": (1, 2)}}
    assert usable(named, ["a_v", "log_age"]) == named
