"""Mosaics: tiles join, clusters lie where they were put, fields can do without clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.mocks.mosaics import (
    PSF_REACH_PX,
    convolve_tiles,
    draw_places,
    render_mosaic,
    tiles,
)
from praesepe.sky.clusters.parameters import draw_clusters
from praesepe.sky.instrument.render import OVERSAMPLING
from praesepe.sky.tables import SurveyTables
from praesepe.survey import load_survey


@pytest.fixture(scope="module")
def survey():
    """One band of the built-in survey, in small stamps."""
    phat = load_survey("phat")
    return phat.with_values(observation={"bands": phat.bands[1:2]}, network={"stamp_size": 32})


@pytest.fixture(scope="module")
def tables(survey):
    return SurveyTables.build(survey)


NUISANCES = {
    "gain": torch.tensor([[1.1]]),
    "blur_px": torch.tensor([[0.6]]),
    "shift_px": torch.tensor([[[0.3, -0.4]]]),
}


def seam(survey, margin):
    """Largest difference, as a share of the peak, between a mosaic of one and of 4 × 4 tiles."""
    size = 128
    generator = torch.Generator().manual_seed(5)
    side = OVERSAMPLING * (size + 2 * margin)
    canvas = torch.rand((1, side, side), generator=generator) ** 20  # few bright points
    middle = OVERSAMPLING * (size // 4 + margin)
    canvas[0, middle - 4 : middle + 4, middle - 4 : middle + 4] += 200  # a star on a seam
    whole, pieces = (
        convolve_tiles(
            canvas, survey, size=size, margin=margin, nuisances=NUISANCES, largest=largest
        )
        for largest in (size, 32)
    )
    edge = 40 if margin < PSF_REACH_PX else 0  # what comes round the edges of the whole is its own
    inner = slice(edge, size - edge or None)
    return float((whole - pieces)[:, inner, inner].abs().max() / whole.max())


def test_tiles_join_without_seams(survey):
    assert seam(survey, PSF_REACH_PX) < 1e-5


def test_tiles_with_a_narrow_margin_have_seams(survey):
    assert seam(survey, 4) > 1e-4


def test_tiles_cover_the_mosaic():
    for size, largest in ((100, 100), (101, 100), (4096, 1024), (1000, 300)):
        first = tiles(size, largest)
        tile = -(-size // len(first))
        assert tile <= largest
        covered = np.zeros(size, bool)
        for start in first:
            covered[start : start + tile] = True
        assert covered.all()
        assert first[-1] + tile == size


def centroid(image, x, y, radius=5):
    row, column = round(y), round(x)
    piece = image[row - radius : row + radius + 1, column - radius : column + radius + 1]
    index = np.arange(-radius, radius + 1)
    return np.array([piece.sum(0) @ index, piece.sum(1) @ index]) / piece.sum() + (column, row)


def test_clusters_lie_where_they_are_put(survey, tables):
    """To a fraction of a pixel; with x and y exchanged they are not found."""
    n = 3
    clusters = draw_clusters(survey, n, generator=torch.Generator().manual_seed(1))
    compact = clusters.with_values(
        log_mass=5.0, log_rh=-1.1, gamma=4.0, log_age=9.0, ellipticity=0.0
    )
    x, y = np.array([30.3, 60.0, 90.45]), np.array([60.2, 100.4, 29.75])
    images, truth = render_mosaic(
        survey, compact, x, y, size=128, field_density=0, nuisances=False, tables=tables
    )
    (image,) = images.values()
    found = np.array([centroid(image, *place) for place in zip(x, y, strict=True)])
    np.testing.assert_allclose(found, np.stack([x, y], axis=1), atol=0.15)
    np.testing.assert_allclose(truth["x"], x, atol=1e-4)
    assert np.abs(truth["log_mass"] - 5).max() < 0.05
    assert image[int(y[0]), int(x[0])] > 100 * image[int(x[0]), int(y[0])]


def test_a_cluster_at_the_edge(survey, tables):
    one = draw_clusters(survey, 1, generator=torch.Generator().manual_seed(1))
    images, _ = render_mosaic(
        survey,
        one.with_values(log_mass=4.5),
        [0.0],
        [63.4],
        size=64,
        field_density=0,
        tables=tables,
    )
    assert next(iter(images.values())).shape == (64, 64)


def test_a_field_alone(survey, tables):
    settings = {"size": 64, "tables": tables, "nuisances": False}
    faint, dense = (
        render_mosaic(survey, None, [], [], field_density=density, **settings)
        for density in (0.0, 200.0)
    )
    assert faint[1] == dense[1] == {}
    assert dense[0]["F475W"].mean() > faint[0]["F475W"].mean() + 0.01
    again = render_mosaic(survey, None, [], [], field_density=200.0, **settings)
    np.testing.assert_array_equal(again[0]["F475W"], dense[0]["F475W"])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([10.0, 64.0], [10.0, 10.0], "1 of 2 clusters lie outside .* number 2: x = 64"),
        ([10.0, np.nan], [10.0, 10.0], "1 of 2 clusters lie outside"),
        ([10.0], [10.0], "2 clusters need 2 places"),
    ],
)
def test_impossible_places(survey, tables, x, y, message):
    two = draw_clusters(survey, 2, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match=message):
        render_mosaic(survey, two, x, y, size=64, tables=tables)
    with pytest.raises(InputError, match="holds no stamp"):
        render_mosaic(survey, two, x, y, size=16, tables=tables)


def test_places_keep_their_distance(rng):
    x, y = draw_places(20, 400, 40, rng)
    gap = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(20)
    assert gap.min() > 30
    assert min(x.min(), y.min()) >= 20
    assert max(x.max(), y.max()) < 380
