"""How a model does on clusters of other profiles than those it was trained on.

    python benchmarks/other_profiles.py [--model phat] [--n 3000] [--seed 301]

Ages up to 3 Gyr, 250 to 4000 Msun. The clusters of a survey that end at the tidal radius, then the
same survey with another galaxy's tides, other profiles, and EFF profiles without an end. The last
line judges those by what lies inside the tidal radius that clusters of their mass and place would
have: the radius of half of that light, and that light's share of the mass.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from praesepe import Estimator, Simulator, Survey
from praesepe.sky.clusters.profiles import eff_scale_radius
from praesepe.statistics import (
    CENTRAL_68,
    bias,
    coverage,
    probability_integral_transform,
    robust_scatter,
)

QUANTITIES = ("log age", "log mass", "log r_h")
ENDLESS = "EFF without an end"


def variants(survey: Survey) -> dict[str, Survey]:
    """Surveys by what is different."""

    def changed(**prior: object) -> Survey:
        return survey.with_values(clusters=prior)

    def tides(speed: float, *galactocentric_kpc: float) -> Survey:
        tides = {"circular_speed_km_s": speed, "galactocentric_kpc": galactocentric_kpc}
        return survey.with_values(galaxy={"tides": tides})

    return {
        "as trained": survey,
        "R = 2 kpc": tides(250.0, 2.0, 2.0),
        "R = 25 kpc": tides(250.0, 25.0, 25.0),
        "V = 150 km/s": tides(150.0, 4.0, 18.0),
        "King, log r_t/r_c = 0.5 to 1.5": changed(profile="king", king_concentration=(0.5, 1.5)),
        "Plummer": changed(profile="plummer"),
        ENDLESS: changed(tides=None),
    }


def inside_tides(survey: Survey, labels: np.ndarray, gamma: torch.Tensor, seed: int) -> np.ndarray:
    """Labels of endless clusters, changed to what lies inside tidal radii drawn for them."""
    survey_prior = Simulator(survey, seed=seed, n_fields=0).sample(len(labels))
    log_mass, log_rh = (torch.from_numpy(labels[:, k]) for k in (1, 2))
    end = survey_prior.with_values(log_mass=log_mass, log_rh=log_rh, profile=0).tidal_radius
    r_h, end, gamma = 10 ** log_rh.double(), end.double(), gamma.double()
    core = eff_scale_radius(r_h, gamma)
    share = -torch.expm1((1 - gamma / 2) * torch.log1p((end / core) ** 2))
    half = core * torch.expm1(-torch.log1p(-share / 2) / (gamma / 2 - 1)).sqrt()
    inside = labels.copy()
    inside[:, 1] += share.log10().numpy()
    inside[:, 2] = half.log10().numpy()
    return inside


def show(what: str, draws: np.ndarray, labels: np.ndarray, used: np.ndarray) -> None:
    """Print median, scatter and coverage of each quantity."""
    draws, labels = draws[used], labels[used]
    off = np.median(draws, axis=1) - labels
    inside = coverage(probability_integral_transform(draws, labels), CENTRAL_68)
    columns = zip(bias(off), robust_scatter(off), inside, strict=True)
    cells = (f"{m:+.3f} {s:.3f} {c:.2f}" for m, s, c in columns)
    print(f"{what:32}{used.sum():5}   " + "   ".join(cells), flush=True)


def main() -> None:
    """Print a line for each kind of cluster."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="phat")
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=301)
    options = parser.parse_args()
    estimator = Estimator.load(options.model)
    print(" " * 40 + "   ".join(f"{name:16}" for name in QUANTITIES))
    print(" " * 40 + "   ".join(["median  ±    68 %"] * 3))
    for what, survey in variants(estimator.survey).items():
        mocks = Simulator(survey, seed=options.seed).draw(options.n)
        draws = estimator.predict(mocks.images).samples
        labels = mocks.labels.numpy()
        used = (labels[:, 0] <= np.log10(3e9)) & (np.abs(10 ** labels[:, 1] - 2125) <= 1875)
        show(what, draws, labels, used)
        if what == ENDLESS:
            inside = inside_tides(estimator.survey, labels, mocks.truth["gamma"], options.seed)
            show("  judged inside tidal radii", draws, inside, used)


if __name__ == "__main__":
    main()
