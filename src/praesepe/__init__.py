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
    from praesepe.evaluation import Evaluation, evaluate
    from praesepe.flags import Flag
    from praesepe.images.catalogs import Catalog
    from praesepe.images.mosaic import Mosaic
    from praesepe.inference.draws import read_samples
    from praesepe.inference.prediction import predict
    from praesepe.inference.result import Result
    from praesepe.mocks.fields import build_fields
    from praesepe.mocks.mosaic_files import simulate_mosaic
    from praesepe.mocks.sets import simulate
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
    "Simulator",
    "Survey",
    "Training",
    "__version__",
    "build_fields",
    "check_survey",
    "evaluate",
    "figure_stellar_model",
    "import_isochrones",
    "init_survey",
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

_HOME = {
    "Catalog": "praesepe.images.catalogs",
    "Estimator": "praesepe.network.estimator",
    "Evaluation": "praesepe.evaluation",
    "Flag": "praesepe.flags",
    "Mosaic": "praesepe.images.mosaic",
    "Posterior": "praesepe.network.posterior",
    "Result": "praesepe.inference.result",
    "Simulator": "praesepe.sky.simulator",
    "Survey": "praesepe.survey",
    "Training": "praesepe.training.loop",
    "build_fields": "praesepe.mocks.fields",
    "check_survey": "praesepe.sky.check",
    "evaluate": "praesepe.evaluation",
    "figure_stellar_model": "praesepe.plots.stars",
    "import_isochrones": "praesepe.stars.store",
    "init_survey": "praesepe.survey",
    "isochrone_names": "praesepe.stars.store",
    "load_isochrones": "praesepe.stars.store",
    "load_passband": "praesepe.stars.curves",
    "load_survey": "praesepe.survey",
    "model_names": "praesepe.network.estimator",
    "predict": "praesepe.inference.prediction",
    "read_labelled": "praesepe.training.labelled",
    "read_samples": "praesepe.inference.draws",
    "run_demo": "praesepe.report.demo",
    "simulate": "praesepe.mocks.sets",
    "simulate_mosaic": "praesepe.mocks.mosaic_files",
    "survey_names": "praesepe.survey",
    "train": "praesepe.training.loop",
    "upgrade_survey": "praesepe.survey",
}
"""Public name: the module that defines it."""


__getattr__, __dir__ = lazy_names(__name__, {**_HOME, "__version__": __name__})
