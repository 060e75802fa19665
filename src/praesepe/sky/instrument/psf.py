"""The point spread function of a band: telescope optics, detector, drizzle and scattered light.

A telescope's image of a star is the squared Fourier transform of its pupil. Sampled at
``wavelength / box`` metres (box in radians), the pupil gives every wavelength on the same points of
a periodic image of that box, close enough together to hold all frequencies that the telescope lets
through. The native pixel, charge diffusion, jitter, a halo of scattered light, and what drizzling
adds are factors on that image's transform, the optical transfer function, whose inverse is exact at
the points of any grid that fits the box, without interpolation.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.bounded import check_memory
from praesepe.errors import InputError, PraesepeWarning, must_be
from praesepe.sky.instrument.psf_files import (
    PSFFile,
    load_psf_file,
    resample,
)
from praesepe.sky.instrument.psf_shapes import (
    check_against_hubble,
    check_against_mirror,
    check_origin,
    check_sampling,
    check_star,
    chosen_position,
)
from praesepe.survey.observation import MIRRORS_M

if TYPE_CHECKING:
    from praesepe.survey import PSF, Band

Array = NDArray[np.floating[Any]]

MIN_BOX_ARCSEC = 12.8
"""Smallest periodic box: holds the 6 arcsec aperture of published encircled energies."""

N_WAVELENGTHS = 5
"""Monochromatic point spread functions averaged over a filter."""

SMALL_BOX_ARCSEC = 2.0
"""A file that ends nearer to its star than this should say what share of the light it holds."""

_BYTES_PER_POINT = 60
"""Memory of the optical model for each point of its transform."""

_ARCSEC = math.radians(1 / 3600)
_ANGSTROM = 1e-10


def band_psf(
    band: Band,
    *,
    grid_scale_arcsec: float,
    half_size_px: int,
    pixel_scale_arcsec: float | None = None,
    defocus_nm: ArrayLike = 0.0,
    position: int | None = None,
    telescope: str = "HST",
) -> Array:
    """Point spread function of a band as a pixel of the mosaic sees it.

    Every element is the value at the center of its grid cell times the cell's area, of the point
    spread function convolved with the whole pixel response. The light of a star that a mosaic pixel
    collects is therefore this image, interpolated at the pixel's offset from the star, times
    ``(pixel_scale / grid_scale)**2``.

    Parameters
    ----------
    band : praesepe.survey.Band
        Its `psf` is a FITS file or the optical model, averaged over `band_wavelengths`.
    grid_scale_arcsec : float
        Sampling of the result, arcsec.
    half_size_px : int
        The result has ``2 * half_size_px + 1`` elements a side, the star on the middle one.
    pixel_scale_arcsec : float, optional
        Pixel of the mosaic, arcsec. Needed for a drizzled mosaic (``psf.pixfrac > 0``): the light
        of a native pixel is spread over a square drop of `pixfrac` native pixels and then averaged
        over the mosaic's pixel.
    defocus_nm : array_like
        R.m.s. wavefront errors by defocus, nm, of the optical model; several at once cost less
        than one by one. From an image no other focus follows: a file allows a single 0 only.
    position : int, optional
        Which of the `psf_variants` of a position-dependent file; default: the mean of them all.
    telescope : str
        By `Observation.telescope_of`. Light outside the box of a file follows the optical model,
        which is Hubble's; of others there is none.

    Returns
    -------
    ndarray, shape (*defocus, 2 * half_size_px + 1, 2 * half_size_px + 1)
        Its sum is the fraction of a star's light inside the stamp; some 0.996 lie within 6 arcsec.

    Raises
    ------
    InputError
        Where the file cannot be used, its star is sharper than the telescope's mirror makes them,
        or a value is impossible.

    Warns
    -----
    PraesepeWarning
        Where the file's star is otherwise not what the survey says it is, and as `load_psf_file`.
    """
    psf, drizzle = band.psf, _drizzle_widths(band, pixel_scale_arcsec)
    wavelengths = band_wavelengths(band)
    defocus = np.asarray(defocus_nm, dtype=float)
    if not np.isfinite(defocus).all() or (psf.file is not None and (defocus.ndim or defocus != 0)):
        raise InputError(
            f"defocus_nm = {defocus} for band {band.name!r}",
            given=defocus_nm,
            allowed=0 if psf.file else "finite numbers",
            remedy="give finite numbers, and a single 0 for a PSF from a file, whose focus cannot "
            "be changed",
        )
    if psf.file is None:
        if position not in (None, 0):
            raise must_be("position", position, 0, "the optical model has one only")
        return optical_psf(
            psf, wavelengths, grid_scale_arcsec, half_size_px, drizzle, defocus_nm=defocus
        )
    file = load_psf_file(psf)
    check_sampling(psf, file, pixel_scale_arcsec=pixel_scale_arcsec)
    if not position:  # what is said of the first of several positions holds for all
        check_origin(band, file)
    image = file.image(chosen_position(psf, len(file.planes), position))
    return _file_psf(
        psf, file, image, wavelengths, telescope, grid_scale_arcsec, half_size_px, drizzle
    )


def psf_variants(band: Band) -> int:
    """How many point spread functions a band has, for `band_psf(..., position=0 ...)`.

    More than one only where `psf.file_position` is "random": as many as the file has positions.
    """
    if band.psf.file is None or band.psf.file_position != "random":
        return 1
    return len(load_psf_file(band.psf).planes)


def band_wavelengths(band: Band) -> Array:
    """Wavelengths (Angstrom) that stand for a filter: each for an equal part of its photons.

    They are the middles of `N_WAVELENGTHS` equal parts of the photons of a source with constant
    flux per unit frequency, or the one wavelength that the survey file gives.
    """
    if band.psf.wavelength_angstrom is not None:
        return np.array([band.psf.wavelength_angstrom])
    from praesepe.stars.curves import band_curve

    passband = band_curve(band)
    wavelength = np.asarray(passband.wavelength_angstrom, dtype=float)
    photons = np.asarray(passband.throughput, dtype=float) / wavelength
    steps = 0.5 * (photons[1:] + photons[:-1]) * np.diff(wavelength)
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    middles = (np.arange(N_WAVELENGTHS) + 0.5) / N_WAVELENGTHS
    return np.interp(middles * cumulative[-1], cumulative, wavelength)


def _drizzle_widths(band: Band, pixel_scale_arcsec: float | None) -> tuple[float, ...]:
    """Sides (arcsec) of the squares that drizzling convolves with: drop and output pixel."""
    psf = band.psf
    if psf.pixfrac == 0:
        return ()
    if pixel_scale_arcsec is None:
        raise InputError(
            f"band {band.name!r} is drizzled (pixfrac = {psf.pixfrac})",
            given=None,
            remedy="give pixel_scale_arcsec, the pixel of the mosaic",
        )
    return (psf.pixfrac * psf.native_pixel_arcsec, pixel_scale_arcsec)


def optical_psf(
    psf: PSF,
    wavelengths_angstrom: Array,
    grid_scale_arcsec: float,
    half_size_px: int,
    squares_arcsec: tuple[float, ...] = (),
    *,
    defocus_nm: ArrayLike = 0.0,
) -> Array:
    """Point spread functions of the optical model, sampled on a grid.

    Parameters
    ----------
    psf : praesepe.survey.PSF
        The model's parameters; its file and `pixfrac` are not used here.
    wavelengths_angstrom : ndarray
        Wavelengths averaged with equal weight.
    grid_scale_arcsec : float
        Sampling of the result, arcsec.
    half_size_px : int
        The result has ``2 * half_size_px + 1`` elements a side.
    squares_arcsec : tuple of float, optional
        Sides of squares to convolve with besides the native pixel.
    defocus_nm : array_like
        R.m.s. wavefront errors by defocus, nm.

    Returns
    -------
    ndarray, shape (*defocus, 2 * half_size_px + 1, 2 * half_size_px + 1)
        Point values times the area of a grid cell.
    """
    check_optics_fit(psf, wavelengths_angstrom, grid_scale_arcsec, half_size_px)
    n_grid = _grid_size(grid_scale_arcsec, half_size_px)
    box_arcsec = n_grid * grid_scale_arcsec
    optics = optical_transfer(psf, wavelengths_angstrom, box_arcsec, defocus_nm=defocus_nm)
    n = optics.shape[-2]
    along_y, along_x = np.fft.fftfreq(n, box_arcsec / n), np.fft.rfftfreq(n, box_arcsec / n)
    detector = radial_transfer(psf, along_y[:, None] ** 2 + along_x**2)
    for side in (psf.native_pixel_arcsec, *squares_arcsec):
        detector *= np.sinc(side * along_y)[:, None] * np.sinc(side * along_x)
    images = [
        _sample(transfer * detector, n_grid, half_size_px)
        for transfer in optics.reshape(-1, *optics.shape[-2:])
    ]
    return np.reshape(images, (*np.shape(defocus_nm), *images[0].shape))


def check_optics_fit(
    psf: PSF, wavelengths_angstrom: Array, grid_scale_arcsec: float, half_size_px: int
) -> None:
    """Raise `InputError` where the optical model on such a grid takes more memory than there is."""
    n_grid = _grid_size(grid_scale_arcsec, half_size_px)
    box_rad = n_grid * grid_scale_arcsec * _ARCSEC
    n = 2 * psf.diameter_m * box_rad / (float(wavelengths_angstrom.min()) * _ANGSTROM) + 8
    n = n_grid * math.ceil(n / n_grid)
    what = f"the PSF of a {psf.diameter_m:g} m mirror on a grid of {grid_scale_arcsec:g} arcsec"
    check_memory(_BYTES_PER_POINT * n**2, what, "correct the pixel scale or the optics")


def _grid_size(grid_scale_arcsec: float, half_size_px: int) -> int:
    """Points along a side of the periodic box."""
    return _fast_size(math.ceil(max(MIN_BOX_ARCSEC / grid_scale_arcsec, 4 * half_size_px + 2)))


def _sample(transfer: NDArray[Any], n_grid: int, half_size: int) -> Array:
    """Middle of an image, given its transform in the order of `rfft2`, at `n_grid` points a box."""
    n, n_half = transfer.shape
    n_fold = math.ceil(n / n_grid)
    n_fine = n_fold * n_grid
    padded = np.zeros((n_fine, n_half), dtype=complex)
    padded[: n // 2], padded[n_fine - n // 2 :] = transfer[: n // 2], transfer[n // 2 :]
    index = np.arange(-half_size, half_size + 1)
    # Every n_fold-th row alone is kept: adding the parts of the spectrum samples them.
    rows = np.fft.ifft(padded.reshape(n_fold, n_grid, n_half).sum(axis=0), axis=0)[index]
    return np.fft.irfft(rows, n_fine, axis=1)[:, n_fold * index] * n_fold


def optical_transfer(
    psf: PSF, wavelengths_angstrom: Array, box_arcsec: float, *, defocus_nm: ArrayLike = 0.0
) -> NDArray[np.complexfloating[Any]]:
    """Optical transfer function of the telescope's pupil: the transform of a star's image.

    Parameters
    ----------
    psf, wavelengths_angstrom, defocus_nm
        As for `optical_psf`.
    box_arcsec : float
        Side of the periodic image, arcsec; frequencies are multiples of its inverse.

    Returns
    -------
    ndarray, shape (*defocus, n, n // 2 + 1)
        In the order of `numpy.fft.rfft2`, with an even n that holds all frequencies of the optics;
        1 at zero frequency.
    """
    steps_m = wavelengths_angstrom * _ANGSTROM / (box_arcsec * _ARCSEC)
    n = _fast_size(math.ceil(2 * psf.diameter_m / steps_m.min() + 8))
    pupils = [pupil(psf, step) for step in steps_m]
    transfers = []
    for rms_nm in np.ravel(defocus_nm):
        light = np.zeros((n, n))
        for aperture, step, wavelength in zip(pupils, steps_m, wavelengths_angstrom, strict=True):
            phase = defocus_phase(psf, step, rms_nm * 1e-9 / (wavelength * _ANGSTROM))
            field = np.fft.fft2(aperture * phase[:, None] * phase, (n, n))
            light += (field.real**2 + field.imag**2) / (aperture.sum() * len(pupils) * n**2)
        transfer = np.fft.rfft2(light)
        transfer[0, 0] = 1  # soft edges smooth the cusp at zero frequency, and nothing else
        transfers.append(transfer)
    return np.reshape(transfers, (*np.shape(defocus_nm), *transfers[0].shape))


def defocus_phase(psf: PSF, step_m: float, rms: float) -> NDArray[np.complexfloating[Any]]:
    """Factor on the field in the pupil by defocus, along either axis of the grid of `pupil`.

    The wavefront is the annular Zernike polynomial 3^1/2 (2 r² - 1 - e²) / (1 - e²), with r the
    radius over that of the pupil and e the obscuration (Mahajan 1981, J. Opt. Soc. Am. 71, 75).
    Without its constant, which no image shows, its factor is the product of one in x and the same
    in y.

    `step_m` is the sampling of the pupil in metres, `rms` that of the wavefront over the annulus in
    wavelengths.
    """
    square = (_pupil_grid(psf, step_m) / (psf.diameter_m / 2)) ** 2
    wavefront = rms * 2 * math.sqrt(3) / (1 - psf.obscuration**2) * square
    return np.exp(-2j * np.pi * wavefront)


def _pupil_grid(psf: PSF, step_m: float) -> Array:
    half = math.ceil(psf.diameter_m / 2 / step_m + 0.5)
    return np.arange(-half, half + 1) * step_m


def pupil(psf: PSF, step_m: float) -> Array:
    """Transmission of the pupil on a grid of `step_m` metres, edges softened over one step."""
    x = _pupil_grid(psf, step_m)
    radius = np.hypot(x[:, None], x[None, :])

    def inside(distance: Array) -> Array:
        return np.clip(distance / step_m + 0.5, 0.0, 1.0)

    aperture = inside(psf.diameter_m / 2 - radius)
    if psf.obscuration > 0:
        aperture *= inside(radius - psf.obscuration * psf.diameter_m / 2)
    for strut in range(psf.struts if psf.strut_width > 0 else 0):
        angle = math.radians(psf.strut_angle_deg + 360 * strut / psf.struts)
        along = x[None, :] * math.cos(angle) + x[:, None] * math.sin(angle)
        across = x[:, None] * math.cos(angle) - x[None, :] * math.sin(angle)
        shadow = inside(psf.strut_width * psf.diameter_m / 2 - np.abs(across))
        aperture *= 1 - np.where(along > 0, shadow, 0.0)
    return aperture


def radial_transfer(psf: PSF, frequency_squared: Array) -> Array:
    """Transfer function of charge diffusion, jitter and scattered light.

    Charge spreads by a mixture of Gaussians whose variances are distributed exponentially, since
    photons are absorbed at different depths: the transfer function is
    ``1 / (1 + 2 (pi sigma nu)**2)``, with sigma = `diffusion_arcsec` the r.m.s. along each axis. A
    single Gaussian fits published encircled energy far worse (docs/decisions.md). Jitter is a
    Gaussian; the halo has the profile ``exp(-r / halo_arcsec)``.

    The square of the spatial frequency is in (cycles / arcsec)**2.
    """
    square = frequency_squared * np.pi**2
    jitter = np.exp(-2 * psf.jitter_arcsec**2 * square)
    diffusion = 1 / (1 + 2 * psf.diffusion_arcsec**2 * square)
    halo = (1 + 4 * psf.halo_arcsec**2 * square) ** -1.5
    return jitter * diffusion * (1 - psf.halo_fraction + psf.halo_fraction * halo)


def _file_psf(
    psf: PSF,
    file: PSFFile,
    image: Array,
    wavelengths: Array,
    telescope: str,
    grid_scale: float,
    half_size: int,
    drizzle: tuple[float, ...],
) -> Array:
    """Point spread function from an image of a FITS file.

    It is normalised to the light inside the file's box: `file_energy_fraction`, or what the file
    says (STPSF), or what the optical model has there. The light outside follows the optical model,
    or is none where the telescope is not Hubble.
    """
    scale, center = file.scale_arcsec, file.center
    finer = max(1, math.ceil(grid_scale / scale))
    step = grid_scale / finer
    edges = [  # of the file's box in y and x, arcsec from the star
        ((middle + 0.5) * scale, (size - 0.5 - middle) * scale)
        for middle, size in zip(center, image.shape, strict=True)
    ]
    half = max(half_size * finer, math.ceil(max(map(max, edges)) / step) + 2) + math.ceil(
        2 * sum(drizzle) / step
    )
    resampled = resample(image, scale, step, half, center=center)
    resampled /= resampled.sum()
    check_star(psf, resampled, step)
    if telescope in MIRRORS_M:
        check_against_mirror(psf, file, resampled, float(wavelengths.mean()), telescope, step)
    if not file.has_pixel:
        resampled = _convolve_squares(resampled, step, (psf.native_pixel_arcsec,))
    resampled /= resampled.sum()
    if telescope != "HST":
        inside_box = energy_in_box(psf, file)
        if inside_box == 1 and file.reach_arcsec < SMALL_BOX_ARCSEC:
            warnings.warn(
                f"{psf.file}: no light is assumed beyond its box, {file.reach_arcsec:.2f} arcsec "
                "from the star; a larger file, or its share of the light as "
                "psf.file_energy_fraction, avoids stars that are too bright.",
                PraesepeWarning,
                stacklevel=4,
            )
        result = inside_box * resampled
    else:
        model = _model(psf, tuple(wavelengths.tolist()), step, half)
        offset = np.arange(-half, half + 1) * step
        inside_y, inside_x = (
            np.clip((np.minimum(offset + low, high - offset)) / step + 0.5, 0.0, 1.0)
            for low, high in edges
        )
        inside = inside_y[:, None] * inside_x[None, :]
        model_inside = float((model * inside).sum())
        check_against_hubble(psf, file, resampled, model, model_inside, step)
        told = psf.file_energy_fraction
        inside_box = model_inside if told is None else told
        wings = (1 - inside_box) / (1 - model_inside) if model_inside < 1 else 0.0
        result = inside_box * resampled + wings * model * (1 - inside)
    if drizzle:
        result = _convolve_squares(result, step, drizzle)
    keep = np.arange(-half_size, half_size + 1) * finer + half
    return result[np.ix_(keep, keep)] * finer**2


def energy_in_box(psf: PSF, file: PSFFile) -> float:
    """Share of a star's light inside the box of a file, of another telescope than Hubble.

    What the survey tells, or what a file of STPSF tells, or all.
    """
    if psf.file_energy_fraction is not None:
        return psf.file_energy_fraction
    return 1.0 if file.energy is None else file.energy


@lru_cache(maxsize=4)
def _model(psf: PSF, wavelengths: tuple[float, ...], step: float, half: int) -> Array:
    """The optical model around a file's box, the same for all its positions."""
    model = optical_psf(psf, np.array(wavelengths), step, half)
    model.setflags(write=False)
    return model


def _convolve_squares(image: Array, step: float, sides: tuple[float, ...]) -> Array:
    """Convolve an image of sampling `step` with unit squares of the given sides, zeros outside."""
    size = _fast_size(image.shape[0] + math.ceil(2 * sum(sides) / step))
    frequency = np.fft.fftfreq(size, step)
    line = np.prod([np.sinc(side * frequency) for side in sides], axis=0)
    spectrum = np.fft.rfft2(image, (size, size)) * line[:, None] * line[None, : size // 2 + 1]
    return np.fft.irfft2(spectrum, (size, size))[: image.shape[0], : image.shape[1]]


def _fast_size(minimum: int) -> int:
    """Smallest even number from `minimum` on without prime factors above 5."""
    from scipy.fft import next_fast_len

    return 2 * next_fast_len(math.ceil(minimum / 2), real=True)
