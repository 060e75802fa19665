"""Residual networks that turn a stamp into a vector of features."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from praesepe.errors import unknown


@dataclass(frozen=True)
class Preset:
    """Size of an encoder.

    Attributes
    ----------
    stem : tuple of int
        Channels, kernel and stride of the first convolution.
    pool : bool
        Whether a 3×3 max pool of stride 2 follows.
    widths, depths : tuple of int
        Channels and number of blocks of each stage; every stage after the first halves the side.
    bottleneck : bool
        Blocks of three convolutions (1×1, 3×3, 1×1) instead of two 3×3.
    radial_features : int
        Features that every stage but the last hands on by `RadialPooling`, beside the last stage's
        averages over the whole stamp; 0: none.
    features : int
        Length of the output.
    """

    stem: tuple[int, int, int]
    pool: bool
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    bottleneck: bool
    radial_features: int
    features: int


PRESETS = {
    "tiny": Preset((8, 5, 2), False, (8, 16, 32), (1, 1, 1), False, 8, 32),
    "small": Preset((32, 5, 2), False, (32, 64, 128, 256), (1, 2, 2, 2), False, 64, 128),
    # Table 1 of Bialopetravičius & Narbutis (2020, A&A 633, A148): 50 layers.
    "paper": Preset((64, 7, 1), True, (128, 256, 512, 1024), (3, 4, 6, 3), True, 0, 1024),
}


class Encoder(nn.Module):
    """What turns a stamp into features; a new one is a subclass, named in `ENCODERS`.

    Attributes
    ----------
    features : int
        Length of the output.
    """

    features: int

    def forward(self, x: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map stamps (n, band, y, x), and features of conditions, to features (n, `features`)."""
        raise NotImplementedError


class ResNet(Encoder):
    """Residual encoder.

    Parameters
    ----------
    n_bands : int
        Input channels.
    preset : str
        One of `PRESETS`.
    conditions : int
        Features of what is known of the observation, which scale and shift the channels of the
        stem and of all stages but the last (Perez et al. 2018, arXiv:1709.07871); 0: none.
    """

    def __init__(self, n_bands: int, preset: str = "small", conditions: int = 0) -> None:
        super().__init__()
        p = PRESETS[preset]
        channels, kernel, stride = p.stem
        layers: list[nn.Module] = [
            nn.Conv2d(n_bands, channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        if p.pool:
            layers.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*layers)
        stages = []
        for stage, (width, depth) in enumerate(zip(p.widths, p.depths, strict=True)):
            blocks = []
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(ResidualBlock(channels, width, stride, bottleneck=p.bottleneck))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        widths = (p.stem[0], *p.widths[:-1]) if conditions else ()
        self.modulations = nn.ModuleList(Modulation(conditions, width) for width in widths)
        self.rings = RadialPooling(p.widths[:-1], p.radial_features) if p.radial_features else None
        inputs = channels + (self.rings.features if self.rings is not None else 0)
        self.head = nn.Sequential(nn.Linear(inputs, p.features), nn.ReLU(inplace=True))
        self.features = p.features

    def forward(self, x: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map stamps (n, band, y, x), and features of conditions, to features (n, `features`)."""
        x = self.stem(x)
        maps = []
        for stage, modulation in itertools.zip_longest(self.stages, self.modulations):
            x = stage(x if modulation is None else modulation(x, conditions))
            maps.append(x)
        mean = x.mean((-2, -1))
        if self.rings is None:
            return self.head(mean)
        return self.head(torch.cat([mean, self.rings(maps[:-1])], 1))


class Modulation(nn.Module):
    """Scale and shift of channels by what is known of the observation; at first, none."""

    def __init__(self, conditions: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(conditions, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        """Modulate maps (n, channels, y, x) by features (n, feature)."""
        scale, shift = self.linear(conditions)[..., None, None].chunk(2, dim=1)
        return torch.addcmul(x + shift, x, scale)


class RadialPooling(nn.Module):
    """Radial pooling: averages of a stamp's feature maps at each distance from its center.

    Convolutions and an average over the whole stamp treat every position alike, but where the
    stars lie is what tells a cluster's size. Here each map's channels are combined pixel by pixel,
    averaged in smooth rings about the center, and the averages of all maps are combined.

    Parameters
    ----------
    channels : sequence of int
        Of each map.
    features : int
        Channels that are averaged, per map; the output is four times as long.
    """

    centers: Tensor

    def __init__(self, channels: Sequence[int], features: int) -> None:
        super().__init__()
        # Bumps in the logarithm of the distance in half sides, from the pixels around the center
        # of a stamp of 64 to its corners.
        self.register_buffer("centers", torch.linspace(-3.2, 0.3, 8), persistent=False)
        self.features = 4 * features
        self.combine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n, features, 1), nn.ReLU(inplace=True)) for n in channels
        )
        averages = len(self.centers) * features * len(channels)
        self.head = nn.Sequential(nn.Linear(averages, self.features), nn.ReLU(inplace=True))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map several (n, channels, y, x) to (n, `features`)."""
        averages = []
        for combine, x in zip(self.combine, maps, strict=True):
            weights = self.weights(x.shape[-2], x.shape[-1]).flatten(1)
            pixels = combine(x).flatten(2).transpose(1, 2)  # a view, where channels come last
            averages.append((weights.to(pixels) @ pixels).flatten(1))
        return self.head(torch.cat(averages, 1))

    def weights(self, height: int, width: int) -> Tensor:
        """Weights (ring, y, x) of the pixels, of sum one in every ring.

        The center is that of the stamp, pixel n // 2 of n, as strided convolutions hand it on.
        """
        y, x = (2 * torch.arange(n, device=self.centers.device) / n - 1 for n in (height, width))
        log_r = torch.hypot(y[:, None], x[None, :]).log().clamp_min(float(self.centers[0]))
        spacing = self.centers[1] - self.centers[0]
        distance = (log_r - self.centers[:, None, None]) / spacing
        return torch.softmax(-(distance**2).flatten(1), dim=1).reshape(distance.shape)


class ResidualBlock(nn.Module):
    """Convolutions around which the input is added (He et al. 2016).

    Parameters
    ----------
    channels, width : int
        Of the input and of the output.
    stride : int
        Of the first 3×3 convolution.
    bottleneck : bool
        Convolutions of 1×1, 3×3 and 1×1, a quarter of the width inside, instead of two of 3×3.
    """

    def __init__(self, channels: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        inner = width // 4
        convolutions = (
            [(channels, inner, 1, 1), (inner, inner, 3, stride), (inner, width, 1, 1)]
            if bottleneck
            else [(channels, width, 3, stride), (width, width, 3, 1)]
        )
        layers: list[nn.Module] = []
        for n_in, n_out, kernel, step in convolutions:
            norm = nn.BatchNorm2d(n_out)
            layers.append(nn.Conv2d(n_in, n_out, kernel, step, kernel // 2, bias=False))
            layers += [norm, nn.ReLU(inplace=True)]
        nn.init.zeros_(norm.weight)  # the block begins as its shortcut
        self.path = nn.Sequential(*layers[:-1])
        self.shortcut = _shortcut(channels, width, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, y, x) to (n, width, y / stride, x / stride)."""
        return self.relu(self.path(x) + self.shortcut(x))


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


def fused(network: nn.Module) -> nn.Module:
    """Copy a network for inference, each normalisation folded into the convolution before it.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; it is not changed.

    Returns
    -------
    nn.Module
        Gives the same values up to rounding, a third faster on a CPU.
    """
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        layers = list(parent)
        for i, (layer, following) in enumerate(itertools.pairwise(layers)):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                parent[i] = fuse_conv_bn_eval(layer, following)
                parent[i + 1] = nn.Identity()
    return copied


def _resnet(preset: str, n_bands: int, conditions: int) -> Encoder:
    return ResNet(n_bands, preset, conditions)


ENCODERS: dict[str, Callable[[int, int], Encoder]] = {
    name: partial(_resnet, name) for name in PRESETS
}
"""What makes the encoders, by name, from numbers of bands and of features of conditions."""


def make_encoder(name: str, n_bands: int, conditions: int) -> Encoder:
    """Make an encoder with random weights; raise `InputError` where there is none of the name."""
    if name not in ENCODERS:
        raise unknown("encoder", name, ENCODERS)
    return ENCODERS[name](n_bands, conditions)
