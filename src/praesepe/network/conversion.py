"""Models of format 2, which knew one list of quantities and one size of network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from praesepe.errors import InputError
from praesepe.network.heads.registry import head_settings
from praesepe.network.transform import prior_range
from praesepe.quantities import DEFAULT_INFERRED
from praesepe.survey import parse_survey

NOT_KEPT = "converted from format 2, which did not keep them"


def from_format_2(content: Mapping[str, Any], *, source: str, familiar: bool) -> dict[str, Any]:
    """What format 3 says of a model of format 2; its weights stay as they are.

    Parameters
    ----------
    content : mapping
        Of its ``model.json``.
    source : str
        For messages.
    familiar : bool
        Whether the weights hold where the training's features lie.

    Raises
    ------
    InputError
        Where it lacks an entry, or infers something else than age, mass and size.
    """
    if not {"survey", "preset", "name"} <= content.keys():
        raise InputError(
            f"{source} is not a Praesepe model: its model.json lacks the usual entries"
        )
    if content.get("parameters", list(DEFAULT_INFERRED)) != list(DEFAULT_INFERRED):
        raise InputError(f"{source} infers other parameters than {', '.join(DEFAULT_INFERRED)}")
    survey = parse_survey(content["survey"], source=f"{source}/model.json")
    preset = str(content["preset"])
    run = content.get("training")
    return {
        "format": 3,
        "name": content["name"],
        "version": content.get("version", ""),
        "infers": list(DEFAULT_INFERRED),
        "bands": [
            {"name": band.name, "filter": band.filter, "instrument": band.instrument}
            for band in survey.bands
        ],
        "encoder": {"name": preset},
        "head": {"name": "flow", "settings": head_settings("flow", preset, None)},
        "priors": {name: list(prior_range(survey, name)) for name in DEFAULT_INFERRED},
        "survey": survey.model_dump(mode="json"),
        "hashes": {"absent_because": NOT_KEPT},
        "present_mass": content.get("present_mass_fraction"),
        "out_of_domain": {"tensors": "surprise"} if familiar else None,
        "runs": [] if run is None else [_run(run)],
    }


def _run(training: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a training run as format 3 has it."""
    known = {
        "data": training.get("data", "simulations"),
        "steps": training.get("steps_done", 0),
        "clusters": training.get("stamps_seen", 0),
        "seed": training.get("seed", 0),
        "learning_rate": training.get("learning_rate", 0.0),
        "batch_size": training.get("batch_size"),
        "minutes": training.get("minutes_done"),
        "device": training.get("device", ""),
        "initial": training.get("initial", ""),
        "valid_loss": training.get("valid_loss"),
        "survey_fingerprint": training.get("survey_fingerprint", ""),
    }
    versions = {name: training[name] for name in ("praesepe", "torch") if name in training}
    return {**known, "versions": versions}
