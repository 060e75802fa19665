"""A quantity is described once: a new one is trained on, predicted, evaluated and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.figure import Figure

from praesepe import Estimator, Simulator, evaluate, predict, quantities, train
from praesepe.mocks.mosaic_files import mosaic_wcs
from praesepe.plots import figure_posterior
from praesepe.quantities import Quantity
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey, parse_survey

# One metallicity: tables of ten would take most of the time.
FIELD = {"surface_density": [0.02, 0.1], "metallicity": [0.0142, 0.0142]}
SURVEY = {
    "name": "toy",
    "observation": {
        "pixel_scale_arcsec": 0.1,
        "bands": [
            {
                "name": "F475W",
                "filter": "acs_wfc_f475w",
                "zero_point_ab": 26.06,
                "exposure_s": 1700.0,
                "sky_e_s": [0.1, 0.2],
                "asinh_scale": 0.03,
            }
        ],
    },
    "galaxy": {"distance_pc": 785000.0, "field": FIELD},
    "clusters": {
        "log_mass": [2.0, 3.5],
        "rh_arcsec": [0.1, 0.4],
        "spin": [1.0, 3.0],
        "kind": ["disc", "halo"],
    },
    "evaluation": {"bins": {"slow": {"spin": [1.0, 2.0]}}},
    "network": {"stamp_size": 16},
}


@pytest.fixture
def toys() -> Iterator[None]:
    """A continuous and a categorical quantity that derive from the usual ones, and two of either
    kind that are drawn: an entry of the registry and a key of the survey's clusters each."""
    drawn = (
        Quantity("spin", "s", "km/s", "how fast it turns", limits=(0.0, 9.0), prior="spin"),
        Quantity(
            "kind", "k", "", "where it is", prior="kind", categories=("disc", "bulge", "halo")
        ),
    )
    for quantity in drawn:
        quantities.register(quantity)
    quantities.register(
        Quantity(
            "log_density",
            r"\Sigma",
            "dex",
            "log10 of mass over the square of the radius, Msun / arcsec2",
            sources=("log_mass", "log_rh"),
            derive=lambda of, _: of["log_mass"] - 2 * of["log_rh"],
        )
    )
    quantities.register(
        Quantity(
            "compactness",
            "C",
            "",
            "whether the cluster is dense",
            categories=("loose", "compact"),
            sources=("log_mass", "log_rh"),
            derive=lambda of, _: (of["log_mass"] - 2 * of["log_rh"] > 4).astype(float),
        )
    )
    yield
    for name in ("log_density", "compactness", "spin", "kind"):
        quantities.unregister(name)


@pytest.mark.parametrize(
    ("head", "infers"),
    [
        ("flow", ("log_density", "spin", "log_age")),
        ("grid", ("log_density", "compactness", "log_age", "log_mass", "log_rh", "spin", "kind")),
    ],
)
def test_it_is_trained_on_predicted_evaluated_and_drawn(
    toys: None, tmp_path: Path, head: str, infers: tuple[str, ...]
) -> None:
    survey: Survey = parse_survey({**SURVEY, "network": {"stamp_size": 16, "infers": list(infers)}})
    tables = SurveyTables.build(survey)
    settings = {"encoder": "tiny", "head": head, "batch_size": 64, "valid_size": 64, "steps": 60}
    settings |= {"warmup_steps": 5, "ema_decay": 0.9, "learning_rate": 4e-3}
    model = train(survey, tables=tables, **settings).estimator
    assert model.infers == infers
    mocks = Simulator(survey, seed=5, tables=tables).draw(150)
    posterior = model.predict(mocks.images, n_samples=200)
    assert posterior.samples.shape == (150, 200, len(infers))
    assert [quantity.name for quantity in posterior.quantities] == list(infers)
    values = mocks.values(infers).numpy()
    truth = values[:, infers.index("log_density")]
    log_mass, log_rh = mocks.labels[:, 1].numpy(), mocks.labels[:, 2].numpy()
    np.testing.assert_allclose(truth, log_mass - 2 * log_rh, rtol=1e-5)
    found = posterior.samples[:, :, infers.index("log_density")]
    assert np.corrcoef(truth, found.mean(1))[0, 1] > 0.3
    figure = figure_posterior(posterior.samples[0], posterior.quantities, truth=values[0])
    assert {r"$\log_{10}\,\Sigma$", r"$s$ / $\mathrm{km/s}$"} <= labels(figure)
    spin = posterior.samples[:, :, infers.index("spin")]  # no star tells it: the prior comes back
    assert np.percentile(spin, (16, 50, 84)) == pytest.approx((1.32, 2.0, 2.68), abs=0.25)
    if head == "grid":
        probability = posterior.probabilities["compactness"]
        np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
        drawn = posterior.samples[:, :, infers.index("compactness")]
        assert set(np.unique(drawn)) <= {0.0, 1.0}
        assert np.corrcoef(truth > 4, probability[:, 1])[0, 1] > 0.1
        low, high = model.card.priors["log_density"]
        assert found.min() >= low - 1e-4
        assert found.max() <= high + 1e-4
    it_is_evaluated(model, tmp_path / "evaluation")
    it_is_measured_on_an_image(model, mocks.images[0, 0].numpy())


def it_is_evaluated(model: Estimator, folder: Path) -> None:
    """Metrics, bins, the table and the figures have the toys as they have the usual quantities."""
    evaluation = evaluate(model, n=128, seed=9, n_samples=100, out=folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(model.infers) < set(metrics["all"])
    assert metrics["all"]["log_density"]["mad_sigma"] > 0
    for start in ("density_", "spin_"):  # 2.8 to 5.5 in parts of half a dex, 1 to 3 in 0.5 km/s
        binned = [part["n"] for name, part in metrics.items() if name.startswith(start)]
        assert len(binned) >= 4
        assert sum(binned) == 128
    assert metrics["slow"]["label"] == "spin ≤ 2 km/s"
    assert metrics["slow"]["n"] == metrics["spin_1.0_1.5"]["n"] + metrics["spin_1.5_2.0"]["n"]
    assert metrics["calibration"]["ks_distance"]["log_density"] > 0
    assert "log_density_p50" in evaluation.recovery.to_table().colnames
    shown = {name: labels(figure) for name, figure in evaluation.figures()}
    assert r"true $\log_{10}\,\Sigma$" in shown["recovered.png"]
    assert r"$\Delta$ $\log_{10}\,\Sigma$ [dex]" in shown["residuals.png"]
    assert r"$\log_{10}\,\Sigma$" in shown["calibration.png"]
    if "compactness" not in model.infers:
        return
    assert metrics["compactness_loose"]["n"] + metrics["compactness_compact"]["n"] == 128
    assert 0.5 < metrics["all"]["compactness"]["accuracy"] <= 1
    assert "true compactness" in shown["recovered.png"]
    assert "compactness" in shown["calibration.png"]
    assert "compactness: accuracy" in repr(evaluation)
    assert metrics["kind_disc"]["n"] + metrics["kind_halo"]["n"] == 128
    assert metrics["kind_bulge"]["n"] == 0  # the survey's clusters have none
    assert metrics["all"]["kind"]["brier"] == pytest.approx(0.5, abs=0.1)


def it_is_measured_on_an_image(model: Estimator, stamp: np.ndarray) -> None:
    """The catalogue has a column for each quantity, and the corner figure its label."""
    wcs = mosaic_wcs(model.survey, len(stamp))
    place = wcs.pixel_to_world_values([8], [8])
    catalog = Table({"ra": place[0], "dec": place[1]})
    reading = {"units": {"F475W": "electron/s"}, "zero_points": {"F475W": 26.06}}
    result = predict(model, {"F475W": (stamp, wcs)}, catalog, **reading)
    assert 1 < result["spin_p16"][0] < result["spin_p50"][0] < 3
    assert result["spin_p50"].unit == "km / s"
    assert r"$s$ / $\mathrm{km/s}$" in labels(result.plot(0))
    if "kind" in model.infers:
        probabilities = [result[f"kind_{name}"][0] for name in ("disc", "bulge", "halo")]
        assert sum(probabilities) == pytest.approx(1, abs=1e-3)
        assert probabilities[1] < 0.2
        assert np.isnan(result.std[0, model.infers.index("kind")])  # numbers of categories


def labels(figure: Figure) -> set[str]:
    """Labels of axes and titles in a figure, and entries of its legends."""
    found = set()
    for ax in figure.axes:
        found |= {ax.get_xlabel(), ax.get_ylabel(), ax.get_title(), ax.get_title("left")}
        found |= {text.get_text() for text in getattr(ax.get_legend(), "texts", ())}
    return found
