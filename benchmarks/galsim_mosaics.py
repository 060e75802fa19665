"""How a model does on mosaics that Praesepe did not make: GalSim draws every star.

    python benchmarks/galsim_mosaics.py [--model phat] [--isochrones FILE …] [--mosaics 6]
        [--seed 1] [--keep FOLDER]

Only isochrones, spectra and filter curves are Praesepe's, and the isochrones may be others. The
rest is written here: masses by a power law, EFF profiles cut off far out, a field of stars of all
ages with every star in it, an optical PSF with aberrations of GalSim's, photons, sky and read
noise, FITS files in F336W, F475W and F814W. They are measured by `praesepe.predict`, as an
astronomer would. Half of the mosaics have no dust, and the model, where it infers A_V, is told so;
in the others A_V lies between 0 and 2 mag, and so does the prior.

Each line is as in `benchmarks/other_simulators.py`, without the last figure: bias, scatter and
coverage of the 68 % interval of age, mass and size, for ages up to 3 Gyr and 250 to 4000 Msun, and
the coverage above 1000 Msun. About 20 s a mosaic of 81 clusters on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from astropy.table import Table, vstack
from scipy.signal import fftconvolve

from praesepe import Estimator, Survey, load_survey, predict
from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.stars.assembly import assemble
from praesepe.stars.curves import band_curve
from praesepe.stars.magnitudes import StellarTable, build_table
from praesepe.stars.readers import read_isochrones
from praesepe.statistics import bias, robust_scatter

SIZE, STEP, FINER = 1000, 100, 4
"""Pixels of a mosaic, between its clusters, and of the fine grid in a pixel."""

DISTANCE_PC, SCALE = 785_000.0, 0.05
MASSES = (0.08, 120.0)
FAINTEST_DRAWN = 26.0
"""AB magnitude; fainter stars lie in the middle of a pixel of the fine grid."""

PSF_SIDE, STAR_SIDE = 161, 41
"""Pixels of a PSF's image, and of the part that is drawn for a star of average light."""

END = 15.0

BRIGHT = 21.0
"""AB magnitude above which a star is drawn with all of its PSF."""


def kroupa(rng: np.random.Generator, n: int) -> np.ndarray:
    """Masses (n,) of Kroupa's (2001) mass function, by rejection from its upper power law."""
    low, high = MASSES
    drawn: list[np.ndarray] = []
    while sum(map(len, drawn)) < n:
        u = rng.random(2 * n + 64)
        mass = (low**-1.3 + u * (high**-1.3 - low**-1.3)) ** (-1 / 1.3)
        kept = rng.random(len(mass)) < np.minimum(1.0, mass / 0.5)
        drawn.append(mass[kept])
    return np.concatenate(drawn)[:n]


MEAN_MASS = float(kroupa(np.random.default_rng(0), 400_000).mean())


def magnitudes(table: StellarTable, age: int, mass: np.ndarray, a_v: float) -> np.ndarray:
    """Apparent AB magnitudes (n, band) of stars that shine; the others are left out."""
    initial, light = table.initial_mass[age, 0], 10 ** (-0.4 * table.magnitudes(a_v)[age, 0])
    living = mass <= table.max_living_mass[age, 0]
    found = np.stack([np.interp(mass[living], initial, band) for band in light.T], 1)
    found = found[(found > 0).all(axis=1)]
    return np.asarray(-2.5 * np.log10(found) + 5 * np.log10(DISTANCE_PC / 10))


def telescope(wavelength_nm: float, rng: np.random.Generator) -> np.ndarray:
    """A PSF on the fine grid: aberrated optics, diffusion, a faint halo and both pixels."""
    waves = 550 / wavelength_nm
    optics = galsim.OpticalPSF(
        lam=wavelength_nm,
        diam=2.4,
        obscuration=0.33,
        nstruts=4,
        strut_thick=0.011,
        defocus=waves * rng.normal(0, 0.02),
        coma1=waves * rng.normal(0, 0.02),
        coma2=waves * rng.normal(0, 0.02),
        astig1=waves * rng.normal(0, 0.02),
        spher=waves * -0.02,
    )
    core = galsim.Convolve(
        optics, galsim.Gaussian(sigma=0.034), galsim.Pixel(0.045), galsim.Pixel(SCALE)
    )
    psf = 0.95 * core + 0.05 * galsim.Moffat(beta=2.5, half_light_radius=0.35)
    side = PSF_SIDE * FINER + 1  # odd: a star lies in its middle
    drawn = psf.drawImage(nx=side, ny=side, scale=SCALE / FINER, method="no_pixel").array
    return np.asarray(drawn / drawn.sum(), dtype=float)


def draw(stars: np.ndarray, xy: np.ndarray, fine_psf: np.ndarray) -> np.ndarray:
    """Light (y, x) of stars of AB magnitudes (n,) at zero-based pixels (n, 2), zero point 0."""
    flux, bright = 10 ** (-0.4 * stars), stars < FAINTEST_DRAWN
    grid = np.zeros((SIZE * FINER, SIZE * FINER))
    cell = np.floor((xy[~bright] + 0.5) * FINER).astype(int)
    inside = ((cell >= 0) & (cell < SIZE * FINER)).all(axis=1)
    np.add.at(grid, tuple(cell[inside, ::-1].T), flux[~bright][inside])
    smooth = fftconvolve(grid, fine_psf * FINER**2, mode="same")
    # The middle of a pixel lies between two of the fine grid's.
    half = FINER // 2
    at = [smooth[half - i :: FINER, half - j :: FINER] for i in (0, 1) for j in (0, 1)]
    image = galsim.Image(np.mean(at, axis=0), xmin=0, ymin=0, scale=SCALE)
    psf = galsim.InterpolatedImage(
        galsim.Image(fine_psf), scale=SCALE / FINER, normalization="flux", x_interpolant="lanczos5"
    )
    for light, magnitude, (x, y) in zip(flux[bright], stars[bright], xy[bright], strict=True):
        side = PSF_SIDE - 2 if magnitude < BRIGHT else STAR_SIDE
        stamp = galsim.ImageD(side, side, scale=SCALE)
        stamp.setCenter(round(float(x)), round(float(y)))
        psf.withFlux(light).drawImage(
            stamp, center=galsim.PositionD(float(x), float(y)), method="no_pixel"
        )
        common = stamp.bounds & image.bounds
        if common.isDefined():
            image[common] += stamp[common]
    return np.asarray(image.array)


def clusters(table: StellarTable, rng: np.random.Generator, *, dusty: bool) -> Table:
    """Parameters of clusters on a grid of places."""
    places = np.arange(STEP, SIZE - STEP / 2, STEP)
    x, y = (axis.ravel() + rng.uniform(-5, 5, axis.size) for axis in np.meshgrid(places, places))
    n = len(x)
    ages = np.flatnonzero((table.log_age >= 6.8) & (table.log_age <= 9.45))
    return Table(
        {
            "id": np.arange(n),
            "x": x,
            "y": y,
            "age": rng.choice(ages, n),
            "log_mass": rng.uniform(2.4, 4.0, n),
            "log_rh": rng.uniform(-1.1, -0.2, n),
            "gamma": rng.uniform(2.4, 4.0, n),
            "a_v": rng.uniform(0, 2, n) if dusty else np.zeros(n),
        }
    )


def eff_radii(truth: Any, rng: np.random.Generator, n: int) -> np.ndarray:
    """Projected radii (n,) in pixels of stars in an EFF profile that ends at `END` core radii."""
    power = 1 - truth["gamma"] / 2
    within = 1 - (1 + END**2) ** power  # share of the endless profile
    half, share = 0.5 * within, within * rng.random(n)
    core = 10 ** truth["log_rh"] / SCALE / np.sqrt((1 - half) ** (1 / power) - 1)
    return np.asarray(core * np.sqrt((1 - share) ** (1 / power) - 1))


def cluster_stars(
    truth: Any, table: StellarTable, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Magnitudes (n, band) and pixels (n, 2) of the stars of a cluster, and its mass."""
    wanted = 10 ** truth["log_mass"]
    mass = kroupa(rng, int(2 * wanted / MEAN_MASS) + 50)
    mass = mass[: int(np.searchsorted(mass.cumsum(), wanted)) + 1]
    stars = magnitudes(table, truth["age"], mass, truth["a_v"])
    radius, angle = eff_radii(truth, rng, len(stars)), rng.uniform(0, 2 * np.pi, len(stars))
    xy = np.stack((truth["x"] + radius * np.cos(angle), truth["y"] + radius * np.sin(angle)), 1)
    return stars, xy, float(mass.sum())


def field_stars(table: StellarTable, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A field with a constant rate of star formation, each age behind dust of its own."""
    parsec = SIZE * SCALE / 206_265 * DISTANCE_PC
    total = 10 ** rng.uniform(0.7, 2.0) * parsec**2
    ages = np.flatnonzero((table.log_age >= 6.6) & (table.log_age <= 10.1))[::2]
    share = 10 ** table.log_age[ages]
    numbers = rng.poisson(total * share / share.sum() / MEAN_MASS)
    parts = [
        magnitudes(table, age, kroupa(rng, n), rng.uniform(0, 0.3) if table.a_v[1] else 0.0)
        for age, n in zip(ages, numbers, strict=True)
        if n
    ]
    stars = np.concatenate(parts)
    return stars, rng.uniform(-20, SIZE + 20, (len(stars), 2))


def expose(light: np.ndarray, band: Any, rng: np.random.Generator) -> np.ndarray:
    """Electrons a second of one band, its sky subtracted."""
    sky = rng.uniform(*band.sky_e_s)
    expected = (light * 10 ** (0.4 * band.zero_point_ab) + sky + band.dark_e_s) * band.exposure_s
    noise = rng.normal(0, band.read_noise_e * np.sqrt(band.n_exposures), light.shape)
    return np.asarray((rng.poisson(np.maximum(expected, 0)) + noise) / band.exposure_s - sky)


def make_mosaic(
    survey: Survey, table: StellarTable, folder: Path, seed: int, *, dusty: bool
) -> tuple[dict[str, Path], Table]:
    """Write the images and the truth, unless they are there; return both."""
    files = {band.name: folder / f"{band.name.lower()}_{seed}.fits" for band in survey.bands}
    known = folder / f"truth_{seed}.ecsv"
    if known.exists():
        return files, Table.read(known)
    rng = np.random.default_rng(seed)
    truth = clusters(table, rng, dusty=dusty)
    stars, places = zip(field_stars(table, rng), strict=True)
    all_stars, all_xy, masses = list(stars), list(places), []
    for row in truth:
        magnitude, xy, mass = cluster_stars(row, table, rng)
        all_stars.append(magnitude)
        all_xy.append(xy)
        masses.append(mass)
    truth["log_mass"] = np.log10(masses)
    truth["log_age"] = table.log_age[truth["age"]]
    magnitude, xy = np.concatenate(all_stars), np.concatenate(all_xy)
    wcs = mosaic_wcs(survey, SIZE)
    for i, band in enumerate(survey.bands):
        psf = telescope(band_curve(band).pivot_angstrom / 10, rng)
        image = expose(draw(magnitude[:, i], xy, psf), band, rng)
        mosaic_hdus(image, band, wcs, survey).writeto(files[band.name], overwrite=True)
    truth["ra"], truth["dec"] = wcs.pixel_to_world_values(truth["x"], truth["y"])
    truth.write(known)
    return files, truth


def measured(model: Estimator, files: dict[str, Path], truth: Table, *, dusty: bool) -> Table:
    """What a model says of the clusters, told whether there is dust."""
    asked: dict[str, Any] = {}
    if "a_v" in model.infers:
        asked = {"prior": {"a_v": "uniform:0:2"}} if dusty else {"known": {"a_v": 0.0}}
    names = [condition.name for condition in model.card.conditions]
    if "log_distance" in names:
        asked["known"] = asked.get("known", {}) | {"log_distance": float(np.log10(DISTANCE_PC))}
    if "foreground_a_v" in names:
        asked["known"] = asked.get("known", {}) | {"foreground_a_v": 0.0}
    return predict(model, files, truth["id", "ra", "dec"], seed=1, **asked).table


def line(found: Table) -> str:
    """Bias, scatter and coverage of each quantity, and the coverage above 1000 Msun."""
    cells = []
    for name in ("log_age", "log_mass", "log_rh"):
        column, log = ("rh_arcsec", np.log10) if name == "log_rh" else (name, np.asarray)
        low, median, high = (log(found[f"{column}_p{p}"]) for p in (16, 50, 84))
        true = found[f"{name}_true"]
        used = (found["log_mass_true"] >= 2.398) & (found["log_mass_true"] <= 3.602)
        heavy = found["log_mass_true"] >= 3
        inside = (low <= true) & (true <= high)
        off = (median - true)[used]
        cells.append(
            f"{bias(off):+.3f}/{robust_scatter(off):.3f}/{inside[used].mean():.2f} "
            f"{inside[heavy].mean():.2f}"
        )
    return " | ".join(cells) + f"  ({int(used.sum())} clusters)"


def main() -> None:
    """Print a line without dust, and one with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["phat"])
    parser.add_argument("--isochrones", type=Path, nargs="+", help="default: the embedded ones")
    parser.add_argument("--mosaics", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, help="folder that keeps the mosaics; those in it are not drawn again"
    )
    options = parser.parse_args()
    survey = load_survey("phat-nodust")
    grid = assemble(read_isochrones(options.isochrones)) if options.isochrones else None
    passbands = [band_curve(band) for band in survey.bands]
    table = build_table(passbands, grid=grid, metallicities=[0.02], a_v=(0.0, 2.0))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for dusty in (False, True):
            seeds = range(options.seed + dusty, options.seed + options.mosaics, 2)
            made = [make_mosaic(survey, table, folder, s, dusty=dusty) for s in seeds]
            for name in options.model:
                model, found = Estimator.load(name), []
                for files, truth in made:
                    table_of = measured(model, files, truth, dusty=dusty)
                    for quantity in ("log_age", "log_mass", "log_rh"):
                        table_of[f"{quantity}_true"] = truth[quantity]
                    found.append(table_of)
                what = f"{name}, {'A_V 0-2' if dusty else 'no dust'}"
                print(f"{what}: {line(vstack(found, metadata_conflicts='silent'))}", flush=True)


if __name__ == "__main__":
    main()
