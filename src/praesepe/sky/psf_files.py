"""Point spread functions from FITS files: reading them, and resampling them onto another grid."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError

if TYPE_CHECKING:
    from praesepe.survey import PSF

log = logging.getLogger(__name__)

Array = NDArray[np.floating[Any]]

FILL_VALUE_BELOW = -0.01
"""Values below this multiple of the peak are fill values, taken as zero."""


def read_psf_file(psf: PSF) -> tuple[Array, float]:
    """Read the image of a PSF and its sampling from a FITS file.

    The first HDU that holds an image is used; of a cube (the STDPSF grids of positions) the mean of
    its planes. Fill values (negative beyond 1 % of the peak, or not finite) count as zero. The star
    stands on element ``n // 2`` along each axis.

    Returns
    -------
    image : ndarray, shape (H, W)
        Odd sides: an even file is padded with zeros; its sum is 1.
    scale_arcsec : float
        From `psf.file_scale_arcsec`, else from the header (PIXSCALE, PIXELSCL or CDELT1).

    Raises
    ------
    InputError
        Where there is no such file, no image or sampling in it, or the image is empty.
    """
    path = Path(str(psf.file))
    if not path.is_file():
        raise InputError(f"no PSF file at {path}. Correct `psf.file` in the survey file.")
    data, header = _read_fits(path)
    if data.ndim not in (2, 3) or min(data.shape[-2:]) < 5:
        raise InputError(
            f"{path} holds an array of shape {data.shape}; a PSF is (y, x) or (position, y, x)."
        )
    scale = psf.file_scale_arcsec or _header_scale(header)
    if scale is None:
        raise InputError(
            f"{path} does not say its sampling (PIXSCALE); set `psf.file_scale_arcsec`."
        )
    planes = data.reshape(-1, *data.shape[-2:]).astype(float)
    peak = float(np.nanmax(planes, initial=0.0, where=np.isfinite(planes)))
    good = np.isfinite(planes) & (planes > FILL_VALUE_BELOW * peak)
    image = np.where(good, planes, 0.0).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
    if not (peak > 0 and image.sum() > 0):
        raise InputError(f"{path} holds no light: every value is zero, negative or not finite.")
    if len(planes) > 1:
        log.info("%s: mean of %d positions", path, len(planes))
    image = np.pad(image, [(0, 1 - n % 2) for n in image.shape])
    middle = np.array(image.shape) // 2
    brightest = np.array(np.unravel_index(image.argmax(), image.shape))
    if np.abs(brightest - middle).max() * scale > max(0.1, 1.5 * scale):
        raise InputError(
            f"{path}: the brightest element is (y, x) = {tuple(map(int, brightest))}, but the "
            f"star must stand on element {tuple(map(int, middle))}; crop the file accordingly."
        )
    return image / image.sum(), float(scale)


def _read_fits(path: Path) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """First image of a FITS file with its header."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(path, memmap=False) as hdus:
                for hdu in hdus:
                    if hdu.is_image and hdu.data is not None:
                        return np.asarray(hdu.data), hdu.header
    except (OSError, ValueError, TypeError) as error:
        return _read_bare_fits(path, error)
    raise InputError(f"{path} holds no image.")


def _read_bare_fits(path: Path, error: Exception) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """Read the primary array by its NAXIS cards alone, for headers that astropy refuses.

    The STDPSF files have lower-case keywords and data right after one header block of 2880 bytes.
    """
    content = path.read_bytes()
    cards = [content[i : i + 80].decode("latin-1") for i in range(0, 2880, 80)]
    header = {
        card[:8].strip(): card[10:].split("/")[0].strip() for card in cards if card[8:9] == "="
    }
    types = {"-32": ">f4", "-64": ">f8"}
    try:
        shape = [int(header[f"NAXIS{axis}"]) for axis in range(int(header["NAXIS"]), 0, -1)]
        data = np.frombuffer(content, types[header["BITPIX"]], math.prod(shape), 2880).reshape(
            shape
        )
    except (KeyError, ValueError):
        raise InputError(f"{path} cannot be read as FITS: {error}") from error
    return data, header


def _header_scale(header: Mapping[str, Any]) -> float | None:
    """Sampling in arcsec from a header, or None where it does not say."""
    for key, factor in (("PIXSCALE", 1.0), ("PIXELSCL", 1.0), ("CDELT1", 3600.0)):
        try:
            value = abs(float(header[key])) * factor
        except (KeyError, TypeError, ValueError):
            continue
        if 0 < value < 10:
            return value
    return None


def resample(image: Array, scale: float, step: float, half: int) -> Array:
    """Cubic-spline interpolation of an image onto a grid of `step` about its middle element.

    The spline passes through the samples, is zero outside them, and keeps flux and centroid.
    """
    points = np.arange(-half, half + 1) * (step / scale)  # in samples from the middle
    weights = [_spline_matrix(points, size) for size in image.shape]
    return weights[0] @ image @ weights[1].T * (step / scale) ** 2


def _spline_matrix(points: Array, size: int) -> Array:
    """Weights (points, samples) of cubic-spline interpolation between `size` samples."""
    sample = np.arange(size) - size // 2

    def basis(offset: Array) -> Array:
        t = np.abs(offset)
        return np.where(t < 1, 2 / 3 - t**2 * (1 - t / 2), np.clip(2 - t, 0, None) ** 3 / 6)

    samples = basis(np.subtract.outer(sample, sample).astype(float))
    return np.linalg.solve(samples.T, basis(points[:, None] - sample[None, :]).T).T
