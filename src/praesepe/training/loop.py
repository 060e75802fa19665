"""Training: one visible loop over fresh simulations, or over annotated clusters of one's own."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from praesepe.errors import InputError, unknown
from praesepe.network.estimator import Estimator
from praesepe.network.net import ClusterNet
from praesepe.network.schema import Hashes, MassCurve, TrainingRun
from praesepe.network.storage import CONTENT
from praesepe.progress import Setup
from praesepe.sky.contents import contents
from praesepe.sky.tables import SurveyTables
from praesepe.stars.present_mass import present_mass_curve
from praesepe.survey import Survey, load_survey
from praesepe.training.checkpoint import (
    check_same_run,
    read_checkpoint,
    truncate_metrics,
    write_checkpoint,
)
from praesepe.training.config import Signals, Throughput, TrainingSettings
from praesepe.training.initial import network_of, start_network
from praesepe.training.labelled import Labelled
from praesepe.training.sources import (
    LabelledSource,
    SimulatedSource,
    Source,
)
from praesepe.version import __version__

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"

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
    setup: Setup | None = None,
    tables: SurveyTables | None = None,
    name: str = "",
    **settings: Any,
) -> Path:
    """Train a network and write the model.

    Parameters
    ----------
    survey : Survey, str or Path
        What to simulate, and what the network infers.
    out : str or Path
        Folder for the model, the checkpoint, ``metrics.jsonl`` and TensorBoard's files.
    device : str
        ``"cpu"`` or ``"cuda"``.
    resume : bool
        Go on from the checkpoint in `out`. With `steps`, the run ends as the unbroken one would.
    initial : Estimator, str or Path, optional
        Model to start from instead of random weights: its bands, stamps, quantities and network
        must be those of this training; all else may differ.
    labelled : Labelled, optional
        Real clusters with known parameters to train on instead of simulations.
    report : callable, optional
        Called about every ten steps with a dict: step, loss, valid_loss, learning_rate,
        stamps_per_s, progress, seconds, seconds_left.
    setup : callable, optional
        Called with the stages before the first step, whose time is not counted.
    tables : SurveyTables, optional
        Ready-made stellar tables.
    name : str, optional
        Name of the model; the folder's by default.
    **settings
        Fields of `TrainingSettings`: `minutes` or `steps`, `seed`, `encoder`, `head`, …

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
    run = Run(
        survey, Path(out), TrainingSettings(**settings), torch.device(device), initial, labelled
    )
    run.describe(name or _name_of(run.out, survey))
    with closing(run):
        run.open(resume)
        run.set_up(tables, setup)
        last_save = last_report = time.monotonic()
        with Signals() as signals:
            while (progress := run.settings.progress(run.step, run.seconds)) < 1:
                began = time.monotonic()
                if run.step % run.settings.valid_every == 0:
                    run.validate()
                ready = time.monotonic()
                prepared = run.is_prepared
                images, labels = run.batch()
                run.update(images, labels, progress)
                now = time.monotonic()
                run.seconds += now - began
                if not prepared:
                    run.throughput.add(now - ready)
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


class Run:
    """State of a training: network, its moving average, optimiser, progress."""

    def __init__(
        self,
        survey: Survey,
        out: Path,
        settings: TrainingSettings,
        device: torch.device,
        initial: Estimator | str | Path | None,
        labelled: Labelled | None,
    ) -> None:
        self.estimator, self.initial = start_network(survey, settings, initial)
        self._identity = {
            "survey": survey.fingerprint(),
            "initial": "" if self.initial is None else self.initial.version,
            "network": network_of(self.estimator.card),
            "settings": settings.identity,
        }
        if settings.freeze_bn_after is None:
            settings = replace(settings, freeze_bn_after=0.5 if initial is None else 0.0)
        self.survey, self.out, self.settings, self.device = survey, out, settings, device
        self.labelled = labelled
        self.net = self.estimator.to(device).net.train()
        self.average = AveragedModel(self.net, multi_avg_fn=self._average, use_buffers=True)
        self.average.n_averaged.fill_(1)  # the first average is of the initial weights, too
        self.parameters = list(self.net.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.source: Source
        self.step = 0
        self.seconds = 0.0
        self.throughput = Throughput()
        self.loss = math.nan
        self.valid_loss = math.nan
        self.bfloat16 = _multiplies_bfloat16_fast(device)
        self._ready: tuple[int, tuple[Tensor, Tensor]] | None = None
        self._valid: tuple[Tensor, Tensor]
        self._board: Any = None
        if labelled is not None:
            self._identity["labels"] = labelled.fingerprint()
            none = Hashes(absent_because="trained on labelled clusters, without a simulation")
            hashes = none if self.initial is None else self.initial.card.hashes
            self.estimator.describe(hashes=hashes)
            return
        hashes = Hashes.model_validate(contents(survey))
        self.estimator.describe(hashes=hashes)
        self._identity["spectra"] = hashes.spectra
        if set(hashes.isochrones) != {"sse"}:  # what an imported model's name stands for may change
            self._identity["stars"] = hashes.isochrones

    def describe(self, name: str) -> None:
        """Name the model."""
        self.estimator.describe(name=name)

    def open(self, resume: bool) -> None:
        """Prepare the output folder, or take up the run that it holds."""
        checkpoint = self.out / CHECKPOINT
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out} is a file; a training needs a folder, choose another")
        if resume and checkpoint.exists():
            self._load_checkpoint(checkpoint)
        elif checkpoint.exists():
            raise InputError(
                f"{self.out} holds a training already",
                given=self.out,
                remedy="resume it, or choose another folder",
                code="resume=True",
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
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # a bare node: metrics.jsonl says the same
            return
        self._board = SummaryWriter(self.out / "tensorboard", purge_step=self.step + 1)

    def set_up(self, tables: SurveyTables | None, setup: Setup | None) -> None:
        """Make the source, the validation set and the first batch: all that is made once."""
        began = time.monotonic()

        def tell(stage: str, done: int) -> None:
            if setup is not None:
                setup(stage, done, 3)

        settings, infers = self.settings, self.estimator.infers
        tell("tables of stars", 0)
        if self.labelled is None:
            self.source = SimulatedSource(self.survey, settings, infers, self.device, tables, setup)
        else:
            self.source = LabelledSource(
                self.labelled, self.survey, settings.seed, settings.batch_size, self.device
            )
        tell("validation set", 1)
        self._valid = self.source.validation()
        if self._valid[1].shape[1] != len(infers):
            raise InputError(
                f"{self._valid[1].shape[1]} labels a cluster, but the network infers "
                f"{', '.join(infers)}; give a label for each"
            )
        if settings.progress(self.step, self.seconds) < 1:
            tell("star fields of the training", 2)
            self._ready = self.step, self.source.batch(self.step)
        tell("ready", 3)
        seconds = time.monotonic() - began
        log.info("set-up took %.1f s, which are not counted as training", seconds)

    @property
    def is_prepared(self) -> bool:
        """Whether the present step's batch was made in the set-up."""
        return self._ready is not None and self._ready[0] == self.step

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images and labels of the present step."""
        if self._ready is not None and self.is_prepared:
            return self._ready[1]
        self._ready = None
        return self.source.batch(self.step)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def update(self, images: Tensor, labels: Tensor, progress: float) -> None:
        """One step of the optimiser; left out where the gradient is not finite."""
        self.net.train()
        assert self.settings.freeze_bn_after is not None
        if progress >= self.settings.freeze_bn_after:
            for module in self.net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.step, progress)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            context = self.net.context(images)
        loss = self.net.loss(labels, context)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        else:
            log.warning("the gradient of step %d is not finite; the step is left out", self.step)
            self._restore_bn_statistics()
        self.step += 1
        self.average.update_parameters(self.net)
        self.loss = float(loss.detach())

    @torch.no_grad()
    def _restore_bn_statistics(self) -> None:
        """Put the average in the place of running statistics that a bad batch has spoilt."""
        average = dict(self.average.module.named_buffers())
        for key, value in self.net.named_buffers():
            if not value.isfinite().all():
                value.copy_(average[key])

    @torch.no_grad()
    def _average(self, average: Sequence[Any], now: Sequence[Any], _: Any) -> None:
        """Exponential moving average, whose memory grows with the steps at first."""
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        for kept, value in zip(average, now, strict=True):
            if kept.is_floating_point():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)

    def averaged(self) -> Estimator:
        """The estimator with the averaged weights."""
        net: ClusterNet = self.average.module  # type: ignore[assignment]
        return Estimator(self.estimator.card, self.survey, net)

    @torch.inference_mode()
    def validate(self) -> Tensor:
        """Loss of the averaged network on the validation set; returns the set's features."""
        images, labels = self._valid
        net = self.averaged().net
        context = torch.cat([net.context(part) for part in images.split(256)])
        self.valid_loss = float(net.loss(labels, context))
        return context

    def log(self, report: Report | None) -> None:
        """Write one line of metrics."""
        progress = self.settings.progress(self.step, self.seconds)
        per_step = max(self.throughput.per_step(self.seconds / max(self.step, 1)), 1e-9)
        if self.settings.steps is not None:
            left = per_step * (self.settings.steps - self.step)
        else:
            left = self.seconds * (1 / max(progress, 1e-9) - 1)
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(self.loss, 4) if math.isfinite(self.loss) else None,
            "valid_loss": round(self.valid_loss, 4) if math.isfinite(self.valid_loss) else None,
            "learning_rate": self.settings.learning_rate_at(self.step, progress),
            "stamps_per_s": round(self.settings.batch_size / per_step, 1),
            "progress": round(min(progress, 1.0), 5),
            "seconds_left": round(max(left, 0.0), 1),
        }
        with (self.out / METRICS).open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for key in ("loss", "valid_loss", "learning_rate", "stamps_per_s"):
                if line[key] is not None:
                    self._board.add_scalar(key, line[key], self.step)
        if report is not None:
            report({**line, "loss": self.loss})

    def save_checkpoint(self) -> None:
        """Write all that the run needs to go on, in one file that appears whole or not at all."""
        tensors = {f"net.{k}": v.contiguous() for k, v in self.net.state_dict().items()}
        average = self.average.module.state_dict()
        tensors |= {f"average.{k}": v.contiguous() for k, v in average.items()}
        for i, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v.contiguous() for k, v in moments.items()}
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "valid_loss": self.valid_loss,
            "identity": self._identity,
            "card": self.estimator.card.model_dump(mode="json"),
        }
        write_checkpoint(self.out / CHECKPOINT, tensors, state)
        if self._board is not None:
            self._board.flush()

    def _load_checkpoint(self, path: Path) -> None:
        tensors, state = read_checkpoint(path)
        if "identity" not in state:
            raise InputError(f"{path} is of an earlier version; begin anew in another folder")
        check_same_run(state["identity"], self._identity, path, TrainingSettings.defaults())
        self.net.load_state_dict(_part(tensors, "net."))
        # Copied, not replaced: the layout in memory stays, and with it every last bit.
        average = self.average.module.state_dict()
        for key, value in _part(tensors, "average.").items():
            average[key].copy_(value)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "optimiser.").items():
            number, name = key.split(".", 1)
            index = int(number)
            like = self.parameters[index]
            laid_out = value if name == "step" else torch.empty_like(like).copy_(value)
            moments.setdefault(index, {})[name] = laid_out
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.step, self.seconds = state["step"], state["seconds"]
        self.valid_loss = state["valid_loss"]

    def finish(self, report: Report | None) -> Path:
        """Write the averaged network as the model."""
        context = self.validate()
        truncate_metrics(self.out / METRICS, self.step - 1)  # this step's line is written anew
        self.log(report)
        self.save_checkpoint()
        model = self.averaged()
        if isinstance(self.source, LabelledSource):
            with torch.inference_mode():
                familiar = self.source.all_images().split(256)
                context = torch.cat([model.net.context(part) for part in familiar])
        model.learn_domain(context.clone())
        model.describe(
            present_mass=self._present_mass(), runs=[*self.estimator.card.runs, self._record()]
        )
        return model.save(self.out, overwrite=True)

    def _present_mass(self) -> MassCurve:
        """That of the survey's stars; labels may be tuned to the initial model's."""
        labels = isinstance(self.source, LabelledSource)
        if labels and self.initial is not None and self.initial.card.present_mass is not None:
            return self.initial.card.present_mass
        log_age, fraction = present_mass_curve(self.survey)
        return MassCurve(
            log_age=tuple(np.round(log_age, 4).tolist()),
            fraction=tuple(np.round(fraction, 5).tolist()),
        )

    def _record(self) -> TrainingRun:
        """What the model's card says of this run."""
        settings = self.settings
        return TrainingRun(
            data=self.source.name,
            steps=self.step,
            clusters=self.step * settings.batch_size,
            seed=settings.seed,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            minutes=round(self.seconds / 60, 1),
            device=str(self.device),
            versions={"praesepe": __version__, "torch": torch.__version__, "numpy": np.__version__},
            initial=str(self._identity["initial"]),
            valid_loss=self.valid_loss if math.isfinite(self.valid_loss) else None,
            settings=dict(settings.identity),
            survey_fingerprint=self.survey.fingerprint(),
        )


def _name_of(out: Path, survey: Survey) -> str:
    """Name of the model that a folder will hold: the folder's, in letters that fit any header."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", out.resolve().name).strip("-.") or survey.name


def _multiplies_bfloat16_fast(device: torch.device) -> bool:
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
    known = [field.name for field in fields(TrainingSettings)]
    for name in settings:
        if name not in known:
            raise unknown("training setting", name, known)
