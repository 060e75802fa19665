"""Praesepe and ArtPop on the same job, side by side, each on one thread.

    python -m venv artpop_env
    artpop_env/bin/pip install artpop==0.1.2 "numpy<2" "setuptools<80"
    python benchmarks/against_artpop.py --artpop-python artpop_env/bin/python [--json FILE.json]

The job: sample the stars of a cluster from one isochrone (the same arrays in both), place them in a
Plummer profile, convolve with the PSFs of three bands of the survey `phat`, and add photon, sky and
read noise; stamps of 64 px (65 in ArtPop, which wants odd sides). Start-up and the loading of
the models are not counted. Times are processor time, so that other work on the machine matters
little.

ArtPop puts stars on the centres of pixels. On pixels finer by a factor f their places are wrong by
1 / (f sqrt(12)) px (r.m.s. of each coordinate). Praesepe's are right to 0.01 px
(tests/physics/test_renderer_galsim.py), which takes f = 29; f = 5 is shown as well, where stars are
wrong by 0.06 px, and f = 1, ArtPop as it comes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from praesepe import Simulator, load_survey
from praesepe.sky.instrument.psf import band_psf
from praesepe.stars import KROUPA2001

LOG_AGE = 8.0
RADIUS_ARCSEC = 0.4
SIDE = 65
FACTORS = (1, 5, 29)
REPEATS = (20, 8, 1)
BATCH = 256
REQUIRED = 10.0
PLUMMER_GAMMA = 4.0
"""The EFF profile with this slope is Plummer's, whose scale radius holds half of the light."""


def isochrone_of(simulator: Simulator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Initial and present masses (n,) and magnitudes (n, band) of the living stars."""
    table = simulator.tables.cluster[0]
    age = int(np.abs(table.log_age - LOG_AGE).argmin())
    luminous = np.isfinite(table.mag_ab[age, 0]).all(axis=1)
    last = int(np.argmin(luminous)) if not luminous.all() else len(luminous)
    initial = table.initial_mass[age, 0, :last].copy()
    initial[0] = min(initial[0], KROUPA2001.edges[0])
    return initial, table.present_mass[age, 0, :last], table.mag_ab[age, 0, :last]


def write_job(simulator: Simulator, log_mass: float, path: Path) -> None:
    """Write all that ArtPop needs."""
    survey = simulator.survey
    initial, present, magnitude = isochrone_of(simulator)
    living = 10**log_mass / KROUPA2001.mean_mass * float(KROUPA2001.cdf(initial[-1]))
    psfs = {
        f"psf_{factor}_{i}": band_psf(
            band,
            grid_scale_arcsec=survey.pixel_scale_arcsec / factor,
            half_size_px=16 * factor,
            pixel_scale_arcsec=survey.pixel_scale_arcsec,
        )
        for factor in FACTORS
        for i, band in enumerate(survey.bands)
    }
    bands = survey.bands
    np.savez(
        path,
        initial=initial,
        present=present,
        magnitude=magnitude,
        bands=[band.name for band in bands],
        n_stars=round(living),
        distance_pc=survey.distance_pc,
        radius_pc=RADIUS_ARCSEC * survey.pc_per_arcsec,
        pixel_scale=survey.pixel_scale_arcsec,
        side=SIDE,
        zero_point=[band.zero_point_ab for band in bands],
        exposure=[band.exposure_s for band in bands],
        sky=[sum(band.sky_e_s) / 2 + band.dark_e_s for band in bands],
        read_noise=[band.read_noise_e * math.sqrt(band.n_exposures) for band in bands],
        factors=FACTORS,
        repeats=REPEATS,
        **psfs,
    )


def time_praesepe(simulator: Simulator, log_mass: float, n: int, repeats: int) -> dict:
    """Processor seconds per stamp (median of batches) and the mean light of a stamp, e-/s."""
    clusters = {
        "log_age": LOG_AGE,
        "log_mass": log_mass,
        "log_rh": math.log10(RADIUS_ARCSEC),
        "gamma": PLUMMER_GAMMA,
    }
    simulator.observe(clusters, n=n)
    seconds, light = [], []
    for _ in range(repeats):
        start = time.process_time()
        images = simulator.observe(clusters, n=n).images
        seconds.append((time.process_time() - start) / n)
        light.append(images.sum(dim=(-2, -1)).mean(0).tolist())
    return {"seconds": float(np.median(seconds)), "light": np.mean(light, axis=0).tolist()}


def main() -> None:
    """Time both, print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--artpop-python", type=Path, required=True)
    parser.add_argument("--log-mass", type=float, nargs="+", default=[3.0, 3.5, 4.0])
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    survey = load_survey("phat-nodust")
    bands = tuple(band.model_copy(update={"sky_left": (0.0, 0.0)}) for band in survey.bands)
    survey = survey.with_values(observation={"bands": bands})  # the sky is subtracted, as in ArtPop
    simulator = Simulator(survey, seed=1, n_fields=0, nuisances=False)
    worker = Path(__file__).with_name("artpop_worker.py")
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    results = []
    print("log mass  Praesepe [ms/stamp]      ArtPop: finer by, places wrong by, ms/stamp, ratio")
    print("          batch of 256   single")
    for log_mass in options.log_mass:
        with torch.inference_mode():
            batch = time_praesepe(simulator, log_mass, BATCH, 5)
            single_stamp = time_praesepe(simulator, log_mass, 1, 50)
        with tempfile.TemporaryDirectory() as folder:
            job = Path(folder) / "job.npz"
            write_job(simulator, log_mass, job)
            done = subprocess.run(
                [options.artpop_python, worker, job],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, **single, "PYTHONPATH": ""},
            )
        artpop = json.loads(done.stdout.splitlines()[-1])
        results.append({"log_mass": log_mass, "batch": batch, "single": single_stamp})
        results[-1]["artpop"] = artpop
        line = (
            f"{log_mass:7.1f}  {1e3 * batch['seconds']:13.2f}{1e3 * single_stamp['seconds']:9.2f}"
        )
        for one in artpop:
            ratio = one["seconds"] / batch["seconds"]
            off = 1 / (one["factor"] * math.sqrt(12))
            print(
                f"{line:32}{one['factor']:10d}x {off:13.3f} px {1e3 * one['seconds']:13.1f}"
                f"{ratio:9.1f} ({one['seconds'] / single_stamp['seconds']:.1f} one by one)"
            )
            line = ""
        light = np.array(artpop[0]["light"]) / np.array(batch["light"])
        print("         same job? light of ArtPop's stamps over Praesepe's:", np.round(light, 2))
    equal = min(r["artpop"][-1]["seconds"] / r["batch"]["seconds"] for r in results)
    print(f"\nsmallest ratio at equal accuracy: {equal:.0f} (must reach {REQUIRED:.0f})")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
