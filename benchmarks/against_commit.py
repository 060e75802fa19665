"""Is the code slower than an earlier commit? Both take turns in one run, one thread each.

    python benchmarks/against_commit.py 7c16e33
    python benchmarks/against_commit.py 7c16e33 --tasks draw predict --turns 5

Prints the processor time of both (the least of the turns, set-up not counted) and their ratio.
"""

from __future__ import annotations

import argparse
import inspect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def model() -> str:
    """The model and survey without dust, which was called `phat` before there was one with."""
    from praesepe.survey import survey_names

    return "phat-nodust" if "phat-nodust" in survey_names() else "phat"


# What is measured. Each function prepares, and returns what is timed; the calls are those that both
# commits have.


def draw() -> Callable[[], Any]:
    """Simulate 1024 stamps."""
    from praesepe import Simulator

    simulator = Simulator(model(), seed=1)
    simulator.draw(64)
    return lambda: simulator.draw(1024)


def posteriors() -> Callable[[], Any]:
    """Infer 1024 stamps."""
    import torch

    from praesepe import Estimator

    estimator = Estimator.load(model())
    stamps = 0.05 + 0.01 * torch.randn(1024, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    estimator.predict(stamps[:64])
    return lambda: estimator.predict(stamps)


def evaluation() -> Callable[[], Any]:
    """Evaluate on 1000 clusters, the simulator's set-up included."""
    import praesepe

    return lambda: praesepe.evaluate(model(), n=1000, seed=131)


def catalog() -> Callable[[], Any]:
    """Measure 500 positions on a mosaic of 1024 pixels: reading, cutting, inference, table."""
    import numpy as np
    from astropy.table import Table
    from astropy.wcs import WCS

    import praesepe

    wcs, rng = WCS(naxis=2), np.random.default_rng(1)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [11.0, 41.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [512, 512], [-0.05 / 3600, 0.05 / 3600]
    images = {
        band: (rng.normal(0.05, 0.01, (1024, 1024)).astype("f4"), wcs)
        for band in ("F336W", "F475W", "F814W")
    }
    ra, dec = wcs.pixel_to_world_values(*rng.uniform(40, 980, (2, 500)))
    estimator = praesepe.Estimator.load(model())
    positions = Table({"ra": ra, "dec": dec})
    praesepe.predict(estimator, images, positions[:10])
    return lambda: praesepe.predict(estimator, images, positions)


def training() -> Callable[[], Any]:
    """Train 30 steps of 128 with the encoder `small`, set-up included."""
    import praesepe

    folder = tempfile.TemporaryDirectory()
    code = inspect.getsource(praesepe.train)
    part = "encoder" if "encoder" in code else "preset"
    train = praesepe.train
    if "out: str | Path | None" not in code:  # it was to be the second argument
        train = lambda survey, *, out, **rest: praesepe.train(survey, out, **rest)  # noqa: E731
    settings = {part: "small", "batch_size": 128, "valid_size": 128, "steps": 30, "seed": 3}
    return lambda: (train(model(), out=f"{folder.name}/model", **settings), folder.cleanup())


TASKS = {task.__name__: task for task in (draw, posteriors, evaluation, catalog, training)}


def measure(name: str) -> float:
    """Processor time of one task in this process, s."""
    import torch

    torch.set_num_threads(1)
    run = TASKS[name]()
    start = time.process_time()
    run()
    return time.process_time() - start


def measured_in(tree: Path, name: str) -> float:
    """The same with the code of a tree, in a process of its own, s."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(tree / "src")}
    code = (
        f"import sys, praesepe; assert praesepe.__file__.startswith({str(tree)!r}); "
        f"sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); "
        f"from against_commit import measure; print(measure({name!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} failed with the code in {tree}:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure old and new in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--turns", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "-C", ROOT, "archive", wanted.commit], capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        trees = (Path(folder).resolve(), ROOT)
        print(f"{'task':12s} {wanted.commit[:8]:>8s}  this tree  new/old   of pairs", flush=True)
        for name in wanted.tasks:
            pairs = [[measured_in(tree, name) for tree in trees] for _ in range(wanted.turns)]
            old, new = (min(times) for times in zip(*pairs, strict=True))
            ratios = " ".join(f"{b / a:.2f}" for a, b in pairs)
            print(f"{name:12s} {old:6.2f} s {new:8.2f} s {new / old:8.2f}   {ratios}", flush=True)


if __name__ == "__main__":
    main()
