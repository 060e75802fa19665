"""Roman's images: ASDF files, read by their tree (``roman.data``, ``roman.meta``)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from praesepe.errors import InputError
from praesepe.images.reading.packed import damaged
from praesepe.images.reading.pixels import FloatImage, Mark, Pixels, scratch_image
from praesepe.lazy import extras
from praesepe.links import asdf_links, refuse_links

ASDF_START = b"#ASDF"
_STRIP_ROWS = 512
_WCS_TOLERANCE_PX = 0.05
_DO_NOT_USE, _SATURATED = 1, 2

# Keyword: where the tree has it, the first place first.
_PLACES = {
    "FILTER": ("instrument.optical_element", "basic.optical_element"),
    "INSTRUME": ("instrument.name", "basic.instrument"),
    "TELESCOP": ("telescope",),
    "EXPTIME": (
        "exposure.effective_exposure_time", "exposure.exposure_time", "coadd_info.exposure_time",
        "resample.product_exposure_time", "basic.mean_exposure_time",
    ),
    "PHOTMJSR": ("photometry.conversion_megajanskys",),
    "PIXAR_SR": ("photometry.pixel_area", "photometry.pixelarea_steradians"),
}  # fmt: skip


@extras()
def read_asdf(path: str | os.PathLike[str], label: str) -> tuple[Pixels, fits.Header]:
    """Read a Roman image; its pixels go to a temporary file.

    Parameters
    ----------
    path : path
        A mosaic (level 3, MJy/sr) or a calibrated exposure (level 2, DN/s).
    label : str
        How messages call it.

    Returns
    -------
    pixels : Pixels
        NaN where the weight is not positive, no image went in by the context, or the data quality
        forbids the use; saturated pixels are marked.
    header : Header
        What its metadata say, in FITS keywords; the WCS approximated to 0.05 pixel.

    Raises
    ------
    InputError
        Where the file is damaged or no image of Roman's.
    """
    import asdf
    import asdf_astropy  # noqa: F401  # reads the units
    import gwcs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tags of libraries that are not needed
        try:
            refuse_links(label, asdf_links(path))
            with asdf.open(path, memmap=True) as file:
                roman = file.tree.get("roman")
                data = roman.get("data") if isinstance(roman, Mapping) else None
                if data is None or len(getattr(data, "shape", ())) != 2:
                    raise InputError(
                        f"{label}: an ASDF file without a two-dimensional roman.data",
                        given=os.fspath(path),
                        allowed="ASDF images of Roman's WFI, or FITS",
                    )
                meta = roman.get("meta", {})
                header = _header(meta, getattr(data, "unit", None))
                wcs = meta.get("wcs")
                if isinstance(wcs, gwcs.WCS):
                    header.update(_fits_wcs(wcs, data.shape, label))
                pixels = scratch_image(tuple(data.shape), _strips(roman, data))
                if "dq" in roman:
                    full = scratch_image(tuple(data.shape), _saturated(roman["dq"]))
                    pixels = replace(pixels, marks=(Mark("dq", full, "quality", 0, 1),))
                return pixels, header
        except InputError:
            raise
        except Exception as error:  # asdf and yaml raise many kinds
            fault = "a damaged or truncated ASDF file"
            raise damaged(label, fault) from error


def _strips(roman: Mapping[str, Any], data: Any) -> Iterator[FloatImage]:
    """The image from its first row to its last, NaN where nothing was observed."""
    for y0 in range(0, data.shape[0], _STRIP_ROWS):
        rows = slice(y0, y0 + _STRIP_ROWS)
        strip = np.array(getattr(data[rows], "value", data[rows]), np.float32)
        if "weight" in roman:
            with np.errstate(invalid="ignore"):
                strip[~(np.asarray(roman["weight"][rows]) > 0)] = np.nan
        if "context" in roman:
            planes = np.asarray(roman["context"][..., rows, :])
            strip[(planes.reshape(-1, *strip.shape) == 0).all(axis=0)] = np.nan
        if "dq" in roman:
            strip[(np.asarray(roman["dq"][rows]) & _DO_NOT_USE) != 0] = np.nan
        yield strip


def _saturated(quality: Any) -> Iterator[FloatImage]:
    """1 where data quality says that a pixel is saturated, from the first row to the last."""
    for y0 in range(0, quality.shape[0], _STRIP_ROWS):
        strip = np.asarray(quality[y0 : y0 + _STRIP_ROWS])
        yield ((strip & _SATURATED) != 0).astype(np.float32)


def _at(meta: Any, place: str) -> Any:
    """A value in the tree, without its unit; None where it is not there."""
    for key in place.split("."):
        meta = meta.get(key) if isinstance(meta, Mapping) else None
    return getattr(meta, "value", meta)


def _header(meta: Mapping[str, Any], unit: Any) -> fits.Header:
    header = fits.Header()
    for key, places in _PLACES.items():
        value = next((found for place in places if (found := _at(meta, place)) is not None), None)
        if isinstance(value, (str, int, float)):
            header[key] = str(value) if isinstance(value, str) else float(value)
    if unit is not None:
        header["BUNIT"] = unit.to_string()
    elif any(key in meta for key in ("coadd_info", "resample", "individual_image_meta")):
        header["BUNIT"] = "MJy/sr"
    elif "exposure" in meta:
        header["BUNIT"] = "DN/s"
    return header


def _fits_wcs(wcs: Any, shape: tuple[int, int], label: str) -> fits.Header:
    """A gwcs as FITS keywords, checked from corner to corner."""
    height, width = shape
    box = ((-0.5, width - 0.5), (-0.5, height - 0.5))
    wcs.bounding_box = box
    header = wcs.to_fits_sip(box, max_pix_error=0.01, npoints=16)
    y, x = np.meshgrid(np.linspace(0, height - 1, 9), np.linspace(0, width - 1, 9), indexing="ij")
    back = WCS(header).all_world2pix(np.transpose([np.ravel(v) for v in wcs(x, y)]), 0)
    off_px = float(np.max(np.abs(back - np.transpose([x.ravel(), y.ravel()]))))
    if not off_px < _WCS_TOLERANCE_PX:
        raise InputError(
            f"{label}: its WCS differs by up to {off_px:.2g} px from the nearest that FITS has",
            given=off_px,
            remedy="resample the image to a plain projection (level 3)",
        )
    return header
