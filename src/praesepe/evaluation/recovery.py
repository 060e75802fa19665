"""Artificial clusters and what a model says about them: truth beside posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from praesepe import statistics
from praesepe.evaluation.asking import Asking
from praesepe.inference.columns import PERCENTILES
from praesepe.inference.measuring import MORE_DRAWS
from praesepe.inference.priors import log_mean, normalised
from praesepe.quantities import Quantity, get
from praesepe.sky.truth import describe
from praesepe.training.sources import TOLD

KNOWN = 7
"""Stream of the errors of what is known."""

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.sky.stamps import Mocks


@dataclass(frozen=True, eq=False)
class Recovery:
    """Truth and what the model says about it, for N artificial clusters and Q quantities.

    Attributes
    ----------
    names : tuple of str
        Names of the quantities that the model infers.
    truth : (N, Q) ndarray
    percentiles : (3, N, Q) ndarray
        Posterior percentiles 16, 50 and 84.
    pit : (N, Q) ndarray
        Probability integral transform: the share of the posterior below the truth. Uniform for a
        calibrated model; NaN of categorical quantities and of what is certain.
    log_prob : (N,) ndarray
        Log of the joint posterior density at the truth (the log score).
    tarp : (N,) ndarray
        Credible level of the truth by distance from a random point, over all continuous quantities
        (see `praesepe.statistics.tarp_levels`); NaN where there are none.
    probabilities : dict of str to (N, n_categories) ndarray
        Of the categorical quantities.
    extra : dict of (N,) ndarray
        What else the simulator knows: the number of stars, magnitudes, the profile's slope.
    """

    names: tuple[str, ...]
    truth: np.ndarray
    percentiles: np.ndarray
    pit: np.ndarray
    log_prob: np.ndarray
    tarp: np.ndarray
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.truth)

    def __repr__(self) -> str:
        return f"<Recovery of {', '.join(self.names)} of {len(self)} artificial clusters>"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the model infers, as the registry describes it."""
        return tuple(get(name) for name in self.names)

    @property
    def estimate(self) -> np.ndarray:
        """Posterior median (N, Q); of a categorical quantity, the most probable category."""
        estimate = np.array(self.percentiles[1])
        for name, probability in self.probabilities.items():
            estimate[:, self.names.index(name)] = probability.argmax(axis=1)
        return estimate

    @property
    def residual(self) -> np.ndarray:
        """Posterior median minus truth (N, Q)."""
        return np.asarray(self.percentiles[1] - self.truth)

    @classmethod
    def joined(cls, parts: list[Recovery]) -> Recovery:
        """Several sets of clusters as one; at least one."""

        def join(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            if isinstance(values[0], dict):
                return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
            return np.concatenate(values, axis=1 if name == "percentiles" else 0)

        arrays = (one.name for one in fields(cls) if one.name != "names")
        return cls(parts[0].names, **{name: join(name) for name in arrays})

    def to_table(self) -> Table:
        """Truth and posterior summaries, one row per artificial cluster."""
        from astropy.table import Column, Table

        table = Table()

        def add(name: str, values: np.ndarray, what: str, unit: str = "") -> None:
            table[name] = Column(np.round(values, 6), unit=unit or None, description=what)

        for i, quantity in enumerate(self.quantities):
            name, what, unit = quantity.name, quantity.description, quantity.unit
            add(f"{name}_true", self.truth[:, i], f"{what}; truth", unit)
            if quantity.is_categorical:
                for category, p in zip(
                    quantity.categories, self.probabilities[name].T, strict=True
                ):
                    add(f"{name}_p_{category}", p, f"{what}; probability of {category}")
                continue
            for p, values in zip(PERCENTILES, self.percentiles[..., i], strict=True):
                add(f"{name}_p{p}", values, f"{what}; percentile {p} of the posterior", unit)
            add(f"{name}_pit", self.pit[:, i], f"share of the posterior of {name} below the truth")
        add("log_prob", self.log_prob, "log posterior density at the truth")
        add("tarp", self.tarp, "share of the joint posterior nearer to a random point")
        for name, values in self.extra.items():
            if name not in self.names and values.ndim == 1:
                unit, what = describe(name)
                add(name, values, what, unit)
        return table


def recover(asking: Asking, mocks: Mocks, *, first: int = 0, seed: int = 0) -> Recovery:
    """Infer simulated clusters and compare with the truth.

    Parameters
    ----------
    asking : Asking
    mocks : Mocks
    first : int
        Number of the first of these clusters in the whole set: their draws depend on it.
    seed : int
        Of the reference points of TARP, and of what the model is told.

    Returns
    -------
    Recovery
        Plain arrays; it can be sent to another process.

    Raises
    ------
    InputError
        Where the simulator does not know the truth of a quantity.
    """
    estimator, weighting, n_samples = asking.estimator, asking.weighting, asking.n_samples
    rows = np.arange(first, first + len(mocks))
    posterior = estimator.predict(
        asking.images(mocks),
        conditions=asking.conditions(mocks, (seed, first, TOLD)),
        known=asking.known(mocks, (seed, first, KNOWN)),
        n_samples=max(n_samples, MORE_DRAWS[0]) if weighting else n_samples,
        rows=rows,
    )
    columns = [asking.truth(mocks, name) for name in posterior.names]
    truth = torch.stack(columns, 1).cpu().numpy().astype(np.float64)
    log_prob = np.asarray(posterior.log_prob(truth), dtype=np.float64)
    if asking.told:  # it is that of the image alone
        log_prob[:] = np.nan
    samples = posterior.samples
    if weighting:
        log_weights = weighting.log_weights(samples, rows)
        weighted = posterior.weighted(normalised(log_weights))
        samples = weighted.unweighted(n_samples).samples
        with np.errstate(invalid="ignore"):  # of what is no cluster
            at_truth = weighting.log_weights(truth[:, None], rows)[:, 0]
        log_prob += at_truth - log_mean(log_weights)
    return compare(
        posterior.names,
        truth,
        samples,
        estimator.card.priors,
        log_prob=log_prob,
        probabilities=posterior.probabilities,
        extra={key: value.cpu().numpy() for key, value in mocks.truth.items()},
        generator=np.random.default_rng((seed, first)),
    )


def compare(
    names: tuple[str, ...],
    truth: np.ndarray,
    samples: np.ndarray,
    priors: Mapping[str, tuple[float, float]],
    *,
    log_prob: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    extra: dict[str, np.ndarray],
    generator: np.random.Generator,
) -> Recovery:
    """Compare posterior draws (N, n_samples, Q) with the truth (N, Q).

    `priors` are the ranges of the quantities; `probabilities` those of categories, where they are
    known better than by counting draws; the generator draws the reference points of TARP.
    """
    quantities = tuple(get(name) for name in names)
    continuous = [i for i, quantity in enumerate(quantities) if not quantity.is_categorical]
    drawn, true = samples[..., continuous], truth[:, continuous]
    pit = np.full(truth.shape, np.nan)
    uncertain = drawn.min(axis=1, initial=np.inf) < drawn.max(axis=1, initial=-np.inf)
    levels = statistics.probability_integral_transform(drawn, true)
    pit[:, continuous] = np.where(uncertain, levels, np.nan)
    low, high = np.array([priors[names[i]] for i in continuous]).reshape(-1, 2).T
    width = np.where(high > low, high - low, 1.0)
    reference = generator.uniform(size=true.shape)  # points of the prior, whose ranges are 0 to 1
    tarp = statistics.tarp_levels((drawn - low) / width, (true - low) / width, reference)
    return Recovery(
        names=names,
        truth=truth,
        percentiles=np.percentile(samples, PERCENTILES, axis=1).astype(np.float64),
        pit=pit,
        log_prob=log_prob,
        tarp=tarp if continuous else np.full(len(truth), np.nan),
        probabilities={
            quantity.name: np.asarray(probabilities[quantity.name], dtype=np.float64)
            if quantity.name in probabilities
            else statistics.category_probabilities(samples[..., i], len(quantity.categories))
            for i, quantity in enumerate(quantities)
            if quantity.is_categorical
        },
        extra=extra,
    )
