"""How a model does on clusters of stars, and through optics, that its training has not seen.

    python benchmarks/other_simulators.py ../shared/data [--model phat] [--n 1500] [--seed 401]
        [--stars parsec geneva basti] [--optics model files] [--json FILE.json]

The stars of PARSEC's isochrones, of FSPS's Geneva set (which ends at 100 Myr) and of its BaSTI set
(ISOCHRONES/BaSTI/isoc_z0.0200.dat of its repository) in place of the embedded ones, which come
first at the same ages; no training uses the last two. The PSFs of TinyTim (ACS) and of measured
stars (WFC3/UVIS) in place of the optical model; F336W, F475W and F814W.
Without dust, and with A_V of 0 to 2 mag. A model that infers A_V is told 0 without dust, and with
it a prior uniform from 0 to 2 mag. The simulator is Praesepe's own, so this is less than images of
others: `benchmarks/galsim_mosaics.py` has these.

Each line: bias, scatter and coverage of the 68 % interval of age, mass and size, for ages up to
3 Gyr and 250 to 4000 Msun; coverage above 1000 Msun; scatter over that of the embedded stars seen
through the first PSFs. The goals: bias within 0.03, coverage 0.62 to 0.78, scatter at most 1.15.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from praesepe import Estimator, Survey, evaluate, load_survey
from praesepe.quantities import DEFAULT_INFERRED
from praesepe.stars.store import import_isochrones

ISOCHRONES = {
    "parsec": ("fsps_parsec_isoc_z0.0200.dat", (6.6, 10.1)),
    "geneva": ("fsps_geneva_isoc_z0.0200.dat", (6.6, 8.0)),
    "basti": ("fsps_basti_isoc_z0.0200.dat", (6.6, 10.1)),
}
"""Files of stars, of solar metallicity, and the log ages that they cover."""

PSF_FILES = {
    "F336W": {"file": "psf/PSFSTD_WFC3UV_F336W.fits", "file_scale_arcsec": 0.01},
    "F475W": {"file": "psf/ACS_WFC_F475W.fits", "file_scale_arcsec": 0.0495},
    "F814W": {"file": "psf/ACS_WFC_F814W.fits", "file_scale_arcsec": 0.0495},
}
DUST_MAG = (0.0, 2.0)


def changed(
    survey: Survey,
    data: Path,
    stars: str,
    optics: str,
    ages: tuple[float, float],
    *,
    dusty: bool,
) -> Survey:
    """The survey with other stars, other PSFs, and dust or none."""
    clusters = {
        "stars": {"isochrones": stars},
        "metallicity": 0.02,
        "log_age": ages,
        "a_v": DUST_MAG if dusty else 0.0,
    }
    bands = [band.model_dump() for band in survey.bands]
    for band in bands if optics == "files" else []:
        settings = PSF_FILES[band["name"]]
        band["psf"] = {**settings, "file": str(data / str(settings["file"]))}
    return survey.with_values(clusters=clusters, observation={"bands": bands})


def asked(model: Estimator, *, dusty: bool) -> dict[str, Any]:
    """What a model is told, and the prior that it is given."""
    if "a_v" not in model.infers:
        return {}
    if dusty:
        return {"prior": {"a_v": ("uniform", *DUST_MAG)}}
    return {"told": {"a_v": 0.0}} if model.leading == "a_v" else {}


def main() -> None:
    """Print a line for each kind of clusters."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="phat")
    parser.add_argument("--survey", default="phat-nodust", help="what is changed")
    parser.add_argument("--stars", nargs="+", help="by default all of which the file is there")
    parser.add_argument("--optics", nargs="+", default=["model", "files"])
    parser.add_argument("--n", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=401)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model, survey = Estimator.load(options.model), load_survey(options.survey)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRAESEPE_DATA"] = folder  # not into the user's own models
        files = {name: options.data / "isochrones" / file for name, (file, _) in ISOCHRONES.items()}
        for other in options.stars or [name for name, file in files.items() if file.is_file()]:
            ages = ISOCHRONES[other][1]
            import_isochrones([files[other]], name=other)
            for dusty in (False, True):
                first: dict[str, Any] = {}
                for stars in ("sse", other):
                    for optics in options.optics:
                        found = evaluate(
                            model,
                            survey=changed(survey, options.data, stars, optics, ages, dusty=dusty),
                            n=options.n,
                            seed=options.seed,
                            **asked(model, dusty=dusty),
                        )
                        bins = {key: found[key] for key in ("seed_range", "m_gt_1000")}
                        first = first or bins["seed_range"]
                        old = f"to log age {ages[1]:g}"
                        dust = "A_V 0-2" if dusty else "no dust"
                        label = f"{stars}, {optics} PSFs, {old}, {dust}"
                        results[label] = bins
                        print(f"{label:45}", line(bins, first), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def line(bins: dict[str, Any], first: dict[str, Any]) -> str:
    """Figures of one kind of clusters."""
    cells = []
    for name in DEFAULT_INFERRED:
        all_of, heavy = bins["seed_range"][name], bins["m_gt_1000"][name]
        cells.append(
            f"{all_of['median']:+.3f}/{all_of['mad_sigma']:.3f}/{all_of['coverage68']:.2f} "
            f"{heavy['coverage68']:.2f} {all_of['mad_sigma'] / first[name]['mad_sigma']:.2f}"
        )
    return " | ".join(cells)


if __name__ == "__main__":
    main()
