"""Real star clusters of M31 beside simulated ones of the same age, mass, extinction and size.

    python benchmarks/phat_catalog.py SHARED [--out FIGURE.png] [--json FILE.json]

SHARED is the folder of reference data with `catalogs/phat_ap_clusters_v4.fits` (Johnson et al.
2015), `catalogs/phat_cmd_fits_709.txt` (ages, masses and extinctions of the same clusters) and
`isochrones/fsps_parsec_isoc_z0.0200.dat`. Every cluster is simulated several times, star by star,
seen through the PSFs of six bands, measured in the catalogue's own aperture, and given the
catalogue's own sky noise. docs/sky_check.md says what is compared and what the outcome means.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from praesepe.inference.photometry import aperture_flux
from praesepe.sky.fields.simulated import draw_field
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.population.sampler import StarSampler
from praesepe.stars import KROUPA2001, BrokenPowerLaw, StellarTable, build_table, load_passband
from praesepe.stars.assembly import assemble
from praesepe.stars.isochrones import IsochroneGrid
from praesepe.stars.readers import read_isochrones
from praesepe.statistics import robust_scatter
from praesepe.survey import Survey, load_survey

BANDS = ("F275W", "F336W", "F475W", "F814W", "F110W", "F160W")
COLOURS = tuple(pairwise(range(len(BANDS))))
AGE_EDGES = (6.55, 7.05, 7.55, 8.05, 8.55, 9.05, 10.15)
METALLICITY = 0.02
MASSIVE = 3.7
"""log10 of the mass (Msun) above which few stars do not rule the light any more."""
GAMMA = 3.0
"""Slope of the EFF profile (Elson, Fall & Freeman 1987, ApJ 323, 54)."""
PSF_HALF_LIGHT_ARCSEC = 0.07
"""Of F475W, in which the catalogue measures half-light radii."""
SKY_RING = (1.2, 3.4)
"""Where sky is measured, in radii of the aperture: ten rings of the aperture's area."""
PREDICTED_SNR = 3.0
"""A cluster counts in a band where a fully populated one of its mass would reach this."""

FIELD_DENSITIES = (3.0, 10.0, 30.0, 100.0, 300.0)
"""Initial Msun/pc2 of the star fields whose residuals stand for the real ones'."""
FIELD_AV = 0.3
FIELD_SIZE = 512
FIELD_APERTURE_PX = 15
FIELD_NEIGHBOURS = 30
STAMPS_AT_ONCE = 64


@dataclass(frozen=True)
class Catalogue:
    """Clusters with a fit, all arrays (n,) or (n, band).

    Attributes
    ----------
    log_age, log_mass, a_v : ndarray
        The fit: dex(yr), dex(Msun), mag.
    radius, half_light : ndarray
        Of the aperture and of half of the light inside it, arcsec.
    flux, noise : ndarray, (n, band)
        Flux in the aperture and its 1-sigma sky noise; 1 is Vega magnitude 0. NaN: not observed.
    preferred : ndarray of bool
        Whether the table prefers the colour-magnitude fit to that of the integrated light.
    of_light : ndarray, (n, 3)
        Log age, log mass and A_V from the fit of the integrated light; zero age: none.
    """

    log_age: np.ndarray
    log_mass: np.ndarray
    a_v: np.ndarray
    radius: np.ndarray
    half_light: np.ndarray
    flux: np.ndarray
    noise: np.ndarray
    preferred: np.ndarray
    of_light: np.ndarray

    def with_fits_of_light(self) -> Catalogue:
        """The clusters that have one, with the fit of their integrated light instead."""
        fitted = (self.of_light[:, :2] > 0).all(1)
        age, mass, a_v = self.of_light[fitted].T
        changed = {"log_age": age, "log_mass": mass, "a_v": a_v}
        return replace(self.select(fitted), **changed)

    def __len__(self) -> int:
        return len(self.log_age)

    def select(self, rows: np.ndarray) -> Catalogue:
        """Return the clusters that a mask or index picks."""
        return Catalogue(**{name: value[rows] for name, value in vars(self).items()})


def read_catalogue(folder: Path) -> Catalogue:
    """Join photometry and colour-magnitude fits; zeros mean that there is no fit.

    The catalogue gives a magnitude only above 3 sigma, but for every cluster the significance and
    the magnitude of 3 sigma, whose product is the flux (zero where it was not positive).
    """
    from astropy.table import Table, join

    photometry = Table.read(folder / "phat_ap_clusters_v4.fits")
    fits = Table.read(folder / "phat_cmd_fits_709.txt", format="ascii")
    fits.rename_column("APID", "ID")
    both = join(photometry, fits, keys="ID")

    def column(name: str) -> np.ndarray:
        return np.ma.filled(np.ma.asarray(both[name]).astype(float), np.nan)

    numbers = [name[1:4] for name in BANDS]
    limits = np.column_stack([column(f"SKYMAG3SIG{n}") for n in numbers])
    significance = np.column_stack([column(f"DETSIG{n}") for n in numbers])
    noise = 10 ** (-0.4 * limits) / 3
    catalogue = Catalogue(
        log_age=column("cmd_logAge_best"),
        log_mass=column("cmd_logMass_best"),
        a_v=column("cmd_Av_best"),
        radius=column("APRAD"),
        half_light=column("HLRAD"),
        flux=significance * noise,
        noise=noise,
        preferred=np.asarray(both["Best_method"]) == "M",
        of_light=np.column_stack([column(f"int_{n}_E") for n in ("logAge", "logMass", "Av")]),
    )
    fitted = (catalogue.log_age > 0) & (catalogue.log_mass > 0)
    return catalogue.select(fitted & np.isfinite(catalogue.half_light))


def light_against_fits(folder: Path) -> dict[str, list[float]]:
    """What the table's fits of the integrated light find less its colour-magnitude fits.

    Returns
    -------
    dict of str to list of float
        For every bin of the latter's age: clusters, share for which the table prefers the
        colour-magnitude fit, and the median differences of log age, log mass and A_V.
    """
    from astropy.table import Table

    fits = Table.read(folder / "phat_cmd_fits_709.txt", format="ascii")
    age = np.asarray(fits["cmd_logAge_best"])
    differences = {}
    for low, high in pairwise(AGE_EDGES):
        rows = (age > low) & (age < high) & (np.asarray(fits["int_logAge_E"]) > 0)
        medians = [
            float(np.median((fits[f"int_{name}_E"] - fits[f"cmd_{name}_best"])[rows]))
            for name in ("logAge", "logMass", "Av")
        ]
        share = float(np.mean(np.asarray(fits["Best_method"])[rows] == "M"))
        differences[f"{low + 0.05:.1f}-{high - 0.05:.1f}"] = [int(rows.sum()), share, *medians]
    return differences


class Sky:
    """Simulates catalogued clusters and measures them as the catalogue does.

    Parameters
    ----------
    survey : Survey
        Six bands.
    grid : IsochroneGrid, optional
        Other isochrones than the embedded ones.
    """

    def __init__(self, survey: Survey, *, grid: IsochroneGrid | None = None) -> None:
        self.survey, self.grid = survey, grid
        self.passbands = [load_passband(band.filter) for band in survey.bands]
        self.ab_zero_points = [band.zero_point_ab for band in survey.bands]
        self.vega = np.array([passband.vega_minus_ab for passband in self.passbands])
        self._renderers: dict[int, Renderer] = {}

    def simulate(
        self, catalogue: Catalogue, n_each: int, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fluxes (1 is Vega magnitude 0) of simulated clusters, without noise.

        Returns
        -------
        measured : ndarray, shape (n, n_each, band)
            Of simulated clusters, in the catalogue's apertures.
        expected : ndarray, shape (n, band)
            Of fully populated clusters of the same mass: the average of very many.
        """
        generator = torch.Generator().manual_seed(seed)
        table = build_table(
            self.passbands,
            metallicities=[METALLICITY],
            a_v=(0.0, float(catalogue.a_v.max())),
            grid=self.grid,
        )
        expected = self._expected(table, catalogue)
        return self._measured(table, catalogue, n_each, generator), expected

    def _expected(self, table: StellarTable, part: Catalogue) -> np.ndarray:
        magnitudes = [
            table.integrated_magnitudes(age, METALLICITY, 10**mass, a_v=a_v)
            for age, mass, a_v in zip(
                np.clip(part.log_age, *table.log_age[[0, -1]]), part.log_mass, part.a_v, strict=True
            )
        ]
        vega = np.array(magnitudes) + self.survey.distance_modulus + self.vega
        return 10 ** (-0.4 * vega)

    def _measured(
        self, table: StellarTable, part: Catalogue, n_each: int, generator: torch.Generator
    ) -> np.ndarray:
        stars = StarSampler(
            table,
            unit_magnitude=[zp - self.survey.distance_modulus for zp in self.ab_zero_points],
            flux_limit=[0.02] * len(BANDS),  # e-/s: 30 mag; below it, light may be shared out
        )
        flux = np.empty((len(part), n_each, len(BANDS)))
        scale = self.survey.pixel_scale_arcsec
        radius_px = part.radius / scale
        size = 16 * np.ceil((2 * radius_px + 2) / 16).astype(int)
        profile = scale_radius(part) / scale
        age = np.abs(table.log_age - part.log_age[:, None]).argmin(1)
        for rows, side in batches(np.repeat(size, n_each)):
            cluster = rows // n_each
            mean = torch.as_tensor(10 ** part.log_mass[cluster] / KROUPA2001.mean_mass)
            count = torch.poisson(mean, generator=generator).clamp_(min=1)
            drawn = stars.draw(
                torch.as_tensor(age[cluster]),
                count,
                generator=generator,
                a_v=torch.as_tensor(part.a_v[cluster]),
                compute_truth=False,
            )
            a = torch.as_tensor(profile[cluster], dtype=torch.float32)[drawn.population]
            cut = torch.as_tensor(radius_px[cluster], dtype=torch.float32)[drawn.population]
            position = positions(a, cut, generator=generator) + side // 2
            renderer = self._renderer(int(side))
            grids = renderer.empty(len(rows))
            renderer.scatter(grids, drawn.population, position, drawn.flux)
            images = renderer.convolve(grids).numpy()
            flux[cluster, rows % n_each] = aperture_flux(
                images, x=side // 2, y=side // 2, radius_px=radius_px[cluster]
            )
        zero_points = np.array(self.ab_zero_points) + self.vega
        return flux * 10 ** (-0.4 * zero_points)

    def _renderer(self, side: int) -> Renderer:
        if side not in self._renderers:
            self._renderers[side] = Renderer(self.survey, size=side, pad=8)
        return self._renderers[side]


def batches(size: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Rows of equal stamp size, a few at a time: fewer where the stamps are large."""
    for side in np.unique(size):
        rows = np.flatnonzero(size == side)
        at_once = max(1, int(STAMPS_AT_ONCE * (48 / side) ** 2))
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once], int(side)


def scale_radius(part: Catalogue) -> np.ndarray:
    """Scale radii (arcsec) of EFF profiles that end at the aperture.

    The catalogue's radius holds half of the light inside the aperture; the PSF is taken out of it
    in quadrature. The scale follows by bisection.
    """
    half = np.sqrt(np.maximum(part.half_light**2 - PSF_HALF_LIGHT_ARCSEC**2, 0.05**2))
    half = np.minimum(half, 0.68 * part.radius)  # a flat profile has 0.71
    low, high = np.full(len(half), 1e-3), np.full(len(half), 1e3)
    for _ in range(60):
        middle = np.sqrt(low * high)
        share = inside(half / middle) / inside(part.radius / middle)
        low, high = np.where(share > 0.5, middle, low), np.where(share > 0.5, high, middle)
    return np.sqrt(low * high)


def inside(radius: np.ndarray) -> np.ndarray:
    """Share of an EFF profile's light within radii given in scale radii."""
    return 1 - (1 + radius**2) ** (0.5 * (2 - GAMMA))


def positions(
    scale: torch.Tensor, cut: torch.Tensor, *, generator: torch.Generator
) -> torch.Tensor:
    """Draw x and y, (2, n), from EFF profiles that end at `cut`."""
    u, turn = torch.rand((2, len(scale)), generator=generator)
    share = 1 - (1 + (cut / scale) ** 2) ** (0.5 * (2 - GAMMA))
    left = (1 - u * share).clamp_min(1e-30)
    radius = scale * (left ** (2 / (2 - GAMMA)) - 1).clamp_min(0).sqrt()
    angle = 2 * math.pi * turn
    return torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)))


@dataclass(frozen=True)
class Comparison:
    """Real minus simulated magnitudes, (n, n_each, band); infinite where one has no light.

    `null` holds the differences between simulated twins; `counted`, (n, band), which clusters are
    bright enough in a band.
    """

    catalogue: Catalogue
    difference: np.ndarray
    null: np.ndarray
    counted: np.ndarray

    def colour(self, blue: int, red: int) -> Comparison:
        """Difference of a colour, with both bands counted."""
        with np.errstate(invalid="ignore"):
            parts = [d[..., blue] - d[..., red] for d in (self.difference, self.null)]
        counted = self.counted[:, blue] & self.counted[:, red]
        return Comparison(
            self.catalogue, parts[0][..., None], parts[1][..., None], counted[:, None]
        )

    def offset(self, rows: np.ndarray, band: int) -> dict[str, float]:
        """Median and robust scatter over clusters."""
        rows = rows & self.counted[:, band]
        values, null = self.difference[rows, :, band], self.null[rows, :, band]
        values, null = values[~np.isnan(values)], null[np.isfinite(null)]
        n = int(rows.sum())
        if n < 5:
            return {"n": n, "median": np.nan, "error": np.nan, "scatter": np.nan, "expected": 0.0}
        median = float(np.median(values))
        with np.errstate(invalid="ignore"):
            scatter = float(robust_scatter(values))
        return {
            "n": n,
            "median": median,
            "error": 1.2533 * scatter / math.sqrt(n),
            "scatter": scatter,
            "expected": 1.4826 * float(np.median(np.abs(null))),
        }


@dataclass(frozen=True)
class FieldNoise:
    """What simulated star fields leave in an aperture after their sky is subtracted.

    Attributes
    ----------
    log_noise : ndarray, (n, band)
        log10 of each patch's sky noise as a catalogue estimates it: the scatter of ten rings of
        the aperture's area around it. Flux 1 is Vega magnitude 0.
    residual : ndarray, (n, band)
        Flux in the aperture less the ring's mean, in units of that noise.
    """

    log_noise: np.ndarray
    residual: np.ndarray

    @classmethod
    def simulate(cls, sky: Sky, *, seed: int) -> FieldNoise:
        """Measure many empty apertures of the median radius on star fields of all densities."""
        generator = torch.Generator().manual_seed(seed)
        stars = StarSampler(
            build_table(sky.passbands, a_v=FIELD_AV),
            unit_magnitude=[zp - sky.survey.distance_modulus for zp in sky.ab_zero_points],
            flux_limit=[0.02] * len(BANDS),
        )
        renderer = Renderer(sky.survey, size=FIELD_SIZE, pad=0)
        parts = []
        for density in FIELD_DENSITIES:
            shape = (FIELD_SIZE, FIELD_SIZE)
            grid = draw_field(sky.survey, stars, density, shape_px=shape, generator=generator)
            parts.append(cls._patches(renderer.convolve(grid[None])[0].numpy()))
        noise, residual = (np.concatenate(part) for part in zip(*parts, strict=True))
        zero_points = np.array(sky.ab_zero_points) + sky.vega
        return cls(np.log10(noise) - 0.4 * zero_points, residual / noise)

    @staticmethod
    def _patches(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Noise and residual, each (n, band), of apertures on a grid of places."""
        half = math.ceil(FIELD_APERTURE_PX * SKY_RING[1]) + 1
        places = np.arange(half, image.shape[-1] - half, FIELD_APERTURE_PX)
        radii = FIELD_APERTURE_PX * np.sqrt(np.arange(11) + SKY_RING[0] ** 2)  # equal areas
        corners = [(y - half, x - half) for y in places for x in places]
        stamps = np.stack(
            [image[:, y : y + 2 * half + 1, x : x + 2 * half + 1] for y, x in corners]
        )
        discs = np.stack(
            [
                aperture_flux(stamps, x=half, y=half, radius_px=radius)
                for radius in (FIELD_APERTURE_PX, *radii)
            ]
        )
        rings = np.diff(discs[1:], axis=0)  # (10, n, band)
        return rings.std(axis=0, ddof=1), discs[0] - rings.mean(axis=0)

    def draw(self, noise: np.ndarray, n_each: int, rng: np.random.Generator) -> np.ndarray:
        """Residuals (n, n_each, band) from patches whose noise resembles the catalogue's (n, band).

        The patches are those nearest in the noise of F475W and F814W.
        """
        with np.errstate(invalid="ignore"):
            wanted = np.log10(noise[:, 2:4])
        wanted = np.where(np.isfinite(wanted), wanted, np.nanmedian(wanted, axis=0))
        away = ((wanted[:, None] - self.log_noise[None, :, 2:4]) ** 2).sum(-1)  # (n, patch)
        near = np.argpartition(away, FIELD_NEIGHBOURS, axis=1)[:, :FIELD_NEIGHBOURS]
        pick = rng.integers(FIELD_NEIGHBOURS, size=(len(noise), n_each))
        chosen = np.take_along_axis(near, pick, axis=1)
        residual: np.ndarray = self.residual[chosen] * noise[:, None]
        return residual


def compare(
    catalogue: Catalogue,
    simulation: tuple[np.ndarray, np.ndarray],
    *,
    field: FieldNoise | None,
    seed: int,
) -> Comparison:
    """Add sky noise (of a field of stars, or Gaussian) to simulated fluxes, and subtract."""
    measured, expected = simulation
    rng = np.random.default_rng(seed)
    if field is None:
        noise = catalogue.noise[:, None] * rng.standard_normal(measured.shape)
    else:
        noise = field.draw(catalogue.noise, measured.shape[1], rng)

    def magnitude(flux: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(flux <= 0, np.inf, -2.5 * np.log10(flux))

    with np.errstate(invalid="ignore"):
        simulated = magnitude(measured + noise)
        difference = magnitude(catalogue.flux)[:, None] - simulated
        null = simulated - np.roll(simulated, 1, axis=1)
        counted = (expected > PREDICTED_SNR * catalogue.noise) & np.isfinite(catalogue.flux)
    return Comparison(catalogue, difference, null, counted)


def age_bins(catalogue: Catalogue) -> dict[str, np.ndarray]:
    """Masks of the bins of age, and of all ages, by label."""
    age = catalogue.log_age
    bins = {
        f"{low + 0.05:.1f}-{high - 0.05:.1f}": (age > low) & (age < high)
        for low, high in pairwise(AGE_EDGES)
    }
    return bins | {"all": np.ones(len(catalogue), dtype=bool)}


def tabulate(comparison: Comparison) -> dict[str, dict[str, dict[str, float]]]:
    """Offsets by age and by band or colour."""
    table = {}
    for label, rows in age_bins(comparison.catalogue).items():
        table[label] = {name: comparison.offset(rows, i) for i, name in enumerate(BANDS)}
        for blue, red in COLOURS:
            name = f"{BANDS[blue]}-{BANDS[red]}"
            table[label][name] = comparison.colour(blue, red).offset(rows, 0)
    return table


def aperture_losses(catalogue: Catalogue) -> np.ndarray:
    """Light (mag) that apertures and rings miss if a fit's mass is of the whole cluster.

    The whole cluster then follows an EFF profile with the catalogue's half-light radius.
    """
    half = np.sqrt(np.maximum(catalogue.half_light**2 - PSF_HALF_LIGHT_ARCSEC**2, 0.05**2))
    aperture = catalogue.radius / half * math.sqrt(2 ** (2 / (GAMMA - 2)) - 1)
    low, high = SKY_RING
    ring = (inside(high * aperture) - inside(low * aperture)) / (high**2 - low**2)
    losses: np.ndarray = -2.5 * np.log10(inside(aperture) - ring)
    return losses


def mass_definitions() -> dict[str, float]:
    """Magnitudes by which clusters of one mass get brighter when it counts other stars.

    The light of a cluster is that of its stars above 1 Msun, whose number a fit fixes.
    """

    def mass_per_bright_star(imf: BrokenPowerLaw) -> float:
        return imf.mean_mass / (1 - float(imf.cdf(1.0)))

    ours = mass_per_bright_star(KROUPA2001)
    others = {
        "0.1-100 Msun": BrokenPowerLaw((0.1, 0.5, 100.0), (1.3, 2.3)),
        "0.01-300 Msun, with brown dwarfs": BrokenPowerLaw(
            (0.01, 0.08, 0.5, 300.0), (0.3, 1.3, 2.3)
        ),
        "0.1-100 Msun, slope 2.3 throughout": BrokenPowerLaw((0.1, 100.0), (2.3,)),
    }
    return {
        name: 2.5 * math.log10(ours / mass_per_bright_star(imf)) for name, imf in others.items()
    }


def figure(tables: dict[str, dict], path: Path) -> None:
    """Draw offsets against age for every band (above) and colour (below)."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(14, 6.2), layout="constrained")
    axes = drawing.subplots(2, len(BANDS), sharex=True, sharey="row")
    centres = [0.5 * (low + high) for low, high in pairwise(AGE_EDGES)]
    styles = {"embedded": ("#0072B2", "o", -0.06), "PARSEC": ("#D55E00", "s", 0.06)}
    quantities = [*BANDS, *(f"{BANDS[a]}-{BANDS[b]}" for a, b in COLOURS)]
    for ax, name in zip(axes.ravel(), quantities, strict=False):
        ax.axhspan(-0.15, 0.15, color="0.9", zorder=0)
        ax.axhline(0.0, color="0.6", lw=0.8, zorder=0)
        for model, (colour, marker, shift) in styles.items():
            cells = [tables[model][label][name] for label in list(tables[model])[:-1]]
            x = np.array(centres) + shift
            median, scatter, error = (
                np.array([cell[key] for cell in cells]) for key in ("median", "scatter", "error")
            )
            ax.errorbar(x, median, scatter, fmt="none", ecolor=colour, alpha=0.35, lw=1)
            ax.errorbar(
                x, median, error, fmt=marker, ms=5, color=colour, lw=2.5, label=f"{model} model"
            )
        ax.set_title(name.replace("-", " \N{MINUS SIGN} "), fontsize=10)
    axes[0, 0].set_ylim(2.6, -1.6)
    axes[1, 0].set_ylim(-1.4, 1.4)
    axes[0, 0].set_ylabel("real \N{MINUS SIGN} simulated [mag]")
    axes[1, 0].set_ylabel("real \N{MINUS SIGN} simulated colour [mag]")
    last = axes[1, -1]
    last.set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    last.legend(handles, labels, loc="center", frameon=False)
    for ax in (*axes[1, :-1], axes[0, -1]):
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(r"$\log_{10}(t/\mathrm{yr})$ of the fit")
    drawing.savefig(path, dpi=150)


def report(name: str, table: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print medians, and in brackets the scatter and that between simulated twins."""
    print(f"\n{name}: real - simulated, median (scatter; of simulated twins), clusters")
    for names in (BANDS, [key for key in table["all"] if "-" in key]):
        print("log age  " + "".join(f"{n:>25}" for n in names))
        for label, row in table.items():
            cells = [
                f"{c['median']:8.2f} ({c['scatter']:.2f}; {c['expected']:.2f}) {c['n']:4d}"
                for c in (row[n] for n in names)
            ]
            print(f"{label:9}" + "".join(f"{cell:>25}" for cell in cells))


def main() -> None:
    """Simulate, compare, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shared", type=Path, help="folder with catalogs/ and isochrones/")
    parser.add_argument("--out", type=Path, help="figure")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--each", type=int, default=4, help="simulations of every cluster")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    survey = load_survey(Path(__file__).with_name("phat_six_bands.toml"))
    catalogue = read_catalogue(options.shared / "catalogs")
    preferred, massive = catalogue.preferred, catalogue.log_mass > MASSIVE
    losses = aperture_losses(catalogue.select(preferred))
    print(f"{len(catalogue)} clusters with a colour-magnitude fit; preferred for {preferred.sum()}")
    print("a fit's mass counts the whole cluster, not the aperture's stars: fainter by", end=" ")
    print(", ".join(f"{q:.2f}" for q in np.percentile(losses, [16, 50, 84])), "mag (16, 50, 84 %)")
    for name, change in mass_definitions().items():
        print(f"a fit's mass counts Kroupa stars of {name}: {change:+.2f} mag")
    print("the table's integrated-light fits less its colour-magnitude fits, by age of the latter:")
    for label, (n, share, *medians) in light_against_fits(options.shared / "catalogs").items():
        found = ", ".join(
            f"{name} {m:+.2f}"
            for name, m in zip(("log age", "log mass", "A_V"), medians, strict=True)
        )
        print(f"  {label:9} {n:4.0f} clusters, {share:4.0%} prefer the latter: {found}")
    (parsec,) = read_isochrones([options.shared / "isochrones" / "fsps_parsec_isoc_z0.0200.dat"])
    models = {"embedded": Sky(survey), "PARSEC": Sky(survey, grid=assemble([parsec]))}
    tables: dict[str, dict] = {}
    with torch.inference_mode():
        field = FieldNoise.simulate(models["embedded"], seed=options.seed)
        leftover = ", ".join(f"{m:+.2f}" for m in np.median(field.residual, axis=0))
        print(f"median residual of simulated fields, in units of the noise: {leftover}")
        for name, sky in models.items():
            simulated = sky.simulate(catalogue, options.each, seed=options.seed)
            for label, rows, noise in (
                (name, preferred, field),
                (f"{name}, Gaussian sky", preferred, None),
                (f"{name}, above {10**MASSIVE:.0f} Msun", preferred & massive, field),
                (f"{name}, fits that the table does not prefer", ~preferred, field),
            ):
                chosen = tuple(part[rows] for part in simulated)
                compared = compare(catalogue.select(rows), chosen, field=noise, seed=options.seed)
                tables[label] = tabulate(compared)
                report(label, tables[label])
            other = catalogue.select(preferred).with_fits_of_light()
            compared = compare(
                other,
                sky.simulate(other, options.each, seed=options.seed),
                field=field,
                seed=options.seed,
            )
            label = f"{name}, the same clusters with the fits of their integrated light"
            tables[label] = tabulate(compared)
            report(label, tables[label])
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1) + "\n")
    if options.out:
        figure(tables, options.out)


if __name__ == "__main__":
    main()
