"""The point spread function of a band: telescope optics, detector, drizzle and scattered light.

The optical model multiplies transfer functions: diffraction by the pupil, the native pixel, charge
diffusion, jitter, a halo of scattered light, and what drizzling adds. The optical transfer function
is the autocorrelation of the pupil; with the pupil sampled at ``wavelength / box`` metres (box in
radians) its lags fall exactly on the frequencies of a periodic image of that box, so that the point
spread function is exact at the points of the output grid, without interpolation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import InputError
from praesepe.sky.psf_files import read_psf_file, resample

if TYPE_CHECKING:
    from praesepe.survey import PSF, Band

Array = NDArray[np.floating[Any]]

MIN_BOX_ARCSEC = 12.8
"""Smallest periodic box: holds the 6 arcsec aperture of published encircled energies."""

N_WAVELENGTHS = 5
"""Monochromatic point spread functions averaged over a filter."""

_ARCSEC = math.radians(1 / 3600)
_ANGSTROM = 1e-10


def band_psf(
    band: Band,
    *,
    grid_scale_arcsec: float,
    half_size_px: int,
    pixel_scale_arcsec: float | None = None,
    wavelengths_angstrom: ArrayLike | None = None,
) -> Array:
    """Point spread function of a band as a pixel of the mosaic sees it.

    Every element is the value at the centre of its grid cell times the cell's area, of the point
    spread function convolved with the whole pixel response. The light of a star that a mosaic pixel
    collects is therefore this image, interpolated at the pixel's offset from the star, times
    ``(pixel_scale / grid_scale)**2``.

    Parameters
    ----------
    band : praesepe.survey.Band
        Its `psf` is a FITS file or the optical model; see `praesepe.survey.PSF`.
    grid_scale_arcsec : float
        Sampling of the result, arcsec.
    half_size_px : int
        The result has ``2 * half_size_px + 1`` elements a side, the star on the middle one.
    pixel_scale_arcsec : float, optional
        Pixel of the mosaic, arcsec. Needed for a drizzled mosaic (``psf.pixfrac > 0``): the light
        of a native pixel is spread over a square drop of `pixfrac` native pixels and then averaged
        over the mosaic's pixel.
    wavelengths_angstrom : array_like, optional
        Wavelengths averaged with equal weight; default: `psf.wavelength_angstrom`, or else
        `N_WAVELENGTHS` equal shares of the filter's light.

    Returns
    -------
    ndarray, shape (2 * half_size_px + 1, 2 * half_size_px + 1)
        Its sum is the share of a star's light inside the stamp; some 0.996 lie within 6 arcsec.

    Raises
    ------
    InputError
        Where the file cannot be used or a value is impossible.
    """
    if not (math.isfinite(grid_scale_arcsec) and grid_scale_arcsec > 0) or half_size_px < 1:
        raise InputError(
            f"grid_scale_arcsec = {grid_scale_arcsec}, half_size_px = {half_size_px}: "
            "the first must be positive, the second at least 1."
        )
    psf = band.psf
    if psf.pixfrac > 0 and pixel_scale_arcsec is None:
        raise InputError(
            f"band {band.name!r} is drizzled (pixfrac = {psf.pixfrac}): give pixel_scale_arcsec, "
            "the pixel of the mosaic."
        )
    drizzle = drizzle_widths(psf, pixel_scale_arcsec)
    if wavelengths_angstrom is None:
        wavelengths = band_wavelengths(band)
    else:
        wavelengths = np.atleast_1d(np.asarray(wavelengths_angstrom, dtype=float))
    if wavelengths.size == 0 or not np.all(np.isfinite(wavelengths) & (wavelengths > 0)):
        raise InputError(f"wavelengths {wavelengths} of band {band.name!r}: give positive numbers.")
    if psf.file is None:
        return optical_psf(psf, wavelengths, grid_scale_arcsec, half_size_px, drizzle)
    return _file_psf(psf, wavelengths, grid_scale_arcsec, half_size_px, drizzle)


def band_wavelengths(band: Band) -> Array:
    """Wavelengths (Angstrom) that stand for a filter: each for an equal share of its photons.

    They are the middles of `N_WAVELENGTHS` equal shares of the photons of a source with constant
    flux per unit frequency, or the one wavelength that the survey file gives.
    """
    if band.psf.wavelength_angstrom is not None:
        return np.array([band.psf.wavelength_angstrom])
    from praesepe.stars.passbands import load_passband

    passband = load_passband(band.filter)
    wavelength = np.asarray(passband.wavelength_angstrom, dtype=float)
    photons = np.asarray(passband.throughput, dtype=float) / wavelength
    steps = 0.5 * (photons[1:] + photons[:-1]) * np.diff(wavelength)
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    shares = (np.arange(N_WAVELENGTHS) + 0.5) / N_WAVELENGTHS
    return np.interp(shares * cumulative[-1], cumulative, wavelength)


def drizzle_widths(psf: PSF, pixel_scale_arcsec: float | None) -> tuple[float, ...]:
    """Sides (arcsec) of the squares that drizzling convolves with: drop and output pixel."""
    if psf.pixfrac == 0 or pixel_scale_arcsec is None:
        return ()
    return (psf.pixfrac * psf.native_pixel_arcsec, pixel_scale_arcsec)


def optical_psf(
    psf: PSF,
    wavelengths_angstrom: Array,
    grid_scale_arcsec: float,
    half_size_px: int,
    squares_arcsec: tuple[float, ...] = (),
) -> Array:
    """Point spread function of the optical model, sampled on a grid.

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

    Returns
    -------
    ndarray, shape (2 * half_size_px + 1, 2 * half_size_px + 1)
        Point values times the area of a grid cell.
    """
    n_grid = _fast_size(math.ceil(max(MIN_BOX_ARCSEC / grid_scale_arcsec, 4 * half_size_px + 2)))
    box_arcsec = n_grid * grid_scale_arcsec
    highest = (
        psf.diameter_m / (float(np.min(wavelengths_angstrom)) * _ANGSTROM) * _ARCSEC
    )  # cycles/arcsec
    n_fold = max(1, math.ceil((2 * highest * box_arcsec + 8) / n_grid))
    n_fine = n_fold * n_grid
    transfer = np.zeros((n_fine, n_fine))
    for wavelength in wavelengths_angstrom:
        transfer += optical_transfer(psf, wavelength, box_arcsec, n_fine)
    transfer /= len(wavelengths_angstrom)
    frequency = np.fft.fftfreq(n_fine, grid_scale_arcsec / n_fold)  # cycles/arcsec
    transfer *= detector_transfer(psf, frequency, squares_arcsec)
    folded = transfer.reshape(n_fold, n_grid, n_fold, n_grid).sum(axis=(0, 2))
    image = np.fft.ifft2(folded).real
    index = np.arange(-half_size_px, half_size_px + 1)
    return image[np.ix_(index, index)]


def optical_transfer(
    psf: PSF, wavelength_angstrom: float, box_arcsec: float, n_frequency: int
) -> Array:
    """Transfer function of the telescope's pupil: its normalised autocorrelation.

    Parameters
    ----------
    psf : praesepe.survey.PSF
        Diameter, central obscuration and struts.
    wavelength_angstrom : float
        Wavelength, Angstrom.
    box_arcsec : float
        Side of the periodic image, arcsec; frequencies are multiples of its inverse.
    n_frequency : int
        Frequencies a side, in the order of `numpy.fft.fftfreq`.

    Returns
    -------
    ndarray, shape (n_frequency, n_frequency)
        1 at zero frequency.
    """
    step_m = wavelength_angstrom * _ANGSTROM / (box_arcsec * _ARCSEC)
    aperture = pupil(psf, step_m)
    reach = aperture.shape[0] - 1  # largest lag with overlap
    n_lag = _fast_size(2 * reach + 1)
    spectrum = np.fft.rfft2(aperture, (n_lag, n_lag))
    correlation = np.fft.irfft2(np.abs(spectrum) ** 2, (n_lag, n_lag))
    lag = np.arange(-min(reach, (n_frequency - 1) // 2), min(reach, (n_frequency - 1) // 2) + 1)
    transfer = np.zeros((n_frequency, n_frequency))
    transfer[np.ix_(lag, lag)] = correlation[np.ix_(lag, lag)] / aperture.sum()
    transfer[0, 0] = 1  # soft edges smooth the cusp at zero lag, and nothing else
    return transfer


def pupil(psf: PSF, step_m: float) -> Array:
    """Transmission of the pupil on a grid of `step_m` metres, edges softened over one step."""
    half = math.ceil(psf.diameter_m / 2 / step_m + 0.5)
    x = np.arange(-half, half + 1) * step_m
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


def detector_transfer(psf: PSF, frequency: Array, squares_arcsec: tuple[float, ...] = ()) -> Array:
    """Transfer function of all that follows the pupil: pixel, `radial_transfer`, further squares.

    Parameters
    ----------
    psf : praesepe.survey.PSF
        The model's parameters.
    frequency : ndarray, shape (n,)
        Frequencies along each axis, cycles per arcsec.
    squares_arcsec : tuple of float, optional
        Sides of squares to convolve with besides the native pixel.

    Returns
    -------
    ndarray, shape (n, n)
        1 at zero frequency.
    """
    line = np.prod(
        [np.sinc(side * frequency) for side in (psf.native_pixel_arcsec, *squares_arcsec)], axis=0
    )
    square = frequency[:, None] ** 2 + frequency[None, :] ** 2
    return line[:, None] * line[None, :] * radial_transfer(psf, square)


def radial_transfer(psf: PSF, frequency_squared: Array) -> Array:
    """Transfer function of charge diffusion, jitter and scattered light.

    Charge spreads by a mixture of Gaussians whose variances are distributed exponentially, since
    photons are absorbed at different depths: the transfer function is
    ``1 / (1 + 2 (pi sigma nu)**2)``, with sigma = `diffusion_arcsec` the r.m.s. along each axis. A
    single Gaussian fits published encircled energy far worse (docs/decisions.md). Jitter is a
    Gaussian; the halo has the profile ``exp(-r / halo_arcsec)``.

    Parameters
    ----------
    psf : praesepe.survey.PSF
        `diffusion_arcsec`, `jitter_arcsec`, `halo_fraction` and `halo_arcsec` are used.
    frequency_squared : ndarray
        Square of the spatial frequency, (cycles / arcsec)**2.

    Returns
    -------
    ndarray
        Of the same shape; 1 at zero frequency.
    """
    square = frequency_squared * np.pi**2
    jitter = np.exp(-2 * psf.jitter_arcsec**2 * square)
    diffusion = 1 / (1 + 2 * psf.diffusion_arcsec**2 * square)
    halo = (1 + 4 * psf.halo_arcsec**2 * square) ** -1.5
    return jitter * diffusion * (1 - psf.halo_fraction + psf.halo_fraction * halo)


def encircled_energy(psf: ArrayLike, scale_arcsec: float, radii_arcsec: ArrayLike) -> Array:
    """Light within circles about the middle element, with the exact overlap of circle and cell.

    Parameters
    ----------
    psf : array_like, shape (2k + 1, 2k + 1)
        Light per cell.
    scale_arcsec : float
        Side of a cell, arcsec.
    radii_arcsec : array_like, shape (R,)
        Radii of the circles, arcsec.

    Returns
    -------
    ndarray, shape (R,)
    """
    image = np.asarray(psf, dtype=float)
    edges_y = (np.arange(image.shape[0] + 1) - image.shape[0] // 2 - 0.5) * scale_arcsec
    edges_x = (np.arange(image.shape[1] + 1) - image.shape[1] // 2 - 0.5) * scale_arcsec
    energy = []
    for radius in np.atleast_1d(np.asarray(radii_arcsec, dtype=float)):
        corner = _disc_quadrant(edges_x[None, :], edges_y[:, None], radius)  # (H + 1, W + 1)
        overlap = np.diff(np.diff(corner, axis=0), axis=1) / scale_arcsec**2  # (H, W)
        energy.append(float((overlap * image).sum()))
    return np.array(energy)


def _disc_quadrant(x: Array, y: Array, radius: float) -> Array:
    """Signed area of the disc between the axes and the corner (x, y)."""
    a, b = np.minimum(np.abs(x), radius), np.minimum(np.abs(y), radius)
    start = np.minimum(np.sqrt(radius**2 - b**2), a)  # where the circle leaves the top side

    def integral(u: Array) -> Array:
        return 0.5 * (u * np.sqrt(radius**2 - u**2) + radius**2 * np.arcsin(u / radius))

    return np.sign(x) * np.sign(y) * (start * b + integral(a) - integral(start))


def _file_psf(
    psf: PSF, wavelengths: Array, grid_scale: float, half_size: int, drizzle: tuple[float, ...]
) -> Array:
    """Point spread function from a FITS file, with the optical model's wings outside its box.

    The file is normalised to the share of the light inside its box: `file_energy_fraction`, or what
    the optical model has there. The light outside follows the optical model.
    """
    image, scale = read_psf_file(psf)
    finer = max(1, math.ceil(grid_scale / scale))
    step = grid_scale / finer
    box = np.array(image.shape) * scale / 2  # half sides, arcsec
    half = max(half_size * finer, math.ceil(box.max() / step) + 2) + math.ceil(
        2 * sum(drizzle) / step
    )
    resampled = resample(image, scale, step, half)
    if not psf.file_has_pixel:
        resampled = _convolve_squares(resampled, step, (psf.native_pixel_arcsec,))
    model = optical_psf(psf, wavelengths, step, half)
    offset = np.abs(np.arange(-half, half + 1) * step)
    inside_y, inside_x = (np.clip((side - offset) / step + 0.5, 0.0, 1.0) for side in box)
    inside = inside_y[:, None] * inside_x[None, :]
    modelled = float((model * inside).sum())
    share = psf.file_energy_fraction if psf.file_energy_fraction is not None else modelled
    wings = (1 - share) / (1 - modelled) if modelled < 1 else 0.0
    result = share * resampled / resampled.sum() + wings * model * (1 - inside)
    if drizzle:
        result = _convolve_squares(result, step, drizzle)
    keep = np.arange(-half_size, half_size + 1) * finer + half
    return result[np.ix_(keep, keep)] * finer**2


def _convolve_squares(image: Array, step: float, sides: tuple[float, ...]) -> Array:
    """Convolve an image of sampling `step` with unit squares of the given sides, zeros outside."""
    size = _fast_size(image.shape[0] + math.ceil(2 * sum(sides) / step))
    frequency = np.fft.fftfreq(size, step)
    line = np.prod([np.sinc(side * frequency) for side in sides], axis=0)
    spectrum = np.fft.rfft2(image, (size, size)) * line[:, None] * line[None, : size // 2 + 1]
    return np.fft.irfft2(spectrum, (size, size))[: image.shape[0], : image.shape[1]]


def _fast_size(minimum: int) -> int:
    """Smallest even number from `minimum` on without prime factors above 5."""
    size = minimum + minimum % 2
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 2
