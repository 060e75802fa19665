"""The golden record: what `phat-nodust`, then `phat`, gave before the house was rebuilt.

    python tools/golden.py make        # write tests/golden/ (once, by the reference code)
    python tools/golden.py drawn       # renew stamps and mosaic: the random stream has changed
    python tools/golden.py evaluate    # evaluate again as the record did, and print both

`tests/physics/test_golden.py` holds the code of today against the record. It is about results:
the same stamps are measured the same, and the same seeds give the same stamps, which since the
eighth random stream are apart (`drawn_…`) from those that the answers are of (`stamps_…`).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[1] / "tests" / "golden"
MODEL = "phat-nodust"
SEEDS = (11, 12, 13)
N_STAMPS, N_DRAWN = 16, 4
N_SAMPLES = 500
MOSAIC = {"n": 12, "size": 320, "seed": 5, "density": 20}  # the density of the record
EVALUATION = {"n": 4000, "seed": 131}


def hashed(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def draw(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Stamps and truth of a seed."""
    from praesepe import Simulator

    mocks = Simulator(MODEL, seed=seed).draw(N_STAMPS)
    truth = {name: values.numpy() for name, values in mocks.truth.items()}
    return mocks.images.numpy(), {"labels": mocks.labels.numpy(), **truth}


def answer(stamps: np.ndarray) -> dict[str, np.ndarray]:
    """What the model says of stamps: percentiles of its draws, and their distance."""
    from praesepe import Estimator

    posterior = Estimator.load(MODEL).predict(stamps, n_samples=N_SAMPLES, seed=0)
    percentiles = np.percentile(posterior.samples, [16, 50, 84], axis=1)
    return {"percentiles": percentiles, "surprise": posterior.out_of_domain}


def answer_by_old_noise(stamps: np.ndarray) -> np.ndarray:
    """Percentiles of the draws that the record's base noise makes: one stream for 64 rows."""
    import torch

    from praesepe import Estimator

    net = Estimator.load(MODEL).net.for_inference()
    state = np.random.SeedSequence((0, 0)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> 1))
    noise = torch.randn((len(stamps), N_SAMPLES, 3), generator=generator)
    with torch.inference_mode():
        draws = net.sample(net.context(torch.from_numpy(stamps)), noise).numpy()
    return np.percentile(draws, [16, 50, 84], axis=1)


def densities(stamps: np.ndarray, truth: np.ndarray, percentiles: np.ndarray) -> np.ndarray:
    """Log-density, shape (4, n), at the truth and at three recorded percentiles of each stamp."""
    from praesepe import Estimator

    posterior = Estimator.load(MODEL).predict(stamps, n_samples=1)
    return np.stack([posterior.log_prob(point) for point in (truth, *percentiles)])


def mosaic(folder: Path) -> dict[str, Any]:
    """A small mosaic, and its clusters as the command line measures them."""
    from astropy.io import fits
    from astropy.table import Table

    program = Path(sys.executable).with_name("praesepe")
    settings = [part for key, value in MOSAIC.items() for part in (f"--{key}", str(value))]
    out = folder / "mosaic"
    subprocess.run([program, "mosaic", MODEL, *settings, "--out", out], check=True)
    bands = ("F336W", "F475W", "F814W")
    images = {band: out / f"{MODEL}_{band.lower()}.fits" for band in bands}
    flags = [part for band, path in images.items() for part in ("--image", f"{band}={path}")]
    table = folder / "table.ecsv"
    command = [program, "predict", MODEL, *flags, "--catalog", out / "truth.ecsv", "--out", table]
    subprocess.run(command, check=True)
    result = Table.read(table)
    kinds = "iuf"
    return {
        "planes": {band: fits.getdata(path, "SCI") for band, path in images.items()},
        "truth_columns": Table.read(out / "truth.ecsv").colnames,
        "columns": result.colnames,
        "table": {
            name: np.ma.filled(np.ma.asarray(result[name], float), np.nan)
            for name in result.colnames
            if result[name].dtype.kind in kinds
        },
    }


def make() -> None:
    """Write the record."""
    from praesepe import Estimator, Simulator, evaluate

    FOLDER.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"model": MODEL, "version": Estimator.load(MODEL).version}
    arrays: dict[str, np.ndarray] = {}
    density: dict[str, np.ndarray] = {}
    for seed in SEEDS:
        stamps, truth = draw(seed)
        arrays |= {f"stamps_{seed}": stamps, f"drawn_{seed}": stamps[:N_DRAWN]}
        arrays |= {f"truth_{seed}_{name}": values for name, values in truth.items()}
        answers = answer(stamps)
        arrays |= {f"answer_{seed}_{name}": v for name, v in answers.items()}
        density[f"log_prob_{seed}"] = densities(stamps, truth["labels"], answers["percentiles"])
    of_mosaic, more = record_of_mosaic()
    record |= of_mosaic
    arrays |= more
    simulator = Simulator(MODEL, seed=1)
    simulator.draw(512)
    start = time.perf_counter()
    stamps = simulator.draw(2048).images.numpy()
    middle = time.perf_counter()
    Estimator.load(MODEL).predict(stamps, n_samples=N_SAMPLES)
    end = time.perf_counter()
    record["rates_per_s"] = {
        "simulate": round(len(stamps) / (middle - start)),
        "predict": round(len(stamps) / (end - middle)),
    }
    metrics = evaluate(MODEL, **EVALUATION).metrics
    record["evaluation"] = {"settings": EVALUATION, "metrics": metrics}
    np.savez(FOLDER / "density.npz", **density)
    write(record, arrays)


def record_of_mosaic() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the record holds of the mosaic and its table."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = mosaic(Path(folder))
    arrays = {
        f"mosaic_{band}": plane[::8, ::8].astype(np.float32)
        for band, plane in drawn["planes"].items()
    }
    arrays |= {f"table_{name}": values for name, values in drawn["table"].items()}
    hashes = {band: hashed(plane) for band, plane in drawn["planes"].items()}
    names = {key: drawn[key] for key in ("truth_columns", "columns")}
    return {**names, "mosaic_sha256": hashes}, arrays


def renew_drawn() -> None:
    """Replace what has changed with the random stream; keep the answers and their stamps."""
    record = json.loads((FOLDER / "record.json").read_text())
    with np.load(FOLDER / "record.npz") as old:
        kept = {k: v for k, v in old.items() if not k.startswith(("mosaic_", "table_"))}
    kept |= {f"drawn_{seed}": draw(seed)[0][:N_DRAWN] for seed in SEEDS}
    of_mosaic, arrays = record_of_mosaic()
    write(record | of_mosaic, kept | arrays)


def write(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write the files of the record."""
    np.savez_compressed(FOLDER / "record.npz", **arrays)
    text = json.dumps(record, indent=1, default=float)
    (FOLDER / "record.json").write_text(text + "\n")


def compare_evaluation() -> None:
    """Evaluate again with the record's settings, and print the largest difference."""
    from praesepe import evaluate

    record = json.loads((FOLDER / "record.json").read_text())["evaluation"]
    now = evaluate(MODEL, **record["settings"])
    worst = 0.0
    for name in ("all", "seed_range", "m_gt_1000"):
        then_bin, now_bin = record["metrics"][name], now[name]
        for quantity, values in then_bin.items():
            if not isinstance(values, dict):
                continue
            for key, value in values.items():
                worst = max(worst, abs(value - now_bin[quantity][key]))
                both = f"{value:+.4f} {now_bin[quantity][key]:+.4f}"
                print(f"{name:12s} {quantity:10s} {key:12s} {both}")
    print(f"largest difference {worst:.5f}")


if __name__ == "__main__":
    tasks = {"make": make, "drawn": renew_drawn, "evaluate": compare_evaluation}
    tasks[sys.argv[1]]()
