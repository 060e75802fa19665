"""How a training runs: its settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Self

from praesepe.errors import InputError, check_number, unknown
from praesepe.rng import check_seed

WHOLE_NUMBERS = {
    "steps": 1,
    "batch_size": 2,
    "views": 1,
    "workers": 1,
    "warmup_steps": 1,
    "valid_size": 1,
    "valid_every": 1,
}
"""Settings that are whole numbers, with the least that is allowed."""

NUMBERS = {
    "minutes": (0, math.inf, True),
    "learning_rate": (0, 10, True),
    "weight_decay": (0, 10, False),
    "ema_decay": (0, 1, False),
    "freeze_bn_after": (0, 1, False),
    "clip": (0, math.inf, True),
    "checkpoint_seconds": (0, math.inf, False),
}
"""Settings that are finite numbers: lowest, highest, and whether they must be above the lowest."""

FINE_TUNING = {"learning_rate": 1e-4, "warmup_steps": 20, "valid_every": 10}
"""Settings, where not given, of a training from a model on labelled clusters."""

PATIENCE = 20
"""A training on labelled clusters ends after so many validations without a better one."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained; recorded with the model.

    Attributes
    ----------
    minutes, steps : float or int, optional
        Length of the training: exactly one of the two.
    seed : int
        Of the weights and of all simulations.
    encoder, head : str, optional
        Parts of the network, see `Estimator.untrained`; ``"small"`` and ``"flow"``, or those of
        the model that the training starts from.
    head_options : mapping, optional
        Settings of the head; by default those that suit the encoder.
    batch_size : int
        Stamps per step.
    views : int
        How often a simulated stamp is seen, each time turned or mirrored otherwise.
    workers : int
        Processes that simulate beside the training, each with one thread and its own tables of
        stars; 1: none, the training simulates itself. See `praesepe.blocks.map_blocks`.
    learning_rate : float
        At its highest, after the warm-up.
    warmup_steps : int
        Steps over which the learning rate rises.
    weight_decay : float
        Of AdamW.
    ema_decay : float
        Decay per step of the weights' exponential moving average, which is what is saved.
    fixed_encoder : bool
        Only the head learns, from the features of the model that the training starts from: for
        other priors or further quantities, at about twice the stamps a second.
    freeze_bn_after : float, optional
        Fraction of the training (0 to 1) after which batch normalisations keep their statistics:
        one half, or 0 where the training starts from a model. From then on the network that is
        trained is the one that will be used; before, every batch's own mean and variance blur
        what a stamp's brightness says. (A run that is made more than twice as long is below it
        again.)
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
    encoder: str | None = None
    head: str | None = None
    head_options: dict[str, Any] | None = None
    batch_size: int = 128
    views: int = 1
    workers: int = 1
    learning_rate: float = 1.5e-3
    warmup_steps: int = 300
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    fixed_encoder: bool = False
    freeze_bn_after: float | None = None
    clip: float = 1.0
    valid_size: int = 2048
    valid_every: int = 250
    checkpoint_seconds: float = 45.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InputError(
                f"minutes = {self.minutes}, steps = {self.steps}",
                given=(self.minutes, self.steps),
                remedy="give either minutes or steps, to say how long to train",
            )
        check_seed(self.seed)
        for name, least in WHOLE_NUMBERS.items():
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), least)
        for name, (low, high, above) in NUMBERS.items():
            if getattr(self, name) is not None:
                value = getattr(self, name)
                check_number(name, value, low, high, whole=False, above=above)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Settings by name; raise `InputError` for a name that is none, with the nearest."""
        for name in given:
            if name not in cls.defaults():
                raise unknown("training setting", name, cls.defaults())
        return cls(**given)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Default of every setting."""
        return {field.name: field.default for field in fields(cls)}

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that make the data or the network, where they are not the defaults."""
        neither = {"minutes", "steps", "valid_size", "valid_every", "checkpoint_seconds", "workers"}
        network = {"encoder", "head", "head_options"}  # stand in the model's card
        return {
            name: getattr(self, name)
            for name, default in self.defaults().items()
            if name not in neither | network and getattr(self, name) != default
        }

    def progress(self, step: int, seconds: float) -> float:
        """Fraction of the training that lies behind, 0 to 1."""
        if self.steps is not None:
            return step / self.steps
        assert self.minutes is not None
        return seconds / (60 * self.minutes)

    def learning_rate_at(self, step: int, progress: float) -> float:
        """Learning rate: linear warm-up, then half a cosine down to nothing."""
        rise = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
