"""Teaching a model when not to believe it: good simulated stamps, and faulty ones made of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from praesepe.blocks import blocks_of
from praesepe.errors import InputError
from praesepe.network.critic import ANSWER_DRAWS, KINDS, Critic
from praesepe.network.estimator import Estimator
from praesepe.network.noise import base_noise
from praesepe.network.schema import CriticEntry
from praesepe.progress import Counter, Progress
from praesepe.quantities import CONTAMINANT, LOG_MASS
from praesepe.rng import stream
from praesepe.sky.simulator import Simulator
from praesepe.sky.stamps import Mocks, joined
from praesepe.survey import Survey
from praesepe.training.faults import FAULTS, USUAL_FWHM_PX, Stamps, imperfect
from praesepe.training.telling import tell

log = logging.getLogger(__name__)

SEED, NEAR, ASIDE, HEAVY = 715_225_739, 715_325_739, 715_425_739, 715_525_739
"""Added to the seed of a run: for stamps to learn from, nearer ones, those of the limit, and
clusters that are too massive."""

STAMPS = 2560
PER_FIELD, FIELDS = 12, 16
"""Stamps on each star field (with more, the critic learns the fields by heart), and fields that are
in memory at once."""

SHARPER_PX, ZERO_POINT_MAG = 0.6, 0.1
"""Optics and zero points of good stamps may differ more from the survey's than in a training."""

NEARER = 5.0
"""Times nearer than told that galaxies of faulty stamps are."""

HEAVIER_DEX = (0.6, 1.3)
"""By how much clusters are more massive than any of the training, as globular clusters are."""

ROUNDS = 3
"""How often stamps are spoilt in each way, always otherwise: there are many pairs of bands, and a
fault costs less than a stamp."""

EXCEEDED = 0.005
"""Share of good stamps that are doubted."""

EPOCHS, BATCH, LEARNING_RATE, DECAY = 30, 128, 2e-3, 1e-2


@dataclass(frozen=True)
class _Told:
    """Stamps with what a network is told of them."""

    images: Tensor
    conditions: Tensor | None
    truth: dict[str, Tensor]

    def part(self, which: Tensor) -> _Told:
        told = None if self.conditions is None else self.conditions[which]
        truth = {name: values[which] for name, values in self.truth.items()}
        return _Told(self.images[which], told, truth)


def learn_critic(
    model: Estimator,
    simulator: Simulator,
    *,
    seed: int = 0,
    n: int = STAMPS,
    progress: Progress | None = None,
) -> Estimator:
    """Teach a model's critic, and return the model.

    Parameters
    ----------
    model : Estimator
        Whose answers are judged.
    simulator : Simulator
        Of the model's survey.
    seed : int
    n : int
        Good stamps to learn from; half as many, on other fields, set the limit that 0.5 % of them
        exceed, and as many are five times nearer; a quarter as many have too massive clusters.
    progress : callable, optional
        Called with (stamps drawn, all stamps).
    """
    survey = model.survey
    count = Counter(sum(_drawn(simulator, k) for k in (n, n // 2, n // 2, n // 4)), progress)
    taught = _draw(model, simulator, seed + SEED, n, count)
    critic = Critic(model.net, survey).to(model.device)
    kinds, evidence = [0], [_evidence(model, critic, taught)]
    spoilt = _stamps_of(model, critic, taught, seed)
    faults = [f for name, f in FAULTS.items() if len(survey.bands) > 1 or name != "swapped"]
    makers = [(0, imperfect), *((1 + KINDS.index(k), make) for k, make in faults)] * ROUNDS
    for number, (kind, make) in enumerate(makers):
        which = torch.arange(len(taught.images)) % 2 == number % 2
        images = make(spoilt.part(which))
        kinds.append(kind)
        evidence.append(_evidence(model, critic, taught.part(which), images))
    strange = {"shape": _nearer(model, simulator, seed + NEAR, n // 2, count)}
    strange["photometry"] = _heavier(model, simulator, seed + HEAVY, n // 4, count)
    for name, stamps in strange.items():
        if stamps is not None:  # counted as often
            kinds += [1 + KINDS.index(name)] * ROUNDS
            evidence += [_evidence(model, critic, stamps)] * ROUNDS
    critic.standardise(torch.cat(evidence[:2]))
    labels = torch.cat([torch.full((len(e),), k) for k, e in zip(kinds, evidence, strict=True)])
    _fit(critic, torch.cat(evidence), labels.to(model.device), seed)
    aside = _draw(model, simulator, seed + ASIDE, n // 2, count)
    with torch.inference_mode():
        worst = critic(_evidence(model, critic, aside)).amax(1)
        critic.limit.copy_(torch.quantile(worst, 1 - EXCEEDED))
    model.critic = critic
    return model.describe(critic=CriticEntry(kinds=critic.kinds))


def _drawn(simulator: Simulator, n: int) -> int:
    """Stamps among which some n have a cluster in the middle."""
    return round(n / (1 - simulator.survey.contaminants.fraction))


def _draw(
    model: Estimator, simulator: Simulator, seed: int, n: int, count: Counter, nearer: float = 1
) -> _Told:
    """Stamps with a cluster in the middle, and what the model is told of them."""

    def parts() -> Iterator[Mocks]:
        for block in blocks_of(_drawn(simulator, n), size=FIELDS * PER_FIELD):
            fields = simulator.another(seed + block.number, n_fields=FIELDS)
            fields.survey = _loosened(simulator.survey)
            yield fields.draw_block(0, block.n, compute_truth=False)

    mocks: Mocks = joined(list(count.each(parts(), len)))
    truth = mocks.truth
    if "distance_pc" in truth:
        truth["distance_pc"] = truth["distance_pc"] * nearer
    names = tuple(condition.name for condition in model.card.conditions)
    told = tell(names, model.survey, truth, len(mocks), seed=(seed, 5))
    stamps = _Told(mocks.images, None if told is None else told.to(model.device), truth)
    kind = truth.get(CONTAMINANT.name)
    return stamps if kind is None else stamps.part(torch.nonzero(kind == 0).flatten())


def _loosened(survey: Survey) -> Survey:
    """The survey with more sources of error: a critic must not doubt what is nearly right."""
    nuisance = survey.observation.nuisance
    low, high = nuisance.blur_px
    return survey.with_values(
        observation={
            "nuisance": {
                "blur_px": (min(low, -SHARPER_PX), max(high, SHARPER_PX)),
                "zero_point_mag": max(nuisance.zero_point_mag, ZERO_POINT_MAG),
            }
        }
    )


def _nearer(
    model: Estimator, simulator: Simulator, seed: int, n: int, count: Counter
) -> _Told | None:
    """Stamps of a galaxy nearer than what the model is told; None where there can be none."""
    survey = model.survey
    try:
        low, high = survey.rh_arcsec
        largest = survey.stamp_size * survey.pixel_scale_arcsec / 2
        distance = survey.galaxy.distance_pc
        near = survey.with_values(
            galaxy={
                "distance_pc": tuple(pc / NEARER for pc in distance)
                if isinstance(distance, tuple)
                else distance / NEARER
            },
            clusters={
                "rh_pc": None,
                "rh_arcsec": (min(low * NEARER, largest / 2), min(high * NEARER, largest)),
            },
        )
        simulator = Simulator(
            near, device=model.device, seed=seed, tables=simulator.tables, n_fields=1
        )
    except InputError as error:
        log.info("no stamps of a nearer galaxy: %s", error)
        return None
    return _draw(model, simulator, seed, n, count, NEARER)


def _heavier(
    model: Estimator, simulator: Simulator, seed: int, n: int, count: Counter
) -> _Told | None:
    """Stamps of clusters too massive for the model; None where there can be none."""
    survey = model.survey
    heaviest = survey.drawn_range(LOG_MASS)[1]
    try:
        heavy = survey.with_values(
            clusters={"log_mass": tuple(heaviest + dex for dex in HEAVIER_DEX)}
        )
        simulator = Simulator(
            heavy, device=model.device, seed=seed, tables=simulator.tables, n_fields=1
        )
    except InputError as error:
        log.info("no stamps of clusters that are too massive: %s", error)
        return None
    return _draw(model, simulator, seed, n, count)


def _stamps_of(model: Estimator, critic: Critic, good: _Told, seed: int) -> Stamps:
    """Good stamps with what their spoiling needs."""
    survey: Survey = model.survey
    images = good.images
    unknown = torch.full((len(images),), USUAL_FWHM_PX).to(images)
    fwhm = [good.truth.get(f"fwhm_{name}", unknown) for name in survey.band_names]
    there = torch.ones(images.shape[:2], dtype=torch.bool, device=images.device)
    if good.conditions is not None and model.net.conditions is not None:
        present = model.net.conditions.present(good.conditions)
        if present is not None:
            there = present[..., 0, 0] > 0
    return Stamps(
        images,
        there,
        critic.appearance.noise(images),
        torch.stack(fwhm, 1).to(images),
        stream((seed, 12), torch.device("cpu")),
    )


def _evidence(
    model: Estimator, critic: Critic, stamps: _Told, images: Tensor | None = None
) -> Tensor:
    """What the critic sees of stamps, whose images may be spoilt."""
    images = stamps.images if images is None else images
    net, parts = model.net.for_inference(), []
    sampler, head = net.head.sampler(), net.head
    with torch.inference_mode():
        shown = critic.shown(net, images, stamps.conditions)
        for rows in torch.arange(len(images)).split(BATCH):
            told = None if stamps.conditions is None else stamps.conditions[rows]
            numbers, n, size = rows.numpy(), ANSWER_DRAWS, head.noise_size
            noise = base_noise(head.noise, seed=0, rows=numbers, n_samples=n, size=size)
            drawn = sampler(net.context(images[rows], told), noise.to(images))
            parts.append(critic.evidence(net, shown[rows], drawn, told))
    return torch.cat(parts).clone()


def _fit(critic: Critic, evidence: Tensor, labels: Tensor, seed: int) -> None:
    """Minimise the cross-entropy of the kinds."""
    generator = stream((seed, 13), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in critic.layers:
            if isinstance(layer, torch.nn.Linear):
                layer.reset_parameters()
        optimiser = torch.optim.AdamW(critic.parameters(), LEARNING_RATE, weight_decay=DECAY)
        steps = EPOCHS * -(-len(labels) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps)
        critic.train()
        with torch.enable_grad():
            for _ in range(EPOCHS):
                order = torch.randperm(len(labels), generator=generator).to(labels.device)
                for rows in order.split(BATCH):
                    loss = cross_entropy(critic.logits(evidence[rows]), labels[rows])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    schedule.step()
        critic.eval()
    critic.requires_grad_(False)
