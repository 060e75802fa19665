"""Artificial-cluster tests: a model is judged on clusters that it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.blocks import Block, blocks_of, map_blocks
from praesepe.errors import InputError, check_number
from praesepe.evaluation.asking import Asking, make_asking
from praesepe.evaluation.bins import Ranges, usable
from praesepe.evaluation.detection import detection_metrics
from praesepe.evaluation.metrics import metrics_of
from praesepe.evaluation.recovery import Recovery, recover
from praesepe.files import output_folder, replace_set
from praesepe.inference.priors import Prior
from praesepe.locks import working_folder
from praesepe.network.estimator import Estimator
from praesepe.network.noise import MOST_DRAWS
from praesepe.progress import Counter, Progress, Setup
from praesepe.provenance import now, provenance_of
from praesepe.quantities import CONTAMINANT, OBJECT_CLASS, OFFSETS
from praesepe.rng import check_seed
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey
from praesepe.survey.toml import survey_files
from praesepe.training.learned import relative_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DETECTION = "detection.png"
"""Of a model that infers the class."""

PRODUCTS = (
    "metrics.json", "clusters.ecsv", "recovered.png", "residuals.png", "calibration.png", DETECTION
)  # fmt: skip
"""Files in the folder of an evaluation."""


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, Any]):
    """How good a model is, and on which clusters that was found.

    A mapping of its metrics: ``evaluation["seed_range"]["log_age"]["coverage68"]``.

    Attributes
    ----------
    metrics : dict
        Valid JSON: ``provenance``; ``calibration``; for each bin of the truth its ``label``, the
        number ``n`` of clusters, and the metrics of each quantity; the same ``by_median`` of the
        posterior. docs/evaluation.md describes it.
    recovery : Recovery
        Truth and posterior of every cluster.
    own_bins : tuple of str
        Names of the bins that the survey asks for.
    """

    metrics: dict[str, Any]
    recovery: Recovery
    own_bins: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        return self.metrics[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def __repr__(self) -> str:
        of, everything = self.metrics["provenance"], self.metrics["all"]
        words = []
        for quantity in self.recovery.quantities:
            values, unit = everything[quantity.name], quantity.residual_unit
            if quantity == OBJECT_CLASS and "detection" in self.metrics:
                words += _told(self.metrics["detection"])
            elif quantity.is_categorical:
                words.append(f"{quantity.word}: accuracy {values['accuracy']:.2f}")
            elif values["coverage68"] is not None:  # else it is certain
                words.append(
                    f"{quantity.word}: bias {values['median']:+.3f}, scatter "
                    f"{values['mad_sigma']:.3f} {unit}".rstrip()
                    + f", coverage {values['coverage68']:.2f} (68 %)"
                )
        return (
            f"<Evaluation of {of['model']!r} {of['model_version']} on {everything['n']} artificial "
            f"clusters of {of['survey']!r}, seed {of['seed']}; {'; '.join(words)}>"
        )

    @property
    def products(self) -> tuple[str, ...]:
        """Files that `save` writes."""
        return tuple(n for n in PRODUCTS if n != DETECTION or "detection" in self.metrics)

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """File names and figures: recovered against true, bias and scatter, calibration, class.

        What is the same for all clusters, their class, their offset and what is certain, is left
        out of the first three.
        """
        from praesepe import plots

        r = self.recovery
        of_class = {OBJECT_CLASS.name, CONTAMINANT.name, *OFFSETS}
        same = of_class if "detection" in self.metrics else ()
        shown = [
            i
            for i, quantity in enumerate(r.quantities)
            if quantity.name not in same
            and (quantity.is_categorical or np.isfinite(r.pit[:, i]).any())
        ]
        quantities = [r.quantities[i] for i in shown]
        truth, pit, residual = (values[:, shown] for values in (r.truth, r.pit, r.residual))
        probabilities = {"probabilities": r.probabilities}
        tarp = r.tarp if sum(not q.is_categorical for q in quantities) > 1 else None
        yield (
            "recovered.png",
            plots.figure_recovered(truth, r.percentiles[..., shown], quantities, **probabilities),
        )
        yield "residuals.png", plots.figure_residuals(truth, residual, quantities)
        calibration = plots.figure_calibration(truth, pit, quantities, tarp=tarp, **probabilities)
        yield "calibration.png", calibration
        if "detection" in self.metrics:
            yield DETECTION, plots.figure_detection(self.metrics["detection"])

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write metrics, the table of clusters and figures (`PRODUCTS`) into a folder.

        The folder is made if needed; one that holds such files is refused unless `overwrite`.
        """
        from praesepe.images.catalog.tables import write_table

        folder = output_folder(folder, PRODUCTS, overwrite=overwrite)
        table = self.recovery.to_table()
        table.meta.update(self.metrics["provenance"])
        told = {"Comment": json.dumps(self.metrics["provenance"])}
        # The metrics come last: they say what the other files are.
        with replace_set(folder, self.products[::-1]) as part:
            write_table(table, part / "clusters.ecsv")
            for name, figure in self.figures():
                figure.savefig(part / name, dpi=150, metadata=told)
            text = json.dumps(self.metrics, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
            (part / "metrics.json").write_text(text, encoding="utf-8")
        for name in set(PRODUCTS) - set(self.products):  # of an earlier model
            (folder / name).unlink(missing_ok=True)
        return folder


def evaluate(
    model: Estimator | str | Path,
    *,
    n: int = 4000,
    seed: int = 1,
    nuisances: bool = True,
    out: str | Path | None = None,
    overwrite: bool = False,
    n_samples: int = 500,
    bands: Sequence[str] | None = None,
    survey: Survey | str | Path | None = None,
    told: Mapping[str, float] | None = None,
    prior: Prior | None = None,
    device: str | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    setup: Setup | None = None,
) -> Evaluation:
    """Measure artificial clusters whose truth is known.

    Parameters
    ----------
    model, device
        As for `praesepe.predict`.
    n : int
        Number of clusters.
    seed : int
        Seed of the clusters, which are those of ``praesepe simulate`` with this seed; the seed of
        the training is refused.
    nuisances : bool
        Draw zero points, blur and registration errors as in training; False: perfect images.
    out : path, optional
        Folder for the files named in `PRODUCTS`: metrics, the table of clusters, figures.
    overwrite : bool
        Replace the results of an earlier run in that folder.
    n_samples : int
        Posterior draws for each cluster.
    bands : sequence of str, optional
        Two or more of the model's bands, where it can do without some; by default all.
    survey : Survey, name or path, optional
        What the clusters are drawn from: the model's own survey by default. Another one shows
        what its stars, PSFs, dust or noise do to the model; its bands are the model's or some of
        them, its zero points may be others.
    told : mapping of str to float, optional
        What the model is told of each cluster, its truth, with this standard error:
        ``{"a_v": 0.1}``.
    prior : mapping, optional
        Priors in place of the training's, as for `praesepe.predict`.
    workers : int
        Processes that share the work; the result is the same. See `praesepe.blocks.map_blocks`.
    progress : callable, optional
        Called with (clusters done, all clusters), first with none done.
    setup : callable, optional
        Called with (stage, done, total) as the simulator is made, where one process works.

    Returns
    -------
    Evaluation
        The metrics, as a mapping, and the clusters.

    Raises
    ------
    InputError
        For the seed of the training, a folder that is taken, numbers below 1, a survey that the
        model cannot measure, and files (filters, PSFs, isochrones, star fields) that are not
        those of the training.

    Examples
    --------
    >>> import praesepe
    >>> evaluation = praesepe.evaluate("phat", n=64, seed=131)
    >>> evaluation["all"]["n"]
    64
    """
    n, seed = check_number("n", n, 1), check_seed(seed)
    n_samples = check_number("n_samples", n_samples, 1, MOST_DRAWS)
    check_number("workers", workers, 1)
    with working_folder(out):
        if out is not None:
            read = [] if survey is None else survey_files(survey)
            output_folder(out, PRODUCTS, overwrite=overwrite, inputs=read)
        estimator = Estimator.load(model, device=device)
        _refuse_training_seed(estimator, seed)
        asking = make_asking(
            estimator, survey=survey, bands=bands, told=told or {}, prior=prior or {},
            n_samples=n_samples,
        )  # fmt: skip
        bins = usable(asking.survey.evaluation.bins, estimator.infers)
        task = _Task(asking, seed, nuisances, setup if workers == 1 else None)
        made_by = _made_by(task, n, survey, chose_bands=bands is not None)
        recovery, metrics = _assessed(task, n, bins, workers, progress)
        evaluation = Evaluation({"provenance": made_by, **metrics}, recovery, tuple(bins))
        if out is not None:
            evaluation.save(out, overwrite=overwrite)
        return evaluation


def _assessed(
    task: _Task, n: int, bins: Mapping[str, Ranges], workers: int, progress: Progress | None
) -> tuple[Recovery, dict[str, Any]]:
    """Clusters and metrics; of a model that infers the class, also of stamps without a cluster."""
    estimator, survey = task.asking.estimator, task.asking.survey
    has_class = OBJECT_CLASS.name in estimator.infers and survey.contaminants.fraction > 0
    count = Counter((1 + has_class) * n, progress)
    parts = map_blocks(task, blocks_of(n), workers=workers)
    recovery = Recovery.joined(list(count.each(parts, len)))
    metrics = metrics_of(recovery, estimator.card.priors, bins)
    learned = relative_errors(
        recovery.percentiles[1], recovery.truth, recovery.names, estimator.card.priors
    )
    # These clusters lie in the middle, which is also what one would guess.
    metrics["learned"] = {name: of for name, of in learned.items() if name not in OFFSETS}
    if has_class:
        others = map_blocks(replace(task, contaminants=True), blocks_of(n), workers=workers)
        background = Recovery.joined(list(count.each(others, len)))
        metrics["detection"] = detection_metrics(recovery, background)
    return recovery, metrics


def _made_by(
    task: _Task, n: int, survey: Survey | str | Path | None, *, chose_bands: bool
) -> dict[str, Any]:
    """What the metrics, the table and the figures say of their origin."""
    asking, estimator = task.asking, task.asking.estimator
    settings: dict[str, Any] = {"n": n, "seed": task.seed}
    settings |= {"nuisances": task.nuisances, "n_samples": asking.n_samples}
    settings |= {"bands": list(asking.bands)} if chose_bands else {}
    settings |= {"told": dict(asking.told)} if asking.told else {}
    settings |= {"prior": asking.weighting.meta} if asking.weighting else {}
    if survey is not None:
        settings["clusters_of"] = asking.survey.name
        settings["clusters_fingerprint"] = asking.survey.fingerprint()
    elif asking.survey != estimator.survey:
        settings["stars"] = list(asking.survey.clusters.stars.models)
    return provenance_of(estimator.survey, model=estimator, date=now(), **settings)


def _told(detection: dict[str, Any]) -> list[str]:
    """The class in words, at the highest of the rates that are a per cent or less."""
    return [
        f"class: {at['completeness']:.2f} of the clusters are found where {at['rate']:g} of the "
        f"stamps without one are taken for one"
        for at in detection["at_rates"]
        if at["rate"] <= 0.01
    ][:1]


@dataclass(frozen=True)
class _Task:
    """Simulate and infer blocks of clusters, in any process."""

    asking: Asking
    seed: int
    nuisances: bool
    setup: Setup | None
    contaminants: bool = False

    def __call__(self) -> Callable[[Block], Recovery]:
        survey = self.asking.survey
        if self.contaminants:
            survey = survey.with_values(contaminants={"fraction": 1.0})
        simulator = Simulator(
            survey,
            device=self.asking.estimator.device,
            seed=self.seed,
            nuisances=self.nuisances,
            contaminants=self.contaminants,
            setup=self.setup,
        )

        def work(block: Block) -> Recovery:
            mocks = simulator.draw_block(block.number, block.n)
            return recover(self.asking, mocks, first=block.first, seed=self.seed)

        return work


def _refuse_training_seed(estimator: Estimator, seed: int) -> None:
    """Clusters seen in training would flatter the model."""
    if seed in estimator.training_seeds:
        raise InputError(
            f"seed {seed} is the one that {estimator.name!r} was trained with: it would be judged "
            "on clusters it has seen.",
            given=seed,
            remedy=f"Choose another, e.g. {seed + 1}.",
        )
