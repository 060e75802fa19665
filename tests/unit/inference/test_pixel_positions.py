"""Positions in pixels say whose grid they are in, and come back on an image that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Catalog, Mosaic, extract_stamps
from praesepe.inference.prediction import predict
from praesepe.network.estimator import Estimator
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")
REPROJECTED = pytest.mark.filterwarnings("ignore:.*it is reprojected")


def frame(scale: float, size: int, shift: tuple[float, float] = (0, 0)) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [11.0, 41.5]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    wcs.wcs.crpix = [(size + 1) / 2 + shift[0], (size + 1) / 2 + shift[1]]
    return wcs


def star(wcs: WCS, size: int, sky: tuple[float, float], *, seed: int = 0) -> np.ndarray:
    """One star, a few pixels wide, where `sky` lies, and noise: without any, pixels are a gap."""
    x, y = wcs.world_to_pixel_values(*sky)
    yy, xx = np.mgrid[:size, :size]
    light = 500 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 8)
    return np.random.default_rng((size, seed)).normal(1 + light, 0.1).astype(np.float32)


SKY = tuple(float(v) for v in frame(0.05, 200).pixel_to_world_values(130.0, 85.0))
FRAMES = {
    "one grid of 0.04 arcsec": [frame(0.04, 250)] * 3,
    "the reference is not the first": [frame(0.04, 250), frame(0.05, 200), frame(0.05, 200)],
    "whole pixels apart": [frame(0.05, 200), frame(0.05, 200, (7, -5)), frame(0.05, 200)],
}


@REPROJECTED
@pytest.mark.parametrize("kind", FRAMES)
def test_a_pixel_of_the_users_image_is_cut_there(kind: str) -> None:
    """And comes back as it was; not as a pixel of a grid that no file has."""
    frames = dict(zip(PHAT.band_names, FRAMES[kind], strict=True))
    sizes = {name: round(200 * 0.05 / (wcs.wcs.cdelt[1] * 3600)) for name, wcs in frames.items()}
    images = {name: (star(wcs, sizes[name], SKY), wcs) for name, wcs in frames.items()}
    mosaic = Mosaic.read(images, PHAT)
    for band, wcs in frames.items():
        x, y = (np.atleast_1d(v) for v in wcs.world_to_pixel_values(*SKY))
        table = Table({"x": [*(x + 1), np.nan], "y": [*(y + 1), 3.0]})
        catalog = Catalog.read(table, origin=1, pixels_of=band)
        place = catalog.on(mosaic)
        stamp = extract_stamps(mosaic, *place, 32).images[0]
        for pixels in stamp:
            peak = np.unravel_index(pixels.argmax(), pixels.shape)
            assert np.abs(np.subtract(peak, 16)).max() <= 1
        np.testing.assert_allclose(mosaic.to_image(band, *place)[0], [*x, np.nan], atol=1e-4)
    undecided = Catalog.read(table, origin=1)
    if kind.startswith("one grid"):
        np.testing.assert_allclose(undecided.on(mosaic), place, atol=1e-4)
    else:
        with pytest.raises(InputError, match=r"of which image\? .*pixels_of='F336W'"):
            undecided.on(mosaic)
    with pytest.raises(InputError, match="unknown band 'F555W'"):
        Catalog.read(table, origin=1, pixels_of="F555W").on(mosaic)


@REPROJECTED
@pytest.mark.parametrize("positions", ["sky", "pixels"])
def test_the_table_names_the_image_that_its_pixels_are_of(tmp_path: Path, positions: str) -> None:
    """Columns, metadata and regions, in a resampled mosaic."""
    wcs = frame(0.04, 250)
    images: dict[str, Any] = {
        name: (star(wcs, 250, SKY, seed=i), wcs) for i, name in enumerate(PHAT.band_names)
    }
    x, y = map(float, wcs.world_to_pixel_values(*SKY))
    model = Estimator.untrained(PHAT, encoder="tiny", seed=3)
    table, options = Table({"ra": [SKY[0]], "dec": [SKY[1]]}), {}
    if positions == "pixels":
        table, options = Table({"xc": [x], "yc": [y]}), {"x": "xc", "y": "yc", "origin": 0}
    regions = tmp_path / "a.reg"
    result = predict(model, images, table, regions=regions, n_samples=5, **options)
    np.testing.assert_allclose([result["x"][0], result["y"][0]], [x + 1, y + 1], atol=2e-3)
    assert result.meta["pixels_of"] == "image of band 'F336W'"
    assert "(pixels_of)" in result["x"].description
    first, system, circle = regions.read_text().splitlines()
    found = np.array(circle.split("(")[1].split(",")[:2], float)
    if positions == "sky":
        assert system == "icrs"
        np.testing.assert_allclose(found, SKY, atol=1e-8)
    else:
        assert system == "image"
        assert first.endswith("pixels of image of band 'F336W'")
        np.testing.assert_allclose(found, [x + 1, y + 1], atol=1e-3)


def test_regions_without_a_wcs_have_radii_in_pixels(tmp_path: Path) -> None:
    wcs = frame(0.05, 200)
    images = {name: star(wcs, 200, SKY, seed=i) for i, name in enumerate(PHAT.band_names)}
    model = Estimator.untrained(PHAT, encoder="tiny", seed=3)
    table = Table({"xc": [100.0], "yc": [100.0]})
    result = predict(
        model, images, table, x="xc", y="yc", origin=1, n_samples=5, regions=tmp_path / "a.reg"
    )  # fmt: skip
    radius = (tmp_path / "a.reg").read_text().split(",")[2].split(")")[0]
    assert float(radius) == pytest.approx(float(result["rh_arcsec_p50"][0]) / 0.05, rel=1e-3)


def test_pixels_that_disagree_are_compared_on_their_own_image() -> None:
    wcs = frame(0.05, 200)
    moved = frame(0.05, 200, (7, -5))
    frames = dict(zip(PHAT.band_names, (wcs, moved, wcs), strict=True))
    mosaic = Mosaic.read({n: (star(f, 200, SKY), f) for n, f in frames.items()}, PHAT)
    x, y = moved.world_to_pixel_values(*SKY)
    table = Table({"x": [x + 1], "y": [y + 1], "ra": [SKY[0]], "dec": [SKY[1]]})
    Catalog.read(table, x="x", y="y", origin=1, pixels_of="F475W").on(mosaic)
    with pytest.warns(PraesepeWarning, match=r"\+7.00 and -5.00 px"):
        Catalog.read(table, x="x", y="y", origin=1, pixels_of="F336W").on(mosaic)
