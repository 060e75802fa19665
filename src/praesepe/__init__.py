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

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from praesepe.evaluate import evaluate
    from praesepe.images.mosaic import read_mosaic
    from praesepe.network.estimator import Estimator, Posterior
    from praesepe.predict import predict
    from praesepe.sky.simulator import Simulator
    from praesepe.survey import Survey, load_survey
    from praesepe.train import train

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
    "Posterior": "praesepe.network.estimator",
    "Simulator": "praesepe.sky.simulator",
    "Survey": "praesepe.survey",
    "evaluate": "praesepe.evaluate",
    "load_survey": "praesepe.survey",
    "predict": "praesepe.predict",
    "read_mosaic": "praesepe.images.mosaic",
    "train": "praesepe.train",
}
"""Public name: the module that defines it."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used; a typo names the nearest one."""
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    message = f"module 'praesepe' has no attribute {name!r}."
    if not name.startswith("__"):
        from praesepe.errors import nearest

        close = nearest(name, _HOME)
        message += f" Did you mean {close!r}?" if close else f" Public names: {', '.join(_HOME)}."
    raise AttributeError(message, name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package itself: `praesepe.predict` is the function, whatever was imported before.

    When Python loads the module ``praesepe/predict.py`` it binds the module to the name
    ``praesepe.predict``. Three modules share their name with their main function, and without
    this class ``praesepe.predict(...)`` would fail as soon as anything had imported the module.
    ``from praesepe.predict import ...`` works as usual.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
