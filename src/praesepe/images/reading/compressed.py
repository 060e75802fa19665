"""Gaps of tile-compressed images, which subtractive dithering turned into small random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from praesepe.images.reading.gaps import FloatImage, dithered_gaps


def without_dithered(
    strip: FloatImage, steps: FloatImage, tile: tuple[int, ...], first: int = 0
) -> FloatImage:
    """Rows of a dithered image, from row `first` on, without the gaps in them."""
    step = steps_of_pixels(strip, steps, tile, first)
    return np.where(dithered_gaps(strip, step), np.float32(np.nan), strip)


def steps_of_pixels(
    strip: FloatImage, steps: FloatImage, tile: tuple[int, ...], first: int
) -> FloatImage:
    """Step of quantisation of each pixel of rows from `first` on."""
    tile_rows = (first + np.arange(len(strip))) // tile[-2]
    return steps[tile_rows[:, None], np.arange(strip.shape[1]) // tile[-1]]


def dither_steps(hdu: Any) -> FloatImage | None:
    """Step of quantisation of each tile (tile row, tile column); None where nothing is dithered."""
    table = getattr(hdu, "_bintable", None)  # astropy shows the image or its table, not both
    if table is None or "SUBTRACTIVE" not in str(table.header.get("ZQUANTIZ", "")):
        return None
    height, width = hdu.shape[-2:]
    tiles = -(-height // hdu.tile_shape[-2]), -(-width // hdu.tile_shape[-1])
    if "ZSCALE" in table.columns.names:
        steps = np.asarray(table.data["ZSCALE"], np.float32)
    else:
        steps = np.full(tiles, table.header.get("ZSCALE", 0), np.float32)
    return np.nan_to_num(np.abs(steps.reshape(tiles)))
