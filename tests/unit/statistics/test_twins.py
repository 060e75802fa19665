"""Stamps against others: one more of them is not told apart, another one is."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.statistics.twins import background_level, compare_with_twins, radii

N, K, SIDE = 120, 9, 32
RADIUS = np.full(N, 4.0)


def stamps(rng: np.random.Generator, factor: float = 1.0, n: int = N) -> np.ndarray:
    """Round sources of various light on noise, of shape (n, K + 1, 2, SIDE, SIDE)."""
    light = factor * 10 ** rng.normal(1, 0.3, (n, K + 1, 1, 1, 1))
    profile = np.exp(-radii(SIDE) / 2)
    return light * profile + rng.normal(5.0, 1.0, (n, K + 1, 2, SIDE, SIDE))


def test_one_more_twin_is_not_told_apart(rng: np.random.Generator) -> None:
    drawn = stamps(rng)
    found = compare_with_twins(drawn[:, 0], drawn[:, 1:], RADIUS)
    assert found.p_twins.min() >= 1 / (K + 1)
    counts = np.bincount(np.round(found.p_twins * (K + 1)).astype(int), minlength=K + 2)[1:]
    assert np.abs(counts - N / (K + 1)).max() < 4 * np.sqrt(N / (K + 1))
    assert np.median(found.chi2) == pytest.approx(1, abs=0.35)
    assert np.mean(found.p_flux <= 2 / (K + 1) + 1e-9) == pytest.approx(0.2, abs=0.12)
    # negative control: another source is unlike all twins
    others = compare_with_twins(stamps(rng, 30.0)[:, 0], drawn[:, 1:], RADIUS)
    assert np.mean(others.p_twins < 1.5 / (K + 1)) > 0.95
    assert np.mean(others.p_flux < 2.5 / (K + 1)) > 0.95


def test_light_is_that_over_the_background() -> None:
    stamp = np.full((1, 1, SIDE, SIDE), 7.0)
    stamp[..., 16, 16] += 12.0
    twins = np.zeros((1, 2, 1, SIDE, SIDE))
    found = compare_with_twins(stamp, twins, np.array([3.0]))
    np.testing.assert_allclose(found.flux, [[12.0]])
    np.testing.assert_allclose(found.twin_flux, 0)
    assert np.isnan(found.chi2).all()  # nothing scatters


def test_missing_pixels_are_left_out_of_both(rng: np.random.Generator) -> None:
    drawn = stamps(rng, n=1)
    real, twins = drawn[:, 0].copy(), drawn[:, 1:]
    real[0, 0, 16:], real[0, 1] = np.nan, np.nan
    found = compare_with_twins(real, twins, RADIUS[:1])
    kept = twins[0, :, 0, :16]
    there = radii(SIDE)[:16] < 4
    level = [background_level(np.where(np.arange(SIDE)[:, None] < 16, t, np.nan)) for t in twins[0]]
    expected = [(t - one[0])[there].sum() for t, one in zip(kept, level, strict=True)]
    np.testing.assert_allclose(found.twin_flux[0, :, 0], expected)
    assert np.isfinite([found.flux[0, 0], found.chi2[0, 0], found.p_twins[0]]).all()
    assert np.isnan([found.flux[0, 1], found.p_flux[0, 1], found.chi2[0, 1]]).all()


def test_one_twin_has_no_scatter(rng: np.random.Generator) -> None:
    drawn = stamps(rng, n=2)
    found = compare_with_twins(drawn[:, 0], drawn[:, 1:2], RADIUS[:2])
    assert np.isnan(found.p_twins).all()
    assert (found.p_flux == 1).all()
