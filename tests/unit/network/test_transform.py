"""The network's input and its standardised labels: exact inverses, right Jacobian."""

from __future__ import annotations

import math

import pytest
import torch

from praesepe.network.transform import LabelTransform, StampTransform, prior_bounds
from praesepe.survey import Survey, load_survey


def test_stamps_can_be_recovered(generator: torch.Generator) -> None:
    scale = torch.tensor([0.03, 0.3, 2.0]).view(-1, 1, 1)
    stamps = 10 ** (6 * torch.rand((5, 3, 8, 8), generator=generator) - 3)
    stamps *= torch.randn(stamps.shape, generator=generator).sign()
    x = StampTransform([0.03, 0.3, 2.0])(stamps)
    torch.testing.assert_close(torch.sinh(x.double()) * scale, stamps.double(), rtol=1e-5, atol=0)


def test_every_band_bends_at_its_own_scale() -> None:
    transform = StampTransform([0.01, 1.0])
    x = transform(torch.full((1, 2, 4, 4), 0.01))
    torch.testing.assert_close(x[0, 0], torch.full((4, 4), math.asinh(1.0)))
    torch.testing.assert_close(x[0, 1], torch.full((4, 4), 0.01), rtol=1e-4, atol=0)  # linear
    assert set(transform.state_dict()) == {"scale"}  # stored with the weights


def test_bounds_are_the_priors(survey: Survey) -> None:
    low, high = prior_bounds(survey)
    torch.testing.assert_close(low, torch.tensor([6.6, 2.0, -1.0]))
    torch.testing.assert_close(high, torch.tensor([10.1, 3.5, math.log10(0.4)]))


@pytest.mark.parametrize("name", ["phat", "toy"])
def test_the_prior_becomes_standard(name: str, survey: Survey, generator: torch.Generator) -> None:
    described = survey if name == "toy" else load_survey(name)
    low, high = prior_bounds(described)
    labels = low + (high - low) * torch.rand((200_000, 3), generator=generator)
    values = LabelTransform(described)(labels)
    assert values.mean(0).abs().max() < 0.01
    assert (values.std(0) - 1).abs().max() < 0.01


def test_labels_can_be_recovered(survey: Survey, generator: torch.Generator) -> None:
    transform = LabelTransform(survey)
    labels = 4 * torch.randn((7, 5, 3), generator=generator)
    torch.testing.assert_close(transform.inverse(transform(labels)), labels)
    assert set(transform.state_dict()) == {"mean", "std"}


def test_the_volume_is_the_jacobian(survey: Survey) -> None:
    transform = LabelTransform(survey)
    jacobian = torch.autograd.functional.jacobian(transform.inverse, torch.zeros(3))
    torch.testing.assert_close(transform.log_volume, torch.linalg.slogdet(jacobian).logabsdet)


def test_a_fixed_parameter_stays_finite(survey: Survey) -> None:
    prior = survey.prior.model_copy(update={"rh_arcsec": (0.2, 0.2)})
    transform = LabelTransform(survey.model_copy(update={"prior": prior}))
    assert torch.isfinite(transform(torch.tensor([8.0, 3.0, math.log10(0.2)]))).all()
