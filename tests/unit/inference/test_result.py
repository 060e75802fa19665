"""What `predict` returns reads like its table, and remembers what it came from."""

from __future__ import annotations

import copy
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.inference.columns import ModelContext, output_columns, summarise
from praesepe.inference.prediction import predict
from praesepe.inference.result import Result
from praesepe.network.estimator import Estimator
from praesepe.quantities import Quantity
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")


@pytest.fixture(scope="module")
def model() -> Estimator:
    return Estimator.untrained(PHAT, encoder="tiny", seed=3)


@pytest.fixture(scope="module")
def inputs(wcs: WCS) -> tuple[dict[str, Any], Table]:
    rng = np.random.default_rng(1)
    planes = rng.normal(0.01, 0.01, (3, 200, 200)).astype(np.float32)
    images = {name: (plane, wcs) for name, plane in zip(PHAT.band_names, planes, strict=True)}
    x = np.append(rng.uniform(40, 160, 300), -500)
    ra, dec = wcs.pixel_to_world_values(x, x)
    return images, Table({"id": np.arange(301), "ra": ra, "dec": dec})


@pytest.fixture(scope="module")
def kept(model: Estimator, inputs: Any) -> Result:
    return predict(model, *inputs, n_samples=20, seed=2, keep="draws")


@pytest.fixture(scope="module")
def lean(model: Estimator, inputs: Any) -> Result:
    return predict(model, *inputs, n_samples=20, seed=2)


def test_it_reads_like_its_table(kept: Result) -> None:
    table = kept.to_table()
    assert len(kept) == len(table) == 301
    assert kept.colnames == table.colnames
    assert kept.meta["model"] == PHAT.name
    good = kept[kept["flags"] == 0]
    assert isinstance(good, Table)
    assert len(good) == np.count_nonzero(table["flags"] == 0)
    assert [row["id"] for row in kept] == list(range(301))
    assert kept[7]["id"] == 7
    table["flags"][:] = -1  # a copy
    assert (kept["flags"] >= 0).all()


def test_models_and_results_go_to_processes_that_are_spawned(
    model: Estimator, inputs: Any, kept: Result
) -> None:
    images, catalog = inputs
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        task = pool.submit(predict, model, images, catalog, n_samples=20, seed=2, keep="draws")
        found, same = task.result(timeout=600), pool.submit(copy.copy, kept).result(timeout=600)
    for result in (found, same):
        np.testing.assert_array_equal(result.samples, kept.samples)
        for name in kept.colnames:
            np.testing.assert_array_equal(result[name], kept[name])


def test_draws_are_held_only_where_asked_for(kept: Result, lean: Result) -> None:
    assert kept.samples.shape == (301, 20, 3)
    assert np.isnan(kept.samples[300]).all()
    with pytest.raises(InputError, match='keep="draws"'):
        _ = lean.samples
    assert "draws kept" in repr(kept)
    assert "draws kept" not in repr(lean)
    assert "300 of 301 clusters measured by phat" in repr(lean)
    with pytest.raises(InputError, match="keep"):
        predict("phat", {}, Table(), keep="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("row", [0, 299, -2])
def test_a_cluster_is_drawn_again_as_it_was(kept: Result, lean: Result, row: int) -> None:
    np.testing.assert_allclose(lean.draws(row), kept.draws(row), rtol=0, atol=0)
    # negative control: other clusters have other draws
    assert np.abs(lean.draws(row) - kept.draws(5)).mean() > 1e-2


def test_std_and_weights(kept: Result, lean: Result) -> None:
    np.testing.assert_allclose(lean.std, kept.samples.std(axis=1), rtol=1e-5)
    assert np.isnan(lean.std[300]).all()
    assert lean.weights.shape == (301, 20)
    np.testing.assert_allclose(lean.weights.sum(1), 1, rtol=1e-6)


def test_density(lean: Result, model: Estimator) -> None:
    draws = lean.draws(4)
    many = lean.log_prob(4, draws)
    assert many.shape == (20,)
    assert lean.log_prob(4, draws[3]) == pytest.approx(many[3], abs=1e-3)
    # negative control: far outside of the prior there is less density
    assert lean.log_prob(4, [20.0, 20.0, 20.0]) < many.min()
    assert np.isnan(lean.log_prob(300, draws[3]))
    with pytest.raises(InputError, match="log_age, log_mass and log_rh"):
        lean.log_prob(4, [1.0, 2.0])
    with pytest.raises(InputError, match="row = 301"):
        lean.draws(301)


def test_an_unknown_column_gets_the_nearest(lean: Result) -> None:
    with pytest.raises(InputError, match=r"'log_agep50'.*Did you mean 'log_age_p50'"):
        lean["log_agep50"]


def test_plot(lean: Result) -> None:
    figure = lean.plot(3)
    assert figure.get_suptitle().endswith(f"({lean.model.name} {lean.model.version})")
    assert len(figure.axes) >= 6
    with pytest.raises(InputError, match="not measured"):
        lean.plot(300)


def test_save(kept: Result, tmp_path: Path) -> None:
    assert Table.read(kept.save(tmp_path / "a.ecsv")).colnames == kept.colnames
    assert kept.save(tmp_path / "a.reg").read_text().count("circle") == 300
    with pytest.raises(InputError, match="exists"):
        kept.save(tmp_path / "a.ecsv")
    with pytest.raises(InputError, match=r"\.txt"):
        kept.save(tmp_path / "a.txt")


def test_every_column_is_described(lean: Result, repository: Path) -> None:
    described = output_columns(lean.infers)
    documents = (repository / "docs/images.md").read_text("utf-8")
    for name in set(lean.colnames) - {"id", "ra", "dec"}:  # the catalog's own
        column = lean[name]
        assert column.info.description == described[name].description
        assert "drawn" not in column.info.description
        assert f"`{name.rpartition('_p')[0] or name}" in documents, name


def test_a_new_quantity_gets_its_columns() -> None:
    """Continuous, categorical and derived: no module but the registry knows them."""
    made = [
        Quantity("toy", "q", "mag", "a toy", decimals=1),
        Quantity("kind", "k", "", "what it is", categories=("cluster", "asterism")),
        Quantity(
            "twice", "2q", "mag", "two toys", sources=("toy",), derive=lambda of, _: 2 * of["toy"]
        ),
    ]
    try:
        for quantity in made:
            quantities.register(quantity)
        draws = np.zeros((2, 4, 2))
        draws[..., 0] = [[1], [2]]
        draws[1, :3, 1] = 1
        context: Any = ModelContext(None)  # type: ignore[arg-type]
        values = summarise(draws, ("toy", "kind"), context)
        assert values["twice_p84"].tolist() == [2, 4]
        assert values["kind_cluster"].tolist() == [1, 0.25]
        assert values["kind_asterism"].tolist() == [0, 0.75]
        exact = summarise(draws, ("toy", "kind"), context, {"kind": [[0.9, 0.1], [0.2, 0.8]]})
        assert exact["kind_cluster"].tolist() == [0.9, 0.2]
        described = output_columns(("toy", "kind"))
        assert described["twice_p50"].unit == "mag"
        assert described["toy_p50"].decimals == 1
        assert described["kind_cluster"].description == "what it is; probability of cluster"
        assert set(values) <= set(described)
    finally:
        for quantity in reversed(made):
            quantities.unregister(quantity.name)


def test_an_unknown_r_v_widens_the_color_excess() -> None:
    stars = load_survey("phat6").clusters.stars
    assert stars.r_v == (2.6, 4.0)
    model: Any = SimpleNamespace(survey=SimpleNamespace(clusters=SimpleNamespace(stars=stars)))
    draws = np.full((2, 500, 1), 1.0)
    values = summarise(draws, ("a_v",), ModelContext(model, n_samples=500))
    expected = 1 / np.array([4.0 - 0.16 * 1.4, 3.3, 2.6 + 0.16 * 1.4])
    found = [values[f"e_bv_p{p}"] for p in (16, 50, 84)]
    np.testing.assert_allclose(found, np.stack([expected] * 2, 1), rtol=0.01)
    middle = summarise(draws, ("a_v",), ModelContext(model))
    np.testing.assert_allclose(middle["e_bv_p16"], 1 / 3.3)
