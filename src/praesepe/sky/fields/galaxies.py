"""Background galaxies: counts, sizes, shapes and colors, drawn as points of equal light.

A galaxy is a sunflower spiral of points whose radii are the quantiles of its profile: the renderer
then treats galaxies as it treats stars, without a pixel's error, and the light is smooth because
the points keep their distance from each other.

The numbers come from the literature (see docs/fields.md for how well each is known):

- counts: i band of COSMOS2020 (Weaver et al. 2022, ApJS 258, 11, table 2, The Farmer), scaled to
  the survey's density; F814W is nearly i;
- sizes: the median scale length of discs, ln(r_d/arcsec) = -1.145 - 0.269 (i_814 - 23), and a
  tenth of bulge-dominated galaxies: Miller et al. 2013, MNRAS 429, 2858, appendix B.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from praesepe.rng import on_cpu
from praesepe.stars.curves import band_curve
from praesepe.stars.extinction import transmission
from praesepe.survey import Band, Survey

COUNT_MAG = np.arange(19.25, 26.0, 0.5)
"""Middles of the bins of magnitude, i_AB; each is 0.5 mag wide, so that the last ends at 26."""

COUNT_LOG = np.array(
    [3.01, 3.23, 3.44, 3.64, 3.85, 4.03, 4.21, 4.38, 4.54, 4.71, 4.86, 4.97, 5.08, 5.20]
)
"""log10 of galaxies per deg² and mag."""

PIVOT_F814W_ANGSTROM = 8045.0
BULGE_FRACTION = 0.1
SIZE_SCATTER_DEX = 0.2
COLOR_MAG = (1.5, -0.16, 0.4)
"""F475W - F814W (AB) at F814W = 21, its change per mag, and its standard deviation."""

COLOR_BASE = math.log10(PIVOT_F814W_ANGSTROM / 4747.0)
POINT_MAG = 29.0
"""Points fainter than this in F814W cannot be told apart."""

POINTS = (256, 8192)
"""Fewest and most points of one galaxy."""

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def draw_galaxies(
    survey: Survey, *, shape_px: tuple[int, int], a_v: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the background galaxies of a field.

    Parameters
    ----------
    survey : Survey
        `field.galaxies_per_arcmin2` to 26 AB mag in F814W before extinction; bands, pixel scale,
        extinction law.
    shape_px : tuple of int
        Height and width of the field, image pixels.
    a_v : float
        All the extinction in front of the galaxies, mag.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    place : Tensor, shape (2, point)
        x and y as fractions of the field's width and height, in [0, 1).
    flux : Tensor, shape (band, point)
        e-/s.
    """
    rng, device = on_cpu(generator), generator.device
    height, width = shape_px
    scale = survey.pixel_scale_arcsec
    expected = survey.galaxy.field.galaxies_per_arcmin2 * height * width * (scale / 60) ** 2
    n = int(torch.poisson(torch.tensor(expected), generator=rng))
    u = torch.rand((6, n), generator=rng, dtype=torch.float64).numpy()
    normal = torch.randn((2, n), generator=rng, dtype=torch.float64).numpy()
    galaxy, (x, y), light = shapes(survey, magnitudes(u[0]), u[1:4], normal, a_v=a_v)
    place = np.stack((u[4][galaxy] + x / width, u[5][galaxy] + y / height)) % 1
    return torch.from_numpy(place).float().to(device), torch.from_numpy(light).float().to(device)


def shapes(
    survey: Survey,
    magnitude: np.ndarray,
    u: np.ndarray,
    normal: np.ndarray,
    *,
    a_v: float,
    bulge_fraction: float = BULGE_FRACTION,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make galaxies of given magnitudes as points of equal light.

    Parameters
    ----------
    survey : Survey
        Bands, pixel scale, extinction law.
    magnitude : ndarray, shape (n,)
        F814W, AB.
    u : ndarray, shape (3, n)
        Even deviates for bulge or disc, axis ratio and angle.
    normal : ndarray, shape (2, n)
        Normal deviates for size and color.
    a_v : float
        All the extinction in front of them, mag.
    bulge_fraction : float
        Share of bulge-dominated galaxies.

    Returns
    -------
    galaxy : ndarray of int, shape (point,)
        Number of each point's galaxy.
    offset : ndarray, shape (2, point)
        x and y from its center, pixels.
    flux : ndarray, shape (band, point)
        e-/s.
    """
    n, scale = len(magnitude), survey.pixel_scale_arcsec
    is_bulge = u[0] < bulge_fraction
    radius_px = half_light_radius_arcsec(magnitude) * 10 ** (SIZE_SCATTER_DEX * normal[0]) / scale
    flux = _fluxes(survey, magnitude, normal[1], a_v)  # (galaxy, band)
    # Thick discs seen from every side, and rounder bulges.
    flattest = np.where(is_bulge, 0.5, 0.2)
    axis_ratio = flattest + (1 - flattest) * u[1]
    wanted = np.ceil(10 ** (0.4 * (POINT_MAG - magnitude)))
    counts = np.clip(wanted, *POINTS).astype(int)
    parts = [
        _spiral(count, 4 if bulge else 1) for count, bulge in zip(counts, is_bulge, strict=True)
    ]
    galaxy = np.repeat(np.arange(n), counts)  # (point,)
    shape = np.concatenate(parts, axis=1) if n else np.zeros((2, 0))
    major, minor = shape * radius_px[galaxy]
    minor = minor * axis_ratio[galaxy]
    angle = np.pi * u[2][galaxy]
    x = major * np.cos(angle) - minor * np.sin(angle)
    y = major * np.sin(angle) + minor * np.cos(angle)
    light = np.ascontiguousarray((flux / counts[:, None])[galaxy].T)
    return galaxy, np.stack((x, y)), light


def magnitudes(u: np.ndarray) -> np.ndarray:
    """Magnitudes in F814W (AB) at the quantiles `u` of the counts from 19 to 26 mag.

    Within a bin of half a magnitude the logarithm of the counts is linear.
    """
    # The counts go on as steeply to the ends of the outer bins.
    middles = [COUNT_MAG[0] - 0.5, *COUNT_MAG, COUNT_MAG[-1] + 0.5]
    ends = 2 * COUNT_LOG[0] - COUNT_LOG[1], 2 * COUNT_LOG[-1] - COUNT_LOG[-2]
    fine = np.linspace(COUNT_MAG[0] - 0.25, COUNT_MAG[-1] + 0.25, 1401)
    count = 10 ** np.interp(fine, middles, [ends[0], *COUNT_LOG, ends[1]])
    fraction = np.concatenate(([0.0], np.cumsum((count[1:] + count[:-1]) / 2)))
    return np.interp(u, fraction / fraction[-1], fine)


def half_light_radius_arcsec(magnitude: np.ndarray) -> np.ndarray:
    """Median half-light radius (major axis) of galaxies of a magnitude in F814W, arcsec."""
    scale_length = np.exp(-1.145 - 0.269 * (np.asarray(magnitude) - 23))
    return 1.678 * scale_length  # of an exponential disc


@lru_cache
def _pivot_angstrom(band: Band) -> float:
    """Pivot wavelength of a filter; fields are drawn far more often than filters change."""
    return band_curve(band).pivot_angstrom


def _fluxes(survey: Survey, magnitude: np.ndarray, normal: np.ndarray, a_v: float) -> np.ndarray:
    """Light of each galaxy in each band, e-/s, (galaxy, band): a power law through two bands."""
    pivot = np.array([_pivot_angstrom(band) for band in survey.bands])
    at_21, slope, scatter = COLOR_MAG
    color = at_21 + slope * (magnitude - 21) + scatter * normal
    bluer = np.log10(PIVOT_F814W_ANGSTROM / pivot) / COLOR_BASE
    in_band = magnitude[:, None] + color[:, None] * bluer
    zero_point = np.array([band.zero_point_ab for band in survey.bands])
    through = transmitted(survey, a_v, r_v=survey.clusters.stars.middle_r_v)
    return 10 ** (0.4 * (zero_point - in_band)) * through


def transmitted(survey: Survey, a_v: float, *, r_v: float) -> np.ndarray:
    """Fraction of the light at the pivot wavelength of each band that dust lets through, (band,).

    For sources whose spectra are not known.
    """
    pivot = np.array([_pivot_angstrom(band) for band in survey.bands])
    return transmission(pivot, a_v=a_v, r_v=r_v, law=survey.clusters.stars.extinction_law)


def _spiral(n: int, sersic: int) -> np.ndarray:
    """Points (x, y) of equal light of a round Sérsic profile of half-light radius 1."""
    from scipy.special import gammainc

    gamma = np.linspace(0.0, 60.0, 6001)  # b (r / r_h)^(1 / n)
    inside = gammainc(2 * sersic, gamma)
    b = np.interp(0.5, inside, gamma)
    fraction = (np.arange(n) + 0.5) / n
    radius = (np.interp(fraction, inside, gamma) / b) ** sersic
    angle = GOLDEN_ANGLE * np.arange(n)
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)))
