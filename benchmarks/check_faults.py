"""What `praesepe check` says of clean mosaics, and of mosaics with one fault each.

python benchmarks/check_faults.py [--clean 20] [--faulty 2] [--model phat]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from astropy.io import fits
from scipy.ndimage import gaussian_filter, shift

import praesepe

SIZE = 768
Images = dict[str, fits.HDUList]


def each(change: Callable[[np.ndarray], np.ndarray], *bands: str) -> Callable[[Images], None]:
    """A change of the pixels of some bands, or of all."""

    def apply(images: Images) -> None:
        for band in bands or images:
            images[band]["SCI"].data = change(images[band]["SCI"].data).astype(np.float32)

    return apply


def swap(one: str, other: str) -> Callable[[Images], None]:
    """The pixels of two bands exchanged."""

    def apply(images: Images) -> None:
        first, second = (images[band]["SCI"] for band in (one, other))
        first.data, second.data = second.data, first.data

    return apply


def wrong_scale(images: Images) -> None:
    """Pixels of 0.04 arcsec by the header."""
    for hdus in images.values():
        for key in ("CDELT1", "CDELT2"):
            hdus["SCI"].header[key] *= 0.8


def half_exposure(survey: praesepe.Survey) -> praesepe.Survey:
    """The survey with half the exposure of each band."""
    bands = [band.model_copy(update={"exposure_s": band.exposure_s / 2}) for band in survey.bands]
    return survey.with_values(observation={"bands": bands})


def faults(names: tuple[str, ...]) -> dict[str, Callable[[Images], None]]:
    """What is done to the images, by name."""
    middle, last = names[1], names[-1]
    found = {
        "sky +0.25 e-/s": each(lambda a: a + 0.25, last),
        "sky gradient": each(lambda a: a + np.linspace(0, 0.5, len(a))[:, None], middle),
        "blur 1 px": each(lambda a: gaussian_filter(a, 1.0), middle),
        "blur 1 px, all": each(lambda a: gaussian_filter(a, 1.0)),
        "swapped": swap(middle, last),
        "pixel scale": wrong_scale,
    }
    for band in names:
        found[f"shift 0.3 px {band}"] = each(lambda a: shift(a, (0.3, 0), order=5), band)
        found[f"zero point 0.15 mag {band}"] = each(lambda a: a * 10**-0.06, band)
    return found


def main() -> None:
    """Print a line for every mosaic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--faulty", type=int, default=2)
    parser.add_argument("--model", default="phat")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model = praesepe.Estimator.load(options.model)
    alarms = 0
    for seed in range(options.clean):
        sky = praesepe.simulate_mosaic(model.survey, n=20, size=SIZE, seed=100 + seed)
        said = praesepe.check(model, sky.images, sky.truth).faults
        alarms += bool(said)
        print(f"clean {seed}: {said}", flush=True)
    print(f"{alarms} of {options.clean} clean mosaics have a false alarm")
    for seed in range(options.faulty):
        settings = {"n": 20, "size": SIZE, "seed": 100 + seed, "nuisances": False}
        sky = praesepe.simulate_mosaic(model.survey, **settings)
        for name, change in faults(model.survey.band_names).items():
            images = {
                band: fits.HDUList([one.copy() for one in hdus])
                for band, hdus in sky.images.items()
            }
            change(images)
            print(f"{name}, {seed}: {praesepe.check(model, images).faults}", flush=True)
        short = praesepe.simulate_mosaic(half_exposure(model.survey), **settings)
        print(f"half exposure, {seed}: {praesepe.check(model, short.images).faults}", flush=True)


if __name__ == "__main__":
    main()
