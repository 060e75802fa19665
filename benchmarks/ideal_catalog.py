"""How well a perfect catalogue of stars would tell the size and the mass of small clusters.

    python benchmarks/ideal_catalog.py [--n 1600]        (about 8 minutes)

Clusters of `phat` of up to 3 Gyr and 250 to 4000 Msun. An observer is told position and light of
every star of a stamp above a signal-to-noise ratio, never confused by a neighbour. He also knows
the age, the centre and the tidal radius of the cluster and the density and the mean history of the
star field; unknown are r_h, gamma and the mass, with the survey's prior, and which stars are the
cluster's. To him the stars are a Poisson process whose density is the cluster's profile times its
colour-magnitude diagram (F814W, F475W - F814W, in bins) plus that of the field. He has no light of
fainter stars and no F336W. The last column counts the stars without a brighter one within two
pixels, which a real observer could tell apart. "Without field" the field's stars are taken away,
but their noise stays.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch

from praesepe import Simulator, load_survey
from praesepe.sky.clusters.parameters import LEAST_TIDAL_RADIUS
from praesepe.sky.clusters.profiles import eff_scale_radius
from praesepe.sky.fields.histories import age_metallicity_fractions
from praesepe.statistics import robust_scatter

LOG_AGES = np.arange(6.6, 9.51, 0.1)
ALL_LIGHT = 1 << 24  # points of light: so many that no population is crowded
PSF_PIXELS = 12.0  # noise-equivalent area of the PSF
FAINTEST = 3e-3  # e-/s in F814W; fainter stars are never detected
LOG_RH = np.linspace(np.log10(0.08), np.log10(0.8), 46)
GAMMA = np.linspace(2.2, 4.0, 19)
LOG_MASS = np.linspace(2.0, 4.5, 51)
REFERENCE_MASS = 2e5  # Msun
BINS = (28, 18)  # of F814W and F475W - F814W
STEPS = (0.5, 0.3)  # mag


@dataclass(frozen=True)
class Sky:
    """What the observer knows beforehand.

    Attributes
    ----------
    field : ndarray, shape (3, n)
        Light of the stars of a large crop of the field, e-/s.
    field_mass : float
        Its mass, Msun.
    noise : tuple of ndarray
        For each band, the line log10(noise of a pixel) against log10(surface density).
    clusters : tuple of ndarray
        For each age of `LOG_AGES`, the light of the stars of `REFERENCE_MASS`, (3, n).
    cluster_counts, field_counts : ndarray, shapes (age, *BINS), BINS
        Stars per Msun and bin of the colour-magnitude diagram.
    """

    field: np.ndarray
    field_mass: float
    noise: tuple[np.ndarray, ...]
    clusters: tuple[np.ndarray, ...]
    cluster_counts: np.ndarray
    field_counts: np.ndarray


def diagram(flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins in magnitude and colour of stars of light (3, n)."""
    blue, red = np.maximum(flux[1], 1e-5), np.maximum(flux[2], 1e-5)
    magnitude, colour = -2.5 * np.log10(red) + 6.0, 2.5 * np.log10(red / blue) + 2.5
    return tuple(
        np.clip(value / step, 0, n - 1).astype(int)
        for value, step, n in zip((magnitude, colour), STEPS, BINS, strict=True)
    )


def counts(flux: np.ndarray, mass: float) -> np.ndarray:
    """Stars per Msun and bin; a little everywhere, so that nothing is impossible."""
    number = np.full(BINS, 0.02)
    np.add.at(number, diagram(flux), 1.0)
    return number / mass


def look_around(simulator: Simulator, area_pc2: float) -> Sky:
    """Gather what `Sky` holds from the simulator."""
    mocks = simulator.draw(600)
    corners = np.concatenate(
        [mocks.images[:, :, :10, :10].flatten(2), mocks.images[:, :, -10:, -10:].flatten(2)], 2
    )
    spread = np.abs(corners - np.median(corners, 2, keepdims=True))
    sigma = 1.4826 * np.median(spread, 2)
    log_density = np.log10(mocks.truth["field_density"].numpy())
    noise = tuple(np.polyfit(log_density, np.log10(of_band), 1) for of_band in sigma.T)
    sampler, generator, stars, mass = simulator.field_pool.sampler, simulator.generator, [], 0.0
    for _ in range(80):
        fraction = age_metallicity_fractions(simulator.survey, sampler, generator=generator)
        expected = 200.0 * area_pc2 / sampler.mean_mass * fraction.flatten()
        number = torch.poisson(expected, generator=generator)
        isochrone = torch.nonzero(number).flatten()
        drawn = sampler.draw(
            isochrone,
            number[isochrone],
            generator=generator,
            compute_truth=False,
            max_points=ALL_LIGHT,
        )
        stars.append(drawn.flux.numpy())
        mass += 200.0 * area_pc2
    field = np.concatenate(stars, 1)
    field = field[:, field[2] > FAINTEST]
    of_age = []
    for log_age in LOG_AGES:
        given = {"log_age": float(log_age), "log_mass": float(np.log10(REFERENCE_MASS / 20))}
        same_age = simulator.sample(20).with_values(**given)
        flux = simulator.populate(same_age, compute_truth=False).stars.flux.numpy()
        of_age.append(flux[:, flux[2] > FAINTEST])
    diagrams = np.array([counts(flux, REFERENCE_MASS) for flux in of_age])
    return Sky(field, mass, noise, tuple(of_age), diagrams, counts(field, mass))


class Profiles:
    """EFF profiles on the grid of r_h and gamma, and the share of each inside the stamp.

    Parameters
    ----------
    scale_arcsec : float
        Side of a pixel.
    half_side : float
        Half a stamp, pixels.
    tidal_radius : float
        Where the cluster ends, pixels; the profiles end there, and at twice r_h at least.
    """

    def __init__(self, scale_arcsec: float, half_side: float, tidal_radius: float) -> None:
        log_rh, gamma = np.meshgrid(LOG_RH - np.log10(scale_arcsec), GAMMA, indexing="ij")
        r_h, self.gamma = 10 ** log_rh.ravel(), gamma.ravel()
        self.end = np.maximum(tidal_radius, LEAST_TIDAL_RADIUS * r_h)
        numbers = (torch.from_numpy(x) for x in (r_h, self.gamma, self.end))
        self.core = eff_scale_radius(*numbers).numpy()
        self.kept = 1 - self._beyond(self.end)  # of an endless profile
        edge = half_side / np.cos(np.linspace(0, np.pi / 4, 64))
        outside = self._beyond(np.minimum(edge[:, None], self.end))
        self.inside = (1 - outside.mean(0)) / self.kept
        self.at_centre = (self.gamma - 2) / (2 * np.pi * self.core**2) / self.kept

    def _beyond(self, radius: np.ndarray) -> np.ndarray:
        return (1 + (radius / self.core) ** 2) ** (1 - self.gamma / 2)

    def __call__(self, radius: np.ndarray) -> np.ndarray:
        """Share of the stars per square pixel, (profile, star)."""
        shape = np.log1p((radius / self.core[:, None]) ** 2)
        density = self.at_centre[:, None] * np.exp(-self.gamma[:, None] / 2 * shape)
        return np.where(radius < self.end[:, None], density, 0.0)


def medians(density: np.ndarray, background: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Posterior medians of log r_h and log mass, and half the 68 % interval of log r_h.

    `density` (profile, star) and `expected` (profile,) are per Msun.
    """
    log_like = np.array(
        [np.log(m * density + background).sum(1) - m * expected for m in 10**LOG_MASS]
    )
    like = np.exp(log_like - log_like.max())
    of_rh = like.sum(0).reshape(len(LOG_RH), len(GAMMA)).sum(1).cumsum()
    of_mass = like.sum(1).cumsum()
    low, middle, high = percentiles(of_rh, LOG_RH)
    return np.array([middle, percentiles(of_mass, LOG_MASS)[1], (high - low) / 2])


def percentiles(cumulative: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """16th, 50th and 84th percentile of a distribution over cells around the points of a grid."""
    half = (grid[1] - grid[0]) / 2
    edges = np.append(grid[0] - half, grid + half)
    return np.interp([0.16, 0.5, 0.84], np.append(0.0, cumulative) / cumulative[-1], edges)


@dataclass(frozen=True)
class Observer:
    """Draws star fields, detects stars, and weighs the evidence."""

    simulator: Simulator
    sky: Sky
    area_pc2: float
    rng: np.random.Generator

    def signal_to_noise(self, flux: np.ndarray, density: float) -> np.ndarray:
        """Of stars of light (3, ...) on a field of a surface density."""
        exposure = np.array([band.exposure_s for band in self.simulator.survey.bands])
        pixel = np.array([10 ** np.polyval(line, np.log10(density)) for line in self.sky.noise])
        shape = (3,) + (1,) * (flux.ndim - 1)
        variance = PSF_PIXELS * pixel.reshape(shape) ** 2 + flux / exposure.reshape(shape)
        return np.sqrt((flux**2 / variance).sum(0))

    def field_stars(self, density: float) -> tuple[np.ndarray, np.ndarray]:
        """Light (3, n) and places (2, n) of the field's stars in a stamp, pixels."""
        pool, half = self.sky.field, self.simulator.survey.stamp_size / 2
        mean = pool.shape[1] * density * self.area_pc2 / self.sky.field_mass
        chosen = self.rng.integers(0, pool.shape[1], self.rng.poisson(mean))
        return pool[:, chosen], self.rng.uniform(-half, half, (2, len(chosen)))

    def judge(
        self,
        log_age: float,
        profiles: Profiles,
        flux: np.ndarray,
        place: np.ndarray,
        limit: float,
    ) -> dict[str, np.ndarray]:
        """Results for one cluster, without and with a star field of a random density."""
        density = 10 ** self.rng.uniform(
            *np.log10(self.simulator.survey.galaxy.field.surface_density)
        )
        others, elsewhere = self.field_stars(density)
        half = self.simulator.survey.stamp_size / 2
        seen = (self.signal_to_noise(flux, density) > limit) & (np.abs(place) < half).all(0)
        flux, place = flux[:, seen], place[:, seen]
        bright = self.signal_to_noise(others, density) > limit
        others, elsewhere = others[:, bright], elsewhere[:, bright]
        nearest = np.abs(LOG_AGES - log_age).argmin()
        number = self.sky.cluster_counts[nearest]
        detected = self.signal_to_noise(self.sky.clusters[nearest], density) > limit
        expected = detected.sum() / REFERENCE_MASS * profiles.inside
        both = np.concatenate([flux, others], 1)
        of_field = self.sky.field_counts * density * self.area_pc2 / (2 * half) ** 2
        radius = np.hypot(*np.concatenate([place, elsewhere], 1))
        profile = profiles(radius) * number[diagram(both)]
        n = flux.shape[1]
        return {
            "alone": medians(profile[:, :n], np.zeros(n), expected),
            "field": medians(profile, of_field[diagram(both)], expected),
            "stars": np.array([n, isolated(both, np.concatenate([place, elsewhere], 1), n)]),
        }


def isolated(flux: np.ndarray, place: np.ndarray, n: int) -> int:
    """Number of the first n stars without a brighter one within two pixels."""
    light = flux[1:].sum(0)
    near = np.hypot(*(place[:, :n, None] - place[:, None, :])) < 2.0
    return int((~(near & (light[None, :] > light[:n, None])).any(1)).sum())


def main() -> None:
    """Print the scatter for several limits of detection."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=909)
    options = parser.parse_args()
    survey = load_survey("phat-nodust")
    simulator = Simulator(survey, seed=options.seed)
    scale, side = survey.pixel_scale_arcsec, survey.stamp_size
    area = (side * scale * survey.pc_per_arcsec) ** 2
    observer = Observer(
        simulator,
        look_around(simulator, area),
        area,
        np.random.default_rng(options.seed),
    )
    clusters = simulator.sample(4 * options.n)
    population = simulator.populate(clusters, compute_truth=False)
    stars, offset = population.stars, population.offset
    tidal = clusters.tidal_radius / scale
    mass = stars.mass.numpy()  # of the stars drawn: what the network is asked for
    small = (clusters.log_age.numpy() <= np.log10(3e9)) & (mass >= 250) & (mass <= 4000)
    chosen = np.flatnonzero(small)[: options.n]
    order = np.argsort(stars.population.numpy(), kind="stable")
    ends = np.searchsorted(stars.population.numpy()[order], [chosen, chosen + 1])
    flux, place = stars.flux.numpy()[:, order], offset.numpy()[:, order]
    truth = np.stack([clusters.log_rh.numpy(), np.log10(mass)], 1)[chosen]
    print(f"{len(chosen)} clusters: median and scatter of log r_h, half its 68 % interval, and")
    print("median and scatter of log mass, dex")
    print(f"S/N above {'without field':^36}{'with field':^36} stars isolated")
    for limit in (20, 10, 5, 3):
        results = [
            observer.judge(
                log_age, Profiles(scale, side / 2, end), flux[:, i:j], place[:, i:j], limit
            )
            for log_age, end, i, j in zip(
                clusters.log_age[chosen].tolist(), tidal[chosen].tolist(), *ends, strict=True
            )
        ]
        line = f"{limit:6d}    "
        for case in ("alone", "field"):
            found = np.array([one[case] for one in results])
            off = found[:, :2] - truth
            size, of_mass = ((np.median(x), robust_scatter(x)) for x in off.T)
            numbers = (*size, np.median(found[:, 2]), *of_mass)
            line += "".join(f"{x:7.3f}" for x in numbers) + " "
        number = np.median([one["stars"] for one in results], axis=0)
        print(line + f"{number[0]:6.0f} {number[1]:8.0f}", flush=True)


if __name__ == "__main__":
    main()
