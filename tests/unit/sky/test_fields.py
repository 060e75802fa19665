"""Star fields: surface density, ages and metallicities, edges, and the bank's history."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.sky.fields import (
    FieldBank,
    _spread_periodic,
    age_metallicity_shares,
    draw_field,
    stream,
)
from praesepe.sky.simulator import Simulator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def simulator():
    return Simulator("phat", n_fields=0)


@pytest.fixture(scope="module")
def survey(simulator):
    return simulator.survey


@pytest.fixture(scope="module")
def sampler(simulator):
    return simulator._sampler(simulator.tables.field)


def with_field(survey, **settings):
    return survey.model_copy(update={"field": survey.field.model_copy(update=settings)})


def bank_of(survey, sampler, **settings):
    given = {"n_fields": 3, "size_px": 96, "refresh": 2, "seed": (5,)}
    return FieldBank(survey, sampler, **{**given, **settings})


def add(bank, seed, n=2, side=64):
    grids = torch.zeros(n, bank.fields.shape[1], side, side)
    density = bank.add_to(grids, generator=torch.Generator().manual_seed(seed))
    return grids, density


def test_shares_of_age_and_metallicity(survey, sampler, generator):
    shares = age_metallicity_shares(survey, sampler, generator=generator)
    assert shares.shape == (len(sampler.log_age), len(sampler.metallicity))
    assert float(shares.sum()) == pytest.approx(1)
    assert (shares >= 0).all()
    low, high = survey.field.metallicity
    outside = (sampler.metallicity < low * 0.99) | (sampler.metallicity > high * 1.01)
    assert outside.any()
    assert float(shares[:, torch.as_tensor(outside)].sum()) == 0
    inside = shares[:, torch.as_tensor(~outside)]
    np.testing.assert_allclose(inside, inside[:, :1].expand_as(inside))


def test_ages_outside_the_range_are_left_out(survey, sampler, generator):
    old = with_field(survey, log_age=(9.0, 9.5))
    shares = age_metallicity_shares(old, sampler, generator=generator).sum(1)
    kept = sampler.log_age[shares.numpy() > 0]
    assert kept.min() == pytest.approx(9.0)
    assert kept.max() == pytest.approx(9.5)


def test_without_bursts_the_rate_of_star_formation_is_constant(survey, sampler, generator):
    """Mass per age bin of equal width in log age grows with the age."""
    steady = with_field(survey, burstiness=0.0)
    shares = age_metallicity_shares(steady, sampler, generator=generator).sum(1).numpy()
    np.testing.assert_allclose(shares / 10**sampler.log_age, shares[0] / 10 ** sampler.log_age[0])


def test_bursts_scatter_by_the_given_amount(survey, sampler, generator):
    draws = [age_metallicity_shares(survey, sampler, generator=generator) for _ in range(40)]
    rate = torch.stack(draws).sum(2).log() - torch.as_tensor(sampler.log_age) * np.log(10)
    scatter = (rate - rate.mean(1, keepdim=True)).std()
    assert float(scatter) == pytest.approx(survey.field.burstiness, rel=0.1)


def test_a_metallicity_between_grid_points_takes_the_nearest(survey, sampler, generator):
    z = sampler.metallicity
    between = float(np.sqrt(z[-2] * z[-1])) * 1.01
    narrow = with_field(survey, metallicity=(between, between))
    shares = age_metallicity_shares(narrow, sampler, generator=generator).sum(0)
    assert shares[:-1].sum() == 0
    assert float(shares[-1]) == pytest.approx(1)


def expected_light(survey, sampler, table, density, pixels, shares):
    """Mean light (e-/s) of a field from the integrated magnitudes of its populations."""
    mass = density * pixels * (survey.pixel_scale_arcsec * survey.pc_per_arcsec) ** 2
    light = np.zeros(len(survey.bands))
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    for (i, j), share in np.ndenumerate(shares):
        if share > 0:
            magnitude = table.integrated_magnitudes(
                float(sampler.log_age[i]), float(sampler.metallicity[j]), mass * share
            )
            light += 10 ** (0.4 * (zero_points - magnitude - survey.distance_modulus))
    return light


def test_surface_density_and_its_light(simulator, survey, sampler):
    """A field of 3 to 12 Gyr old stars: light within 2 per cent and the sampling error."""
    quiet = with_field(survey, burstiness=0.0, log_age=(9.5, 10.1))
    shares = age_metallicity_shares(quiet, sampler, generator=stream((1,), CPU)).numpy()
    side, density, n = 80, 50.0, 24
    light = torch.stack(
        [
            draw_field(
                quiet, sampler, density, shape_px=(side, side), generator=stream((2, k), CPU)
            )
            .double()
            .sum((1, 2))
            for k in range(n)
        ]
    ).numpy()
    expected = expected_light(quiet, sampler, simulator.tables.field, density, side**2, shares)
    error = light.std(0, ddof=1) / np.sqrt(n)
    off = np.abs(light.mean(0) - expected)
    visible = [1, 2]  # in F336W a single hot star outshines the others
    assert (off < 0.02 * expected + 4 * error)[visible].all()
    assert (error < 0.08 * expected)[visible].all()


def test_fields_are_even_across_their_area(survey, sampler):
    quiet = with_field(survey, burstiness=0.0, log_age=(9.5, 10.1))
    field = sum(
        draw_field(quiet, sampler, 100.0, shape_px=(96, 96), generator=stream((3, k), CPU))
        for k in range(6)
    )
    faint = field[1].clamp(max=float(field[1].quantile(0.9)))
    tiles = faint.unfold(0, 48, 48).unfold(1, 48, 48).sum((2, 3))
    assert float(tiles.std() / tiles.mean()) < 0.05


def test_light_that_leaves_on_one_side_comes_back_on_the_other():
    flux = torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    shape = (24, 32)
    inside = torch.tensor([[10.3 / 32, 4.9 / 32], [12.6 / 24, 20.2 / 24]])
    image = _spread_periodic(flux, inside, shape)
    np.testing.assert_allclose(image.sum((1, 2)), flux.sum(1), rtol=1e-5)
    step = torch.tensor([[25 / 32], [9 / 24]])
    moved = _spread_periodic(flux, (inside + step) % 1, shape)
    np.testing.assert_allclose(moved, image.roll((9, 25), dims=(1, 2)), atol=1e-5)


def test_x_and_y_of_a_field_that_is_not_square():
    u = torch.tensor([[20.0 / 32], [6.0 / 24]])
    image = _spread_periodic(torch.ones(1, 1), u, (24, 32))[0]
    assert divmod(int(image.argmax()), 32) == (6, 20)


def test_densities_are_spread_over_the_range(survey, sampler):
    """One field in each of n equal parts of the logarithmic range, also after renewal."""
    bank = bank_of(survey, sampler, n_fields=6, size_px=16)
    low, high = survey.field.surface_density

    def strata():
        share = torch.log(bank.density / low) / np.log(high / low)
        return sorted((share * 6).long().tolist())

    assert strata() == [0, 1, 2, 3, 4, 5]
    before = bank.density.clone()
    bank._draw(6)
    assert strata() == [0, 1, 2, 3, 4, 5]
    assert bank.density[0] != before[0]
    assert torch.equal(bank.density[1:], before[1:])


def test_denser_fields_are_brighter(survey, sampler):
    bank = bank_of(survey, sampler, n_fields=4, size_px=48)
    order = bank.density.argsort()
    light = bank.fields[:, 2].sum((1, 2))[order]
    assert float(light[-1]) > 10 * float(light[0])


def test_the_bank_renews_one_field_after_another(survey, sampler):
    bank = bank_of(survey, sampler)
    before = bank.fields.clone()
    add(bank, 0)
    assert torch.equal(bank.fields, before)
    add(bank, 0)
    assert not torch.equal(bank.fields[0], before[0])
    assert torch.equal(bank.fields[1:], before[1:])
    fixed = bank_of(survey, sampler, refresh=0)
    for _ in range(3):
        add(fixed, 0)
    assert torch.equal(fixed.fields, before)


@pytest.mark.parametrize("calls", [0, 1, 2, 5, 9])
def test_rewinding_brings_history_back(survey, sampler, calls):
    """A bank put back, or forward, to a call adds exactly what an unbroken one adds."""
    straight, jumping = bank_of(survey, sampler), bank_of(survey, sampler)
    for k in range(calls):
        add(straight, k)
    for k in range(4):
        add(jumping, 100 + k)
    jumping.rewind(calls)
    for k in range(calls, calls + 3):
        expected, density = add(straight, k)
        image, its_density = add(jumping, k)
        assert torch.equal(image, expected)
        assert torch.equal(its_density, density)


def test_pieces_are_turned_and_mirrored_copies_of_a_field(survey, sampler):
    """Every piece, turned back, is found in the field that its density names."""
    bank = bank_of(survey, sampler, refresh=0, n_fields=2, size_px=16)
    grids, density = add(bank, 3, n=40, side=30)
    ways = set()
    for grid, value in zip(grids, density, strict=True):
        field = bank.fields[int((bank.density == value).nonzero())]
        room = range(field.shape[-1] - 30 + 1)
        for k in range(8):
            turned = torch.rot90(grid, k % 4, (1, 2))
            turned = turned.flip(2) if k > 3 else turned
            if any(
                torch.equal(turned, field[:, i : i + 30, j : j + 30]) for i in room for j in room
            ):
                ways.add(k)
                break
        else:
            pytest.fail("a piece is not part of its field")
    assert len(ways) == 8


def test_pieces_are_added_to_what_is_there(survey, sampler):
    bank = bank_of(survey, sampler, refresh=0)
    alone, _ = add(bank, 1)
    grids = torch.ones(2, 3, 64, 64)
    bank.add_to(grids, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(grids, 1 + alone, rtol=1e-6)


def test_seeds(survey, sampler):
    first, again = bank_of(survey, sampler), bank_of(survey, sampler)
    other = bank_of(survey, sampler, seed=(6,))
    assert torch.equal(first.fields, again.fields)
    assert not torch.equal(first.fields, other.fields)


def test_streams_of_different_numbers_differ():
    states = {int(stream(s, CPU).initial_seed()) for s in ((0,), (1,), (1, 1), (1, 2), (2, 1))}
    assert len(states) == 5
    assert stream((1, 2), CPU).initial_seed() == stream((1, 2), CPU).initial_seed()
