"""What a model has learned: how much better it knows than its prior, or than before a tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe import statistics
from praesepe.errors import listed
from praesepe.network.estimator import Estimator
from praesepe.quantities import get
from praesepe.training.sources import Batch

NOTHING = 0.9
"""Error over that of a guess, from which hardly anything has been learned."""


def relative_errors(
    estimate: NDArray[np.floating],
    truth: NDArray[np.floating],
    names: Sequence[str],
    priors: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """Error of continuous quantities over that of guessing the middle of the prior.

    Parameters
    ----------
    estimate, truth : ndarray, shape (n, quantity)
        Medians of the posteriors, and the truth; NaN where it means nothing.
    names : sequence of str
    priors : mapping of str to (float, float)
        Ends of the priors.

    Returns
    -------
    dict of str to float
        Root mean squares' ratio, by quantity; 1 where nothing was learned.
    """
    found = {}
    for i, name in enumerate(names):
        if not get(name).is_categorical:
            error, guess = estimate[:, i] - truth[:, i], np.mean(priors[name]) - truth[:, i]
            squares = np.nanmean(error**2) / max(float(np.nanmean(guess**2)), 1e-12)
            found[name] = round(float(squares**0.5), 4)
    return found


def sentences(errors: Mapping[str, float]) -> list[str]:
    """What the errors mean, for a user."""
    said = [
        "errors are "
        + ", ".join(f"{error:.2f} ({get(name).word})" for name, error in errors.items())
        + " of those of a guess; 1 would be nothing learned"
    ]
    nothing = [get(name).word for name, error in errors.items() if not error < NOTHING]
    if nothing:
        said.append(
            f"hardly anything has been learned of {listed(nothing)}: do not use the model for it, "
            "train longer"
        )
    return said


def judged(model: Estimator, stamps: Batch) -> dict[str, dict[str, float]]:
    """Bias, scatter and coverage of the 68 % interval of each continuous quantity, on stamps.

    Quantities that are not known of any stamp are left out.
    """
    posterior = model.predict(stamps.images, conditions=stamps.conditions, n_samples=200)
    truth = stamps.labels.cpu().numpy()
    found = {}
    for i, name in enumerate(model.infers):
        known = np.isfinite(truth[:, i])
        if get(name).is_categorical or not known.any():
            continue
        draws, true = posterior.samples[known, :, i], truth[known, i]
        residual = np.median(draws, axis=1) - true
        pit = statistics.probability_integral_transform(draws, true)
        values = {
            "bias": statistics.bias(residual),
            "scatter": statistics.robust_scatter(residual),
            "coverage68": statistics.coverage(pit, statistics.CENTRAL_68),
        }
        found[name] = {key: round(float(value), 4) for key, value in values.items()}
    return found


def tuning_sentences(tuning: Mapping[str, Any]) -> list[str]:
    """What a training on labelled clusters has changed, for a user; see `Run.tuning`."""
    kept, steps, n = tuning["kept_step"], tuning["steps"], tuning["held_out"]
    said = [
        f"the weights of step {kept} of {steps} are kept, the best on {n} held-out clusters"
        if kept
        else f"no step was better on {n} held-out clusters than the beginning, which is kept: "
        "these labels teach the model nothing"
    ]
    for where, what in (("labelled", "held-out clusters"), ("simulated", "simulations")):
        after = tuning["after"][where]
        for name, now in after.items():
            then = tuning["before"][where][name]
            cells = [f"{key} {then[key]:.3f} → {now[key]:.3f}" for key in ("bias", "scatter")]
            share = f"coverage {then['coverage68']:.2f} → {now['coverage68']:.2f} (0.68)"
            said.append(f"{what}, {get(name).word}: {', '.join([*cells, share])}")
    return said
