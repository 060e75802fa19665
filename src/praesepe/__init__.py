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
    from praesepe.inference.prediction import predict
    from praesepe.inference.result import Result
    from praesepe.mocks.fields import build_fields
    from praesepe.mocks.mosaic_files import simulate_mosaic
    from praesepe.mocks.sets import simulate
    from praesepe.network.estimator import Estimator
    from praesepe.network.posterior import Posterior
    from praesepe.report.demo import run_demo
    from praesepe.sky.simulator import Simulator
    from praesepe.survey import Survey, load_survey, survey_names
    from praesepe.training.loop import train

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
    "__version__",
    "build_fields",
    "evaluate",
    "load_survey",
    "predict",
    "run_demo",
    "simulate",
    "simulate_mosaic",
    "survey_names",
    "train",
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
    "build_fields": "praesepe.mocks.fields",
    "evaluate": "praesepe.evaluation",
    "load_survey": "praesepe.survey",
    "predict": "praesepe.inference.prediction",
    "run_demo": "praesepe.report.demo",
    "simulate": "praesepe.mocks.sets",
    "simulate_mosaic": "praesepe.mocks.mosaic_files",
    "survey_names": "praesepe.survey",
    "train": "praesepe.training.loop",
}
"""Public name: the module that defines it."""


__getattr__, __dir__ = lazy_names(__name__, {**_HOME, "__version__": __name__})
