"""Artificial-cluster tests: bias, scatter and calibration of a model on clusters it never saw."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import InputError
from praesepe.files import output_folder, replace_set
from praesepe.inference.prediction import provenance
from praesepe.network.estimator import Estimator
from praesepe.quantities import PARAMETER_NAMES, PARAMETERS
from praesepe.sky.simulator import Simulator
from praesepe.survey import Survey

if TYPE_CHECKING:
    from astropy.table import Table

log = logging.getLogger(__name__)

DRAWN_AT_ONCE = 256
"""Mocks per call of the simulator: fixed, so that a seed always gives the same clusters."""

CENTRAL68, CENTRAL95 = 0.6827, 0.9545
"""Nominal shares of truths within one and two sigma of a normal distribution."""

PRODUCTS = ("metrics.json", "clusters.ecsv", "recovered.png", "residuals.png", "calibration.png")
"""Files in the folder of an evaluation."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recovered:
    """Truth and what the model says about it, for N artificial clusters.

    Attributes
    ----------
    truth : (N, 3) ndarray
        Log age, log mass and log r_h.
    percentiles : (3, N, 3) ndarray
        Posterior percentiles 16, 50 and 84.
    pit : (N, 3) ndarray
        Probability integral transform: the share of the posterior below the truth. Uniform for a
        calibrated model.
    log_prob : (N,) ndarray
        Log of the joint posterior density at the truth (the log score).
    extra : dict of (N,) ndarray
        What else the simulator knows: the number of stars, magnitudes, the profile's slope.
    """

    truth: np.ndarray
    percentiles: np.ndarray
    pit: np.ndarray
    log_prob: np.ndarray
    extra: dict[str, np.ndarray]

    @property
    def residual(self) -> np.ndarray:
        """Posterior median minus truth (N, 3), dex."""
        return self.percentiles[1] - self.truth


def evaluate(
    model: Estimator | str | Path,
    *,
    n: int = 4000,
    seed: int = 1,
    nuisances: bool = True,
    out: str | Path | None = None,
    overwrite: bool = False,
    n_samples: int = 500,
    batch_size: int = 256,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure artificial clusters of known age, mass and size.

    Parameters
    ----------
    model : Estimator, str or Path
        A loaded model, the name of one that comes with the package, or a model's folder.
    n : int
        Number of clusters, drawn from the model's survey.
    seed : int
        Seed of the clusters; the seed of the training is refused.
    nuisances : bool
        Draw zero points, blur and registration errors as in training; False: perfect images.
    out : path, optional
        Folder for the files named in `PRODUCTS`: metrics, the table of clusters, figures.
    overwrite : bool
        Replace the results of an earlier run in that folder.
    n_samples, batch_size, device
        See `praesepe.inference.prediction.predict`.
    progress : callable, optional
        Called with (clusters done, all clusters), first with none done.

    Returns
    -------
    dict
        ``provenance`` and, for each bin (see `bins`), ``n`` and for each parameter ``median``,
        ``mad_sigma``, ``rms``, ``coverage68`` and ``coverage95`` (None where the bin is empty).
    """
    folder = None if out is None else output_folder(out, ["metrics.json"], overwrite=overwrite)
    for name, value in (("n", n), ("n_samples", n_samples), ("batch_size", batch_size)):
        if value < 1:
            raise InputError(f"{name} = {value}: the least that is allowed is 1.")
    estimator = Estimator.load(model, device=device)
    _refuse_training_seed(estimator, seed)
    recovered = recover(
        estimator,
        n=n,
        seed=seed,
        nuisances=nuisances,
        n_samples=n_samples,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    made_by = provenance(estimator, n=n, seed=seed, nuisances=nuisances, n_samples=n_samples)
    metrics = {"provenance": made_by, **summarise(recovered, estimator.survey)}
    if folder is not None:
        _write(folder, metrics, recovered)
    return metrics


def recover(
    estimator: Estimator,
    *,
    n: int,
    seed: int,
    nuisances: bool = True,
    n_samples: int = 500,
    batch_size: int = 256,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Recovered:
    """Simulate n clusters and infer them; see `evaluate` for the parameters."""
    simulator = Simulator(estimator.survey, device=device, seed=seed, nuisances=nuisances)
    parts: list[Recovered] = []
    if progress is not None:
        progress(0, n)
    for start in range(0, n, DRAWN_AT_ONCE):
        count = min(DRAWN_AT_ONCE, n - start)
        mocks = simulator.draw(count)
        posterior = estimator.predict(
            mocks.images, n_samples=n_samples, rows=np.arange(start, start + count)
        )
        truth = mocks.labels.cpu().numpy().astype(np.float64)
        parts.append(
            Recovered(
                truth=truth,
                percentiles=np.asarray(posterior.percentile([16, 50, 84]), dtype=np.float64),
                pit=probability_integral_transform(posterior.samples, truth),
                log_prob=np.asarray(posterior.log_prob(truth), dtype=np.float64),
                extra={key: value.cpu().numpy() for key, value in mocks.truth.items()},
            )
        )
        if progress is not None:
            progress(start + count, n)
    return _joined(parts)


def probability_integral_transform(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of the posterior below the truth.

    Parameters
    ----------
    samples : (N, n_samples, 3) ndarray
    truth : (N, 3) ndarray

    Returns
    -------
    (N, 3) ndarray
        (rank + 1/2) / (n_samples + 1), with rank the number of draws below the truth.
    """
    rank = (samples < truth[:, None, :]).sum(axis=1)
    return (rank + 0.5) / (samples.shape[1] + 1)


def summarise(recovered: Recovered, survey: Survey) -> dict[str, Any]:
    """Metrics for every bin; valid JSON, None where a bin is empty."""
    return {
        name: _metrics_of(recovered, selected)
        for name, selected in bins(recovered.truth, survey).items()
    }


def bins(truth: np.ndarray, survey: Survey) -> dict[str, np.ndarray]:
    """Which clusters are in which bin, by their true parameters.

    Parameters
    ----------
    truth : (N, 3) ndarray
        Log age, log mass and log r_h.
    survey : Survey
        It may name bins of its own, and its prior sets the range of the bins of 0.5 dex. A truth
        can lie beyond it, because the stars drawn exceed the mass that was asked for; then there
        are more bins, so that none is left out.

    Returns
    -------
    dict of (N,) ndarray of bool
        ``all``; those of the survey; ``age_6.5_7.0`` ... and ``mass_2.0_2.5`` ...: the lower edge
        is in the bin.
    """
    log_age, log_mass = truth[:, 0], truth[:, 1]
    selected = {"all": np.ones(len(truth), dtype=bool)}
    for name, ranges in survey.evaluation.bins.items():
        inside = np.ones(len(truth), dtype=bool)
        for quantity, (low, high) in ranges.items():
            values = truth[:, PARAMETER_NAMES.index(quantity)]
            inside &= (values >= low) & (values <= high)
        selected[name] = inside
    ranges = (
        ("age", log_age, survey.clusters.log_age),
        ("mass", log_mass, survey.clusters.log_mass),
    )
    for name, values, (low, high) in ranges:
        first = math.floor(2 * min(low, values.min()))
        last = max(math.ceil(2 * high) - 1, math.floor(2 * values.max()))
        for half in range(first, last + 1):
            left, right = half / 2, (half + 1) / 2
            selected[f"{name}_{left:.1f}_{right:.1f}"] = (values >= left) & (values < right)
    return selected


def coverage(pit: np.ndarray, nominal: float) -> float:
    """Share of truths within the central interval that should hold the share `nominal`."""
    return float(np.mean(np.abs(pit - 0.5) <= nominal / 2))


def _metrics_of(recovered: Recovered, selected: np.ndarray) -> dict[str, Any]:
    """`n` and the metrics of each parameter in one bin."""
    metrics: dict[str, Any] = {"n": int(selected.sum())}
    for i, name in enumerate(PARAMETER_NAMES):
        residual, pit = recovered.residual[selected, i], recovered.pit[selected, i]
        metrics[name] = _metrics(residual, pit) if metrics["n"] else dict.fromkeys(_METRICS)
    return metrics


_METRICS = ("median", "mad_sigma", "rms", "coverage68", "coverage95")


def _metrics(residual: np.ndarray, pit: np.ndarray) -> dict[str, float]:
    median = np.median(residual)
    return {
        "median": float(median),
        "mad_sigma": float(1.4826 * np.median(np.abs(residual - median))),
        "rms": float(np.sqrt(np.mean(residual**2))),
        "coverage68": coverage(pit, CENTRAL68),
        "coverage95": coverage(pit, CENTRAL95),
    }


def _joined(parts: list[Recovered]) -> Recovered:
    """One record of all batches."""
    extra = {key: np.concatenate([part.extra[key] for part in parts]) for key in parts[0].extra}
    return Recovered(
        truth=np.concatenate([part.truth for part in parts]),
        percentiles=np.concatenate([part.percentiles for part in parts], axis=1),
        pit=np.concatenate([part.pit for part in parts]),
        log_prob=np.concatenate([part.log_prob for part in parts]),
        extra=extra,
    )


def _refuse_training_seed(estimator: Estimator, seed: int) -> None:
    """Clusters seen in training would flatter the model."""
    if seed in estimator.training_seeds:
        raise InputError(
            f"seed {seed} is the one that {estimator.name!r} was trained with: it would be judged "
            f"on clusters it has seen. Choose another, e.g. {seed + 1}."
        )


def _write(folder: Path, metrics: dict[str, Any], recovered: Recovered) -> None:
    """Metrics, table and figures, which replace those of an earlier run together."""
    from praesepe.images.tables import write_table

    table = as_table(recovered)
    table.meta.update(metrics["provenance"])
    with replace_set(folder, PRODUCTS[::-1]) as part:
        write_table(table, part / "clusters.ecsv")
        for name, figure in _figures(recovered):
            figure.savefig(part / name, dpi=150)
        text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
        (part / "metrics.json").write_text(text, encoding="utf-8")


def as_table(recovered: Recovered) -> Table:
    """Truth and posterior summaries, one row per artificial cluster."""
    from astropy.table import Column, Table

    table = Table()
    for i, parameter in enumerate(PARAMETERS):
        unit, name = parameter.unit, parameter.name
        columns = {"true": recovered.truth[:, i]}
        columns |= {f"p{p}": recovered.percentiles[k, :, i] for k, p in enumerate((16, 50, 84))}
        for suffix, values in columns.items():
            text = f"{parameter.description}; {'truth' if suffix == 'true' else suffix}"
            table[f"{name}_{suffix}"] = Column(values, unit=unit, description=text)
        table[f"{name}_pit"] = Column(
            recovered.pit[:, i], description=f"share of the posterior of {name} below the truth"
        )
    table["log_prob"] = Column(recovered.log_prob, description="log posterior density at the truth")
    for name, values in recovered.extra.items():
        if name not in table.colnames and values.ndim == 1:
            table[name] = Column(values, description="of the simulated cluster")
    return table


def _figures(recovered: Recovered) -> Iterator[tuple[str, Any]]:
    """File names and figures: recovered against true, bias and scatter, calibration."""
    from praesepe import plots

    yield (
        "recovered.png",
        plots.figure_recovered(recovered.truth, recovered.percentiles, PARAMETERS),
    )
    yield (
        "residuals.png",
        plots.figure_residuals(recovered.truth, recovered.residual, PARAMETERS),
    )
    yield "calibration.png", plots.figure_calibration(recovered.pit, PARAMETERS)
