"""Stars of a population, drawn in bulk: masses from the IMF, light from the isochrones.

A row is one isochrone (an age at a metallicity). Stars brighter than a limit are drawn one by
one from the row's inverse-CDF table. Those fainter in every band cannot be told apart in the
image: their number, total mass and total light are drawn, and the light is divided among so many
equal points that their shot noise is that of the stars: N <f>² / <f²> for N stars of flux f.
In heavy populations even the brighter stars blend; there the limit rises until few enough are left
above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
from praesepe.stars.population import StellarTable

LIMIT_STEPS = 8
"""The flux limit may rise by factors of two, this many times, for heavy populations."""

MAX_BRIGHT = 8000
"""Most stars of one population drawn singly, as long as the flux limit can rise."""

MAX_POINTS = 1 << 13
"""Most points that share the faint light of one population."""


@dataclass(frozen=True)
class Stars:
    """A set of light points and the totals of the populations that they belong to.

    Attributes
    ----------
    owner : Tensor of int64, shape (point,)
        Population of each point.
    flux : Tensor, shape (band, point)
        Light of each point, e-/s.
    mass : Tensor, shape (population,)
        Initial mass of all stars drawn, living or dead, Msun.
    light : Tensor, shape (population, band)
        Light of all stars drawn, e-/s.
    """

    owner: Tensor
    flux: Tensor
    mass: Tensor
    light: Tensor


class StarSampler:
    """Draws the stars of many populations at once.

    Parameters
    ----------
    table : StellarTable
        Isochrones with absolute AB magnitudes.
    zero_points : sequence of float
        AB magnitude of 1 e-/s in each band.
    distance_modulus : float
        mag.
    flux_limit : sequence of float
        In each band, the flux (e-/s) below which a star cannot be told apart; 0: draw all.
    imf : BrokenPowerLaw
        Initial mass function.
    device : torch.device or str
        Where stars are drawn.
    """

    def __init__(
        self,
        table: StellarTable,
        *,
        zero_points: list[float],
        distance_modulus: float,
        flux_limit: list[float],
        imf: BrokenPowerLaw = KROUPA2001,
        device: torch.device | str = "cpu",
    ) -> None:
        if len(zero_points) != len(table.band_names):
            raise InputError(
                f"{len(zero_points)} zero points for the bands {table.band_names}; give one each"
            )
        self.device = torch.device(device)
        self.log_age = table.log_age
        self.metallicity = table.metallicity
        self.mean_mass = float(imf.mean_mass)
        offset = np.asarray(zero_points) - distance_modulus
        flux = 10 ** (-0.4 * (table.mag_ab - offset))  # (age, Z, node, band); dark = 0
        flux = flux.reshape(-1, *flux.shape[2:])
        mass = table.initial_mass.reshape(len(flux), -1)
        present = table.present_mass.reshape(len(flux), -1)
        limit = np.asarray(flux_limit)
        rows = [_row(m, f, imf, limit) for m, f in zip(mass, flux, strict=True)]
        n_nodes = max(len(row.cdf) for row in rows)
        self._n_nodes = n_nodes
        cdf = _stack([r.cdf[:, None] for r in rows], n_nodes).reshape(len(rows), n_nodes)
        self._cdf = self._tensor(cdf.ravel())
        # One ascending list of all rows: row i holds the values from i to i + 1.
        self._key = self._tensor((cdf + np.arange(len(rows))[:, None]).ravel())
        self._mass = self._tensor(_stack([r.mass[:, None] for r in rows], n_nodes))[:, 0].float()
        self._flux = self._tensor(_stack([r.flux for r in rows], n_nodes)).float().T.contiguous()
        self._slope = self._tensor(_stack([r.slope for r in rows], n_nodes)).float().T.contiguous()
        # One entry for each row and each step of the limit.
        self._cut = self._tensor(np.concatenate([r.cut for r in rows]))
        self._faint_mean = self._tensor(np.concatenate([r.faint_mean for r in rows])).float()
        self._faint_root = self._tensor(np.concatenate([r.faint_root for r in rows])).float()
        self._faint_points_per_star = _effective_number(self._faint_mean, self._faint_root)
        fraction = _present_fraction(mass, present, imf)
        self.present_fraction = fraction.reshape(table.mag_ab.shape[:2])

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def row(self, i_age: Tensor, i_metallicity: Tensor | int = 0) -> Tensor:
        """Index of the isochrone at an age and a metallicity of the table."""
        return i_age * len(self.metallicity) + i_metallicity

    def draw(
        self,
        row: Tensor,
        n_stars: Tensor,
        *,
        generator: torch.Generator,
        max_points: int = MAX_POINTS,
    ) -> Stars:
        """Draw populations of given numbers of stars.

        Parameters
        ----------
        row : Tensor of int64, shape (population,)
            Isochrone of each population.
        n_stars : Tensor, shape (population,)
            Number of stars to draw, living and dead.
        generator : torch.Generator
            Source of randomness.
        max_points : int
            Most points that share the faint light of one population; wide fields need more.

        Returns
        -------
        Stars
        """
        n_stars = n_stars.to(torch.float64)
        limit = self._limit_of(row, n_stars)
        bright_share = (1 - self._cut[limit]).clamp(0, 1)
        n_bright = torch.binomial(n_stars, bright_share, generator=generator)
        bright_owner, mass, flux = self._bright(row, limit, n_bright.long(), generator)
        n_faint = n_stars - n_bright
        faint = self._faint_totals(limit, n_faint.float(), generator)  # (population, 1 + band)
        faint_owner, faint_flux = self._faint_points(limit, faint[:, 1:], n_faint, max_points)
        n, bands = len(row), len(flux)
        total_mass = faint[:, 0].index_add(0, bright_owner, mass)
        light = faint[:, 1:].clone()
        for band in range(bands):
            of_bright = torch.zeros(n, device=self.device)
            light[:, band] += of_bright.index_add_(0, bright_owner, flux[band])
        return Stars(
            owner=torch.cat((bright_owner, faint_owner)),
            flux=torch.cat((flux, faint_flux), dim=1),
            mass=total_mass,
            light=light,
        )

    def _limit_of(self, row: Tensor, n_stars: Tensor) -> Tensor:
        """Index into the tables of faint stars: the lowest limit that leaves few bright ones."""
        steps = torch.arange(LIMIT_STEPS, device=self.device)
        entries = row[:, None] * LIMIT_STEPS + steps  # (population, step)
        too_many = n_stars[:, None] * (1 - self._cut[entries]) > MAX_BRIGHT
        return row * LIMIT_STEPS + too_many.sum(1).clamp(max=LIMIT_STEPS - 1)

    def _bright(
        self, row: Tensor, limit: Tensor, counts: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Owner, mass and flux of the stars drawn one by one."""
        owner = torch.repeat_interleave(torch.arange(len(row), device=self.device), counts)
        its_row = row[owner]
        u = torch.rand(owner.shape, generator=generator, device=self.device, dtype=torch.float64)
        low = self._cut[limit[owner]]
        u = low + (1 - low) * u
        node = torch.searchsorted(self._key, its_row + u, right=True) - 1
        first = its_row * self._n_nodes
        node = torch.minimum(torch.maximum(node, first), first + self._n_nodes - 2)
        width = self._cdf[node + 1] - self._cdf[node]
        step = ((u - self._cdf[node]) / width.clamp_min(1e-300)).clamp_(0, 1).float()
        mass = torch.lerp(self._mass[node], self._mass[node + 1], step)
        flux = torch.addcmul(self._flux[:, node], self._slope[:, node], step)
        return owner, mass, flux

    def _faint_totals(self, limit: Tensor, n_faint: Tensor, generator: torch.Generator) -> Tensor:
        """Mass and light of the faint stars together (central limit theorem), never negative."""
        mean = self._faint_mean[limit]  # (population, 1 + band)
        normal = torch.randn(mean.shape, generator=generator, device=self.device)
        spread = torch.einsum("pij,pj->pi", self._faint_root[limit], normal)
        total = n_faint[:, None] * mean + n_faint.sqrt()[:, None] * spread
        return total.clamp_min_(0)

    def _faint_points(
        self, limit: Tensor, light: Tensor, n_faint: Tensor, max_points: int
    ) -> tuple[Tensor, Tensor]:
        """Divide the faint light of each population among equal points."""
        wanted = n_faint * self._faint_points_per_star[limit]
        counts = torch.minimum(wanted.ceil().clamp(max=max_points), n_faint).long()
        owner = torch.repeat_interleave(torch.arange(len(light), device=self.device), counts)
        share = light / counts.clamp_min(1)[:, None]
        return owner, share[owner].T


@dataclass(frozen=True)
class _Row:
    cdf: np.ndarray
    mass: np.ndarray
    flux: np.ndarray
    slope: np.ndarray
    cut: np.ndarray
    faint_mean: np.ndarray
    faint_root: np.ndarray


def _row(mass: np.ndarray, flux: np.ndarray, imf: BrokenPowerLaw, limit: np.ndarray) -> _Row:
    """Tabulate one isochrone against the IMF's cumulative distribution."""
    low, high = float(imf.edges[0]), float(imf.edges[-1])
    mesh = np.geomspace(low, high, 256)
    nodes = np.unique(np.concatenate((mesh, mass[(mass > low) & (mass < high)])))
    lit = np.any(flux > 0, axis=1)
    at = np.clip(np.searchsorted(mass, nodes, side="right") - 1, 0, len(mass) - 2)
    inside = (nodes >= mass[0]) & (nodes <= mass[-1])
    width = mass[at + 1] - mass[at]
    step = np.clip((nodes - mass[at]) / np.where(width > 0, width, 1), 0, 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.exp((1 - step) * np.log(flux[at]) + step * np.log(flux[at + 1]))
    between = np.where(step == 1, flux[at + 1], np.nan_to_num(between))
    node_flux = np.where(step == 0, flux[at], between)
    node_flux[~inside & (nodes > mass[-1])] = 0
    if lit[0]:
        node_flux[nodes < mass[0]] = flux[0]
    # An interval with a dark end is dark: a star is never half-lit.
    dark = (node_flux[:-1].max(1) <= 0) | (node_flux[1:].max(1) <= 0)
    start = np.where(dark[:, None], 0, node_flux[:-1])
    slope = np.where(dark[:, None], 0, np.diff(node_flux, axis=0))
    cdf = imf.cdf(nodes)
    cdf[0], cdf[-1] = 0.0, 1.0
    cuts, means, roots = [], [], []
    for step_of_limit in range(LIMIT_STEPS):
        bright = (np.maximum(start, start + slope) > limit * 2**step_of_limit).any(1)
        first = int(np.argmax(bright)) if bright.any() else len(bright)
        mean, root = _moments(np.diff(cdf)[:first], nodes, start, slope, first)
        cuts.append(cdf[first])
        means.append(mean)
        roots.append(root)
    pad = np.zeros((1, flux.shape[1]))
    start, slope = np.vstack((start, pad)), np.vstack((slope, pad))
    return _Row(cdf, nodes, start, slope, np.array(cuts), np.array(means), np.array(roots))


def _moments(
    weight: np.ndarray, mass: np.ndarray, start: np.ndarray, slope: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and square root of the covariance of (mass, flux of each band) below node `first`."""
    size = 1 + start.shape[1]
    if first == 0 or weight.sum() <= 0:
        return np.zeros(size), np.zeros((size, size))
    low = np.column_stack((mass[:first], start[:first]))
    rise = np.column_stack((np.diff(mass)[:first], slope[:first]))
    weight = weight / weight.sum()
    middle = low + rise / 2
    mean = weight @ middle
    apart, within = middle - mean, rise * weight[:, None]
    covariance = apart.T @ (apart * weight[:, None]) + within.T @ rise / 12
    value, vector = np.linalg.eigh(covariance)
    return mean, vector * np.sqrt(np.clip(value, 0, None))


def _effective_number(mean: Tensor, root: Tensor) -> Tensor:
    """<f>² / <f²> of the faint stars, the largest over the bands; shape (row,)."""
    square = mean[:, 1:] ** 2
    variance = (root[:, 1:] ** 2).sum(-1)
    return (square / (square + variance).clamp_min(torch.finfo(square.dtype).tiny)).amax(1)


def _stack(parts: list[np.ndarray], length: int) -> np.ndarray:
    """Concatenate rows of nodes, each padded to `length` by its last node."""
    return np.concatenate([np.pad(p, ((0, length - len(p)), (0, 0)), mode="edge") for p in parts])


def _present_fraction(mass: np.ndarray, present: np.ndarray, imf: BrokenPowerLaw) -> np.ndarray:
    """Present-day mass (living stars and remnants) per unit of initial mass, one per row."""
    nodes = np.geomspace(float(imf.edges[0]), float(imf.edges[-1]), 4000)
    weight = np.diff(imf.cdf(nodes))
    middle = np.sqrt(nodes[1:] * nodes[:-1])
    total = float((weight * middle).sum())
    left = [(weight * np.interp(middle, m, p)).sum() for m, p in zip(mass, present, strict=True)]
    return np.array(left) / total
