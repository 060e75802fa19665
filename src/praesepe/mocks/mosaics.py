"""Whole artificial mosaics: clusters at given places on one wide star field.

Each part has a random stream of its own: (seed, 1) the star field, (seed, 1, block) a block of
clusters, (seed, 2) what telescope and detector do; the clusters' parameters may come from (seed,).
No part depends on what was drawn before it, so that any worker can draw a block of clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from praesepe.blocks import Block, blocks_of, map_blocks
from praesepe.errors import InputError, must_be
from praesepe.progress import Counter, Progress, Setup
from praesepe.rng import stream
from praesepe.sky.clusters.parameters import Clusters, draw_clusters
from praesepe.sky.fields.simulated import draw_field
from praesepe.sky.instrument.render import OVERSAMPLING, Renderer
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey

TILE_PX = 1024
"""Largest side of the pieces in which a mosaic is convolved: bounds the memory of the FFTs."""

PSF_REACH_PX = 80
"""The renderer's PSFs end so far from their center; with it as margin, tiles join exactly."""

CLUSTER_BLOCK = 32
"""Clusters in a block: fixed, so that a seed always gives the same mosaic."""

Truth = dict[str, NDArray[np.float32]]
Places = NDArray[np.float64]


@dataclass(frozen=True)
class RenderedMosaic:
    """A mosaic in memory.

    Attributes
    ----------
    images : dict of str to ndarray, each of shape (size, size)
        e-/s by band.
    truth : dict of str to ndarray, each of shape (n,)
        Labels, places and what else is known of the clusters; empty without clusters.
    nuisances : dict of str to dict
        What was drawn for each band: ``zero_point_mag`` (positive: stars are fainter), ``blur_px``,
        ``x_shift_px``, ``y_shift_px``; empty without nuisances.
    """

    images: dict[str, NDArray[np.float32]]
    truth: Truth
    nuisances: dict[str, dict[str, float]]


def render_mosaic(
    survey: Survey,
    clusters: Clusters | None,
    x: ArrayLike,
    y: ArrayLike,
    *,
    size: int,
    seed: int = 0,
    field_density: float = 20.0,
    nuisances: bool = True,
    tables: SurveyTables | None = None,
    progress: Progress | None = None,
    setup: Setup | None = None,
) -> RenderedMosaic:
    """Render given clusters at given places of a mosaic.

    Parameters
    ----------
    survey : Survey
        Of one depth and one distance.
    clusters : Clusters or None
        Their parameters; the offsets in it do not matter. None: a star field alone.
    x, y : array_like, shape (n,)
        Centers of the clusters, pixels; the center of the first pixel is (0, 0).
    size : int
        Side of the mosaic, pixels.
    seed, field_density, nuisances, progress, setup
        As for `praesepe.simulate_mosaic`.
    tables : SurveyTables, optional
        Ready-made stellar tables.

    Notes
    -----
    Stars of a cluster are drawn up to a stamp and a half from its center in x and y. The field is
    periodic: light that leaves the mosaic on one side comes in on the other.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if clusters is not None:
        check_places(x, y, len(clusters), (size, size))
    simulator = Simulator(
        survey, seed=seed, nuisances=nuisances, n_fields=0, tables=tables, setup=setup
    )
    margin = max(survey.stamp_size // 2 + survey.stamp_size, PSF_REACH_PX)
    simulator.seed(seed, 1)
    canvas = _star_field(simulator, field_density, size, margin)
    blocks = blocks_of(0 if clusters is None else len(clusters), size=CLUSTER_BLOCK)
    count = Counter(len(blocks) + len(tiles(size, TILE_PX)) ** 2, progress)
    truth: Truth = {}
    if clusters is not None:
        truth = _add_clusters(canvas, simulator, clusters, x, y, blocks, margin=margin, count=count)
    simulator.seed(seed, 2)
    nuisance = simulator.draw_nuisances(1)
    images = convolve_tiles(
        canvas, survey, size=size, margin=margin, nuisances=nuisance, count=count
    )
    del canvas
    exposed = simulator.expose(images[None])[0].numpy()
    planes = {band.name: exposed[i] for i, band in enumerate(survey.bands)}
    return RenderedMosaic(planes, truth, _by_band(survey, nuisance))


def _by_band(survey: Survey, nuisance: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """The nuisances of one image, by band and name; none where there are none."""
    if "gain" not in nuisance:
        return {}
    return {
        band.name: {
            "zero_point_mag": -2.5 * math.log10(float(nuisance["gain"][0, i])),
            "blur_px": float(nuisance["blur_px"][0, i]),
            "x_shift_px": float(nuisance["shift_px"][0, i, 0]),
            "y_shift_px": float(nuisance["shift_px"][0, i, 1]),
        }
        for i, band in enumerate(survey.bands)
    }


def _star_field(simulator: Simulator, density: float, size: int, margin: int) -> Tensor:
    """The field's light on the grid of a mosaic with a margin, (band, grid, grid); periodic."""
    wide = OVERSAMPLING * margin
    if not density > 0:
        side = OVERSAMPLING * size + 2 * wide
        return torch.zeros((len(simulator.survey.bands), side, side))
    field = draw_field(
        simulator.survey,
        simulator.field_stars,
        density,
        shape_px=(size, size),
        generator=simulator.generator,
    )
    around = torch.arange(-wide, OVERSAMPLING * size + wide) % (OVERSAMPLING * size)
    return field[:, around[:, None], around]


def _add_clusters(
    canvas: Tensor,
    simulator: Simulator,
    clusters: Clusters,
    x: Places,
    y: Places,
    blocks: list[Block],
    *,
    margin: int,
    count: Counter,
) -> Truth:
    """Add clusters to the canvas, a block at a time; return what is known of them."""
    survey, seed = simulator.survey, simulator.base_seed
    reach = survey.stamp_size // 2 + survey.stamp_size
    wide = Renderer(survey, pad=survey.stamp_size)
    column, row = np.floor(x + 0.5), np.floor(y + 0.5)
    clusters = clusters.with_values(x_offset=x - column, y_offset=y - row)
    left, bottom = (OVERSAMPLING * (place.astype(int) + margin - reach) for place in (column, row))

    def drawn(block: Block) -> tuple[Tensor, dict[str, Tensor]]:
        simulator.seed(seed, 1, block.number)
        some = clusters.part(slice(block.first, block.first + block.n))
        population = simulator.populate(some, renderer=wide)
        return simulator.spread(population, renderer=wide), population.truth

    parts = []
    for block, (grids, known) in zip(blocks, map_blocks(lambda: drawn, blocks), strict=True):
        for i, grid in enumerate(grids, block.first):
            canvas[:, bottom[i] : bottom[i] + wide.grid, left[i] : left[i] + wide.grid] += grid
        parts.append({name: values.numpy().astype(np.float32) for name, values in known.items()})
        count.add()
    truth = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return truth | {"x": x.astype(np.float32), "y": y.astype(np.float32)}


def tiles(size: int, largest: int) -> list[int]:
    """First pixels of equal tiles that cover `size` pixels; the last one may overlap."""
    n = math.ceil(size / largest)
    tile = math.ceil(size / n)
    return [min(i * tile, size - tile) for i in range(n)]


def convolve_tiles(
    canvas: Tensor,
    survey: Survey,
    *,
    size: int,
    margin: int,
    nuisances: dict[str, Tensor] | None = None,
    largest: int = TILE_PX,
    count: Counter | None = None,
) -> Tensor:
    """See a wide grid through the telescope, tile by tile; return noiseless images in e-/s.

    The canvas (band, grid, grid) holds the light of ``size + 2 margin`` pixels; tiles join where
    the margin is at least `PSF_REACH_PX`. The nuisances are those of one image, for all tiles.
    """
    corners = tiles(size, largest)
    tile = math.ceil(size / len(corners))
    renderer = Renderer(survey, size=tile, pad=margin)
    images = torch.empty((canvas.shape[0], size, size))
    side = renderer.grid
    for y in corners:
        for x in corners:
            top, left = OVERSAMPLING * y, OVERSAMPLING * x
            piece = canvas[None, :, top : top + side, left : left + side]
            images[:, y : y + tile, x : x + tile] = renderer.convolve(piece, **(nuisances or {}))[0]
            if count is not None:
                count.add()
    return images


def check_places(x: Places, y: Places, n: int, shape: tuple[int, int]) -> None:
    """Stop where n clusters do not have places on an image of a shape (y, x)."""
    if not x.shape == y.shape == (n,):
        raise must_be("shapes of x and y", (x.shape, y.shape), f"({n},) for {n} clusters")
    height, width = shape
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    if not inside.all():
        first = int(np.argmin(inside))
        raise InputError(
            f"{n - int(inside.sum())} of {n} clusters lie outside the image of {width}×{height} "
            f"px, first number {first + 1}: x = {x[first]:g}, y = {y[first]:g}",
            given=(float(x[first]), float(y[first])),
            remedy="leave them out or make the image larger",
        )


def scatter_clusters(
    survey: Survey, n: int, size: int, seed: int
) -> tuple[Clusters, Places, Places]:
    """Draw n clusters from the prior, and places x, y on a mosaic that keep their distance.

    They lie at least half a stamp from the edges and 3/4 of a stamp apart.
    """
    rng, stamp = np.random.default_rng(seed), survey.stamp_size
    low, high = stamp // 2 + 2, size - stamp // 2 - 2
    if high <= low:
        fits = f"at least {2 * (stamp // 2) + 5}, so that it holds a stamp"
        raise must_be("size", size, fits, "make the mosaic larger")
    place = np.empty((n, 2), np.int64)
    found = in_vain = 0
    while found < n and in_vain < 3000:
        new = rng.integers(low, high, 2)
        in_vain += 1
        if (((place[:found] - new) ** 2).sum(axis=1) > (0.75 * stamp) ** 2).all():
            place[found] = new
            found += 1
            in_vain = 0
    if found < n:
        allowed = f"at most {found}, which fit into {size}×{size} px"
        raise must_be("n", n, allowed, "make the mosaic larger")
    clusters = draw_clusters(survey, n, generator=stream((seed, 0), torch.device("cpu")))
    offset = np.stack((clusters.x_offset.numpy(), clusters.y_offset.numpy()))
    x, y = place.T + offset.astype(float)
    return clusters, x, y
