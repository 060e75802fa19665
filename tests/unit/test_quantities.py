"""The registry: how quantities are called and written."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.inference.columns import OTHER_COLUMNS
from praesepe.inference.draws import IDENTITY
from praesepe.mocks.cluster_tables import NO_PARAMETERS
from praesepe.quantities import A_V, LOG_AGE, LOG_MASS, LOG_RH, LOG_Z, RH_PC, Quantity
from praesepe.sky.clusters.parameters import PARAMETERS
from praesepe.sky.truth import BY_BAND, NO_QUANTITIES
from praesepe.survey.clusters import ClusterPrior


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (LOG_AGE, np.log10(3e9), "3 Gyr"),
        (LOG_AGE, 8.9999, "1 Gyr"),
        (LOG_AGE, 8.99, "977 Myr"),
        (LOG_AGE, 5.9, "0.794 Myr"),
        (LOG_MASS, np.log10(250), "250 M☉"),
        (LOG_MASS, np.log10(4000), "4000 M☉"),
        (LOG_MASS, np.log10(15_554), "15\N{THIN SPACE}600 M☉"),
        (LOG_RH, -0.5, "0.316″"),
        (RH_PC, 3.2, "3.2 pc"),
        (A_V, 0.3, "0.3 mag"),
        (LOG_Z, np.log10(0.0142), "0.0142"),
        (
            Quantity("kind", "k", "", "what it is", categories=("cluster", "nothing")),
            1.0,
            "nothing",
        ),
    ],
)
def test_values_in_words(quantity: Quantity, value: float, text: str) -> None:
    assert quantity.value_text(value) == text


def test_a_quantity_without_a_word_is_called_by_its_name() -> None:
    assert Quantity("spin", "s", "", "how it turns").word == "spin"
    assert LOG_AGE.word == "age"


def test_differences_of_logarithms_are_in_dex() -> None:
    assert LOG_MASS.residual_unit == "dex"
    assert A_V.residual_unit == "mag"


def test_quantities_are_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(RH_PC)) is RH_PC  # its derive is a lambda
    unknown = Quantity("spin", "s", "", "how it turns", limits=(0.0, np.inf))
    assert copy.deepcopy(unknown) == unknown


def test_a_prior_belongs_to_one_quantity() -> None:
    with pytest.raises(InputError, match="'log_mass' is the prior of 'log_mass' already"):
        quantities.register(Quantity("weight", "w", "", "a toy", prior="log_mass"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "mag_F475W", "prior": "toy_mag"},
        {"name": "n_stars"},
        {"name": "x"},
        {"name": "FLAGS"},  # FITS knows no case
        {"name": "model"},
        {"name": "distance_pc"},
        {"name": "log_n", "linear": "n_stars", "unit": "dex"},
        {"name": "log_v", "linear": "a_v", "unit": "dex"},
        {"name": "metallicity", "prior": "toy"},
        {"name": "toy", "prior": "stars"},
        {"name": "toy", "prior": "keys"},
        {"name": "toy", "prior": "a b"},
    ],
)
def test_names_of_columns_and_keys_are_refused(wrong: dict[str, str]) -> None:
    given = {"symbol": "t", "unit": "", "description": "a toy"} | wrong
    before = quantities.registered()
    try:
        with pytest.raises(InputError, match=r"quantity '.*': '.*' (is|cannot be) .*; choose"):
            quantities.register(Quantity(**given))
    finally:
        for quantity in quantities.registered()[len(before) :]:
            quantities.unregister(quantity.name)


def test_all_columns_and_keys_are_reserved() -> None:
    own = {quantity.name for quantity in quantities.registered()}
    columns = {*NO_QUANTITIES, *NO_PARAMETERS, *OTHER_COLUMNS, *IDENTITY, *PARAMETERS}
    assert columns - own <= quantities.COLUMNS
    assert tuple(BY_BAND) == quantities.COLUMN_BEGINNINGS
    keys = {*ClusterPrior.model_fields, *vars(ClusterPrior)} - {q.prior for q in quantities.drawn()}
    assert {key for key in keys if not key.startswith(("_", "model_"))} <= quantities.KEYS
