"""The encoders: shapes, gradients, and the layers of paper II."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from praesepe.errors import InputError
from praesepe.network.encoders import (
    PRESETS,
    RadialPooling,
    ResidualBlock,
    ResNet,
    fused,
    make_encoder,
)
from praesepe.network.estimator import Estimator
from praesepe.survey import load_survey

CASES = [
    (preset, bands, side)
    for preset, sides in {"tiny": (16, 18, 48, 128), "small": (16, 50, 64), "paper": (16,)}.items()
    for bands, side in zip((1, 2, 3, 5), sides, strict=False)
]


@pytest.mark.parametrize(("preset", "bands", "side"), CASES)
def test_contract(preset: str, bands: int, side: int, generator: torch.Generator) -> None:
    net = ResNet(bands, preset)
    stamps = torch.randn((3, bands, side, side), generator=generator)
    features = net(stamps)
    assert features.shape == (3, net.features)
    assert net.features == PRESETS[preset].features
    assert torch.isfinite(features).all()
    features.sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert net.stem[0].weight.grad.abs().sum() > 0  # the loss reaches the first layer


@pytest.mark.parametrize("preset", PRESETS)
def test_a_stamp_is_judged_on_its_own(preset: str, generator: torch.Generator) -> None:
    net = ResNet(2, preset).eval()
    stamps = torch.randn((4, 2, 16, 16), generator=generator)
    with torch.inference_mode():
        together, alone = net(stamps), torch.cat([net(stamp[None]) for stamp in stamps])
    torch.testing.assert_close(together, alone)


def test_the_paper_preset_is_table_1_of_paper_ii() -> None:
    net = ResNet(3, "paper").eval()
    seen: list[tuple[str, int, int]] = []
    for layer in (*net.stem, *(block for stage in net.stages for block in stage)):
        layer.register_forward_hook(
            lambda module, _, out: seen.append((type(module).__name__, *out.shape[1:3]))
        )
    with torch.inference_mode():
        net(torch.zeros((1, 3, 64, 64)))
    assert seen[0] == ("Conv2d", 64, 64)
    assert next(item for item in seen if item[0] == "MaxPool2d") == ("MaxPool2d", 64, 32)
    stages = {
        side: [s for s in seen if s[0] == "ResidualBlock" and s[2] == side]
        for side in (32, 16, 8, 4)
    }
    assert [len(stage) for stage in stages.values()] == [3, 4, 6, 3]
    assert [stage[-1][1] for stage in stages.values()] == [128, 256, 512, 1024]
    assert net.features == 1024


def test_the_paper_preset_has_50_layers() -> None:
    net = ResNet(3, "paper")
    weighted = [
        name
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(weighted) == 50


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_block_begins_as_its_shortcut(bottleneck: bool, generator: torch.Generator) -> None:
    x = torch.randn((2, 8, 6, 6), generator=generator)
    torch.testing.assert_close(ResidualBlock(8, 8, 1, bottleneck=bottleneck)(x), x.relu())
    assert ResidualBlock(8, 16, 2, bottleneck=bottleneck)(x).shape == (2, 16, 3, 3)


@pytest.mark.parametrize("shape", [(32, 32), (16, 16), (4, 4), (9, 8), (25, 25)])
def test_rings_average_about_the_centre(shape: tuple[int, int]) -> None:
    weights = RadialPooling((3,), 2).weights(*shape)
    assert weights.shape == (8, *shape)
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(8))
    y, x = (torch.arange(n) - n / 2 for n in shape)
    distance = torch.hypot(y[:, None], x[None, :])
    assert weights[0].max() == weights[0][distance == distance.min()].max()
    radius = (weights * distance).sum((1, 2))
    assert (radius.diff() > -1e-5).all()
    assert radius[-1] > 1.5 * radius[0]


@pytest.mark.parametrize("side", [64, 48])
def test_maps_and_rings_have_the_centre_of_the_stamp(side: int) -> None:
    net = ResNet(1, "tiny").eval()
    for module in net.modules():  # positive weights: a blur
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    stamp = torch.zeros((1, 1, side, side))
    stamp[..., side // 2, side // 2] = 1.0
    with torch.inference_mode():
        x = net.stem(stamp)
        for stage in list(net.stages)[:-1]:
            x = stage(x)
            light = x.sum((0, 1))
            place = (light.sum(1) * torch.arange(len(light))).sum() / light.sum()
            assert place == pytest.approx(len(light) / 2, abs=0.3)


def test_rings_tell_where_a_star_lies(generator: torch.Generator) -> None:
    torch.manual_seed(1)
    readout = RadialPooling((3,), 4)
    star = 100 * torch.rand((3,), generator=generator)
    maps = torch.zeros((3, 3, 16, 16))
    maps[0, :, 8, 10] = maps[1, :, 6, 8] = maps[2, :, 8, 13] = star  # the first two as far out
    with torch.inference_mode():
        near, turned, far = readout([maps])
    torch.testing.assert_close(near, turned)
    assert (near - far).abs().max() > 0.02


def test_an_unknown_encoder_is_named() -> None:
    with pytest.raises(InputError, match=r"'smal'.*'small'.*'tiny'"):
        make_encoder("smal", 3, 0)


def test_an_encoder_is_folded_once_until_it_changes() -> None:
    net = Estimator.untrained(load_survey("phat"), encoder="tiny").net
    stamps = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        first = net.for_inference()
        assert net.for_inference().encoder is first.encoder
        before = first.context(stamps)
    changes = net.encoder.stem[0].weight, net.encoder.stem[1].running_mean
    for tensor in changes:
        with torch.no_grad():
            tensor.add_(0.5)
        with torch.inference_mode():
            after = net.for_inference().context(stamps)
        torch.testing.assert_close(after, net.context(stamps), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(after, before)
        before = after


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_folded_normalisation_gives_the_same_features(preset: str) -> None:
    torch.manual_seed(3)
    network = ResNet(2, preset)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.running_mean)
    network.eval()
    stamps = torch.randn(4, 2, 32, 32)
    with torch.inference_mode():
        expected, given = network(stamps), fused(network)(stamps)
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
