"""Two runs side by side on one machine: what the waiting of OpenMP's threads costs.

    python benchmarks/two_runs.py [--stamps 1500] [--repeats 3] [--json FILE.json]

Threads that wait for others keep their core busy, so two runs on the same cores stop each other.
The command line therefore lets them wait shortly (`praesepe.cli.waiting`). For every policy this
measures a job alone and two of them at once. Wanted: two at once take at most 1.1 times as long as
one after the other, and a run alone at most 15 % longer than with the default of OpenMP.

The job measures stamps of noise with the model `phat`; start-up is not counted. Nothing else
should run on the machine. The best of the repeats counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

JOB = """
import sys, time
import torch
from praesepe import Estimator
model = Estimator.load("phat")
stamps = torch.randn(int(sys.argv[1]), 3, 64, 64) * 0.02 + 0.05
model.predict(stamps[:64], n_samples=100)
print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
model.predict(stamps, n_samples=100)
print(time.perf_counter() - began, flush=True)
"""
POLICIES: dict[str, dict[str, str]] = {
    "default of OpenMP": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def seconds(n_runs: int, n_stamps: int, policy: dict[str, str]) -> float:
    """Time until the last of `n_runs` jobs that start together is done."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    words = [sys.executable, "-c", JOB, str(n_stamps)]
    runs = [
        subprocess.Popen(
            words, env=kept | policy, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(n_runs)
    ]
    for run in runs:
        assert run.stdout is not None
        run.stdout.readline()
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    return max(float(run.communicate()[0]) for run in runs)


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stamps", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    best: dict[str, list[float]] = {name: [float("inf")] * 2 for name in POLICIES}
    for _ in range(options.repeats):  # in turn, so that a busy minute meets all of them
        for name, policy in POLICIES.items():
            for n in (1, 2):
                now = seconds(n, options.stamps, policy)
                best[name][n - 1] = min(best[name][n - 1], now)
    default = best["default of OpenMP"][0]
    print(f"{'':26s}{'alone':>8s}{'two':>8s}  alone/default  two/(2 alone)")
    for name, (alone, two) in best.items():
        print(f"{name:26s}{alone:7.1f}s{two:7.1f}s{alone / default:15.2f}{two / (2 * alone):15.2f}")
    if options.json:
        options.json.write_text(json.dumps(best, indent=2) + "\n")


if __name__ == "__main__":
    main()
