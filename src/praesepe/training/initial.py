"""The network that a training begins with: random weights, or as much of a model as fits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from praesepe.errors import InputError, listed
from praesepe.network.estimator import Estimator
from praesepe.network.heads.growing import flows_that_grow, grow_flow, settings_for_more
from praesepe.network.schema import ModelCard
from praesepe.sky.contents import tell_changes
from praesepe.survey import Survey
from praesepe.training.config import TrainingSettings

log = logging.getLogger(__name__)

STEM = "encoder.stem.0.weight"
"""The first convolution, (channels, band, y, x)."""


def start_network(
    survey: Survey,
    settings: TrainingSettings,
    initial: Estimator | str | Path | None,
    *,
    transfers: bool = True,
) -> tuple[Estimator, Estimator | None]:
    """The network that the training begins with, and the model that it is of.

    It may be of other bands, quantities and conditions than the model's: what fits of its network
    is taken, the rest begins anew, and the log says which. Without `transfers`, as for labelled
    clusters, which are few, they must be the model's own.

    Raises
    ------
    InputError
        Where the model's encoder or stamps are others, or the head alone shall learn, of none or
        with bands or conditions that it has not.
    """
    if initial is None and settings.fixed_encoder:
        raise InputError(
            "a training of the head alone needs a model to start from",
            given=None,
            remedy="name one, or let the encoder learn",
        )
    start = None if initial is None else Estimator.load(initial)
    options, head = settings.head_options, settings.head
    if start is not None and head in (None, start.card.head.name):
        head = start.card.head.name
        more = _more(start, survey.network.infers)
        options = _settings(start, more) if options is None else options
    fresh = Estimator.untrained(
        survey,
        encoder=settings.encoder or ("small" if start is None else start.card.encoder.name),
        head=head or "flow",
        head_options=options,
        background=start.card.background if start and _asks_the_same(survey, start) else "removed",
        seed=settings.seed,
    )
    if start is None:
        return fresh, None
    tell_changes(survey, start.card.hashes.model_dump(), model=start.name)
    _check_fit(start, fresh, transfers=transfers)
    anew = transfer(start, fresh)
    features = [part for part in anew if not part.startswith("the head")]
    if settings.fixed_encoder and features:
        raise InputError(
            f"{listed(features)} of model {start.name!r} would begin anew, and never be learned",
            given=features,
            remedy="let the encoder learn, or give a survey with the model's bands and conditions",
        )
    if anew:
        log.warning("of model %r all is taken but %s", start.name, listed(anew))
    return fresh.describe(runs=start.card.runs), start


def _asks_the_same(survey: Survey, start: Estimator) -> bool:
    """Whether a survey has the bands of a model, and lets it infer and know the same."""
    told = tuple(condition.name for condition in start.card.conditions)
    ours = (survey.band_names, survey.network.infers, survey.network.conditions)
    return ours == (start.survey.band_names, start.infers, told)


def _check_fit(start: Estimator, fresh: Estimator, *, transfers: bool) -> None:
    """Stop where nothing of the model can be gone on from."""
    theirs, ours = start.survey, fresh.survey
    if theirs.stamp_size != ours.stamp_size:
        raise InputError(
            f"model {start.name!r} takes {theirs.stamp_size} px stamps, survey {ours.name!r} has "
            f"{ours.stamp_size} px; they must agree",
            given=ours.stamp_size,
            allowed=theirs.stamp_size,
        )
    old, new = network_of(start.card), network_of(fresh.card)
    must_agree = ["encoder"] if transfers else list(old | new)
    different = [
        f"{k} {old.get(k)!r}, not {new.get(k)!r}" for k in must_agree if old.get(k) != new.get(k)
    ]
    if different:
        raise InputError(
            f"model {start.name!r} has {'; '.join(different)}; they must agree",
            given={key: new.get(key) for key in must_agree},
            allowed={key: old.get(key) for key in must_agree},
        )


def network_of(card: ModelCard) -> dict[str, Any]:
    """What makes a network, as far as its card says."""
    channels = [band.channel for band in card.bands]
    return {
        "background": card.background,
        "bands": [band.name for band in card.bands],
        "encoder": card.encoder.name,
        "head": card.head.name,
        "head_options": dict(card.head.settings),
        "infers": list(card.infers),
        "conditions": [condition.name for condition in card.conditions],
        # left out where it is the default, so that older checkpoints are of the same network
        **({} if card.scaling == "band" else {"scaling": card.scaling}),
        **({"channels": channels} if any(channels) else {}),
    }


def goes_on(start: ModelCard, card: ModelCard) -> bool:
    """Whether a network is wholly that of the model from which it starts."""
    same_cells = card.head.name != "grid" or start.priors == card.priors
    return same_cells and network_of(start) == network_of(card)


@torch.no_grad()
def transfer(start: Estimator, fresh: Estimator) -> list[str]:
    """Copy what fits of one network to another; return what begins anew, in words.

    Of the first convolution the channels of bands that both have are copied, and those of others
    are their mean, all scaled to the number of bands. A head is copied as a whole, with the scales
    of its labels, or not at all; the cells of a grid lie in one prior. Quantities that come after
    those of the model begin anew beside it, or after the others of the leading quantity's flow.
    """
    theirs, ours = start.net.state_dict(), fresh.net.state_dict()
    bands = tuple(start.survey.channels), tuple(fresh.survey.channels)
    same_bands = start.survey.band_names == fresh.survey.band_names
    whole = ("head.", "labels.")
    more = _more(start, fresh.infers)
    fits = start.infers == fresh.infers or (bool(more) and fresh.card.head.name == "flow")
    fits &= _settings(start, more) == fresh.card.head.settings
    grown = flows_that_grow(start.net.head, fresh.net.head) if fits else {}
    flows = {f"head.{name}": sizes for name, sizes in grown.items()}
    fits &= _same_shapes(theirs, ours, ("head.",), apart=tuple(flows))
    fits &= fresh.card.head.name != "grid" or start.card.priors == fresh.card.priors
    for prefix, sizes in flows.items() if fits else ():
        grow_flow(part_of(theirs, prefix), part_of(ours, prefix), *sizes)
    for key, value in ours.items():
        if key == STEM and bands[0] != bands[1]:
            value.copy_(_stem(theirs[key], *bands))
        elif key.startswith(whole):
            if fits and key in theirs and not key.startswith(tuple(flows)):
                value[: len(theirs[key])] = theirs[key]
        elif key != "stamps.scale" or same_bands:
            same = key in theirs and theirs[key].shape == value.shape
            value.copy_(theirs[key] if same else value)
    new_bands = [name for name in bands[1] if name not in bands[0]]
    told = start.card.conditions != fresh.card.conditions
    return [
        *([] if fits else ["the head"]),
        *([f"the head of {listed(more)}"] if fits and more else []),
        *(["what it is told"] if told and fresh.card.conditions else []),
        *([f"the channels of {listed(new_bands)}"] if new_bands else []),
    ]


def _more(start: Estimator, infers: Sequence[str]) -> tuple[str, ...]:
    """Quantities that come after those of a model."""
    n_old = len(start.infers)
    return tuple(infers[n_old:]) if tuple(infers[:n_old]) == start.infers else ()


def _settings(start: Estimator, more: Sequence[str]) -> dict[str, Any]:
    """Settings of a model's head that infers further quantities."""
    return settings_for_more(start.card.head.settings, start.net.head, more)


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin so, by the rest of their names."""
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}


def _same_shapes(
    theirs: dict[str, Tensor],
    ours: dict[str, Tensor],
    parts: tuple[str, ...],
    apart: tuple[str, ...] = (),
) -> bool:
    """Whether one network has all tensors of another whose names begin with one of `parts`."""
    names = [key for key in theirs if key.startswith(parts) and not key.startswith(apart or "\0")]
    return all(key in ours and ours[key].shape == theirs[key].shape for key in names)


def _stem(theirs: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """Weights of a first convolution (channels, band, y, x) for other bands."""
    mean = theirs.mean(1)
    columns = [theirs[:, old.index(name)] if name in old else mean for name in new]
    return torch.stack(columns, 1) * (len(old) / len(new))
