"""How often `praesepe check` is wrong about clean mosaics, and finds each of many faults.

python benchmarks/check_faults.py [--clean 40] [--faulty 8] [--seed 4000] [--model phat]

Mosaics are those of `praesepe mosaic` by default, but smaller; each fault is injected into the
first of them. About 4 s for a clean mosaic, and 20 s for one with all faults, on one core.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
from astropy.io import fits
from scipy.ndimage import fourier_shift, gaussian_filter, map_coordinates

import praesepe
from praesepe.inference.check import measured
from praesepe.inference.check.background import Plane, measure_plane
from praesepe.mocks import mosaics
from praesepe.sky.instrument import render
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Band

SIZE = 768
Images = dict[str, fits.HDUList]
Change = Callable[[Images], None]


def each(change: Callable[[np.ndarray], np.ndarray], *bands: str) -> Change:
    """A change of the pixels of some bands, or of all."""

    def apply(images: Images) -> None:
        for band in bands or images:
            images[band]["SCI"].data = change(images[band]["SCI"].data).astype(np.float32)

    return apply


def swap(one: str, other: str) -> Change:
    """The pixels of two bands exchanged."""

    def apply(images: Images) -> None:
        first, second = (images[band]["SCI"] for band in (one, other))
        first.data, second.data = second.data, first.data

    return apply


def scaled(factor: float) -> Change:
    """Pixels of another size by the header."""

    def apply(images: Images) -> None:
        for hdus in images.values():
            for key in ("CDELT1", "CDELT2"):
                hdus["SCI"].header[key] *= factor

    return apply


def moved(image: np.ndarray) -> np.ndarray:
    """A shift that leaves the noise as it is."""
    return np.fft.ifft2(fourier_shift(np.fft.fft2(image), (0.3, 0))).real


def eaten(image: np.ndarray) -> np.ndarray:
    """An image less its background in meshes of 25 px, as clusters are lost by."""
    size = image.shape[0] // 25 * 25
    meshes = image[:size, :size].reshape(size // 25, 25, -1, 25).swapaxes(1, 2)
    levels = np.median(meshes.reshape(*meshes.shape[:2], -1), axis=-1)
    places = (np.arange(image.shape[0]) - 12) / 25
    grid = np.meshgrid(places, places, indexing="ij")
    return image - map_coordinates(levels, grid, order=3, mode="nearest")


def half_exposure(survey: praesepe.Survey) -> praesepe.Survey:
    """The survey with half the exposure of each band."""
    bands = [band.model_copy(update={"exposure_s": band.exposure_s / 2}) for band in survey.bands]
    return survey.with_values(observation={"bands": bands})


def faults(survey: praesepe.Survey) -> dict[str, tuple[Change, str]]:
    """What is done to the images, and what it is to be called, by name."""
    found: dict[str, tuple[Change, str]] = {}
    for band in survey.bands:
        name, sky = band.name, band.sky_e_s[1]
        slope = np.linspace(0, 5 * sky, SIZE)[:, None]
        found |= {
            f"sky, {name}": (each(partial(np.add, 3 * sky), name), "sky level"),
            f"gradient, {name}": (each(partial(np.add, slope), name), "sky gradient"),
            f"blur of 1 px, {name}": (each(partial(gaussian_filter, sigma=1.0), name), "blur"),
            f"background of 25 px, {name}": (each(eaten, name), "background"),
            f"shift of 0.3 px, {name}": (each(moved, name), "registration"),
            f"zero point +0.15 mag, {name}": (each(lambda a: a * 10**-0.06, name), "zero point"),
            f"zero point -0.15 mag, {name}": (each(lambda a: a * 10**0.06, name), "zero point"),
        }
    found["blur of 1 px, all"] = (each(partial(gaussian_filter, sigma=1.0)), "blur")
    names = survey.band_names
    for one, other in ((0, 1), (0, 2), (1, 2)):
        pair = names[one], names[other]
        found[f"swapped, {' and '.join(pair)}"] = (swap(*pair), "band")
    found["pixel scale 0.04″"] = (scaled(0.8), "pixel scale")
    found["pixel scale 0.0625″"] = (scaled(1.25), "pixel scale")
    return found


def outcome(found: praesepe.inference.check.Check, item: str, name: str) -> str:
    """What became of a fault: named, named with others, unknown, missed or misnamed."""
    said = {(row.item, row.band) for row in found.rows if row.verdict == "wrong"}
    band = name.rpartition(", ")[2]
    right = {
        (i, b) for i, b in said if i == item and (b == band or band not in found.measured.bands)
    }
    if right:
        return "named" if said == right else f"named, with {', '.join(found.faults)}"
    if said:
        return f"misnamed {', '.join(found.faults)}"
    unknown = {(row.item, row.band) for row in found.rows if row.verdict == "unknown"}
    return "unknown" if (item, band) in unknown else "missed"


def share() -> None:
    """Make tables, samplers of stars and PSFs once for a survey, and look at a band only once."""
    build, make, draw, known = SurveyTables.build, mosaics.Simulator, render._psfs, {}

    def once(key: tuple[object, ...], of: Callable[[], object]) -> object:
        if key not in known:
            known[key] = of()
        return known[key]

    def simulator(survey: praesepe.Survey, *, seed: int, **how: object) -> Simulator:
        key = "simulator", survey.fingerprint(), how["nuisances"]
        return once(key, lambda: make(survey, seed=seed, **how)).another(seed, n_fields=0)

    def tables(survey: praesepe.Survey, **how: object) -> SurveyTables:
        return once(("tables", survey.fingerprint()), lambda: build(survey, **how))

    def psfs(survey: praesepe.Survey, band: Band, half: int) -> np.ndarray:
        key = survey.name, band.name, half, survey.observation.nuisance.focus_nm
        return once(key, lambda: draw(survey, band, half))

    def plane(image: np.ndarray, *where: int, sharpest: float) -> Plane:
        key = hash(image.tobytes()), *where, sharpest
        return once(key, lambda: measure_plane(image, *where, sharpest=sharpest))

    mosaics.Simulator, SurveyTables.build, render._psfs = simulator, tables, psfs
    measured.measure_plane = plane


def main() -> None:
    """Print what is said of every mosaic, then the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=40)
    parser.add_argument("--faulty", type=int, default=8)
    parser.add_argument("--seed", type=int, default=4000)
    parser.add_argument("--model", default="phat")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    share()
    model = praesepe.Estimator.load(options.model)
    short, settings = half_exposure(model.survey), {"n": 14, "size": SIZE}
    alarms, counts = 0, Counter()
    for k in range(options.clean):
        sky = praesepe.simulate_mosaic(model.survey, seed=options.seed + k, **settings)
        said = praesepe.check(model, sky.images, sky.truth).faults
        alarms += bool(said)
        print(f"clean {options.seed + k}: {said}", flush=True)
        if k >= options.faulty:
            continue
        for name, (change, item) in faults(model.survey).items():
            images = {b: fits.HDUList([h.copy() for h in hdus]) for b, hdus in sky.images.items()}
            change(images)
            became = outcome(praesepe.check(model, images), item, name)
            counts[name, became] += 1
            print(f"{name}, {options.seed + k}: {became}", flush=True)
        sky = praesepe.simulate_mosaic(short, seed=options.seed + k, **settings)
        became = outcome(praesepe.check(model, sky.images), "noise", "half exposure")
        counts["half exposure", became] += 1
    print(f"{alarms} of {options.clean} clean mosaics have a false alarm")
    for (name, became), count in counts.items():
        print(f"{name}: {became} {count} of {min(options.clean, options.faulty)}")


if __name__ == "__main__":
    main()
