"""The network: a stamp in, a posterior out.

`estimator` is a trained network with all that is needed to use it; `net` joins `transform`,
`encoders`, `conditions` and one of the `heads`. `schema` says what ``model.json`` holds, `storage`
writes it; `noise` and `domain` serve the predictions.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ClusterNet": f"{__name__}.net",
        "Estimator": f"{__name__}.estimator",
        "HEADS": f"{__name__}.heads.registry",
        "Head": f"{__name__}.heads.base",
        "ModelCard": f"{__name__}.schema",
        "PRESETS": f"{__name__}.encoders",
        "Posterior": f"{__name__}.posterior",
        "model_names": f"{__name__}.estimator",
    },
)
