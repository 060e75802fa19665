"""Priors that differ from those of the training: draws of the posterior are weighted by them.

The equations are in section 15 of `docs/theory.md`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe import quantities
from praesepe.errors import (
    InputError,
    PraesepeWarning,
    check_number,
    check_type,
    must_be,
    outside,
    unknown,
)
from praesepe.network.estimator import Estimator
from praesepe.quantities import Quantity

Prior = Mapping[str, "str | tuple[str | float, ...]"]
"""By quantity, a form and its numbers: ``"exponential:0.7"`` or ``("exponential", 0.7)``."""

KnownValues = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""By quantity, values and standard errors, each of shape () or (row,); NaN: not known of this row.
"""

LEAK = 0.01
"""How far below the least that is possible draws count as the least, in trained ranges.

The density of a number that cannot be negative is zero there, but a flow rounds its edge: of the
draws of 120 clusters by `phat6`, 0.13 % are below A_V = 0, and 0.03 % by more than 0.03 mag.
"""

STEEPEST = 20.0
"""Largest power of a mass function."""


class Form(NamedTuple):
    """A form of priors.

    Attributes
    ----------
    numbers : tuple of str
        What its numbers are called.
    of_number : bool
        Whether it is a density of the number itself (a mass in Msun, an age in years), and not of
        the quantity, its logarithm.
    log_density : callable
        Of values, up to a constant.
    integral : callable
        Of the density between two values.
    """

    numbers: tuple[str, ...]
    of_number: bool
    log_density: Callable[..., NDArray[np.float64]]
    integral: Callable[..., float]


def _between(low: float, high: float, mean: float, sigma: float) -> float:
    """Integral of a normal density of height 1."""
    ends = (math.erf((end - mean) / (sigma * math.sqrt(2))) for end in (low, high))
    below, above = ends
    return sigma * math.sqrt(math.pi / 2) * (above - below)


def _power_between(low: float, high: float, power: float) -> float:
    rest = power + 1
    return math.log(high / low) if rest == 0 else (high**rest - low**rest) / rest


FORMS = {
    "uniform": Form(
        ("low", "high"),
        False,
        lambda q, low, high: np.where((q >= low) & (q <= high), 0.0, -np.inf),
        lambda _low, _high, low, high: high - low,
    ),
    "normal": Form(
        ("mean", "deviation"),
        False,
        lambda q, mean, sigma: -0.5 * ((q - mean) / sigma) ** 2,
        _between,
    ),
    "exponential": Form(
        ("scale",),
        True,
        lambda x, scale: -np.maximum(x, 0) / scale,
        lambda low, high, scale: scale * (math.exp(-low / scale) - math.exp(-high / scale)),
    ),
    "power": Form(("power",), True, lambda x, power: power * np.log(x), _power_between),
}


@dataclass(frozen=True)
class Density:
    """A prior of one quantity, over the range of the training.

    Attributes
    ----------
    quantity : Quantity
    form : str
        One of `FORMS`.
    numbers : tuple of float
    ends : (float, float)
        Of the training's range, over which the density integrates to 1. Where it does not end
        inside, it goes on beyond, since draws go a little beyond.
    """

    quantity: Quantity
    form: str
    numbers: tuple[float, ...]
    ends: tuple[float, float]

    def __str__(self) -> str:
        return ":".join((self.form, *(f"{number:.6g}" for number in self.numbers)))

    def log(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Logarithm of the density per unit of the quantity."""
        form, values = FORMS[self.form], np.asarray(values, np.float64)
        if not form.of_number or not self.quantity.logarithmic:
            return form.log_density(values, *self._open) - math.log(self._integral())
        slope = math.log(10) * values + math.log(math.log(10))  # d number / d logarithm
        return form.log_density(10**values, *self._open) + slope - math.log(self._integral())

    @property
    def range(self) -> tuple[float, float]:
        """Where it is not zero, within the range of the training."""
        return (self.numbers[0], self.numbers[1]) if self.form == "uniform" else self.ends

    @property
    def least(self) -> float:
        """Below which no draw of the quantity counts."""
        return self.quantity.physical[0] - LEAK * (self.ends[1] - self.ends[0])

    @property
    def _open(self) -> tuple[float, ...]:
        """The numbers; ends of a uniform density that are those of the training lie far out."""
        if self.form != "uniform":
            return self.numbers
        (low, high), (first, last) = self.numbers, self.ends
        slack = 1e-4 * (last - first)
        return (-np.inf if low <= first + slack else low, np.inf if high >= last - slack else high)

    def _integral(self) -> float:
        form, ends = FORMS[self.form], self.ends
        if form.of_number and self.quantity.logarithmic:
            ends = (10 ** ends[0], 10 ** ends[1])
        return form.integral(*ends, *self.numbers)


def trained_density(model: Estimator, name: str) -> Density | None:
    """The density that a model's training drew a quantity from, as its survey says.

    None where that is not simple: categories, quantities that derive from others, and sizes in pc
    seen at several distances.
    """
    quantity, ends = quantities.get(name), model.card.priors[name]
    if quantity.is_categorical or not quantity.prior:
        return None
    survey = model.survey
    if quantity == quantities.LOG_RH:
        in_pc = survey.clusters.rh_pc is not None
        if in_pc and survey.varies_in_distance:
            return None
        if (normal := survey.clusters.log_rh_normal) is not None:
            shift = math.log10(survey.pc_per_arcsec) if in_pc else 0.0
            return Density(quantity, "normal", (normal[0] - shift, normal[1]), ends)
    return Density(quantity, "uniform", ends, ends)


def trained_or_refuse(model: Estimator, name: str, given: object) -> Density:
    """The same; raise `InputError` where there is none, or the model does not infer it."""
    if name not in model.infers:
        raise unknown("inferred quantity", name, model.infers)
    trained = trained_density(model, name)
    if trained is None:
        raise InputError(
            f"the density that model {model.name!r} was trained with is no simple one of {name!r}, "
            "so that draws cannot be weighted by another",
            given={name: given},
            allowed=tuple(n for n in model.infers if trained_density(model, n) is not None),
            remedy="leave it out, or train with the prior that you want",
        )
    return trained


def make_density(model: Estimator, name: str, given: Any) -> Density:
    """Check a prior that the user gives for a quantity of a model.

    Raises
    ------
    InputError
        Where the form or its numbers are impossible, or outside what was trained.
    """
    trained = trained_or_refuse(model, name, given)
    form, *numbers = given.split(":") if isinstance(given, str) else given
    if form not in FORMS:
        raise unknown("form of prior", str(form), FORMS)
    if form == "uniform" and not numbers:
        numbers = list(trained.ends)
    called = FORMS[form].numbers
    if len(numbers) != len(called):
        allowed = f"{form}:{':'.join(part.upper() for part in called)}"
        raise must_be(f"prior of {name}", given, allowed)
    what = f"prior of {name}: {{}}"
    lowest = {"scale": 0.0, "deviation": 0.0, "power": -STEEPEST}
    values = tuple(
        float(check_number(what.format(one), _number(number), lowest.get(one, -math.inf),
                           STEEPEST if one == "power" else math.inf, whole=False,
                           above=one in ("scale", "deviation")))
        for one, number in zip(called, numbers, strict=True)
    )  # fmt: skip
    if form == "power" and not trained.quantity.logarithmic:
        others = [other for other in FORMS if other != form]
        raise must_be(f"form of the prior of {name}", form, others, "a power has no end at 0")
    if form == "uniform" and not values[0] < values[1]:
        raise must_be(what.format("low, high"), values, "ascending")
    inside = values if form == "uniform" else values[:1] if form == "normal" else ()
    check_inside(f"prior of {name}", inside, trained, model)
    made = Density(trained.quantity, form, values, trained.ends)
    if not made._integral() > 0:
        raise must_be(f"prior of {name}", given, "more than nothing in the range of the training")
    return made


def check_inside(what: str, values: ArrayLike, trained: Density, model: Estimator) -> None:
    """Refuse values outside the range that a quantity had in the training; NaN is none."""
    low, high = trained.ends
    slack = 1e-4 * (high - low)
    numbers = np.ravel(values)
    beyond = numbers[(numbers < low - slack) | (numbers > high + slack)]
    if beyond.size:
        of = f"the range that model {model.name!r} was trained with"
        raise outside(what, float(beyond[0]), trained.ends, of, "train with a wider prior")


def _number(text: Any) -> Any:
    """A number that is written; what is none, as it is."""
    try:
        return float(text) if isinstance(text, str) else text
    except ValueError:
        return text


@dataclass(frozen=True, eq=False)
class Reweighting:
    """By what the draws of a model are weighted.

    Attributes
    ----------
    infers : tuple of str
        What the draws' last axis holds.
    trained : dict of str to Density
        What the training drew from; without what is not simple.
    priors : dict of str to Density
        What is wanted instead.
    known : KnownValues
        Of quantities that are known.
    """

    infers: tuple[str, ...]
    trained: dict[str, Density] = field(default_factory=dict)
    priors: dict[str, Density] = field(default_factory=dict)
    known: KnownValues = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.priors or self.known)

    @property
    def meta(self) -> dict[str, str]:
        """For the metadata of a table: the prior of each quantity."""
        return {name: str(one) for name, one in (self.trained | self.priors).items()}

    def ranges(self, trained: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Ends of all priors, given those of the training."""
        return dict(trained) | {name: prior.range for name, prior in self.priors.items()}

    def log_weights(self, draws: NDArray[Any], rows: NDArray[np.int_]) -> NDArray[np.float64]:
        """Logarithms of the weights (n, n_samples) of draws of the catalog's rows `rows`."""
        total = np.zeros(draws.shape[:2])
        for name, prior in self.priors.items():
            values = draws[..., self.infers.index(name)]
            total += prior.log(values) - self.trained[name].log(values)
            total[values < prior.least] = -np.inf
        for name, (value, error) in self.known.items():
            of_rows, errors = (
                (one[rows] if one.ndim else np.full(len(rows), one))[:, None]
                for one in (value, error)
            )
            square = ((draws[..., self.infers.index(name)] - of_rows) / errors) ** 2
            total -= 0.5 * np.nan_to_num(square, nan=0.0)
        return total


def for_catalogs(model: Estimator, prior: Prior) -> Prior:
    """The priors of a user, and those of the model's survey for catalogs beside them."""
    check_type("prior", prior, Mapping, "a mapping by quantity")
    usual = model.survey.network.catalog_prior
    return {name: form for name, form in usual.items() if name in model.infers} | dict(prior)


def make_reweighting(model: Estimator, prior: Prior) -> Reweighting:
    """What draws of a model are weighted by, as a user wants it."""
    every = {name: trained_density(model, name) for name in model.infers}
    trained = {name: one for name, one in every.items() if one is not None}
    wanted = {name: make_density(model, name, given) for name, given in prior.items()}
    if wanted and any(run.data != "simulations" for run in model.card.runs):
        warnings.warn(
            f"model {model.name!r} was also trained on annotated clusters: the density of these is "
            "not known, so that the prior of its survey is divided out",
            PraesepeWarning,
            stacklevel=3,
        )
    return Reweighting(model.infers, trained, wanted)


def normalised(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (n, n_samples) up to a factor for each row; all the same where all are zero."""
    most = log_weights.max(axis=1, keepdims=True)
    return np.exp(np.where(np.isneginf(most), 0.0, log_weights - np.nan_to_num(most, neginf=0.0)))


def log_mean(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the mean of the weights (n, n_samples) of each row; -inf where all are zero."""
    most = log_weights.max(axis=1)
    return most + np.log(normalised(log_weights).mean(axis=1))


def counting(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many draws of each row count: Kish's number, (sum of w)² / sum of w²; 0 of no weight."""
    weights = normalised(log_weights)
    kish = weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)
    return np.where(np.isneginf(log_weights.max(axis=1)), 0.0, kish)
