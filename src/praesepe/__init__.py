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

if TYPE_CHECKING:
    from praesepe.evaluation.recovery import evaluate
    from praesepe.images.mosaic import read_mosaic
    from praesepe.inference.prediction import predict
    from praesepe.network.estimator import Estimator
    from praesepe.network.posterior import Posterior
    from praesepe.sky.simulator import Simulator
    from praesepe.survey import Survey, load_survey
    from praesepe.training.loop import train

__version__ = "0.1.0"

__all__ = [
    "Estimator",
    "Posterior",
    "Simulator",
    "Survey",
    "__version__",
    "evaluate",
    "load_survey",
    "predict",
    "read_mosaic",
    "train",
]

_HOME = {
    "Estimator": "praesepe.network.estimator",
    "Posterior": "praesepe.network.posterior",
    "Simulator": "praesepe.sky.simulator",
    "Survey": "praesepe.survey",
    "evaluate": "praesepe.evaluation.recovery",
    "load_survey": "praesepe.survey",
    "predict": "praesepe.inference.prediction",
    "read_mosaic": "praesepe.images.mosaic",
    "train": "praesepe.training.loop",
}
"""Public name: the module that defines it."""


__getattr__, __dir__ = lazy_names(__name__, {**_HOME, "__version__": __name__})
