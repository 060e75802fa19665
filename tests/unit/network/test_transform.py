"""The network's input and its standardised labels: exact inverses, right Jacobian."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.network.estimator import Estimator
from praesepe.network.transform import (
    LabelTransform,
    StampTransform,
    asinh,
    background_of,
    noise_of,
    prior_range,
)
from praesepe.quantities import DEFAULT_INFERRED, Quantity
from praesepe.survey import Survey, load_survey
from praesepe.survey.schema import ARCSEC


def make_transform(survey: Survey, *names: str) -> LabelTransform:
    return LabelTransform({name: prior_range(survey, name) for name in names or DEFAULT_INFERRED})


def test_stamps_can_be_recovered(generator: torch.Generator) -> None:
    scale = torch.tensor([0.03, 0.3, 2.0]).view(-1, 1, 1)
    stamps = 10 ** (6 * torch.rand((5, 3, 8, 8), generator=generator) - 3)
    stamps *= torch.randn(stamps.shape, generator=generator).sign()
    x = StampTransform([0.03, 0.3, 2.0], "kept")(stamps)[0]
    torch.testing.assert_close(torch.sinh(x.double()) * scale, stamps.double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kept", [False, True])
def test_a_constant_changes_nothing(kept: bool, generator: torch.Generator) -> None:
    """Ten times the sky, up and down, in each band alone; kept, it does (negative control)."""
    stamps = 0.01 * torch.randn((4, 3, 64, 64), generator=generator)
    stamps[:, :, 20:40, 20:40] += torch.rand((4, 3, 20, 20), generator=generator).pow(20)
    transform = StampTransform([0.03, 0.03, 0.03], "kept" if kept else "removed")
    for constant in (-1.0, 1.0):
        moved = stamps + constant * torch.tensor([1.0, 0.0, 0.0])[:, None, None]
        change = (transform(moved)[0] - transform(stamps)[0]).abs().amax()
        assert (change > 1) if kept else (change < 1e-4)


def test_the_background_is_that_beside_the_cluster(generator: torch.Generator) -> None:
    sky = torch.tensor([0.02, 0.5, -3.0]).view(-1, 1, 1)
    stamps = sky + 0.01 * torch.randn((50, 3, 64, 64), generator=generator)
    assert (background_of(stamps) - sky).abs().max() < 0.01 / 4 * 1.5  # block means, 16 px each
    stamps[:, :, 17:47, 17:47] += 5.0  # 900 of 4096 pixels
    assert (background_of(stamps) - sky).abs().max() < 0.01 / 4 * 1.5


def test_every_band_bends_at_its_own_scale() -> None:
    transform = StampTransform([0.01, 1.0], "kept")
    x, _ = transform(torch.full((1, 2, 4, 4), 0.01))
    torch.testing.assert_close(x[0, 0], torch.full((4, 4), math.asinh(1.0)))
    torch.testing.assert_close(x[0, 1], torch.full((4, 4), 0.01), rtol=1e-4, atol=0)  # linear
    assert set(transform.state_dict()) == {"scale"}  # stored with the weights


def test_the_noise_is_that_beside_the_stars(generator: torch.Generator) -> None:
    sigma = torch.tensor([0.01, 0.2, 3.0]).view(-1, 1, 1)
    stamps = 0.5 + sigma * torch.randn((100, 3, 64, 64), generator=generator)
    assert float((noise_of(stamps) / sigma).mean()) == pytest.approx(1, abs=0.02)
    empty = noise_of(stamps)
    stamps[..., 17:47, 17:47] += torch.rand((30, 30), generator=generator) * 100 * sigma
    assert (noise_of(stamps) / empty - 1).abs().max() < 0.15
    stamps[..., :40] = 0.5  # a filled gap
    assert (noise_of(stamps) / empty - 1).abs().max() < 0.25
    assert (noise_of(torch.ones(1, 3, 16, 16)) == 0).all()


def test_a_stamp_scaled_by_its_noise_has_no_unit(generator: torch.Generator) -> None:
    """The unit is told beside; with scales of the bands the input depends on it (control)."""
    stamps = 0.01 * torch.randn((4, 2, 64, 64), generator=generator)
    scales = [0.03, 0.3]
    by_noise, by_band = (StampTransform(scales, scaling=of) for of in ("noise", "band"))
    (x, told), (x100, told100) = by_noise(stamps), by_noise(100 * stamps)
    assert told is not None
    assert told100 is not None
    torch.testing.assert_close(x, x100, rtol=1e-4, atol=1e-5)
    assert (told100 - told).numpy() == pytest.approx(math.log(100), rel=1e-4)
    assert told[:, 0].numpy() == pytest.approx(0, abs=0.2)  # three times 0.01 is 0.03
    assert (by_band(stamps)[0] - by_band(100 * stamps)[0]).abs().max() > 1
    for dead in (torch.zeros(1, 2, 16, 16), torch.full((1, 2, 16, 16), 1e30)):
        assert all(part is not None and part.isfinite().all() for part in by_noise(dead))


def test_bounds_are_the_priors(survey: Survey) -> None:
    assert prior_range(survey, "log_age") == (6.6, 10.1)
    assert prior_range(survey, "log_mass") == (2.0, 3.5)
    assert prior_range(survey, "log_rh") == pytest.approx((-1.0, math.log10(0.4)))


@pytest.mark.parametrize("name", ["phat", "toy"])
def test_the_prior_becomes_standard(name: str, survey: Survey, generator: torch.Generator) -> None:
    described = survey if name == "toy" else load_survey(name)
    priors = [prior_range(described, name) for name in described.network.infers]
    low, high = torch.tensor(priors).T
    labels = low + (high - low) * torch.rand((200_000, 3), generator=generator)
    values = make_transform(described)(labels)
    assert values.mean(0).abs().max() < 0.01
    assert (values.std(0) - 1).abs().max() < 0.01


def test_labels_can_be_recovered(survey: Survey, generator: torch.Generator) -> None:
    transform = make_transform(survey)
    labels = 4 * torch.randn((7, 5, 3), generator=generator)
    torch.testing.assert_close(transform.inverse(transform(labels)), labels)
    assert set(transform.state_dict()) == {"mean", "std"}


def test_a_fixed_parameter_stays_finite(survey: Survey) -> None:
    transform = make_transform(survey.with_values(clusters={"rh_arcsec": (0.2, 0.2)}))
    assert torch.isfinite(transform(torch.tensor([8.0, 3.0, math.log10(0.2)]))).all()


def test_any_quantities_of_the_registry(survey: Survey) -> None:
    assert prior_range(survey, "log_mass") == (2.0, 3.5)
    assert prior_range(survey, "log_z") == pytest.approx((math.log10(0.0142),) * 2)
    assert prior_range(survey, "a_v") == (0.0, 0.0)
    assert prior_range(survey, "rh_arcsec") == pytest.approx((0.1, 0.4))  # derives from log_rh
    pc = survey.pc_per_arcsec
    assert prior_range(survey, "rh_pc") == pytest.approx((0.1 * pc, 0.4 * pc))
    with pytest.raises(InputError, match="'log_present_mass' cannot be inferred"):
        prior_range(survey, "log_present_mass")


def test_a_quantity_of_ones_own(survey: Survey) -> None:
    density = Quantity(
        "log_density", "n", "dex", "a toy", sources=("log_mass", "log_rh"),
        derive=lambda of, _: of["log_mass"] - 2 * of["log_rh"],
    )  # fmt: skip
    try:
        quantities.register(density)
        quantities.register(Quantity("kind", "C", "", "a toy", categories=("a", "b", "c")))
        low, high = prior_range(survey, "log_density")
        assert (low, high) == pytest.approx((2.0 - 2 * math.log10(0.4), 3.5 + 2.0))
        transform = make_transform(survey, "log_density", "kind")
        values = transform(torch.tensor([[low, 0.0], [high, 2.0]]))
        torch.testing.assert_close(values[:, 0], torch.tensor([-1.0, 1.0]) * 3**0.5)
        assert values[:, 1].tolist() == [0.0, 2.0]  # categories stay
        assert [axis.categories for axis in transform.axes] == [0, 3]
    finally:
        quantities.unregister("log_density")
        quantities.unregister("kind")


@pytest.mark.parametrize(
    ("sources", "derive", "limits", "expected"),
    [
        (("log_age",), lambda of: (of["log_age"] - 8) ** 2, (0, 4.5), (0, 2.1**2)),
        (("log_age",), lambda of: (of["log_age"] - 8) ** 2, (0, 3), (0, 3)),
        (("log_age", "log_mass"), lambda of: np.sin(3 * of["log_age"]) * of["log_mass"],
         (-np.inf, np.inf), (-3.5, 3.5)),
        (("log_age",), lambda of: np.log10(of["log_age"] - 6.6), (-2, np.inf), (-2, np.log10(3.5))),
    ],
)  # fmt: skip
def test_a_derived_quantity_may_turn_inside_the_prior(
    survey: Survey, sources: Any, derive: Any, limits: Any, expected: tuple[float, float]
) -> None:
    quantities.register(
        Quantity(
            "bump", "b", "", "x", limits=limits, sources=sources, derive=lambda of, _: derive(of)
        )
    )
    try:
        assert prior_range(survey, "bump") == pytest.approx(expected, abs=1e-3)
    finally:
        quantities.unregister("bump")


def test_the_prior_of_a_length_spans_near_to_far(survey: Survey) -> None:
    ranged = survey.with_values(galaxy={"distance_pc": (5e5, 1e6)})
    near, far = ARCSEC * 5e5, ARCSEC * 1e6
    expected = 0.1 * near, 0.4 * far
    assert prior_range(ranged, "rh_pc") == pytest.approx(expected)
    in_pc = ranged.with_values(clusters={"rh_arcsec": None, "rh_pc": (0.5, 1.5)})
    assert prior_range(in_pc, "rh_pc") == pytest.approx((0.5, 1.5))
    assert prior_range(in_pc, "rh_arcsec") == pytest.approx((0.5 / far, 1.5 / near))


def test_what_does_not_vary_is_not_inferred(survey: Survey) -> None:
    with pytest.raises(InputError, match=r"'a_v' is 0 in all clusters .* give it a range"):
        Estimator.untrained(survey, infers=("log_age", "a_v"), head="grid", encoder="tiny")
    with pytest.raises(InputError, match=r"'profile' is eff in all clusters .* give it several"):
        Estimator.untrained(survey, infers=("log_age", "profile"), head="grid", encoder="tiny")
    assert prior_range(survey.with_values(clusters={"profile": ("king", "eff")}), "profile") == (
        0.0,
        2.0,
    )


def test_the_quick_inverse_hyperbolic_sine_is_that_of_torch() -> None:
    numbers = torch.cat((torch.logspace(-30, 18, 1000), torch.tensor([0.0, torch.nan])))
    for x in (numbers, -numbers):
        expected = torch.asinh(x.double()).float()
        torch.testing.assert_close(asinh(x), expected, rtol=3e-7, atol=0, equal_nan=True)
