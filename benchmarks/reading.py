"""Is reading slower, or larger in memory, than at an earlier commit? Both take turns in one run.

    python benchmarks/reading.py 7c16e33
    python benchmarks/reading.py 7c16e33 --tasks stamps fpack --turns 5 --side 4096

Makes three bands of `--side`² float32, one tile-compressed image of half the side with dithering,
and catalogs; then each task runs in a process of its own, one thread, old and new in turn. Prints
the processor time of both (the least of the turns), and by how much the memory grew at its peak,
pages of mapped files aside.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from against_commit import ROOT, model

BANDS = ("F336W", "F475W", "F814W")
STAMPS, LONG = 5_000, 100_000
SCALE_DEG = 0.05 / 3600


def make_inputs(folder: Path, side: int) -> None:
    """The mosaics and catalogs; a large one with a border without data, as drizzled ones have."""
    from astropy.io import fits

    rng = np.random.default_rng(1)
    for i, band in enumerate(BANDS):
        _write(folder / f"{band}.fits", _image(rng, side, 1e-3 * (i + 1)), band)
    packed = fits.CompImageHDU(
        _image(rng, side // 2, 1e-3),
        _header(side // 2, BANDS[0]),
        compression_type="RICE_1",
        quantize_method=1,
        quantize_level=4,
        dither_seed=7,
    )
    packed.writeto(folder / "packed.fits")
    for name, n in (("stamps.csv", STAMPS), ("long.csv", LONG)):
        places = rng.uniform(0, side, (n, 2))
        sky = (places - side / 2) * SCALE_DEG
        with open(folder / name, "w", encoding="utf-8") as file:
            file.write("id,ra,dec,mag,name\n")
            for j, (dx, dy) in enumerate(sky):
                file.write(f"{j},{11 - dx:.7f},{dy:.7f},{rng.uniform(18, 24):.3f},AP{j}\n")


def _image(rng: np.random.Generator, side: int, noise: float) -> Any:
    image = np.empty((side, side), np.float32)
    for row in image:
        row[:] = 0.02 + noise * rng.standard_normal(side, np.float32)
    y, x = rng.integers(8, side - 8, (2, side * side // 500))
    flux = (0.1 * rng.pareto(1.5, len(x))).astype(np.float32)
    for dy, dx in np.ndindex(5, 5):
        image[y + dy - 2, x + dx - 2] += flux * np.exp(-((dy - 2) ** 2 + (dx - 2) ** 2) / 2)
    image[: side // 20] = 0
    return image


def _header(side: int, band: str) -> Any:
    from astropy.io import fits

    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=11.0, CRVAL2=0.0, CRPIX1=side / 2,
        CRPIX2=side / 2, CD1_1=-SCALE_DEG, CD1_2=0.0, CD2_1=0.0, CD2_2=SCALE_DEG,
        BUNIT="ELECTRONS/S", FILTER=band, EXPTIME=1700.0,
    )  # fmt: skip
    from praesepe.survey import load_survey

    header["ZP_AB"] = load_survey(model()).band(band).zero_point_ab
    return header


def _write(path: Path, image: Any, band: str) -> None:
    from astropy.io import fits

    fits.PrimaryHDU(image, _header(len(image), band)).writeto(path)


# What is measured, with the calls of both commits.


def _mosaic(folder: Path, images: dict[str, Path]) -> Any:
    from praesepe.survey import load_survey

    survey = load_survey(model())
    points = {name: survey.band(name).zero_point_ab for name in BANDS}
    try:
        from praesepe.images.mosaic.mosaic import Mosaic

        read = Mosaic.read
    except ImportError:
        from praesepe.images.mosaic import read_mosaic as read  # type: ignore[no-redef]
    return read(images, survey, zero_points=points)


def _bands(folder: Path) -> dict[str, Path]:
    return {band: folder / f"{band}.fits" for band in BANDS}


def opening(folder: Path) -> Callable[[], Any]:
    """Open three bands."""
    return lambda: _mosaic(folder, _bands(folder))


def stamps(folder: Path) -> Callable[[], Any]:
    """Cut the stamps of all rows of the catalog."""
    try:
        from praesepe.images.mosaic.cutouts import extract_stamps
    except ImportError:
        from praesepe.images.cutouts import extract_stamps  # type: ignore[no-redef]
    mosaic = _mosaic(folder, _bands(folder))
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, mosaic.shape[0], (2, STAMPS))

    def cut() -> None:
        for start in range(0, STAMPS, 500):
            extract_stamps(mosaic, x[start : start + 500], y[start : start + 500], 64)

    return cut


def fpack(folder: Path) -> Callable[[], Any]:
    """Open a tile-compressed image with dithering."""
    try:
        from praesepe.images.reading.source import open_image
    except ImportError:
        from praesepe.images.source import open_image  # type: ignore[no-redef]
    return lambda: open_image(folder / "packed.fits", BANDS[0])


def csv(folder: Path) -> Callable[[], Any]:
    """Read a long catalog."""
    try:
        from praesepe.images.catalog.catalogs import Catalog

        read = Catalog.read
    except ImportError:
        from praesepe.images.catalogs import read_catalog  # type: ignore[no-redef]

        read = lambda path: read_catalog(path, None, x="ra", y="dec", origin=1)  # noqa: E731
    return lambda: read(folder / "long.csv")


def scan(folder: Path) -> Callable[[], Any]:
    """Look for clean places in three bands."""
    try:
        from praesepe.mocks.places import scan as scan_
    except ImportError:
        from praesepe.clean_places import scan as scan_  # type: ignore[no-redef]
    mosaic = _mosaic(folder, _bands(folder))
    return lambda: scan_(mosaic, None)


TASKS = {task.__name__: task for task in (opening, stamps, fpack, csv, scan)}


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """By how much the process's own memory grows, MB."""
    stop, start = threading.Event(), _own_memory()
    most = [0.0]

    def watch() -> None:
        while not stop.wait(0.004):
            most[0] = max(most[0], _own_memory() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def _own_memory() -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))


def measure(name: str, folder: Path) -> tuple[float, float]:
    """Processor time, s, and growth of memory, MB, of one task in this process: the second run."""
    import warnings

    warnings.simplefilter("ignore")
    TASKS[name](folder)()  # imports, and the files' pages in memory
    run = TASKS[name](folder)
    start = time.process_time()
    run()
    seconds = time.process_time() - start
    run = TASKS[name](folder)
    ctypes.CDLL(None).malloc_trim(0)
    with peak_memory() as most:
        run()
    return seconds, most[0]


def measured_in(tree: Path, name: str, folder: Path) -> tuple[float, float]:
    """The same with the code of a tree, in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    paths = f"{tree / 'src'}{os.pathsep}{ROOT / 'benchmarks'}"
    code = (
        f"import praesepe; assert praesepe.__file__.startswith({str(tree)!r}); "
        f"from pathlib import Path; from reading import measure; "
        f"print(*measure({name!r}, Path({str(folder)!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **threads, "PYTHONPATH": paths},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed with the code in {tree}:\n{done.stderr}")
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def main() -> None:
    """Measure old and new in turn, and print times, ratios and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--side", type=int, default=8192)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        old, files = Path(scratch, "old").resolve(), Path(scratch, "files")
        old.mkdir()
        files.mkdir()
        archive = subprocess.run(
            ["git", "-C", ROOT, "archive", wanted.commit], capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", old], input=archive, check=True)
        make_inputs(files, wanted.side)
        print(f"{'task':8s} {wanted.commit[:8]:>8s}  this tree  new/old    memory", flush=True)
        for name in wanted.tasks:
            pairs = [
                [measured_in(tree, name, files) for tree in (old, ROOT)]
                for _ in range(wanted.turns)
            ]
            (a, b), (m, n) = (
                [min(run[what] for run in runs) for runs in zip(*pairs, strict=True)]
                for what in (0, 1)
            )
            print(
                f"{name:8s} {a:6.3f} s {b:8.3f} s {b / a:8.2f}    {m:.0f} MB, now {n:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
