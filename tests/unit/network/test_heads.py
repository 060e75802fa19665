"""One contract for all heads and encoders: draws and density describe the same distribution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from praesepe import quantities
from praesepe.errors import InputError
from praesepe.network.encoders import ENCODERS, Encoder
from praesepe.network.estimator import Estimator
from praesepe.network.heads.base import Axis, Head
from praesepe.network.heads.flow import FlowHead
from praesepe.network.heads.flow_inverse import FlowInverse
from praesepe.network.heads.grid import GridHead, default_groups
from praesepe.network.heads.registry import FLOW_SIZES, HEADS, make_head
from praesepe.network.noise import base_noise
from praesepe.quantities import Quantity
from praesepe.survey import Survey

FEATURES = 5
STRETCH = {"tiny": 2.5, "small": 1.5, "paper": 1.3}
EDGE = math.sqrt(3.0)


@pytest.fixture(scope="module", autouse=True)
def category() -> Iterator[Quantity]:
    """A quantity of two categories, which no other test knows."""
    yield quantities.register(
        Quantity("toy_class", "C", "", "a toy", categories=("cluster", "galaxy"))
    )
    quantities.unregister("toy_class")


# The contract: every head on every encoder


COMBINATIONS = [(head, encoder) for head in HEADS for encoder in ENCODERS]


def make_estimator(survey: Survey, head: str, encoder: str, *infers: str) -> Estimator:
    """Random weights, large enough that posteriors differ from stamp to stamp."""
    estimator = Estimator.untrained(survey, head=head, encoder=encoder, infers=infers, seed=4)
    with torch.no_grad():
        for parameter in estimator.net.head.parameters():
            parameter.mul_(STRETCH[encoder] if head == "flow" else 3.0)
    return estimator


def some_stamps(n: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    brightness = 10 ** rng.uniform(-2, 1, (n, 1, 1, 1))
    return (brightness * rng.normal(1, 0.3, (n, 2, 16, 16))).astype(np.float32)


@pytest.mark.parametrize(("head", "encoder"), COMBINATIONS)
def test_shapes_and_gradients(survey: Survey, head: str, encoder: str) -> None:
    names = ("log_age", "log_mass", "log_rh")
    net = make_estimator(survey, head, encoder, *names).net.train()
    stamps = torch.from_numpy(some_stamps(6))
    labels = net.labels.mean.expand(6, -1) + 0.1
    context = net.context(stamps)
    assert context.shape == (6, net.features)
    assert net.log_prob(labels, context).shape == (6,)
    loss = net.loss(labels, context)
    torch.testing.assert_close(loss, -net.log_prob(labels, context).mean())
    loss.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert net.encoder.stem[0].weight.grad.abs().sum() > 0  # the loss reaches the first layer
    noise = torch.full((6, 11, net.head.noise_size), 0.3)
    draws = net.sample(context, noise)
    assert draws.shape == (6, 11, 3)
    assert torch.isfinite(draws).all()
    assert not draws.requires_grad


@pytest.mark.parametrize(("head", "encoder"), COMBINATIONS)
@torch.inference_mode()
def test_the_density_is_normalised_and_that_of_the_draws(
    survey: Survey, head: str, encoder: str
) -> None:
    names = ("log_age", "log_rh")
    estimator = make_estimator(survey, head, encoder, *names)
    net = estimator.net
    n, m = (24, 8) if head == "flow" else (20, 7)  # 140 points: as many in every bin
    context = contexts(2, net.features)  # as different as two stamps of a trained network
    middle, half = net.labels.mean, 6 * net.labels.std if head == "flow" else EDGE * net.labels.std

    def cell_probabilities(context: Tensor) -> Tensor:
        """Probability of each of n × n cells by quadrature, m × m points each."""
        side = (torch.arange(m * n) + 0.5) / (0.5 * m * n) - 1
        points = middle + half * torch.cartesian_prod(side, side)
        density = net.log_prob(points, context.expand(len(points), -1)).exp()
        area = float((2 * half / (m * n)).prod())
        return (density * area).view(n, m, n, m).sum((1, 3))

    probability = cell_probabilities(context[:1])
    assert float(probability.sum()) == pytest.approx(1.0, abs=0.01)

    def reduced_chi2(probability: Tensor) -> float:
        noise = base_noise(
            net.head.noise, seed=1, rows=[0], n_samples=40_000, size=net.head.noise_size
        )
        draws = ((net.sample(context[:1], noise)[0] - middle) / half).double()
        counts, _ = torch.histogramdd(draws, [n, n], range=[-1, 1, -1, 1])
        expected = 40_000 * probability
        used = expected > 10
        return float(((counts - expected) ** 2 / expected)[used].sum() / used.sum())

    assert reduced_chi2(probability) < 1.5
    # The density of another stamp does not describe the draws.
    assert reduced_chi2(cell_probabilities(context[1:])) > 10


@pytest.mark.parametrize(("head", "encoder"), COMBINATIONS)
def test_a_saved_model_answers_with_the_same_bits_in_any_company(
    survey: Survey, tmp_path: Path, head: str, encoder: str
) -> None:
    names = ("log_age", "log_mass", "toy_class", "log_rh")
    estimator = make_estimator(survey, head, encoder, *names)
    loaded = Estimator.load(estimator.save(tmp_path / "model"))
    assert loaded.infers == names
    assert (loaded.card.head.name, loaded.card.encoder.name) == (head, encoder)
    stamps = some_stamps(70)
    whole = estimator.predict(stamps, n_samples=12, seed=5)
    assert whole.samples.shape == (70, 12, len(names))
    rows = np.array([69, 3, 40])
    part = loaded.predict(stamps[rows], n_samples=12, seed=5, rows=rows)
    np.testing.assert_array_equal(part.samples, whole.samples[rows])
    values = whole.samples[:, 0]
    np.testing.assert_array_equal(part.log_prob(values[rows]), whole.log_prob(values)[rows])
    assert np.isfinite(whole.log_prob(values)).all()
    # Point estimates: exact ones of every category, and of all else those of the draws.
    assert list(whole.probabilities) == [name for name in names if name == "toy_class"]
    for name, exact in whole.probabilities.items():
        np.testing.assert_array_equal(part.probabilities[name], exact[rows])
        np.testing.assert_allclose(exact.sum(1), 1, rtol=1e-5)
    numbers = [name not in whole.probabilities for name in names]
    np.testing.assert_array_equal(
        np.isfinite(whole.mean), np.broadcast_to(numbers, (70, len(names)))
    )


def test_a_new_encoder_is_one_entry(survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    class Averages(Encoder):
        """The mean of every band, and what is known."""

        def __init__(self, n_bands: int, conditions: int) -> None:
            super().__init__()
            self.features = 7
            self.linear = torch.nn.Linear(n_bands + conditions, 7)

        def forward(self, x: Tensor, conditions: Tensor | None = None) -> Tensor:
            means = x.mean((-2, -1))
            told = means if conditions is None else torch.cat((means, conditions), 1)
            return self.linear(told)

    monkeypatch.setitem(ENCODERS, "averages", Averages)
    for conditions in ((), ("depth",)):
        model = Estimator.untrained(survey, encoder="averages", conditions=conditions)
        answered = model.predict(some_stamps(5), n_samples=4)
        assert answered.samples.shape == (5, 4, 3)
        assert model.card.encoder.name == "averages"


# The grid


AXES = (
    Axis("log_age", -EDGE, EDGE, bins=5),
    Axis("toy_class", 0, 1, categories=2),
    Axis("log_mass", -EDGE, EDGE, bins=4),
    Axis("log_rh", -EDGE, EDGE, bins=3),
)


def make_grid(**settings: object) -> GridHead:
    torch.manual_seed(4)
    head = make_head("grid", FEATURES, AXES, settings)
    assert isinstance(head, GridHead)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(3)
    return head


GROUPS = [None, [["log_age", "toy_class", "log_mass", "log_rh"]], [[axis.name] for axis in AXES]]


@pytest.mark.parametrize("groups", GROUPS)
@torch.inference_mode()
def test_a_grid_with_a_category_sums_to_one(groups: list[list[str]] | None) -> None:
    head, context = make_grid(groups=groups), contexts(1)
    side = (torch.arange(60) + 0.5) / 30 * EDGE - EDGE  # whole points in all bins
    points = torch.cartesian_prod(side, torch.tensor([0.0, 1.0]), side, side)
    density = head.log_prob(points, context.expand(len(points), -1)).double().exp()
    assert float(density.sum() * (EDGE / 30) ** 3) == pytest.approx(1.0, rel=1e-4)
    draws = head.sample(context, base_noise("uniform", seed=1, rows=[0], n_samples=40_000, size=7))[
        0
    ]
    assert draws.abs().max() <= EDGE * 1.0001
    exact = head.probabilities(context)["toy_class"][0]
    assert float(exact.sum()) == pytest.approx(1.0)
    assert float(draws[:, 1].mean()) == pytest.approx(float(exact[1]), abs=0.012)
    assert float(density[points[:, 1] == 1].sum() * (EDGE / 30) ** 3) == pytest.approx(
        float(exact[1]), rel=1e-4
    )
    for i, axis in enumerate(AXES):  # every marginal, by 10 cells where it is continuous
        cells = (points[:, i] + EDGE) / (2 * EDGE) * 10 if not axis.categories else points[:, i]
        drawn = (draws[:, i] + EDGE) / (2 * EDGE) * 10 if not axis.categories else draws[:, i]
        n = axis.categories or 10
        expected = torch.zeros(n, dtype=torch.double).index_add_(0, cells.long(), density)
        expected *= (EDGE / 30) ** 3
        found = torch.bincount(drawn.long().clamp(0, n - 1), minlength=n) / len(draws)
        assert (found - expected).abs().max() < 0.012


def test_groups_of_paper_ii() -> None:
    names = ("log_age", "a_v", "log_mass", "log_rh", "class", "visibility")
    assert default_groups(names) == [
        ["log_age", "a_v", "log_mass"], ["log_rh"], ["class"], ["visibility"],
    ]  # fmt: skip
    axes = [Axis(name, -1, 1, 0, quantities.get(name).bins) for name in names[:4]]
    axes += [Axis("class", 0, 1, categories=2), Axis("visibility", 0, 1)]
    head = GridHead(FEATURES, axes)
    assert [tuple(grid.shape) for grid in head.grids] == [(20, 10, 14), (14,), (2,), (20,)]


def test_beyond_the_grid_there_is_nothing() -> None:
    head, context = make_grid(), contexts(3)
    values = torch.tensor([[0.0, 1.0, 9.0, 0.0], [0.0, 0.5, 0.0, 0.0], [EDGE, 1.0, -EDGE, EDGE]])
    log_prob = head.log_prob(values, context)
    assert log_prob.isfinite().tolist() == [False, False, True]
    assert head.log_prob(head.nearest(values[:1]), context[:1]).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": [["log_age"]]}, "must occur once"),
        ({"groups": [["log_age", "toy_class", "log_mass", "log_rh"], []]}, "no group may be empty"),
        ({"bins": {"toy_class": 3}}, "not among the continuous"),
        ({"bin": 3}, "setting of head 'grid': 'bin'.*'bins'"),
    ],
)
def test_impossible_grids(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_grid(**settings)


def test_unknown_heads_and_quantities(survey: Survey) -> None:
    with pytest.raises(InputError, match=r"unknown head 'flw'.*'flow'"):
        Estimator.untrained(survey, head="flw")
    with pytest.raises(InputError, match=r"at least one continuous quantity; choose head 'grid'"):
        Estimator.untrained(survey, infers=["toy_class"])
    with pytest.raises(InputError, match=r"unknown quantity 'log_aeg'.*'log_age'"):
        Estimator.untrained(survey, infers=["log_aeg"])
    with pytest.raises(InputError, match="each name may occur once"):
        Estimator.untrained(survey, infers=["log_age", "log_age"])


@pytest.mark.parametrize(
    ("head", "settings"),
    [
        ("flow", {"groups": [["log_age", "log_mass"], ["log_rh"]]}),
        ("grid", {"groups": [["log_age", "log_mass"], ["log_rh"], ["toy_class"]]}),
    ],
)
@torch.inference_mode()
def test_what_is_not_known_of_a_stamp_does_not_count(
    survey: Survey, head: str, settings: dict[str, object]
) -> None:
    names = ("log_age", "log_mass", "toy_class", "log_rh")
    net = Estimator.untrained(survey, head=head, head_options=settings, infers=names, seed=4).net
    context = contexts(5, net.features)
    labels = net.labels.mean.expand(5, -1) + torch.tensor([0.1, 0.2, 1.0, 0.1])
    whole = net.log_prob(labels, context)
    nan = torch.nan

    def without(*places: int) -> Tensor:
        some = labels.clone()
        some[:3, list(places)] = nan
        return net.log_prob(some, context)

    # Rows 3 and 4 are whole; a quantity that is NaN takes with it those that it is joined to.
    for places in ((0,), (2,), (0, 2, 3)):
        torch.testing.assert_close(without(*places)[3:], whole[3:])
    torch.testing.assert_close(without(0), without(0, 1))
    # Groups are independent: their densities multiply, whatever their units.
    parts = without(0, 1, 2) + without(0, 1, 3) + without(2, 3)
    torch.testing.assert_close(parts[:3], whole[:3])
    assert (without(0, 1, 2, 3)[:3] == 0).all()
    torch.testing.assert_close(net.loss(labels, context), -whole.mean())


@torch.inference_mode()
def test_categories_of_the_flow_are_drawn_as_often_as_they_are_probable(survey: Survey) -> None:
    estimator = make_estimator(survey, "flow", "tiny", "log_age", "toy_class")
    head, context = estimator.net.head, contexts(3, estimator.net.features)
    draws = head.sample(context, normal(3, 20_000, 2))[..., 1]
    exact = head.probabilities(context)["toy_class"]
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close((draws == 1).float().mean(1), exact[:, 1], rtol=0, atol=0.015)
    assert (exact[:, 1] - exact.flip(0)[:, 1]).abs().max() > 0.03  # not those of another stamp


# Base noise


def test_noise_is_that_of_seed_and_row() -> None:
    settings = {"seed": 5, "n_samples": 300, "size": 3}
    noise = base_noise("normal", rows=range(40), **settings)
    part = base_noise("normal", rows=[17, 3], **settings)
    assert torch.equal(part, noise[[17, 3]])
    assert not torch.equal(base_noise("normal", rows=[3], **{**settings, "seed": 6})[0], noise[3])
    few = base_noise("normal", rows=[3], **{**settings, "n_samples": 7})
    assert torch.equal(few[0], noise[3, :7])
    assert noise.mean().abs() < 0.02
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    correlation = torch.corrcoef(noise.flatten(1))
    assert (correlation - torch.eye(40)).abs().max() < 0.15  # 5 sigma
    uniform = base_noise("uniform", rows=range(40), **settings)
    assert 0 <= uniform.min() < uniform.max() < 1
    assert float(uniform.std()) == pytest.approx(12**-0.5, abs=0.01)


# The flow


def flow_axes(n: int) -> list[Axis]:
    return [Axis(f"q{i}", -EDGE, EDGE) for i in range(n)]


def make_flow(preset: str, n_parameters: int = 3) -> FlowHead:
    """A head far from a Gaussian: its weights are larger than an untrained network's."""
    torch.manual_seed(4)
    head = FlowHead(FEATURES, flow_axes(n_parameters), **FLOW_SIZES[preset])
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(STRETCH[preset])
    return head


def contexts(n: int, features: int = FEATURES) -> Tensor:
    return torch.randn((n, features), generator=torch.Generator().manual_seed(8))


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("preset", FLOW_SIZES)
@torch.inference_mode()
def test_a_draw_turns_back_into_its_noise(preset: str) -> None:
    head, context, expected = make_flow(preset), contexts(4), normal(4, 200, 3)
    draws = head.sample(context, expected)
    noise = head.flows[0](context).transform(draws.transpose(0, 1)).transpose(0, 1)
    # Where the spline is steep or flat, single precision loses a few digits.
    assert (noise - expected).abs().quantile(0.99) < 1e-3
    assert (noise - expected).abs().median() < 1e-5


@pytest.mark.parametrize("preset", ["tiny", "paper"])
@torch.inference_mode()
def test_three_parameters_by_importance_sampling(preset: str) -> None:
    head, context = make_flow(preset), contexts(2)
    n = 40_000
    # A density q that lies inside p: E_p[q / p] = 1 where draws and density agree.
    draws = head.sample(context, normal(2, n, 3, seed=5))
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


@pytest.mark.parametrize(("n", "draws"), [(0, 5), (3, 1), (2, 20_000)])
def test_any_number_of_draws(n: int, draws: int) -> None:
    head: Head = make_flow("small").eval()
    assert head.sample(contexts(7)[:n], normal(n, draws, 3)).shape == (n, draws, 3)


@pytest.mark.parametrize("preset", FLOW_SIZES)
def test_quick_draws_are_those_of_zuko(preset: str) -> None:
    head, context = make_flow(preset).eval(), contexts(7)
    noise = 2.0 * normal(7, 50, 3, seed=6)
    with torch.inference_mode():
        expected = head.flows[0](context).transform.inv(noise.transpose(0, 1)).transpose(0, 1)
        quick = FlowInverse(head.flows[0])(context, noise)
        other = FlowInverse(head.flows[0])(context.flip(0), noise)
    torch.testing.assert_close(quick, expected, rtol=1e-3, atol=1e-3)
    assert float((other - expected).abs().max()) > 0.1


@pytest.mark.parametrize("n_parameters", [1, 2, 5])
def test_quick_draws_of_other_numbers_of_quantities(n_parameters: int) -> None:
    head, context = make_flow("small", n_parameters).eval(), contexts(7)
    noise = normal(7, 50, n_parameters)
    with torch.inference_mode():
        expected = head.flows[0](context).transform.inv(noise.transpose(0, 1)).transpose(0, 1)
        quick = head.sample(context, noise)
    torch.testing.assert_close(quick, expected, rtol=1e-3, atol=1e-3)


# What is known of the leading quantity


LEADING_AXES = [Axis(name, -EDGE, EDGE) for name in ("log_age", "log_mass", "a_v", "offset_x_px")]


def make_leading(**settings: object) -> FlowHead:
    torch.manual_seed(4)
    options = {**FLOW_SIZES["small"], "leading": "a_v", **settings}
    head = FlowHead(FEATURES, LEADING_AXES, **options)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(STRETCH["small"])
    return head.eval()


@torch.inference_mode()
def test_the_leading_quantity_has_a_density_of_its_own() -> None:
    head, context = make_leading(), contexts(3)
    inverse = FlowInverse(head.flows[0])
    noise = normal(3, 200, 4, seed=6)
    draws = head.sample(context, noise)
    base, log_density = inverse.first(context, draws[..., 2])
    torch.testing.assert_close(base, noise[..., 2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(inverse.first_inverse(context, base), draws[..., 2])
    grid = torch.linspace(-8, 8, 4001).expand(3, -1)
    area = torch.trapezoid(inverse.first(context, grid)[1].exp(), grid, dim=1)
    torch.testing.assert_close(area, torch.ones(3), rtol=1e-4, atol=1e-4)
    # The joint density over that of the others is this one.
    point = draws[:, 0]
    others = torch.linspace(-8, 8, 161)
    age, mass = (of.flatten() for of in torch.meshgrid(others, others, indexing="ij"))
    points = point[0].expand(len(age), -1).clone()
    points[:, 0], points[:, 1] = age, mass
    points[:, 3] = torch.nan  # on its own
    density = head.log_prob(points, context[:1].expand(len(points), -1)).exp()
    summed = density.sum() * (others[1] - others[0]) ** 2
    assert float(summed.log()) == pytest.approx(float(log_density[0, 0]), abs=0.02)


@pytest.mark.parametrize(("value", "error"), [(0.4, 0.3), (-0.7, 0.05), (0.2, 1.5), (1.0, 30.0)])
@torch.inference_mode()
def test_draws_given_what_is_known_are_weighted_ones(value: float, error: float) -> None:
    head, context = make_leading(), contexts(2)
    noise = normal(2, 40_000, 4, seed=5)
    free = head.sample(context, noise)
    known = torch.tensor([[value, error], [torch.nan, 0.1]])
    given = head.sampler()(context, noise, known)
    assert torch.equal(given[1], free[1])  # nothing is known of this one
    assert torch.equal(given[0, :, 3], free[0, :, 3])  # a flow of its own
    weights = (-0.5 * ((free[0, :, 2] - value) / error) ** 2).exp()
    weights /= weights.sum()
    mean = (weights[:, None] * free[0]).sum(0)
    std = (weights[:, None] * (free[0] - mean) ** 2).sum(0).sqrt()
    n_effective = float(1 / (weights**2).sum())
    assert n_effective > 200
    pull = (given[0].mean(0) - mean) / (std / n_effective**0.5)
    assert float(pull.abs().max()) < 4
    torch.testing.assert_close(given[0].std(0), std, rtol=4 / n_effective**0.5, atol=0)
    # The flow's density alone, without what is known, gives others.
    assert error > 10 or float((free[0].mean(0) - mean).abs().max()) > 10 * n_effective**-0.5


@torch.inference_mode()
def test_what_is_certain_is_exact() -> None:
    head, context = make_leading(), contexts(2)
    noise = normal(2, 500, 4)
    known = torch.tensor([[0.25, 0.0], [-9.0, 0.0]])  # the second far outside
    draws = head.sampler()(context, noise, known)
    assert (draws[..., 2] == known[:, :1]).all()
    assert draws.isfinite().all()
    # The others are those of a flow whose first coordinate is this.
    inverse = FlowInverse(head.flows[0])
    base = head.flows[0](context).transform(draws[..., (2, 0, 1)].transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(base[..., 1:], noise[..., :2], rtol=1e-3, atol=2e-3)
    assert inverse.first(context, draws[..., 2])[0].std(1).max() < 1e-6


def test_a_leading_quantity_must_be_a_number_that_is_inferred() -> None:
    with pytest.raises(InputError, match="unknown continuous quantity 'a_b'"):
        FlowHead(FEATURES, LEADING_AXES, leading="a_b")
    assert make_leading().groups == ((2, 0, 1), (3,))
    assert FlowHead(FEATURES, LEADING_AXES).leading is None
