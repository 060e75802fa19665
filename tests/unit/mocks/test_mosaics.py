"""Mosaics: tiles join, clusters lie where they were put, fields can do without clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.mocks.mosaics import (
    CLUSTER_BLOCK,
    PSF_REACH_PX,
    convolve_tiles,
    render_mosaic,
    scatter_clusters,
    tiles,
)
from praesepe.sky.clusters.parameters import draw_clusters
from praesepe.sky.instrument.render import OVERSAMPLING
from praesepe.sky.simulator import Simulator
from praesepe.survey import load_survey

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
    made = render_mosaic(
        survey, compact, x, y, size=128, field_density=0, nuisances=False, tables=tables
    )
    images, truth = made.images, made.truth
    (image,) = images.values()
    found = np.array([centroid(image, *place) for place in zip(x, y, strict=True)])
    np.testing.assert_allclose(found, np.stack([x, y], axis=1), atol=0.15)
    np.testing.assert_allclose(truth["x"], x, atol=1e-4)
    assert np.abs(truth["log_mass"] - 5).max() < 0.05
    assert image[int(y[0]), int(x[0])] > 100 * image[int(x[0]), int(y[0])]


def test_a_cluster_at_the_edge(survey, tables):
    one = draw_clusters(survey, 1, generator=torch.Generator().manual_seed(1))
    images = render_mosaic(
        survey,
        one.with_values(log_mass=4.5),
        [0.0],
        [63.4],
        size=64,
        field_density=0,
        tables=tables,
    ).images
    assert next(iter(images.values())).shape == (64, 64)


def test_a_field_alone(survey, tables):
    settings = {"size": 64, "tables": tables, "nuisances": False}
    faint, dense = (
        render_mosaic(survey, None, [], [], field_density=density, **settings)
        for density in (0.0, 200.0)
    )
    assert faint.truth == dense.truth == {}
    assert dense.images["F475W"].mean() > faint.images["F475W"].mean() + 0.01
    again = render_mosaic(survey, None, [], [], field_density=200.0, **settings)
    np.testing.assert_array_equal(again.images["F475W"], dense.images["F475W"])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([10.0, 64.0], [10.0, 10.0], "1 of 2 clusters lie outside .* number 2: x = 64"),
        ([10.0, np.nan], [10.0, 10.0], "1 of 2 clusters lie outside"),
        ([10.0], [10.0], "shapes of x and y"),
    ],
)
def test_impossible_places(survey, tables, x, y, message):
    two = draw_clusters(survey, 2, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match=message):
        render_mosaic(survey, two, x, y, size=64, tables=tables)


# Clusters of the prior


@pytest.fixture(scope="module")
def phat():
    return load_survey("phat-nodust")


PEAKED = {"rh_arcsec": (0.08, 0.1), "log_mass": (4.3, 4.5), "log_age": (8.0, 8.5)}


@pytest.fixture(scope="module")
def peaked(phat):
    """A survey of bright and compact clusters only."""
    return phat.with_values(clusters=PEAKED)


@pytest.fixture(scope="module")
def mosaic(peaked):
    return scattered(peaked, nuisances=False)


def test_a_mosaic_has_its_bands_and_truth(mosaic, phat):
    images, truth = mosaic
    assert tuple(images) == phat.band_names
    assert all(image.shape == (288, 288) for image in images.values())
    assert all(np.isfinite(image).all() for image in images.values())
    columns = {"x", "y", "log_age", "log_mass", "log_rh", "log_present_mass"}
    assert columns <= set(truth)
    assert all(len(value) == 8 for value in truth.values())


def test_clusters_of_a_mosaic_lie_inside_and_apart(mosaic, phat):
    _, truth = mosaic
    half = phat.stamp_size // 2
    for axis in "xy":
        assert truth[axis].min() >= half
        assert truth[axis].max() < 288 - half
    gap = np.hypot(
        truth["x"][:, None] - truth["x"], truth["y"][:, None] - truth["y"]
    ) + 1e9 * np.eye(8)
    # The places are 3/4 of a stamp apart; each centre may be shifted by a pixel in x and y.
    assert gap.min() > 0.75 * phat.stamp_size - 2 * 2**0.5


def scattered(survey, *, seed=3, nuisances=True):
    clusters, x, y = scatter_clusters(survey, 8, 288, seed)
    made = render_mosaic(
        survey, clusters, x, y, size=288, seed=seed, field_density=5.0, nuisances=nuisances
    )
    return made.images, made.truth


def offset(image, x, y, radius=8):
    """Centroid of the light around a place, relative to it, after removing the background."""
    column, row = round(x), round(y)
    piece = image[row - radius : row + radius + 1, column - radius : column + radius + 1]
    light = piece - np.median(image)
    index = np.arange(-radius, radius + 1)
    return np.array([light.sum(0) @ index, light.sum(1) @ index]) / light.sum() + (
        column - x,
        row - y,
    )


def test_each_band_of_a_mosaic_has_nuisances_of_its_own(mosaic, peaked):
    varied, _ = scattered(peaked)
    ratio = [varied[name].sum() / image.sum() for name, image in mosaic[0].items()]
    assert not np.allclose(ratio[0], ratio[1], rtol=1e-3)


@pytest.mark.parametrize("band", ["F336W", "F475W"])
def test_clusters_are_where_the_truth_says(mosaic, band):
    images, truth = mosaic
    places = list(zip(truth["x"], truth["y"], strict=True))
    off = np.array([offset(images[band], x, y) for x, y in places])
    assert np.hypot(*off.T).max() < 0.5
    assert np.abs(off.mean(0)).max() < 0.2
    elsewhere = np.array([offset(images[band], x + 1, y) for x, y in places])
    assert np.abs(elsewhere.mean(0)).max() > 0.5


def test_clusters_of_a_mosaic_are_as_bright_as_in_stamps(mosaic, peaked):
    """Light within 20 px, median over the clusters, against stamps of the same prior."""
    images, truth = mosaic
    stamps = Simulator(peaked, seed=9, n_fields=0, nuisances=False).draw(60)

    def light(image, x, y):
        piece = image[round(y) - 20 : round(y) + 21, round(x) - 20 : round(x) + 21]
        return piece.sum() - np.median(image) * piece.size

    of_mosaic = [
        light(images["F475W"], x, y) for x, y in zip(truth["x"], truth["y"], strict=True)
    ] / 10 ** truth["log_mass"]
    of_stamps = [light(image[1], 32, 32) for image in stamps.images.numpy()] / (
        10 ** stamps.labels[:, 1].numpy()
    )
    assert np.median(of_mosaic) == pytest.approx(np.median(of_stamps), rel=0.25)


def test_a_mosaic_is_the_same_for_the_same_seed(mosaic, peaked):
    images, truth = mosaic
    again, other = (scattered(peaked, seed=seed, nuisances=False) for seed in (3, 4))
    for name, image in images.items():
        np.testing.assert_array_equal(again[0][name], image)
    for name, values in truth.items():
        np.testing.assert_array_equal(again[1][name], values)
    assert not (other[1]["x"] == truth["x"]).any()


@pytest.mark.parametrize("change", ["field", "first block", "none left"])
def test_a_block_of_clusters_does_not_depend_on_what_was_drawn_before(survey, tables, change):
    """Its stars are those of the seed and its number; exposures are alike, whatever is seen."""
    n = CLUSTER_BLOCK + 3
    clusters = draw_clusters(survey, n, generator=torch.Generator().manual_seed(1))
    settings = {"size": 64, "seed": 3, "tables": tables}
    place, density = np.full(n, 31.5), 2.0

    def made(clusters, density):
        return render_mosaic(survey, clusters, place, place, field_density=density, **settings)

    before = made(clusters, density)
    if change == "field":
        after = made(clusters, 0.0)
    elif change == "first block":
        heavier = clusters.log_mass.clone()
        heavier[:CLUSTER_BLOCK] += 1
        after = made(clusters.with_values(log_mass=heavier), density)
    else:
        after = render_mosaic(survey, None, [], [], field_density=density, **settings)
    assert before.nuisances == after.nuisances
    for name, values in after.truth.items():
        np.testing.assert_array_equal(values[CLUSTER_BLOCK:], before.truth[name][CLUSTER_BLOCK:])
    assert (after.truth == {}) == (change == "none left")


@pytest.mark.parametrize(
    ("n", "size", "message"), [(1, 64, "it holds a stamp"), (60, 128, "at most 3, which fit")]
)
def test_mosaics_that_are_too_small(phat, n, size, message):
    with pytest.raises(InputError, match=message):
        scatter_clusters(phat, n, size, seed=0)
