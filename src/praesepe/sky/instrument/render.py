"""Batched rendering: stars at sub-pixel positions become images seen through the PSF.

Each star is spread over 4×4 points of an oversampled periodic grid with a cubic B-spline; the
spline is divided out of the PSF's transform, so that the pair acts as the PSF alone (a
non-uniform FFT). One real FFT per stamp and band then serves any number of stars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from praesepe.sky.instrument.psf import band_psf, psf_variants
from praesepe.survey import Band, Survey

OVERSAMPLING = 2
"""Grid points per image pixel and axis."""

LARGEST_HALF = 80 * OVERSAMPLING
"""Grid points from the middle of a point spread function to its edge, at most."""

STARS_PER_CHUNK = {"cpu": 1 << 14, "cuda": 1 << 20}
"""Stars scattered at once: few enough to stay in a processor's cache, or in a GPU's memory."""


STAMPS_PER_PASS = {"cpu": 16, "cuda": 256}
"""Stamps convolved at once: their spectra stay in a processor's cache (three times faster)."""

GRIDS_PER_PASS = {"cpu": 2, "cuda": 256}
"""The same for what touches each number of a grid only a few times."""


class Renderer:
    """Turns stars into noiseless images of one survey.

    Parameters
    ----------
    survey : Survey
        Bands, their PSFs and the pixel scale.
    size : int
        Side of the images in pixels.
    pad : int
        Margin around the image, in pixels, in which stars are still rendered. The grid is
        periodic, so that light leaving on one side of it comes back on the other.
    device : torch.device or str
        Where the work is done.

    Attributes
    ----------
    grid : int
        Side of the oversampled grid.
    peak : ndarray, shape (band,)
        Fraction of a centered star's light in the central pixel, with the sharpest PSF.
    n_psfs : tuple of int
        Number of PSFs of each band: more than one where the survey lets the focus vary, or asks
        for a random position of a position-dependent file.
    fwhm_px : tuple of Tensor, each of shape (psf,)
        Full width at half maximum of each band's PSFs along x, pixels.
    """

    def __init__(
        self,
        survey: Survey,
        *,
        size: int | None = None,
        pad: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size = survey.stamp_size if size is None else size
        self.pad = pad
        self.device = torch.device(device)
        self.n_bands = len(survey.bands)
        self.grid = OVERSAMPLING * (self.size + 2 * pad)
        self.stars_per_chunk = STARS_PER_CHUNK["cpu" if self.device.type == "cpu" else "cuda"]
        half = min(self.grid // 2 - 1, LARGEST_HALF)
        psfs = [_psfs(survey, band, half) for band in survey.bands]
        self.peak = np.array([p[:, half, half].max() * OVERSAMPLING**2 for p in psfs])
        self.n_psfs = tuple(len(p) for p in psfs)
        self.fwhm_px = tuple(
            torch.tensor([_full_width(psf[half, half:]) for psf in p], device=self.device)
            for p in psfs
        )
        self.optical_transfer = [
            torch.from_numpy(_optical_transfer(p, self.grid)).to(self.device) for p in psfs
        ]
        frequency = torch.fft.fftfreq(self.grid, device=self.device)  # cycles per grid point
        self._frequency = 2 * math.pi * OVERSAMPLING * frequency  # radians per pixel
        self._lost_to_halo = self._halo_loss(HALO_ARCSEC / survey.pixel_scale_arcsec)

    def empty(self, n: int) -> Tensor:
        """Return `n` empty grids, shape (n, band, grid, grid)."""
        return torch.zeros((n, self.n_bands, self.grid, self.grid), device=self.device)

    def scatter(self, grids: Tensor, image_index: Tensor, position: Tensor, flux: Tensor) -> None:
        """Add stars to the grids they belong to; stars outside the margin are left out.

        Parameters
        ----------
        grids : Tensor, shape (n, band, grid, grid)
            Changed in place.
        image_index : Tensor of int64, shape (star,)
            Which of the n grids each star belongs to.
        position : Tensor, shape (2, star)
            x and y in image pixels; the center of the first pixel is (0, 0).
        flux : Tensor, shape (band, star)
            Any unit; images come out in the same.
        """
        for part in chunks(image_index.numel(), self.device):
            self._scatter(grids, image_index[part], position[:, part], flux[:, part])

    def _scatter(self, grids: Tensor, image_index: Tensor, position: Tensor, flux: Tensor) -> None:
        where = OVERSAMPLING * (position + self.pad)  # (2, star), in grid points
        inside = ((where >= 1) & (where < self.grid - 3)).all(0)
        if not bool(inside.all()):
            image_index, where, flux = image_index[inside], where[:, inside], flux[:, inside]
        corner = torch.floor(where)
        wx, wy = bspline(where - corner)  # each (4, star)
        column, row = corner.long() - 1
        first = image_index * (self.n_bands * self.grid**2) + row * self.grid + column
        steps = torch.arange(4, device=self.device)
        offset = (steps[:, None] * self.grid + steps).reshape(16, 1)
        index = (first + offset).reshape(-1)  # (16 star,), in the first band
        weight = wy[:, None] * wx[None]  # (4, 4, star)
        light = (weight.reshape(1, 16, -1) * flux[:, None]).reshape(self.n_bands, -1)
        self._add(grids, index, light)

    def _add(self, grids: Tensor, index: Tensor, light: Tensor) -> None:
        """Add light (band, point) to the grid points of an index into the first band."""
        # A row of this view begins at each band, so that one index serves all of them, and
        # each band can have a thread of its own.
        size, step = grids.numel(), self.grid**2
        view = grids.view(-1).as_strided(
            (self.n_bands, size - (self.n_bands - 1) * step), (step, 1)
        )
        view.scatter_add_(1, index.expand(self.n_bands, -1), light)

    def scatter_even(
        self, grids: Tensor, image_index: Tensor, position: Tensor, flux: Tensor
    ) -> None:
        """Add points that together are diffuse light to empty grids, each to one grid point.

        The same as `scatter` at a sixteenth of its price, where the points of a grid are so many,
        and so even, that their places within their grid points do not matter. When all are there,
        `add_even` makes of them what `scatter` would have added.

        Parameters
        ----------
        grids, image_index, position, flux : Tensor
            As for `scatter`.
        """
        for part in chunks(image_index.numel(), self.device):
            where = OVERSAMPLING * (position[:, part] + self.pad)
            inside = ((where >= 1) & (where < self.grid - 3)).all(0)
            column, row = torch.floor(where + 0.5).long()
            index = image_index[part] * (self.n_bands * self.grid**2) + row * self.grid + column
            self._add(grids, torch.where(inside, index, 0), torch.where(inside, flux[:, part], 0))

    def add_even(self, grids: Tensor, image_index: Tensor, light: Tensor) -> None:
        """Add to grids the light of `scatter_even`, spread as a cubic B-spline does.

        Of the spline's transform sinc⁴, one factor is there already: the places within the grid
        points. What is missing is, up to the fourth order in frequency, (1, 6, 1) / 8.

        Parameters
        ----------
        grids : Tensor, shape (n, band, grid, grid)
            Changed in place.
        image_index : Tensor of int64, shape (m,)
            Which of the grids.
        light : Tensor, shape (m, band, grid, grid)
        """
        for part in chunks(len(image_index), self.device, GRIDS_PER_PASS):
            here = light[part].clone()
            for ends in (here, here.transpose(-1, -2)):
                sides = ends[..., 2:] + ends[..., :-2]
                ends.mul_(0.75)[..., 1:-1].add_(sides, alpha=0.125)
            grids.index_add_(0, image_index[part], here)

    def convolve(
        self,
        grids: Tensor,
        *,
        gain: Tensor | None = None,
        blur_px: Tensor | None = None,
        shift_px: Tensor | None = None,
        halo_share: Tensor | None = None,
        psf: Tensor | None = None,
    ) -> Tensor:
        """See the grids through the PSF and sample them at the pixels.

        Parameters
        ----------
        grids : Tensor, shape (n, band, grid, grid)
        gain : Tensor, shape (n, band), optional
            Factor on the flux.
        blur_px : Tensor, shape (n, band), optional
            Sigma of an additional Gaussian blur, pixels; below zero: as much sharper, to first
            order, as the blur would be broader.
        shift_px : Tensor, shape (n, band, 2), optional
            Displacement in x and y, pixels.
        halo_share : Tensor, shape (n, band), optional
            Share of a star's light that is spread into a halo of `HALO_ARCSEC`; below zero: to
            first order, as much light comes back from it.
        psf : Tensor of int64, shape (n, band), optional
            Which of the band's PSFs; the first by default.

        Returns
        -------
        Tensor, shape (n, band, size, size)
        """
        images = torch.empty((len(grids), self.n_bands, self.size, self.size), device=self.device)
        for part in chunks(len(grids), self.device, STAMPS_PER_PASS):
            options = (
                None if v is None else v[part] for v in (gain, blur_px, shift_px, halo_share, psf)
            )
            images[part] = self._convolve(grids[part], *options)
        return images

    def widths(
        self, n: int, *, blur_px: Tensor | None = None, psf: Tensor | None = None, **_: Tensor
    ) -> Tensor:
        """Full width at half maximum of what `convolve` sees stars through, pixels, (n, band).

        Widths of blurs are added as those of Gaussians, in squares; a negative one is taken off.
        """
        columns = [
            own[psf[:, band]] if psf is not None and len(own) > 1 else own[:1].expand(n)
            for band, own in enumerate(self.fwhm_px)
        ]
        square = torch.stack(columns, 1) ** 2
        if blur_px is not None:
            square = square + 8 * math.log(2) * blur_px * blur_px.abs()
        return square.clamp_min(0.25).sqrt()

    def _convolve(
        self,
        grids: Tensor,
        gain: Tensor | None,
        blur_px: Tensor | None,
        shift_px: Tensor | None,
        halo_share: Tensor | None,
        psf: Tensor | None,
    ) -> Tensor:
        spectrum = torch.fft.rfft2(grids)
        for band, transfer in enumerate(self.optical_transfer):
            if psf is not None and len(transfer) > 1:
                spectrum[:, band] *= transfer[psf[:, band]]
            else:
                spectrum[:, band] *= transfer[0]
            if halo_share is not None:
                share = halo_share[:, band, None, None]
                spectrum[:, band] *= torch.addcmul(self._one, share, self._lost_to_halo, value=-1)
        half = self.grid // 2
        if gain is not None or blur_px is not None or shift_px is not None:
            along_y, along_x = self._modulation(grids.shape[0], gain, blur_px, shift_px)
            spectrum *= along_y[..., :, None]
        else:
            along_x = None
        # Every second grid row is kept: adding the halves of the spectrum samples the rows.
        folded = spectrum[..., :half, :] + spectrum[..., half:, :]  # (n, band, half, half + 1)
        if along_x is not None:
            folded *= along_x[..., None, : half + 1]
        rows = torch.fft.ifft(folded, dim=-2)[..., self.pad : self.pad + self.size, :]
        image = torch.fft.irfft(rows, n=self.grid, dim=-1)
        start = OVERSAMPLING * self.pad
        stop = start + OVERSAMPLING * self.size
        return image[..., start:stop:OVERSAMPLING]

    def _halo_loss(self, scale_px: float) -> Tensor:
        """1 minus the transform of a halo exp(-r / scale), (grid, grid // 2 + 1)."""
        self._one = torch.ones((), device=self.device)
        along_x = self._frequency[: self.grid // 2 + 1]
        square = (self._frequency[:, None] ** 2 + along_x**2) * scale_px**2
        return 1 - (1 + square) ** -1.5

    def _modulation(
        self, n: int, gain: Tensor | None, blur_px: Tensor | None, shift_px: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Factors on the spectrum along y and x, each of shape (n, band, grid), complex."""
        angle = self._frequency
        shift = torch.zeros((n, self.n_bands, 2), device=self.device)
        if shift_px is not None:
            shift = shift_px
        amplitude = torch.ones_like(angle)
        if blur_px is not None:
            blur = blur_px[..., None]
            gaussian = torch.exp(-0.5 * (blur * angle) ** 2)
            # Sharper: what the Gaussian would take from a frequency is added to it instead, which
            # is at most all that there is, whatever the point spread function.
            amplitude = torch.where(blur < 0, 2 - gaussian, gaussian)
        along_x = torch.polar(amplitude, -shift[..., 0:1] * angle)
        if gain is not None:
            amplitude = amplitude * gain[..., None]
        return torch.polar(amplitude, -shift[..., 1:2] * angle), along_x


HALO_ARCSEC = 0.3
"""e-folding radius of the halo that a survey's `halo_share` spreads light into."""

DEFOCUS_SAMPLES = 8
"""PSFs of different focus from which a survey with varying focus draws."""


def _psfs(survey: Survey, band: Band, half: int) -> np.ndarray:
    """All PSFs of a band, (psf, 2 half + 1, 2 half + 1): positions of a file, or defocus samples.

    The samples are the middles of equal parts of a half-normal distribution: a PSF does not tell
    which side of the focus it is on.
    """
    scale = survey.pixel_scale_arcsec
    seen = partial(
        band_psf,
        band,
        grid_scale_arcsec=scale / OVERSAMPLING,
        half_size_px=half,
        pixel_scale_arcsec=scale,
        telescope=survey.observation.telescope_of(band),
    )
    sigma = survey.observation.nuisance.focus_nm
    if band.psf.file is not None:
        places = range(psf_variants(band)) if band.psf.file_position == "random" else [None]
        return np.stack([seen(position=place) for place in places])
    if sigma == 0:
        return seen()[None]
    quantiles = torch.linspace(0.5, 1.0, 2 * DEFOCUS_SAMPLES + 1, dtype=torch.float64)[1::2]
    defocus_nm = (sigma * torch.special.ndtri(quantiles)).tolist()
    return seen(defocus_nm=defocus_nm)


def _full_width(half_line: np.ndarray) -> float:
    """Full width at half maximum of a peak, pixels, from its grid points outwards."""
    half = float(np.interp(-0.5 * half_line[0], -half_line, np.arange(len(half_line))))
    return 2 * half / OVERSAMPLING


def chunks(
    n: int, device: torch.device, most: Mapping[str, int] = STARS_PER_CHUNK
) -> Iterator[slice]:
    """Slices that cover `n` stars, or others of which a device takes so many at once."""
    size = most["cpu" if device.type == "cpu" else "cuda"]
    for start in range(0, n, size):
        yield slice(start, start + size)


def bspline(fraction: Tensor) -> Tensor:
    """Cubic B-spline weights of the four grid points around each position.

    `fraction` is the distance past the second of the four points, in [0, 1); the result has
    shape (2, 4, star) for positions of shape (2, star).
    """
    t = fraction
    square, cube = t * t, t * t * t
    rest = 1 - t
    return torch.stack(
        (
            rest * rest * rest / 6,
            (4 - 6 * square + 3 * cube) / 6,
            (1 + 3 * t + 3 * square - 3 * cube) / 6,
            cube / 6,
        ),
        dim=1,
    )


def _optical_transfer(psfs: np.ndarray, grid: int) -> np.ndarray:
    """Transform of the PSFs on the periodic grid, with the B-spline divided out.

    Returns complex64 of shape (band, grid, grid // 2 + 1), scaled so that the image holds the
    light per pixel.
    """
    n = psfs.shape[-1]
    canvas = np.zeros((len(psfs), grid, grid))
    canvas[:, :n, :n] = psfs
    canvas = np.roll(canvas, (-(n // 2), -(n // 2)), axis=(-2, -1))
    spline = np.sinc(np.fft.fftfreq(grid)) ** 4
    spline_half = np.sinc(np.fft.rfftfreq(grid)) ** 4
    transfer = np.fft.rfft2(canvas) / (spline[:, None] * spline_half)
    # One factor OVERSAMPLING² turns light per grid cell into light per pixel; the folding of the
    # rows in `convolve` brings a factor OVERSAMPLING of its own.
    return (transfer * OVERSAMPLING**2 / OVERSAMPLING).astype(np.complex64)
