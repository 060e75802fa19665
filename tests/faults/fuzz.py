"""Damage the files that Praesepe reads, and see whether it says so in one line.

    python tests/faults/fuzz.py [--minutes 10] [--number 600] [--seed 0] [--keep FOLDER]

Bytes of images, PSFs, catalogs, star fields, survey and model files are flipped, overwritten, cut
off, removed and doubled; in JSON and TOML one value of any key is missing, of another type, huge,
negative, not a number, or nested. Every damaged file is read by a process of its own kind, which
is replaced when it hangs (60 s), dies, or has taken more than 2 GB. A file may be read, or refused
by an error of Praesepe's; any other exception, and any warning that is not Praesepe's, is a
finding. What was read is compared with what the whole file says: where it differs, that is a
finding in a file with a checksum; of others it is listed ("read, other"), since their text is
right as it stands. Findings are printed with their seed, and kept with ``--keep``, as are files
that were read otherwise; the exit status is 1 where there is any finding.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from astropy.io import fits
from astropy.table import Table

from praesepe.errors import PraesepeError, PraesepeWarning
from praesepe.images import Catalog, Mosaic
from praesepe.images.mosaic.cutouts import extract_stamps
from praesepe.mocks import simulate, simulate_mosaic
from praesepe.mocks.fields import build_fields
from praesepe.mocks.sets import MANIFEST
from praesepe.network import Estimator
from praesepe.network.storage import CONTENT, WEIGHTS
from praesepe.sky.check import check_survey
from praesepe.sky.fields.real import DESCRIPTION, FIELDS, RealFieldPool
from praesepe.sky.instrument.psf import band_psf
from praesepe.stars import IsochroneGrid
from praesepe.stars.assembly import assemble
from praesepe.stars.isochrones import surface_gravity
from praesepe.stars.readers import read_isochrones
from praesepe.stars.store import import_isochrones, read_grid, write_grid
from praesepe.survey import load_survey
from praesepe.survey.schema import Survey
from praesepe.training.checkpoint import read_checkpoint
from praesepe.training.loop import train
from praesepe.training.run import CHECKPOINT

HANG_S = 60
MEMORY_BYTES = 2 * 2**30
WRONG = ("é", 1e300, -7, 10**30, float("nan"), True, [[[]]], {"a": {"b": 1}}, "1" * 10_000)
"""Values that one key of a description has in place of its own."""
BAND = "F814W"
TOY = """
name = "toy"
galaxy = {distance_pc = 785000.0, field = {surface_density = [0.02, 0.1]}}
clusters = {log_mass = [2.0, 3.5], rh_arcsec = [0.1, 0.4]}
network = {stamp_size = 16}
[observation]
pixel_scale_arcsec = 0.1
[[observation.bands]]
name = "F475W"
filter = "acs_wfc_f475w"
zero_point_ab = 26.06
exposure_s = 1700.0
sky_e_s = [0.1, 0.2]
asinh_scale = 0.03
"""
STAMP_PX = 16


@dataclass(frozen=True)
class Target:
    """A whole file, and how Praesepe reads it: into checksums of what it says, by name."""

    path: Path
    read: Callable[[Path], dict[str, str]]
    signed: bool = False


def told(**parts: Any) -> dict[str, str]:
    """Checksums of arrays and of what can be printed."""

    def digest(part: Any) -> str:
        is_array = isinstance(part, np.ndarray) and part.dtype.kind != "O"
        content = np.ascontiguousarray(part).tobytes() if is_array else str(part).encode()
        return hashlib.sha256(content).hexdigest()[:8]

    return {name: digest(part) for name, part in parts.items()}


def read_image(path: Path) -> dict[str, str]:
    """Cut one stamp out of a mosaic."""
    mosaic = Mosaic.read({BAND: path}, one_band())
    ra, dec = mosaic.wcs.pixel_to_world_values(40.0, 40.0)
    stamps = extract_stamps(mosaic, [40.0], [40.0], STAMP_PX)
    return told(pixels=stamps.images, holes=stamps.holes, sky=f"{ra:.6f} {dec:.6f}")


def read_catalog(path: Path) -> dict[str, str]:
    """Read positions."""
    catalog = Catalog.read(path)
    sky = catalog.sky or catalog.pixel
    return told(sky=np.array(sky), ids=list(catalog.table[catalog.id_column or "ra"]))


def read_model(path: Path) -> dict[str, str]:
    """Load the model that the file belongs to."""
    model = Estimator.load(path.parent)
    return told(card=model.card, survey=model.survey.to_toml(), **arrays(model.net.state_dict()))


def read_psf(path: Path) -> dict[str, str]:
    """Check a survey whose first band has this PSF."""
    content = load_survey("phat").model_dump(mode="json")
    content["observation"]["bands"][0]["psf"] = {"file": str(path), "file_scale_arcsec": 0.05}
    survey = Survey.checked(content, "psf")
    check_survey(survey)
    return told(psf=band_psf(survey.bands[0], grid_scale_arcsec=0.025, half_size_px=20))


def read_fields(path: Path) -> dict[str, str]:
    """Open star fields."""
    return told(pixels=RealFieldPool(path.parent, one_band()).field(0).numpy())


def read_survey(path: Path) -> dict[str, str]:
    """Check a survey."""
    return told(content=load_survey(path).to_toml())


def read_run(path: Path) -> dict[str, str]:
    """Read a checkpoint."""
    tensors, progress = read_checkpoint(path)
    return told(progress=progress, **arrays(tensors))


def arrays(tensors: Any) -> dict[str, Any]:
    """Tensors as arrays."""
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def one_band() -> Any:
    """`phat` with a single band."""
    survey = load_survey("phat")
    observation = survey.observation
    bands = tuple(band for band in observation.bands if band.name == BAND)
    return survey.model_copy(
        update={"observation": observation.model_copy(update={"bands": bands})}
    )


def make_targets(folder: Path) -> list[Target]:
    """Write one whole file of every kind."""
    images = simulate_mosaic("phat", n=3, size=256, seed=1, out=folder / "mosaic").images
    with fits.open(images[BAND]) as hdus:
        header, data = hdus["SCI"].header, hdus["SCI"].data[:80, :80].copy()
        first = hdus[0].header
    plain = fits.HDUList([fits.PrimaryHDU(header=first), fits.ImageHDU(data, header, name="SCI")])
    packed = fits.CompImageHDU(data, header, compression_type="RICE_1", name="SCI")
    plain.writeto(folder / "plain.fits")
    plain.writeto(folder / "zipped.fits.gz")
    fits.HDUList([plain[0].copy(), packed]).writeto(folder / "packed.fits")
    with zipfile.ZipFile(folder / "archive.fits.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "plain.fits", "plain.fits")
    names = ("plain.fits", "zipped.fits.gz", "packed.fits", "archive.fits.zip")
    targets = [Target(folder / name, read_image) for name in names]

    table = Table.read(folder / "mosaic" / "truth.ecsv")["id", "ra", "dec"]
    table.meta.clear()
    table["name"] = [f"α {row}" for row in range(len(table))]
    for name, form in (("c.ecsv", "ascii.ecsv"), ("c.csv", "ascii.csv"), ("c.vot", "votable")):
        table.write(folder / name, format=form)
    table["id", "ra", "dec"].write(folder / "c.fits")
    names = ("c.ecsv", "c.csv", "c.vot", "c.fits")
    targets += [Target(folder / name, read_catalog) for name in names]

    survey = folder / "survey.toml"
    survey.write_text(load_survey("phat").to_toml())
    targets.append(Target(survey, read_survey))
    model = Estimator.untrained(load_survey("phat"), encoder="tiny").save(folder / "model")
    y, x = np.mgrid[-20:21, -20:21]
    star = np.exp(-(x**2 + y**2) / 4).astype(np.float32)
    fits.writeto(folder / "psf.fits", star / star.sum())
    read = Mosaic.read({BAND: images[BAND]}, one_band())
    fields = build_fields(one_band(), read, out=folder / "fields", n=4, size=64).path
    targets += [
        Target(folder / "psf.fits", read_psf),
        Target(Path(fields) / DESCRIPTION, read_fields, signed=True),
        Target(Path(fields) / FIELDS, read_fields, signed=True),
    ]
    targets += [Target(model / name, read_model, signed=True) for name in (CONTENT, WEIGHTS)]
    return targets + make_more_targets(folder)


def make_more_targets(folder: Path) -> list[Target]:
    """A checkpoint, a set of shards, and stars, imported and to be imported."""
    survey = folder / "toy.toml"
    survey.write_text(TOY)
    train(survey, out=folder / "run", steps=1, encoder="tiny", batch_size=2, valid_size=2)
    simulate(survey, n=2, shards=1, out=folder / "set")
    (folder / "parsec.dat").write_text(isochrones())
    grid = folder / "grid.npz"
    write_grid(grid, assemble(read_isochrones([folder / "parsec.dat"])))
    return [
        Target(folder / "run" / CHECKPOINT, read_run, signed=True),
        Target(folder / "set" / MANIFEST, read_shards, signed=True),
        Target(folder / "set" / "shard-00000.fits", read_shards, signed=True),
        Target(folder / "parsec.dat", import_stars),
        Target(grid, read_stars, signed=True),
    ]


def read_shards(path: Path) -> dict[str, str]:
    """Go on with a set, of which what is damaged is drawn again."""
    mocks = simulate(path.parents[1] / "toy.toml", n=2, shards=1, out=path.parent)
    return told(images=mocks.images, truth=mocks.truth.as_array())


def import_stars(path: Path) -> dict[str, str]:
    """Import a stellar model."""
    os.environ["PRAESEPE_DATA"] = str(path.parent / "data")
    return told(key=import_isochrones([path], name="mine", overwrite=True).grid.key)


def read_stars(path: Path) -> dict[str, str]:
    """Read a stellar model."""
    return told(key=read_grid(path)[0].key)


def isochrones() -> str:
    """Two ages of SSE in the layout of CMD 3.7."""
    lines = ["# File generated by CMD 3.7"]
    for i_age in (8, 9):
        lines.append("# Zini MH logAge Mini int_IMF Mass logL logTe logg label mbolmag F336Wmag")
        stars = IsochroneGrid.embedded().isochrone(i_age, 6)
        for i in np.flatnonzero(stars.living):
            mass, log_l, log_teff = stars.initial_mass[i], stars.log_l[i], stars.log_teff[i]
            log_g = surface_gravity(mass, log_l, log_teff)
            label = 1 if stars.kind[i] < 2 else 3
            row = [0.0142, 0.0, 6.6 + 0.05 * i_age, mass, 1.0, mass, log_l, log_teff, log_g, label]
            lines.append(" ".join(f"{value:.5f}" for value in (*row, 4.7, 5.0)))
    return "\n".join([*lines, "#isochrone terminated"]) + "\n"


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """A copy with a few faults, most of them near the beginning, where headers are."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        reach = len(data) if rng.random() < 0.4 else min(len(data), 6000)
        if reach == 0:
            break
        at, length = int(rng.integers(reach)), int(rng.geometric(0.05))
        match rng.integers(6):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at : at + length] = rng.bytes(length)
            case 2:
                data[at : at + length] = bytes(rng.choice(list(b"0123456789.-+Ee 'T"), length))
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                del data[at:]
    return bytes(data)


def with_wrong_key(whole: bytes, suffix: str, rng: np.random.Generator) -> bytes:
    """A description of which one value is wrong and the checksum is not."""
    content = json.loads(whole) if suffix == ".json" else tomllib.loads(whole.decode())
    places = list(keys_in(content))
    *above, last = places[rng.integers(len(places))]
    inner = content
    for key in above:
        inner = inner[key]
    if (kind := int(rng.integers(len(WRONG) + 1))) == len(WRONG):
        del inner[last]
    else:
        inner[last] = WRONG[kind]
    if suffix == ".toml":
        return tomli_w.dumps(content).encode()
    return json.dumps(content).encode()


def keys_in(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all values in nested tables and lists."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from keys_in(value, (*above, key))


def judge(read: Callable[[Path], dict[str, str]], path: Path) -> tuple[str, Any]:
    """What came of reading a file: its kind, and what it says or where a fault lies."""
    detail: Any
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome, detail = "read", read(path)
        except PraesepeError as error:
            outcome, detail = "refused", str(error)
        except Exception:  # what is looked for
            outcome, detail = "traceback", traceback.format_exc(limit=-4)
    foreign = [w for w in caught if not issubclass(w.category, PraesepeWarning)]
    if foreign and outcome != "traceback":
        outcome, detail = "foreign warning", f"{foreign[0].category.__name__}: {foreign[0].message}"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY_BYTES:
        outcome = "memory"
    return outcome, detail


def serve(connection: Any) -> None:
    """Read what is asked for until told to stop (in a process of its own)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.send("ready")  # the imports do not count as a hang
    while (task := connection.recv()) is not None:
        connection.send(judge(*task))


class Reader:
    """A process that reads files, and is replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def read(self, target: Target, path: Path) -> tuple[str, Any]:
        """What comes of reading a file like a target's."""
        self._connection.send((target.read, path))
        try:
            if self._connection.poll(HANG_S):
                answer: tuple[str, Any] = self._connection.recv()
                if answer[0] != "memory":
                    return answer
            else:
                answer = ("hang", f"more than {HANG_S} s")
        except EOFError:
            answer = ("died", "the process ended")
        self._process.kill()
        self._process.join()
        self._start()
        return answer

    def stop(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()


def attempts(targets: list[Target], folder: Path, seed: int) -> Iterator[tuple[int, Target, Path]]:
    """Damaged files without end: their number, what they were, and where they lie."""
    whole = {target.path: target.path.read_bytes() for target in targets}
    for number in range(2**31):
        rng = np.random.default_rng([seed, number])
        target = targets[number % len(targets)]
        place = folder / "damaged"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if target.read in (read_model, read_fields, read_shards):
            shutil.copytree(target.path.parent, place, dirs_exist_ok=True)
        path = place / target.path.name
        described = path.suffix in (".json", ".toml") and rng.random() < 0.7
        content = whole[target.path]
        path.unlink(missing_ok=True)
        path.write_bytes(
            with_wrong_key(content, path.suffix, rng) if described else damaged(content, rng)
        )
        yield number, target, path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--number", type=int, default=2**31, help="so many files at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    options = parser.parse_args()
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    seen: set[tuple[str, str, str]] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = make_targets(folder)
        reader = Reader()
        whole: dict[Path, Any] = {}
        for target in targets:
            outcome, whole[target.path] = reader.read(target, target.path)
            if outcome != "read":
                sys.exit(f"the whole file {target.path.name}: {outcome}\n{whole[target.path]}")
        end = time.monotonic() + 60 * options.minutes
        for number, target, path in attempts(targets, folder, options.seed):
            if time.monotonic() > end or number >= options.number:
                break
            outcome, detail = reader.read(target, path)
            if outcome == "read":
                then = whole[target.path]
                detail = ", ".join(name for name in then if then[name] != detail.get(name))
                outcome = "read, other" if detail else "read"
            counts[target.path.name, outcome] += 1
            said = detail.strip().rpartition("\n")[2]
            kind = (outcome, target.path.suffix, re.sub(r"0x\w+|\d+|'.*?'|/\S+", "", said)[:40])
            fine = outcome in ("read", "refused") or (
                outcome == "read, other" and not target.signed
            )
            is_new = not fine and kind not in seen
            if is_new:
                seen.add(kind)
            if is_new or outcome == "read, other":
                print(f"--- {outcome}: {target.path.name}, seed {options.seed}, number {number}")
                print(detail, flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, options.keep / f"{number}-{path.name}")
        reader.stop()
    outcomes = sorted({outcome for _, outcome in counts})
    print(f"{'file':24}" + "".join(f"{outcome:>17}" for outcome in outcomes))
    for target in targets:
        row = "".join(f"{counts[target.path.name, outcome]:17}" for outcome in outcomes)
        print(f"{target.path.name:24}{row}")
    print(f"{sum(counts.values())} files, {len(seen)} different findings")
    sys.exit(len(seen) > 0)


if __name__ == "__main__":
    main()
