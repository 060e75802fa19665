"""`praesepe simulate`, `mosaic` and `fields build` as a user calls them, right and wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from praesepe.survey import load_survey

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey file of one band and small stamps."""
    phat = load_survey("phat-nodust")
    small = phat.with_values(
        name="small", observation={"bands": phat.bands[1:2]}, network={"stamp_size": 32}
    )
    path = tmp_path_factory.mktemp("survey") / "small.toml"
    path.write_text(small.to_toml(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The images of a set of 1000, drawn by one process into one file."""
    from praesepe.mocks.sets import simulate

    path = tmp_path_factory.mktemp("whole") / "a.fits"
    return simulate(survey, n=1000, seed=4, out=path).images


@pytest.fixture
def refused(run_cli: Run, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must end with one clean message and leave no file."""

    def run(*words: Any) -> str:
        before = sorted(tmp_path.rglob("*"))
        finished = run_cli(*words, cwd=tmp_path, check=False)
        assert finished.returncode == 2, finished.output
        assert "Traceback" not in finished.output
        assert finished.stderr.count("Error:") == 1, finished.stderr
        assert [p for p in sorted(tmp_path.rglob("*")) if p.is_file()] == [
            p for p in before if p.is_file()
        ]
        return " ".join(finished.stderr.split())

    return run


# simulate


def images_of(folder: Path) -> np.ndarray:
    """All images of a folder of shards, in order."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return np.concatenate([fits.getdata(folder / s["file"], "IMAGES") for s in manifest["shards"]])


def test_two_workers_draw_what_one_draws(
    run_cli: Run, survey: Path, whole: np.ndarray, tmp_path: Path
) -> None:
    """The seed decides; another one gives other clusters."""
    words = ("simulate", survey, "--n", 1000, "--seed", 4, "--out", "set")
    finished = run_cli(*words, "--shards", 2, "--workers", 2, cwd=tmp_path)
    assert "Wrote 1000 clusters to set" in finished.stdout
    np.testing.assert_array_equal(images_of(tmp_path / "set"), whole)
    assert not np.array_equal(whole[:256], whole[256:512])


def test_zarr(run_cli: Run, survey: Path, whole: np.ndarray, tmp_path: Path) -> None:
    words = ("simulate", survey, "--n", 300, "--seed", 4, "--out", tmp_path / "a.zarr")
    run_cli(*words)
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(root["images"][:256], whole[:256])
    assert root["images"].shape == (300, 1, 32, 32)
    assert root["truth/log_age"].shape == (300,)
    assert "praesepe simulate" in root.attrs["HISTORY"]
    assert "exists" in run_cli(*words, check=False).stderr
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "notes.txt").touch()
    other = run_cli(*words[:-1], tmp_path / "b.zarr", "--overwrite", check=False)
    assert "holds no Zarr group" in other.stderr


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_goes_on_after_a_kill(
    run_cli: Run, survey: Path, whole: np.ndarray, tmp_path: Path
) -> None:
    words = ["simulate", str(survey), "--n", "1000", "--seed", "4", "--shard-size", "256"]
    command = [sys.executable, "-m", "praesepe", *words, "--out", "set", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    first = tmp_path / "set" / "shard-00000.fits"
    deadline = time.monotonic() + 600  # ends a hang, judges no speed
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()  # the parent alone: its workers must notice
    process.wait()
    assert first.exists()
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _group_lives(process.pid)
    files = sorted((tmp_path / "set").glob("*.fits"))
    visible = [path for path in files if not path.name.startswith(".")]
    if len(visible) == 4:  # the kill came too late; what follows holds all the same
        visible.pop().unlink()
    for path in visible:  # whole, every one of them
        assert len(fits.getdata(path, "TRUTH")) == len(fits.getdata(path, "IMAGES"))
    written = first.stat().st_mtime_ns
    run_cli(*words, "--out", "set", cwd=tmp_path)
    assert first.stat().st_mtime_ns == written
    np.testing.assert_array_equal(images_of(tmp_path / "set"), whole)
    assert not list((tmp_path / "set").glob(".*"))


def test_simulate_refuses(refused: Any, survey: Path, tmp_path: Path) -> None:
    words = ("simulate", survey, "--n", 1000)
    assert "'.png' is not one of .fits, .fit or .zarr" in refused(*words, "--out", "a.png")
    assert "--shards" in refused(*words, "--out", "a")
    assert "it must be 1 to 4" in refused(*words, "--out", "a", "--shards", 9)
    assert "multiple" in refused(*words, "--out", "a", "--shard-size", 100)
    assert "not both" in refused(*words, "--out", "a", "--shards", 2, "--shard-size", 256)
    assert "shards lie in a folder" in refused(*words, "--out", "a.zarr", "--shards", 2)
    message = refused(*words, "--out", "a", "--shards", 2, "--format", "hdf5")
    assert "unknown format 'hdf5'" in message
    assert "is for shards" in refused(*words, "--out", "a.fits", "--format", "fits")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert "holds no set of mocks" in refused(*words, "--out", "mine", "--shards", 2)
    assert "make it first" in refused(*words, "--out", "no/where", "--shards", 2)


def test_more_than_the_disk_holds(refused: Any, survey: Path) -> None:
    huge = ("simulate", survey, "--n", 10**12)
    assert "GB free" in refused(*huge, "--out", "a.fits")
    assert "GB free" in refused(*huge, "--out", "a", "--shard-size", 256)


# mosaic


@pytest.fixture
def catalog(tmp_path: Path) -> Table:
    """Three clusters around RA = 0."""
    return Table(
        {
            "id": ["a", "b", "c"],
            "ra": [359.9997, 0.0, 0.0003],
            "dec": [30.0, 30.0002, 29.9998],
            "log_age": [8.0, 9.0, 7.0],
            "log_mass": [4.5, 4.0, 3.5],
            "rh_arcsec": [0.1, 0.2, 0.3],
        }
    )


def test_mosaic_of_a_catalogue(run_cli: Run, survey: Path, catalog: Table, tmp_path: Path) -> None:
    catalog["gamma"] = 3.0
    catalog.write(tmp_path / "c.csv")
    words = ("mosaic", survey, "--catalog", "c.csv", "--size", 128, "--seed", 2)
    finished = run_cli(*words, "--density", 1, "--no-nuisances", "--out", "sky", cwd=tmp_path)
    assert "3 clusters" in finished.stdout
    with fits.open(tmp_path / "sky" / "small_f475w.fits") as hdus:
        image, header = hdus["SCI"].data, hdus["SCI"].header
        wcs = WCS(header)
        assert header["BUNIT"] == "ELECTRONS/S"
        assert hdus[0].header["EXPTIME"] == load_survey("phat").bands[1].exposure_s
        assert hdus[0].header["SEED"] == 2
        assert "praesepe mosaic" in str(hdus[0].header["HISTORY"])
    assert image.shape == (128, 128)
    x, y = wcs.world_to_pixel_values(catalog["ra"], catalog["dec"])
    for column, row in zip(np.round(x).astype(int), np.round(y).astype(int), strict=True):
        here = image[row - 2 : row + 3, column - 2 : column + 3].mean()
        assert here > 10 * np.median(np.abs(image))
    truth = Table.read(tmp_path / "sky" / "truth.ecsv")
    assert list(truth["id"]) == ["a", "b", "c"]
    np.testing.assert_allclose(truth["x"], x, atol=1e-3)
    np.testing.assert_allclose(truth["rh_arcsec"], catalog["rh_arcsec"], rtol=1e-5)
    np.testing.assert_allclose(truth["log_mass"], catalog["log_mass"], atol=0.1)
    np.testing.assert_allclose(truth["gamma"], 3)
    assert str(truth["log_age"].unit) == "dex(yr)"
    assert {"mag_F475W", "log_present_mass", "n_stars", "a_v", "profile"} <= set(truth.colnames)
    # what comes out can go in
    run_cli("mosaic", survey, "--catalog", "sky/truth.ecsv", "--size", 128, "--out", "again",
            cwd=tmp_path)  # fmt: skip
    again = Table.read(tmp_path / "again" / "truth.ecsv")
    for name in ("ra", "log_rh", "gamma", "tidal_radius"):
        np.testing.assert_allclose(again[name], truth[name], rtol=1e-5)


def test_mosaic_of_the_prior(run_cli: Run, survey: Path, tmp_path: Path) -> None:
    words = ("mosaic", survey, "--n", 2, "--size", 96, "--center", "24.17,15.78")
    for name in ("one", "two"):
        run_cli(*words, "--out", name, cwd=tmp_path)
    one, two = (fits.getdata(tmp_path / n / "small_f475w.fits", "SCI") for n in ("one", "two"))
    np.testing.assert_array_equal(one, two)
    truth = Table.read(tmp_path / "one" / "truth.ecsv")
    assert np.abs(truth["ra"] - 24.17).max() < 0.01
    assert "already holds" in run_cli(*words, "--out", "one", cwd=tmp_path, check=False).stderr
    run_cli(*words[:2], "--n", 0, "--size", 96, "--out", "empty", cwd=tmp_path)
    assert len(Table.read(tmp_path / "empty" / "truth.ecsv")) == 0


def test_mosaic_with_pixel_positions(
    run_cli: Run, survey: Path, catalog: Table, tmp_path: Path
) -> None:
    del catalog["ra"], catalog["dec"]
    catalog["x"], catalog["y"] = [40.0, 80.0, 500.0], [30.0, 60.0, 20.0]
    catalog["colour"] = 1
    catalog.write(tmp_path / "c.csv")
    words = ("mosaic", survey, "--catalog", "c.csv", "--size", 128, "--out", "sky")
    assert "need an origin" in run_cli(*words, cwd=tmp_path, check=False).stderr
    finished = run_cli(*words, "--origin", 1, cwd=tmp_path)
    said = " ".join(finished.stderr.split())
    assert "1 of 3 clusters lie outside the mosaic of 128×128 px and are left out: rows 3" in said
    assert "ignored: colour" in said
    truth = Table.read(tmp_path / "sky" / "truth.ecsv")
    np.testing.assert_allclose(truth["x"], [39, 79], atol=1e-4)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("log_mass", None, "lacks log_mass; it has id, ra, dec"),
        ("elipticity", [0.1, 0.2, 0.3], "unknown column in c.csv: 'elipticity'. Did you mean"),
        ("gamma", [3.0, 1.5, 3.0], "row 2: gamma = 1.5; allowed are values above 2"),
        ("log_age", [8.0, 11.0, 8.0], "row 2: log_age = 11; allowed are 6.6 to 10.1"),
        ("log_age", ["old", "young", "old"], "row 1: log_age = 'old' is not a number"),
        (
            "metallicity",
            [0.02, 0.0002, 0.02],
            "row 2: log_z = -3.699 (metallicity Z = 0.0002); the",
        ),
        ("metallicity", [0.02, 0.0, 0.02], "row 2: metallicity = 0.0: it must be a positive"),
        ("rh_arcsec", [0.1, 0.2, 50.0], "row 3: log_rh = 1.699 (rh_arcsec = 50); allowed is half"),
        ("a_v", [0.0, 1.0, 0.0], "row 2: a_v = 1; the survey has 0 only mag"),
        ("model", ["sse", "parsec", "sse"], "unknown model in c.csv: 'parsec'"),
        ("segregation", [0.0, -3.0, 0.0], "row 2: segregation = -3; allowed are 0 to 1"),
        ("profile", ["eff", "sersic", "eff"], "unknown profile in c.csv: 'sersic'"),
        ("dec", [-40.0, -41.0, -42.0], "none of its 3 clusters lies on the mosaic"),
        ("ra", None, "no position columns"),
    ],
)
def test_mosaic_refuses_a_catalogue(
    refused: Any, survey: Path, catalog: Table, tmp_path: Path, column: str, values: Any,
    message: str,
) -> None:  # fmt: skip
    if values is None:
        del catalog[column]
    else:
        catalog[column] = values
    catalog.write(tmp_path / "c.csv")
    words = ("mosaic", survey, "--catalog", "c.csv", "--size", 128, "--out", "sky")
    if column == "dec":
        words = (*words, "--center", "0,30")
    assert message in refused(*words)


def test_mosaic_refuses(refused: Any, survey: Path) -> None:
    words = ("mosaic", survey, "--out", "sky")
    assert "neither a catalog of clusters nor a number" in refused(*words)
    assert "both a catalog of clusters and a number" in refused(
        *words, "--n", 2, "--catalog", "c.csv"
    )
    assert "no catalog at" in refused(*words, "--catalog", "c.csv")
    assert "which fit into 128" in refused(*words, "--n", 900, "--size", 128)
    assert "it holds a stamp" in refused(*words, "--n", 1, "--size", 20)
    assert "write RA,DEC" in refused(*words, "--n", 1, "--size", 96, "--center", "north")
    assert "declination" in refused(*words, "--n", 1, "--size", 96, "--center", "10,100")
    assert "GB free" in refused(*words, "--n", 1, "--size", 10**7)


# fields build


def test_fields_build(run_cli: Run, field: Any, tmp_path: Path) -> None:
    words = ["fields", "build", "phat", *field.arguments[:-2], "--size", 64]
    finished = run_cli(
        *words, "--catalog", field.catalog, "--exclude-radius", 0.1, "--n", 3, "--out", "f",
        cwd=tmp_path,
    )  # fmt: skip
    assert "Wrote 3 fields of 64×64 px to f." in finished.stdout
    assert "have a known cluster in the field" in finished.stdout
    described = json.loads((tmp_path / "f" / "fields.json").read_text(encoding="utf-8"))
    assert described["command"].startswith("praesepe fields build")
    assert described["excluded"]["catalog"] == str(field.catalog)
    assert np.load(tmp_path / "f" / "fields.npy", mmap_mode="r").shape == (3, 3, 64, 64)
    again = run_cli(*words, "--n", 1, "--out", "f", cwd=tmp_path, check=False)
    assert "already holds" in again.stderr
    run_cli(*words, "--n", 1, "--out", "f", "--overwrite", cwd=tmp_path)
    assert np.load(tmp_path / "f" / "fields.npy").shape == (1, 3, 64, 64)


def test_fields_build_refuses(refused: Any, field: Any) -> None:
    words = ["fields", "build", "phat", *field.arguments[:-2], "--out", "f"]
    exclude = ("--catalog", field.catalog, "--exclude-radius", 9)
    message = refused(*words, "--size", 64, *exclude)
    assert "no clean field left" in message
    assert "100.0% have a known cluster" in message
    assert "holds no field of 512 px" in refused(*words, "--size", 512)
    assert "holds no field of 128 px 50 px from its edge" in refused(
        *words, "--size", 128, "--edge", 50
    )
    assert "at least 64" in refused(*words, "--size", 32)
    assert "no catalog at" in refused(*words, "--catalog", "none.csv")
    images = words[3:-2]
    assert "no image for band 'F814W'" in refused(*words[:3], *images[:-2], "--out", "f")
    assert "no images" in refused(*words[:3], "--out", "f")
