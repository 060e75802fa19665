"""Training: `loop` has the one loop, `run` the state of a training and the parts of a step.

`config` holds the settings, `sources` what is learnt from, `labelled` real clusters with known
parameters; `initial`, `checkpoint`, `metrics` and `signals` serve the run.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Labelled": f"{__name__}.labelled",
        "Training": f"{__name__}.loop",
        "TrainingSettings": f"{__name__}.config",
        "read_labelled": f"{__name__}.labelled",
        "read_metrics": f"{__name__}.metrics",
        "train": f"{__name__}.loop",
    },
)
