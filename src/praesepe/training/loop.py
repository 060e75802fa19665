"""Training: one visible loop over fresh simulations, and over labelled clusters where given."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from praesepe.device import usable_device
from praesepe.files import as_path, refuse_inputs, refuse_special
from praesepe.locks import working_folder
from praesepe.network.estimator import Estimator
from praesepe.network.storage import CONTENT, WEIGHTS, model_files
from praesepe.progress import Setup
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey, load_survey
from praesepe.survey.toml import survey_files
from praesepe.training.config import FINE_TUNING, TrainingSettings
from praesepe.training.curve import LearningCurve
from praesepe.training.labelled import Labelled
from praesepe.training.metrics import METRICS, Line, Report
from praesepe.training.run import CHECKPOINT, Run
from praesepe.training.signals import Signals

log = logging.getLogger(__name__)

SECONDS_PER_LINE = 5.0
"""Metrics are written every ten steps, and where that takes longer, about so often."""


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """What `train` returns: the trained model and how it got there.

    Attributes
    ----------
    estimator : Estimator
        The model.
    metrics : tuple of dict
        One every ten steps or so: step, loss, valid_loss, learning_rate, stamps_per_s, progress,
        seconds, seconds_left. A loss is None where it was not finite.
    learned : dict of str to float
        Error over that of a guess from the prior, by quantity, on the validation set; near 1
        nothing was learned.
    curve : LearningCurve
        Validation losses, and what more clusters would bring.
    path : Path or None
        The model's folder, where `train` was given one.
    """

    estimator: Estimator
    metrics: tuple[Line, ...]
    learned: dict[str, float]
    curve: LearningCurve
    path: Path | None = None

    def __repr__(self) -> str:
        run = self.estimator.card.runs[-1]
        loss = "" if run.valid_loss is None else f", validation loss {run.valid_loss:.3f}"
        return (
            f"<Training of {self.estimator.name!r} {self.estimator.version} on {run.data}: "
            f"{run.steps:,} steps, {run.clusters:,} clusters{loss}; "
            f"{f'in {self.path}' if self.path else 'not saved'}>"
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model to a folder; see `Estimator.save`."""
        return self.estimator.save(path, overwrite=overwrite)


def train(
    survey: Survey | str | Path,
    *,
    out: str | Path | None = None,
    device: str = "cpu",
    resume: bool = False,
    initial: Estimator | str | Path | None = None,
    labelled: Labelled | None = None,
    report: Report | None = None,
    setup: Setup | None = None,
    tables: SurveyTables | None = None,
    name: str = "",
    **settings: Any,
) -> Training:
    """Train a network.

    Parameters
    ----------
    survey : Survey, str or Path
        What to simulate, and what the network infers.
    out : str or Path, optional
        Folder for the model, the checkpoint, ``metrics.jsonl`` and TensorBoard's files; without it
        nothing is written, and a run that is stopped is lost.
    device : str
        ``"cpu"`` or ``"cuda"``.
    resume : bool
        Go on from the checkpoint in `out`. With `steps`, the run ends as the unbroken one would.
    initial : Estimator, str or Path, optional
        Model to start from instead of random weights: its bands, stamps, quantities and network
        must be those of this training; all else may differ.
    labelled : Labelled, optional
        Real clusters with known parameters, which make one half of every batch; the other are
        simulations. A quarter of the clusters is held out: the weights that are kept are those that
        were best on them, be it those of the beginning, and the training ends when they no longer
        become better. The model's card (`card.runs[-1].tuning`) holds bias, scatter and coverage on
        these before and after. Where the training starts from a model, settings that are not given
        are those of `praesepe.training.config.FINE_TUNING`.
    report : callable, optional
        Called with each line of the metrics, see `Training`.
    setup : callable, optional
        Called with the stages before the first step, whose time is not counted.
    tables : SurveyTables, optional
        Ready-made stellar tables.
    name : str, optional
        Name of the model; the folder's, or else the survey's, by default.
    **settings
        Fields of `TrainingSettings`: `minutes` or `steps`, `seed`, `encoder`, `head`,
        `batch_size`, …

    Returns
    -------
    Training

    Raises
    ------
    InputError
        Where the settings contradict each other or `out` holds another run.

    Notes
    -----
    Ctrl-C and SIGTERM end the run after the step that is going on, with a checkpoint.
    """
    if labelled is not None and initial is not None:
        settings = {**FINE_TUNING, **settings}
    how = TrainingSettings.of(**settings)
    out = None if out is None else as_path(out)
    if out is not None:
        written = [out / name for name in (CONTENT, WEIGHTS, CHECKPOINT, METRICS)]
        refuse_inputs(written, [*survey_files(survey), *model_files(initial)])
        for one in written:
            refuse_special(one)
    with working_folder(out):
        run = Run(
            load_survey(survey),
            out,
            how,
            device=usable_device(device),
            initial=initial,
            labelled=labelled,
            report=report,
            name=name,
        )
        with closing(run.metrics), closing(run):
            run.open(resume)
            run.set_up(tables, setup)
            with Signals() as signals:
                _loop(run, signals)
            model = run.finish(setup)
            learned = run.learned()
        path = None if run.out is None else model.save(run.out, overwrite=True)
        return Training(model, tuple(run.metrics.lines), learned, run.curve(), path)


def _loop(run: Run, signals: Signals) -> None:
    """Validate, step, log and save until the training is over or a signal comes."""
    settings = run.settings
    saved = logged = time.monotonic()
    while (progress := run.progress) < 1:
        began = time.monotonic()
        made_in_set_up = run.first_batch is not None
        if run.step % settings.valid_every == 0 and not made_in_set_up:
            run.validate()

        ready = time.monotonic()
        batch = run.next_batch()
        run.set_learning_rate(progress)
        run.freeze_batch_norms(progress)
        loss = run.loss(batch)
        run.descend(loss)
        run.update_average()

        now = time.monotonic()
        run.seconds += now - began
        if not made_in_set_up:
            run.step_seconds.append(now - ready)
        if run.step % 10 == 0 or now - logged > SECONDS_PER_LINE:
            logged = now
            run.log()
        before_validation = run.step % settings.valid_every == 0  # which may take long
        due = before_validation or now - saved > settings.checkpoint_seconds
        if due or signals.received is not None:
            run.save_checkpoint()
            saved = time.monotonic()
        if signals.received is not None:
            kept = f"{run.out} holds a checkpoint: go on with resume=True"
            log.warning("stopped after step %d; %s", run.step, kept if run.out else "not saved")
            signals.deliver()
