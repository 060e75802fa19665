"""What a stamp shows: each number follows what it is named after, and a constant changes none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from praesepe.network.appearance import BY_BAND, BY_PAIR, Appearance
from praesepe.survey import Survey

SIDE = 32
NOISE, SHARP, OUTER = 5, 6, 7
"""Places of noise, too sharp pixels and the sharpness of peaks outside among a band's numbers."""


@pytest.fixture(scope="module")
def appearance(survey: Survey) -> Appearance:
    return Appearance(survey.with_values(network={"stamp_size": SIDE}))


def stars(width_px: float, generator: torch.Generator, shift_px: float = 0.0) -> Tensor:
    """Twenty stars in the same places in both bands but for a shift of the second, with noise."""
    place = SIDE * torch.rand((4, 20, 2), generator=generator)
    light = 2 * torch.rand((4, 20), generator=generator) + 1
    steps = torch.arange(SIDE)
    bands = []
    for shift in (0.0, shift_px):
        x, y = place[..., 0, None] + shift, place[..., 1, None]
        shape = [torch.exp(-(((steps - at) / width_px) ** 2) / 2) for at in (y, x)]
        bands.append(torch.einsum("nk,nky,nkx->nyx", light, *shape))
    noise = 0.02 * torch.randn((4, 2, SIDE, SIDE), generator=generator)
    return torch.stack(bands, 1) + noise


def of_bands(values: Tensor) -> Tensor:
    return values[:, : 2 * BY_BAND].unflatten(1, (2, BY_BAND))


def test_a_constant_changes_nothing(appearance: Appearance, generator: torch.Generator) -> None:
    stamps = stars(1.0, generator)
    assert appearance.measure(stamps).shape == (4, 2 * BY_BAND + BY_PAIR)
    torch.testing.assert_close(
        appearance.measure(stamps + 1.0), appearance.measure(stamps), atol=2e-3, rtol=1e-3
    )


def test_noise_sharpness_and_cosmic_rays_show(
    appearance: Appearance, generator: torch.Generator
) -> None:
    state = generator.get_state()
    usual = of_bands(appearance.measure(stars(1.0, generator)))
    generator.set_state(state)
    wide = of_bands(appearance.measure(stars(2.0, generator)))
    assert (wide[..., OUTER] < 0.6 * usual[..., OUTER]).all()
    generator.set_state(state)
    rays = stars(1.0, generator)
    rays[:, 1][torch.rand((4, SIDE, SIDE), generator=generator) < 0.05] += 5
    hit = of_bands(appearance.measure(rays))
    assert (hit[:, 1, SHARP] > usual[:, 1, SHARP] + 1).all()
    torch.testing.assert_close(hit[:, 0], usual[:, 0])
    white = 0.3 * torch.randn((4, 2, SIDE, SIDE), generator=generator)
    sigma = of_bands(appearance.measure(white))[..., NOISE].exp() * torch.tensor([0.03, 0.3])
    torch.testing.assert_close(sigma, torch.full((4, 2), 0.3), rtol=0.4, atol=0)


def test_a_shift_between_bands_shows(appearance: Appearance, generator: torch.Generator) -> None:
    state, better = generator.get_state(), {}
    for shift in (0.0, 0.3, 1.5):
        generator.set_state(state)
        better[shift] = appearance.measure(stars(1.0, generator, shift))[:, -1]
    assert (better[0.0] < 0).all()
    assert (better[0.3] < 0).all()
    assert (better[1.5] > 0.08).all()


def test_absent_bands_are_not_known_and_empty_ones_are(
    appearance: Appearance, generator: torch.Generator
) -> None:
    stamps = stars(1.0, generator)
    present = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]]).float()[..., None, None]
    known = ~appearance.measure(stamps, present).isnan()
    assert known.sum(1).tolist() == [2 * BY_BAND + BY_PAIR, BY_BAND, BY_BAND, 2 * BY_BAND + BY_PAIR]
    assert appearance.measure(torch.zeros_like(stamps)).isfinite().all()


def test_a_stamp_is_measured_for_itself(appearance: Appearance, generator: torch.Generator) -> None:
    stamps, present = stars(1.0, generator), torch.ones(4, 2, 1, 1)
    whole = appearance.measure(stamps)
    present[1, 0] = present[2] = 0
    found = appearance.measure(stamps, present)
    for row in (0, 3):
        assert torch.equal(found[row], whole[row])
    known = ~found[1].isnan()
    torch.testing.assert_close(found[1][known], whole[1][known])
    assert int(known.sum()) == BY_BAND
    assert found[2].isnan().all()
    assert torch.equal(appearance.measure(stamps[1:2], present[1:2])[0][known], found[1][known])
    assert appearance.measure(stamps[:0], present[:0]).shape == (0, whole.shape[1])
