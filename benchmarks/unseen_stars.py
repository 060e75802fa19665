"""How a model does on clusters of stars, and through optics, that its training has not seen.

    python benchmarks/unseen_stars.py ../shared/data [--models phat phat-nodust] [--n 3000]

PARSEC's isochrones in place of the embedded ones, and the PSFs of TinyTim (ACS) and of measured
stars (WFC3/UVIS) in place of the optical model, with and without dust. The simulator is Praesepe's
own, so this is less than images of others. Each line: median, scatter and coverage of the 68 %
interval, for ages up to 3 Gyr and 250 to 4000 Msun, then above 1000 Msun.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from praesepe import Estimator, Simulator, Survey, load_survey
from praesepe.stars.store import import_isochrones
from praesepe.statistics import (
    CENTRAL_68,
    bias,
    coverage,
    probability_integral_transform,
    robust_scatter,
)

ISOCHRONES = "isochrones/parsec_v1.2S_wfc3_Z0.019.dat"
PSF_FILES = {
    "F336W": {"file": "psf/PSFSTD_WFC3UV_F336W.fits", "file_scale_arcsec": 0.01},
    "F475W": {"file": "psf/ACS_WFC_F475W.fits", "file_scale_arcsec": 0.0495},
    "F814W": {"file": "psf/ACS_WFC_F814W.fits", "file_scale_arcsec": 0.0495},
}


def changed(survey: Survey, data: Path, *, parsec: bool, optics: bool, dusty: bool) -> Survey:
    """The survey with other stars, other PSFs, and A_V of 0 to 2 mag or none."""
    clusters: dict[str, object] = {"a_v": (0.0, 2.0) if dusty else 0.0}
    if parsec:
        clusters |= {"stars": {"isochrones": "parsec"}, "metallicity": 0.019}
    bands = [band.model_dump() for band in survey.bands]
    for band in bands if optics else []:
        settings = PSF_FILES[band["name"]]
        band["psf"] = {**settings, "file": str(data / str(settings["file"]))}
    return survey.with_values(clusters=clusters, observation={"bands": bands})


def main() -> None:
    """Print a line for each model and kind of mocks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="+", default=["phat", "phat-nodust"])
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=401)
    options = parser.parse_args()
    survey = load_survey("phat-nodust")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRAESEPE_DATA"] = folder  # not into the user's own models
        import_isochrones(options.data / ISOCHRONES, name="parsec")
        for dusty in (True, False):
            for parsec, optics in ((False, False), (True, False), (False, True), (True, True)):
                kind = changed(survey, options.data, parsec=parsec, optics=optics, dusty=dusty)
                mocks = Simulator(kind, seed=options.seed).draw(options.n)
                truth = mocks.labels.numpy()
                stars = "PARSEC" if parsec else "SSE"
                what = f"{stars}, {'PSF files' if optics else 'model PSFs'}"
                what += ", A_V 0-2" if dusty else ", no dust"
                for name in options.models:
                    draws = Estimator.load(name).predict(mocks.images).samples
                    cells = []
                    for low_mass, high_mass in ((np.log10(250), np.log10(4000)), (3.0, 9.0)):
                        used = (truth[:, 0] <= np.log10(3e9)) & (truth[:, 1] >= low_mass)
                        used &= truth[:, 1] <= high_mass
                        off = np.median(draws[used], axis=1) - truth[used]
                        pit = probability_integral_transform(draws[used], truth[used])
                        inside = coverage(pit, CENTRAL_68)
                        columns = zip(bias(off), robust_scatter(off), inside, strict=True)
                        cells += [f"{m:+.3f}/{s:.3f}/{c:.2f}" for m, s, c in columns]
                    print(f"{what:28}{name:12}" + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
