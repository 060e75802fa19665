"""What a simulated stamp costs, by the mass of its cluster.

    python benchmarks/cost_by_mass.py [--out FIGURE.png] [--json FILE.json] [--threads 1]

For every mass a process of its own draws batches of the survey `phat` (fields, nuisances and noise
included; all ages and sizes of the prior, one mass) and reports time per stamp, where it goes,
points of light drawn, and its largest memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from praesepe import Simulator, load_survey

LOG_MASSES = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0)
BATCH = 256
REPEATS = 2
LIMIT_GB = 2.0
STAGES = {
    "draw stars": ("stars", "draw"),
    "place on grid": ("renderer", "scatter"),
    "star fields": ("field_pool", "add_to"),
    "convolve": ("renderer", "convolve"),
    "expose": ("detector", "expose"),
}


def peak_gb() -> float:
    """Largest resident memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def watch(owner: Any, name: str, seen: Callable[[float, Any], None]) -> None:
    """Report the processor time and the result of every call of a method to `seen`."""
    method = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        result = method(*args, **kwargs)
        seen(time.process_time() - start, result)
        return result

    setattr(owner, name, watched)


def measure(log_mass: float, threads: int) -> dict:
    """Cost of batches of clusters of one mass; alone in its process, for the memory's sake."""
    torch.set_num_threads(threads)
    survey = load_survey("phat-nodust")
    survey = survey.with_values(clusters={"log_mass": (log_mass, log_mass)})
    simulator = Simulator(survey, seed=1, n_fields=4)
    before = peak_gb()
    spent = dict.fromkeys(STAGES, 0.0)
    points = 0

    def count(seconds: float, stars: Any) -> None:
        nonlocal points
        points += stars.population.numel()
        spent["draw stars"] += seconds

    def add(stage: str) -> Callable[[float, Any], None]:
        def seen(seconds: float, _: Any) -> None:
            spent[stage] += seconds

        return seen

    with torch.inference_mode():
        simulator.draw(BATCH, batch_size=BATCH)
        peak = peak_gb()
        for stage, (part, method) in STAGES.items():
            watch(getattr(simulator, part), method, count if stage == "draw stars" else add(stage))
        if simulator.field_pool is not None:
            simulator.field_pool.refresh = 0  # renewing fields is the same for all masses
        start, wall = time.process_time(), time.perf_counter()
        for _ in range(REPEATS):
            simulator.draw(BATCH, batch_size=BATCH)
        total, wall = time.process_time() - start, time.perf_counter() - wall
    stamps = REPEATS * BATCH
    stages = {name: 1e3 * seconds / stamps for name, seconds in spent.items()}
    stages["rest"] = 1e3 * total / stamps - sum(stages.values())
    return {
        "log_mass": log_mass,
        "cpu_ms": 1e3 * total / stamps,
        "wall_ms": 1e3 * wall / stamps,
        "points": points / stamps,
        "stages_ms": stages,
        "memory_before_gb": before,
        "memory_peak_gb": peak,
    }


def figure(results: list[dict], path: Path) -> None:
    """Draw time by stage, points and memory against mass."""
    from matplotlib.figure import Figure

    mass = [10 ** r["log_mass"] for r in results]
    drawing = Figure(figsize=(11, 3.8), layout="constrained")
    left, middle, right = drawing.subplots(1, 3)
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#999999")
    names = list(results[0]["stages_ms"])
    left.stackplot(
        mass, [[r["stages_ms"][n] for r in results] for n in names], labels=names, colors=colours
    )
    left.set_ylabel("processor time per stamp [ms]")
    handles, labels = left.get_legend_handles_labels()
    left.legend(handles[::-1], labels[::-1], fontsize=8, loc="upper left", frameon=False)
    left.set_ylim(0, 1.5 * max(r["cpu_ms"] for r in results))
    middle.plot(mass, [r["points"] for r in results], "o-", color="#0072B2")
    middle.set_yscale("log")
    middle.set_ylabel("points of light per stamp")
    right.plot(mass, [r["memory_peak_gb"] for r in results], "o-", color="#0072B2", label="peak")
    right.plot(
        mass, [r["memory_before_gb"] for r in results], "s--", color="#999999", label="before"
    )
    right.axhline(LIMIT_GB, color="#D55E00", lw=1, label="limit")
    right.set_ylim(0, None)
    right.set_ylabel(f"memory for a batch of {BATCH} [GB]")
    right.legend(fontsize=8, frameon=False)
    for ax in (left, middle, right):
        ax.set_xscale("log")
        ax.set_xlim(mass[0] / 1.2, mass[-1] * 1.2)
        ax.set_xlabel(r"initial mass [$M_\odot$]")
    left.set_xlim(mass[0], mass[-1])
    drawing.savefig(path, dpi=150)


def main() -> None:
    """Measure every mass in a process of its own, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="figure")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", type=float, help="measure one log mass in this process")
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(measure(options.only, options.threads)))
        return
    results = []
    print(f"batches of {BATCH}, {options.threads} thread(s); processor time per stamp [ms]")
    head = [*STAGES, "rest", "all", "wall clock", "points", "peak GB", "(before)"]
    print("log mass" + "".join(f"{name:>14}" for name in head))
    for log_mass in LOG_MASSES:
        command = [sys.executable, __file__, "--only", str(log_mass)]
        command += ["--threads", str(options.threads)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        one = json.loads(done.stdout)
        results.append(one)
        cells = [*one["stages_ms"].values(), one["cpu_ms"], one["wall_ms"]]
        print(f"{log_mass:8.1f}" + "".join(f"{cell:14.3f}" for cell in cells), end="")
        print(f"{one['points']:14.0f}", end="")
        print(f"{one['memory_peak_gb']:14.2f}{one['memory_before_gb']:14.2f}", flush=True)
    worst = max(r["memory_peak_gb"] for r in results)
    print(f"largest memory {worst:.2f} GB (must stay below {LIMIT_GB:g})")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.out:
        figure(results, options.out)


if __name__ == "__main__":
    main()
