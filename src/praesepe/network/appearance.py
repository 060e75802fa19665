"""What a stamp shows, in numbers that need no network: light, noise, sharpness, agreement of bands.

They are what `praesepe.network.critic` judges beside the network's answer.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from praesepe.network.transform import background_of
from praesepe.survey import Survey

RINGS_PX = (0.0, 1.5, 3.0, 6.0, 12.0, 24.0)
"""Radii around the middle between which light is measured."""

FREQUENCIES = (0.03, 0.08, 0.13, 0.19, 0.26, 0.36, 0.5)
"""Cycles per pixel between which the power is measured."""

LAGS_PX = torch.arange(-3, 3.1, 0.5)
"""Shifts of one band against another that are tried, along each axis."""

REGISTERED_PX, APART_PX = 0.75, 0.95
"""Bands agree best at a shift below the first of these, or else at one above the second."""

MARGIN = 4
"""Pixels at each edge that the filters leave out."""

AT_ONCE = 16
"""Stamps measured together: so few that they stay in the processor's cache."""

INNER_PX = 8.0
"""Radius inside which peaks are those of the cluster."""

UNIFORM_QUARTILE, DIFFERENCE = 0.3186, 1.5**0.5
"""Of a normal distribution's absolute values, and the noise of a pixel minus the mean of two."""


class Appearance:
    """Measures stamps of a survey.

    Of every band: light in five rings; noise; the share of pixels too sharp for a star; of the
    peaks outside and inside the middle their sharpness, light, contrast and number; the power at
    six spatial frequencies. Of every pair of bands: coherence at low, middle and high frequencies,
    the correlation, and how much better they agree when shifted.

    Parameters
    ----------
    survey : Survey

    Attributes
    ----------
    n_values : int
        Numbers a stamp.
    """

    def __init__(self, survey: Survey) -> None:
        bands = survey.bands
        self.side, self.n_bands = survey.stamp_size, len(bands)
        self.scale = torch.tensor([band.asinh_scale for band in bands]).view(-1, 1, 1)
        exposure_s = torch.tensor([float(torch.tensor(b.exposure_s).max()) for b in bands])
        self.photon = 1 / (exposure_s.view(-1, 1, 1) * self.scale)
        pairs = torch.triu_indices(self.n_bands, self.n_bands, 1)
        self.owner = torch.cat(
            [
                torch.stack((torch.arange(self.n_bands),) * 2, 1).repeat_interleave(BY_BAND, 0),
                pairs.T.repeat_interleave(BY_PAIR, 0),
            ]
        )
        self.n_values = len(self.owner)

    def __repr__(self) -> str:
        return f"<Appearance: {self.n_values} numbers of stamps in {self.n_bands} bands>"

    def measure(self, stamps: Tensor, present: Tensor | None = None) -> Tensor:
        """Measure stamps (n, band, y, x) in e-/s, on any device.

        Parameters
        ----------
        stamps : Tensor
        present : Tensor, shape (n, band, 1, 1), optional
            1 where there is the band.

        Returns
        -------
        Tensor, shape (n, value)
            NaN of bands that are not there, and of pairs with them.
        """
        there = stamps.new_ones(stamps.shape[:2]) if present is None else present[:, :, 0, 0]
        values = stamps.new_full((len(stamps), self.n_values), torch.nan)
        for kind in (there > 0).unique(dim=0):
            known = kind[self.owner.to(kind.device)].all(1).nonzero()[:, 0]
            bands = kind.nonzero()[:, 0]
            rows = ((there > 0) == kind).all(1).nonzero()[:, 0]
            images = stamps if len(rows) == len(stamps) else stamps[rows]
            images = images if len(bands) == self.n_bands else images[:, bands]
            for some, at in zip(images.split(AT_ONCE), rows.split(AT_ONCE), strict=True):
                if len(bands):
                    rest = (0,) * 7 + (
                        AT_ONCE - len(at),
                    )  # a stamp's numbers are its own, to a bit
                    values[at[:, None], known] = self._measure(pad(some, rest), bands)[: len(at)]
        return values

    def _measure(self, stamps: Tensor, bands: Tensor) -> Tensor:
        """All numbers of a few stamps in some bands."""
        device = stamps.device
        scale, photon = (of.to(device)[bands] for of in (self.scale, self.photon))
        x = (stamps - background_of(stamps)) / scale
        light = torch.asinh(linear(x.flatten(2), self._rings.to(device)))
        noise = _noise_of(x)
        inner = x[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
        mean3 = _mean3(x)
        near = mean3[..., MARGIN - 1 : 1 - MARGIN, MARGIN - 1 : 1 - MARGIN]
        fine, coarse = inner - near, near - _mean3(mean3, step=3)
        sharp = self._sharp(fine, coarse, near, noise, photon)
        peaks = self._peaks(x, fine, coarse, noise)
        wave = torch.fft.rfft2(inner - inner.mean((2, 3), keepdim=True))
        power = (linear(_parts(wave).square(), self._bins.to(device)) + 1e-8).log()
        by_band = torch.cat((light, (noise + 1e-4).log()[..., None], sharp, peaks, power), 2)
        return torch.cat((by_band.flatten(1), self._agreement(coarse).flatten(1)), 1)

    def noise(self, stamps: Tensor) -> Tensor:
        """Noise of a pixel of stamps (n, band, y, x), in their unit; (n, band)."""
        return _noise_of(stamps)

    def _sharp(
        self, fine: Tensor, coarse: Tensor, near: Tensor, noise: Tensor, photon: Tensor
    ) -> Tensor:
        """Share of the pixels that stand out more than a star's could, as a logarithm."""
        variance = noise[..., None, None].square() + near.clamp_min(0) * photon
        sharp = (fine * fine.abs() > 25 * variance) & (fine > 1.5 * coarse)
        return (sharp.float().mean((2, 3)) + 1e-3).log()[..., None]

    def _peaks(self, x: Tensor, fine: Tensor, coarse: Tensor, noise: Tensor) -> Tensor:
        """Sharpness, light, contrast and number of the peaks outside and inside, (n, band, 8)."""
        rows = torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
        highest = torch.maximum(
            torch.maximum(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :]
        )
        cut = slice(MARGIN - 1, 1 - MARGIN)
        peak = x[..., MARGIN:-MARGIN, MARGIN:-MARGIN] == highest[..., cut, cut]
        peak &= coarse > noise[..., None, None]
        # a few pixels in a hundred
        stamp, band, row, column = at = peak.nonzero(as_tuple=True)
        rough = coarse[at]
        terms = torch.stack((torch.ones_like(rough), rough, rough.square(), fine[at]), 1)
        n, n_bands = noise.shape
        group = (stamp * n_bands + band) * 2 + self._middle.to(x.device)[row, column]
        sums = terms.new_zeros((2 * n * n_bands, 4)).index_add_(0, group, terms)
        number, total, squares, sharpness = sums.view(n, n_bands, 2, 4).unbind(3)
        parts = (
            (sharpness / (total + 1e-3)).clamp(-1, 3),
            (total + 1e-2).log(),
            ((squares + 1e-2) / (total + 0.1)).log(),
            number.log1p(),
        )
        return torch.stack(parts, 3).flatten(2)

    def _agreement(self, coarse: Tensor) -> Tensor:
        """Coherence in three bins, correlation, and what a shift would better, (n, pair, 5)."""
        device = coarse.device
        typical = coarse[..., ::4, ::2].abs().flatten(2)
        typical = typical.kthvalue(typical.shape[2] // 2, dim=2).values[..., None, None]
        # the brightest stars count less than their light
        flat = coarse * (1 + coarse.abs() / (4.5 * typical + 1e-9)).rsqrt()
        wave = torch.fft.rfft2(flat)
        one, other = torch.triu_indices(wave.shape[1], wave.shape[1], 1, device=device)
        cross = wave[:, one] * wave[:, other].conj()
        power = linear(_parts(wave).square(), self._wide_bins.to(device))
        in_bins, whole = power[..., :-1], power[..., -1]
        real = linear(_parts(cross), self._wide_bins_of_real.to(device))
        coherence = real / _mean_of(in_bins, one, other)
        rows, columns = (of.to(device) for of in self._lags)
        at_lags = (rows @ (cross @ columns)).real.flatten(2) / _mean_of(whole, one, other)[
            ..., None
        ]
        radius = torch.hypot(LAGS_PX[:, None], LAGS_PX).flatten().to(device)
        here = at_lags[..., radius < REGISTERED_PX].amax(2, keepdim=True)
        apart = at_lags[..., radius > APART_PX].amax(2, keepdim=True)
        return torch.cat((coherence, here, apart - here), 2)

    @cached_property
    def _rings(self) -> Tensor:
        """Weights of pixels whose sums are the mean light in the rings, (ring, pixel)."""
        steps = torch.arange(self.side) - self.side // 2
        distance = torch.hypot(steps.float()[:, None], steps.float())
        edges = itertools.pairwise(RINGS_PX)
        inside = [(distance >= low) & (distance < high) for low, high in edges]
        weights = torch.stack(inside).float().flatten(1)
        return weights / weights.sum(1, keepdim=True).clamp_min(1)

    @property
    def _inner_side(self) -> int:
        return self.side - 2 * MARGIN

    @cached_property
    def _middle(self) -> Tensor:
        """Pixels near the middle, of those that the filters leave."""
        steps = (torch.arange(self._inner_side) + MARGIN - self.side // 2).float()
        return torch.hypot(steps[:, None], steps) <= INNER_PX

    @cached_property
    def _weight(self) -> Tensor:
        """How often each frequency of a real transform counts, (y, x)."""
        n_x = self._inner_side // 2 + 1
        weight = torch.full((self._inner_side, n_x), 2.0)
        weight[:, 0] = 1
        if self._inner_side % 2 == 0:
            weight[:, -1] = 1
        return weight

    @cached_property
    def _bins(self) -> Tensor:
        """Weights that give mean powers in bins of frequency, (bin, 2 * y * x); see `_parts`."""
        y, x = torch.fft.fftfreq(self._inner_side), torch.fft.rfftfreq(self._inner_side)
        frequency = torch.hypot(y[:, None], x)
        edges = itertools.pairwise(FREQUENCIES)
        inside = [((frequency >= a) & (frequency < b)) * self._weight for a, b in edges]
        bins = torch.stack(inside).flatten(1)
        return (bins / bins.sum(1, keepdim=True).clamp_min(1)).repeat_interleave(2, 1)

    @cached_property
    def _wide_bins(self) -> Tensor:
        """The same in half as many bins, and weights that give the whole power."""
        whole = self._weight.flatten().repeat_interleave(2)
        return torch.cat((self._bins.unflatten(0, (-1, 2)).mean(1), whole[None]))

    @cached_property
    def _wide_bins_of_real(self) -> Tensor:
        """Weights that give the mean real part in wide bins."""
        return self._wide_bins[:-1] * torch.tensor([1.0, 0.0]).repeat(self._weight.numel())

    @cached_property
    def _lags(self) -> tuple[Tensor, Tensor]:
        """Factors (lag, y) and (x, lag) of the inverse transform at some lags only."""
        y, x = torch.fft.fftfreq(self._inner_side), torch.fft.rfftfreq(self._inner_side)
        rows = torch.exp(2j * math.pi * LAGS_PX[:, None] * y)
        return rows, torch.exp(2j * math.pi * x[:, None] * LAGS_PX) * self._weight[0][:, None]


BY_BAND = len(RINGS_PX) - 1 + 2 + 2 * 4 + len(FREQUENCIES) - 1
BY_PAIR = 5


def _noise_of(x: Tensor) -> Tensor:
    """Noise of a pixel of images (n, band, y, x), from what neighbors differ by; (n, band)."""
    rows = x[..., 1::4, :]
    apart = rows[..., 1:-1:2] - 0.5 * (rows[..., :-2:2] + rows[..., 2::2])
    apart = apart.abs().flatten(2)
    quartile = apart.kthvalue(max(1, apart.shape[2] // 4), dim=2).values
    return quartile / (UNIFORM_QUARTILE * DIFFERENCE)


def _mean3(x: Tensor, *, step: int = 1) -> Tensor:
    """Means of 3 x 3 values, `step` apart; smaller by as much at each edge."""
    rows = x[..., : -2 * step, :] + x[..., step:-step, :] + x[..., 2 * step :, :]
    return (rows[..., : -2 * step] + rows[..., step:-step] + rows[..., 2 * step :]) / 9


def _parts(wave: Tensor) -> Tensor:
    """Real and imaginary parts, in turn, of complex (n, channel, y, x); (n, channel, 2 * y * x)."""
    return torch.view_as_real(wave).flatten(2)


def _mean_of(power: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Geometric mean of the powers of two bands."""
    return (power[:, one] * power[:, other]).sqrt().clamp_min(1e-12)
