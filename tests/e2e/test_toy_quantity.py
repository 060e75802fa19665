"""A quantity is described once: a new one is trained on and predicted without touching a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from praesepe import Estimator, Simulator, quantities, train
from praesepe.quantities import Quantity
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey, parse_survey

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
    "galaxy": {"distance_pc": 785000.0, "field": {"surface_density": [0.02, 0.1]}},
    "clusters": {"log_mass": [2.0, 3.5], "rh_arcsec": [0.1, 0.4]},
    "network": {"stamp_size": 16},
}


@pytest.fixture
def toys() -> Iterator[None]:
    """A continuous and a categorical quantity, both of which derive from the usual ones."""
    quantities.register(
        Quantity(
            "log_density",
            r"\Sigma",
            "dex",
            "log10 of mass over the square of the radius, Msun / arcsec2",
            logarithmic=True,
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
    quantities.unregister("log_density")
    quantities.unregister("compactness")


@pytest.mark.parametrize(
    ("head", "infers"),
    [
        ("flow", ("log_density", "log_age")),
        ("grid", ("log_density", "compactness", "log_age", "log_mass", "log_rh")),
    ],
)
def test_it_is_trained_on_and_predicted(
    toys: None, tmp_path: Path, head: str, infers: tuple[str, ...]
) -> None:
    survey: Survey = parse_survey({**SURVEY, "network": {"stamp_size": 16, "infers": list(infers)}})
    tables = SurveyTables.build(survey)
    settings = {"encoder": "tiny", "head": head, "batch_size": 64, "valid_size": 64, "steps": 40}
    settings |= {"warmup_steps": 5, "ema_decay": 0.9, "learning_rate": 4e-3}
    model = Estimator.load(train(survey, tmp_path / "model", tables=tables, **settings))
    assert model.infers == infers
    mocks = Simulator(survey, seed=5, tables=tables).draw(150)
    posterior = model.predict(mocks.images, n_samples=200)
    assert posterior.samples.shape == (150, 200, len(infers))
    assert [quantity.name for quantity in posterior.quantities] == list(infers)
    log_mass, log_rh = mocks.labels[:, 1].numpy(), mocks.labels[:, 2].numpy()
    truth = log_mass - 2 * log_rh
    found = posterior.samples[:, :, infers.index("log_density")]
    assert np.corrcoef(truth, found.mean(1))[0, 1] > 0.3
    if head == "grid":
        probability = posterior.probabilities["compactness"]
        np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
        drawn = posterior.samples[:, :, infers.index("compactness")]
        assert set(np.unique(drawn)) <= {0.0, 1.0}
        assert np.corrcoef(truth > 4, probability[:, 1])[0, 1] > 0.1
        low, high = model.card.priors["log_density"]
        assert found.min() >= low - 1e-4
        assert found.max() <= high + 1e-4
