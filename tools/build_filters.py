"""Rebuild the filter curves in `src/praesepe/data/filters`.

    pip install h5py
    python tools/build_filters.py

Curves that `astro-sedpy` has are taken from there and are not repeated. The others come from
three packages of the Python Package Index, which pip downloads (or which lie in `--wheels`):

- `hostphot` 3.2.4 holds the curves of the SVO Filter Profile Service (Rodrigo et al. 2012), which
  for HST are those of STScI's synphot: telescope, filter and detector together. Taken are
  WFC3/UVIS (chip 1, to which calibrated images of both chips are scaled), the medium and narrow
  bands of WFC3/IR and ACS/WFC, and NICMOS.
- `pyphot` 2.1.1 holds synphot's total curves of WFPC2 and ACS/HRC. (Its curves of WFC3, of
  NICMOS and of WFPC2 F170W are filters without telescope and detector: not used.)
- `speclite` 1.0.0 holds Euclid's.

A curve keeps the points that it needs so that straight lines between them stay within 0.3 % of
it (and 3e-6 of its peak in the wings, for the red leaks of ultraviolet filters), or nearer where
pivot (relative) and zero point would change by 1e-4, or the magnitude of a star of 3000 K by 1e-3.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from praesepe.stars.passbands import Passband

FOLDER = Path(__file__).parents[1] / "src/praesepe/data/filters"
VERSIONS = {"hostphot": "3.2.4", "pyphot": "2.1.1", "speclite": "1.0.0"}

# WFC3/UVIS F280N is left out: SVO's curve ends before the red leak, which moves its pivot by 1.3 %.
UVIS = (
    "F200LP F218W F300X F343N F350LP F373N F390M F395N F410M F438W F467M F469N F475X F487N F502N "
    "F547M F600LP F621M F625W F631N F645N F656N F657N F658N F665N F673N F680N F689M F763M F775W "
    "F845M F850LP F953N"
)
SVO = {
    ("WFC3/UVIS", "WFC3_UVIS1"): UVIS,
    ("WFC3/IR", "WFC3_IR"): "F126N F127M F128N F130N F132N F139M F153M F164N F167N",
    ("ACS/WFC", "ACS_WFC"): "F502N F550M F658N F660N F892N",
    ("NICMOS/NIC1", "NICMOS1"): "F110W F140W F160W",
    ("NICMOS/NIC2", "NICMOS2"): "F110W F160W F187W F205W F222M",
    ("NICMOS/NIC3", "NICMOS3"): "F110W F150W F160W F175W F222M",
}
PYPHOT = {
    ("WFPC2", "HST_WFPC2"): (
        "F218W F255W F300W F336W F439W F450W F555W F606W F622W F675W F791W F814W F850LP"
    ),
    ("ACS/HRC", "HST_ACS_HRC"): (
        "F220W F250W F330W F344N F435W F475W F502N F550M F555W F606W F625W F658N F660N F775W "
        "F814W F850LP F892N"
    ),
}
EUCLID = {"VIS": "Euclid/VIS", "Y": "Euclid/NISP", "J": "Euclid/NISP", "H": "Euclid/NISP"}


def main() -> None:
    """Build all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, help="folder with the wheels, instead of pip")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.wheels or _download(Path(temporary))
        wheels = {name: zipfile.ZipFile(next(folder.glob(f"{name}-*.whl"))) for name in VERSIONS}
        for camera, band, origin, wavelength, throughput in _curves(wheels):
            _write(camera, band, origin, wavelength, throughput)
    sizes = [path.stat().st_size for path in FOLDER.glob("*.txt")]
    print(f"{len(sizes)} curves, {sum(sizes) / 1024:.0f} kB")


def _download(folder: Path) -> Path:
    wanted = [f"{name}=={version}" for name, version in VERSIONS.items()]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "-d", str(folder), *wanted], check=True)
    return folder


def _curves(
    wheels: dict[str, zipfile.ZipFile],
) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """Yield camera, band, origin, wavelength and throughput of every curve."""
    import h5py

    for (camera, label), bands in SVO.items():
        for band in bands.split():
            file = f"{label}/{label}_{band}.dat"
            text = wheels["hostphot"].read(f"hostphot/filters/HST/{file}")
            table = np.loadtxt(io.BytesIO(text), usecols=(0, 1))
            origin = f"SVO Filter Profile Service, HST/{label}.{band}; hostphot 3.2.4, HST/{file}"
            yield camera, band, origin, table[:, 0], table[:, 1]
    content = io.BytesIO(wheels["pyphot"].read("pyphot/libs/new_filters.hd5"))
    with h5py.File(content) as library:
        for (camera, label), bands in PYPHOT.items():
            for band in bands.split():
                table = library[f"filters/{label}_{band}"][:]
                origin = f"STScI synphot; pyphot 2.1.1, new_filters.hd5, {label}_{band}"
                yield camera, band, origin, table["WAVELENGTH"], table["THROUGHPUT"]
    for band, camera in EUCLID.items():
        lines = wheels["speclite"].read(f"speclite/data/filters/Euclid-{band}.ecsv").decode()
        rows = [line for line in lines.splitlines() if line[:1].isdigit()]
        table = np.loadtxt(rows)
        origin = f"Euclid Consortium; speclite 1.0.0, Euclid-{band}.ecsv"
        yield camera, band, origin, table[:, 0], table[:, 1]


def _write(
    camera: str, band: str, origin: str, wavelength: np.ndarray, throughput: np.ndarray
) -> None:
    order = np.unique(wavelength, return_index=True)[1]
    wavelength, throughput = wavelength[order], np.maximum(throughput[order], 0.0)
    seen = np.flatnonzero(throughput > 1e-6 * throughput.max())
    part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
    wavelength, throughput = wavelength[part], throughput[part]
    name = f"{camera} {band}".replace("NICMOS/", "").replace("/", "_").replace(" ", "_").lower()
    if band == "VIS":
        name = "euclid_vis"
    kept = _kept(name, wavelength, throughput)
    lines = [
        f"# {camera} {band}: total throughput of telescope, filter and detector",
        f"# {origin}",
        f"# {len(kept)} of {len(wavelength)} points, by tools/build_filters.py",
        "# wavelength [Angstrom], electrons per photon",
    ]
    lines += [f"{wavelength[i]:.7g} {throughput[i]:.4g}" for i in kept]
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


def _kept(name: str, wavelength: np.ndarray, throughput: np.ndarray) -> list[int]:
    """Points of the coarsest curve that has the same light."""
    whole = Passband(name, wavelength, throughput)
    for accuracy in 3e-3 / 1.5 ** np.arange(20):
        kept = _needed(wavelength, throughput, accuracy * (throughput + 1e-3 * throughput.max()))
        if _same_light(whole, Passband(name, wavelength[kept], throughput[kept])):
            return kept
    return list(range(len(wavelength)))


def _needed(x: np.ndarray, y: np.ndarray, tolerance: np.ndarray) -> list[int]:
    """Points between which straight lines stay within the tolerance (Douglas & Peucker 1973)."""
    kept, open_parts = {0, len(x) - 1}, [(0, len(x) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        inside = np.arange(first + 1, last)
        if not len(inside):
            continue
        line = np.interp(x[inside], x[[first, last]], y[[first, last]])
        excess = np.abs(y[inside] - line) / tolerance[inside]
        if excess.max() > 1:
            worst = int(inside[excess.argmax()])
            kept.add(worst)
            open_parts += [(first, worst), (worst, last)]
    return sorted(kept)


def _same_light(one: Passband, other: Passband) -> bool:
    wavelength = np.linspace(1000.0, 30000.0, 29001)
    cool = wavelength**-5 / np.expm1(1.4388e8 / (wavelength * 3000.0))
    cool_star = one.ab_magnitude(wavelength, cool) - other.ab_magnitude(wavelength, cool)
    return (
        abs(one.pivot_angstrom / other.pivot_angstrom - 1) < 1e-4
        and abs(one.zero_point_ab() - other.zero_point_ab()) < 1e-4
        and abs(cool_star) < 1e-3
    )


if __name__ == "__main__":
    main()
