"""State of a training: the network, its average, the optimiser, and what identifies the run."""

from __future__ import annotations

import logging
import math
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from praesepe import quantities
from praesepe.errors import InputError, unusable
from praesepe.files import check_space
from praesepe.network.estimator import Estimator
from praesepe.network.net import ClusterNet
from praesepe.network.schema import Hashes, MassCurve, TrainingRun
from praesepe.network.storage import CONTENT
from praesepe.progress import Setup
from praesepe.sky.contents import contents_of, without_missing_stars
from praesepe.sky.simulator import RANDOM_STREAM
from praesepe.sky.tables import SurveyTables
from praesepe.stars.curves import with_curves
from praesepe.stars.present_mass import present_mass_curve
from praesepe.survey import Survey
from praesepe.training.checkpoint import check_same_run, read_checkpoint, write_checkpoint
from praesepe.training.config import PATIENCE, TrainingSettings
from praesepe.training.critic import learn_critic
from praesepe.training.curve import LearningCurve, learning_curve
from praesepe.training.initial import goes_on, network_of, part_of, start_network
from praesepe.training.labelled import Labelled
from praesepe.training.learned import judged, relative_errors
from praesepe.training.metrics import MetricsLog, Report
from praesepe.training.sources import (
    Batch,
    LabelledSource,
    MixedSource,
    SimulatedSource,
    Source,
)
from praesepe.version import __version__

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"

LEARNED_FROM = 512
"""Stamps of the validation set that tell what was learned."""


FEWEST_FOR_CRITIC = 1000
"""Stamps of the validation set below which a run is a mere try, and teaches no critic."""


class Run:
    """State of a training, and the parts of a step; `loop` has their order."""

    def __init__(
        self,
        survey: Survey,
        out: Path | None,
        settings: TrainingSettings,
        *,
        device: torch.device,
        initial: Estimator | str | Path | None,
        labelled: Labelled | None,
        report: Report | None,
        name: str,
    ) -> None:
        survey = survey if labelled is None else without_missing_stars(survey)
        self.estimator, self.initial = start_network(
            survey, settings, initial, transfers=labelled is None
        )
        self.estimator.describe(name=name or _name_of(out) or survey.name)
        self.survey, self.out, self.labelled, self.device = survey, out, labelled, device
        self.identity = self._identify(settings)
        if settings.freeze_bn_after is None:
            whole = self.initial is not None and goes_on(self.initial.card, self.estimator.card)
            settings = replace(settings, freeze_bn_after=0.0 if whole else 0.5)
        self.settings = settings
        self.net = self.estimator.to(device).net.train()
        self.average = AveragedModel(self.net, multi_avg_fn=self._average, use_buffers=True)
        self.average.n_averaged.fill_(1)  # the first average is of the initial weights, too
        learning = self.net.head if settings.fixed_encoder else self.net
        self.parameters = list(learning.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.metrics = MetricsLog(out, report)
        self.source: Source
        self.validation_set: Batch
        self.first_batch: Batch | None = None
        self.step = 0
        self.seconds = 0.0
        self.step_seconds: deque[float] = deque(maxlen=50)
        self.latest_loss = self.valid_loss = math.nan
        self.best: dict[str, Tensor] = {}
        self.best_loss, self.best_step = math.inf, 0
        self.bfloat16 = _multiplies_bfloat16_fast(device)

    @property
    def progress(self) -> float:
        """Fraction of the training that lies behind; 1 at its end."""
        if self.labelled and self.step - self.best_step >= PATIENCE * self.settings.valid_every:
            return 1.0
        return self.settings.progress(self.step, self.seconds)

    def _identify(self, settings: TrainingSettings) -> dict[str, Any]:
        """What makes the data and the network; the model's card gets the hashes of the files."""
        identity = {
            "survey": self.survey.identity(),
            "initial": "" if self.initial is None else self.initial.version,
            "network": network_of(self.estimator.card),
            "settings": settings.identity,
        }
        if self.labelled is not None:
            identity["labels"] = self.labelled.fingerprint()
        hashes = Hashes.model_validate(contents_of(self.survey))
        self.survey = self.estimator.survey = with_curves(self.survey)
        self.estimator.describe(survey=self.survey.model_dump(mode="json"))
        identity["simulator"] = {"random stream": RANDOM_STREAM}
        identity["curves"], identity["spectra"] = hashes.curves, hashes.spectra
        # What a name stands for may change, and a file may move.
        identity["stars"] = {Path(name).name: key for name, key in hashes.isochrones.items()}
        self.estimator.describe(hashes=hashes)
        return identity

    # Before the first step

    def open(self, resume: bool) -> None:
        """Prepare the output folder, or take up the run that it holds."""
        if self.out is None:
            if resume:
                message = "a run without a folder cannot be resumed"
                raise InputError(message, given=self.out, remedy="give its folder as out")
            return
        checkpoint = self.out / CHECKPOINT
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
            fault = "holds a model, but no checkpoint that a training could resume from"
            raise unusable(self.out, fault, "choose another folder")
        elif resume:
            log.warning("no checkpoint in %s; beginning anew", self.out)
        weights = 4 * sum(one.numel() for one in self.parameters)  # four times in a checkpoint
        check_space(self.out, weights * (4 if checkpoint.exists() else 8), "a training")
        self.metrics.open(self.step)
        last = self.metrics.lines[-1] if self.metrics.lines else {"step": 0}
        if last["step"] == self.step and last.get("loss") is not None:
            self.latest_loss = last["loss"]

    def set_up(self, tables: SurveyTables | None, setup: Setup | None) -> None:
        """Make the source, the validation set and the first batch: all that is made once."""
        began = time.monotonic()

        def tell(stage: str, done: int) -> None:
            if setup is not None:
                setup(stage, done, 4)

        settings, infers = self.settings, self.estimator.infers
        tell("tables of stars", 0)
        self.source = self._source(tables, setup)
        tell("validation set", 1)
        self.validation_set = self.source.validation()
        if (n_labels := self.validation_set.labels.shape[1]) != len(infers):
            raise InputError(
                f"{n_labels} labels a cluster, but the network infers {', '.join(infers)}",
                given=n_labels,
                allowed=len(infers),
                remedy="give a label for each",
            )
        if self.labelled is not None:
            self.labelled.check(self.estimator.card.priors)
        if self.progress < 1:
            tell("star fields of the training", 2)
            self.first_batch = self.source.batch(self.step)
            if self.step % settings.valid_every == 0:
                tell("first validation", 3)
                self.validate()
        seconds = time.monotonic() - began
        log.info("set-up took %.1f s, which are not counted as training", seconds)

    def _source(self, tables: SurveyTables | None, setup: Setup | None) -> Source:
        """Simulations, or halves of these and of labelled clusters."""
        survey, settings, device = self.survey, self.settings, self.device
        half = 0 if self.labelled is None else settings.batch_size // 2
        of_simulations = replace(settings, batch_size=settings.batch_size - half)
        card, step = self.estimator.card, self.step
        simulated = SimulatedSource(survey, of_simulations, card, device, tables, setup, step)
        if self.labelled is None:
            return simulated
        labelled = LabelledSource(self.labelled, survey, settings.seed, half, device)
        return MixedSource(labelled, simulated)

    def close(self) -> None:
        """End what works beside the training."""
        if hasattr(self, "source"):
            self.source.close()

    # A step

    @torch.inference_mode()
    def validate(self) -> Tensor:
        """Loss of the averaged network on the validation set; returns the set's features.

        Of a training on labelled clusters, which may do harm, the best weights are kept.
        """
        net = self.averaged().net
        context = _context(net, self.validation_set)
        self.valid_loss = float(net.loss(self.validation_set.labels, context))
        if self.labelled is not None and self.valid_loss < self.best_loss:
            self.best = {k: v.clone() for k, v in self.average.module.state_dict().items()}
            self.best_loss, self.best_step = self.valid_loss, self.step
        return context

    def next_batch(self) -> Batch:
        """The stamps of the present step; the first were made in the set-up."""
        ready, self.first_batch = self.first_batch, None
        return self.source.batch(self.step) if ready is None else ready

    def set_learning_rate(self, progress: float) -> None:
        """Let the optimiser have the learning rate of this step."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.step, progress)

    def freeze_batch_norms(self, progress: float) -> None:
        """Keep the statistics of batch normalisations from a fraction of the training on."""
        self.net.train()
        assert self.settings.freeze_bn_after is not None
        if self.settings.fixed_encoder:
            self.net.encoder.eval()
        elif progress >= self.settings.freeze_bn_after:
            for module in self.net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()

    def loss(self, batch: Batch) -> Tensor:
        """Mean of minus the log-density of the labels."""
        if self.settings.fixed_encoder:
            with torch.no_grad():
                context = _context(self.net.for_inference(), batch)
            return self.net.loss(batch.labels, context)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            context = self.net.context(batch.images, batch.conditions)
        return self.net.loss(batch.labels, context)

    def descend(self, loss: Tensor) -> None:
        """One step of the optimiser; left out where the gradient is not finite."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        else:
            log.warning("the gradient of step %d is not finite; the step is left out", self.step)
            self._restore_bn_statistics()
        self.latest_loss = float(loss.detach())
        self.step += 1

    @torch.no_grad()
    def _restore_bn_statistics(self) -> None:
        """Put the average in the place of running statistics that a bad batch has spoilt."""
        average = dict(self.average.module.named_buffers())
        for key, value in self.net.named_buffers():
            if not value.isfinite().all():
                value.copy_(average[key])

    def update_average(self) -> None:
        """Move the averaged weights, which are what is saved, towards the present ones."""
        self.average.update_parameters(self.net)

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

    def log(self) -> None:
        """Write one line of metrics."""
        latest, progress = self.step_seconds, self.progress
        per_step = sum(latest) / len(latest) if latest else self.seconds / max(self.step, 1)
        if self.settings.steps is not None:
            left = per_step * (self.settings.steps - self.step)
        else:
            left = self.seconds * (1 / max(progress, 1e-9) - 1)
        self.metrics.write(
            {
                "step": self.step,
                "seconds": round(self.seconds, 1),
                "loss": _rounded(self.latest_loss),
                "valid_loss": _rounded(self.valid_loss),
                "learning_rate": self.settings.learning_rate_at(self.step, progress),
                "stamps_per_s": round(self.settings.batch_size / max(per_step, 1e-9), 1),
                "progress": round(min(progress, 1.0), 5),
                "seconds_left": round(max(left, 0.0), 1),
            }
        )

    # Checkpoints

    def save_checkpoint(self) -> None:
        """Write all that the run needs to go on, in one file that appears whole or not at all."""
        if self.out is None:
            return
        tensors = {f"net.{k}": v.contiguous() for k, v in self.net.state_dict().items()}
        average = self.average.module.state_dict()
        tensors |= {f"average.{k}": v.contiguous() for k, v in average.items()}
        tensors |= {f"best.{k}": v.contiguous() for k, v in self.best.items()}
        for i, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v.contiguous() for k, v in moments.items()}
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "valid_loss": _finite(self.valid_loss),
            "best_loss": _finite(self.best_loss),
            "best_step": self.best_step,
            "identity": self.identity,
            "card": self.estimator.card,
        }
        write_checkpoint(self.out / CHECKPOINT, tensors, state)
        self.metrics.flush()

    def _load_checkpoint(self, path: Path) -> None:
        tensors, state = read_checkpoint(path)
        check_same_run(state["identity"], self.identity, path, TrainingSettings.defaults())
        self.net.load_state_dict(part_of(tensors, "net."))
        # Copied, not replaced: the layout in memory stays, and with it every last bit.
        average = self.average.module.state_dict()
        for key, value in part_of(tensors, "average.").items():
            average[key].copy_(value)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part_of(tensors, "optimiser.").items():
            number, name = key.split(".", 1)
            like = self.parameters[int(number)]
            laid_out = value if name == "step" else torch.empty_like(like).copy_(value)
            moments.setdefault(int(number), {})[name] = laid_out
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.step, self.seconds = state["step"], state["seconds"]
        self.valid_loss = math.nan if state["valid_loss"] is None else state["valid_loss"]
        self.best = part_of(tensors, "best.")
        self.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
        self.best_step = state["best_step"]

    # The end

    def finish(self, setup: Setup | None = None) -> Estimator:
        """The model: the averaged network, where its features lie, and how it was made."""
        context = self.validate()
        self.metrics.drop_after(self.step - 1)  # this step's line is written anew
        self.log()
        self.save_checkpoint()
        model = self.averaged()
        if isinstance(self.source, MixedSource):
            if self.best:
                model.net.load_state_dict(self.best)
            with torch.inference_mode():
                context = _context(model.net, self.source.everything)
        model.learn_domain(context.clone())
        if self.settings.valid_size >= FEWEST_FOR_CRITIC:
            told = None if setup is None else partial(setup, "learning when not to be believed")
            learn_critic(model, self.source.simulator, seed=self.settings.seed, progress=told)
        return model.describe(
            present_mass=self._present_mass(),
            runs=[*self.estimator.card.runs, self._record(self.tuning(model))],
        )

    def tuning(self, model: Estimator) -> dict[str, Any]:
        """What labelled clusters have changed; see `praesepe.network.schema.TrainingRun`."""
        if not isinstance(self.source, MixedSource):
            return {}
        stamps = {
            "labelled": self.validation_set,
            "simulated": self.source.simulated_validation.part(slice(LEARNED_FROM)),
        }
        first = self.initial or start_network(self.survey, self.settings, None)[0]
        first.to(self.device)
        return {
            "labelled": len(self.source.labelled.everything.images),
            "held_out": len(self.validation_set.images),
            "steps": self.step,
            "kept_step": self.best_step,
            "before": {name: judged(first, some) for name, some in stamps.items()},
            "after": {name: judged(model, some) for name, some in stamps.items()},
        }

    def curve(self) -> LearningCurve:
        """How the validation loss fell."""
        card, settings = self.estimator.card, self.settings
        continuous = [name for name in card.infers if not quantities.get(name).is_categorical]
        return learning_curve(
            self.metrics.lines,
            clusters_a_step=settings.batch_size / settings.views,
            before=sum(run.clusters for run in card.runs),
            warmup_steps=settings.warmup_steps,
            quantities=len(continuous),
        )

    def learned(self) -> dict[str, float]:
        """Errors on the validation set; see `relative_errors`."""
        some, model = self.validation_set.part(slice(LEARNED_FROM)), self.averaged()
        posterior = model.predict(some.images, conditions=some.conditions, n_samples=100)
        truth = some.labels.cpu().numpy()
        return relative_errors(posterior.percentile(50), truth, model.infers, model.card.priors)

    def _present_mass(self) -> MassCurve:
        """That of the survey's stars."""
        log_age, fraction = present_mass_curve(self.survey)
        return MassCurve(
            log_age=tuple(np.round(log_age, 4).tolist()),
            fraction=tuple(np.round(fraction, 5).tolist()),
        )

    def _record(self, tuning: dict[str, Any]) -> TrainingRun:
        """What the model's card says of this run."""
        settings = self.settings
        return TrainingRun(
            data=self.source.name,
            steps=self.step,
            clusters=self.step * settings.batch_size // settings.views,
            seed=settings.seed,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            minutes=round(self.seconds / 60, 1),
            device=str(self.device),
            versions={"praesepe": __version__, "torch": torch.__version__, "numpy": np.__version__},
            initial=str(self.identity["initial"]),
            valid_loss=_finite(self.best_loss if tuning else self.valid_loss),
            tuning=tuning,
            settings=dict(settings.identity),
            survey_fingerprint=self.survey.fingerprint(),
        )


def _name_of(out: Path | None) -> str:
    """Name of the model that a folder will hold: the folder's, in letters that fit any header."""
    name = "" if out is None else out.resolve().name
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")


def _context(net: ClusterNet, batch: Batch) -> Tensor:
    """Features of all stamps, a few at a time."""
    return torch.cat([net.context(part.images, part.conditions) for part in batch.split(256)])


def _multiplies_bfloat16_fast(device: torch.device) -> bool:
    """Whether this is a processor that multiplies bfloat16 faster than float32.

    A GPU convolves in TF32, which keeps three more bits, and waits for its launches, not for them.
    """
    if device.type != "cpu":
        return False
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _rounded(loss: float) -> float | None:
    return round(loss, 4) if math.isfinite(loss) else None
