"""The network: a stamp in, a posterior out.

`estimator` is a trained network with all that is needed to use it; `net` joins `transform`,
`encoders`, `conditions` and one of the `heads`. `schema` says what ``model.json`` holds, `storage`
writes it; `noise` and `domain` serve the predictions.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "encoders": "PRESETS",
        "estimator": "Estimator model_names",
        "heads.base": "Head",
        "heads.registry": "HEADS",
        "net": "ClusterNet",
        "posterior": "Posterior",
        "schema": "ModelCard",
    },
)
