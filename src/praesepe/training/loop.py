"""Training: one visible loop over fresh simulations, or over annotated clusters of one's own."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError, listed, unknown
from praesepe.network.estimator import Estimator
from praesepe.network.schema import TrainingRun
from praesepe.network.storage import (
    CONTENT,
    read_checkpoint,
    truncate_metrics,
    write_checkpoint,
)
from praesepe.sky.contents import contents
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.present_mass import present_mass_curve
from praesepe.stars.store import key_of
from praesepe.survey import Survey, load_survey
from praesepe.training.config import Pace, Settings, Signals
from praesepe.training.labelled import Labelled, LabelledSource

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
VALIDATION_SEED = 982_451_653
"""Added to the seed of a run for its validation set."""

STOPPED = "stopped after step %d; %s holds a checkpoint: go on with resume=True"

Report = Callable[[dict[str, Any]], None]


def train(
    survey: Survey | str | Path,
    out: str | Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    initial: Estimator | str | Path | None = None,
    labelled: Labelled | None = None,
    report: Report | None = None,
    tables: SurveyTables | None = None,
    name: str = "",
    **settings: Any,
) -> Path:
    """Train a network and write the model.

    Parameters
    ----------
    survey : Survey, str or Path
        What to simulate.
    out : str or Path
        Folder for the model, the checkpoint, ``metrics.jsonl`` and TensorBoard's files.
    device : str
        ``"cpu"`` or ``"cuda"``.
    resume : bool
        Go on from the checkpoint in `out`. With `steps`, the run ends as the unbroken one would.
    initial : Estimator, str or Path, optional
        Model to start from (fine-tuning) instead of random weights.
    labelled : Labelled, optional
        Real clusters with known parameters to train on instead of simulations.
    report : callable, optional
        Called about every ten steps with a dict: step, loss, valid_loss, stamps_per_s, done,
        seconds_left.
    tables : SurveyTables, optional
        Ready-made stellar tables.
    name : str, optional
        Name of the model; the folder's by default.
    **settings
        Fields of `Settings`: `minutes` or `steps`, `seed`, `encoder`, `batch_size`, …

    Returns
    -------
    Path
        The model's folder, for `Estimator.load`.

    Raises
    ------
    InputError
        Where the settings contradict each other or `out` holds another run.

    Notes
    -----
    Ctrl-C and SIGTERM end the run after the step that is going on, with a checkpoint.
    """
    survey = load_survey(survey)
    _check_names(settings)
    run = Run(survey, Path(out), Settings(**settings), torch.device(device), initial, labelled)
    run.estimator.describe(name=name or _name_of(run.out, survey))
    with closing(run):
        run.open(resume, tables)
        last_save = last_report = time.monotonic()
        with Signals() as signals:
            while (done := run.settings.done(run.step, run.seconds)) < 1:
                began = time.monotonic()
                if run.step % run.settings.valid_every == 0:
                    run.validate()
                ready = time.monotonic()
                images, labels = run.source.batch(run.step)
                run.update(images, labels, done)
                now = time.monotonic()
                run.seconds += now - began
                run.pace.add(now - ready)
                if run.step % 10 == 0 or now - last_report > 5:
                    last_report = now
                    run.log(report)
                before_validation = run.step % run.settings.valid_every == 0  # which may take long
                due = now - last_save > run.settings.checkpoint_seconds or before_validation
                if due or signals.received is not None:
                    run.save_checkpoint()
                    last_save = time.monotonic()
                if signals.received is not None:
                    log.warning(STOPPED, run.step, run.out)
                    signals.deliver()
        return run.finish(report)


class SimulatedSource:
    """Fresh simulated clusters for every step; step k is the same in every run of a seed."""

    def __init__(
        self, survey: Survey, settings: Settings, device: torch.device, tables: SurveyTables | None
    ) -> None:
        self.settings = settings
        self.simulator = Simulator(survey, device=device, seed=settings.seed, tables=tables)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step."""
        mocks = self.simulator.draw_block(step, self.settings.batch_size, compute_truth=False)
        return mocks.images, mocks.labels

    def validation(self) -> tuple[Tensor, Tensor]:
        """A fixed set that shares neither clusters nor star fields with the training."""
        own = self.simulator
        simulator = Simulator(
            own.survey,
            device=own.device,
            seed=self.settings.seed + VALIDATION_SEED,
            tables=own.tables,
            n_fields=12,
        )
        mocks = simulator.draw(self.settings.valid_size, compute_truth=False)
        return mocks.images, mocks.labels


class Run:
    """State of a training: network, its average, optimiser, progress."""

    def __init__(
        self,
        survey: Survey,
        out: Path,
        settings: Settings,
        device: torch.device,
        initial: Estimator | str | Path | None,
        labelled: Labelled | None,
    ) -> None:
        if settings.batch_norm_until is None:
            settings = replace(settings, batch_norm_until=0.5 if initial is None else 0.0)
        self.survey, self.out, self.settings, self.device = survey, out, settings, device
        self.labelled = labelled
        self.estimator = _start(survey, settings, initial).to(device)
        self.net = self.estimator.net.train()
        self.average = {key: value.detach().clone() for key, value in self.net.state_dict().items()}
        self.parameters = list(self.net.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.source: SimulatedSource | LabelledSource
        self.step = 0
        self.seconds = 0.0
        self.pace = Pace()
        self.loss = math.nan
        self.valid_loss = math.nan
        self.half = _fast_half(device)
        self._valid: tuple[Tensor, Tensor] | None = None
        self._board: Any = None
        self._identity = {
            "survey": survey.fingerprint(),
            "initial": "" if initial is None else self.estimator.version,
            "settings": {
                k: v for k, v in asdict(settings).items() if k not in ("minutes", "steps")
            },
        }
        if labelled is not None:
            self._identity["labels"] = labelled.fingerprint()
            return
        self._identity["spectra"] = SpectralLibrary.embedded_key()
        models = survey.clusters.stars.models
        if models != ("sse",):  # what an imported model's name stands for may change
            keys = {name: key_of(name) for name in models}
            self._identity["stars"] = keys

    def open(self, resume: bool, tables: SurveyTables | None) -> None:
        """Prepare the output folder, or take up the run that it holds."""
        checkpoint = self.out / CHECKPOINT
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out} is a file; a training needs a folder, choose another")
        if resume and checkpoint.exists():
            self._load_checkpoint(checkpoint)
        elif checkpoint.exists():
            raise InputError(
                f"{self.out} holds a training already; resume it or choose another folder"
            )
        elif (self.out / CONTENT).exists():
            raise InputError(
                f"{self.out} holds a model, but no checkpoint that a training could resume from; "
                "choose another folder"
            )
        elif resume:
            log.warning("no checkpoint in %s; beginning anew", self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.loss = truncate_metrics(self.out / METRICS, self.step)
        settings = self.settings
        if self.labelled is None:
            self.source = SimulatedSource(self.survey, settings, self.device, tables)
        else:
            seed, size = settings.seed, settings.batch_size
            self.source = LabelledSource(self.labelled, self.survey, seed, size, self.device)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # a bare node: metrics.jsonl says the same
            return
        self._board = SummaryWriter(self.out / "tensorboard", purge_step=self.step + 1)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def update(self, images: Tensor, labels: Tensor, done: float) -> None:
        """One step of the optimiser; left out where the gradient is not finite."""
        self.net.train()
        assert self.settings.batch_norm_until is not None
        if done >= self.settings.batch_norm_until:
            for module in self.net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate(self.step, done)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            context = self.net.context(images)
        loss = self.net.loss(labels, context)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        else:
            log.warning("the gradient of step %d is not finite; the step is left out", self.step)
            self._heal()
        self.step += 1
        self._update_average()
        self.loss = float(loss.detach())

    @torch.no_grad()
    def _heal(self) -> None:
        """Put the average in the place of running statistics that a bad batch has spoilt."""
        for key, value in self.net.named_buffers():
            if not value.isfinite().all():
                value.copy_(self.average[key])

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        for key, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)

    def averaged(self) -> Estimator:
        """The estimator with the averaged weights."""
        settings = self.settings
        averaged = Estimator.untrained(self.survey, encoder=settings.encoder, head=settings.head)
        averaged.net.load_state_dict(self.average)
        averaged.net.to(self.device).eval()
        averaged.card = self.estimator.card
        return averaged

    @torch.inference_mode()
    def validate(self) -> Tensor:
        """Loss of the averaged network on the validation set; returns the set's features."""
        if self._valid is None:
            self._valid = self.source.validation()
        images, labels = self._valid
        net = self.averaged().net
        context = torch.cat([net.context(part) for part in images.split(256)])
        self.valid_loss = float(net.loss(labels, context))
        return context

    def log(self, report: Report | None) -> None:
        """Write one line of metrics."""
        done = self.settings.done(self.step, self.seconds)
        per_step = max(self.pace.per_step(self.seconds / max(self.step, 1)), 1e-9)
        if self.settings.steps is not None:
            left = per_step * (self.settings.steps - self.step)
        else:
            left = self.seconds * (1 / max(done, 1e-9) - 1)
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(self.loss, 4) if math.isfinite(self.loss) else None,
            "valid_loss": round(self.valid_loss, 4) if math.isfinite(self.valid_loss) else None,
            "rate": self.settings.rate(self.step, done),
            "stamps_per_s": round(self.settings.batch_size / per_step, 1),
            "done": round(min(done, 1.0), 5),
            "seconds_left": round(max(left, 0.0), 1),
        }
        with (self.out / METRICS).open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for key in ("loss", "valid_loss", "rate", "stamps_per_s"):
                if line[key] is not None:
                    self._board.add_scalar(key, line[key], self.step)
        if report is not None:
            report({**line, "loss": self.loss})

    def save_checkpoint(self) -> None:
        """Write all that the run needs to go on, in one file that appears whole or not at all."""
        tensors = {f"net.{k}": v.contiguous() for k, v in self.net.state_dict().items()}
        tensors |= {f"average.{k}": v.contiguous() for k, v in self.average.items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v.contiguous() for k, v in state.items()}
        progress = {
            "step": self.step,
            "seconds": self.seconds,
            "valid_loss": self.valid_loss,
            **self._identity,
        }
        write_checkpoint(self.out / CHECKPOINT, tensors, progress)
        if self._board is not None:
            self._board.flush()

    def _load_checkpoint(self, path: Path) -> None:
        tensors, progress = read_checkpoint(path)
        for key in ("survey", "initial", "labels", "stars", "spectra", "settings"):
            theirs, ours = progress.get(key), self._identity.get(key)
            if theirs != ours:
                raise InputError(
                    f"{path} belongs to a run with another {key}: {_difference(theirs, ours)}; "
                    "resume with what it was begun with or choose another folder"
                )
        self.net.load_state_dict(_part(tensors, "net."))
        # Copied, not replaced: the layout in memory stays, and with it every last bit.
        for key, value in _part(tensors, "average.").items():
            self.average[key].copy_(value)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "optimiser.").items():
            number, name = key.split(".", 1)
            index = int(number)
            like = self.parameters[index]
            laid_out = value if name == "step" else torch.empty_like(like).copy_(value)
            state.setdefault(index, {})[name] = laid_out
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.valid_loss = progress["valid_loss"]

    def finish(self, report: Report | None) -> Path:
        """Write the averaged network as the model."""
        from praesepe import __version__

        context = self.validate()
        truncate_metrics(self.out / METRICS, self.step - 1)  # this step's line is written anew
        self.log(report)
        self.save_checkpoint()
        model = self.averaged()
        if isinstance(self.source, LabelledSource):
            with torch.inference_mode():
                familiar = self.source.all_images().split(256)
                context = torch.cat([model.net.context(part) for part in familiar])
        log_age, fraction = present_mass_curve(self.survey)
        model.learn_domain(context.clone())
        run = TrainingRun(
            data="simulations" if isinstance(self.source, SimulatedSource) else "labelled clusters",
            steps=self.step,
            clusters=self.step * self.settings.batch_size,
            seed=self.settings.seed,
            learning_rate=self.settings.learning_rate,
            batch_size=self.settings.batch_size,
            minutes=round(self.seconds / 60, 1),
            device=str(self.device),
            versions={"praesepe": __version__, "torch": torch.__version__},
            initial=str(self._identity["initial"]),
            valid_loss=self.valid_loss,
            survey_fingerprint=self.survey.fingerprint(),
        )
        model.describe(
            hashes=contents(self.survey),
            present_mass={
                "log_age": np.round(log_age, 4).tolist(),
                "fraction": np.round(fraction, 5).tolist(),
            },
            runs=[*self.estimator.card.runs, run],
        )
        return model.save(self.out, overwrite=True)


def _start(survey: Survey, settings: Settings, initial: Estimator | str | Path | None) -> Estimator:
    """The network that the training begins with."""
    if initial is None:
        return Estimator.untrained(
            survey, encoder=settings.encoder, head=settings.head, seed=settings.seed
        )
    start = Estimator.load(initial)
    theirs, ours = start.survey, survey
    if theirs.band_names != ours.band_names or theirs.stamp_size != ours.stamp_size:
        raise InputError(
            f"model {start.name!r} takes {theirs.stamp_size} px stamps in "
            f"{listed(theirs.band_names)}, "
            f"survey {ours.name!r} has {ours.stamp_size} px in "
            f"{listed(ours.band_names)}; they must agree"
        )
    encoder = start.card.encoder.name
    if encoder != settings.encoder:
        raise InputError(
            f"model {start.name!r} has encoder {encoder!r}, not {settings.encoder!r}; give that"
        )
    fresh = Estimator.untrained(survey, encoder=settings.encoder, head=settings.head)
    fresh.net.load_state_dict(start.net.state_dict())
    old = start.card
    return fresh.describe(version=old.version, present_mass=old.present_mass, runs=old.runs)


def _name_of(out: Path, survey: Survey) -> str:
    """Name of the model that a folder will hold: the folder's, in letters that fit any header."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", out.resolve().name).strip("-.") or survey.name


def _fast_half(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type != "cpu":
        return True
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _check_names(settings: dict[str, Any]) -> None:
    known = [field.name for field in fields(Settings)]
    for name in settings:
        if name not in known:
            raise unknown("training setting", name, known)


def _difference(theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
        return ", ".join(f"{key} {theirs.get(key)!r}, now {ours.get(key)!r}" for key in keys)
    return f"{theirs or 'none'!r}, now {ours or 'none'!r}"
