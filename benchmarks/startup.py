"""How long a simulator takes to start: stellar tables, samplers, the first stamps.

    python benchmarks/startup.py [--survey NAME_OR_FILE] [--binaries 0] [--threads 1]

By default the survey is `phat` in five bands, with clusters of Z = 0.004 to 0.03 behind A_V = 0 to
2.5 mag, and layers of dust among the field stars. Prints wall-clock and processor seconds of each
stage; the latter hardly depend on what else the machine does. Wanted: the first stamp within 20 s
on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey, load_survey

MORE_BANDS = {"F275W": ("wfc3_uvis_f275w", 24.13), "F160W": ("wfc3_ir_f160w", 25.95)}
"""Filters and zero points of bands beside those of `phat`; all else they have of its first."""


def wide_survey(binary_fraction: float) -> Survey:
    """`phat` with two more bands, ranges of metallicity and extinction, and dust in the field."""
    phat = load_survey("phat")
    bands = list(phat.bands)
    for name, (curve, zero_point) in MORE_BANDS.items():
        values = {"name": name, "filter": curve, "zero_point_ab": zero_point, "instrument": ""}
        bands.append(bands[0].model_copy(update=values))
    return phat.with_values(
        observation={"bands": [band.model_dump() for band in bands]},
        galaxy={"field": {"dust_share": (0.2, 0.6), "dust_a_v": (0.5, 2.0)}},
        clusters={
            "metallicity": (0.004, 0.03),
            "a_v": (0.0, 2.5),
            "stars": {"binary_fraction": binary_fraction},
        },
    )


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Print what the stage costs."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{stage:24} {wall:6.1f} s  {processor:6.1f} s", flush=True)


def main() -> None:
    """Time the start of one simulator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--survey", help="built-in name or TOML file")
    parser.add_argument("--binaries", type=float, default=0.0, help="share of binary stars")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--progress", action="store_true", help="print what is told of the set-up")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    survey = load_survey(given.survey) if given.survey else wide_survey(given.binaries)
    tell = (lambda *now: print("   ", *now, flush=True)) if given.progress else None
    print(f"{'stage':24} {'wall':>8}  {'processor':>8}")
    with timed("all until 256 stamps"):
        with timed("tables"):
            tables = SurveyTables.build(survey, setup=tell)
        with timed("simulator"):
            simulator = Simulator(survey, seed=1, tables=tables, setup=tell)
        with timed("first stamp"):
            simulator.draw(1)
        with timed("256 stamps, all fields"):
            simulator.draw(256)
    with timed("256 stamps more"):
        simulator.draw(256)


if __name__ == "__main__":
    main()
