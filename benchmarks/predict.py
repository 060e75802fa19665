"""Clusters per second of `praesepe.predict`, posterior draws included, and where the time goes.

    python benchmarks/predict.py [--model NAME_OR_FOLDER] [--clusters 4000] [--draws 500]
        [--prior QUANTITY=FORM …]

The model is loaded beforehand; reading the mosaics and the catalog, cutting stamps, the network,
the draws, the summary and writing them are all counted. The rate per second of CPU time tells
what the machine could do if others use it at the same time. Without a trained model the same
network with random weights is timed.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table

from praesepe.inference.prediction import predict
from praesepe.mocks.mosaic_files import mosaic_wcs, simulate_mosaic
from praesepe.network.estimator import Estimator, model_names
from praesepe.survey import load_survey

SIZE = 1024
STAGES = {
    "read the mosaics": ("mosaic.py", "read"),
    "read the catalog": ("catalogs.py", "read"),
    "cut the stamps": ("cutouts.py", "extract_stamps"),
    "network": ("net.py", "context"),
    "draws": ("flow_inverse.py", "__call__"),
    "percentiles": ("columns.py", "summarise"),
    "all": ("prediction.py", "predict"),
}
"""What is shown of the profile: label, file and function."""


def make_field(folder: Path, n: int) -> tuple[dict[str, Path], Path]:
    """Write a mock mosaic in three bands and a catalog of n positions on it."""
    survey = load_survey("phat")
    images = simulate_mosaic(survey, n=60, size=SIZE, seed=1, density=20.0, out=folder).images
    wcs = mosaic_wcs(survey, SIZE)
    ra, dec = wcs.pixel_to_world_values(*np.random.default_rng(2).uniform(40, SIZE - 40, (2, n)))
    catalog = folder / "catalog.csv"
    Table({"id": np.arange(n), "ra": ra, "dec": dec}).write(catalog, format="ascii.csv")
    return images, catalog


def show_stages(profile: cProfile.Profile) -> None:
    """Print the CPU time of each stage on one thread, calls of other stages included."""
    stats: Any = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for label, (file, function) in STAGES.items():
        calls = [
            entry[3]
            for (path, _, name), entry in stats.items()
            if name == function and Path(path).name == file and "praesepe" in path
        ]
        seconds = max(calls)  # of functions of one name, the outermost; an error where none is left
        print(f"  {label:20s} {seconds:8.2f} s")


def main() -> None:
    """Time, then profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="phat" if "phat" in model_names() else None)
    parser.add_argument("--clusters", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prior", nargs="*", default=[], help="as that of praesepe predict")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.model is None:
        estimator = Estimator.untrained(load_survey("phat"))
        print("no trained model in the package: random weights")
    else:
        estimator = Estimator.load(options.model)
    threads = torch.get_num_threads()
    print(f"{options.clusters} clusters, {options.draws} draws each, {threads} threads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, catalog = make_field(folder, options.clusters)
        prior = dict(one.split("=") for one in options.prior)
        settings: dict[str, Any] = {"n_samples": options.draws, "prior": prior, "overwrite": True}
        predict(estimator, images, Table.read(catalog)[:300], **{**settings, "overwrite": False})
        rates = []
        for _ in range(3):
            start, cpu_start = time.perf_counter(), time.process_time()
            predict(
                estimator,
                images,
                catalog,
                out=folder / "table.ecsv",
                samples=folder / "draws.parquet",
                **settings,
            )
            rates.append(options.clusters / (time.perf_counter() - start))
            per_cpu = options.clusters / (time.process_time() - cpu_start)
            print(f"{rates[-1]:6.0f} clusters/s; {per_cpu:.0f} clusters per second of one core")
        print(f"best {max(rates):.0f} clusters/s, posterior draws and files included")
        torch.set_num_threads(1)  # or threads of their own measure, which the profile does not see
        with cProfile.Profile(time.process_time) as profile:
            predict(estimator, images, catalog, **settings)
        show_stages(profile)


if __name__ == "__main__":
    main()
