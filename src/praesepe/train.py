"""Training: one visible loop over fresh simulations, or over annotated clusters of one's own."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.labelled import Labelled, LabelledSource
from praesepe.network.estimator import Estimator
from praesepe.sky.simulator import Simulator, SurveyTables
from praesepe.survey import Survey, load_survey

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
VALIDATION_SEED = 982_451_653
"""Added to the seed of a run for its validation set."""

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """How a network is trained; recorded with the model.

    Attributes
    ----------
    minutes, steps : float or int, optional
        Length of the training: exactly one of the two.
    seed : int
        Of the weights and of all simulations.
    preset : str
        Size of the network.
    batch_size : int
        Stamps per step.
    learning_rate : float
        At its highest, after the warm-up.
    warmup_steps : int
        Steps over which the learning rate rises.
    weight_decay : float
        Of AdamW.
    averaging : float
        Decay per step of the weights' running average, which is what is saved.
    clip : float
        Largest norm of the gradient.
    valid_size, valid_every : int
        Stamps in the validation set; steps between validations.
    checkpoint_seconds : float
        A kill loses at most this much.
    """

    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    preset: str = "small"
    batch_size: int = 128
    learning_rate: float = 1.5e-3
    warmup_steps: int = 300
    weight_decay: float = 0.01
    averaging: float = 0.999
    clip: float = 1.0
    valid_size: int = 2048
    valid_every: int = 250
    checkpoint_seconds: float = 45.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InputError("give either minutes or steps, to say how long to train")
        length = self.steps if self.minutes is None else self.minutes
        if length is None or length <= 0:
            raise InputError(f"a training of length {length} is none; give a positive number")

    def done(self, step: int, seconds: float) -> float:
        """Share of the training that lies behind, 0 to 1."""
        if self.steps is not None:
            return step / self.steps
        assert self.minutes is not None
        return seconds / (60 * self.minutes)

    def rate(self, step: int, done: float) -> float:
        """Learning rate: linear warm-up, then half a cosine down to nothing."""
        rise = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


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
    **settings
        Fields of `Settings`: `minutes` or `steps`, `seed`, `preset`, `batch_size`, …

    Returns
    -------
    Path
        The model's folder, for `Estimator.load`.

    Raises
    ------
    InputError
        Where the settings contradict each other or `out` holds another run.
    """
    survey = load_survey(survey)
    run = Run(survey, Path(out), Settings(**settings), torch.device(device), initial, labelled, tables)
    run.open(resume)
    last_save = last_report = time.monotonic()
    while (done := run.settings.done(run.step, run.seconds)) < 1:
        began = time.monotonic()
        if run.step % run.settings.valid_every == 0:
            run.validate()
        images, labels = run.source.batch(run.step)
        loss = run.update(images, labels, run.settings.rate(run.step, done))
        now = time.monotonic()
        run.seconds += now - began
        if run.step % 10 == 0 or now - last_report > 5:
            last_report = now
            run.log(loss, report)
        if now - last_save > run.settings.checkpoint_seconds:
            run.save_checkpoint()
            last_save = time.monotonic()
    return run.finish(report)


class SimulatedSource:
    """Fresh simulated clusters for every step; step k is the same in every run of a seed."""

    def __init__(self, survey: Survey, settings: Settings, device: torch.device, tables: SurveyTables | None) -> None:
        self.settings = settings
        self.simulator = Simulator(survey, device=device, seed=settings.seed, tables=tables)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step."""
        simulator = self.simulator
        if simulator.bank is not None and simulator.bank.calls != step:
            simulator.bank.rewind(step)
        simulator.seed(self.settings.seed, step)
        mocks = simulator.draw(self.settings.batch_size, batch_size=self.settings.batch_size)
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
        mocks = simulator.draw(self.settings.valid_size)
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
        tables: SurveyTables | None,
    ) -> None:
        self.survey, self.out, self.settings, self.device = survey, out, settings, device
        self.estimator = _start(survey, settings, initial).to_training(device)
        self.net = self.estimator.net
        self.average = {key: value.detach().clone() for key, value in self.net.state_dict().items()}
        self.parameters = list(self.net.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.source: SimulatedSource | LabelledSource
        if labelled is None:
            self.source = SimulatedSource(survey, settings, device, tables)
        else:
            self.source = LabelledSource(labelled, survey, settings.seed, settings.batch_size, device)
        self.step = 0
        self.seconds = 0.0
        self.valid_loss = math.nan
        self.half = _fast_half(device)
        self._valid: tuple[Tensor, Tensor] | None = None
        self._board: Any = None
        self._identity = {
            "survey": survey.fingerprint(),
            "initial": "" if initial is None else self.estimator.version,
            "settings": {k: v for k, v in asdict(settings).items() if k not in ("minutes", "steps")},
        }

    def open(self, resume: bool) -> None:
        """Prepare the output folder, or take up the run that it holds."""
        checkpoint = self.out / CHECKPOINT
        if resume and checkpoint.exists():
            self._load_checkpoint(checkpoint)
        elif checkpoint.exists() or (self.out / "model.json").exists():
            raise InputError(f"{self.out} holds a training already; resume it or choose another folder")
        self.out.mkdir(parents=True, exist_ok=True)
        _truncate_metrics(self.out / METRICS, self.step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # a bare node: metrics.jsonl says the same
            return
        self._board = SummaryWriter(self.out / "tensorboard", purge_step=self.step)

    def update(self, images: Tensor, labels: Tensor, rate: float) -> float:
        """One step of the optimiser; returns the loss."""
        self.net.train()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            context = self.net.context(images)
        loss = -self.net.log_prob(labels, context).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

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
        averaged = Estimator.untrained(self.survey, preset=self.settings.preset)
        averaged.net.load_state_dict(self.average)
        averaged.net.to(self.device).eval()
        averaged.metadata = dict(self.estimator.metadata)
        return averaged

    @torch.inference_mode()
    def validate(self) -> Tensor:
        """Loss of the averaged network on the validation set; returns the set's features."""
        if self._valid is None:
            self._valid = self.source.validation()
        images, labels = self._valid
        net = self.averaged().net
        context = torch.cat([net.context(part) for part in images.split(256)])
        self.valid_loss = float(-net.log_prob(labels, context).mean())
        return context

    def log(self, loss: float, report: Report | None) -> None:
        """Write one line of metrics."""
        done = self.settings.done(self.step, self.seconds)
        line = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(loss, 4),
            "valid_loss": None if math.isnan(self.valid_loss) else round(self.valid_loss, 4),
            "rate": self.settings.rate(self.step, done),
            "stamps_per_s": round(self.step * self.settings.batch_size / max(self.seconds, 1e-9), 1),
            "done": round(min(done, 1.0), 5),
            "seconds_left": round(self.seconds * (1 / max(done, 1e-9) - 1), 1),
        }
        with (self.out / METRICS).open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for key in ("loss", "valid_loss", "rate", "stamps_per_s"):
                if line[key] is not None:
                    self._board.add_scalar(key, line[key], self.step)
        if report is not None:
            report(line)

    def save_checkpoint(self) -> None:
        """Write all that the run needs to go on, in one file that appears whole or not at all."""
        from safetensors.torch import save_file

        tensors = {f"net.{k}": v.contiguous() for k, v in self.net.state_dict().items()}
        tensors |= {f"average.{k}": v.contiguous() for k, v in self.average.items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v.contiguous() for k, v in state.items()}
        progress = {"step": self.step, "seconds": self.seconds, "valid_loss": self.valid_loss, **self._identity}
        temporary = self.out / f".{CHECKPOINT}.partial"
        save_file(tensors, temporary, metadata={"progress": json.dumps(progress)})
        os.replace(temporary, self.out / CHECKPOINT)

    def _load_checkpoint(self, path: Path) -> None:
        from safetensors import safe_open

        with safe_open(path, "pt", device=str(self.device)) as file:
            progress = json.loads(file.metadata()["progress"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for key, ours in self._identity.items():
            if progress[key] != ours:
                raise InputError(
                    f"{path} belongs to a run with another {key}: {_difference(progress[key], ours)}; "
                    "resume with what it was begun with or choose another folder"
                )
        self.net.load_state_dict(_part(tensors, "net."))
        self.average = _part(tensors, "average.")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "optimiser.").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.valid_loss = progress["valid_loss"]

    def finish(self, report: Report | None) -> Path:
        """Write the averaged network as the model."""
        from praesepe import __version__

        context = self.validate()
        self.log(self.valid_loss, report)
        self.save_checkpoint()
        model = self.averaged()
        model.learn_surprise(context.clone())
        if isinstance(self.source, SimulatedSource):
            stars = self.source.simulator.stars
            model.metadata["present_mass_fraction"] = {
                "log_age": np.round(stars.log_age, 4).tolist(),
                "fraction": np.round(stars.present_fraction[:, 0], 5).tolist(),
            }
        model.metadata["training"] = {
            **asdict(self.settings),
            "data": "simulations" if isinstance(self.source, SimulatedSource) else "labelled clusters",
            "steps_done": self.step,
            "stamps_seen": self.step * self.settings.batch_size,
            "minutes_done": round(self.seconds / 60, 1),
            "valid_loss": self.valid_loss,
            "initial": self._identity["initial"],
            "device": str(self.device),
            "praesepe": __version__,
            "torch": torch.__version__,
            "survey_fingerprint": self.survey.fingerprint(),
        }
        if self._board is not None:
            self._board.close()
        return model.save(self.out, overwrite=True)


def _start(survey: Survey, settings: Settings, initial: Estimator | str | Path | None) -> Estimator:
    """The network that the training begins with."""
    if initial is None:
        return Estimator.untrained(survey, preset=settings.preset, seed=settings.seed)
    start = Estimator.load(initial)
    if start.survey.band_names != survey.band_names or start.survey.stamp_size != survey.stamp_size:
        raise InputError(
            f"model {start.name!r} takes {start.survey.stamp_size} px stamps in {start.survey.band_names}, "
            f"survey {survey.name!r} has {survey.stamp_size} px in {survey.band_names}; they must agree"
        )
    if start.metadata["preset"] != settings.preset:
        raise InputError(
            f"model {start.name!r} is of preset {start.metadata['preset']!r}, not {settings.preset!r}; "
            "give that preset"
        )
    fresh = Estimator.untrained(survey, preset=settings.preset, seed=settings.seed)
    fresh.net.load_state_dict(start.net.state_dict())
    fresh.metadata |= {k: v for k, v in start.metadata.items() if k in ("version", "present_mass_fraction")}
    return fresh


def _fast_half(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type != "cpu":
        return True
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _difference(theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = [key for key in ours if theirs.get(key) != ours[key]]
        return ", ".join(f"{key} {theirs.get(key)!r}, now {ours[key]!r}" for key in keys)
    return f"{theirs!r}, now {ours!r}"


def _truncate_metrics(path: Path, step: int) -> None:
    """Drop the lines past the checkpoint, so that a resumed run writes them again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError):  # a line that a kill cut short
            continue
    temporary = path.with_suffix(".partial")
    temporary.write_text("".join(kept))
    os.replace(temporary, path)
