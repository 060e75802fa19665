"""Training: `loop` has the one loop, `run` the state of a training and the parts of a step.

`config` holds the settings, `sources` what is learnt from, `labelled` real clusters with known
parameters, `learned` and `curve` what came of it; `initial`, `checkpoint`, `metrics` and `signals`
serve the run.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "config": "TrainingSettings",
        "curve": "LearningCurve learning_curve",
        "labelled": "Labelled read_labelled",
        "loop": "Training train",
        "metrics": "read_metrics",
    },
)
