"""Whether there is a cluster: its probability under other odds than those of the training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError, must_be
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior
from praesepe.quantities import CONTAMINANT, OBJECT_CLASS, get

CLUSTER = {
    OBJECT_CLASS.name: OBJECT_CLASS.categories.index("cluster"),
    CONTAMINANT.name: CONTAMINANT.categories.index("none"),
}
"""Quantities that tell a cluster, the one that is trusted first, and which category it is."""

GOLDEN = (math.sqrt(5) - 1) / 2


def classes_of(infers: Sequence[str]) -> tuple[str, ...]:
    """The quantities among those inferred that tell whether there is a cluster."""
    return tuple(name for name in CLUSTER if name in infers)


@dataclass(frozen=True)
class ClassOdds:
    """Odds of a cluster against background, before the stamp is seen.

    Attributes
    ----------
    trained : float
        As often as the training had the one and the other; they are divided out.
    wanted : float
    """

    trained: float
    wanted: float = 1.0

    def __str__(self) -> str:
        return f"{self.wanted:g}:1" if self.wanted >= 1 else f"1:{1 / self.wanted:g}"

    def shares(self, posterior: Posterior) -> dict[str, NDArray[np.float64]]:
        """Probabilities (n, category) of what tells a cluster, under these odds.

        They are those of the stamp alone: another prior of the quantities does not change them.
        """
        found = {}
        for name in classes_of(posterior.names):
            shares = posterior.shares(name).astype(np.float64)
            shares[:, CLUSTER[name]] *= self.wanted / self.trained
            found[name] = shares / shares.sum(1, keepdims=True)
        return found


def make_odds(model: Estimator, given: str | float | None) -> ClassOdds | None:
    """Check the odds that a user gives; None where the model does not tell clusters.

    Parameters
    ----------
    model : Estimator
    given : str, float or None
        ``"1:1000"``, or the number; by default 1:1.

    Raises
    ------
    InputError
        Where they are no odds, or the model does not tell clusters from anything else.
    """
    share = model.survey.contaminants.fraction
    if not classes_of(model.infers) or not 0 < share < 1:
        if given is not None:
            raise InputError(
                f"model {model.name!r} does not tell clusters from what is none",
                given=given,
                allowed=tuple(CLUSTER),
                remedy="leave the odds out, or use a model that infers object_class",
            )
        return None
    one, _, other = str(1 if given is None else given).partition(":")
    try:
        wanted = float(one) / float(other or 1)
    except (ValueError, ZeroDivisionError):
        wanted = math.nan
    if not 0 < wanted < math.inf:
        allowed = "two positive numbers, clusters to background, such as 1:1000"
        raise must_be("cluster_odds", given, allowed)
    return ClassOdds((1 - share) / share, wanted)


def class_values(shares: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.generic]]:
    """Columns of the class: see `praesepe.inference.columns.class_columns`."""
    if not shares:
        return {}
    first = next(name for name in CLUSTER if name in shares)
    p_cluster = shares[first][:, CLUSTER[first]]
    values: dict[str, NDArray[np.generic]] = {"p_cluster": p_cluster}
    if CONTAMINANT.name in shares:
        others = shares[CONTAMINANT.name].copy()
        others[:, CLUSTER[CONTAMINANT.name]] = -1
        kinds = np.array(CONTAMINANT.categories)[others.argmax(1)]
        values[CONTAMINANT.name] = np.where(p_cluster < 0.5, kinds, "")
    return values


def redraw(
    draws: NDArray[np.float32], names: Sequence[str], shares: Mapping[str, NDArray[np.float64]]
) -> None:
    """Draw categories (n, n_samples, quantity) anew, in place, as often as `shares` says."""
    level = (0.5 + GOLDEN * np.arange(draws.shape[1])) % 1  # evenly, in no order
    for name, of in shares.items():
        last = len(get(name).categories) - 1
        category = (level[None, :, None] > of.cumsum(1)[:, None, :]).sum(2)
        draws[..., list(names).index(name)] = category.clip(max=last)
