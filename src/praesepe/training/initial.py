"""The network that a training begins with: random weights, or those of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from praesepe.errors import InputError
from praesepe.network.estimator import Estimator
from praesepe.network.schema import ModelCard
from praesepe.sky.contents import tell_changes
from praesepe.survey import Survey
from praesepe.training.config import TrainingSettings


def start_network(
    survey: Survey,
    settings: TrainingSettings,
    initial: Estimator | str | Path | None,
    *,
    simulated: bool = True,
) -> tuple[Estimator, Estimator | None]:
    """The network that the training begins with, and the model that it is of."""
    start = None if initial is None else Estimator.load(initial)
    options = settings.head_options
    if options is None and start is not None:
        options = start.card.head.settings
    fresh = Estimator.untrained(
        survey,
        encoder=settings.encoder or ("small" if start is None else start.card.encoder.name),
        head=settings.head or ("flow" if start is None else start.card.head.name),
        head_options=options,
        background="removed" if start is None else start.card.background,
        seed=settings.seed,
    )
    if start is None:
        return fresh, None
    theirs, ours = start.survey, survey
    if simulated:
        tell_changes(ours, start.card.hashes.model_dump(), model=start.name)
    if theirs.band_names != ours.band_names or theirs.stamp_size != ours.stamp_size:
        raise InputError(
            f"model {start.name!r} takes {theirs.stamp_size} px stamps in {theirs.band_names}, "
            f"survey {ours.name!r} has {ours.stamp_size} px in {ours.band_names}; they must agree"
        )
    old, new = network_of(start.card), network_of(fresh.card)
    different = [f"{key} {old[key]!r}, not {new[key]!r}" for key in new if old[key] != new[key]]
    if different:
        raise InputError(f"model {start.name!r} has {'; '.join(different)}; they must agree")
    if start.card.head.name == "grid" and start.card.priors != fresh.card.priors:
        raise InputError(
            f"the cells of {start.name!r} lie in the prior {start.card.priors}, the survey has "
            f"{fresh.card.priors}; a network with a grid goes on with its own prior only"
        )
    fresh.net.load_state_dict(start.net.state_dict())
    return fresh.describe(runs=start.card.runs), start


def network_of(card: ModelCard) -> dict[str, Any]:
    """What makes a network, as far as its card says."""
    return {
        "background": card.background,
        "encoder": card.encoder.name,
        "head": card.head.name,
        "head_options": dict(card.head.settings),
        "infers": list(card.infers),
        "conditions": [condition.name for condition in card.conditions],
    }
