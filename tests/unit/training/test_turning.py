"""Stamps turned and mirrored: labels lie where the pixels do."""

from __future__ import annotations

import math

import pytest
import torch

from praesepe.training.turning import dihedral, turned, turned_values

ALL = torch.arange(8)


@pytest.mark.parametrize("side", [4, 5])
def test_turning_keeps_the_pixel_of_the_cluster(side: int) -> None:
    image = torch.arange(2 * side**2).reshape(2, side, side)
    middle = image[:, side // 2, side // 2]
    ways = [dihedral(image, k) for k in range(8)]
    for way in ways:
        assert (way[:, side // 2, side // 2] == middle).all()
        assert (way.flatten().sort().values == image.flatten()).all()
    assert len({tuple(way.flatten().tolist()) for way in ways}) == 8
    # The neighbours turn: the pixel to the right ends up on all four sides.
    right = image[0, side // 2, side // 2 + 1]
    places = {tuple((way[0] == right).nonzero()[0].tolist()) for way in ways}
    middle_index = side // 2
    assert places == {
        (middle_index, middle_index + 1),
        (middle_index, middle_index - 1),
        (middle_index + 1, middle_index),
        (middle_index - 1, middle_index),
    }


def test_offsets_turn_with_the_pixels() -> None:
    x, y = 5, -2
    images = torch.zeros(8, 1, 17, 17)
    images[:, :, 8 + y, 8 + x] = 1
    values = {
        "log_age": torch.arange(8.0),
        "offset_x_px": torch.full((8,), float(x)),
        "offset_y_px": torch.full((8,), float(y)),
    }
    told = turned_values(values, ALL)
    found = turned(images, ALL)[:, 0].nonzero()[:, 1:] - 8
    assert torch.equal(found[:, 1].float(), told["offset_x_px"])
    assert torch.equal(found[:, 0].float(), told["offset_y_px"])
    assert torch.equal(told["log_age"], values["log_age"])
    assert len({tuple(place) for place in found.tolist()}) == 8  # else nothing was tested
    assert (values["offset_x_px"] == x).all()  # what was given stays as it was
    alone = turned_values({"offset_x_px": values["offset_x_px"]}, ALL)["offset_x_px"]
    assert torch.equal(alone[:4], told["offset_x_px"][:4])
    assert alone[4:].isnan().all()


def test_the_long_axis_turns_with_the_pixels() -> None:
    angle = 0.4
    y, x = torch.meshgrid(torch.arange(-20.0, 21), torch.arange(-20.0, 21), indexing="ij")
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    image = torch.exp(-0.5 * ((u / 5) ** 2 + (v / 2) ** 2))
    images = turned(image.expand(8, 1, 41, 41), ALL)[:, 0]
    xx, yy, xy = ((images * w).sum((1, 2)) for w in (x * x, y * y, x * y))
    measured = 0.5 * torch.atan2(2 * xy, xx - yy) % math.pi
    told = turned_values({"angle": torch.full((8,), angle)}, ALL)["angle"]
    assert torch.allclose(told, measured, atol=1e-3)
    assert told.std() > 0.5


def test_stamps_turn_as_they_are_told() -> None:
    images = torch.rand(8, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    new = turned(images, ALL.flip(0))
    for image, way, k in zip(images, new, ALL.flip(0).tolist(), strict=True):
        assert torch.equal(way, dihedral(image, k))
