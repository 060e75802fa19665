"""Rebuild the embedded stellar model: `python tools/build_stellar_grid.py`.

Needs `cosmic-popsynth` (SSE tracks), `astropy` (to read SEDFit's tables) and the source
distribution of `SEDFit`, downloaded with pip unless `--sedfit` names it. The result are
`isochrones.npz`, `spectra.npz` and `provenance.json` in `src/praesepe/data/stellar`.
Takes about a quarter of an hour on two cores; intermediate results in `--work` are used again.
`--spectra-only` leaves the isochrones as they are and needs no `cosmic-popsynth`.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cool_stars
import kurucz_spectra
import numpy as np
import sse_isochrones

DATA = Path(__file__).parents[1] / "src" / "praesepe" / "data" / "stellar"
SEDFIT = "SEDFit==0.6.1"
SEDFIT_SHA256 = "11d9baa903b7340798fe758a2a73738b472748ffa3a7a4fa2a4b1dae7547eb1b"
LIMIT_BYTES = 12_000_000


def download_sedfit(folder: Path) -> Path:
    """Source distribution of SEDFit, fetched with pip into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--no-build-isolation", "-d", str(folder), SEDFIT], check=True)
    archive = next(folder.glob("[Ss][Ee][Dd][Ff]it*.tar.gz"))
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SEDFIT_SHA256:
        raise SystemExit(f"{archive.name} is not the file that this grid was made from")
    return archive


def pack_isochrones(
    metallicities: list[float], tracks: list[list[tuple[np.ndarray, np.ndarray]]]
) -> dict[str, np.ndarray]:
    """All isochrones end to end, with `start` (z, a + 1) saying where each begins.

    log L is stored in steps of 0.0005 dex, log T_eff in steps of 0.0001 dex.
    """
    flat = [track for of_z in tracks for track in of_z]
    counts = np.array([len(mass) for mass, _ in flat])
    ends = np.concatenate([[0], np.cumsum(counts)])
    state = np.concatenate([state for _, state in flat])
    n_age = len(sse_isochrones.LOG_AGES)
    start = np.array([ends[i * n_age : (i + 1) * n_age + 1] for i in range(len(metallicities))])
    return {
        "log_age": sse_isochrones.LOG_AGES,
        "metallicity": np.array(metallicities),
        "start": start,
        "initial_mass": np.concatenate([mass for mass, _ in flat]),
        "present_mass": state[:, 0].astype(np.float32),
        "log_l": np.round(state[:, 1] / 5e-4).astype(np.int16),
        "log_teff": np.round(np.clip(state[:, 2], 0.0, 6.5) / 1e-4).astype(np.uint16),
        "kind": state[:, 3].astype(np.uint8),
    }


def build_isochrones(work: Path, processes: int, metallicities: list[float]) -> dict:
    """SSE isochrones of every metallicity, each computed in its own process."""
    with ProcessPoolExecutor(processes) as pool:
        follow = partial(sse_isochrones.cached_isochrones, folder=work)
        tracks = list(pool.map(follow, metallicities))
    return pack_isochrones(metallicities, tracks)


def build_spectra(sedfit: Path) -> tuple[dict, dict[str, str]]:
    """Grid of spectra, and the checksums of the files it was made from."""
    names = {"kurucz": "sed_kurucz.p", "settl": "sed_btsettl.p"}
    content = {key: kurucz_spectra.read_member(sedfit, name) for key, name in names.items()}
    libraries = {key: kurucz_spectra.read_library(value) for key, value in content.items()}
    checksums = {name: hashlib.sha256(content[key]).hexdigest() for key, name in names.items()}
    checksums[cool_stars.TABLE.name] = hashlib.sha256(cool_stars.TABLE.read_bytes()).hexdigest()
    correction = cool_stars.Correction.read()
    return kurucz_spectra.spectral_grid(**libraries, correction=correction), checksums


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Compressed npz without pickles; a failed write leaves the old file in place."""
    unfinished = path.with_name(f"unfinished_{path.name}")
    np.savez_compressed(unfinished, allow_pickle=False, **arrays)
    unfinished.replace(path)


def provenance(checksums: dict[str, str], isochrones: dict) -> dict:
    """What the data were made from and by what, and their checksums.

    `isochrones` has the entries `isochrones` and `cosmic-popsynth`.
    """
    files = {
        name: hashlib.sha256((DATA / name).read_bytes()).hexdigest()
        for name in ("isochrones.npz", "spectra.npz")
    }
    return {
        "command": "python tools/build_stellar_grid.py",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": sys.version.split()[0],
        "packages": {
            "cosmic-popsynth": isochrones["cosmic-popsynth"],
            **{name: version(name) for name in ("numpy", "astropy")},
        },
        "isochrones": isochrones["isochrones"],
        "spectra": f"Kurucz (ATLAS9), below 3500 K BT-Settl, from {SEDFIT}; Kurucz below 6250 K "
        "with the colours of cool_stars.json",
        "sources_sha256": checksums,
        "files_sha256": files,
    }


def isochrones_record(metallicities: list[float] | None) -> dict:
    """Origin of the isochrones: new ones, or (None) those that are there already."""
    if metallicities is None:
        record = json.loads((DATA / "provenance.json").read_text())
        if (
            record["files_sha256"]["isochrones.npz"]
            != hashlib.sha256((DATA / "isochrones.npz").read_bytes()).hexdigest()
        ):
            raise SystemExit("isochrones.npz is not the file that provenance.json describes")
        return {"isochrones": record["isochrones"], **record["packages"]}
    return {
        "isochrones": "SSE tracks (Hurley, Pols & Tout 2000) with the default settings of "
        "cosmic-popsynth; Z = " + ", ".join(f"{z:g}" for z in metallicities),
        "cosmic-popsynth": version("cosmic-popsynth"),
    }


def main() -> None:
    """Read the command line, build both grids, record where they come from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sedfit", type=Path, help="SEDFit .tar.gz, or its unpacked folder")
    parser.add_argument("--work", type=Path, help="folder for intermediate results")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--metallicity", type=float, nargs="+")
    parser.add_argument("--spectra-only", action="store_true", help="leave isochrones.npz alone")
    options = parser.parse_args()
    metallicities = sorted(options.metallicity or sse_isochrones.METALLICITIES)
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        spectra, checksums = build_spectra(options.sedfit or download_sedfit(Path(folder)))
        write_npz(DATA / "spectra.npz", spectra)
        if not options.spectra_only:
            isochrones = build_isochrones(work, options.processes, metallicities)
            write_npz(DATA / "isochrones.npz", isochrones)
    origin = isochrones_record(None if options.spectra_only else metallicities)
    record = json.dumps(provenance(checksums, origin), indent=2)
    (DATA / "provenance.json").write_text(record + "\n")
    size = sum(path.stat().st_size for path in DATA.glob("*.npz"))
    print(f"{DATA}: {size / 1e6:.1f} MB")
    if size > LIMIT_BYTES:
        raise SystemExit(f"the grids take more than {LIMIT_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
