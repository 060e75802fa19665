"""Ages, masses and sizes of star clusters from the pixels of multi-band images.

The public names below are loaded when first used, so that ``import praesepe`` costs nothing and a
GPU node needs only what it runs.

Examples
--------
>>> import praesepe
>>> survey = praesepe.load_survey("phat")
>>> survey.band_names
('F336W', 'F475W', 'F814W')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names
from praesepe.version import __version__

if TYPE_CHECKING:
    from praesepe.evaluation.assessment import Evaluation, evaluate
    from praesepe.flags import Flag
    from praesepe.images.catalogs import Catalog
    from praesepe.images.mosaic import Mosaic
    from praesepe.inference.draws import read_samples
    from praesepe.inference.prediction import predict
    from praesepe.inference.result import Result
    from praesepe.mocks.fields import StarFields, build_fields
    from praesepe.mocks.injection import inject
    from praesepe.mocks.mosaic_files import SimulatedMosaic, simulate_mosaic
    from praesepe.mocks.sets import SimulatedStamps, simulate
    from praesepe.network.estimator import Estimator, model_names
    from praesepe.network.posterior import Posterior
    from praesepe.plots.stars import figure_stellar_model
    from praesepe.report.demo import run_demo
    from praesepe.sky.check import check_survey
    from praesepe.sky.simulator import Simulator
    from praesepe.stars.curves import load_passband
    from praesepe.stars.store import import_isochrones, isochrone_names, load_isochrones
    from praesepe.survey import Survey, init_survey, load_survey, survey_names, upgrade_survey
    from praesepe.training.labelled import read_labelled
    from praesepe.training.loop import Training, train

__all__ = [
    "Catalog",
    "Estimator",
    "Evaluation",
    "Flag",
    "Mosaic",
    "Posterior",
    "Result",
    "SimulatedMosaic",
    "SimulatedStamps",
    "Simulator",
    "StarFields",
    "Survey",
    "Training",
    "__version__",
    "build_fields",
    "check_survey",
    "evaluate",
    "figure_stellar_model",
    "import_isochrones",
    "init_survey",
    "inject",
    "isochrone_names",
    "load_isochrones",
    "load_passband",
    "load_survey",
    "model_names",
    "predict",
    "read_labelled",
    "read_samples",
    "run_demo",
    "simulate",
    "simulate_mosaic",
    "survey_names",
    "train",
    "upgrade_survey",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluation.assessment": "Evaluation evaluate",
        "flags": "Flag",
        "images.catalogs": "Catalog",
        "images.mosaic": "Mosaic",
        "inference.draws": "read_samples",
        "inference.prediction": "predict",
        "inference.result": "Result",
        "mocks.fields": "StarFields build_fields",
        "mocks.injection": "inject",
        "mocks.mosaic_files": "SimulatedMosaic simulate_mosaic",
        "mocks.sets": "SimulatedStamps simulate",
        "network.estimator": "Estimator model_names",
        "network.posterior": "Posterior",
        "plots.stars": "figure_stellar_model",
        "report.demo": "run_demo",
        "sky.check": "check_survey",
        "sky.simulator": "Simulator",
        "stars.curves": "load_passband",
        "stars.store": "import_isochrones isochrone_names load_isochrones",
        "survey": "Survey init_survey load_survey survey_names upgrade_survey",
        "training.labelled": "read_labelled",
        "training.loop": "Training train",
        "version": "__version__",
    },
)
