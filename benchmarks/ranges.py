"""What a range of depths or distances costs a stamp, beside fixed ones.

    python benchmarks/ranges.py [--distance 7e5 9e5]

Simulators of the survey `phat-nodust` take turns in one process, on one thread: at the middle of
the distances, with exposures of half to twice its own, with the distances, and with both. Prints
the processor time of a stamp, median of the turns, and its ratio to the first, median of the pairs.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import torch

from praesepe import Simulator, Survey, load_survey

EXPOSURE = (0.5, 2.0)


def surveys(near: float, far: float) -> dict[str, Survey]:
    """The surveys to compare, by what varies in them."""
    middle = {"distance_pc": math.sqrt(near * far)}
    fixed = load_survey("phat-nodust").with_values(galaxy=middle)
    bands = [
        band.model_copy(update={"exposure_s": tuple(f * band.exposure_s for f in EXPOSURE)})
        for band in fixed.bands
    ]
    depth = {"observation": {"bands": tuple(bands)}}
    distance = {"galaxy": {"distance_pc": (near, far)}}
    changes: dict[str, dict] = {
        "nothing": {},
        "depth": depth,
        "distance": distance,
        "both": depth | distance,
    }
    return {name: fixed.with_values(**changed) for name, changed in changes.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=128, help="stamps of a turn")
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--distance", type=float, nargs=2, default=(7e5, 9e5), help="pc")
    options = parser.parse_args()
    torch.set_num_threads(1)
    near, far = options.distance
    simulators = {name: Simulator(one, seed=1) for name, one in surveys(near, far).items()}
    spent: dict[str, list[float]] = {name: [] for name in simulators}
    for simulator in simulators.values():
        simulator.draw(512)  # so that all first star fields are there
    for _ in range(options.turns):
        for name, simulator in simulators.items():
            start = time.process_time()
            simulator.draw(options.n, compute_truth=False)
            spent[name].append(1e3 * (time.process_time() - start) / options.n)
    print("varies       ms/stamp  ratio")
    for name, times in spent.items():
        ratios = [one / fixed for one, fixed in zip(times, spent["nothing"], strict=True)]
        print(f"{name:10s} {statistics.median(times):10.3f} {statistics.median(ratios):6.2f}")


if __name__ == "__main__":
    main()
