"""Point spread functions from FITS files: reading them, and resampling them onto another grid."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from praesepe.bounded import check_packed
from praesepe.errors import InputError, PraesepeWarning, listed, must_be, reason, unknown, unusable

if TYPE_CHECKING:
    from praesepe.survey import PSF

Array = NDArray[np.floating[Any]]

FILL_VALUE_BELOW = -0.01
"""Values below this multiple of the peak are fill values, taken as zero."""

HOLE, MOST_VALUES = 0.05, 10**8
"""Of the peak, beside which a zero is a hole; of an image, 100 stars of 1000 px a side."""

MISSING_FRACTION = 0.005
"""Fraction of the values that may be missing, by NaN or fill values, before the user is warned."""

OFF_CENTER_PX = 0.1
"""How far, in detector pixels, the star may be off the middle before it is moved there."""

STPSF_OVERSAMPLED = ("OVERDIST", "OVERSAMP")
"""Extensions of STPSF (WebbPSF) files with optics alone, the preferred one first.

OVERDIST has geometric distortion, charge diffusion and the like, but neither holds the response of
a pixel, which their detector-sampled companions DET_DIST and DET_SAMP do.
"""

STPSF_EXTENSIONS = (*STPSF_OVERSAMPLED, "DET_DIST", "DET_SAMP")

FILTER_KEYS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAME", "PUPIL")
CAMERA_KEYS = ("TELESCOP", "INSTRUME", "CAMERA", "DETECTOR")
"""Cards that name the filter of a PSF, and what took it."""

SCALE_KEYS = {"PIXSCALE": 1.0, "PIXELSCL": 1.0, "GS_SCALE": 1.0, "CDELT1": 3600.0}
"""Cards of the sampling and what their values are multiplied with for arcsec."""

SCALE_TOLERANCE = 0.05
"""By how much two cards of one sampling may differ."""

NORMALISATION_TOLERANCE = 0.1
"""How far the sum of a PSF may be off a known convention before the user is warned."""

MOST_ENERGY = 1.01
"""Light of a box in a file of STPSF, by rounding."""

PEDESTAL, FALLING = 0.06, 0.4
"""A sky that was left: the level at the border makes more than this share of the light, and is more
than this share of the level at 0.6 of the way there."""


@dataclass(frozen=True)
class PSFFile:
    """What a PSF file holds.

    Attributes
    ----------
    planes : ndarray, shape (position, y, x)
        Images of a star at different positions on the detector; fill values are NaN.
    scale_arcsec : float
        Their sampling.
    has_pixel : bool
        Whether they include the detector's pixel response.
    center : (float, float)
        Element in y and x, counted from zero, on which the star stands; half a number where it
        stands between two.
    energy : float or None
        Share of a star's light inside the box, as files of STPSF say by their sum.
    filters, camera : str
        What the header says of the filter and of what took it, "" where nothing.
    """

    planes: Array
    scale_arcsec: float
    has_pixel: bool
    center: tuple[float, float]
    energy: float | None = None
    filters: str = ""
    camera: str = ""

    @property
    def reach_arcsec(self) -> float:
        """From the star to the nearest edge of the box."""
        sides = zip(self.center, self.planes.shape[1:], strict=True)
        return self.scale_arcsec * min(min(c, n - 1 - c) + 0.5 for c, n in sides)

    def image(self, position: int | None) -> Array:
        """One plane, or the mean of all for None: (y, x), fill values zero, of unit sum."""
        image = _mean(self.planes if position is None else self.planes[position : position + 1])
        return image / image.sum()


def _warn(text: str) -> None:
    """Warn in this place, so that Python shows it once, however many read the file."""
    warnings.warn(text, PraesepeWarning, stacklevel=1)


def load_psf_file(psf: PSF) -> PSFFile:
    """Read a PSF file with all its positions.

    Understood are single images (TinyTim), cubes of positions (STDPSF), also those with headers
    that astropy refuses, and the several extensions of STPSF (WebbPSF), of which OVERDIST is taken,
    or else OVERSAMP. Fill values (negative beyond 1 % of the peak, or not finite) count as zero.
    Every positive normalisation is accepted and rescaled. A file sampled as coarsely as the
    detector leaves open what the star is like between its samples; prefer an oversampled one.

    Parameters
    ----------
    psf : praesepe.survey.PSF
        Its `file` and what it says about the file.

    Returns
    -------
    PSFFile

    Raises
    ------
    InputError
        Where there is no such file or extension, no image or sampling in it or two that differ,
        its planes are wavelengths, the image is empty, broken in its core, or the star does not
        stand in its middle.

    Warns
    -----
    PraesepeWarning
        Where the sum is neither about 1 nor that of a known convention: STDPSF and other
        oversampled files give the light per native pixel in every element, STPSF that inside the
        image. Where more than 0.5 % of the values are missing, unless they are the fill values of a
        cube of positions, and where the border is as bright as what lies inside of it.
    """
    path = Path(str(psf.file))
    if not path.is_file():
        raise InputError(
            f"no PSF file at {path}", given=path, remedy="correct psf.file in the survey file"
        )
    return _load(psf, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(psf: PSF, path: Path, modified_ns: int) -> PSFFile:
    """As `load_psf_file`; again, and with its warnings, only where the file has changed."""
    data, header = _read_fits(path, psf.file_extension)
    if data.ndim not in (2, 3) or min(data.shape[-2:]) < 5:
        allowed = "(y, x) or (position, y, x), 5 pixels wide at least"
        raise must_be("the shape of its PSF", data.shape, allowed).at(str(path))
    scale = _scale(path, header, psf)
    if data.ndim == 3 and not isinstance(psf.file_position, int):
        _check_planes(path, header)
    with np.errstate(invalid="ignore"):  # of a NaN that signals
        planes = data.reshape(-1, *data.shape[-2:]).astype(float)
    finite = np.isfinite(planes)
    peak = float(np.nanmax(planes, initial=0.0, where=finite))
    present = finite & (planes > FILL_VALUE_BELOW * peak)
    planes[~present] = np.nan
    sums = np.nansum(planes, axis=(1, 2))
    if not (peak > 0 and (sums > 0).all()):
        fault = "holds no light: every value is zero, negative or not finite"
        raise unusable(path, fault, "give another file")
    stpsf = data.ndim == 2 and _extension_name(header) in STPSF_EXTENSIONS
    has_pixel = psf.file_has_pixel
    if has_pixel is None:
        has_pixel = not (stpsf and _extension_name(header) in STPSF_OVERSAMPLED)
    center = _center(_mean(planes), between=stpsf)
    _check_core(path, planes, center, scale)
    center = _recentered(path, planes, center, scale, psf.native_pixel_arcsec)
    _check_wings(path, _mean(planes), center)
    # STDPSF cubes are known to be filled with -0.1 at their edges; NaN are no part of them.
    _check_missing(path, finite if data.ndim == 3 else present)
    if not stpsf:
        _check_normalisation(path, float(sums.mean()), psf.native_pixel_arcsec / scale, header)
    total = float(sums.mean())
    if stpsf and total > MOST_ENERGY:
        raise InputError(
            f"{path}: a file of STPSF whose values add up to {total:.4g}, and they are shares of a "
            "star's light",
            given=total,
            allowed=1,
            remedy="write it again as STPSF makes it",
        )
    energy = min(total, 1.0) if stpsf and total > 0.5 else None
    planes.setflags(write=False)
    told = (
        " ".join(str(header.get(key, "")) for key in keys) for keys in (FILTER_KEYS, CAMERA_KEYS)
    )
    return PSFFile(planes, float(scale), has_pixel, center, energy, *told)


def _mean(planes: Array) -> Array:
    """Mean of what is good of each element in planes (position, y, x), zero where nothing is."""
    good = np.isfinite(planes)
    return np.where(good, planes, 0.0).sum(axis=0) / np.maximum(good.sum(axis=0), 1)


def _center(image: Array, *, between: bool) -> tuple[float, float]:
    """Element on which the star stands: the middle one of an odd side.

    Of an even side it is element n / 2 (TinyTim), or the star stands between the middle two
    (STPSF: `between`). Without a known origin it is the one about which the image is the more
    symmetric.
    """
    even = [n % 2 == 0 for n in image.shape]
    if any(even) and not between:
        on_element = image[tuple(slice(int(is_even), None) for is_even in even)]
        between = _asymmetry(image) < _asymmetry(on_element)
    y, x = ((n - 1) / 2 if between or n % 2 else n // 2 for n in image.shape)
    return y, x


def _asymmetry(image: Array) -> float:
    """Squared difference from the image turned by 180 degrees."""
    return float(((image - image[::-1, ::-1]) ** 2).sum())


def _check_core(path: Path, planes: Array, center: tuple[float, float], scale: float) -> None:
    """Refuse files with holes in their core, or whose star stands elsewhere."""
    from scipy.ndimage import maximum_filter

    y, x = (slice(max(0, math.ceil(c) - 2), math.floor(c) + 3) for c in center)
    filled = np.nan_to_num(planes)
    beside = maximum_filter(filled, (1, 3, 3)) > HOLE * filled.max(axis=(1, 2), keepdims=True)
    broken = ~np.isfinite(planes[:, y, x]).all(axis=(1, 2))
    broken |= ((planes == 0) & beside).any(axis=(1, 2))
    if broken.any():
        where = np.flatnonzero(broken)[:10].tolist()
        fault = f"has NaN or fill values or zeros in the core of position(s) {where}"
        raise unusable(path, fault, "repair the file or choose another position")
    image = _mean(planes)
    brightest = np.array(np.unravel_index(image.argmax(), image.shape))
    if np.abs(brightest - center).max() * scale > max(0.1, 1.5 * scale):
        raise InputError(
            f"{path}: the brightest element is (y, x) = {tuple(map(int, brightest))}, but the "
            f"star must stand on element {tuple(f'{c:g}' for c in center)}",
            given=tuple(map(int, brightest)),
            allowed=center,
            remedy="crop the file accordingly",
        )


def _check_wings(path: Path, image: Array, center: tuple[float, float]) -> None:
    """Warn of a level that the sky has left."""
    rows, columns = np.indices(image.shape)
    reach = min(min(c, n - 1 - c) for c, n in zip(center, image.shape, strict=True))
    radius = np.hypot(rows - center[0], columns - center[1]) / reach
    border = image[(radius > 0.85) & (radius <= 1)].mean()
    share = border * image.size / image.sum()
    if share > PEDESTAL and border > FALLING * image[(radius > 0.55) & (radius <= 0.7)].mean():
        _warn(
            f"{path}: its light does not fall towards the border, whose level makes {share:.0%} of "
            "the sum; has its sky been subtracted?"
        )


def _recentered(
    path: Path, planes: Array, center: tuple[float, float], scale: float, pixel_arcsec: float
) -> tuple[float, float]:
    """Where the star stands; told where that is not the middle, which would shift its band.

    Also where it stands elsewhere in one of the planes than in their mean.
    """
    sigma = pixel_arcsec / scale
    at = _centroid(_mean(planes), center, sigma)
    moved = [_centroid(_mean(one[None]), center, sigma) - at for one in planes]
    apart = np.abs(moved).max(axis=1) / sigma
    if apart[worst := int(apart.argmax())] > OFF_CENTER_PX:
        _warn(
            f"{path}: the star of position {worst} stands {apart[worst]:.2f} pixels of "
            f"{pixel_arcsec:g} arcsec from where it stands in the mean of all: its band is shifted "
            "by as much"
        )
    off_px = (at - center) / sigma
    if not np.abs(off_px).max() > OFF_CENTER_PX:
        return center
    _warn(
        f"{path}: the star stands on element (y, x) = ({at[0]:.2f}, {at[1]:.2f}), not on the "
        f"middle one ({center[0]:g}, {center[1]:g}): ({off_px[0]:+.2f}, {off_px[1]:+.2f}) pixels "
        f"of {pixel_arcsec:g} arcsec off. It is moved to the middle"
    )
    return float(at[0]), float(at[1])


def _centroid(image: Array, center: tuple[float, float], sigma: float) -> Array:
    """Centroid (y, x) under a Gaussian window of `sigma` elements, moved until it rests.

    Of measured and computed PSFs that stand in the middle it is less than 0.04 sigma off, where
    that is a pixel.
    """
    y, x = np.indices(image.shape)
    at = np.array(center, float)
    for _ in range(50):
        window = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * sigma**2))
        weight = window * np.clip(image, 0, None)
        step = 2 * (np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum() - at)
        at += step
        if np.abs(step).max() < 1e-4:
            break
    return at


def _check_missing(path: Path, present: NDArray[np.bool_]) -> None:
    """Warn of holes, which count as zero: the light of the wings there is lost."""
    missing = present.size - int(present.sum())
    if missing > MISSING_FRACTION * present.size:
        _warn(
            f"{path}: {missing} of {present.size} values ({missing / present.size:.1%}) are NaN, "
            "infinite or negative fill values; they count as zero. Fill them, or crop the file to "
            "what is good."
        )


def _check_normalisation(
    path: Path, total: float, oversampling: float, header: Mapping[str, Any]
) -> None:
    """Warn of a sum that is neither 1 nor that of light per native pixel."""
    known = [1.0, round(oversampling) ** 2]
    if any(abs(total / sum_ - 1) <= NORMALISATION_TOLERANCE for sum_ in known if sum_ > 0):
        return
    if any(str(key).upper() == "NXPSFS" for key in header):  # STDPSF, whatever its oversampling
        return
    _warn(
        f"{path}: the values add up to {total:.4g}, not to 1; they are scaled. If the file holds "
        "something else than the light of one star, correct `psf.file`."
    )


def _extension_name(header: Mapping[str, Any]) -> str:
    return str(header.get("EXTNAME", "")).strip().upper()


def _read_fits(path: Path, extension: str | int | None) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """Image of a FITS file with its header: of the extension named, or the first that fits."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    check_packed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with path.open("rb") as file, fits.open(file, memmap=False) as hdus:
                if any(hdu.is_image and math.prod(hdu.shape) > MOST_VALUES for hdu in hdus):
                    raise unusable(path, "holds an image that is no star", "give one alone")
                images = {
                    number: (np.asarray(hdu.data), hdu.header)
                    for number, hdu in enumerate(hdus)
                    if hdu.is_image and hdu.data is not None
                }
    except InputError:
        raise
    except Exception as error:  # astropy raises many kinds for broken files
        if extension not in (None, 0):
            raise InputError(
                f"{path}: its header can only be read in part, so that psf.file_extension = "
                f"{extension!r} cannot be found ({reason(error)})",
                given=extension,
                remedy="leave the key out",
            ) from error
        return _read_bare_fits(path, error)
    if not images:
        raise unusable(path, "holds no image", "give the file of the PSF")
    names = {number: _extension_name(header) for number, (_, header) in images.items()}
    if extension is None:
        oversampled = (name for name in STPSF_OVERSAMPLED if name in names.values())
        extension = next(oversampled, next(iter(images)))
    if isinstance(extension, int):
        if extension not in images:
            shown = [f"{i} ({name!r})" if name else str(i) for i, name in names.items()]
            raise InputError(
                f"psf.file_extension = {extension}: {path} has images in {listed(shown)}",
                given=extension,
                allowed=tuple(names),
            )
        return images[extension]
    for number, name in names.items():
        if name == extension.strip().upper():
            return images[number]
    raise unknown(
        f"psf.file_extension of {path}:",
        extension,
        [name for name in names.values() if name],
        "Extensions without a name are chosen by number.",
    )


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
        if not any(card.startswith("END ") for card in cards):  # the header is longer
            raise ValueError
        shape = [int(header[f"NAXIS{axis}"]) for axis in range(int(header["NAXIS"]), 0, -1)]
        data = np.frombuffer(content, types[header["BITPIX"]], math.prod(shape), 2880)
    except (KeyError, ValueError):
        fault = f"cannot be read as FITS: {reason(error)}"
        raise unusable(path, fault, "repair it, or give another file") from error
    return data.reshape(shape), header


def _scale(path: Path, header: Mapping[str, Any], psf: PSF) -> float:
    """Sampling in arcsec by the survey, or else a header; what says it must agree."""
    found = {}
    for key, factor in SCALE_KEYS.items():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if 0 < (value := abs(float(header[key])) * factor) < 10:
                found[key] = value
    pixel = psf.native_pixel_arcsec
    with contextlib.suppress(TypeError, ValueError):
        finer = float(header.get("OVERSAMP", 1))
        if finer > 1.5 and found and _same(next(iter(found.values())), pixel):
            found[f"native pixel / {finer:g}, by OVERSAMP"] = pixel / finer
    told = listed([f"{value:.4g} ({key})" for key, value in found.items()])
    if psf.file_scale_arcsec:
        if found and not any(_same(psf.file_scale_arcsec, one) for one in found.values()):
            _warn(
                f"{path} is sampled every {psf.file_scale_arcsec:g} arcsec by "
                f"psf.file_scale_arcsec, and every {told} by its header"
            )
        return psf.file_scale_arcsec
    remedy = "set psf.file_scale_arcsec to the sampling of the file"
    if not found:
        raise unusable(path, "does not say its sampling (PIXSCALE)", remedy)
    scale = next(iter(found.values()))
    if not all(_same(scale, one) for one in found.values()):
        fault = f"says several samplings, in arcsec: {told}"
        raise InputError(f"{path} {fault}", given=found, remedy=remedy)
    return scale


def _same(scale: float, other: float) -> bool:
    return math.isclose(scale, other, rel_tol=SCALE_TOLERANCE)


def _check_planes(path: Path, header: Mapping[str, Any]) -> None:
    """Refuse a cube over wavelength, whose planes are no positions."""
    kind = str(header.get("CTYPE3", "")).strip()
    if re.match("(?i)A?WAV|FREQ|ENER|WAVN|LAMBDA", kind):
        raise InputError(
            f"{path}: its planes are wavelengths (CTYPE3 = {kind!r})",
            given=kind,
            allowed="planes that are positions on the detector",
            remedy="average them over the filter, or choose one by psf.file_position",
        )


def resample(
    image: Array,
    scale: float,
    step: float,
    half: int,
    *,
    center: tuple[float, float] | None = None,
) -> Array:
    """Cubic-spline interpolation of an image onto a grid of `step` about its center.

    The spline passes through the samples, is zero outside them, and keeps flux and centroid.
    `center` is the element in y and x under the middle of the grid, by default ``n // 2``; the
    result has ``2 * half + 1`` elements a side.
    """
    points = np.arange(-half, half + 1) * (step / scale)  # in samples from the center
    about = center if center is not None else tuple(size // 2 for size in image.shape)
    rows, columns = (
        _spline_matrix(points + middle, size)
        for size, middle in zip(image.shape, about, strict=True)
    )
    return rows @ image @ columns.T * (step / scale) ** 2


def _spline_matrix(points: Array, size: int) -> Array:
    """Weights (points, samples) of cubic-spline interpolation between samples 0 to `size` - 1."""
    sample = np.arange(size)

    def basis(offset: Array) -> Array:
        t = np.abs(offset)
        return np.where(t < 1, 2 / 3 - t**2 * (1 - t / 2), np.clip(2 - t, 0, None) ** 3 / 6)

    samples = basis(np.subtract.outer(sample, sample).astype(float))
    return np.linalg.solve(samples.T, basis(points[:, None] - sample[None, :]).T).T
