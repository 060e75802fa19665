"""One contract for all posterior heads: draws and density describe the same distribution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.network.heads.flow import HEADS, FlowHead
from praesepe.network.heads.flow_inverse import FlowInverse

FEATURES = 5
STRETCH = {"tiny": 2.5, "small": 1.5, "paper": 1.3}


def make_head(preset: str, n_parameters: int = 3) -> FlowHead:
    """A head far from a Gaussian: its weights are larger than an untrained network's."""
    torch.manual_seed(4)
    head = FlowHead(FEATURES, n_parameters, preset)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(STRETCH[preset])
    return head


def contexts(n: int) -> Tensor:
    return torch.randn((n, FEATURES), generator=torch.Generator().manual_seed(8))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("preset", HEADS)
def test_shapes_and_gradients(preset: str) -> None:
    head, context = make_head(preset), contexts(6).requires_grad_()
    values = torch.zeros((6, 3), requires_grad=True)
    log_prob = head.log_prob(values, context)
    assert log_prob.shape == (6,)
    log_prob.sum().backward()
    for tensor in (context.grad, values.grad, *(p.grad for p in head.parameters())):
        assert tensor is not None
        assert torch.isfinite(tensor).all()
    assert (context.grad.abs().sum(1) > 0).all()
    draws = head.sample(context.detach(), 11, generator=seeded(0))
    assert draws.shape == (6, 11, 3)
    assert torch.isfinite(draws).all()


@pytest.mark.parametrize("preset", HEADS)
@torch.inference_mode()
def test_draws_are_reproducible_and_depend_on_the_context(preset: str) -> None:
    head, context = make_head(preset), contexts(4)
    first = head.sample(context, 9, generator=seeded(1))
    assert torch.equal(first, head.sample(context, 9, generator=seeded(1)))
    assert not torch.equal(first, head.sample(context, 9, generator=seeded(2)))
    assert not torch.allclose(first, head.sample(context.flip(0), 9, generator=seeded(1)))


@pytest.mark.parametrize("preset", HEADS)
@torch.inference_mode()
def test_a_draw_turns_back_into_its_noise(preset: str) -> None:
    head, context = make_head(preset), contexts(4)
    draws = head.sample(context, 200, generator=seeded(1))
    noise = head.flow(context).transform(draws.transpose(0, 1)).transpose(0, 1)
    expected = torch.randn((4, 200, 3), generator=seeded(1))
    # Where the spline is steep or flat, single precision loses a few digits.
    assert (noise - expected).abs().quantile(0.99) < 1e-3
    assert (noise - expected).abs().median() < 1e-5


def grid(n: int, half: float) -> tuple[Tensor, float]:
    """Points in the middle of n × n cells that cover ±half, and the cells' area."""
    side = (torch.arange(n) + 0.5) / n * 2 * half - half
    return torch.cartesian_prod(side, side), (2 * half / n) ** 2


def cell_probabilities(head: FlowHead, context: Tensor, n: int, half: float) -> Tensor:
    """Probability of each of n × n cells by quadrature of the density, 8 × 8 points each."""
    points, area = grid(8 * n, half)
    density = head.log_prob(points, context.expand(len(points), -1)).exp() * area
    return density.view(n, 8, n, 8).sum((1, 3))


@pytest.mark.parametrize("preset", HEADS)
@torch.inference_mode()
def test_the_density_is_normalised_and_that_of_the_draws(preset: str) -> None:
    head, context, n, half = make_head(preset, 2), contexts(2), 24, 6.0
    probability = cell_probabilities(head, context[:1], n, half)
    assert float(probability.sum()) == pytest.approx(1.0, abs=0.01)

    def reduced_chi2(probability: Tensor) -> float:
        draws = head.sample(context[:1], 40_000, generator=seeded(3))[0]
        counts, _ = torch.histogramdd(draws, [n, n], range=[-half, half, -half, half])
        expected = 40_000 * probability
        used = expected > 10
        return float(((counts - expected) ** 2 / expected)[used].sum() / used.sum())

    assert reduced_chi2(probability) < 1.5
    # The density of another stamp does not describe the draws.
    assert reduced_chi2(cell_probabilities(head, context[1:], n, half)) > 10


@pytest.mark.parametrize("preset", HEADS)
@torch.inference_mode()
def test_three_parameters_by_importance_sampling(preset: str) -> None:
    head, context = make_head(preset), contexts(2)
    n = 40_000
    # A density q that lies inside p: E_p[q / p] = 1 where draws and density agree.
    draws = head.sample(context, n, generator=seeded(5))
    middle, width = draws.median(1).values, 0.3 * draws.std(1)
    inner = torch.distributions.Normal(middle[:, None], width[:, None])
    log_inner = inner.log_prob(draws).sum(-1)  # (context, draw)

    def mean_ratio(context: Tensor) -> tuple[Tensor, Tensor]:
        log_prob = torch.stack(
            [head.log_prob(d, c.expand(n, -1)) for d, c in zip(draws, context, strict=True)]
        )
        ratio = (log_inner - log_prob).exp()
        return ratio.mean(1), ratio.std(1) / n**0.5

    mean, error = mean_ratio(context)
    assert (error < 0.1).all()
    assert ((mean - 1).abs() < 5 * error).all()
    mean, error = mean_ratio(context.flip(0))  # the density of the other stamp
    assert ((mean - 1).abs() > 5 * error).all()


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(InputError, match=r"'papper'.*'paper'"):
        FlowHead(FEATURES, preset="papper")


@pytest.mark.parametrize(("n", "draws"), [(0, 5), (3, 1), (2, 20_000)])
def test_a_prepared_inverse_gives_the_same_draws(n: int, draws: int) -> None:
    head, context = make_head("small").eval(), contexts(7)[:n]
    prepared = FlowInverse(head.flow)
    alone = head.sample(context, draws, generator=seeded(1))
    assert torch.equal(alone, head.sample(context, draws, generator=seeded(1), inverse=prepared))
    assert alone.shape == (n, draws, 3)
    assert not alone.requires_grad


@pytest.mark.parametrize("preset", HEADS)
def test_quick_draws_are_those_of_zuko(preset: str) -> None:
    head, context = make_head(preset).eval(), contexts(7)
    noise = 2.0 * torch.randn((7, 50, 3), generator=seeded(6))
    with torch.inference_mode():
        expected = head.flow(context).transform.inv(noise.transpose(0, 1)).transpose(0, 1)
        quick = FlowInverse(head.flow)(context, noise)
        other = FlowInverse(head.flow)(context.flip(0), noise)
    torch.testing.assert_close(quick, expected, rtol=1e-3, atol=1e-3)
    assert float((other - expected).abs().max()) > 0.1
