"""What ``model.json`` holds: everything about a model but its weights, and nothing unknown.

Format 3 is meant to last: new entries come with a default, so that older files stay valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from praesepe import quantities
from praesepe.errors import InputError, listed, unknown, unusable
from praesepe.network.conditions import condition_kind

FORMAT = 3


class Entry(BaseModel):
    """Base of all entries: immutable, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BandEntry(Entry):
    """A band of the stamps; of one channel are those of which a stamp has one."""

    name: str
    filter: str
    instrument: str = ""
    channel: str = ""


class ConditionEntry(Entry):
    """Something that the network is told, and the range of it in the training."""

    name: str
    low: float
    high: float


class Part(Entry):
    """The encoder or the head: its name and its settings."""

    name: str
    settings: dict[str, Any] = {}


class Hashes(Entry):
    """Of the files that the training's stars were made with, by the name of each."""

    curves: dict[str, str] = {}
    psfs: dict[str, str] = {}
    isochrones: dict[str, str] = {}
    spectra: dict[str, str] = {}
    fields: dict[str, str] = {}
    absent_because: str = ""


class MassCurve(Entry):
    """Present-day mass per unit of initial mass, as a function of age."""

    log_age: tuple[float, ...] = Field(min_length=1)
    fraction: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _pair_up(self) -> Self:
        if len(self.log_age) != len(self.fraction):
            raise ValueError(f"{len(self.log_age)} ages but {len(self.fraction)} fractions")
        return self


class OutOfDomain(Entry):
    """Where the features of the training's stamps lie: tensors beside the weights."""

    tensors: str = "out_of_domain"
    quantile: float = 0.999


class CriticEntry(Entry):
    """What tells faulty stamps: tensors beside the weights, and the kinds of fault, in order."""

    tensors: str = "critic"
    kinds: tuple[str, ...]


class TrainingRun(Entry):
    """One run of a training; the first starts from random weights.

    ``tuning`` is of runs on labelled clusters: how many, how many held out, the step whose weights
    are kept, and bias, scatter and coverage before and after on those held out and on simulations.
    """

    data: str = "simulations"
    steps: int
    clusters: int
    seed: int
    learning_rate: float
    batch_size: int | None = None
    minutes: float | None = None
    device: str = ""
    versions: dict[str, str] = {}
    initial: str = ""
    valid_loss: float | None = None
    settings: dict[str, Any] = {}
    survey_fingerprint: str = ""
    tuning: dict[str, Any] = {}
    note: str = ""


class ModelCard(Entry):
    """The whole of ``model.json``.

    Attributes
    ----------
    version : str
        First digits of the SHA-256 of the weights; empty before they are saved.
    infers : tuple of str
        Names of the quantities, in the order of the posterior's last axis.
    conditions : tuple of ConditionEntry
        What the network is told beside the stamp.
    background : str
        Whether a stamp's background is subtracted before anything else; models that were trained
        before this could be said keep it.
    scaling : str
        What stamps are divided by: the scale of each band, or their own noise.
    weights : str
        Precision in which the weights are stored; statistics are always single precision.
    priors : dict of str to (float, float)
        Ends of the prior of every inferred quantity.
    survey : dict
        As trained, for `praesepe.survey.parse_survey`.
    hashes : Hashes
        Of curves, PSFs, isochrones and spectra.
    runs : tuple of TrainingRun
        All that made these weights, the first run first.
    checksum : str
        SHA-256 of the weights and of everything else in the file.
    """

    format: Literal[3] = 3
    name: str
    version: str = ""
    infers: tuple[str, ...] = Field(min_length=1)
    conditions: tuple[ConditionEntry, ...] = ()
    bands: tuple[BandEntry, ...] = Field(min_length=1)
    background: Literal["kept", "removed"] = "kept"
    scaling: Literal["band", "noise"] = "band"
    encoder: Part
    head: Part
    weights: Literal["float32", "float16"] = "float32"
    priors: dict[str, tuple[float, float]]
    survey: dict[str, Any]
    hashes: Hashes = Hashes()
    present_mass: MassCurve | None = None
    out_of_domain: OutOfDomain | None = None
    critic: CriticEntry | None = None
    runs: tuple[TrainingRun, ...] = ()
    checksum: str = ""

    def __repr__(self) -> str:
        return (
            f"<ModelCard of {self.name!r} {self.version or '(not saved)'}: {listed(self.infers)} "
            f"from {listed(band.name for band in self.bands)}; encoder {self.encoder.name!r}, "
            f"head {self.head.name!r}; {len(self.runs)} runs>"
        )

    __str__ = __repr__

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name in self.infers:
            quantities.get(name)
        for condition in self.conditions:
            condition_kind(condition.name)
        if self.scaling == "noise" and not self.conditions:
            raise ValueError("scaled by the noise, which is told beside conditions: it has none")
        for names in (self.infers, [condition.name for condition in self.conditions]):
            if len(set(names)) < len(names):
                raise ValueError(f"{list(names)}: each name may occur once")
        if tuple(self.priors) != self.infers:
            raise ValueError(f"priors of {list(self.priors)}, but infers {list(self.infers)}")
        for name, (low, high) in self.priors.items():
            if not low < high:
                raise ValueError(f"the prior of {name} is {low:g} to {high:g}: it has no width")
        return self


def make_card(**entries: Any) -> ModelCard:
    """Make a card; raise `InputError` where an entry is missing, unknown or impossible."""
    try:
        return ModelCard.model_validate(entries)
    except ValidationError as error:
        raise InputError(
            f"a model cannot be described so: {_problems(error)}",
            given=entries,
            remedy="correct these entries",
        ) from error


def parse_card(content: Mapping[str, Any], *, source: str) -> ModelCard:
    """Check the content of a ``model.json``; `source` names it in messages.

    Raises
    ------
    InputError
        Where a key is missing or unknown, or a value is impossible.
    """
    try:
        return ModelCard.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        fault = f"is no sound Praesepe model: {_problems(error)}"
        raise unusable(source, fault, "copy or train it again") from error


def _problems(error: ValidationError) -> str:
    """What pydantic found, in a line."""
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = ModelCard.model_fields if len(problem["loc"]) == 1 else ()
            advice = "A newer version of Praesepe may have written it."
            problems.append(str(unknown("key", where, known, advice)))
        else:
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{where}: {message}" if where else message)
    return "; ".join(problems)


def checksum(content: Mapping[str, Any], weights: bytes) -> str:
    """SHA-256 of weights and metadata together, but for the entry ``checksum`` itself."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode() + b"\0" + weights).hexdigest()


def digest(weights: bytes) -> str:
    """Version of a model: the first 12 digits of the SHA-256 of its weights."""
    return hashlib.sha256(weights).hexdigest()[:12]
