"""Modes of posteriors: mixtures of known shares, and single ones that must stay single."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.inference.columns import empty_columns, mode_columns, output_columns
from praesepe.inference.modes import axes_of, find_modes

INFERS = ("log_mass", "log_age", "a_v")
RANGES = {"log_mass": (2.0, 4.5), "log_age": (6.6, 10.1), "a_v": (0.0, 2.5)}
YOUNG, OLD = (7.0, 1.4), (8.6, 0.4)
N = 64


def mixture(share: float, n_samples: int, deviations: tuple[float, float] = (0.2, 0.2)):
    """Draws (n, n_samples, quantity) of which a share is young and dusty, the rest old."""
    rng = np.random.default_rng(3)
    young = rng.random((N, n_samples, 1)) < share
    plane = np.where(young, YOUNG, OLD) + deviations * rng.standard_normal((N, n_samples, 2))
    return np.concatenate((rng.normal(3, 0.2, young.shape), plane), axis=-1).astype(np.float32)


@pytest.mark.parametrize("n_samples", [500, 2000])
@pytest.mark.parametrize("infers", [INFERS, INFERS[:2]])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_two_modes_of_known_shares(share: float, n_samples: int, infers: tuple[str, ...]) -> None:
    found = find_modes(mixture(share, n_samples)[..., : len(infers)], infers, RANGES)
    assert found.names == infers[1:]
    assert (found.number == 2).mean() > 0.95
    np.testing.assert_allclose(np.nanmean(found.shares, 0), [1 - share, share], atol=0.01)
    for mode, place in enumerate((OLD, YOUNG)):
        middle = np.nanmedian(found.places[:, mode], axis=0)
        np.testing.assert_allclose(middle, place[: len(infers) - 1], atol=0.05)


@pytest.mark.parametrize(
    "draws",
    [
        mixture(0, 500),
        mixture(0, 500, (0.02, 0.02)),
        mixture(0, 2000, (0.5, 0.12)),
        np.random.default_rng(1).uniform((2, 6.6, 0), (4.5, 10.1, 2.5), (N, 500, 3)),
    ],
    ids=["usual", "narrow", "broad", "prior"],
)
@pytest.mark.parametrize("infers", [INFERS, INFERS[:2]])
def test_one_mode_stays_one(draws: np.ndarray, infers: tuple[str, ...]) -> None:
    found = find_modes(draws[..., : len(infers)].astype(np.float32), infers, RANGES)
    assert (found.number == 1).mean() > 0.95
    single = found.number == 1
    assert np.isnan(found.shares[single, 1]).all()
    assert np.isnan(found.places[single, 1]).all()
    np.testing.assert_allclose(found.shares[single, 0], 1, atol=0.05)


def test_weights_change_shares() -> None:
    draws = mixture(0.5, 2000)
    weights = np.where(draws[..., 1] < 7.8, 1.0, 4.0)
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    found = find_modes(draws, INFERS, RANGES, weights)
    np.testing.assert_allclose(np.nanmedian(found.shares, 0), [0.8, 0.2], atol=0.02)


def test_draws_beyond_the_prior_are_no_mode() -> None:
    draws = mixture(0.3, 500)
    draws[:, :300, 1] = 10.3
    assert (find_modes(draws[:, :], INFERS, RANGES).places[:, 0, 0] < 9).all()
    draws[..., 1] = 10.3
    assert (find_modes(draws, INFERS, RANGES).number == 0).all()


def test_columns_are_described() -> None:
    found = find_modes(mixture(0.3, 500), INFERS, RANGES).columns
    assert list(found) == [column.name for column in mode_columns(INFERS)]
    assert set(found) < set(output_columns(INFERS)) & set(empty_columns(3, INFERS))
    assert axes_of(("log_mass", "a_v")) == mode_columns(("log_mass", "a_v")) == ()
